//! Every form of known_hosts: whom fleetadm connects to, and that OpenSSH's client does the same.

use std::fs;
use std::process::Command;

use fleetadm::ssh::{HostKeyError, SshError};

use crate::openssh::{HostKeySettings, accepts};
use crate::sshd::{Sshd, connector, keygen, said};

/// One host, as it is known.
#[derive(Default)]
struct Case<'a> {
    /// The user's file and the system's. In both, HOST is the server's name as OpenSSH writes it, KEY its key, OTHER and
    /// ECDSA keys it does not have.
    user: &'a str,
    global: &'a str,
    /// HostKeyAlias.
    alias: Option<&'a str>,
    /// What is connected to, if not the address.
    host: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Trusted,
    Unknown,
    Changed,
    Revoked,
    /// fleetadm alone refuses it as revoked.
    RevokedHere,
    /// fleetadm alone refuses the file.
    Broken,
}

use Verdict::{Broken, Changed, Revoked, RevokedHere, Trusted, Unknown};

/// The verdict of fleetadm, having made sure that ssh's is the same.
async fn verdict(server: &Sshd, case: &Case<'_>) -> Verdict {
    let public = |name: &str| fs::read_to_string(server.path(name)).unwrap().trim().to_owned();
    let address = case.host.unwrap_or("127.0.0.1");
    let fill = |text: &str| {
        text.replace("HOST", &format!("[{address}]:{}", server.port))
            .replace("PORT", &server.port.to_string())
            .replace("KEY", &public("host_ed25519.pub"))
            .replace("OTHER", &public("other.pub"))
            .replace("ECDSA", &public("other_ecdsa.pub"))
    };
    let [user, global] = ["known_hosts", "global"].map(|name| server.path(name));
    fs::write(&user, fill(case.user)).unwrap();
    fs::write(&global, fill(case.global)).unwrap();

    let mut host = server.host();
    host.address = address.to_owned();
    host.ssh_mut().known_hosts = Some(said(vec![user.clone(), global.clone()]));
    host.ssh_mut().host_key_alias = case.alias.map(|alias| said(alias.to_owned()));
    let verdict = match connector().connect(&host).await {
        Ok(_) => Trusted,
        Err(SshError::HostKey(HostKeyError::Unknown { .. })) => Unknown,
        Err(SshError::HostKey(HostKeyError::Changed { .. })) => Changed,
        Err(SshError::HostKey(HostKeyError::Revoked { .. })) => Revoked,
        Err(SshError::LocalFile { .. }) => Broken,
        Err(error) => panic!("{error:?}"),
    };
    let openssh = accepts(
        server,
        &HostKeySettings {
            host: address,
            user_known_hosts: &user,
            global_known_hosts: &global,
            alias: case.alias,
            checking: "yes",
        },
    );
    match (verdict, openssh) {
        (Revoked, true) => RevokedHere,
        (Broken, true) => Broken,
        (verdict, openssh) => {
            assert_eq!(
                verdict == Trusted,
                openssh,
                "ssh differs: {:?} {:?}",
                case.user,
                case.global
            );
            verdict
        }
    }
}

fn with_other_keys(server: &Sshd) {
    keygen(&server.path("other"), &["-t", "ed25519", "-N", ""]);
    keygen(&server.path("other_ecdsa"), &["-t", "ecdsa", "-N", ""]);
}

#[tokio::test]
async fn lines_are_read_as_openssh_reads_them() {
    let server = server!();
    with_other_keys(&server);
    let cases = [
        (Trusted, "HOST KEY"),
        (Trusted, "HOST KEY a comment\n"),
        (Trusted, "HOST KEY\r\n"),
        (Trusted, "  HOST\tKEY"),
        (Trusted, "# comment\n\n   \nnot a line\nHOST ssh-ed25519 AAAA\nHOST KEY"),
        (Trusted, "a,HOST,b KEY"),
        (Trusted, ",HOST KEY"),
        (Trusted, "HOST OTHER\nHOST KEY"),
        (Trusted, "HOST ECDSA\nHOST KEY"),
        (Unknown, ""),
        (Unknown, "# HOST KEY"),
        (Unknown, "HOST"),
        (Unknown, "HOST ssh-ed25519"),
        (Unknown, "HOST ssh-ed25519 AAAA"),
        (Unknown, "HOST\u{a0}KEY"),
        (Unknown, "@other HOST KEY"),
        (Unknown, "10.0.0.1 KEY"),
        (Changed, "HOST OTHER"),
        (Changed, "HOST ECDSA"),
        // Wildcards.
        (Trusted, "[127.0.0.*]:PORT KEY"),
        (Trusted, "[127.0.0.?]:PORT KEY"),
        (Trusted, "* KEY"),
        (Unknown, "[127.0.0.??]:PORT KEY"),
        (Unknown, "[127.0.0.*]:1 KEY"),
        (Changed, "* OTHER"),
        // Negation.
        (Trusted, "![127.0.0.2]:PORT,* KEY"),
        (Trusted, "*,!10.* KEY"),
        (Unknown, "*,!HOST,!127.0.0.1 KEY"),
        (Trusted, "*,!HOST KEY"),
        (Unknown, "!HOST,HOST KEY"),
        (Unknown, "!*,HOST KEY"),
        (Unknown, "!10.0.0.1 KEY"),
        (Trusted, "*,!HOST OTHER\nHOST KEY"),
        // Ports.
        (Trusted, "127.0.0.1 KEY"),
        (Trusted, "127.0.0.* KEY"),
        (Unknown, "127.0.0.1 OTHER"),
        (Unknown, "127.0.0.1 ECDSA"),
        (Unknown, "[127.0.0.1]:22 KEY"),
        (Unknown, "[127.0.0.1]:1 KEY"),
        (Unknown, "127.0.0.1:PORT KEY"),
        (Changed, "HOST OTHER\n127.0.0.1 KEY"),
        // Revocation.
        (Revoked, "@revoked HOST KEY"),
        (Revoked, "HOST KEY\n@revoked HOST KEY"),
        (Revoked, "@revoked * KEY\nHOST KEY"),
        (Revoked, "@revoked * KEY\n127.0.0.1 KEY"),
        (Trusted, "@revoked 10.* KEY\nHOST KEY"),
        (Trusted, "@revoked * OTHER\nHOST KEY"),
        (Unknown, "@revoked * OTHER"),
        (RevokedHere, "@revoked 127.0.0.1 KEY\nHOST KEY"),
        (Broken, "@revoked * ssh-ed25519 AAAA\nHOST KEY"),
        // An authority's key is not a host's.
        (Unknown, "@cert-authority 10.* KEY"),
        (Trusted, "@cert-authority 10.* OTHER\nHOST KEY"),
    ];
    for (expected, user) in cases {
        let case = Case { user, ..Case::default() };
        assert_eq!(verdict(&server, &case).await, expected, "{user}");
    }
}

#[tokio::test]
async fn both_files_count() {
    let server = server!();
    with_other_keys(&server);
    let cases = [
        (Trusted, "", "HOST KEY"),
        (Trusted, "HOST KEY", "HOST OTHER"),
        (Trusted, "HOST OTHER", "HOST KEY"),
        (Changed, "", "HOST OTHER"),
        (Revoked, "HOST KEY", "@revoked * KEY"),
        (Revoked, "@revoked * KEY", "HOST KEY"),
    ];
    for (expected, user, global) in cases {
        let case = Case { user, global, ..Case::default() };
        assert_eq!(verdict(&server, &case).await, expected, "{user} / {global}");
    }
}

#[tokio::test]
async fn names_and_aliases() {
    let server = server!("ed25519", "ListenAddress localhost");
    with_other_keys(&server);
    let (alias, host) = (Some("Db-1"), Some("LocalHost"));
    let cases = [
        (Trusted, Case { user: "db-1 KEY", alias, ..Case::default() }),
        (Trusted, Case { user: "DB-* KEY", alias, ..Case::default() }),
        (Changed, Case { user: "db-1 OTHER\nHOST KEY", alias, ..Case::default() }),
        (Unknown, Case { user: "HOST KEY\n127.0.0.1 KEY", alias, ..Case::default() }),
        (Unknown, Case { user: "[db-1]:PORT KEY", alias, ..Case::default() }),
        (Trusted, Case { user: "[localhost]:PORT KEY", host, ..Case::default() }),
        (Trusted, Case { user: "HOST KEY", host, ..Case::default() }),
        (Trusted, Case { user: "localhost KEY", host, ..Case::default() }),
        (Unknown, Case { user: "[127.0.0.1]:PORT KEY", host, ..Case::default() }),
    ];
    for (expected, case) in cases {
        assert_eq!(verdict(&server, &case).await, expected, "{}", case.user);
    }
}

#[tokio::test]
async fn hashed_names() {
    let server = server!();
    with_other_keys(&server);
    let hashed = |name: &str| {
        let file = server.path("to_hash");
        fs::write(
            &file,
            format!("{name} KEY\n").replace(
                "KEY",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio",
            ),
        )
        .unwrap();
        let output =
            Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file).output().unwrap();
        assert!(output.status.success());
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("|1|"), "{text}");
        text.split(' ').next().unwrap().to_owned()
    };
    let own = hashed(&format!("[127.0.0.1]:{}", server.port));
    let (without_port, stranger) = (hashed("127.0.0.1"), hashed("10.0.0.1"));
    let cases = [
        (Trusted, format!("{own} KEY")),
        (Trusted, format!("{own} OTHER\n{own} KEY")),
        (Changed, format!("{own} OTHER")),
        (Trusted, format!("{without_port} KEY")),
        (Unknown, format!("{without_port} OTHER")),
        (Unknown, format!("{stranger} KEY")),
        (Unknown, format!("{own},HOST KEY")),
        (Unknown, "|1|x|y KEY".to_owned()),
        (Revoked, format!("HOST KEY\n@revoked {own} KEY")),
    ];
    for (expected, user) in &cases {
        let case = Case { user, ..Case::default() };
        assert_eq!(verdict(&server, &case).await, *expected, "{user}");
    }
}

#[tokio::test]
async fn the_type_that_is_known_is_asked_for() {
    let server = server!("ed25519 ecdsa rsa", "");
    with_other_keys(&server);
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let public = fs::read_to_string(server.path(&format!("host_{kind}.pub"))).unwrap();
        let user = format!("HOST {public}");
        let case = Case { user: &user, ..Case::default() };
        assert_eq!(verdict(&server, &case).await, Trusted, "{kind}");
    }
    // Without the port nothing is known of the type, as with ssh.
    let public = fs::read_to_string(server.path("host_ecdsa.pub")).unwrap();
    let user = format!("127.0.0.1 {public}");
    assert_eq!(verdict(&server, &Case { user: &user, ..Case::default() }).await, Unknown);
}

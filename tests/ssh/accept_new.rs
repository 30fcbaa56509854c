//! host_key_policy "accept-new": keys of new hosts are added, and nothing else is accepted.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use fleetadm::fleet::Fleet;
use fleetadm::inventory::{Host, HostKeyPolicy};
use fleetadm::report::{Event, Reporter};
use fleetadm::ssh::{Connector, Environment, HostKeyError, Input, SshError};
use futures::future::join_all;

use crate::openssh::{HostKeySettings, accepts};
use crate::sshd::{Sshd, connector, keygen, said};

fn accepting(server: &Sshd) -> Host {
    let mut host = server.host();
    host.ssh_mut().host_key_policy = Some(said(HostKeyPolicy::AcceptNew));
    host
}

/// The same server under many names.
fn many(server: &Sshd, count: usize) -> Vec<Host> {
    let name = |index| {
        let mut host = accepting(server);
        host.name = format!("node-{index:02}");
        host.ssh_mut().host_key_alias = Some(said(host.name.clone()));
        host
    };
    (0..count).map(name).collect()
}

#[tokio::test]
async fn a_new_host_is_added_and_told_of() {
    let server = server!();
    let (reporter, mut events) = Reporter::channel();
    let connector = Connector::new(Environment::default()).reporting_to(reporter);
    let file = server.path("new/known_hosts");
    let mut host = accepting(&server);
    host.ssh_mut().known_hosts = Some(said(vec![file.clone()]));
    for _ in 0..2 {
        let connection = connector.connect(&host).await.unwrap();
        assert!(connection.run("true", Input::None).await.unwrap().exit.success());
    }
    drop(connector);
    let key = fs::read_to_string(server.path("host_ed25519.pub")).unwrap();
    let key = key.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let added = fs::read_to_string(&file).unwrap();
    assert_eq!(added, format!("[127.0.0.1]:{} {key}\n", server.port));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let mut warnings = Vec::new();
    while let Some(event) = events.recv().await {
        if let Event::Warning { host, text, .. } = event {
            warnings.push(format!("{host}: {text}"));
        }
    }
    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(warning.starts_with("node: host key added: ssh-ed25519 SHA256:"), "{warning}");
    assert!(warning.ends_with(&format!(" to {}", file.display())), "{warning}");
    let settings = HostKeySettings {
        host: "127.0.0.1",
        user_known_hosts: &file,
        global_known_hosts: "/dev/null".as_ref(),
        alias: None,
        checking: "yes",
    };
    assert!(accepts(&server, &settings));
}

#[tokio::test]
async fn known_hosts_are_checked_as_ever() {
    let server = server!();
    keygen(&server.path("other"), &["-t", "ed25519", "-N", ""]);
    keygen(&server.path("other_ecdsa"), &["-t", "ecdsa", "-N", ""]);
    let own = server.known_hosts_line("host_ed25519.pub");
    for (text, openssh) in [
        (server.known_hosts_line("other.pub"), false),
        (server.known_hosts_line("other_ecdsa.pub"), false),
        (format!("@revoked {own}"), false),
        // ssh takes a host as new that is only known to have a certificate.
        (format!("@cert-authority {}", server.known_hosts_line("other.pub")), true),
    ] {
        server.write_known_hosts(&text);
        let error = connector().connect(&accepting(&server)).await.unwrap_err();
        assert!(matches!(error, SshError::HostKey(_)), "{error:?}");
        assert!(!matches!(error, SshError::HostKey(HostKeyError::Unknown { .. })), "{error:?}");
        assert_eq!(fs::read_to_string(server.path("known_hosts")).unwrap(), text);
        let settings = HostKeySettings {
            host: "127.0.0.1",
            user_known_hosts: &server.path("known_hosts"),
            global_known_hosts: "/dev/null".as_ref(),
            alias: None,
            checking: "accept-new",
        };
        assert_eq!(accepts(&server, &settings), openssh, "{text}");
    }
}

#[tokio::test]
async fn a_key_that_changes_within_a_run_is_refused() {
    let (first, second) = (server!(), server!());
    let connector = connector();
    let as_one_host = |server: &Sshd| {
        let mut host = accepting(server);
        host.ssh_mut().host_key_alias = Some(said("node".to_owned()));
        host.ssh_mut().known_hosts = Some(said(vec![first.path("new")]));
        host
    };
    connector.connect(&as_one_host(&first)).await.unwrap();
    let error = connector.connect(&as_one_host(&second)).await.unwrap_err();
    assert!(matches!(error, SshError::HostKey(HostKeyError::Changed { .. })), "{error:?}");
    connector.connect(&as_one_host(&first)).await.unwrap();
}

#[tokio::test]
async fn a_key_that_cannot_be_kept_is_refused() {
    let server = server!();
    for file in ["/dev/null".into(), server.path("known_hosts/beneath"), server.path("a/b/c")] {
        let mut host = accepting(&server);
        host.ssh_mut().known_hosts = Some(said(vec![file]));
        let error = connector().connect(&host).await.unwrap_err();
        assert!(error.could_not_reach(), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("cannot be added") || text.contains("cannot read"), "{text}");
    }
    // Nobody got as far as logging in.
    assert_eq!(server.logins(), 0);
}

#[tokio::test]
async fn fifty_new_hosts_at_once() {
    let server = server!("ed25519", "MaxStartups 200");
    let file = server.path("known_hosts");
    // No newline at the end.
    fs::write(&file, "# known").unwrap();
    let hosts = many(&server, 50);
    // Two runs at the same time.
    let fleets = [Fleet::new(connector(), 50), Fleet::new(connector(), 50)];
    let connecting =
        fleets.iter().flat_map(|fleet| hosts.iter().map(|host| fleet.connection(host)));
    for connection in join_all(connecting).await {
        connection.unwrap();
    }
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# known\n") && text.ends_with('\n'), "{text}");
    let mut names: Vec<&str> =
        text.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
    names.sort_unstable();
    let expected: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, expected);
    for fleet in fleets {
        fleet.close().await;
    }
}

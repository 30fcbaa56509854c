//! Host certificates: which are good, and that OpenSSH's client thinks so as well.

use std::fs;
use std::process::Command;

use fleetadm::ssh::{HostKeyError, SshError};

use crate::openssh::{HostKeySettings, accepts};
use crate::sshd::{Sshd, connector, keygen, said};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Trusted,
    Unknown,
    Uncertified,
    Changed,
    Revoked,
    RevokedAuthority,
}

use Verdict::{Changed, Revoked, RevokedAuthority, Trusted, Uncertified, Unknown};

/// A server that presents whatever certificate lies beside its key, and two authorities.
fn certified(kinds: &str) -> Option<Sshd> {
    let certificate = |kind| format!("HostCertificate DIRECTORY/host_{kind}-cert.pub");
    let certificates: Vec<String> = kinds.split(' ').map(certificate).collect();
    let server = Sshd::start_with(kinds, &certificates.join("\n"))?;
    keygen(&server.path("ca"), &["-t", "ed25519", "-N", ""]);
    keygen(&server.path("other_ca"), &["-t", "ed25519", "-N", ""]);
    keygen(&server.path("other"), &["-t", "ed25519", "-N", ""]);
    Some(server)
}

/// Sign the server's key of a type.
fn sign(server: &Sshd, kind: &str, authority: &str, arguments: &[&str]) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-I", "test"])
        .args(arguments)
        .arg("-s")
        .args([server.path(authority), server.path(&format!("host_{kind}.pub"))])
        .status()
        .unwrap();
    assert!(status.success());
}

/// The verdicts of fleetadm and of ssh. In `known`, HOST is the server's name as OpenSSH writes it, CA the authority that
/// usually signs, KEY the server's own key, OTHER one it does not have.
async fn verdicts(server: &Sshd, known: &str, alias: Option<&str>) -> (Verdict, bool) {
    let public = |name: &str| fs::read_to_string(server.path(name)).unwrap().trim().to_owned();
    // Word by word: a key's base64 may have any of these in it.
    let word = |word: &str| match word {
        "OTHER_CA" => public("other_ca.pub"),
        "CA" => public("ca.pub"),
        "KEY" => public("host_ed25519.pub"),
        "OTHER" => public("other.pub"),
        // A pattern, or a key that stands there already.
        word if word.len() < 40 => word.replace("HOST", &format!("[127.0.0.1]:{}", server.port)),
        word => word.to_owned(),
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    server.write_known_hosts(&known.lines().map(line).collect::<Vec<_>>().join("\n"));
    let mut host = server.host();
    host.ssh_mut().host_key_alias = alias.map(|alias| said(alias.to_owned()));
    let verdict = match connector().connect(&host).await {
        Ok(_) => Trusted,
        Err(SshError::HostKey(HostKeyError::Unknown { .. })) => Unknown,
        Err(SshError::HostKey(HostKeyError::Uncertified { .. })) => Uncertified,
        Err(SshError::HostKey(HostKeyError::Changed { .. })) => Changed,
        Err(SshError::HostKey(HostKeyError::Revoked { .. })) => Revoked,
        Err(SshError::HostKey(HostKeyError::RevokedAuthority { .. })) => RevokedAuthority,
        Err(error) => panic!("{error:?}"),
    };
    let openssh = accepts(
        server,
        &HostKeySettings {
            host: "127.0.0.1",
            user_known_hosts: &server.path("known_hosts"),
            global_known_hosts: "/dev/null".as_ref(),
            alias,
            checking: "yes",
        },
    );
    (verdict, openssh)
}

/// The verdict, which must be the same for both.
async fn verdict(server: &Sshd, known: &str, alias: Option<&str>) -> Verdict {
    let (verdict, openssh) = verdicts(server, known, alias).await;
    assert_eq!(verdict == Trusted, openssh, "ssh differs: {known}");
    verdict
}

#[tokio::test]
async fn authorities() {
    let Some(server) = certified("ed25519") else { return };
    sign(&server, "ed25519", "ca", &["-h", "-n", "other,127.0.0.1"]);
    let cases = [
        (Trusted, "@cert-authority HOST CA"),
        (Trusted, "@cert-authority * CA"),
        (Trusted, "@cert-authority 127.0.0.1 CA"),
        (Trusted, "@cert-authority *,!10.* CA"),
        (Trusted, "@cert-authority * OTHER_CA\n@cert-authority * CA"),
        (Uncertified, "@cert-authority * OTHER_CA"),
        (Trusted, "@cert-authority HOST OTHER_CA\n@cert-authority 127.0.0.1 CA"),
        (Unknown, "@cert-authority *,!HOST,!127.0.0.1 CA"),
        (Unknown, "@cert-authority 10.* CA"),
        (Unknown, ""),
        // An authority's key is not a host's, nor the other way round.
        (Changed, "HOST CA"),
        (Uncertified, "@cert-authority HOST KEY"),
        // The key in the certificate counts as well.
        (Trusted, "HOST KEY"),
        (Trusted, "@cert-authority * OTHER_CA\nHOST KEY"),
        (Changed, "@cert-authority * OTHER_CA\nHOST OTHER"),
        (Trusted, "@cert-authority * CA\nHOST OTHER"),
        // Revocation.
        (RevokedAuthority, "@cert-authority * CA\n@revoked * CA"),
        (RevokedAuthority, "@cert-authority * CA\n@revoked * CA\nHOST KEY"),
        (Revoked, "@cert-authority * CA\n@revoked * KEY"),
        (Trusted, "@cert-authority * CA\n@revoked * OTHER_CA\n@revoked 10.* CA"),
    ];
    for (expected, known) in cases {
        assert_eq!(verdict(&server, known, None).await, expected, "{known}");
    }
}

#[tokio::test]
async fn certificates_that_are_no_good() {
    let Some(server) = certified("ed25519") else { return };
    let known = "@cert-authority * CA";
    let cases: [(Verdict, &[&str]); 9] = [
        (Trusted, &["-h", "-n", "127.0.0.1"]),
        (Trusted, &["-h", "-n", "127.0.0.1", "-V", "always:forever"]),
        (Trusted, &["-h", "-n", "127.0.0.1", "-V", "-1h:+1h"]),
        (Uncertified, &["-h", "-n", "127.0.0.1", "-V", "-2h:-1h"]),
        (Uncertified, &["-h", "-n", "127.0.0.1", "-V", "+1h:+2h"]),
        (Uncertified, &["-h", "-n", "127.0.0.2,localhost,[127.0.0.1]:22"]),
        (Uncertified, &["-n", "127.0.0.1"]),
        (Uncertified, &["-h", "-n", "127.0.0.1", "-O", "critical:x@example.com=y"]),
        (Trusted, &["-h", "-n", "127.0.0.1", "-O", "extension:x@example.com=y"]),
    ];
    for (expected, arguments) in cases {
        sign(&server, "ed25519", "ca", arguments);
        assert_eq!(verdict(&server, known, None).await, expected, "{arguments:?}");
        // The key by itself is as good as any.
        let with_key = format!("{known}\nHOST KEY");
        assert_eq!(verdict(&server, &with_key, None).await, Trusted, "{arguments:?}");
    }
}

/// OpenSSH's client has changed its mind with 10.3; fleetadm does as that.
#[tokio::test]
async fn names_in_certificates() {
    let Some(server) = certified("ed25519") else { return };
    let known = "@cert-authority * CA";
    sign(&server, "ed25519", "ca", &["-h"]);
    assert_eq!(verdicts(&server, known, None).await.0, Uncertified);
    sign(&server, "ed25519", "ca", &["-h", "-n", "127.0.*"]);
    assert_eq!(verdicts(&server, known, None).await.0, Trusted);
    sign(&server, "ed25519", "ca", &["-h", "-n", "127.1.*"]);
    assert_eq!(verdict(&server, known, None).await, Uncertified);
    // The alias is the name, and the port is not part of it.
    sign(&server, "ed25519", "ca", &["-h", "-n", "db-1"]);
    assert_eq!(verdict(&server, "@cert-authority db-* CA", Some("Db-1")).await, Trusted);
    assert_eq!(verdict(&server, "@cert-authority * CA", None).await, Uncertified);
    sign(&server, "ed25519", "ca", &["-h", "-n", "127.0.0.1"]);
    assert_eq!(verdict(&server, "@cert-authority db-* CA", Some("Db-1")).await, Uncertified);
}

#[tokio::test]
async fn keys_of_every_type() {
    let Some(server) = certified("ed25519 ecdsa rsa") else { return };
    keygen(&server.path("ca_ecdsa"), &["-t", "ecdsa", "-b", "384", "-N", ""]);
    keygen(&server.path("ca_rsa"), &["-t", "rsa", "-b", "2048", "-N", ""]);
    let remove = |kind: &str| fs::remove_file(server.path(&format!("host_{kind}-cert.pub")));
    let cases: [(Verdict, &str, &str, &[&str]); 6] = [
        (Trusted, "ed25519", "ca_ecdsa", &[]),
        (Trusted, "ed25519", "ca_rsa", &[]),
        (Trusted, "ecdsa", "ca_rsa", &["-t", "rsa-sha2-256"]),
        (Trusted, "rsa", "ca", &[]),
        (Trusted, "rsa", "ca_rsa", &["-t", "rsa-sha2-512"]),
        // Signed with SHA-1.
        (Uncertified, "ed25519", "ca_rsa", &["-t", "ssh-rsa"]),
    ];
    for (expected, kind, authority, arguments) in cases {
        let arguments = [&["-h", "-n", "127.0.0.1"], arguments].concat();
        sign(&server, kind, authority, &arguments);
        let public = fs::read_to_string(server.path(&format!("{authority}.pub"))).unwrap();
        let known = format!("@cert-authority * {public}");
        assert_eq!(verdict(&server, &known, None).await, expected, "{kind} by {authority}");
        remove(kind).unwrap();
    }
}

#[tokio::test]
async fn a_host_without_a_certificate() {
    let server = server!("ed25519 ecdsa", "");
    for name in ["ca", "other_ca", "other"] {
        keygen(&server.path(name), &["-t", "ed25519", "-N", ""]);
    }
    let cases = [
        (Uncertified, "@cert-authority * CA"),
        (Trusted, "@cert-authority * CA\nHOST KEY"),
        (Trusted, "@cert-authority * CA\n127.0.0.1 KEY"),
        (Changed, "@cert-authority * CA\nHOST OTHER"),
        (Revoked, "@cert-authority * CA\n@revoked * KEY\nHOST KEY"),
    ];
    for (expected, known) in cases {
        assert_eq!(verdict(&server, known, None).await, expected, "{known}");
    }
}

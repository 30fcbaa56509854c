use std::fs;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::ssh_key::private::Ed25519Keypair;

use super::*;

const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=";

/// When the certificates below are looked at.
const NOW: u64 = 1_800_000_000;

fn key(text: &str) -> PublicKey {
    text.parse().unwrap()
}

fn collect(names: &Names, texts: &[&str]) -> HostKeys {
    let directory = tempfile::tempdir().unwrap();
    let files: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let path = directory.path().join(format!("known_hosts{index}"));
            fs::write(&path, text).unwrap();
            Arc::new(KnownHostsFile::read(&path))
        })
        .collect();
    let label = Label { endpoint: "10.0.0.1:22".to_owned(), host: "node-1".into() };
    let mut host_keys = HostKeys::collect(names, &label, &files).unwrap();
    for record in &mut host_keys.records {
        record.file = Path::new(record.file.file_name().unwrap()).into();
    }
    host_keys
}

fn host_keys(address: &str, port: u16, text: &str) -> HostKeys {
    collect(&Names::of(address, port, None), &[text])
}

fn word(verdict: &Result<(), HostKeyError>) -> &'static str {
    match verdict {
        Ok(()) => "trusted",
        Err(HostKeyError::Unknown { .. }) => "unknown",
        Err(HostKeyError::Uncertified { .. }) => "uncertified",
        Err(HostKeyError::Changed { .. }) => "changed",
        Err(HostKeyError::Revoked { .. }) => "revoked",
        Err(HostKeyError::RevokedAuthority { .. }) => "revoked authority",
        Err(HostKeyError::NotRecorded { .. }) => "not recorded",
    }
}

fn verdict(host_keys: &HostKeys, presented: &str) -> &'static str {
    word(&host_keys.verify(&key(presented).into(), NOW))
}

#[test]
fn plain_keys() {
    let cases = [
        ("trusted", 22, format!("10.0.0.1 {A}"), A),
        ("trusted", 22, format!("other,10.0.0.1 {A} a comment"), A),
        ("trusted", 22, format!("10.0.0.* {A}"), A),
        ("trusted", 22, format!("10.0.0.1 {B}\n10.0.0.1 {A}"), A),
        ("unknown", 22, String::new(), A),
        ("unknown", 22, format!("10.0.0.2 {A}"), A),
        ("unknown", 22, format!("10.0.0.*,!10.0.0.1 {A}"), A),
        ("unknown", 22, format!("[10.0.0.1]:2222 {A}"), A),
        ("unknown", 22, format!("[10.0.0.1]:22 {A}"), A),
        ("changed", 22, format!("10.0.0.1 {B}"), A),
        ("changed", 22, format!("* {B}"), A),
        ("changed", 22, format!("10.0.0.1 {ECDSA}"), A),
        ("revoked", 22, format!("@revoked 10.0.0.1 {A}"), A),
        ("revoked", 22, format!("10.0.0.1 {A}\n@revoked * {A}"), A),
        ("trusted", 22, format!("10.0.0.1 {A}\n@revoked * {B}"), A),
        ("trusted", 22, format!("10.0.0.1 {A}\n@revoked 10.0.0.2 {A}"), A),
        ("unknown", 22, format!("@revoked * {B}"), A),
        ("trusted", 2222, format!("[10.0.0.1]:2222 {A}"), A),
        ("changed", 2222, format!("[10.0.0.1]:2222 {B}"), A),
        ("trusted", 2222, format!("10.0.0.1 {A}"), A),
        ("unknown", 2222, format!("10.0.0.1 {B}"), A),
        ("unknown", 2222, format!("[10.0.0.1]:2223 {A}"), A),
        // A line without the port counts only where there is none with it.
        ("changed", 2222, format!("[10.0.0.1]:2222 {B}\n10.0.0.1 {A}"), A),
        ("revoked", 2222, format!("[10.0.0.1]:2222 {A}\n@revoked 10.0.0.1 {A}"), A),
        // An authority is not a host.
        ("uncertified", 22, format!("@cert-authority * {A}"), A),
        ("trusted", 22, format!("@cert-authority * {B}\n10.0.0.1 {A}"), A),
        ("changed", 22, format!("@cert-authority * {A}\n10.0.0.1 {B}"), A),
        ("unknown", 22, format!("@cert-authority *.example.com {A}"), A),
    ];
    for (expected, port, text, presented) in cases {
        let host_keys = host_keys("10.0.0.1", port, &text);
        assert_eq!(verdict(&host_keys, presented), expected, "{port} {text}");
    }
    let text = format!("node.example {A}\n[fd00::1]:2222 {A}");
    assert_eq!(verdict(&host_keys("Node.Example", 22, &text), A), "trusted");
    assert_eq!(verdict(&host_keys("fd00:0::1", 2222, &text), A), "trusted");
}

#[test]
fn aliases_have_no_port() {
    let alias = Names::of("10.0.0.1", 2222, Some("Db-1"));
    let verdict = |text: &str| verdict(&collect(&alias, &[text]), A);
    assert_eq!(verdict(&format!("db-1 {A}")), "trusted");
    assert_eq!(verdict(&format!("db-1 {B}")), "changed");
    assert_eq!(verdict(&format!("[db-1]:2222 {A}")), "unknown");
    assert_eq!(verdict(&format!("[10.0.0.1]:2222,10.0.0.1 {A}")), "unknown");
}

#[test]
fn every_file_counts() {
    let names = Names::of("10.0.0.1", 22, None);
    let (a, b) = (format!("10.0.0.1 {A}"), format!("10.0.0.1 {B}"));
    let revoked = format!("@revoked * {A}");
    assert_eq!(verdict(&collect(&names, &["", &a]), A), "trusted");
    assert_eq!(verdict(&collect(&names, &[&b, &a]), A), "trusted");
    assert_eq!(verdict(&collect(&names, &[&a, &revoked]), A), "revoked");
    assert_eq!(verdict(&collect(&names, &["", &b]), A), "changed");
    assert_eq!(verdict(&collect(&names, &[]), A), "unknown");
}

#[test]
fn a_broken_file_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("known_hosts");
    fs::write(&path, "@revoked x\n").unwrap();
    let label = Label { endpoint: "h:22".to_owned(), host: "h".into() };
    let names = Names::of("h", 22, None);
    for path in [path.as_path(), directory.path()] {
        let file = Arc::new(KnownHostsFile::read(path));
        let error = HostKeys::collect(&names, &label, &[file]).unwrap_err();
        assert!(matches!(error, SshError::LocalFile { .. }), "{error:?}");
    }
}

#[test]
fn known_types_are_offered_first() {
    let names = |port, text: &str| {
        let algorithms = host_keys("h", port, text).algorithms();
        algorithms.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let ecdsa = |hosts: &str| format!("{hosts} {ECDSA}");
    assert_eq!(names(22, "")[0], "ssh-ed25519");
    assert_eq!(names(22, &ecdsa("h"))[..2], ["ecdsa-sha2-nistp256", "ssh-ed25519"]);
    assert_eq!(names(22, &ecdsa("@revoked h"))[0], "ssh-ed25519");
    assert_eq!(names(22, &ecdsa("@cert-authority h"))[0], "ssh-ed25519");
    assert_eq!(names(2222, &ecdsa("[h]:2222"))[0], "ecdsa-sha2-nistp256");
    assert_eq!(names(2222, &ecdsa("h"))[0], "ssh-ed25519");
    assert!(!names(22, "").contains(&"ssh-rsa".to_owned()));
}

#[test]
fn certificates_are_asked_for_where_an_authority_is_known() {
    let asked = |port, text: &str| !host_keys("h", port, text).certificate_algorithms().is_empty();
    assert!(!asked(22, &format!("h {A}\n@cert-authority other {A}\n@revoked h {B}")));
    assert!(asked(22, &format!("@cert-authority h {A}")));
    assert!(asked(2222, &format!("@cert-authority h {A}")));
    assert!(!asked(22, &format!("@cert-authority [h]:2222 {A}")));
}

fn private(seed: u8) -> PrivateKey {
    Ed25519Keypair::from_seed(&[seed; 32]).into()
}

fn public(seed: u8) -> String {
    private(seed).public_key().to_openssh().unwrap()
}

/// A certificate for key 1 by key 2, for a day on each side of `NOW`.
fn certificate(adjust: impl FnOnce(&mut Builder)) -> Certificate {
    valid(NOW - 86_400, NOW + 86_400, adjust)
}

fn valid(after: u64, before: u64, adjust: impl FnOnce(&mut Builder)) -> Certificate {
    let key = private(1).public_key().key_data().clone();
    let mut builder = Builder::new([0; 16], key, after, before).unwrap();
    adjust(&mut builder);
    // Fails where it has been said already.
    let _ = builder.cert_type(CertType::Host);
    builder.sign(&private(2)).unwrap()
}

fn principals(names: &'static [&str]) -> impl FnOnce(&mut Builder) {
    move |builder| {
        for name in names {
            builder.valid_principal(*name).unwrap();
        }
    }
}

fn judge(host_keys: &HostKeys, certificate: Certificate) -> Result<(), HostKeyError> {
    host_keys.verify(&certificate.into(), NOW)
}

#[test]
fn certificates() {
    let good = || certificate(principals(&["other", "h"]));
    let authority = public(2);
    let cases = [
        ("trusted", 22, format!("@cert-authority h {authority}")),
        ("trusted", 22, format!("@cert-authority h {A}\n@cert-authority * {authority}")),
        ("trusted", 2222, format!("@cert-authority [h]:2222 {authority}")),
        ("trusted", 2222, format!("@cert-authority h {authority}")),
        ("uncertified", 22, format!("@cert-authority h {A}")),
        ("unknown", 22, format!("@cert-authority *,!h {authority}")),
        ("unknown", 22, format!("h2 {authority}")),
        // The authority's key as a host's is no authority.
        ("changed", 22, format!("h {authority}")),
        ("trusted", 2222, format!("@cert-authority [h]:2222 {A}\n@cert-authority h {authority}")),
        ("revoked authority", 22, format!("@cert-authority h {authority}\n@revoked * {authority}")),
        ("revoked", 22, format!("@cert-authority h {authority}\n@revoked h {}", public(1))),
        ("revoked authority", 22, format!("h {}\n@revoked h {authority}", public(1))),
        // What is known by itself needs no certificate.
        ("trusted", 22, format!("@cert-authority h {A}\nh {}", public(1))),
        ("changed", 22, format!("@cert-authority h {A}\nh {B}")),
        ("trusted", 22, format!("@cert-authority h {authority}\nh {B}")),
    ];
    for (expected, port, text) in cases {
        let host_keys = host_keys("h", port, &text);
        assert_eq!(word(&judge(&host_keys, good())), expected, "{port} {text}");
    }
}

#[test]
fn faults_of_certificates() {
    let host_keys = host_keys("h.example.com", 22, &format!("@cert-authority * {}", public(2)));
    let fault = |certificate: Certificate| match judge(&host_keys, certificate) {
        Ok(()) => "none".to_owned(),
        Err(HostKeyError::Uncertified { reason, .. }) => reason,
        Err(error) => panic!("{error:?}"),
    };
    let own = || principals(&["h.example.com"]);

    assert_eq!(fault(certificate(own())), "none");
    assert_eq!(fault(certificate(principals(&["*.example.com"]))), "none");
    assert_eq!(fault(certificate(principals(&["?.example.com"]))), "none");
    assert_eq!(fault(valid(0, u64::MAX, own())), "none");
    assert_eq!(fault(valid(NOW, NOW + 1, own())), "none");
    assert_eq!(
        fault(certificate(|builder| {
            own()(builder);
            builder.extension("x@example.com", "").unwrap();
        })),
        "none"
    );

    insta::assert_snapshot!(fault(certificate(|builder| {
        own()(builder);
        builder.cert_type(CertType::User).unwrap();
    })), @"with a certificate for users");
    insta::assert_snapshot!(fault(valid(NOW + 1, NOW + 2, own())), @"with a certificate that is not valid before 2027-01-15T08:00:01Z");
    insta::assert_snapshot!(fault(valid(NOW - 2, NOW, own())), @"with a certificate that expired at 2027-01-15T08:00:00Z");
    insta::assert_snapshot!(fault(valid(u64::MAX - 1, u64::MAX, own())), @"with a certificate that is not valid before 18446744073709551614 s after 1970");
    insta::assert_snapshot!(fault(certificate(|builder| {
        builder.all_principals_valid().unwrap();
    })), @"with a certificate that names no host");
    insta::assert_snapshot!(fault(certificate(principals(&["example.com", "!h", "\u{1b}[31m\nx"]))), @"with a certificate for other hosts (example.com, !h,  x), not for h.example.com");
    insta::assert_snapshot!(fault(certificate(|builder| {
        own()(builder);
        builder.critical_option("force-command", "x").unwrap();
    })), @"with a certificate with the critical option force-command, which is not understood");
    insta::assert_snapshot!(fault(tampered(&certificate(own()))), @"with a certificate with a signature that is wrong");
}

/// The same certificate with another serial number.
fn tampered(certificate: &Certificate) -> Certificate {
    let mut bytes = certificate.to_bytes().unwrap();
    // The serial number follows the key.
    let key = private(1).public_key().key_data().ed25519().unwrap().0;
    let serial = bytes.windows(32).position(|window| window == key).unwrap() + 32;
    bytes[serial + 7] ^= 1;
    Certificate::from_bytes(&bytes).unwrap()
}

#[test]
fn messages() {
    let error = |text: &str| {
        host_keys("10.0.0.1", 22, text).verify(&key(A).into(), NOW).unwrap_err().to_string()
    };
    insta::assert_snapshot!(error(""), @"the host key of 10.0.0.1:22 is unknown: it presented ssh-ed25519 SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg; compare that with the host's own, then add it with `fleetadm trust -l node-1`");
    insta::assert_snapshot!(error(&format!("\n10.0.0.1 {ECDSA}\n10.0.0.1 {B}")), @"the host key of 10.0.0.1:22 has changed: it presented ssh-ed25519 SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg, but known_hosts0:3 has ssh-ed25519 SHA256:T7SvZ2cslqpPj6nKzitCBHHlpVF3r3MvLwmFL0fk0IE; someone may be intercepting the connection; if the host was reinstalled, compare the key with the host's own and replace the old one with `fleetadm trust --replace -l node-1`");
    insta::assert_snapshot!(error(&format!("@revoked * {A}")), @"the host key of 10.0.0.1:22 is revoked: it presented ssh-ed25519 SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg, marked @revoked in known_hosts0:1; give the host a new key");
    insta::assert_snapshot!(error(&format!("@cert-authority * {B}")), @"the host key of 10.0.0.1:22 is not certified: known_hosts0:1 names a certificate authority, but the host presented ssh-ed25519 SHA256:bPGahMcWimQBTdksNSUoI+j8Sfbbx1OSgE7hHiSDBTg without a certificate; give it a new certificate, or compare the key with the host's own and add it with `fleetadm trust -l node-1`");
    let text = format!("@cert-authority * {0}\n@revoked * {0}", public(2));
    let certificate = certificate(principals(&["10.0.0.1"]));
    let revoked = judge(&host_keys("10.0.0.1", 22, &text), certificate).unwrap_err().to_string();
    insta::assert_snapshot!(revoked, @"the host certificate of 10.0.0.1:22 is by a revoked authority: it presented ssh-ed25519 SHA256:fe85JkIjo8VPe+XqXJGH5Mau1EMFdK1OdKvJUFicyA8 signed by ssh-ed25519 SHA256:4A9jyZBOhnKZvcGQ6TRFbf5Gymb41AfYvYaVmWHD+G4, marked @revoked in known_hosts0:2; give the host a certificate by another");
}

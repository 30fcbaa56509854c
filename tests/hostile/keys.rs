//! Certificates, keys and kubeconfigs that hosts have, damaged in their text and below it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fleetadm::cluster::kubeconfig::{Kubeconfig, Merge, OperatorsFile};
use fleetadm::pki::{Algorithm, Authority, Certificate, PrivateKey};
use proptest::prelude::*;

use crate::noise::{expect_harmless, near};

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n").into_bytes()
}

fn der(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(base64).unwrap()
}

/// Labels, and the DER of a key.
fn keys() -> Vec<(&'static str, PrivateKey)> {
    let generate = |algorithm| PrivateKey::generate(algorithm).unwrap();
    vec![
        ("RSA PRIVATE KEY", generate(Algorithm::Rsa2048)),
        ("EC PRIVATE KEY", generate(Algorithm::EcdsaP256)),
    ]
}

/// The DER of an authority and of a leaf.
fn certificates() -> Vec<Vec<u8>> {
    let names = ["n1".to_owned(), "10.0.0.1".to_owned()];
    let leaf = rcgen::generate_simple_self_signed(names).unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(1));
    let authority = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    vec![leaf.cert.der().to_vec(), authority.der().to_vec()]
}

fn look_at(bytes: &[u8]) {
    let judge = |certificate: &Certificate| {
        let _ = (certificate.is_signed_by(certificate), certificate.public_key_hash());
        let _ = certificate.pem();
    };
    match Certificate::from_der(bytes) {
        Ok(certificate) => judge(&certificate),
        Err(error) => expect_harmless(&error, &[]),
    }
    match Certificate::from_pem(bytes) {
        Ok(chain) => chain.iter().for_each(judge),
        Err(error) => expect_harmless(&error, &[]),
    }
    if let Err(error) = Authority::read("/etc/kubernetes/pki/ca", bytes, Some(bytes)) {
        expect_harmless(&error.to_string(), &[]);
    }
}

fn kubeconfig() -> Vec<u8> {
    let ca = STANDARD.encode(pem("CERTIFICATE", &certificates()[1]));
    let key = STANDARD.encode(keys()[1].1.pem().as_bytes());
    format!(
        "apiVersion: v1\nkind: Config\npreferences: {{}}\ncurrent-context: a@k\nclusters:\n- name: k\n  cluster:\n    \
         certificate-authority-data: {ca}\n    server: https://10.0.0.1:6443\ncontexts:\n- name: a@k\n  context:\n    \
         cluster: k\n    user: a\nusers:\n- name: a\n  user:\n    client-certificate-data: {ca}\n    client-key-data: {key}\n"
    )
    .into_bytes()
}

#[test]
fn what_is_not_damaged_is_read() {
    for der in certificates() {
        assert_eq!(Certificate::from_pem(&pem("CERTIFICATE", &der)).unwrap()[0].der(), der);
    }
    for (_, key) in keys() {
        let again = PrivateKey::from_pem(key.pem().as_bytes()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        assert_eq!(again.pem(), key.pem());
    }
    let read = Kubeconfig::parse(&kubeconfig()).unwrap();
    let again = Kubeconfig::parse(&read.render().unwrap()).unwrap();
    assert_eq!(*again.render().unwrap(), *read.render().unwrap());
}

#[test]
fn large_files_are_refused() {
    let line = "-----BEGIN CERTIFICATE-----\n";
    let many = line.repeat((16 << 20) / line.len());
    look_at(many.as_bytes());
    assert!(Kubeconfig::parse(many.as_bytes()).is_err());
    assert!(OperatorsFile::parse(many.as_bytes()).is_err());
    assert!(PrivateKey::from_pem(&pem("RSA PRIVATE KEY", &vec![0x30; 8 << 20])).is_err());
    look_at(&pem("CERTIFICATE", &[0x30, 0x80].repeat(1 << 20)));
    // Lengths that promise more than there is.
    look_at(&pem(
        "CERTIFICATE",
        b"\x30\x84\xff\xff\xff\xff\x30\x88\xff\xff\xff\xff\xff\xff\xff\xff",
    ));
}

proptest! {
    #[test]
    fn any_certificate_is_read_or_refused(bytes in near(certificates())) {
        look_at(&bytes);
        look_at(&pem("CERTIFICATE", &bytes));
    }

    #[test]
    fn any_pem_is_read_or_refused(bytes in near(vec![
        [pem("CERTIFICATE", &certificates()[0]), pem("CERTIFICATE", &certificates()[1])].concat(),
        pem("EC PARAMETERS", b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"),
    ])) {
        look_at(&bytes);
    }

    #[test]
    fn any_key_is_read_or_refused_without_being_quoted(bytes in near(
        keys().into_iter().map(|(_, key)| der(key.pem())).collect()
    ), label in prop::sample::select(vec!["RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY"])) {
        if let Ok(key) = PrivateKey::from_pem(&pem(label, &bytes)) {
            let again = PrivateKey::from_pem(key.pem().as_bytes()).unwrap();
            prop_assert_eq!(again.public_key(), key.public_key());
        }
        let _ = PrivateKey::from_pem(&bytes);
    }

    #[test]
    fn any_kubeconfig_is_read_or_refused(bytes in near(vec![kubeconfig()])) {
        if let Ok(config) = Kubeconfig::parse(&bytes) {
            let _ = config.current_only();
            let rendered = config.render().unwrap();
            let again = Kubeconfig::parse(&rendered);
            prop_assert!(again.is_ok(), "{}", String::from_utf8_lossy(&rendered));
            prop_assert_eq!(&*again.unwrap().render().unwrap(), &*rendered);
            if let Ok(mut file) = OperatorsFile::parse(&bytes)
                && file.put(&config, Merge::default()).is_ok()
            {
                let rendered = file.render().unwrap();
                prop_assert!(OperatorsFile::parse(&rendered).is_ok(), "{}", String::from_utf8_lossy(&rendered));
            }
        }
    }
}

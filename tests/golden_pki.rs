//! Every certificate, key file and kubeconfig of a first control plane, against what kubeadm left there.
//!
//! The comparison is of the whole DER structure, element by element, with only those values masked that
//! must differ (random serials, keys, key identifiers, signatures); times are compared as distances.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fleetadm::cluster::kubeconfig::{self, KUBELET_CLIENT_FILE, Kubeconfig, Workflow};
use fleetadm::pki::{
    self, Algorithm, Authority, AuthorityName, CA_VALIDITY, Certificate, Existing, KeyIdentifier,
    KeyPool, Kind, LEAF_VALIDITY, Outcome, Profile, Purpose, Requirements, keys_needed,
};
use time::{Duration, OffsetDateTime};

/// Everything in which our files differ from kubeadm's on purpose: how the comparison masks it, and why.
const INTENDED_DIFFERENCES: &[(&str, &str)] = &[
    ("<serial>", "random, in kubeadm's range: 1 to 2^63 - 2 (1.20 allows leaves 0 as well)"),
    ("<bits>", "public keys and signatures follow from keys made for each cluster"),
    ("<own id>", "follows from the key; how it is derived is compared on its own"),
    ("<authority's id>", "follows from the authority's key"),
    (
        "<time>",
        "compared as distances with a tolerance (DRIFT): 1.20 reads the clock anew for every \
         certificate, we have one start for a whole run",
    ),
    ("<data>", "certificates and keys embedded in kubeconfigs; the certificates are compared too"),
];

/// A mask of the table above.
fn mask(name: &str) -> &str {
    assert!(INTENDED_DIFFERENCES.iter().any(|(mask, _)| *mask == name), "{name} is not explained");
    name
}

/// How far apart the clock readings of one kubeadm run were.
const DRIFT: Duration = Duration::seconds(5);

/// One golden cluster: where it is, and the facts its init.yaml and certificates state.
struct Golden {
    version: &'static str,
    node: &'static str,
    address: [u8; 4],
    profile: Profile,
    kubeconfigs: kubeconfig::Profile,
}

const GOLDENS: [Golden; 2] = [
    Golden {
        version: "1.20.2",
        node: "y1",
        address: [10, 250, 1, 7],
        profile: Profile::V1_20,
        kubeconfigs: kubeconfig::Profile::V1_20,
    },
    Golden {
        version: "1.36.2",
        node: "n1",
        address: [10, 250, 1, 1],
        profile: Profile::V1_36,
        kubeconfigs: kubeconfig::Profile::V1_36,
    },
];

impl Golden {
    fn read(&self, file: &str) -> Vec<u8> {
        let path = directory().unwrap().join(self.version).join("cp1").join(file);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn certificate(&self, base: &str) -> Certificate {
        let pem = self.read(&format!("etc/kubernetes/pki/{base}.crt"));
        Certificate::from_pem(&pem).unwrap().remove(0)
    }

    /// When kubeadm started.
    fn start(&self) -> OffsetDateTime {
        self.certificate("ca").not_before + self.profile.backdate.unwrap_or_default()
    }

    fn requirements(&self) -> Requirements {
        Requirements {
            node_name: self.node.to_owned(),
            advertise_address: self.address.into(),
            service_address: [10, 96, 0, 1].into(),
            dns_domain: "cluster.local".to_owned(),
            control_plane_host: Some(IpAddr::from(self.address).to_string()),
            api_server_sans: vec![],
            etcd_server_sans: vec![],
            etcd_peer_sans: vec![],
            purpose: Purpose::ControlPlane,
            profile: self.profile,
            now: self.start(),
            ca_validity: CA_VALIDITY,
            leaf_validity: LEAF_VALIDITY,
        }
    }

    /// Our PKI for the same cluster; made once, since RSA keys take their time.
    fn pki(&self) -> &'static Outcome {
        static PKIS: LazyLock<[Outcome; 2]> = LazyLock::new(|| {
            let count = keys_needed(&Existing::new(), &GOLDENS[0].requirements());
            let mut pool = KeyPool::generate(Algorithm::Rsa2048, 2 * count).unwrap();
            let pkis = GOLDENS.each_ref().map(|golden| {
                pki::ensure(&Existing::new(), &golden.requirements(), &mut pool).unwrap()
            });
            assert!(pool.is_empty());
            pkis
        });
        &PKIS[usize::from(self.version == GOLDENS[1].version)]
    }
}

fn directory() -> Option<PathBuf> {
    let path = std::env::var_os("FLEETADM_GOLDEN").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/golden")),
        PathBuf::from,
    );
    if !path.is_dir() {
        eprintln!("SKIPPED: no golden data; set FLEETADM_GOLDEN to its directory");
        return None;
    }
    Some(path)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The DER of a certificate, one line per element, with what is random masked.
fn shape(certificate: &Certificate, authority: &Certificate) -> Vec<String> {
    let mut lines = Vec::new();
    walk(certificate.der(), 0, &mut lines);
    // The first INTEGER after the version is the serial number; zero is no random one.
    let serial = lines.iter().position(|line| line.trim() == "02 02").unwrap() + 1;
    if lines[serial].trim() != "02 00" {
        let value = lines[serial].trim()[3..].to_owned();
        assert!(value.len() <= 16 && value != "7fffffffffffffff", "{value}");
        lines[serial] = format!("    02 {}", mask("<serial>"));
    }
    // Two bit strings at structural level: the public key and the signature, both masked.
    for line in lines.iter_mut().filter(|line| line.trim().starts_with("03 ")) {
        assert!(line.len() > 200, "{line}");
        line.truncate(line.find("03 ").unwrap());
        line.push_str(mask("<bits>"));
    }
    for (id, name) in [
        (certificate.subject_key_id.as_ref(), "<own id>"),
        (authority.subject_key_id.as_ref(), "<authority's id>"),
    ] {
        if let Some(id) = id {
            let id = hex(id);
            lines.iter_mut().for_each(|line| *line = line.replace(&id, mask(name)));
        }
    }
    for line in lines.iter_mut().filter(|line| line.trim().starts_with("17 ")) {
        *line = mask("<time>").to_owned();
    }
    lines
}

fn walk(mut der: &[u8], depth: usize, lines: &mut Vec<String>) {
    while let [tag, length, rest @ ..] = der {
        let (length, rest) = match length {
            0x81 => (usize::from(rest[0]), &rest[1..]),
            0x82 => (usize::from(rest[0]) << 8 | usize::from(rest[1]), &rest[2..]),
            short => (usize::from(*short), rest),
        };
        let (content, next) = rest.split_at(length);
        let indent = "  ".repeat(depth);
        if tag & 0x20 != 0 {
            lines.push(format!("{indent}{tag:02x}"));
            walk(content, depth + 1, lines);
        } else {
            lines.push(format!("{indent}{tag:02x} {}", hex(content)));
        }
        der = next;
    }
}

fn assert_same_times(ours: &Certificate, theirs: &Certificate, name: &str) {
    for (what, ours, theirs) in
        [("start", ours.not_before, theirs.not_before), ("end", ours.not_after, theirs.not_after)]
    {
        assert!((ours - theirs).abs() <= DRIFT, "{name}: {what} is {ours}, kubeadm's {theirs}");
    }
    let window = |certificate: &Certificate| certificate.not_after - certificate.not_before;
    assert!((window(ours) - window(theirs)).abs() <= DRIFT, "{name}: window");
}

#[test]
fn every_certificate_has_kubeadms_shape() {
    if directory().is_none() {
        return;
    }
    for golden in &GOLDENS {
        let outcome = golden.pki();
        for spec in pki::CERTIFICATES {
            let name = format!("{} {}", golden.version, spec.base);
            let file = outcome.file(&format!("{}.crt", spec.base)).unwrap();
            let ours = Certificate::from_pem(&file.content).unwrap().remove(0);
            let theirs = golden.certificate(spec.base);
            let our_authority = &outcome.authorities[&spec.authority].certificate;
            let their_authority = golden.certificate(spec.authority.base());

            assert_eq!(shape(&ours, our_authority), shape(&theirs, &their_authority), "{name}");
            assert_same_times(&ours, &theirs, &name);
            match (spec.kind, golden.profile.backdate) {
                (Kind::Leaf { .. }, None) => {
                    assert_eq!(theirs.not_before, their_authority.not_before, "{name}");
                    assert_eq!(ours.not_before, our_authority.not_before, "{name}");
                }
                (_, Some(backdate)) => {
                    let validity = if theirs.is_ca { CA_VALIDITY } else { LEAF_VALIDITY };
                    assert_eq!(theirs.not_after - theirs.not_before, validity + backdate, "{name}");
                    assert_eq!(ours.not_after - ours.not_before, validity + backdate, "{name}");
                }
                _ => {}
            }
            // Our verification agrees with kubeadm's certificates, too.
            let authority = Authority { certificate: their_authority, key: None };
            assert!(authority.verifies(std::slice::from_ref(&theirs)), "{name}");
        }
    }
}

#[test]
fn key_identifiers_are_derived_as_kubeadm_derives_them() {
    if directory().is_none() {
        return;
    }
    for golden in &GOLDENS {
        let outcome = golden.pki();
        let theirs = golden.certificate("ca");
        for certificate in [&outcome.authorities[&AuthorityName::Kubernetes].certificate, &theirs] {
            // SubjectPublicKeyInfo of an RSA-2048 key: 24 bytes of header, then the key.
            let key = &certificate.public_key[24..];
            let expected = match golden.profile.key_identifier {
                KeyIdentifier::Sha1 => digest(&SHA1_FOR_LEGACY_USE_ONLY, key).as_ref().to_vec(),
                KeyIdentifier::TruncatedSha256 => digest(&SHA256, key).as_ref()[..20].to_vec(),
            };
            assert_eq!(certificate.subject_key_id.as_ref(), Some(&expected), "{}", golden.version);
        }
    }
}

#[test]
fn names_and_modes_of_the_files_are_kubeadms() {
    if directory().is_none() {
        return;
    }
    for golden in &GOLDENS {
        let modes = String::from_utf8(golden.read("file-modes.txt")).unwrap();
        let theirs: BTreeMap<String, String> = modes
            .lines()
            .filter_map(|line| {
                let fields: Vec<_> = line.split_whitespace().collect();
                let name = fields[3].strip_prefix("etc/kubernetes/pki/")?;
                fields[0].starts_with('-').then(|| (name.to_owned(), fields[0][1..].to_owned()))
            })
            .collect();
        let ours = golden
            .pki()
            .files
            .iter()
            .map(|file| (file.name.clone(), permissions(file.mode).to_owned()))
            .collect();
        assert_eq!(theirs, ours, "{}", golden.version);
        // All of kubeadm's kubeconfigs are for their owner only.
        assert_eq!(kubeconfig::MODE, 0o600);
        let others = |line: &&str| line.contains(".conf ->") && line.contains(" etc/kubernetes/");
        assert!(modes.lines().filter(others).all(|line| line.starts_with("-rw------- ")));

        let keys = String::from_utf8(golden.read("keys.txt")).unwrap();
        assert_eq!(keys.matches("BEGIN RSA PRIVATE KEY Private-Key: (2048 bit").count(), 11);
    }
}

fn permissions(mode: u32) -> &'static str {
    match mode {
        0o600 => "rw-------",
        0o644 => "rw-r--r--",
        _ => "?",
    }
}

#[test]
fn every_kubeconfig_is_kubeadms() {
    if directory().is_none() {
        return;
    }
    for golden in &GOLDENS {
        let outcome = golden.pki();
        let authority = &outcome.authorities[&AuthorityName::Kubernetes];
        let url = format!("https://{}:6443", IpAddr::from(golden.address));
        let requirements = kubeconfig::Requirements {
            cluster_name: "kubernetes".to_owned(),
            node_name: golden.node.to_owned(),
            control_plane_url: url.clone(),
            local_url: url,
            workflow: Workflow::Init,
            profile: golden.kubeconfigs,
            pki: golden.profile,
            validity: LEAF_VALIDITY,
            now: golden.start(),
        };
        let mut pool = KeyPool::generate(Algorithm::Rsa2048, 5).unwrap();
        let files = kubeconfig::ensure(&BTreeMap::new(), authority, &requirements, &mut pool);
        let files = files.unwrap().files;
        let expected = if golden.kubeconfigs.super_admin { 5 } else { 4 };
        assert_eq!(files.len(), expected, "{}", golden.version);

        for file in &files {
            let name = format!("{} {}", golden.version, file.name);
            let their_text = golden.read(&format!("etc/kubernetes/{}", file.name));
            let theirs = Kubeconfig::parse(&their_text).unwrap();
            let mut ours = Kubeconfig::parse(&file.content).unwrap();
            if let Some(pem) = theirs.current_user().unwrap().certificate_pem() {
                let certificate = |pem: &[u8]| Certificate::from_pem(pem).unwrap().remove(0);
                let (our_ca, their_ca) = (&authority.certificate, golden.certificate("ca"));
                let our = certificate(&ours.current_user().unwrap().certificate_pem().unwrap());
                let their = certificate(&pem);
                assert_eq!(shape(&our, our_ca), shape(&their, &their_ca), "{name}");
                assert_same_times(&our, &their, &name);
                assert_eq!(our.not_before, our_ca.not_before, "{name}");
            } else {
                // The golden host has been through kubelet-finalize.
                assert!(ours.use_client_file(KUBELET_CLIENT_FILE));
            }
            let our_text = ours.render().unwrap();
            assert_eq!(masked(&our_text), masked(&their_text), "{name}");

            // What kubeadm wrote is kept as it is.
            let kept = kubeconfig::check(
                file.name,
                &their_text,
                &golden.certificate("ca"),
                golden.start() + Duration::hours(1),
            );
            assert_eq!(kept.unwrap(), [""; 0], "{name}");
        }
    }
}

/// The text with embedded data left out.
fn masked(content: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(content).unwrap();
    text.lines()
        .map(|line| match line.split_once("-data: ") {
            Some((key, _)) => format!("{key}-data: {}", mask("<data>")),
            None => line.to_owned(),
        })
        .collect()
}

#[test]
fn openssl_accepts_every_chain_and_agrees_on_the_hash() {
    let golden = &GOLDENS[1];
    if directory().is_none() {
        return;
    }
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: no openssl here");
        return;
    }
    for golden in &GOLDENS {
        let outcome = golden.pki();
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("etcd")).unwrap();
        for file in &outcome.files {
            std::fs::write(directory.path().join(&file.name), &file.content).unwrap();
        }
        for spec in pki::CERTIFICATES {
            let (crt, key) = (format!("{}.crt", spec.base), format!("{}.key", spec.base));
            let ca = format!("{}.crt", spec.authority.base());
            let purposes: &[&str] = match spec.kind {
                Kind::Authority { .. } => &["any"],
                Kind::Leaf { usage: pki::Usage::Server, .. } => &["sslserver"],
                Kind::Leaf { usage: pki::Usage::Client, .. } => &["sslclient"],
                Kind::Leaf { .. } => &["sslserver", "sslclient"],
            };
            for purpose in purposes {
                openssl(
                    directory.path(),
                    &["verify", "-no_check_time", "-purpose", purpose, "-CAfile", &ca, &crt],
                );
            }
            openssl(directory.path(), &["rsa", "-check", "-noout", "-in", &key]);
        }
        openssl(directory.path(), &["pkey", "-pubin", "-in", "sa.pub", "-noout"]);
    }

    let theirs = golden.certificate("ca");
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ca.crt"), theirs.pem()).unwrap();
    let pem = openssl(directory.path(), &["x509", "-pubkey", "-noout", "-in", "ca.crt"]);
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let expected = hex(digest(&SHA256, &STANDARD.decode(body).unwrap()).as_ref());
    assert_eq!(theirs.public_key_hash(), format!("sha256:{expected}"));
}

fn openssl(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl").current_dir(directory).args(arguments).output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

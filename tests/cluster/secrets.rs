//! Secrets where they must not be: in argument lists, environments, and what fleetadm prints.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::lab::{HOSTS, Lab, lab_script};

/// While this file is there, a host is sampled.
const FLAG: &str = "/tmp/sampled";

/// What looks like a secret in a text: bootstrap tokens, private keys, keys in base64.
pub fn found_in(text: &str) -> Vec<String> {
    let mut found: Vec<String> = text.lines().filter_map(secret_in).collect();
    found.sort();
    found.dedup();
    found
}

/// Fails if there is any.
pub fn expect_none_in(text: &str) {
    let found = found_in(text);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn secret_in(line: &str) -> Option<String> {
    if line.contains("PRIVATE KEY") {
        return Some(format!("a private key in {line:?}"));
    }
    // `-----BEGIN` in base64, unless ` CERTIFICATE` follows; and how an RSA key of 2048 bits begins.
    let pem = line.split("LS0tLS1CRUdJTi").skip(1).any(|rest| !rest.starts_with("BDRVJUSUZJQ0FUR"));
    if pem || line.contains("IBAAKCAQEA") {
        return Some(format!("a key in base64 in {line:?}"));
    }
    let bytes = line.as_bytes();
    let is = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let is_token = |dot: usize| {
        (1..=6).all(|back| is(dot.checked_sub(back)))
            && !is(dot.checked_sub(7))
            && (1..=16).all(|forth| is(Some(dot + forth)))
            && !is(Some(dot + 17))
    };
    let dots = (0..bytes.len()).filter(|at| bytes[*at] == b'.');
    dots.into_iter().any(is_token).then(|| format!("a bootstrap token in {line:?}"))
}

/// Collects the argument lists and environments of processes: of all on every host, of fleetadm itself here.
pub struct Sampler {
    hosts: Vec<(&'static str, Child, JoinHandle<String>)>,
    own: JoinHandle<String>,
    over: Arc<AtomicBool>,
}

impl Sampler {
    /// Begin, about three times a second.
    pub fn start(lab: &Lab, fleetadm: u32) -> Self {
        let script = format!(
            "while [ -e {FLAG} ]; do for f in /proc/[0-9]*/cmdline /proc/[0-9]*/environ; do \
             tr '\\000' ' ' <$f; echo; done 2>/dev/null; sleep 0.3; done"
        );
        let hosts = HOSTS.map(|host| {
            lab.sh(host, &format!("touch {FLAG}"));
            let mut child = Command::new(lab_script())
                .args(["exec", host, "sh", "-c", &script])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut output = child.stdout.take().unwrap();
            let reader = std::thread::spawn(move || {
                let mut bytes = Vec::new();
                output.read_to_end(&mut bytes).unwrap();
                String::from_utf8_lossy(&bytes).into_owned()
            });
            (host, child, reader)
        });
        let over = Arc::new(AtomicBool::new(false));
        let end = over.clone();
        let own = std::thread::spawn(move || {
            let mut text = String::new();
            while !end.load(Ordering::Relaxed) {
                for name in ["cmdline", "environ"] {
                    let bytes = std::fs::read(format!("/proc/{fleetadm}/{name}"));
                    text.push_str(&String::from_utf8_lossy(&bytes.unwrap_or_default()));
                    text.push('\n');
                }
                std::thread::sleep(Duration::from_millis(300));
            }
            text.replace('\0', " ")
        });
        Self { hosts: hosts.into(), own, over }
    }

    /// End, and fail if a secret was seen.
    pub fn expect_no_secret(self, lab: &Lab) {
        self.over.store(true, Ordering::Relaxed);
        let own = self.own.join().unwrap();
        // The samples must have caught what they are there to watch.
        assert!(own.contains("fleetadm"), "fleetadm was not sampled");
        expect_none_in(&own);
        for (host, mut child, reader) in self.hosts {
            lab.sh(host, &format!("rm -f {FLAG}"));
            child.wait().unwrap();
            let text = reader.join().unwrap();
            assert!(text.contains("payload"), "{host}: fleetadm was not seen at work");
            assert!(text.contains("/usr/bin/kubelet"), "{host}: no kubelet was seen");
            expect_none_in(&text);
        }
    }
}

#[test]
fn secrets_are_seen() {
    assert_eq!(found_in("kubeadm join --token abcdef.0123456789abcdef 10.0.0.1:6443").len(), 1);
    assert_eq!(found_in("-----BEGIN RSA PRIVATE KEY-----").len(), 1);
    assert_eq!(found_in("client-key-data: LS0tLS1CRUdJTiBSU0EgUFJJVkFUR").len(), 1);
    assert_eq!(found_in("client-certificate-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t").len(), 0);
    assert_eq!(found_in("MIIEowIBAAKCAQEAxJ").len(), 1);
    assert_eq!(
        found_in("abcdefg.0123456789abcdef /k8s.gcr.io/pause:3.2 n1.kubernetes.local").len(),
        0
    );
}

//! Files after a fault: each is the old one or the new one, never a part of one.

use std::path::Path;

use super::super::high_availability::CONTROL_PLANES;
use super::super::lab::Lab;

/// What fleetadm writes, each file's name and content with a NUL behind it, which neither can have in it.
const READ: &str = r#"find /etc/kubernetes /var/lib/kubelet/config.yaml /var/lib/kubelet/kubeadm-flags.env \
    /var/lib/kubelet/instance-config.yaml /etc/systemd/system/kubelet.service* /etc/modules-load.d /etc/sysctl.d \
    -xdev -type f -not -name '.fleetadm-*' -not -name ballast \
    -exec sh -c 'for file; do printf "%s\0" "$file" && cat "$file" && printf "\0"; done' files '{}' + 2>/dev/null || true"#;

/// Fails where a file is not whole.
pub fn are_whole(lab: &Lab) {
    for host in CONTROL_PLANES {
        let read = lab.sh(host, READ);
        let parts: Vec<&str> = read.split_terminator('\0').collect();
        for file in parts.chunks(2) {
            let [path, text] = file else { panic!("{host}: {file:?}") };
            if let Err(problem) = is_whole(Path::new(path), text) {
                panic!("{host}: {path}: {problem}:\n{} bytes", text.len());
            }
        }
    }
}

/// Whether a file of this name can be such a text.
fn is_whole(path: &Path, text: &str) -> Result<(), &'static str> {
    if !text.ends_with('\n') {
        return Err("its last line has no end");
    }
    match path.extension().and_then(|it| it.to_str()) {
        Some("crt" | "key" | "pub") => {
            let mut open = None;
            for line in text.lines() {
                match (open, line.strip_prefix("-----BEGIN "), line.strip_prefix("-----END ")) {
                    (None, Some(kind), None) => open = Some(kind),
                    (Some(kind), None, Some(end)) if kind == end => open = None,
                    (Some(_), None, None) => {}
                    _ => return Err("it is no PEM"),
                }
            }
            if open.is_some() { Err("its PEM has no end") } else { Ok(()) }
        }
        // One field, with nothing about what it is.
        Some("yaml") if path.ends_with("instance-config.yaml") => {
            yaml(text, &["containerRuntimeEndpoint"])
        }
        Some("yaml") => yaml(text, &["kind", "apiVersion"]),
        Some("conf") if path.starts_with("/etc/kubernetes") => yaml(text, &["kind", "apiVersion"]),
        _ => Ok(()),
    }
}

fn yaml(text: &str, fields: &[&str]) -> Result<(), &'static str> {
    let value: serde_json::Value = serde_saphyr::from_str(text).map_err(|_| "it is no YAML")?;
    // A document that was cut off between two of its fields.
    let has_all = fields.iter().all(|field| value.get(field).is_some());
    if has_all { Ok(()) } else { Err("it says not what it is") }
}

#[test]
fn what_was_cut_off_is_seen() {
    let whole = |path: &str, text: &str| is_whole(Path::new(path), text).is_ok();
    let key = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
    assert!(whole("/etc/kubernetes/pki/ca.key", key));
    let config = "apiVersion: v1\nkind: Config\nusers:\n- name: x\n";
    assert!(whole("/etc/kubernetes/admin.conf", config));
    let instance = "containerRuntimeEndpoint: \"unix:///run/containerd/containerd.sock\"\n";
    assert!(whole("/var/lib/kubelet/instance-config.yaml", instance));
    for (path, text) in [
        ("/etc/kubernetes/pki/ca.key", key),
        ("/etc/kubernetes/admin.conf", config),
        ("/var/lib/kubelet/instance-config.yaml", instance),
    ] {
        for end in [0, 10, 15, text.len() - 1] {
            assert!(!whole(path, &text[..end]), "{path} {end}");
        }
    }
}

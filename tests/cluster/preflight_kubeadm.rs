//! kubeadm's checks against the real kubeadm: the same names and severities, on the same host in the same states.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use crate::lab::{CONTROL_PLANE, Lab, lab_script, step};
use crate::runner::fleetadm;

/// What is found, by check: `warning` or `error`.
type Verdict = BTreeMap<String, String>;

/// A state of the host: its name, how it comes about, and how it ends.
const STATES: &[(&str, &str, &str)] = &[
    ("clean", "true", "true"),
    (
        "the kubelet's port is taken",
        "systemd-run --quiet --collect --unit=occupier socat TCP-LISTEN:10250,fork /dev/null
         until ss -ltn | grep -q :10250; do sleep 0.1; done",
        "systemctl stop occupier",
    ),
    ("data of etcd", "mkdir -p /var/lib/etcd && touch /var/lib/etcd/member", "rm -r /var/lib/etcd"),
    ("an empty directory for etcd", "mkdir -p /var/lib/etcd", "rmdir /var/lib/etcd"),
    (
        "a manifest",
        "mkdir -p /etc/kubernetes/manifests && touch /etc/kubernetes/manifests/etcd.yaml",
        "rm -r /etc/kubernetes/manifests",
    ),
    ("no forwarding", "sysctl -qw net.ipv4.ip_forward=0", "sysctl -qw net.ipv4.ip_forward=1"),
    ("no conntrack", "mv /usr/sbin/conntrack /root/", "mv /root/conntrack /usr/sbin/"),
    ("no ethtool", "mv /usr/sbin/ethtool /root/", "mv /root/ethtool /usr/sbin/"),
    ("no crictl", "mv /root/bin/crictl /root/", "mv /root/crictl /root/bin/"),
    ("no runtime", "systemctl stop containerd", "systemctl start containerd; sleep 2"),
    ("kubelet not enabled", "systemctl -q disable kubelet", "systemctl -q enable kubelet"),
    (
        "no service",
        "systemctl -q disable kubelet; mv /etc/systemd/system/kubelet.service /root/
         systemctl daemon-reload",
        "mv /root/kubelet.service /etc/systemd/system/; systemctl daemon-reload
         systemctl -q enable kubelet",
    ),
    // The file is mounted, so it can be rewritten but not replaced.
    (
        "a name without address",
        "cp /etc/hosts /root/hosts && echo 127.0.0.1 localhost >/etc/hosts",
        "cat /root/hosts >/etc/hosts && rm /root/hosts",
    ),
    (
        "a proxy",
        "cp /etc/environment /root/ && echo https_proxy=http://proxy.example:3128 >>/etc/environment",
        "mv /root/environment /etc/",
    ),
    (
        "a proxy with exceptions",
        "cp /etc/environment /root/ && printf '%s\\n' https_proxy=http://proxy.example:3128 \
         no_proxy=10.0.0.0/8 >>/etc/environment",
        "mv /root/environment /etc/",
    ),
    ("no kubelet", "mv /usr/bin/kubelet /root/", "mv /root/kubelet /usr/bin/"),
    (
        "an old kubelet",
        "mv /usr/bin/kubelet /root/ && printf '#!/bin/sh\\necho Kubernetes v1.18.0\\n' \
         >/usr/bin/kubelet && chmod 755 /usr/bin/kubelet",
        "mv /root/kubelet /usr/bin/",
    ),
    (
        "a new kubelet",
        "mv /usr/bin/kubelet /root/ && printf '#!/bin/sh\\necho Kubernetes NEWER\\n' \
         >/usr/bin/kubelet && chmod 755 /usr/bin/kubelet",
        "mv /root/kubelet /usr/bin/",
    ),
];

/// Check, what kubeadm finds, what is found here, and why that is intended.
const INTENDED: &[(&str, Option<&str>, Option<&str>, &str)] = &[
    ("FileExisting-crictl", Some("error"), Some("warning"), "nothing here calls crictl"),
    ("FileExisting-crictl", None, Some("warning"), "the stand-in for crictl is kubeadm's alone"),
];

const UNIT: &str = "[Service]\nExecStart=/usr/bin/kubelet\n[Install]\nWantedBy=multi-user.target\n";
const CONFIGURATION: &str = "apiVersion: API\nkind: InitConfiguration\n\
    nodeRegistration:\n  criSocket: SOCKET\n---\n\
    apiVersion: API\nkind: ClusterConfiguration\nkubernetesVersion: vVERSION\n\
    networking:\n  podSubnet: 10.244.0.0/16\n";

#[test]
#[ignore = "needs the lab: tests/lab/test"]
fn verdicts_are_those_of_a_real_kubeadm() {
    let lab = Lab::with_bare(&[CONTROL_PLANE]);
    let started = Instant::now();
    let no_ignore = |line: &&str| !["ignore", "binaries"].iter().any(|key| line.starts_with(key));
    let text: Vec<&str> = lab.inventory.lines().filter(no_ignore).collect();
    let inventory = lab.write("checked.toml", &text.join("\n"));
    install(&lab);
    let mut differences = Vec::new();
    let mut seen = Vec::new();
    for (state, make, end) in STATES {
        step(started, state);
        lab.sh(CONTROL_PLANE, &make.replace("NEWER", &format!("v1.{}.0", lab.minor() + 1)));
        let verdicts = std::panic::catch_unwind(|| (theirs(&lab), ours(&inventory)));
        lab.sh(CONTROL_PLANE, end);
        let (theirs, ours) = verdicts.unwrap();
        println!("  {theirs:?}");
        for name in theirs.keys().chain(ours.keys()) {
            let (their, our) = (theirs.get(name), ours.get(name));
            let (their, our) = (their.map(String::as_str), our.map(String::as_str));
            let is_intended = |(check, theirs, ours, _): &&(&str, _, _, _)| {
                check == name && (*theirs, *ours) == (their, our)
            };
            if their != our && !INTENDED.iter().any(|known| is_intended(&known)) {
                differences.push(format!("{state}: {name}: kubeadm {their:?}, here {our:?}"));
            }
        }
        seen.push(theirs);
    }
    remove(&lab);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    // Each state but the harmless ones must have shown something that the clean host does not have.
    let same: Vec<_> = STATES.iter().zip(&seen).filter(|(_, found)| *found == &seen[0]).collect();
    let same: Vec<_> = same.iter().map(|((state, ..), _)| *state).collect();
    let mut harmless = vec!["clean", "an empty directory for etcd"];
    if lab.minor() >= 32 {
        harmless.extend(["no conntrack", "no ethtool", "no crictl"]);
    }
    harmless.push("a proxy with exceptions");
    assert_eq!(same, harmless);
}

fn install(lab: &Lab) {
    let put = |path: &str, content: &[u8], mode: &str| {
        lab.bytes(
            CONTROL_PLANE,
            &["sh", "-c", &format!("cat >{path} && chmod {mode} {path}")],
            content,
        );
    };
    for name in ["kubeadm", "kubelet"] {
        put(&format!("/usr/bin/{name}"), &fs::read(lab.binaries.join(name)).unwrap(), "755");
    }
    let crictl = lab_script().with_file_name("crictl-stand-in");
    lab.sh(CONTROL_PLANE, "mkdir /root/bin");
    put("/root/bin/crictl", &fs::read(crictl).unwrap(), "755");
    put("/etc/systemd/system/kubelet.service", UNIT.as_bytes(), "644");
    let (api, socket) = lab.kubeadm_words();
    let configuration = CONFIGURATION.replace("VERSION", &lab.version);
    let configuration = configuration.replace("API", api).replace("SOCKET", socket);
    put("/root/kubeadm.yaml", configuration.as_bytes(), "600");
    lab.sh(CONTROL_PLANE, "systemctl daemon-reload && systemctl -q enable kubelet");
}

fn remove(lab: &Lab) {
    lab.sh(
        CONTROL_PLANE,
        "systemctl -q disable kubelet
         rm /etc/systemd/system/kubelet.service /usr/bin/kubelet /usr/bin/kubeadm
         rm -rf /root/kubeadm.yaml /root/bin /etc/kubernetes
         systemctl daemon-reload",
    );
}

/// What the real kubeadm finds, in the environment that a login has.
fn theirs(lab: &Lab) -> Verdict {
    let script = "set -a; . /etc/environment; set +a
        PATH=/root/bin:$PATH timeout 60 kubeadm init phase preflight --config /root/kubeadm.yaml 2>&1 || true";
    let text = lab.sh(CONTROL_PLANE, script);
    let found = text.lines().filter_map(|line| {
        let (severity, name) = line.strip_prefix("\t[")?.split_once("]:")?.0.split_once(' ')?;
        Some((name.to_owned(), severity.to_lowercase()))
    });
    // What comes after all others, where no other found an error, is a phase of its own here.
    let found: Verdict = found.filter(|(name, _)| name != "ImagePull").collect();
    assert!(text.contains("[preflight] Running pre-flight checks"), "{text}");
    found
}

/// What is found here.
fn ours(inventory: &Path) -> Verdict {
    let run = fleetadm(inventory, &["preflight", "init", "--links=none", "--output", "json"]);
    let events = run.events();
    let is_kubeadms = |event: &&Value| event["kind"] == "check" && event["scope"] == "host";
    let checks = events.iter().filter(is_kubeadms);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let checks: Vec<_> = checks.map(|c| (text(&c["name"]), text(&c["severity"]))).collect();
    assert!(checks.len() > 20, "{}\n{}", run.stdout, run.stderr);
    checks.into_iter().filter(|(_, severity)| severity != "passed").collect()
}

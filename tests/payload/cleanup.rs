//! `reset --cleanup` as hosts run it, under every shell, in a network namespace of its own: only Kubernetes' own rules
//! and interfaces go. Needs root, as the script does.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::process::Command;
use std::sync::Arc;

use crate::payload_support::{Host, have, shells, skip};
use async_trait::async_trait;
use fleetadm::node::{
    Cleaned, Flow, Input, Leftover, Mode, Node, Output, Transport, TransportError,
};

/// A network namespace, gone when dropped.
struct Namespace(String);

impl Namespace {
    /// `None` where it cannot be made here.
    fn new() -> Option<Self> {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("fleetadm-{}-{number}", std::process::id());
        let made = Command::new("ip")
            .args(["netns", "add", &name])
            .status()
            .is_ok_and(|status| status.success());
        if !made {
            skip("network namespaces cannot be made here");
        }
        made.then(|| Self(name))
    }

    fn output(&self, script: &str) -> (bool, String) {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.0, "sh", "-c", script])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), text + &String::from_utf8_lossy(&output.stderr))
    }

    fn sh(&self, script: &str) -> String {
        let (success, text) = self.output(script);
        assert!(success, "{script}\n{text}");
        text
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// A host in a namespace.
struct Within {
    host: Host,
    namespace: String,
}

impl Within {
    fn command(&self, command: &str) -> String {
        let quoted = command.replace('\'', "'\\''");
        format!("exec ip netns exec {} sh -c '{quoted}'", self.namespace)
    }
}

#[async_trait]
impl Transport for Within {
    async fn run(&self, command: &str, input: Input) -> Result<Output, TransportError> {
        self.host.run(&self.command(command), input).await
    }

    async fn stream(
        &self,
        command: &str,
        input: Input,
        sink: &mut (dyn for<'d> FnMut(&'d [u8]) -> Flow + Send),
    ) -> Result<Output, TransportError> {
        self.host.stream(&self.command(command), input, sink).await
    }
}

async fn clean(host: &Host, namespace: &Namespace, mode: Mode, what: &[Leftover]) -> Cleaned {
    let within = Within { host: host.clone(), namespace: namespace.0.clone() };
    let node = Node::new("local", Arc::new(within), mode);
    node.clean(what, "unix:///run/none.sock").await.unwrap()
}

/// Rules as kube-proxy and CNI plug-ins make them, among rules of somebody else. Some of those look as if they were
/// Kubernetes'.
const RULES: &str = r#"set -e
$1 -t nat -N KUBE-SERVICES
$1 -t nat -N KUBE-SVC-ABC
$1 -t nat -N CNI-HOSTPORT-DNAT
$1 -t nat -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
$1 -t nat -A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
$1 -t nat -A KUBE-SERVICES -m comment --comment "it's \"quoted\"" -j KUBE-SVC-ABC
$1 -N KUBE-FORWARD
$1 -A FORWARD -g KUBE-FORWARD
$1 -A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
$1 -N MINE
$1 -N NOT-KUBE-AT-ALL
$1 -A INPUT -p tcp --dport 22 -m comment --comment "see -j KUBE-FORWARD here" -j MINE
$1 -A MINE -j NOT-KUBE-AT-ALL
$1 -t nat -A POSTROUTING -m comment --comment "kubernetes must not have this" -j MASQUERADE
"#;

#[tokio::test]
async fn only_rules_of_kubernetes_go() {
    for host in shells() {
        let Some(namespace) = Namespace::new() else { return };
        let mut tried = 0;
        for variant in ["iptables-legacy", "iptables-nft", "ip6tables-legacy", "ip6tables-nft"] {
            if !have(variant) || !namespace.output(&format!("{variant} -t nat -S")).0 {
                skip(&format!("{variant} does not work here"));
                continue;
            }
            tried += 1;
            let (_, foreign) = namespace.output(&format!("{variant}-save"));
            let made = namespace.output(&format!("set -- {variant}; {RULES}"));
            assert!(made.0, "{variant}: {}", made.1);
            let before = namespace.sh(&format!("{variant}-save"));

            let planned = clean(&host, &namespace, Mode::DryRun, &[Leftover::Iptables]).await;
            assert_eq!(planned.changes.len(), 1, "{planned:?}");
            assert_eq!(rules(&before), rules(&namespace.sh(&format!("{variant}-save"))));

            let cleaned = clean(&host, &namespace, Mode::Apply, &[Leftover::Iptables]).await;
            assert_eq!(cleaned, planned);
            let what = &cleaned.changes[0].what;
            let words =
                format!("remove 4 chains KUBE-* and CNI-* of {variant} and 3 rules that led there");
            assert_eq!(*what, words, "{}", host.shell());
            let after = rules(&namespace.sh(&format!("{variant}-save")));
            let expected: Vec<String> = rules(&before)
                .into_iter()
                .filter(|rule| {
                    let ours =
                        ["KUBE-SERVICES", "KUBE-SVC", "CNI-", "-g KUBE", ":KUBE-", "-A KUBE-"];
                    !ours.iter().any(|word| rule.contains(word))
                })
                .collect();
            assert_eq!(after, expected, "{variant} under {}", host.shell());
            assert!(
                after.iter().any(|rule| rule.contains("see -j KUBE-FORWARD here")),
                "{after:?}"
            );
            assert!(after.iter().any(|rule| rule.contains(":NOT-KUBE-AT-ALL")), "{after:?}");
            assert!(after.len() > rules(&foreign).len());

            let again = clean(&host, &namespace, Mode::Apply, &[Leftover::Iptables]).await;
            assert_eq!(again, Cleaned::default());
            namespace.sh(&format!("{variant} -F && {variant} -X && {variant} -t nat -F"));
        }
        assert!(tried > 0, "no iptables works here");
    }
}

/// Chains and rules without counters and comments.
fn rules(saved: &str) -> Vec<String> {
    let lines = saved.lines().filter(|line| line.starts_with([':', '-']));
    lines.map(|line| line.split(" [").next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn nothing_to_clean_is_no_change() {
    for host in shells() {
        let Some(namespace) = Namespace::new() else { return };
        let what = [Leftover::Ipvs, Leftover::Iptables, Leftover::Ipvs];
        assert_eq!(clean(&host, &namespace, Mode::Apply, &what).await, Cleaned::default());
    }
}

/// What the tools of IPVS say on a node: services of kube-proxy, and one of somebody else.
const TOOLS: [(&str, &str); 3] = [
    (
        "ip",
        "echo '5: kube-ipvs0    inet 10.96.0.1/32 scope global kube-ipvs0'
        echo '5: kube-ipvs0    inet6 fd00::1/128 scope global'",
    ),
    (
        "ipset",
        "case $2 in
        KUBE-NODE-PORT-TCP) printf 'Type: bitmap:port\\nSize in memory: 8300\\nMembers:\\n30080\\n' ;;
        KUBE-NODE-PORT-SCTP-HASH) printf 'Members:\\n192.168.1.1,sctp:30090\\n' ;;
        *) exit 1 ;;
        esac",
    ),
    (
        "ipvsadm",
        "echo '-A -t 10.96.0.1:443 -s rr'
        echo '-a -t 10.96.0.1:443 -r 10.0.0.1:6443 -m -w 1'
        echo '-A -u [fd00::1]:53 -s rr'
        echo '-A -t 192.168.1.1:30080 -s rr'
        echo '-A --sctp-service 192.168.1.1:30090 -s rr'
        echo '-A -t 192.0.2.1:80 -s wlc'
        echo '-A -f 7 -s rr'",
    ),
];

#[test]
fn only_services_of_kube_proxy_are_chosen() {
    let templates = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/payload");
    let read = |name: &str| std::fs::read_to_string(format!("{templates}/{name}")).unwrap();
    let cleanup = read("cleanup.sh");
    let functions = cleanup.strip_suffix("main \"$@\"\n").unwrap();
    let script = format!("{}\n{functions}\nkube_services\n", read("common.sh"));
    for host in shells() {
        let tools = tempfile::tempdir().unwrap();
        for (name, body) in TOOLS {
            let path = tools.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&path, mode).unwrap();
        }
        let path = format!("{}:{}", tools.path().display(), host.path_variable());
        let output = Command::new("sh").args(["-c", &script]).env("PATH", path).output().unwrap();
        let chosen = String::from_utf8(output.stdout).unwrap();
        insta::allow_duplicates! {
            insta::assert_snapshot!(chosen, @r"
            -t 10.96.0.1:443
            -u [fd00::1]:53
            -t 192.168.1.1:30080
            --sctp-service 192.168.1.1:30090
            ");
        }
    }
}

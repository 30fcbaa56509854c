//! Hosts that leave a cluster that lives on: what is refused leaves everything as it was, and what is done leaves
//! neither pods nor traces of Kubernetes behind, and everybody else's things alone.

use std::time::Instant;

use super::lab::{CONTROL_PLANE, HOSTS, Lab, WORKERS, step};
use super::runner::fleetadm;
use super::under_faults::finish;
use super::{lifecycle, listing, nodes, workload};

/// The worker that leaves.
const LEAVER: &str = WORKERS[1];

const EVERYTHING: &str = "cni,iptables,ipvs,images,kubelet";

#[test]
#[ignore = "needs the lab: run tests/lab/test"]
fn hosts_leave_a_living_cluster() {
    let lab = Lab::with_bare(&HOSTS);
    let started = Instant::now();
    let before = listing::of_all(&lab);
    listing::expect_no_cluster(&before);
    step(started, "apply");
    finish(&lab);
    nodes::wait_ready(&lab);
    workload::runs(&lab);

    step(started, "the last control plane");
    let run = fleetadm(&lab.usual(), &["reset", "--yes", "--limit", CONTROL_PLANE]).expect(3);
    let why = "it is the last control plane of a cluster in which n2 and n3 stay";
    run.expect_failure(CONTROL_PLANE, &["reset/preflight", why]);
    assert_eq!(run.changes(), 0);

    step(started, "a budget that does not allow it");
    let budget = ["poddisruptionbudget", "web"];
    let of_web = ["--selector=app=web", "--min-available=2"];
    lab.kubectl(&[&["create"], &budget[..], &of_web].concat());
    let limited = ["reset", "--force", "--limit", LEAVER, "--drain-timeout", "8s"];
    let run = fleetadm(&lab.usual(), &limited).expect(3);
    run.expect_failure(LEAVER, &["reset/drain", "default/web-", "disruption budget"]);
    expect_untouched(&lab);

    step(started, "a pod that nothing makes anew");
    lab.kubectl(&["run", "bare", "--image=fleetadm-test/web:1", "--overrides", &bare()]);
    let leave = ["reset", "--yes", "--limit", LEAVER];
    let run = fleetadm(&lab.usual(), &leave).expect(3);
    run.expect_failure(LEAVER, &["reset/drain", "default/bare", "--force"]);
    expect_untouched(&lab);
    lab.kubectl(&["delete", "pod", "bare", "--grace-period=1"]);

    step(started, "a mount that is not Kubernetes'");
    let place = "/var/lib/kubelet/mine";
    lab.sh(LEAVER, &format!("mkdir {place} && mount -t tmpfs none {place} && touch {place}/file"));
    let run = fleetadm(&lab.usual(), &leave).expect(3);
    run.expect_failure(LEAVER, &["reset/preflight", place]);
    assert_eq!(run.changes(), 0);
    expect_untouched(&lab);
    lab.sh(LEAVER, &format!("test -e {place}/file && umount {place} && rmdir {place}"));

    step(started, "leaving, with everything that kubeadm would leave");
    lab.kubectl(&[&["delete"], &budget[..]].concat());
    lab.sh(LEAVER, FOREIGN);
    let cleanup = [&leave[..], &["--cleanup", EVERYTHING, "-v"]].concat();
    let run = fleetadm(&lab.usual(), &cleanup).expect(0);
    for what in ["cordon Node", "evict Pod default/web-", "delete Node", "chains KUBE-* and CNI-*"]
    {
        assert!(run.stderr.contains(what), "{what} in:\n{}", run.stderr);
    }
    let left = lab.kubectl(&["get", "nodes", "--no-headers"]);
    assert!(!left.contains(LEAVER) && left.lines().count() == 2, "{left}");
    lab.sh(LEAVER, NOTHING_BUT_FOREIGN);

    step(started, "a second time, and a Node of no host");
    // Its kubelet is not installed any more, and nothing is there to be stopped.
    assert_eq!(fleetadm(&lab.usual(), &cleanup).expect(0).changes(), 0);
    // On the control plane, where kubectl runs.
    lab.sh(CONTROL_PLANE, &format!("echo '{GHOST}' >/tmp/ghost.json"));
    lab.kubectl(&["create", "-f", "/tmp/ghost.json"]);
    lab.sh(CONTROL_PLANE, "rm /tmp/ghost.json");
    let run = fleetadm(&lab.usual(), &leave).expect(0);
    assert!(run.stderr.contains("Node ghost is of no host"), "{}", run.stderr);
    let run = fleetadm(&lab.usual(), &["reset", "phase", "prune", "--yes"]).expect(0);
    assert_eq!(run.changes(), 1, "{}", run.stderr);
    assert!(!lab.kubectl(&["get", "nodes"]).contains("ghost"));

    step(started, "back again, and bare, though pods were being made");
    lab.sh(LEAVER, FOREIGN_GONE);
    finish(&lab);
    nodes::wait_ready(&lab);
    lab.sh(LEAVER, PODS_COME);
    lifecycle::reset(&lab);
    listing::expect_bare(&before, &listing::of_all(&lab));
    step(started, "done");
}

/// Its Node takes pods, its kubelet runs, and nothing was changed on it.
fn expect_untouched(lab: &Lab) {
    let node = lab.get(&["node", LEAVER]);
    assert_ne!(node["spec"]["unschedulable"], true, "{node:#}");
    lab.sh(LEAVER, "systemctl is-active kubelet && test -f /etc/kubernetes/kubelet.conf");
}

fn bare() -> String {
    format!(
        r#"{{"spec": {{"nodeName": "{LEAVER}", "containers": [{{"name": "bare", "image": "fleetadm-test/web:1", "imagePullPolicy": "Never"}}]}}}}"#
    )
}

const GHOST: &str = r#"{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "ghost"}}"#;

/// Static pods, one after the other, for as long as there is a kubelet to make them.
const PODS_COME: &str = r#"systemd-run --quiet --collect sh -c '
for pod in $(seq 20); do
    systemctl is-active --quiet kubelet || break
    printf "apiVersion: v1\nkind: Pod\nmetadata: {name: p$pod}\nspec:\n  containers:\n  - {name: c, image: \"fleetadm-test/web:1\", imagePullPolicy: Never}\n" \
        >/etc/kubernetes/manifests/p$pod.yaml
    sleep 0.2
done'"#;

/// Rules, a chain, an interface, a file and a container's shim of somebody else; and a shim of Kubernetes' that containerd
/// has forgotten, with what it runs.
const FOREIGN: &str = r#"set -e
iptables -N MINE
iptables -A INPUT -p tcp --dport 9999 -m comment --comment 'not -j KUBE-FORWARD' -j MINE
iptables-legacy -t nat -A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE
ip link add mine0 type bridge
ip link add cni0 type bridge
touch /etc/cni/net.d/87-podman-bridge.conflist
for namespace in moby k8s.io; do
    setsid bash -c 'exec -a /usr/bin/containerd-shim-runc-v2 bash -c "sleep 1234 & wait" \
        -namespace "$0" -id x -address /run/containerd/containerd.sock' "$namespace" </dev/null >/dev/null 2>&1 &
done"#;

/// In `set -e`, what is behind a `!` never fails.
const NOTHING_BUT_FOREIGN: &str = "set -e
gone() { if \"$@\" >/dev/null 2>&1; then echo \"left: $*\" >&2; exit 1; fi; }
iptables -S | grep -q 'A INPUT.*-j MINE'
iptables-legacy -t nat -S | grep -q 192.0.2.0/24
ip link show mine0
test -e /etc/cni/net.d/87-podman-bridge.conflist
gone ip link show cni0
{ iptables-save; iptables-legacy-save; ip6tables-save; } >/tmp/rules 2>/dev/null
test -s /tmp/rules
gone grep -E '^:(KUBE|CNI)-|-j (KUBE|CNI)-[A-Z]+$' /tmp/rules
rm /tmp/rules
gone test -e /usr/bin/kubelet
gone test -e /var/lib/kubelet
gone test -e /etc/systemd/system/kubelet.service
gone systemctl cat kubelet
pgrep -f 'shim.*-namespace moby'
gone pgrep -f 'shim.*-namespace k8s.io'
test \"$(pgrep -c -x -f 'sleep 1234')\" = 1
test -z \"$(ctr -n k8s.io images ls | grep -v -e ^REF -e pinned=pinned)\"";

const FOREIGN_GONE: &str = "set -e
iptables -F INPUT && iptables -X MINE
iptables-legacy -t nat -F POSTROUTING
ip link delete mine0
rm /etc/cni/net.d/87-podman-bridge.conflist
pkill -f 'shim.*-namespace moby'
pkill -x -f 'sleep 1234'";

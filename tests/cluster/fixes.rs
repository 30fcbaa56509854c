//! `preflight --fix` on real hosts: it shows before it does, does only what is missing, and what it shows undoes it.

use std::time::Instant;

use serde_json::Value;

use crate::lab::{CONTROL_PLANE, Lab, step};
use crate::runner::{Finished, fleetadm};

const DAMAGE: &str =
    "cat /proc/sys/net/ipv4/ip_forward >/root/forward; echo 0 >/proc/sys/net/ipv4/ip_forward
    systemctl disable containerd 2>/dev/null";
const STATE: &str = "echo $(cat /proc/sys/net/ipv4/ip_forward) $(systemctl is-enabled containerd) \
    $(cat /etc/sysctl.d/90-fleetadm.conf 2>/dev/null) $(ls -A /run/fleetadm 2>/dev/null)";
const REPAIR: &str = "cat /root/forward >/proc/sys/net/ipv4/ip_forward; rm -f /root/forward
    systemctl enable containerd 2>/dev/null; rm -f /etc/sysctl.d/90-fleetadm.conf";

fn changes(run: &Finished, host: &str) -> Vec<Value> {
    let is_one = |event: &Value| event["kind"] == "changed" && event["host"] == host;
    run.events().into_iter().filter(is_one).collect()
}

/// The worst that a check said about a host; the checks were made after the remedies.
fn severity(run: &Finished, host: &str, name: &str) -> String {
    let events = run.events();
    let found = events
        .iter()
        .find(|event| event["kind"] == "check" && event["host"] == host && event["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} of {host}"))["severity"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs the lab: tests/lab/test"]
fn safe_remedies_are_shown_applied_once_and_undone() {
    // Releases since 1.27 look at a worker's forwarding only where the endpoint is an address.
    let host = CONTROL_PLANE;
    let lab = Lab::with_bare(&[host]);
    let (started, inventory) = (Instant::now(), lab.usual());
    let preflight = |more: &[&str]| {
        let mut arguments = vec!["preflight", "--links=none", "--limit", host, "--output", "json"];
        arguments.extend(more);
        fleetadm(&inventory, &arguments)
    };
    let forwarding = "FileContent--proc-sys-net-ipv4-ip_forward";
    lab.sh(host, DAMAGE);

    step(started, "shown");
    let before = lab.sh(host, STATE);
    assert_eq!(before.trim(), "0 disabled");
    let shown = preflight(&["--fix", "--dry-run"]);
    let planned = changes(&shown, host);
    assert_eq!(planned.len(), 2, "{planned:?}");
    assert!(planned.iter().all(|change| change["dry_run"] == true));
    assert_eq!(lab.sh(host, STATE), before, "a dry run changes nothing");
    assert_eq!(severity(&shown, host, forwarding), "error");

    step(started, "applied");
    let applied = preflight(&["--fix"]);
    let done = changes(&applied, host);
    assert_eq!(done.len(), 2, "{done:?}");
    let after = lab.sh(host, STATE);
    assert_eq!(after.trim(), "1 enabled net.ipv4.ip_forward = 1");
    assert_eq!(severity(&applied, host, forwarding), "passed");
    assert_eq!(severity(&applied, host, "BootServices"), "passed");

    step(started, "applied again");
    assert_eq!(changes(&preflight(&["--fix"]), host), Vec::<Value>::new());
    assert_eq!(lab.sh(host, STATE), after);

    step(started, "undone by what was shown");
    for change in &done {
        let undo = change["detail"].as_str().unwrap().strip_prefix("undo: ").unwrap();
        lab.sh(host, undo);
    }
    assert_eq!(lab.sh(host, STATE).trim(), "0 disabled");
    lab.sh(host, REPAIR);
}

//! A second apply changes nothing: not on hosts, not in the API.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::lab::{HOSTS, Lab};
use super::runner::fleetadm;

/// Every file that a run could touch, with its times: even one replaced by its like is seen. What the kubelet keeps
/// its own state in is left out, and the directory in memory in which files are prepared to be compared; so are the
/// directories under /usr, where the kubelet makes one for its plugins when it gets to it.
const FILES: &str = "LC_ALL=C; export LC_ALL
{ find /etc /opt /root -not -path /etc/resolv.conf -printf '%T@ %C@ %i %m %p\\n'
  find /usr -not -type d -printf '%T@ %C@ %i %m %p\\n'
  find /run/fleetadm -mindepth 1 -printf '%T@ %C@ %i %m %p\\n'
  find /var/lib/kubelet -maxdepth 1 -type f -not -name 'cpu_manager_state' -not -name 'memory_manager_state' \
    -printf '%T@ %C@ %i %m %p\\n'
  find /var/lib/kubelet/pki -printf '%T@ %C@ %i %m %p\\n'
  systemctl show kubelet containerd --property=MainPID,ActiveEnterTimestamp,UnitFileState
} | sort";

/// Run it, and look.
pub fn changes_nothing(lab: &Lab, inventory: &Path) {
    let before = state(lab);
    let run = fleetadm(inventory, &["apply"]).expect(0);
    assert_eq!(run.changes(), 0, "{}", run.stderr);
    for host in HOSTS {
        run.expect_ok(host);
    }
    let after = state(lab);
    for (place, was) in &before {
        let is = &after[place];
        let (was, is): (BTreeSet<_>, BTreeSet<_>) = (was.lines().collect(), is.lines().collect());
        let changed: Vec<_> = was.symmetric_difference(&is).copied().collect();
        assert!(changed.is_empty(), "{place} changed:\n{}", changed.join("\n"));
    }
}

/// Files of every host, and versions of objects, by where they are.
fn state(lab: &Lab) -> BTreeMap<String, String> {
    let mut all: BTreeMap<_, _> = HOSTS
        .map(|host| {
            let files = lab.sh(host, FILES);
            for path in
                ["/usr/bin/kubelet", "/var/lib/kubelet/config.yaml", "/etc/kubernetes/pki/ca.crt"]
            {
                assert!(files.contains(path), "{host}: no {path}");
            }
            (host.to_owned(), files)
        })
        .into();
    // Versions of what only apply writes; of objects with a status, the generation of what is wanted.
    for (kinds, field) in [
        ("configmaps,secrets,serviceaccounts,roles,rolebindings,services", "resourceVersion"),
        ("clusterroles,clusterrolebindings", "resourceVersion"),
        ("daemonsets,deployments", "generation"),
    ] {
        let list = lab.get(&[kinds, "--all-namespaces"]);
        let line = |item: &Value| {
            let meta = &item["metadata"];
            format!("{} {}/{} {}", item["kind"], meta["namespace"], meta["name"], meta[field])
        };
        let items = list["items"].as_array().unwrap();
        let lines: Vec<_> = items.iter().map(line).collect();
        assert!(lines.len() >= 3, "{lines:?}");
        all.insert(kinds.to_owned(), lines.join("\n"));
    }
    all
}

//! Runs that must touch nothing: with an inventory that is wrong, and with `--dry-run`.

use std::collections::BTreeMap;
use std::net::TcpListener;

use super::lab::{CONTROL_PLANE, HOSTS, Lab};
use super::listing::{self, Listing};
use super::runner::fleetadm;

/// Exit status 2, the line that is wrong, and nobody connected to.
pub fn a_wrong_inventory_contacts_nobody(lab: &Lab) {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let document = |role: &str| {
        format!(
            "[cluster]\nkubernetes_version = \"{}\"\n[[hosts]]\nname = \"a\"\naddress = \"127.0.0.1\"\n\
             role = \"control-plane\"\nssh = {{ port = {port} }}\n[[hosts]]\nname = \"b\"\n\
             address = \"127.0.0.2\"\n{role}\nssh = {{ port = {port} }}\n",
            lab.version
        )
    };
    let wrong = lab.write("wrong.toml", &document("rolle = \"worker\""));
    let run = fleetadm(&wrong, &["apply"]).expect(2);
    assert!(run.stderr.contains("rolle") && run.stderr.contains("role"), "{}", run.stderr);
    assert!(listener.accept().is_err(), "somebody was connected to");

    // The same hosts are contacted with an inventory that is right: the listener can see it.
    let right = lab.write("right.toml", &document("role = \"worker\""));
    let seen = std::thread::spawn(move || {
        listener.set_nonblocking(false).unwrap();
        // Dropped at once: a server that hangs up.
        listener.accept().is_ok() && listener.accept().is_ok()
    });
    fleetadm(&right, &["preflight"]).expect(4);
    assert!(seen.join().unwrap());
}

/// Every file with its diff is printed, and hosts stay as they are.
pub fn a_dry_run_touches_nothing(lab: &Lab, before: &BTreeMap<&'static str, Listing>) {
    let run = fleetadm(&lab.usual(), &["apply", "--dry-run"]).expect(0);
    for host in HOSTS {
        run.expect_ok(host);
    }
    let printed = |host: &str, words: &str| {
        assert!(
            run.about(host).iter().any(|line| line.contains(words)),
            "no {words:?} about {host}"
        );
    };
    printed(CONTROL_PLANE, "would create /etc/kubernetes/manifests/kube-apiserver.yaml");
    printed(CONTROL_PLANE, "would create /etc/kubernetes/pki/ca.key");
    printed(CONTROL_PLANE, "would create ConfigMap kube-system/kubeadm-config");
    for host in HOSTS {
        printed(host, "would create /var/lib/kubelet/config.yaml");
        printed(host, "would create /etc/systemd/system/kubelet.service");
        printed(host, "would start service kubelet");
    }
    // Lines of the diffs of a public file, in a manifest and in a kubelet's configuration.
    for line in ["+    - --secure-port=6443", "+cgroupDriver: systemd"] {
        let there = run.stderr.lines().any(|printed| printed.trim() == line.trim());
        assert!(there, "no {line:?} in:\n{}", run.stderr);
    }
    super::secrets::expect_none_in(&run.stderr);
    listing::expect_untouched(before, &listing::of_all(lab));
}

//! Preflight over real hosts: none of its checks finds anything on healthy ones, and each finds what is wrong, on the
//! hosts that have it and on no other.

use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use crate::lab::{HOSTS, Lab, step};
use crate::runner::{Finished, fleetadm};

/// Something wrong with hosts, and who is told so.
struct Case {
    check: &'static str,
    severity: &'static str,
    /// Host by host what is done to it.
    damage: &'static [(&'static str, &'static str)],
    repair: &'static [(&'static str, &'static str)],
    /// Who fails the check; every other host passes it.
    told: &'static [&'static str],
    /// Words of the message.
    words: &'static [&'static str],
}

/// A program ahead of the real one, that says something else.
macro_rules! instead {
    ($program:literal, $script:literal) => {
        concat!(
            "cat >/usr/local/sbin/",
            $program,
            " <<'X'\n#!/bin/sh\n",
            $script,
            "\nX\n",
            "chmod 755 /usr/local/sbin/",
            $program
        )
    };
}

macro_rules! no_more {
    ($program:literal) => {
        concat!("rm -f /usr/local/sbin/", $program)
    };
}

/// A mainboard and a network card, the same for whoever is given them, and no container.
const SAME_MACHINE: &str = concat!(
    "mount -t tmpfs none /sys/class; mkdir -p /sys/class/dmi/id /sys/class/net/eth0; \
     echo 4c4c4544-0000-0000-0000-000000000007 >/sys/class/dmi/id/product_uuid; cd /sys/class/net/eth0; \
     echo 02:00:00:00:00:07 >address; echo 1500 >mtu; echo up >operstate\n",
    instead!("systemd-detect-virt", "echo kvm")
);
const OWN_MACHINE: &str = concat!("umount /sys/class; ", no_more!("systemd-detect-virt"));

const DROP_TABLE: &str = "nft delete table inet damage";

const CASES: &[Case] = &[
    Case {
        check: "UniqueHostname",
        severity: "error",
        damage: &[("n3", "hostname n2")],
        repair: &[("n3", "hostname n3")],
        told: &["n2", "n3"],
        words: &["n2"],
    },
    Case {
        check: "UniqueMachineID",
        severity: "error",
        damage: &[
            (
                "n2",
                "cp /etc/machine-id /root/machine-id; echo 0123456789abcdef0123456789abcdef >/etc/machine-id",
            ),
            (
                "n3",
                "cp /etc/machine-id /root/machine-id; echo 0123456789abcdef0123456789abcdef >/etc/machine-id",
            ),
        ],
        repair: &[
            ("n2", "cat /root/machine-id >/etc/machine-id; rm /root/machine-id"),
            ("n3", "cat /root/machine-id >/etc/machine-id; rm /root/machine-id"),
        ],
        told: &["n2", "n3"],
        words: &["0123456789abcdef0123456789abcdef"],
    },
    Case {
        check: "UniqueMAC",
        severity: "error",
        damage: &[("n2", SAME_MACHINE), ("n3", SAME_MACHINE)],
        repair: &[("n2", OWN_MACHINE), ("n3", OWN_MACHINE)],
        told: &["n2", "n3"],
        words: &["02:00:00:00:00:07"],
    },
    Case {
        check: "UniqueProductUUID",
        severity: "error",
        damage: &[("n2", SAME_MACHINE), ("n3", SAME_MACHINE)],
        repair: &[("n2", OWN_MACHINE), ("n3", OWN_MACHINE)],
        told: &["n2", "n3"],
        words: &["4c4c4544-0000-0000-0000-000000000007"],
    },
    Case {
        check: "UniqueHostKeys",
        severity: "warning",
        // What sshd shows is its private key's; this is what a cloned image would have in its files.
        damage: &[
            (
                "n1",
                "cp /etc/ssh/ssh_host_ed25519_key.pub /root/key.pub; echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEjVH8Qj+M03r5Sf5KI9tcBE9rBIZwVS4NiYtbFjU1wh' >/etc/ssh/ssh_host_ed25519_key.pub",
            ),
            (
                "n2",
                "cp /etc/ssh/ssh_host_ed25519_key.pub /root/key.pub; echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEjVH8Qj+M03r5Sf5KI9tcBE9rBIZwVS4NiYtbFjU1wh' >/etc/ssh/ssh_host_ed25519_key.pub",
            ),
        ],
        repair: &[
            ("n1", "cat /root/key.pub >/etc/ssh/ssh_host_ed25519_key.pub; rm /root/key.pub"),
            ("n2", "cat /root/key.pub >/etc/ssh/ssh_host_ed25519_key.pub; rm /root/key.pub"),
        ],
        told: &["n1", "n2"],
        words: &["SHA256:"],
    },
    Case {
        check: "ClockSkew",
        severity: "error",
        damage: &[("n2", instead!("date", "exec /usr/bin/date -d '+2 minutes' \"$@\""))],
        repair: &[("n2", no_more!("date"))],
        told: &["n2"],
        words: &["ahead"],
    },
    Case {
        check: "TimeSync",
        severity: "warning",
        // In a container nothing needs to keep the time, so this one says that it is none.
        damage: &[("n3", instead!("systemd-detect-virt", "echo kvm"))],
        repair: &[("n3", no_more!("systemd-detect-virt"))],
        told: &["n3"],
        words: &[],
    },
    Case {
        check: "NameResolution",
        severity: "warning",
        damage: &[(
            "n3",
            "cp /etc/hosts /root/hosts; echo '192.0.2.77 n2' >/etc/hosts; grep -v ' n2$' /root/hosts >>/etc/hosts",
        )],
        repair: &[("n3", "cat /root/hosts >/etc/hosts; rm /root/hosts")],
        told: &["n3"],
        words: &["n2", "192.0.2.77"],
    },
    Case {
        check: "ResolverLoop",
        severity: "error",
        damage: &[(
            "n2",
            "cp /etc/resolv.conf /root/resolv.conf; echo 'nameserver 127.0.0.53' >/etc/resolv.conf",
        )],
        repair: &[("n2", "cat /root/resolv.conf >/etc/resolv.conf; rm /root/resolv.conf")],
        told: &["n2"],
        words: &["127.0.0.53"],
    },
    Case {
        check: "Reachability",
        severity: "error",
        damage: &[(
            "n1",
            "nft 'add table inet damage; add chain inet damage in { type filter hook input priority 0; }; add rule inet damage in tcp dport 6443 drop'",
        )],
        repair: &[("n1", DROP_TABLE)],
        told: &["n1"],
        words: &["6443", "no answer", "n[2-3]"],
    },
    Case {
        check: "PathMTU",
        severity: "error",
        damage: &[(
            "n3",
            "nft 'add table inet damage; add chain inet damage in { type filter hook input priority 0; }; add rule inet damage in tcp dport 10250 meta length gt 1000 drop'",
        )],
        repair: &[("n3", DROP_TABLE)],
        told: &["n3"],
        words: &["full size"],
    },
    Case {
        check: "Firewall",
        severity: "warning",
        damage: &[(
            "n2",
            "nft 'add table inet damage; add chain inet damage in { type filter hook input priority 0; policy drop; }; add rule inet damage in tcp dport 22 accept; add rule inet damage in tcp sport 22 accept; add rule inet damage in iif lo accept'",
        )],
        repair: &[("n2", DROP_TABLE)],
        told: &["n2"],
        words: &["10250"],
    },
    Case {
        check: "NetworkOverlap",
        severity: "error",
        damage: &[(
            "n2",
            "ip route add 10.244.7.0/24 via $(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')",
        )],
        repair: &[("n2", "ip route del 10.244.7.0/24")],
        told: &["n2"],
        words: &["10.244.7.0/24"],
    },
    Case {
        check: "MixedArchitectures",
        severity: "warning",
        damage: &[(
            "n3",
            instead!(
                "uname",
                "[ \"$*\" != -m ] || { echo aarch64; exit; }\nexec /usr/bin/uname \"$@\""
            ),
        )],
        repair: &[("n3", no_more!("uname"))],
        told: &["n3"],
        words: &["aarch64"],
    },
    Case {
        check: "MixedKernels",
        severity: "warning",
        damage: &[(
            "n3",
            "echo 6.1.0-1-amd64 >/root/release; mount --bind /root/release /proc/sys/kernel/osrelease",
        )],
        repair: &[("n3", "umount /proc/sys/kernel/osrelease; rm /root/release")],
        told: &["n3"],
        words: &["6.1"],
    },
    Case {
        check: "MixedOS",
        severity: "warning",
        damage: &[(
            "n2",
            "cp -L /etc/os-release /root/os; printf 'ID=rocky\\nVERSION_ID=9\\n' >/root/fake; mount --bind /root/fake /etc/os-release",
        )],
        repair: &[("n2", "umount /etc/os-release; rm /root/os /root/fake")],
        told: &["n2"],
        words: &["rocky"],
    },
    Case {
        check: "MixedRuntimes",
        severity: "warning",
        damage: &[(
            "n2",
            instead!(
                "crictl",
                "case \"$*\" in *version*) printf 'RuntimeName:  cri-o\nRuntimeVersion:  1.30.1\n' ;; \
                 *) echo '{\"status\":{\"conditions\":[{\"type\":\"RuntimeReady\",\"status\":true}]}}' ;; esac"
            ),
        )],
        repair: &[("n2", no_more!("crictl"))],
        told: &["n2"],
        words: &["cri-o"],
    },
    Case {
        check: "AppArmor",
        severity: "error",
        damage: &[(
            "n2",
            concat!(
                "mount -t tmpfs none /sys/module; mkdir -p /sys/module/apparmor/parameters; \
                 echo Y >/sys/module/apparmor/parameters/enabled\n",
                instead!("systemd-detect-virt", "echo kvm")
            ),
        )],
        repair: &[("n2", concat!("umount /sys/module; ", no_more!("systemd-detect-virt")))],
        told: &["n2"],
        words: &["apparmor_parser"],
    },
    Case {
        check: "MixedRuntimeVersions",
        severity: "warning",
        damage: &[(
            "n2",
            instead!(
                "ctr",
                "case \"$*\" in *version*) printf 'Server:\\n  Version:  1.7.24\\n' ;; *) exec /usr/bin/ctr \"$@\" ;; esac"
            ),
        )],
        repair: &[("n2", no_more!("ctr"))],
        told: &["n2"],
        words: &["1.7"],
    },
    Case {
        check: "EtcdDisk",
        severity: "warning",
        damage: &[(
            "n1",
            instead!("dd", "echo '61440 bytes (61 kB, 60 KiB) copied, 1.5 s, 41 kB/s' >&2"),
        )],
        repair: &[("n1", no_more!("dd"))],
        told: &["n1"],
        words: &["50"],
    },
    Case {
        check: "DiskSpace",
        severity: "error",
        damage: &[(
            "n3",
            "mkdir -p /var/lib/kubelet; mount -t tmpfs -o size=20m none /var/lib/kubelet; head -c 19500000 /dev/zero >/var/lib/kubelet/full",
        )],
        repair: &[("n3", "umount /var/lib/kubelet; rmdir /var/lib/kubelet")],
        told: &["n3"],
        words: &["/var/lib/kubelet"],
    },
    Case {
        check: "Inodes",
        severity: "error",
        damage: &[(
            "n3",
            "mkdir -p /var/lib/kubelet; mount -t tmpfs -o size=9g,nr_inodes=100 none /var/lib/kubelet; i=0; while [ $i -lt 97 ]; do : >/var/lib/kubelet/$i; i=$((i + 1)); done",
        )],
        repair: &[("n3", "umount /var/lib/kubelet; rmdir /var/lib/kubelet")],
        told: &["n3"],
        words: &["/var/lib/kubelet"],
    },
    Case {
        check: "MountOptions",
        severity: "error",
        damage: &[(
            "n2",
            "mkdir -p /var/lib/kubelet; mount -t tmpfs -o ro,size=9g none /var/lib/kubelet",
        )],
        repair: &[("n2", "umount /var/lib/kubelet; rmdir /var/lib/kubelet")],
        told: &["n2"],
        words: &["/var/lib/kubelet"],
    },
    Case {
        check: "LeftoverState",
        severity: "error",
        damage: &[(
            "n3",
            "mkdir -p /etc/kubernetes; printf 'clusters:\\n- cluster:\\n    server: https://old.example.com:6443\\n' >/etc/kubernetes/kubelet.conf",
        )],
        repair: &[(
            "n3",
            "rm -r /etc/kubernetes/kubelet.conf; rmdir /etc/kubernetes 2>/dev/null || :",
        )],
        told: &["n3"],
        words: &["old.example.com"],
    },
    Case {
        check: "BootServices",
        severity: "warning",
        damage: &[("n2", "systemctl disable containerd 2>/dev/null")],
        repair: &[("n2", "systemctl enable containerd 2>/dev/null")],
        told: &["n2"],
        words: &["containerd"],
    },
    Case {
        check: "Entropy",
        severity: "warning",
        damage: &[(
            "n2",
            "echo 5.10.0-1-amd64 >/root/release; echo 50 >/root/entropy; mount --bind /root/release /proc/sys/kernel/osrelease; mount --bind /root/entropy /proc/sys/kernel/random/entropy_avail",
        )],
        repair: &[(
            "n2",
            "umount /proc/sys/kernel/random/entropy_avail /proc/sys/kernel/osrelease; rm /root/release /root/entropy",
        )],
        told: &["n2"],
        words: &["50"],
    },
    Case {
        check: "FileLimits",
        severity: "warning",
        // The real limit is all hosts' of this machine.
        damage: &[(
            "n2",
            "echo 8 >/root/limit; mount --bind /root/limit /proc/sys/fs/inotify/max_user_instances",
        )],
        repair: &[("n2", "umount /proc/sys/fs/inotify/max_user_instances; rm /root/limit")],
        told: &["n2"],
        words: &["max_user_instances"],
    },
];

/// Something wrong with an inventory rather than with a host, as in [`Case`].
struct Mistake {
    check: &'static str,
    severity: &'static str,
    /// What is replaced in the text of the inventory.
    from: &'static str,
    to: &'static str,
    told: &'static [&'static str],
}

const MISTAKES: &[Mistake] = &[
    Mistake {
        check: "PodCapacity",
        severity: "error",
        from: "10.244.0.0/16",
        to: "10.244.0.0/23",
        told: &HOSTS,
    },
    Mistake {
        check: "ControlPlaneCount",
        severity: "warning",
        from: "\"worker\"",
        to: "\"control-plane\"",
        told: &["n1", "n2"],
    },
    Mistake {
        check: "AdvertiseAddress",
        severity: "error",
        from: "role = \"worker\"",
        to: "role = \"worker\"\nadvertise_address = \"192.0.2.9\"",
        told: &["n2"],
    },
];

/// kubeadm's checks are compared with a real kubeadm's elsewhere; here they may say what they like.
fn fleet_checks(run: &Finished) -> Vec<Value> {
    let is_fleets = |event: &Value| event["kind"] == "check" && event["scope"] == "fleet";
    run.events().into_iter().filter(is_fleets).collect()
}

fn preflight(inventory: &Path) -> Finished {
    fleetadm(inventory, &["preflight", "--output", "json"])
}

/// The hosts that a check found something on, each with how bad and the message.
fn told(checks: &[Value], name: &str) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let found =
        checks.iter().filter(|check| check["name"] == name && check["severity"] != "passed");
    found.map(|c| (text(&c["host"]), text(&c["severity"]), text(&c["message"]))).collect()
}

#[test]
#[ignore = "needs the lab: tests/lab/test"]
fn fleet_checks_find_what_is_wrong_and_nothing_else() {
    let lab = Lab::with_bare(&HOSTS);
    let started = Instant::now();
    let inventory = lab.usual();

    // The lab's own hook, which stands in for a pod network, takes its routes back only when a host is made anew.
    for host in HOSTS {
        lab.sh(
            host,
            "ip route show | grep ^10.244 | while read -r route; do ip route del $route; done",
        );
    }

    step(started, "healthy hosts");
    let checks = fleet_checks(&preflight(&inventory));
    let names: std::collections::BTreeSet<&str> =
        checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert!(names.len() > 20, "{names:?}");
    for check in &checks {
        assert_eq!(check["severity"], "passed", "a false alarm: {check}");
    }

    for case in CASES {
        step(started, case.check);
        for (host, script) in case.damage {
            lab.sh(host, script);
        }
        let run = std::panic::catch_unwind(|| fleet_checks(&preflight(&inventory)));
        for (host, script) in case.repair {
            lab.sh(host, script);
        }
        let found = told(&run.unwrap(), case.check);
        let hosts: Vec<&str> = found.iter().map(|(host, ..)| host.as_str()).collect();
        assert_eq!(hosts, case.told, "{}: {found:?}", case.check);
        for (_, severity, message) in &found {
            assert_eq!(severity, case.severity, "{}: {message}", case.check);
            for word in case.words {
                assert!(message.contains(word), "{}: no {word:?} in {message}", case.check);
            }
        }
    }

    for mistake in MISTAKES {
        let Mistake { check, severity, .. } = mistake;
        step(started, check);
        let changed = lab.changed("changed.toml", &[(mistake.from, mistake.to)]);
        let found = told(&fleet_checks(&preflight(&changed)), check);
        let seen: Vec<&str> = found.iter().map(|(host, ..)| host.as_str()).collect();
        assert_eq!(seen, mistake.told, "{check}: {found:?}");
        assert!(found.iter().all(|(_, found, _)| found == severity), "{check}: {found:?}");
    }

    step(started, "healthy again");
    for check in fleet_checks(&preflight(&inventory)) {
        assert_eq!(check["severity"], "passed", "a repair left something: {check}");
    }
}

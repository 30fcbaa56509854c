//! etcd on hosts of its own: three members and one control plane, a member's host lost and replaced, one that leaves; by a
//! kubelet and by systemd.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use serde_json::Value;

use super::lab::{Lab, eventually, step};
use super::runner::fleetadm;

const CONTROL_PLANE: &str = "cp1";
const MEMBERS: [&str; 3] = ["etcd1", "etcd2", "etcd3"];

#[test]
#[ignore = "needs the lab: run tests/lab/test"]
fn etcd_lives_on_hosts_of_its_own() {
    let lab = Lab::from_environment();
    let started = Instant::now();
    step(started, "four hosts");
    up(&lab, &[CONTROL_PLANE]);
    up(&lab, &MEMBERS);
    let _down = Down(&lab);

    let inventory = inventory(&lab, "kubelet", &lab.binaries);
    step(started, "apply, etcd by a kubelet");
    let run = fleetadm(&inventory, &["apply"]).expect(0);
    assert!(run.changes() > 0);
    let first = members(&lab);
    are_as_kubeadm_has_them(&lab);
    for member in MEMBERS {
        let config = lab.sh(member, "cat /var/lib/kubelet/config.yaml");
        assert!(config.contains("mode: AlwaysAllow"), "{config}");
        lab.sh(member, "test -e /etc/kubernetes/manifests/etcd.yaml");
    }
    changes_nothing(&lab, &inventory);

    step(started, "the host of the first member is lost, and another one is in its place");
    lab.lab(&["down", MEMBERS[0]]);
    up(&lab, &MEMBERS[..1]);
    let run = fleetadm(&inventory, &["apply"]).expect(0);
    assert!(run.changes() > 0);
    let replaced = members(&lab);
    assert_ne!(replaced[MEMBERS[0]], first[MEMBERS[0]], "it is another member");
    assert_eq!(replaced[MEMBERS[1]], first[MEMBERS[1]]);
    are_as_kubeadm_has_them(&lab);
    changes_nothing(&lab, &inventory);

    step(started, "another flag, one member after the other");
    let changed = fs::read_to_string(&inventory).unwrap();
    let flag = "manager = \"kubelet\"\nextra_args = { snapshot-count = \"20000\" }";
    let inventory = lab.write("flag.toml", &changed.replace("manager = \"kubelet\"", flag));
    assert_eq!(fleetadm(&inventory, &["apply"]).expect(0).changes(), 3);
    for member in MEMBERS {
        lab.sh(member, "ps -eo args= | grep -q '^etcd .*--snapshot-count=20000'");
    }
    assert_eq!(members(&lab), replaced);

    step(started, "a member leaves, and comes back");
    let gone = MEMBERS[2];
    let connected = lose_from_sight(&lab, MEMBERS[0], MEMBERS[1]);
    fleetadm(&inventory, &["reset", "--yes", "--limit", gone]).expect(0);
    is_bare(&lab, gone);
    assert_eq!(voters(&lab).keys().collect::<Vec<_>>(), MEMBERS[..2]);
    let others = MEMBERS[..2].join(",");
    let refused = fleetadm(&inventory, &["reset", "--yes", "--dry-run", "--limit", &others]);
    refused.expect(3).expect_failure(MEMBERS[1], &["last member of etcd", CONTROL_PLANE]);
    fleetadm(&inventory, &["apply"]).expect(0);
    members(&lab);
    lab.sh(MEMBERS[0], &connected);

    step(started, "bare hosts again");
    fleetadm(&inventory, &["reset", "--force"]).expect(0);
    for host in MEMBERS {
        is_bare(&lab, host);
    }

    step(started, "apply, etcd by systemd");
    let inventory = self::inventory(&lab, "systemd", &with_etcd(&lab));
    fleetadm(&inventory, &["apply"]).expect(0);
    members(&lab);
    are_as_kubeadm_has_them(&lab);
    for member in MEMBERS {
        let unit = "systemctl show etcd --property=Type,ActiveState,UnitFileState";
        let state = lab.sh(member, unit);
        for wanted in ["Type=notify", "ActiveState=active", "UnitFileState=enabled"] {
            assert!(state.contains(wanted), "{state}");
        }
        lab.sh(member, "! test -e /usr/bin/kubelet -a -e /etc/kubernetes/manifests/etcd.yaml");
    }
    changes_nothing(&lab, &inventory);
    step(started, "bare hosts again");
    fleetadm(&inventory, &["reset", "--force"]).expect(0);
    for host in MEMBERS {
        is_bare(&lab, host);
    }
}

fn up(lab: &Lab, hosts: &[&str]) {
    lab.lab(&[&["up"], hosts].concat());
}

/// Takes the test's own hosts down, however it ends.
struct Down<'a>(&'a Lab);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() || env::var_os("FLEETADM_LAB_KEEP").is_none() {
            let mut arguments = vec!["down", CONTROL_PLANE];
            arguments.extend(MEMBERS);
            self.0.lab(&arguments);
        }
    }
}

fn inventory(lab: &Lab, manager: &str, binaries: &Path) -> PathBuf {
    let images = lab.inventory.lines().find_map(|line| line.strip_prefix("images = "));
    let images = images.expect("the usual inventory has images").trim_matches('"');
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/inventory");
    let output = Command::new(script)
        .args(["--bare", "--version", &lab.version, "--images", images, "--etcd", "3"])
        .args(["--etcd-manager", manager, "--binaries"])
        .arg(binaries)
        .arg(CONTROL_PLANE)
        .args(MEMBERS)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    lab.write(&format!("{manager}.toml"), &String::from_utf8(output.stdout).unwrap())
}

/// Have one member hold another one for lost, which it is not: the other one's own connections to it are all that etcd
/// needs. After a restart etcd may come to this by itself (its issue 14523). Returns what undoes it.
fn lose_from_sight(lab: &Lab, member: &str, other: &str) -> String {
    let address = lab.address(other);
    // The other one has to hear that its old connections are gone.
    let rule = format!(
        "OUTPUT -p tcp -d {address} --dport 2380 ! --tcp-flags RST RST -j REJECT --reject-with tcp-reset"
    );
    lab.sh(member, &format!("iptables -w -I {rule}"));
    eventually("a member out of sight", Duration::from_secs(30), || {
        let active = "curl -sS --max-time 10 http://127.0.0.1:2381/metrics | grep ^etcd_network_active_peers";
        let peers = lab.sh(member, active);
        if peers.lines().any(|peer| peer.ends_with(" 0")) { Ok(()) } else { Err(peers) }
    });
    format!("iptables -w -D {rule}")
}

/// The usual binaries, with Debian's etcd beside them.
fn with_etcd(lab: &Lab) -> PathBuf {
    let directory = lab.directory.path().join("binaries");
    fs::create_dir(&directory).unwrap();
    for entry in fs::read_dir(&lab.binaries).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "etcd" {
            symlink(entry.path(), directory.join(entry.file_name())).unwrap();
        }
    }
    let etcd =
        env::var("FLEETADM_TEST_ETCD").expect("FLEETADM_TEST_ETCD is not set: run tests/lab/test");
    symlink(etcd, directory.join("etcd")).unwrap();
    directory
}

/// Members by name with their IDs; all hosts have one that votes and is well.
fn members(lab: &Lab) -> BTreeMap<String, String> {
    let members = voters(lab);
    assert_eq!(members.keys().collect::<Vec<_>>(), MEMBERS);
    for member in MEMBERS {
        let health = lab.sh(member, "curl -sS --max-time 10 http://127.0.0.1:2381/health");
        assert!(health.contains("\"true\""), "{member}: {health}");
    }
    members
}

/// Members by name with their IDs, as etcd tells the control plane; all vote.
fn voters(lab: &Lab) -> BTreeMap<String, String> {
    let url = format!("https://{}:2379/v3", lab.address(MEMBERS[1]));
    let pki = "/etc/kubernetes/pki";
    let call = |path: &str, body: &str| {
        let script = format!(
            "curl -sS --fail --max-time 10 --cacert {pki}/etcd/ca.crt --cert {pki}/apiserver-etcd-client.crt \
             --key {pki}/apiserver-etcd-client.key {url}/{path} -d '{body}'"
        );
        let answer = lab.sh(CONTROL_PLANE, &script);
        serde_json::from_str::<Value>(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    };
    let list = call("cluster/member/list", "{}");
    let list = list["members"].as_array().unwrap();
    assert!(list.iter().all(|member| member["isLearner"] != true), "{list:?}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list.iter().map(|member| (text(&member["name"]), text(&member["ID"]))).collect()
}

/// Which files are where, with which modes; and an API that works.
fn are_as_kubeadm_has_them(lab: &Lab) {
    let pki = "cd /etc/kubernetes/pki && find . -type f -printf '%P %m\\n' | LC_ALL=C sort";
    let expected = "etcd/ca.crt 644\netcd/ca.key 600\netcd/healthcheck-client.crt 644\n\
        etcd/healthcheck-client.key 600\netcd/peer.crt 644\netcd/peer.key 600\netcd/server.crt 644\n\
        etcd/server.key 600\n";
    for member in MEMBERS {
        assert_eq!(lab.sh(member, pki), expected, "{member}");
        assert_eq!(lab.sh(member, "stat -c %a /var/lib/etcd").trim(), "700");
    }
    let files = lab.sh(CONTROL_PLANE, pki);
    let of_etcd: Vec<&str> = files.lines().filter(|line| line.contains("etcd")).collect();
    assert_eq!(
        of_etcd,
        ["apiserver-etcd-client.crt 644", "apiserver-etcd-client.key 600", "etcd/ca.crt 644"]
    );
    lab.sh(CONTROL_PLANE, "! test -e /etc/kubernetes/manifests/etcd.yaml");
    let configuration = kubectl(lab, "get configmap -n kube-system kubeadm-config -o yaml");
    for member in MEMBERS {
        let endpoint = format!("- https://{}:2379", lab.address(member));
        assert!(configuration.contains(&endpoint), "{configuration}");
    }
    eventually("a node", Duration::from_secs(60), || {
        let nodes = kubectl(lab, "get nodes --no-headers");
        let is_alone = nodes.lines().count() == 1 && nodes.contains(CONTROL_PLANE);
        if is_alone { Ok(()) } else { Err(nodes) }
    });
}

fn kubectl(lab: &Lab, arguments: &str) -> String {
    let program = "env HOME=/tmp /usr/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf";
    lab.sh(CONTROL_PLANE, &format!("{program} {arguments}"))
}

fn changes_nothing(lab: &Lab, inventory: &Path) {
    let state = |host: &&str| {
        let files = "find /etc /usr/local/bin -not -path /etc/resolv.conf -printf '%T@ %C@ %i %m %p\\n' | sort
            systemctl show kubelet containerd etcd --property=MainPID";
        lab.sh(host, files)
    };
    let hosts: Vec<&str> = [CONTROL_PLANE].into_iter().chain(MEMBERS).collect();
    let before: Vec<String> = hosts.iter().map(state).collect();
    let run = fleetadm(inventory, &["apply"]).expect(0);
    assert_eq!(run.changes(), 0, "{}", run.stderr);
    let after: Vec<String> = hosts.iter().map(state).collect();
    assert_eq!(before, after);
}

fn is_bare(lab: &Lab, host: &str) {
    let left = "ls -d /etc/kubernetes /var/lib/etcd /var/lib/kubelet /etc/systemd/system/etcd.service \
                /etc/systemd/system/kubelet.service.d 2>/dev/null || true";
    assert_eq!(lab.sh(host, left), "", "{host}");
    let processes = lab.sh(host, "ps -eo args= | grep -Ev '^\\[|grep'");
    for name in ["kubelet", "etcd ", "/pause"] {
        assert!(!processes.contains(name), "{host} still runs {name}:\n{processes}");
    }
}

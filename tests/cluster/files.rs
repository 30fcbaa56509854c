//! What is on the hosts against what the real kubeadm puts there, file by file and field by field.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::certificates;
use super::lab::{CONTROL_PLANE, Lab, WORKERS};
use super::tree::{self, Tree};

/// Where files of ours differ from kubeadm's on purpose: path, why.
const INTENDED: &[(&str, &str)] = &[];

/// Fields of kubeconfigs that are compared as certificates, or as keys, rather than as text.
const EMBEDDED: [&str; 3] =
    ["certificate-authority-data", "client-certificate-data", "client-key-data"];

/// kubeadm's configuration that says the same as the lab's inventory.
pub fn kubeadm_configuration(lab: &Lab) -> String {
    let (api, socket) = lab.kubeadm_words();
    format!(
        "apiVersion: {api}\nkind: InitConfiguration\n\
         localAPIEndpoint: {{advertiseAddress: {}}}\n\
         nodeRegistration: {{name: {CONTROL_PLANE}, criSocket: {socket}}}\n---\n\
         apiVersion: {api}\nkind: ClusterConfiguration\nkubernetesVersion: v{}\n\
         networking: {{podSubnet: 10.244.0.0/16}}\n---\n{}",
        lab.address(CONTROL_PLANE),
        lab.version,
        lab.kubelet_document()
    )
}

/// Compare; gives what kubeadm says that it would write into the API of a new cluster.
pub fn are_kubeadms(lab: &Lab) -> String {
    let program = std::fs::read(lab.binaries.join("kubeadm")).unwrap();
    let put = "cat >/tmp/kubeadm && chmod 755 /tmp/kubeadm";
    lab.bytes(CONTROL_PLANE, &["sh", "-c", put], &program);
    let configuration = kubeadm_configuration(lab);
    lab.bytes(CONTROL_PLANE, &["sh", "-c", "cat >/tmp/kubeadm.yaml"], configuration.as_bytes());
    let script = include_str!("kubeadm-files.sh");
    let theirs = tree::of(&lab.bytes(CONTROL_PLANE, &["sh", "-s"], script.as_bytes()));
    let ours = taken_from(lab, CONTROL_PLANE);

    let mut problems = Vec::new();
    // kubeadm's own dry-run text is beside the files; etcd's data is alive on the host.
    let compared = |path: &&String| {
        path.starts_with("etc/kubernetes") || (path.starts_with("var/lib/kubelet"))
    };
    let paths = |tree: &Tree| tree.keys().filter(compared).cloned().collect::<Vec<_>>();
    assert!(paths(&theirs).len() > 30, "{:?}", paths(&theirs));
    assert_eq!(paths(&ours), paths(&theirs));
    for path in paths(&ours) {
        let (one, two) = (&ours[&path], &theirs[&path]);
        if one.kind != two.kind {
            problems.push(format!("{path}: ours is {}, kubeadm's {}", one.kind, two.kind));
        }
        if one.kind.starts_with('f') {
            let (one, two) = (tree::text(&ours, &path), tree::text(&theirs, &path));
            compare(&path, one, two, &mut problems);
        }
    }
    let (ours_described, theirs_described) =
        (certificates::described(lab, &all(&ours)), certificates::described(lab, &all(&theirs)));
    // Ten files, and in each of three kubeconfigs the authority and a client's, or of four, since there is
    // super-admin.conf; the kubelet's has only the authority.
    let kubeconfigs = if lab.minor() >= 29 { 4 } else { 3 };
    assert_eq!(ours_described.len(), 10 + kubeconfigs * 2 + 1, "{:?}", ours_described.keys());
    for (name, one) in &ours_described {
        let two = &theirs_described[name];
        let lines = one.lines().zip(two.lines()).filter(|(one, two)| one != two);
        problems.extend(lines.map(|(one, two)| format!("{name}: ours {one}, kubeadm's {two}")));
        if one.lines().count() != two.lines().count() {
            problems.push(format!("{name}: ours\n{one}\nkubeadm's\n{two}"));
        }
    }
    problems.retain(|line| !INTENDED.iter().any(|(path, _)| line.starts_with(&format!("{path}:"))));
    assert!(problems.is_empty(), "not as kubeadm's:\n{}", problems.join("\n"));

    workers(lab, &ours, &theirs);
    tree::text(&theirs, "var/lib/dry-run").to_owned()
}

/// Workers get the cluster's kubelet configuration and authority.
fn workers(lab: &Lab, control_plane: &Tree, theirs: &Tree) {
    for host in WORKERS {
        let tree = taken_from(lab, host);
        for path in theirs.keys().filter(|path| path.starts_with("var/lib/kubelet/")) {
            let mut problems = Vec::new();
            compare(path, tree::text(&tree, path), tree::text(theirs, path), &mut problems);
            assert!(problems.is_empty(), "{host}: {problems:?}");
            assert_eq!(tree[path].kind, theirs[path].kind, "{host} {path}");
        }
        let authority = "etc/kubernetes/pki/ca.crt";
        assert_eq!(tree::text(&tree, authority), tree::text(control_plane, authority), "{host}");
        let paths: Vec<_> = tree.keys().filter(|path| path.starts_with("etc/")).collect();
        let expected = [
            "etc/kubernetes",
            "etc/kubernetes/kubelet.conf",
            "etc/kubernetes/manifests",
            "etc/kubernetes/pki",
            authority,
        ];
        assert_eq!(paths, expected, "{host}");
        // What the kubelet writes and what kubeadm's own join leaves.
        assert_eq!(tree["etc/kubernetes/kubelet.conf"].kind, "f 600 0:0", "{host}");
        assert_eq!(tree[authority].kind, "f 644 0:0", "{host}");
        assert_eq!(tree["etc/kubernetes/pki"].kind, "d 755 0:0", "{host}");
    }
}

fn taken_from(lab: &Lab, host: &str) -> Tree {
    let script = "cd /; tar --no-recursion -cf - $(find etc/kubernetes) var/lib/kubelet \
                  $(ls var/lib/kubelet/config.yaml var/lib/kubelet/instance-config.yaml \
                    var/lib/kubelet/kubeadm-flags.env 2>/dev/null)";
    tree::of(&lab.bytes(host, &["sh", "-c", script], b""))
}

fn compare(path: &str, ours: &str, theirs: &str, problems: &mut Vec<String>) {
    let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    match path.rsplit('.').next().unwrap_or_default() {
        // The certificates are compared all together, later.
        "crt" => {}
        "key" | "pub" => {
            if first(ours) != first(theirs) || ours.len().abs_diff(theirs.len()) > 8 {
                problems.push(format!(
                    "{path}: ours is {}, kubeadm's {}",
                    first(ours),
                    first(theirs)
                ));
            }
        }
        "yaml" | "conf" => {
            let parse = |text: &str| -> Value {
                serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{path}: {error}"))
            };
            differences(path, &parse(ours), &parse(theirs), problems);
        }
        _ if ours == theirs => {}
        _ => problems.push(format!("{path}: ours {ours:?}, kubeadm's {theirs:?}")),
    }
}

/// `path: pointer: ours, theirs` for every field in which two documents differ.
pub fn differences(at: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(two)) => {
            let mut names: Vec<_> = one.keys().chain(two.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let field = |map: &serde_json::Map<String, Value>| map.get(name).cloned();
                let (one, two) = (field(one), field(two));
                if EMBEDDED.contains(&name.as_str()) && one.is_some() == two.is_some() {
                    continue;
                }
                let (one, two) = (one.unwrap_or_default(), two.unwrap_or_default());
                differences(&format!("{at}: {name}"), &one, &two, found);
            }
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            for (index, (one, two)) in one.iter().zip(two).enumerate() {
                differences(&format!("{at}: {index}"), one, two, found);
            }
        }
        _ if ours == theirs => {}
        _ => found.push(format!("{at}: ours {ours}, kubeadm's {theirs}")),
    }
}

/// The certificates of a tree: files, and those embedded in kubeconfigs.
fn all(tree: &Tree) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for path in tree.keys() {
        if path.ends_with(".crt") {
            all.insert(path.clone(), tree::text(tree, path).to_owned());
        } else if path.ends_with(".conf") {
            for line in tree::text(tree, path).lines() {
                let Some((field, data)) = line.trim().split_once(": ") else { continue };
                if field.ends_with("-data") && !field.contains("key") {
                    let pem = STANDARD.decode(data.trim_matches('"')).unwrap();
                    all.insert(format!("{path} {field}"), String::from_utf8(pem).unwrap());
                }
            }
        }
    }
    all
}

#[test]
fn differences_are_found() {
    let mut found = Vec::new();
    let (one, two) =
        (serde_json::json!({"a": [1, 2], "b": 1}), serde_json::json!({"a": [1, 3], "c": 1}));
    differences("x", &one, &two, &mut found);
    assert_eq!(found.len(), 3, "{found:?}");
}

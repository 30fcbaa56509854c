//! The control plane's endpoint: a cluster that was made without one gains one, haproxy and keepalived serve it, and it
//! outlives the host that has it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::lab::{CONTROL_PLANE, HOSTS, Lab, WORKERS, eventually, step};
use super::runner::fleetadm;
use super::{lifecycle, listing, nodes, second_apply};

#[test]
#[ignore = "needs the lab: run tests/lab/test"]
fn a_cluster_gains_an_endpoint_that_outlives_its_host() {
    let lab = Lab::with_bare(&HOSTS);
    let started = Instant::now();
    let before = listing::of_all(&lab);
    step(started, "a cluster without an endpoint");
    fleetadm(&lab.usual(), &["apply"]).expect(0);
    nodes::wait_ready(&lab);

    step(started, "the same with one");
    let address = lab.lab(&["vip"]).trim().to_owned();
    let inventory = with_endpoint(&lab, &address);
    let run = fleetadm(&inventory, &["apply"]).expect(0);
    for change in
        ["change /etc/kubernetes/pki/apiserver.crt", "restart DaemonSet kube-system/kube-proxy"]
    {
        assert!(run.stderr.contains(change), "no {change:?} in:\n{}", run.stderr);
    }
    goes_by(&lab, &address);
    nodes::wait_ready(&lab);
    proxies_go_by(&lab, &address);
    step(started, "a second apply");
    second_apply::changes_nothing(&lab, &inventory);

    step(started, "the host that has the address loses its power");
    let holder = holder(&lab, &address);
    lab.lab(&["kill", holder]);
    eventually("an API server at the endpoint", Duration::from_secs(30), || answer(&lab, &address));
    lab.lab(&["boot", holder]);
    nodes::wait_ready(&lab);
    assert_ne!(self::holder(&lab, &address), holder, "nobody takes it from whom serves it");

    step(started, "reset");
    lifecycle::reset(&lab);
    listing::expect_bare(&before, &listing::of_all(&lab));
    step(started, "done");
}

/// The usual inventory with an endpoint that the workers serve.
fn with_endpoint(lab: &Lab, address: &str) -> PathBuf {
    let sections = format!(
        "control_plane_endpoint = \"{address}:6443\"\n\n\
         [cluster.load_balancer]\nkind = \"haproxy\"\naddress = \"{address}\"\nhosts = \"worker\"\n\n\
         [cluster.networking]"
    );
    lab.changed("endpoint.toml", &[("[cluster.networking]", &sections)])
}

/// Certificates, kubeconfigs and what the cluster says of itself name the endpoint, and it answers.
fn goes_by(lab: &Lab, address: &str) {
    let own = lab.address(CONTROL_PLANE);
    let shown = format!(
        "openssl s_client -connect {own}:6443 </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName"
    );
    let names = lab.sh(CONTROL_PLANE, &shown);
    assert!(names.contains(address) && names.contains(&own), "{names}");
    let url = format!("https://{address}:6443");
    for host in HOSTS {
        let servers = lab.sh(host, "cd /etc/kubernetes; grep -H ' server: ' *.conf");
        for file in ["admin.conf", "kubelet.conf"] {
            let Some(line) = servers.lines().find(|line| line.starts_with(file)) else {
                assert!(file != "kubelet.conf" && host != CONTROL_PLANE, "{host} has no {file}");
                continue;
            };
            // A control plane's kubelet goes by its own API server in releases that have it so.
            let local = host == CONTROL_PLANE && file == "kubelet.conf" && line.contains(&own);
            assert!(local || line.ends_with(&url), "{host}: {line}");
        }
    }
    for (namespace, name) in [
        ("kube-public", "cluster-info"),
        ("kube-system", "kubeadm-config"),
        ("kube-system", "kube-proxy"),
    ] {
        let map = lab.get(&["configmap", "--namespace", namespace, name]);
        assert!(map["data"].to_string().contains(address), "{map:#}");
    }
    answer(lab, address).unwrap();
}

/// What the API server behind the endpoint says, as a node sees it.
fn answer(lab: &Lab, address: &str) -> Result<(), String> {
    let ask = format!(
        "curl --silent --max-time 3 --cacert /etc/kubernetes/pki/ca.crt https://{address}:6443/version || true"
    );
    let text = lab.sh(CONTROL_PLANE, &ask);
    if text.contains("gitVersion") { Ok(()) } else { Err(format!("it said {text:?}")) }
}

/// Every kube-proxy runs that was started since it should go by the endpoint.
fn proxies_go_by(lab: &Lab, address: &str) {
    for host in HOSTS {
        eventually("kube-proxy by the endpoint", Duration::from_secs(120), || {
            let sockets = lab.sh(host, "ss -Hntp state established");
            let peer = format!("{address}:6443");
            let is_proxy = |line: &&str| line.contains("kube-proxy") && line.contains(&peer);
            sockets.lines().find(is_proxy).map(|_| ()).ok_or(sockets.clone())
        });
    }
}

/// The worker that has the address.
fn holder(lab: &Lab, address: &str) -> &'static str {
    let has =
        |host: &&&str| lab.sh(host, "ip -o address show").contains(&format!(" {address}/32 "));
    let holders: Vec<_> = WORKERS.iter().filter(has).collect();
    assert_eq!(holders.len(), 1, "{holders:?} have {address}");
    holders[0]
}

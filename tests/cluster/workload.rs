//! Pods run, and reach each other, the API and services; kubeadm's add-ons are there.

use std::time::Duration;

use super::lab::{CONTROL_PLANE, Lab, WORKERS, eventually};

/// How long rollouts and answers may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// A pod of the Deployment `web`.
struct Pod {
    name: String,
    address: String,
    node: String,
}

/// Everything about pods.
pub fn runs(lab: &Lab) {
    for what in [
        "-n=kube-system daemonset/kube-proxy",
        "-n=kube-system deployment/coredns",
        "-n=default deployment/web",
    ] {
        let (namespace, object) = what.split_once(' ').unwrap();
        lab.kubectl(&["rollout", "status", namespace, object, "--timeout=180s"]);
    }
    let proxies = lab.get(&["daemonset", "-n=kube-system", "kube-proxy"]);
    assert_eq!(proxies["status"]["numberReady"], 3);
    let dns = lab.get(&["deployment", "-n=kube-system", "coredns"]);
    assert_eq!(dns["status"]["readyReplicas"], 2);

    let pods = pods(lab);
    let nodes: Vec<_> = pods.iter().map(|pod| pod.node.as_str()).collect();
    assert_eq!(nodes, WORKERS, "one pod on each worker");
    for (from, to) in [(&pods[0], &pods[1]), (&pods[1], &pods[0])] {
        let url = format!("http://{}:8080/", to.address);
        let answer = from_pod(lab, from, &url, &to.name);
        println!(
            "{} on {} -> {} on {}: {}",
            from.name,
            from.node,
            to.address,
            to.node,
            answer.trim()
        );
        // The API server's own words to somebody who does not speak TLS.
        from_pod(lab, from, "http://10.96.0.1:443/", "400 Bad Request");
    }
    let service = lab.get(&["service", "web"]);
    let url = format!("http://{}/", service["spec"]["clusterIP"].as_str().unwrap());
    for host in [CONTROL_PLANE, WORKERS[0]] {
        let answer = eventually("the service", PATIENCE, || {
            let answer = lab.sh(host, &format!("curl -fsS --max-time 5 {url} 2>&1 || true"));
            if pods.iter().any(|pod| answer.contains(&pod.name)) { Ok(answer) } else { Err(answer) }
        });
        println!("service web from {host}: {}", answer.trim());
    }
}

/// The pods of the Deployment, by node.
fn pods(lab: &Lab) -> Vec<Pod> {
    let list = lab.get(&["pods", "-l=app=web", "--field-selector=status.phase=Running"]);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let pod = |item: &serde_json::Value| Pod {
        name: text(&item["metadata"]["name"]),
        address: text(&item["status"]["podIP"]),
        node: text(&item["spec"]["nodeName"]),
    };
    let mut pods: Vec<_> = list["items"].as_array().unwrap().iter().map(pod).collect();
    pods.sort_by(|one, two| one.node.cmp(&two.node));
    pods
}

/// What a pod is answered, errors included, once it holds the words.
fn from_pod(lab: &Lab, pod: &Pod, url: &str, words: &str) -> String {
    let wget = ["exec", &pod.name, "--", "timeout", "5", "wget", "-qO-", url];
    eventually(&format!("{} -> {url}", pod.name), PATIENCE, || {
        let answer = lab.try_kubectl(&wget).unwrap_or_else(|error| error);
        if answer.contains(words) { Ok(answer) } else { Err(answer) }
    })
}

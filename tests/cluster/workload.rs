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
///
/// A host that was without power a moment ago has pods that the API still calls ready, of its last boot: they are
/// not, soon, and then they are again, at other addresses. So everything is asked for anew until it is right.
pub fn runs(lab: &Lab) {
    for what in [
        "-n=kube-system daemonset/kube-proxy",
        "-n=kube-system deployment/coredns",
        "-n=default deployment/web",
    ] {
        let (namespace, object) = what.split_once(' ').unwrap();
        lab.kubectl(&["rollout", "status", namespace, object, "--timeout=180s"]);
    }
    eventually("kubeadm's add-ons", PATIENCE, || {
        let proxies = &lab.get(&["daemonset", "-n=kube-system", "kube-proxy"])["status"];
        let dns = &lab.get(&["deployment", "-n=kube-system", "coredns"])["status"];
        let are_ready = proxies["numberReady"] == 3 && dns["readyReplicas"] == 2;
        if are_ready { Ok(()) } else { Err(format!("{proxies:#}\n{dns:#}")) }
    });
    let pods = eventually("pods that reach each other and the API", PATIENCE, || {
        let pods = pods(lab);
        let nodes: Vec<_> = pods.iter().map(|pod| pod.node.as_str()).collect();
        if nodes != WORKERS {
            return Err(format!("one pod on each worker: {nodes:?}"));
        }
        for (from, to) in [(&pods[0], &pods[1]), (&pods[1], &pods[0])] {
            from_pod(lab, from, &format!("http://{}:8080/", to.address), &to.name)?;
            // The API server's own words to somebody who does not speak TLS.
            from_pod(lab, from, "http://10.96.0.1:443/", "400 Bad Request")?;
        }
        Ok(pods)
    });
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
        address: item["status"]["podIP"].as_str().unwrap_or_default().to_owned(),
        node: text(&item["spec"]["nodeName"]),
    };
    let mut pods: Vec<_> = list["items"].as_array().unwrap().iter().map(pod).collect();
    pods.sort_by(|one, two| one.node.cmp(&two.node));
    pods
}

/// A pod is answered with the words, be it as an error.
fn from_pod(lab: &Lab, pod: &Pod, url: &str, words: &str) -> Result<(), String> {
    let wget = ["exec", &pod.name, "--", "timeout", "5", "wget", "-qO-", url];
    let answer = lab.try_kubectl(&wget).unwrap_or_else(|error| error);
    println!("{} on {} -> {url}: {}", pod.name, pod.node, answer.trim());
    let is_right = answer.contains(words);
    if is_right { Ok(()) } else { Err(format!("{} -> {url}: {answer}", pod.name)) }
}

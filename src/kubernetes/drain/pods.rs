//! Which pods of a node a drain evicts, which stay, and which it must not touch. Pure.

use std::fmt;

use serde_json::Value;

/// The kubelet's mark on the API's picture of a static pod.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// One pod, as a drain speaks of it. Prints as `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What tells it from a later pod of the same name.
    pub uid: String,
}

impl fmt::Display for PodRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Why a pod is left where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// Its DaemonSet would put it back at once.
    DaemonSet,
    /// It is a static pod, which only its node can end.
    Mirror,
    /// It has ended.
    Finished,
}

/// What a drain makes of the pods of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sorted {
    /// To be evicted.
    pub evict: Vec<PodRef>,
    /// Being deleted already: waited for.
    pub ending: Vec<PodRef>,
    /// Left alone.
    pub kept: Vec<(PodRef, Kept)>,
    /// Nothing makes them anew elsewhere: they stand in the way unless that is wanted.
    pub blocking: Vec<PodRef>,
    /// Those of `evict` whose emptyDir volumes are lost.
    pub losing_data: Vec<PodRef>,
}

impl Sorted {
    /// Whether nothing has to go (any more).
    pub fn is_drained(&self) -> bool {
        self.evict.is_empty() && self.ending.is_empty() && self.blocking.is_empty()
    }

    /// Those that still have to go, by name.
    pub fn left(&self) -> impl Iterator<Item = &PodRef> {
        self.evict.iter().chain(&self.ending).chain(&self.blocking)
    }
}

/// Sort the pods of one node by `kubectl drain`'s rules, with emptyDir volumes given up. `force` evicts pods without a
/// controller, too.
pub fn sort(pods: &[Value], force: bool) -> Sorted {
    let mut sorted = Sorted::default();
    for pod in pods {
        let reference = reference(pod);
        match kept(pod) {
            Some(why) => sorted.kept.push((reference, why)),
            None if pod["metadata"]["deletionTimestamp"].is_string() => {
                sorted.ending.push(reference);
            }
            None if controller(pod).is_none() && !force => sorted.blocking.push(reference),
            None => {
                if has_empty_dir(pod) {
                    sorted.losing_data.push(reference.clone());
                }
                sorted.evict.push(reference);
            }
        }
    }
    sorted
}

fn reference(pod: &Value) -> PodRef {
    let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default().to_owned();
    PodRef { namespace: text("namespace"), name: text("name"), uid: text("uid") }
}

fn kept(pod: &Value) -> Option<Kept> {
    if pod["metadata"]["annotations"][MIRROR].is_string() {
        return Some(Kept::Mirror);
    }
    if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return Some(Kept::Finished);
    }
    (controller(pod) == Some("DaemonSet")).then_some(Kept::DaemonSet)
}

/// The kind of what makes the pod anew when it is gone.
fn controller(pod: &Value) -> Option<&str> {
    let owners = pod["metadata"]["ownerReferences"].as_array()?;
    owners.iter().find(|owner| owner["controller"] == true)?["kind"].as_str()
}

fn has_empty_dir(pod: &Value) -> bool {
    let volumes = pod["spec"]["volumes"].as_array();
    volumes.into_iter().flatten().any(|volume| volume["emptyDir"].is_object())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, kind: Option<&str>) -> Value {
        let owners: Vec<_> =
            kind.map(|kind| json!({"kind": kind, "controller": true})).into_iter().collect();
        json!({
            "metadata": {"namespace": "default", "name": name, "uid": format!("uid-{name}"), "ownerReferences": owners},
            "spec": {"volumes": [{"name": "token", "secret": {}}]},
            "status": {"phase": "Running"},
        })
    }

    fn with(mut pod: Value, pointer: &str, value: Value) -> Value {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[field] = value;
        pod
    }

    fn names<'a>(pods: impl IntoIterator<Item = &'a PodRef>) -> Vec<&'a str> {
        pods.into_iter().map(|pod| pod.name.as_str()).collect()
    }

    #[test]
    fn what_is_made_anew_elsewhere_goes_and_what_is_bound_to_the_node_stays() {
        let pods = [
            pod("web", Some("ReplicaSet")),
            pod("db", Some("StatefulSet")),
            pod("job", Some("Job")),
            pod("custom", Some("Widget")),
            pod("proxy", Some("DaemonSet")),
            with(pod("etcd", Some("Node")), "/metadata/annotations", json!({MIRROR: "abc"})),
            with(pod("done", None), "/status/phase", json!("Succeeded")),
        ];
        let sorted = sort(&pods, false);
        assert_eq!(names(&sorted.evict), ["web", "db", "job", "custom"]);
        let kept: Vec<_> = sorted.kept.iter().map(|(pod, why)| (pod.name.as_str(), *why)).collect();
        assert_eq!(
            kept,
            [("proxy", Kept::DaemonSet), ("etcd", Kept::Mirror), ("done", Kept::Finished)]
        );
        assert!(sorted.blocking.is_empty() && !sorted.is_drained());
        assert!(sort(&pods[4..], false).is_drained());
    }

    #[test]
    fn pods_without_a_controller_block_unless_forced() {
        let owned_without_controller =
            with(pod("owned", None), "/metadata/ownerReferences", json!([{"kind": "Widget"}]));
        let pods = [pod("bare", None), owned_without_controller];
        let sorted = sort(&pods, false);
        assert_eq!(names(&sorted.blocking), ["bare", "owned"]);
        assert!(sorted.evict.is_empty() && !sorted.is_drained());
        let forced = sort(&pods, true);
        assert_eq!(names(&forced.evict), ["bare", "owned"]);
        assert!(forced.blocking.is_empty());
    }

    #[test]
    fn pods_that_end_already_are_waited_for_and_not_evicted_again() {
        let ending =
            with(pod("bare", None), "/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"));
        let sorted = sort(&[ending], false);
        assert_eq!(names(&sorted.ending), ["bare"]);
        assert_eq!(names(sorted.left()), ["bare"]);
        assert!(!sorted.is_drained());
    }

    #[test]
    fn data_that_is_lost_is_told() {
        let scratch = with(
            pod("cache", Some("ReplicaSet")),
            "/spec/volumes",
            json!([{"name": "scratch", "emptyDir": {}}]),
        );
        let sorted = sort(&[scratch, pod("web", Some("ReplicaSet"))], false);
        assert_eq!(names(&sorted.losing_data), ["cache"]);
        assert_eq!(names(&sorted.evict), ["cache", "web"]);
    }
}

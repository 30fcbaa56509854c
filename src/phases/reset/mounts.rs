//! Mounts below the kubelet's directory: those that the kubelet makes, and those that an operator has made. Pure.
//!
//! A reset deletes that directory. Whatever somebody mounted into it by hand must not be unmounted, let alone emptied,
//! without a word.

/// Where the kubelet and its plug-ins mount, below its directory: pods' volumes, and devices for all pods.
const KUBERNETES: [&str; 2] = ["pods", "plugins"];

/// Those of these mount points, relative to the kubelet's directory, that are not Kubernetes'. The kubelet mounts only
/// below its own directories: a disk that is one of them was put there by somebody.
pub fn foreign(mounts: &[String]) -> Vec<&str> {
    let is_kubernetes = |mount: &str| {
        KUBERNETES.iter().any(|directory| {
            mount.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
        })
    };
    let mut foreign: Vec<&str> =
        mounts.iter().map(String::as_str).filter(|mount| !is_kubernetes(mount)).collect();
    foreign.sort_unstable();
    foreign.dedup();
    foreign
}

#[cfg(test)]
mod tests {
    use super::foreign;

    #[test]
    fn only_the_kubelets_own_mounts_pass() {
        let mounts = [
            "pods/1f/volumes/kubernetes.io~secret/token",
            "pods/1f/volumes/kubernetes.io~csi/data/mount",
            "plugins/kubernetes.io/csi/pv/data/globalmount",
        ];
        assert!(foreign(&mounts.map(str::to_owned)).is_empty());
        let others = ["data", "pods", "plugins", "pods-of-mine/1", "pki", "data", "images/a b"];
        assert_eq!(
            foreign(&others.map(str::to_owned)),
            ["data", "images/a b", "pki", "plugins", "pods", "pods-of-mine/1"]
        );
    }
}

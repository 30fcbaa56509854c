//! Labels, taints and annotations kubeadm gives to nodes. Talks to no API server.

use std::collections::BTreeMap;

use crate::cluster::release::Release;
use crate::inventory::Taint;

/// The annotation that older releases keep a node's runtime endpoint in.
pub const CRI_SOCKET_ANNOTATION: &str = "kubeadm.alpha.kubernetes.io/cri-socket";

/// Labels of a control-plane node.
pub fn control_plane_labels(release: &Release) -> BTreeMap<String, String> {
    let labels = release.nodes.control_plane_labels.iter();
    labels.map(|label| ((*label).to_owned(), String::new())).collect()
}

/// Taints of a control-plane node. `None` asks for the default, an empty list for no taint.
pub fn control_plane_taints(release: &Release, wanted: Option<&[Taint]>) -> Vec<Taint> {
    if let Some(taints) = wanted {
        return taints.to_vec();
    }
    let keys = release.nodes.control_plane_taints.iter();
    keys.map(|key| Taint {
        key: (*key).to_owned(),
        value: String::new(),
        effect: "NoSchedule".to_owned(),
    })
    .collect()
}

/// The taints a node ends up with: those wanted, and those it had under other keys or effects.
pub fn merge_taints(present: &[Taint], wanted: &[Taint]) -> Vec<Taint> {
    let replaced =
        |old: &Taint| wanted.iter().any(|new| new.key == old.key && new.effect == old.effect);
    wanted.iter().chain(present.iter().filter(|old| !replaced(old))).cloned().collect()
}

/// Annotations of any node whose runtime listens on `endpoint`.
pub fn annotations(release: &Release, endpoint: &str) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::new();
    if release.nodes.cri_socket_annotation {
        annotations.insert(CRI_SOCKET_ANNOTATION.to_owned(), release.runtime_endpoint(endpoint));
    }
    annotations
}

/// Taints as the kubelet's `register-with-taints` flag spells them.
pub(super) fn taints_flag(taints: &[Taint]) -> String {
    let spell = |Taint { key, value, effect }: &Taint| match value.as_str() {
        "" => format!("{key}:{effect}"),
        _ => format!("{key}={value}:{effect}"),
    };
    taints.iter().map(spell).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::spec::tests::cluster;

    fn taint(key: &str, value: &str, effect: &str) -> Taint {
        Taint { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned() }
    }

    #[test]
    fn master_gave_way_to_control_plane_in_steps() {
        let labels = |minor| {
            control_plane_labels(&cluster(minor, 0).release).into_keys().collect::<Vec<_>>()
        };
        assert_eq!(labels(20).len(), 2);
        assert_eq!(labels(23).len(), 3);
        assert_eq!(
            labels(24),
            [
                "node-role.kubernetes.io/control-plane",
                "node.kubernetes.io/exclude-from-external-load-balancers"
            ]
        );
        let taints = |minor| taints_flag(&control_plane_taints(&cluster(minor, 0).release, None));
        assert_eq!(taints(23), "node-role.kubernetes.io/master:NoSchedule");
        assert_eq!(
            taints(24),
            "node-role.kubernetes.io/master:NoSchedule,node-role.kubernetes.io/control-plane:NoSchedule"
        );
        assert_eq!(taints(25), "node-role.kubernetes.io/control-plane:NoSchedule");
    }

    #[test]
    fn an_empty_list_is_not_the_default() {
        assert_eq!(control_plane_taints(&cluster(36, 0).release, Some(&[])), []);
    }

    #[test]
    fn taints_of_others_stay() {
        let present = [taint("a", "old", "NoSchedule"), taint("b", "", "NoExecute")];
        let merged = merge_taints(&present, &[taint("a", "new", "NoSchedule")]);
        assert_eq!(merged, [taint("a", "new", "NoSchedule"), taint("b", "", "NoExecute")]);
    }

    #[test]
    fn the_annotation_ends_with_1_33() {
        let socket = "unix:///run/containerd/containerd.sock";
        let at = |minor| annotations(&cluster(minor, 0).release, socket);
        assert_eq!(at(20)[CRI_SOCKET_ANNOTATION], "/run/containerd/containerd.sock");
        assert_eq!(at(33)[CRI_SOCKET_ANNOTATION], socket);
        assert!(at(34).is_empty());
    }
}

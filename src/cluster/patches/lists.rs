//! How lists of the patched documents are merged: the patch strategies of the API types core/v1 Pod and apps/v1 Deployment.

use super::strategic::ListMerge;

/// A Pod, and whatever holds a Pod's template.
pub(super) fn pod(path: &[&str]) -> ListMerge {
    let [.., parent, name] = path else { return ListMerge::Atomic };
    let key = match (*parent, *name) {
        (
            "spec",
            "volumes"
            | "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "imagePullSecrets"
            | "schedulingGates"
            | "resourceClaims",
        ) => "name",
        ("spec", "hostAliases") => "ip",
        ("spec", "topologySpreadConstraints") => "topologyKey",
        ("containers" | "initContainers" | "ephemeralContainers", field) => match field {
            "env" => "name",
            "ports" => "containerPort",
            "volumeMounts" => "mountPath",
            "volumeDevices" => "devicePath",
            _ => return ListMerge::Atomic,
        },
        ("metadata", "ownerReferences") => "uid",
        ("metadata", "finalizers") => return ListMerge::Set,
        ("status", "conditions") => "type",
        ("status", "podIPs" | "hostIPs") => "ip",
        _ => return ListMerge::Atomic,
    };
    ListMerge::ByKey(key)
}

/// A configuration of a component, whose lists have no keys.
pub(super) fn atomic(_: &[&str]) -> ListMerge {
    ListMerge::Atomic
}

//! What the checks of an upgrade ask the cluster, through the first control plane's API. Only reads, and judges nothing.

use serde_json::Value;

use crate::cluster::Release;
use crate::kubernetes::client::Selector;
use crate::kubernetes::{ApiClient, ApiError, Kind, ObjectKey};
use crate::phases::{Context, PhaseError};
use crate::preflight::{ClusterView, ControlPlaneNode, CoreDns};

const NAMESPACE: &str = "kube-system";
const COREDNS: &str = "coredns";

/// What the cluster says, asked on its first control plane; `None` on every other host.
///
/// # Errors
/// The host was lost. An API that does not answer, or is not there, is part of the view.
pub(super) async fn view(context: &Context) -> Result<Option<ClusterView>, PhaseError> {
    let run = &context.run;
    if run.control_plane().name() != context.host().name {
        return Ok(None);
    }
    let silent = |problem: String| ClusterView { control_planes: Err(problem), coredns: Ok(None) };
    let api = match context.api().await {
        Ok(Some(api)) => api,
        Ok(None) => {
            let text = "the host has no administrator's kubeconfig: it is no control plane yet";
            return Ok(Some(silent(text.to_owned())));
        }
        Err(error) if error.unreachable() => return Err(error),
        Err(error) => return Ok(Some(silent(error.to_string()))),
    };
    let release = &run.cluster().release;
    let control_planes = match control_planes(api, release).await {
        Ok(nodes) => nodes,
        // The rest would wait for the same silence.
        Err(error) => return Ok(Some(silent(error.to_string()))),
    };
    let coredns = match run.cluster().section.dns.disabled {
        true => Ok(None),
        false => coredns(api, release).await.map_err(|error| error.to_string()),
    };
    Ok(Some(ClusterView { control_planes: Ok(control_planes), coredns }))
}

/// Nodes that carry a label of control planes of the release: up to 1.23 also the old one, as nodes of a cluster that
/// began before 1.20 may have only that.
async fn control_planes(
    api: &ApiClient,
    release: &Release,
) -> Result<Vec<ControlPlaneNode>, ApiError> {
    let labels = release.nodes.control_plane_labels.iter();
    let mut nodes: Vec<ControlPlaneNode> = Vec::new();
    for label in labels.filter(|label| label.starts_with("node-role.kubernetes.io/")) {
        let selector = format!("{label}=");
        let listed = api.list(Kind::Node, None, Selector::Labels(&selector)).await?;
        nodes.extend(listed.iter().map(control_plane));
    }
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    nodes.dedup_by(|a, b| a.name == b.name);
    Ok(nodes)
}

fn control_plane(node: &Value) -> ControlPlaneNode {
    let conditions = node["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
    ControlPlaneNode {
        name: text(&node["metadata"]["name"]).unwrap_or_default(),
        ready: ready.and_then(|condition| text(&condition["status"])),
    }
}

/// CoreDNS, or `None` when no Deployment of its name is there.
async fn coredns(api: &ApiClient, release: &Release) -> Result<Option<CoreDns>, ApiError> {
    let key = |kind| ObjectKey::namespaced(kind, NAMESPACE, COREDNS);
    let Some(deployment) = api.get(&key(Kind::Deployment)).await? else { return Ok(None) };
    let config_map = api.get(&key(Kind::ConfigMap)).await?;
    Ok(Some(CoreDns {
        image: image(&deployment),
        corefile: config_map.and_then(|config_map| text(&config_map["data"]["Corefile"])),
        target_tag: release.images.coredns.to_owned(),
    }))
}

/// Image of the Deployment's first container.
fn image(deployment: &Value) -> String {
    let image = deployment.pointer("/spec/template/spec/containers/0/image");
    image.and_then(text).unwrap_or_default()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_objects_say() {
        let node = |conditions| {
            control_plane(
                &json!({"metadata": {"name": "n1"}, "status": {"conditions": conditions}}),
            )
        };
        let pressure = json!({"type": "MemoryPressure", "status": "False"});
        let ready = json!({"type": "Ready", "status": "Unknown"});
        let expected = |ready: Option<&str>| ControlPlaneNode {
            name: "n1".into(),
            ready: ready.map(Into::into),
        };
        assert_eq!(node(json!([pressure, ready])), expected(Some("Unknown")));
        assert_eq!(node(json!([pressure])), expected(None));
        assert_eq!(node(json!("nonsense")), expected(None));

        let containers = json!([{"image": "a/coredns:1.7.0"}, {"image": "b"}]);
        let deployment = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        assert_eq!(image(&deployment), "a/coredns:1.7.0");
        assert_eq!(image(&json!({})), "");
    }
}

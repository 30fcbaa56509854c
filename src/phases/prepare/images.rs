//! Images of the host's role: imported from `[artifacts] images`, or pulled ahead of time on a control plane,
//! where kubeadm's ImagePull would.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::inventory::{LoadBalancerKind, Role};
use crate::phases::prepare::artifacts::Archive;
use crate::phases::{Context, Done, PhaseError, kubelet};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let cluster = context.run.cluster();
    let role = context.host().role;
    if !cluster.runs_containers(role) {
        return Ok(Done::NotNeeded("the host runs no containers".to_owned()));
    }
    // What kubeadm pulls, so that a node that cannot have it is told of before anything waits for it.
    let pulls = role != Role::Worker;
    let archives = context.run.artifacts().archives().await?;
    if archives.is_empty() && !pulls {
        // The kubelet pulls what it needs when it needs it.
        return Ok(Done::NotNeeded("[artifacts] names no images".to_owned()));
    }
    let node = context.node().await?;
    let socket = kubelet::runtime_endpoint(&context).await?;
    let present = node.image_names(&socket).await?;
    let kube_vip = match cluster.section.load_balancer.as_ref().map(|balancer| &balancer.kind) {
        Some(LoadBalancerKind::KubeVip { image }) => Some(image),
        _ => None,
    };
    let ours: BTreeSet<String> = cluster.images().into_iter().chain(kube_vip.cloned()).collect();
    let own_kube_vip = kube_vip.filter(|_| role == Role::ControlPlane);
    let needed: BTreeSet<String> =
        cluster.images_for(role).into_iter().chain(own_kube_vip.cloned()).collect();

    for archive in archives.iter().filter(|archive| is_wanted(archive, role, &needed, &ours)) {
        if !archive.images.is_subset(&present) || archive.images.is_empty() {
            let changes = node.import_image(&socket, &archive.path).await?;
            context.report_all(changes);
        }
    }
    if pulls {
        let offered =
            |image: &String| archives.iter().any(|archive| archive.images.contains(image));
        let missing: Vec<&str> = needed
            .iter()
            .filter(|image| !present.contains(*image) && !offered(image))
            .map(String::as_str)
            .collect();
        if !missing.is_empty() {
            let changes = node
                .pull_images(&socket, &missing)
                .await
                .map_err(|error| PhaseError::State(format!("[ERROR ImagePull] {error}")))?;
            context.report_all(changes);
        }
    }
    Ok(Done::Finished)
}

/// An archive is wanted on hosts whose role needs an image of it; one that kubeadm knows nothing of, on every node.
fn is_wanted(
    archive: &Archive,
    role: Role,
    needed: &BTreeSet<String>,
    kubeadms: &BTreeSet<String>,
) -> bool {
    !archive.images.is_disjoint(needed)
        || (role != Role::Etcd && archive.images.is_disjoint(kubeadms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_go_where_their_images_are_needed() {
        let set =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let archive = |name: &str| Archive { path: "x.tar".into(), images: set(&[name]) };
        let (needed, all) = (set(&["pause", "proxy"]), set(&["pause", "proxy", "etcd"]));
        let wanted = |role, name: &str| is_wanted(&archive(name), role, &needed, &all);
        assert!(wanted(Role::Worker, "proxy") && !wanted(Role::Worker, "etcd"));
        assert!(wanted(Role::Worker, "example.com/app") && !wanted(Role::Etcd, "example.com/app"));
    }
}

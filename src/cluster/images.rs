//! Names of the images a cluster needs, as kubeadm would name them. Pulls nothing.

use crate::cluster::spec::Cluster;
use crate::inventory::Role;

/// An image kubeadm knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Image {
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// kube-proxy.
    Proxy,
    /// CoreDNS.
    CoreDns,
    /// The sandbox container.
    Pause,
    /// etcd.
    Etcd,
}

impl Cluster {
    /// The full reference of an image.
    pub fn image(&self, image: Image) -> String {
        let kubernetes =
            |name| format!("{}/{name}:{}", self.image_repository(), self.version_tag());
        match image {
            Image::ApiServer => kubernetes("kube-apiserver"),
            Image::ControllerManager => kubernetes("kube-controller-manager"),
            Image::Scheduler => kubernetes("kube-scheduler"),
            Image::Proxy => kubernetes("kube-proxy"),
            Image::CoreDns => self.coredns_image(),
            Image::Pause => {
                format!("{}/pause:{}", self.image_repository(), self.release.images.pause)
            }
            Image::Etcd => {
                let repository = self.section.etcd.image_repository.as_deref();
                let repository = repository.unwrap_or(self.image_repository());
                format!("{repository}/etcd:{}", self.etcd_tag())
            }
        }
    }

    /// Tag of the etcd image: the operator's, or the release's.
    pub fn etcd_tag(&self) -> &str {
        self.section.etcd.image_tag.as_deref().unwrap_or(self.release.images.etcd)
    }

    fn coredns_image(&self) -> String {
        let (dns, facts) = (&self.section.dns, &self.release.images);
        let repository = dns.image_repository.as_deref().unwrap_or(self.image_repository());
        // Only the default registry keeps CoreDNS in a folder of its own; mirrors are flat.
        let folder = if facts.coredns_in_own_folder && repository == facts.repository {
            "/coredns"
        } else {
            ""
        };
        let tag = dns.image_tag.as_deref().unwrap_or(facts.coredns);
        format!("{repository}{folder}/coredns:{tag}")
    }

    /// Every image of the cluster, whatever host it runs on.
    pub fn images(&self) -> Vec<String> {
        self.in_order(|_| true)
    }

    /// What is pulled ahead of time on a host of a role, in kubeadm's order.
    pub fn images_for(&self, role: Role) -> Vec<String> {
        if !self.runs_containers(role) {
            return Vec::new();
        }
        self.in_order(|image| match role {
            Role::ControlPlane => image != Image::Etcd || self.has_stacked_etcd(),
            // CoreDNS runs wherever the scheduler puts it.
            Role::Worker => matches!(image, Image::Proxy | Image::Pause | Image::CoreDns),
            Role::Etcd => matches!(image, Image::Pause | Image::Etcd),
        })
    }

    fn in_order(&self, needed: impl Fn(Image) -> bool) -> Vec<String> {
        let coredns_first = self.release.images.coredns_listed_first;
        let order = [
            (Image::ApiServer, true),
            (Image::ControllerManager, true),
            (Image::Scheduler, true),
            (Image::Proxy, !self.section.proxy.disabled),
            (Image::CoreDns, coredns_first && !self.section.dns.disabled),
            (Image::Pause, true),
            (Image::Etcd, true),
            (Image::CoreDns, !coredns_first && !self.section.dns.disabled),
        ];
        order
            .into_iter()
            .filter(|&(image, wanted)| wanted && needed(image))
            .map(|(image, _)| self.image(image))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::spec::tests::{cluster, section_with_etcd_hosts};
    use crate::inventory::EtcdManager;

    #[test]
    fn workers_pull_only_what_runs_there() {
        let mut cluster = cluster(30, 1);
        let names = cluster.images_for(Role::Worker).join(" ");
        assert_eq!(
            names,
            "registry.k8s.io/kube-proxy:v1.30.1 registry.k8s.io/coredns/coredns:v1.11.1 registry.k8s.io/pause:3.9"
        );
        cluster.section.dns.disabled = true;
        cluster.section.proxy.disabled = true;
        assert_eq!(cluster.images_for(Role::Worker), ["registry.k8s.io/pause:3.9"]);
        let names = cluster.images_for(Role::Etcd).join(" ");
        assert_eq!(names, "registry.k8s.io/pause:3.9 registry.k8s.io/etcd:3.5.12-0");
    }

    #[test]
    fn an_external_etcd_runs_on_no_control_plane() {
        let mut section = section_with_etcd_hosts(30, 1);
        let cluster = Cluster::resolve(&section).unwrap();
        let etcd = cluster.image(Image::Etcd);
        assert!(!cluster.images_for(Role::ControlPlane).contains(&etcd));
        assert!(cluster.images_for(Role::Etcd).contains(&etcd) && cluster.images().contains(&etcd));
        section.etcd.manager = EtcdManager::Systemd;
        let cluster = Cluster::resolve(&section).unwrap();
        assert!(cluster.images_for(Role::Etcd).is_empty());
    }

    #[test]
    fn coredns_has_a_folder_only_in_the_default_registry() {
        let mut cluster = cluster(21, 0);
        assert_eq!(cluster.image(Image::CoreDns), "k8s.gcr.io/coredns/coredns:v1.8.0");
        cluster.section.image_repository = Some("mirror.example.com/k8s".to_owned());
        assert_eq!(cluster.image(Image::CoreDns), "mirror.example.com/k8s/coredns:v1.8.0");
        cluster.section.dns.image_repository = Some("other.example.com".to_owned());
        cluster.section.dns.image_tag = Some("v9".to_owned());
        assert_eq!(cluster.image(Image::CoreDns), "other.example.com/coredns:v9");
    }

    #[test]
    fn etcd_may_come_from_elsewhere() {
        let mut cluster = cluster(36, 2);
        cluster.section.etcd.image_repository = Some("other.example.com".to_owned());
        cluster.section.etcd.image_tag = Some("3.6.9-0".to_owned());
        assert_eq!(cluster.image(Image::Etcd), "other.example.com/etcd:3.6.9-0");
    }
}

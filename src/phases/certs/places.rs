//! Where the certificates of a host lie, by the names kubeadm's `certs` commands have for them. Pure.

use crate::cluster::kubeconfig::KUBELET_CLIENT_FILE;
use crate::cluster::spec::CERTIFICATES_DIRECTORY;
use crate::inventory::Role;
use crate::phases::control_plane::KUBERNETES_DIRECTORY;
use crate::pki::{AuthorityName, CERTIFICATES, Kind};

/// kubeconfigs of a control plane that hold a client certificate, but for the kubelet's.
pub const KUBECONFIGS: [&str; 4] =
    ["admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf"];
/// The kubelet's kubeconfig: its client certificate goes by this name.
pub const KUBELET: &str = "kubelet.conf";
/// The name of the certificate the kubelet serves with. kubeadm has none.
pub const KUBELET_SERVING: &str = "kubelet-server";
/// The kubelet's own serving certificate, which it signs itself.
pub const KUBELET_SELF_SIGNED: &str = "/var/lib/kubelet/pki/kubelet.crt";
/// The kubelet's serving certificate where the cluster's authority signs it (serverTLSBootstrap).
pub const KUBELET_SERVER_FILE: &str = "/var/lib/kubelet/pki/kubelet-server-current.pem";

/// A file of the host that has a certificate in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// kubeadm's name of the certificate.
    pub name: &'static str,
    /// Absolute path.
    pub path: String,
    /// The authority that is it, or signs it; `None` where that is not known beforehand.
    pub authority: Option<AuthorityName>,
    /// What the file is.
    pub form: Form,
}

/// What a certificate is wrapped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// PEM of an authority.
    Authority,
    /// PEM of a leaf.
    Leaf,
    /// A kubeconfig that has a client certificate in it, or names the file.
    Kubeconfig,
}

/// The path of an authority's or leaf's file without its extension.
pub fn pki_path(base: &str) -> String {
    format!("{CERTIFICATES_DIRECTORY}/{base}")
}

/// The path of a kubeconfig.
pub fn kubeconfig_path(name: &str) -> String {
    format!("{KUBERNETES_DIRECTORY}/{name}")
}

/// The name kubeadm's `certs` commands have for an authority or a leaf.
pub fn name_of(authority: AuthorityName) -> &'static str {
    match authority {
        AuthorityName::Kubernetes => "ca",
        AuthorityName::FrontProxy => "front-proxy-ca",
        AuthorityName::Etcd => "etcd-ca",
    }
}

/// The certificates that a control plane or an etcd host has for its components, authorities included.
pub fn of_components(role: Role) -> Vec<Place> {
    let wanted = |authority| match role {
        Role::ControlPlane => true,
        Role::Etcd => authority == AuthorityName::Etcd,
        Role::Worker => false,
    };
    let rows = CERTIFICATES.iter().filter(|spec| wanted(spec.authority));
    let mut places: Vec<Place> = rows
        .map(|spec| Place {
            name: spec.phase,
            path: format!("{}.crt", pki_path(spec.base)),
            authority: Some(spec.authority),
            form: match spec.kind {
                Kind::Authority { .. } => Form::Authority,
                Kind::Leaf { .. } => Form::Leaf,
            },
        })
        .collect();
    if role == Role::ControlPlane {
        places.extend(KUBECONFIGS.map(kubeconfig));
    }
    places
}

/// The kubelet's client certificate: its kubeconfig, which may name another file.
pub fn kubelet_client() -> Place {
    kubeconfig(KUBELET)
}

/// Where the kubelet's serving certificate may be, the likeliest to be in use first. `configured` is tlsCertFile of its
/// configuration.
pub fn kubelet_serving(configured: Option<&str>) -> Vec<Place> {
    let place = |path: &str| Place {
        name: KUBELET_SERVING,
        path: path.to_owned(),
        authority: None,
        form: Form::Leaf,
    };
    match configured {
        Some(path) => vec![place(path)],
        None => vec![place(KUBELET_SERVER_FILE), place(KUBELET_SELF_SIGNED)],
    }
}

fn kubeconfig(name: &'static str) -> Place {
    Place {
        name,
        path: kubeconfig_path(name),
        authority: Some(AuthorityName::Kubernetes),
        form: Form::Kubeconfig,
    }
}

/// Every file to look at on a host of this role, and of which authorities the keys are there.
pub fn to_read(role: Role, configured: Option<&str>) -> Vec<String> {
    let components = of_components(role).into_iter();
    let places = components.chain([kubelet_client()]).chain(kubelet_serving(configured));
    let mut paths: Vec<String> = places.map(|place| place.path).collect();
    let authorities = [AuthorityName::Kubernetes, AuthorityName::FrontProxy, AuthorityName::Etcd];
    paths.extend(authorities.map(|authority| format!("{}.key", pki_path(authority.base()))));
    // On workers, too, whose kubelets are told by it what signs them.
    paths.push(format!("{}.crt", pki_path(AuthorityName::Kubernetes.base())));
    paths.push(KUBELET_CLIENT_FILE.to_owned());
    paths.sort();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_its_own() {
        let names = |role| -> Vec<&str> { of_components(role).iter().map(|p| p.name).collect() };
        assert_eq!(names(Role::ControlPlane).len(), 14);
        assert_eq!(
            names(Role::Etcd),
            [
                "etcd-ca",
                "etcd-server",
                "etcd-peer",
                "etcd-healthcheck-client",
                "apiserver-etcd-client"
            ]
        );
        assert!(names(Role::Worker).is_empty());
        assert!(to_read(Role::Worker, None).contains(&"/etc/kubernetes/kubelet.conf".to_owned()));
        assert!(to_read(Role::Worker, Some("/x.crt")).contains(&"/x.crt".to_owned()));
    }
}

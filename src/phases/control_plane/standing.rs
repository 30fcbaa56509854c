//! Which control plane is the first one: the one whose authority and API the others build on. The inventory's order
//! decides only where the hosts leave a choice, since the host that stands first there may be the one that was lost
//! and is to be joined again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use crate::cluster::kubeconfig::KUBELET_CLIENT_FILE;
use crate::cluster::static_pods::Component;
use crate::node::RemoteFile;
use crate::phases::run::{HostState, Run};
use crate::phases::{PhaseError, kubelet};

use super::{CA_PATH, KUBERNETES_DIRECTORY};

/// How long an API server may take to accept a connection before it counts as not answering.
const ANSWER: Duration = Duration::from_secs(3);

/// How a control plane's host stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It cannot be asked, because of this.
    Unreachable(String),
    /// Nothing of a control plane is there.
    Bare,
    /// A run was cut short there: it has an authority, and no complete control plane whose kubelet is a node.
    Begun,
    /// It is a control plane, or a member of etcd.
    Member {
        /// Its authority, PEM.
        ca: Vec<u8>,
        /// Its API server accepts connections; of etcd, the member does, and the host can sign with the authority.
        answers: bool,
    },
}

/// What the hosts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Control planes.
    ControlPlane,
    /// Hosts of etcd.
    EtcdHost,
}

impl Kind {
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::ControlPlane => ("control plane", "control planes", "ca.crt"),
            Self::EtcdHost => ("host of etcd", "hosts of etcd", "etcd/ca.crt"),
        }
    }
}

/// The host to begin with, by its place among `hosts`, which are named for messages.
///
/// # Errors
/// What keeps the question open, in words for people.
pub fn choose(kind: Kind, hosts: &[(&str, Standing)]) -> Result<usize, String> {
    let (one, many, authority) = kind.words();
    let mut members =
        hosts.iter().enumerate().filter_map(|(index, (name, standing))| match standing {
            Standing::Member { ca, answers } => Some((index, *name, ca, *answers)),
            _ => None,
        });
    if let Some(first) = members.next() {
        let others: Vec<_> = members.collect();
        if let Some(other) =
            others.iter().find(|other| other.2.trim_ascii() != first.2.trim_ascii())
        {
            return Err(format!(
                "{} and {} are {many} of different clusters (their {authority} differ); reset the one that does \
                 not belong here, or take it out of the inventory",
                first.1, other.1
            ));
        }
        let answering = std::iter::once(first).chain(others).find(|member| member.3);
        return Ok(answering.unwrap_or(first).0);
    }
    let silent = hosts.iter().find_map(|(name, standing)| match standing {
        Standing::Unreachable(error) => Some((*name, error)),
        _ => None,
    });
    if let Some((name, error)) = silent {
        // It may well be the one that holds the cluster: a second cluster must not be made beside it.
        return Err(format!(
            "no {one} that can be reached holds the cluster, and {name} cannot be asked: {error}; bring it \
             back, or take it out of the inventory if it is gone for good"
        ));
    }
    Ok(hosts.iter().position(|(_, standing)| *standing == Standing::Begun).unwrap_or(0))
}

/// Ask all control planes how they stand, and choose.
pub(super) async fn first(
    hosts: &[Arc<HostState>],
    run: &Run,
) -> Result<Arc<HostState>, PhaseError> {
    let [only] = hosts else {
        if hosts.is_empty() {
            let text = "the inventory has no host of role control-plane, so there is no cluster to work on";
            return Err(PhaseError::Local(text.to_owned()));
        }
        let standings = join_all(hosts.iter().map(|state| look(state, run))).await;
        let named: Vec<(&str, Standing)> =
            hosts.iter().map(|state| state.host.name.as_str()).zip(standings).collect();
        return match choose(Kind::ControlPlane, &named) {
            Ok(index) => Ok(hosts[index].clone()),
            Err(reason) => Err(PhaseError::State(reason)),
        };
    };
    Ok(only.clone())
}

async fn look(state: &HostState, run: &Run) -> Standing {
    match examine(state, run).await {
        Ok(standing) => standing,
        Err(error) => Standing::Unreachable(error.to_string()),
    }
}

async fn examine(state: &HostState, run: &Run) -> Result<Standing, PhaseError> {
    let admin = format!("{KUBERNETES_DIRECTORY}/admin.conf");
    let api_server = Component::KubeApiserver.manifest_path();
    let mut needed = vec![admin.as_str(), CA_PATH, api_server.as_str()];
    let etcd = Component::Etcd.manifest_path();
    if run.cluster().has_stacked_etcd() {
        needed.push(&etcd);
    }
    let wanted = [needed.as_slice(), &[kubelet::CONFIG, KUBELET_CLIENT_FILE]].concat();
    let mut files: BTreeMap<String, RemoteFile> = run.node(state).await?.read(&wanted).await?;
    let complete = needed.iter().all(|path| files.contains_key(*path));
    if !complete || !kubelet::credentials_among(&files) {
        return Ok(if files.contains_key(CA_PATH) { Standing::Begun } else { Standing::Bare });
    }
    let ca = files.remove(CA_PATH).map(|file| file.content.to_vec()).unwrap_or_default();
    let address = run.advertise_address(state).await?.to_string();
    let port = run.cluster().section.api_server.bind_port;
    let connection = run.link(&state.host).connection().await?;
    let opened = tokio::time::timeout(ANSWER, connection.tunnel(&address, port)).await;
    Ok(Standing::Member { ca, answers: matches!(opened, Ok(Ok(_))) })
}

#[cfg(test)]
mod tests {
    use super::{Kind, Standing};

    fn choose(hosts: &[(&str, Standing)]) -> Result<usize, String> {
        super::choose(Kind::ControlPlane, hosts)
    }

    fn member(ca: &str, answers: bool) -> Standing {
        Standing::Member { ca: ca.as_bytes().to_vec(), answers }
    }

    fn silent() -> Standing {
        Standing::Unreachable("no route".to_owned())
    }

    #[test]
    fn a_member_that_answers_comes_first_wherever_it_stands() {
        let hosts = [("a", Standing::Bare), ("b", member("x", false)), ("c", member("x", true))];
        assert_eq!(choose(&hosts), Ok(2));
        assert_eq!(choose(&hosts[..2]), Ok(1));
        assert_eq!(choose(&[("a", silent()), ("b", member("x", false))]), Ok(1));
    }

    #[test]
    fn a_fresh_cluster_begins_where_a_run_was_cut_short_or_else_in_order() {
        assert_eq!(choose(&[("a", Standing::Bare), ("b", Standing::Begun)]), Ok(1));
        assert_eq!(choose(&[("a", Standing::Bare), ("b", Standing::Bare)]), Ok(0));
    }

    #[test]
    fn no_second_cluster_is_made_beside_one_that_cannot_be_seen() {
        let error = choose(&[("a", silent()), ("b", Standing::Bare)]).unwrap_err();
        assert!(error.contains("a cannot be asked: no route"), "{error}");
        let error = choose(&[("a", silent()), ("b", Standing::Begun)]).unwrap_err();
        assert!(error.contains("a cannot be asked"), "{error}");
    }

    #[test]
    fn two_clusters_are_told_apart() {
        let hosts = [("a", member("x", true)), ("b", member("y", true))];
        let error = choose(&hosts).unwrap_err();
        assert!(error.contains("a and b are control planes"), "{error}");
        let error = super::choose(Kind::EtcdHost, &hosts).unwrap_err();
        assert!(error.contains("hosts of etcd") && error.contains("etcd/ca.crt"), "{error}");
    }
}

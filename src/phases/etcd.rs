//! etcd as phases reach it: members that run on control planes or on hosts of their own, asked through the SSH
//! connections of their hosts.

pub mod member;
pub mod membership;

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::cluster::patches::PatchError;
use crate::cluster::spec::ETCD_CLIENT_PORT;
use crate::cluster::static_pods::etcd::{self, InitialCluster};
use crate::cluster::static_pods::{self, Component};
use crate::cluster::{Cluster, ControlPlaneNode};
use crate::etcd::{EtcdClient, Member, Members, quorum};
use crate::kubernetes::{Credentials, Dial};

use super::control_plane::{any_of, through};
use super::{Context, PhaseError, Run};

/// A name that every member's certificate has, whatever its address.
pub(super) const SERVER_NAME: &str = "localhost";

/// A client of a member that has a say: of whichever answers first, the first host's foremost.
///
/// # Errors
/// The first host of etcd cannot be reached, or has no certificates for etcd.
pub async fn any_member(run: &Arc<Run>) -> Result<EtcdClient, PhaseError> {
    let Some(hosts) = run.etcd_hosts() else {
        return of_control_planes(run).await;
    };
    if let Some((_, client)) = voter(run, hosts.dials(run).await?).await? {
        return Ok(client);
    }
    let (dial, address) = hosts.dial_first(run).await?;
    client(run, dial, &address).await
}

/// The same where etcd runs on control planes. The others' members stand in for the one that is gone later.
async fn of_control_planes(run: &Arc<Run>) -> Result<EtcdClient, PhaseError> {
    let mut addresses = run.control_plane().addresses(run).await?;
    // Of one there is nothing to choose.
    if addresses.len() > 1 {
        let members = addresses.iter().cloned();
        let members = members.map(|(link, address)| (through(link), address.to_string()));
        if let Some((place, _)) = voter(run, members).await? {
            addresses.swap(0, place);
        }
    }
    client(run, any_of(addresses, ETCD_CLIENT_PORT), run.control_plane().name()).await
}

/// The first of these members that answers and votes, after its place among them. A learner answers no question about the
/// others, and any host may be one that was cut short on its way in; one that hangs accepts connections all the same.
async fn voter(
    run: &Arc<Run>,
    members: impl IntoIterator<Item = (Arc<dyn Dial>, String)>,
) -> Result<Option<(usize, EtcdClient)>, PhaseError> {
    for (place, (dial, address)) in members.into_iter().enumerate() {
        let client = client(run, dial, &address).await?;
        if client.status().await.is_ok_and(|status| !status.is_learner) {
            return Ok(Some((place, client)));
        }
    }
    Ok(None)
}

/// A client of this host's own member.
///
/// # Errors
/// As [`any_member`], and the host cannot be reached.
pub async fn own_member(context: &Context) -> Result<EtcdClient, PhaseError> {
    let address = context.advertise_address().await?;
    client(&context.run, context.dial().await?, &address.to_string()).await
}

/// A client of a member, reached from the first host of etcd under the address it gives to clients.
///
/// # Errors
/// As [`any_member`].
pub async fn member(run: &Arc<Run>, member: &Member) -> Result<Option<EtcdClient>, PhaseError> {
    let Some(address) = client_address(member) else { return Ok(None) };
    let dial = match run.etcd_hosts() {
        None => run.control_plane().dial_from_first(run).await?,
        Some(hosts) => hosts.dial_first(run).await?.0,
    };
    client(run, dial, &address.to_string()).await.map(Some)
}

/// Clients of the members that vote, as far as they can be had.
pub(super) async fn voters(run: &Arc<Run>, members: &Members) -> Vec<EtcdClient> {
    let clients = members.voters().map(|voter| member(run, voter));
    futures::future::join_all(clients).await.into_iter().filter_map(|client| client.ok()?).collect()
}

async fn client(run: &Arc<Run>, dial: Arc<dyn Dial>, host: &str) -> Result<EtcdClient, PhaseError> {
    let credentials = credentials(run).await?;
    Ok(EtcdClient::new(dial, host, ETCD_CLIENT_PORT, SERVER_NAME, &credentials)?)
}

/// kubeadm, too, asks as etcd's health check.
async fn credentials(run: &Arc<Run>) -> Result<Credentials, PhaseError> {
    let (pki, host) = match run.etcd_hosts() {
        None => (run.control_plane().pki(run).await?, run.control_plane().name()),
        Some(hosts) => (hosts.pki(run).await?, hosts.name()),
    };
    let file = |name: &str| {
        pki.file(name).map(|file| file.content.clone()).ok_or_else(|| {
            PhaseError::State(format!("/etc/kubernetes/pki/{name} is missing on {host}"))
        })
    };
    Ok(Credentials {
        ca: file("etcd/ca.crt")?.to_vec(),
        certificate: file("etcd/healthcheck-client.crt")?.to_vec(),
        key: file("etcd/healthcheck-client.key")?,
    })
}

/// Where clients reach a member; `None` where it has never started.
pub(super) fn client_address(member: &Member) -> Option<IpAddr> {
    member.client_urls.iter().find_map(|url| address_of(url))
}

pub(super) fn address_of(url: &str) -> Option<IpAddr> {
    let (_, rest) = url.split_once("://")?;
    let (host, _) = rest.trim_end_matches('/').rsplit_once(':')?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// How many of the voting members answer, of how many; and what the others said.
///
/// # Errors
/// As [`any_member`].
pub async fn healthy(run: &Arc<Run>, members: &Members) -> Result<Health, PhaseError> {
    let asked = members.voters().map(|voter| async move {
        let name = voter.display_name();
        match member(run, voter).await? {
            None => Ok((name, Some("it has not started yet".to_owned()))),
            Some(client) => {
                let problem = client.check_health().await.err().map(|error| error.to_string());
                Ok::<_, PhaseError>((name, problem))
            }
        }
    });
    Ok(Health(futures::future::try_join_all(asked).await?))
}

/// By voting member: what is the matter with it, if anything.
pub struct Health(Vec<(String, Option<String>)>);

impl Health {
    /// Voting members.
    pub fn voters(&self) -> usize {
        self.0.len()
    }

    /// Voting members that answer.
    pub fn healthy(&self) -> usize {
        self.0.iter().filter(|(_, problem)| problem.is_none()).count()
    }

    /// Whether the others go on while this member is away for a moment. One or two members cannot but stop.
    pub fn can_spare(&self, member: &str) -> bool {
        let others = self.0.iter().filter(|(name, problem)| name != member && problem.is_none());
        self.voters() < 3 || others.count() >= quorum(self.voters())
    }

    /// What the others said, in one line.
    pub fn problems(&self) -> String {
        let problems = self
            .0
            .iter()
            .filter_map(|(name, problem)| Some(format!("{name}: {}", problem.as_ref()?)));
        problems.collect::<Vec<_>>().join("; ")
    }
}

/// The static pod of a member, with the operator's patches.
///
/// # Errors
/// The patches do not fit.
pub fn pod(
    cluster: &Cluster,
    node: &ControlPlaneNode,
    initial: &InitialCluster,
) -> Result<Pod, PatchError> {
    static_pods::patched(cluster, Component::Etcd, etcd::manifest(cluster, node, initial))
}

#[cfg(test)]
mod tests {
    use super::{Health, address_of};

    #[test]
    fn client_urls_have_addresses() {
        assert_eq!(address_of("https://10.0.0.1:2379").unwrap().to_string(), "10.0.0.1");
        assert_eq!(address_of("https://[fd00::1]:2379/").unwrap().to_string(), "fd00::1");
        assert_eq!(address_of("https://name:2379"), None);
        assert_eq!(address_of("rubbish"), None);
    }

    #[test]
    fn a_member_is_spared_while_the_others_are_a_quorum() {
        let health = |ill: &[&str], all: &[&str]| {
            let problem = |name: &&str| ill.contains(name).then(|| "silent".to_owned());
            Health(all.iter().map(|name| ((*name).to_owned(), problem(name))).collect())
        };
        assert!(health(&[], &["a", "b", "c"]).can_spare("a"));
        assert!(health(&["a"], &["a", "b", "c"]).can_spare("a"));
        assert!(!health(&["b"], &["a", "b", "c"]).can_spare("a"));
        assert!(health(&[], &["a"]).can_spare("a") && health(&[], &["a", "b"]).can_spare("b"));
    }
}

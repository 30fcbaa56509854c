//! etcd as a reset and `status` reach it: through the host of one member, every member asked by itself.

use std::net::IpAddr;
use std::sync::Arc;

use futures::future::join_all;

use crate::cluster::spec::ETCD_CLIENT_PORT;
use crate::etcd::{EtcdClient, EtcdError, Member, MemberId, Members, in_turn};
use crate::inventory::Role;
use crate::kubernetes::{Credentials, Dial};
use crate::phases::etcd::member::poll;
use crate::phases::etcd::membership::settle;
use crate::phases::etcd::{SERVER_NAME, address_of, client_address};
use crate::phases::run::{HostState, Run};
use crate::phases::{Context, PhaseError, control_plane};

use super::departure::MemberView;

/// kubeadm, too, asks as etcd's health check.
const FILES: [&str; 3] = [
    "/etc/kubernetes/pki/etcd/ca.crt",
    "/etc/kubernetes/pki/etcd/healthcheck-client.crt",
    "/etc/kubernetes/pki/etcd/healthcheck-client.key",
];

/// The way to etcd through one host.
pub struct Etcd {
    dial: Arc<dyn Dial>,
    credentials: Credentials,
    /// The host's own member.
    address: String,
}

impl Etcd {
    /// Through the host of `state`, a control plane or a host of etcd; `None` where no member is there.
    ///
    /// # Errors
    /// The host cannot be reached.
    pub async fn through(run: &Run, state: &HostState) -> Result<Option<Self>, PhaseError> {
        if state.host.role == Role::ControlPlane && !run.cluster().has_stacked_etcd() {
            return Ok(None);
        }
        let mut files = run.node(state).await?.read(&FILES).await?;
        let mut take = |path: &str| files.remove(path).map(|file| file.content);
        let [Some(ca), Some(certificate), Some(key)] = FILES.map(&mut take) else {
            return Ok(None);
        };
        Ok(Some(Self {
            dial: control_plane::through(run.link(&state.host)),
            credentials: Credentials { ca: ca.to_vec(), certificate: certificate.to_vec(), key },
            address: run.advertise_address(state).await?.to_string(),
        }))
    }

    fn client(&self, host: &str) -> Result<EtcdClient, EtcdError> {
        let dial = self.dial.clone();
        EtcdClient::new(dial, host, ETCD_CLIENT_PORT, SERVER_NAME, &self.credentials)
    }

    /// A client of a member; `None` where it has never started.
    fn client_of(&self, member: &Member) -> Option<EtcdClient> {
        self.client(&client_address(member)?.to_string()).ok()
    }

    /// Every member, and whether it is well.
    ///
    /// # Errors
    /// etcd does not answer, for example because it has no quorum.
    pub async fn members(&self) -> Result<Vec<MemberView>, PhaseError> {
        Ok(self.views(&self.client(&self.address)?.members().await?).await)
    }

    /// The same as the host's own member knows it, whether or not a quorum agrees: for looking only.
    ///
    /// # Errors
    /// The host's own member does not answer.
    pub async fn known_members(&self) -> Result<Vec<MemberView>, PhaseError> {
        Ok(self.views(&self.client(&self.address)?.known_members().await?).await)
    }

    async fn views(&self, members: &Members) -> Vec<MemberView> {
        let asked = members.0.iter().map(async |member| view(member, self.leader(member).await));
        join_all(asked).await
    }

    /// The leader that a member sees; `None` where it sees none or does not answer, and is not well.
    async fn leader(&self, member: &Member) -> Option<MemberId> {
        let status = self.client_of(member)?.status().await.ok()?;
        Some(status.leader).filter(|leader| *leader != MemberId(0))
    }

    /// Take a member out. etcd refuses as long as a member that has just begun again does not count as well, which takes
    /// some seconds.
    ///
    /// # Errors
    /// etcd refuses or does not answer.
    pub async fn remove(&self, context: &Context, id: u64) -> Result<(), PhaseError> {
        let client = self.client(&self.address)?;
        let id = MemberId(id);
        let action = format!("remove etcd member {id}");
        let removed = poll(context).until(&context.run.options().cancel, &action, || async {
            let change = async |client: EtcdClient| client.remove(id).await;
            settle(in_turn(client.clone(), || self.staying(&client, id), change).await)
        });
        Ok(removed.await??)
    }

    /// The members that `client` knows but the one that leaves: how well it sees the others says nothing of how well they
    /// see each other.
    async fn staying(&self, client: &EtcdClient, leaving: MemberId) -> Vec<EtcdClient> {
        let Ok(members) = client.members().await else { return Vec::new() };
        let staying = members.voters().filter(|member| member.id != leaving);
        staying.filter_map(|member| self.client_of(member)).collect()
    }
}

fn view(member: &Member, leader: Option<MemberId>) -> MemberView {
    let addresses = member.peer_urls.iter().filter_map(|url| address_of(url));
    MemberView {
        id: member.id.0,
        name: member.name.clone(),
        addresses: addresses.map(|address: IpAddr| address.to_string()).collect(),
        votes: !member.is_learner,
        healthy: leader.is_some(),
        leads: leader == Some(member.id),
    }
}

//! The cluster, asked through the first control plane that answers, and etcd through the first member that does.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use serde_json::Value;

use crate::inventory::Role;
use crate::kubernetes::nodes;
use crate::phases::Run;
use crate::phases::reset::cluster;
use crate::phases::reset::departure::{MemberView, View};

use super::Looking;
use super::look::{self, Look, Looked};

/// What the cluster says.
pub struct ClusterSeen {
    /// Its API.
    pub api: ApiSeen,
    /// Its etcd.
    pub etcd: EtcdSeen,
    /// The hosts of the inventory, the Nodes and the members of etcd, each as far as they are known.
    pub view: View,
}

/// What API servers say.
pub enum ApiSeen {
    /// There are none: no control plane has been set up.
    Absent,
    /// None answers.
    Silent {
        /// What each said, in one line.
        reason: String,
        /// A control plane could not be reached.
        unreachable: bool,
    },
    /// One answers.
    Answers {
        /// The control plane it is on.
        through: String,
        /// Every Node.
        nodes: Vec<Value>,
        /// Whether one answers at the control plane's endpoint, too, or why not; `None` without an endpoint.
        endpoint: Option<Result<(), String>>,
    },
}

/// What etcd says.
pub enum EtcdSeen {
    /// There is none that could be asked, or it is somebody else's.
    NotAsked,
    /// No member answers, because of this.
    Silent(String),
    /// A member answers; the members are in the view.
    Answers {
        /// A quorum agrees on who is a member.
        agreed: bool,
    },
}

/// Ask. Hosts that are down keep nobody waiting while another one answers.
pub(super) async fn ask(run: &Arc<Run>, hosts: &HashMap<String, Looking>) -> ClusterSeen {
    let (api, (etcd, members)) = tokio::join!(ask_api(run, hosts), ask_etcd(run, hosts));
    let nodes = match &api {
        ApiSeen::Answers { nodes, .. } => nodes.as_slice(),
        ApiSeen::Absent | ApiSeen::Silent { .. } => &[],
    };
    // Nobody leaves.
    let view = cluster::view(run, &BTreeSet::new(), nodes).with_members(members);
    ClusterSeen { api, etcd, view }
}

/// The hosts of this role, as they have been looked at.
fn of_role(
    run: &Run,
    hosts: &HashMap<String, Looking>,
    role: Role,
) -> FuturesUnordered<impl Future<Output = (String, Arc<Looked>)>> {
    let wanted = run.hosts().into_iter().filter(|host| host.role == role);
    let looking = wanted.filter_map(|host| Some((host.name.clone(), hosts.get(&host.name)?)));
    looking.map(|(name, looking)| looking.clone().map(|looked| (name, looked))).collect()
}

async fn ask_api(run: &Run, hosts: &HashMap<String, Looking>) -> ApiSeen {
    let mut looked = of_role(run, hosts, Role::ControlPlane);
    let (mut problems, mut anybody_unreachable) = (Vec::new(), false);
    while let Some((name, looked)) = looked.next().await {
        if let Look::Failed { reason, unreachable } = &looked.look {
            problems.push(format!("{name}: {reason}"));
            anybody_unreachable |= unreachable;
        }
        let Some(api) = &looked.api else { continue };
        let endpoint = async { Some(look::ready(looked.endpoint.as_ref()?).await) };
        match tokio::join!(nodes::list(api), endpoint) {
            (Ok(nodes), endpoint) => return ApiSeen::Answers { through: name, nodes, endpoint },
            (Err(error), _) => problems.push(format!("{name}: {error}")),
        }
    }
    match problems.is_empty() {
        true => ApiSeen::Absent,
        false => ApiSeen::Silent { reason: problems.join("; "), unreachable: anybody_unreachable },
    }
}

async fn ask_etcd(run: &Run, hosts: &HashMap<String, Looking>) -> (EtcdSeen, Vec<MemberView>) {
    let role = if run.etcd_hosts().is_some() { Role::Etcd } else { Role::ControlPlane };
    let mut looked = of_role(run, hosts, role);
    let mut problems = Vec::new();
    let mut known = None;
    while let Some((name, looked)) = looked.next().await {
        let Some(etcd) = &looked.etcd else { continue };
        match etcd.members().await {
            Ok(members) => return (EtcdSeen::Answers { agreed: true }, members),
            Err(error) => problems.push(format!("{name}: {error}")),
        }
        // Whom the others would agree with may still come.
        if known.is_none() {
            known = etcd.known_members().await.ok();
        }
    }
    match (known, problems.is_empty()) {
        (Some(members), _) => (EtcdSeen::Answers { agreed: false }, members),
        (None, true) => (EtcdSeen::NotAsked, Vec::new()),
        (None, false) => (EtcdSeen::Silent(problems.join("; ")), Vec::new()),
    }
}

//! Which host of etcd is the first one: the one whose authority the others build on, and beside which no second cluster is
//! made. It is chosen as the first control plane is.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use crate::cluster::spec::{ETCD_CA_FILE, ETCD_CLIENT_PORT};
use crate::node::facts::PathState;
use crate::phases::PhaseError;
use crate::phases::control_plane::standing::{Kind, Standing, choose};
use crate::phases::run::{HostState, Run};

/// How long a member may take to accept a connection before it counts as not answering.
const ANSWER: Duration = Duration::from_secs(3);
const CA_KEY_FILE: &str = "/etc/kubernetes/pki/etcd/ca.key";

/// Ask all hosts of etcd how they stand, and choose.
pub(super) async fn first(
    hosts: &[Arc<HostState>],
    run: &Run,
) -> Result<Arc<HostState>, PhaseError> {
    let standings = join_all(hosts.iter().map(|state| look(state, run))).await;
    let named: Vec<(&str, Standing)> =
        hosts.iter().map(|state| state.host.name.as_str()).zip(standings).collect();
    match choose(Kind::EtcdHost, &named).map(|index| hosts.get(index)) {
        Ok(Some(first)) => Ok(first.clone()),
        Ok(None) => Err(PhaseError::Local("the inventory has no host of role etcd".to_owned())),
        Err(reason) => Err(PhaseError::State(reason)),
    }
}

async fn look(state: &HostState, run: &Run) -> Standing {
    match examine(state, run).await {
        Ok(standing) => standing,
        Err(error) => Standing::Unreachable(error.to_string()),
    }
}

async fn examine(state: &HostState, run: &Run) -> Result<Standing, PhaseError> {
    let mut files = run.node(state).await?.read(&[ETCD_CA_FILE, CA_KEY_FILE]).await?;
    let Some(ca) = files.remove(ETCD_CA_FILE) else { return Ok(Standing::Bare) };
    let directory = &run.cluster().section.etcd.data_dir;
    if run.facts(state).await?.paths.get(directory) != Some(&PathState::Directory) {
        return Ok(Standing::Begun);
    }
    // Who cannot sign is no help to those that join.
    let signs = files.contains_key(CA_KEY_FILE);
    let address = run.advertise_address(state).await?.to_string();
    let connection = run.link(&state.host).connection().await?;
    let opened = tokio::time::timeout(ANSWER, connection.tunnel(&address, ETCD_CLIENT_PORT)).await;
    let answers = signs && matches!(opened, Ok(Ok(_)));
    Ok(Standing::Member { ca: ca.content.to_vec(), answers })
}

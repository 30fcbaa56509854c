//! `update-cluster-status`: releases until 1.21 keep a list of API servers in kubeadm-config, which this one leaves.

use std::sync::Arc;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::cluster::YamlError;
use crate::cluster::kubeadm_config::{CLUSTER_STATUS_KEY, ClusterStatus};
use crate::kubernetes::objects::upload_config::kubeadm_config_key;
use crate::kubernetes::{ApiClient, ApiError, Poll};
use crate::phases::{Context, Done, PhaseError};

use super::cluster::{self, Standing};

/// How long somebody else's changes to the ConfigMap are given way to.
const PATIENCE: Poll = Poll::for_at_most(std::time::Duration::from_secs(15));

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    if !context.run.cluster().release.config.cluster_status {
        return Ok(Done::NotNeeded("only releases until 1.21 have a ClusterStatus".to_owned()));
    }
    let living = match cluster::standing(&context).await {
        Standing::Living(living) if !living.view.ends() => living,
        _ => return Ok(Done::NotNeeded("no control plane stays".to_owned())),
    };
    if leave(&living.api, &context.host().name, context.dry_run()).await? {
        context.changed(format!("remove {} from the ClusterStatus", context.host().name));
    }
    Ok(Done::Finished)
}

/// Take a control plane off the list; `false` when it is not on it.
async fn leave(api: &ApiClient, name: &str, dry_run: bool) -> Result<bool, PhaseError> {
    let key = kubeadm_config_key();
    let start = Instant::now();
    loop {
        let Some(mut config_map) = api.get(&key).await? else { return Ok(false) };
        let Some(text) = config_map["data"][CLUSTER_STATUS_KEY].as_str() else { return Ok(false) };
        let Some(without) = without(text, name)? else { return Ok(false) };
        if dry_run {
            return Ok(true);
        }
        config_map["data"][CLUSTER_STATUS_KEY] = Value::from(without);
        match api.replace(&key, &config_map).await {
            Ok(_) => return Ok(true),
            Err(error) if is_conflict(&error) && start.elapsed() < PATIENCE.timeout => {}
            Err(error) => return Err(error.into()),
        }
        sleep(PATIENCE.interval).await;
    }
}

fn is_conflict(error: &ApiError) -> bool {
    error.status() == Some(409)
}

/// The document without the entry; `None` where it has none.
fn without(text: &str, name: &str) -> Result<Option<String>, YamlError> {
    let mut status = ClusterStatus::from_yaml(text)?;
    match status.api_endpoints.remove(name) {
        Some(_) => status.to_yaml().map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn only_the_one_that_leaves_goes() {
        let text = "apiEndpoints:\n  cp-1:\n    advertiseAddress: 10.0.0.1\n    bindPort: 6443\n  \
            cp-2:\n    advertiseAddress: 10.0.0.2\n    bindPort: 6443\n\
            apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterStatus\n";
        insta::assert_snapshot!(without(text, "cp-1").unwrap().unwrap(), @r"
        apiEndpoints:
          cp-2:
            advertiseAddress: 10.0.0.2
            bindPort: 6443
        apiVersion: kubeadm.k8s.io/v1beta2
        kind: ClusterStatus
        ");
        assert_eq!(without(text, "cp-3").unwrap(), None);
        assert!(without("apiEndpoints: [", "cp-1").is_err());
    }
}

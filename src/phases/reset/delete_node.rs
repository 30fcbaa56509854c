//! Deleting the worker's Node, while the API server is still there to be told.

use std::sync::Arc;

use crate::kubernetes::{Timing, nodes};
use crate::phases::{Context, Done, PhaseError};

/// Run the phase. A cluster that does not answer is no reason to keep a host from being reset.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let name = &context.host().name;
    let api = match context.api().await {
        Ok(Some(api)) => {
            api.with_timing(Timing { total: SHORT, request: SHORT, ..Timing::default() })
        }
        Ok(None) => return Ok(Done::NotNeeded("there is no control plane".to_owned())),
        Err(error) => {
            context.warn(format!("Node {name} is not deleted: {error}"));
            return Ok(Done::Finished);
        }
    };
    let deleted = match context.dry_run() {
        true => nodes::get(&api, name).await.map(|node| node.is_some()),
        false => nodes::delete(&api, name).await,
    };
    match deleted {
        Ok(true) => context.changed(format!("delete Node {name}")),
        Ok(false) => {}
        Err(error) => context.warn(format!("Node {name} is not deleted: {error}")),
    }
    Ok(Done::Finished)
}

/// How long a cluster that is going away is asked.
const SHORT: std::time::Duration = std::time::Duration::from_secs(10);

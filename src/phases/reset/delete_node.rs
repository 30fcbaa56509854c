//! `delete-node`: deleting the Node of a host that is reset, through a control plane that stays.

use std::sync::Arc;

use crate::kubernetes::nodes;
use crate::phases::{Context, Done, PhaseError};

use super::cluster::{self, Standing};

/// Run the phase. A cluster that does not answer is told about: the host is bare by now.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let name = &context.host().name;
    let living = match cluster::standing(&context).await {
        Standing::Absent => return Ok(Done::NotNeeded("there is no cluster".to_owned())),
        Standing::Silent(why) => {
            context
                .warn(format!("Node {name} is not deleted: the cluster does not answer ({why})"));
            return Ok(Done::Finished);
        }
        Standing::Living(living) if living.view.ends() => {
            return Ok(Done::NotNeeded("no control plane stays".to_owned()));
        }
        Standing::Living(living) => living,
    };
    let deleted = match context.dry_run() {
        true => nodes::get(&living.api, name).await?.is_some(),
        false => nodes::delete(&living.api, name).await?,
    };
    if deleted {
        context.changed(format!("delete Node {name}"));
    }
    Ok(Done::Finished)
}

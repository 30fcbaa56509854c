//! `[[manifests]]`: the operator's own objects, by server-side apply.

use std::sync::Arc;

use crate::kubernetes::manifests;
use crate::phases::{Context, Done, PhaseError};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let paths = &context.run.inventory().manifests;
    if paths.is_empty() {
        return Ok(Done::NotNeeded("the inventory has no [[manifests]]".to_owned()));
    }
    // All files are read before any object is applied: a mistake in the last leaves nothing half done.
    let mut documents = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let text = tokio::fs::read_to_string(path)
            .await
            .map_err(|error| PhaseError::Local(format!("manifest {name}: {error}")))?;
        documents.extend(manifests::parse(&name, &text)?);
    }
    let changes = match (context.api().await?, context.dry_run()) {
        (Some(api), false) => manifests::apply(api, &documents).await?,
        (api, _) => manifests::preview(api, &documents).await?,
    };
    context.report_applied(changes);
    Ok(Done::Finished)
}

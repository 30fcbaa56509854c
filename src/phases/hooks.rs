//! The operator's hooks: local scripts run as root on a host before or after a phase.
//!
//! A hook runs every time its phase does, so that a run that was cut short is finished by the next one; it is
//! the script's part to change nothing that is as it should be. What it does is not counted as a change.

use crate::inventory::HookWhen;
use crate::node::Exit;
use crate::report::Event;

use super::{Context, PhaseError};

/// Run the hooks that come before this phase.
pub async fn before(context: &Context) -> Result<(), PhaseError> {
    run(context, HookWhen::Before).await
}

/// Run the hooks that come after this phase.
pub async fn after(context: &Context) -> Result<(), PhaseError> {
    run(context, HookWhen::After).await
}

async fn run(context: &Context, when: HookWhen) -> Result<(), PhaseError> {
    for hook in &context.run.inventory().hooks {
        let concerned = hook.when == when
            && hook.phase == context.phase()
            && hook.hosts.contains(&context.host().name);
        if !concerned {
            continue;
        }
        let name = hook.script.display();
        let script = tokio::fs::read(&hook.script)
            .await
            .map_err(|error| PhaseError::Local(format!("hook {name}: {error}")))?;
        let Some(output) = context.node().await?.run_script(script).await? else {
            context.run.reporter().emit(Event::Changed {
                host: context.host().name.clone(),
                phase: context.phase().to_owned(),
                what: format!("run hook {name}"),
                detail: None,
                dry_run: true,
            });
            continue;
        };
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            context.note(format!("hook {name}: {line}"));
        }
        if output.exit != Exit::Status(0) {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let last = stderr.lines().last().unwrap_or_default();
            return Err(PhaseError::State(format!("hook {name}: {}: {last}", output.exit)));
        }
    }
    Ok(())
}

//! A review as one JSON object, for programs.

use serde_json::{Value, json};

use super::{Fate, Review};
use crate::report::{json, timings};

impl Review {
    /// Kind `report`: the runs, the exit status, every host, the critical path and what each phase took.
    pub fn to_json(&self) -> Value {
        let runs = self.runs.iter().map(|run| {
            json!({
                "id": run.id,
                "command": run.command,
                "inventory": run.inventory,
                "limit": run.limit,
                "shard": run.shard,
                "started": json::time(run.started),
                "ended": json::time(run.ended),
                "exit_status": run.exit_status,
                "under_way": run.under_way,
                "left_out": run.left_out,
            })
        });
        let hosts = self.hosts.iter().map(|(name, host)| {
            json!({
                "host": name,
                "result": match Fate::of(host) {
                    Fate::Unreachable => "unreachable",
                    Fate::Failed => "failed",
                    Fate::Incomplete => "not_done",
                    Fate::Well => "ok",
                },
                "failed_phase": host.failure.as_ref().map(|(phase, _)| phase),
                "error": host.failure.as_ref().map(|(_, error)| error),
                "skip_reason": host.skip_reason,
                "changes": host.changes,
                "busy": host.busy.time().as_secs_f64(),
            })
        });
        let mut value = timings::value(&self.spans);
        value["kind"] = json!("report");
        value["runs"] = runs.collect();
        value["hosts"] = hosts.collect();
        value["seconds"] = json!(self.elapsed().as_secs_f64());
        value["changes"] = json!(self.changes());
        value["warnings"] = json!(self.warnings);
        value["exit_status"] = json!(self.exit_status());
        value
    }
}

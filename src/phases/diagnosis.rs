//! Why something that was waited for did not come: what the host's own log says.

use crate::kubernetes::ApiError;

use crate::cluster::etcd_unit;

use super::etcd::{self, member};
use super::{Context, PhaseError, kubelet};

/// How many lines of a log are looked at: a kubelet that dies prints hundreds behind the line that says why.
const LINES: u32 = 1000;

/// The error of a wait that needed the kubelet, with the last thing that the kubelet complained about.
pub async fn kubelet(context: &Context, error: ApiError) -> PhaseError {
    explained(context, kubelet::SERVICE, error.into(), complaint).await
}

/// The error of a wait that needed the host's control plane: what its member of etcd says, without which nothing of it
/// starts, and where that is well what the kubelet complained about.
pub async fn control_plane(context: &Context, error: ApiError) -> PhaseError {
    if !matches!(error, ApiError::Cancelled { .. })
        && context.run.cluster().has_stacked_etcd()
        && let Ok(member) = etcd::own_member(context).await
        && let Err(problem) = member.check_health().await
    {
        return PhaseError::State(format!("{error}; its member of etcd is not well: {problem}"));
    }
    kubelet(context, error).await
}

/// The error of a wait that needed the host's member of etcd, with what whoever runs it complained about.
pub async fn etcd_member(context: &Context, error: ApiError) -> PhaseError {
    let runs_it = if member::is_service(context) { etcd_unit::SERVICE } else { kubelet::SERVICE };
    explained(context, runs_it, error.into(), complaint).await
}

/// The error of a service that is none of Kubernetes', with the last thing it complained about.
pub async fn service(context: &Context, name: &str, error: PhaseError) -> PhaseError {
    explained(context, name, error, last_words).await
}

async fn explained(
    context: &Context,
    name: &str,
    error: PhaseError,
    find: fn(&str) -> Option<String>,
) -> PhaseError {
    if error.interrupted() {
        return PhaseError::Interrupted;
    }
    if error.unreachable() {
        return error;
    }
    let log = match context.node().await {
        Ok(node) => node.service_log(name, LINES).await.unwrap_or_default(),
        Err(_) => String::new(),
    };
    match find(&log) {
        Some(line) => PhaseError::State(format!(
            "{error}; the log of {name} says: {line} (more: journalctl -u {name})"
        )),
        None => error,
    }
}

/// The last line that tells of trouble, without journald's header; where none does, the last one.
fn last_words(log: &str) -> Option<String> {
    const TROUBLE: [&str; 5] = ["alert", "error", "cannot", "invalid", "fault"];
    let is_trouble = |line: &&str| {
        let line = line.to_lowercase();
        // systemd's own lines only repeat that it failed.
        !line.contains(" systemd[") && TROUBLE.iter().any(|word| line.contains(word))
    };
    let line = log.lines().rev().find(is_trouble).or_else(|| log.lines().next_back())?;
    let message = line.split_once("]: ").map_or(line, |(_, rest)| rest);
    Some(crate::report::printable_line(message.trim(), 300))
}

/// The last line that tells of an error: klog marks them with E or F, systemd with "Failed".
fn complaint(log: &str) -> Option<String> {
    let is_klog = |line: &str, levels: &[char]| {
        let word = line
            .split_whitespace()
            .find(|word| word.len() == 5 && word[1..].parse::<u16>().is_ok());
        word.is_some_and(|word| word.starts_with(levels))
    };
    let last = |test: &dyn Fn(&str) -> bool| log.lines().rev().find(|line| test(line));
    let line = last(&|line| is_klog(line, &['F']))
        .or_else(|| {
            last(&|line| line.contains("failed to run Kubelet") || line.contains("Failed to"))
        })
        .or_else(|| last(&|line| is_klog(line, &['E'])))?;
    // The message behind klog's own header, or behind journald's.
    let message =
        line.split_once("] ").or_else(|| line.split_once("]: ")).map_or(line, |(_, rest)| rest);
    Some(crate::report::printable_line(message.trim(), 300))
}

#[cfg(test)]
mod tests {
    use super::{complaint, last_words};

    #[test]
    fn trouble_is_found_among_what_systemd_says() {
        let log = "Nov 23 10:00:00 n1 haproxy[7]: [ALERT] config: no room\n\
            Nov 23 10:00:01 n1 systemd[1]: kubernetes-haproxy.service: Failed with result 'exit-code'. error\n";
        assert_eq!(last_words(log).unwrap(), "[ALERT] config: no room");
        assert_eq!(last_words("Nov 23 10:00:01 n1 systemd[1]: Started x\n").unwrap(), "Started x");
        assert_eq!(last_words(""), None);
    }

    #[test]
    fn the_fatal_line_wins_over_later_chatter() {
        let log = "Nov 23 10:00:00 n1 kubelet[7]: E1123 10:00:00.1 7 a.go:1] small trouble\n\
            Nov 23 10:00:01 n1 kubelet[7]: F1123 10:00:01.1 7 server.go:269] failed to run Kubelet: no swap\n\
            Nov 23 10:00:02 n1 systemd[1]: kubelet.service: Main process exited\n";
        assert_eq!(complaint(log).unwrap(), "failed to run Kubelet: no swap");
        assert_eq!(complaint("nothing here\n"), None);
    }
}

//! Why something that was waited for did not come: what the host's own log says.

use crate::kubernetes::ApiError;

use super::{Context, PhaseError, kubelet};

/// How many lines of the kubelet's log are looked at: one that dies prints hundreds behind the line that says why.
const LINES: u32 = 1000;

/// The error of a wait that needed the kubelet, with the last thing that the kubelet complained about.
pub async fn kubelet(context: &Context, error: ApiError) -> PhaseError {
    if matches!(error, ApiError::Cancelled { .. }) {
        return PhaseError::Interrupted;
    }
    let log = match context.node().await {
        Ok(node) => node.service_log(kubelet::SERVICE, LINES).await.unwrap_or_default(),
        Err(_) => String::new(),
    };
    match complaint(&log) {
        Some(line) => PhaseError::State(format!(
            "{error}; the kubelet's log says: {line} (more: journalctl -u kubelet)"
        )),
        None => PhaseError::Api(error),
    }
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
    use super::complaint;

    #[test]
    fn the_fatal_line_wins_over_later_chatter() {
        let log = "Nov 23 10:00:00 n1 kubelet[7]: E1123 10:00:00.1 7 a.go:1] small trouble\n\
            Nov 23 10:00:01 n1 kubelet[7]: F1123 10:00:01.1 7 server.go:269] failed to run Kubelet: no swap\n\
            Nov 23 10:00:02 n1 systemd[1]: kubelet.service: Main process exited\n";
        assert_eq!(complaint(log).unwrap(), "failed to run Kubelet: no swap");
        assert_eq!(complaint("nothing here\n"), None);
    }
}

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
    if member::is_service(context) {
        service(context, etcd_unit::SERVICE, error.into()).await
    } else {
        kubelet(context, error).await
    }
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

/// Why a service of klog's that was started did not come up, by what its last two starts said: the last one may have
/// said nothing yet, and what came before them is of another time. klog marks what it dies of with F; newer components
/// die of a "command failed", and what systemd itself cannot start failed to.
fn complaint(log: &str) -> Option<String> {
    const FATAL: [&str; 3] = ["failed to run Kubelet", "\"command failed\"", ".service: Failed to"];
    let lines: Vec<&str> = log.lines().collect();
    let is_start = |line: &&str| {
        line.contains(" systemd[")
            && ["]: Started ", "]: Starting "].iter().any(|words| line.contains(words))
    };
    let starts = lines.iter().enumerate().rev().filter(|(_, line)| is_start(line));
    let recent = &lines[starts.take(2).last().map_or(0, |(at, _)| at)..];
    // A level and the date, as E1123.
    let is_klog = |line: &str, level: char| {
        line.split_whitespace()
            .filter_map(|word| word.strip_prefix(level))
            .any(|date| date.len() == 4 && date.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let last = |test: &dyn Fn(&str) -> bool| recent.iter().rev().copied().find(|line| test(line));
    let line = last(&|line| is_klog(line, 'F') || FATAL.iter().any(|words| line.contains(words)))
        .or_else(|| last(&|line| is_klog(line, 'E')))?;
    // The message behind klog's own header, or behind journald's.
    let message =
        line.split_once("] ").or_else(|| line.split_once("]: ")).map_or(line, |(_, rest)| rest);
    Some(crate::report::printable_line(message.trim(), 300))
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::{complaint, last_words};

    proptest! {
        /// Logs are what a host prints.
        #[test]
        fn no_log_does_harm(log in "([EF\u{e9}]?[0-9\u{e9}]{2,4}[ \n]|.{0,3}(\\]: |systemd\\[|Started ))*") {
            for found in [complaint(&log), last_words(&log)] {
                assert!(found.unwrap_or_default().chars().count() <= 301);
            }
        }
    }

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

    #[test]
    fn what_a_kubelet_said_before_its_last_two_starts_is_of_another_time() {
        let before = "Nov 23 09:00:00 n1 kubelet[5]: E1123 09:00:00.1 5 a.go:1] \"Failed to keep up\"\n\
            Nov 23 09:00:01 n1 kubelet[5]: F1123 09:00:01.1 5 a.go:1] an old end\n\
            Nov 23 10:00:00 n1 systemd[1]: Started kubelet.service - The kubelet.\n";
        let died = "Nov 23 10:00:01 n1 kubelet[7]: E1123 10:00:01.1 7 a.go:1] small trouble\n\
            Nov 23 10:00:01 n1 kubelet[7]: E1123 10:00:01.2 7 run.go:72] \"command failed\" err=\"no such flag\"\n\
            Nov 23 10:00:01 n1 systemd[1]: kubelet.service: Failed with result 'exit-code'.\n\
            Nov 23 10:00:11 n1 systemd[1]: Started kubelet.service - The kubelet.\n";
        let begun =
            "Nov 23 10:00:11 n1 kubelet[8]: E1123 10:00:11.1 8 a.go:1] small \u{e9}112 trouble\n";
        let why = "\"command failed\" err=\"no such flag\"";
        assert_eq!(complaint(&format!("{before}{died}")).unwrap(), why);
        assert_eq!(complaint(&format!("{before}{died}{begun}")).unwrap(), why);
        let ago = died.replace("10:00", "09:30");
        let again = died.replace("\"command failed\" err=\"no such flag\"", "a plain error");
        let log = format!("{before}{ago}{again}{begun}");
        assert_eq!(complaint(&log).unwrap(), "small \u{e9}112 trouble");
        let nothing = "Nov 23 10:00:12 n1 systemd[1]: Started kubelet.service - The kubelet.\n";
        assert_eq!(complaint(&format!("{before}{nothing}")), None);
    }

    #[test]
    fn what_systemd_cannot_start_is_told() {
        let log = "Nov 23 10:00:00 n1 systemd[1]: Started kubelet.service - The kubelet.\n\
            Nov 23 10:00:00 n1 (kubelet)[9]: kubelet.service: Failed to execute /usr/bin/kubelet: Exec format error\n\
            Nov 23 10:00:00 n1 systemd[1]: kubelet.service: Failed with result 'exit-code'.\n";
        let told = complaint(log).unwrap();
        assert_eq!(told, "kubelet.service: Failed to execute /usr/bin/kubelet: Exec format error");
    }
}

//! Assessments for the tests of every way of showing them.

use std::time::Duration;

use time::macros::datetime;

use super::{
    AssessedCheck, AssessedHost, Assessment, FactSheet, Finding, HostState, Probe, ProbeResult,
    Reachability,
};
use crate::inventory::fold_hosts;
use crate::report::Severity;

fn assessment(hosts: Vec<AssessedHost>) -> Assessment {
    Assessment {
        command: "preflight".to_owned(),
        cluster: Some("prod".to_owned()),
        taken: datetime!(2026-03-01 12:00:00 UTC),
        elapsed: Duration::from_millis(1840),
        strict: false,
        hosts,
        reachability: Reachability::default(),
        fold: fold_hosts,
    }
}

fn host(name: &str, role: &str, checks: Vec<AssessedCheck>) -> AssessedHost {
    let rows = vec![("Kernel".to_owned(), "6.1.0-44-amd64".to_owned())];
    AssessedHost {
        name: name.to_owned(),
        role: role.to_owned(),
        state: HostState::Checked,
        checks,
        facts: vec![FactSheet { title: "System".to_owned(), rows }],
    }
}

fn check(name: &'static str, found: Option<(Severity, &str, &str)>) -> AssessedCheck {
    let (severity, findings, remedy) = match found {
        None => (Severity::Passed, Vec::new(), ""),
        Some((severity, message, remedy)) => {
            (severity, vec![Finding { severity, message: message.to_owned() }], remedy)
        }
    };
    AssessedCheck {
        name: name.into(),
        severity,
        fleet: name.starts_with("Fleet"),
        findings,
        remedy: remedy.to_owned(),
        evidence: vec![("looked at".into(), format!("/proc/{name}"))],
    }
}

fn passed(names: &[&'static str]) -> Vec<AssessedCheck> {
    names.iter().map(|name| check(name, None)).collect()
}

const SWAP: (Severity, &str, &str) = (
    Severity::Warning,
    "running with swap on is not supported, please disable swap or set kubelet's failSwapOn to false",
    "swapoff -a, and take the lines of type swap out of /etc/fstab",
);
const FORWARD: (Severity, &str, &str) = (
    Severity::Error,
    "/proc/sys/net/ipv4/ip_forward contents are not set to 1",
    "sysctl -w net.ipv4.ip_forward=1",
);
const FILE: &str = "FileContent--proc-sys-net-ipv4-ip_forward";

/// Three hosts, nothing wrong.
pub fn healthy() -> Assessment {
    let workers = ["NumCPU", "Swap", FILE, "FleetHostname"];
    let mut cp = passed(&workers);
    cp.push(check("Port-6443", None));
    assessment(vec![
        host("cp-1", "control-plane", cp),
        host("node-1", "worker", passed(&workers)),
        host("node-2", "worker", passed(&workers)),
    ])
}

/// Three hosts with failures of every kind, and a picture of who reaches whom.
pub fn mixed() -> Assessment {
    let mut all = healthy();
    all.hosts[0].checks[1] = check("Swap", Some(SWAP));
    all.hosts[1].checks[1] = check("Swap", Some(SWAP));
    all.hosts[1].checks[2] = check(FILE, Some(FORWARD));
    for (index, name) in [(1, "node-2"), (2, "node-1")] {
        let message = format!("the hostname worker is that of {name} as well");
        let found = (Severity::Error, message.as_str(), "hostnamectl set-hostname NAME");
        all.hosts[index].checks[3] = check("FleetHostname", Some(found));
    }
    let extra = Finding { severity: Severity::Warning, message: "it does not resolve".to_owned() };
    all.hosts[2].checks[3].findings.push(extra);
    let probe = |from, to, result| {
        let purpose = "kubelet".to_owned();
        Probe { from, to, port: 10250, purpose, result }
    };
    all.reachability.probes = vec![
        probe(0, 1, ProbeResult::Open),
        probe(0, 2, ProbeResult::NoAnswer),
        probe(1, 2, ProbeResult::Refused),
        probe(2, 1, ProbeResult::Stalled),
        probe(2, 0, ProbeResult::Untested("no python3 and no nc".to_owned())),
    ];
    all
}

/// A thousand hosts with 70 checks: two large groups, and three hosts like no other.
pub fn thousand() -> Assessment {
    let names: Vec<&'static str> =
        (0..66).map(|number| &*format!("Check-{number:02}").leak()).collect();
    let hosts = (1..=1000).map(|number| {
        let mut checks = passed(&names);
        checks.extend(passed(&["NumCPU", "Swap", FILE, "FleetClock"]));
        if number > 180 {
            checks[67] = check("Swap", Some(SWAP));
        }
        if matches!(number, 7 | 400) {
            checks[68] = check(FILE, Some(FORWARD));
        }
        if number % 100 == 0 {
            let message = format!("the clock is {number} ms behind");
            let found = (Severity::Warning, message.as_str(), "start chronyd");
            checks[69] = check("FleetClock", Some(found));
        }
        host(&format!("node-{number:04}"), "worker", checks)
    });
    let mut all = assessment(hosts.collect());
    all.reachability.sample = Some("two hosts of each group".to_owned());
    all
}

/// Hosts that were not checked, for every reason there is.
pub fn silent() -> Assessment {
    let mut all = healthy();
    for number in 3..=9 {
        let mut host = host(&format!("node-{number}"), "worker", Vec::new());
        host.facts.clear();
        host.state = match number {
            3..=6 => HostState::Unreachable(format!("10.0.0.{number}:22: connection refused")),
            7 => HostState::Refused("the answer ends in the middle of a line".to_owned()),
            _ => HostState::NotStarted("more than 3 hosts have failed".to_owned()),
        };
        all.hosts.push(host);
    }
    all
}

/// A host that wants to be somebody else's terminal, page or document.
pub fn hostile() -> Assessment {
    let text = "\u{1b}[2Jgone\u{0}\u{9b}31m </script><img src=x onerror=alert(1)>\r]]>&amp;\u{202e}\u{ffff}";
    let mut all = mixed();
    for host in &mut all.hosts {
        host.checks[0] = check("NumCPU", Some((Severity::Error, text, text)));
        host.checks[0].evidence.push((text.to_owned().into(), text.to_owned()));
        host.facts[0].rows.push((text.to_owned(), text.to_owned()));
    }
    all.hosts[2].state = HostState::Unreachable(text.to_owned());
    all.hosts[2].checks.clear();
    all
}

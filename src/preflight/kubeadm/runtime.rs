//! Checks of the container runtime, by what it said of itself.

use super::{Checks, Findings};
use crate::node::facts::Runtime;

/// Runtimes, and the first version that answers the kubelet's RuntimeConfig call.
const ANSWERS_RUNTIME_CONFIG: &[(&str, (u32, u32))] = &[("containerd", (2, 0)), ("cri-o", (1, 28))];

impl Checks<'_> {
    pub(super) fn container_runtime(&mut self) {
        let runtime = self.facts.runtime.as_ref();
        let findings = match runtime {
            Some(runtime) if runtime.ready => Findings::default(),
            Some(runtime) => {
                let reason = match runtime.error.as_str() {
                    "" => "it does not say that it is ready",
                    error => error,
                };
                Findings::error(format!(
                    "container runtime at {} is not running: {reason}",
                    runtime.socket
                ))
            }
            None => match self.facts.cri_sockets.as_slice() {
                [] => Findings::error("no container runtime listens on any known socket"),
                sockets => Findings::error(format!(
                    "none of several container runtimes was chosen: {}; set cri_socket in the \
                     inventory",
                    sockets.join(", ")
                )),
            },
        };
        let findings = saw_runtime(findings, runtime);
        self.push("CRI", findings.saw("ready", runtime.is_some_and(|runtime| runtime.ready)));
    }

    /// Whether the runtime answers RuntimeConfig, by which it tells the kubelet its cgroup driver. kubeadm makes the
    /// call; facts have the name and version that the runtime gave.
    pub(super) fn container_runtime_version(&mut self) {
        if !self.rules.asks_runtime_config {
            return;
        }
        let runtime = self.facts.runtime.as_ref();
        let findings = match runtime.filter(|runtime| !runtime.version.is_empty()) {
            None => Findings::error("the container runtime could not be asked for its version"),
            Some(runtime) => runtime_config(runtime),
        };
        self.push("ContainerRuntimeVersion", saw_runtime(findings, runtime));
    }
}

fn runtime_config(runtime: &Runtime) -> Findings {
    let Runtime { name, version, .. } = runtime;
    let known = ANSWERS_RUNTIME_CONFIG.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
    let (Some((_, since)), Some(have)) = (known, major_and_minor(version)) else {
        return Findings::default()
            .saw("RuntimeConfig", "not known of this runtime and version, so nothing is claimed");
    };
    let (major, minor) = since;
    let findings = Findings::warning_if(have < *since, || {
        format!(
            "{name} {version} does not answer the CRI call RuntimeConfig, which coming kubelets \
             want to know the cgroup driver by; upgrade it to {major}.{minor} or later"
        )
    });
    findings.saw("RuntimeConfig", format!("answered from {major}.{minor} on"))
}

fn saw_runtime(findings: Findings, runtime: Option<&Runtime>) -> Findings {
    let Some(runtime) = runtime else { return findings.saw("socket", "none") };
    let name = match runtime.name.as_str() {
        "" => "did not say its name",
        name => name,
    };
    let findings = findings.saw("socket", &runtime.socket).saw("runtime", name);
    if runtime.version.is_empty() { findings } else { findings.saw("version", &runtime.version) }
}

/// The first two numbers of a version, with or without a leading `v`.
fn major_and_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::result::CheckResult;
    use crate::report::Severity;

    #[test]
    fn who_answers_runtime_config() {
        use Severity::{Passed, Warning};
        for (name, version, wanted) in [
            ("containerd", "1.6.20~ds1", Warning),
            ("containerd", "1.7.27", Warning),
            ("containerd", "2.0.0-rc.1", Passed),
            ("containerd", "v2.1.3", Passed),
            ("cri-o", "1.27.9", Warning),
            ("CRI-O", "1.28.0", Passed),
            ("cri-o", "1.36.0", Passed),
            ("docker", "20.10.1", Passed),
            ("containerd", "unknown", Passed),
            ("containerd", "2", Passed),
        ] {
            let runtime = Runtime {
                name: name.to_owned(),
                version: version.to_owned(),
                ready: true,
                ..Runtime::default()
            };
            let result = CheckResult::new("x", runtime_config(&runtime));
            assert_eq!(result.severity, wanted, "{name} {version}");
            assert_eq!(result.evidence.len(), 1);
        }
    }
}

//! Checks of an etcd that somebody else runs: how old it is, and the files that API servers are let in by.

use super::{Checks, Findings};
use crate::report::Severity;

/// What is known of an etcd that somebody else runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalEtcd {
    /// What is wrong with each file on the workstation, by its path; `None` for one that can be used.
    pub files: Vec<(String, Option<String>)>,
    /// The version each endpoint says it has, or why it does not, in words for people.
    pub versions: Vec<(String, Result<String, String>)>,
}

impl Checks<'_> {
    pub(super) fn external_etcd_version(&mut self) {
        let Some(etcd) = &self.target.external_etcd else { return };
        let lowest = self.rules.lowest_external_etcd;
        let mut findings = Findings::default();
        for (endpoint, version) in &etcd.versions {
            match version {
                Err(problem) => findings.add(
                    Severity::Error,
                    format!("{endpoint} does not tell its version: {problem}"),
                ),
                Ok(version) if is_older(version, lowest) => findings.add(
                    Severity::Error,
                    format!(
                        "{endpoint} is etcd {version}; Kubernetes {} needs at least {lowest}",
                        self.target.version
                    ),
                ),
                Ok(_) => {}
            }
            let said = version.as_ref().map_or("no answer", String::as_str);
            findings = findings.saw(endpoint.clone(), said);
        }
        self.push("ExternalEtcdVersion", findings.saw("required", lowest));
    }

    pub(super) fn external_etcd_client_certificates(&mut self) {
        let Some(etcd) = &self.target.external_etcd else { return };
        let mut findings = Findings::default();
        for (path, problem) in &etcd.files {
            if let Some(problem) = problem {
                findings.add(Severity::Error, format!("{path}: {problem}"));
            }
            let said = problem.as_ref().map_or("can be used", String::as_str);
            findings = findings.saw(path.clone(), said);
        }
        self.push("ExternalEtcdClientCertificates", findings);
    }
}

/// Compares the numbers of two versions. One that makes no sense is taken for old.
fn is_older(version: &str, than: &str) -> bool {
    let numbers = |text: &str| -> Option<Vec<u32>> {
        let plain = text.trim_start_matches('v').split(['-', '+']).next()?;
        plain.split('.').map(|part| part.parse().ok()).collect()
    };
    match (numbers(version), numbers(than)) {
        (Some(version), Some(than)) => version < than,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::is_older;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(is_older("3.2.17", "3.2.18") && is_older("3.4.13", "3.5.11-0"));
        assert!(!is_older("3.10.0", "3.9.9") && !is_older("3.5.24", "3.5.24-0"));
        assert!(!is_older("v3.6.8", "3.5.24-0"));
        assert!(is_older("nonsense", "3.2.18") && is_older("", "3.2.18"));
    }
}

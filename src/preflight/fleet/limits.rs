//! Limits of the kernel that many pods run into. What current distributions come with passes.

use super::{Checks, FleetHost};
use crate::node::facts::Facts;
use crate::preflight::result::Findings;
use crate::report::Severity;

/// Since then the kernel's generator never runs dry, and always says 256.
const NEVER_DRY: (u32, u32) = (5, 18);
const LITTLE_ENTROPY: u64 = 200;

/// A limit, the least of it, and what fails below.
pub(in crate::preflight) struct Limit {
    pub(in crate::preflight) key: &'static str,
    least: u64,
    /// What to set it to; `None` where the kernel's own default is more than enough.
    pub(in crate::preflight) better: Option<u64>,
}

/// The kernel's defaults are 10 % of memory for `file-max`, 2^20 for `nr_open`, 128 and 8192 for inotify.
pub(in crate::preflight) const LIMITS: [Limit; 4] = [
    Limit { key: "fs/file-max", least: 100_000, better: None },
    Limit { key: "fs/nr_open", least: 65_536, better: None },
    Limit { key: "fs/inotify/max_user_instances", least: 128, better: Some(1024) },
    Limit { key: "fs/inotify/max_user_watches", least: 8192, better: Some(524_288) },
];

impl Limit {
    /// What it is, where that is too little.
    pub(in crate::preflight) fn too_low(&self, facts: &Facts) -> Option<u64> {
        number(facts, self.key).filter(|value| *value < self.least)
    }
}

impl Checks<'_> {
    pub(super) fn limits(&mut self) {
        self.each("Entropy", entropy);
        self.each("FileLimits", file_limits);
    }
}

fn number(facts: &Facts, key: &str) -> Option<u64> {
    facts.sysctls.get(key)?.trim().parse().ok()
}

/// `(6, 1)` of `6.1.0-18-amd64`.
fn kernel(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn entropy(host: &FleetHost<'_>) -> Option<Findings> {
    let available = number(host.facts, "kernel/random/entropy_avail")?;
    let old = kernel(&host.facts.kernel_release)? < NEVER_DRY;
    let findings = Findings::warning_if(old && available < LITTLE_ENTROPY, || {
        format!("the kernel has {available} bits of entropy: making keys may take minutes")
    });
    Some(findings.saw("entropy", format!("{available} bits")))
}

fn file_limits(host: &FleetHost<'_>) -> Option<Findings> {
    let mut findings = Findings::default();
    let mut looked_at = false;
    for limit in &LIMITS {
        let Limit { key, least, .. } = limit;
        if let Some(value) = limit.too_low(host.facts) {
            findings
                .add(Severity::Warning, format!("{key} is {value}: at least {least} is better"));
        }
        if let Some(value) = number(host.facts, key) {
            looked_at = true;
            findings = findings.saw(*key, value);
        }
    }
    looked_at.then_some(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::fleet::testing::{Fleet, found};

    #[test]
    fn too_little_is_told() {
        let mut fleet = Fleet::healthy(1, 4);
        let set = |fleet: &mut Fleet, host: &str, key: &str, value: &str| {
            fleet.host(host, |facts| {
                facts.sysctls.insert(key.to_owned(), value.to_owned());
            });
        };
        set(&mut fleet, "node-1", "fs/inotify/max_user_instances", "64");
        set(&mut fleet, "node-1", "fs/inotify/max_user_watches", "4096");
        set(&mut fleet, "node-2", "fs/file-max", "50000");
        set(&mut fleet, "node-2", "fs/nr_open", "1024");
        set(&mut fleet, "node-3", "fs/nr_open", "many");
        set(&mut fleet, "node-4", "kernel/random/entropy_avail", "90");
        assert_eq!(fleet.only("Entropy"), "");
        fleet.host("node-4", |facts| facts.kernel_release = "4.18.0-553.el8".to_owned());
        insta::assert_snapshot!(fleet.only("FileLimits"), @r"
        node-1 warning FileLimits: fs/inotify/max_user_instances is 64: at least 128 is better
        node-1 warning FileLimits: fs/inotify/max_user_watches is 4096: at least 8192 is better
        node-2 warning FileLimits: fs/file-max is 50000: at least 100000 is better
        node-2 warning FileLimits: fs/nr_open is 1024: at least 65536 is better
        ");
        insta::assert_snapshot!(fleet.only("Entropy"), @"node-4 warning Entropy: the kernel has 90 bits of entropy: making keys may take minutes");
        assert!(found(&fleet).contains("MixedKernels"));
    }

    #[test]
    fn kernels() {
        assert_eq!(kernel("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(kernel("5.4-rc1"), Some((5, 4)));
        assert_eq!(kernel("unknown"), None);
    }
}

//! Clocks: how far they are apart at least, and what keeps them right.
//!
//! A host's clock was read between a question and its answer, so only a range of offsets is known. What is told is
//! proven: the least that explains what was seen. The middle of the fleet is the measure, so that one wrong clock is
//! one host's finding; where two are in the middle, the one further away is, so that of two hosts both are told.

use super::groups::list;
use super::words::duration;
use super::{Checks, FleetHost};
use crate::inventory::Role;
use crate::node::facts::InitKind;
use crate::preflight::result::Findings;
use crate::report::Severity;

/// etcd warns of a member whose clock is further away (its `rafthttp` prober).
const NOTICEABLE: f64 = 1.0;
/// Leases between control planes: leader election takes over after 15 s and gives a holder 10 s to renew.
const CONTROL_PLANES: f64 = 5.0;
/// Node leases last 40 s, and short-lived tokens minutes: beyond a minute all of that is off.
const ANY_HOST: f64 = 60.0;
/// Certificates are made on the workstation, and valid from 5 minutes before.
const BACKDATED: f64 = 300.0;

/// The services that keep time, the ones to prefer first.
pub(in crate::preflight) const TIME_SERVICES: [&str; 7] =
    ["chrony", "chronyd", "systemd-timesyncd", "ntpsec", "ntp", "ntpd", "openntpd"];

impl Checks<'_> {
    pub(super) fn clocks(&mut self) {
        let hosts = self.hosts;
        let strict = |host: &FleetHost<'_>| host.role != Role::Worker;
        let ranges: Vec<Option<Range>> = hosts.iter().map(Range::of).collect();
        let everyone = Middle::of(ranges.iter().flatten().copied());
        let with_hosts = || ranges.iter().zip(hosts);
        let few = with_hosts().filter(|(_, host)| strict(host)).filter_map(|(range, _)| *range);
        let control_planes = Middle::of(few);
        let findings = with_hosts().map(|(range, host)| {
            let skew = |middle: &Option<Middle>| Some(middle.as_ref()?.skew((*range)?));
            let from_strict = skew(&control_planes).filter(|_| strict(host));
            Some(judge((*range)?, skew(&everyone)?, from_strict))
        });
        let findings: Vec<_> = findings.collect();
        self.push("ClockSkew", findings);
        self.each("TimeSync", time_sync);
    }
}

/// Seconds that a clock is ahead of the workstation's: at least and at most.
#[derive(Debug, Clone, Copy)]
struct Range {
    low: f64,
    high: f64,
}

impl Range {
    fn of(host: &FleetHost<'_>) -> Option<Self> {
        let offset = host.facts.clock_offset?;
        let uncertainty = offset.uncertainty.abs();
        let known = offset.seconds.is_finite() && uncertainty.is_finite();
        let range = Self { low: offset.seconds - uncertainty, high: offset.seconds + uncertainty };
        known.then_some(range)
    }

    /// What is certainly between it and the workstation, negative when it is behind.
    fn apart_from_workstation(self) -> f64 {
        if self.low > 0.0 { self.low } else { self.high.min(0.0) }
    }
}

/// The clocks in the middle. The middle of all lower ends is at most, of all upper ends at least, the middle of what
/// the clocks really say.
#[derive(Debug)]
struct Middle {
    /// The slower of the two in the middle is not ahead of this.
    slower_at_most: f64,
    /// The faster of them is not behind this.
    faster_at_least: f64,
}

impl Middle {
    fn of(ranges: impl Iterator<Item = Range>) -> Option<Self> {
        let (mut lows, mut highs): (Vec<f64>, Vec<f64>) =
            ranges.map(|range| (range.low, range.high)).unzip();
        lows.sort_by(f64::total_cmp);
        highs.sort_by(f64::total_cmp);
        let slower_at_most = *highs.get(highs.len().checked_sub(1)? / 2)?;
        let faster_at_least = *lows.get(lows.len() / 2)?;
        Some(Self { slower_at_most, faster_at_least })
    }

    /// What is certainly between it and a clock, negative when that is behind.
    fn skew(&self, range: Range) -> f64 {
        let ahead = (range.low - self.slower_at_most).max(0.0);
        let behind = (self.faster_at_least - range.high).max(0.0);
        if ahead >= behind { ahead } else { -behind }
    }
}

/// `skew` and `from_strict` are what is between the clock and the middle of all hosts, and of control planes and etcd.
fn judge(range: Range, skew: f64, from_strict: Option<f64>) -> Findings {
    let mut findings = Findings::default();
    let apart = |seconds: f64, from: &str| {
        let direction = if seconds < 0.0 { "behind" } else { "ahead of" };
        format!("the clock is at least {} {direction} {from}", duration(seconds.abs()))
    };
    let strict = from_strict.filter(|seconds| seconds.abs() > CONTROL_PLANES);
    match (strict, skew.abs()) {
        (Some(seconds), _) => findings.add(
            Severity::Error,
            apart(seconds, "the middle of the clocks of control planes and etcd"),
        ),
        (None, s) if s > ANY_HOST => {
            findings.add(Severity::Error, apart(skew, "the middle of the fleet's clocks"));
        }
        (None, s) if s > NOTICEABLE => {
            findings.add(Severity::Warning, apart(skew, "the middle of the fleet's clocks"));
        }
        _ => {}
    }
    let from_workstation = range.apart_from_workstation();
    let severity = match from_workstation.abs() {
        s if s > BACKDATED => Severity::Error,
        s if s > ANY_HOST => Severity::Warning,
        _ => Severity::Passed,
    };
    let why = if from_workstation < 0.0 {
        "certificates made here are not valid there yet"
    } else {
        "join tokens made for minutes expire early there"
    };
    let text = apart(from_workstation, "this workstation's, if that is right");
    findings.add(severity, format!("{text}: {why}"));
    let middle = f64::midpoint(range.low, range.high);
    let uncertainty = (range.high - range.low) / 2.0;
    findings
        .saw("offset from the workstation", format!("{middle:+.3} s ± {uncertainty:.3} s"))
        .saw("proven skew in the fleet", format!("{skew:+.3} s"))
}

/// Containers have their clock from the machine they run on.
fn time_sync(host: &FleetHost<'_>) -> Option<Findings> {
    let init = &host.facts.init;
    if host.is_container() || init.kind == InitKind::None || init.services.is_empty() {
        return None;
    }
    let known = TIME_SERVICES
        .iter()
        .filter_map(|name| Some((*name, *init.services.get(*name)?)))
        .filter(|(_, state)| state.exists);
    let (active, idle): (Vec<_>, Vec<_>) = known.partition(|(_, state)| state.active);
    let names = |services: &[(&str, _)]| list(services.iter().map(|(name, _)| *name));
    let findings = match (active.as_slice(), idle.as_slice()) {
        ([], []) => Findings::warning("no service that keeps the time is installed"),
        ([], idle) => {
            Findings::warning(format!("nothing keeps the time: {} does not run", names(idle)))
        }
        (active, _) => Findings::default().saw("time service", names(active)),
    };
    Some(findings)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::node::facts::{ClockOffset, ServiceState};
    use crate::preflight::fleet::testing::{Fleet, found};

    fn set(fleet: &mut Fleet, name: &str, seconds: f64, uncertainty: f64) {
        fleet.host(name, |facts| {
            facts.clock_offset = Some(ClockOffset { seconds, uncertainty });
        });
    }

    #[test]
    fn one_wrong_clock_is_one_hosts_finding() {
        let mut fleet = Fleet::healthy(3, 4);
        set(&mut fleet, "cp-2", 6.0, 0.5);
        set(&mut fleet, "cp-3", -4.0, 0.5);
        set(&mut fleet, "node-1", -6.0, 0.5);
        set(&mut fleet, "node-2", 70.0, 0.5);
        // Nothing is proven: the answer took too long.
        set(&mut fleet, "node-3", 4.0, 3.5);
        insta::assert_snapshot!(found(&fleet), @r"
        cp-2 error ClockSkew: the clock is at least 5.5 s ahead of the middle of the clocks of control planes and etcd
        cp-3 warning ClockSkew: the clock is at least 3.5 s behind the middle of the fleet's clocks
        node-1 warning ClockSkew: the clock is at least 5.5 s behind the middle of the fleet's clocks
        node-2 error ClockSkew: the clock is at least 69.5 s ahead of the middle of the fleet's clocks
        node-2 warning ClockSkew: the clock is at least 69.5 s ahead of this workstation's, if that is right: join tokens made for minutes expire early there
        ");
    }

    #[test]
    fn of_two_hosts_both_are_told() {
        let mut fleet = Fleet::healthy(1, 1);
        set(&mut fleet, "node-1", 2.0, 0.1);
        insta::assert_snapshot!(found(&fleet), @r"
        cp-1 warning ClockSkew: the clock is at least 1.9 s behind the middle of the fleet's clocks
        node-1 warning ClockSkew: the clock is at least 1.9 s ahead of the middle of the fleet's clocks
        ");
    }

    #[test]
    fn the_workstation_signs_by_its_own_clock() {
        let mut fleet = Fleet::healthy(1, 2);
        for name in ["cp-1", "node-1", "node-2"] {
            set(&mut fleet, name, -400.0, 0.1);
        }
        insta::assert_snapshot!(found(&fleet), @r"
        cp-1 error ClockSkew: the clock is at least 7 min behind this workstation's, if that is right: certificates made here are not valid there yet
        node-1 error ClockSkew: the clock is at least 7 min behind this workstation's, if that is right: certificates made here are not valid there yet
        node-2 error ClockSkew: the clock is at least 7 min behind this workstation's, if that is right: certificates made here are not valid there yet
        ");
        for name in ["cp-1", "node-1", "node-2"] {
            set(&mut fleet, name, 100.0, 0.1);
        }
        insta::assert_snapshot!(found(&fleet), @r"
        cp-1 warning ClockSkew: the clock is at least 99.9 s ahead of this workstation's, if that is right: join tokens made for minutes expire early there
        node-1 warning ClockSkew: the clock is at least 99.9 s ahead of this workstation's, if that is right: join tokens made for minutes expire early there
        node-2 warning ClockSkew: the clock is at least 99.9 s ahead of this workstation's, if that is right: join tokens made for minutes expire early there
        ");
    }

    #[test]
    fn absurd_offsets_prove_nothing() {
        let mut fleet = Fleet::healthy(1, 1);
        set(&mut fleet, "node-1", f64::NAN, 0.0);
        set(&mut fleet, "cp-1", 0.0, f64::INFINITY);
        assert_eq!(found(&fleet), "");
        assert!(!fleet.has("node-1", "ClockSkew"));
    }

    #[test]
    fn something_keeps_the_time() {
        let mut fleet = Fleet::healthy(1, 3);
        let idle = ServiceState { exists: true, enabled: true, active: false };
        let service = |fleet: &mut Fleet, name: &str, state| {
            fleet.host(name, |facts| {
                facts.init.services.insert("systemd-timesyncd".to_owned(), state);
            });
        };
        service(&mut fleet, "node-1", ServiceState::default());
        service(&mut fleet, "node-2", idle);
        service(&mut fleet, "node-3", idle);
        fleet.host("node-3", |facts| {
            facts.init.services.insert("chrony".to_owned(), ServiceState { active: true, ..idle });
        });
        insta::assert_snapshot!(found(&fleet), @r"
        node-1 warning TimeSync: no service that keeps the time is installed
        node-2 warning TimeSync: nothing keeps the time: systemd-timesyncd does not run
        ");
        fleet.all(|facts| facts.virtualization = "systemd-nspawn".to_owned());
        assert_eq!(found(&fleet), "");
    }

    proptest! {
        #[test]
        fn what_is_told_is_true(
            clocks in proptest::collection::vec((-50.0..50.0_f64, -1.0..1.0_f64), 1..9)
        ) {
            // Each clock was seen up to a second wrong, and known to be.
            let seen = clocks.iter().map(|(real, error)| {
                let seen = real + error;
                Range { low: seen - 1.0, high: seen + 1.0 }
            });
            let middle = Middle::of(seen.clone()).unwrap();
            let mut real: Vec<f64> = clocks.iter().map(|(real, _)| *real).collect();
            real.sort_by(f64::total_cmp);
            let (slower, faster) = (real[(real.len() - 1) / 2], real[real.len() / 2]);
            for (range, (real, _)) in seen.zip(&clocks) {
                let skew = middle.skew(range);
                let apart = if skew > 0.0 { real - slower } else { faster - real };
                prop_assert!(skew.abs() <= apart.max(0.0) + 1e-9, "{} {}", skew, apart);
            }
        }
    }
}

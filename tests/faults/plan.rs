//! Which faults are injected where: all of them, or a sample that a seed tells; or what of that is this lab's, of several.

use std::fmt;
use std::time::Duration;

use super::fault::Fault;

/// How many a run injects that does not say.
const SAMPLE: usize = 3;
/// The seed of a run that does not say: a check of a change is to fail of the change alone.
const SEED: u64 = 1;

/// What the run is that meets the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// apply, on bare hosts.
    Founding,
    /// apply, with a cluster, and one bare host that is to join it.
    Joining,
    /// reset, of one host of a cluster that goes on.
    Leaving,
}

impl Stage {
    /// The run as a command.
    pub fn command(self) -> Vec<&'static str> {
        match self {
            Self::Founding => vec!["apply", "--limit", super::FOUNDERS, "--output", "json"],
            Self::Joining => vec!["apply", "--output", "json"],
            Self::Leaving => vec!["reset", "--yes", "--limit", super::JOINING, "--output", "json"],
        }
    }
}

/// When a phase begins on a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    pub stage: Stage,
    pub host: &'static str,
    pub phase: String,
}

/// A fault and its time.
#[derive(Debug, Clone)]
pub struct Case {
    pub fault: Fault,
    pub at: Moment,
    /// From then.
    pub after: Duration,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Moment { stage, host, phase } = &self.at;
        let what = match stage {
            Stage::Founding => "a cluster is made",
            Stage::Joining => "a control plane joins",
            Stage::Leaving => "a control plane leaves",
        };
        let after = self.after.as_millis();
        write!(f, "{what}; {} {after} ms into {phase} of {host}", self.fault)
    }
}

/// How many faults, and from which seed.
pub struct Plan {
    seed: u64,
    /// `None`: each fault at each phase.
    count: Option<usize>,
    share: Share,
}

/// Of the labs that one plan is dealt out to, this one: the first of one is `1/1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    lab: usize,
    labs: usize,
}

impl Share {
    const WHOLE: Self = Self { lab: 1, labs: 1 };

    fn of(text: &str) -> Self {
        let (lab, labs) = text.split_once('/').unwrap();
        let share = Self { lab: lab.parse().unwrap(), labs: labs.parse().unwrap() };
        assert!((1..=share.labs).contains(&share.lab), "FLEETADM_FAULTS_SHARE={text}");
        share
    }

    /// Every n-th, so that each lab makes as many clusters as another.
    fn deal(self, cases: Vec<Case>) -> Vec<Case> {
        cases.into_iter().skip(self.lab - 1).step_by(self.labs).collect()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count.map_or("all".to_owned(), |count| count.to_string());
        write!(f, "FLEETADM_FAULTS={count} FLEETADM_FAULTS_SEED={}", self.seed)?;
        match self.share {
            Share::WHOLE => Ok(()),
            Share { lab, labs } => write!(f, " FLEETADM_FAULTS_SHARE={lab}/{labs}"),
        }
    }
}

impl Plan {
    /// `FLEETADM_FAULTS` (a number, or `all`), `FLEETADM_FAULTS_SEED`, and `FLEETADM_FAULTS_SHARE` (`1/2`: the first of two labs).
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok();
        Self {
            seed: variable("FLEETADM_FAULTS_SEED").map_or(SEED, |seed| seed.parse().unwrap()),
            count: match variable("FLEETADM_FAULTS").as_deref() {
                None => Some(SAMPLE),
                Some("all") => None,
                Some(count) => Some(count.parse().unwrap()),
            },
            share: variable("FLEETADM_FAULTS_SHARE")
                .map_or(Share::WHOLE, |share| Share::of(&share)),
        }
    }

    /// The cases for these moments, in the order in which they are injected.
    pub fn cases(&self, moments: &[Moment]) -> Vec<Case> {
        assert!(moments.len() > 5, "{moments:?}");
        let mut random = Random(self.seed);
        let mut cases: Vec<Case> = moments
            .iter()
            .flat_map(|at| Fault::ALL.map(|fault| (at.clone(), fault)))
            .map(|(at, fault)| {
                let after = Duration::from_millis(random.below(700));
                Case { fault, at, after }
            })
            .collect();
        if let Some(count) = self.count {
            for at in (1..cases.len()).rev() {
                cases.swap(at, usize::try_from(random.below(at as u64 + 1)).unwrap());
            }
            cases = sample(cases, count);
        }
        in_order(self.share.deal(cases))
    }
}

/// So many of these, which are in a random order: one in four is of a cluster that is made, since those take the longest.
fn sample(cases: Vec<Case>, count: usize) -> Vec<Case> {
    let (mut founding, mut later): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|case| case.at.stage == Stage::Founding);
    founding.truncate(count.div_ceil(4));
    later.truncate(count - founding.len().min(count));
    founding.append(&mut later);
    founding
}

/// Clusters that are made first; then a host leaves and joins again in turn, which saves a run between two faults.
fn in_order(cases: Vec<Case>) -> Vec<Case> {
    let of = |stage| cases.iter().filter(move |case| case.at.stage == stage).cloned();
    let (mut leaving, mut joining) = (of(Stage::Leaving), of(Stage::Joining));
    let mut ordered: Vec<Case> = of(Stage::Founding).collect();
    while ordered.len() < cases.len() {
        ordered.extend(leaving.next());
        ordered.extend(joining.next());
    }
    ordered
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn twenty_moments() -> Vec<Moment> {
    let moment =
        |number| Moment { stage: Stage::Joining, host: "n3", phase: format!("phase-{number}") };
    (0..20).map(moment).collect()
}

#[test]
fn a_seed_tells_the_sample() {
    let moments = twenty_moments();
    let shown = |seed, count| {
        let cases = Plan { seed, count, share: Share::WHOLE }.cases(&moments);
        cases.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(shown(7, Some(5)), shown(7, Some(5)));
    assert_ne!(shown(7, Some(5)), shown(8, Some(5)));
    assert_eq!((shown(7, Some(5)).len(), shown(7, None).len()), (5, 20 * Fault::ALL.len()));
}

#[test]
fn a_sample_makes_few_clusters_and_takes_turns() {
    let phases = (0..20).map(|number| format!("phase-{number}"));
    let stages = [Stage::Founding, Stage::Joining, Stage::Leaving];
    let moments: Vec<Moment> = phases
        .flat_map(|phase| stages.map(|stage| Moment { stage, host: "n3", phase: phase.clone() }))
        .collect();
    let cases = Plan { seed: 7, count: Some(41), share: Share::WHOLE }.cases(&moments);
    let stages: Vec<Stage> = cases.iter().map(|case| case.at.stage).collect();
    assert_eq!(stages.len(), 41);
    let (founding, later) = stages.split_at(11);
    assert!(founding.iter().all(|stage| *stage == Stage::Founding), "{stages:?}");
    assert!(!later.contains(&Stage::Founding), "{stages:?}");
    assert_eq!(later[..4], [Stage::Leaving, Stage::Joining, Stage::Leaving, Stage::Joining]);
    let all = Plan { seed: 7, count: None, share: Share::WHOLE }.cases(&moments);
    assert_eq!(all.len(), 60 * Fault::ALL.len());
}

#[test]
fn labs_share_a_plan() {
    let moments = twenty_moments();
    let shown = |share| {
        let plan = Plan { seed: 7, count: Some(41), share: Share::of(share) };
        let cases = plan.cases(&moments);
        cases.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let dealt = [shown("1/2"), shown("2/2")];
    assert_eq!(dealt.each_ref().map(Vec::len), [21, 20]);
    let mut dealt = dealt.concat();
    let mut whole = shown("1/1");
    dealt.sort();
    whole.sort();
    assert_eq!(dealt, whole);
}

//! What is wrong, by cause rather than by host: the same text on many hosts is one entry.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{Assessment, HostState};
use crate::report::Severity;

/// From so many different texts on, those of one check are examples of one cause.
const EXAMPLES: usize = 3;

/// One cause, and where it is found.
pub(super) struct Cause<'a> {
    /// What went wrong: a check's name, or how far a host came.
    pub title: &'a str,
    /// How bad. Hosts that were not checked are errors.
    pub severity: Severity,
    /// Where, in the inventory's order.
    pub hosts: Vec<usize>,
    /// What was said there: one text, or too many to show.
    pub examples: Vec<Example<'a>>,
}

impl<'a> Cause<'a> {
    /// As many texts as are shown where there is little room.
    pub fn shown(&self) -> &[Example<'a>] {
        &self.examples[..self.examples.len().min(EXAMPLES)]
    }

    /// How many more there are.
    pub fn left_out(&self) -> usize {
        self.examples.len().saturating_sub(EXAMPLES)
    }
}

/// What was said, and on which hosts.
pub(super) struct Example<'a> {
    pub hosts: Vec<usize>,
    pub message: &'a str,
    pub remedy: &'a str,
}

type Key<'a> = (Severity, &'a str);

/// What checks found, errors first, then what concerns most hosts.
pub(super) fn of_checks(assessment: &Assessment) -> Vec<Cause<'_>> {
    let hosts = assessment.hosts.iter().enumerate();
    let found = hosts.flat_map(|(index, host)| {
        host.checks.iter().flat_map(move |check| {
            check.findings.iter().filter(|one| one.severity > Severity::Passed).map(move |one| {
                (
                    (one.severity, check.name.as_ref()),
                    one.message.as_str(),
                    check.remedy.as_str(),
                    index,
                )
            })
        })
    });
    gather(found)
}

/// Why hosts were not checked.
pub(super) fn of_silence(assessment: &Assessment) -> Vec<Cause<'_>> {
    let hosts = assessment.hosts.iter().enumerate();
    gather(hosts.filter_map(|(index, host)| {
        let title = match &host.state {
            HostState::Checked => return None,
            HostState::Unreachable(_) => "unreachable",
            HostState::Refused(_) => "gave no usable answer",
            HostState::NotStarted(_) => "not started",
        };
        Some(((Severity::Error, title), host.state.reason().unwrap_or_default(), "", index))
    }))
}

fn gather<'a>(found: impl Iterator<Item = (Key<'a>, &'a str, &'a str, usize)>) -> Vec<Cause<'a>> {
    let mut keys: Vec<Key<'_>> = Vec::new();
    let mut texts: HashMap<Key<'_>, Vec<Example<'_>>> = HashMap::new();
    let mut places: HashMap<(Key<'_>, &str, &str), usize> = HashMap::new();
    for (key, message, remedy, host) in found {
        let examples = texts.entry(key).or_insert_with(|| {
            keys.push(key);
            Vec::new()
        });
        let place = *places.entry((key, message, remedy)).or_insert_with(|| {
            examples.push(Example { hosts: Vec::new(), message, remedy });
            examples.len() - 1
        });
        if examples[place].hosts.last() != Some(&host) {
            examples[place].hosts.push(host);
        }
    }
    let mut causes: Vec<Cause<'_>> = Vec::new();
    for key in keys {
        let (severity, title) = key;
        let examples = texts.remove(&key).unwrap_or_default();
        let cause = |examples: Vec<Example<'a>>| Cause {
            title,
            severity,
            hosts: united(&examples),
            examples,
        };
        if examples.len() <= EXAMPLES {
            causes.extend(examples.into_iter().map(|example| cause(vec![example])));
        } else {
            causes.push(cause(examples));
        }
    }
    causes.sort_by_key(|cause| Reverse((cause.severity, cause.hosts.len())));
    causes
}

fn united(examples: &[Example<'_>]) -> Vec<usize> {
    let mut hosts: Vec<usize> = examples.iter().flat_map(|one| one.hosts.iter().copied()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

//! Host keys for people. Pure.

use std::fmt::Write as _;

use super::plan::{Plan, place};
use crate::inventory::fold_hosts;
use crate::ssh::{Offer, Standing};

/// A server that was looked at.
#[derive(Debug)]
pub(super) struct Looked {
    /// The inventory's name of it, or its address.
    pub(super) name: String,
    /// It is on the way to hosts, and none itself.
    pub(super) jump_host: bool,
    /// `address:port`.
    pub(super) address: String,
    /// Jump hosts before it, the nearest to the workstation first.
    pub(super) through: Vec<String>,
    /// What it offers.
    pub(super) offer: Offer,
    /// Which of that is in the list, where there is one, or what speaks against the server.
    pub(super) listed: Option<Result<Vec<bool>, String>>,
    /// What is to be done about it.
    pub(super) plan: Plan,
    /// Where its keys are written down.
    pub(super) file: Option<String>,
}

impl Looked {
    /// Whether its key at `index` is in the list, where there is one.
    pub(super) fn is_listed(&self, index: usize) -> Option<bool> {
        match self.listed.as_ref()? {
            Ok(listed) => listed.get(index).copied(),
            Err(_) => Some(false),
        }
    }
}

/// The word for a standing.
pub(super) fn word(standing: &Standing) -> &'static str {
    match standing {
        Standing::Known => "known",
        Standing::Certified => "certified",
        Standing::New => "new",
        Standing::Changed(_) => "changed",
        Standing::Revoked(_) => "revoked",
    }
}

/// A block for each server with something new about it, a line for all that are known. Servers with equal keys share a
/// block, which says so: hosts are not meant to have equal keys.
pub(super) fn listing(all: &[Looked]) -> String {
    let mut groups: Vec<(String, Vec<&Looked>)> = Vec::new();
    for looked in all {
        let body = body(looked);
        match groups.iter_mut().find(|(known, _)| *known == body) {
            Some((_, group)) => group.push(looked),
            None => groups.push((body, vec![looked])),
        }
    }
    let block = |(body, group): &(String, Vec<&Looked>)| {
        format!("{}{body}", title(group, body.starts_with('\n')))
    };
    groups.iter().map(block).collect()
}

fn title(group: &[&Looked], has_keys: bool) -> String {
    let through = |looked: &Looked| match looked.through.as_slice() {
        [] => String::new(),
        through => format!(" through {}", through.join(", ")),
    };
    match group {
        [looked] if looked.jump_host => format!("{} (jump host{})", looked.name, through(looked)),
        [looked] => format!("{} ({}{})", looked.name, looked.address, through(looked)),
        group => {
            let names: Vec<&str> = group.iter().map(|looked| looked.name.as_str()).collect();
            let (names, count) = (fold_hosts(&names), group.len());
            let doubt = if has_keys { " with the same keys: copies of one machine?" } else { "" };
            format!("{names} ({count} servers{doubt})")
        }
    }
}

/// What goes behind the title: for a server with nothing new about it the rest of that line.
fn body(looked: &Looked) -> String {
    let keys = &looked.offer.keys;
    let standings = || keys.iter().map(|(_, standing)| standing);
    let settled = |standing: &Standing| matches!(standing, Standing::Known | Standing::Certified);
    if let Some(first) = standings().next()
        && standings().all(settled)
        && (0..keys.len()).all(|index| looked.is_listed(index) != Some(false))
    {
        return format!(": {}\n", word(first));
    }
    let mut text = "\n".to_owned();
    // Writing to a String cannot fail.
    for (index, (key, standing)) in keys.iter().enumerate() {
        let (kind, fingerprint) = (key.kind(), key.fingerprint());
        let _ = write!(text, "  {:<9}  {kind:<19}  {fingerprint}", word(standing));
        let _ = match standing {
            Standing::Changed(line) => write!(text, " in place of {}", place(line)),
            Standing::Revoked(line) => {
                write!(text, " marked @revoked in {}:{}", line.file.display(), line.line)
            }
            _ => Ok(()),
        };
        if looked.is_listed(index) == Some(false) {
            text.push_str(", not in the list");
        }
        text.push('\n');
    }
    text
}

/// What to ask before the keys of these servers are written down.
pub(super) fn question(wanted: &[&Looked]) -> String {
    let keys: usize = wanted.iter().map(|looked| looked.plan.add.len()).sum();
    let replacing = wanted.iter().filter(|looked| looked.plan.replace).count();
    let names: Vec<&str> = wanted.iter().map(|looked| looked.name.as_str()).collect();
    let mut files: Vec<&str> = wanted.iter().filter_map(|looked| looked.file.as_deref()).collect();
    files.dedup();
    let replaced = match replacing {
        0 => String::new(),
        count => format!(" For {count} of these servers they REPLACE the keys known so far."),
    };
    format!(
        "{keys} host keys of {} are to be added to {}.{replaced} Whoever can intercept the connections may have shown \
         them: compare the fingerprints with what `ssh-keygen -lf` says of the keys in /etc/ssh on the host itself.\n\
         Are they right?",
        fold_hosts(&names),
        files.join(", ")
    )
}

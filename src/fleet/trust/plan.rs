//! What to do about the keys that one server offers. Pure.

use crate::ssh::{HostKey, KnownLine, Offer, Standing};

/// What to do, if anything.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The keys to write down.
    pub(super) add: Vec<HostKey>,
    /// Whether they replace what the server is known by and does not have any more.
    pub(super) replace: bool,
    /// Why the server must not be trusted as it is. Nothing is written down then.
    pub(super) failure: Option<String>,
}

/// Decide. `listed` says which keys are in the list that the operator trusts, if there is one, or what speaks against the
/// server; with `replace` keys may take the place of others.
pub(super) fn plan(
    offer: &Offer,
    listed: Option<&Result<Vec<bool>, String>>,
    replace: bool,
) -> Plan {
    let fail = |reason: String| Plan { failure: Some(reason), ..Plan::default() };
    let all = vec![true; offer.keys.len()];
    let wanted = match listed {
        None => &all,
        Some(Ok(listed)) => listed,
        Some(Err(reason)) => return fail(reason.clone()),
    };
    if offer.keys.is_empty() {
        return fail("the host offers no key of a type that can be checked".to_owned());
    }
    let mut plan = Plan::default();
    let mut changed = None;
    for ((key, standing), wanted) in offer.keys.iter().zip(wanted) {
        match standing {
            Standing::New if *wanted => plan.add.push(key.clone()),
            Standing::Changed(_) if replace && *wanted => {
                plan.add.push(key.clone());
                plan.replace = true;
            }
            Standing::Changed(line) => changed = changed.or(Some((key, line))),
            Standing::Known | Standing::Certified | Standing::New => {}
            Standing::Revoked(line) => {
                let (file, line) = (line.file.display(), line.line);
                return fail(format!(
                    "the host key is revoked: {key} is marked @revoked in {file}:{line}; give the host a new key"
                ));
            }
        }
    }
    match changed {
        // One that is trusted takes the place of all that the host does not have any more.
        Some((key, line)) if !plan.replace => {
            let hint = if replace {
                "the list does not have the new one"
            } else {
                "someone may be intercepting the connection; if the host was reinstalled, say --replace"
            };
            let place = place(line);
            fail(format!("the host key has changed: {key} in place of {place}; {hint}"))
        }
        _ => plan,
    }
}

/// A known key and where it is written.
pub(super) fn place(line: &KnownLine) -> String {
    format!("{} in {}:{}", line.key, line.file.display(), line.line)
}

//! One password, many hosts: one host tries it first, the others wait for what becomes of it. A wrong password must
//! not be tried once per host, or it locks the account of everybody who checks passwords in one place.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;
use tokio::sync::OwnedMutexGuard;

/// What is known of one password.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Whoever holds it may try the password while nobody knows whether it is right.
    turn: Arc<tokio::sync::Mutex<()>>,
    verdict: Mutex<Verdict>,
}

#[derive(Debug, Default)]
struct Verdict {
    accepted_by: Option<String>,
    refused_by: BTreeSet<String>,
    /// The first that refused it.
    first_refusal: Option<String>,
}

/// What the gate says to a host.
#[derive(Debug)]
pub(super) enum Pass {
    /// Try it.
    Try(Candidate),
    /// This host has refused it; the name of one that accepted it, if any did.
    RefusedHere(Option<String>),
    /// Another host has refused it, and none has accepted it.
    RefusedBy(String),
}

impl Gate {
    /// Wait for the turn of `host` to try `value`.
    pub(super) async fn pass(self: &Arc<Self>, value: &SecretString, host: &str) -> Pass {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let verdict = self.verdict();
        if verdict.refused_by.contains(host) {
            return Pass::RefusedHere(verdict.accepted_by.clone());
        }
        let known = verdict.accepted_by.is_some();
        if let (false, Some(by)) = (known, &verdict.first_refusal) {
            return Pass::RefusedBy(by.clone());
        }
        Pass::Try(Candidate {
            value: value.clone(),
            host: host.to_owned(),
            gate: Arc::clone(self),
            _turn: (!known).then_some(turn),
        })
    }

    /// Whether it has been refused, and never accepted.
    pub(super) fn is_wrong(&self) -> bool {
        let verdict = self.verdict();
        verdict.accepted_by.is_none() && verdict.first_refusal.is_some()
    }

    /// Whether a host has accepted it.
    pub(super) fn is_right(&self) -> bool {
        self.verdict().accepted_by.is_some()
    }

    fn verdict(&self) -> MutexGuard<'_, Verdict> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A password to try on one host, once. Say what became of it; dropped without a word it counts as not tried, and
/// the next host has its turn.
#[must_use]
pub struct Candidate {
    value: SecretString,
    host: String,
    gate: Arc<Gate>,
    /// Held while nobody knows whether the password is right.
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Candidate {
    /// The host took it: all others may try it.
    pub fn accepted(self) {
        self.gate.verdict().accepted_by.get_or_insert(self.host);
    }

    /// The host did not take it. It is not offered to this host again, and to no other if none has accepted it.
    pub fn refused(self) {
        let mut verdict = self.gate.verdict();
        verdict.first_refusal.get_or_insert_with(|| self.host.clone());
        verdict.refused_by.insert(self.host);
    }
}

impl Deref for Candidate {
    type Target = SecretString;

    fn deref(&self) -> &SecretString {
        &self.value
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Candidate(for {})", self.host)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::ExposeSecret;
    use tokio::time::timeout;

    use super::*;

    fn value() -> SecretString {
        SecretString::from("right")
    }

    async fn candidate(gate: &Arc<Gate>, host: &str) -> Candidate {
        match gate.pass(&value(), host).await {
            Pass::Try(candidate) => candidate,
            other => panic!("{other:?}"),
        }
    }

    async fn waits(gate: &Arc<Gate>) -> bool {
        timeout(Duration::from_millis(20), gate.pass(&value(), "other")).await.is_err()
    }

    #[tokio::test]
    async fn one_host_tries_and_all_use_what_was_accepted() {
        let gate = Arc::new(Gate::default());
        let first = candidate(&gate, "a").await;
        assert_eq!(first.expose_secret(), "right");
        assert!(waits(&gate).await);
        first.accepted();
        let (b, c) = (candidate(&gate, "b").await, candidate(&gate, "c").await);
        b.accepted();
        c.refused();
        assert!(matches!(gate.pass(&value(), "c").await, Pass::RefusedHere(Some(by)) if by == "a"));
        assert!(gate.is_right() && !gate.is_wrong());
        candidate(&gate, "d").await.accepted();
    }

    #[tokio::test]
    async fn what_one_host_refused_no_other_tries() {
        let gate = Arc::new(Gate::default());
        candidate(&gate, "a").await.refused();
        assert!(matches!(gate.pass(&value(), "b").await, Pass::RefusedBy(by) if by == "a"));
        assert!(matches!(gate.pass(&value(), "a").await, Pass::RefusedHere(None)));
        assert!(gate.is_wrong() && !gate.is_right());
    }

    #[tokio::test]
    async fn an_undecided_host_gives_its_turn_to_the_next() {
        let gate = Arc::new(Gate::default());
        let first = candidate(&gate, "a").await;
        assert!(waits(&gate).await);
        drop(first);
        candidate(&gate, "b").await.accepted();
        candidate(&gate, "a").await.accepted();
    }

    #[tokio::test]
    async fn shows_nothing() {
        let gate = Arc::new(Gate::default());
        let candidate = candidate(&gate, "a").await;
        assert_eq!(format!("{candidate:?}"), "Candidate(for a)");
        assert!(!format!("{gate:?}").contains("right"));
    }
}

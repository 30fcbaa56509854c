//! Which failures to connect are worth another attempt, and when. Pure: whoever connects keeps the clock.

use std::time::Duration;

use crate::ssh::error::{Fault, SshError};

/// How one kind of failure is met.
struct Plan {
    /// Before the second attempt; doubles from there.
    first: Duration,
    /// Longest pause.
    longest: Duration,
    /// No attempt begins later than this after the first.
    budget: Duration,
}

/// A port that nobody listens on: long enough for a service that restarts, short enough not to be felt.
const REFUSED: Plan = Plan {
    first: Duration::from_millis(250),
    longest: Duration::from_secs(1),
    budget: Duration::from_millis(2500),
};

/// A busy sshd drops some connections at random while more than MaxStartups are logging in, and takes them a moment later.
const DROPPED: Plan = Plan {
    first: Duration::from_millis(100),
    longest: Duration::from_secs(1),
    budget: Duration::from_secs(20),
};

/// Between attempts that somebody asked for: OpenSSH's ConnectionAttempts.
const ASKED_FOR: Duration = Duration::from_secs(1);

/// What has been tried.
#[derive(Debug, Clone, Copy)]
pub(in crate::ssh) struct Tried {
    /// How often.
    pub(in crate::ssh) attempts: u32,
    /// How often at least, where nobody listens or answers.
    pub(in crate::ssh) at_least: u32,
    /// How long it took altogether.
    pub(in crate::ssh) spent: Duration,
}

/// How long to wait after an attempt that ended with `error`; `None` to give up. `random` is between 0 and 1 and spreads the
/// pauses of hosts that failed at the same moment.
pub(in crate::ssh) fn pause(error: &SshError, tried: Tried, random: f64) -> Option<Duration> {
    let Tried { attempts, at_least, spent } = tried;
    let fault = fault(error);
    if attempts < at_least && matches!(fault, Fault::Refused | Fault::Silent) {
        return Some(ASKED_FOR);
    }
    let plan = match fault {
        Fault::Refused => REFUSED,
        Fault::Dropped => DROPPED,
        Fault::Silent | Fault::Lasting => return None,
    };
    let doubled = plan.first.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    let pause = doubled.min(plan.longest).mul_f64(0.5 + random);
    (spent + pause <= plan.budget).then_some(pause)
}

fn fault(error: &SshError) -> Fault {
    match error {
        SshError::Unreachable { fault, .. } => *fault,
        // A jump host that was there is there again when it comes back, and attempts to reach it are made elsewhere.
        SshError::Jump { error, .. } if error.is_lost() => Fault::Refused,
        _ => Fault::Lasting,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unreachable(fault: Fault) -> SshError {
        SshError::Unreachable { endpoint: "node:22".to_owned(), reason: String::new(), fault }
    }

    /// The pauses until nothing more is tried, where attempts take no time.
    fn pauses(error: &SshError, random: f64) -> Vec<Duration> {
        let mut pauses: Vec<Duration> = Vec::new();
        while let Some(next) =
            pause(error, tried(pauses.len() as u32 + 1, pauses.iter().sum()), random)
        {
            pauses.push(next);
        }
        pauses
    }

    fn tried(attempts: u32, spent: Duration) -> Tried {
        Tried { attempts, at_least: 1, spent }
    }

    #[test]
    fn a_refused_port_is_tried_for_about_two_seconds() {
        let millis = |random| {
            let pauses = pauses(&unreachable(Fault::Refused), random);
            pauses.iter().map(Duration::as_millis).collect::<Vec<_>>()
        };
        assert_eq!(millis(0.5), [250, 500, 1000]);
        assert_eq!(millis(0.0), [125, 250, 500, 500, 500, 500]);
    }

    #[test]
    fn a_busy_server_is_tried_for_twenty_seconds() {
        let pauses = pauses(&unreachable(Fault::Dropped), 0.5);
        let millis: Vec<_> = pauses.iter().map(Duration::as_millis).take(6).collect();
        assert_eq!(millis, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(pauses.len(), 22);
    }

    #[test]
    fn what_does_not_pass_is_not_tried_again() {
        let endpoint = || "bastion:22".to_owned();
        let authentication = SshError::Authentication {
            endpoint: endpoint(),
            user: "ops".to_owned(),
            reason: String::new(),
        };
        let jump = |error| SshError::Jump { endpoint: endpoint(), error: Box::new(error) };
        for error in [
            unreachable(Fault::Silent),
            unreachable(Fault::Lasting),
            authentication.clone(),
            jump(authentication),
            // Every host behind the jump host would try it again.
            jump(unreachable(Fault::Refused)),
        ] {
            assert_eq!(pause(&error, tried(1, Duration::ZERO), 0.5), None, "{error:?}");
        }
        let lost = jump(SshError::Lost { reason: String::new() });
        assert!(pause(&lost, tried(1, Duration::ZERO), 0.5).is_some());
    }

    #[test]
    fn attempts_that_were_asked_for_are_made() {
        let asked = |fault, attempts| {
            let tried = Tried { attempts, at_least: 3, spent: Duration::from_secs(30) };
            pause(&unreachable(fault), tried, 0.5)
        };
        for fault in [Fault::Refused, Fault::Silent] {
            assert_eq!(asked(fault, 2), Some(ASKED_FOR));
            assert_eq!(asked(fault, 3), None);
        }
        assert_eq!(asked(Fault::Lasting, 1), None);
    }

    proptest! {
        #[test]
        fn no_pause_is_longer_than_the_budget(attempts in 1u32..1000, spent in 0u64..40_000, random in 0.0..1.0f64) {
            let spent = Duration::from_millis(spent);
            for fault in [Fault::Refused, Fault::Dropped] {
                if let Some(pause) = pause(&unreachable(fault), tried(attempts, spent), random) {
                    prop_assert!(pause <= Duration::from_millis(1500));
                    prop_assert!(spent + pause <= DROPPED.budget);
                }
            }
        }
    }
}

//! Logging in, in the order and by the rules of OpenSSH's client: keys, then keyboard-interactive, then a password, and on
//! after a partial success until the server has all it wants.
//!
//! Every wait is bounded by the connect timeout, except that for somebody who types.

mod banner;
mod interactive;
mod offers;
mod password;
mod publickey;
mod sign;

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use russh::client::{AuthResult, Handle};
use russh::keys::HashAlg;
use russh::keys::agent::client::AgentClient;
use russh::{MethodKind, MethodSet};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

use super::connect::dial::Deadline;
use super::connection::{Client, Ending};
use super::keys::{Identities, KeyRing};
use super::secrets::{Account, Secrets};
use super::settings::Settings;
pub(super) use banner::Banner;
use offers::Step;

/// Every method there is, in the order in which they are tried.
const METHODS: [MethodKind; 3] =
    [MethodKind::PublicKey, MethodKind::KeyboardInteractive, MethodKind::Password];

/// The methods that `settings` allow.
pub(super) fn methods(settings: &Settings) -> Vec<MethodKind> {
    let allowed = |method: &MethodKind| match method {
        MethodKind::PublicKey => settings.pubkey_authentication.value,
        MethodKind::KeyboardInteractive => settings.kbd_interactive_authentication.value,
        _ => settings.password_authentication.value,
    };
    METHODS.into_iter().filter(allowed).collect()
}

/// A server that closes the connection when the operator has taken longer than that gave up waiting, whatever else it
/// may have had against the answer.
const SHORT_WAIT: Duration = Duration::from_secs(10);

/// More partial successes than any server wants; one that goes on is playing.
const MAX_PARTIAL: usize = 8;

/// What logging in to one host needs.
pub(super) struct Login<'a> {
    pub(super) handle: &'a mut Handle<Client>,
    pub(super) ending: &'a Ending,
    pub(super) account: &'a Account,
    /// What may be tried, in this order.
    pub(super) methods: Vec<MethodKind>,
    pub(super) identities: &'a Identities,
    pub(super) key_ring: &'a KeyRing,
    pub(super) secrets: &'a Secrets,
    /// Where what the server says beside the point goes.
    pub(super) banner: &'a Banner,
    /// When the server must have let us in. Later by as long as somebody types.
    pub(super) deadline: Deadline,
}

/// Why nobody is logged in. The reasons are for people.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing that could be offered was accepted.
    Refused(String),
    /// The server did not wait for the operator. What was asked for is known now, so another connection may do.
    Outwaited(String),
}

/// Log in. The handle must not be used for this again: authenticating twice hangs.
pub(super) async fn authenticate(login: Login<'_>) -> Result<(), Failure> {
    let mut attempt = Attempt {
        login,
        tried: Vec::new(),
        asked: false,
        steps: None,
        agent: None,
        rsa_hash: None,
        waited: Duration::ZERO,
        outwaited: false,
    };
    match attempt.run().await {
        Ok(()) => Ok(()),
        Err(stop) => Err(attempt.failure(stop)),
    }
}

/// What a server says to an attempt.
#[derive(Debug)]
enum Verdict {
    /// Logged in.
    Accepted,
    /// That was right, and there is more to do.
    Partial(MethodSet),
    /// No, and these methods are left.
    Refused(MethodSet),
}

/// Why there is no use in going on.
#[derive(Debug)]
enum Stop {
    /// Nothing is left to try.
    Exhausted(MethodSet),
    /// The connection is gone; what is known about it.
    Closed(String),
    /// No answer in time.
    Late,
    /// Something else.
    Because(String),
}

struct Attempt<'a> {
    login: Login<'a>,
    /// What was tried, for the error message.
    tried: Vec<String>,
    /// The server has been asked whether it wants anything, or has said so.
    asked: bool,
    /// Keys still to be offered; `None` before the first.
    steps: Option<VecDeque<Step>>,
    agent: Option<AgentClient<UnixStream>>,
    /// The hash for RSA signatures, once asked for.
    rsa_hash: Option<HashAlg>,
    /// How long the server has been waiting for the operator.
    waited: Duration,
    /// The connection was gone when somebody had typed.
    outwaited: bool,
}

impl Attempt<'_> {
    async fn run(&mut self) -> Result<(), Stop> {
        let (mut partial, mut exhausted) = (0, Vec::new());
        let mut left = match self.first_answer().await? {
            Verdict::Accepted => return Ok(()),
            Verdict::Partial(left) => left,
            Verdict::Refused(left) => {
                if !left.contains(&MethodKind::PublicKey) {
                    // Keys do not matter there, or not yet: none has been offered that was looked at.
                    self.tried.clear();
                    self.steps = None;
                }
                left
            }
        };
        loop {
            let mut methods = self.login.methods.iter().copied();
            let next = methods.find(|method| left.contains(method) && !exhausted.contains(method));
            if next != Some(MethodKind::PublicKey) && !self.asked {
                // Before the operator is: the server may want nothing at all.
                left = match self.ask_for_nothing().await? {
                    Verdict::Accepted => return Ok(()),
                    Verdict::Partial(left) | Verdict::Refused(left) => left,
                };
                continue;
            }
            let Some(method) = next else { return Err(Stop::Exhausted(left)) };
            let verdict = match method {
                MethodKind::PublicKey => self.public_keys().await?,
                MethodKind::KeyboardInteractive => Some(self.keyboard_interactive().await?),
                _ => self.password().await?,
            };
            match verdict {
                Some(Verdict::Accepted) => return Ok(()),
                Some(Verdict::Partial(next)) => {
                    partial += 1;
                    if partial > MAX_PARTIAL {
                        return Err(Stop::Because("the server never has enough".to_owned()));
                    }
                    self.was_not_enough();
                    left = next;
                    exhausted.clear();
                }
                // A server may name other methods than before.
                Some(Verdict::Refused(next)) => {
                    left = next;
                    exhausted.push(method);
                }
                None => exhausted.push(method),
            }
        }
    }

    /// What was tried last is right, and there is more to do.
    fn was_not_enough(&mut self) {
        self.asked = true;
        self.tried.push("which was not enough".to_owned());
    }

    /// What the server says first, which names the methods it has. It is asked by the first key where one is at hand: nearly
    /// every server takes that, and has been asked nothing in vain.
    async fn first_answer(&mut self) -> Result<Verdict, Stop> {
        if self.login.methods.first() == Some(&MethodKind::PublicKey)
            && let Some(verdict) = self.first_key().await?
        {
            if let Verdict::Partial(_) = verdict {
                self.was_not_enough();
            }
            return Ok(verdict);
        }
        self.ask_for_nothing().await
    }

    /// The method `none`: names the methods there are, and is enough for servers that want nothing.
    async fn ask_for_nothing(&mut self) -> Result<Verdict, Stop> {
        self.asked = true;
        let user = self.login.account.user.clone();
        let probe = self.login.handle.authenticate_none(user);
        let probed = bounded(self.login.deadline, probe).await?;
        self.judge(probed)
    }

    /// What an answer means.
    fn judge(&self, answer: Result<AuthResult, russh::Error>) -> Result<Verdict, Stop> {
        match answer {
            Ok(AuthResult::Success) => Ok(Verdict::Accepted),
            // What is given for an answer when the connection ends, too.
            Ok(AuthResult::Failure { remaining_methods, .. }) if remaining_methods.is_empty() => {
                Err(self.closed())
            }
            Ok(AuthResult::Failure { partial_success: true, remaining_methods }) => {
                Ok(Verdict::Partial(remaining_methods))
            }
            Ok(AuthResult::Failure { .. }) if self.login.handle.is_closed() => Err(self.closed()),
            Ok(AuthResult::Failure { remaining_methods, .. }) => {
                Ok(Verdict::Refused(remaining_methods))
            }
            Err(_) => Err(self.closed()),
        }
    }

    fn closed(&self) -> Stop {
        let reason = self.login.ending.reason().unwrap_or("the server closed the connection");
        Stop::Closed(reason.to_owned())
    }

    /// Wait for the operator, or for another host that the operator answered for. No time passes for the deadline.
    async fn patiently<T>(&mut self, waiting: impl Future<Output = T>) -> Result<T, Stop> {
        let begun = Instant::now();
        let answer = waiting.await;
        self.login.deadline.at += begun.elapsed();
        self.waited += begun.elapsed();
        if self.login.handle.is_closed() {
            self.outwaited = true;
            return Err(self.closed());
        }
        Ok(answer)
    }

    fn failure(&self, stop: Stop) -> Failure {
        let tried = |reason: String| {
            if self.tried.is_empty() {
                return reason;
            }
            format!("tried {}; {reason}", self.tried.join(", "))
        };
        Failure::Refused(match stop {
            Stop::Closed(reason) if reason.contains("Too many authentication failures") => {
                let hint = "name the right key with identity_file and set identities_only = true";
                tried(format!("{reason}; {hint}"))
            }
            Stop::Closed(reason) if self.outwaited => return Failure::Outwaited(reason),
            Stop::Closed(reason) | Stop::Because(reason) => tried(reason),
            Stop::Late => tried(self.login.deadline.passed("no decision")),
            Stop::Exhausted(_) if !self.tried.is_empty() => {
                format!("tried {}", self.tried.join(", "))
            }
            Stop::Exhausted(left) => nothing_in_common(&left, &self.login.methods),
        })
    }
}

async fn bounded<T>(deadline: Deadline, waiting: impl Future<Output = T>) -> Result<T, Stop> {
    timeout_at(deadline.at, waiting).await.map_err(|_| Stop::Late)
}

/// Why nothing was tried on a server that takes `left`.
fn nothing_in_common(left: &[MethodKind], allowed: &[MethodKind]) -> String {
    let only = format!("the server accepts only {}", names(left));
    if left.contains(&MethodKind::PublicKey) && allowed.contains(&MethodKind::PublicKey) {
        "there is no key to offer; start an agent, or name a key file with identity_file".to_owned()
    } else if left.iter().any(|method| METHODS.contains(method) && !allowed.contains(method)) {
        format!("{only}, which OpenSSH's configuration on this workstation does not allow")
    } else if left.iter().any(|method| METHODS.contains(method)) {
        format!("{only}, and asked for nothing")
    } else {
        format!("{only}, which fleetadm does not do")
    }
}

fn names(methods: &[MethodKind]) -> String {
    methods.iter().map(<&str>::from).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_why_nothing_was_tried() {
        use MethodKind::{HostBased, KeyboardInteractive, Password, PublicKey};

        let text = |left: &[MethodKind], allowed: &[MethodKind]| nothing_in_common(left, allowed);
        insta::assert_snapshot!(text(&[PublicKey, Password], &METHODS), @"there is no key to offer; start an agent, or name a key file with identity_file");
        insta::assert_snapshot!(text(&[PublicKey, Password], &[KeyboardInteractive]), @"the server accepts only publickey, password, which OpenSSH's configuration on this workstation does not allow");
        insta::assert_snapshot!(text(&[HostBased], &METHODS), @"the server accepts only hostbased, which fleetadm does not do");
        insta::assert_snapshot!(text(&[KeyboardInteractive], &METHODS), @"the server accepts only keyboard-interactive, and asked for nothing");
    }
}

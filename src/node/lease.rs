//! A lease of a host: one holder at a time, or several that share it. It is a lock that a command on the host holds for as
//! long as the connection brings it signs of life, so that a workstation that crashes or loses its network leaves nothing to
//! clean, and nobody waits for it for longer than [`LIMIT`].
//!
//! Never decides who should have one, or for how long to wait for it.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::report::printable_line;

use super::transport::{Flow, GAVE_WAY, Input, TransportError};
use super::{Node, NodeError, action_of};

/// Time between two signs of life.
const BEAT: Duration = Duration::from_secs(10);
/// Without a sign of life for so long a host lets go of a lease.
pub const LIMIT: Duration = Duration::from_secs(30);
/// Most bytes of an answer. There are few holders at a time, with a line each.
const MAX_ANSWER: usize = 16 * 1024;
/// Most holders that are named, and most characters of each.
const SHOWN: (usize, usize) = (3, 200);

/// How a lease is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// By nobody else.
    Exclusive,
    /// Also by others who share it.
    Shared,
}

impl Sharing {
    fn word(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
        }
    }
}

/// What a host answers.
#[derive(Debug)]
pub enum Answer {
    /// It is yours.
    Granted(Lease),
    /// Others have it: what they say of themselves, which is untrusted and fit for a line of text.
    Busy(Vec<String>),
    /// The host has no leases to give, because of this.
    Unguarded(String),
}

/// A lease that is held until this is dropped, or the connection is lost.
#[derive(Debug)]
pub struct Lease {
    ended: CancellationToken,
    gave_way: CancellationToken,
    /// Lets go when dropped.
    _release: DropGuard,
}

impl Lease {
    /// Whether it is still held, as far as is known here.
    pub fn is_held(&self) -> bool {
        !self.ended.is_cancelled()
    }

    /// Why it was given up, where it stood in the way of other sessions or connections.
    pub fn gave_way(&self) -> Option<&'static str> {
        self.gave_way.is_cancelled().then_some(GAVE_WAY)
    }
}

impl Node {
    /// Ask for the host's lease of this name; `holder` is what others are told, on one line, and no secret.
    ///
    /// # Errors
    /// What the host said.
    pub async fn lease(
        &self,
        name: &str,
        sharing: Sharing,
        holder: &str,
    ) -> Result<Answer, NodeError> {
        let limit = LIMIT.as_secs().to_string();
        let arguments = ["lease", name, sharing.word(), &limit, holder];
        self.ensure_payload().await?;
        let command = self.payload.stored_command(&arguments);
        let transport = self.transport.clone();
        let (sender, answer) = oneshot::channel();
        let (ended, gave_way) = (CancellationToken::new(), CancellationToken::new());
        let release = CancellationToken::new();
        let lease = Lease {
            ended: ended.clone(),
            gave_way: gave_way.clone(),
            _release: release.clone().drop_guard(),
        };
        tokio::spawn(async move {
            let _ended = ended.drop_guard();
            let (reader, mut writer) = tokio::io::duplex(8);
            let beats = async {
                loop {
                    sleep(BEAT).await;
                    // It fails when the command has ended, which is noticed there.
                    let _ = writer.write_all(b"\n").await;
                }
            };
            let mut said = Vec::new();
            let mut sender = Some(sender);
            let mut sink = |data: &[u8]| {
                said.extend_from_slice(data);
                if said == GRANTED
                    && let Some(sender) = sender.take()
                {
                    // Nobody waits any more: the lease is dropped, too.
                    let _ = sender.send(Ok(()));
                }
                if said.len() > MAX_ANSWER { Flow::Stop } else { Flow::GoOn }
            };
            let held = tokio::select! {
                held = transport.hold(&command, Input::Reader(Box::new(reader)), &mut sink) => held,
                () = beats => return,
                () = release.cancelled() => return,
            };
            if matches!(held, Err(TransportError::GaveWay)) {
                gave_way.cancel();
            }
            if let Some(sender) = sender {
                let _ = sender.send(Err((held, said)));
            }
        });
        match answer.await {
            Ok(Ok(())) => Ok(Answer::Granted(lease)),
            Ok(Err((Err(TransportError::GaveWay), _))) => {
                Ok(Answer::Unguarded(GAVE_WAY.to_owned()))
            }
            Ok(Err((Err(source), _))) => Err(NodeError::Transport {
                host: self.name.clone(),
                action: action_of(&arguments[..2]),
                source,
            }),
            Ok(Err((Ok(mut output), said))) => {
                *output.stdout = said;
                let answer = self.demand_success(&arguments[..2], output)?;
                refusal(&answer)
                    .ok_or_else(|| self.unexpected("lease", &String::from_utf8_lossy(&answer)))
            }
            // The task was ended by the end of the runtime.
            Err(_) => Err(self.unexpected("lease", "no answer")),
        }
    }
}

/// What the payload says once the lease is held, and nothing after it.
const GRANTED: &[u8] = b"granted\n";

/// `busy` with a line `holder TEXT` for each, or `unguarded REASON`.
fn refusal(answer: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(answer);
    let mut lines = text.lines();
    let first = lines.next()?;
    if let Some(reason) = first.strip_prefix("unguarded ") {
        return Some(Answer::Unguarded(printable_line(reason, SHOWN.1)));
    }
    let holders: Option<Vec<String>> = (first == "busy")
        .then(|| {
            lines
                .map(|line| line.strip_prefix("holder "))
                .map(|it| Some(printable_line(it?, SHOWN.1)))
        })?
        .collect();
    let mut holders = holders?;
    holders.truncate(SHOWN.0);
    Some(Answer::Busy(holders))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let busy = |answer: &str| match refusal(answer.as_bytes()) {
            Some(Answer::Busy(holders)) => Some(holders),
            _ => None,
        };
        assert_eq!(busy("busy\nholder ann\x1b[2J, apply\n").unwrap(), ["ann, apply"]);
        // It had just gone.
        assert_eq!(busy("busy\n").unwrap(), Vec::<String>::new());
        assert_eq!(busy(&format!("busy\n{}", "holder x\n".repeat(9))).unwrap().len(), SHOWN.0);
        for other in ["", "busy\nann\n", "granted\n", "holder x\n"] {
            assert!(busy(other).is_none(), "{other:?}");
        }
        let unguarded = refusal(b"unguarded no flock\n");
        assert!(matches!(unguarded, Some(Answer::Unguarded(reason)) if reason == "no flock"));
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(answer in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = refusal(&answer);
        }
    }
}

//! Trying something again until it works, a deadline passes, or the run is cancelled.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::error::ApiError;

/// How long and how often to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// Give up after this long.
    pub timeout: Duration,
    /// Rest between two tries, at first. Later it is longer, up to two seconds.
    pub interval: Duration,
}

/// What has been waited for long is asked after less often: one part of so many of the time waited so far. A fleet of
/// thousands must not keep the API server busy with questions, and nobody minds a sixteenth more.
const PATIENCE: u32 = 16;
/// But at least as often as this.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// What one try found.
#[derive(Debug)]
pub enum Attempt<T> {
    /// There it is.
    Done(T),
    /// Not yet, because of this.
    NotYet(String),
}

impl Poll {
    /// kubeadm's interval for everything but discovery.
    pub const INTERVAL: Duration = Duration::from_millis(500);

    /// Every 500 ms for at most `timeout`.
    pub const fn for_at_most(timeout: Duration) -> Self {
        Self { timeout, interval: Self::INTERVAL }
    }

    /// The rest before the next try, so long after the first one.
    fn rest(self, waited: Duration) -> Duration {
        self.interval.max((waited / PATIENCE).min(LONGEST_REST))
    }

    /// Try until done. An error from `attempt` ends the wait; a try still running at the deadline is
    /// dropped. `action` completes "trying to ...".
    pub async fn until<T, F, Fut>(
        self,
        cancel: &CancellationToken,
        action: &str,
        mut attempt: F,
    ) -> Result<T, ApiError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<Attempt<T>, ApiError>>,
    {
        let start = Instant::now();
        let deadline = start + self.timeout;
        let mut last = "no answer yet".to_owned();
        let polling = async {
            loop {
                match timeout_at(deadline, attempt()).await {
                    Ok(Ok(Attempt::Done(value))) => return Ok(value),
                    Ok(Ok(Attempt::NotYet(reason))) => last = reason,
                    Ok(Err(error)) => return Err(error),
                    Err(_) => {}
                }
                let rest = self.rest(start.elapsed());
                if Instant::now() + rest >= deadline {
                    let action = action.to_owned();
                    return Err(ApiError::TimedOut { action, waited: start.elapsed(), last });
                }
                sleep(rest).await;
            }
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(ApiError::Cancelled { action: action.to_owned() }),
            result = polling => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Poll =
        Poll { timeout: Duration::from_millis(60), interval: Duration::from_millis(5) };

    #[tokio::test]
    async fn tries_until_done() {
        let mut tries = 0;
        let value = QUICK
            .until(&CancellationToken::new(), "count", || {
                tries += 1;
                let now = tries;
                async move {
                    Ok(if now == 3 { Attempt::Done(now) } else { Attempt::NotYet("few".into()) })
                }
            })
            .await
            .unwrap();
        assert_eq!(value, 3);
    }

    #[test]
    fn the_number_of_tries_is_bounded() {
        let poll = Poll { interval: Duration::from_millis(250), ..QUICK };
        let tries = |limit: u64| {
            let mut waited = Duration::ZERO;
            (1..).find(|_| {
                waited += poll.rest(waited);
                waited >= Duration::from_secs(limit)
            })
        };
        assert_eq!((tries(4), tries(60), tries(300)), (Some(16), Some(65), Some(185)));
    }

    #[tokio::test]
    async fn names_the_last_reason_when_time_is_up() {
        let error = QUICK
            .until(&CancellationToken::new(), "see it", || async {
                Ok::<_, ApiError>(Attempt::<()>::NotYet("it hides".into()))
            })
            .await
            .unwrap_err();
        assert!(error.to_string().contains("trying to see it"), "{error}");
        assert!(error.to_string().ends_with("it hides"), "{error}");
    }

    #[tokio::test]
    async fn a_hanging_try_ends_at_the_deadline() {
        let error = QUICK
            .until(
                &CancellationToken::new(),
                "wait",
                std::future::pending::<Result<Attempt<()>, _>>,
            )
            .await
            .unwrap_err();
        assert!(matches!(error, ApiError::TimedOut { .. }));
    }

    #[tokio::test]
    async fn stops_when_cancelled() {
        let cancel = CancellationToken::new();
        cancel.cancel();
        let error = QUICK
            .until(&cancel, "wait", || async { Ok::<_, ApiError>(Attempt::Done(())) })
            .await
            .unwrap_err();
        assert!(matches!(error, ApiError::Cancelled { .. }));
    }
}

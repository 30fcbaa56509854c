//! How many connections may be open at once: each takes file descriptors, of which a process may have only so many.
//!
//! Whoever wants a connection when there is no room waits until another has ended. It never fails for that.

use std::sync::Arc;

use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Descriptors that connections leave free, besides a quarter of all: what a process has anyway, and what a login needs for
/// a moment (an agent, a key file).
const SPARE: usize = 16;

/// The descriptors that connections may take.
#[derive(Debug)]
pub(in crate::ssh) struct Descriptors {
    free: Arc<Semaphore>,
    /// How many connections there may be.
    most: usize,
    /// How many files this process may have open.
    limit: usize,
    /// Fires when somebody has to wait.
    short: CancellationToken,
}

impl Default for Descriptors {
    /// As many as this process is allowed now.
    fn default() -> Self {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self::of(usize::try_from(limit).unwrap_or(usize::MAX))
    }
}

impl Descriptors {
    fn of(limit: usize) -> Self {
        let most = limit - limit / 4;
        let most = most.saturating_sub(SPARE).clamp(1, Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(most)), most, limit, short: CancellationToken::new() }
    }

    /// How many connections there may be.
    pub(in crate::ssh) fn most(&self) -> usize {
        self.most
    }

    /// Wait until `count` are free, or all there are; they are taken until the permit is dropped. `on_short` is called by
    /// the first who has to wait, with what to tell the operator.
    pub(in crate::ssh) async fn take(
        &self,
        count: u32,
        on_short: impl FnOnce(String),
    ) -> Option<OwnedSemaphorePermit> {
        let count = count.min(u32::try_from(self.most).unwrap_or(u32::MAX));
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_many_owned(count) {
            return Some(permit);
        }
        if !self.short.is_cancelled() {
            self.short.cancel();
            let Self { most, limit, .. } = self;
            on_short(format!(
                "at most {most} connections are open at a time: this process may have {limit} files open (ulimit -Hn)"
            ));
        }
        // The semaphore is never closed; without a permit there is only no bound.
        Arc::clone(&self.free).acquire_many_owned(count).await.ok()
    }

    /// Wait until somebody has had to wait.
    pub(in crate::ssh) async fn short(&self) {
        self.short.cancelled().await;
    }

    /// Whether somebody has had to wait.
    pub(in crate::ssh) fn is_short(&self) -> bool {
        self.short.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[test]
    fn some_are_left_for_other_files() {
        for (limit, most) in [(0, 1), (20, 1), (40, 14), (256, 176), (1024, 752), (20_000, 14_984)]
        {
            assert_eq!(Descriptors::of(limit).most, most, "{limit}");
        }
        assert_eq!(Descriptors::of(usize::MAX).most, Semaphore::MAX_PERMITS);
    }

    #[tokio::test]
    async fn the_first_who_waits_says_so() {
        let descriptors = Descriptors::of(24);
        let quiet = |text: String| panic!("{text}");
        let held = [descriptors.take(1, quiet).await, descriptors.take(1, quiet).await];
        assert!(!descriptors.is_short());
        let mut told = Vec::new();
        for _ in 0..2 {
            let waiting = descriptors.take(1, |text| told.push(text));
            assert!(timeout(Duration::from_millis(10), waiting).await.is_err());
        }
        descriptors.short().await;
        insta::assert_snapshot!(told.join("\n"), @"at most 2 connections are open at a time: this process may have 24 files open (ulimit -Hn)");
        drop(held);
        assert!(descriptors.take(4, quiet).await.is_some());
    }
}

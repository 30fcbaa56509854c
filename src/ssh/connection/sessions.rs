//! How many commands may run at once on a connection: as many as the server has room for, which it tells by refusing
//! (MaxSessions).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Commands at once on one connection: fewer than sshd's MaxSessions, which is 10 by default.
const MAX_SESSIONS: usize = 8;

/// The sessions of a connection.
#[derive(Debug)]
pub(in crate::ssh) struct Sessions {
    free: Arc<Semaphore>,
    /// How many there may be, used or free.
    capacity: AtomicUsize,
    /// Fired once there is room for one only.
    crowded: CancellationToken,
}

impl Sessions {
    pub(in crate::ssh) fn new() -> Self {
        Self {
            free: Arc::new(Semaphore::new(MAX_SESSIONS)),
            capacity: AtomicUsize::new(MAX_SESSIONS),
            crowded: CancellationToken::new(),
        }
    }

    /// Wait for a free slot.
    pub(in crate::ssh) async fn slot(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        Arc::clone(&self.free).acquire_owned().await
    }

    /// Wait until the server has been found to have room for one session only. Another one is wanted then.
    pub(in crate::ssh) async fn crowded(&self) {
        self.crowded.cancelled().await;
    }

    /// The server refused the session that was to take `slot`. Where others are open, one fewer may be from now on, and
    /// the slot is gone: wait for another. Otherwise it comes back.
    pub(in crate::ssh) fn refused(
        &self,
        slot: OwnedSemaphorePermit,
    ) -> Option<OwnedSemaphorePermit> {
        let others = |capacity: usize| capacity - self.free.available_permits().min(capacity) > 1;
        let fewer = |capacity: usize| (capacity > 1 && others(capacity)).then(|| capacity - 1);
        match self.capacity.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer) {
            Ok(before) => {
                slot.forget();
                if before == 2 {
                    self.crowded.cancel();
                }
                None
            }
            Err(_) => Some(slot),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn refusals_teach_the_limit() {
        let sessions = Sessions::new();
        let mut open = Vec::new();
        // A server with room for two.
        for _ in 0..20 {
            let Ok(slot) = Arc::clone(&sessions.free).try_acquire_owned() else { break };
            if open.len() < 2 {
                open.push(slot);
            } else {
                assert!(sessions.refused(slot).is_none());
            }
        }
        assert_eq!(open.len(), 2);
        assert_eq!(sessions.capacity.load(Ordering::SeqCst), 2);
        assert!(!sessions.crowded.is_cancelled());
        assert_eq!(sessions.free.available_permits(), 0);
        open.pop();
        assert!(sessions.slot().await.is_ok());
    }

    #[tokio::test]
    async fn one_slot_is_left_whatever_the_server_does() {
        let sessions = Sessions::new();
        let slots: Vec<_> = (0..MAX_SESSIONS)
            .map(|_| Arc::clone(&sessions.free).try_acquire_owned().unwrap())
            .collect();
        let left = slots.into_iter().filter_map(|slot| sessions.refused(slot)).count();
        assert_eq!(left, 1);
        assert_eq!(sessions.capacity.load(Ordering::SeqCst), 1);
        assert!(sessions.crowded.is_cancelled());
        // The server has no room although nothing is open.
        let slot = sessions.slot().await.unwrap();
        assert!(sessions.refused(slot).is_some());
    }
}

//! One connection that many use.

use std::future::Future;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::ssh::connection::{CLOSED_HERE, Connection, WeakConnection};
use crate::ssh::error::SshError;

/// How long a failure that may pass is what everybody hears, before somebody's asking means another attempt.
const FAILURE_KEPT: Duration = Duration::from_secs(60);

/// A connection that is made when it is first needed, and made again when it is needed after it was lost. Only one is
/// being made at any time, and its failure is that of everybody who waits for it.
///
/// Nothing that ran on a lost connection is run again.
#[derive(Debug, Default)]
pub struct Shared(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Unused,
    Up(Connection),
    /// Up as long as somebody uses it.
    Lent(WeakConnection),
    Failed {
        error: SshError,
        at: Instant,
    },
    Closed,
}

impl Shared {
    /// The connection, by `connect` if there is none. Where `keep` says no, it ends with whoever is the last to use it.
    ///
    /// # Errors
    /// What `connect` gave, now or a short while ago; a wrong key or password is not tried again at all. After
    /// [`Shared::close`] the connection is lost for good.
    pub async fn get<F>(
        &self,
        keep: impl Fn() -> bool,
        connect: impl FnOnce() -> F,
    ) -> Result<Connection, SshError>
    where
        F: Future<Output = Result<Connection, SshError>>,
    {
        let mut state = self.0.lock().await;
        if let Some(connection) = state.connection().filter(|connection| !connection.is_closed()) {
            if !keep() {
                *state = State::Lent(connection.downgrade());
            }
            return Ok(connection);
        }
        match &*state {
            State::Failed { error, at } if is_kept(error, at.elapsed()) => {
                return Err(error.clone());
            }
            State::Closed => return Err(SshError::Lost { reason: CLOSED_HERE.to_owned() }),
            State::Unused | State::Up(_) | State::Lent(_) | State::Failed { .. } => {}
        }
        let outcome = connect().await;
        *state = match &outcome {
            Ok(connection) if keep() => State::Up(connection.clone()),
            Ok(connection) => State::Lent(connection.downgrade()),
            Err(error) => State::Failed { error: error.clone(), at: Instant::now() },
        };
        outcome
    }

    /// Close the connection, and make no other.
    pub async fn close(&self) {
        let state = std::mem::replace(&mut *self.0.lock().await, State::Closed);
        if let Some(connection) = state.connection() {
            connection.close().await;
        }
    }

    /// Leave the connection to those who use it; without any, it ends. One that is being made is left as it is.
    pub fn let_go(&self) {
        let Ok(mut state) = self.0.try_lock() else { return };
        if let State::Up(connection) = &*state {
            *state = State::Lent(connection.downgrade());
        }
    }
}

impl State {
    fn connection(&self) -> Option<Connection> {
        match self {
            Self::Up(connection) => Some(connection.clone()),
            Self::Lent(connection) => connection.upgrade(),
            Self::Unused | Self::Failed { .. } | Self::Closed => None,
        }
    }
}

/// Whether `error`, seen `age` ago, still stands.
fn is_kept(error: &SshError, age: Duration) -> bool {
    match error {
        SshError::Jump { error, .. } => is_kept(error, age),
        // Asking again would not change the answer, and may lock the account.
        SshError::HostKey(_)
        | SshError::Authentication { .. }
        | SshError::LocalFile { .. }
        | SshError::Config(_) => true,
        _ => age < FAILURE_KEPT,
    }
}

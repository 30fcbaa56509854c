//! One connection per host and run, shared by everything that needs the host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;

use super::run::{Outcome, run_all};
use crate::inventory::Host;
use crate::ssh::{Connection, Connector, SshError};

type Slot = Arc<OnceCell<Result<Connection, SshError>>>;

/// The connections of a run. Each host is connected to once, when it is first needed; the outcome,
/// good or bad, is what everybody gets who asks later.
#[derive(Debug)]
pub struct Fleet {
    connector: Connector,
    /// How many connections are being set up at any time.
    connecting: Semaphore,
    parallel: usize,
    slots: Mutex<HashMap<String, Slot>>,
}

impl Fleet {
    /// A fleet without connections that sets up at most `parallel` of them at a time.
    pub fn new(connector: Connector, parallel: usize) -> Self {
        let parallel = parallel.max(1);
        Self {
            connector,
            connecting: Semaphore::new(parallel),
            parallel,
            slots: Mutex::new(HashMap::new()),
        }
    }

    /// The connection to `host`, made now if this is the first time it is asked for.
    pub async fn connection(&self, host: &Host) -> Result<Connection, SshError> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(host.name.clone()).or_default())
        };
        let connect = || async {
            // The semaphore is never closed; without a permit there is only no bound.
            let _permit = self.connecting.acquire().await.ok();
            self.connector.connect(host).await
        };
        slot.get_or_init(connect).await.clone()
    }

    /// Connect to `hosts` at once. Outcomes come in the order of `hosts`.
    pub async fn connect_all<'a>(
        &self,
        hosts: impl IntoIterator<Item = &'a Host>,
        cancel: &CancellationToken,
    ) -> Vec<(&'a Host, Outcome<Connection, SshError>)> {
        run_all(hosts, self.parallel, cancel, |host| self.connection(host)).await
    }

    /// Close every connection. Whoever asks for one later gets the closed one.
    pub async fn close(&self) {
        let slots: Vec<Slot> = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.values().cloned().collect()
        };
        let open = slots.iter().filter_map(|slot| slot.get()?.as_ref().ok());
        join_all(open.map(Connection::close)).await;
    }
}

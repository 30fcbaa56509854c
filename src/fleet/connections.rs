//! One connection per host, shared by everything that needs the host.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::join_all;
use tokio::sync::Semaphore;

use crate::inventory::Host;
use crate::ssh::{Connection, Connector, Shared, SshError};

/// Most connections that are being set up at any time: more would not be up sooner, and where all begin at once each takes
/// so long that hosts look silent.
const CONNECTING: usize = 256;

/// The connections of a run. Each host is connected to when it is first needed, and again when it is needed after its
/// connection was lost; what ran on the lost one is not run again. Where not as many connections may be open as there are
/// hosts, none is held open that nobody uses. A host that cannot be reached stays so for everybody who
/// asks within the next minute.
#[derive(Debug)]
pub struct Fleet {
    connector: Connector,
    /// How many connections are being set up at any time.
    connecting: Semaphore,
    connections: Mutex<HashMap<String, Arc<Shared>>>,
    /// Connections that nobody uses have been let go.
    frugal: AtomicBool,
}

impl Fleet {
    /// A fleet without connections that sets up at most `parallel` of them at a time, and never more than 256.
    pub fn new(connector: Connector, parallel: usize) -> Self {
        Self {
            connector,
            connecting: Semaphore::new(parallel.clamp(1, CONNECTING)),
            connections: Mutex::new(HashMap::new()),
            frugal: AtomicBool::new(false),
        }
    }

    /// The connection to `host`, made now if there is none.
    ///
    /// # Errors
    /// The host cannot be reached, or the fleet is closed.
    pub async fn connection(&self, host: &Host) -> Result<Connection, SshError> {
        let connection = Arc::clone(self.table().entry(host.name.clone()).or_default());
        let connect = || async {
            // The semaphore is never closed; without a permit there is only no bound.
            let _permit = self.connecting.acquire().await.ok();
            // What is handed from future to future by value takes its room once in each; and whoever needs a
            // connection would have all of SSH in the type of its future, which the compiler does not follow that far.
            let mut connecting = self.connector.connect(host).boxed();
            tokio::select! {
                biased;
                connected = &mut connecting => return connected,
                () = self.connector.crowded() => self.be_frugal(),
            }
            connecting.await
        };
        connection.get(|| !self.connector.is_crowded(), connect).await
    }

    /// Wait until not as many connections may be open as there are hosts.
    pub async fn crowded(&self) {
        self.connector.crowded().await;
    }

    /// How many hosts may be connected to at once.
    pub fn most_connections(&self) -> usize {
        self.connector.most_connections()
    }

    /// Make room, once: connections that are made from then on are held by nobody but those who use them.
    fn be_frugal(&self) {
        if !self.frugal.swap(true, Ordering::Relaxed) {
            self.table().values().for_each(|connection| connection.let_go());
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Arc<Shared>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Close the connection to `host`, whose work is over: a large fleet need not be held open to its end.
    pub async fn disconnect(&self, host: &Host) {
        let connection = self.table().remove(&host.name);
        if let Some(connection) = connection {
            connection.close().await;
        }
    }

    /// Close every connection, those to jump hosts last. None of them is made again.
    pub async fn close(&self) {
        let connections: Vec<Arc<Shared>> = self.table().values().cloned().collect();
        join_all(connections.iter().map(|connection| connection.close())).await;
        self.connector.close().await;
    }
}

/// The connection to one host of a fleet, whichever it is by the time it is needed.
#[derive(Debug, Clone)]
pub struct Link {
    fleet: Arc<Fleet>,
    host: Arc<Host>,
}

impl Link {
    /// A link to `host` of `fleet`. Nothing is connected to yet.
    pub fn new(fleet: Arc<Fleet>, host: Arc<Host>) -> Self {
        Self { fleet, host }
    }

    /// The connection, made again if it was lost.
    ///
    /// # Errors
    /// As for [`Fleet::connection`].
    pub async fn connection(&self) -> Result<Connection, SshError> {
        self.fleet.connection(&self.host).await
    }

    /// Wait until connections that nobody needs are in the way of others.
    pub async fn crowded(&self) {
        self.fleet.crowded().await;
    }
}

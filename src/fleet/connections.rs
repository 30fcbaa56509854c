//! One connection per host, shared by everything that needs the host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use tokio::sync::Semaphore;

use crate::inventory::Host;
use crate::ssh::{Connection, Connector, Shared, SshError};

/// The connections of a run. Each host is connected to when it is first needed, and again when it is needed after its
/// connection was lost; what ran on the lost one is not run again. A host that cannot be reached stays so for everybody who
/// asks within the next minute.
#[derive(Debug)]
pub struct Fleet {
    connector: Connector,
    /// How many connections are being set up at any time.
    connecting: Semaphore,
    connections: Mutex<HashMap<String, Arc<Shared>>>,
}

impl Fleet {
    /// A fleet without connections that sets up at most `parallel` of them at a time.
    pub fn new(connector: Connector, parallel: usize) -> Self {
        Self {
            connector,
            connecting: Semaphore::new(parallel.max(1)),
            connections: Mutex::new(HashMap::new()),
        }
    }

    /// The connection to `host`, made now if there is none.
    ///
    /// # Errors
    /// The host cannot be reached, or the fleet is closed.
    pub async fn connection(&self, host: &Host) -> Result<Connection, SshError> {
        let connection = {
            let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(connections.entry(host.name.clone()).or_default())
        };
        let connect = || async {
            // The semaphore is never closed; without a permit there is only no bound.
            let _permit = self.connecting.acquire().await.ok();
            self.connector.connect(host).await
        };
        connection.get(connect).await
    }

    /// Close the connection to `host`, whose work is over: a large fleet need not be held open to its end.
    pub async fn disconnect(&self, host: &Host) {
        let connection = {
            let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            connections.remove(&host.name)
        };
        if let Some(connection) = connection {
            connection.close().await;
        }
    }

    /// Close every connection, those to jump hosts last. None of them is made again.
    pub async fn close(&self) {
        let connections: Vec<Arc<Shared>> = {
            let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            connections.values().cloned().collect()
        };
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
}

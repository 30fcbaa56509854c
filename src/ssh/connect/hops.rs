//! The connections to jump hosts of a run: one to each, however many hosts are behind it. Longer ways share what they
//! have in common.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;

use super::shared::Shared;
use crate::ssh::connection::Connection;
use crate::ssh::error::SshError;
use crate::ssh::settings::route::Route;

/// Connections to jump hosts by the key of their [`Route`].
#[derive(Debug, Default)]
pub(in crate::ssh) struct Hops(Mutex<HashMap<String, Hop>>);

#[derive(Debug, Clone)]
struct Hop {
    /// How many hosts it is behind.
    depth: usize,
    connection: Arc<Shared>,
}

impl Hops {
    /// The connection at the end of `route`, by `connect` where there is none.
    pub(in crate::ssh) async fn get<F>(
        &self,
        route: &Route,
        connect: impl FnOnce() -> F,
    ) -> Result<Connection, SshError>
    where
        F: Future<Output = Result<Connection, SshError>>,
    {
        let connection = {
            let mut hops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Hop { depth: route.depth(), connection: Arc::default() };
            Arc::clone(&hops.entry(route.key()).or_insert_with(new).connection)
        };
        connection.get(|| true, connect).await.map_err(|error| match error {
            // It says where it happened, on the way to this one.
            SshError::Jump { .. } => error,
            error => SshError::Jump { endpoint: route.settings.endpoint(), error: Box::new(error) },
        })
    }

    /// Close them all, those behind others first.
    pub(in crate::ssh) async fn close(&self) {
        let mut hops: Vec<Hop> = {
            let hops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            hops.values().cloned().collect()
        };
        hops.sort_by_key(|hop| std::cmp::Reverse(hop.depth));
        for level in hops.chunk_by(|a, b| a.depth == b.depth) {
            join_all(level.iter().map(|hop| hop.connection.close())).await;
        }
    }
}

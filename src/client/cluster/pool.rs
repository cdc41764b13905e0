//! Connections to the brokers, kept between calls.

use super::{Ask, Cluster, NODE_UNKNOWN, lock};
use crate::client::call::Connection;
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::client::probe::probe;

/// Idle connections kept to one broker.
const IDLE_MAX: usize = 8;

impl Cluster {
    /// A connection to whoever is asked: an idle one, or a new one.
    pub(crate) async fn take(&self, ask: Ask, deadline: Deadline) -> Result<(i32, Connection), ClientError> {
        let node = match ask {
            Ask::Node(node) => node,
            Ask::Controller => self.known().controller,
            Ask::Any => NODE_UNKNOWN,
        };
        // A controller that is not known to the broker that was asked last: any broker passes such requests on (KRaft).
        if node == NODE_UNKNOWN {
            return self.take_any(deadline).await;
        }
        match self.take_idle(|candidate| candidate == node) {
            Some(idle) => Ok(idle),
            None => Ok((node, self.open(node, deadline).await?)),
        }
    }

    async fn take_any(&self, deadline: Deadline) -> Result<(i32, Connection), ClientError> {
        if let Some(idle) = self.take_idle(|_| true) {
            return Ok(idle);
        }
        let mut addresses = self.shared.bootstrap.clone();
        for broker in self.brokers() {
            addresses.extend(broker.address.filter(|address| !self.shared.bootstrap.contains(address)));
        }
        let (connection, _) = probe(&addresses, deadline).await?;
        Ok((NODE_UNKNOWN, connection))
    }

    fn take_idle(&self, wanted: impl Fn(i32) -> bool) -> Option<(i32, Connection)> {
        let mut idle = lock(&self.shared.idle);
        let (node, connections) =
            idle.iter_mut().find(|(node, connections)| wanted(**node) && !connections.is_empty())?;
        Some((*node, connections.pop()?))
    }

    /// Gives a connection back, unless its last call did not end well.
    pub(crate) fn put_back(&self, node: i32, connection: Connection) {
        if !connection.is_usable() {
            return;
        }
        let mut idle = lock(&self.shared.idle);
        let connections = idle.entry(node).or_default();
        if connections.len() < IDLE_MAX {
            connections.push(connection);
        }
    }

    /// Opens a connection to a broker at its advertised listener.
    pub(crate) async fn open(&self, node: i32, deadline: Deadline) -> Result<Connection, ClientError> {
        let (said_by, address) = {
            let known = self.known();
            (known.said_by.clone(), known.brokers.get(&node).and_then(|broker| broker.address.clone()))
        };
        let Some(advertised) = address else {
            return Err(ClientError::NoSuchBroker { node, said_by });
        };
        Connection::open(&advertised, deadline).await.map_err(|(step, source)| ClientError::Listener {
            node,
            advertised,
            said_by,
            step,
            source: Box::new(source),
        })
    }
}

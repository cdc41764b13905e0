//! The shared connections: one for each broker and lane.

use super::{Ask, Cluster, NODE_UNKNOWN, lock};
use crate::client::call::Connection;
use crate::client::deadline::Deadline;
use crate::client::error::{CallError, ClientError, Step};
use crate::client::probe::probe;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What a connection is for. A broker works on one connection's requests in order, so what may take long has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Lane {
    /// Questions and changes.
    Control,
    /// Data to us, spread over several.
    Fetch(u8),
    /// Data from us.
    Produce,
}

/// A place for one connection. The lock is held while it is opened, so that it is opened once.
type Slot = Arc<tokio::sync::Mutex<Option<Connection>>>;

/// The connections of a cluster.
#[derive(Debug)]
pub(super) struct Lanes {
    slots: Mutex<BTreeMap<(i32, Lane), Slot>>,
}

impl Lanes {
    /// The first connection, to a broker that may not be known by its id yet.
    pub(super) fn with(node: i32, connection: Connection) -> Self {
        let slot = Arc::new(tokio::sync::Mutex::new(Some(connection)));
        Self { slots: Mutex::new(BTreeMap::from([((node, Lane::Control), slot)])) }
    }

    fn slot(&self, node: i32, lane: Lane) -> Slot {
        lock(&self.slots).entry((node, lane)).or_default().clone()
    }

    /// A connection for questions, to whichever broker.
    fn any(&self) -> Option<Connection> {
        let slots = lock(&self.slots);
        let control = slots.iter().filter(|((_, lane), _)| *lane == Lane::Control);
        // One that is being opened is no use now.
        let mut open = control.filter_map(|(_, slot)| slot.try_lock().ok()?.clone());
        open.find(Connection::is_usable)
    }
}

impl Cluster {
    /// The shared connection to a broker, opened at its advertised listener if there is none.
    pub(crate) async fn connection(
        &self,
        node: i32,
        lane: Lane,
        deadline: Deadline,
    ) -> Result<Connection, ClientError> {
        let slot = self.shared.lanes.slot(node, lane);
        let Some(mut place) = deadline.run(slot.lock()).await else {
            // Somebody else is still trying to open it, with more time than we have.
            return Err(self.no_listener(node, Step::Connect, CallError::Timeout(deadline.whole())));
        };
        if let Some(connection) = place.as_ref().filter(|connection| connection.is_usable()) {
            return Ok(connection.clone());
        }
        // A broken one is dropped whatever comes.
        *place = None;
        let connection = self.open(node, deadline).await?;
        *place = Some(connection.clone());
        Ok(connection)
    }

    /// The connection for questions to whoever is asked.
    pub(super) async fn ask(&self, ask: Ask, deadline: Deadline) -> Result<Connection, ClientError> {
        let node = match ask {
            Ask::Node(node) => node,
            Ask::Controller => self.known().controller,
            Ask::Any => NODE_UNKNOWN,
        };
        // A controller that is not known to the broker that was asked last: any broker passes such requests on (KRaft).
        if node != NODE_UNKNOWN {
            return self.connection(node, Lane::Control, deadline).await;
        }
        if let Some(connection) = self.shared.lanes.any() {
            return Ok(connection);
        }
        let mut addresses = self.shared.bootstrap.clone();
        for broker in self.brokers() {
            addresses.extend(broker.address.filter(|address| !self.shared.bootstrap.contains(address)));
        }
        let slot = self.shared.lanes.slot(NODE_UNKNOWN, Lane::Control);
        let (connection, _) = probe(&self.shared.transport, &addresses, deadline).await?;
        *slot.lock().await = Some(connection.clone());
        Ok(connection)
    }

    /// Opens a connection to a broker at its advertised listener.
    async fn open(&self, node: i32, deadline: Deadline) -> Result<Connection, ClientError> {
        let address = self.known().brokers.get(&node).and_then(|broker| broker.address.clone());
        let Some(advertised) = address else {
            return Err(ClientError::NoSuchBroker { node, said_by: self.said_by() });
        };
        let opened = Connection::open(&*self.shared.transport, &advertised, deadline).await;
        opened.map_err(|(step, source)| self.no_listener(node, step, source))
    }

    fn no_listener(&self, node: i32, step: Step, source: CallError) -> ClientError {
        let known = self.known();
        let said_by = known.said_by.clone();
        match known.brokers.get(&node).and_then(|broker| broker.address.clone()) {
            Some(advertised) => ClientError::Listener { node, advertised, said_by, step, source: Box::new(source) },
            None => ClientError::NoSuchBroker { node, said_by },
        }
    }
}

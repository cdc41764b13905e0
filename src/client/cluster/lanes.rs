//! The shared connections: one for each broker and lane.

use super::{Ask, Cluster, NODE_UNKNOWN, lock};
use crate::client::call::Connection;
use crate::client::deadline::Deadline;
use crate::client::error::{CallError, ClientError, Step};
use crate::client::probe::probe;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a connection is for. A broker works on one connection's requests in order, so what may take long has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Lane {
    /// Questions and changes.
    Control,
    /// What a broker looks up on its disks, which it may be slow at.
    Disks,
    /// Data to us, spread over several.
    Fetch(u8),
    /// Data to us that may let us wait for it.
    Follow(u8),
    /// Data from us.
    Produce,
    /// Signs of life of the members of groups. Whoever is late with them is put out.
    Heart,
}

/// Connections that carry data from one broker to us. With that for [`Lane::Control`] there are three to a broker, however
/// many partitions it leads.
const FETCH_LANES: u8 = 2;

/// Connections to one broker on which fetches may wait for data, at most: one for each partition up to there.
pub(crate) const FOLLOW_LANES: u8 = 64;

/// Fetches on the way on one connection. Enough that the broker never waits for the next; few enough that the last of them
/// is answered well inside its deadline on a slow network.
const FETCHES_MAX: usize = 8;

/// A place for one connection. The lock is held while it is opened, so that it is opened once.
type Place = tokio::sync::Mutex<Option<Connection>>;

#[derive(Debug)]
struct Slot {
    place: Place,
    turns: Arc<Semaphore>,
}

impl Slot {
    fn of(connection: Option<Connection>) -> Arc<Self> {
        Arc::new(Self { place: Place::new(connection), turns: Arc::new(Semaphore::new(FETCHES_MAX)) })
    }
}

/// The connections of a cluster.
#[derive(Debug)]
pub(super) struct Lanes {
    slots: Mutex<BTreeMap<(i32, Lane), Arc<Slot>>>,
    /// Readers so far, for spreading them.
    readers: AtomicUsize,
    /// The same of those that follow, and how many of them there are now.
    followers: AtomicUsize,
    following: Arc<AtomicUsize>,
}

impl Lanes {
    /// The first connection, to a broker that may not be known by its id yet.
    pub(super) fn with(node: i32, connection: Connection) -> Self {
        let slots = BTreeMap::from([((node, Lane::Control), Slot::of(Some(connection)))]);
        Self {
            slots: Mutex::new(slots),
            readers: AtomicUsize::new(0),
            followers: AtomicUsize::new(0),
            following: Arc::default(),
        }
    }

    fn slot(&self, node: i32, lane: Lane) -> Arc<Slot> {
        lock(&self.slots).entry((node, lane)).or_insert_with(|| Slot::of(None)).clone()
    }

    /// Drops every connection that nobody uses right now.
    pub(super) fn forget(&self) {
        lock(&self.slots).clear();
    }

    /// A connection for questions, to whichever broker.
    fn any(&self) -> Option<Connection> {
        let slots = lock(&self.slots);
        let control = slots.iter().filter(|((_, lane), _)| *lane == Lane::Control);
        // One that is being opened is no use now.
        let mut open = control.filter_map(|(_, slot)| slot.place.try_lock().ok()?.clone());
        open.find(Connection::is_usable)
    }
}

/// A reader that follows; it is one less when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat(Arc<AtomicUsize>);

impl Seat {
    /// How many readers follow now.
    pub(crate) fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lane {
    /// The other lane for fetches, should this one's way be the trouble.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Fetch(number) => Self::Fetch((number + 1) % FETCH_LANES),
            other => other,
        }
    }
}

impl Cluster {
    /// The lane of the next reader; they take turns.
    pub(crate) fn fetch_lane(&self) -> Lane {
        let reader = self.shared.lanes.readers.fetch_add(1, Ordering::Relaxed);
        Lane::Fetch((reader % usize::from(FETCH_LANES)) as u8)
    }

    /// The lane of the next reader that follows, and its seat there.
    pub(crate) fn follow_lane(&self) -> (Lane, Seat) {
        let lanes = &self.shared.lanes;
        let follower = lanes.followers.fetch_add(1, Ordering::Relaxed);
        lanes.following.fetch_add(1, Ordering::Relaxed);
        (Lane::Follow((follower % usize::from(FOLLOW_LANES)) as u8), Seat(lanes.following.clone()))
    }

    /// Waits for a turn to send a fetch; first come, first served.
    pub(crate) async fn fetch_turn(&self, node: i32, lane: Lane) -> Option<OwnedSemaphorePermit> {
        // Never closed.
        self.shared.lanes.slot(node, lane).turns.clone().acquire_owned().await.ok()
    }

    /// The shared connection to a broker, opened at its advertised listener if there is none.
    pub(crate) async fn connection(
        &self,
        node: i32,
        lane: Lane,
        deadline: Deadline,
    ) -> Result<Connection, ClientError> {
        let slot = self.shared.lanes.slot(node, lane);
        let Some(mut place) = deadline.run(slot.place.lock()).await else {
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

    /// A connection to a broker that nobody else uses, for questions that are answered when others have asked theirs: on a
    /// shared one they would keep those others waiting.
    pub(crate) async fn own_connection(&self, node: i32, deadline: Deadline) -> Result<Connection, ClientError> {
        self.open(node, deadline).await
    }

    /// The connection for questions to whoever is asked.
    pub(crate) async fn ask(&self, ask: Ask, deadline: Deadline) -> Result<Connection, ClientError> {
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
        *slot.place.lock().await = Some(connection.clone());
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

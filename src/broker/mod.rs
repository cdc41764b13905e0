//! The embedded Kafka: what `kmerge broker` and `kmerge demo` run, and what the tests talk to.
//!
//! In memory; one node or several, each a listener, partitions led round them. It is no production broker: nothing
//! survives it, there is one copy of the data however many replicas are told, and no record expires.
//!
//! ```text
//!  nodes ── connection ── api/…  ──────────── cluster ── topic ─┬ log ─┬ epochs        batches, as they came
//!  (listen) (a task)      │ one file per API     │              │      └ transactions
//!                         ├ validate, received   ├ memory       └ producers            idempotence
//!                         └ faults, throttle     └ coordinator ── markers              who may write, what is decided
//! ```
//!
//! - Nodes join while it runs (`doors`), and partitions are taken to them while they are read and written (`moving`).
//! - Everything kept is paid for from `memory`. What tests do to partitions is in `hooks`, to transactions in
//!   `coordinator/hooks`, to whole nodes in `nodes`, to requests on their way in `faults`.
//!
//! - It is honest: what it tells in ApiVersions works, as in Apache Kafka (the reference is 4.2), and the rest is not
//!   told. The head of each file of `api/` says what is left out. Unmodified clients are used to try it.
//! - It never dies of what it is sent: lengths are claims, memory has a limit and is refused beyond it.
//! - A stored batch is never changed, so answers share its bytes with the log and send them from there. A large batch stays in
//!   the memory that its request was read into (`received`); no byte of it is copied here but by the sockets.
//! - The client side of this crate is not used here, nor the other way round: they meet on the wire only.

// What a node keeps: batches in order, who led and who wrote, how much that may take.
mod epochs;
mod log;
mod memory;
mod producers;
mod received;
mod transactions;

mod configs;
mod topic;

// Partitions that are reassigned to other nodes.
mod moving;

// Who may write in which transaction, who is in which group, and how far groups have read.
mod coordinator;

mod features;

mod membership;

mod cluster;

// What it does with a request.
mod validate;

mod answer;

mod api;

mod connection;
mod listen;
mod throttle;

// Nodes that are there, stopped, and back, and those that join.
mod doors;
mod nodes;

// For tests: what goes wrong on the way, and what is done behind the protocol's back.
mod faults;

mod hooks;

#[cfg(test)]
mod tests;

pub use coordinator::{GroupConfig, GroupSeen, TransactionSeen};
pub use faults::{Fault, Faults, Rule, RuleHandle, Seen};
pub use features::ApiLevel;

use crate::base::kind::Kind;
use crate::base::place::TopicPartition;
use crate::batch::BatchError;
use cluster::Cluster;
use coordinator::{Clock, Worker};
use doors::Doors;
use features::Features;
use moving::Mover;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// What `--memory` is when it is not given.
pub const DEFAULT_MEMORY_BYTES: usize = 1 << 30;

/// The most nodes there can be.
pub const NODES_MAX: u16 = 100;

/// How a broker is to be.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// How many nodes, at least one.
    pub nodes: u16,
    /// The address to listen on: loopback unless somebody else is to reach it.
    pub listen: IpAddr,
    /// The first node's port, the others follow it; 0 picks free ones.
    pub port: u16,
    /// The host that clients are told; by default the address itself, or the machine's name where that is all addresses.
    pub advertise: Option<String>,
    /// Topics that are there from the start, with their number of partitions.
    pub topics: Vec<(String, i32)>,
    /// The most bytes to hold; produce is refused beyond it.
    pub memory_bytes: usize,
    /// The Apache Kafka whose versions of the APIs are told.
    pub api_versions: ApiLevel,
    /// The cluster's `transaction.version`, which is told to clients: with 2 they leave it to the broker to add what they
    /// write to, and each transaction has an epoch of its own; with 0 and 1 they say beforehand where they write. As in
    /// Kafka the broker takes either from whoever sends it, whatever is told; the one thing it does otherwise itself is
    /// that below 2 nobody gets a transaction's id back after it was aborted for its time. Not told, and 0, below
    /// [`ApiLevel::V4_2`].
    pub transaction_version: i16,
    /// How consumer groups are kept.
    pub groups: GroupConfig,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            nodes: 1,
            listen: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            advertise: None,
            topics: Vec::new(),
            memory_bytes: DEFAULT_MEMORY_BYTES,
            api_versions: ApiLevel::default(),
            transaction_version: Features::TRANSACTION_VERSION_MAX,
            groups: GroupConfig::default(),
        }
    }
}

/// Why a broker did not start, or did not do what a test wanted of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// An address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// More nodes than there are ports from there on.
    #[error("there are no {count} ports from {first} on")]
    Ports {
        /// The first port.
        first: u16,
        /// How many were wanted.
        count: u16,
    },
    /// A broker of no nodes.
    #[error("a broker needs at least one node")]
    NoNodes,
    /// No other node can join.
    #[error("there are {NODES_MAX} nodes, and that is the most there can be")]
    TooManyNodes,
    /// A topic that cannot be.
    #[error("cannot create topic {topic}: {reason}")]
    Topic {
        /// Its name.
        topic: String,
        /// Why not.
        reason: String,
    },
    /// A partition that is not there.
    #[error("there is no {0}")]
    UnknownPartition(TopicPartition),
    /// A node that is not there.
    #[error("there is no node {0}")]
    UnknownNode(i32),
    /// Bytes that are not a batch with offsets.
    #[error("not a batch: {0}")]
    Batch(#[from] BatchError),
    /// An offset that is given out already.
    #[error("{partition} ends at offset {end}, nothing can be put at {base_offset}")]
    Overlap {
        /// The partition.
        partition: TopicPartition,
        /// Where it ends.
        end: i64,
        /// Where the batch was to be put.
        base_offset: i64,
    },
    /// The leader of a partition has all of its log.
    #[error("node {node} leads {partition}, its copy cannot lag: elect another node first")]
    Leads {
        /// The node.
        node: i32,
        /// The partition.
        partition: TopicPartition,
    },
    /// There is no memory left.
    #[error("the broker's memory is full: raise its limit of {limit_bytes} bytes")]
    MemoryFull {
        /// The limit.
        limit_bytes: usize,
    },
}

impl BrokerError {
    /// The sort of failure, for the exit status: what was asked for cannot be, or the machine does not let us.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Ports { .. } | Self::NoNodes | Self::TooManyNodes | Self::Topic { .. } => Kind::Usage,
            _ => Kind::Failed,
        }
    }
}

/// A topic that cannot be.
fn refused(topic: &str, reason: String) -> BrokerError {
    BrokerError::Topic { topic: crate::base::text::visible(topic), reason }
}

/// A running broker. Dropping it ends it and its connections.
#[derive(Debug)]
pub struct Broker {
    cluster: Arc<Cluster>,
    doors: Arc<Doors>,
    _markers: Worker,
    _mover: Mover,
    _clock: Clock,
}

impl Broker {
    /// Starts a broker; when this returns, every node accepts connections.
    pub async fn start(config: BrokerConfig) -> Result<Self, BrokerError> {
        if config.nodes == 0 {
            return Err(BrokerError::NoNodes);
        }
        let bound = listen::bind(config.listen, config.port, config.nodes, config.advertise.as_deref())?;
        let nodes = bound.iter().map(|(node, _)| node.clone()).collect();
        let doors = Arc::new(Doors::new(&config));
        let mut cluster = Cluster::new(nodes, config.memory_bytes);
        cluster.set_features(Features::new(config.api_versions, config.transaction_version));
        cluster.coordinator.group_config = config.groups;
        cluster.doors = Arc::downgrade(&doors);
        let cluster = Arc::new(cluster);
        let (markers, mover) = (Worker::start(&cluster), Mover::start(&cluster));
        let clock = Clock::start(&cluster);
        let broker = Self { cluster, doors, _markers: markers, _mover: mover, _clock: clock };
        for (topic, partitions) in &config.topics {
            broker.create_topic(topic, *partitions, &[])?;
        }
        for (node, listener) in bound {
            broker.doors.listeners.serve(node.id, listener, &broker.cluster)?;
        }
        Ok(broker)
    }

    /// The addresses clients are to be given: `host:port,host:port`.
    pub fn bootstrap(&self) -> String {
        listen::bootstrap(&self.cluster.members.all())
    }

    /// The same, one string an address.
    pub fn addresses(&self) -> Vec<String> {
        self.cluster.members.all().iter().map(|node| listen::bootstrap(std::slice::from_ref(node))).collect()
    }

    /// What is to go wrong, and what has arrived.
    pub fn faults(&self) -> Faults {
        self.cluster.faults.clone()
    }

    /// How many bytes are held of how many.
    pub fn memory(&self) -> (usize, usize) {
        (self.cluster.memory.used_bytes(), self.cluster.memory.total_bytes())
    }

    /// Creates a topic with one replica per partition.
    pub fn create_topic(&self, topic: &str, partitions: i32, configs: &[(&str, &str)]) -> Result<(), BrokerError> {
        self.create_replicated_topic(topic, partitions, 1, configs)
    }

    /// Ends the broker and waits until its listeners and connections are gone.
    pub async fn stop(self) {
        self.doors.listeners.stop_all().await;
    }
}

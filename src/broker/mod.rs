//! The embedded Kafka: what `kmerge broker` and `kmerge demo` run, and what the tests talk to.
//!
//! In memory; one node or several, each a listener, partitions led round them. It is no production broker: nothing
//! survives it, there is one copy of the data however many replicas are told, and nothing expires.
//!
//! ```text
//!  listen ── connection ── api/…  ──────────── cluster ── topic ── log        batches, as they came
//!  (node)    (a task)      │ one file per API     │         └───── producers  idempotence
//!                          ├ validate             └ memory: everything kept is paid for
//!                          └ faults: hold, drop, repeat, damage any request
//! ```
//!
//! - It is honest: what it tells in ApiVersions works, as in Apache Kafka (the reference is 4.2), and the rest is not
//!   told. The head of each file of `api/` says what is left out. Unmodified clients are used to try it.
//! - It never dies of what it is sent: lengths are claims, memory has a limit and is refused beyond it.
//! - A stored batch is never changed, so answers share its bytes with the log; a request copies a batch once.
//! - The client side of this crate is not used here, nor the other way round: they meet on the wire only.

// What a node keeps: batches in order, who wrote them, how much that may take.
mod log;
mod memory;
mod producers;

mod configs;
mod topic;

mod cluster;

// What it does with a request.
mod validate;

mod api;

mod connection;
mod listen;

// For tests.
mod faults;

#[cfg(test)]
mod tests;

pub use faults::{Fault, Faults, Rule, RuleHandle, Seen};

use crate::base::kind::Kind;
use crate::base::place::TopicPartition;
use crate::batch::{Batch, BatchError};
use cluster::{Cluster, NotAdded};
use configs::{Change, TopicConfig};
use log::{Aborted, BATCH_OVERHEAD_BYTES, Block};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// What `--memory` is when it is not given.
pub const DEFAULT_MEMORY_BYTES: usize = 1 << 30;

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
            Self::Ports { .. } | Self::NoNodes | Self::Topic { .. } => Kind::Usage,
            _ => Kind::Failed,
        }
    }
}

/// A running broker. Dropping it ends it and its connections.
#[derive(Debug)]
pub struct Broker {
    cluster: Arc<Cluster>,
    listeners: Vec<JoinHandle<()>>,
}

impl Broker {
    /// Starts a broker; when this returns, every node accepts connections.
    pub async fn start(config: BrokerConfig) -> Result<Self, BrokerError> {
        if config.nodes == 0 {
            return Err(BrokerError::NoNodes);
        }
        let bound = listen::bind(config.listen, config.port, config.nodes, config.advertise.as_deref()).await?;
        let nodes = bound.iter().map(|(node, _)| node.clone()).collect();
        let cluster = Arc::new(Cluster::new(nodes, config.memory_bytes));
        let broker = Self { cluster, listeners: Vec::new() };
        for (topic, partitions) in &config.topics {
            broker.create_topic(topic, *partitions, &[])?;
        }
        let listeners = bound
            .into_iter()
            .map(|(node, listener)| tokio::spawn(connection::accept(listener, broker.cluster.clone(), node.id)))
            .collect();
        Ok(Self { cluster: broker.cluster.clone(), listeners })
    }

    /// The addresses clients are to be given: `host:port,host:port`.
    pub fn bootstrap(&self) -> String {
        listen::bootstrap(&self.cluster.nodes)
    }

    /// The same, one string an address.
    pub fn addresses(&self) -> Vec<String> {
        self.cluster.nodes.iter().map(|node| listen::bootstrap(std::slice::from_ref(node))).collect()
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
        let refused = |reason: String| BrokerError::Topic { topic: crate::base::text::visible(topic), reason };
        topic::check_name(topic).map_err(refused)?;
        if !(1..=api::PARTITIONS_MAX).contains(&partitions) {
            return Err(refused(format!("{partitions} partitions, it must be 1 to {}", api::PARTITIONS_MAX)));
        }
        let changes = configs.iter().map(|(name, value)| (*name, Change::Set((*value).to_owned())));
        let config = TopicConfig::default().changed(changes).map_err(refused)?;
        let placement = (0..partitions).map(|_| self.cluster.place(1)).collect();
        let added = self.cluster.add_topic(topic, placement, config);
        added.map(drop).map_err(|error| {
            refused(match error {
                NotAdded::Exists => "it exists".into(),
                NotAdded::Collides(other) => format!("its name collides with that of {other}"),
                NotAdded::NoMemory => "the broker's memory is full".into(),
            })
        })
    }

    /// Ends the broker and waits until its listeners and connections are gone.
    pub async fn stop(mut self) {
        for listener in std::mem::take(&mut self.listeners) {
            listener.abort();
            // It was aborted, which is what we want to hear.
            let _ = listener.await;
        }
    }
}

/// What tests do to a partition behind the protocol's back.
impl Broker {
    /// Puts a batch at the end of a partition without looking at more than its header: base offset and leader epoch are
    /// filled in, the rest (checksum, control bit, records) stays as it is. Gives the base offset.
    pub fn append_raw(&self, topic: &str, partition: i32, batch: &[u8]) -> Result<i64, BrokerError> {
        let end = self.partition(topic, partition)?.state().log.end();
        self.append_raw_at(topic, partition, end, batch)?;
        Ok(end)
    }

    /// The same at an offset of the test's choice, which may leave a gap as compaction does.
    pub fn append_raw_at(
        &self,
        topic: &str,
        partition: i32,
        base_offset: i64,
        batch: &[u8],
    ) -> Result<(), BrokerError> {
        let found = self.partition(topic, partition)?;
        let batch = Batch::read(batch)?;
        let header = &batch.header;
        let memory = &self.cluster.memory;
        let full = BrokerError::MemoryFull { limit_bytes: memory.total_bytes() };
        let paid = memory.take(batch.bytes().len() + BATCH_OVERHEAD_BYTES).ok_or(full)?;
        let block = Block::new(batch.bytes().into(), paid);
        let mut state = found.state();
        let epoch = state.leader_epoch;
        state.log.append_at(base_offset, block, header.last_offset_delta, header.max_timestamp, epoch).map_err(
            |overlap| BrokerError::Overlap { partition: found.at.clone(), end: overlap.log_end, base_offset },
        )?;
        drop(state);
        found.changed.notify_waiters();
        Ok(())
    }

    /// All batches of a partition, one after the other, as a reader of everything would get them.
    pub fn log(&self, topic: &str, partition: i32) -> Result<Vec<u8>, BrokerError> {
        let found = self.partition(topic, partition)?;
        let slice = {
            let state = found.state();
            state.log.read(state.log.start(), i64::MAX, usize::MAX, true)
        };
        Ok(slice.blocks.iter().flat_map(|block| block.bytes().iter().copied()).collect())
    }

    /// Log start and end (the high watermark) of a partition.
    pub fn offsets(&self, topic: &str, partition: i32) -> Result<(i64, i64), BrokerError> {
        let found = self.partition(topic, partition)?;
        let state = found.state();
        Ok((state.log.start(), state.log.end()))
    }

    /// Moves the log start up, as retention does.
    pub fn set_log_start(&self, topic: &str, partition: i32, offset: i64) -> Result<(), BrokerError> {
        let found = self.partition(topic, partition)?;
        found.state().log.trim(offset);
        found.changed.notify_waiters();
        Ok(())
    }

    /// Pretends that a transaction is open from an offset on, or that none is: the last stable offset stays there.
    pub fn set_open_transaction(&self, topic: &str, partition: i32, from: Option<i64>) -> Result<(), BrokerError> {
        let found = self.partition(topic, partition)?;
        found.state().log.set_open_from(from);
        found.changed.notify_waiters();
        Ok(())
    }

    /// Tells readers of committed data that a producer's records from the first to the last offset were aborted. The
    /// records and the marker behind them are appended by [`Self::append_raw`].
    pub fn add_aborted(
        &self,
        topic: &str,
        partition: i32,
        producer_id: i64,
        first_offset: i64,
        last_offset: i64,
    ) -> Result<(), BrokerError> {
        let found = self.partition(topic, partition)?;
        found.state().log.add_aborted(Aborted { producer_id, first_offset, last_offset });
        Ok(())
    }

    /// The id of the node that leads a partition.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<i32, BrokerError> {
        Ok(self.partition(topic, partition)?.state().leader)
    }

    /// Makes another node the leader of a partition; the leader epoch goes up by one.
    pub fn move_leader(&self, topic: &str, partition: i32, node: i32) -> Result<(), BrokerError> {
        let found = self.partition(topic, partition)?;
        self.cluster.node(node).ok_or(BrokerError::UnknownNode(node))?;
        let mut state = found.state();
        state.leader = node;
        state.leader_epoch = state.leader_epoch.saturating_add(1);
        drop(state);
        found.changed.notify_waiters();
        Ok(())
    }

    fn partition(&self, topic: &str, partition: i32) -> Result<Arc<topic::Partition>, BrokerError> {
        let at = TopicPartition::new(topic, partition);
        self.cluster.partition(&at).ok_or(BrokerError::UnknownPartition(at))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
    }
}

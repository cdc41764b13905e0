//! How another node joins while the cluster runs: a listener is opened, the node is told to everybody, and from then on it can
//! be given partitions. Who was there before keeps what it has.
//!
//! It is asked for over the wire, as the setting [`NODES_SETTING`] of all brokers together: whoever reaches the cluster can do
//! it, with our own command or any admin client, from another machine or container, and on every system alike. (A signal or a
//! line on stdin would need the process itself.)

use super::cluster::{Cluster, lock};
use super::nodes::Listeners;
use super::{Broker, BrokerConfig, BrokerError, NODES_MAX, listen};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// The cluster-wide setting that says how many nodes there are, and is raised to have more.
pub(crate) const NODES_SETTING: &str = "kmerge.nodes";

/// The listeners, and where the next one is opened.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(crate) listeners: Listeners,
    listen: IpAddr,
    /// 0 where the system picks ports.
    first_port: u16,
    advertise: Option<String>,
    /// One joins after the other.
    joining: Mutex<()>,
}

impl Doors {
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        Self {
            listeners: Listeners::default(),
            listen: config.listen,
            first_port: config.port,
            advertise: config.advertise.clone(),
            joining: Mutex::default(),
        }
    }

    /// Opens doors until there are that many nodes; more than that stay.
    pub(crate) fn open_up_to(&self, nodes: usize, cluster: &Arc<Cluster>) -> Result<(), BrokerError> {
        let _alone = lock(&self.joining);
        while cluster.members.all().len() < nodes {
            self.open(cluster)?;
        }
        Ok(())
    }

    /// One node more; gives its id.
    pub(crate) fn open_one(&self, cluster: &Arc<Cluster>) -> Result<i32, BrokerError> {
        let _alone = lock(&self.joining);
        self.open(cluster)
    }

    fn open(&self, cluster: &Arc<Cluster>) -> Result<i32, BrokerError> {
        let known = cluster.members.all();
        if known.len() >= usize::from(NODES_MAX) {
            return Err(BrokerError::TooManyNodes);
        }
        let port = match (self.first_port, known.last()) {
            (0, _) | (_, None) => 0,
            (_, Some(last)) => last.port.checked_add(1).ok_or(BrokerError::Ports { first: last.port, count: 2 })?,
        };
        let (host, port, listener) = listen::bind_one(self.listen, port, self.advertise.as_deref())?;
        let node = cluster.members.join(host, port);
        self.listeners.serve(node.id, listener, cluster)?;
        tracing::info!("node {} has joined, at {}", node.id, listen::bootstrap(std::slice::from_ref(&node)));
        Ok(node.id)
    }
}

impl Broker {
    /// Another node joins; gives its id. It holds nothing until partitions are created on it or reassigned to it.
    pub fn add_node(&self) -> Result<i32, BrokerError> {
        self.doors.open_one(&self.cluster)
    }

    /// Partitions that are reassigned are copied no further until [`Self::release_copies`]: they stay on their way.
    pub fn hold_copies(&self) {
        self.cluster.moves.hold(true);
    }

    /// Copies go on.
    pub fn release_copies(&self) {
        self.cluster.moves.hold(false);
    }

    /// The nodes that hold a partition, in their order; while it moves also those that come and go.
    pub fn replicas(&self, topic: &str, partition: i32) -> Result<Vec<i32>, BrokerError> {
        let at = crate::base::place::TopicPartition::new(topic, partition);
        let found = self.cluster.partition(&at).ok_or(BrokerError::UnknownPartition(at))?;
        let replicas = found.state().replicas.clone();
        Ok(replicas)
    }
}

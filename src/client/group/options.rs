//! What a member is to be, and where it begins to read.

use super::assign::Assignor;
use std::sync::Arc;
use std::time::Duration;

/// Where to begin where a group has no offset, or one that the log does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reset {
    /// With the first record that is still there.
    Earliest,
    /// With the next one to be written.
    Latest,
    /// With the first record where there is no offset; nowhere where the log does not hold the one that there is.
    EarliestIfNew,
    /// Nowhere: records may have been missed, and somebody has to decide.
    #[default]
    Fail,
}

/// Which protocol the members of a group speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupProtocol {
    /// They join, and one of them shares the partitions out.
    #[default]
    Classic,
    /// The coordinator shares them out (KIP-848; Kafka 4).
    Consumer,
}

/// A member to be.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    /// The group's name.
    pub group: Arc<str>,
    /// What to read.
    pub topics: Vec<Arc<str>>,
    /// A name under which the member comes back after a restart and finds its share: no rebalance, if it is quick.
    pub instance: Option<String>,
    /// The assignors it can live with, the preferred one first. The group takes one that all its members have.
    pub assignors: Vec<Assignor>,
    /// See [`Reset`].
    pub reset: Reset,
    /// See [`GroupProtocol`].
    pub protocol: GroupProtocol,
    /// A member that is not heard of for so long is put out.
    pub session_timeout: Duration,
    /// How often it lets itself be heard.
    pub heartbeat_interval: Duration,
    /// In a rebalance, a member that does not join for so long is put out.
    pub rebalance_timeout: Duration,
    /// Offsets that an open transaction may yet change are waited for so long: at least for as long as the transactions of
    /// its members may stay open. `None`: as long as they may by what brokers and clients set by default.
    pub stable_within: Option<Duration>,
    /// How often the leader looks whether the topics have other partitions now.
    pub look_interval: Duration,
}

impl GroupOptions {
    /// A member of `group` that reads `topics`, as Apache's consumer would be one.
    pub fn new(group: &str, topics: &[String]) -> Self {
        let mut topics: Vec<Arc<str>> = topics.iter().map(|topic| topic.as_str().into()).collect();
        topics.sort_unstable();
        topics.dedup();
        Self {
            group: group.into(),
            topics,
            instance: None,
            // As Apache's: every client's defaults have range, so that ours gets along with all of them.
            assignors: vec![Assignor::Range, Assignor::CooperativeSticky],
            reset: Reset::Fail,
            protocol: GroupProtocol::Classic,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            rebalance_timeout: Duration::from_secs(300),
            stable_within: None,
            look_interval: Duration::from_secs(30),
        }
    }

    /// Whether its members keep what they have while they join. That takes all of them, so it is offered only where
    /// nothing else is.
    pub(super) fn is_cooperative(&self) -> bool {
        self.assignors.iter().all(|one| *one == Assignor::CooperativeSticky)
    }
}

//! Transactions of others that hold back what is new in a topic that rules look up in. Nobody waits for them, so it is said who holds
//! news back for long.

use crate::base::place::TopicPartition;
use crate::client::{Cluster, OffsetAt, Producer};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// What a transaction may take that is none of anybody's business.
const LONG: Duration = Duration::from_secs(10);

/// Partitions with open transactions, and for how long they have been seen with them.
#[derive(Debug)]
pub(super) struct HeldBack {
    pub(super) long: Duration,
    looked: Option<Instant>,
    seen: BTreeMap<TopicPartition, Seen>,
}

#[derive(Debug)]
struct Seen {
    /// The first offset of the transaction.
    from: i64,
    since: Instant,
    is_told: bool,
}

/// News that are held back, and that this was not told before.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) partition: TopicPartition,
    pub(super) from: i64,
    /// How many offsets lie behind.
    pub(super) behind: i64,
    /// As far as the leader tells.
    pub(super) producer: Option<Producer>,
}

impl HeldBack {
    pub(super) fn new() -> Self {
        Self { long: LONG, looked: None, seen: BTreeMap::new() }
    }

    /// Whether it is time to look again; often enough to see what takes long.
    pub(super) fn is_due(&mut self) -> bool {
        let is_due = self.looked.is_none_or(|looked| looked.elapsed() >= self.long / 2);
        if is_due {
            self.looked = Some(Instant::now());
        }
        is_due
    }

    /// Looks at partitions whose committed data ends at these offsets. Whoever does not answer is asked again another time.
    pub(super) async fn look(&mut self, cluster: &Cluster, stable: &[(TopicPartition, i64)]) -> Vec<Told> {
        let partitions: Vec<_> = stable.iter().map(|(partition, _)| partition.clone()).collect();
        let ends = cluster.offsets_as_told(&partitions, OffsetAt::Latest).await;
        let mut told = Vec::new();
        for ((partition, from), end) in stable.iter().zip(ends) {
            let Ok(end) = end else { continue };
            if end <= *from {
                self.seen.remove(partition);
                continue;
            }
            let now = || Seen { from: *from, since: Instant::now(), is_told: false };
            let seen = self.seen.entry(partition.clone()).or_insert_with(now);
            if seen.from != *from {
                *seen = now();
            }
            if seen.is_told || seen.since.elapsed() < self.long {
                continue;
            }
            seen.is_told = true;
            let producer = cluster.open_transaction(partition, *from).await;
            told.push(Told { partition: partition.clone(), from: *from, behind: end - *from, producer });
        }
        told
    }
}

/// For tests: of how many partitions it was told.
#[cfg(test)]
impl HeldBack {
    pub(super) fn told(&self) -> usize {
        self.seen.values().filter(|seen| seen.is_told).count()
    }
}

impl Told {
    pub(super) fn warn(&self) {
        let producer = self.producer.as_ref().map_or(-1, |producer| producer.id);
        let Self { partition, from, behind, .. } = self;
        tracing::warn!(
            %partition, from, behind, producer,
            "a transaction stays open: what lies behind its first offset cannot be looked up before it ends"
        );
    }
}

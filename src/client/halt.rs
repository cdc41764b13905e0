//! Why a read cannot go on, in full: no data comes, a transaction stays open, an election has cut the log.

use super::address::Address;
use super::error::show_time;
use crate::base::place::TopicPartition;
use crate::base::text::visible;
use crate::base::time::show_epoch_ms;
use std::fmt;
use std::time::Duration;

/// Where a read came to a halt.
#[derive(Debug)]
pub struct Stalled {
    /// The partition.
    pub partition: TopicPartition,
    /// The broker that was asked.
    pub broker: Address,
    /// The next offset to read.
    pub position: i64,
    /// Where the range ends (exclusive).
    pub end: i64,
    /// The first offset of the oldest open transaction, or the high watermark.
    pub last_stable: i64,
    /// The end of what is replicated.
    pub high_watermark: i64,
    /// How long nothing came.
    pub waited: Duration,
    /// Who holds the transaction open, if it is one and is told.
    pub producer: Option<Producer>,
}

/// A transaction that readers of committed data wait for.
#[derive(Debug)]
pub struct OpenTransaction {
    /// The partition.
    pub partition: TopicPartition,
    /// Its first offset there.
    pub from: i64,
    /// Where the range to be read ends (exclusive).
    pub end: i64,
    /// How long it was waited for.
    pub waited: Duration,
    /// Who holds it open, if that is told.
    pub producer: Option<Producer>,
}

/// A producer with a transaction, as the partition's leader knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    /// Its id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i32,
    /// Where its open transaction begins.
    pub since: i64,
    /// The time of its last batch, in milliseconds since 1970; -1 if not known.
    pub last_write_ms: i64,
}

/// Where a new leader's log parts from the one that was read.
#[derive(Debug)]
pub struct Truncated {
    /// The partition.
    pub partition: TopicPartition,
    /// The broker that leads it now.
    pub broker: Address,
    /// The next offset to read: everything before it was read already.
    pub position: i64,
    /// The end of what is known to have been there.
    pub end: i64,
    /// The first offset at which the logs differ; `None` if the leader cannot tell.
    pub parts_at: Option<i64>,
    /// The leader's epoch when it was read.
    pub epoch_then: i32,
    /// The leader's epoch now.
    pub epoch_now: i32,
}

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, broker, position, end, parts_at, epoch_then, epoch_now } = self;
        let epochs = format!("leader epoch {epoch_then}, now {epoch_now} at broker {broker}");
        match parts_at {
            None => write!(
                f,
                "{partition}: the leader has changed ({epochs}) and knows nothing of the earlier epochs, so whether its log \
                 is the one that was read up to offset {position} cannot be told"
            ),
            Some(at) if at < position => write!(
                f,
                "{partition}: an election has truncated the log at offset {at} ({epochs}): offsets {at} to {} were read \
                 already and are gone, or are other records now. Begin anew",
                position - 1
            ),
            Some(at) => write!(
                f,
                "{partition}: an election has truncated the log at offset {at} ({epochs}): offsets {at} to {} of what was to \
                 be read are gone, or are other records now (read so far: up to {position}). Begin anew",
                end - 1
            ),
        }
    }
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, broker, position, end, last_stable, high_watermark, waited, producer } = self;
        let waited = show_time(*waited);
        write!(f, "{partition}: no data from offset {position} on (of {end}) for {waited} from broker {broker}: ")?;
        if position >= high_watermark {
            write!(f, "the partition's high watermark is {high_watermark}: data was truncated, or its replicas lag")
        } else if position >= last_stable {
            write!(f, "a transaction has been open since offset {last_stable}: ")?;
            write_way_out(f, partition, *last_stable, producer.as_ref())
        } else {
            write!(f, "the broker sends no data though it should have some")
        }
    }
}

impl fmt::Display for OpenTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, from, end, waited, producer } = self;
        let waited = show_time(*waited);
        write!(
            f,
            "{partition}: a transaction has been open since offset {from}, below the end {end} of what is to be read (waited \
             {waited}): "
        )?;
        write_way_out(f, partition, *from, producer.as_ref())
    }
}

fn write_way_out(
    f: &mut fmt::Formatter<'_>,
    partition: &TopicPartition,
    from: i64,
    producer: Option<&Producer>,
) -> fmt::Result {
    match producer {
        Some(Producer { id, epoch, last_write_ms, .. }) if *last_write_ms >= 0 => {
            write!(f, "producer {id} (epoch {epoch}, its last record is of {})", show_epoch_ms(*last_write_ms))?;
        }
        Some(Producer { id, epoch, .. }) => write!(f, "producer {id} (epoch {epoch})")?,
        None => write!(f, "its producer")?,
    }
    write!(
        f,
        " must commit, abort or time out first, or be ended with kafka-transactions.sh abort --topic {} --partition {} \
         --start-offset {from}",
        visible(&partition.topic),
        partition.partition
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_says_whether_a_transaction_holds_it_up() {
        let stalled = |position, last_stable, high_watermark| {
            Stalled {
                partition: TopicPartition::new("t", 0),
                broker: Address { host: "h".into(), port: 1 },
                position,
                end: 50,
                last_stable,
                high_watermark,
                waited: Duration::from_millis(1500),
                producer: Some(Producer { id: 77, epoch: 3, since: 10, last_write_ms: 0 }),
            }
            .to_string()
        };
        assert!(stalled(10, 10, 50).contains("for 1.5 s from broker h:1: a transaction has been open since offset 10"));
        assert!(
            stalled(10, 10, 50)
                .contains("producer 77 (epoch 3, its last record is of 1970-01-01T00:00:00Z) must commit")
        );
        assert!(stalled(10, 10, 10).contains("high watermark is 10"));
        assert!(stalled(10, 50, 50).contains("should have some"));
    }
}

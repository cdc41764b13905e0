//! What goes wrong between us and a cluster, for the caller: with the broker, topic, partition and offset it is about, what
//! was expected, what came, and the way out. What goes wrong on one connection is in `call_error.rs`.

use super::address::Address;
pub use super::call_error::{Attempt, CallError, Step, Stranger};
pub use super::halt::{OpenTransaction, Producer, Stalled, Truncated};
use crate::base::appended::NotAdjacent;
use crate::base::kind::Kind;
use crate::base::place::{Place, TopicPartition};
use crate::base::text::visible;
use crate::batch::BatchError;
use crate::wire::ErrorCode;
use std::sync::Arc;
use std::time::Duration;

/// What went wrong between us and the cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// What was given as a broker address is none.
    #[error("{0}")]
    Address(String),
    /// No bootstrap address led to a cluster.
    #[error("no broker answers (tried for {}): {}", show_time(*.tried), show_attempts(.attempts))]
    Unreachable {
        /// How long it was tried.
        tried: Duration,
        /// The last attempt at each address.
        attempts: Vec<Attempt>,
    },
    /// A request to a broker failed on the way.
    #[error("{api} at broker {broker}: {source}")]
    Call {
        /// The broker's address.
        broker: Address,
        /// The API that was called.
        api: &'static str,
        /// What went wrong.
        source: Box<CallError>,
    },
    /// A broker cannot be reached at the address the cluster gives for it.
    #[error(
        "broker {node} cannot be reached at its advertised listener {advertised} ({step}): {source}; that address was given \
         by {said_by}, so either it is wrong for this network (advertised.listeners) or that broker is down"
    )]
    Listener {
        /// The broker's id.
        node: i32,
        /// Its address, by the metadata.
        advertised: Address,
        /// The broker the metadata came from.
        said_by: Address,
        /// How far the connection got.
        step: Step,
        /// What went wrong.
        source: Box<CallError>,
    },
    /// The cluster names a leader it gives no address for.
    #[error("broker {node} is named in the metadata of {said_by} but has no usable address there")]
    NoSuchBroker {
        /// The broker's id.
        node: i32,
        /// The broker the metadata came from.
        said_by: Address,
    },
    /// A broker answered with an error.
    #[error("{api} of {what} at broker {broker}: {code}{}", show_message(.message))]
    Refused {
        /// The broker's address.
        broker: Address,
        /// The API that was called.
        api: &'static str,
        /// The topic, partition or resource it was about.
        what: String,
        /// The error code.
        code: ErrorCode,
        /// The broker's own words, if it sent any.
        message: Option<String>,
    },
    /// There is no such topic.
    #[error("there is no topic {}{hint}", visible(.topic))]
    UnknownTopic {
        /// The name that was asked for.
        topic: String,
        /// ` (did you mean X?)`, or nothing.
        hint: String,
    },
    /// The topic has no such partition.
    #[error("{partition} does not exist: the topic has {count} partition(s), counted from 0")]
    UnknownPartition {
        /// The partition that was asked for.
        partition: TopicPartition,
        /// How many there are.
        count: usize,
    },
    /// A partition has no leader, so nobody can read or write it now.
    #[error("{partition} has no leader: the brokers that hold it are down ({replicas:?})")]
    NoLeader {
        /// The partition.
        partition: TopicPartition,
        /// The ids of the brokers that hold it.
        replicas: Vec<i32>,
    },
    /// The same thing failed again and again until its time was over.
    #[error("given up after {} and {tries} tries: {last}", show_time(*.after))]
    GaveUp {
        /// How long it was tried.
        after: Duration,
        /// How often.
        tries: u32,
        /// How it failed the last time.
        #[source]
        last: Box<ClientError>,
    },
    /// The topic was deleted, and created again under the same name, while it was read.
    #[error("topic {} was deleted and created again while it was in use (id {old}, now {new}): what was planned is gone", visible(.topic))]
    Recreated {
        /// The topic's name.
        topic: Arc<str>,
        /// The id it had.
        old: String,
        /// The id it has.
        new: String,
    },
    /// The log no longer holds what was to be read.
    #[error("{}", show_out_of_range(.partition, *.wanted, *.end, *.earliest, *.latest))]
    OutOfRange {
        /// The partition.
        partition: TopicPartition,
        /// The next offset to read.
        wanted: i64,
        /// Where the planned range ends (exclusive).
        end: i64,
        /// Where the log begins now.
        earliest: i64,
        /// Where the log ends now.
        latest: i64,
    },
    /// An election has cut the log below what was read or planned.
    #[error("{0}")]
    Truncated(Box<Truncated>),
    /// A batch stays damaged however often it is fetched.
    #[error("{at}: damaged batch, fetched {tries} times from broker {broker}: {source}")]
    Damaged {
        /// Where it should begin.
        at: Place,
        /// How often it was fetched.
        tries: u32,
        /// Who sent it.
        broker: Address,
        /// What is wrong with it.
        source: BatchError,
    },
    /// A batch is longer than the reader takes.
    #[error(
        "{at}: a batch of {bytes} bytes is more than the {cap} bytes that may be fetched at once; allow more memory"
    )]
    BatchTooLarge {
        /// Where it begins.
        at: Place,
        /// Its length (or that of the whole answer).
        bytes: usize,
        /// The most that is taken.
        cap: usize,
    },
    /// A broker sent a batch that does not follow the one before it.
    #[error(
        "{partition}: broker {broker} sent a batch of offsets {first} to {last} where one at or after {expected} must come"
    )]
    Regressed {
        /// The partition.
        partition: TopicPartition,
        /// Who sent it.
        broker: Address,
        /// The lowest offset that could follow.
        expected: i64,
        /// The batch's first offset.
        first: i64,
        /// The batch's last offset.
        last: i64,
    },
    /// A transaction stays open below the end of what is to be read.
    #[error("{0}")]
    OpenTransaction(Box<OpenTransaction>),
    /// Nothing comes though the range is not at its end.
    #[error("{0}")]
    Stalled(Box<Stalled>),
    /// A batch landed elsewhere than behind the one before it.
    #[error("{0}")]
    NotAdjacent(#[from] NotAdjacent),
    /// A batch that was to be written is not what it must be.
    #[error(
        "{partition}: a batch is not sent, its {what} should be {expected} and is {got} (a defect of this program)"
    )]
    Unsendable {
        /// The partition.
        partition: TopicPartition,
        /// The field.
        what: &'static str,
        /// What it must hold.
        expected: i64,
        /// What it holds.
        got: i64,
    },
    /// Something was to be written after an error.
    #[error("{partition}: nothing more is written after an error")]
    WriterStopped {
        /// The partition.
        partition: TopicPartition,
    },
    /// Another producer has taken our transactional id.
    #[error("{}", show_fenced(.id, *.explicit))]
    Fenced {
        /// The transactional id.
        id: String,
        /// Whether a transaction that took too long may look the same.
        explicit: bool,
    },
    /// Transactions are not to be had in the way that is needed.
    #[error(
        "broker {broker} has no transactions that are safe to go on with after a crash (Kafka 3.6 or later has): \
         {why}. --delivery idempotent does without, and begins again after a crash"
    )]
    NoTransactions {
        /// The broker.
        broker: Address,
        /// What is missing.
        why: String,
    },
    /// A transaction is not in a state for what was asked of it.
    #[error("transactional id {id}: {what}")]
    Transaction {
        /// The transactional id.
        id: String,
        /// What is wrong.
        what: String,
    },
    /// Another member has taken our name in a group.
    #[error(
        "another member has joined group {} under the name {} (--group-instance-id): this one stops, and commits nothing more",
        visible(.group), visible(.instance)
    )]
    InstanceFenced {
        /// The group.
        group: Arc<str>,
        /// The name.
        instance: String,
    },
    /// Something about a group is not as it must be.
    #[error("group {}: {what}", visible(.group))]
    Group {
        /// The group.
        group: Arc<str>,
        /// What is wrong.
        what: String,
    },
    /// A group has no offset to begin at.
    #[error(
        "group {} has committed no offset for {partition}: it has never read it, or its offset has expired. Say where to begin: \
         --reset earliest or --reset latest",
        visible(.group)
    )]
    NoPosition {
        /// The group.
        group: Arc<str>,
        /// The partition.
        partition: TopicPartition,
    },
    /// A group's offset lies outside the log.
    #[error("{}", show_position_lost(.group, .partition, *.committed, *.earliest, *.latest))]
    PositionLost {
        /// The group.
        group: Arc<str>,
        /// The partition.
        partition: TopicPartition,
        /// The group's offset.
        committed: i64,
        /// Where the log begins.
        earliest: i64,
        /// Where the log ends.
        latest: i64,
    },
    /// A broker's answer lacks, or contradicts, what was asked for.
    #[error("{api} at broker {broker}: expected {expected}, got {got}")]
    Protocol {
        /// The broker's address.
        broker: Address,
        /// The API that was called.
        api: &'static str,
        /// What was asked for.
        expected: String,
        /// What came.
        got: String,
    },
}

impl ClientError {
    /// The sort of failure, for the exit status.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Address(_) => Kind::Usage,
            Self::Unreachable { .. } | Self::Call { .. } | Self::Listener { .. } | Self::NoSuchBroker { .. } => {
                Kind::Unreachable
            }
            Self::Refused { code, .. } if is_denial(*code) => Kind::Unreachable,
            Self::GaveUp { last, .. } => match last.kind() {
                // Out of time, whatever the brokers answered meanwhile.
                Kind::Failed => Kind::Unreachable,
                kind => kind,
            },
            Self::NoLeader { .. } | Self::Stalled(_) | Self::OpenTransaction(_) => Kind::Unreachable,
            Self::Fenced { .. } | Self::InstanceFenced { .. } => Kind::Fenced,
            Self::NoPosition { .. } | Self::PositionLost { .. } => Kind::Data,
            Self::OutOfRange { .. } | Self::Truncated(_) | Self::Damaged { .. } | Self::Recreated { .. } => Kind::Data,
            Self::Refused { .. }
            | Self::UnknownTopic { .. }
            | Self::UnknownPartition { .. }
            | Self::BatchTooLarge { .. }
            | Self::Regressed { .. }
            | Self::NotAdjacent(_)
            | Self::Unsendable { .. }
            | Self::WriterStopped { .. }
            | Self::NoTransactions { .. }
            | Self::Transaction { .. }
            | Self::Group { .. }
            | Self::Protocol { .. } => Kind::Failed,
        }
    }

    /// The broker's error code, if that is what this is, also behind [`ClientError::GaveUp`].
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::GaveUp { last, .. } => last.code(),
            _ => None,
        }
    }
}

/// Errors that mean "you may not", which the user tells apart from "it failed".
fn is_denial(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::TopicAuthorizationFailed
            | ErrorCode::GroupAuthorizationFailed
            | ErrorCode::ClusterAuthorizationFailed
            | ErrorCode::TransactionalIdAuthorizationFailed
            | ErrorCode::SaslAuthenticationFailed
    )
}

/// A duration as people read it.
pub(crate) fn show_time(time: Duration) -> String {
    match time.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{:.1} s", ms as f64 / 1000.0),
    }
}

fn show_attempts(attempts: &[Attempt]) -> String {
    attempts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn show_message(message: &Option<String>) -> String {
    message.as_deref().filter(|text| !text.is_empty()).map(|text| format!(": {}", visible(text))).unwrap_or_default()
}

fn show_fenced(id: &str, explicit: bool) -> String {
    let fenced = format!(
        "another instance has taken over (transactional id {}): this one writes nothing more, and what it wrote since its last \
         commit does not count",
        visible(id)
    );
    match explicit {
        false => fenced,
        true => format!(
            "{fenced}; or, if there is no other instance, a transaction of this one took longer than its timeout: on brokers \
             of this age the two look the same. In that case start it again"
        ),
    }
}

fn show_position_lost(group: &str, partition: &TopicPartition, committed: i64, earliest: i64, latest: i64) -> String {
    let group = visible(group);
    let what = match committed < earliest {
        true => format!(
            "offsets {committed} to {} are gone: the log now begins at {earliest} (retention has passed the group)",
            earliest - 1
        ),
        false => format!("the log now ends at {latest}: it was truncated, or the topic was created anew"),
    };
    format!(
        "group {group} stands at offset {committed} of {partition}, and {what}. Say where to begin: --reset earliest or --reset \
         latest"
    )
}

fn show_out_of_range(partition: &TopicPartition, wanted: i64, end: i64, earliest: i64, latest: i64) -> String {
    if wanted < earliest {
        let last = end.min(earliest) - 1;
        format!(
            "{partition}: offsets {wanted} to {last} are lost: the log now begins at {earliest} (retention or a deletion has \
             passed the start of what was planned)"
        )
    } else {
        format!(
            "{partition}: offsets {wanted} to {} are lost: the log now holds {earliest} to {} only (was it truncated by an \
             unclean leader election, or created anew?)",
            end - 1,
            latest - 1
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_range_is_named_by_its_first_and_last_offset() {
        let lost = |wanted, end, earliest, latest| {
            show_out_of_range(&TopicPartition::new("t", 1), wanted, end, earliest, latest)
        };
        assert!(
            lost(10, 100, 40, 100).starts_with("t partition 1: offsets 10 to 39 are lost: the log now begins at 40")
        );
        assert!(lost(10, 20, 40, 100).starts_with("t partition 1: offsets 10 to 19 are lost"));
        assert!(
            lost(50, 100, 0, 20).starts_with("t partition 1: offsets 50 to 99 are lost: the log now holds 0 to 19")
        );
    }
}

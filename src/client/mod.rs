//! Our side of the Kafka protocol: find the cluster, ask it, read and write partitions as raw batches.
//!
//! ```text
//! address ──▶ transport ──▶ link, call ──▶ cluster ──▶ offsets, topics, configs
//! host:port   TCP           pipelined      who leads   ├──▶ fetch: one partition as a ports::Source
//!                                                     └──▶ produce: one partition as a ports::Sink
//!                                                            └──▶ transactional: several of them, all or nothing
//!                                       group: which partitions are ours to read, and from where
//! ```
//!
//! What holds everywhere here:
//! - Every wait has a deadline on the monotonic clock; nothing is repeated for ever. One function (`codes::decide`) says
//!   what is done about each error code of each API, and why.
//! - A length from the wire is a claim: a frame is refused above its cap and its buffer grows by what arrives.
//! - A connection is shared, its requests are pipelined; one that failed in any way is never used again.
//! - Errors name the broker, the topic, the partition and the offset they are about.
//!
//! Absent so far: TLS, SASL.

// From a name to a connection.
pub mod address;
mod connect;
pub mod deadline;

pub mod transport;

// Many requests on a connection, an answer for each.
pub mod call;
mod frame;
mod link;
mod need;
mod versions;

// What is worth another try, and what is not.
mod call_error;
mod codes;
pub mod error;
pub mod halt;
mod retry;

// The cluster: who leads what, and the questions it answers.
pub mod cluster;
mod probe;

mod admin;
mod coordinators;
mod membership;
mod metadata;
mod offsets;
mod one_batch;
mod open_transactions;
mod record_times;
mod transactions;

// One partition, as bytes: out of it,
mod aborted;
pub mod fetch;

// and into it,
pub mod produce;

// also all or nothing.
pub mod transactional;

// Readers that share topics among them.
pub mod group;

// The foreign client, for the plain merge and the generator.
pub mod rskafka;

#[cfg(test)]
mod tests;

pub use address::Address;
pub use admin::{Change, ConfigOf, HeldCopy, LogDir, Moving, NewTopic, Setting};
pub use admin::{GroupDescribed, GroupListed, GroupMember, GroupOffset, TransactionKept};
pub use cluster::Cluster;
pub use error::{CallError, ClientError, Producer, Step};
pub use fetch::{Ground, PartitionReader, ReadOptions, Tail};
pub use membership::Membership;
pub use metadata::{BrokerInfo, PartitionInfo, TopicInfo};
pub use need::Need;
pub use offsets::OffsetAt;
pub use produce::{Acks, Delivery, Landed, PartitionWriter, WriteOptions};
pub use record_times::FirstRecord;

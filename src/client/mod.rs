//! Our side of the Kafka protocol: find the cluster, ask it, read partitions as raw batches.
//!
//! ```text
//! address ──▶ connect ──▶ call ──▶ cluster ──▶ offsets, topics, configs
//! host:port   staggered   frames   who leads   └──▶ fetch: one partition as a ports::Source
//! ```
//!
//! What holds everywhere here:
//! - Every wait has a deadline on the monotonic clock; nothing is repeated for ever. One function (`retry::verdict_of_code`)
//!   decides which broker errors are worth another try.
//! - A length from the wire is a claim: a frame is refused above its cap and its buffer grows by what arrives.
//! - A connection that was left in the middle of a call (error, deadline, dropped future) is never used again.
//! - Errors name the broker, the topic, the partition and the offset they are about.
//!
//! Absent so far: TLS, SASL, produce, groups, transactions, several requests in flight on one connection.

// From a name to a connection.
pub mod address;
mod connect;
mod deadline;

// One request, one answer.
pub mod call;
mod frame;
mod versions;

// What is worth another try, and what is not.
mod call_error;
pub mod error;
mod retry;

// The cluster: who leads what, and the questions it answers.
pub mod cluster;
mod probe;

mod admin;
mod configs;
mod metadata;
mod offsets;
mod transactions;

// One partition, as bytes.
mod aborted;
pub mod fetch;

// The foreign client, for the plain merge and the generator.
pub mod rskafka;

#[cfg(test)]
mod tests;

pub use address::Address;
pub use admin::NewTopic;
pub use cluster::Cluster;
pub use error::{CallError, ClientError, Step};
pub use fetch::{PartitionReader, ReadOptions};
pub use metadata::{BrokerInfo, PartitionInfo, TopicInfo};
pub use offsets::OffsetAt;

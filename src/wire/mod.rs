//! The Kafka protocol, both directions, every length checked.
//!
//! One file per API states request and response once: each field with its type, its versions, whether it may be null and
//! whether it is tagged (`define.rs` turns that into reader and writer). The names are those of Kafka's own definitions,
//! the versions those that Kafka 4.2 speaks. A structure holds the fields of all its versions; one that a version lacks is
//! read as its default and refused on writing when it holds more than that.
//!
//! - Bytes from the network are claims: they give a value or a [`WireError`] that names message, version and field, in time
//!   and memory proportional to their number (`reader.rs` states the factor), and never a panic.
//! - Records are borrowed bytes here; what is in them is `batch`'s affair. All else is owned.
//! - Where Kafka's definitions call a field ignorable, it may be left out of versions that lack it; beyond them only the
//!   hints of a broker are (who leads, at which epoch, and where), so that it can answer every version alike.
//! - No I/O: [`frame`] turns messages into frames and back, the callers move them.
//! - Error codes stay integers in the messages; [`ErrorCode`] reads them.

// The types every message is made of, and what it takes to state one.
mod error;
mod reader;
mod writer;

mod field;

mod define;

mod api_key;
mod error_code;
mod uuid;

// Around the messages.
pub mod frame;
pub mod header;

// The messages.
pub mod api_versions;
pub mod describe_cluster;
pub mod find_coordinator;
pub mod metadata;

pub mod fetch;
pub mod list_offsets;
pub mod offset_for_leader_epoch;
pub mod produce;

pub mod create_partitions;
pub mod create_topics;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_configs;
pub mod describe_producers;
pub mod incremental_alter_configs;
pub mod init_producer_id;

pub mod alter_partition_reassignments;
pub mod describe_log_dirs;
pub mod elect_leaders;
pub mod list_partition_reassignments;

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod describe_transactions;
pub mod end_txn;
pub mod list_transactions;
pub mod offset_commit;
pub mod offset_fetch;
pub mod txn_offset_commit;

// Members of groups, and groups as a whole.
pub mod heartbeat;
pub mod join_group;
pub mod leave_group;
pub mod sync_group;

pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;

pub mod delete_groups;
pub mod describe_groups;
pub mod list_groups;
pub mod offset_delete;

#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

pub use api_key::ApiKey;
pub use error::{Problem, WireError};
pub use error_code::ErrorCode;
pub use reader::{MEMORY_FACTOR, MEMORY_FLOOR, Reader};
pub use uuid::Uuid;
pub use writer::Writer;

/// A structure that stands on the wire. Reader and writer must have been told whether the version is flexible; `frame`
/// does that for whole messages.
pub trait Message<'a>: Sized {
    /// Reads it at `version`; fields that the version lacks get their defaults.
    fn read(reader: &mut Reader<'a>, version: i16) -> Result<Self, WireError>;

    /// Writes it at `version`.
    fn write(&self, writer: &mut Writer, version: i16) -> Result<(), WireError>;
}

/// An API: its number, its versions, its two messages. Implemented by one marker type an API.
pub trait Api {
    /// Its number.
    const KEY: ApiKey;
    /// The versions that both messages are stated for.
    const VERSIONS: RangeInclusive<i16>;
    /// The first version with compact lengths and tagged fields.
    const FLEXIBLE_FROM: i16 = Self::KEY.flexible_from();
    /// What a client sends.
    type Request<'a>: Message<'a> + std::fmt::Debug + Default + PartialEq;
    /// What a broker answers.
    type Response<'a>: Message<'a> + std::fmt::Debug + Default + PartialEq;
}

//! What the jobs need to know of a record of the foreign client: its fields, its size in memory, its size in a batch.

use crate::client::rskafka::{Record, RecordAndOffset};
use crate::keys::Fields;

/// A batch before its first record.
pub(crate) const BATCH_HEADER_BYTES: usize = 61;

/// A header map allocates a node with room for eleven pairs.
const HEADER_NODE_BYTES: usize = 544;

impl Fields for Record {
    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    fn timestamp(&self) -> i64 {
        self.timestamp.timestamp_millis()
    }

    fn header(&self, name: &str) -> Option<Option<&[u8]>> {
        self.headers.get(name).map(|value| Some(value.as_slice()))
    }
}

/// What a vector of bytes takes from the allocator, with its own bookkeeping.
fn heap_bytes(capacity: usize) -> usize {
    match capacity {
        0 => 0,
        capacity => (capacity + 8).next_multiple_of(16).max(32),
    }
}

/// What a record holds outside of the struct itself.
pub(crate) fn held_bytes(record: &Record) -> usize {
    let bytes = |field: &Option<Vec<u8>>| field.as_ref().map_or(0, |bytes| heap_bytes(bytes.capacity()));
    let headers = record.headers.iter().map(|(name, value)| heap_bytes(name.capacity()) + heap_bytes(value.capacity()));
    let nodes = record.headers.len().div_ceil(6) * HEADER_NODE_BYTES;
    bytes(&record.key) + bytes(&record.value) + headers.sum::<usize>() + nodes
}

/// What a fetched stretch of records takes in memory.
pub(crate) fn window_bytes(records: &Vec<RecordAndOffset>) -> usize {
    records.capacity() * size_of::<RecordAndOffset>() + records.iter().map(|r| held_bytes(&r.record)).sum::<usize>()
}

/// Key, value and headers: what a user calls the size of a record.
pub(crate) fn payload_bytes(record: &Record) -> usize {
    record.approximate_size()
}

/// The bytes a record takes in an uncompressed batch, as record `index` of it, the first having `first_timestamp`.
pub(crate) fn encoded_bytes(record: &Record, index: usize, first_timestamp: i64) -> usize {
    let sized = |len: usize| varint_bytes(len as i64) + len;
    let nullable = |field: &Option<Vec<u8>>| field.as_ref().map_or(varint_bytes(-1), |bytes| sized(bytes.len()));
    let headers: usize = record.headers.iter().map(|(name, value)| sized(name.len()) + sized(value.len())).sum();
    let body = 1
        + varint_bytes(record.timestamp().wrapping_sub(first_timestamp))
        + varint_bytes(index as i64)
        + nullable(&record.key)
        + nullable(&record.value)
        + varint_bytes(record.headers.len() as i64)
        + headers;
    sized(body)
}

/// The bytes of a zigzag variable-length integer.
fn varint_bytes(value: i64) -> usize {
    let zigzag = (value.wrapping_shl(1) ^ (value >> 63)) as u64;
    (70 - (zigzag | 1).leading_zeros() as usize) / 7
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use std::collections::BTreeMap;

    fn record(value: &[u8], timestamp: i64) -> Record {
        Record {
            key: None,
            value: Some(value.to_vec()),
            headers: BTreeMap::new(),
            timestamp: DateTime::from_timestamp_millis(timestamp).unwrap(),
        }
    }

    #[test]
    fn variable_length_integers_grow_at_the_known_borders() {
        for (value, bytes) in [(0, 1), (-1, 1), (63, 1), (-64, 1), (64, 2), (-65, 2), (8191, 2), (8192, 3), (i64::MAX, 10), (i64::MIN, 10)] {
            assert_eq!(varint_bytes(value), bytes, "{value}");
        }
    }

    #[test]
    fn a_small_integer_takes_nine_bytes() {
        // length, attributes, timestamp delta, offset delta, no key, value length, the digit, no headers: 8; the ninth comes
        // with offset deltas from 64 on.
        assert_eq!(encoded_bytes(&record(b"7", 1000), 0, 1000), 8);
        assert_eq!(encoded_bytes(&record(b"7", 1000), 64, 1000), 9);
        assert_eq!(encoded_bytes(&record(b"7", 2000), 64, 1000), 10);
    }

    #[test]
    fn memory_counts_what_the_allocator_rounds_up() {
        assert_eq!(held_bytes(&record(b"7", 0)), 32);
        assert_eq!(held_bytes(&record(&[0; 100], 0)), 112);
    }
}

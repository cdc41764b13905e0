//! Dead letters: the record as it was, with headers that say where it stood and what is wrong with it.

use crate::base::place::TopicPartition;
use crate::batch::{Headers, HeadersBuf};

/// The names of the headers, behind those that the record had. Where a dead letter becomes one again, the last of a name counts.
pub const HEADERS: [&str; 6] =
    ["kmerge.topic", "kmerge.partition", "kmerge.offset", "kmerge.rule", "kmerge.class", "kmerge.reason"];

/// What is said of a record that no rule could look at, in place of a rule.
pub(super) const UNDECODABLE: &str = "undecodable";

/// Why a record is refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal<'a> {
    /// The rule's name, or [`UNDECODABLE`].
    pub(super) rule: &'a str,
    /// What it is counted as.
    pub(super) class: &'a str,
    /// What it is in this record.
    pub(super) reason: &'a str,
}

/// The headers of the dead letter, in a buffer that is used again.
pub(super) fn headers<'a>(
    buffer: &'a mut HeadersBuf,
    had: Headers<'_>,
    from: &TopicPartition,
    offset: i64,
    refusal: Refusal<'_>,
) -> Headers<'a> {
    buffer.clear();
    for header in had.iter() {
        buffer.push(header.key, header.value);
    }
    let (partition, offset) = (from.partition.to_string(), offset.to_string());
    let values = [&*from.topic, &partition, &offset, refusal.rule, refusal.class, refusal.reason];
    for (name, value) in HEADERS.iter().zip(values) {
        buffer.push(name.as_bytes(), Some(value.as_bytes()));
    }
    buffer.headers()
}

//! From a record to its text in the block at hand, if it is wanted; counts what it sees.

use super::Format;
use crate::base::place::TopicPartition;
use crate::batch::{Record, TimestampType};
use crate::formats::envelope::Envelope;
use crate::formats::template::escape_json_controls;
use crate::keys::{Filter, Verdict};

/// Writes records into blocks.
#[derive(Debug)]
pub(super) struct Printer {
    format: Format,
    filter: Filter,
    /// How many may still be shown.
    left: u64,
    block: Vec<u8>,
    block_bytes: usize,
    pub(super) counts: Counts,
}

/// What was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records read.
    pub read: u64,
    /// Records shown.
    pub shown: u64,
    /// Bytes of text they made.
    pub bytes: u64,
    /// Records that could not be read as a condition wants.
    pub unreadable: u64,
}

/// What a record does not say of itself.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) partition: &'a TopicPartition,
    pub(super) timestamp_type: TimestampType,
    /// The node id of the broker that the partition is read from.
    pub(super) broker: Option<i32>,
}

/// How to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// With the next record.
    Go,
    /// Once the block is handed over.
    Full,
    /// Not at all: as many as were asked for are shown.
    Enough,
}

impl Printer {
    /// A printer that shows `count` records at most.
    pub(super) fn new(format: Format, filter: Filter, count: Option<u64>) -> Self {
        let left = count.unwrap_or(u64::MAX);
        Self { format, filter, left, block: Vec::new(), block_bytes: 0, counts: Counts::default() }
    }

    /// A block of so many bytes is full.
    pub(super) fn set_block_bytes(&mut self, block_bytes: usize) {
        self.block_bytes = block_bytes;
    }

    /// Takes the next record.
    #[inline]
    pub(super) fn print(&mut self, origin: Origin<'_>, record: &Record<'_>) -> Next {
        self.counts.read += 1;
        if !self.filter.is_empty() {
            match self.filter.verdict(record) {
                Verdict::Wanted => {}
                Verdict::Unwanted => return Next::Go,
                Verdict::Unreadable => {
                    self.counts.unreadable += 1;
                    return Next::Go;
                }
            }
        }
        if self.left == 0 {
            return Next::Enough;
        }
        let shown = Envelope {
            topic: &origin.partition.topic,
            partition: origin.partition.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            timestamp_type: origin.timestamp_type,
            broker: origin.broker,
            key: record.key,
            value: record.value,
            headers: record.headers,
        };
        let from = self.block.len();
        match &self.format {
            Format::Template(template) => template.write(&mut self.block, &shown),
            Format::Json { visible } => {
                shown.write(&mut self.block);
                if *visible {
                    escape_json_controls(&mut self.block, from);
                }
                self.block.push(b'\n');
            }
        }
        self.counts.shown += 1;
        self.counts.bytes += (self.block.len() - from) as u64;
        self.left -= 1;
        match self.left {
            0 => Next::Enough,
            _ if self.block.len() >= self.block_bytes => Next::Full,
            _ => Next::Go,
        }
    }

    /// What was written since the last time, to be exchanged for an empty block.
    pub(super) fn block(&mut self) -> &mut Vec<u8> {
        &mut self.block
    }
}

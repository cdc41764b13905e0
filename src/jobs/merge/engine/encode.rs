//! The way out: records in the order of the merge are copied into the batch being filled, one copy each.
//!
//! A batch is cut by its size before compression, which is known exactly; so a record that the broker would refuse is named
//! before it is sent. Offset deltas count up by one from 0 because [`BatchWriter`] numbers records itself: the broker would
//! store a gap without a word.

use super::input::Input;
use crate::batch::{BatchWriter, Codec, HEADER_BYTES};
use crate::jobs::error::JobError;
use crate::ports::{Identity, Outgoing};

/// What a record takes beside its key, value and headers, at most: length, attributes, time and offset.
const RECORD_OVERHEAD_MAX: usize = 5 + 1 + 10 + 5;

/// How batches are cut and marked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// The size that a batch of several records stays below, before compression.
    pub(super) batch_bytes: usize,
    /// The largest batch the output topic takes.
    pub(super) bytes_max: usize,
    /// How batches are compressed.
    pub(super) codec: Codec,
    /// Who writes, where the broker is to know repeats.
    pub(super) identity: Option<Identity>,
}

/// Fills batches.
pub(super) struct Encoder {
    writer: BatchWriter,
    cut: Cut,
    batch_bytes: usize,
    /// Records in the batches before the one being filled.
    records_before: u64,
    /// Keys, values and headers in the batch being filled.
    pub(super) payload_bytes: u64,
}

impl Encoder {
    pub(super) fn new(cut: Cut) -> Self {
        // What does not shrink grows a little when it is compressed.
        let bytes_max = match cut.codec {
            Codec::None => cut.bytes_max,
            _ => cut.bytes_max - cut.bytes_max / 16,
        };
        Self {
            writer: BatchWriter::new(cut.codec),
            batch_bytes: cut.batch_bytes.min(bytes_max),
            cut,
            records_before: 0,
            payload_bytes: 0,
        }
    }

    /// Copies the next records of `order` until the batch is full; gives how many that were.
    pub(super) fn fill(&mut self, order: &[u16], inputs: &mut [Input]) -> Result<usize, JobError> {
        for (done, &source) in order.iter().enumerate() {
            let input = &mut inputs[usize::from(source)];
            let (timestamp, raw) = input.peek();
            let bytes = self.writer.bytes() + raw.len() + RECORD_OVERHEAD_MAX;
            if bytes > self.batch_bytes {
                if !self.writer.is_empty() {
                    return Ok(done);
                }
                let bytes = HEADER_BYTES + raw.len() + RECORD_OVERHEAD_MAX;
                if bytes > self.cut.bytes_max && self.cut.codec == Codec::None {
                    return Err(JobError::RecordTooLarge { at: input.next_at(), bytes, bytes_max: self.cut.bytes_max });
                }
            }
            self.payload_bytes += raw.len() as u64;
            let pushed = self.writer.push_raw(timestamp, raw);
            pushed.map_err(|error| JobError::Batch { at: input.next_at(), error })?;
            input.pass();
        }
        Ok(order.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writer.is_empty()
    }

    /// Closes the batch, into `buffer`.
    pub(super) fn finish(&mut self, mut buffer: Vec<u8>) -> Result<Outgoing, crate::batch::BatchError> {
        let records = self.writer.record_count() as u32;
        if let Some(identity) = self.cut.identity {
            self.writer.producer(identity.id, identity.epoch, Identity::sequence(self.records_before));
        }
        let len = self.writer.finish_into(&mut buffer)?;
        self.records_before += u64::from(records);
        Ok(Outgoing { bytes: buffer, len, records })
    }
}

//! What a fetch brought: from the bytes of an answer to whole data batches, and how far the position moves.

use super::PartitionReader;
use crate::batch::{Batch, BatchError, Batches};
use crate::client::aborted::{Aborted, Fate};
use crate::client::address::Address;
use crate::client::error::ClientError;
use crate::wire::fetch::PartitionData;
use std::time::Duration;

/// What one fetch brought.
pub(super) enum Got {
    /// Data batches, in the caller's buffer.
    Data,
    /// Only batches without data; the position has moved.
    Ground,
    /// No batch at all.
    Nothing(Nothing),
    /// A batch larger than the window, cut off; the next fetch asks for all of it.
    Cut,
    /// The batch at the position is damaged.
    Damaged(Address, BatchError),
}

/// What an empty answer says.
pub(super) struct Nothing {
    pub(super) broker: Address,
    pub(super) throttled: Duration,
    pub(super) high_watermark: i64,
    pub(super) last_stable: i64,
}

impl PartitionReader {
    /// Goes through the batches of an answer.
    pub(super) fn take(
        &mut self,
        data: &PartitionData<'_>,
        broker: &Address,
        throttled: Duration,
        into: &mut Vec<u8>,
    ) -> Result<Got, ClientError> {
        let records = data.records.unwrap_or_default();
        let mut aborted =
            Aborted::new(data.aborted_transactions.iter().flatten().map(|one| (one.first_offset, one.producer_id)));
        let mut batches = Batches::new(records);
        let started_at = self.position;
        while self.position < self.range.end
            && let Some(batch) = batches.next()
        {
            match self.take_one(batch, &mut aborted, broker, self.position > started_at, into)? {
                None => {}
                // What came before it in this answer is good; the next fetch begins at the damaged one.
                Some(_) if self.position > started_at => break,
                Some(damage) => return Ok(Got::Damaged(broker.clone(), damage)),
            }
        }
        if self.position > started_at {
            self.damaged_tries = 0;
            self.fetch_bytes = self.options.fetch_bytes_max;
            return Ok(if into.is_empty() { Got::Ground } else { Got::Data });
        }
        if !records.is_empty() {
            return self.cut(batches.rest(), broker);
        }
        Ok(Got::Nothing(Nothing {
            broker: broker.clone(),
            throttled,
            high_watermark: data.high_watermark,
            last_stable: data.last_stable_offset,
        }))
    }

    /// One batch: `Ok(Some(damage))` if its bytes are not what they should be.
    fn take_one(
        &mut self,
        batch: Result<Batch<'_>, BatchError>,
        aborted: &mut Aborted,
        broker: &Address,
        follows: bool,
        into: &mut Vec<u8>,
    ) -> Result<Option<BatchError>, ClientError> {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => return Ok(Some(error)),
        };
        if let Err(error) = batch.verify_checksum() {
            return Ok(Some(error));
        }
        let (first, last) = (batch.header.base_offset, batch.header.last_offset());
        // Only the first batch of an answer may begin before the position: it is the one that holds it.
        if last < self.position || (follows && first < self.position) {
            let (partition, broker) = (self.partition.clone(), broker.clone());
            return Err(ClientError::Regressed { partition, broker, expected: self.position, first, last });
        }
        if batch.bytes().len() > self.options.batch_bytes_max.max(self.options.fetch_bytes_max) {
            return Err(self.batch_too_large(batch.bytes().len()));
        }
        match aborted.fate(&batch) {
            Ok(Fate::Data) if first < self.range.end => into.extend_from_slice(batch.bytes()),
            Ok(_) => {}
            Err(error) => return Ok(Some(error)),
        }
        self.position = last.saturating_add(1);
        Ok(None)
    }

    /// The answer ends within its first batch: brokers before 0.10.1 do that, and whoever counts bytes more strictly.
    fn cut(&mut self, rest: &[u8], broker: &Address) -> Result<Got, ClientError> {
        let stated = rest.get(8..12).and_then(|raw| raw.first_chunk()).map_or(0, |raw| i32::from_be_bytes(*raw));
        let needed = usize::try_from(stated).unwrap_or(0).saturating_add(12);
        if needed > self.options.batch_bytes_max {
            return Err(self.batch_too_large(needed));
        }
        if self.fetch_bytes >= self.options.batch_bytes_max.max(needed) {
            // All of it was asked for, and it still ends early.
            let source = BatchError::Truncated { what: "a batch", needed, got: rest.len() };
            return Ok(Got::Damaged(broker.clone(), source));
        }
        // At least twice as much, so that this ends soon even if the length is damaged.
        self.fetch_bytes = needed.max(self.fetch_bytes.saturating_mul(2)).min(self.options.batch_bytes_max);
        Ok(Got::Cut)
    }
}

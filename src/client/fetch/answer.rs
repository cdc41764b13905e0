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
    /// The broker's log does not hold the position, though it may yet.
    Beyond(ClientError),
    /// The batch at the position is damaged.
    Damaged(Address, BatchError),
}

/// What becomes of one batch.
enum Taken {
    Data(usize),
    Skip(usize),
    Damaged(BatchError),
}

/// What an empty answer says.
pub(super) struct Nothing {
    pub(super) broker: Address,
    pub(super) throttled: Duration,
    pub(super) high_watermark: i64,
    pub(super) last_stable: i64,
}

impl PartitionReader {
    /// Goes through the batches of an answer, which stand in `into`; what is not to be handed on is taken out there.
    pub(super) fn take(
        &mut self,
        data: &PartitionData<'_>,
        broker: &Address,
        throttled: Duration,
        into: &mut Vec<u8>,
    ) -> Result<Got, ClientError> {
        self.replicated = self.replicated.max(data.high_watermark);
        let mut aborted =
            Aborted::new(data.aborted_transactions.iter().flatten().map(|one| (one.first_offset, one.producer_id)));
        let started_at = self.position;
        // What is kept so far, and what has been looked at.
        let (mut kept, mut seen) = (0, 0);
        let mut data_end = None;
        while self.position < self.range.end
            && let Some(batch) = Batches::new(&into[seen..]).next()
        {
            match self.take_one(batch, &mut aborted, broker, self.position > started_at)? {
                Taken::Data(bytes) => {
                    // Almost always nothing was left out before it.
                    if kept != seen {
                        into.copy_within(seen..seen + bytes, kept);
                    }
                    kept += bytes;
                    seen += bytes;
                    data_end = Some(self.position);
                }
                Taken::Skip(bytes) => seen += bytes,
                // What came before it in this answer is good; the next fetch begins at the damaged one.
                Taken::Damaged(_) if self.position > started_at => break,
                Taken::Damaged(damage) => {
                    into.clear();
                    return Ok(Got::Damaged(broker.clone(), damage));
                }
            }
        }
        if self.position > started_at {
            into.truncate(kept);
            // What lies behind the range was passed over, whatever it holds.
            self.ground.reached(data_end, self.position.min(self.range.end));
            self.damaged_tries = 0;
            self.fetch_bytes = self.options.fetch_bytes_max;
            return Ok(if into.is_empty() { Got::Ground } else { Got::Data });
        }
        if !into.is_empty() {
            let got = self.cut(into, broker);
            into.clear();
            return got;
        }
        Ok(Got::Nothing(Nothing {
            broker: broker.clone(),
            throttled,
            high_watermark: data.high_watermark,
            last_stable: data.last_stable_offset,
        }))
    }

    /// One batch, with its length.
    fn take_one(
        &mut self,
        batch: Result<Batch<'_>, BatchError>,
        aborted: &mut Aborted,
        broker: &Address,
        follows: bool,
    ) -> Result<Taken, ClientError> {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => return Ok(Taken::Damaged(error)),
        };
        if let Err(error) = batch.verify_checksum() {
            return Ok(Taken::Damaged(error));
        }
        let (first, last) = (batch.header.base_offset, batch.header.last_offset());
        // Only the first batch of an answer may begin before the position: it is the one that holds it.
        if last < self.position || (follows && first < self.position) {
            let (partition, broker) = (self.partition.clone(), broker.clone());
            return Err(ClientError::Regressed { partition, broker, expected: self.position, first, last });
        }
        let bytes = batch.bytes().len();
        if bytes > self.options.batch_bytes_max.max(self.options.fetch_bytes_max) {
            return Err(self.batch_too_large(bytes));
        }
        let fate = match aborted.fate(&batch) {
            Ok(fate) => fate,
            Err(error) => return Ok(Taken::Damaged(error)),
        };
        self.position = last.saturating_add(1);
        self.read_epoch = batch.header.partition_leader_epoch;
        Ok(if fate == Fate::Data && first < self.range.end { Taken::Data(bytes) } else { Taken::Skip(bytes) })
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

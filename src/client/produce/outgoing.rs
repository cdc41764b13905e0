//! A batch before it goes out: what the broker would refuse, or (worse) take, is found here. Then it is signed.

use super::{Identity, Outgoing, PartitionWriter};
use crate::batch::{Batch, BatchHeader, BatchMut};
use crate::client::error::ClientError;
use crate::client::link::Apart;
use std::sync::Arc;
use tokio::time::Instant;

/// The attribute bits of batches that only brokers and transactions write.
const TRANSACTIONAL_AND_CONTROL: i16 = 0x30;

/// A batch that is kept until it is stored for certain.
#[derive(Debug)]
pub(super) struct Held {
    /// The connection reads them while it sends them.
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) len: usize,
    pub(super) records: u32,
    pub(super) header: BatchHeader,
    /// When it was sent last.
    pub(super) sent: Option<Instant>,
    /// What the broker has answered, if it took it.
    pub(super) told: Option<Told>,
}

/// Where a batch lies and when it was appended, by the broker's answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) base_offset: i64,
    pub(super) append_time_ms: i64,
}

/// A batch that is stored for certain.
#[derive(Debug)]
pub struct Landed {
    /// The offset of its first record.
    pub base_offset: i64,
    /// How many records it holds.
    pub records: u32,
    /// What the answer told as the time of the append; -1 where it told none, as for topics that keep their records' times.
    /// Kafka, where it recognises a repeat, tells the largest time of the batch, whoever has set that.
    pub append_time_ms: i64,
    /// The largest time of its records, as they were sent.
    pub max_timestamp: i64,
    /// The buffer, to be filled again.
    pub bytes: Vec<u8>,
}

impl Held {
    pub(super) fn batch(&self) -> &[u8] {
        // Checked when it was taken in; bytes that are not there are not sent.
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The same for a connection.
    pub(super) fn apart(&self) -> Apart {
        Apart { bytes: self.bytes.clone(), len: self.len }
    }

    /// The first sequence of the batch behind this one.
    pub(super) fn sequence_after(&self) -> i32 {
        Identity::sequence(self.header.base_sequence.max(0) as u64 + u64::from(self.records))
    }

    /// It is stored for certain; `place` is where, if no answer has told that.
    pub(super) fn landed(self, place: i64) -> Landed {
        let Self { bytes, records, header, told, .. } = self;
        // Its answer may have come before the connection has let go of it.
        let bytes = Arc::unwrap_or_clone(bytes);
        let Told { base_offset, append_time_ms } = told.unwrap_or(Told { base_offset: place, append_time_ms: -1 });
        Landed { base_offset, records, append_time_ms, max_timestamp: header.max_timestamp, bytes }
    }

    /// Whether what the log holds at offset `at` is this batch. A broker stamps offset, epoch and perhaps time, and may
    /// compress anew; what it never changes is whose batch it is and how many records it holds.
    pub(super) fn is_at(&self, at: i64, stored: &BatchHeader) -> bool {
        let ours = &self.header;
        let same_size = stored.record_count == ours.record_count && stored.last_offset_delta == ours.last_offset_delta;
        let same_producer = (stored.producer_id, stored.producer_epoch, stored.base_sequence)
            == (ours.producer_id, ours.producer_epoch, ours.base_sequence);
        // Batches without a producer are told apart by what is in them.
        let same_bytes = || stored.batch_length == ours.batch_length && stored.crc == ours.crc;
        stored.base_offset == at && same_size && same_producer && (ours.producer_id >= 0 || same_bytes())
    }
}

impl PartitionWriter {
    /// Takes a batch whose header says what it must, and signs it.
    pub(super) fn check(&self, batch: Outgoing) -> Result<Held, ClientError> {
        let Outgoing { mut bytes, len, records } = batch;
        let unsendable = |what: &'static str, expected: i64, got: i64| {
            Err(ClientError::Unsendable { partition: self.partition().clone(), what, expected, got })
        };
        let Some(Ok(read)) = bytes.get(..len).map(Batch::read) else {
            return unsendable("bytes that make a whole batch", 1, 0);
        };
        let (mut header, whole) = (read.header.clone(), read.bytes().len());
        // The broker would look at the first batch of several, or refuse what hangs over.
        if whole != len {
            return unsendable("bytes", whole as i64, len as i64);
        }
        for (what, expected, got) in [
            ("records", i64::from(records.max(1)), i64::from(header.record_count)),
            ("last offset delta", i64::from(records.max(1)) - 1, header.last_offset_delta.into()),
            ("base offset", 0, header.base_offset),
            ("transaction and marker bits", 0, (header.attributes & TRANSACTIONAL_AND_CONTROL).into()),
            ("producer id", -1, header.producer_id),
        ] {
            if expected != got {
                return unsendable(what, expected, got);
            }
        }
        if let Some(Identity { id, epoch }) = self.identity
            && let Ok(mut batch) = BatchMut::new(&mut bytes)
        {
            batch.sign(id, epoch, self.sequence_next, self.transaction.is_some());
            header = Batch::read(&bytes).map_or(header, |signed| signed.header);
        }
        Ok(Held { bytes: Arc::new(bytes), len, records, header, sent: None, told: None })
    }
}

/// For tests: takes away that a repeat is told by its number.
#[cfg(test)]
impl PartitionWriter {
    pub(in crate::client) fn renumber(&mut self) {
        self.renumbers = true;
    }

    pub(super) fn renumbered(&mut self, mut remedy: super::flight::Remedy) -> super::flight::Remedy {
        let Some(Identity { id, epoch }) = self.identity.filter(|_| self.renumbers) else { return remedy };
        for held in &mut self.held {
            BatchMut::new(Arc::<Vec<u8>>::make_mut(&mut held.bytes)).unwrap().sign(
                id,
                epoch,
                self.sequence_next,
                self.transaction.is_some(),
            );
            held.header = Batch::read(&held.bytes).unwrap().header;
            self.sequence_next = held.sequence_after();
        }
        remedy.search = false;
        remedy
    }
}

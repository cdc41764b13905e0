//! Batches, written one at a time into a reused buffer.
//!
//! Each record's length stands before it, so it is computed first and then everything is copied once. The header is
//! filled in at the end: it holds counts, the largest timestamp and the checksum of what follows.

mod block;
mod moved;
mod usual;

pub use block::Block;
pub use moved::{Moving, Piece, Pieces};

use super::codec::Fold;
use super::header::{
    ATTRIBUTES_AT, CODEC_MASK, CONTROL_BIT, CRC_AT, DELETE_HORIZON_BIT, LENGTH_END, LOG_APPEND_BIT, TRANSACTIONAL_BIT,
};
use super::out::{Out, SLACK_BYTES, copy};
use super::varint::{self, I32_BYTES_MAX, I64_BYTES_MAX, len_of};
use super::{BatchError, BatchHeader, Codec, HEADER_BYTES, Headers, batches};

/// A record's bytes before its key are put together aside and copied as one.
const _: () = assert!(I32_BYTES_MAX + 1 + I64_BYTES_MAX + I32_BYTES_MAX + I32_BYTES_MAX <= SLACK_BYTES);
/// What a record takes beside its key, value and headers, at most: length, attributes, time and offset.
pub(crate) const RECORD_OVERHEAD_MAX: usize = I32_BYTES_MAX + 1 + I64_BYTES_MAX + I32_BYTES_MAX;
/// The length field counts everything behind it in 31 bits.
const BATCH_BYTES_MAX: usize = i32::MAX as usize;

/// Writes one batch at a time into a reused buffer.
pub struct BatchWriter {
    fold: Fold,
    /// Room for the header, then the records, uncompressed.
    plain: Out,
    /// The same, compressed; not used without a codec.
    folded: Vec<u8>,
    record_count: i32,
    next_delta: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    /// Settings that outlive a batch; the counts in it are filled in at the end.
    header: BatchHeader,
    append_time: Option<i64>,
    delete_horizon: Option<i64>,
    last_offset_delta: Option<i32>,
    /// The batch was closed: the next push begins a new one.
    finished: bool,
}

impl BatchWriter {
    /// A writer of batches compressed with `codec`, without producer id, at base offset 0.
    pub fn new(codec: Codec) -> Self {
        let header = BatchHeader {
            base_offset: 0,
            batch_length: 0,
            partition_leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: codec as i16 & CODEC_MASK,
            last_offset_delta: 0,
            base_timestamp: -1,
            max_timestamp: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: 0,
        };
        Self {
            fold: Fold::new(codec),
            plain: Out::new(HEADER_BYTES),
            folded: Vec::new(),
            record_count: 0,
            next_delta: 0,
            base_timestamp: -1,
            max_timestamp: -1,
            header,
            append_time: None,
            delete_horizon: None,
            last_offset_delta: None,
            finished: false,
        }
    }

    /// Appends a record; offsets count up by one. `headers` is copied as it stands. On an error nothing was appended.
    #[inline]
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Headers<'_>,
    ) -> Result<(), BatchError> {
        if headers.is_empty() && self.push_usual(timestamp, key, value).is_some() {
            return Ok(());
        }
        self.push_any(timestamp, key, value, headers)
    }

    #[inline(never)]
    fn push_any(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Headers<'_>,
    ) -> Result<(), BatchError> {
        self.begin();
        let (count, bytes) = headers.raw();
        let count_bytes = if count == 0 { 1 } else { len_of(count.into()) };
        self.push_parts(timestamp, key, value, count_bytes + bytes.len(), |out, at| {
            let at = varint::put(out, at, count.into());
            copy(out, at, bytes)
        })
    }

    /// Appends a record whose key, value and headers are `raw`, as [`super::RawRecord::raw`] has them: one copy.
    #[inline]
    pub fn push_raw(&mut self, timestamp: i64, raw: &[u8]) -> Result<(), BatchError> {
        self.begin();
        self.push_record(timestamp, raw.len(), |_, at| at, |out, at| copy(out, at, raw))
    }

    /// The same as [`Self::push`] with headers given as pairs.
    pub fn push_pairs(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) -> Result<(), BatchError> {
        self.begin();
        let bytes = |bytes: &[u8]| len_of(bytes.len() as i64) + bytes.len();
        let each = headers.iter().map(|(name, value)| bytes(name) + value.map_or(1, bytes));
        let headers_bytes = len_of(headers.len() as i64) + each.sum::<usize>();
        self.push_parts(timestamp, key, value, headers_bytes, |out, at| {
            let at = varint::put(out, at, headers.len() as i64);
            headers.iter().fold(at, |at, (name, value)| {
                let at = put_bytes(out, at, Some(name));
                put_bytes(out, at, *value)
            })
        })
    }

    /// Leaves out `count` offsets before the next record, as compaction does.
    pub fn skip_offsets(&mut self, count: u32) -> Result<(), BatchError> {
        self.begin();
        let skipped = i64::from(self.next_delta) + i64::from(count);
        // The last offset delta must fit too, so the next delta stays below the maximum.
        let refused = BatchError::Unwritable { what: "an offset delta", value: skipped as u64, limit: i32::MAX as u64 };
        self.next_delta = i32::try_from(skipped).map_err(|_| refused)?;
        Ok(())
    }

    /// Appends a record whose headers take `headers_bytes` and are put by `put_headers`.
    #[inline(always)]
    fn push_parts(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers_bytes: usize,
        put_headers: impl FnOnce(&mut [u8], usize) -> usize,
    ) -> Result<(), BatchError> {
        let (key_len, value_len) =
            (key.map_or(-1, |key| key.len() as i64), value.map_or(-1, |value| value.len() as i64));
        let bytes = len_of(key_len)
            + key.map_or(0, <[u8]>::len)
            + len_of(value_len)
            + value.map_or(0, <[u8]>::len)
            + headers_bytes;
        self.push_record(
            timestamp,
            bytes,
            |head, at| varint::put(head, at, key_len),
            |out, at| {
                let at = copy(out, at, key.unwrap_or_default());
                let at = put_bytes(out, at, value);
                put_headers(out, at)
            },
        )
    }

    /// Appends a record of which `rest_bytes` stand behind its offset: those that `put_head` puts, no more than a length
    /// takes, then those that `put_rest` puts.
    #[inline(always)]
    fn push_record(
        &mut self,
        timestamp: i64,
        rest_bytes: usize,
        put_head: impl FnOnce(&mut [u8], usize) -> usize,
        put_rest: impl FnOnce(&mut [u8], usize) -> usize,
    ) -> Result<(), BatchError> {
        let base_timestamp =
            if self.record_count == 0 { self.delete_horizon.unwrap_or(timestamp) } else { self.base_timestamp };
        let timestamp_delta = timestamp.wrapping_sub(base_timestamp);
        let body = 1 + len_of(timestamp_delta) + len_of(self.next_delta.into()) + rest_bytes;
        // The record, its length before it, must leave the batch's length within its field; so must the next delta.
        let whole = self.plain.len().saturating_add(body).saturating_add(I32_BYTES_MAX);
        if whole > BATCH_BYTES_MAX || self.next_delta == i32::MAX {
            return Err(self.full(whole));
        }

        let out = self.plain.ahead(I32_BYTES_MAX + body);
        let mut head = [0; SLACK_BYTES];
        let mut at = varint::put(&mut head, 0, body as i64);
        at += 1; // attributes: none defined
        at = varint::put(&mut head, at, timestamp_delta);
        at = varint::put(&mut head, at, self.next_delta.into());
        at = put_head(&mut head, at);
        out[..SLACK_BYTES].copy_from_slice(&head);
        at = put_rest(out, at);
        self.plain.advance(at);

        self.base_timestamp = base_timestamp;
        self.max_timestamp = if self.record_count == 0 { timestamp } else { self.max_timestamp.max(timestamp) };
        self.record_count += 1;
        self.next_delta += 1;
        Ok(())
    }

    #[cold]
    fn full(&self, bytes: usize) -> BatchError {
        if self.next_delta == i32::MAX {
            return BatchError::Unwritable {
                what: "an offset delta",
                value: i32::MAX as u64,
                limit: i32::MAX as u64 - 1,
            };
        }
        BatchError::Unwritable { what: "a batch in bytes", value: bytes as u64, limit: BATCH_BYTES_MAX as u64 }
    }

    /// Empties the buffers if the batch in them was closed.
    #[inline(always)]
    fn begin(&mut self) {
        if self.finished {
            self.clear();
        }
    }

    /// What an uncompressed batch takes that holds nothing but one record, whose key, value and headers take `raw_bytes`.
    pub fn bytes_alone(raw_bytes: usize) -> usize {
        // Attributes, and the distances to its own time and offset.
        let body = 1 + len_of(0) + len_of(0) + raw_bytes;
        HEADER_BYTES + len_of(body as i64) + body
    }

    /// Throws away what was pushed since the last batch was closed; settings stay.
    pub fn clear(&mut self) {
        self.plain.truncate(HEADER_BYTES);
        self.record_count = 0;
        self.next_delta = 0;
        self.base_timestamp = -1;
        self.max_timestamp = -1;
        self.finished = false;
    }

    /// Records pushed since the last batch was closed.
    pub fn record_count(&self) -> usize {
        if self.finished { 0 } else { self.record_count as usize }
    }

    /// Nothing was pushed since the last batch was closed.
    pub fn is_empty(&self) -> bool {
        self.record_count() == 0
    }

    /// The largest timestamp of the records pushed since the last batch was closed; -1 where there are none.
    pub fn max_timestamp(&self) -> i64 {
        if self.finished { -1 } else { self.max_timestamp }
    }

    /// Uncompressed size so far, header included.
    pub fn bytes(&self) -> usize {
        if self.finished { HEADER_BYTES } else { self.plain.len() }
    }

    /// What its buffers take, whatever is in them.
    pub fn capacity_bytes(&self) -> usize {
        self.plain.capacity() + self.folded.capacity()
    }

    /// How batches are compressed.
    pub fn codec(&self) -> Codec {
        // Only a codec's own number is ever put there.
        self.header.codec().unwrap_or(Codec::None)
    }

    /// Compresses differently from the batch being filled on; kept until changed.
    pub fn set_codec(&mut self, codec: Codec) {
        if codec != self.codec() {
            self.fold = Fold::new(codec);
            self.header.attributes = self.header.attributes & !CODEC_MASK | codec as i16 & CODEC_MASK;
        }
    }

    /// An idempotent producer's identity; kept until changed.
    pub fn producer(&mut self, id: i64, epoch: i16, base_sequence: i32) -> &mut Self {
        (self.header.producer_id, self.header.producer_epoch, self.header.base_sequence) = (id, epoch, base_sequence);
        self
    }

    /// Whether the batches belong to a transaction; kept until changed.
    pub fn transactional(&mut self, yes: bool) -> &mut Self {
        self.flag(TRANSACTIONAL_BIT, yes)
    }

    /// Whether the batches hold markers; kept until changed. See [`super::control`].
    pub fn control(&mut self, yes: bool) -> &mut Self {
        self.flag(CONTROL_BIT, yes)
    }

    /// The offset of the next batches; producers leave it at 0. Kept until changed.
    pub fn base_offset(&mut self, offset: i64) -> &mut Self {
        self.header.base_offset = offset;
        self
    }

    /// The epoch a broker stamps on what it appends; kept until changed.
    pub fn leader_epoch(&mut self, epoch: i32) -> &mut Self {
        self.header.partition_leader_epoch = epoch;
        self
    }

    /// The time a broker stamps on what it appends, or the records' own; kept until changed.
    pub fn append_time(&mut self, time: Option<i64>) -> &mut Self {
        self.append_time = time;
        self.flag(LOG_APPEND_BIT, time.is_some())
    }

    /// The compactor's delete horizon, which takes the place of the base timestamp; to be set before the first record
    /// of a batch. Kept until changed.
    pub fn delete_horizon(&mut self, time: Option<i64>) -> &mut Self {
        self.delete_horizon = time;
        self.flag(DELETE_HORIZON_BIT, time.is_some())
    }

    /// The last offset delta where it is beyond that of the last record, as compaction leaves it; kept until changed.
    pub fn last_offset_delta(&mut self, delta: Option<i32>) -> &mut Self {
        self.last_offset_delta = delta;
        self
    }

    fn flag(&mut self, bit: i16, yes: bool) -> &mut Self {
        if yes {
            self.header.attributes |= bit
        } else {
            self.header.attributes &= !bit
        }
        self
    }

    /// Closes the batch: compresses, fills the header, computes the checksum. The writer is empty after it; the bytes
    /// stay valid until the next push. A batch without records is valid and covers one offset, or more by
    /// [`Self::last_offset_delta`].
    pub fn finish(&mut self) -> Result<&[u8], BatchError> {
        self.begin();
        let delta = (self.next_delta - 1).max(0);
        let header = BatchHeader {
            last_offset_delta: self.last_offset_delta.map_or(delta, |stated| stated.max(delta)),
            base_timestamp: if self.record_count == 0 {
                self.delete_horizon.unwrap_or(-1)
            } else {
                self.base_timestamp
            },
            max_timestamp: self.append_time.unwrap_or(self.max_timestamp),
            record_count: self.record_count,
            ..self.header.clone()
        };
        self.finished = true;
        let batch = if matches!(self.fold, Fold::None) {
            self.plain.written_mut()
        } else {
            self.folded.clear();
            self.folded.resize(HEADER_BYTES, 0);
            self.fold.fold(&self.plain.written()[HEADER_BYTES..], &mut self.folded)?;
            &mut self.folded
        };
        seal(batch, header)?;
        Ok(batch)
    }

    /// The same, handing out the buffer instead of lending it: the batch is the first so many bytes of `into`, whose own
    /// buffer is used for the batches to come.
    pub fn finish_into(&mut self, into: &mut Vec<u8>) -> Result<usize, BatchError> {
        let bytes = self.finish()?.len();
        if matches!(self.fold, Fold::None) {
            self.plain.swap(into, HEADER_BYTES);
        } else {
            std::mem::swap(&mut self.folded, into);
        }
        Ok(bytes)
    }
}

/// Puts bytes and their length before them, and returns the place behind.
#[inline(always)]
fn put_bytes(into: &mut [u8], at: usize, bytes: Option<&[u8]>) -> usize {
    match bytes {
        Some(bytes) => {
            let at = varint::put(into, at, bytes.len() as i64);
            copy(into, at, bytes)
        }
        None => varint::put(into, at, -1),
    }
}

/// Puts `header`, the length and the checksum in front of a batch's records.
fn seal(batch: &mut [u8], mut header: BatchHeader) -> Result<(), BatchError> {
    // Compression can make random bytes a little longer, so the limit is looked at once more.
    let (bytes, limit) = (batch.len(), BATCH_BYTES_MAX as u64);
    let refused = || BatchError::Unwritable { what: "a batch in bytes", value: bytes as u64, limit };
    header.batch_length = i32::try_from(bytes - LENGTH_END).map_err(|_| refused())?;
    if let Some(head) = batch.first_chunk_mut::<HEADER_BYTES>() {
        header.put(head);
    }
    let crc = batches::checksum(batch);
    batch[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    Ok(())
}

//! The 61 bytes before the records.
//!
//! The checksum covers everything from the attributes on, so the base offset and the leader epoch, which the broker
//! assigns, can be changed without computing it again.

use super::{BatchError, Codec};

/// Bytes of a v2 batch before its first record, from the base offset on.
pub const HEADER_BYTES: usize = 61;

/// Bytes before and including the length field, which the length does not count.
pub(super) const LENGTH_END: usize = 12;
pub(super) const LEADER_EPOCH_AT: usize = 12;
pub(super) const CRC_AT: usize = 17;
/// Where the attributes are, and the first byte the checksum covers.
pub(super) const ATTRIBUTES_AT: usize = 21;
pub(super) const MAX_TIMESTAMP_AT: usize = 35;
pub(super) const PRODUCER_AT: usize = 43;
const LENGTH_LEAST: i32 = (HEADER_BYTES - LENGTH_END) as i32;

pub(super) const CODEC_MASK: i16 = 0x07;
pub(super) const LOG_APPEND_BIT: i16 = 0x08;
pub(super) const TRANSACTIONAL_BIT: i16 = 0x10;
pub(super) const CONTROL_BIT: i16 = 0x20;
pub(super) const DELETE_HORIZON_BIT: i16 = 0x40;

/// Who set the timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer, record by record.
    Create,
    /// The broker, one for the whole batch: its maximum timestamp.
    LogAppend,
}

/// The 61 bytes before the records, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset that the records' deltas count from; need not be that of a record that is still there.
    pub base_offset: i64,
    /// Bytes after this field: the whole batch is 12 longer.
    pub batch_length: i32,
    /// Epoch of the leader that appended it, -1 from a producer.
    pub partition_leader_epoch: i32,
    /// Always 2.
    pub magic: i8,
    /// CRC-32C from the attributes on.
    pub crc: u32,
    /// Codec, timestamp type and flags.
    pub attributes: i16,
    /// Distance to the last offset the batch covers; compaction keeps it.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas count from; also the delete horizon where [`Self::has_delete_horizon`].
    pub base_timestamp: i64,
    /// The largest timestamp, or the time of append.
    pub max_timestamp: i64,
    /// The idempotent producer's id, -1 without one.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// Its sequence number of the first record.
    pub base_sequence: i32,
    /// Records in the batch; 0 is valid.
    pub record_count: i32,
}

fn array<const N: usize>(head: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&head[at..at + N]);
    out
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`. Whether the whole batch is there is not looked at.
    pub fn read(bytes: &[u8]) -> Result<Self, BatchError> {
        // Older formats have their magic byte in the same place but are shorter.
        if let Some(&magic) = bytes.get(16)
            && magic != 2
        {
            return Err(BatchError::Magic(magic as i8));
        }
        let Some(head) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(BatchError::Truncated { what: "a batch header", needed: HEADER_BYTES, got: bytes.len() });
        };
        let header = Self {
            base_offset: i64::from_be_bytes(array(head, 0)),
            batch_length: i32::from_be_bytes(array(head, 8)),
            partition_leader_epoch: i32::from_be_bytes(array(head, LEADER_EPOCH_AT)),
            magic: 2,
            crc: u32::from_be_bytes(array(head, CRC_AT)),
            attributes: i16::from_be_bytes(array(head, ATTRIBUTES_AT)),
            last_offset_delta: i32::from_be_bytes(array(head, 23)),
            base_timestamp: i64::from_be_bytes(array(head, 27)),
            max_timestamp: i64::from_be_bytes(array(head, MAX_TIMESTAMP_AT)),
            producer_id: i64::from_be_bytes(array(head, PRODUCER_AT)),
            producer_epoch: i16::from_be_bytes(array(head, 51)),
            base_sequence: i32::from_be_bytes(array(head, 53)),
            record_count: i32::from_be_bytes(array(head, 57)),
        };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), BatchError> {
        let refuse = |field, value: i64| Err(BatchError::Header { field, value });
        if self.batch_length < LENGTH_LEAST {
            return refuse("batch_length", self.batch_length.into());
        }
        if self.record_count < 0 {
            return refuse("record_count", self.record_count.into());
        }
        if self.last_offset_delta < 0 {
            return refuse("last_offset_delta", self.last_offset_delta.into());
        }
        if self.base_offset < 0 || self.base_offset.checked_add(self.last_offset_delta.into()).is_none() {
            return refuse("base_offset", self.base_offset);
        }
        Ok(())
    }

    /// Writes the header over the start of a batch.
    pub(super) fn put(&self, head: &mut [u8; HEADER_BYTES]) {
        head[..8].copy_from_slice(&self.base_offset.to_be_bytes());
        head[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        head[12..16].copy_from_slice(&self.partition_leader_epoch.to_be_bytes());
        head[16] = self.magic as u8;
        head[17..21].copy_from_slice(&self.crc.to_be_bytes());
        head[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        head[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        head[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        head[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        head[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        head[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        head[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        head[57..61].copy_from_slice(&self.record_count.to_be_bytes());
    }

    /// How the records are compressed.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        Codec::from_number((self.attributes & CODEC_MASK) as u8)
    }

    /// Who set the timestamps.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_BIT == 0 { TimestampType::Create } else { TimestampType::LogAppend }
    }

    /// Part of a transaction, which may have been aborted.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Holds a marker for brokers and clients, not data; see [`super::control`].
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// The compactor has set the time after which tombstones and markers may go; it stands in `base_timestamp`.
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & DELETE_HORIZON_BIT != 0
    }

    /// The last offset the batch covers: a log is continued after it, whatever records are left.
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// Whole length in bytes, header included.
    pub fn bytes(&self) -> usize {
        self.batch_length as usize + LENGTH_END
    }
}

use super::{BatchError, Codec};
/// Bytes of a v2 batch before its first record, from the base offset on.
pub const HEADER_BYTES: usize = 61;
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    Create,
    LogAppend,
}
/// The 61 bytes before the records, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: i64,
    /// Bytes after this field: the whole batch is 12 longer.
    pub batch_length: i32,
    pub partition_leader_epoch: i32,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}
impl BatchHeader {
    pub fn read(_bytes: &[u8]) -> Result<Self, BatchError> {
        unimplemented!()
    }
    pub fn codec(&self) -> Result<Codec, BatchError> {
        unimplemented!()
    }
    pub fn timestamp_type(&self) -> TimestampType {
        unimplemented!()
    }
    pub fn is_transactional(&self) -> bool {
        unimplemented!()
    }
    pub fn is_control(&self) -> bool {
        unimplemented!()
    }
    pub fn last_offset(&self) -> i64 {
        unimplemented!()
    }
    /// Whole length in bytes, header included.
    pub fn bytes(&self) -> usize {
        unimplemented!()
    }
}

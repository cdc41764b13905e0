//! Batches one after the other in a borrowed buffer.

use super::header::{ATTRIBUTES_AT, LENGTH_END};
use super::{BatchError, BatchHeader, HEADER_BYTES};

/// Walks the whole batches at the start of `bytes` (a fetch response's records); a partial last batch ends it quietly,
/// because brokers cut a response at a byte count. After an error it ends.
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    failed: bool,
}

impl<'a> Batches<'a> {
    /// Starts at the first byte, which must be that of a batch.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, failed: false }
    }

    /// What is left over at the end: nothing or a partial batch.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        // Enough of a batch to know its length and format, or a batch that was cut even before that.
        let stated = self.bytes.get(8..LENGTH_END)?.first_chunk::<4>().map(|raw| i32::from_be_bytes(*raw))?;
        let bytes = usize::try_from(stated).unwrap_or(0).saturating_add(LENGTH_END);
        if bytes >= HEADER_BYTES && bytes > self.bytes.len() && self.bytes.get(16).is_none_or(|&magic| magic == 2) {
            return None;
        }
        let batch = Batch::read(self.bytes);
        match &batch {
            Ok(batch) => self.bytes = &self.bytes[batch.bytes.len()..],
            Err(_) => self.failed = true,
        }
        Some(batch)
    }
}

/// One whole batch in a borrowed buffer, its header read, its length checked. The checksum is checked on request.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    /// What stands before the records.
    pub header: BatchHeader,
    bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The batch at the start of `bytes`, all of which must be there; what follows it is not looked at.
    pub fn read(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let header = BatchHeader::read(bytes)?;
        match bytes.get(..header.bytes()) {
            Some(bytes) => Ok(Self { header, bytes }),
            None => Err(BatchError::Truncated { what: "a batch", needed: header.bytes(), got: bytes.len() }),
        }
    }

    /// The batch's bytes, header included.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Compares the checksum of the bytes with the one the header states.
    pub fn verify_checksum(&self) -> Result<(), BatchError> {
        let computed = checksum(self.bytes);
        if computed == self.header.crc {
            return Ok(());
        }
        Err(BatchError::Checksum { stated: self.header.crc, computed })
    }
}

/// The checksum that belongs to a whole batch.
pub(super) fn checksum(batch: &[u8]) -> u32 {
    crc32c::crc32c(batch.get(ATTRIBUTES_AT..).unwrap_or_default())
}

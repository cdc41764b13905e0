use super::{BatchError, BatchHeader};
/// Walks the whole batches at the start of `bytes` (a fetch response's records); a partial last batch ends it quietly.
pub struct Batches<'a> {
    bytes: &'a [u8],
}
impl<'a> Batches<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }
    /// What is left over at the end: nothing or a partial batch.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }
}
impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, BatchError>;
    fn next(&mut self) -> Option<Self::Item> {
        unimplemented!()
    }
}
/// One whole batch in a borrowed buffer, its header read, its length checked. The checksum is checked on request.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    pub header: BatchHeader,
    bytes: &'a [u8],
}
impl<'a> Batch<'a> {
    /// The batch's bytes, header included.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
    pub fn verify_checksum(&self) -> Result<(), BatchError> {
        unimplemented!()
    }
}
/// Reads the records of batches one after the other; keeps its buffers (decompressor, window) from batch to batch.
/// `budget` is the most bytes the decompressed window may take.
pub struct RecordReader {
    budget: usize,
}
impl RecordReader {
    pub fn new(budget: usize) -> Self {
        Self { budget }
    }
    /// Starts on `batch`.
    pub fn start(&mut self, _batch: &Batch<'_>) -> Result<(), BatchError> {
        let _ = self.budget;
        unimplemented!()
    }
    /// The next record of `batch` (the one started last), or `None` at its end. The end is checked: trailing bytes, a
    /// wrong count, are errors. Uncompressed records borrow from the batch, others from the reader's window.
    pub fn next<'a>(&'a mut self, _batch: &Batch<'a>) -> Result<Option<Record<'a>>, BatchError> {
        unimplemented!()
    }
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    pub offset: i64,
    /// The record's own timestamp, or the batch's max timestamp where the batch says log append time.
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}
/// A record's headers, still encoded but already checked: order, repeats and nulls are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    count: u32,
    bytes: &'a [u8],
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}
impl<'a> Headers<'a> {
    pub const EMPTY: Headers<'static> = Headers { count: 0, bytes: &[] };
    pub fn len(&self) -> usize {
        self.count as usize
    }
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + 'a {
        let _ = self.bytes;
        std::iter::empty()
    }
    /// The value of the last header of that name; `Some(None)` is a null value.
    pub fn last(&self, _name: &[u8]) -> Option<Option<&'a [u8]>> {
        unimplemented!()
    }
    /// The encoded bytes, as [`super::BatchWriter::push_raw`] takes them.
    pub fn raw(&self) -> (u32, &'a [u8]) {
        (self.count, self.bytes)
    }
}

use super::{BatchError, Codec, Headers};
/// Writes one batch at a time into a reused buffer.
pub struct BatchWriter {
    codec: Codec,
}
impl BatchWriter {
    pub fn new(codec: Codec) -> Self {
        Self { codec }
    }
    /// Appends a record; offsets count up from 0. `headers` is copied as it stands.
    pub fn push(
        &mut self,
        _timestamp: i64,
        _key: Option<&[u8]>,
        _value: Option<&[u8]>,
        _headers: Headers<'_>,
    ) -> Result<(), BatchError> {
        let _ = self.codec;
        unimplemented!()
    }
    /// The same with headers given as pairs (tests, JSON).
    pub fn push_pairs(
        &mut self,
        _timestamp: i64,
        _key: Option<&[u8]>,
        _value: Option<&[u8]>,
        _headers: &[(&[u8], Option<&[u8]>)],
    ) -> Result<(), BatchError> {
        unimplemented!()
    }
    pub fn record_count(&self) -> usize {
        unimplemented!()
    }
    /// Uncompressed size so far, header included.
    pub fn bytes(&self) -> usize {
        unimplemented!()
    }
    /// Sets what the header carries beside the records; kept until changed.
    pub fn producer(&mut self, _id: i64, _epoch: i16, _base_sequence: i32) -> &mut Self {
        unimplemented!()
    }
    pub fn transactional(&mut self, _yes: bool) -> &mut Self {
        unimplemented!()
    }
    pub fn base_offset(&mut self, _offset: i64) -> &mut Self {
        unimplemented!()
    }
    /// Closes the batch: compresses, fills the header, computes the checksum. The writer is empty after it; the bytes
    /// stay valid until the next push.
    pub fn finish(&mut self) -> Result<&[u8], BatchError> {
        unimplemented!()
    }
}

//! Writes Kafka's primitive types, the mirror of the reader. A value too long for its length field is an error, never cut.

use super::error::{Problem, WireError};
use super::uuid::Uuid;
use std::collections::VecDeque;

/// Appends to a buffer that it owns and gives back.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    flexible: bool,
    apart: Apart,
}

/// Values of bytes that are left out because they are sent from where they lie.
#[derive(Debug, Default)]
struct Apart {
    lengths: VecDeque<usize>,
    gaps: Vec<usize>,
}

impl Writer {
    /// Starts empty. `flexible` says whether the version has compact lengths and tagged fields.
    pub fn new(flexible: bool) -> Self {
        Self { flexible, ..Self::default() }
    }

    /// Appends to `bytes`, so that one buffer serves many messages.
    pub fn append_to(bytes: Vec<u8>, flexible: bool) -> Self {
        Self { bytes, flexible, apart: Apart::default() }
    }

    /// From here on the values of bytes are left out that come first: of each only its length is written, which is the next one
    /// of these, whatever the value says.
    pub(super) fn leave_out(&mut self, lengths: &[usize]) {
        self.apart.lengths.extend(lengths);
    }

    /// Where in the buffer those belong that were left out.
    pub(super) fn take_gaps(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.apart.gaps)
    }

    /// The buffer, with what was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What was written so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether compact lengths and tagged fields are written from here on.
    pub fn is_flexible(&self) -> bool {
        self.flexible
    }

    /// Changes that between a header and the message behind it.
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    pub(super) fn error(&self, problem: Problem) -> WireError {
        WireError::new(self.bytes.len(), problem)
    }

    /// Bytes as they stand, without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// INT8.
    pub fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    /// INT16.
    pub fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    /// INT32.
    pub fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    /// INT64.
    pub fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    /// BOOLEAN.
    pub fn bool(&mut self, value: bool) {
        self.i8(i8::from(value));
    }

    /// UUID.
    pub fn uuid(&mut self, value: Uuid) {
        self.raw(&value.0);
    }

    /// UNSIGNED_VARINT.
    pub fn uvarint(&mut self, value: u32) {
        let (buffer, length) = varint(value);
        self.raw(&buffer[..length]);
    }

    fn length(&mut self, length: Option<usize>, max: usize) -> Result<(), WireError> {
        if let Some(length) = length.filter(|length| *length > max) {
            return Err(self.error(Problem::TooLong { length }));
        }
        // All that pass are at most i32::MAX, so neither cast can cut.
        if self.flexible {
            self.uvarint(length.map_or(0, |length| length as u32 + 1));
        } else {
            let value = length.map_or(-1, |length| length as i32);
            if max == STRING_BYTES_MAX { self.i16(value as i16) } else { self.i32(value) }
        }
        Ok(())
    }

    /// NULLABLE_BYTES, RECORDS, or their compact forms.
    pub fn nullable_bytes(&mut self, value: Option<&[u8]>) -> Result<(), WireError> {
        if let Some(length) = self.apart.lengths.pop_front() {
            self.length(Some(length), BYTES_MAX)?;
            self.apart.gaps.push(self.bytes.len());
            return Ok(());
        }
        self.length(value.map(<[u8]>::len), BYTES_MAX)?;
        self.raw(value.unwrap_or_default());
        Ok(())
    }

    /// NULLABLE_STRING or COMPACT_NULLABLE_STRING; for the forms that are not nullable, never call it with `None`.
    pub fn nullable_str(&mut self, value: Option<&str>) -> Result<(), WireError> {
        self.length(value.map(str::len), STRING_BYTES_MAX)?;
        self.raw(value.unwrap_or_default().as_bytes());
        Ok(())
    }

    /// ARRAY or COMPACT_ARRAY.
    pub fn nullable_array<T>(
        &mut self,
        value: Option<&[T]>,
        mut element: impl FnMut(&mut Self, &T) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        self.length(value.map(<[T]>::len), BYTES_MAX)?;
        for (index, item) in value.unwrap_or_default().iter().enumerate() {
            element(self, item).map_err(|error| error.element(index))?;
        }
        Ok(())
    }

    /// One tagged field: tag, size, value. The size is put in front of the value once that is written.
    pub fn tagged_field(
        &mut self,
        tag: u32,
        value: impl FnOnce(&mut Self) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        self.uvarint(tag);
        let (start, gaps) = (self.bytes.len(), self.apart.gaps.len());
        value(self)?;
        debug_assert_eq!(gaps, self.apart.gaps.len(), "no message has values of bytes among its tagged fields");
        let length = self.bytes.len() - start;
        let size = u32::try_from(length).map_err(|_| self.error(Problem::TooLong { length }))?;
        let (buffer, length) = varint(size);
        self.bytes.splice(start..start, buffer[..length].iter().copied());
        Ok(())
    }
}

/// Kafka limits a string to 32,767 bytes in every version, compact or not.
pub(super) const STRING_BYTES_MAX: usize = i16::MAX as usize;
const BYTES_MAX: usize = i32::MAX as usize;

fn varint(mut value: u32) -> ([u8; 5], usize) {
    let mut buffer = [0; 5];
    let mut length = 0;
    while value >= 0x80 {
        buffer[length] = value as u8 | 0x80;
        value >>= 7;
        length += 1;
    }
    buffer[length] = value as u8;
    (buffer, length + 1)
}

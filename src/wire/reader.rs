//! Reads Kafka's primitive types from a borrowed message, trusting no length in it.
//!
//! - A length is compared with the bytes left before anything is taken or allocated.
//! - An array is grown in blocks, and all arrays of a message together may take [`MEMORY_FACTOR`] times its bytes plus
//!   [`MEMORY_FLOOR`]: a Kafka message that somebody meant stays below a quarter of that, while arrays of empty elements
//!   (two bytes on the wire, forty here) would otherwise multiply a large frame.
//! - Varints longer than five bytes or 32 bits are refused. A padded one within that is taken as Kafka takes it: encoders
//!   that fill in a length afterwards write those.

use super::error::{Problem, WireError};
use super::uuid::Uuid;
use super::writer::STRING_BYTES_MAX;

/// The arrays of a message may take this many times its bytes,
pub const MEMORY_FACTOR: usize = 16;
/// and so much on top.
pub const MEMORY_FLOOR: usize = 64 << 10;

/// An array's first block, in elements; it doubles from there as elements turn out to exist.
const BLOCK: usize = 16;

/// Walks over one message, or over a header and the message behind it.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    flexible: bool,
    memory_left: usize,
    memory_max: usize,
    unknown_tags: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte. `flexible` says whether the version has compact lengths and tagged fields.
    pub fn new(bytes: &'a [u8], flexible: bool) -> Self {
        let memory_max = bytes.len().saturating_mul(MEMORY_FACTOR).saturating_add(MEMORY_FLOOR);
        Self { bytes, at: 0, flexible, memory_left: memory_max, memory_max, unknown_tags: 0 }
    }

    /// Whether compact lengths and tagged fields are read from here on.
    pub fn is_flexible(&self) -> bool {
        self.flexible
    }

    /// Changes that between a header and the message behind it.
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// Bytes read so far.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Bytes left.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// How many tagged fields were skipped because nobody here knows them.
    pub fn unknown_tags(&self) -> usize {
        self.unknown_tags
    }

    /// Refuses bytes after the end of the message.
    pub fn finish(&self) -> Result<(), WireError> {
        match self.left() {
            0 => Ok(()),
            left => Err(self.error(Problem::Trailing { left })),
        }
    }

    pub(super) fn error(&self, problem: Problem) -> WireError {
        WireError::new(self.at, problem)
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let rest = &self.bytes[self.at..];
        let Some(taken) = rest.get(..count) else {
            return Err(self.error(Problem::Truncated { needed: count, left: rest.len() }));
        };
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    /// INT8.
    pub fn i8(&mut self) -> Result<i8, WireError> {
        self.array().map(i8::from_be_bytes)
    }

    /// INT16.
    pub fn i16(&mut self) -> Result<i16, WireError> {
        self.array().map(i16::from_be_bytes)
    }

    /// INT32.
    pub fn i32(&mut self) -> Result<i32, WireError> {
        self.array().map(i32::from_be_bytes)
    }

    /// INT64.
    pub fn i64(&mut self) -> Result<i64, WireError> {
        self.array().map(i64::from_be_bytes)
    }

    /// BOOLEAN: zero is false, anything else true, as Kafka has it.
    pub fn bool(&mut self) -> Result<bool, WireError> {
        self.i8().map(|byte| byte != 0)
    }

    /// UUID.
    pub fn uuid(&mut self) -> Result<Uuid, WireError> {
        self.array().map(Uuid)
    }

    /// UNSIGNED_VARINT, at most five bytes and 32 bits.
    pub fn uvarint(&mut self) -> Result<u32, WireError> {
        let start = self.at;
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireError::new(start, Problem::Varint))
    }

    /// A length in the form of this version: a varint of length plus one, or an integer; `None` is null.
    fn length(&mut self, wide: bool) -> Result<Option<usize>, WireError> {
        if self.flexible {
            let value = self.uvarint()?;
            // Fits: usize is 32 bits at least on all that run this.
            return Ok(value.checked_sub(1).map(|length| length as usize));
        }
        let value = if wide { self.i32()? } else { i32::from(self.i16()?) };
        match usize::try_from(value) {
            Ok(length) => Ok(Some(length)),
            Err(_) if value == -1 => Ok(None),
            Err(_) => Err(self.error(Problem::NegativeLength { length: value })),
        }
    }

    /// NULLABLE_BYTES, RECORDS, or their compact forms.
    pub fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        match self.length(true)? {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }

    /// NULLABLE_STRING or COMPACT_NULLABLE_STRING.
    pub fn nullable_str(&mut self) -> Result<Option<&'a str>, WireError> {
        let Some(length) = self.length(false)? else { return Ok(None) };
        if length > STRING_BYTES_MAX {
            return Err(self.error(Problem::TooLong { length }));
        }
        let start = self.at;
        match std::str::from_utf8(self.take(length)?) {
            Ok(text) => Ok(Some(text)),
            Err(error) => Err(WireError::new(start + error.valid_up_to(), Problem::Utf8)),
        }
    }

    /// STRING or COMPACT_STRING.
    pub fn str(&mut self) -> Result<&'a str, WireError> {
        self.nullable_str()?.ok_or_else(|| self.error(Problem::Null))
    }

    /// ARRAY or COMPACT_ARRAY, null as `None`. `element_bytes_min` is the least an element takes on the wire.
    pub fn nullable_array<T>(
        &mut self,
        element_bytes_min: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Option<Vec<T>>, WireError> {
        let Some(count) = self.length(true)? else { return Ok(None) };
        let element_bytes_min = element_bytes_min.max(1);
        if count > self.left() / element_bytes_min {
            return Err(self.error(Problem::Count { count, element_bytes_min, left: self.left() }));
        }
        let mut out: Vec<T> = Vec::new();
        for index in 0..count {
            if out.len() == out.capacity() {
                let block = out.len().max(BLOCK).min(count - index);
                self.charge(block.saturating_mul(size_of::<T>()))?;
                out.reserve_exact(block);
            }
            out.push(element(self).map_err(|error| error.element(index))?);
        }
        Ok(Some(out))
    }

    fn charge(&mut self, bytes: usize) -> Result<(), WireError> {
        match self.memory_left.checked_sub(bytes) {
            Some(left) => {
                self.memory_left = left;
                Ok(())
            }
            None => Err(self.error(Problem::Memory { bytes_max: self.memory_max })),
        }
    }

    /// The tagged fields at the end of a structure, nothing where the version has none. `known` reads the value of a tag
    /// and returns true, or returns false to have it skipped.
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(&mut Self, u32) -> Result<bool, WireError>,
    ) -> Result<(), WireError> {
        if !self.flexible {
            return Ok(());
        }
        let count = self.uvarint()?;
        let mut previous = None;
        for _ in 0..count {
            let tag = self.uvarint()?;
            if let Some(previous) = previous.filter(|previous| *previous >= tag) {
                return Err(self.error(Problem::TagOrder { tag, previous }));
            }
            previous = Some(tag);
            let stated = self.uvarint()? as usize;
            let start = self.at;
            if stated > self.left() {
                return Err(self.error(Problem::Truncated { needed: stated, left: self.left() }));
            }
            // The value sees no byte past its own end.
            let whole = self.bytes;
            self.bytes = &whole[..start + stated];
            let read = known(self, tag);
            self.bytes = whole;
            if read? {
                let taken = self.at - start;
                if taken != stated {
                    return Err(self.error(Problem::TagSize { tag, stated, taken }));
                }
            } else {
                self.at = start + stated;
                self.unknown_tags += 1;
            }
        }
        Ok(())
    }
}

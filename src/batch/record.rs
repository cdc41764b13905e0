//! One record, read in place.
//!
//! A record is first split off by its stated length and then read within it, so that a wrong length inside it cannot
//! reach into its neighbour. The headers are checked once, when the record is read, and kept encoded: copying them to
//! another batch is one copy, and a record without headers costs nothing.

use super::BatchError;
use super::varint::{self, take_i32, take_i64, take_len};

/// A record of a batch; borrows from the batch or from the reader's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its offset in the partition.
    pub offset: i64,
    /// Its own timestamp, or the batch's maximum where the batch says log append time.
    pub timestamp: i64,
    /// The key; null and empty differ.
    pub key: Option<&'a [u8]>,
    /// The value; null (a tombstone) and empty differ.
    pub value: Option<&'a [u8]>,
    /// The headers, in order.
    pub headers: Headers<'a>,
}

/// A record's headers, still encoded but already checked: order, repeats and nulls are kept.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    count: u32,
    bytes: &'a [u8],
}

/// One header. Names are text by convention only: any bytes are possible, and so are repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name.
    pub key: &'a [u8],
    /// The value; null and empty differ.
    pub value: Option<&'a [u8]>,
}

impl<'a> Record<'a> {
    /// The record whose key, value and headers stand in `raw`, as [`RawRecord::raw`] has them.
    pub fn from_raw(offset: i64, timestamp: i64, raw: &'a [u8]) -> Result<Self, BatchError> {
        match read_raw(raw) {
            Ok((key, value, headers)) => Ok(Self { offset, timestamp, key, value, headers }),
            Err(Flaw { what, stated, limit }) => Err(BatchError::Record { index: 0, what, stated, limit }),
        }
    }
}

/// A record, and the bytes that a copy of it in another batch shares with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawRecord<'a> {
    /// The record.
    pub record: Record<'a>,
    /// Its key, value and headers as they stand in the batch: what does not change when it moves to another one.
    pub raw: &'a [u8],
    /// Where `raw` ends in the batch, if that is not compressed.
    pub end: Option<usize>,
}

impl<'a> Headers<'a> {
    /// No headers.
    pub const EMPTY: Headers<'static> = Headers { count: 0, bytes: &[] };

    /// Headers that were encoded here.
    pub(super) fn written(count: u32, bytes: &'a [u8]) -> Self {
        Self { count, bytes }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The headers in their order.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + 'a {
        let mut rest = self.bytes;
        (0..self.count).map_while(move |_| take_header(&mut rest).ok())
    }

    /// The value of the last header of that name; `Some(None)` is a null value.
    pub fn last(&self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        self.iter().filter(|header| header.key == name).last().map(|header| header.value)
    }

    /// Count and encoded bytes as they stand in the record, behind the count.
    pub fn raw(&self) -> (u32, &'a [u8]) {
        (self.count, self.bytes)
    }
}

/// Equal headers in equal order; how their lengths are encoded does not matter.
impl PartialEq for Headers<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && (self.bytes == other.bytes || self.iter().eq(other.iter()))
    }
}

impl Eq for Headers<'_> {}

/// A claim in a record that does not hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) what: &'static str,
    pub(super) stated: i64,
    pub(super) limit: i64,
}

impl Flaw {
    #[cold]
    fn new(what: &'static str, stated: i64, limit: usize) -> Self {
        Self { what, stated, limit: limit as i64 }
    }
}

/// What stands at the front of a stretch of records.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// A whole record: where its body starts and ends.
    Whole { body: usize, end: usize },
    /// More bytes are needed to tell, or to have it whole: so many from the start of the record.
    Needs(usize),
}

/// Finds the record at the front of `bytes`.
#[inline(always)]
pub(super) fn split(bytes: &[u8]) -> Result<Split, Flaw> {
    let mut rest = bytes;
    let Some(length) = take_i32(&mut rest) else {
        if bytes.len() < varint::I32_BYTES_MAX {
            return Ok(Split::Needs(bytes.len() + 1));
        }
        return Err(Flaw::new("its length (unreadable)", -1, i32::MAX as usize));
    };
    let Ok(length) = usize::try_from(length) else {
        return Err(Flaw::new("its length", length.into(), bytes.len()));
    };
    let body = bytes.len() - rest.len();
    let end = body + length;
    Ok(if length <= rest.len() { Split::Whole { body, end } } else { Split::Needs(end) })
}

/// A record's body, its offset and timestamp still relative to the batch.
#[derive(Debug)]
pub(super) struct Body<'a> {
    pub(super) offset_delta: i32,
    pub(super) timestamp_delta: i64,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Headers<'a>,
    /// Key, value and headers as they stand in the batch.
    pub(super) raw: &'a [u8],
}

/// Reads the record at the front of `rest` if it is a usual one, by loads of eight bytes: lengths of one or two bytes, deltas of
/// one to three, no headers. Gives its body and where it ends. `None` says nothing of the record, but that it must be read
/// the other way, by [`split`] and [`read_body`], which also know what is wrong with it; what is given is what they give.
#[inline(always)]
pub(super) fn read_usual(rest: &[u8]) -> Option<(Body<'_>, usize)> {
    // Places only grow, and the last one is compared with the record's end: so none of them lies outside of the record.
    let word = word_at(rest, 0)?;
    let (length, taken) = varint::in_word::<2>(word)?;
    let end = taken + whole(length)?;
    // The attributes byte has no meaning.
    let word = word >> (8 * taken + 8);
    let (timestamp_delta, more) = varint::in_word::<3>(word)?;
    let at = taken + 1 + more;
    let word = word_at(rest, at)?;
    let (offset_delta, taken) = varint::in_word::<3>(word)?;
    let raw_at = at + taken;
    let word = word >> (8 * taken);
    let (key_length, taken) = varint::in_word::<2>(word)?;
    let key_at = raw_at + taken;
    let (key, value_length, value_at) = if key_length < 0 {
        let (value_length, more) = varint::in_word::<2>(word >> (8 * taken))?;
        (None, value_length, key_at + more)
    } else {
        let (key, _) = rest.get(key_at..)?.split_at_checked(key_length as usize)?;
        let at = key_at + key.len();
        let (value_length, taken) = varint::in_word::<2>(word_at(rest, at)?)?;
        (Some(key), value_length, at + taken)
    };
    let value_end = value_at + whole(value_length)?;
    if value_end + 1 != end {
        return None;
    }
    let raw = rest.get(raw_at..end)?;
    let [front @ .., 0] = raw else { return None };
    let value = Some(front.get(value_at - raw_at..)?);
    let body = Body { offset_delta: offset_delta as i32, timestamp_delta, key, value, headers: Headers::EMPTY, raw };
    Some((body, end))
}

/// A record of which only what stands before its key was read.
pub(super) struct Front<'a> {
    pub(super) offset_delta: i64,
    pub(super) timestamp_delta: i64,
    /// Key, value and headers, whatever these bytes are.
    pub(super) raw: &'a [u8],
    /// Where the record ends.
    pub(super) end: usize,
}

/// Splits the record at the front of `rest` where its key, value and headers begin, for those who know these bytes. As in
/// [`read_usual`], `None` says nothing of the record, and what is given is what is given there.
#[inline(always)]
pub(super) fn read_front(rest: &[u8]) -> Option<Front<'_>> {
    let word = word_at(rest, 0)?;
    let (length, taken) = varint::in_word::<3>(word)?;
    let end = taken + whole(length)?;
    let (timestamp_delta, more) = varint::in_word::<3>(word >> (8 * taken + 8))?;
    let at = taken + 1 + more;
    let (offset_delta, taken) = varint::in_word::<3>(word_at(rest, at)?)?;
    let raw = rest.get(at + taken..end)?;
    Some(Front { offset_delta, timestamp_delta, raw, end })
}

#[inline(always)]
fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes))
}

/// A length that is one.
#[inline(always)]
fn whole(length: i64) -> Option<usize> {
    (length >= 0).then_some(length as usize)
}

/// Reads a record's body, which must be exactly `bytes`.
#[inline(always)]
pub(super) fn read_body(bytes: &[u8]) -> Result<Body<'_>, Flaw> {
    let short = |what| Flaw::new(what, -1, bytes.len());
    // The attributes byte of a record has no meaning yet and readers ignore it.
    let (_, mut rest) = bytes.split_first().ok_or_else(|| short("its attributes (unreadable)"))?;
    let timestamp_delta = take_i64(&mut rest).ok_or_else(|| short("its timestamp delta (unreadable)"))?;
    let offset_delta = take_i32(&mut rest).ok_or_else(|| short("its offset delta (unreadable)"))?;
    let raw = rest;
    let (key, value, headers) = read_raw(raw)?;
    Ok(Body { offset_delta, timestamp_delta, key, value, headers, raw })
}

/// Reads key, value and headers, which must be exactly `rest`.
#[inline(always)]
fn read_raw(mut rest: &[u8]) -> Result<Parts<'_>, Flaw> {
    let key = take_bytes(&mut rest, "its key's length")?;
    let value = take_bytes(&mut rest, "its value's length")?;
    // By far the most records end in a single zero: no headers.
    let headers = if let [0] = rest { Headers::EMPTY } else { check_headers(rest)? };
    Ok((key, value, headers))
}

/// Key, value, headers.
type Parts<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, Headers<'a>);

#[inline(always)]
fn take_bytes<'a>(bytes: &mut &'a [u8], what: &'static str) -> Result<Option<&'a [u8]>, Flaw> {
    let Some(length) = take_len(bytes) else {
        return Err(Flaw::new(what, -1, bytes.len()));
    };
    if length < 0 {
        return Ok(None);
    }
    let Some((taken, rest)) = bytes.split_at_checked(length as usize) else {
        return Err(Flaw::new(what, length.into(), bytes.len()));
    };
    *bytes = rest;
    Ok(Some(taken))
}

fn take_header<'a>(bytes: &mut &'a [u8]) -> Result<Header<'a>, Flaw> {
    let key = take_bytes(bytes, "a header name's length")?;
    let key = key.ok_or_else(|| Flaw::new("a header name's length", -1, bytes.len()))?;
    let value = take_bytes(bytes, "a header value's length")?;
    Ok(Header { key, value })
}

/// Checks that `bytes` are a header count and exactly so many headers.
#[inline(never)]
fn check_headers(bytes: &[u8]) -> Result<Headers<'_>, Flaw> {
    const COUNT: &str = "its header count";
    let mut rest = bytes;
    let count = take_i32(&mut rest).ok_or_else(|| Flaw::new(COUNT, -1, bytes.len()))?;
    // A header takes two bytes at least.
    let limit = rest.len() / 2;
    let Some(count) = u32::try_from(count).ok().filter(|&count| count as usize <= limit) else {
        return Err(Flaw::new(COUNT, count.into(), limit));
    };
    let headers = rest;
    for _ in 0..count {
        take_header(&mut rest)?;
    }
    if !rest.is_empty() {
        return Err(Flaw::new("the count of bytes after its headers", rest.len() as i64, 0));
    }
    Ok(Headers { count, bytes: headers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_inside_a_record_cannot_reach_into_the_next_one() {
        // attributes, timestamp, offset, key null, value of 4 bytes, of which 1 is there
        let flaw = read_body(&[0, 0, 0, 1, 8, b'x']).unwrap_err();
        assert_eq!(flaw, Flaw { what: "its value's length", stated: 4, limit: 1 });
    }

    #[test]
    fn a_lying_header_count_is_refused_before_it_is_walked() {
        let flaw = read_body(&[0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f]).unwrap_err();
        assert_eq!(flaw, Flaw { what: "its header count", stated: i32::MAX.into(), limit: 0 });
        assert_eq!(read_body(&[0, 0, 0, 1, 1, 1]).unwrap_err().stated, -1);
    }

    #[test]
    fn a_header_name_cannot_be_null() {
        assert_eq!(read_body(&[0, 0, 0, 1, 1, 2, 1, 1]).unwrap_err().what, "a header name's length");
    }

    #[test]
    fn headers_are_equal_by_what_they_say() {
        let plain = read_body(&[0, 0, 0, 1, 1, 2, 2, b'a', 1]).unwrap().headers;
        let padded = read_body(&[0, 0, 0, 1, 1, 2, 0x82, 0, b'a', 1]).unwrap().headers;
        assert_eq!(plain, padded);
        assert_eq!(plain.last(b"a"), Some(None));
        assert_eq!(plain.last(b"b"), None);
    }

    #[test]
    fn a_record_that_is_not_all_there_says_how_much_it_needs() {
        assert_eq!(split(&[]), Ok(Split::Needs(1)));
        assert_eq!(split(&[0x80]), Ok(Split::Needs(2)));
        assert_eq!(split(&[0x10, 0, 0]), Ok(Split::Needs(9)));
        assert_eq!(split(&[0x04, 0, 0]), Ok(Split::Whole { body: 1, end: 3 }));
        assert!(split(&[0x01, 0]).is_err());
        assert!(split(&[0xff; 5]).is_err());
    }
}

//! Records that outlive the next one: copied out of their batch, into buffers that are used again.

use crate::batch::Record;
use crate::keys::Fields;
use std::ops::Range;

/// A record that was copied out of its batch just as it stands there. The buffer is kept from one record to the next.
#[derive(Debug, Default)]
pub struct HeldRaw {
    offset: i64,
    timestamp: i64,
    raw: Vec<u8>,
}

impl HeldRaw {
    /// Copies a record, by its bytes as [`RawRecord::raw`](crate::batch::RawRecord::raw) has them, over what was held.
    #[inline]
    pub fn hold(&mut self, offset: i64, timestamp: i64, raw: &[u8]) {
        if self.raw.capacity() > HELD_BYTES_KEPT {
            self.raw = Vec::new();
        }
        self.raw.clear();
        self.raw.extend_from_slice(raw);
        (self.offset, self.timestamp) = (offset, timestamp);
    }

    /// The record; `None` if none was held yet.
    pub fn record(&self) -> Option<Record<'_>> {
        Record::from_raw(self.offset, self.timestamp, &self.raw).ok()
    }
}

/// A record that was copied out of its batch. The buffers are kept from one record to the next.
#[derive(Debug, Clone, Default)]
pub struct HeldRecord {
    offset: i64,
    timestamp: i64,
    bytes: Vec<u8>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Vec<(Range<usize>, Option<Range<usize>>)>,
}

/// The most that a held record's buffers keep for the next one; a larger record's are given back.
const HELD_BYTES_KEPT: usize = 256 << 10;

impl HeldRecord {
    /// Copies `record` over what was held.
    pub fn hold(&mut self, record: &Record<'_>) {
        if self.bytes.capacity() > HELD_BYTES_KEPT {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.headers.clear();
        (self.offset, self.timestamp) = (record.offset, record.timestamp);
        self.key = record.key.map(|key| push(&mut self.bytes, key));
        self.value = record.value.map(|value| push(&mut self.bytes, value));
        for header in record.headers.iter() {
            let name = push(&mut self.bytes, header.key);
            let value = header.value.map(|value| push(&mut self.bytes, value));
            self.headers.push((name, value));
        }
    }

    /// Its offset.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Its headers, in order.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        self.headers.iter().map(|(name, value)| (&self.bytes[name.clone()], self.slice(value)))
    }

    fn slice(&self, range: &Option<Range<usize>>) -> Option<&[u8]> {
        range.clone().map(|range| &self.bytes[range])
    }
}

impl Fields for HeldRecord {
    fn key(&self) -> Option<&[u8]> {
        self.slice(&self.key)
    }
    fn value(&self) -> Option<&[u8]> {
        self.slice(&self.value)
    }
    fn timestamp(&self) -> i64 {
        self.timestamp
    }
    fn header(&self, name: &str) -> Option<Option<&[u8]>> {
        let mut named = self.headers().filter(|(key, _)| *key == name.as_bytes());
        let mut last = None;
        for (_, value) in named.by_ref() {
            last = Some(value);
        }
        last
    }
}

fn push(bytes: &mut Vec<u8>, part: &[u8]) -> Range<usize> {
    let start = bytes.len();
    bytes.extend_from_slice(part);
    start..bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::shutdown::Shutdown;
    use crate::jobs::cursor::RecordCursor;
    use crate::jobs::testing::{Made, MemorySource, block_on};
    use crate::observe::progress::Progress;

    #[test]
    fn a_held_record_is_what_was_lent() {
        let made = Made {
            key: None,
            value: Some(b"v".to_vec()),
            timestamp: 7,
            headers: vec![("a".into(), Some(b"1".to_vec())), ("b".into(), None), ("a".into(), Some(b"".to_vec()))],
        };
        let mut held = HeldRecord::default();
        let source = MemorySource::new("t", 0, &[Made::value("x".repeat(1 << 20)), made]);
        let mut cursor = RecordCursor::new(source, 1 << 20, Shutdown::default(), Progress::default());
        block_on(async { while cursor.next_with(|record| held.hold(record)).await.unwrap().is_some() {} });
        assert_eq!((held.offset(), held.timestamp(), Fields::key(&held), held.value()), (1, 7, None, Some(&b"v"[..])));
        assert_eq!((held.header("a"), held.header("b"), held.header("c")), (Some(Some(&b""[..])), Some(None), None));
        let expected: Vec<(&[u8], Option<&[u8]>)> = vec![(b"a", Some(b"1")), (b"b", None), (b"a", Some(b""))];
        assert_eq!(held.headers().collect::<Vec<_>>(), expected);
    }
}

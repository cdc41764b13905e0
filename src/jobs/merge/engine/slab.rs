//! The decoded stretch of one source: where each record lies, and when it was written. No record is copied.
//!
//! A record that moves to another batch keeps its key, value and headers as they stand; only its length and its distances to
//! the batch's first offset and time change. So a span is where those bytes are, and the timestamp: 16 bytes a record,
//! beside the 8 of its key in the merge's lane.

use crate::batch::{Piece, Record};
use std::ops::Range;

/// What a record takes here and in its lane.
pub(super) const SPAN_BYTES: usize = size_of::<Span>() + size_of::<u64>();

/// One record: its bytes in the window or in what was unfolded.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    timestamp: i64,
    start: u32,
    len: u32,
}

impl Span {
    /// A record written then, whose key, value and headers begin there in the window and take so many bytes.
    #[inline(always)]
    pub(super) fn of(timestamp: i64, start: usize, bytes: usize) -> Self {
        // A window is a frame: below 4 GiB.
        Self { timestamp, start: start as u32, len: bytes as u32 }
    }

    fn end(&self) -> usize {
        self.start as usize + self.len as usize
    }
}

/// Records that lie in the window one behind the other, heads and all.
pub(super) struct Stretch<'a> {
    spans: &'a [Span],
    /// Where the first one begins.
    starts: usize,
}

impl Stretch<'_> {
    pub(super) fn records(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn first_timestamp(&self) -> Option<i64> {
        self.spans.first().map(|span| span.timestamp)
    }

    /// As many of them as there are `records`, and as take no more than `bytes`.
    pub(super) fn within(&self, records: usize, bytes: usize) -> Self {
        let limit = self.starts.saturating_add(bytes);
        let spans = &self.spans[..records.min(self.spans.len())];
        let fit = match spans.last() {
            Some(last) if last.end() > limit => spans.partition_point(|span| span.end() <= limit),
            _ => spans.len(),
        };
        Self { spans: &spans[..fit], starts: self.starts }
    }

    /// Where they lie, and the largest of their times, if there are any.
    pub(super) fn whole(&self) -> Option<(Range<usize>, i64)> {
        let newest = self.spans.iter().map(|span| span.timestamp).max()?;
        Some((self.starts..self.spans.last()?.end(), newest))
    }
}

/// Records as they lie, to be copied one after the other.
pub(super) struct Lying<'a> {
    spans: &'a [Span],
    bytes: &'a [u8],
}

impl<'a> Lying<'a> {
    /// The next one.
    #[inline(always)]
    pub(super) fn peek(&self) -> Option<Piece<'a>> {
        let Span { timestamp, start, len: bytes } = *self.spans.first()?;
        Some(Piece { timestamp, from: self.bytes.get(start as usize..)?, bytes })
    }

    /// The next one was taken.
    #[inline(always)]
    pub(super) fn pass(&mut self) {
        self.spans = self.spans.get(1..).unwrap_or_default();
    }

    /// How many there are.
    pub(super) fn left(&self) -> usize {
        self.spans.len()
    }
}

/// The records of one source at hand, in offset order.
#[derive(Debug, Default)]
pub(super) struct Slab {
    spans: Vec<Span>,
    /// Which is next.
    next: usize,
    /// (index, offset) wherever an offset does not follow the one before it: the first record, and behind each gap.
    steps: Vec<(u32, i64)>,
    /// The offset that would follow the last record without a gap.
    follows: i64,
    /// Keys, values and headers of the records.
    payload_bytes: u64,
    /// What compressed batches unfolded to; empty if the spans lie in the window.
    unfolded: Vec<u8>,
    /// How much of that is usual: beyond it the buffer grows by no more than it must.
    usual_bytes: usize,
}

impl Slab {
    /// Forgets everything but the buffers; those of `keep_bytes` and more are given back.
    pub(super) fn clear(&mut self, keep_bytes: usize) {
        self.spans.clear();
        self.steps.clear();
        self.next = 0;
        self.payload_bytes = 0;
        self.usual_bytes = keep_bytes;
        self.unfolded.clear();
        if self.unfolded.capacity() > keep_bytes {
            self.unfolded = Vec::new();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// How many of the records were taken.
    pub(super) fn taken(&self) -> usize {
        self.next
    }

    /// Whether none is left to take.
    pub(super) fn all_taken(&self) -> bool {
        self.next >= self.spans.len()
    }

    /// Bytes that were unfolded.
    #[inline(always)]
    pub(super) fn unfolded_len(&self) -> usize {
        self.unfolded.len()
    }

    /// What they take in memory.
    pub(super) fn unfolded_capacity(&self) -> usize {
        self.unfolded.capacity()
    }

    /// Appends a record whose bytes are `raw`: those that end at `end` in the window, or else they are copied, because they
    /// would be gone at the next record.
    #[inline(always)]
    pub(super) fn push(&mut self, record: &Record<'_>, raw: &[u8], end: Option<usize>) {
        if record.offset != self.follows || self.spans.is_empty() {
            self.steps.push((self.spans.len() as u32, record.offset));
        }
        self.follows = record.offset + 1;
        self.payload_bytes += payload_bytes(record);
        let start = match end {
            Some(end) => end - raw.len(),
            None => {
                if self.unfolded.capacity() - self.unfolded.len() < raw.len() {
                    self.grow(raw.len());
                }
                self.unfolded.extend_from_slice(raw);
                self.unfolded.len() - raw.len()
            }
        };
        // A window is a frame, and what is unfolded a few of them and one record: below 4 GiB.
        self.spans.push(Span { timestamp: record.timestamp, start: start as u32, len: raw.len() as u32 });
    }

    /// Room for `records` that lie in the window; to be closed by [`Self::fill`].
    pub(super) fn room(&mut self, records: usize) -> &mut [Span] {
        let len = self.spans.len();
        self.spans.resize(len + records, Span::default());
        &mut self.spans[len..]
    }

    /// Of the room that was made last for `room` records, so many are there; they have offsets from `first` on without a gap, and
    /// their keys and values take so many bytes.
    pub(super) fn fill(&mut self, room: usize, records: usize, first: i64, payload_bytes: usize) {
        let before = self.spans.len() - room;
        self.spans.truncate(before + records);
        if records == 0 {
            return;
        }
        if first != self.follows || before == 0 {
            self.steps.push((before as u32, first));
        }
        self.follows = first + records as i64;
        self.payload_bytes += payload_bytes as u64;
    }

    /// Makes room for `bytes` more of what was unfolded.
    #[cold]
    fn grow(&mut self, bytes: usize) {
        let usual = self.unfolded.capacity().saturating_mul(2).min(self.usual_bytes);
        let wanted = usual.max(self.unfolded.len() + bytes);
        self.unfolded.reserve_exact(wanted - self.unfolded.len());
    }

    /// Keys, values and headers of the records at hand.
    pub(super) fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// The records that are not taken yet: they lie in `window`, unless they were unfolded.
    #[inline(always)]
    pub(super) fn lying<'a>(&'a self, window: &'a [u8]) -> Lying<'a> {
        let bytes = if self.unfolded.is_empty() { window } else { &self.unfolded };
        Lying { spans: self.spans.get(self.next..).unwrap_or_default(), bytes }
    }

    /// All but so many were taken.
    #[inline(always)]
    pub(super) fn pass_up_to(&mut self, left: usize) {
        self.next = self.spans.len() - left;
    }

    /// So many were taken.
    pub(super) fn pass_all(&mut self, records: usize) {
        self.next += records;
    }

    /// The next records, as far as they lie in the window, among the first `records`, and offsets follow each other. The first one
    /// of all begins at `starts`, and nothing lies between them.
    pub(super) fn stretch(&self, records: usize, starts: usize) -> Stretch<'_> {
        let gap = self.steps.get(self.steps.partition_point(|(at, _)| *at as usize <= self.next));
        let end = gap.map_or(records, |(at, _)| records.min(*at as usize));
        let starts = match self.next.checked_sub(1).and_then(|before| self.spans.get(before)) {
            Some(before) => before.end(),
            None => starts,
        };
        let spans = if self.unfolded.is_empty() { self.spans.get(self.next..end).unwrap_or_default() } else { &[] };
        Stretch { spans, starts }
    }

    #[inline(always)]
    fn lies<'a>(&'a self, index: usize, window: &'a [u8]) -> Piece<'a> {
        let Span { timestamp, start, len: bytes } = self.spans[index];
        let all = if self.unfolded.is_empty() { window } else { &self.unfolded };
        Piece { timestamp, from: &all[start as usize..], bytes }
    }

    /// The offset of the record that is taken next.
    pub(super) fn next_offset(&self) -> i64 {
        self.offset(self.next)
    }

    fn offset(&self, index: usize) -> i64 {
        let behind = self.steps.partition_point(|(at, _)| *at as usize <= index);
        match self.steps.get(behind.wrapping_sub(1)) {
            Some(&(at, offset)) => offset + (index - at as usize) as i64,
            None => self.follows,
        }
    }

    /// One of the records, to be looked at.
    pub(super) fn record<'a>(&'a self, index: usize, window: &'a [u8]) -> Option<Record<'a>> {
        if index >= self.spans.len() {
            return None;
        }
        let Piece { timestamp, from, bytes } = self.lies(index, window);
        Record::from_raw(self.offset(index), timestamp, &from[..bytes as usize]).ok()
    }
}

/// Key, value and headers: what a user calls the size of a record.
#[inline(always)]
fn payload_bytes(record: &Record<'_>) -> u64 {
    let len = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    let mut bytes = len(record.key) + len(record.value);
    if !record.headers.is_empty() {
        bytes += record.headers.iter().map(|header| header.key.len() + len(header.value)).sum::<usize>();
    }
    bytes as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Headers;

    #[test]
    fn offsets_survive_gaps() {
        let offsets = [7, 8, 9, 12, 13, 40];
        let mut slab = Slab::default();
        for _ in 0..2 {
            slab.clear(0);
            for offset in offsets {
                let record = Record { offset, timestamp: 0, key: None, value: None, headers: Headers::EMPTY };
                slab.push(&record, &[], Some(0));
            }
            assert_eq!(slab.steps.len(), 3);
            for offset in offsets {
                assert_eq!(slab.next_offset(), offset);
                slab.pass_all(1);
            }
        }
    }

    #[test]
    fn a_stretch_begins_where_the_record_before_it_ends_and_ends_before_a_gap() {
        let mut slab = Slab::default();
        slab.clear(0);
        // Ten bytes each, from place 50 on, six of them behind the head.
        for (index, offset) in [0, 1, 2, 3, 4, 5, 6, 9].into_iter().enumerate() {
            let record = Record { offset, timestamp: 100 - offset, key: None, value: None, headers: Headers::EMPTY };
            slab.push(&record, &[0; 6], Some(60 + 10 * index));
        }
        assert_eq!(slab.stretch(8, 50).whole(), Some((50..120, 100)));
        slab.pass_all(3);
        let stretch = slab.stretch(8, 50);
        assert_eq!((stretch.records(), stretch.first_timestamp()), (4, Some(97)));
        assert_eq!(stretch.whole(), Some((80..120, 97)));
        assert_eq!(stretch.within(9, 29).whole(), Some((80..100, 97)));
        assert_eq!(stretch.within(3, 30).whole(), Some((80..110, 97)));
        assert_eq!(stretch.within(1, usize::MAX).whole(), Some((80..90, 97)));
        assert_eq!(stretch.within(9, 9).whole(), None);
        assert_eq!(slab.stretch(3, 50).whole(), None);
        slab.pass_all(4);
        assert_eq!(slab.stretch(8, 50).whole(), Some((120..130, 91)));
    }
}

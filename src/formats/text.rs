//! A text that comes in blocks, of which readers see what is not used yet as one piece.
//!
//! ```text
//!                     ┌ headroom ┐┌──── block ────┐
//!  what was left ───▶ │    abcdef││ghij…          │     is copied before the next block, which itself stays where it is
//!                     └──────────┘└───────────────┘
//! ```
//!
//! Only where more is left than the headroom holds does the block move: it is appended to what is left, which grows, up to the
//! longest record that is allowed.

use super::Malformed;
use crate::base::units::show_size;
use std::ops::Range;

/// Room before a block for what was left of the one before it.
pub const HEADROOM: usize = 16 << 10;

/// See the module's head.
#[derive(Debug)]
pub struct Text {
    bytes: Vec<u8>,
    /// What is not used yet.
    unread: Range<usize>,
    /// Where this text begins in `bytes`, if none of it is gone.
    begin: Option<usize>,
    /// Where what was taken last begins.
    last: usize,
    /// Up to here lines are counted.
    counted: usize,
    /// The line that `counted` is in, from 1.
    line: u64,
    ended: bool,
    record_bytes_max: usize,
}

impl Text {
    /// Nothing yet; no record may be longer than `record_bytes_max`.
    pub fn new(record_bytes_max: usize) -> Self {
        let (bytes, unread) = (Vec::new(), 0..0);
        Self { bytes, unread, begin: None, last: 0, counted: 0, line: 1, ended: false, record_bytes_max }
    }

    /// The next text begins; nothing of the last one counts any more.
    pub fn restart(&mut self) {
        (self.unread, self.begin, self.last, self.counted, self.line, self.ended) = (0..0, None, 0, 0, 1, false);
    }

    /// Begins the same text again, if all of it is still there.
    pub fn rewind(&mut self) -> bool {
        let Some(begin) = self.begin.filter(|_| self.ended) else { return false };
        (self.unread, self.counted, self.line) = (begin..self.unread.end, begin, 1);
        true
    }

    /// Takes a block: the bytes of `block` from [`HEADROOM`] on, so many of them. Gives a buffer back, to be filled again.
    pub fn feed(&mut self, mut block: Vec<u8>, len: usize) -> Vec<u8> {
        self.count_lines();
        let left = self.unread.len();
        let end = (HEADROOM + len).min(block.len());
        let is_first = self.begin.is_none() && self.line == 1 && left == 0 && self.counted == 0;
        if left <= HEADROOM {
            let start = HEADROOM - left;
            block[start..HEADROOM].copy_from_slice(&self.bytes[self.unread.clone()]);
            std::mem::swap(&mut self.bytes, &mut block);
            self.unread = start..end;
        } else {
            self.bytes.copy_within(self.unread.clone(), 0);
            self.bytes.truncate(left);
            self.bytes.extend_from_slice(&block[HEADROOM..end]);
            self.unread = 0..self.bytes.len();
        }
        self.begin = is_first.then_some(self.unread.start);
        self.counted = self.unread.start;
        block
    }

    /// No more comes.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether no more comes.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// What is not used yet.
    #[inline]
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.unread.clone()]
    }

    /// Uses the next `count` bytes, and says where they are.
    #[inline]
    pub fn take(&mut self, count: usize) -> Range<usize> {
        let start = self.unread.start;
        self.last = start;
        self.unread.start = (start + count).min(self.unread.end);
        start..self.unread.start
    }

    /// Bytes that were taken and not fed over since.
    #[inline]
    pub fn slice(&self, taken: Range<usize>) -> &[u8] {
        &self.bytes[taken]
    }

    /// The line that the next byte is in, from 1.
    pub fn line(&mut self) -> u64 {
        self.count_lines();
        self.line
    }

    /// What is wrong in the line that stands so many bytes behind the last one that was used.
    #[cold]
    pub fn wrong(&mut self, ahead: usize, problem: impl Into<String>) -> Malformed {
        let line = self.line() + lines_in(&self.unread()[..ahead.min(self.unread.len())]);
        Malformed { line, problem: problem.into() }
    }

    /// What is wrong with what was taken last, if nothing was fed since.
    #[cold]
    pub fn wrong_last(&mut self, problem: impl Into<String>) -> Malformed {
        let line = self.line() - lines_in(self.bytes.get(self.last..self.unread.start).unwrap_or_default());
        Malformed { line, problem: problem.into() }
    }

    /// Refuses a record of which so much is there and no end in sight.
    #[inline]
    pub fn check_length(&mut self) -> Result<(), Malformed> {
        match self.unread.len() > self.record_bytes_max {
            true => Err(self.too_long()),
            false => Ok(()),
        }
    }

    #[cold]
    fn too_long(&mut self) -> Malformed {
        let limit = show_size(self.record_bytes_max as u64);
        self.wrong(0, format!("the record that begins here is longer than {limit} (--memory allows longer ones)"))
    }

    fn count_lines(&mut self) {
        self.line += lines_in(&self.bytes[self.counted..self.unread.start]);
        self.counted = self.unread.start;
    }
}

fn lines_in(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// For tests of readers: all there is to read of a text that comes in blocks of `step` bytes.
#[cfg(test)]
pub(super) fn in_blocks<T>(
    text: &[u8],
    step: usize,
    mut next: impl FnMut(&mut Text) -> Result<Option<T>, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut whole = Text::new(1 << 20);
    let mut found = Vec::new();
    let mut blocks = text.chunks(step.max(1));
    loop {
        while let Some(one) = next(&mut whole)? {
            found.push(one);
        }
        match blocks.next() {
            Some(block) => {
                let mut padded = vec![0; HEADROOM];
                padded.extend_from_slice(block);
                whole.feed(padded, block.len());
            }
            None if whole.is_ended() => return Ok(found),
            None => whole.end(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &[u8]) -> Vec<u8> {
        [vec![0; HEADROOM], text.to_vec()].concat()
    }

    #[test]
    fn what_is_left_stands_before_the_next_block_however_long_it_is() {
        let mut text = Text::new(1 << 20);
        let long = vec![b'x'; HEADROOM + 5];
        text.feed(block(b"ab\ncd"), 5);
        assert_eq!(text.take(3), HEADROOM..HEADROOM + 3);
        text.feed(block(b"ef"), 2);
        assert_eq!((text.line(), text.unread()), (2, &b"cdef"[..]));
        text.feed(block(&long), long.len());
        text.feed(block(b"\nend"), 4);
        let expected = [b"cdef", &long[..], b"\nend"].concat();
        assert_eq!(text.unread(), expected);
        text.take(expected.len() - 3);
        assert_eq!((text.line(), text.unread()), (3, &b"end"[..]));
    }

    #[test]
    fn a_text_of_one_block_can_be_read_again_and_a_longer_one_cannot() {
        let mut text = Text::new(100);
        text.feed(block(b"a\nb\n"), 4);
        text.take(4);
        assert!(!text.rewind(), "more may come");
        text.end();
        assert!(text.rewind());
        assert_eq!((text.line(), text.unread()), (1, &b"a\nb\n"[..]));
        text.restart();
        text.feed(block(b"a\n"), 2);
        text.take(2);
        text.feed(block(b"b\n"), 2);
        text.end();
        assert!(!text.rewind());
    }

    #[test]
    fn a_record_without_an_end_is_refused_with_its_line() {
        let mut text = Text::new(3);
        text.feed(block(b"a\nbcde"), 6);
        text.take(2);
        let error = text.check_length().unwrap_err().to_string();
        assert!(error.starts_with("line 2: ") && error.contains("3 B"), "{error}");
    }
}

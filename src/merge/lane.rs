//! The keys of one source that are at hand: a stretch of them, in order, and how far they were taken.
//!
//! Most keys are eight bytes and live in one array of words, which is all that the merge reads. A key that is longer leaves
//! its tail in a second array; a lane without tails never touches it.

use std::cmp::Ordering;

/// A source's keys in memory, ascending.
#[derive(Debug, Default)]
pub struct Lane {
    words: Vec<u64>,
    /// The bytes of each key after its first eight, all behind each other.
    tails: Vec<u8>,
    /// Where each key's tail ends; empty as long as no key has one.
    tail_ends: Vec<usize>,
    at: usize,
    /// The last key of the stretch before, if there was one.
    before: Option<(u64, Vec<u8>)>,
    spare: Vec<u8>,
}

/// A key lies below the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backwards;

impl Lane {
    /// The key in a stretch: its first eight bytes, and the rest.
    pub fn key(&self, index: usize) -> (u64, &[u8]) {
        (self.words[index], self.tail(index))
    }

    /// How many keys the stretch has.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether the stretch has no keys.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// What the keys take in memory.
    pub fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
            + self.tails.capacity()
            + self.tail_ends.capacity() * size_of::<usize>()
    }

    /// Begins the next stretch; of this one only the last key is kept, which the next one must not lie below.
    pub(super) fn begin(&mut self) {
        self.keep_last();
        self.clear();
    }

    fn keep_last(&mut self) {
        if let Some(last) = self.words.len().checked_sub(1) {
            let mut kept = self.before.take().map_or_else(|| std::mem::take(&mut self.spare), |(_, tail)| tail);
            kept.clear();
            kept.extend_from_slice(self.tail(last));
            self.before = Some((self.words[last], kept));
        }
    }

    fn clear(&mut self) {
        self.words.clear();
        self.tails.clear();
        self.tail_ends.clear();
        self.at = 0;
    }

    /// Moves the stretch to `other`, whose buffers come back empty; of what is moved only the last key is kept, as at a new
    /// stretch. So keys can be made in one place, checked from stretch to stretch, and merged in another.
    pub fn hand_over(&mut self, other: &mut Self) {
        self.keep_last();
        other.clear();
        std::mem::swap(&mut self.words, &mut other.words);
        std::mem::swap(&mut self.tails, &mut other.tails);
        std::mem::swap(&mut self.tail_ends, &mut other.tail_ends);
        self.at = 0;
    }

    /// Appends a key of eight bytes.
    #[inline(always)]
    pub fn push_word(&mut self, word: u64) -> Result<(), Backwards> {
        // The common case in one comparison: not below the last one, and no tails anywhere near.
        match self.words.last() {
            Some(&last) if self.tail_ends.is_empty() && word >= last => {
                self.words.push(word);
                Ok(())
            }
            _ => self.push(word, &[]),
        }
    }

    /// What a key of eight bytes must not lie below, if that can be said in eight bytes.
    pub fn floor(&self) -> Option<u64> {
        match (self.words.last(), &self.before) {
            _ if !self.tail_ends.is_empty() => None,
            (Some(last), _) => Some(*last),
            (None, None) => Some(0),
            (None, Some((last, tail))) => tail.is_empty().then_some(*last),
        }
    }

    /// Room for `keys` of eight bytes, none of which may lie below [`Self::floor`] or the one before it; to be closed by
    /// [`Self::fill`].
    pub fn room(&mut self, keys: usize) -> &mut [u64] {
        let len = self.words.len();
        self.words.resize(len + keys, 0);
        &mut self.words[len..]
    }

    /// Of the room that was made last `empty` places stayed empty.
    pub fn fill(&mut self, empty: usize) {
        self.words.truncate(self.words.len() - empty);
    }

    /// Appends a key.
    pub fn push(&mut self, word: u64, tail: &[u8]) -> Result<(), Backwards> {
        let last = match self.words.len().checked_sub(1) {
            Some(last) => Some(self.key(last)),
            None => self.before.as_ref().map(|(word, tail)| (*word, tail.as_slice())),
        };
        if last.is_some_and(|last| (word, tail) < last) {
            return Err(Backwards);
        }
        if !tail.is_empty() && self.tail_ends.is_empty() {
            self.tail_ends.resize(self.words.len(), 0);
        }
        self.words.push(word);
        if !self.tail_ends.is_empty() || !tail.is_empty() {
            self.tails.extend_from_slice(tail);
            self.tail_ends.push(self.tails.len());
        }
        Ok(())
    }

    /// Takes back the last key, as if it had not been pushed.
    pub fn pop(&mut self) {
        let Some(last) = self.words.len().checked_sub(1) else { return };
        self.words.pop();
        if self.tail_ends.pop().is_some() {
            self.tails.truncate(if last == 0 { 0 } else { self.tail_ends[last - 1] });
        }
    }

    #[inline(always)]
    pub(super) fn head(&self) -> Option<u64> {
        self.words.get(self.at).copied()
    }

    #[inline(always)]
    pub(super) fn head_tail(&self) -> &[u8] {
        self.tail(self.at)
    }

    #[inline(always)]
    pub(super) fn advance(&mut self, keys: usize) {
        self.at += keys;
    }

    /// How many keys are not taken yet.
    pub(super) fn left(&self) -> usize {
        self.words.len() - self.at
    }

    /// The first eight bytes of each of them.
    pub(super) fn words_left(&self) -> &[u64] {
        &self.words[self.at..]
    }

    /// Whether any key is longer than eight bytes.
    #[inline(always)]
    pub(super) fn has_tails(&self) -> bool {
        !self.tail_ends.is_empty()
    }

    /// How many keys from the head on, at most `most`, go before `bound`; `ties` says whether an equal one does.
    pub(super) fn run(&self, bound: (u64, &[u8]), ties: bool, most: usize) -> usize {
        let end = self.words.len().min(self.at.saturating_add(most));
        let before = |index: usize| match self.words[index].cmp(&bound.0) {
            Ordering::Equal if self.tail_ends.is_empty() && bound.1.is_empty() => ties,
            Ordering::Equal => match self.tail(index).cmp(bound.1) {
                Ordering::Equal => ties,
                order => order == Ordering::Less,
            },
            order => order == Ordering::Less,
        };
        // A whole stretch at once is what inputs give whose ranges do not overlap.
        if end > self.at && before(end - 1) {
            return end - self.at;
        }
        // Steps that double from the head, then halves: a short run costs little, a long one little more.
        let (mut low, mut step) = (self.at, 1);
        while low + step < end && before(low + step - 1) {
            low += step;
            step *= 2;
        }
        let mut high = (low + step).min(end);
        while low < high {
            let middle = low + (high - low) / 2;
            if before(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low - self.at
    }

    #[inline(always)]
    fn tail(&self, index: usize) -> &[u8] {
        let Some(&end) = self.tail_ends.get(index) else { return &[] };
        let start = if index == 0 { 0 } else { self.tail_ends[index - 1] };
        &self.tails[start..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_below_the_one_before_is_refused_also_across_stretches() {
        let mut lane = Lane::default();
        assert_eq!(lane.push_word(5), Ok(()));
        assert_eq!(lane.push_word(5), Ok(()));
        assert_eq!(lane.push_word(4), Err(Backwards));
        assert_eq!(lane.len(), 2, "what is refused is not kept");
        lane.begin();
        assert_eq!(lane.push_word(4), Err(Backwards));
        lane.begin();
        assert_eq!(lane.push_word(4), Err(Backwards), "an empty stretch forgets nothing");
        assert_eq!(lane.push_word(5), Ok(()));
    }

    #[test]
    fn a_stretch_that_was_handed_over_is_still_followed_and_its_buffers_come_back() {
        let (mut lane, mut other) = (Lane::default(), Lane::default());
        lane.push_word(4).unwrap();
        lane.push(5, b"tail").unwrap();
        lane.hand_over(&mut other);
        assert_eq!((other.len(), other.key(0), other.key(1)), (2, (4, &b""[..]), (5, &b"tail"[..])));
        assert!(lane.is_empty());
        assert_eq!(lane.push(5, b"tai"), Err(Backwards), "what was handed over is not forgotten");
        other.advance(2);
        lane.hand_over(&mut other);
        assert!(other.is_empty() && lane.is_empty() && lane.words.capacity() > 0);
        lane.push(5, b"tail").unwrap();
        lane.push_word(6).unwrap();
        lane.hand_over(&mut other);
        assert_eq!((other.left(), other.head(), lane.push_word(5)), (2, Some(5), Err(Backwards)));
    }

    #[test]
    fn tails_decide_where_the_words_are_equal() {
        let mut lane = Lane::default();
        lane.push_word(1).unwrap();
        lane.push(1, b"a").unwrap();
        assert_eq!(lane.push_word(1), Err(Backwards), "a key without tail goes before one with");
        lane.push(1, b"b").unwrap();
        assert_eq!(lane.push(1, b"az"), Err(Backwards));
        lane.push_word(2).unwrap();
        let keys: Vec<_> = (0..lane.len()).map(|index| lane.key(index)).collect();
        assert_eq!(keys, [(1, &b""[..]), (1, b"a"), (1, b"b"), (2, b"")]);
        lane.pop();
        lane.pop();
        assert_eq!(lane.key(1), (1, &b"a"[..]));
        lane.begin();
        assert_eq!(lane.push(1, b"Z"), Err(Backwards));
        assert_eq!(lane.push(1, b"a"), Ok(()));
    }

    #[test]
    fn a_run_is_what_a_walk_would_find() {
        let words = [1, 1, 2, 2, 2, 3, 5, 5, 5, 5, 8];
        for at in 0..words.len() {
            for bound in 0..10 {
                for ties in [false, true] {
                    for most in [1, 2, 3, 5, 100] {
                        let mut lane = Lane::default();
                        words.iter().for_each(|word| lane.push_word(*word).unwrap());
                        lane.advance(at);
                        let before = |word: &&u64| **word < bound || (ties && **word == bound);
                        let walked = words[at..].iter().take_while(before).count().min(most);
                        assert_eq!(lane.run((bound, &[]), ties, most), walked, "{at} {bound} {ties} {most}");
                    }
                }
            }
        }
    }
}

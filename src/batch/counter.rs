//! A number that counts up as it stands encoded.
//!
//! Offsets of records that follow each other are not encoded or decoded one by one: the marks that say that more bytes follow are
//! put back after each addition, which carries through them.

use super::varint::{word, zigzag};

/// See the module's head; in three bytes at most.
pub(super) struct Counter {
    pub(super) value: i32,
    /// The number as it is written, the rest zero.
    pub(super) word: u64,
    pub(super) bytes: usize,
    /// The marks that more bytes follow.
    more: u64,
    /// The mark that would say that one byte more is needed.
    over: u64,
}

impl Counter {
    pub(super) fn at(value: i32) -> Option<Self> {
        let (word, bytes) = word(zigzag(value.into())).filter(|(_, bytes)| *bytes <= 3)?;
        let over = 0x80 << (8 * (bytes - 1));
        Some(Self { value, word, bytes, more: 0x80_8080 & (over - 1), over })
    }

    /// Goes to the next number; `false` if that takes more than three bytes.
    #[inline(always)]
    pub(super) fn count(&mut self) -> bool {
        self.value += 1;
        self.word = (self.word + 2) | self.more;
        if self.word & self.over == 0 {
            return true;
        }
        match Self::at(self.value) {
            Some(longer) => *self = longer,
            None => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_stands_as_each_number_is_written_and_ends_behind_three_bytes() {
        let mut counter = Counter::at(0).unwrap();
        let mut value = 0;
        loop {
            assert_eq!(Some((counter.word, counter.bytes)), word(zigzag(value)), "{value}");
            value += 1;
            if !counter.count() {
                break;
            }
            assert_eq!(i64::from(counter.value), value);
        }
        assert_eq!((value, i64::from(counter.value)), (1 << 20, value));
        assert!(Counter::at(1 << 20).is_none());
        for begun in [0, 5, 63, 64, 8_191, 8_192, (1 << 20) - 1] {
            let counter = Counter::at(begun).unwrap();
            assert_eq!(Some((counter.word, counter.bytes)), word(zigzag(begun.into())), "{begun}");
        }
    }
}

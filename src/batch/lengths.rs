//! Lengths of keys and values, seen in a word without being decoded as numbers of any size.
//!
//! What passes over records (`passing.rs`) and what takes them in a row (`rows.rs`) look at them in this way.

/// A length of -1, written.
pub(super) const NULL: u8 = 1;

/// The length that a word begins with, if that takes one byte and is not negative.
#[inline(always)]
pub(super) fn short_length(word: u64) -> Option<usize> {
    (word & 0x81 == 0).then_some((word & 0x7e) as usize >> 1)
}

/// The same of one that takes two.
#[inline(always)]
pub(super) fn longer_length(word: u64) -> Option<usize> {
    (word & 0x8081 == 0x80).then_some(((word & 0x7e) >> 1 | (word & 0x7f00) >> 2) as usize)
}

/// How a number of up to 14 bits is written if it takes two bytes.
#[inline(always)]
pub(super) fn two_bytes(raw: u64) -> u64 {
    (raw + (raw & 0x3f80)) | 0x80
}

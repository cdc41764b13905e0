//! Normalised keys: bytes that compare as the keys do, the first eight of them as one number.

use super::Order;
use super::number::Decimal;
use crate::base::time::Time;

/// A normalised key: comparing the bytes is comparing the keys. The first 64 bits are the prefix; an 8-byte key has no rest,
/// and then nothing is allocated.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    prefix: u64,
    rest: Box<[u8]>,
}

impl Key {
    pub(super) fn new(prefix: u64, rest: Vec<u8>) -> Self {
        Self { prefix, rest: rest.into_boxed_slice() }
    }

    /// The first eight bytes, as a number that compares like them; a shorter key is padded.
    pub fn prefix(&self) -> u64 {
        self.prefix
    }

    /// The bytes after the prefix; where there are none, the prefix is the whole key.
    pub fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// The number that was normalised, if this is the key of a plan with one part of type `int` or `be64`, or `timestamp`.
    pub fn as_i64(&self, order: Order) -> i64 {
        let word = match order {
            Order::Asc => self.prefix,
            Order::Desc => !self.prefix,
        };
        (word ^ SIGN) as i64
    }
}

/// The whole key of a plan whose one part is a number.
#[inline]
pub(super) fn word(number: i64, order: Order) -> u64 {
    let word = number as u64 ^ SIGN;
    match order {
        Order::Asc => word,
        Order::Desc => !word,
    }
}

/// The whole key of a plan whose one part is `body`, if that is ASCII with nothing to escape, as most texts are: what
/// [`Normaliser::string`] makes of it. What does not fit the prefix goes into `rest`, which must be empty.
#[inline]
pub(super) fn plain_text(body: &[u8], order: Order, rest: &mut Vec<u8>) -> Option<u64> {
    if !is_plain(body) {
        return None;
    }
    let prefix = match body.split_first_chunk() {
        Some((first, behind)) => {
            rest.extend_from_slice(behind);
            rest.push(END);
            u64::from_be_bytes(*first)
        }
        // The end is a zero, as what a short key is padded with.
        None => body.iter().fold((0, 64), |(word, at), byte| (word | u64::from(*byte) << (at - 8), at - 8)).0,
    };
    Some(in_order(prefix, order, rest))
}

/// Inverting prefix-free bytes keeps them prefix-free and reverses their order.
#[inline(always)]
fn in_order(prefix: u64, order: Order, rest: &mut [u8]) -> u64 {
    match order {
        Order::Asc => prefix,
        Order::Desc => {
            rest.iter_mut().for_each(|byte| *byte = !*byte);
            !prefix
        }
    }
}

/// Flipping the sign bit makes signed numbers compare as unsigned ones.
const SIGN: u64 = 1 << 63;

/// Ends a string. It is below every byte of a string's body, so a prefix comes first.
const END: u8 = 0;
/// What stands before the two bytes that may not appear in the body as they are: 0 becomes 1 1, and 1 becomes 1 2.
const ESCAPE: u8 = 1;

/// Puts a key together, part after part.
#[derive(Debug)]
pub(super) struct Normaliser<'a> {
    prefix: u64,
    /// How many bytes of the prefix are filled.
    filled: u32,
    rest: &'a mut Vec<u8>,
    order: Order,
    alone: bool,
}

impl<'a> Normaliser<'a> {
    /// `alone` says that one part will be the whole key. What does not fit the prefix goes into `rest`, which is emptied.
    pub(super) fn new(order: Order, alone: bool, rest: &'a mut Vec<u8>) -> Self {
        rest.clear();
        Self { prefix: 0, filled: 0, rest, order, alone }
    }

    /// Eight bytes.
    pub(super) fn int(&mut self, number: i64) {
        self.word(number as u64 ^ SIGN);
    }

    /// A time: milliseconds, and the nanoseconds after them.
    ///
    /// Alone it should be eight bytes, the whole prefix, and most times are whole milliseconds; so the nanoseconds are left
    /// out where they are zero, and nothing sorts before something. Descending, the same must hold for the inverted bytes:
    /// there the millisecond is the one *after* the time, and what follows is how long before it the time was.
    pub(super) fn time(&mut self, time: Time) {
        match (self.alone, self.order, time.nanos) {
            (true, _, 0) => self.int(time.epoch_ms),
            (true, Order::Desc, nanos) => {
                self.int(time.epoch_ms_ceil());
                self.bytes(&(!(1_000_000 - nanos)).to_be_bytes()); // inverted here, so that inverting it restores it
            }
            (_, _, nanos) => {
                self.int(time.epoch_ms);
                self.bytes(&nanos.to_be_bytes());
            }
        }
    }

    /// Two bytes of sign and exponent, then the digits from the most significant one, two a byte, each one up so that 0 can
    /// end them. A negative number is a positive one inverted. Up to eleven digits stay within the prefix.
    pub(super) fn decimal(&mut self, decimal: &Decimal) {
        let digits = decimal.digits();
        if digits.is_empty() {
            return self.bytes(&0x8000u16.to_be_bytes());
        }
        let mask = if decimal.negative { 0xff } else { 0 };
        let exponent = (i32::from(decimal.exponent) + 0xC000) as u16; // -0x3fff ..= 0x3fff to 0x8001 ..= 0xffff
        for byte in exponent.to_be_bytes() {
            self.byte(byte ^ mask);
        }
        for pair in digits.chunks(2) {
            let low = pair.get(1).map_or(0, |digit| digit + 1);
            self.byte((((pair[0] + 1) << 4) | low) ^ mask);
        }
        if digits.len().is_multiple_of(2) {
            self.byte(mask);
        }
    }

    /// The body with 0 and 1 escaped, then the end.
    pub(super) fn string(&mut self, body: &[u8]) {
        if has_none_to_escape(body) {
            self.bytes(body);
            return self.byte(END);
        }
        let (front, behind) = body.split_at(body.len().min(8));
        front.iter().for_each(|byte| self.escaped(*byte));
        for stretch in behind.chunk_by(|a, b| (*a > ESCAPE) == (*b > ESCAPE)) {
            if stretch[0] > ESCAPE {
                self.bytes(stretch);
            } else {
                stretch.iter().for_each(|byte| self.escaped(*byte));
            }
        }
        self.byte(END);
    }

    fn escaped(&mut self, byte: u8) {
        if byte > ESCAPE {
            self.byte(byte);
        } else {
            self.byte(ESCAPE);
            self.byte(byte + 1);
        }
    }

    /// The prefix.
    pub(super) fn finish(self) -> u64 {
        in_order(self.prefix, self.order, self.rest)
    }

    fn word(&mut self, word: u64) {
        if self.filled == 0 {
            (self.prefix, self.filled) = (word, 8);
        } else {
            self.bytes(&word.to_be_bytes());
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let filled = self.filled as usize;
        let (front, behind) = bytes.split_at(bytes.len().min(8 - filled));
        let mut word = [0; 8];
        word[filled..filled + front.len()].copy_from_slice(front);
        self.prefix |= u64::from_be_bytes(word);
        self.filled += front.len() as u32;
        self.rest.extend_from_slice(behind);
    }

    fn byte(&mut self, byte: u8) {
        if self.filled < 8 {
            self.prefix |= u64::from(byte) << (56 - 8 * self.filled);
            self.filled += 1;
        } else {
            self.rest.push(byte);
        }
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// Whether all bytes are ASCII and above the ones that are escaped.
#[inline(always)]
fn is_plain(body: &[u8]) -> bool {
    // The high bit of some byte, if a byte is below 2 or above ASCII: from those between, nothing is borrowed.
    let mark = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        word | word.wrapping_sub((u64::from(ESCAPE) + 1) * ONES)
    };
    match body.last_chunk() {
        Some(last) => body.as_chunks().0.iter().fold(mark(last), |marks, word| marks | mark(word)) & (0x80 * ONES) == 0,
        None => body.iter().all(|byte| (ESCAPE + 1..0x80).contains(byte)),
    }
}

/// Whether all bytes are above the ones that are escaped.
fn has_none_to_escape(body: &[u8]) -> bool {
    let (words, rest) = body.as_chunks();
    let words = words.iter().fold(0, |low, word| {
        let word = u64::from_le_bytes(*word);
        // The high bit of each byte below 2, and of none before the first such one.
        low | (word.wrapping_sub((u64::from(ESCAPE) + 1) * ONES) & !word)
    });
    words & (0x80 * ONES) == 0 && rest.iter().all(|byte| *byte > ESCAPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_text_becomes_what_any_text_becomes_and_others_are_left() {
        for len in 0..=40 {
            let mut body: Vec<u8> = (0..len).map(|at| b'a' + at % 26).collect();
            for at in 0..=body.len() {
                for byte in [0, 1, 2, b' ', 0x7f, 0x80, 0xc3, 0xff] {
                    let kept = body.get_mut(at).map(|place| std::mem::replace(place, byte));
                    let plain = kept.is_none() || (2..0x80).contains(&byte);
                    for order in [Order::Asc, Order::Desc] {
                        let (mut quick, mut slow) = (Vec::new(), Vec::new());
                        let prefix = plain_text(&body, order, &mut quick);
                        assert_eq!(prefix.is_some(), plain, "{body:?}");
                        let mut any = Normaliser::new(order, true, &mut slow);
                        any.string(&body);
                        if let Some(prefix) = prefix {
                            assert_eq!((prefix, &quick), (any.finish(), &slow), "{body:?}");
                        }
                    }
                    if let Some(kept) = kept {
                        body[at] = kept;
                    }
                }
            }
        }
    }
}

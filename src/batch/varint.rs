//! Zigzag variable-length integers, as records use them.
//!
//! Nearly all of them are one to three bytes, so that path is inline and the rest is not. A value that does not fit its type is
//! refused (Apache's reader drops the bits that are too many); one that takes more bytes than it needs is accepted.

/// Bytes of the longest encoded `i32`.
pub(super) const I32_BYTES_MAX: usize = 5;
/// Bytes of the longest encoded `i64`.
pub(super) const I64_BYTES_MAX: usize = 10;

#[inline(always)]
fn unzigzag(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

#[inline(always)]
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Takes an `i64` off the front; `None` if the bytes end in it or it does not fit.
#[inline(always)]
pub(super) fn take_i64(bytes: &mut &[u8]) -> Option<i64> {
    match take_short(bytes) {
        Some(raw) => Some(unzigzag(raw.into())),
        None => {
            let (raw, rest) = long(bytes)?;
            *bytes = rest;
            Some(unzigzag(raw))
        }
    }
}

/// Takes an `i32` off the front; `None` if the bytes end in it or it does not fit.
#[inline(always)]
pub(super) fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    match take_short(bytes) {
        Some(raw) => Some(unzigzag(raw.into()) as i32),
        None => {
            let (raw, rest) = long(bytes)?;
            *bytes = rest;
            i32::try_from(unzigzag(raw)).ok()
        }
    }
}

/// One to three bytes, which is what offsets and lengths take; longer ones are left where they are.
#[inline(always)]
fn take_short(bytes: &mut &[u8]) -> Option<u32> {
    match **bytes {
        [b0, ref rest @ ..] if b0 < 0x80 => {
            *bytes = rest;
            Some(b0.into())
        }
        [b0, b1, ref rest @ ..] if b1 < 0x80 => {
            *bytes = rest;
            Some(u32::from(b0 & 0x7f) | u32::from(b1) << 7)
        }
        [b0, b1, b2, ref rest @ ..] if b2 < 0x80 => {
            *bytes = rest;
            Some(u32::from(b0 & 0x7f) | u32::from(b1 & 0x7f) << 7 | u32::from(b2) << 14)
        }
        _ => None,
    }
}

/// The number at the front of a little-endian `word`, and how many bytes it takes, if those are no more than `MOST`, one to five.
#[inline(always)]
pub(super) fn in_word<const MOST: usize>(word: u64) -> Option<(i64, usize)> {
    let (raw, bytes) = if word & 0x80 == 0 {
        (word & 0x7f, 1)
    } else if MOST >= 2 && word & 0x8000 == 0 {
        (word & 0x7f | (word >> 1) & 0x3f80, 2)
    } else if MOST >= 3 && word & 0x80_0000 == 0 {
        (word & 0x7f | (word >> 1) & 0x3f80 | (word >> 2) & 0x1f_c000, 3)
    } else if MOST >= 4 && word & 0x8000_0000 == 0 {
        (word & 0x7f | (word >> 1) & 0x3f80 | (word >> 2) & 0x1f_c000 | (word >> 3) & 0xfe0_0000, 4)
    } else if MOST >= 5 && word & 0x80_0000_0000 == 0 {
        let four = word & 0x7f | (word >> 1) & 0x3f80 | (word >> 2) & 0x1f_c000 | (word >> 3) & 0xfe0_0000;
        (four | (word >> 4) & 0x7_f000_0000, 5)
    } else {
        return None;
    };
    Some((unzigzag(raw), bytes))
}

/// Takes a length that may be "null": any negative number, as Apache's reader has it, is given as -1.
#[inline(always)]
pub(super) fn take_len(bytes: &mut &[u8]) -> Option<i32> {
    take_i32(bytes).map(|len| len.max(-1))
}

/// Any length. Takes and gives the bytes by value: a cursor that is lent out of line would live in memory, not in
/// registers, which doubles the cost of a small record.
#[cold]
#[inline(never)]
fn long(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().enumerate().take(I64_BYTES_MAX) {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * index as u32;
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

/// How many bytes `value` takes.
#[inline(always)]
pub(super) fn len_of(value: i64) -> usize {
    let raw = zigzag(value);
    if raw < 0x80 { 1 } else { (70 - raw.leading_zeros() as usize) / 7 }
}

/// Writes `value` at `at`, which must leave room for it and three bytes more, and returns the place behind it.
#[inline(always)]
pub(super) fn put(into: &mut [u8], at: usize, value: i64) -> usize {
    let raw = zigzag(value);
    if raw < 0x80 {
        into[at] = raw as u8;
        return at + 1;
    }
    if raw < 1 << 21
        && let Some((word, bytes)) = word(raw)
    {
        into[at..at + 4].copy_from_slice(&(word as u32).to_le_bytes());
        return at + bytes;
    }
    put_long(into, at, raw)
}

/// A number as it is written, the rest of the word zero, and how many bytes that takes; `None` if those are more than five.
#[inline(always)]
pub(super) fn word(raw: u64) -> Option<(u64, usize)> {
    if raw < 0x80 {
        return Some((raw, 1));
    }
    if raw >= 1 << 35 {
        return None;
    }
    // Two bytes or three, four or five, without asking which: the bits are spread, and the last of them may go unused.
    let three = raw & 0x7f | (raw & 0x3f80) << 1 | (raw & 0x1f_c000) << 2 | 0x80;
    if raw < 1 << 21 {
        let third = u64::from(raw >= 1 << 14);
        return Some((three | third << 15, 2 + third as usize));
    }
    let fifth = u64::from(raw >= 1 << 28);
    let five = three | (raw & 0xfe0_0000) << 3 | (raw & 0x7_f000_0000) << 4 | 0x80_8000 | fifth << 31;
    Some((five, 4 + fifth as usize))
}

#[inline(never)]
fn put_long(into: &mut [u8], mut at: usize, mut raw: u64) -> usize {
    while raw >= 0x80 {
        into[at] = raw as u8 | 0x80;
        raw >>= 7;
        at += 1;
    }
    into[at] = raw as u8;
    at + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERESTING: [i64; 17] = [
        0,
        -1,
        1,
        63,
        -64,
        64,
        -65,
        8191,
        -8192,
        8192,
        i32::MAX as i64,
        i32::MIN as i64,
        i32::MAX as i64 + 1,
        1 << 62,
        i64::MAX,
        i64::MIN,
        -300,
    ];

    #[test]
    fn what_is_put_is_taken_and_measured() {
        for value in INTERESTING {
            let mut buffer = [0u8; I64_BYTES_MAX + 3];
            let end = put(&mut buffer, 0, value);
            assert_eq!(end, len_of(value), "{value}");
            let mut rest = &buffer[..end];
            assert_eq!(take_i64(&mut rest), Some(value));
            assert!(rest.is_empty());
            let mut rest = &buffer[..end];
            assert_eq!(take_i32(&mut rest), i32::try_from(value).ok());
            assert_eq!(take_i64(&mut &buffer[..end - 1]), None, "cut off");
        }
    }

    #[test]
    fn a_word_is_what_is_put() {
        for bits in 0..35 {
            for raw in
                [(1u64 << bits) - 1, 1 << bits, (1 << bits) + 1, (2 << bits) - 1, 0x5_5555_5555 & ((2 << bits) - 1)]
            {
                let mut buffer = [0u8; I64_BYTES_MAX + 3];
                let end = put(&mut buffer, 0, unzigzag(raw));
                let mut whole = [0; 8];
                whole[..end].copy_from_slice(&buffer[..end]);
                assert_eq!(word(raw), Some((u64::from_le_bytes(whole), end)), "{raw:#x}");
            }
        }
    }

    #[test]
    fn the_encoding_is_the_known_one() {
        let mut buffer = [0u8; 5];
        assert_eq!(put(&mut buffer, 0, 300), 2);
        assert_eq!(buffer[..2], [0xd8, 0x04]);
    }

    #[test]
    fn a_number_with_too_many_bits_is_refused() {
        assert_eq!(take_i64(&mut &[0xff; 12][..]), None);
        assert_eq!(take_i64(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02][..]), None);
        assert_eq!(take_i32(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), None);
        assert_eq!(take_i32(&mut &[0xff, 0xff, 0xff, 0xff, 0x0f][..]), Some(i32::MIN));
    }

    #[test]
    fn more_bytes_than_needed_are_accepted() {
        let mut rest = &[0x82, 0x80, 0x00, 7][..];
        assert_eq!((take_i64(&mut rest), rest), (Some(1), &[7u8][..]));
    }
}

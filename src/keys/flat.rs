//! The short way to a field of a usual JSON document: one pass over its bytes, many at a time, and nothing is kept but where
//! the field stands.
//!
//! It answers only if every byte was read and nothing is unusual: the document is an object, the pointer goes through objects
//! to a number, a string, true, false or null, and of each name on its way there is exactly one. For all else, and all that is
//! wrong, it has no answer, and the exact way (`super::json`) says what it is. So it must accept less than that, and never more.
//!
//! Non-obvious: names are compared as they are written, so a name with an escape or beyond ASCII is left to the exact way;
//! strings that are skipped may hold any byte from 0x80 on, as the exact way does not look at those either.

use std::ops::Range;
use wide::u8x16;

/// The deepest nesting of what is skipped: one bit a level.
const DEPTH_MAX: u32 = 64;

/// The value to which `names` lead from the object `document`, as it is written; a string may be no UTF-8.
#[inline]
pub(super) fn find<'a>(document: &'a [u8], names: &[String]) -> Option<&'a [u8]> {
    let text = Text { bytes: document, last: u64::from_le_bytes(*document.last_chunk()?) };
    let (start, _) = text.next(0).filter(|(_, first)| *first == b'{')?;
    let (found, end) = text.object(start + 1, names)?;
    if text.next(end).is_none() { document.get(found) } else { None }
}

#[inline(always)]
fn closing(of_object: bool) -> u8 {
    if of_object { b'}' } else { b']' }
}

/// Most names differ in their length or first byte.
#[inline(always)]
fn bytes_are(bytes: &[u8], name: &str) -> bool {
    bytes.len() == name.len() && bytes.first() == name.as_bytes().first() && bytes == name.as_bytes()
}

/// Which byte is the first at which a string may end or is not usual; above 15 if none is.
#[inline(always)]
fn stop_in<const NAME: bool>(sixteen: &[u8; 16]) -> usize {
    let bytes = u8x16::new(*sixteen);
    let control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    let stops = control | bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'));
    let stops = if NAME { stops | bytes } else { stops };
    stops.to_bitmask().trailing_zeros() as usize
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x80 * ONES;

/// A document of eight bytes or more.
struct Text<'a> {
    bytes: &'a [u8],
    /// Its last eight.
    last: u64,
}

impl Text<'_> {
    #[inline(always)]
    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// Where the value is to which `names` lead from the object whose first member stands at `at`, and where the object ends.
    /// Goes as deep as there are names.
    fn object(&self, mut at: usize, names: &[String]) -> Option<(Range<usize>, usize)> {
        let (wanted, deeper) = names.split_first()?;
        let mut found = None;
        loop {
            let (end, value, first) = self.name(at)?;
            let behind = if !bytes_are(&self.bytes[end.0..end.1], wanted) {
                match first {
                    b'{' | b'[' => self.skip(value, first)?,
                    _ => self.single(value, first)?,
                }
            } else if found.is_some() {
                // Which of two is meant, nobody knows.
                return None;
            } else if deeper.is_empty() {
                let behind = self.single(value, first)?;
                found = Some(value..behind);
                behind
            } else if first == b'{' {
                let (there, behind) = self.object(value + 1, deeper)?;
                found = Some(there);
                behind
            } else {
                return None;
            };
            let (here, byte) = self.next(behind)?;
            at = here + 1;
            match byte {
                b',' => {}
                b'}' => return Some((found?, at)),
                _ => return None,
            }
        }
    }

    /// A member's name, and where its value begins and with what.
    #[inline(always)]
    fn name(&self, at: usize) -> Option<((usize, usize), usize, u8)> {
        let (quote, _) = self.next(at).filter(|(_, byte)| *byte == b'"')?;
        let end = self.string_end::<true>(quote + 1)?;
        let (colon, _) = self.next(end + 1).filter(|(_, byte)| *byte == b':')?;
        let (value, first) = self.next(colon + 1)?;
        Some(((quote + 1, end), value, first))
    }

    /// Where the value ends that begins at `at` with `first`, and is no array and no object.
    #[inline(always)]
    fn single(&self, at: usize, first: u8) -> Option<usize> {
        match first {
            b'"' => Some(self.string_end::<false>(at + 1)? + 1),
            b'-' | b'0'..=b'9' => self.number_end(at, first),
            b't' => self.behind(at, *b"true\0\0\0\0", 4),
            b'f' => self.behind(at, *b"false\0\0\0", 5),
            b'n' => self.behind(at, *b"null\0\0\0\0", 4),
            _ => None,
        }
    }

    /// Where the array or object ends that begins at `at` with `first`, whatever is in it.
    #[inline(never)]
    fn skip(&self, mut at: usize, mut first: u8) -> Option<usize> {
        // The containers around the one at hand, the innermost lowest: whether each is an object.
        let (mut around, mut depth) = (0u64, 0);
        let mut in_object = false;
        loop {
            if let b'{' | b'[' = first {
                if depth == DEPTH_MAX {
                    return None;
                }
                (around, depth) = (around << 1 | u64::from(in_object), depth + 1);
                in_object = first == b'{';
                let (inside, next) = self.next(at + 1)?;
                at = inside;
                if next != closing(in_object) {
                    (at, first) = self.element(at, in_object)?;
                    continue;
                }
            } else {
                at = self.single(at, first)?;
            }
            loop {
                let (here, byte) = self.next(at)?;
                at = here + 1;
                if byte == b',' {
                    break;
                }
                if byte != closing(in_object) {
                    return None;
                }
                (in_object, around, depth) = (around & 1 == 1, around >> 1, depth - 1);
                if depth == 0 {
                    return Some(at);
                }
            }
            (at, first) = self.element(at, in_object)?;
        }
    }

    /// Where the next value begins, and with what: behind its name, if it is a member.
    #[inline(always)]
    fn element(&self, at: usize, in_object: bool) -> Option<(usize, u8)> {
        if in_object { self.name(at).map(|(_, value, first)| (value, first)) } else { self.next(at) }
    }

    /// The first byte from there on that is no space, and where it is.
    #[inline(always)]
    fn next(&self, mut at: usize) -> Option<(usize, u8)> {
        let mut byte = self.byte(at)?;
        if byte <= b' ' {
            at = self.behind_space(at);
            byte = self.byte(at)?;
        }
        Some((at, byte))
    }

    #[inline(never)]
    fn behind_space(&self, at: usize) -> usize {
        let rest = self.bytes.get(at..).unwrap_or_default();
        at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
    }

    /// Eight bytes, the first one lowest; zeros behind the end.
    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        match self.bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => {
                let missing = at + 8 - self.bytes.len();
                if missing < 8 { self.last >> (8 * missing) } else { 0 }
            }
        }
    }

    /// Where the quote stands that ends the string that began before `at`. Of a name only what is written as it is read.
    #[inline(always)]
    fn string_end<const NAME: bool>(&self, at: usize) -> Option<usize> {
        // Most strings are short.
        if let Some(sixteen) = self.sixteen(at)
            && let stop = stop_in::<NAME>(sixteen)
            && sixteen[stop % 16] == b'"'
            && stop < 16
        {
            return Some(at + stop);
        }
        self.far_string_end::<NAME>(at)
    }

    /// The same of one that is long, has an escape or stands near the document's end.
    #[inline(never)]
    fn far_string_end<const NAME: bool>(&self, mut at: usize) -> Option<usize> {
        loop {
            let stop = match self.sixteen(at) {
                Some(sixteen) => match stop_in::<NAME>(sixteen) {
                    stop @ ..16 => at + stop,
                    _ => {
                        at += 16;
                        continue;
                    }
                },
                None => self.stop_near_end::<NAME>(at)?,
            };
            match self.byte(stop)? {
                b'"' => return Some(stop),
                b'\\' if !NAME => match self.byte(stop + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at = stop + 2,
                    _ => return None,
                },
                _ => return None,
            }
        }
    }

    #[inline(always)]
    fn sixteen(&self, at: usize) -> Option<&[u8; 16]> {
        self.bytes.get(at..)?.first_chunk()
    }

    /// The first byte from there on at which to stop, where fewer than sixteen are left.
    #[inline(always)]
    fn stop_near_end<const NAME: bool>(&self, mut at: usize) -> Option<usize> {
        while at < self.bytes.len() {
            let word = self.word(at);
            // In both, the high bit of a byte below 0x80 is set where there is something to stop at, and perhaps above the
            // first such byte. Flipping 2 swaps the quote with the space, and leaves control characters among themselves.
            let quote_or_control = (word ^ (0x02 * ONES)).wrapping_sub(0x21 * ONES);
            let backslash = (word ^ (u64::from(b'\\') * ONES)).wrapping_sub(ONES);
            let stops = if NAME { quote_or_control | backslash | word } else { (quote_or_control | backslash) & !word };
            let stops = stops & HIGH_BITS;
            if stops != 0 {
                return Some(at + (stops.trailing_zeros() / 8) as usize);
            }
            at += 8;
        }
        None
    }

    /// Where the number ends that begins at `at` with `first`.
    #[inline(always)]
    fn number_end(&self, at: usize, first: u8) -> Option<usize> {
        let start = at + usize::from(first == b'-');
        let mut end = self.digits_end(start);
        if end == start || (end > start + 1 && self.byte(start)? == b'0') {
            return None;
        }
        if let Some(b'.' | b'e' | b'E') = self.byte(end) {
            end = self.fraction_end(end)?;
        }
        Some(end)
    }

    #[inline(never)]
    fn fraction_end(&self, mut at: usize) -> Option<usize> {
        let some_digits = |start| Some(self.digits_end(start)).filter(|end| *end > start);
        if self.byte(at) == Some(b'.') {
            at = some_digits(at + 1)?;
        }
        if let Some(b'e' | b'E') = self.byte(at) {
            let sign = matches!(self.byte(at + 1), Some(b'+' | b'-'));
            at = some_digits(at + 1 + usize::from(sign))?;
        }
        Some(at)
    }

    #[inline(always)]
    fn digits_end(&self, mut at: usize) -> usize {
        loop {
            // Digits have 3 in their high half, also with 6 added.
            let word = self.word(at) ^ (0x30 * ONES);
            let stops = (word | word.wrapping_add(0x06 * ONES)) & (0xf0 * ONES);
            if stops != 0 {
                return at + (stops.trailing_zeros() / 8) as usize;
            }
            at += 8;
        }
    }

    /// Behind the word of `len` bytes that must stand at `at`.
    #[inline(always)]
    fn behind(&self, at: usize, word: [u8; 8], len: usize) -> Option<usize> {
        (self.word(at) << (64 - 8 * len) == u64::from_le_bytes(word) << (64 - 8 * len)).then_some(at + len)
    }
}

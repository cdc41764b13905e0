//! The short way to a field of a usual JSON document: one pass over its bytes, many at a time, and nothing is kept but where
//! the field stands.
//!
//! It answers only if every byte was read and nothing is unusual: the document is an object, the pointer goes through objects
//! to a number, a string, true, false or null, and of each name on its way there is exactly one. For all else, and all that is
//! wrong, it has no answer, and the exact way (`super::json`) says what it is. So it must accept less than that, and never more.
//!
//! Non-obvious: names are compared as they are written, so a name with an escape or beyond ASCII is left to the exact way;
//! strings that are skipped may hold any byte from 0x80 on, as the exact way does not look at those either.
//!
//! What is still to be read is a slice, cut from the front: how far it reaches is checked once for all that is loaded from its
//! front. Near its end, the last sixteen bytes of the document are loaded instead, and those before the place are shifted out.
//! Space is looked for only where what should stand there does not.

use std::ops::Range;
use wide::u8x16;

/// The deepest nesting of what is skipped: one bit a level.
const DEPTH_MAX: u32 = 64;

/// The value to which `names` lead from the object `document`, as it is written; a string may be no UTF-8.
#[inline]
pub(super) fn find<'a>(document: &'a [u8], names: &[String]) -> Option<&'a [u8]> {
    let found = match document.last_chunk() {
        Some(last) => Text { bytes: document, last }.find(names),
        None => find_in_short(document, names),
    };
    document.get(found?)
}

/// Where it is in a document of fewer than sixteen bytes: space behind it makes it as long.
#[inline(never)]
fn find_in_short(document: &[u8], names: &[String]) -> Option<Range<usize>> {
    let mut longer = [b' '; 16];
    longer.get_mut(..document.len())?.copy_from_slice(document);
    Text { bytes: &longer, last: &longer }.find(names)
}

#[inline(always)]
fn closing(of_object: bool) -> u8 {
    if of_object { b'}' } else { b']' }
}

/// Most names differ in their length or first byte.
#[inline(always)]
fn is(name: &[u8], wanted: &[u8]) -> bool {
    name.len() == wanted.len() && name.first() == wanted.first() && name == wanted
}

/// A bit for each byte at which a string may end or is not usual, the first byte lowest.
#[inline(always)]
fn stops_in<const NAME: bool>(sixteen: &[u8; 16]) -> u32 {
    let bytes = u8x16::new(*sixteen);
    // Flipping 2 swaps the quote with the space, and leaves control characters among themselves.
    let flipped = bytes ^ u8x16::splat(2);
    let quote_or_control = flipped.min(u8x16::splat(0x20)).simd_eq(flipped);
    let stops = quote_or_control | bytes.simd_eq(u8x16::splat(b'\\'));
    let stops = if NAME { stops | bytes } else { stops };
    stops.to_bitmask()
}

/// What is behind the `BYTE` that must come next.
#[inline(always)]
fn behind<const BYTE: u8>(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [first, rest @ ..] if *first == BYTE => Some(rest),
        _ => without_space(rest).strip_prefix(&[BYTE]),
    }
}

/// The next byte that is no space, and what is from there on.
#[inline(always)]
fn next(rest: &[u8]) -> Option<(u8, &[u8])> {
    let first = *rest.first()?;
    if first > b' ' {
        return Some((first, rest));
    }
    let rest = without_space(rest);
    Some((*rest.first()?, rest))
}

#[inline(never)]
fn without_space(rest: &[u8]) -> &[u8] {
    let spaces = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    &rest[spaces..]
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// A document of sixteen bytes or more. What its functions are given to read reaches to its end.
#[derive(Clone, Copy)]
struct Text<'a> {
    bytes: &'a [u8],
    last: &'a [u8; 16],
}

impl Text<'_> {
    #[inline(always)]
    fn find(self, names: &[String]) -> Option<Range<usize>> {
        let (found, rest) = self.object(behind::<b'{'>(self.bytes)?, names)?;
        if rest.is_empty() || without_space(rest).is_empty() { Some(found) } else { None }
    }

    /// Where the value is to which `names` lead from the object whose first member begins `rest`, and what is behind the object.
    /// Goes as deep as there are names.
    #[inline(never)]
    fn object<'b>(self, mut rest: &'b [u8], names: &[String]) -> Option<(Range<usize>, &'b [u8])> {
        let (wanted, deeper) = names.split_first()?;
        let wanted = wanted.as_bytes();
        let mut found = None;
        loop {
            let (name, value) = self.name(rest)?;
            let behind = if !is(name, wanted) {
                self.value(value)?
            } else if found.is_some() {
                // Which of two is meant, nobody knows.
                return None;
            } else {
                let (first, value) = next(value)?;
                if deeper.is_empty() {
                    let behind = self.single(value, first)?;
                    found = Some(self.bytes.len() - value.len()..self.bytes.len() - behind.len());
                    behind
                } else if first == b'{' {
                    let (there, behind) = self.object(&value[1..], deeper)?;
                    found = Some(there);
                    behind
                } else {
                    return None;
                }
            };
            rest = match behind {
                [b',', rest @ ..] => rest,
                _ => match next(behind)? {
                    (b',', from) => &from[1..],
                    (b'}', from) => return Some((found?, &from[1..])),
                    _ => return None,
                },
            }
        }
    }

    /// A member's name, and what is behind its colon.
    #[inline(always)]
    fn name(self, rest: &[u8]) -> Option<(&[u8], &[u8])> {
        let name = behind::<b'"'>(rest)?;
        let (len, rest) = self.string::<true>(name)?;
        Some((&name[..len], behind::<b':'>(rest)?))
    }

    /// What is behind the value that comes next, whatever it is.
    #[inline(always)]
    fn value(self, rest: &[u8]) -> Option<&[u8]> {
        if let [b'"', text @ ..] = rest {
            return Some(self.string::<false>(text)?.1);
        }
        match next(rest)? {
            (first @ (b'{' | b'['), rest) => self.skip(rest, first),
            (first, rest) => self.single(rest, first),
        }
    }

    /// What is behind the value that begins `rest` with `first`, and is no array and no object.
    #[inline(always)]
    fn single(self, rest: &[u8], first: u8) -> Option<&[u8]> {
        match first {
            b'-' | b'0'..=b'9' => self.behind_number(rest, first),
            b'"' => Some(self.string::<false>(&rest[1..])?.1),
            b't' => rest.strip_prefix(b"true"),
            b'f' => rest.strip_prefix(b"false"),
            b'n' => rest.strip_prefix(b"null"),
            _ => None,
        }
    }

    /// What is behind the array or object that begins `rest` with `first`, whatever is in it.
    #[inline(never)]
    fn skip(self, mut rest: &[u8], mut first: u8) -> Option<&[u8]> {
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
                (first, rest) = next(&rest[1..])?;
                if first != closing(in_object) {
                    if in_object {
                        (first, rest) = next(self.name(rest)?.1)?;
                    }
                    continue;
                }
            } else {
                rest = self.single(rest, first)?;
            }
            loop {
                let (byte, from) = next(rest)?;
                rest = &from[1..];
                if byte == b',' {
                    break;
                }
                if byte != closing(in_object) {
                    return None;
                }
                (in_object, around, depth) = (around & 1 == 1, around >> 1, depth - 1);
                if depth == 0 {
                    return Some(rest);
                }
            }
            (first, rest) = next(if in_object { self.name(rest)?.1 } else { rest })?;
        }
    }

    /// How long the string is whose opening quote stood before `rest`, up to its closing one, and what is behind that. Of a
    /// name only what is written as it is read.
    #[inline(always)]
    fn string<const NAME: bool>(self, rest: &[u8]) -> Option<(usize, &[u8])> {
        // Most strings are short.
        if let Some(sixteen) = rest.first_chunk::<16>() {
            let stops = stops_in::<NAME>(sixteen);
            let stop = stops.trailing_zeros() as usize % 16;
            if stops != 0 && sixteen[stop] == b'"' {
                return Some((stop, &rest[stop + 1..]));
            }
        }
        let behind = self.behind_far_string::<NAME>(rest)?;
        Some((rest.len() - behind.len() - 1, behind))
    }

    /// What is behind one that is long, has an escape or stands near the document's end.
    #[inline(never)]
    fn behind_far_string<const NAME: bool>(self, mut rest: &[u8]) -> Option<&[u8]> {
        loop {
            let stops = self.stops::<NAME>(rest);
            if stops == 0 {
                rest = rest.get(16..)?;
                continue;
            }
            match rest.get(stops.trailing_zeros() as usize..)? {
                [b'"', behind @ ..] => return Some(behind),
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', behind @ ..] if !NAME => rest = behind,
                _ => return None,
            }
        }
    }

    /// Where to stop in the next sixteen bytes, or as many as there are.
    #[inline(always)]
    fn stops<const NAME: bool>(self, rest: &[u8]) -> u32 {
        match rest.first_chunk() {
            Some(sixteen) => stops_in::<NAME>(sixteen),
            None => stops_in::<NAME>(self.last) >> (16 - rest.len()),
        }
    }

    /// What is behind the number that begins `rest` with `first`.
    #[inline(always)]
    fn behind_number(self, rest: &[u8], first: u8) -> Option<&[u8]> {
        let digits = if first == b'-' { &rest[1..] } else { rest };
        let behind = self.behind_digits(digits)?;
        let count = digits.len() - behind.len();
        if count > 1 && digits[0] == b'0' {
            return None;
        }
        if let Some(b'.' | b'e' | b'E') = behind.first() { self.behind_fraction(behind) } else { Some(behind) }
    }

    #[inline(never)]
    fn behind_fraction(self, mut rest: &[u8]) -> Option<&[u8]> {
        if let [b'.', digits @ ..] = rest {
            rest = self.behind_digits(digits)?;
        }
        if let [b'e' | b'E', digits @ ..] = rest {
            let sign = matches!(digits.first(), Some(b'+' | b'-'));
            rest = self.behind_digits(&digits[usize::from(sign)..])?;
        }
        Some(rest)
    }

    /// What is behind the digits at the front, of which there must be one at least.
    #[inline(always)]
    fn behind_digits(self, rest: &[u8]) -> Option<&[u8]> {
        let count = self.digits(rest);
        match count {
            0 => None,
            8 => self.behind_more_digits(&rest[8..]),
            count => rest.get(count..),
        }
    }

    #[inline(never)]
    fn behind_more_digits(self, mut rest: &[u8]) -> Option<&[u8]> {
        loop {
            let count = self.digits(rest);
            rest = rest.get(count..)?;
            if count < 8 {
                return Some(rest);
            }
        }
    }

    /// How many digits are at the front, up to eight.
    #[inline(always)]
    fn digits(self, rest: &[u8]) -> usize {
        let word = match rest.first_chunk() {
            Some(chunk) => u64::from_le_bytes(*chunk),
            // Zeros come in behind the end. It may be all 64 bits: twice half of it.
            None => {
                let half = 4 * (8 - rest.len());
                let [.., word] = *self.last.as_chunks().0 else { return 0 };
                (u64::from_le_bytes(word) >> half) >> half
            }
        };
        // Digits have 3 in their high half, also with 6 added.
        let word = word ^ (0x30 * ONES);
        let stops = (word | word.wrapping_add(0x06 * ONES)) & (0xf0 * ONES);
        (stops.trailing_zeros() / 8) as usize
    }
}

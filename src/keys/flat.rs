//! The short way to a field of a usual JSON document: one pass over its bytes, many at a time, and nothing is kept but where
//! the field stands.
//!
//! It answers only if every byte was read and nothing is unusual: the document is an object, the pointer goes through objects
//! to a number, a string, true, false or null, and of each name on its way there is exactly one. For all else, and all that is
//! wrong, it has no answer, and the exact way (`super::json`) says what it is. So it must accept less than that, and never more.
//!
//! Non-obvious: names are compared as they are written, so a name with an escape or beyond ASCII is left to the exact way;
//! strings that are skipped may hold any byte from 0x80 on, as the exact way does not look at those either.

use wide::u8x16;

/// The deepest nesting that is followed: one bit a level.
const DEPTH_MAX: u32 = 64;

/// The value to which `names` lead from the object `document`, as it is written; a string may be no UTF-8.
#[inline]
pub(super) fn find<'a>(document: &'a [u8], names: &[String]) -> Option<&'a [u8]> {
    let text = Text { bytes: document, last: u64::from_le_bytes(*document.last_chunk()?) };
    let (mut at, _) = text.next(0).filter(|(_, first)| *first == b'{')?;
    (at, _) = text.next(at + 1)?;
    let mut in_object = true;
    // The containers around this one, the innermost lowest: whether each is an object.
    let (mut around, mut depth) = (0u64, 0u32);
    // How many names were found, and how many of the objects they lead to are open.
    let (mut met, mut entered) = (0, 0u32);
    let mut found = None;
    loop {
        let mut wanted = false;
        if in_object {
            let start = at + 1;
            let end = (text.byte(at)? == b'"').then(|| text.string_end::<true>(start))??;
            if depth == entered && bytes_are(&document[start..end], names.get(depth as usize)?) {
                // A second one of this name?
                if met > depth {
                    return None;
                }
                (met, wanted) = (met + 1, true);
            }
            let (colon, _) = text.next(end + 1).filter(|(_, byte)| *byte == b':')?;
            (at, _) = text.next(colon + 1)?;
        }
        let start = at;
        let first = text.byte(at)?;
        let is_last = met as usize == names.len();
        match first {
            b'"' => at = text.string_end::<false>(at + 1)? + 1,
            b'-' | b'0'..=b'9' => at = text.number_end(at, first)?,
            b'{' | b'[' => {
                if depth + 1 == DEPTH_MAX || (wanted && (is_last || first == b'[')) {
                    return None;
                }
                entered += u32::from(wanted);
                (around, depth) = (around << 1 | u64::from(in_object), depth + 1);
                in_object = first == b'{';
                let (behind, next) = text.next(at + 1)?;
                at = behind;
                if next != closing(in_object) {
                    continue;
                }
                wanted = false;
            }
            b't' => at = text.behind(at, *b"true\0\0\0\0", 4)?,
            b'f' => at = text.behind(at, *b"false\0\0\0", 5)?,
            b'n' => at = text.behind(at, *b"null\0\0\0\0", 4)?,
            _ => return None,
        }
        if wanted {
            if !is_last {
                return None;
            }
            found = Some(&document[start..at]);
        }
        loop {
            let (here, byte) = text.next(at)?;
            at = here + 1;
            if byte == b',' {
                break;
            }
            if byte != closing(in_object) {
                return None;
            }
            if depth == 0 {
                return if text.next(at).is_none() { found } else { None };
            }
            entered -= u32::from(entered == depth);
            (in_object, around, depth) = (around & 1 == 1, around >> 1, depth - 1);
        }
        (at, _) = text.next(at)?;
    }
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

    /// The first byte from there on that is no space, and where it is.
    #[inline(always)]
    fn next(&self, at: usize) -> Option<(usize, u8)> {
        let byte = self.byte(at)?;
        if byte > b' ' { Some((at, byte)) } else { self.next_behind_space(at) }
    }

    #[inline(never)]
    fn next_behind_space(&self, at: usize) -> Option<(usize, u8)> {
        let spaces =
            self.bytes.get(at..)?.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        Some((at + spaces, self.byte(at + spaces)?))
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
    fn string_end<const NAME: bool>(&self, mut at: usize) -> Option<usize> {
        loop {
            let stop = match self.bytes.get(at..).and_then(|rest| rest.first_chunk()) {
                Some(sixteen) => {
                    let bytes = u8x16::new(*sixteen);
                    let control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
                    let quote_or_backslash = bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'));
                    let stops = control | quote_or_backslash;
                    let stops = if NAME { stops | bytes } else { stops }.to_bitmask();
                    if stops == 0 {
                        at += 16;
                        continue;
                    }
                    at + stops.trailing_zeros() as usize
                }
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

#[cfg(test)]
mod tests;

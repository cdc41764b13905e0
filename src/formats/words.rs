//! What a word is: bytes between white space. White space is what Python's `str.split()` takes for it: Unicode's, and the four
//! separators U+001C to U+001F. So the counts of the two agree, also on text that is not UTF-8 (there with `errors="replace"`,
//! since what is no UTF-8 is no white space either).
//!
//! Text is looked at 64 bytes at a time, a bit for each that may be white space; so a processor need not guess how long a word
//! is. A word of up to eight bytes is also told as a number, which is how `stats` keeps it.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = ONES << 7;

/// Bytes that are looked at together.
const BLOCK_BYTES: usize = 64;

/// The longest word that is also a number.
pub const SHORT_BYTES_MAX: usize = 8;

/// A word where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'a> {
    /// All of it; never empty.
    pub bytes: &'a [u8],
    /// Its first eight bytes, the first one lowest, zeros behind a shorter word.
    pub head: u64,
}

impl<'a> Word<'a> {
    /// These bytes.
    #[inline(always)]
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, head: load(bytes, 0) }
    }
}

/// Lends each word of `text` to `take`, in order.
#[inline(always)]
pub fn each_word<'a>(text: &'a [u8], mut take: impl FnMut(Word<'a>)) {
    // Where the word at hand begins, or the next one may.
    let mut start = 0;
    let mut block = 0;
    while block < text.len() {
        let mut doubtful = doubtful_in(text, block);
        while doubtful != 0 {
            let at = block + doubtful.trailing_zeros() as usize;
            doubtful &= doubtful - 1;
            let space = space_at(text, at);
            // What is left of a wide one is before the start.
            if space == 0 || at < start {
                continue;
            }
            if at > start {
                take(word(text, start, at));
            }
            start = at + space;
        }
        block += BLOCK_BYTES;
    }
    if start < text.len() {
        take(word(text, start, text.len()));
    }
}

/// How many words there are in `text`.
pub fn count_words(text: &[u8]) -> u64 {
    let mut count = 0;
    each_word(text, |_| count += 1);
    count
}

#[inline(always)]
fn word(text: &[u8], start: usize, end: usize) -> Word<'_> {
    let bytes = &text[start..end];
    let head = load(text, start);
    Word { bytes, head: if bytes.len() < 8 { head & !(u64::MAX << (8 * bytes.len())) } else { head } }
}

/// A bit, the first byte's lowest, for each of the 64 bytes from `at` on that may be white space or its beginning: those below
/// 0x21, and those that are not ASCII.
#[inline(always)]
fn doubtful_in(text: &[u8], at: usize) -> u64 {
    let rest = &text[at..];
    if let Some(block) = rest.first_chunk::<BLOCK_BYTES>() {
        let (eights, _) = block.as_chunks::<8>();
        let bits = eights.iter().rev().fold(0, |bits, eight| bits << 8 | doubtful(u64::from_le_bytes(*eight)));
        return bits;
    }
    let (eights, last) = rest.as_chunks::<8>();
    // Behind the end are zeros, which are none.
    let bits = if last.is_empty() { 0 } else { doubtful(load_last(last)) & !(u64::MAX << last.len()) };
    eights.iter().rev().fold(bits, |bits, eight| bits << 8 | doubtful(u64::from_le_bytes(*eight)))
}

/// The eight bytes from `at` on, the first one lowest; zeros behind the end.
#[inline(always)]
fn load(text: &[u8], at: usize) -> u64 {
    let rest = text.get(at..).unwrap_or_default();
    match rest.first_chunk::<8>() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => load_last(rest),
    }
}

/// The same of fewer than eight bytes: without a call to copy them, and without a loop.
#[inline(always)]
fn load_last(rest: &[u8]) -> u64 {
    let len = rest.len();
    if let (Some(first), Some(last)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        // Where the two overlap they agree.
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (len - 4));
    }
    match rest {
        [] => 0,
        [a] => u64::from(*a),
        [a, b] => u64::from(u16::from_le_bytes([*a, *b])),
        [a, b, c, ..] => u64::from(u32::from_le_bytes([*a, *b, *c, 0])),
    }
}

/// The same of eight bytes, in eight bits.
#[inline(always)]
fn doubtful(eight: u64) -> u64 {
    // The high bit of a byte's sum says whether its low seven are 0x21 or more; no sum reaches into the next byte.
    let word_or_wide = (eight & !HIGH) + (0x80 - 0x21) * ONES;
    let marks = (!word_or_wide | eight) & HIGH;
    // Brings the eight high bits together.
    (marks >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// How many bytes the white space at `at` takes; 0 if there is none.
#[inline(always)]
fn space_at(text: &[u8], at: usize) -> usize {
    match text[at] {
        0x09..=0x0d | 0x1c..=0x20 => 1,
        0xc2 | 0xe1..=0xe3 => wide_space_at(&text[at..]),
        _ => 0,
    }
}

fn wide_space_at(rest: &[u8]) -> usize {
    match rest {
        // Next line, and the space that does not break.
        [0xc2, 0x85 | 0xa0, ..] => 2,
        // Ogham's; the en quad to the hair space, the separators of lines and paragraphs, the narrow space that does not
        // break; mathematics' space; the ideographic one.
        [0xe1, 0x9a, 0x80, ..]
        | [0xe2, 0x80, 0x80..=0x8a | 0xa8 | 0xa9 | 0xaf, ..]
        | [0xe2, 0x81, 0x9f, ..]
        | [0xe3, 0x80, 0x80, ..] => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &[u8]) -> Vec<&[u8]> {
        let mut found = Vec::new();
        each_word(text, |word| {
            let mut head = [0; 8];
            let len = word.bytes.len().min(8);
            head[..len].copy_from_slice(&word.bytes[..len]);
            assert_eq!(word.head, u64::from_le_bytes(head), "{:?}", word.bytes);
            found.push(word.bytes);
        });
        found
    }

    /// Python's str.isspace: Unicode's White_Space (which is what Rust has) and the four separators.
    fn is_space(c: char) -> bool {
        c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
    }

    #[test]
    fn every_character_parts_words_or_does_not_as_in_python() {
        let mut spaces = 0;
        for c in '\0'..=char::MAX {
            let text = format!("a{c}b");
            let parts = words(text.as_bytes()).len();
            assert_eq!(parts == 2, is_space(c), "U+{:04X}", u32::from(c));
            spaces += usize::from(parts == 2);
        }
        assert_eq!(spaces, 29);
    }

    #[test]
    fn words_are_what_stands_between() {
        assert_eq!(words(b""), [b""; 0]);
        assert_eq!(words(b" \t\r\n "), [b""; 0]);
        assert_eq!(words(b"one"), [b"one"]);
        assert_eq!((count_words(b""), count_words(b" one two\x1cthree")), (0, 3));
        assert_eq!(words(b"  two  words "), [b"two".as_slice(), b"words"]);
        assert_eq!(words(b"exactly8 ninebytes"), [b"exactly8".as_slice(), b"ninebytes"]);
        assert_eq!(words(b"a\0b \0"), [b"a\0b".as_slice(), b"\0"], "a zero is no space");
    }

    #[test]
    fn what_is_no_utf8_is_no_space() {
        assert_eq!(words(b"\xff\xfe a\xc2"), [b"\xff\xfe".as_slice(), b"a\xc2"]);
        assert_eq!(words(b"\xe2\x80"), [b"\xe2\x80"], "cut off");
        assert_eq!(words(b"\xe2 x"), [b"\xe2".as_slice(), b"x"]);
    }

    proptest! {
        #[test]
        fn any_text_parts_as_its_characters_say(text in "[a-c\u{e9}\u{3000}\u{85}\u{2003}\u{10348}\u{1c} \n!]{0,40}") {
            let expected: Vec<&[u8]> = text.split(is_space).filter(|w| !w.is_empty()).map(str::as_bytes).collect();
            prop_assert_eq!(words(text.as_bytes()), expected);
        }

        #[test]
        fn any_bytes_part_as_their_replaced_text_does(bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b' '), Just(0xc2), Just(0xa0), Just(0xe2), Just(0x80), Just(b'a')], 0..40,
        )) {
            let replaced = String::from_utf8_lossy(&bytes);
            let expected = replaced.split(is_space).filter(|word| !word.is_empty()).count();
            prop_assert_eq!(words(&bytes).len(), expected);
        }
    }
}

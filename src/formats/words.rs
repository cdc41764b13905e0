//! What a word is: bytes between white space. White space is what Python's `str.split()` takes for it: Unicode's, and the four
//! separators U+001C to U+001F. So the counts of the two agree, also on text that is not UTF-8 (there with `errors="replace"`,
//! since what is no UTF-8 is no white space either).
//!
//! Text is looked at 64 bytes at a time, a bit for each that may be white space; so a processor need not guess how long a word
//! is. Nor need it to take one: a word of up to fifteen bytes is told as a number as well, cut out of the text by sums alone.

/// Bytes that are looked at together.
const BLOCK_BYTES: usize = 64;

/// The longest word that is also a number.
pub const SHORT_BYTES_MAX: usize = HEAD_BYTES - 1;

const HEAD_BYTES: usize = size_of::<u128>();
/// Where a short word's number has its length.
const LEN_SHIFT: usize = 8 * SHORT_BYTES_MAX;

/// What of a head are the bytes of a word of that length.
const BYTES_OF: [u128; HEAD_BYTES] = {
    let mut masks = [0; HEAD_BYTES];
    let mut len = 1;
    while len < HEAD_BYTES {
        masks[len] = masks[len - 1] << 8 | 0xff;
        len += 1;
    }
    masks
};

/// A word where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'a> {
    /// All of it; never empty.
    pub bytes: &'a [u8],
    /// A short word as a number that no other one has: its bytes, the first one lowest, then zeros, its length in the topmost.
    /// Zero for a longer one.
    pub head: u128,
}

impl<'a> Word<'a> {
    /// These bytes.
    #[inline]
    pub fn of(bytes: &'a [u8]) -> Self {
        let mut padded = [0; HEAD_BYTES];
        match padded.get_mut(..bytes.len()) {
            Some(start) => start.copy_from_slice(bytes),
            None => return Self { bytes, head: 0 },
        }
        Self { bytes, head: head(&padded, 0, bytes.len()) }
    }
}

/// How long the word of this head is; 0 if it is not a short one.
#[inline(always)]
pub fn len_of_head(head: u128) -> usize {
    (head >> LEN_SHIFT) as usize
}

/// The head of a word of up to eight bytes, by what is in it of them.
#[inline(always)]
pub fn head_of(bytes: u64, len: usize) -> u128 {
    u128::from(bytes) | (len as u128) << LEN_SHIFT
}

/// The head of a word in `text`, which has sixteen bytes at least.
#[inline(always)]
fn head(text: &[u8], start: usize, len: usize) -> u128 {
    let Some(bytes) = BYTES_OF.get(len) else { return 0 };
    // Near the end it is read from further in front, and what is too much shifted out.
    let from = start.min(text.len() - HEAD_BYTES);
    let sixteen = text[from..].first_chunk::<HEAD_BYTES>().map_or(0, |bytes| u128::from_le_bytes(*bytes));
    sixteen >> (8 * (start - from)) & bytes | (len as u128) << LEN_SHIFT
}

/// Lends each word of `text` to `take`, in order.
#[inline(always)]
pub fn each_word<'a>(text: &'a [u8], mut take: impl FnMut(Word<'a>)) {
    // A text shorter than a block is put where one can be read.
    let mut padded = [b'x'; BLOCK_BYTES];
    let whole = match padded.get_mut(..text.len()) {
        Some(start) => {
            start.copy_from_slice(text);
            &padded[..]
        }
        None => text,
    };
    // Where the word at hand begins, or the next one may.
    let mut start = 0;
    let mut block = 0;
    while block <= text.len() {
        let mut doubtful = doubtful_in(whole, block);
        // The end of the text parts words like white space.
        if text.len() - block < BLOCK_BYTES {
            doubtful |= 1 << (text.len() - block);
        }
        while doubtful != 0 {
            let at = block + doubtful.trailing_zeros() as usize;
            doubtful &= doubtful - 1;
            let space = space_at(text, at);
            // What is left of a wide one is before the start.
            if space == 0 || at < start {
                continue;
            }
            if at > start {
                let bytes = &text[start..at];
                take(Word { bytes, head: head(whole, start, bytes.len()) });
            }
            start = at + space;
        }
        block += BLOCK_BYTES;
    }
}

/// How many words there are in `text`.
pub fn count_words(text: &[u8]) -> u64 {
    let mut count = 0;
    each_word(text, |_| count += 1);
    count
}

/// A bit, the first byte's lowest, for each of the 64 bytes from `at` on that may be white space or its beginning. The text has a
/// block at least; the last one is read together with what is in front of it.
#[inline(always)]
fn doubtful_in(text: &[u8], at: usize) -> u64 {
    let from = at.min(text.len() - BLOCK_BYTES);
    let Some(block) = text[from..].first_chunk::<BLOCK_BYTES>() else { return 0 };
    // A byte for each, which compilers know how to do for many at once,
    let marks: [u8; BLOCK_BYTES] = std::array::from_fn(|at| u8::from(is_doubtful(block[at])));
    // then eight of them brought together by a product.
    let (eights, _) = marks.as_chunks::<8>();
    let bits = eights
        .iter()
        .rev()
        .fold(0, |bits, eight| bits << 8 | u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56);
    bits.checked_shr((at - from) as u32).unwrap_or(0)
}

/// Whether a byte is below 0x21, or what a wide space begins with (0xc2, 0xe1 to 0xe3; and 0xe0, for the sake of fewer steps).
#[inline(always)]
fn is_doubtful(byte: u8) -> bool {
    (byte <= b' ') | (byte == 0xc2) | (byte & 0xfc == 0xe0)
}

/// How many bytes the white space at `at` takes, or the end, as if it were one; 0 if there is none.
#[inline(always)]
fn space_at(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        None | Some(0x09..=0x0d | 0x1c..=0x20) => 1,
        Some(0xc2 | 0xe1..=0xe3) => wide_space_at(&text[at..]),
        Some(_) => 0,
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
            let mut head = [0; 16];
            let len = word.bytes.len();
            if len <= SHORT_BYTES_MAX {
                head[..len].copy_from_slice(word.bytes);
                head[15] = len as u8;
            }
            assert_eq!(word.head, u128::from_le_bytes(head), "{:?}", word.bytes);
            assert_eq!((Word::of(word.bytes), len_of_head(word.head)), (word, usize::from(head[15])));
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
        fn any_text_parts_as_its_characters_say(text in "[a-c\u{e9}\u{3000}\u{85}\u{2003}\u{10348}\u{1c} \n!]{0,120}") {
            let expected: Vec<&[u8]> = text.split(is_space).filter(|w| !w.is_empty()).map(str::as_bytes).collect();
            prop_assert_eq!(words(text.as_bytes()), expected);
        }

        #[test]
        fn any_bytes_part_as_their_replaced_text_does(bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b' '), Just(0xc2), Just(0xa0), Just(0xe2), Just(0x80), Just(b'a')], 0..150,
        )) {
            let replaced = String::from_utf8_lossy(&bytes);
            let expected = replaced.split(is_space).filter(|word| !word.is_empty()).count();
            prop_assert_eq!(words(&bytes).len(), expected);
        }
    }
}

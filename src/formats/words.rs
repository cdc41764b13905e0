//! What a word is: bytes between white space. White space is what Python's `str.split()` takes for it: Unicode's, and the four
//! separators U+001C to U+001F. So the counts of the two agree, also on text that is not UTF-8 (there with `errors="replace"`,
//! since what is no UTF-8 is no white space either).
//!
//! Text is looked at 64 bytes at a time, a bit for each that is white space (`spaces.rs`). A word of up to fifteen bytes is told
//! as a number as well. Who has many texts parts them as one (`joined.rs`).

mod joined;
mod spaces;

pub use joined::Joined;

use spaces::{BLOCK_BYTES, Spaces};

/// The longest word that is also a number.
pub const SHORT_BYTES_MAX: usize = HEAD_BYTES - 1;

const HEAD_BYTES: usize = size_of::<u128>();
/// Where a short word's number has its length.
const LEN_SHIFT: usize = 8 * SHORT_BYTES_MAX;

/// What of a head are a short word's bytes, in its two halves, and its length in the upper one.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct OfLen {
    low: u64,
    high: u64,
    len: u64,
}

const OF_LEN: [OfLen; HEAD_BYTES] = {
    let mut masks = [OfLen { low: 0, high: 0, len: 0 }; HEAD_BYTES];
    let mut len = 1;
    while len < HEAD_BYTES {
        let bytes = u128::MAX >> (8 * (HEAD_BYTES - len));
        masks[len] = OfLen { low: bytes as u64, high: (bytes >> 64) as u64, len: (len as u64) << (LEN_SHIFT - 64) };
        len += 1;
    }
    masks
};

/// Takes words, of which a short one is no more than its head.
pub trait TakeWords {
    /// A short one.
    fn short(&mut self, head: u128);
    /// A longer one.
    fn longer(&mut self, bytes: &[u8]);
}

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
    /// Whether it has a head.
    #[inline(always)]
    pub fn is_short(&self) -> bool {
        self.bytes.len() <= SHORT_BYTES_MAX
    }

    /// The short word of this head, whose bytes are put there.
    #[cfg(test)]
    pub fn of_head(head: u128, bytes: &'a mut [u8; 16]) -> Self {
        *bytes = head.to_le_bytes();
        Self { bytes: bytes.get(..len_of_head(head)).unwrap_or_default(), head }
    }

    /// These bytes.
    #[inline]
    pub fn of(bytes: &'a [u8]) -> Self {
        let mut padded = [0; HEAD_BYTES];
        match padded.get_mut(..bytes.len()) {
            Some(start) => start.copy_from_slice(bytes),
            None => return Self { bytes, head: 0 },
        }
        Self { bytes, head: head(&padded, bytes.len()) }
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

/// The head of a word of this length that begins there, zero for a longer one.
#[inline(always)]
fn head(sixteen: &[u8; HEAD_BYTES], len: usize) -> u128 {
    let Some(OfLen { low, high, len }) = OF_LEN.get(len) else { return 0 };
    let bytes = u128::from_le_bytes(*sixteen);
    u128::from(bytes as u64 & low) | u128::from((bytes >> 64) as u64 & high | len) << 64
}

/// The word that stands there.
#[inline(always)]
fn word_at(text: &[u8], start: usize, end: usize) -> Word<'_> {
    let bytes = &text[start..end];
    match text[start..].first_chunk() {
        Some(sixteen) => Word { bytes, head: head(sixteen, bytes.len()) },
        None => Word::of(bytes),
    }
}

/// Lends each word of `text` to `take`, in order.
pub fn each_word<'a>(text: &'a [u8], mut take: impl FnMut(Word<'a>)) {
    let mut spaces = Spaces::default();
    // Where the word at hand begins, or the next one may.
    let mut start = 0;
    for (at, block) in (0..).step_by(BLOCK_BYTES).zip(text.chunks(BLOCK_BYTES)) {
        let mut found = match block.as_array() {
            Some(block) => spaces.of_block(block, &text[at + BLOCK_BYTES..]),
            None => spaces.of_last(block),
        };
        while found != 0 {
            let end = at + found.trailing_zeros() as usize;
            if end > start {
                take(word_at(text, start, end));
            }
            start = end + 1;
            found &= found - 1;
        }
    }
    if start < text.len() {
        take(word_at(text, start, text.len()));
    }
}

/// How many words there are in `text`.
pub fn count_words(text: &[u8]) -> u64 {
    let mut count = 0;
    each_word(text, |_| count += 1);
    count
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
            assert_eq!(word.is_short(), word.head != 0);
            found.push(word.bytes);
        });
        found
    }

    struct Taken<'a>(&'a mut Vec<Vec<u8>>);

    impl TakeWords for Taken<'_> {
        fn short(&mut self, head: u128) {
            let mut bytes = [0; 16];
            let word = Word::of_head(head, &mut bytes);
            assert_eq!(word, Word::of(word.bytes));
            self.0.push(word.bytes.to_vec());
        }

        fn longer(&mut self, bytes: &[u8]) {
            assert_eq!(Word::of(bytes).head, 0);
            self.0.push(bytes.to_vec());
        }
    }

    /// The words of texts that are joined, as often as they have room; each `apart` of them are a part.
    fn joined(texts: &[Vec<u8>], apart: usize) -> Vec<Vec<u8>> {
        let (mut joined, mut found, mut ends) = (Joined::with_room(10_000), Vec::new(), Vec::new());
        let mut part = |joined: &mut Joined, ends: &mut Vec<usize>| {
            ends.push(joined.end_part());
            let mut start = 0;
            for end in ends.drain(..) {
                let before = found.len() as u64;
                let words = joined.part(start..end, &mut Taken(&mut found));
                assert_eq!(found.len() as u64, before + words);
                start = end;
            }
            joined.clear();
        };
        for (number, text) in texts.iter().enumerate() {
            if !joined.push(text) {
                part(&mut joined, &mut ends);
                assert!(joined.push(text));
            }
            if number % apart == 0 {
                ends.push(joined.end_part());
            }
        }
        part(&mut joined, &mut ends);
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
    fn a_text_is_joined_to_others_while_there_is_room_and_none_that_is_too_long() {
        assert!(!Joined::default().push(b""));
        let mut joined = Joined::with_room(1000);
        assert_eq!(joined.text_bytes_max(), 1023, "a whole number of blocks, one byte of them the space behind");
        assert!(!joined.push(&[b'x'; 1024]), "not into an empty one either");
        assert!(joined.push(&[b'x'; 1023]) && !joined.push(b""));
        joined.clear();
        assert_eq!((0..).take_while(|_| joined.push(b"two words")).count(), 102);
        assert_eq!((joined.end_part(), joined.end_part()), (1024, 1024));
        assert!(!joined.push(b""));
        joined.clear();
        assert!(joined.push(b"room again"));
        assert_eq!(joined.end_part(), 64);
    }

    #[test]
    fn white_space_of_several_bytes_parts_words_wherever_a_block_ends() {
        for before in 50..70 {
            let text = format!("{}\u{3000}\u{a0}{}\u{2003}b", "a".repeat(before), "\u{e9}".repeat(31));
            let parts: Vec<&[u8]> = text.split_whitespace().map(str::as_bytes).collect();
            assert_eq!((words(text.as_bytes()), joined(&[text.clone().into()], 2).len()), (parts, 3), "{before}");
        }
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

    proptest! {
        // Each of them fills it more than once.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn texts_that_are_joined_have_the_words_that_each_of_them_has(texts in proptest::collection::vec(
            proptest::collection::vec(
                prop_oneof![8 => b'a'..=b'c', 2 => Just(b' '), 1 => any::<u8>(), 1 => Just(0xc2), 1 => Just(0xa0), 1 => Just(0xe3), 1 => Just(0x80)],
                0..150,
            ),
            0..200,
        ), apart in 1..300_usize) {
            let each: Vec<&[u8]> = texts.iter().flat_map(|text| words(text)).collect();
            prop_assert_eq!(joined(&texts, apart), each);
        }
    }
}

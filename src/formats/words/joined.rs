//! Many texts that are parted as one: behind them there are spaces enough that nobody has to ask, for each block and each word, where
//! its text ends.

use super::spaces::{BLOCK_BYTES, Spaces};
use super::{HEAD_BYTES, Word, word_at};

/// What is joined: it stays in a core's first cache until it is parted.
const JOINED_BYTES: usize = 8 << 10;
/// What stands behind the texts.
const PADDING: [u8; BLOCK_BYTES + HEAD_BYTES] = [b' '; BLOCK_BYTES + HEAD_BYTES];

/// See the module's head. The default one has no room yet.
#[derive(Default)]
pub struct Joined {
    /// Each with a space behind it.
    text: Vec<u8>,
}

impl Joined {
    /// What one takes.
    pub const BYTES: usize = JOINED_BYTES + PADDING.len();

    /// One that has room for texts.
    pub fn new() -> Self {
        Self { text: Vec::with_capacity(Self::BYTES) }
    }

    /// Puts a text behind the others; `false` if there is no room for it.
    #[inline(always)]
    pub fn push(&mut self, text: &[u8]) -> bool {
        let has_room = text.len() < JOINED_BYTES - self.text.len();
        if has_room {
            self.text.extend_from_slice(text);
            self.text.push(b' ');
        }
        has_room
    }

    /// Lends each word to `take`, in order, and forgets the texts; gives how many words there were.
    #[inline(always)]
    pub fn part(&mut self, mut take: impl FnMut(Word<'_>)) -> u64 {
        let len = self.text.len();
        self.text.extend_from_slice(&PADDING);
        let text = &self.text[..];
        let (mut rest, mut spaces) = (text, Spaces::default());
        // Where the word at hand begins, or the next one may.
        let (mut start, mut block, mut words) = (0, 0, 0);
        while block < len {
            let Some((bytes, behind)) = rest.split_first_chunk() else { break };
            let mut found = spaces.of_block(bytes, behind);
            while found != 0 {
                let end = block + found.trailing_zeros() as usize;
                found &= found - 1;
                if end > start {
                    take(word_at(text, start, end));
                    words += 1;
                }
                start = end + 1;
            }
            block += BLOCK_BYTES;
            rest = behind;
        }
        self.text.clear();
        words
    }
}

//! Many texts that are parted as one: behind each part of them there are spaces enough that nobody has to ask, for each block and each
//! word, where its text ends.

use super::spaces::{BLOCK_BYTES, Spaces};
use super::{HEAD_BYTES, SHORT_BYTES_MAX, TakeWords, head};
use std::ops::Range;

/// See the module's head. The default one has no room.
#[derive(Default)]
pub struct Joined {
    /// Each text has a space behind it. What stands behind the last one means nothing.
    bytes: Box<[u8]>,
    len: usize,
    room: usize,
}

impl Joined {
    /// One with room for so many bytes, of which each text takes one more than it has.
    pub fn with_room(bytes: usize) -> Self {
        let room = bytes.next_multiple_of(BLOCK_BYTES);
        Self { bytes: vec![0; Self::bytes_for(room)].into(), len: 0, room }
    }

    /// What one with so much room takes.
    pub const fn bytes_for(room: usize) -> usize {
        room.next_multiple_of(BLOCK_BYTES) + HEAD_BYTES
    }

    /// How many bytes the longest text may have that finds room in an empty one.
    pub fn text_bytes_max(&self) -> usize {
        self.room.saturating_sub(1)
    }

    /// Puts a text behind the others; `false` if there is no room for it.
    #[inline(always)]
    pub fn push(&mut self, text: &[u8]) -> bool {
        let end = self.len + text.len();
        if end >= self.room {
            return false;
        }
        self.bytes[self.len..end].copy_from_slice(text);
        self.bytes[end] = b' ';
        self.len = end + 1;
        true
    }

    /// A part ends here, and another one may begin: gives the place, for [`Self::part`].
    pub fn end_part(&mut self) -> usize {
        let end = self.len.next_multiple_of(BLOCK_BYTES);
        self.bytes[self.len..end].fill(b' ');
        self.len = end;
        end
    }

    /// Forgets all texts.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Gives `take` each word between two places where parts end, or the start (0), in order; gives how many there were.
    #[inline(always)]
    pub fn part(&self, part: Range<usize>, take: &mut impl TakeWords) -> u64 {
        let text = &self.bytes[..];
        let mut spaces = Spaces::default();
        let mut rest = &text[part.start..];
        // Where the word at hand begins, or the next one may. In 32 bits, so that what is added to it cannot be too much.
        let (mut start, mut block, mut words) = (part.start as u32, part.start as u32, 0);
        while (block as usize) < part.end {
            let Some((bytes, behind)) = rest.split_first_chunk::<BLOCK_BYTES>() else { break };
            let mut found = spaces.of_block(bytes, behind);
            while found != 0 {
                let end = block + found.trailing_zeros();
                found &= found - 1;
                let (at, len) = (start as usize, (end - start) as usize);
                start = end + 1;
                if len.wrapping_sub(1) < SHORT_BYTES_MAX {
                    // There always are so many bytes behind.
                    let Some(sixteen) = text.get(at..at + HEAD_BYTES).and_then(<[u8]>::first_chunk) else { break };
                    take.short(head(sixteen, len));
                } else if len > 0 {
                    take.longer(&text[at..at + len]);
                } else {
                    continue;
                }
                words += 1;
            }
            block += BLOCK_BYTES as u32;
            rest = behind;
        }
        words
    }
}

//! White space in a block of 64 bytes, a bit for each, the first byte's lowest.
//!
//! Sixteen bytes are compared at once, and the answer is had as bits, as every processor of the usual kinds can do it.

use wide::u8x16;

/// Bytes that are looked at together.
pub(super) const BLOCK_BYTES: usize = 64;

/// Finds white space block by block. What takes more than one byte is spaces for all of its bytes, also where it lies across two
/// blocks.
#[derive(Default)]
pub(super) struct Spaces {
    /// The bytes of the next block that belong to a wide one of this block.
    carried: u64,
}

impl Spaces {
    /// The white space of the block, behind which there is more.
    #[inline(always)]
    pub(super) fn of_block(&mut self, block: &[u8; BLOCK_BYTES], behind: &[u8]) -> u64 {
        let [a, b, c, d] = sixteens(block).map(|bytes| bytes - u8x16::splat(b' '));
        // Control characters, and what wide ones begin with, have the topmost bit now. Most texts have neither.
        if (a | b | (c | d)).to_bitmask() != 0 {
            return self.of_unusual(block, behind);
        }
        bits([a, b, c, d], |bytes| bytes.simd_eq(u8x16::splat(0))) | std::mem::take(&mut self.carried)
    }

    /// The white space of what is left behind the last block.
    pub(super) fn of_last(&mut self, rest: &[u8]) -> u64 {
        let mut block = [b'x'; BLOCK_BYTES];
        block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.of_block(&block, &[])
    }

    #[inline(never)]
    fn of_unusual(&mut self, block: &[u8; BLOCK_BYTES], behind: &[u8]) -> u64 {
        // From `first` to four more.
        let five_from = |bytes: u8x16, first| {
            let above = bytes - u8x16::splat(first);
            above.min(u8x16::splat(4)).simd_eq(above)
        };
        let mut spaces = bits(sixteens(block), |bytes| five_from(bytes, 0x09) | five_from(bytes, 0x1c));
        spaces |= std::mem::take(&mut self.carried);
        // Where wide ones may begin: with 0xc2, 0xe1 to 0xe3; and 0xe0, for the sake of fewer steps.
        let mut doubtful = bits(sixteens(block), |bytes| {
            bytes.simd_eq(u8x16::splat(0xc2)) | (bytes & u8x16::splat(0xfc)).simd_eq(u8x16::splat(0xe0))
        });
        while doubtful != 0 {
            let at = doubtful.trailing_zeros();
            doubtful &= doubtful - 1;
            let mut three = [0; 3];
            for (to, from) in three.iter_mut().zip(block[at as usize..].iter().chain(behind)) {
                *to = *from;
            }
            let its = ((1u128 << len_of_wide(three)) - 1) << at;
            spaces |= its as u64;
            self.carried |= (its >> BLOCK_BYTES) as u64;
        }
        spaces
    }
}

/// How many bytes of these are white space that takes more than one; 0 if they are none.
fn len_of_wide(bytes: [u8; 3]) -> u32 {
    match bytes {
        // Next line, and the space that does not break.
        [0xc2, 0x85 | 0xa0, _] => 2,
        // Ogham's; the en quad to the hair space, the separators of lines and paragraphs, the narrow space that does not
        // break; mathematics' space; the ideographic one.
        [0xe1, 0x9a, 0x80]
        | [0xe2, 0x80, 0x80..=0x8a | 0xa8 | 0xa9 | 0xaf]
        | [0xe2, 0x81, 0x9f]
        | [0xe3, 0x80, 0x80] => 3,
        _ => 0,
    }
}

#[inline(always)]
fn sixteens(block: &[u8; BLOCK_BYTES]) -> [u8x16; 4] {
    let (sixteens, _) = block.as_chunks();
    std::array::from_fn(|at| u8x16::new(sixteens[at]))
}

#[inline(always)]
fn bits(block: [u8x16; 4], mark: impl Fn(u8x16) -> u8x16) -> u64 {
    let [a, b, c, d] = block.map(|bytes| u64::from(mark(bytes).to_bitmask()));
    (a | b << 16) | (c | d << 16) << 32
}

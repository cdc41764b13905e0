//! The lz4 frame, by Kafka's rules.
//!
//! The frame is read here, over the borrowed bytes, and only whole blocks go through the crate, straight into the
//! window: a frame that claims blocks of 4 MiB costs nothing until a block needs them. As in Apache's reader, blocks must
//! be independent, the header's checksum must be right, block checksums are checked, a content size or checksum is not,
//! and what follows the end mark is not looked at.

use super::super::BatchError;
use super::{Codec, broken, window::Window};
use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};
use twox_hash::XxHash32;

const MAGIC: [u8; 4] = 0x184d_2204u32.to_le_bytes();
/// Version 1, independent blocks, no checksums.
const FLAGS_WRITTEN: u8 = 0x60;
/// Blocks of 64 KiB.
const BLOCK_CODE_WRITTEN: u8 = 4 << 4;
const BLOCK_BYTES: usize = 64 * 1024;
const STORED_BIT: u32 = 1 << 31;

pub(super) struct Unfold {
    at: usize,
    block_bytes_max: usize,
    block_checksums: bool,
    ended: bool,
}

impl Unfold {
    pub(super) fn new() -> Self {
        Self { at: 0, block_bytes_max: 0, block_checksums: false, ended: false }
    }

    pub(super) fn start(&mut self) {
        *self = Self::new();
    }

    /// Adds a block to the window; `false` at the end.
    pub(super) fn fill(&mut self, input: &[u8], window: &mut Window) -> Result<bool, BatchError> {
        if self.at == 0 {
            self.begin(input)?;
        }
        while !self.ended {
            let stated = u32::from_le_bytes(self.four(input)?);
            if stated == 0 {
                self.ended = true;
                break;
            }
            let (stored, length) = (stated & STORED_BIT != 0, (stated & !STORED_BIT) as usize);
            if length > self.block_bytes_max {
                let problem = format!("a block of {length} bytes where {} are the most", self.block_bytes_max);
                return Err(BatchError::Compressed { codec: Codec::Lz4, problem });
            }
            let block = input.get(self.at..).and_then(|rest| rest.get(..length));
            let block = block.ok_or_else(|| broken(Codec::Lz4, "the bytes end within a block"))?;
            self.at += length;
            if self.block_checksums && u32::from_le_bytes(self.four(input)?) != XxHash32::oneshot(0, block) {
                return Err(broken(Codec::Lz4, "a block's checksum does not match it"));
            }
            let made = if stored {
                window.room(length, "an lz4 block")?[..length].copy_from_slice(block);
                length
            } else {
                self.decode(block, window)?
            };
            window.filled(made);
            if made > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn decode(&self, block: &[u8], window: &mut Window) -> Result<usize, BatchError> {
        let damaged = || broken(Codec::Lz4, "a block that does not decode within its largest size");
        // Each byte adds 255 bytes at best. Where that bound is too much for the budget, the block is measured.
        let mut bytes = self.block_bytes_max.min(block.len().saturating_mul(255) + 64);
        if bytes > window.room_most() {
            bytes = contents_bytes(block).filter(|&bytes| bytes <= self.block_bytes_max).ok_or_else(damaged)?;
        }
        let room = window.room(bytes, "an lz4 block")?;
        decompress_into(block, &mut room[..bytes]).map_err(|_| damaged())
    }

    fn begin(&mut self, input: &[u8]) -> Result<(), BatchError> {
        let refuse = |problem| Err(broken(Codec::Lz4, problem));
        let Some(&[m0, m1, m2, m3, flags, sizes]) = input.first_chunk::<6>() else {
            return refuse("the bytes end within the frame header");
        };
        if [m0, m1, m2, m3] != MAGIC {
            return refuse("no lz4 frame header at the start");
        }
        if flags >> 6 != 1 || flags & 0x03 != 0 || sizes & 0x8f != 0 || sizes >> 4 < 4 {
            return refuse("a frame of an unknown version, block size or with a dictionary");
        }
        if flags & 0x20 == 0 {
            return refuse("blocks that depend on one another, which Kafka does not allow");
        }
        let described = if flags & 0x08 == 0 { 6 } else { 14 };
        let (Some(description), Some(&stated)) = (input.get(4..described), input.get(described)) else {
            return refuse("the bytes end within the frame header");
        };
        if (XxHash32::oneshot(0, description) >> 8) as u8 != stated {
            return refuse("the frame header's checksum does not match it");
        }
        self.at = described + 1;
        self.block_checksums = flags & 0x10 != 0;
        // 4: 64 KiB, 5: 256 KiB, 6: 1 MiB, 7: 4 MiB
        self.block_bytes_max = 1 << (8 + 2 * (sizes >> 4));
        Ok(())
    }

    fn four(&mut self, input: &[u8]) -> Result<[u8; 4], BatchError> {
        let four = input.get(self.at..).and_then(|rest| rest.first_chunk::<4>());
        let four = four.ok_or_else(|| broken(Codec::Lz4, "the bytes end before the end mark"))?;
        self.at += 4;
        Ok(*four)
    }
}

/// How many bytes a block unfolds to, by its lengths alone; `None` if they lead out of it.
fn contents_bytes(block: &[u8]) -> Option<usize> {
    fn length(rest: &mut &[u8], low: u8) -> Option<usize> {
        let mut length = usize::from(low);
        if low == 15 {
            loop {
                let (&byte, behind) = rest.split_first()?;
                *rest = behind;
                length += usize::from(byte);
                if byte != 255 {
                    break;
                }
            }
        }
        Some(length)
    }
    let (mut rest, mut bytes) = (block, 0usize);
    while let Some((&token, behind)) = rest.split_first() {
        rest = behind;
        let literals = length(&mut rest, token >> 4)?;
        rest = rest.get(literals..)?;
        bytes += literals;
        if rest.is_empty() {
            break;
        }
        rest = rest.get(2..)?;
        bytes += length(&mut rest, token & 15)? + 4;
    }
    Some(bytes)
}

pub(in crate::batch) struct Fold {
    table: CompressTable,
}

impl Fold {
    pub(super) fn new() -> Self {
        Self { table: CompressTable::large() }
    }

    /// Appends `plain` as one frame to `into`.
    pub(super) fn fold(&mut self, plain: &[u8], into: &mut Vec<u8>) -> Result<(), BatchError> {
        into.extend_from_slice(&MAGIC);
        let description = [FLAGS_WRITTEN, BLOCK_CODE_WRITTEN];
        into.extend_from_slice(&description);
        into.push((XxHash32::oneshot(0, &description) >> 8) as u8);
        for block in plain.chunks(BLOCK_BYTES) {
            let at = into.len();
            into.resize(at + 4 + get_maximum_output_size(block.len()), 0);
            let made = compress_into_with_table(block, &mut into[at + 4..], &mut self.table);
            let made = made.map_err(|_| broken(Codec::Lz4, "the encoder failed"))?;
            // What does not get smaller is stored, which also keeps a block within its largest size.
            let (stated, length) =
                if made < block.len() { (made as u32, made) } else { (block.len() as u32 | STORED_BIT, block.len()) };
            if stated & STORED_BIT != 0 {
                into[at + 4..at + 4 + length].copy_from_slice(block);
            }
            into[at..at + 4].copy_from_slice(&stated.to_le_bytes());
            into.truncate(at + 4 + length);
        }
        into.extend_from_slice(&[0; 4]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_measured_as_it_decodes() {
        for plain in [vec![], b"abcdefgh".repeat(4), vec![7u8; 5_000], (0..=255u8).cycle().take(3_000).collect()] {
            let block = lz4_flex::block::compress(&plain);
            assert_eq!(contents_bytes(&block), Some(plain.len()));
        }
        assert_eq!(contents_bytes(&[0xf0, 0xff]), None);
    }
}

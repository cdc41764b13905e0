//! Zstandard frames.
//!
//! The frame header is read here, because its word is what a decoder allocates on. The window it asks for is refused
//! above 8 MiB and otherwise cut to what the frame can unfold to by its block headers (Java's streams ask for 2 MiB
//! whatever they hold); the decoder is given a header that says so. That window is charged to the budget. As with
//! Apache's library, frames may follow one another, skippable ones are skipped, and anything else after a frame is an
//! error. A checksum or content size that a frame states is checked.

use super::super::BatchError;
use super::{Codec, broken, window::Window};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::encoding::{CompressionLevel, compress};

const MAGIC: u32 = 0xfd2f_b528;
const MAGIC_SKIPPABLE: std::ops::RangeInclusive<u32> = 0x184d_2a50..=0x184d_2a5f;
/// The most history that is kept; the format recommends supporting as much and no writer should need more.
const WINDOW_BYTES_MAX: u64 = 8 << 20;
const WINDOW_BYTES_LEAST: u64 = 1 << 10;
const BLOCK_BYTES_MAX: u64 = 128 << 10;
const CHECKSUM_FLAG: u8 = 0x04;

pub(super) struct Unfold {
    decoder: FrameDecoder,
    /// The largest window the decoder has memory for.
    held: usize,
    at: usize,
    frame: Option<Frame>,
}

/// The frame being read.
struct Frame {
    content_bytes: Option<u64>,
    made: u64,
    checksum: bool,
}

impl Unfold {
    pub(super) fn new() -> Self {
        Self { decoder: FrameDecoder::new(), held: 0, at: 0, frame: None }
    }

    pub(super) fn start(&mut self) {
        (self.at, self.frame) = (0, None);
    }

    /// Adds some bytes to the window; `false` at the end.
    pub(super) fn fill(&mut self, input: &[u8], window: &mut Window) -> Result<bool, BatchError> {
        loop {
            let Some(frame) = &mut self.frame else {
                let rest = input.get(self.at..).unwrap_or_default();
                if rest.is_empty() && self.at > 0 {
                    return Ok(false);
                }
                self.begin(rest, window)?;
                continue;
            };
            if self.decoder.can_collect() > 0 {
                let room = window.room(1, "a stretch of zstd contents")?;
                let made = std::io::Read::read(&mut self.decoder, room);
                let made = made.map_err(|_| broken(Codec::Zstd, "the decoder failed"))?;
                window.filled(made);
                frame.made += made as u64;
                if frame.content_bytes.is_some_and(|stated| frame.made > stated) {
                    return Err(broken(Codec::Zstd, "more contents than the frame states"));
                }
                if made > 0 {
                    return Ok(true);
                }
            }
            if self.decoder.is_finished() {
                frame.check(&self.decoder)?;
                self.frame = None;
                continue;
            }
            let mut rest = input.get(self.at..).unwrap_or_default();
            let before = rest.len();
            let done = self.decoder.decode_blocks(&mut rest, BlockDecodingStrategy::UptoBlocks(1));
            done.map_err(|problem| broken(Codec::Zstd, &problem.to_string()))?;
            self.at += before - rest.len();
        }
    }

    /// Reads a frame's header, skips it if it is none of ours, and makes the decoder ready.
    fn begin(&mut self, rest: &[u8], window: &mut Window) -> Result<(), BatchError> {
        let short = || broken(Codec::Zstd, "the bytes end within a frame header");
        let magic = u32::from_le_bytes(*rest.first_chunk::<4>().ok_or_else(short)?);
        if MAGIC_SKIPPABLE.contains(&magic) {
            let length = u32::from_le_bytes(*rest[4..].first_chunk::<4>().ok_or_else(short)?) as usize;
            if rest.len() - 8 < length {
                return Err(broken(Codec::Zstd, "the bytes end within a skippable frame"));
            }
            self.at += 8 + length;
            return Ok(());
        }
        if magic != MAGIC {
            return Err(broken(Codec::Zstd, "no zstd frame where one should begin"));
        }
        let head = Head::read(&rest[4..]).ok_or_else(short)?;
        if head.reserved || head.dictionary != 0 {
            return Err(broken(Codec::Zstd, "a frame with a dictionary or of a future version"));
        }
        if head.window_bytes > WINDOW_BYTES_MAX {
            return Err(BatchError::ZstdWindow { window: head.window_bytes, limit: WINDOW_BYTES_MAX });
        }
        let blocks = &rest[4 + head.bytes..];
        let most = blocks_bytes_max(blocks).min(head.content_bytes.unwrap_or(u64::MAX));
        let keep = head.window_bytes.min(most).max(WINDOW_BYTES_LEAST).next_power_of_two();
        self.hold(keep as usize, window)?;

        let exponent = keep.ilog2() as u8 - 10;
        let checksum = if head.checksum { CHECKSUM_FLAG } else { 0 };
        let mut header = [0; 6];
        header[..4].copy_from_slice(&MAGIC.to_le_bytes());
        header[4..].copy_from_slice(&[checksum, exponent << 3]);
        self.decoder.reset(&header[..]).map_err(|problem| broken(Codec::Zstd, &problem.to_string()))?;
        self.at += 4 + head.bytes;
        self.frame = Some(Frame { content_bytes: head.content_bytes, made: 0, checksum: head.checksum });
        Ok(())
    }

    /// Charges the decoder's history to the budget. It keeps its memory from frame to frame, unless that leaves too
    /// little for the window.
    fn hold(&mut self, keep: usize, window: &mut Window) -> Result<(), BatchError> {
        if self.held > keep && window.hold(self.held, "zstd history").is_err() || self.held > 4 * keep {
            self.decoder = FrameDecoder::new();
            self.held = 0;
        }
        window.hold(self.held.max(keep), "zstd history")?;
        self.held = self.held.max(keep);
        Ok(())
    }
}

impl Frame {
    fn check(&self, decoder: &FrameDecoder) -> Result<(), BatchError> {
        if self.content_bytes.is_some_and(|stated| stated != self.made) {
            return Err(broken(Codec::Zstd, "less contents than the frame states"));
        }
        if self.checksum && decoder.get_checksum_from_data() != decoder.get_calculated_checksum() {
            return Err(broken(Codec::Zstd, "the frame's checksum does not match its contents"));
        }
        Ok(())
    }
}

/// A frame header behind its magic number.
struct Head {
    bytes: usize,
    window_bytes: u64,
    content_bytes: Option<u64>,
    dictionary: u32,
    checksum: bool,
    reserved: bool,
}

impl Head {
    fn read(bytes: &[u8]) -> Option<Self> {
        fn little(rest: &mut &[u8], bytes: usize) -> Option<u64> {
            let (taken, behind) = rest.split_at_checked(bytes)?;
            *rest = behind;
            Some(taken.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
        }
        let mut rest = bytes;
        let flags = little(&mut rest, 1)? as u8;
        let single_segment = flags & 0x20 != 0;
        let mut window_bytes = 0;
        if !single_segment {
            let described = little(&mut rest, 1)?;
            let base = 1u64 << (10 + (described >> 3));
            window_bytes = base + base / 8 * (described & 7);
        }
        let dictionary = little(&mut rest, [0, 1, 2, 4][usize::from(flags & 3)])? as u32;
        let content_bytes = match (flags >> 6, single_segment) {
            (0, false) => None,
            (0, true) => Some(little(&mut rest, 1)?),
            (1, _) => Some(little(&mut rest, 2)? + 256),
            (2, _) => Some(little(&mut rest, 4)?),
            (_, _) => Some(little(&mut rest, 8)?),
        };
        if single_segment {
            window_bytes = content_bytes.unwrap_or(0);
        }
        Some(Self {
            bytes: bytes.len() - rest.len(),
            window_bytes,
            content_bytes,
            dictionary,
            checksum: flags & CHECKSUM_FLAG != 0,
            reserved: flags & 0x08 != 0,
        })
    }
}

/// The most that the blocks at the start of `bytes` can unfold to, by their headers; also if they are cut off.
fn blocks_bytes_max(bytes: &[u8]) -> u64 {
    let (mut rest, mut most) = (bytes, 0u64);
    while let Some(&[b0, b1, b2]) = rest.first_chunk::<3>() {
        let header = u32::from_le_bytes([b0, b1, b2, 0]);
        let size = header >> 3;
        let (stored, made) = match header >> 1 & 3 {
            0 => (size, u64::from(size)),
            1 => (1, u64::from(size)),
            _ => (size, BLOCK_BYTES_MAX),
        };
        most += made.min(BLOCK_BYTES_MAX);
        if header & 1 != 0 || most >= WINDOW_BYTES_MAX {
            break;
        }
        let Some(behind) = rest.get(3 + stored as usize..) else { break };
        rest = behind;
    }
    most
}

pub(in crate::batch) struct Fold;

impl Fold {
    /// Appends `plain` as one frame to `into`, at the only level there is in Rust.
    pub(super) fn fold(&mut self, plain: &[u8], into: &mut Vec<u8>) -> Result<(), BatchError> {
        compress(plain, into, CompressionLevel::Fastest);
        Ok(())
    }
}

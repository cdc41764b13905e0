//! Snappy, in both shapes that producers write.
//!
//! Java frames it with the header of the Xerial library and big-endian lengths before blocks of 32 KiB; several such
//! streams may follow one another. Others (librdkafka) send one raw block. A block states its contents' length and can
//! only be decoded whole, so that length is compared with what snappy can do at best, and paid for, before any of it.

use super::super::BatchError;
use super::{Codec, broken, window::Window};
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// Magic, version, oldest compatible version.
const HEADER_BYTES: usize = 16;
const BLOCK_BYTES: usize = 32 * 1024;
/// A copy of 64 bytes takes 3, so nothing honest gets beyond this.
const RATIO_MAX: usize = 22;

pub(super) struct Unfold {
    decoder: Decoder,
    at: usize,
    framed: bool,
}

impl Unfold {
    pub(super) fn new() -> Self {
        Self { decoder: Decoder::new(), at: 0, framed: false }
    }

    pub(super) fn start(&mut self) {
        (self.at, self.framed) = (0, false);
    }

    /// Adds a block to the window; `false` at the end.
    pub(super) fn fill(&mut self, input: &[u8], window: &mut Window) -> Result<bool, BatchError> {
        if self.at == 0 {
            if input.is_empty() {
                return Err(broken(Codec::Snappy, "no bytes at all"));
            }
            self.framed = input.len() >= HEADER_BYTES && input.starts_with(&MAGIC);
            if !self.framed {
                self.at = input.len();
                return self.block(input, window).map(|made| made > 0);
            }
            self.at = HEADER_BYTES;
        }
        while self.framed {
            let rest = input.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(false);
            }
            if rest.len() >= HEADER_BYTES && rest.starts_with(&MAGIC) {
                self.at += HEADER_BYTES;
                continue;
            }
            let length = rest.first_chunk::<4>().map(|raw| u32::from_be_bytes(*raw) as usize);
            let block = length.and_then(|length| rest.get(4..)?.get(..length));
            let block = block.ok_or_else(|| broken(Codec::Snappy, "the bytes end within a block"))?;
            self.at += 4 + block.len();
            if self.block(block, window)? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn block(&mut self, block: &[u8], window: &mut Window) -> Result<usize, BatchError> {
        let stated = decompress_len(block).map_err(|_| broken(Codec::Snappy, "a block without a readable length"))?;
        if stated > block.len().saturating_mul(RATIO_MAX) {
            let problem = format!("a block of {} bytes claims {stated} bytes of contents", block.len());
            return Err(BatchError::Compressed { codec: Codec::Snappy, problem });
        }
        let room = window.room(stated, "a snappy block")?;
        let made = self.decoder.decompress(block, &mut room[..stated]);
        let made = made.map_err(|_| broken(Codec::Snappy, "a block that does not decode to its stated length"))?;
        window.filled(made);
        Ok(made)
    }
}

pub(in crate::batch) struct Fold {
    encoder: Encoder,
}

impl Fold {
    pub(super) fn new() -> Self {
        Self { encoder: Encoder::new() }
    }

    /// Appends `plain`, framed and compressed, to `into`.
    pub(super) fn fold(&mut self, plain: &[u8], into: &mut Vec<u8>) -> Result<(), BatchError> {
        into.extend_from_slice(&MAGIC);
        into.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
        for block in plain.chunks(BLOCK_BYTES) {
            let at = into.len();
            into.resize(at + 4 + max_compress_len(block.len()), 0);
            let made = self.encoder.compress(block, &mut into[at + 4..]);
            let made = made.map_err(|_| broken(Codec::Snappy, "the encoder failed"))?;
            into[at..at + 4].copy_from_slice(&(made as u32).to_be_bytes());
            into.truncate(at + 4 + made);
        }
        Ok(())
    }
}

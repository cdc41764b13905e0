//! Gzip: members around raw deflate.
//!
//! The members' frames are read here, over the borrowed bytes, and only the deflate stream goes through the crate: its
//! state (some 45 KB) is reused from batch to batch. As Java's `GZIPInputStream` has it, concatenated members are one
//! stream, and bytes after a member that do not begin another are ignored.

use super::super::BatchError;
use super::{Codec, broken, window::Window};
use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

const MAGIC: [u8; 2] = [0x1f, 0x8b];
const HEADER_BYTES: usize = 10;
const FLAG_HEADER_CRC: u8 = 2;
const FLAG_EXTRA: u8 = 4;
const FLAG_NAME: u8 = 8;
const FLAG_COMMENT: u8 = 16;

pub(super) struct Unfold {
    inflate: Box<Decompress>,
    crc: Crc,
    at: usize,
    in_member: bool,
    ended: bool,
}

impl Unfold {
    pub(super) fn new() -> Self {
        Self { inflate: Box::new(Decompress::new(false)), crc: Crc::new(), at: 0, in_member: false, ended: false }
    }

    pub(super) fn start(&mut self) {
        (self.at, self.in_member, self.ended) = (0, false, false);
    }

    /// Adds some bytes to the window; `false` at the end.
    pub(super) fn fill(&mut self, input: &[u8], window: &mut Window) -> Result<bool, BatchError> {
        while !self.ended {
            let rest = input.get(self.at..).unwrap_or_default();
            if !self.in_member {
                self.begin(rest)?;
                continue;
            }
            let room = window.room(1, "a stretch of gzip contents")?;
            let (in_before, out_before) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(rest, room, FlushDecompress::None);
            let status = status.map_err(|_| broken(Codec::Gzip, "not a deflate stream"))?;
            let eaten = (self.inflate.total_in() - in_before) as usize;
            let made = (self.inflate.total_out() - out_before) as usize;
            self.crc.update(&room[..made]);
            window.filled(made);
            self.at += eaten;
            if status == Status::StreamEnd {
                self.end(input)?;
            } else if eaten == 0 && made == 0 {
                return Err(broken(Codec::Gzip, "the bytes end within the stream"));
            }
            if made > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads a member's header; after the first one, what is no header ends the stream.
    fn begin(&mut self, rest: &[u8]) -> Result<(), BatchError> {
        match header_bytes(rest) {
            Some(bytes) => {
                self.at += bytes;
                self.in_member = true;
                self.inflate.reset(false);
                self.crc.reset();
                Ok(())
            }
            None if self.at > 0 => {
                self.ended = true;
                Ok(())
            }
            None => Err(broken(Codec::Gzip, "no gzip header at the start")),
        }
    }

    /// Checks what stands behind a member: checksum and length modulo 2^32.
    fn end(&mut self, input: &[u8]) -> Result<(), BatchError> {
        let Some(&[c0, c1, c2, c3, l0, l1, l2, l3]) = input.get(self.at..).and_then(|rest| rest.first_chunk::<8>())
        else {
            return Err(broken(Codec::Gzip, "the bytes end within the trailer"));
        };
        let (crc, length) = (u32::from_le_bytes([c0, c1, c2, c3]), u32::from_le_bytes([l0, l1, l2, l3]));
        if crc != self.crc.sum() || length != self.inflate.total_out() as u32 {
            return Err(broken(Codec::Gzip, "the checksum or length behind the stream does not match it"));
        }
        self.at += 8;
        self.in_member = false;
        self.ended = self.at >= input.len();
        Ok(())
    }
}

/// The length of the member header at the start, if there is a whole one.
fn header_bytes(bytes: &[u8]) -> Option<usize> {
    let head = bytes.first_chunk::<HEADER_BYTES>()?;
    if head[..2] != MAGIC || head[2] != 8 {
        return None;
    }
    let flags = head[3];
    let mut at = HEADER_BYTES;
    if flags & FLAG_EXTRA != 0 {
        let length = bytes.get(at..)?.first_chunk::<2>()?;
        at += 2 + usize::from(u16::from_le_bytes(*length));
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        if flags & flag != 0 {
            at += bytes.get(at..)?.iter().position(|&byte| byte == 0)? + 1;
        }
    }
    if flags & FLAG_HEADER_CRC != 0 {
        let stated = u16::from_le_bytes(*bytes.get(at..)?.first_chunk::<2>()?);
        let mut crc = Crc::new();
        crc.update(bytes.get(..at)?);
        if crc.sum() as u16 != stated {
            return None;
        }
        at += 2;
    }
    (at <= bytes.len()).then_some(at)
}

pub(in crate::batch) struct Fold {
    deflate: Compress,
    crc: Crc,
}

impl Fold {
    pub(super) fn new() -> Self {
        Self { deflate: Compress::new(Compression::default(), false), crc: Crc::new() }
    }

    /// Appends `plain`, compressed, to `into`.
    pub(super) fn fold(&mut self, plain: &[u8], into: &mut Vec<u8>) -> Result<(), BatchError> {
        self.deflate.reset();
        self.crc.reset();
        self.crc.update(plain);
        // No name, no time, system unknown.
        into.extend_from_slice(&[MAGIC[0], MAGIC[1], 8, 0, 0, 0, 0, 0, 0, 0xff]);
        loop {
            into.reserve(plain.len() / 4 + 4096);
            let rest = plain.get(self.deflate.total_in() as usize..).unwrap_or_default();
            let status = self.deflate.compress_vec(rest, into, FlushCompress::Finish);
            match status.map_err(|_| broken(Codec::Gzip, "the encoder failed"))? {
                Status::StreamEnd => break,
                Status::Ok | Status::BufError => {}
            }
        }
        into.extend_from_slice(&self.crc.sum().to_le_bytes());
        into.extend_from_slice(&(plain.len() as u32).to_le_bytes());
        Ok(())
    }
}

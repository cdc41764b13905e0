//! The five codecs of the format, none of them in C.
//!
//! Reading is incremental: a codec adds to the [`Window`] what it has at hand, or a block where its format knows nothing
//! smaller, and keeps its place in the compressed bytes, which are handed in each time. Beside the window, a reader pays
//! for zstd's history out of the same budget. What a decoder holds at any rate is not charged: some 45 KB for gzip,
//! and for zstd tables, one block and its literals, below 4 MiB together.

mod gzip;
mod lz4;
mod snappy;
mod window;
mod zstd;

pub(super) use window::Window;

use super::BatchError;
use std::fmt;

/// How a batch's records are compressed, by the number in its attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Codec {
    /// Not at all.
    #[default]
    None = 0,
    /// Gzip members.
    Gzip = 1,
    /// Snappy, framed as Java does or one raw block.
    Snappy = 2,
    /// An lz4 frame.
    Lz4 = 3,
    /// Zstandard frames.
    Zstd = 4,
}

impl Codec {
    /// All of them, by number.
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// The codec of that number.
    pub fn from_number(number: u8) -> Result<Self, BatchError> {
        Self::ALL.get(usize::from(number)).copied().ok_or(BatchError::UnknownCodec(number))
    }

    /// Its name, as Kafka's configuration has it.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    /// The codec of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cold]
fn broken(codec: Codec, problem: &str) -> BatchError {
    BatchError::Compressed { codec, problem: problem.to_owned() }
}

/// The decompressors of one reader, each made when it is first needed.
#[derive(Default)]
pub(super) struct Unfold {
    gzip: Option<gzip::Unfold>,
    snappy: Option<snappy::Unfold>,
    lz4: Option<lz4::Unfold>,
    zstd: Option<Box<zstd::Unfold>>,
}

impl Unfold {
    /// Makes the decompressor of `codec` ready for the next batch.
    pub(super) fn start(&mut self, codec: Codec, window: &mut Window) {
        window.clear();
        if codec != Codec::Zstd && self.zstd.take().is_some() {
            // Its history would sit in the budget for nothing.
            window.release();
        }
        match codec {
            Codec::None => {}
            Codec::Gzip => self.gzip.get_or_insert_with(gzip::Unfold::new).start(),
            Codec::Snappy => self.snappy.get_or_insert_with(snappy::Unfold::new).start(),
            Codec::Lz4 => self.lz4.get_or_insert_with(lz4::Unfold::new).start(),
            Codec::Zstd => self.zstd.get_or_insert_with(|| Box::new(zstd::Unfold::new())).start(),
        }
    }

    /// Adds at least one byte of the contents of `input` to the window, or gives `false` at their end.
    pub(super) fn fill(&mut self, codec: Codec, input: &[u8], window: &mut Window) -> Result<bool, BatchError> {
        match codec {
            Codec::None => Ok(false),
            Codec::Gzip => self.gzip.get_or_insert_with(gzip::Unfold::new).fill(input, window),
            Codec::Snappy => self.snappy.get_or_insert_with(snappy::Unfold::new).fill(input, window),
            Codec::Lz4 => self.lz4.get_or_insert_with(lz4::Unfold::new).fill(input, window),
            Codec::Zstd => self.zstd.get_or_insert_with(|| Box::new(zstd::Unfold::new())).fill(input, window),
        }
    }
}

/// The compressor of one writer.
pub(super) enum Fold {
    None,
    Gzip(Box<gzip::Fold>),
    Snappy(Box<snappy::Fold>),
    Lz4(Box<lz4::Fold>),
    Zstd(zstd::Fold),
}

impl Fold {
    pub(super) fn new(codec: Codec) -> Self {
        match codec {
            Codec::None => Self::None,
            Codec::Gzip => Self::Gzip(Box::new(gzip::Fold::new())),
            Codec::Snappy => Self::Snappy(Box::new(snappy::Fold::new())),
            Codec::Lz4 => Self::Lz4(Box::new(lz4::Fold::new())),
            Codec::Zstd => Self::Zstd(zstd::Fold),
        }
    }

    /// Appends `plain`, compressed, to `into`.
    pub(super) fn fold(&mut self, plain: &[u8], into: &mut Vec<u8>) -> Result<(), BatchError> {
        match self {
            Self::None => {
                into.extend_from_slice(plain);
                Ok(())
            }
            Self::Gzip(gzip) => gzip.fold(plain, into),
            Self::Snappy(snappy) => snappy.fold(plain, into),
            Self::Lz4(lz4) => lz4.fold(plain, into),
            Self::Zstd(zstd) => zstd.fold(plain, into),
        }
    }
}

#[cfg(test)]
mod tests;

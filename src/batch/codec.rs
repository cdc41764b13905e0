//! The five codecs of the format.

use super::BatchError;
use std::fmt;

/// How a batch's records are compressed, by the number in its attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not at all.
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

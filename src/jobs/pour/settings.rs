//! What records are and how they are written, as who pushes them says it.

use crate::batch::{Codec, Headers};
use crate::client::Acks;
use std::time::Duration;

/// Enough to make requests rare, not so much that a consumer with little memory could not hold a few.
pub const BATCH_BYTES_DEFAULT: usize = 128 << 10;
/// Kafka's own producer takes as much.
pub const MEMORY_DEFAULT: usize = 32 << 20;
/// As Kafka's own producer has it since 4.0.
pub const LINGER_DEFAULT: Duration = Duration::from_millis(5);

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PourSettings {
    /// How batches are compressed.
    pub codec: Codec,
    /// The size that a batch of several records stays below, before compression.
    pub batch_bytes: usize,
    /// How long a record may wait for others to share its batch, where there are none at hand.
    pub linger: Duration,
    /// What all batches together may take.
    pub memory_bytes: usize,
    /// How many times as much `--memory` says, where the user can say it.
    pub memory_shares: Option<usize>,
    /// When a batch counts as stored. With [`Acks::All`] the producer is idempotent; with [`Acks::None`] none does.
    pub acks: Acks,
}

impl Default for PourSettings {
    fn default() -> Self {
        Self {
            codec: Codec::None,
            batch_bytes: BATCH_BYTES_DEFAULT,
            linger: LINGER_DEFAULT,
            memory_bytes: MEMORY_DEFAULT,
            memory_shares: None,
            acks: Acks::All,
        }
    }
}

/// One record on its way in.
#[derive(Debug, Clone, Copy)]
pub struct PourRecord<'a> {
    /// Where it must go; by its key, or anywhere, if absent.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; null is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Headers<'a>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

impl PourRecord<'_> {
    /// A record of that time with nothing in it, to be filled by `..`.
    pub fn at(timestamp: i64) -> Self {
        Self { partition: None, key: None, value: None, headers: Headers::EMPTY, timestamp }
    }

    pub(super) fn bytes(&self) -> usize {
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len)
    }
}

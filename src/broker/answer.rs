//! An answer on its way out: what was written for it, and stored batches that are sent from where they lie in the log. Answers share
//! batches with the log, which keeps them, and what they have paid, until the last of both lets go.

use super::log::Block;
use crate::base::laid::Laid;
use std::sync::Arc;

/// A whole frame, or nothing yet.
pub(crate) type Answer = Laid<Inlay>;

/// Bytes that an answer has from elsewhere.
#[derive(Debug)]
pub(crate) enum Inlay {
    Stored(Arc<Block>),
    Made(Vec<u8>),
}

impl AsRef<[u8]> for Inlay {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Stored(block) => block.bytes(),
            Self::Made(bytes) => bytes,
        }
    }
}

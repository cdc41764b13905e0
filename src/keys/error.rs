//! Why a record has no place in the order.

use super::KeyType;

/// Why a record's key cannot be read. The job adds where the record is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is nothing to read. Null is not the same as empty, and neither is a number.
    #[error("cannot order this record by {part}: {reason}")]
    Missing {
        /// What the key is taken from, as it is typed.
        part: String,
        /// What is missing.
        reason: String,
    },
    /// What is there is not of the type.
    #[error("cannot read {part} as {wanted}: {reason}: {excerpt}")]
    Unreadable {
        /// What the key is taken from, as it is typed.
        part: String,
        /// The type asked for.
        wanted: KeyType,
        /// What is wrong.
        reason: String,
        /// The bytes, shortened and made safe to print.
        excerpt: String,
    },
}

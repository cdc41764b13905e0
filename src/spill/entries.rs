//! Entries in the order of their keys, lent one after the other.

use super::SpillError;

/// Where entries come from. None is lent before the first [`Entries::advance`].
pub trait Entries {
    /// Goes to the next entry; `false` behind the last one.
    fn advance(&mut self) -> Result<bool, SpillError>;

    /// The entry's key.
    fn key(&self) -> &[u8];

    /// Its value.
    fn value(&self) -> &[u8];
}

impl<E: Entries + ?Sized> Entries for Box<E> {
    fn advance(&mut self) -> Result<bool, SpillError> {
        (**self).advance()
    }

    fn key(&self) -> &[u8] {
        (**self).key()
    }

    fn value(&self) -> &[u8] {
        (**self).value()
    }
}

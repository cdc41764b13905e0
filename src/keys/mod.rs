//! The key language.
use std::cmp::Ordering;
/// What a key may be taken from.
pub trait Fields {
    fn key(&self) -> Option<&[u8]>;
    fn value(&self) -> Option<&[u8]>;
    fn timestamp(&self) -> i64;
    /// The value of the last header of that name; `Some(None)` is a null value.
    fn header(&self, name: &str) -> Option<Option<&[u8]>>;
}
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    #[default]
    Asc,
    Desc,
}
/// One or several `--key`, checked, and the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPlan {
    order: Order,
}
/// A normalised key: comparing the bytes is comparing the keys. The first 64 bits are the prefix; an 8-byte key has no rest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    prefix: u64,
    rest: Box<[u8]>,
}
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key cannot be read")]
pub struct KeyError;
impl KeyPlan {
    /// `specs` as typed with `--key`; an empty list is `value:int`.
    pub fn parse(_specs: &[String], order: Order) -> Result<Self, String> {
        Ok(Self { order })
    }
    pub fn extract(&self, _fields: &impl Fields) -> Result<Key, KeyError> {
        let _ = self.order;
        unimplemented!()
    }
    /// The key as a person reads it (for reports and errors): e.g. `17`, `"abc"`, `(17, "abc")`.
    pub fn show(&self, _fields: &impl Fields) -> String {
        unimplemented!()
    }
}
/// Keeps `Ordering` named.
pub type _O = Ordering;

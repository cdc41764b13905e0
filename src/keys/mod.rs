//! The key language: what a record is ordered by, taken from the record and turned into bytes that compare as the key does.
//!
//! `--key SOURCE[:TYPE]`, several of them make a composite key:
//!
//! | SOURCE | is |
//! | --- | --- |
//! | `value` | the record's value |
//! | `key` | the record's key |
//! | `timestamp` | its timestamp; needs no type |
//! | `header:NAME` | the last header of that name |
//! | `value:json:/POINTER` | a field of the value, which is JSON; the pointer is RFC 6901's |
//!
//! | TYPE | is |
//! | --- | --- |
//! | `int` (the default) | decimal digits in ASCII with an optional sign, within 64 bits |
//! | `decimal` | at most 38 significant digits, also with fraction and exponent; `1.0` ties with `1.00` |
//! | `be64` | eight bytes, a signed big-endian number |
//! | `string` | UTF-8, compared as bytes, which is the order of code points |
//! | `bytes` | any bytes, compared as unsigned numbers; a prefix comes first |
//! | `time` | RFC 3339, exact to the nanosecond, or milliseconds since 1970 |
//!
//! What was decided where the language leaves room:
//! - The last `:WORD` is a type only if it is one of the six, so names and pointers may hold colons. A header that is itself
//!   called `a:int` is written `header:a:int:int`.
//! - Null has no place in the order, it is an error like any other that cannot be read; empty is a value of `string` and `bytes`.
//! - In JSON, a number is read by its text, exactly: `1e3`, `1.0` and `10000000000000000000000e-3` are whole. A JSON string is
//!   read as the text it holds, by the same rules as a plain value, so `"17"` is an int and `"2024-05-17T12:00:00Z"` a time. A
//!   JSON number is no string. Of two members of the same name on the pointer's path neither is right: an error. Members
//!   beside the path are only skipped, however deep they are.
//!
//! Non-obvious: each part's bytes are *prefix-free* (none is the beginning of another), so parts can be joined, cut after
//! eight bytes and padded, and inverted for descending order, and `memcmp` still is the order of the keys. The one exception
//! is a `time` that stands alone, see `Normaliser::time`.

mod error;
mod filter;
mod flat;
mod json;
mod normal;
mod number;
mod parse;
mod part;
mod text;

pub use error::KeyError;
pub use filter::{Filter, Verdict};
pub use json::{Pointer, field};
pub use normal::Key;
pub use part::{KeyPart, KeySource, KeyType};
pub use text::TextSource;

pub(crate) use number::{Decimal, NumberError, parse_int};

use normal::Normaliser;
use number::short_int;

/// What a key may be taken from.
pub trait Fields {
    /// The record's key.
    fn key(&self) -> Option<&[u8]>;
    /// The record's value.
    fn value(&self) -> Option<&[u8]>;
    /// Milliseconds since 1970; -1 where the record has none, and that is its place in the order.
    fn timestamp(&self) -> i64;
    /// The value of the last header of that name; `Some(None)` is a null value.
    fn header(&self, name: &str) -> Option<Option<&[u8]>>;
    /// Calls `see` with these fields, or a copy of them: what is seldom looked at from outside need not be in memory otherwise.
    #[inline(always)]
    fn apart<R>(&self, see: impl FnOnce(&Self) -> R) -> R {
        see(self)
    }
}

impl Fields for crate::batch::Record<'_> {
    #[inline(always)]
    fn apart<R>(&self, see: impl FnOnce(&Self) -> R) -> R {
        let copy = *self;
        see(&copy)
    }

    fn key(&self) -> Option<&[u8]> {
        self.key
    }
    fn value(&self) -> Option<&[u8]> {
        self.value
    }
    fn timestamp(&self) -> i64 {
        self.timestamp
    }
    fn header(&self, name: &str) -> Option<Option<&[u8]>> {
        self.headers.last(name.as_bytes())
    }
}

/// Which way the keys run. Ties stay in the order of source and offset either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The smallest key first.
    #[default]
    Asc,
    /// The largest key first.
    Desc,
}

impl Order {
    /// As it is typed and stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Asc => "asc",
            Self::Desc => "desc",
        }
    }
}

/// One or several `--key`, checked, and the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPlan {
    parts: Vec<KeyPart>,
    order: Order,
    /// Where the number is that is the whole key, if it is one.
    number: Option<Whole>,
}

/// All of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    Value,
    Key,
}

/// A key that is a number and all of a field.
#[derive(Debug, Clone, Copy)]
pub struct WholeNumber {
    of: Whole,
    /// What makes of a number its normalised key.
    flip: u64,
}

impl WholeNumber {
    /// The normalised key, if the number is one to nineteen digits. `None` says nothing of others.
    #[inline(always)]
    pub fn read(&self, key: Option<&[u8]>, value: &[u8]) -> Option<u64> {
        let digits = match self.of {
            Whole::Value => value,
            Whole::Key => key?,
        };
        short_int(digits).map(|number| number as u64 ^ self.flip)
    }
}

impl KeyPlan {
    /// `specs` as typed with `--key`; an empty list is `value:int`.
    pub fn parse(specs: &[String], order: Order) -> Result<Self, String> {
        let parts = match specs {
            [] => vec![KeyPart::default()],
            specs => specs
                .iter()
                .map(|spec| parse::part(spec).map_err(|error| format!("--key {error}")))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self::of(parts, order))
    }

    fn of(parts: Vec<KeyPart>, order: Order) -> Self {
        let number = match parts.as_slice() {
            [KeyPart { source: KeySource::Value, kind: KeyType::Int }] => Some(Whole::Value),
            [KeyPart { source: KeySource::Key, kind: KeyType::Int }] => Some(Whole::Key),
            _ => None,
        };
        Self { parts, order, number }
    }

    /// The parts of the key, the first one most significant.
    pub fn parts(&self) -> &[KeyPart] {
        &self.parts
    }

    /// Which way the keys run.
    pub fn order(&self) -> Order {
        self.order
    }

    /// The record's key, normalised: comparing two of them is comparing the keys in this plan's order.
    pub fn extract(&self, fields: &impl Fields) -> Result<Key, KeyError> {
        let mut rest = Vec::new();
        let prefix = self.extract_into(fields, &mut rest)?;
        Ok(Key::new(prefix, rest))
    }

    /// The same in two parts: gives the prefix, and puts what goes beyond it into `rest`, whose buffer is reused.
    #[inline(always)]
    pub fn extract_into(&self, fields: &impl Fields, rest: &mut Vec<u8>) -> Result<u64, KeyError> {
        let digits = match self.number {
            Some(Whole::Value) => fields.value(),
            Some(Whole::Key) => fields.key(),
            None => None,
        };
        if let Some(number) = digits.and_then(short_int) {
            rest.clear();
            return Ok(normal::word(number, self.order));
        }
        fields.apart(|fields| self.extract_any(fields, rest))
    }

    /// The key, if it is a number that is all of a record's key or value.
    pub fn whole_number(&self) -> Option<WholeNumber> {
        Some(WholeNumber { of: self.number?, flip: normal::word(0, self.order) })
    }

    /// Any key, by the long way.
    #[inline(never)]
    fn extract_any(&self, fields: &impl Fields, rest: &mut Vec<u8>) -> Result<u64, KeyError> {
        rest.clear();
        if let [part] = self.parts.as_slice() {
            if let Some(number) = part.short_int(fields) {
                return Ok(normal::word(number, self.order));
            }
            if let Some(text) = part.short_text(fields)
                && let Some(prefix) = normal::plain_text(text, self.order, rest)
            {
                return Ok(prefix);
            }
            let mut out = Normaliser::new(self.order, true, rest);
            part.normalise(fields, &mut out)?;
            return Ok(out.finish());
        }
        self.extract_parts(fields, rest)
    }

    /// A key of several parts, one after the other.
    #[inline(never)]
    fn extract_parts(&self, fields: &impl Fields, rest: &mut Vec<u8>) -> Result<u64, KeyError> {
        let mut out = Normaliser::new(self.order, false, rest);
        for part in &self.parts {
            match part.short_int(fields) {
                Some(number) => out.int(number),
                None => part.normalise(fields, &mut out)?,
            }
        }
        Ok(out.finish())
    }

    /// The key as a person reads it (for reports and errors): e.g. `17`, `"abc"`, `(17, "abc")`.
    pub fn show(&self, fields: &impl Fields) -> String {
        match self.parts.as_slice() {
            [part] => part.show(fields),
            parts => {
                let shown: Vec<String> = parts.iter().map(|part| part.show(fields)).collect();
                format!("({})", shown.join(", "))
            }
        }
    }
}

impl std::fmt::Display for KeyPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, part) in self.parts.iter().enumerate() {
            write!(f, "{}{part}", if i == 0 { "" } else { ", " })?;
        }
        if self.order == Order::Desc { write!(f, " descending") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;

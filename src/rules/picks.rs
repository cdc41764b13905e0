//! Values of fields as the rules have left them, taken out of a record for what looks at it next.

use super::paths::PathId;
use super::seen::Seen;
use super::tree::{Kind, Tree};

/// What a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValue<'a> {
    /// It is missing, or null.
    Nothing,
    /// True or false.
    Truth(bool),
    /// A number, as it is written.
    Number(&'a [u8]),
    /// A text, without quotation marks and escapes.
    Text(&'a [u8]),
    /// An array or object, as it is written.
    Nested(&'a [u8]),
}

/// Values, one behind the other. The buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Picks {
    bytes: Vec<u8>,
    /// What each is, and where it ends.
    values: Vec<(Sort, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Nothing,
    Truth,
    Number,
    Text,
    Nested,
}

impl Picks {
    pub(super) fn clear(&mut self, keep_bytes: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep_bytes);
        self.values.clear();
    }

    /// Takes a field's value.
    #[inline]
    pub(super) fn pick(&mut self, path: PathId, tree: &Tree, buffer: &mut Vec<u8>) {
        let sort = match tree.something(path) {
            None => Sort::Nothing,
            Some(member) => {
                let seen = Seen::of(member, tree, buffer);
                self.bytes.extend_from_slice(seen.text);
                match seen.kind {
                    Kind::Null => Sort::Nothing,
                    Kind::Bool => Sort::Truth,
                    Kind::Number { .. } => Sort::Number,
                    Kind::Text { .. } => Sort::Text,
                    Kind::Array | Kind::Object | Kind::Opened => Sort::Nested,
                }
            }
        };
        self.values.push((sort, self.bytes.len()));
    }

    /// So many there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The values from this one on, in the order in which they were taken.
    pub(super) fn from(&self, first: usize) -> impl Iterator<Item = FieldValue<'_>> {
        let begins = first.checked_sub(1).and_then(|before| self.values.get(before)).map_or(0, |(_, end)| *end);
        let mut start = begins;
        self.values.get(first..).unwrap_or_default().iter().map(move |&(sort, end)| {
            let text = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            match sort {
                Sort::Nothing => FieldValue::Nothing,
                Sort::Truth => FieldValue::Truth(text == b"true"),
                Sort::Number => FieldValue::Number(text),
                Sort::Text => FieldValue::Text(text),
                Sort::Nested => FieldValue::Nested(text),
            }
        })
    }
}

//! What a field of a message may be, and how each sort reads and writes itself. The messages are made of these by
//! `define.rs`; nothing here knows a particular message.

use super::error::{Problem, WireError};
use super::{Message, Reader, Uuid, Writer};

/// When and how a field stands on the wire, as Kafka's definitions say it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    first: i16,
    last: i16,
    nullable_from: i16,
    pub(super) tag: Option<u32>,
    ignorable: bool,
}

/// A field of version `first` and all later ones.
pub(super) const fn from(first: i16) -> Place {
    within(first, i16::MAX)
}

/// A field of the versions `first` to `last`.
pub(super) const fn within(first: i16, last: i16) -> Place {
    Place { first, last, nullable_from: 0, tag: None, ignorable: false }
}

impl Place {
    /// An `Option` that may be null only from this version on.
    pub(super) const fn nullable_from(self, version: i16) -> Self {
        Self { nullable_from: version, ..self }
    }

    /// Stands among the tagged fields.
    pub(super) const fn tagged(self, tag: u32) -> Self {
        Self { tag: Some(tag), ..self }
    }

    /// Quietly left out of versions that do not have it; any other value there is an error.
    pub(super) const fn ignorable(self) -> Self {
        Self { ignorable: true, ..self }
    }

    pub(super) const fn has(&self, version: i16) -> bool {
        self.first <= version && version <= self.last
    }

    pub(super) const fn is_plain(&self, version: i16) -> bool {
        self.has(version) && self.tag.is_none()
    }

    pub(super) const fn is_tagged(&self, version: i16) -> bool {
        self.has(version) && self.tag.is_some()
    }

    /// Whether leaving a value out of this version would change what the message says.
    pub(super) const fn must_not_be_lost(&self, version: i16) -> bool {
        !self.has(version) && !self.ignorable
    }

    pub(super) const fn at(&self, version: i16) -> At {
        At { version, nullable: version >= self.nullable_from }
    }
}

/// What a field needs to know of its message.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) version: i16,
    pub(super) nullable: bool,
}

/// One sort of field.
pub(super) trait Field<'a>: Sized {
    /// The least it takes on the wire at this version: what an array's count is held against.
    fn bytes_min(version: i16, flexible: bool) -> usize;
    fn read_at(reader: &mut Reader<'a>, at: At) -> Result<Self, WireError>;
    fn write_at(&self, writer: &mut Writer, at: At) -> Result<(), WireError>;

    /// A random value that may stand at this place.
    #[cfg(test)]
    fn sample(dice: &mut super::tests::Dice, at: At) -> Self;
    /// Every leaf below `path` with its value, for comparison with another implementation.
    #[cfg(test)]
    fn leaves(&self, path: &str, version: i16, out: &mut super::tests::Leaves);
}

macro_rules! fixed_size {
    ($($type:ty, $method:ident, $bytes:literal;)*) => {$(
        impl Field<'_> for $type {
            fn bytes_min(_: i16, _: bool) -> usize {
                $bytes
            }
            fn read_at(reader: &mut Reader<'_>, _: At) -> Result<Self, WireError> {
                reader.$method()
            }
            fn write_at(&self, writer: &mut Writer, _: At) -> Result<(), WireError> {
                writer.$method(*self);
                Ok(())
            }
            #[cfg(test)]
            fn sample(dice: &mut super::tests::Dice, _: At) -> Self {
                dice.$method()
            }
            #[cfg(test)]
            fn leaves(&self, path: &str, _: i16, out: &mut super::tests::Leaves) {
                out.leaf(path, self);
            }
        }
    )*};
}

fixed_size! {
    i8, i8, 1;
    i16, i16, 2;
    i32, i32, 4;
    i64, i64, 8;
    bool, bool, 1;
    Uuid, uuid, 16;
}

/// The length of something empty: a varint, or the integer of older versions.
fn length_bytes(flexible: bool, older: usize) -> usize {
    if flexible { 1 } else { older }
}

/// Reads and writes in the nullable form; whether null may stand here is asked by the callers below.
trait Nullable<'a>: Sized {
    fn bytes_min(flexible: bool) -> usize;
    fn read_nullable(reader: &mut Reader<'a>, version: i16) -> Result<Option<Self>, WireError>;
    fn write_nullable(value: Option<&Self>, writer: &mut Writer, version: i16) -> Result<(), WireError>;
    #[cfg(test)]
    fn sample_some(dice: &mut super::tests::Dice, version: i16) -> Self;
    #[cfg(test)]
    fn leaves_some(&self, path: &str, version: i16, out: &mut super::tests::Leaves);
}

impl<'a> Nullable<'a> for String {
    fn bytes_min(flexible: bool) -> usize {
        length_bytes(flexible, 2)
    }
    fn read_nullable(reader: &mut Reader<'a>, _: i16) -> Result<Option<Self>, WireError> {
        Ok(reader.nullable_str()?.map(str::to_owned))
    }
    fn write_nullable(value: Option<&Self>, writer: &mut Writer, _: i16) -> Result<(), WireError> {
        writer.nullable_str(value.map(String::as_str))
    }
    #[cfg(test)]
    fn sample_some(dice: &mut super::tests::Dice, _: i16) -> Self {
        dice.string()
    }
    #[cfg(test)]
    fn leaves_some(&self, path: &str, _: i16, out: &mut super::tests::Leaves) {
        out.leaf(path, self);
    }
}

impl<'a> Nullable<'a> for &'a [u8] {
    fn bytes_min(flexible: bool) -> usize {
        length_bytes(flexible, 4)
    }
    fn read_nullable(reader: &mut Reader<'a>, _: i16) -> Result<Option<Self>, WireError> {
        reader.nullable_bytes()
    }
    fn write_nullable(value: Option<&Self>, writer: &mut Writer, _: i16) -> Result<(), WireError> {
        writer.nullable_bytes(value.copied())
    }
    #[cfg(test)]
    fn sample_some(dice: &mut super::tests::Dice, _: i16) -> Self {
        dice.bytes()
    }
    #[cfg(test)]
    fn leaves_some(&self, path: &str, _: i16, out: &mut super::tests::Leaves) {
        out.leaf(path, &bytes::Bytes::copy_from_slice(self));
    }
}

impl<'a, T: Field<'a>> Nullable<'a> for Vec<T> {
    fn bytes_min(flexible: bool) -> usize {
        length_bytes(flexible, 4)
    }
    fn read_nullable(reader: &mut Reader<'a>, version: i16) -> Result<Option<Self>, WireError> {
        let element_bytes_min = T::bytes_min(version, reader.is_flexible());
        reader.nullable_array(element_bytes_min, |reader| T::read_at(reader, At { version, nullable: false }))
    }
    fn write_nullable(value: Option<&Self>, writer: &mut Writer, version: i16) -> Result<(), WireError> {
        writer.nullable_array(value.map(Vec::as_slice), |writer, item| {
            item.write_at(writer, At { version, nullable: false })
        })
    }
    #[cfg(test)]
    fn sample_some(dice: &mut super::tests::Dice, version: i16) -> Self {
        (0..dice.count()).map(|_| T::sample(dice, At { version, nullable: false })).collect()
    }
    #[cfg(test)]
    fn leaves_some(&self, path: &str, version: i16, out: &mut super::tests::Leaves) {
        out.leaf(&format!("{path}.len"), &self.len());
        for (index, item) in self.iter().enumerate() {
            item.leaves(&format!("{path}[{index}]"), version, out);
        }
    }
}

/// A structure that may be null: a byte that says whether it is there, in every version, and then it.
impl<'a, T: Message<'a> + Field<'a>> Nullable<'a> for T {
    fn bytes_min(_: bool) -> usize {
        1
    }
    fn read_nullable(reader: &mut Reader<'a>, version: i16) -> Result<Option<Self>, WireError> {
        if reader.i8()? < 0 { Ok(None) } else { Message::read(reader, version).map(Some) }
    }
    fn write_nullable(value: Option<&Self>, writer: &mut Writer, version: i16) -> Result<(), WireError> {
        writer.i8(if value.is_some() { 1 } else { -1 });
        value.map_or(Ok(()), |value| Message::write(value, writer, version))
    }
    #[cfg(test)]
    fn sample_some(dice: &mut super::tests::Dice, version: i16) -> Self {
        T::sample(dice, At { version, nullable: false })
    }
    #[cfg(test)]
    fn leaves_some(&self, path: &str, version: i16, out: &mut super::tests::Leaves) {
        self.leaves(path, version, out);
    }
}

macro_rules! never_null {
    ($(($($generics:tt)*) $type:ty;)*) => {$(
        impl<$($generics)*> Field<'a> for $type {
            fn bytes_min(_: i16, flexible: bool) -> usize {
                <Self as Nullable<'a>>::bytes_min(flexible)
            }
            fn read_at(reader: &mut Reader<'a>, at: At) -> Result<Self, WireError> {
                Self::read_nullable(reader, at.version)?.ok_or_else(|| reader.error(Problem::Null))
            }
            fn write_at(&self, writer: &mut Writer, at: At) -> Result<(), WireError> {
                Self::write_nullable(Some(self), writer, at.version)
            }
            #[cfg(test)]
            fn sample(dice: &mut super::tests::Dice, at: At) -> Self {
                Self::sample_some(dice, at.version)
            }
            #[cfg(test)]
            fn leaves(&self, path: &str, version: i16, out: &mut super::tests::Leaves) {
                self.leaves_some(path, version, out);
            }
        }
    )*};
}

never_null! {
    ('a) String;
    ('a) &'a [u8];
    ('a, T: Field<'a>) Vec<T>;
}

impl<'a, T: Nullable<'a>> Field<'a> for Option<T> {
    fn bytes_min(_: i16, flexible: bool) -> usize {
        T::bytes_min(flexible)
    }
    fn read_at(reader: &mut Reader<'a>, at: At) -> Result<Self, WireError> {
        let value = T::read_nullable(reader, at.version)?;
        if value.is_none() && !at.nullable {
            return Err(reader.error(Problem::Null));
        }
        Ok(value)
    }
    fn write_at(&self, writer: &mut Writer, at: At) -> Result<(), WireError> {
        if self.is_none() && !at.nullable {
            return Err(writer.error(Problem::Null));
        }
        T::write_nullable(self.as_ref(), writer, at.version)
    }
    #[cfg(test)]
    fn sample(dice: &mut super::tests::Dice, at: At) -> Self {
        (!at.nullable || dice.bool()).then(|| T::sample_some(dice, at.version))
    }
    #[cfg(test)]
    fn leaves(&self, path: &str, version: i16, out: &mut super::tests::Leaves) {
        match self {
            Some(value) => value.leaves_some(path, version, out),
            None => out.leaf(path, &"null"),
        }
    }
}

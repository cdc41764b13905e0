//! Turns one definition of a structure into its type, its reader and its writer, so that the two cannot drift apart.
//!
//! ```text
//! structs! {
//!     /// One broker.
//!     pub struct MetadataResponseBroker {
//!         node_id: i32 = from(0);
//!         rack: Option<String> = from(1).ignorable();
//!     }
//! }
//! ```
//! Each field: name (Kafka's, in snake case), type, [`Place`](super::field::Place), and `, default VALUE` where it isn't
//! zero, empty or null. A field that a version lacks is read as its default. Written, it must be the default or
//! `ignorable`: what a version cannot carry is never lost unseen. Tagged fields stand in the order of their tags, are
//! written when they differ from the default, and the order of the others is that of the wire.

macro_rules! structs {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident $(<$lifetime:lifetime>)? {
            $( $(#[$field_meta:meta])* $field:ident : $type:ty = $place:expr $(, default $default:expr)? ; )*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name $(<$lifetime>)? {
            $( $(#[$field_meta])* #[doc = concat!("On the wire: `", stringify!($place), "`.")] pub $field: $type, )*
        }

        impl $(<$lifetime>)? Default for $name $(<$lifetime>)? {
            fn default() -> Self {
                Self { $( $field: $crate::wire::define::default_or!($type $(, $default)?), )* }
            }
        }

        impl<'a> $crate::wire::field::Field<'a> for $crate::wire::define::at_lifetime!($name $(<$lifetime>)?) {
            fn bytes_min(version: i16, flexible: bool) -> usize {
                use $crate::wire::field::*;
                let mut bytes = usize::from(flexible);
                $( if const { $place }.is_plain(version) { bytes += <$type as Field<'_>>::bytes_min(version, flexible); } )*
                bytes
            }

            fn read_at(
                reader: &mut $crate::wire::Reader<'a>,
                at: $crate::wire::field::At,
            ) -> Result<Self, $crate::wire::WireError> {
                $crate::wire::Message::read(reader, at.version)
            }

            fn write_at(
                &self,
                writer: &mut $crate::wire::Writer,
                at: $crate::wire::field::At,
            ) -> Result<(), $crate::wire::WireError> {
                $crate::wire::Message::write(self, writer, at.version)
            }

            #[cfg(test)]
            fn sample(dice: &mut $crate::wire::tests::Dice, at: $crate::wire::field::At) -> Self {
                use $crate::wire::field::*;
                let mut this = Self::default();
                $( if const { $place }.has(at.version) { this.$field = Field::sample(dice, const { $place }.at(at.version)); } )*
                this
            }

            #[cfg(test)]
            fn leaves(&self, path: &str, version: i16, out: &mut $crate::wire::tests::Leaves) {
                use $crate::wire::field::*;
                let joint = if path.is_empty() { "" } else { "." };
                $(
                    if const { $place }.has(version) {
                        self.$field.leaves(&format!(concat!("{}{}", stringify!($field)), path, joint), version, out);
                    }
                )*
            }
        }

        impl<'a> $crate::wire::Message<'a> for $crate::wire::define::at_lifetime!($name $(<$lifetime>)?) {
            fn read(reader: &mut $crate::wire::Reader<'a>, version: i16) -> Result<Self, $crate::wire::WireError> {
                use $crate::wire::field::*;
                let mut this = Self::default();
                let inside = |name| move |error: $crate::wire::WireError| error.inside(stringify!($name), version, name);
                $(
                    if const { $place }.is_plain(version) {
                        this.$field = Field::read_at(reader, const { $place }.at(version)).map_err(inside(stringify!($field)))?;
                    }
                )*
                reader.tagged_fields(|_reader, _tag| {
                    $(
                        if const { $place }.is_tagged(version) && const { $place }.tag == Some(_tag) {
                            this.$field = Field::read_at(_reader, const { $place }.at(version)).map_err(inside(stringify!($field)))?;
                            return Ok(true);
                        }
                    )*
                    Ok(false)
                })
                .map_err(|error| error.of(stringify!($name), version))?;
                Ok(this)
            }

            fn write(&self, writer: &mut $crate::wire::Writer, version: i16) -> Result<(), $crate::wire::WireError> {
                use $crate::wire::field::*;
                let inside = |name| move |error: $crate::wire::WireError| error.inside(stringify!($name), version, name);
                $(
                    if const { $place }.is_plain(version) {
                        self.$field.write_at(writer, const { $place }.at(version)).map_err(inside(stringify!($field)))?;
                    } else if const { $place }.must_not_be_lost(version)
                        && self.$field != $crate::wire::define::default_or!($type $(, $default)?)
                    {
                        let error = writer.error($crate::wire::error::Problem::NotInVersion);
                        return Err(inside(stringify!($field))(error));
                    }
                )*
                if !writer.is_flexible() {
                    return Ok(());
                }
                let default = Self::default();
                let mut _tags = 0;
                $( _tags += u32::from(const { $place }.is_tagged(version) && self.$field != default.$field); )*
                writer.uvarint(_tags);
                $(
                    if let Some(tag) = const { $place }.tag
                        && const { $place }.is_tagged(version)
                        && self.$field != default.$field
                    {
                        writer
                            .tagged_field(tag, |writer| self.$field.write_at(writer, const { $place }.at(version)))
                            .map_err(inside(stringify!($field)))?;
                    }
                )*
                Ok(())
            }
        }
    )*};
}

/// A field's default.
macro_rules! default_or {
    ($type:ty) => {
        <$type as Default>::default()
    };
    ($type:ty, $default:expr) => {
        $default
    };
}

/// The type at the lifetime of what it is read from.
macro_rules! at_lifetime {
    ($name:ident) => { $name };
    ($name:ident < $lifetime:lifetime >) => { $name<$lifetime> };
}

/// The marker type of an API.
macro_rules! api {
    ($(#[$meta:meta])* $name:ident, $first:literal to $last:literal, $request:ty => $response:ty) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}

        impl $crate::wire::Api for $name {
            const KEY: $crate::wire::ApiKey = $crate::wire::ApiKey::$name;
            const VERSIONS: std::ops::RangeInclusive<i16> = $first..=$last;
            type Request<'a> = $request;
            type Response<'a> = $response;
        }
    };
}

pub(super) use {api, at_lifetime, default_or, structs};

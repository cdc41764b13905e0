//! Why a record is refused: a class that is counted, and a sentence for people.

use std::fmt;

/// What sort of refusal it is. The names are stable: reports and dead letters carry them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Class {
    /// There is no value: a tombstone.
    NoValue,
    /// The value is no UTF-8.
    NoUtf8,
    /// The value is no JSON.
    NoJson,
    /// The value is JSON, but no object.
    NoObject,
    /// Two members of an object have one name.
    DuplicateName,
    /// A string has half of a surrogate pair in it.
    LoneSurrogate,
    /// Nested deeper, or with more members, than is followed.
    TooLarge,
    /// A field that has to be there is not, or is null.
    Missing,
    /// A field is of another type than the rule can work with.
    WrongType,
    /// A field cannot be read as what it is to become.
    NoCast,
    /// A number is not within the bounds.
    OutOfRange,
    /// A text does not match the pattern.
    NoMatch,
    /// A text is none of those that are mapped.
    NotMapped,
    /// A field cannot be put where it belongs, because something else is there.
    Occupied,
    /// Another topic does not have what is looked up in it.
    NotFound,
}

impl Class {
    /// As it is counted and stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoValue => "no_value",
            Self::NoUtf8 => "no_utf8",
            Self::NoJson => "no_json",
            Self::NoObject => "no_object",
            Self::DuplicateName => "duplicate_name",
            Self::LoneSurrogate => "lone_surrogate",
            Self::TooLarge => "too_large",
            Self::Missing => "missing",
            Self::WrongType => "wrong_type",
            Self::NoCast => "no_cast",
            Self::OutOfRange => "out_of_range",
            Self::NoMatch => "no_match",
            Self::NotMapped => "not_mapped",
            Self::Occupied => "occupied",
            Self::NotFound => "not_found",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a record is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What it is counted as.
    pub class: Class,
    /// What it is in this record, printable and short.
    pub text: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

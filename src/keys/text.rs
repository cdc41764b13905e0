//! The text of a record: what is counted or searched in it, by the same names as the key language, and read as it stands.
//!
//! `value`, `key` and `header:NAME` are bytes, whatever is in them. `value:json:/POINTER` is the text of a JSON string; a
//! number, true, false, an array or an object is its text as it is written. Null and what is not there have no text, which is
//! no error; a value that is no JSON is one.

use super::json::{self, Found, Pointer};
use super::{Fields, KeyError, KeyPart, KeySource, KeyType};
use crate::base::text::{did_you_mean, excerpt};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

const HEADER: &str = "header:";
const JSON: &str = "value:json:";

/// Where a record's text is taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextSource(KeyPart);

/// The value.
impl Default for TextSource {
    fn default() -> Self {
        Self::of(KeySource::Value)
    }
}

impl TextSource {
    fn of(source: KeySource) -> Self {
        Self(KeyPart { source, kind: KeyType::String })
    }

    /// The text; `None` where the record has none.
    #[inline]
    pub fn find<'a>(&self, fields: &'a impl Fields) -> Result<Option<Cow<'a, [u8]>>, KeyError> {
        Ok(match &self.0.source {
            KeySource::Value => fields.value().map(Cow::Borrowed),
            KeySource::Key => fields.key().map(Cow::Borrowed),
            KeySource::Header(name) => fields.header(name).flatten().map(Cow::Borrowed),
            KeySource::Json(pointer) => match fields.value() {
                Some(document) => self.in_json(pointer, document)?,
                None => None,
            },
            // Never parsed: a time is no text.
            KeySource::Timestamp => None,
        })
    }

    fn in_json<'a>(&self, pointer: &Pointer, document: &'a [u8]) -> Result<Option<Cow<'a, [u8]>>, KeyError> {
        let unreadable = |reason: &dyn fmt::Display| self.0.unreadable(reason, document);
        match json::find(document, pointer) {
            Ok(Found::Nowhere) => Ok(None),
            Ok(Found::Twice) => Err(unreadable(&"the JSON has two members of that name on the way")),
            Ok(Found::At("null")) => Ok(None),
            Ok(Found::At(raw)) if raw.starts_with('"') => {
                json::text(raw).map(Some).map_err(|error| unreadable(&format_args!("the value is no JSON: {error}")))
            }
            Ok(Found::At(raw)) => Ok(Some(Cow::Borrowed(raw.as_bytes()))),
            Err(error) => Err(unreadable(&format_args!("the value is no JSON: {error}"))),
        }
    }
}

impl FromStr for TextSource {
    type Err = String;

    fn from_str(spec: &str) -> Result<Self, String> {
        if let Some(pointer) = spec.strip_prefix(JSON) {
            return Pointer::parse(pointer).map(KeySource::Json).map(Self::of);
        }
        if let Some(name) = spec.strip_prefix(HEADER).filter(|name| !name.is_empty()) {
            return Ok(Self::of(KeySource::Header(name.to_owned())));
        }
        match spec {
            "value" => Ok(Self::of(KeySource::Value)),
            "key" => Ok(Self::of(KeySource::Key)),
            "header" | HEADER => Err("which header? write header:NAME".to_owned()),
            "value:json" | JSON => Err("which field? write value:json:/POINTER".to_owned()),
            _ => Err(format!(
                "a record's text is its value, key, header:NAME or value:json:/POINTER, not {}{}",
                excerpt(spec.as_bytes()),
                did_you_mean(spec.split(':').next().unwrap_or(spec), ["value", "key", "header"])
            )),
        }
    }
}

/// As it is typed.
impl fmt::Display for TextSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sample;

    const DOCUMENT: &[u8] =
        br#"{"line":"one two","escaped":"a\nb","n":1.50,"list":[1, 2],"none":null,"twice":1,"twice":2}"#;

    impl Fields for Sample {
        fn key(&self) -> Option<&[u8]> {
            None
        }
        fn value(&self) -> Option<&[u8]> {
            Some(DOCUMENT)
        }
        fn timestamp(&self) -> i64 {
            0
        }
        fn header(&self, name: &str) -> Option<Option<&[u8]>> {
            match name {
                "h" => Some(Some(b"\xff x")),
                "null" => Some(None),
                _ => None,
            }
        }
    }

    fn text(spec: &str) -> Option<Vec<u8>> {
        let source: TextSource = spec.parse().unwrap();
        assert_eq!(source.to_string(), spec);
        source.find(&Sample).unwrap().map(Cow::into_owned)
    }

    #[test]
    fn text_is_found_where_it_is_and_nothing_where_there_is_none() {
        assert_eq!(text("value").as_deref(), Some(DOCUMENT));
        assert_eq!(text("header:h").as_deref(), Some(&b"\xff x"[..]), "bytes as they are");
        assert_eq!(text("value:json:/line").as_deref(), Some(&b"one two"[..]));
        assert_eq!(text("value:json:/escaped").as_deref(), Some(&b"a\nb"[..]));
        assert_eq!(text("value:json:/n").as_deref(), Some(&b"1.50"[..]));
        assert_eq!(text("value:json:/list").as_deref(), Some(&b"[1, 2]"[..]));
        for none in ["key", "header:null", "header:other", "value:json:/none", "value:json:/line/0", "value:json:/x"] {
            assert_eq!(text(none), None, "{none}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        struct Broken;
        impl Fields for Broken {
            fn key(&self) -> Option<&[u8]> {
                None
            }
            fn value(&self) -> Option<&[u8]> {
                Some(b"{\"a\":")
            }
            fn timestamp(&self) -> i64 {
                0
            }
            fn header(&self, _: &str) -> Option<Option<&[u8]>> {
                None
            }
        }
        let source: TextSource = "value:json:/a".parse().unwrap();
        let error = source.find(&Broken).unwrap_err().to_string();
        assert!(error.contains("value:json:/a") && error.contains("no JSON"), "{error}");
        let source: TextSource = "value:json:/twice".parse().unwrap();
        assert!(source.find(&Sample).unwrap_err().to_string().contains("two members"));
    }

    #[test]
    fn a_mistyped_source_is_told_with_the_nearest_one() {
        let wrong = |spec: &str| spec.parse::<TextSource>().unwrap_err();
        assert!(wrong("valeu").contains("did you mean value?"), "{}", wrong("valeu"));
        assert!(wrong("timestamp").contains("value:json:/POINTER"));
        assert!(wrong("header:").contains("header:NAME"));
        assert!(wrong("value:json:x").contains("slash"));
    }
}

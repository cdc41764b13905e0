//! Which records are wanted: conditions in the key language, of which all must hold.
//!
//! | condition | holds where |
//! | --- | --- |
//! | `SOURCE` | there is something that is not null |
//! | `!SOURCE` | there is not: `!value` finds tombstones |
//! | `SOURCE=TEXT` `SOURCE!=TEXT` | it is (not) this text, byte for byte |
//! | `SOURCE*=TEXT` | the text is somewhere in it |
//! | `SOURCE:TYPE=TEXT`, also `!=` `<` `<=` `>` `>=` | read as that type, it compares so |
//! | `timestamp>=TEXT`, also the others | the record's timestamp; RFC 3339, a day, milliseconds, or from now (`-2h`) |
//!
//! What was decided where the language leaves room:
//! - `!=` is exactly the opposite of `=`, so it holds as well where there is nothing. No other comparison holds there.
//! - Without a type, a JSON string is the text it holds, and anything else in JSON the text it is written as (`true`, `17`).
//! - What cannot be read as its type fulfils nothing; whoever filters counts it, so that it does not pass unseen.
//! - The first sign that is an operator ends the source. A header or a pointer with one of them in its name cannot be asked
//!   for.

use super::json::{self, Found};
use super::{Fields, KeyError, KeyPart, KeyPlan, KeySource, KeyType, Order, parse};
use crate::base::from_to::Moment;
use crate::base::text::excerpt;
use std::borrow::Cow;
use std::cmp::Ordering;

/// Conditions, of which all must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    conditions: Vec<Condition>,
    /// A key's bytes beyond its first eight.
    tail: Vec<u8>,
}

/// What a filter says of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is wanted.
    Wanted,
    /// It is not.
    Unwanted,
    /// It cannot be read as a condition wants, and so is not.
    Unreadable,
}

#[derive(Debug, Clone)]
struct Condition {
    source: KeySource,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    There(bool),
    Text { equal: bool, text: Vec<u8> },
    Contains(Vec<u8>),
    Typed { plan: KeyPlan, operator: Operator, prefix: u64, tail: Vec<u8> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
}

/// The longer ones first.
const OPERATORS: [(&str, Operator); 7] = [
    ("!=", Operator::Unequal),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("*=", Operator::Contains),
    ("=", Operator::Equal),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl Filter {
    /// Reads conditions as typed with `--where`; times that count from now count from `now_ms`.
    pub fn parse(conditions: &[String], now_ms: i64) -> Result<Self, String> {
        let read = |text: &String| {
            condition(text, now_ms).map_err(|why| format!("--where {}: {why}", excerpt(text.as_bytes())))
        };
        Ok(Self { conditions: conditions.iter().map(read).collect::<Result<_, _>>()?, tail: Vec::new() })
    }

    /// Whether every record is wanted.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Whether a record is wanted.
    #[inline]
    pub fn verdict(&mut self, record: &impl Fields) -> Verdict {
        for condition in &self.conditions {
            match condition.verdict(record, &mut self.tail) {
                Verdict::Wanted => {}
                other => return other,
            }
        }
        Verdict::Wanted
    }
}

fn condition(text: &str, now_ms: i64) -> Result<Condition, String> {
    if let Some(source) = text.strip_prefix('!') {
        return Ok(Condition { source: parse::source_and_type(source)?.0, test: Test::There(false) });
    }
    let Some((at, (sign, operator))) = first_operator(text) else {
        return Ok(Condition { source: parse::source_and_type(text)?.0, test: Test::There(true) });
    };
    let (spec, wanted) = (&text[..at], &text[at + sign.len()..]);
    let (source, kind) = parse::source_and_type(spec)?;
    let test = match (&source, kind, operator) {
        (KeySource::Timestamp, _, Operator::Contains) | (_, Some(_), Operator::Contains) => {
            return Err(format!("{sign} looks for a text in {spec}, and goes without a type"));
        }
        (KeySource::Timestamp, ..) => {
            let moment: Moment = wanted.trim().parse().map_err(|error| format!("{error}"))?;
            typed(KeySource::Timestamp, KeyType::Int, operator, b"", moment.epoch_ms(now_ms))?
        }
        (_, Some(kind), _) => typed(source.clone(), kind, operator, wanted.as_bytes(), 0)?,
        (_, None, Operator::Contains) => Test::Contains(wanted.as_bytes().to_vec()),
        (_, None, Operator::Equal | Operator::Unequal) => {
            Test::Text { equal: operator == Operator::Equal, text: wanted.as_bytes().to_vec() }
        }
        (_, None, _) => {
            return Err(format!("to compare with {sign} a type is needed, as in {spec}:int{sign}{wanted}"));
        }
    };
    Ok(Condition { source, test })
}

/// The leftmost operator, with its place.
fn first_operator(text: &str) -> Option<(usize, (&'static str, Operator))> {
    (0..text.len()).filter(|at| text.is_char_boundary(*at)).find_map(|at| {
        OPERATORS.into_iter().find(|(sign, _)| text[at..].starts_with(sign)).map(|operator| (at, operator))
    })
}

/// A comparison by type, the wanted text read as what it is compared with.
fn typed(source: KeySource, kind: KeyType, operator: Operator, wanted: &[u8], timestamp: i64) -> Result<Test, String> {
    // A text that is typed stands for itself, wherever it is compared with a field.
    let own = match source {
        KeySource::Timestamp => KeySource::Timestamp,
        _ => KeySource::Value,
    };
    let mut tail = Vec::new();
    let literal = KeyPlan::of(vec![KeyPart { source: own, kind }], Order::Asc);
    let prefix = literal.extract_into(&Literal { wanted, timestamp }, &mut tail).map_err(|error| match error {
        KeyError::Unreadable { reason, excerpt, .. } => format!("{excerpt} is no {kind}: {reason}"),
        error => error.to_string(),
    })?;
    let plan = KeyPlan::of(vec![KeyPart { source, kind }], Order::Asc);
    Ok(Test::Typed { plan, operator, prefix, tail })
}

/// What was typed, as if it were a record.
struct Literal<'a> {
    wanted: &'a [u8],
    timestamp: i64,
}

impl Fields for Literal<'_> {
    fn key(&self) -> Option<&[u8]> {
        Some(self.wanted)
    }
    fn value(&self) -> Option<&[u8]> {
        Some(self.wanted)
    }
    fn timestamp(&self) -> i64 {
        self.timestamp
    }
    fn header(&self, _: &str) -> Option<Option<&[u8]>> {
        Some(Some(self.wanted))
    }
}

impl Condition {
    #[inline]
    fn verdict(&self, record: &impl Fields, scratch: &mut Vec<u8>) -> Verdict {
        let of = |holds: bool| if holds { Verdict::Wanted } else { Verdict::Unwanted };
        match &self.test {
            Test::Typed { plan, operator, prefix, tail } => match plan.extract_into(record, scratch) {
                Ok(found) => of(operator.holds((found, scratch.as_slice()).cmp(&(*prefix, tail.as_slice())))),
                Err(KeyError::Missing { .. }) => of(*operator == Operator::Unequal),
                Err(KeyError::Unreadable { .. }) => Verdict::Unreadable,
            },
            Test::There(wanted) => match self.text(record) {
                Ok(text) => of(text.is_some() == *wanted),
                Err(Unreadable) => Verdict::Unreadable,
            },
            Test::Text { equal, text } => match self.text(record) {
                Ok(found) => of(found.is_some_and(|found| *found == **text) == *equal),
                Err(Unreadable) => Verdict::Unreadable,
            },
            Test::Contains(text) => match self.text(record) {
                Ok(found) => of(found.is_some_and(|found| contains(&found, text))),
                Err(Unreadable) => Verdict::Unreadable,
            },
        }
    }

    /// What is there, as text; `None` where there is nothing, or null.
    fn text<'a>(&self, record: &'a impl Fields) -> Result<Option<Cow<'a, [u8]>>, Unreadable> {
        Ok(match &self.source {
            KeySource::Value => record.value().map(Cow::Borrowed),
            KeySource::Key => record.key().map(Cow::Borrowed),
            KeySource::Header(name) => record.header(name).flatten().map(Cow::Borrowed),
            KeySource::Timestamp => (record.timestamp() >= 0).then_some(Cow::Borrowed(b"")),
            KeySource::Json(pointer) => {
                let Some(document) = record.value() else { return Ok(None) };
                match json::find(document, pointer) {
                    Ok(Found::At("null") | Found::Nowhere) => None,
                    Ok(Found::At(raw)) if raw.starts_with('"') => Some(json::text(raw).map_err(|_| Unreadable)?),
                    Ok(Found::At(raw)) => Some(Cow::Borrowed(raw.as_bytes())),
                    Ok(Found::Twice) | Err(_) => return Err(Unreadable),
                }
            }
        })
    }
}

struct Unreadable;

impl Operator {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            // Has no order; such a condition is never made.
            Self::Contains => false,
        }
    }
}

/// Looks for the needle's first byte, which is quick, and compares there.
fn contains(hay: &[u8], needle: &[u8]) -> bool {
    let Some((&first, rest)) = needle.split_first() else { return true };
    let mut from = 0;
    while let Some(at) = hay[from..].iter().position(|byte| *byte == first) {
        from += at + 1;
        if hay[from..].starts_with(rest) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Rec {
        key: Option<&'static str>,
        value: Option<&'static str>,
        header: Option<Option<&'static str>>,
        timestamp: i64,
    }

    impl Fields for Rec {
        fn key(&self) -> Option<&[u8]> {
            self.key.map(str::as_bytes)
        }
        fn value(&self) -> Option<&[u8]> {
            self.value.map(str::as_bytes)
        }
        fn timestamp(&self) -> i64 {
            self.timestamp
        }
        fn header(&self, name: &str) -> Option<Option<&[u8]>> {
            self.header.filter(|_| name == "h").map(|value| value.map(str::as_bytes))
        }
    }

    fn verdict(conditions: &[&str], record: &Rec) -> Verdict {
        let conditions: Vec<String> = conditions.iter().map(|text| (*text).to_owned()).collect();
        Filter::parse(&conditions, 10_000).unwrap().verdict(record)
    }

    #[test]
    fn conditions_hold_as_they_are_read() {
        use Verdict::{Unreadable, Unwanted, Wanted};
        let order = Rec {
            key: Some("k1"),
            value: Some(r#"{"status":"paid","amount":10.50,"n":7,"ok":true,"none":null,"deep":{"a/b":[1,2]}}"#),
            header: Some(Some("x=y")),
            timestamp: 5000,
        };
        let tombstone = Rec { key: Some("k2"), timestamp: -1, ..Rec::default() };
        for (text, on_order, on_tombstone) in [
            ("key=k1", Wanted, Unwanted),
            ("key!=k1", Unwanted, Wanted),
            ("key=", Unwanted, Unwanted),
            ("value", Wanted, Unwanted),
            ("!value", Unwanted, Wanted),
            ("header:h", Wanted, Unwanted),
            ("!header:h", Unwanted, Wanted),
            ("header:h=x=y", Wanted, Unwanted),
            ("header:h!=z", Wanted, Wanted),
            ("header:h*==", Wanted, Unwanted),
            ("value*=paid", Wanted, Unwanted),
            ("value*=unpaid", Unwanted, Unwanted),
            ("value:json:/status=paid", Wanted, Unwanted),
            ("value:json:/status!=paid", Unwanted, Wanted),
            ("value:json:/status*=ai", Wanted, Unwanted),
            ("value:json:/ok=true", Wanted, Unwanted),
            ("value:json:/n=7", Wanted, Unwanted),
            ("value:json:/none", Unwanted, Unwanted),
            ("value:json:/deep/a~1b/1=2", Wanted, Unwanted),
            ("value:json:/amount:decimal>=10.5", Wanted, Unwanted),
            ("value:json:/amount:decimal=10.5", Wanted, Unwanted),
            ("value:json:/amount:decimal<10.5", Unwanted, Unwanted),
            ("value:json:/n:int>10", Unwanted, Unwanted),
            ("value:json:/n:int<10", Wanted, Unwanted),
            ("value:json:/n:int!=8", Wanted, Wanted),
            ("value:json:/status:string>p", Wanted, Unwanted),
            ("value:json:/status:int>1", Unreadable, Unwanted),
            ("value:json:/missing:int!=1", Wanted, Wanted),
            ("key:int<5", Unreadable, Unreadable),
            ("timestamp>=5000", Wanted, Unwanted),
            ("timestamp<1970-01-01T00:00:05Z", Unwanted, Wanted),
            ("timestamp>-6s", Wanted, Unwanted),
            ("timestamp>-5s", Unwanted, Unwanted),
            ("timestamp", Wanted, Unwanted),
        ] {
            assert_eq!((verdict(&[text], &order), verdict(&[text], &tombstone)), (on_order, on_tombstone), "{text}");
        }
        assert_eq!(verdict(&["key=k1", "value*=paid"], &order), Wanted);
        assert_eq!(verdict(&["key=k1", "value*=unpaid"], &order), Unwanted);
        assert_eq!(verdict(&[], &order), Wanted);
    }

    #[test]
    fn a_value_that_is_no_json_is_unreadable_and_not_merely_unwanted() {
        let broken = Rec { value: Some("{\"a\":"), ..Rec::default() };
        for text in ["value:json:/a=1", "value:json:/a!=1", "value:json:/a", "!value:json:/a", "value:json:/a:int>1"] {
            assert_eq!(verdict(&[text], &broken), Verdict::Unreadable, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_condition_is_named() {
        for (text, part) in [
            ("", "a key is taken from"),
            ("vlaue=1", "did you mean value?"),
            ("=1", "a key is taken from"),
            ("value>1", "a type is needed, as in value:int>1"),
            ("value:int=x", "\"x\" is no int"),
            ("value:int*=1", "goes without a type"),
            ("value:itn=1", "did you mean int?"),
            ("value:json:a=1", "does not begin with a slash"),
            ("timestamp>yesterday", "a duration from now"),
            ("timestamp*=1", "goes without a type"),
            ("header:=1", "which header?"),
        ] {
            let error = Filter::parse(&[text.to_owned()], 0).unwrap_err();
            assert!(error.starts_with("--where ") && error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_text_is_found_wherever_it_stands() {
        for (hay, needle, found) in [
            ("", "", true),
            ("a", "", true),
            ("", "a", false),
            ("aab", "ab", true),
            ("ab", "abc", false),
            ("xxabx", "ab", true),
            ("ababac", "abac", true),
        ] {
            assert_eq!(contains(hay.as_bytes(), needle.as_bytes()), found, "{needle:?} in {hay:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_condition_makes_it_panic(text in "(value|key|header:|timestamp|value:json:/)?[!<>=*:/~a-z0-9é-]{0,24}") {
            if let Ok(mut filter) = Filter::parse(&[text], 0) {
                filter.verdict(&Rec { value: Some("{\"a\":1}"), ..Rec::default() });
            }
        }
    }
}

//! A value as rules look at it.

use super::tree::{Kind, Member, Tree};
use crate::formats::string;
use crate::keys::parse_int;
use std::cmp::Ordering;

/// A value that is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) kind: Kind,
    /// As it is written.
    pub(super) json: &'a [u8],
    /// The text of a string; of anything else, what it is written as.
    pub(super) text: &'a [u8],
}

impl<'a> Seen<'a> {
    /// What cannot be shown as it stands goes through the buffer.
    #[inline]
    pub(super) fn of(member: &Member, tree: &'a Tree, buffer: &'a mut Vec<u8>) -> Self {
        let json = tree.bytes(member.value);
        match member.kind {
            Kind::Text { escaped } => {
                let inside = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
                let text = if escaped {
                    buffer.clear();
                    // It was read before, so that it is text is known.
                    string::take_inside(std::str::from_utf8(inside).unwrap_or_default(), buffer).unwrap_or_default();
                    buffer.as_slice()
                } else {
                    inside
                };
                Self { kind: member.kind, json, text }
            }
            Kind::Opened => {
                buffer.clear();
                tree.write_value(member, buffer);
                Self { kind: Kind::Object, json: buffer, text: buffer }
            }
            kind => Self { kind, json, text: json },
        }
    }

    /// The number that it is, if it is one.
    #[inline]
    pub(super) fn number(&self) -> Option<Number> {
        match self.kind {
            Kind::Number { .. } => Number::read(self.json),
            _ => None,
        }
    }
}

/// A number to compare with others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// Within 64 bits, and written without fraction and exponent.
    Whole(i64),
    /// Any other, as the nearest double; beyond a double's range it is infinite.
    Double(f64),
}

impl Number {
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        match parse_int(json) {
            Ok(whole) => Some(Self::Whole(whole)),
            Err(_) => std::str::from_utf8(json).ok()?.parse().ok().map(Self::Double),
        }
    }

    /// Exact among whole numbers, and of a whole number with a double.
    pub(super) fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(&b),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (Self::Whole(a), Self::Double(b)) => whole_with_double(a, b),
            (Self::Double(a), Self::Whole(b)) => whole_with_double(b, a).reverse(),
        }
    }
}

/// A double that is beyond 64 bits is above or below them all; any other one has a whole part that is exact.
fn whole_with_double(whole: i64, double: f64) -> Ordering {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if double >= BEYOND {
        Ordering::Less
    } else if double < -BEYOND {
        Ordering::Greater
    } else {
        whole.cmp(&(double.floor() as i64)).then(if double.fract() == 0.0 { Ordering::Equal } else { Ordering::Less })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_as_numbers_also_where_doubles_cannot_tell_them_apart() {
        let order = |a: &str, b: &str| Number::read(a.as_bytes()).unwrap().order(Number::read(b.as_bytes()).unwrap());
        let rising = [
            "-1e400",
            "-9223372036854775809",
            "-9223372036854775808",
            "-2.5",
            "-2",
            "-0.5",
            "0",
            "0.5",
            "1",
            "1.5",
            "9007199254740992",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "1e300",
            "1e400",
        ];
        for (i, a) in rising.iter().enumerate() {
            for (j, b) in rising.iter().enumerate() {
                // The first beyond 64 bits is a double, and that one is the smallest of the 64 bits.
                if ["-9223372036854775809", "-9223372036854775808"].contains(a) && i.abs_diff(j) == 1 {
                    continue;
                }
                if ["-9223372036854775809"].contains(b) && i.abs_diff(j) == 1 {
                    continue;
                }
                assert_eq!(order(a, b), i.cmp(&j), "{a} and {b}");
            }
        }
        assert_eq!(order("1", "1.0"), Ordering::Equal);
        assert_eq!(order("-0", "0.0"), Ordering::Equal);
        assert_eq!(order("1e2", "100"), Ordering::Equal);
    }
}

//! Random conditions, and whether they hold of a whole document.

use super::super::super::Class;
use super::super::values::text;
use super::{Field, field, get, one_of, spelled, toml};
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::Value;
use std::cmp::Ordering;

#[derive(Debug)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Test(Field, &'static str, Value),
}

/// A value to compare with.
fn constant(random: &mut StdRng) -> Value {
    match random.random_range(0..4) {
        0 => one_of(random, &[0, 1, -1, 17, 1_715_947_200, i64::MAX]).into(),
        1 => one_of(random, &[0.5, 2.0, -2.5, 1e300]).into(),
        2 => random.random::<bool>().into(),
        _ => text(random).into(),
    }
}

impl Condition {
    pub(super) fn draw(random: &mut StdRng, depth: usize) -> Self {
        let some =
            |random: &mut StdRng| (0..random.random_range(1..4)).map(|_| Self::draw(random, depth + 1)).collect();
        match random.random_range(0..if depth < 3 { 8 } else { 5 }) {
            5 => Self::All(some(random)),
            6 => Self::Any(some(random)),
            7 => Self::Not(Box::new(Self::draw(random, depth + 1))),
            _ => {
                let tests = [
                    "exists",
                    "equals",
                    "not_equals",
                    "in",
                    "less",
                    "at_most",
                    "greater",
                    "at_least",
                    "contains",
                    "starts_with",
                    "ends_with",
                    "matches",
                ];
                let test = one_of(random, &tests);
                let value = match test {
                    "exists" => random.random::<bool>().into(),
                    "in" => (0..random.random_range(1..4)).map(|_| constant(random)).collect(),
                    "contains" | "starts_with" | "ends_with" => text(random).into(),
                    "matches" => "^[a-z0-9]".into(),
                    "equals" | "not_equals" => constant(random),
                    _ => std::iter::repeat_with(|| constant(random)).find(|value| !value.is_boolean()).unwrap(),
                };
                Self::Test(field(random), test, value)
            }
        }
    }

    pub(super) fn toml(&self) -> String {
        let all = |all: &[Self]| all.iter().map(Self::toml).collect::<Vec<_>>().join(", ");
        match self {
            Self::All(inner) => format!("{{ all = [{}] }}", all(inner)),
            Self::Any(inner) => format!("{{ any = [{}] }}", all(inner)),
            Self::Not(inner) => format!("{{ not = {} }}", inner.toml()),
            Self::Test(field, test, value) => format!("{{ field = {}, {test} = {} }}", spelled(field), toml(value)),
        }
    }

    pub(super) fn holds(&self, root: &Value) -> Result<bool, Class> {
        match self {
            Self::All(inner) => {
                inner.iter().try_fold(true, |holds, next| if holds { next.holds(root) } else { Ok(false) })
            }
            Self::Any(inner) => {
                inner.iter().try_fold(false, |holds, next| if holds { Ok(true) } else { next.holds(root) })
            }
            Self::Not(inner) => Ok(!inner.holds(root)?),
            Self::Test(field, test, than) => {
                let value = get(root, field).unwrap_or(&Value::Null);
                let equal = |than: &Value| order(value, than) == Some(Ordering::Equal);
                let (text, part) = (value.as_str(), than.as_str().unwrap_or_default());
                let begins = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
                Ok(match *test {
                    "exists" => value.is_null() != (than == &Value::Bool(true)),
                    "equals" => equal(than),
                    "not_equals" => !equal(than),
                    "in" => than.as_array().unwrap().iter().any(equal),
                    "contains" => text.is_some_and(|text| text.contains(part)),
                    "starts_with" => text.is_some_and(|text| text.starts_with(part)),
                    "ends_with" => text.is_some_and(|text| text.ends_with(part)),
                    "matches" => text.is_some_and(|text| text.starts_with(begins)),
                    _ if value.is_null() => false,
                    "less" => order(value, than).ok_or(Class::WrongType)?.is_lt(),
                    "at_most" => order(value, than).ok_or(Class::WrongType)?.is_le(),
                    "greater" => order(value, than).ok_or(Class::WrongType)?.is_gt(),
                    _ => order(value, than).ok_or(Class::WrongType)?.is_ge(),
                })
            }
        }
    }
}

fn order(value: &Value, than: &Value) -> Option<Ordering> {
    match (value, than) {
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            // None of the doubles that are drawn is near a whole number that a double cannot hold.
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        _ => None,
    }
}

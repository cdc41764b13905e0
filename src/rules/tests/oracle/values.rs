//! Random records: few names, so that rules meet their fields, and values of every type, many of them awkward.

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Map, Number, Value};

pub(super) const NAMES: [&str; 5] = ["a", "b", "c", "é", "x/y"];

/// Numbers are written as serde_json writes them, so that they stay so when they become numbers and texts again.
const TEXTS: [&str; 24] = [
    "",
    " ",
    "a",
    " A b ",
    "É\u{a0}",
    "\"\\/\n",
    "17",
    "-3",
    "+5",
    "007",
    "2.0",
    "2.5",
    "1.5e+300",
    "1e400",
    ".5",
    "18446744073709551615",
    "true",
    "FALSE",
    "0",
    "1",
    "2024-05-17T12:00:00Z",
    "2024-05-17T14:00:00.250+02:00",
    "2024-13-01T00:00:00Z",
    "ǅ\u{130}",
];
const WHOLE: [i64; 10] = [0, 1, -1, 2, 17, 60, 1_715_947_200, 1_715_947_200_123, i64::MAX, i64::MIN];
const DOUBLES: [f64; 6] = [0.5, -2.5, 2.0, 1e300, -17.25, 1_715_947_200.25];

pub(super) fn record(random: &mut StdRng) -> Value {
    object(random, 0)
}

fn object(random: &mut StdRng, depth: usize) -> Value {
    let mut members = Map::new();
    for _ in 0..random.random_range(0..6) {
        let name = NAMES[random.random_range(0..if depth == 0 { NAMES.len() } else { 3 })];
        members.insert(name.to_owned(), value(random, depth + 1));
    }
    Value::Object(members)
}

pub(super) fn value(random: &mut StdRng, depth: usize) -> Value {
    match random.random_range(0..13) {
        0 => Value::Null,
        1 => Value::Bool(random.random()),
        2 | 3 => WHOLE[random.random_range(0..WHOLE.len())].into(),
        4 => Number::from_f64(DOUBLES[random.random_range(0..DOUBLES.len())]).map(Value::Number).unwrap(),
        5 if depth < 4 => Value::Array((0..random.random_range(0..3)).map(|_| value(random, depth + 1)).collect()),
        6..=8 if depth < 4 => object(random, depth),
        _ => text(random).into(),
    }
}

pub(super) fn text(random: &mut StdRng) -> &'static str {
    TEXTS[random.random_range(0..TEXTS.len())]
}

/// The value as JSON, with spaces around it now and then; not inside, for rules may make texts of what is nested.
pub(super) fn written(value: &Value, random: &mut StdRng) -> String {
    if random.random() { format!(" {value}\n") } else { value.to_string() }
}

//! What many values of a field come to: how many, their sum, their mean, the least, the largest, a quantile, how many different ones.
//!
//! - A field that is missing or null is passed over. What is of no use to the question (a text where a sum is asked for) is passed
//!   over too, and counted as unfit.
//! - Numbers that are whole and within 64 bits, however written (`1e3`, `2.0`), are exact; all others are the nearest double, and
//!   what is beyond a double's range is unfit. A sum of whole numbers is exact whatever its length; one with others among them is
//!   the double that is nearest to the exact sum of all.
//! - `min` and `max` are of numbers where there are any; else of texts, by their bytes. Texts among numbers are unfit.
//! - A quantile is a value that is there: the least one that at least so many percent of the values are not above.
//! - No answer depends on the order in which values come, or on how they were shared out before they were put together.

mod exact_sum;

mod stored;

#[cfg(test)]
mod tests;

use super::paths::PathId;
use super::picks::FieldValue;
use super::seen::Number;
use crate::formats::string;
use exact_sum::ExactSum;
use std::collections::HashSet;
use std::io::Write as _;

/// All of the percents, so that three places behind the point can be told.
const WHOLE: u32 = 100_000;
/// What a different value costs beside its own bytes, while the table around it grows.
const DISTINCT_BYTES: usize = 64;

/// What is asked about the values of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateKind {
    /// How many records there are, whatever is in them.
    Records,
    /// How many values there are, of whatever type.
    Count,
    /// The sum.
    Sum,
    /// The sum by the count.
    Mean,
    /// The least.
    Min,
    /// The largest.
    Max,
    /// The value at so many thousandths of a percent.
    Quantile(u32),
    /// How many different values.
    Distinct,
}

impl AggregateKind {
    /// As rule files have them; quantiles are `p50`, `p95`, `p99.9`.
    pub(super) const WORDS: &'static str = "count, sum, mean, min, max, p50, p95 (any p0 to p100), distinct";

    /// Whether only the values themselves can answer it.
    pub(super) fn is_spread(self) -> bool {
        matches!(self, Self::Quantile(_) | Self::Distinct)
    }

    /// What a word of a rule file asks for of a field.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "count" => Self::Count,
            "sum" => Self::Sum,
            "mean" => Self::Mean,
            "min" => Self::Min,
            "max" => Self::Max,
            "distinct" => Self::Distinct,
            _ => Self::Quantile(thousandths(word.strip_prefix('p')?)?),
        })
    }
}

/// `95`, `99.9`: thousandths of a percent, up to all.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(places) {
        return None;
    }
    let rank = whole.parse::<u32>().ok()? * 1000 + format!("{places:0<3}").parse::<u32>().ok()?;
    (rank <= WHOLE).then_some(rank)
}

/// An aggregate of a rule file: what is asked, of which field, and what the answer is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateSpec {
    pub(super) name: String,
    pub(super) kind: AggregateKind,
    pub(super) path: PathId,
}

impl AggregateSpec {
    /// What the answer is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is asked.
    pub fn kind(&self) -> AggregateKind {
        self.kind
    }
}

/// What the values so far come to.
#[derive(Debug, Clone)]
pub struct Aggregate {
    pub(super) so_far: SoFar,
    pub(super) unfit: u64,
}

#[derive(Debug, Clone)]
pub(super) enum SoFar {
    Records(u64),
    Count(u64),
    Sum(ExactSum),
    Mean { sum: ExactSum, count: u64 },
    Extreme(Extreme),
    Quantile { rank: u32, values: Vec<Number> },
    Distinct { values: HashSet<Box<[u8]>>, bytes: usize },
}

/// The least or the largest.
#[derive(Debug, Clone)]
pub(super) struct Extreme {
    pub(super) largest: bool,
    pub(super) number: Option<Number>,
    pub(super) text: Option<Box<[u8]>>,
    pub(super) texts: u64,
}

impl Aggregate {
    /// Of no values yet.
    pub fn new(kind: AggregateKind) -> Self {
        let extreme = |largest| SoFar::Extreme(Extreme { largest, number: None, text: None, texts: 0 });
        let so_far = match kind {
            AggregateKind::Records => SoFar::Records(0),
            AggregateKind::Count => SoFar::Count(0),
            AggregateKind::Sum => SoFar::Sum(ExactSum::default()),
            AggregateKind::Mean => SoFar::Mean { sum: ExactSum::default(), count: 0 },
            AggregateKind::Min => extreme(false),
            AggregateKind::Max => extreme(true),
            AggregateKind::Quantile(rank) => SoFar::Quantile { rank, values: Vec::new() },
            AggregateKind::Distinct => SoFar::Distinct { values: HashSet::new(), bytes: 0 },
        };
        Self { so_far, unfit: 0 }
    }

    /// A record has this value.
    #[inline]
    pub fn add(&mut self, value: FieldValue<'_>) {
        match &mut self.so_far {
            SoFar::Records(count) => return *count += 1,
            _ if value == FieldValue::Nothing => return,
            SoFar::Count(count) => return *count += 1,
            SoFar::Extreme(extreme) => {
                if extreme.add(value) {
                    return;
                }
            }
            SoFar::Distinct { values, bytes } => {
                if let Some(key) = distinct_key(value) {
                    if !values.contains(&*key) {
                        *bytes += DISTINCT_BYTES + key.len();
                        values.insert(key);
                    }
                    return;
                }
            }
            SoFar::Sum(sum) => {
                if let Some(number) = number(value) {
                    return sum.add(number);
                }
            }
            SoFar::Mean { sum, count } => {
                if let Some(number) = number(value) {
                    *count += 1;
                    return sum.add(number);
                }
            }
            SoFar::Quantile { values, .. } => {
                if let Some(number) = number(value) {
                    return values.push(number);
                }
            }
        }
        self.unfit += 1;
    }

    /// Takes in what other values have come to. Both are of one kind.
    pub fn merge(&mut self, other: Self) {
        self.unfit += other.unfit;
        match (&mut self.so_far, other.so_far) {
            (SoFar::Records(ours), SoFar::Records(theirs)) | (SoFar::Count(ours), SoFar::Count(theirs)) => {
                *ours += theirs;
            }
            (SoFar::Sum(ours), SoFar::Sum(theirs)) => ours.merge(&theirs),
            (SoFar::Mean { sum, count }, SoFar::Mean { sum: theirs, count: more }) => {
                sum.merge(&theirs);
                *count += more;
            }
            (SoFar::Extreme(ours), SoFar::Extreme(theirs)) => ours.merge(theirs),
            (SoFar::Quantile { values, .. }, SoFar::Quantile { values: theirs, .. }) => values.extend(theirs),
            (SoFar::Distinct { values, bytes }, SoFar::Distinct { values: theirs, .. }) => {
                for key in theirs {
                    let len = key.len();
                    if values.insert(key) {
                        *bytes += DISTINCT_BYTES + len;
                    }
                }
            }
            (ours, theirs) => debug_assert!(false, "{ours:?} and {theirs:?} are of two kinds"),
        }
    }

    /// Writes the answer as JSON; null where there was no value to answer from, or where a sum is beyond a double's range.
    pub fn write(&mut self, out: &mut Vec<u8>) {
        match &mut self.so_far {
            SoFar::Records(count) | SoFar::Count(count) => _ = write!(out, "{count}"),
            SoFar::Sum(sum) => sum.write(out),
            SoFar::Mean { sum, count } => write_double(sum.by(*count), out),
            SoFar::Extreme(Extreme { number: Some(number), .. }) => write_number(*number, out),
            SoFar::Extreme(Extreme { text: Some(text), .. }) => {
                out.push(b'"');
                string::put_inside(out, text);
                out.push(b'"');
            }
            SoFar::Extreme(_) => out.extend_from_slice(b"null"),
            SoFar::Quantile { rank, values } => match at_rank(values, *rank) {
                Some(number) => write_number(number, out),
                None => out.extend_from_slice(b"null"),
            },
            SoFar::Distinct { values, .. } => _ = write!(out, "{}", values.len()),
        }
    }

    /// How many values were of no use to the question.
    pub fn unfit(&self) -> u64 {
        match &self.so_far {
            SoFar::Extreme(Extreme { number: Some(_), texts, .. }) => self.unfit + texts,
            _ => self.unfit,
        }
    }

    /// What it takes, itself included, by a cautious estimate.
    #[inline]
    pub fn bytes(&self) -> usize {
        let more = match &self.so_far {
            SoFar::Records(_) | SoFar::Count(_) => 0,
            SoFar::Sum(sum) | SoFar::Mean { sum, .. } => sum.bytes(),
            SoFar::Extreme(extreme) => extreme.text.as_ref().map_or(0, |text| text.len() + 16),
            SoFar::Quantile { values, .. } => values.capacity() * size_of::<Number>(),
            SoFar::Distinct { bytes, .. } => *bytes,
        };
        size_of::<Self>() + more
    }
}

impl Extreme {
    fn add(&mut self, value: FieldValue<'_>) -> bool {
        match value {
            FieldValue::Text(text) => {
                self.texts += 1;
                if self.text.as_ref().is_none_or(|held| self.is_nearer(text.cmp(held))) {
                    self.text = Some(text.into());
                }
                true
            }
            value => match number(value) {
                Some(number) => {
                    self.add_number(number);
                    true
                }
                None => false,
            },
        }
    }

    fn add_number(&mut self, number: Number) {
        if self.number.is_none_or(|held| self.is_nearer(number.order(held))) {
            self.number = Some(number);
        }
    }

    fn is_nearer(&self, order: std::cmp::Ordering) -> bool {
        if self.largest { order.is_gt() } else { order.is_lt() }
    }

    fn merge(&mut self, other: Self) {
        self.texts += other.texts;
        if let Some(number) = other.number {
            self.add_number(number);
        }
        if let Some(text) = other.text
            && self.text.as_ref().is_none_or(|held| self.is_nearer(text.cmp(held)))
        {
            self.text = Some(text);
        }
    }
}

/// The number that a value is. Whole ones are whole however they are written, so that equal ones are alike.
pub(super) fn number(value: FieldValue<'_>) -> Option<Number> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    let FieldValue::Number(text) = value else { return None };
    match Number::read(text)? {
        Number::Double(double) if !double.is_finite() => None,
        Number::Double(double) if double.fract() == 0.0 && (-BEYOND..BEYOND).contains(&double) => {
            Some(Number::Whole(double as i64))
        }
        number => Some(number),
    }
}

/// What tells values apart: the type and the value.
fn distinct_key(value: FieldValue<'_>) -> Option<Box<[u8]>> {
    let (sort, bytes) = match value {
        FieldValue::Text(text) => (b's', text),
        FieldValue::Truth(truth) => (b'b', if truth { &b"1"[..] } else { b"0" }),
        FieldValue::Number(_) => {
            return Some(match number(value)? {
                Number::Whole(whole) => [&[b'i'][..], &whole.to_be_bytes()].concat().into(),
                Number::Double(double) => [&[b'd'][..], &double.to_bits().to_be_bytes()].concat().into(),
            });
        }
        FieldValue::Nothing | FieldValue::Nested(_) => return None,
    };
    Some([&[sort][..], bytes].concat().into())
}

/// The least value that at least `rank` of all are not above.
fn at_rank(values: &mut [Number], rank: u32) -> Option<Number> {
    values.sort_unstable_by(|one, other| one.order(*other));
    values.get(place_of(rank, values.len() as u64) as usize).copied()
}

/// Which one of so many values in order that is, from 0.
pub(super) fn place_of(rank: u32, values: u64) -> u64 {
    (u128::from(values) * u128::from(rank)).div_ceil(u128::from(WHOLE)).saturating_sub(1) as u64
}

pub(super) fn write_number(number: Number, out: &mut Vec<u8>) {
    match number {
        Number::Whole(whole) => _ = write!(out, "{whole}"),
        Number::Double(double) => write_double(Some(double), out),
    }
}

fn write_double(double: Option<f64>, out: &mut Vec<u8>) {
    match double.filter(|double| double.is_finite()) {
        Some(double) => _ = write!(out, "{double:?}"),
        None => out.extend_from_slice(b"null"),
    }
}

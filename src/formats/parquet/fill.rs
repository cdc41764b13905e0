//! Rows become columns: each member goes to the column of its name, or into `_rest`.
//!
//! Non-obvious: nothing is allocated for a value. Rows of one table mostly have their members in one order, so which column
//! comes next is remembered of the row before, and the name compared; only where that fails it is looked up.

use super::columns::{Kind, Schema};
use super::members::{self, Is, Member};
use super::rows::{Row, Rows};
use crate::base::text::visible;
use crate::base::time::parse_rfc3339;
use crate::formats::string;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

/// Up to here a double tells every whole number from its neighbours.
pub(super) const EXACT_MAX: u64 = 1 << 53;
/// So many different names of what is in `_rest` are counted; all others together.
const NAMES_MAX: usize = 100;
/// What those are counted as.
const OTHERS: &str = "(others)";
/// So many values tell whether they come again.
const SAMPLE: usize = 2000;
const NONE: u32 = u32::MAX;
/// A column keeps room for so many values from one row group to the next.
const KEPT_VALUES: usize = 1 << 10;

/// The values of a column that are there, and at which rows: 1 in `levels` where one is, 0 where none is.
#[derive(Debug)]
pub(super) struct Filling {
    pub(super) values: Values,
    pub(super) levels: Vec<i16>,
}

#[derive(Debug)]
pub(super) enum Values {
    Ints(Vec<i64>),
    Doubles(Vec<f64>),
    Bools(Vec<bool>),
    Texts(Texts),
}

/// Texts, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) bytes: Vec<u8>,
    /// Where each ends.
    pub(super) ends: Vec<usize>,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Filler {
    kinds: Vec<Kind>,
    names: Vec<Box<[u8]>>,
    by_name: HashMap<Box<[u8]>, u32>,
    /// By column, and first for the beginning: the column of the member that came next, the last time.
    next: Vec<u32>,
    columns: Vec<Filling>,
    rest: Filling,
    unescaped: Vec<u8>,
    /// What is in `_rest`, by name.
    in_rest: BTreeMap<String, u64>,
}

impl Filler {
    pub(super) fn new(schema: &Schema) -> Self {
        let names: Vec<Box<[u8]>> = schema.columns().iter().map(|one| one.name.as_bytes().into()).collect();
        Self {
            kinds: schema.columns().iter().map(|one| one.kind).collect(),
            by_name: names.iter().enumerate().map(|(at, name)| (name.clone(), at as u32)).collect(),
            next: vec![NONE; names.len() + 1],
            names,
            columns: schema.columns().iter().map(|one| Filling::new(one.kind)).collect(),
            rest: Filling::new(Kind::Json),
            unescaped: Vec::new(),
            in_rest: BTreeMap::new(),
        }
    }

    /// Fills the columns with these rows and nothing else; an error is the offset of what is no object.
    pub(super) fn fill(&mut self, rows: &Rows) -> Result<(), i64> {
        self.columns.iter_mut().for_each(Filling::clear);
        self.rest.clear();
        for (at, row) in rows.iter().enumerate() {
            self.row(at, &row).ok_or(row.offset)?;
        }
        self.columns.iter_mut().chain([&mut self.rest]).for_each(|one| one.levels.resize(rows.len(), 0));
        Ok(())
    }

    /// Gives back what the rows have taken, but for what a few take: there are many files, and each has columns.
    pub(super) fn let_go(&mut self) {
        self.filled_mut().for_each(|one| {
            one.clear();
            one.shrink();
        });
    }

    /// The columns.
    pub(super) fn filled(&self) -> &[Filling] {
        &self.columns
    }

    /// The columns, and behind them the rest.
    pub(super) fn filled_mut(&mut self) -> impl Iterator<Item = &mut Filling> {
        self.columns.iter_mut().chain([&mut self.rest])
    }

    pub(super) fn take_in_rest(&mut self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.in_rest)
    }

    #[inline]
    fn row(&mut self, at: usize, row: &Row<'_>) -> Option<()> {
        let Self { kinds, names, by_name, next, columns, rest, unescaped, in_rest } = self;
        let mut before = 0;
        members::each(row.json, |member| {
            let column = if member.name_escaped {
                name_of(&member, unescaped).and_then(|name| by_name.get(name)).copied()
            } else {
                match names.get(next[before] as usize) {
                    Some(name) if **name == *member.name => Some(next[before]),
                    _ => by_name.get(member.name).copied(),
                }
            };
            if let Some(column) = column {
                next[before] = column;
                before = column as usize + 1;
                if member.is == Is::Null || columns[column as usize].take(at, kinds[column as usize], &member) {
                    return;
                }
            }
            // Null is what is missing, and missing it is.
            if member.is != Is::Null {
                rest.take_rest(at, &member);
                count(in_rest, &member);
            }
        })?;
        rest.end_rest(at);
        Some(())
    }
}

/// A member's name as the text that it stands for.
pub(super) fn name_of<'a>(member: &Member<'a>, unescaped: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if !member.name_escaped {
        return Some(member.name);
    }
    unescaped.clear();
    string::take_inside(std::str::from_utf8(member.name).ok()?, unescaped)?;
    Some(unescaped)
}

#[cold]
fn count(in_rest: &mut BTreeMap<String, u64>, member: &Member<'_>) {
    let mut unescaped = Vec::new();
    add_name(in_rest, &visible(&String::from_utf8_lossy(name_of(member, &mut unescaped).unwrap_or(member.name))), 1);
}

/// Adds to the count of a name; beyond so many names to that of all others.
pub fn add_name(in_rest: &mut BTreeMap<String, u64>, name: &str, count: u64) {
    let names = in_rest.len() - usize::from(in_rest.contains_key(OTHERS));
    let is_full = names >= NAMES_MAX && !in_rest.contains_key(name);
    *in_rest.entry(if is_full { OTHERS } else { name }.to_owned()).or_default() += count;
}

impl Filling {
    fn new(kind: Kind) -> Self {
        let values = match kind {
            Kind::Int | Kind::Time | Kind::TimeMicros => Values::Ints(Vec::new()),
            Kind::Float => Values::Doubles(Vec::new()),
            Kind::Bool => Values::Bools(Vec::new()),
            Kind::String | Kind::Json => Values::Texts(Texts::default()),
        };
        Self { values, levels: Vec::new() }
    }

    /// Whether hardly any of the first values comes twice.
    pub(super) fn is_of_many(&self) -> bool {
        match &self.values {
            Values::Ints(values) => are_many(values.iter().copied()),
            Values::Doubles(values) => are_many(values.iter().map(|value| value.to_bits())),
            Values::Bools(_) => false,
            Values::Texts(texts) => {
                let starts = std::iter::once(&0).chain(&texts.ends);
                are_many(starts.zip(&texts.ends).map(|(start, end)| texts.bytes.get(*start..*end)))
            }
        }
    }

    pub(super) fn is_of_ints(&self) -> bool {
        matches!(self.values, Values::Ints(_))
    }

    fn clear(&mut self) {
        self.levels.clear();
        match &mut self.values {
            Values::Ints(values) => values.clear(),
            Values::Doubles(values) => values.clear(),
            Values::Bools(values) => values.clear(),
            Values::Texts(texts) => {
                texts.bytes.clear();
                texts.ends.clear();
            }
        }
    }

    fn shrink(&mut self) {
        self.levels.shrink_to(KEPT_VALUES);
        match &mut self.values {
            Values::Ints(values) => values.shrink_to(KEPT_VALUES),
            Values::Doubles(values) => values.shrink_to(KEPT_VALUES),
            Values::Bools(values) => values.shrink_to(KEPT_VALUES),
            Values::Texts(texts) => {
                texts.bytes.shrink_to(8 * KEPT_VALUES);
                texts.ends.shrink_to(KEPT_VALUES);
            }
        }
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        let values = match &self.values {
            Values::Ints(values) => values.capacity() * 8,
            Values::Doubles(values) => values.capacity() * 8,
            Values::Bools(values) => values.capacity(),
            Values::Texts(texts) => texts.bytes.capacity() + texts.ends.capacity() * 8,
        };
        values + self.levels.capacity() * 2
    }

    /// Takes a value that is not null, if it fits.
    #[inline]
    fn take(&mut self, row: usize, kind: Kind, member: &Member<'_>) -> bool {
        // There is one already: nobody can say which is meant.
        if self.levels.len() > row {
            return false;
        }
        let fits = match (&mut self.values, kind, member.is) {
            (Values::Ints(values), Kind::Int, Is::Number { whole: true }) => put(values, int(member.value)),
            (Values::Ints(values), Kind::Time | Kind::TimeMicros, Is::Text { .. }) => put(values, time(member, kind)),
            (Values::Doubles(values), _, Is::Number { whole }) => put(values, double(member.value, whole)),
            (Values::Bools(values), _, Is::Bool(truth)) => put(values, Some(truth)),
            (Values::Texts(texts), Kind::String, Is::Text { escaped }) => texts.take_text(member.value, escaped),
            (Values::Texts(texts), Kind::Json, _) => {
                texts.bytes.extend_from_slice(member.value);
                texts.end();
                true
            }
            _ => false,
        };
        if fits {
            self.levels.resize(row, 0);
            self.levels.push(1);
        }
        fits
    }

    /// Adds a member to the row's object of what fits nowhere.
    #[cold]
    fn take_rest(&mut self, row: usize, member: &Member<'_>) {
        let Values::Texts(texts) = &mut self.values else { return };
        if self.levels.len() > row {
            texts.bytes.push(b',');
        } else {
            texts.bytes.push(b'{');
            self.levels.resize(row, 0);
            self.levels.push(1);
        }
        texts.bytes.push(b'"');
        texts.bytes.extend_from_slice(member.name);
        texts.bytes.extend_from_slice(b"\":");
        texts.bytes.extend_from_slice(member.value);
    }

    fn end_rest(&mut self, row: usize) {
        if let Values::Texts(texts) = &mut self.values
            && self.levels.len() > row
        {
            texts.bytes.push(b'}');
            texts.end();
        }
    }
}

impl Texts {
    fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// Takes what stands between the quotation marks.
    #[inline]
    fn take_text(&mut self, value: &[u8], escaped: bool) -> bool {
        let inside = value.get(1..value.len().saturating_sub(1)).unwrap_or_default();
        if !escaped {
            self.bytes.extend_from_slice(inside);
            self.end();
            return true;
        }
        let taken = std::str::from_utf8(inside).ok().and_then(|inside| string::take_inside(inside, &mut self.bytes));
        match taken {
            Some(()) => self.end(),
            None => self.bytes.truncate(self.ends.last().copied().unwrap_or(0)),
        }
        taken.is_some()
    }
}

/// Whether nine of ten are new among the first; of too few nobody knows.
fn are_many<T: Hash + Eq>(values: impl Iterator<Item = T>) -> bool {
    let (mut seen, mut count) = (HashSet::new(), 0);
    for value in values.take(SAMPLE) {
        seen.insert(value);
        count += 1;
    }
    count >= SAMPLE / 10 && seen.len() * 10 > count * 9
}

#[inline]
fn put<T>(values: &mut Vec<T>, value: Option<T>) -> bool {
    let fits = value.is_some();
    values.extend(value);
    fits
}

#[inline]
fn int(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[inline]
fn double(text: &[u8], whole: bool) -> Option<f64> {
    if whole {
        let number = int(text)?;
        // Among doubles there are two zeros.
        let double = if number == 0 && text.starts_with(b"-") { -0.0 } else { number as f64 };
        return (number.unsigned_abs() <= EXACT_MAX).then_some(double);
    }
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    number.is_finite().then_some(number)
}

/// The moment, where the column is as fine as it.
#[inline]
fn time(member: &Member<'_>, kind: Kind) -> Option<i64> {
    // Texts with escapes are no moments.
    let inside = member.value.get(1..member.value.len().checked_sub(1)?)?;
    let time = parse_rfc3339(inside).ok()?;
    match kind {
        Kind::TimeMicros if time.nanos % 1000 == 0 => {
            time.epoch_ms.checked_mul(1000)?.checked_add(i64::from(time.nanos / 1000))
        }
        Kind::Time if time.nanos == 0 => Some(time.epoch_ms),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::Column;
    use super::*;

    #[test]
    fn what_rows_have_taken_is_given_back_once_they_are_written() {
        let kinds = [Kind::Int, Kind::Float, Kind::Bool, Kind::String, Kind::Json];
        let columns = kinds.iter().enumerate().map(|(at, kind)| Column { name: at.to_string(), kind: *kind });
        let mut filler = Filler::new(&Schema::new(columns.collect(), true).unwrap());
        let mut rows = Rows::default();
        for offset in 0..50_000 {
            let text = "x".repeat(20);
            rows.push(format!(r#"{{"0":1,"1":1.5,"2":true,"3":"{text}","4":[1],"5":"{text}"}}"#).as_bytes(), offset, 0);
        }
        let bytes = |filler: &mut Filler| filler.filled_mut().map(|one| one.bytes()).sum::<usize>();
        for _ in 0..2 {
            filler.fill(&rows).unwrap();
            assert!(bytes(&mut filler) > 1 << 20);
            filler.let_go();
            assert!(bytes(&mut filler) < 200 << 10, "{}", bytes(&mut filler));
        }
    }
}

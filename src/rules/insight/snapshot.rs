//! What was counted, written out in parts and read back.
//!
//! ```text
//!  {"at":1000,"part":0,"last":true,"items":[
//!    {"insight":"device_type","definition":"…","since":0,"missed":0,"late":0,"untimed":0,"latest_ms":null},
//!    {"table":"total","records":12,"other":0}, ["iOS",7], ["web",5],
//!    {"table":1700000040000,"records":2,"other":0}, ["web",2]]}
//! ```
//!
//! A part is one JSON object and stays far below what a broker takes for a record; the last one says that it is. What stands
//! behind an insight or a table belongs to it, also in the next part.
//!
//! Non-obvious: what is read is a claim. It has to add up and to fit into the memory, or it counts for nothing.

use super::state::{Counter, Insights, InsightsFull};
use super::table::Table;
use crate::rules::Rules;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A part is closed once it is as long as this; no value makes it much longer.
const PART_BYTES: usize = 24 << 10;

/// Which part comes next.
#[derive(Debug, Clone, Copy, Default)]
pub struct PartPlace {
    part: usize,
    counter: usize,
    /// 0 is the insight itself, 1 the total, then the panes.
    table: usize,
    /// 0 is the table itself, then its rows.
    row: usize,
}

/// A part of what was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 0.
    pub number: usize,
    /// The JSON object.
    pub json: Vec<u8>,
}

/// Why parts count for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// They are not as they were written.
    #[error("not as kmerge writes it: {0}")]
    Form(String),
    /// There is no memory for them.
    #[error(transparent)]
    Full(#[from] InsightsFull),
}

impl Counter {
    /// A table with what it is called, by its number: the total, or a pane.
    fn table(&self, number: usize) -> Option<(Value, &Table)> {
        match number.checked_sub(1)? {
            0 => Some((json!("total"), &self.total)),
            pane => {
                let (start, table) = self.windows.as_ref()?.panes().nth(pane - 1)?;
                Some((json!(start), table))
            }
        }
    }

    fn head(&self, name: &str, definition: &str) -> Value {
        let latest_ms = self.windows.as_ref().and_then(|windows| windows.latest_ms());
        json!({ "insight": name, "definition": definition, "since": self.since, "missed": self.missed, "late": self.late,
            "untimed": self.untimed, "latest_ms": latest_ms })
    }
}

impl Insights {
    /// The part at a place, which goes to the next one; `None` behind the last. All that lies before the offset `at` is
    /// counted. Nothing may be counted between two parts.
    pub fn part(&self, at: i64, place: &mut PartPlace) -> Option<Part> {
        if place.part > 0 && place.counter >= self.counters.len() {
            return None;
        }
        let mut items = Vec::new();
        while items.len() < PART_BYTES && self.put_item(place, &mut items) {}
        let (number, last) = (place.part, place.counter >= self.counters.len());
        place.part += 1;
        let mut json = format!("{{\"at\":{at},\"part\":{number},\"last\":{last},\"items\":[").into_bytes();
        json.extend_from_slice(&items);
        json.extend_from_slice(b"]}");
        Some(Part { number, json })
    }

    /// Appends the item at a place, which goes to the next one; `false` behind the last insight.
    fn put_item(&self, place: &mut PartPlace, items: &mut Vec<u8>) -> bool {
        let (Some(counter), Some(insight)) =
            (self.counters.get(place.counter), self.rules.insights().get(place.counter))
        else {
            return false;
        };
        let item = match (place.table, counter.table(place.table)) {
            (0, _) => {
                place.table = 1;
                counter.head(&insight.name, &insight.definition).to_string().into_bytes()
            }
            (_, None) => {
                *place = PartPlace { part: place.part, counter: place.counter + 1, table: 0, row: 0 };
                return true;
            }
            (_, Some((name, table))) => match place.row.checked_sub(1).map(|row| table.row(row)) {
                None => {
                    place.row = 1;
                    json!({ "table": name, "records": table.records, "other": table.other }).to_string().into_bytes()
                }
                Some(None) => {
                    (place.table, place.row) = (place.table + 1, 0);
                    return true;
                }
                Some(Some((value, _, count))) => {
                    place.row += 1;
                    [b"[", value, b",", count.to_string().as_bytes(), b"]"].concat()
                }
            },
        };
        if !items.is_empty() {
            items.push(b',');
        }
        items.extend_from_slice(&item);
        true
    }
}

/// Reads parts back, in whatever order they come: what counts is the first time that all of one offset came one behind the other.
/// Parts of other offsets are passed over, so that what was counted is in memory once, however often it was written.
#[derive(Debug)]
pub struct Restoring {
    rules: Arc<Rules>,
    bytes_max: usize,
    at: i64,
    found: Found,
}

#[derive(Debug)]
enum Found {
    Nothing,
    /// What is being read.
    Open(Box<Reading>),
    Whole(Insights),
}

#[derive(Debug)]
struct Reading {
    next_part: usize,
    insights: Insights,
    /// Which insights were there.
    found: Vec<bool>,
    /// The insight that items belong to; `None` where it is not of these rules.
    counter: Option<usize>,
    table: Option<(TableOf, Table)>,
}

#[derive(Debug, Clone, Copy)]
enum TableOf {
    Total,
    Pane(i64),
}

impl Restoring {
    /// Looks for what was counted of all that lies before the offset `at`.
    pub fn new(rules: &Arc<Rules>, bytes_max: usize, at: i64) -> Self {
        Self { rules: Arc::clone(rules), bytes_max, at, found: Found::Nothing }
    }

    /// Takes the next part.
    pub fn take(&mut self, json: &[u8]) -> Result<(), Broken> {
        let part: BTreeMap<String, &RawValue> = parsed(json)?;
        let field =
            |name: &str| part.get(name).map(|raw| raw.get().as_bytes()).ok_or_else(|| form("a name is missing"));
        let (at, number, last): (i64, usize, bool) =
            (parsed(field("at")?)?, parsed(field("part")?)?, parsed(field("last")?)?);
        if at != self.at {
            return Ok(());
        }
        let mut reading = match std::mem::replace(&mut self.found, Found::Nothing) {
            Found::Whole(insights) => {
                self.found = Found::Whole(insights);
                return Ok(());
            }
            Found::Open(open) if number > 0 && open.next_part == number => open,
            _ if number == 0 => Box::new(Reading::new(at, &self.rules, self.bytes_max)),
            // Of parts that others have been written over.
            _ => return Ok(()),
        };
        for item in parsed::<Vec<&RawValue>>(field("items")?)? {
            reading.item(item.get().as_bytes())?;
        }
        reading.next_part += 1;
        self.found = if last { Found::Whole(reading.end()?) } else { Found::Open(reading) };
        Ok(())
    }

    /// What was counted, if that was read whole.
    pub fn into_found(self) -> Option<Insights> {
        match self.found {
            Found::Whole(insights) => Some(insights),
            Found::Nothing | Found::Open(_) => None,
        }
    }
}

fn parsed<'a, T: serde::Deserialize<'a>>(json: &'a [u8]) -> Result<T, Broken> {
    serde_json::from_slice(json).map_err(|error| Broken::Form(error.to_string()))
}

fn form(what: &str) -> Broken {
    Broken::Form(what.to_owned())
}

impl Reading {
    fn new(at: i64, rules: &Arc<Rules>, bytes_max: usize) -> Self {
        // What is new among the insights counts from here on.
        let insights = Insights::new(rules, at, bytes_max);
        let found = vec![false; insights.counters.len()];
        Self { next_part: 0, insights, found, counter: None, table: None }
    }

    fn item(&mut self, json: &[u8]) -> Result<(), Broken> {
        if json.starts_with(b"[") {
            return self.row(json);
        }
        self.end_table()?;
        let head: Value = parsed(json)?;
        let number = |name: &str| head[name].as_u64().ok_or_else(|| Broken::Form(format!("{name} is no number")));
        match &head["table"] {
            Value::Null => self.insight(&head, number),
            name => {
                let of = match (name.as_str(), name.as_i64()) {
                    (Some("total"), _) => TableOf::Total,
                    (_, Some(start)) => TableOf::Pane(start),
                    _ => return Err(form("no such table")),
                };
                let (records, other) = (number("records")?, number("other")?);
                self.table = Some((of, Table::begun(records, other)));
                Ok(())
            }
        }
    }

    fn insight(&mut self, head: &Value, number: impl Fn(&str) -> Result<u64, Broken>) -> Result<(), Broken> {
        let ours = self.insights.rules.insights();
        let known = ours.iter().position(|one| head["insight"] == one.name && head["definition"] == one.definition);
        self.counter = known.filter(|known| !self.found[*known]);
        let Some(known) = self.counter else { return Ok(()) };
        self.found[known] = true;
        let counter = &mut self.insights.counters[known];
        counter.since = head["since"].as_i64().ok_or_else(|| form("since is no number"))?;
        (counter.missed, counter.late, counter.untimed) = (number("missed")?, number("late")?, number("untimed")?);
        let latest_ms = head["latest_ms"].as_i64().filter(|time| super::TIMES_MS.contains(time));
        counter.windows.iter_mut().for_each(|windows| windows.restore(latest_ms));
        Ok(())
    }

    fn row(&mut self, json: &[u8]) -> Result<(), Broken> {
        let (value, count): (&RawValue, u64) = parsed(json)?;
        let Some((_, table)) = &mut self.table else { return Err(form("a value stands in no table")) };
        // Of an insight that is not ours any more.
        let Some(known) = self.counter else { return Ok(()) };
        let (value, insights) = (value.get().as_bytes(), &self.insights);
        let values_max = insights.rules.insights().get(known).map_or(0, |insight| insight.values_max);
        if !table.take(value, insights.hash(value), count, values_max) {
            return Err(form("a value stands twice in a table, or there are too many, or it is too long"));
        }
        if insights.bytes() + table.bytes() > insights.bytes_max {
            return Err(insights.full().into());
        }
        Ok(())
    }

    /// A table is read.
    fn end_table(&mut self) -> Result<(), Broken> {
        let (Some((of, table)), Some(known)) = (self.table.take(), self.counter) else { return Ok(()) };
        let counted = table.rows().try_fold(table.other, |sum, (_, _, count)| sum.checked_add(count));
        if counted != Some(table.records) {
            return Err(form("a table does not add up"));
        }
        let counter = &mut self.insights.counters[known];
        match of {
            TableOf::Total => counter.total = table,
            TableOf::Pane(start) => {
                if !counter.windows.as_mut().is_some_and(|windows| windows.restore_pane(start, table)) {
                    return Err(form("a pane is none of an open window"));
                }
            }
        }
        if self.insights.bytes() > self.insights.bytes_max { Err(self.insights.full().into()) } else { Ok(()) }
    }

    fn end(mut self) -> Result<Insights, Broken> {
        self.end_table()?;
        Ok(self.insights)
    }
}

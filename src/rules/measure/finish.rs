//! Entries in order become the rows of the answer. Those of one key may come several times, one behind the other, from wherever
//! they were put aside.

use super::cells::Cells;
use super::order::{Told, take_value, take_window};
use super::state::{Spread, State, States, spread_number, take_count};
use super::table::{GROUP, VALUE};
use super::{MeasurePlan, Windowing};
use crate::base::time::Time;
use crate::formats::string;
use crate::rules::aggregate::{AggregateKind, place_of, write_number};
use crate::rules::moment;
use crate::rules::seen::Number;
use std::sync::Arc;

/// An entry is none that a table has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what was put aside is not what was written: is the disk sound?")]
pub struct NoEntry;

/// How many values were of no use to an aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// The aggregate's name.
    pub name: String,
    /// How many.
    pub values: u64,
}

/// See the module's head.
#[derive(Debug)]
pub struct Finisher {
    plan: Arc<MeasurePlan>,
    /// The group whose entries come.
    group: Option<Group>,
    /// By aggregate.
    unfit: Vec<u64>,
    cells: Cells,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Group {
    key: Vec<u8>,
    states: States,
    found: Vec<Found>,
    /// The last value's key.
    last: Vec<u8>,
}

/// What was found in the values of an aggregate.
#[derive(Debug, Clone, Default)]
struct Found {
    /// How many have come so far.
    values: u64,
    different: u64,
    number: Option<Number>,
}

impl Finisher {
    /// Before the first entry.
    pub fn new(plan: &Arc<MeasurePlan>) -> Self {
        let unfit = vec![0; plan.aggregates.len()];
        Self { plan: Arc::clone(plan), group: None, unfit, cells: Cells::default(), buffer: Vec::new() }
    }

    /// Takes the next entry. `true` if with it another group begins: the one before it is whole, and its row in [`Self::cells`].
    pub fn enter(&mut self, key: &[u8], value: &[u8]) -> Result<bool, NoEntry> {
        // No group's key is the beginning of another one's.
        if let Some(group) = &mut self.group
            && let Some(rest) = key.strip_prefix(&group.key[..])
        {
            group.enter(rest, value, &self.plan).ok_or(NoEntry)?;
            return Ok(false);
        }
        let len = group_len(key, &self.plan).ok_or(NoEntry)?;
        let (own, rest) = key.split_at_checked(len).ok_or(NoEntry)?;
        let mut group = Group {
            key: own.to_vec(),
            states: States::new(&self.plan),
            found: vec![Found::default(); self.plan.aggregates.len()],
            last: Vec::new(),
        };
        group.enter(rest, value, &self.plan).ok_or(NoEntry)?;
        let whole = self.group.replace(group);
        whole.map_or(Ok(false), |whole| self.write(whole).map(|()| true).ok_or(NoEntry))
    }

    /// There are no more. `true` if that makes a group whole.
    pub fn end(&mut self) -> Result<bool, NoEntry> {
        let whole = self.group.take();
        whole.map_or(Ok(false), |whole| self.write(whole).map(|()| true).ok_or(NoEntry))
    }

    /// The row of the group that was whole last.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// The aggregates for which there were values of no use.
    pub fn unfit(&self) -> Vec<Unfit> {
        let all = self.plan.aggregates.iter().zip(&self.unfit).filter(|(_, values)| **values > 0);
        all.map(|(aggregate, values)| Unfit { name: aggregate.name.clone(), values: *values }).collect()
    }

    fn write(&mut self, mut group: Group) -> Option<()> {
        self.cells.clear();
        let mut key = &group.key[..];
        if let Some(Windowing { size_ms, .. }) = self.plan.window {
            let start = take_window(&mut key)?;
            for time in [start, start.saturating_add(size_ms)] {
                self.buffer.clear();
                moment::write(Time { epoch_ms: time, nanos: 0 }, &mut self.buffer);
                self.cells.text(&self.buffer);
            }
        }
        while !key.is_empty() {
            match take_value(&mut key)? {
                Told::Nothing => self.cells.nothing(),
                Told::Truth(truth) => self.cells.plain(if truth { b"true" } else { b"false" }),
                Told::Number(number) => {
                    self.buffer.clear();
                    write_number(number, &mut self.buffer);
                    self.cells.plain(&self.buffer);
                }
                Told::Written(json) | Told::Nested(json) => self.cells.plain(&json),
                Told::Text(text) => self.cells.text(&text),
            }
        }
        let states = group.states.iter_mut().zip(&group.found).zip(&self.plan.aggregates);
        for (((state, found), aggregate), unfit) in states.zip(&mut self.unfit) {
            self.buffer.clear();
            match (state, aggregate.kind) {
                (State::Folded(folded), _) => {
                    folded.write(&mut self.buffer);
                    *unfit += folded.unfit();
                }
                (State::Spread(spread), kind) => {
                    *unfit += spread.unfit;
                    match (kind, found.number) {
                        (AggregateKind::Distinct, _) => {
                            write_number(Number::Whole(found.different as i64), &mut self.buffer);
                        }
                        (_, Some(number)) => write_number(number, &mut self.buffer),
                        (_, None) => self.buffer.extend_from_slice(b"null"),
                    }
                }
            }
            put_json(&mut self.cells, &self.buffer);
        }
        Some(())
    }
}

/// A value as JSON becomes a cell.
fn put_json(cells: &mut Cells, json: &[u8]) {
    match json.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")) {
        Some(inside) => {
            let mut text = Vec::new();
            let taken = string::take_inside(std::str::from_utf8(inside).unwrap_or_default(), &mut text);
            cells.text(if taken.is_some() { &text } else { inside });
        }
        None if json == b"null" => cells.nothing(),
        None => cells.plain(json),
    }
}

/// How long the group's key is that an entry's key begins with.
fn group_len(key: &[u8], plan: &MeasurePlan) -> Option<usize> {
    let mut rest = key;
    if plan.window.is_some() {
        take_window(&mut rest)?;
    }
    for _ in &plan.by {
        take_value(&mut rest)?;
    }
    Some(key.len() - rest.len())
}

impl Group {
    /// An entry, without the group's key before its own.
    fn enter(&mut self, key: &[u8], value: &[u8], plan: &MeasurePlan) -> Option<()> {
        let (&what, rest) = key.split_first()?;
        match what {
            GROUP if rest.is_empty() => self.states.merge(plan, value),
            VALUE => {
                let (index, text) = rest.split_first_chunk()?;
                let index = usize::from(u16::from_be_bytes(*index));
                let mut value = value;
                let count = take_count(&mut value)?;
                let (aggregate, found) = (plan.aggregates.get(index)?, self.found.get_mut(index)?);
                let State::Spread(Spread { values, .. }) = self.states.get(index)? else { return None };
                if let AggregateKind::Quantile(rank) = aggregate.kind
                    && found.number.is_none()
                    && found.values.saturating_add(count) > place_of(rank, *values)
                {
                    found.number = Some(spread_number(text)?);
                }
                found.values = found.values.checked_add(count)?;
                if self.last != key {
                    self.last.clear();
                    self.last.extend_from_slice(key);
                    found.different += 1;
                }
                Some(())
            }
            _ => None,
        }
    }
}

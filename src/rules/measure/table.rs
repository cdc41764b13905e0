//! Groups in memory, and the values that have to be told apart in them.
//!
//! ```text
//!  groups   window + key of a group ─▶ its number ─▶ what its aggregates have come to
//!  values   number of a group + aggregate + value ─▶ how often
//! ```
//!
//! In order, the two become entries: a group, and behind it its values.
//!
//! ```text
//!  key    window + key of the group │ 0                       value   what the aggregates have come to (state.rs)
//!         window + key of the group │ 1 │ aggregate │ value           how often
//! ```

use super::MeasurePlan;
use super::interned::{Interned, growth, reserve};
use super::row::Row;
use super::state::{SPREAD_BYTES_MORE, States, put_count, put_spread};

/// A group's own entry, and one of its values.
pub(super) const GROUP: u8 = 0;
pub(super) const VALUE: u8 = 1;

/// What sorting takes for each group: its number, and its place; and for each value.
const GROUP_ORDER_BYTES: usize = 2 * size_of::<u32>();
const VALUE_ORDER_BYTES: usize = size_of::<(u32, u32)>();
/// The number of a group, and that of an aggregate, before a value.
const VALUE_HEAD_BYTES: usize = size_of::<u32>() + size_of::<u16>();

/// See the module's head.
#[derive(Debug)]
pub(super) struct Table {
    groups: Interned,
    states: Vec<States>,
    values: Interned,
    counts: Vec<u64>,
    /// What states have taken elsewhere.
    state_bytes: usize,
    bytes_max: usize,
    /// A value with its group.
    text: Vec<u8>,
}

impl Table {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            groups: Interned::default(),
            states: Vec::new(),
            values: Interned::default(),
            counts: Vec::new(),
            state_bytes: 0,
            bytes_max,
            text: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.len() == 0
    }

    /// Forgets all. The room is used again, so that it is not taken anew from wherever the next thread takes it; but where
    /// little of it was of use, others may need it more.
    fn clear(&mut self) {
        let used = self.groups.used()
            + self.values.used()
            + self.states.len() * size_of::<States>()
            + self.counts.len() * size_of::<u64>()
            + self.state_bytes;
        if used < self.bytes_max / 2 {
            *self = Self::new(self.bytes_max);
            return;
        }
        self.groups.clear();
        self.values.clear();
        self.states.clear();
        self.counts.clear();
        self.state_bytes = 0;
    }

    fn bytes(&self) -> usize {
        self.groups.bytes()
            + self.values.bytes()
            + self.states.capacity() * size_of::<States>()
            + self.counts.capacity() * size_of::<u64>()
            + self.state_bytes
            + self.groups.len() * GROUP_ORDER_BYTES
            + self.values.len() * VALUE_ORDER_BYTES
    }

    /// Whether there is room for a row, whatever is new in it.
    #[inline]
    pub(super) fn has_room(&self, row: &Row, plan: &MeasurePlan) -> bool {
        let (values, values_bytes) = spread_room(row, plan);
        let groups = self.groups.growth(1, row.key().len());
        let (Some(groups), Some(spread)) = (groups, self.values.growth(values, values_bytes)) else { return false };
        let more = growth(&self.states, 1)
            + growth(&self.counts, values)
            + States::bytes_at_first(plan)
            + States::growth_max(plan, row.values_bytes())
            + GROUP_ORDER_BYTES
            + values * VALUE_ORDER_BYTES;
        self.bytes() + groups + spread + more <= self.bytes_max
    }

    /// Adds a row. There is room for it.
    pub(super) fn add(&mut self, row: &Row, plan: &MeasurePlan) {
        self.groups.make_room(1, row.key().len());
        let (group, new) = self.groups.intern(row.key());
        if new {
            reserve(&mut self.states, 1);
            self.states.push(States::new(plan));
            self.state_bytes += States::bytes_at_first(plan);
        }
        let (values, values_bytes) = spread_room(row, plan);
        self.values.make_room(values, values_bytes);
        reserve(&mut self.counts, values);
        let Some(states) = self.states.get_mut(group as usize) else { return };
        let before = states.bytes();
        for (index, (value, aggregate)) in row.values(plan).zip(&plan.aggregates).enumerate() {
            if !states.add(index, aggregate.kind, value) {
                continue;
            }
            // It has to be told apart from others.
            self.text.clear();
            self.text.extend_from_slice(&group.to_be_bytes());
            self.text.extend_from_slice(&(index as u16).to_be_bytes());
            put_spread(value, &mut self.text);
            let (id, new) = self.values.intern(&self.text);
            if new {
                self.counts.push(0);
            }
            if let Some(count) = self.counts.get_mut(id as usize) {
                *count += 1;
            }
        }
        self.state_bytes = (self.state_bytes + states.bytes()).saturating_sub(before);
    }
}

/// How many values of a row may be told apart, and what they take.
#[inline]
fn spread_room(row: &Row, plan: &MeasurePlan) -> (usize, usize) {
    let values = plan.spread;
    if values == 0 { (0, 0) } else { (values, row.values_bytes() + values * (VALUE_HEAD_BYTES + SPREAD_BYTES_MORE)) }
}

/// A table that was taken.
#[derive(Debug)]
pub struct Filled(pub(super) Table);

impl Filled {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its entries in order. That takes its time.
    pub fn sorted(self) -> Sorted {
        Sorted::new(self.0)
    }
}

/// A table's entries in order.
#[derive(Debug)]
pub struct Sorted {
    table: Table,
    /// Groups by their keys.
    groups: Vec<u32>,
    /// Values by the place of their group among those, and by themselves.
    values: Vec<(u32, u32)>,
    /// The next group, and the next value.
    at: (usize, usize),
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Sorted {
    fn new(table: Table) -> Self {
        let mut groups: Vec<u32> = (0..table.groups.len() as u32).collect();
        groups.sort_unstable_by(|a, b| table.groups.get(*a).cmp(table.groups.get(*b)));
        let mut places = vec![0u32; groups.len()];
        for (place, &group) in groups.iter().enumerate() {
            places[group as usize] = place as u32;
        }
        let place = |value: u32| {
            let group = table.values.get(value).first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
            places.get(group as usize).copied().unwrap_or_default()
        };
        let mut values: Vec<(u32, u32)> = (0..table.values.len() as u32).map(|value| (place(value), value)).collect();
        values.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| table.values.get(a.1).cmp(table.values.get(b.1))));
        Self { table, groups, values, at: (0, 0), key: Vec::new(), value: Vec::new() }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.groups.len() + self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Goes to the next entry; `false` behind the last one.
    pub fn advance(&mut self) -> bool {
        let before = self.at.0.checked_sub(1);
        let value = self.values.get(self.at.1).filter(|(place, _)| Some(*place as usize) == before);
        self.value.clear();
        if let Some(&(_, value)) = value {
            self.at.1 += 1;
            let group = before.and_then(|place| self.groups.get(place)).copied().unwrap_or_default();
            self.begin(group, VALUE);
            let text = self.table.values.get(value);
            self.key.extend_from_slice(text.get(size_of::<u32>()..).unwrap_or_default());
            put_count(&mut self.value, self.table.counts.get(value as usize).copied().unwrap_or_default());
            return true;
        }
        let Some(&group) = self.groups.get(self.at.0) else { return false };
        self.at.0 += 1;
        self.begin(group, GROUP);
        if let Some(states) = self.table.states.get(group as usize) {
            states.put(&mut self.value);
        }
        true
    }

    fn begin(&mut self, group: u32, what: u8) {
        self.key.clear();
        self.key.extend_from_slice(self.table.groups.get(group));
        self.key.push(what);
    }

    /// The table again, with nothing in it.
    pub fn emptied(self) -> Filled {
        let mut table = self.table;
        table.clear();
        Filled(table)
    }

    /// The entry's key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Its value.
    pub fn value(&self) -> &[u8] {
        &self.value
    }
}

//! What the aggregates of a group have come to so far.
//!
//! Those that only values themselves can answer (quantiles, different values) count here how many there are; the values go
//! elsewhere.

use super::MeasurePlan;
use super::order::{put_number, take_number};
use crate::rules::aggregate::{Aggregate, AggregateKind, number};
use crate::rules::picks::FieldValue;
use crate::rules::seen::Number;

/// One for each aggregate.
#[derive(Debug)]
pub(super) struct States(Box<[State]>);

#[derive(Debug)]
pub(super) enum State {
    Folded(Aggregate),
    Spread(Spread),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spread {
    /// Values that were told apart.
    pub(super) values: u64,
    /// Values of no use to the question.
    pub(super) unfit: u64,
}

/// More than an exact sum of doubles may take.
const SUM_BYTES_MAX: usize = 1 << 10;
/// What a piece of memory costs beside itself.
const ALLOCATION_BYTES: usize = 16;

const TEXT: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const NUMBER: u8 = 3;

impl State {
    fn new(kind: AggregateKind) -> Self {
        if kind.is_spread() { Self::Spread(Spread::default()) } else { Self::Folded(Aggregate::new(kind)) }
    }
}

impl States {
    pub(super) fn new(plan: &MeasurePlan) -> Self {
        Self(plan.aggregates.iter().map(|aggregate| State::new(aggregate.kind)).collect())
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut State> {
        self.0.iter_mut()
    }

    pub(super) fn get(&self, index: usize) -> Option<&State> {
        self.0.get(index)
    }

    /// Takes in a value of an aggregate; `true` where it has to be told apart from others as well.
    #[inline]
    pub(super) fn add(&mut self, index: usize, kind: AggregateKind, value: FieldValue<'_>) -> bool {
        match self.0.get_mut(index) {
            Some(State::Folded(aggregate)) => {
                aggregate.add(value);
                false
            }
            Some(State::Spread(spread)) => match fit(kind, value) {
                Some(true) => {
                    spread.values += 1;
                    true
                }
                Some(false) => false,
                None => {
                    spread.unfit += 1;
                    false
                }
            },
            None => false,
        }
    }

    /// What they take, without what is of the same size for each group.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(State::bytes).sum()
    }

    /// What those of a new group take at least.
    pub(super) fn bytes_at_first(plan: &MeasurePlan) -> usize {
        plan.aggregates.len() * size_of::<State>() + ALLOCATION_BYTES
    }

    /// By how much those of a group may grow at most, by values of so many bytes.
    pub(super) fn growth_max(plan: &MeasurePlan, values_bytes: usize) -> usize {
        let each = |kind| match kind {
            AggregateKind::Sum | AggregateKind::Mean => SUM_BYTES_MAX,
            AggregateKind::Min | AggregateKind::Max => ALLOCATION_BYTES,
            _ => 0,
        };
        plan.aggregates.iter().map(|aggregate| each(aggregate.kind)).sum::<usize>() + values_bytes
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        for state in &self.0 {
            match state {
                State::Folded(aggregate) => aggregate.put(out),
                State::Spread(Spread { values, unfit }) => {
                    put_count(out, *values);
                    put_count(out, *unfit);
                }
            }
        }
    }

    /// Takes in what [`States::put`] has written; `None` where that is something else.
    pub(super) fn merge(&mut self, plan: &MeasurePlan, mut bytes: &[u8]) -> Option<()> {
        for (state, aggregate) in self.0.iter_mut().zip(&plan.aggregates) {
            match state {
                State::Folded(folded) => folded.merge(Aggregate::take(aggregate.kind, &mut bytes)?),
                State::Spread(spread) => {
                    spread.values = spread.values.checked_add(take_count(&mut bytes)?)?;
                    spread.unfit = spread.unfit.checked_add(take_count(&mut bytes)?)?;
                }
            }
        }
        bytes.is_empty().then_some(())
    }
}

impl State {
    fn bytes(&self) -> usize {
        match self {
            Self::Folded(aggregate) => aggregate.bytes().saturating_sub(size_of::<Aggregate>()),
            Self::Spread(_) => 0,
        }
    }
}

/// Whether a value is one that the question is about; `None` where it is unfit for it.
fn fit(kind: AggregateKind, value: FieldValue<'_>) -> Option<bool> {
    match (value, kind) {
        (FieldValue::Nothing, _) => Some(false),
        (FieldValue::Number(_), _) => number(value).map(|_| true),
        (FieldValue::Text(_) | FieldValue::Truth(_), AggregateKind::Distinct) => Some(true),
        _ => None,
    }
}

/// Appends a value, so that only equal ones are alike, and numbers compare as they do.
#[inline]
pub(super) fn put_spread(value: FieldValue<'_>, out: &mut Vec<u8>) {
    match value {
        FieldValue::Text(text) => {
            out.push(TEXT);
            out.extend_from_slice(text);
        }
        FieldValue::Truth(truth) => out.push(if truth { TRUE } else { FALSE }),
        value => {
            if let Some(number) = number(value) {
                out.push(NUMBER);
                put_number(out, number);
            }
        }
    }
}

/// What such a value takes at most beyond its text: a number of one digit takes eleven bytes.
pub(super) const SPREAD_BYTES_MORE: usize = 11;

/// The number that such a value is.
pub(super) fn spread_number(bytes: &[u8]) -> Option<Number> {
    let mut rest = bytes.strip_prefix(&[NUMBER])?;
    take_number(&mut rest).filter(|_| rest.is_empty())
}

pub(super) fn put_count(out: &mut Vec<u8>, count: u64) {
    out.extend_from_slice(&count.to_le_bytes());
}

pub(super) fn take_count(bytes: &mut &[u8]) -> Option<u64> {
    let (count, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*count))
}

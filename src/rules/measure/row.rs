//! A row: its key, and the values that are asked for.

use super::order::{put_value, put_window};
use super::{MeasurePlan, Windowing};
use crate::rules::aggregate::AggregateKind;
use crate::rules::cast::moment_of;
use crate::rules::event_time::window_of;
use crate::rules::moment::EPOCH_MS;
use crate::rules::paths::Paths;
use crate::rules::picks::{FieldValue, Picks};
use crate::rules::refusal::Refusal;
use crate::rules::seen::Seen;
use crate::rules::tree::Tree;
use crate::rules::{Class, Reason};

/// Buffers that have become larger than this are let go.
const BUFFER_BYTES_MAX: usize = 4 << 20;

/// See the module's head. Its buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Row {
    key: Vec<u8>,
    /// Those of the key first.
    picks: Picks,
    keys: usize,
    /// What the values take, together.
    values_bytes: usize,
}

impl Row {
    /// Takes out of a record, or of a member of one, what is asked for.
    pub(super) fn read(
        &mut self,
        plan: &MeasurePlan,
        timestamp_ms: i64,
        tree: &Tree,
        paths: &Paths,
        buffer: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        self.key.clear();
        self.key.shrink_to(BUFFER_BYTES_MAX);
        self.picks.clear(BUFFER_BYTES_MAX);
        if let Some(window) = &plan.window {
            let start_ms = window_of(time_of(window, timestamp_ms, tree, paths, buffer)?, window.size_ms);
            let end_ms = start_ms.checked_add(window.size_ms);
            if start_ms < *EPOCH_MS.start() || end_ms.is_none_or(|end_ms| end_ms > *EPOCH_MS.end()) {
                let text = "the window is not within the years 0000 to 9999".to_owned();
                return Err(Reason { class: Class::OutOfRange, text });
            }
            put_window(&mut self.key, start_ms);
        }
        plan.by.iter().for_each(|path| self.picks.pick(*path, tree, buffer));
        self.keys = self.picks.len();
        self.picks.from(0).for_each(|value| put_value(&mut self.key, value));
        for aggregate in plan.aggregates.iter().filter(|aggregate| aggregate.kind != AggregateKind::Records) {
            self.picks.pick(aggregate.path, tree, buffer);
        }
        self.values_bytes = self.picks.from(self.keys).map(bytes_of).sum();
        Ok(())
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The value that each aggregate asks for.
    #[inline]
    pub(super) fn values<'a>(&'a self, plan: &'a MeasurePlan) -> impl Iterator<Item = FieldValue<'a>> {
        let mut picked = self.picks.from(self.keys);
        plan.aggregates.iter().map(move |aggregate| match aggregate.kind {
            AggregateKind::Records => FieldValue::Nothing,
            _ => picked.next().unwrap_or(FieldValue::Nothing),
        })
    }

    pub(super) fn values_bytes(&self) -> usize {
        self.values_bytes
    }

    /// The most that an entry may come to by rows like this one: the group's own, where each smallest and largest value may be
    /// as long as the longest here, or that of a value.
    pub(super) fn entry_bytes(&self, plan: &MeasurePlan) -> usize {
        let (mut kept, mut kept_bytes, mut bytes) = (0_usize, 0, 0);
        for (value, aggregate) in self.values(plan).zip(&plan.aggregates) {
            let value_bytes = bytes_of(value);
            bytes = value_bytes.max(bytes);
            if matches!(aggregate.kind, AggregateKind::Min | AggregateKind::Max) {
                (kept, kept_bytes) = (kept + 1, value_bytes.max(kept_bytes));
            }
        }
        self.key.len() + (kept * kept_bytes).max(bytes)
    }
}

fn bytes_of(value: FieldValue<'_>) -> usize {
    match value {
        FieldValue::Nothing | FieldValue::Truth(_) => 0,
        FieldValue::Number(text) | FieldValue::Text(text) | FieldValue::Nested(text) => text.len(),
    }
}

fn time_of(
    window: &Windowing,
    timestamp_ms: i64,
    tree: &Tree,
    paths: &Paths,
    buffer: &mut Vec<u8>,
) -> Result<i64, Reason> {
    match window.time {
        Some((path, unit)) => {
            let seen = tree.something(path).ok_or(Refusal::MISSING);
            let moment = seen.and_then(|member| moment_of(Seen::of(member, tree, buffer), unit));
            moment.map(|time| time.epoch_ms).map_err(|refusal| refusal.reason(path, paths, tree))
        }
        None if timestamp_ms >= 0 => Ok(timestamp_ms),
        None => Err(Reason { class: Class::Missing, text: "the record has no timestamp".to_owned() }),
    }
}

//! What a `group_by` asks of every record that goes on: in which group it is, at what time, and what is collected of it.
//!
//! A group's key is written as a JSON object of its fields, in the order of the rule: texts with no more escapes than they need,
//! all else as it is written. So `1` and `1.0` are two groups, and `"a"` and `"\u0061"` are one.

use super::RuleId;
use super::aggregate::AggregateSpec;
use super::cast::put_string;
use super::moment::{EPOCH_MS, Unit};
use super::paths::{PathId, Paths};
use super::picks::{FieldValue, Picks};
use super::refusal::Refusal;
use super::seen::Seen;
use super::tree::{Kind, Tree};

/// Routes records in groups to a topic, one record a group and window.
#[derive(Debug)]
pub struct GroupBy {
    pub(super) rule: RuleId,
    pub(super) key: Vec<PathId>,
    /// The field that has the time; the record's own timestamp, if none.
    pub(super) time: Option<(PathId, Unit)>,
    pub(super) window_ms: i64,
    pub(super) lateness_ms: i64,
    pub(super) to: String,
    pub(super) collects: Collects,
    /// What tells it from others in notes: all that groups depend on.
    pub(super) mark: u32,
}

/// What is collected in a group.
#[derive(Debug)]
pub(super) enum Collects {
    /// The records themselves.
    Members {
        most: u64,
    },
    Aggregates(Vec<AggregateSpec>),
}

impl GroupBy {
    /// Its name is this rule's.
    pub fn rule(&self) -> RuleId {
        self.rule
    }

    /// The topic that groups go to.
    pub fn to(&self) -> &str {
        &self.to
    }

    /// How long a window is, in milliseconds.
    pub fn window_ms(&self) -> i64 {
        self.window_ms
    }

    /// How much later than others a record may come, in milliseconds.
    pub fn lateness_ms(&self) -> i64 {
        self.lateness_ms
    }

    /// What is collected, for people.
    pub(super) fn what(&self) -> String {
        match &self.collects {
            Collects::Members { most } => format!("with its members ({most} at most)"),
            Collects::Aggregates(specs) => {
                format!("with {}", specs.iter().map(AggregateSpec::name).collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn aggregates(&self) -> &[AggregateSpec] {
        match &self.collects {
            Collects::Members { .. } => &[],
            Collects::Aggregates(specs) => specs,
        }
    }

    /// Whether the window of a time is within the years that can be written.
    pub(super) fn has_window_at(&self, time_ms: i64) -> bool {
        let start = super::event_time::window_of(time_ms, self.window_ms);
        start >= *EPOCH_MS.start() && start.checked_add(self.window_ms).is_some_and(|end| end <= *EPOCH_MS.end())
    }
}

/// What a record is to its groups. The buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Offers {
    keys: Vec<u8>,
    /// By `group_by`: where its key ends, the time, and which pick is its first.
    each: Vec<(usize, i64, usize)>,
    picks: Picks,
}

impl Offers {
    pub(super) fn clear(&mut self, keep_bytes: usize) {
        self.keys.clear();
        self.keys.shrink_to(keep_bytes);
        self.each.clear();
        self.picks.clear(keep_bytes);
    }

    /// Takes what the next `group_by` asks for; or says which field is to blame.
    pub(super) fn take(
        &mut self,
        by: &GroupBy,
        time_ms: i64,
        tree: &Tree,
        paths: &Paths,
        buffer: &mut Vec<u8>,
    ) -> Result<(), (PathId, Refusal)> {
        self.keys.push(b'{');
        for (index, &path) in by.key.iter().enumerate() {
            let member = tree.something(path).ok_or((path, Refusal::MISSING))?;
            if index > 0 {
                self.keys.push(b',');
            }
            self.keys.extend_from_slice(paths.quoted(path));
            self.keys.push(b':');
            let seen = Seen::of(member, tree, buffer);
            match seen.kind {
                Kind::Text { .. } => _ = put_string(seen.text, &mut self.keys),
                _ => self.keys.extend_from_slice(seen.json),
            }
        }
        self.keys.push(b'}');
        self.each.push((self.keys.len(), time_ms, self.picks.len()));
        for spec in by.aggregates() {
            self.picks.pick(spec.path, tree, buffer);
        }
        Ok(())
    }
}

/// What the record that was kept last is to its groups.
#[derive(Debug, Clone, Copy)]
pub struct Grouped<'a> {
    pub(super) offers: &'a Offers,
}

/// What it is to one of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer<'a> {
    /// A JSON object.
    pub(super) key: &'a [u8],
    pub(super) time_ms: i64,
    picks: &'a Picks,
    first: usize,
}

impl<'a> Grouped<'a> {
    /// In the order of the file.
    pub(super) fn each(self) -> impl Iterator<Item = Offer<'a>> {
        let Offers { keys, each, picks } = self.offers;
        let mut start = 0;
        each.iter().map(move |&(end, time_ms, first)| {
            let key = keys.get(start..end).unwrap_or_default();
            start = end;
            Offer { key, time_ms, picks, first }
        })
    }

    /// The key of each group that it is in, and when its window begins, in the order of the file.
    pub fn keys(self, of: &'a [GroupBy]) -> impl Iterator<Item = (&'a GroupBy, &'a [u8], i64)> {
        let window = |(by, offer): (&'a GroupBy, Offer<'a>)| {
            (by, offer.key, super::event_time::window_of(offer.time_ms, by.window_ms))
        };
        of.iter().zip(self.each()).map(window)
    }
}

impl<'a> Offer<'a> {
    /// The values that aggregates are made of.
    pub(super) fn values(self) -> impl Iterator<Item = FieldValue<'a>> {
        self.picks.from(self.first)
    }
}

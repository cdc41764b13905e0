//! The last record of an output that is added to: the first one that is added must not go before it.

use crate::base::place::{Place, TopicPartition};
use crate::base::shutdown::Shutdown;
use crate::client::{Cluster, ReadOptions};
use crate::jobs::cursor::{HeldRecord, RecordCursor};
use crate::jobs::error::JobError;
use crate::keys::{Fields, Key, KeyPlan};
use crate::observe::progress::Progress;
use std::ops::Range;

/// What may be unfolded at once to look at the output's last records.
const LOOK_BYTES: usize = 64 << 20;
/// The first look at the output's end goes so far back; each further one sixteen times as far.
const LOOK_BACK: i64 = 64;

/// The last record of an output that is appended to.
#[derive(Debug)]
pub(super) struct Floor {
    key: Key,
    shown: String,
    at: Place,
    /// The job itself wrote it.
    resumed: bool,
}

impl Floor {
    /// The same for a job that goes on behind what it wrote itself.
    pub(super) fn resumed(self) -> Self {
        Self { resumed: true, ..self }
    }

    /// Refuses a first record that would stand behind one that it should precede.
    pub(super) fn check(
        &self,
        keys: &KeyPlan,
        first: &impl Fields,
        at: impl FnOnce() -> Place,
    ) -> Result<(), JobError> {
        let at = at();
        match keys.extract(first) {
            Ok(key) if key < self.key && self.resumed => Err(JobError::Unfit(format!(
                "the input is not sorted: {at} has key {}, which goes before the last record that is written already, {} with \
                 key {}",
                keys.show(first),
                self.at,
                self.shown,
            ))),
            Ok(key) if key < self.key => Err(JobError::Unfit(format!(
                "--append: the first record to write, {at}, has key {}, which goes before the last one there, {} with key \
                 {}. Write to an empty topic, or start later (--start). Nothing was written",
                keys.show(first),
                self.at,
                self.shown,
            ))),
            Ok(_) => Ok(()),
            Err(error) => Err(JobError::Key { at, error }),
        }
    }
}

/// The last record of the output; `None` if it holds none.
pub(super) async fn floor(
    cluster: &Cluster,
    output: &TopicPartition,
    held: Range<i64>,
    keys: &KeyPlan,
) -> Result<Option<Floor>, JobError> {
    let mut back = LOOK_BACK;
    // The last offsets may be transaction markers, aborted records or holes: look further back until there is a record.
    if held.is_empty() {
        return Ok(None);
    }
    loop {
        let from = held.end.saturating_sub(back).max(held.start);
        if let Some(floor) = last_between(cluster, output, from..held.end, keys).await? {
            return Ok(Some(floor));
        }
        if from == held.start {
            return Ok(None);
        }
        back = back.saturating_mul(16);
    }
}

async fn last_between(
    cluster: &Cluster,
    output: &TopicPartition,
    range: Range<i64>,
    keys: &KeyPlan,
) -> Result<Option<Floor>, JobError> {
    let reader = cluster.reader(output.clone(), range, ReadOptions::default());
    // Who waits for us listens to the wish to stop.
    let mut records = RecordCursor::new(reader, LOOK_BYTES, Shutdown::default(), Progress::default());
    let mut last = HeldRecord::default();
    let mut found = false;
    while records.next_with(|record| last.hold(record)).await?.is_some() {
        found = true;
    }
    if !found {
        return Ok(None);
    }
    let at = output.at(last.offset());
    match keys.extract(&last) {
        Ok(key) => Ok(Some(Floor { key, shown: keys.show(&last), at, resumed: false })),
        Err(error) => Err(JobError::Key { at, error }),
    }
}

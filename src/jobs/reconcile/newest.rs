//! What a ledger's topic says: of each key the newest line, whatever compaction has left of those before.
//!
//! Only what was asked for is held: a key whose newest line lies outside of that, or is about something else, takes no room.
//!
//! Only committed records count. What is open when it is looked at is waited for: behind it may lie lines of transactions that
//! stand, which nobody may read before it is decided.

use super::expected::AskedFor;
use super::sheet::{CELL_BYTES, Room};
use crate::base::text::{excerpt, visible};
use crate::batch::Record;
use crate::client::{Cluster, OffsetAt};
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::jobs::minutes::{At, Found, Line, Minute, Unreadable, keeps_not};
use crate::jobs::range::{ReadShare, partitions_of};
use crate::jobs::windows::Windows;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

/// What a key takes in a table that may be half empty, and is copied as it grows.
pub(super) const KEY_CELLS: usize = (3 * size_of::<(Key, Held)>()).div_ceil(CELL_BYTES);

/// Keys are told apart by 128 bits that nobody can foresee, so that long ones take no more than short ones.
type Key = [u64; 2];

/// What a line says of its minute.
#[derive(Debug, Clone, Copy)]
struct Held {
    partition: i32,
    minute: Minute,
    records: u64,
    bytes: Option<u64>,
    offsets: Option<(i64, i64)>,
}

/// The newest lines about what was asked for, by their keys.
pub(super) struct Newest {
    asked: Arc<AskedFor>,
    lines: HashMap<Key, Held>,
    hashers: [RandomState; 2],
    room: Room,
    /// For so many cells.
    paid: usize,
}

impl Newest {
    pub(super) fn new(asked: Arc<AskedFor>, room: Room) -> Self {
        Self { asked, lines: HashMap::new(), hashers: Default::default(), room, paid: 0 }
    }

    /// Reads a topic. Lines that are not held, and what is none, go to `other` as they come.
    pub(super) async fn read(
        &mut self,
        topic: &str,
        cluster: &Cluster,
        share: ReadShare,
        cx: &JobContext,
        mut other: impl FnMut(Found) -> Result<(), JobError>,
    ) -> Result<(), JobError> {
        let name = format!("ledger topic {}", visible(topic));
        let partitions = partitions_of(cluster, &[topic.to_owned()], &[]).await?;
        let ends = cluster.offsets(&partitions, OffsetAt::Latest).await?;
        let ends: Vec<_> = partitions.iter().cloned().zip(ends).collect();
        cluster.wait_for_transactions(&ends, cx.timeout.saturating_mul(4)).await?;
        let starts = cluster.offsets(&partitions, OffsetAt::Earliest).await?;
        for ((partition, end), start) in ends.into_iter().zip(starts) {
            let source = cluster.reader(partition.clone(), start.min(end)..end, share.read_options());
            let mut records = share.cursor(Windows::start(source, share.fetch_bytes, None), cx);
            loop {
                let taken = records.next_with(|record| (record.offset, self.take(record)));
                match taken.await? {
                    None => break,
                    Some((_, Ok(None))) => {}
                    Some((_, Ok(Some(line)))) => other(Found::Line(line))?,
                    Some((_, Err(Wrong::Full(error)))) => return Err(error),
                    Some((offset, Err(Wrong::NoLine(begins)))) => {
                        let at = At::Offset { partition: partition.partition, offset };
                        other(Found::Unreadable(Unreadable { name: name.clone(), at, begins }))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes a record; gives the line back that is none of what was asked for.
    fn take(&mut self, record: &Record<'_>) -> Result<Option<Line>, Wrong> {
        let Some(key) = record.key else {
            return Err(Wrong::NoLine(format!("no key; {}", excerpt(record.value.unwrap_or_default()))));
        };
        let key = [self.hashers[0].hash_one(key), self.hashers[1].hash_one(key)];
        let Some(value) = record.value else {
            // As compaction has it: there is nothing of that key any more.
            self.remove(&key);
            return Ok(None);
        };
        let line = Line::read(value).ok_or_else(|| Wrong::NoLine(excerpt(value)))?;
        if !self.asked.wants(&line) {
            // Nor does what the key said before count any more.
            self.remove(&key);
            return Ok(Some(line));
        }
        let Line { partition, minute, records, bytes, .. } = line;
        let offsets = line.offsets.map(|offsets| (*offsets.start(), *offsets.end()));
        let held = Held { partition, minute, records, bytes, offsets };
        if !self.lines.contains_key(&key) {
            self.room.take(KEY_CELLS).map_err(Wrong::Full)?;
            self.paid += KEY_CELLS;
        }
        self.lines.insert(key, held);
        Ok(None)
    }

    fn remove(&mut self, key: &Key) {
        if self.lines.remove(key).is_some() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        self.paid -= KEY_CELLS;
        self.room.give_back(KEY_CELLS);
    }

    /// The lines, one after the other; each gives back what it has taken.
    pub(super) fn drain(&mut self, mut take: impl FnMut(Line) -> Result<(), JobError>) -> Result<(), JobError> {
        for (_, held) in std::mem::take(&mut self.lines) {
            self.give_back();
            let Held { partition, minute, records, bytes, offsets } = held;
            let (topic, files_of) = (self.asked.topic.clone(), self.asked.files_of.clone());
            let offsets = offsets.map(|(first, last)| first..=last);
            take(Line { topic, files_of, partition, minute, records, bytes, offsets })?;
        }
        Ok(())
    }
}

enum Wrong {
    /// It is no line: so it begins.
    NoLine(String),
    /// There is no room for more.
    Full(JobError),
}

/// That a ledger's topic may have lost lines, if that may be.
pub(super) async fn note_of(topic: &str, cluster: &Cluster) -> Result<Option<String>, JobError> {
    let configs = cluster.topic_configs(topic).await?;
    Ok(keeps_not(&configs).map(|policy| {
        format!(
            "{}: its cleanup.policy is {policy}, not compact, so lines of the ledger may be gone from there",
            visible(topic)
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::place::TopicPartition;
    use crate::batch::Headers;
    use crate::jobs::minutes::Minute;
    use crate::jobs::reconcile::{End, Stretch};

    /// All partitions, and of partition 0 what lies below offset 100.
    fn asked(all_partitions: bool) -> Arc<AskedFor> {
        let partition = TopicPartition::new("t", 0);
        let stretch = Stretch { partition, range: 0..100, is_worn: false, end: End::Offset };
        let stretches = HashMap::from([(0, stretch)]);
        Arc::new(AskedFor { topic: "t".into(), files_of: None, stretches, all_partitions, places_matter: false })
    }

    fn newest(cells: usize) -> Newest {
        Newest::new(asked(true), Room::of(cells * CELL_BYTES))
    }

    fn line(records: u64) -> Line {
        let minute = Minute::of(0);
        Line { topic: "t".into(), files_of: None, partition: 0, minute, records, bytes: None, offsets: None }
    }

    fn take(newest: &mut Newest, key: Option<&str>, value: Option<&str>) -> Result<Option<Line>, Wrong> {
        let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
        let record = Record { offset: 0, timestamp: 0, key, value, headers: Headers::EMPTY };
        newest.take(&record)
    }

    fn records(newest: &mut Newest) -> Vec<u64> {
        let mut records = Vec::new();
        newest
            .drain(|line| {
                records.push(line.records);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{error}"));
        records.sort_unstable();
        records
    }

    #[test]
    fn of_each_key_the_newest_line_counts_and_a_null_takes_it_away() {
        let mut newest = newest(1000);
        for (key, value) in [("a", 5), ("b", 1), ("a", 7), ("c", 9)] {
            assert!(take(&mut newest, Some(key), Some(&line(value).show())).is_ok_and(|other| other.is_none()));
        }
        assert!(take(&mut newest, Some("c"), None).is_ok());
        assert_eq!(records(&mut newest), [1, 7]);
        assert_eq!(newest.paid, 0);
    }

    #[test]
    fn what_is_no_line_or_has_no_key_is_told_and_takes_nothing_away() {
        let mut newest = newest(1000);
        assert!(take(&mut newest, Some("a"), Some(&line(5).show())).is_ok());
        for (key, value) in [(Some("a"), "torn{"), (None, line(1).show().as_str()), (Some("a"), "")] {
            assert!(matches!(take(&mut newest, key, Some(value)), Err(Wrong::NoLine(_))), "{value}");
        }
        let other = line(3).show().replace("\"t\"", "\"u\"");
        assert!(matches!(take(&mut newest, Some("x"), Some(&other)), Ok(Some(line)) if line.topic == "u"));
        assert_eq!(records(&mut newest), [5]);
    }

    #[test]
    fn keys_are_paid_for_and_one_too_many_is_refused() {
        let mut newest = newest(8);
        let mut taken = 0;
        while take(&mut newest, Some(&taken.to_string()), Some(&line(1).show())).is_ok() {
            taken += 1;
        }
        assert!((1..8).contains(&taken), "{taken}");
        assert!(take(&mut newest, Some("0"), Some(&line(2).show())).is_ok(), "it has its place already");
    }

    #[test]
    fn keys_outside_of_what_was_asked_for_take_no_room_and_what_one_said_before_does_not_count() {
        let at = |partition, first| Line { partition, offsets: Some(first..=first + 4), ..line(5) };
        let mut newest = Newest::new(asked(false), Room::of(KEY_CELLS * CELL_BYTES));
        assert!(take(&mut newest, Some("in"), Some(&at(0, 95).show())).is_ok_and(|given| given.is_none()));
        for key in 0..100 {
            for outside in [at(0, 100), at(1, 0)] {
                let taken = take(&mut newest, Some(&format!("{key}")), Some(&outside.show()));
                assert!(matches!(taken, Ok(Some(line)) if line == outside), "{outside:?}");
            }
        }
        assert!(take(&mut newest, Some("more"), Some(&at(0, 0).show())).is_err(), "there is room for one");
        assert!(take(&mut newest, Some("in"), Some(&at(0, 200).show())).is_ok_and(|given| given.is_some()));
        assert_eq!((newest.lines.len(), newest.paid), (0, 0));
        assert!(take(&mut newest, Some("more"), Some(&at(0, 0).show())).is_ok_and(|given| given.is_none()));
        // Another topic's now.
        let other = Line { topic: "u".into(), ..at(0, 0) };
        assert!(take(&mut newest, Some("more"), Some(&other.show())).is_ok_and(|given| given.is_some()));
        assert_eq!(records(&mut newest), [0; 0]);
    }
}

//! What became of records, and the note about it that is committed beside a group's offset.
//!
//! The note is of one input partition and counts all its records since the group began there, whoever cleaned them: it is
//! committed with the offset, in the transaction that holds what was made of the records, so it is as exact as they are and
//! outlives every instance.

use super::insights::Kept;
use crate::rules::GroupStand;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What a note begins with; a note of somebody else's does not.
const MARK: &str = "kmerge-clean";

/// How many records became what.
///
/// `in = out + filtered + deduplicated + rejected`, and beside it, since a group began to read a partition,
/// `offered = closed + open + late + lost`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records that were read.
    pub read: u64,
    /// Of these, those that went on: to the result, or only into groups.
    pub out: u64,
    /// Those that a rule did not want.
    pub filtered: u64,
    /// Those that had been there before.
    pub deduplicated: u64,
    /// Those that a rule refused, or that could not be decoded.
    pub rejected: u64,
    /// What became of those that went on in groups.
    pub grouped: GroupTally,
}

/// What became of records in groups. A record counts once for each `group_by`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupTally {
    /// Records that were offered to a `group_by`.
    pub offered: u64,
    /// Of these, members of groups that went out.
    pub closed: u64,
    /// Those whose window was closed when they came.
    pub late: u64,
    /// Members of open groups that neither the log nor the rules lead to any more.
    pub lost: u64,
    /// The groups that went out, each a record.
    pub records: u64,
}

impl GroupTally {
    /// Members of groups that are open.
    pub fn open(&self) -> u64 {
        self.offered.saturating_sub(self.closed).saturating_sub(self.late).saturating_sub(self.lost)
    }

    fn add(&mut self, other: Self) {
        self.offered += other.offered;
        self.closed += other.closed;
        self.late += other.late;
        self.lost += other.lost;
        self.records += other.records;
    }

    /// Whether no more became something than were offered.
    fn is_possible(&self) -> bool {
        let parts = [self.closed, self.late, self.lost];
        parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(*part)).is_some_and(|sum| sum <= self.offered)
    }

    /// As one JSON object, with so many members in open groups.
    pub fn to_json(self, open: u64) -> Value {
        let Self { offered, closed, late, lost, records } = self;
        json!({ "offered": offered, "closed": closed, "open": open, "late": late, "lost": lost, "records": records })
    }
}

impl Tally {
    /// Adds another one.
    pub fn add(&mut self, other: Self) {
        self.read += other.read;
        self.out += other.out;
        self.filtered += other.filtered;
        self.deduplicated += other.deduplicated;
        self.rejected += other.rejected;
        self.grouped.add(other.grouped);
    }

    /// Both together.
    pub fn plus(mut self, other: Self) -> Self {
        self.add(other);
        self
    }

    /// Whether every record became something, and one thing only.
    pub fn is_balanced(&self) -> bool {
        let parts = [self.out, self.filtered, self.deduplicated, self.rejected];
        parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(*part)) == Some(self.read)
    }

    /// As one JSON object.
    pub fn to_json(self) -> Value {
        let Self { read, out, filtered, deduplicated, rejected, grouped } = self;
        let grouped = grouped.to_json(grouped.open());
        json!({
            "in": read, "out": out, "filtered": filtered, "deduplicated": deduplicated, "rejected": rejected, "grouped": grouped,
        })
    }
}

/// What stands beside the committed offset of an input partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Note {
    /// What became of the records before that offset.
    pub(super) tally: Tally,
    /// Where the log has to be read from to have again what is held of the partition; nothing is held, if absent.
    pub(super) remember_from: Option<i64>,
    /// How far groups are.
    pub(super) groups: Vec<GroupStand>,
    /// How far what insights have counted is kept.
    pub(super) insights: Option<Kept>,
}

impl Note {
    /// As it is committed beside `offset`. Far shorter than what brokers take (4096 characters).
    pub(super) fn text(&self, offset: i64) -> String {
        let Tally { read, out, filtered, deduplicated, rejected, grouped } = self.tally;
        let mut text =
            format!("{MARK} in={read} out={out} filtered={filtered} deduplicated={deduplicated} rejected={rejected}");
        if grouped != GroupTally::default() {
            let GroupTally { offered, closed, late, lost, records } = grouped;
            let _ = write!(text, " offered={offered} closed={closed} late={late} lost={lost} groups={records}");
        }
        if let Some(from) = self.remember_from {
            let _ = write!(text, " from={from}");
        }
        if !self.groups.is_empty() {
            let shown: Vec<String> = self.groups.iter().map(show_stand).collect();
            let _ = write!(text, " open={}", shown.join(","));
        }
        if let Some(kept) = self.insights {
            let _ = write!(text, " insights={}", kept.text());
        }
        if self.remember_from.is_some() || !self.groups.is_empty() || self.insights.is_some() {
            let _ = write!(text, " at={offset}");
        }
        text
    }

    /// Reads the note beside `offset`; what is none of ours says nothing, so counting begins.
    ///
    /// Where somebody has moved the offset and left the note as it was, nothing is held: records that were passed
    /// over never went out, so what comes later is no duplicate of them, and in no group with them.
    pub(super) fn read(text: &str, offset: i64) -> Self {
        Self::parse(text, offset).unwrap_or_default()
    }

    fn parse(text: &str, offset: i64) -> Option<Self> {
        let (mut note, mut at) = (Self::default(), None);
        for word in text.strip_prefix(MARK)?.split_ascii_whitespace() {
            let (name, value) = word.split_once('=')?;
            let count = match name {
                "in" => &mut note.tally.read,
                "out" => &mut note.tally.out,
                "filtered" => &mut note.tally.filtered,
                "deduplicated" => &mut note.tally.deduplicated,
                "rejected" => &mut note.tally.rejected,
                "offered" => &mut note.tally.grouped.offered,
                "closed" => &mut note.tally.grouped.closed,
                "late" => &mut note.tally.grouped.late,
                "lost" => &mut note.tally.grouped.lost,
                "groups" => &mut note.tally.grouped.records,
                "open" => {
                    note.groups = value.split(',').map(read_stand).collect::<Option<_>>()?;
                    continue;
                }
                "from" => {
                    note.remember_from = Some(value.parse().ok().filter(|offset| *offset >= 0)?);
                    continue;
                }
                "insights" => {
                    note.insights = Some(value.parse().ok()?);
                    continue;
                }
                "at" => {
                    at = value.parse().ok();
                    continue;
                }
                // A later version may note more.
                _ => continue,
            };
            *count = value.parse().ok()?;
        }
        if at != Some(offset) {
            (note.remember_from, note.groups, note.insights) = (None, Vec::new(), None);
        }
        (note.tally.is_balanced() && note.tally.grouped.is_possible()).then_some(note)
    }
}

/// `MARK:FIRST:LATEST`, a dash for what there is not.
fn show_stand(stand: &GroupStand) -> String {
    let shown = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    format!("{:08x}:{}:{}", stand.mark, shown(stand.first), shown(stand.latest_ms))
}

fn read_stand(text: &str) -> Option<GroupStand> {
    let number = |text: &str| if text == "-" { Some(None) } else { text.parse().ok().map(Some) };
    let mut parts = text.splitn(3, ':');
    let mark = u32::from_str_radix(parts.next()?, 16).ok()?;
    Some(GroupStand { mark, first: number(parts.next()?)?, latest_ms: number(parts.next()?)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        let grouped = GroupTally { offered: 160, closed: 100, late: 7, lost: 1, records: 12 };
        Tally { read: 100, out: 80, filtered: 10, deduplicated: 7, rejected: 3, grouped }
    }

    fn stands() -> Vec<GroupStand> {
        vec![
            GroupStand { mark: 7, first: None, latest_ms: None },
            GroupStand { mark: u32::MAX, first: Some(i64::MAX), latest_ms: Some(i64::MIN) },
        ]
    }

    #[test]
    fn a_note_is_read_as_it_was_committed() {
        for (remember_from, groups) in
            [(None, Vec::new()), (Some(0), stands()), (Some(i64::MAX), Vec::new()), (None, stands())]
        {
            for insights in [None, Some(Kept::nothing(5))] {
                let note = Note { tally: tally(), remember_from, groups: groups.clone(), insights };
                assert_eq!(Note::read(&note.text(7), 7), note);
            }
        }
        let grouped = GroupTally { offered: u64::MAX, closed: u64::MAX, late: 0, lost: 0, records: u64::MAX };
        let longest = Tally { read: u64::MAX, out: u64::MAX, filtered: 0, deduplicated: 0, rejected: 0, grouped };
        let groups = [stands(), stands(), stands(), stands()].concat().repeat(2);
        let longest =
            Note { tally: longest, remember_from: Some(i64::MAX), groups, insights: Some(Kept::nothing(i64::MAX)) };
        assert!(longest.text(i64::MAX).len() < 2000 && Note::read(&longest.text(i64::MAX), i64::MAX) == longest);
    }

    #[test]
    fn what_is_no_note_of_ours_or_does_not_add_up_says_nothing() {
        for text in [
            "",
            "somebody else's",
            "kmerge-clean in=1",
            "kmerge-clean in=x out=x filtered=0 deduplicated=0 rejected=0",
            "kmerge-clean in=5 out=80 filtered=10 deduplicated=7 rejected=3",
            "kmerge-clean in=0 out=1 filtered=18446744073709551615 deduplicated=0 rejected=0",
            "kmerge-clean in=0 out=0 from=-1",
            "kmerge-clean in=0 out=0 offered=3 closed=2 late=2",
            "kmerge-clean in=0 out=0 offered=1 closed=18446744073709551615 late=1",
            "kmerge-clean in=0 out=0 open=",
            "kmerge-clean in=0 out=0 open=7:1 at=0",
            "kmerge-clean in=0 out=0 open=00000007:1:x at=0",
        ] {
            assert_eq!(Note::read(text, 0), Note::default(), "{text}");
        }
        assert_eq!(Note::read("kmerge-clean in=2 out=2 later=7", 0).tally.read, 2);
    }

    #[test]
    fn where_somebody_has_moved_the_offset_the_counts_go_on_and_nothing_is_remembered() {
        let text =
            Note { tally: tally(), remember_from: Some(100), groups: stands(), insights: Some(Kept::nothing(9)) }
                .text(1000);
        assert_eq!(Note::read(&text, 2000), Note { tally: tally(), ..Note::default() });
        assert_eq!(Note::read("kmerge-clean in=2 out=2 from=1", 1).remember_from, None);
    }

    #[test]
    fn a_balance_is_missed_by_one_record() {
        assert!(tally().is_balanced());
        assert!(!Tally { read: 101, ..tally() }.is_balanced());
        assert!(!Tally { rejected: 4, ..tally() }.is_balanced());
        let twice = tally().plus(tally());
        assert_eq!((twice.read, twice.grouped.open()), (200, 2 * (160 - 108)));
    }
}

//! What became of records, and the note about it that is committed beside a group's offset.
//!
//! The note is of one input partition and counts all its records since the group began there, whoever cleaned them: it is
//! committed with the offset, in the transaction that holds what was made of the records, so it is as exact as they are and
//! outlives every instance.

use serde_json::{Value, json};

/// What a note begins with; a note of somebody else's does not.
const MARK: &str = "kmerge-clean";

/// How many records became what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records that were read.
    pub read: u64,
    /// Of these, those that went on.
    pub out: u64,
    /// Those that a rule did not want.
    pub filtered: u64,
    /// Those that had been there before.
    pub deduplicated: u64,
    /// Those that a rule refused, or that could not be decoded.
    pub rejected: u64,
}

impl Tally {
    /// Adds another one.
    pub fn add(&mut self, other: Self) {
        self.read += other.read;
        self.out += other.out;
        self.filtered += other.filtered;
        self.deduplicated += other.deduplicated;
        self.rejected += other.rejected;
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
        let Self { read, out, filtered, deduplicated, rejected } = self;
        json!({ "in": read, "out": out, "filtered": filtered, "deduplicated": deduplicated, "rejected": rejected })
    }
}

/// What stands beside the committed offset of an input partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Note {
    /// What became of the records before that offset.
    pub(super) tally: Tally,
    /// Where the log has to be read from to remember again what duplicates are told by; nothing is remembered, if absent.
    pub(super) remember_from: Option<i64>,
}

impl Note {
    /// As it is committed beside `offset`. Far shorter than what brokers take (4096 characters).
    pub(super) fn text(&self, offset: i64) -> String {
        let Tally { read, out, filtered, deduplicated, rejected } = self.tally;
        let from = self.remember_from.map(|from| format!(" from={from} at={offset}")).unwrap_or_default();
        format!("{MARK} in={read} out={out} filtered={filtered} deduplicated={deduplicated} rejected={rejected}{from}")
    }

    /// Reads the note beside `offset`; what is none of ours says nothing, so counting begins.
    ///
    /// Where somebody has moved the offset and left the note as it was, nothing is remembered: records that were passed
    /// over never went out, so what comes later is no duplicate of them.
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
                "from" => {
                    note.remember_from = Some(value.parse().ok().filter(|offset| *offset >= 0)?);
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
        note.remember_from = note.remember_from.filter(|_| at == Some(offset));
        note.tally.is_balanced().then_some(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        Tally { read: 100, out: 80, filtered: 10, deduplicated: 7, rejected: 3 }
    }

    #[test]
    fn a_note_is_read_as_it_was_committed() {
        for remember_from in [None, Some(0), Some(i64::MAX)] {
            let note = Note { tally: tally(), remember_from };
            assert_eq!(Note::read(&note.text(7), 7), note);
        }
        let longest = Tally { read: u64::MAX, out: u64::MAX, filtered: 0, deduplicated: 0, rejected: 0 };
        let longest = Note { tally: longest, remember_from: Some(i64::MAX) };
        assert!(longest.text(i64::MAX).len() < 300 && Note::read(&longest.text(i64::MAX), i64::MAX) == longest);
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
        ] {
            assert_eq!(Note::read(text, 0), Note::default(), "{text}");
        }
        assert_eq!(Note::read("kmerge-clean in=2 out=2 later=7", 0).tally.read, 2);
    }

    #[test]
    fn where_somebody_has_moved_the_offset_the_counts_go_on_and_nothing_is_remembered() {
        let text = Note { tally: tally(), remember_from: Some(100) }.text(1000);
        assert_eq!(Note::read(&text, 2000), Note { tally: tally(), remember_from: None });
        assert_eq!(Note::read("kmerge-clean in=2 out=2 from=1", 1).remember_from, None);
    }

    #[test]
    fn a_balance_is_missed_by_one_record() {
        assert!(tally().is_balanced());
        assert!(!Tally { read: 101, ..tally() }.is_balanced());
        assert!(!Tally { rejected: 4, ..tally() }.is_balanced());
        assert_eq!(tally().plus(tally()).read, 200);
    }
}

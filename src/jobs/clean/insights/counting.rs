//! What is counted of an input partition that is ours, and how far that is kept.

use crate::rules::insight::{Closed, Insights, InsightsFull, Noted, Part, PartPlace};
use std::str::FromStr;
use tokio::time::Instant;

/// How far what was counted is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::jobs::clean) struct Kept {
    /// Records from this offset on are not in what is kept.
    pub(in crate::jobs::clean) to: i64,
    /// From where the log has to be read so that duplicates from there on are told as they were the first time.
    pub(in crate::jobs::clean) read_from: i64,
    /// What was written out; nothing was counted before, if nothing was.
    pub(in crate::jobs::clean) written: Option<Written>,
}

/// What was written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::jobs::clean) struct Written {
    /// All that lies before this offset was counted in it.
    pub(in crate::jobs::clean) at: i64,
    /// In which partition of the topic it stands: who adds some changes where others go.
    pub(in crate::jobs::clean) partition: i32,
    /// It stands at this offset or behind it.
    pub(in crate::jobs::clean) stands_from: i64,
}

impl Kept {
    /// Counting begins here.
    pub(in crate::jobs::clean) fn nothing(offset: i64) -> Self {
        Self { to: offset, read_from: offset, written: None }
    }

    /// As a word of a note.
    pub(in crate::jobs::clean) fn text(self) -> String {
        let Self { to, read_from, written } = self;
        let written = written.map(|Written { at, partition, stands_from }| format!(",{at},{partition},{stands_from}"));
        format!("{to},{read_from}{}", written.unwrap_or_default())
    }
}

impl FromStr for Kept {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let numbers = text.split(',').map(|number| number.parse::<i64>().ok().filter(|number| *number >= 0));
        let numbers = numbers.collect::<Option<Vec<_>>>().ok_or(())?;
        match *numbers.as_slice() {
            [to, read_from] => Ok(Self { to, read_from, written: None }),
            [to, read_from, at, partition, stands_from] => {
                let partition = i32::try_from(partition).map_err(|_| ())?;
                Ok(Self { to, read_from, written: Some(Written { at, partition, stands_from }) })
            }
            _ => Err(()),
        }
    }
}

/// See the module's head.
pub(in crate::jobs::clean) struct Counting {
    insights: Insights,
    kept: Kept,
    /// What is being committed.
    keeping: Option<Kept>,
    /// Something was counted that is not in what is kept.
    has_more: bool,
    /// Not before then is it written out again.
    due: Instant,
}

impl Counting {
    pub(in crate::jobs::clean) fn new(insights: Insights, kept: Kept, due: Instant) -> Self {
        Self { insights, kept, keeping: None, has_more: false, due }
    }

    pub(in crate::jobs::clean) fn insights(&self) -> &Insights {
        &self.insights
    }

    /// Counts a record that goes out now.
    #[inline]
    pub(in crate::jobs::clean) fn count(&mut self, noted: Noted<'_>) -> Result<(), InsightsFull> {
        self.has_more = true;
        self.insights.count(noted)
    }

    /// The next window that has closed.
    #[inline]
    pub(in crate::jobs::clean) fn next_closed(&mut self) -> Option<Closed> {
        self.insights.next_closed()
    }

    /// Counts a record that went out before, unless what is kept has it.
    pub(in crate::jobs::clean) fn count_again(&mut self, noted: Noted<'_>, offset: i64) -> Result<(), InsightsFull> {
        if offset >= self.kept.to {
            self.count(noted)?;
            // They were told and written then.
            while self.insights.next_closed().is_some() {}
        }
        Ok(())
    }

    /// What was counted is not what is kept.
    pub(in crate::jobs::clean) fn changed(&mut self) {
        self.has_more = true;
    }

    /// Whether it is time to write it out; `at_once` where it does not matter when that was done last.
    pub(in crate::jobs::clean) fn is_due(&self, now: Instant, at_once: bool) -> bool {
        self.has_more && (at_once || now >= self.due)
    }

    /// The next part of what is written out, of all records before `at`.
    pub(in crate::jobs::clean) fn part(&self, at: i64, place: &mut PartPlace) -> Option<Part> {
        self.insights.part(at, place)
    }

    /// It is written out whole, and the next time is not before `due`.
    pub(in crate::jobs::clean) fn keep(&mut self, kept: Kept, due: Instant) {
        (self.keeping, self.has_more, self.due) = (Some(kept), false, due);
    }

    /// Whether what was written out is not committed yet.
    pub(in crate::jobs::clean) fn is_keeping(&self) -> bool {
        self.keeping.is_some()
    }

    /// What is to be noted beside an offset.
    pub(in crate::jobs::clean) fn noted(&self) -> Kept {
        self.keeping.unwrap_or(self.kept)
    }

    /// The same where all before `offset` was counted: with nothing to count since, what is kept is as good there, and nothing
    /// before has to be read again but from `read_from` on for the sake of others.
    pub(in crate::jobs::clean) fn noted_at(&self, offset: i64, read_from: i64) -> Kept {
        match self.has_more {
            true => self.noted(),
            false => Kept { to: offset, read_from, ..self.noted() },
        }
    }

    /// It is committed.
    pub(in crate::jobs::clean) fn stands(&mut self) {
        if let Some(kept) = self.keeping.take() {
            self.kept = kept;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_nothing_to_count_what_is_kept_goes_on_with_the_offset_and_stays_where_it_is_once_there_is_something() {
        let rules = std::sync::Arc::new(crate::rules::Rules::parse("[[insight]]\nfield = \"a\"\n").unwrap());
        let mut counting = Counting::new(Insights::new(&rules, 7, 1 << 20), Kept::nothing(5), Instant::now());
        assert_eq!(counting.noted_at(9, 8), Kept { to: 9, read_from: 8, written: None });
        counting.changed();
        assert_eq!(counting.noted_at(9, 8), Kept::nothing(5));
        let kept = Kept { to: 20, read_from: 3, written: Some(Written { at: 20, partition: 1, stands_from: 0 }) };
        counting.keep(kept, Instant::now());
        assert_eq!(counting.noted_at(20, 3), kept);
        counting.stands();
        assert_eq!(counting.noted_at(90, 60), Kept { to: 90, read_from: 60, ..kept });
    }

    #[test]
    fn what_is_kept_is_read_from_a_note_as_it_was_written_and_from_nothing_else() {
        let written = Some(Written { at: i64::MAX, partition: i32::MAX, stands_from: 0 });
        for kept in [Kept::nothing(7), Kept { to: 9, read_from: 3, written }] {
            assert_eq!(kept.text().parse(), Ok(kept));
        }
        for text in ["", "1", "1,2,3", "1,2,3,4", "1,2,3,4,5,6", "-1,2", "1,x", "1,2,3,4294967296,5"] {
            assert_eq!(text.parse::<Kept>(), Err(()), "{text}");
        }
    }
}

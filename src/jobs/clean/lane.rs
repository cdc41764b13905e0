//! An input partition that is ours: how far it is, what became of its records, what is held of them.

use super::files::OpenFile;
use super::held::Held;
use super::insights::{Counting, Kept};
use super::tally::{Note, Tally};
use crate::base::budget::Reserved;
use crate::base::place::TopicPartition;
use crate::client::group::Start;
use crate::client::{Ground, GroupOffset};
use crate::jobs::cursor::RecordCursor;
use crate::jobs::error::JobError;
use crate::jobs::windows::Windows;
use crate::rules::{Closed, GroupStand, Rules};
use futures::future::{AbortHandle, Abortable, Aborted, BoxFuture};
use std::sync::Arc;

/// What comes of a feed, unless it has been ended: whether it has more.
pub(super) type Arrived = Result<(Box<Feed>, Result<bool, JobError>), Aborted>;

/// A partition on its way in.
pub(super) struct Feed {
    pub(super) partition: TopicPartition,
    pub(super) cursor: RecordCursor<Windows>,
}

/// See the module's head.
pub(super) struct Lane {
    pub(super) partition: TopicPartition,
    /// The first offset that counts: those before it are only remembered.
    pub(super) start: i64,
    /// Where reading began: before `start`, where something has to be remembered.
    from: i64,
    /// The next offset to be read.
    pub(super) position: i64,
    /// Where the group stands.
    pub(super) committed: i64,
    /// It goes on elsewhere than the group stands, which is to be committed even where that lies before.
    pub(super) jumped: bool,
    /// Windows were closed before their time, which is to be committed even where nothing was read.
    has_closed: bool,
    /// What became of the records since then.
    pub(super) open: Tally,
    /// What became of those before, whoever cleaned them.
    pub(super) counted: Tally,
    /// What is held of its records.
    pub(super) held: Held,
    /// What insights have counted of them, where there are any.
    pub(super) counting: Option<Counting>,
    /// What goes out since then, where it goes to a file.
    pub(super) file: Option<OpenFile>,
    /// What was noted when we began, until its log is read up to where the group stands: so long it holds true.
    noted: Option<Box<Note>>,
    /// What holds nothing behind the records that were read; `None` where nothing is read.
    ground: Option<Ground>,
    /// Ends its feed; `None` once it is read to its end.
    feed: Option<AbortHandle>,
    /// What its feed may take.
    _room: Reserved,
}

impl Lane {
    /// A partition that is gone on with at `start`, and is read from `from` on.
    /// What is held of it may take so many bytes.
    pub(super) fn new(start: &Start, from: i64, rules: &Arc<Rules>, held_bytes_max: usize, room: Reserved) -> Self {
        let note = Note::read(&start.note, start.offset);
        Self {
            partition: start.partition.clone(),
            start: start.offset,
            from,
            position: from,
            committed: start.offset,
            jumped: false,
            has_closed: false,
            open: Tally::default(),
            counted: note.tally,
            held: Held::new(rules, held_bytes_max, &note),
            counting: None,
            file: None,
            noted: Some(Box::new(note)),
            ground: None,
            feed: None,
            _room: room,
        }
    }

    /// Where reading begins, if its log begins at `earliest`.
    pub(super) fn read_from(start: &Start, rules: &Rules, earliest: i64) -> i64 {
        match Note::read(&start.note, start.offset).remember_from {
            Some(from) if rules.holds_something() => from.max(earliest).min(start.offset),
            _ => start.offset,
        }
    }

    /// It is read by the reader that this is of.
    pub(super) fn stands_on(&mut self, ground: Ground) {
        self.ground = Some(ground);
    }

    /// Goes behind the markers and the like that follow what was read.
    pub(super) fn pass_ground(&mut self) {
        if let Some(ground) = &self.ground {
            self.position = ground.behind(self.position);
            if !self.is_remembering() {
                self.settle();
            }
        }
    }

    /// Waits for more.
    pub(super) fn wait_for(&mut self, mut feed: Box<Feed>) -> BoxFuture<'static, Arrived> {
        let (handle, registration) = AbortHandle::new_pair();
        self.feed = Some(handle);
        let next = async move {
            let more = feed.cursor.more().await;
            (feed, more)
        };
        Box::pin(Abortable::new(next, registration))
    }

    /// There is nothing more: it is read up to `end`.
    pub(super) fn ends_at(&mut self, end: i64) {
        self.feed = None;
        self.passes(end);
    }

    /// All records before this offset were cleaned: what lies between the last one and there is compacted away.
    pub(super) fn passes(&mut self, offset: i64) {
        self.position = self.position.max(offset);
        if !self.is_remembering() {
            self.settle();
        }
    }

    /// Its log is read up to where the group stands: what was to be held again is there, or there no more.
    #[inline]
    pub(super) fn settle(&mut self) {
        if let Some(note) = self.noted.take() {
            self.compare(&note);
        }
    }

    /// What does not lie in open groups any more is lost, and said to be.
    #[cold]
    fn compare(&mut self, note: &Note) {
        let (noted, found) = (note.tally.grouped.open(), self.held.members());
        if found != noted {
            tracing::warn!(
                partition = %self.partition,
                "open groups had {noted} members and have {found} now, because records are gone from the log, the offset was moved, \
                 or the rules have changed: what is missing counts as lost"
            );
        }
        self.open.grouped.lost += noted.saturating_sub(found);
        self.open.grouped.offered += found.saturating_sub(noted);
    }

    /// The next group of whatever window is open.
    pub(super) fn close(&mut self) -> Option<Closed> {
        self.settle();
        let closed = self.held.close();
        self.has_closed |= closed.is_some();
        closed
    }

    /// Whether the members of open groups are those that the counts leave for them.
    pub(super) fn adds_up(&self) -> bool {
        let grouped = self.counted.plus(self.open).grouped;
        self.noted.is_some() || self.held.members() == grouped.open()
    }

    /// Whether it is read to its end.
    pub(super) fn is_read(&self) -> bool {
        self.feed.is_none()
    }

    /// Whether there is something to commit.
    pub(super) fn is_open(&self) -> bool {
        let keeps = self.counting.as_ref().is_some_and(Counting::is_keeping);
        self.jumped || self.has_closed || self.position > self.committed || self.open != Tally::default() || keeps
    }

    /// Whether what is read is only remembered so far.
    pub(super) fn is_remembering(&self) -> bool {
        self.position < self.start
    }

    /// What is to be committed.
    pub(super) fn reached(&self) -> GroupOffset {
        let (remember_from, groups) = match &self.noted {
            Some(note) if self.is_remembering() => (Some(self.from), note.groups.clone()),
            Some(note) => (note.remember_from, note.groups.clone()),
            None => (self.held.oldest_needed(), self.held.stands()),
        };
        let offset = self.position.max(self.start);
        let needed_from = self.needed_from().unwrap_or(offset).min(offset);
        let insights = self.counting.as_ref().map(|counting| match self.is_remembering() {
            true => counting.noted(),
            false => counting.noted_at(offset, needed_from),
        });
        GroupOffset { offset, metadata: self.note_at(offset, remember_from, groups, insights) }
    }

    /// From where on the log has to be read to have again what is held; `None` where nothing is.
    pub(super) fn needed_from(&self) -> Option<i64> {
        match &self.noted {
            Some(note) => note.remember_from,
            None => self.held.oldest_needed(),
        }
    }

    /// Going on elsewhere, where the log does not hold what is next.
    pub(super) fn going_on_at(&self, offset: i64, remember_from: Option<i64>) -> Start {
        let groups = match &self.noted {
            Some(note) if remember_from.is_some() => note.groups.clone(),
            // Another log: it has a time of its own.
            _ if offset < self.position => Vec::new(),
            // Members of open groups are gone with the log, but time goes on.
            noted => {
                let stands = noted.as_ref().map_or_else(|| self.held.stands(), |note| note.groups.clone());
                stands.into_iter().map(|stand| GroupStand { first: None, ..stand }).collect()
            }
        };
        let kept = self.counting.as_ref().map(Counting::noted);
        let insights = match remember_from {
            Some(_) => kept,
            // What they have counted is written out, and there is nothing between that and where it goes on.
            None => kept
                .filter(|_| !self.is_remembering())
                .map(|kept| Kept { written: kept.written, ..Kept::nothing(offset) }),
        };
        Start { partition: self.partition.clone(), offset, note: self.note_at(offset, remember_from, groups, insights) }
    }

    fn note_at(
        &self,
        offset: i64,
        remember_from: Option<i64>,
        groups: Vec<GroupStand>,
        insights: Option<Kept>,
    ) -> String {
        Note { tally: self.counted.plus(self.open), remember_from, groups, insights }.text(offset)
    }

    /// It is committed.
    pub(super) fn stands(&mut self) {
        self.counted.add(std::mem::take(&mut self.open));
        self.committed = self.position.max(self.start);
        (self.jumped, self.has_closed) = (false, false);
        if let Some(counting) = &mut self.counting {
            counting.stands();
        }
    }

    /// Whether what was to be committed stands, as the group's offset says; `None` if it does not tell, because somebody has
    /// gone on from there.
    pub(super) fn tells(&self, now: &Start) -> Option<bool> {
        match now.offset {
            _ if !self.is_open() => None,
            // First, since after a jump backwards both may be the same offset.
            offset if offset == self.position.max(self.start) && now.note == self.reached().metadata => Some(true),
            offset if offset == self.committed => Some(false),
            _ => None,
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(feed) = &self.feed {
            feed.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::budget::ByteBudget;

    const DEDUPLICATE: &str = "[[rule]]\ndeduplicate = { key = \"id\", window = \"20ms\" }\n";

    fn start(offset: i64, note: &str) -> Start {
        Start { partition: TopicPartition::new("in", 0), offset, note: note.to_owned() }
    }

    fn lane(start: &Start, from: i64) -> Lane {
        let rules = Arc::new(Rules::parse(DEDUPLICATE).unwrap());
        Lane::new(start, from, &rules, 1 << 20, ByteBudget::new(1).try_take(1).unwrap())
    }

    #[test]
    fn a_lane_that_only_remembers_so_far_stands_where_it_stood_and_has_nothing_to_commit() {
        let start = start(1000, "");
        let mut lane = lane(&start, 100);
        assert!(lane.is_remembering() && !lane.is_open());
        lane.position = 600;
        lane.stands();
        assert!(lane.is_remembering() && !lane.is_open() && lane.committed == 1000);
        let reached = lane.reached();
        assert_eq!((reached.offset, Note::read(&reached.metadata, reached.offset).remember_from), (1000, Some(100)));
        lane.position = 1001;
        assert!(!lane.is_remembering() && lane.is_open() && lane.reached().offset == 1001);
    }

    #[test]
    fn that_members_of_groups_are_lost_is_committed_though_nothing_was_read() {
        let start = start(1000, "");
        let mut lane = lane(&start, 1000);
        assert!(!lane.is_open());
        lane.open.grouped.lost = 1;
        assert!(lane.is_open());
        lane.stands();
        assert!(!lane.is_open() && lane.counted.grouped.lost == 1);
    }

    #[test]
    fn a_jump_backwards_is_committed_whether_or_not_something_was_cleaned_behind_it() {
        let start = start(150, "");
        let mut lane = lane(&start, 150);
        (lane.committed, lane.jumped) = (1000, true);
        assert!(lane.is_open() && lane.reached().offset == 150);
        lane.position = 1000;
        (lane.open.read, lane.open.out) = (850, 850);
        let now = |note: String| Start { partition: start.partition.clone(), offset: 1000, note };
        assert_eq!(lane.tells(&now(lane.reached().metadata)), Some(true));
        assert_eq!(lane.tells(&now(String::new())), Some(false));
        lane.position = 400;
        lane.stands();
        assert!(!lane.is_open() && lane.committed == 400 && lane.counted.read == 850);
        lane.position = 401;
        assert!(lane.is_open());
    }
}

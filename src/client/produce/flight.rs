//! The batches on their way to one partition, as a state machine: what may be sent, what an answer means, what is certain.
//!
//! No I/O and no clock. The driver pushes batches, sends those that [`Flight::next_to_send`] names, in that order on one
//! connection, and tells each answer, in the same order, or that the connection is gone. Every call that makes batches
//! certain says how many, counted from the oldest; the driver forgets those.
//!
//! ```text
//!            oldest                          newest
//!  next ──▶ [ Failed? ] [ Sent ] [ Sent ] [ Waiting ]       all behind `next` in offset order
//!               │ send everything again, once no answer is awaited any more ("a round is over")
//!               ▼
//!           [ Waiting ] [ Waiting ] …
//! ```
//!
//! Non-obvious:
//! - A batch is certain when the broker tells its base offset and that is the place right behind the batch before it. A
//!   base offset elsewhere means that something lies between, or was lost: the end, with both numbers. Beside other writers
//!   any place behind the one before it will do, and without numbers any place at all.
//! - What failed is sent again only after all answers of the round are in. So never are two copies of a batch under way on
//!   one connection, and the order on the wire is the order of the sequences.
//! - After any failure the oldest batch goes alone until it is certain, as the first one does: a broker that has lost what it
//!   knew of the producer takes whichever batch comes first, and must not get the second one while the first one fails.
//! - A batch whose answer is lost is *in doubt* until the broker, or the log, says where it is. Doubt never ends otherwise.
//!   The log is asked by a sole writer only: beside others, a place in it tells nothing.
//! - A later batch at its place does not vouch for those in doubt before it, though it leaves exactly their room: a rival
//!   may have filled it, and a broker that has lost what it knew of the producer takes any sequence (the model found that).

use super::codes::{Decision, decide};
use crate::wire::ErrorCode;
use std::collections::VecDeque;

/// A producer has at most so many batches on their way: a broker remembers the last five of each producer, and tells a
/// repeat of these, and only these, from a new batch.
pub(super) const IN_FLIGHT_MAX: usize = 5;

/// How often one batch is sent again after an answer that may be a fact about it.
const BOUNDED_TRIES_MAX: u32 = 4;

/// How often the log is searched for a batch that the broker neither takes nor tells the place of.
const SEARCHES_MAX: u32 = 8;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Flight {
    /// Where the oldest batch must land: everything before is certain.
    next: i64,
    entries: VecDeque<Entry>,
    in_flight_max: usize,
    /// Nobody else writes there.
    sole: bool,
    /// Batches have numbers.
    sequenced: bool,
    /// Only the oldest may be on its way.
    alone: bool,
    /// What to do when the round is over; nothing more is sent in it.
    trouble: Option<Remedy>,
    /// Rounds since the last certain batch in which the oldest one was refused for its sequence.
    searches: u32,
}

#[derive(Debug)]
struct Entry {
    records: u32,
    state: State,
    /// It was sent, and what is known does not exclude that it is in the log.
    in_doubt: bool,
    bounded_tries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be sent.
    Waiting,
    /// Its answer is awaited.
    Sent,
    /// To be sent again when the round is over.
    Failed,
    /// Certain, but one before it is not.
    Landed,
}

/// An answer to one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Stored at this base offset.
    Stored(i64),
    /// An error.
    Refused(ErrorCode),
}

/// What to do between two rounds, beside waiting a little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remedy {
    /// Ask who leads the partition now.
    pub(super) refresh: bool,
    /// Search the log for batches in doubt.
    pub(super) search: bool,
    /// What was answered, where something was.
    pub(super) code: Option<ErrorCode>,
}

/// The end of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// A batch landed elsewhere than behind the one before it.
    NotAdjacent { expected: i64, got: i64, records: u32 },
    /// The broker refuses the batch of this index (0 is the oldest), which had to land at `expected`.
    Refused { index: usize, expected: i64, code: ErrorCode },
    /// An answer that nothing was asked for.
    Unasked,
}

impl Flight {
    /// Nothing on its way; the first batch must land at `end`.
    pub(super) fn new(end: i64, in_flight_max: usize, sequenced: bool) -> Self {
        let in_flight_max = if sequenced { in_flight_max.clamp(1, IN_FLIGHT_MAX) } else { 1 };
        let (entries, trouble) = (VecDeque::new(), None);
        Self { next: end, entries, in_flight_max, sole: true, sequenced, alone: true, trouble, searches: 0 }
    }

    /// The same where others write as well: a batch may land anywhere behind the one before it, and what is in doubt is decided
    /// by the broker alone.
    pub(super) fn beside_others(mut self) -> Self {
        self.sole = false;
        self
    }

    /// Whether nobody else writes there, so that each batch has its place.
    pub(super) fn is_sole(&self) -> bool {
        self.sole
    }

    /// The next batch goes alone until it is certain.
    pub(super) fn begin_alone(&mut self) {
        self.alone = true;
    }

    /// So many offsets were taken by what is no batch of ours. Nothing may be on its way.
    pub(super) fn pass(&mut self, offsets: i64) {
        self.next = self.next.saturating_add(offsets);
    }

    /// The offset behind all that is certain.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// How many batches are not certain yet.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether another batch may be pushed.
    pub(super) fn has_room(&self) -> bool {
        self.entries.len() < self.limit()
    }

    fn limit(&self) -> usize {
        if self.alone { 1 } else { self.in_flight_max }
    }

    /// Takes a batch of so many records behind the others.
    pub(super) fn push(&mut self, records: u32) {
        self.entries.push_back(Entry { records, state: State::Waiting, in_doubt: false, bounded_tries: 0 });
    }

    /// The batch to send now, if one may be sent; 0 is the oldest.
    pub(super) fn next_to_send(&self) -> Option<usize> {
        if self.trouble.is_some() {
            return None;
        }
        let index = self.entries.iter().position(|entry| entry.state == State::Waiting)?;
        (index < self.limit()).then_some(index)
    }

    /// The batch that [`Self::next_to_send`] named is on its way.
    pub(super) fn sent(&mut self, index: usize) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.state = State::Sent;
        }
    }

    /// The batch whose answer comes next, if one is awaited.
    pub(super) fn first_awaited(&self) -> Option<usize> {
        self.entries.iter().position(|entry| entry.state == State::Sent)
    }

    /// The batches whose answers are still to come where so many do; the last one that came may have ended it all.
    pub(super) fn last_awaited(&self, count: usize) -> Vec<usize> {
        let sent = self.entries.iter().enumerate().filter(|(_, entry)| entry.state == State::Sent);
        let sent: Vec<usize> = sent.map(|(index, _)| index).collect();
        sent[sent.len().saturating_sub(count)..].to_vec()
    }

    /// It has ended, and this batch is stored whatever became of those before it.
    pub(super) fn landed_apart(&mut self, index: usize) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.state = State::Landed;
        }
    }

    /// Whether this batch is stored, though one before it may not be.
    pub(super) fn has_landed(&self, index: usize) -> bool {
        self.entries.get(index).is_some_and(|entry| entry.state == State::Landed)
    }

    /// How many answers are awaited.
    pub(super) fn awaited(&self) -> usize {
        self.entries.iter().filter(|entry| entry.state == State::Sent).count()
    }

    /// The next answer of the round. Gives how many batches have become certain.
    pub(super) fn answered(&mut self, answer: Answer) -> Result<usize, Stop> {
        let Some(index) = self.first_awaited() else { return Err(Stop::Unasked) };
        match answer {
            // Stored before, so long ago that the broker has forgotten where.
            Answer::Stored(base) if base < 0 => self.refused(index, ErrorCode::DuplicateSequenceNumber),
            Answer::Stored(base) => self.stored(index, base),
            Answer::Refused(code) => self.refused(index, code),
        }
    }

    fn stored(&mut self, index: usize, base: i64) -> Result<usize, Stop> {
        // Beside others only the order is known: no batch lies before what is certain. Of one behind a batch that failed not
        // even that is looked at: the other one may have landed before it or behind it. Without numbers not even the order: a
        // leader that takes over may lack the end of the log, as is in the bargain of who waits for one replica only.
        if !self.sole && index == 0 && (base > self.next || !self.sequenced) {
            self.next = base;
        }
        let (expected, records) = (self.place(index), self.entries[index].records);
        let fits = if self.sole || index == 0 { base == expected } else { base >= self.next };
        if !fits {
            return Err(Stop::NotAdjacent { expected, got: base, records });
        }
        self.entries[index].state = State::Landed;
        Ok(self.settle())
    }

    /// Where the batch of this index must land.
    fn place(&self, index: usize) -> i64 {
        self.entries.iter().take(index).fold(self.next, |at, entry| at.saturating_add(entry.records.into()))
    }

    /// Lets go of what is certain at the front.
    fn settle(&mut self) -> usize {
        let certain = self.entries.iter().take_while(|entry| entry.state == State::Landed).count();
        if certain > 0 {
            self.next = self.place(certain);
            self.entries.drain(..certain);
            (self.alone, self.searches) = (false, 0);
        }
        if !self.entries.iter().any(|entry| entry.state == State::Failed) {
            self.trouble = None;
        }
        certain
    }

    fn refused(&mut self, index: usize, code: ErrorCode) -> Result<usize, Stop> {
        let stop = Stop::Refused { index, expected: self.place(index), code };
        // What is certain at the front is gone, so only the oldest has none before it that failed.
        let is_oldest = index == 0;
        let entry = &mut self.entries[index];
        let mut refresh = false;
        match decide(code) {
            // `Stored` is said with an offset.
            Decision::Stored | Decision::Stop => return Err(stop),
            Decision::Repeat(repeat) => {
                entry.in_doubt |= repeat.in_doubt;
                entry.bounded_tries += u32::from(repeat.bounded);
                if entry.bounded_tries >= BOUNDED_TRIES_MAX {
                    return Err(stop);
                }
                refresh = repeat.refresh;
            }
            Decision::OutOfOrder if !is_oldest => {}
            // It was never sent before: what the broker knows of this producer is not what we have written.
            Decision::OutOfOrder if !entry.in_doubt || !self.sole => return Err(stop),
            Decision::OutOfOrder => self.searches += 1,
            Decision::Somewhere => {
                entry.in_doubt = true;
                self.searches += u32::from(is_oldest);
            }
        }
        if self.searches >= SEARCHES_MAX {
            return Err(stop);
        }
        self.fail(index, refresh, Some(code));
        Ok(0)
    }

    fn fail(&mut self, index: usize, refresh: bool, code: Option<ErrorCode>) {
        self.entries[index].state = State::Failed;
        let remedy = self.trouble.get_or_insert(Remedy { refresh: false, search: false, code });
        remedy.refresh |= refresh;
        remedy.search |= self.entries[index].in_doubt && self.sole;
    }

    /// The connection is gone, and with it the answers that were awaited.
    pub(super) fn lost(&mut self) {
        for index in 0..self.entries.len() {
            if self.entries[index].state == State::Sent {
                self.entries[index].in_doubt = true;
                self.fail(index, true, None);
            }
        }
    }

    /// What to do before the next round, once this one is over and something failed in it.
    pub(super) fn remedy(&self) -> Option<Remedy> {
        self.trouble.filter(|_| self.awaited() == 0)
    }

    /// The log was found to hold the oldest `count` batches at their places. Gives how many have become certain.
    pub(super) fn found(&mut self, count: usize) -> usize {
        for entry in self.entries.iter_mut().take(count) {
            entry.state = State::Landed;
        }
        self.settle()
    }

    /// Begins the next round: what failed is to be sent again.
    pub(super) fn begin_round(&mut self) {
        self.alone |= self.trouble.take().is_some();
        for entry in self.entries.iter_mut().filter(|entry| entry.state == State::Failed) {
            entry.state = State::Waiting;
        }
    }
}

//! What is counted of the records that pass: of the batch at hand, and of all.
//!
//! A batch's clock starts where the batch before it ended, so the times of all batches are the time of the whole. Clocks and
//! the system's accounts are read between records, never for one: a record's age is taken at the time at which the stretch it
//! is in came to hand, less than a millisecond before.
//!
//! Words are counted behind this, a few pages of text at most: how many a batch had is told a little after its end, when its row is
//! there already.

use super::counter::Counter;
use super::lexicon::Unique;
use super::report::{Ages, Batch, Totals, Unreadable};
use crate::base::clock::now_ms;
use crate::base::place::TopicPartition;
use crate::batch::RawRecord;
use crate::jobs::cursor::size;
use crate::keys::TextSource;
use crate::observe::histogram::Histogram;
use crate::observe::usage::Usage;
use std::io;
use std::ops::ControlFlow;
use std::time::Instant;

/// Why no more records are taken for the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enough {
    /// The batch is full.
    Batch,
    /// It is the turn of the next partition.
    Turn,
}

/// See the module's head.
pub(super) struct Tally {
    text: TextSource,
    batch_records: u64,
    turn_records: u64,
    counter: Counter,
    /// Records left until the batch is full, and until the turn is over.
    batch_left: u64,
    turn_left: u64,
    now_ms: i64,
    /// Of the batch at hand.
    bytes: u64,
    ages: Histogram,
    began: Mark,
    /// Of all.
    all_ages: Histogram,
    first: Mark,
    /// How many records there were before this batch, and what they were like.
    totals: Totals,
    batches: Vec<Batch>,
    /// How many of them know their words.
    told: usize,
    /// Without the text that is counted, and the first one where it could not be read.
    without_text: u64,
    unreadable: Option<Unreadable>,
}

/// A moment, and what the process had used by then.
#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    usage: Usage,
}

impl Mark {
    fn now() -> Self {
        Self { at: Instant::now(), usage: Usage::now() }
    }

    fn seconds_until(&self, later: &Self) -> f64 {
        (later.at - self.at).as_secs_f64()
    }

    /// In the processor's time: 100 is one core.
    fn cpu_percent_until(&self, later: &Self) -> f64 {
        let seconds = self.seconds_until(later).max(1e-9);
        (later.usage.cpu_seconds - self.usage.cpu_seconds) / seconds * 100.0
    }
}

impl Tally {
    /// Counts from now on, at most so many batches. `words_bytes` is what the words may take.
    pub(super) fn new(
        text: TextSource,
        batch_records: u64,
        batches_max: usize,
        turn_records: u64,
        words_bytes: usize,
    ) -> io::Result<Self> {
        let counter = Counter::start(words_bytes)?;
        let began = Mark::now();
        Ok(Self {
            text,
            batch_records,
            turn_records,
            counter,
            batch_left: batch_records,
            turn_left: turn_records,
            now_ms: now_ms(),
            bytes: 0,
            ages: Histogram::default(),
            began,
            all_ages: Histogram::default(),
            first: began,
            totals: Totals::default(),
            // Growing it would take twice as much.
            batches: Vec::with_capacity(batches_max),
            told: 0,
            without_text: 0,
            unreadable: None,
        })
    }

    /// The records that follow are read now.
    pub(super) fn look_at_the_clock(&mut self) {
        self.now_ms = now_ms();
    }

    /// Counts a record of `partition`.
    #[inline]
    pub(super) fn take(&mut self, partition: &TopicPartition, found: &RawRecord<'_>) -> ControlFlow<Enough> {
        let record = &found.record;
        self.bytes += size(record);
        if record.timestamp >= 0 {
            // A record that is stamped with a time to come is no younger than new.
            self.ages.add(self.now_ms.saturating_sub(record.timestamp).max(0) as u64);
        }
        match self.text.find(record) {
            Ok(Some(text)) => self.counter.see_all(&text),
            Ok(None) => self.without_text += 1,
            Err(error) => {
                let at = partition.at(record.offset);
                self.unreadable.get_or_insert(Unreadable { records: 0, first: at, error }).records += 1;
            }
        }
        self.batch_left -= 1;
        self.turn_left -= 1;
        if self.batch_left == 0 {
            return ControlFlow::Break(Enough::Batch);
        }
        if self.turn_left == 0 { ControlFlow::Break(Enough::Turn) } else { ControlFlow::Continue(()) }
    }

    /// Whether the turn is over.
    pub(super) fn turn_is_over(&self) -> bool {
        self.turn_left == 0
    }

    /// Another partition is read now.
    pub(super) fn begin_turn(&mut self) {
        self.turn_left = self.turn_records;
    }

    /// The batch at hand is done, if there is a record in it.
    pub(super) fn end_batch(&mut self) {
        let records = self.batch_records - self.batch_left;
        if records == 0 {
            return;
        }
        self.counter.end_batch();
        let ended = Mark::now();
        self.totals.records += records;
        self.totals.bytes += self.bytes;
        self.batches.push(Batch {
            records,
            bytes: self.bytes,
            words: 0,
            unique_words: Unique::default(),
            unique_words_so_far: Unique::default(),
            began_seconds: self.first.seconds_until(&self.began),
            seconds: self.began.seconds_until(&ended),
            cpu_percent: self.began.cpu_percent_until(&ended),
            memory_bytes: ended.usage.memory_bytes,
            ages: Ages::of(&self.ages),
        });
        self.tell_batches();
        self.all_ages.add_all(&self.ages);
        self.ages.clear();
        self.bytes = 0;
        self.batch_left = self.batch_records;
        self.began = ended;
    }

    /// Tells batches what words they had, as far as it is known by now.
    fn tell_batches(&mut self) {
        while let Some(ended) = self.counter.ended() {
            if let Some(batch) = self.batches.get_mut(self.told) {
                batch.words = ended.words;
                (batch.unique_words, batch.unique_words_so_far) = (ended.unique, ended.unique_so_far);
            }
            self.totals.words += ended.words;
            self.told += 1;
        }
    }

    /// Everything is read.
    pub(super) fn finish(mut self) -> Totals {
        self.end_batch();
        self.counter.wait();
        self.tell_batches();
        let ended = Mark::now();
        Totals {
            unique_words: self.batches.last().map_or(Unique::NONE, |batch| batch.unique_words_so_far),
            seconds: self.first.seconds_until(&ended),
            cpu_percent: self.first.cpu_percent_until(&ended),
            cpu_seconds: ended.usage.cpu_seconds,
            peak_memory_bytes: ended.usage.peak_memory_bytes,
            ages: Ages::of(&self.all_ages),
            without_text: self.without_text,
            unreadable: self.unreadable,
            batches: self.batches,
            ..self.totals
        }
    }
}

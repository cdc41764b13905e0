//! One source of the merge: from windows of whole batches to keys in a lane and spans in a slab.
//!
//! Decoding stops after so many records that keys and spans stay small, and at the end of a window, because spans lie in it.
//! Batches that are compressed unfold piece by piece into the slab; what that takes beyond the source's share is borrowed
//! from the slack for as long as it is held.
//!
//! Non-obvious: the last record of each stretch is kept, so that an input that runs backwards can be shown with both records.

mod block;

use super::share::Shares;
use super::slab::Slab;
use crate::base::budget::{ByteBudget, Reserved};
use crate::base::place::Place;
use crate::base::units::show_size;
use crate::batch::{Batch, BatchError, Codec, Piece, Record, RecordReader};
use crate::jobs::JobContext;
use crate::jobs::cursor::HeldRecord;
use crate::jobs::error::JobError;
use crate::jobs::merge::plan::Source;
use crate::jobs::windows::Windows;
use crate::keys::{KeyError, KeyPlan};
use crate::merge::{Backwards, Lane};
use crate::observe::phase::Phase;
use crate::observe::stages::{Stage, Watch};
use crate::ports::Source as _;
use block::Origin;
use std::ops::{ControlFlow, Range};

/// One source.
pub(super) struct Input {
    source: Source,
    windows: Windows,
    /// The window being read: whole batches.
    window: Vec<u8>,
    /// The batch being read, in the window.
    batch: Range<usize>,
    codec: Codec,
    reader: RecordReader,
    /// The next record must not lie below this offset.
    position: i64,
    slab: Slab,
    /// Where the first of the records at hand comes from, and where the next one to be read does.
    origin: Origin,
    reading: Origin,
    /// A stretch ends before each batch of so many bytes and more; 0 if it does not.
    stops_before_bytes: usize,
    /// The last record of the stretch before, once there was one.
    before: Option<HeldRecord>,
    /// A key's bytes beyond its first eight.
    tail: Vec<u8>,
    shares: Shares,
    slack: ByteBudget,
    borrowed: Option<Reserved>,
}

/// Why decoding stopped.
enum Pause {
    /// As many records as are wanted at once, or none that could stand beside them.
    Full,
    /// The batch is read.
    BatchDone,
    /// The window is read.
    WindowDone,
    /// The range is read.
    RangeDone,
}

/// What ends the reading of a batch before its end; of errors, the offset and what cannot be told later.
enum Cut {
    Full,
    RangeDone,
    Order(i64),
    Key(i64, KeyError),
    Backwards(i64, String),
}

impl Input {
    pub(super) fn new(source: Source, windows: Windows, shares: Shares, slack: &ByteBudget) -> Self {
        Self {
            position: source.range.start,
            source,
            windows,
            window: Vec::new(),
            batch: 0..0,
            codec: Codec::None,
            reader: RecordReader::new(shares.unfold_bytes),
            slab: Slab::default(),
            origin: Origin::default(),
            reading: Origin::default(),
            stops_before_bytes: 0,
            before: None,
            tail: Vec::new(),
            shares,
            slack: slack.clone(),
            borrowed: None,
        }
    }

    /// The next record.
    #[inline(always)]
    pub(super) fn peek(&self) -> Piece<'_> {
        self.slab.peek(&self.window)
    }

    /// The next record was taken.
    #[inline(always)]
    pub(super) fn pass(&mut self) {
        self.slab.pass();
    }

    /// Where the next record stands.
    pub(super) fn next_at(&self) -> Place {
        self.source.partition.at(self.slab.next_offset())
    }

    /// The offset to read on from, once what was taken so far stands.
    pub(super) fn reached(&self) -> i64 {
        match self.slab.all_taken() {
            true => self.position,
            false => self.slab.next_offset(),
        }
    }

    /// Keys, values and headers of the records at hand.
    pub(super) fn payload_bytes(&self) -> u64 {
        self.slab.payload_bytes()
    }

    /// How the records at hand came compressed.
    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    /// The next record, to be looked at.
    pub(super) fn next_record(&self) -> Option<Record<'_>> {
        self.slab.record(self.slab.taken(), &self.window)
    }

    /// Decodes the next stretch into `lane`; `false` at the end of the range. All records at hand must have been taken.
    pub(super) async fn refill(
        &mut self,
        lane: &mut Lane,
        keys: &KeyPlan,
        cx: &JobContext,
        watch: &Watch,
    ) -> Result<bool, JobError> {
        self.keep_last();
        self.slab.clear(self.shares.unfold_bytes);
        self.origin = self.reading.from(self.batch.start + self.reader.next_place().unwrap_or(0));
        loop {
            let pause = self.decode_within_budget(lane, keys)?;
            if !self.slab.is_empty() {
                return Ok(true);
            }
            match pause {
                Pause::RangeDone => return Ok(false),
                _ if !self.next_window(cx, watch).await? => {
                    // It may end in markers or holes.
                    self.position = self.source.range.end;
                    return Ok(false);
                }
                _ => {}
            }
        }
    }

    fn keep_last(&mut self) {
        if let Some(last) = self.slab.len().checked_sub(1)
            && let Some(record) = self.slab.record(last, &self.window)
        {
            self.before.get_or_insert_default().hold(&record);
        }
    }

    async fn next_window(&mut self, cx: &JobContext, watch: &Watch) -> Result<bool, JobError> {
        self.batch = 0..0;
        if self.position >= self.source.range.end {
            return Ok(false);
        }
        let partition = &self.source.partition;
        let next = async {
            cx.phases.reached(Phase::Fetch);
            cx.progress.waiting_for(Some(partition));
            watch.lap(Stage::Decode);
            let more = self.windows.next(&mut self.window).await;
            watch.lap(Stage::AwaitFetch);
            cx.progress.waiting_for(None);
            more
        };
        tokio::select! {
            biased;
            signal = cx.shutdown.wait() => Err(JobError::Interrupted(signal)),
            more = next => Ok(more?.is_some()),
        }
    }

    /// Decodes with all the slack there is, and keeps of it what was really used.
    fn decode_within_budget(&mut self, lane: &mut Lane, keys: &KeyPlan) -> Result<Pause, JobError> {
        self.borrowed = None;
        let mut slack = self.slack.take_free();
        self.reader.set_budget(self.shares.unfold_bytes + slack.bytes());
        let pause = self.decode(lane, keys);
        let used = self.reader.memory_bytes() + self.slab.unfolded_capacity();
        slack.shrink(used.saturating_sub(self.shares.unfold_bytes));
        self.borrowed = Some(slack);
        pause
    }

    fn decode(&mut self, lane: &mut Lane, keys: &KeyPlan) -> Result<Pause, JobError> {
        loop {
            let pause = match self.codec {
                Codec::None => self.decode_batch::<true>(lane, keys)?,
                _ => self.decode_batch::<false>(lane, keys)?,
            };
            match pause {
                Pause::BatchDone => {}
                pause => return Ok(pause),
            }
            match self.next_batch()? {
                Pause::BatchDone => {}
                pause => return Ok(pause),
            }
        }
    }

    /// Goes to the next batch of the window.
    fn next_batch(&mut self) -> Result<Pause, JobError> {
        let at = self.batch.end;
        if at >= self.window.len() {
            return Ok(Pause::WindowDone);
        }
        let started = Batch::read(&self.window[at..]).and_then(|batch| Ok((batch.header.codec()?, batch)));
        let (codec, batch) = started.map_err(|error| self.broken(error))?;
        // What is at hand lies either in the window or in what was unfolded.
        if (codec == Codec::None) != (self.codec == Codec::None) && !self.slab.is_empty() {
            return Ok(Pause::Full);
        }
        let bytes = batch.bytes().len();
        let origin = Origin::of(&batch.header, at, self.position);
        if !self.slab.is_empty() && self.stops_before_bytes > 0 && origin.is_plain() && bytes >= self.stops_before_bytes
        {
            return Ok(Pause::Full);
        }
        let started = self.reader.start(&batch);
        started.map_err(|error| self.broken(error))?;
        self.codec = codec;
        self.batch = at..at + bytes;
        self.reading = origin;
        match self.slab.len() {
            0 => self.origin = origin,
            records => self.origin.ends(records),
        }
        Ok(Pause::BatchDone)
    }

    /// Reads on in the batch at hand.
    fn decode_batch<const PLAIN: bool>(&mut self, lane: &mut Lane, keys: &KeyPlan) -> Result<Pause, JobError> {
        if self.batch.is_empty() {
            return Ok(Pause::BatchDone);
        }
        let (records_max, unfolded_max) = (self.shares.slab_records, self.shares.unfold_bytes);
        let full = |slab: &Slab| slab.len() >= records_max || (!PLAIN && slab.unfolded_len() >= unfolded_max);
        if full(&self.slab) {
            return Ok(Pause::Full);
        }
        let Range { start, end } = self.source.range;
        let batch_start = self.batch.start;
        let Self { reader, window, batch, slab, tail, .. } = self;
        let mut position = self.position;
        let cut = reader.each(&window[batch.clone()], |found| {
            let record = &found.record;
            if record.offset < start {
                return ControlFlow::Continue(());
            }
            if record.offset >= end {
                position = end;
                return ControlFlow::Break(Cut::RangeDone);
            }
            if record.offset < position {
                return ControlFlow::Break(Cut::Order(record.offset));
            }
            let word = match keys.extract_into(record, tail) {
                Ok(word) => word,
                Err(error) => return ControlFlow::Break(Cut::Key(record.offset, error)),
            };
            let pushed = if tail.is_empty() { lane.push_word(word) } else { lane.push(word, tail) };
            if let Err(Backwards) = pushed {
                return ControlFlow::Break(Cut::Backwards(record.offset, keys.show(record)));
            }
            position = record.offset + 1;
            slab.push(record, found.raw, found.end.map(|end| batch_start + end));
            if full(slab) { ControlFlow::Break(Cut::Full) } else { ControlFlow::Continue(()) }
        });
        self.position = position;
        let at = |offset| self.source.partition.at(offset);
        match cut.map_err(|error| self.broken(error))? {
            None => Ok(Pause::BatchDone),
            Some(Cut::Full) => Ok(Pause::Full),
            Some(Cut::RangeDone) => Ok(Pause::RangeDone),
            Some(Cut::Order(offset)) => Err(JobError::Order { at: at(offset), expected: position }),
            Some(Cut::Key(offset, error)) => Err(JobError::Key { at: at(offset), error }),
            Some(Cut::Backwards(offset, key)) => Err(self.backwards(at(offset), key, keys)),
        }
    }

    /// The error that names both records.
    #[cold]
    fn backwards(&self, at: Place, key: String, keys: &KeyPlan) -> JobError {
        let last = self.slab.len().checked_sub(1).and_then(|last| self.slab.record(last, &self.window));
        let (previous_offset, previous_key) = match (last, &self.before) {
            (Some(last), _) => (last.offset, keys.show(&last)),
            (None, Some(before)) => (before.offset(), keys.show(before)),
            (None, None) => (at.offset, "(unknown)".to_owned()),
        };
        JobError::Unsorted { at, key, previous_offset, previous_key }
    }

    #[cold]
    fn broken(&self, error: BatchError) -> JobError {
        let at = self.source.partition.at(self.position);
        match error {
            BatchError::OverBudget { what, needed, .. } => JobError::Refused(format!(
                "{at}: {what} of the compressed batch there takes {} in one piece, which does not fit beside what the other \
                 sources hold. {}",
                show_size(needed as u64),
                self.shares.way_out(self.window.capacity(), needed),
            )),
            error => JobError::Batch { at, error },
        }
    }
}

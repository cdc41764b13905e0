//! Decoding one source: from windows of whole batches to keys in a lane and spans in a slab, a stretch at a time.
//!
//! Decoding stops after so many records that keys and spans stay small, and at the end of a window, because spans lie in it.
//! Batches that are compressed unfold piece by piece into the slab; what that takes beyond the source's share is borrowed
//! from the slack for as long as it is held. Where a worker decodes ahead of the merge (`ahead.rs`), what is not compressed is
//! copied into the slab as well, so that a stretch is whole without its window.
//!
//! Non-obvious:
//! - What is wrong is told when the records before it were taken, so nothing that could be merged is withheld, and where
//!   a stretch happens to end makes no difference.
//! - The last record of each stretch is kept, so that an input that runs backwards can be shown with both records.
//! - The one that is waited for may borrow all the slack there is. Ahead of the merge no more is borrowed than is known to be
//!   needed, once a batch; where that is not there, the batch waits until it is asked for. Both times it begins again and
//!   passes what was read of it, since a reader does not go on behind an error.

use super::ahead::pieces;
use super::input::Origin;
use super::rows::Rows;
use super::share::Shares;
use super::slab::Slab;
use crate::base::budget::{ByteBudget, Reserved};
use crate::base::place::{Place, TopicPartition};
use crate::base::units::show_size;
use crate::batch::{Batch, BatchError, Codec, RecordReader};
use crate::jobs::cursor::HeldRecord;
use crate::jobs::error::JobError;
use crate::jobs::merge::plan::Source;
use crate::jobs::windows::Windows;
use crate::keys::{KeyError, KeyPlan};
use crate::merge::{Backwards, Lane};
use std::ops::{ControlFlow, Range};

/// What is borrowed ahead beyond what is known to be needed: what a codec gives goes somewhere.
const SPARE_BYTES: usize = 64 << 10;

/// A stretch of records, and the window they lie in unless they are in the slab.
#[derive(Default)]
pub(super) struct Hand {
    /// The window being read: whole batches.
    pub(super) window: Vec<u8>,
    pub(super) slab: Slab,
    /// How the records came compressed.
    pub(super) codec: Codec,
    /// Where the first of them comes from.
    pub(super) origin: Origin,
    /// The offset to read on from behind them.
    pub(super) position: i64,
    /// What they take beyond the share, where that is not the decoder's to hold.
    pub(super) borrowed: Option<Reserved>,
}

/// Whom a stretch is decoded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// The merge, which waits for it.
    Now,
    /// Nobody yet.
    Later,
}

/// What decoding came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// There are records.
    Records,
    /// The next window is needed.
    NeedsWindow,
    /// More memory than the share is needed: to be decoded once it is asked for.
    NeedsSlack,
    /// The range is read.
    End,
}

/// What decodes one source.
pub(super) struct Decoder {
    source: Source,
    pub(super) windows: Windows,
    /// The batch being read, in the window.
    batch: Range<usize>,
    codec: Codec,
    reader: RecordReader,
    /// Where the next record to be read comes from.
    reading: Origin,
    /// A stretch ends before each batch of so many bytes and more that may be copied as it lies; 0 if it does not.
    stops_before_bytes: usize,
    /// The next record must not lie below this offset.
    position: i64,
    /// Records below this offset are not for us: those before the range, or what was read of a batch that began again.
    passed: i64,
    /// The last record of the stretch before, once there was one.
    before: Option<HeldRecord>,
    /// What is wrong behind the records at hand.
    failed: Option<JobError>,
    /// A key's bytes beyond its first eight.
    tail: Vec<u8>,
    shares: Shares,
    slack: ByteBudget,
    borrowed: Option<Reserved>,
    /// Whether a stretch must be whole without its window.
    copies: bool,
    /// Whether more was borrowed for the batch being read, ahead of the merge.
    grown: bool,
    /// Whether what comes next must be asked for, because there is no memory for it now.
    pub(super) must_be_asked: bool,
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
    /// So much memory is needed, more than there is.
    OverShare(usize),
}

/// What ends the reading of a batch before its end; of errors, the offset and what cannot be told later.
enum Cut {
    Full,
    /// So many records were read one by one that rows are to be tried again.
    Rows,
    RangeDone,
    Order(i64),
    Key(i64, KeyError),
    Backwards(i64, String),
}

impl Decoder {
    pub(super) fn new(source: Source, windows: Windows, shares: Shares, slack: &ByteBudget) -> Self {
        Self {
            position: source.range.start,
            passed: source.range.start,
            source,
            windows,
            batch: 0..0,
            codec: Codec::None,
            reader: RecordReader::new(shares.unfold_bytes),
            reading: Origin::default(),
            stops_before_bytes: 0,
            before: None,
            failed: None,
            tail: Vec::new(),
            shares,
            slack: slack.clone(),
            borrowed: None,
            copies: false,
            grown: false,
            must_be_asked: false,
        }
    }

    pub(super) fn partition(&self) -> &TopicPartition {
        &self.source.partition
    }

    /// From now on stretches leave their window, and two of them are alive.
    pub(super) fn go_ahead(&mut self, shares: Shares) {
        (self.copies, self.shares) = (true, shares);
    }

    /// Whether the batch being read is compressed.
    pub(super) fn unfolds(&self) -> bool {
        self.codec != Codec::None
    }

    /// Begins the next stretch in `hand`, which holds the one before or nothing.
    pub(super) fn begin(&mut self, hand: &mut Hand) {
        self.keep_last(hand);
        hand.slab.clear(self.shares.unfold_bytes);
        hand.origin = self.reading.from(self.batch.start + self.reader.next_place().unwrap_or(0));
    }

    /// From now on a stretch ends before each batch of so many bytes and more that may be copied as it lies.
    pub(super) fn stop_before(&mut self, bytes: usize) {
        self.stops_before_bytes = bytes;
    }

    /// Empties what comes back, to be filled again.
    pub(super) fn clear(&self, slab: &mut Slab) {
        slab.clear(self.shares.unfold_bytes);
    }

    /// Keeps the last record, to be shown if the next one lies below it.
    pub(super) fn keep_last(&mut self, hand: &Hand) {
        if let Some(last) = hand.slab.len().checked_sub(1)
            && let Some(record) = hand.slab.record(last, &hand.window)
        {
            self.before.get_or_insert_default().hold(&record);
        }
    }

    /// Decodes until there are records in `hand`, or something is needed first.
    pub(super) fn decode(
        &mut self,
        hand: &mut Hand,
        lane: &mut Lane,
        keys: &KeyPlan,
        whom: For,
    ) -> Result<Decoded, JobError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let pause = self.decode_within_budget(hand, lane, keys, whom);
        (hand.position, hand.codec) = (self.position, self.codec);
        let pause = match pause {
            Ok(pause) => pause,
            Err(error) if hand.slab.is_empty() => return Err(error),
            Err(error) => {
                self.failed = Some(error);
                return Ok(Decoded::Records);
            }
        };
        match pause {
            _ if !hand.slab.is_empty() => Ok(Decoded::Records),
            Pause::RangeDone => Ok(Decoded::End),
            Pause::OverShare(_) => Ok(Decoded::NeedsSlack),
            _ => {
                self.batch = 0..0;
                match self.position < self.source.range.end {
                    true => Ok(Decoded::NeedsWindow),
                    false => Ok(Decoded::End),
                }
            }
        }
    }

    /// No window is left: the range may end in markers or holes.
    pub(super) fn end(&mut self, hand: &mut Hand) {
        self.position = self.source.range.end;
        hand.position = self.position;
    }

    /// Decodes with all the slack there is, if it is waited for, and keeps of it what was really used.
    fn decode_within_budget(
        &mut self,
        hand: &mut Hand,
        lane: &mut Lane,
        keys: &KeyPlan,
        whom: For,
    ) -> Result<Pause, JobError> {
        hand.borrowed = None;
        let unfold_bytes = self.shares.unfold_bytes;
        // What is held is kept: another source could take what is given back for a moment.
        let mut slack = self.borrowed.take().unwrap_or_else(|| self.slack.nothing());
        if whom == For::Now {
            slack.add(self.slack.take_free());
        }
        let pause = loop {
            let budget = unfold_bytes + slack.bytes();
            self.reader.set_budget(budget);
            let pause = self.batches(hand, lane, keys, whom);
            let Ok(Pause::OverShare(needed)) = pause else { break pause };
            let wanted = needed.saturating_sub(budget).saturating_add(SPARE_BYTES);
            match self.slack.try_take(wanted) {
                Some(more) if !self.grown => slack.add(more),
                _ => {
                    self.must_be_asked = true;
                    break pause;
                }
            }
            self.grown = true;
        };
        let (reads, holds) = (self.reader.memory_bytes(), hand.slab.unfolded_capacity());
        if self.copies {
            // A share each: the stretch leaves with its own.
            let holds = holds.saturating_sub(unfold_bytes);
            hand.borrowed = match whom {
                For::Now => Some(slack.split(holds)),
                For::Later => self.slack.try_take(holds),
            };
            slack.shrink(reads.saturating_sub(unfold_bytes));
        } else {
            slack.shrink((reads + holds).saturating_sub(unfold_bytes));
        }
        self.borrowed = Some(slack);
        pause
    }

    fn batches(&mut self, hand: &mut Hand, lane: &mut Lane, keys: &KeyPlan, whom: For) -> Result<Pause, JobError> {
        loop {
            let pause = match self.codec {
                Codec::None if !self.copies => self.decode_batch::<true>(hand, lane, keys, whom)?,
                _ => self.decode_batch::<false>(hand, lane, keys, whom)?,
            };
            match pause {
                Pause::BatchDone => {}
                pause => return Ok(pause),
            }
            match self.next_batch(hand)? {
                Pause::BatchDone => {}
                pause => return Ok(pause),
            }
        }
    }

    /// Goes to the next batch of the window.
    fn next_batch(&mut self, hand: &mut Hand) -> Result<Pause, JobError> {
        let at = self.batch.end;
        if at >= hand.window.len() {
            return Ok(Pause::WindowDone);
        }
        let started = Batch::read(&hand.window[at..]).and_then(|batch| Ok((batch.header.codec()?, batch)));
        let (codec, batch) = started.map_err(|error| self.broken(error, hand))?;
        // What is at hand lies either in the window or in what was unfolded, and came by one codec.
        if codec != self.codec && !hand.slab.is_empty() {
            return Ok(Pause::Full);
        }
        let bytes = batch.bytes().len();
        let origin = Origin::of(&batch.header, at, self.position);
        let stops = self.stops_before_bytes > 0 && bytes >= self.stops_before_bytes && !self.copies;
        if stops && origin.is_plain() && !hand.slab.is_empty() {
            return Ok(Pause::Full);
        }
        let started = self.reader.start(&batch);
        started.map_err(|error| self.broken(error, hand))?;
        self.codec = codec;
        self.batch = at..at + bytes;
        self.reading = origin;
        match hand.slab.len() {
            0 => hand.origin = origin,
            records => hand.origin.ends(records),
        }
        self.passed = self.source.range.start;
        (self.grown, self.must_be_asked) = (false, false);
        Ok(Pause::BatchDone)
    }

    /// Begins the batch at hand again, as if nothing of it had been read, and passes what was.
    fn batch_again(&mut self, hand: &Hand) -> Result<(), JobError> {
        let started = Batch::read(&hand.window[self.batch.clone()]).and_then(|batch| self.reader.start(&batch));
        self.passed = self.position;
        started.map_err(|error| self.broken(error, hand))
    }

    /// Reads on in the batch at hand.
    fn decode_batch<const PLAIN: bool>(
        &mut self,
        hand: &mut Hand,
        lane: &mut Lane,
        keys: &KeyPlan,
        whom: For,
    ) -> Result<Pause, JobError> {
        if self.batch.is_empty() {
            return Ok(Pause::BatchDone);
        }
        let (records_max, unfolded_max) = (self.shares.slab_records, self.shares.unfold_bytes);
        let full = |slab: &Slab| slab.len() >= records_max || (!PLAIN && slab.unfolded_len() >= unfolded_max);
        if full(&hand.slab) {
            return Ok(Pause::Full);
        }
        let (start, end) = (self.passed, self.source.range.end);
        let batch_start = self.batch.start;
        let Self { reader, batch, tail, .. } = self;
        let Hand { window, slab, .. } = hand;
        let mut position = self.position;
        let mut rows = Rows::of(if PLAIN { keys.whole_number() } else { None });
        let cut = loop {
            let reached = reader.reached();
            if PLAIN && reached >= position.max(start) && reached < end {
                let most = (records_max - slab.len()).min((end - reached) as usize);
                if rows.take(reader, (&window[..batch.end], batch_start), most, slab, lane) > 0 {
                    position = reader.reached();
                }
                if full(slab) {
                    break Ok(Some(Cut::Full));
                }
            }
            let mut alone = rows.alone();
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
                let end_in_window = if PLAIN { found.end.map(|end| batch_start + end) } else { None };
                slab.push(record, found.raw, end_in_window);
                alone -= 1;
                if full(slab) {
                    ControlFlow::Break(Cut::Full)
                } else if PLAIN && alone == 0 {
                    ControlFlow::Break(Cut::Rows)
                } else {
                    ControlFlow::Continue(())
                }
            });
            if !matches!(cut, Ok(Some(Cut::Rows))) {
                break cut;
            }
        };
        self.position = position;
        let at = |offset| self.source.partition.at(offset);
        if let (Err(BatchError::OverBudget { needed, .. }), For::Later) = (&cut, whom) {
            self.batch_again(hand)?;
            return Ok(Pause::OverShare(*needed));
        }
        match cut.map_err(|error| self.broken(error, hand))? {
            None => Ok(Pause::BatchDone),
            Some(Cut::Full | Cut::Rows) => Ok(Pause::Full),
            Some(Cut::RangeDone) => Ok(Pause::RangeDone),
            Some(Cut::Order(offset)) => Err(JobError::Order { at: at(offset), expected: position }),
            Some(Cut::Key(offset, error)) => Err(JobError::Key { at: at(offset), error }),
            Some(Cut::Backwards(offset, key)) => Err(self.backwards(at(offset), key, keys, hand)),
        }
    }

    /// The error that names both records.
    #[cold]
    fn backwards(&self, at: Place, key: String, keys: &KeyPlan, hand: &Hand) -> JobError {
        let last = hand.slab.len().checked_sub(1).and_then(|last| hand.slab.record(last, &hand.window));
        let (previous_offset, previous_key) = match (last, &self.before) {
            (Some(last), _) => (last.offset, keys.show(&last)),
            (None, Some(before)) => (before.offset(), keys.show(before)),
            (None, None) => (at.offset, "(unknown)".to_owned()),
        };
        JobError::Unsorted { at, key, previous_offset, previous_key }
    }

    #[cold]
    fn broken(&self, error: BatchError, hand: &Hand) -> JobError {
        let at = self.source.partition.at(self.position);
        match error {
            BatchError::OverBudget { what, needed, .. } => JobError::Refused(format!(
                "{at}: {what} of the compressed batch there takes {} in one piece, which does not fit beside what the other \
                 sources hold. {}{}",
                show_size(needed as u64),
                self.shares.way_out(hand.window.capacity(), if self.copies { pieces(needed) } else { needed }),
                if self.copies { " With --threads 1 less is held at once." } else { "" },
            )),
            error => JobError::Batch { at, error },
        }
    }
}

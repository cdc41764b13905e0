//! Records of batches, one at a time.
//!
//! Uncompressed records are read where they lie in the batch. Compressed ones pass through a window that the reader owns,
//! which holds no more of the contents than the record at hand needs (and what a codec gives in one piece), so a batch
//! that unfolds to a thousand times its size is read in little memory. `next` lends: a record is gone at the next call.

use super::codec::{Unfold, Window};
use super::passing::{Passed, Unseen, pass};
use super::record::{Body, Flaw, Split, read_body, read_front, read_usual, split};
use super::rows::{Next, Times, in_a_row};
use super::{Batch, BatchError, Codec, HEADER_BYTES, RawRecord, Record, TakeRows, TimestampType};
use std::ops::{ControlFlow, Range};

/// Reads the records of batches one after the other; keeps its buffers from batch to batch.
///
/// ```
/// # use kmerge::batch::{Batch, BatchWriter, BatchError, Codec, Headers, RecordReader};
/// # fn main() -> Result<(), BatchError> {
/// # let mut writer = BatchWriter::new(Codec::None);
/// # writer.push(0, None, Some(b"7"), Headers::EMPTY)?;
/// # let bytes = writer.finish()?;
/// let batch = Batch::read(bytes)?;
/// batch.verify_checksum()?;
/// let mut reader = RecordReader::new(1 << 20);
/// reader.start(&batch)?;
/// while let Some(record) = reader.next(&batch)? {
///     assert_eq!(record.value, Some(&b"7"[..]));
/// }
/// # Ok(()) }
/// ```
pub struct RecordReader {
    state: State,
    unfold: Unfold,
    window: Window,
}

/// What is known of the batch that was started last.
struct State {
    codec: Codec,
    base: Base,
    /// Offsets only go up: the delta of the record before.
    previous_delta: i32,
    record_count: i32,
    /// Which record is next.
    index: i32,
    /// Where it lies: in the batch, or in the window.
    at: usize,
    /// At the end, or failed: nothing more comes.
    done: bool,
}

/// What the header says of every record.
#[derive(Clone, Copy)]
struct Base {
    offset: i64,
    timestamp: i64,
    /// The timestamp of every record, where the broker set it.
    append_time: Option<i64>,
    last_offset_delta: i32,
}

impl Base {
    /// Offsets only go up, as far as the header says.
    #[inline(always)]
    fn is_next(&self, previous_delta: i32, delta: i32) -> bool {
        delta > previous_delta && delta <= self.last_offset_delta
    }

    /// Wraps as Java's does, so that timestamps further apart than half the range come back as written.
    #[inline(always)]
    fn timestamp(&self, delta: i64) -> i64 {
        self.append_time.unwrap_or_else(|| self.timestamp.wrapping_add(delta))
    }

    /// An offset as a delta, or the nearest there is.
    fn delta(&self, offset: i64) -> i32 {
        offset.saturating_sub(self.offset).clamp(i32::MIN.into(), i32::MAX.into()) as i32
    }

    #[inline(always)]
    fn record<'a>(&self, body: Body<'a>, end: Option<usize>) -> RawRecord<'a> {
        let record = Record {
            // Checked with the header: base plus last delta is a valid offset.
            offset: self.offset + i64::from(body.offset_delta),
            timestamp: self.timestamp(body.timestamp_delta),
            key: body.key,
            value: body.value,
            headers: body.headers,
        };
        RawRecord { record, raw: body.raw, end }
    }
}

impl State {
    const IDLE: State = State {
        codec: Codec::None,
        base: Base { offset: 0, timestamp: 0, append_time: None, last_offset_delta: 0 },
        previous_delta: -1,
        record_count: 0,
        index: 0,
        at: HEADER_BYTES,
        done: true,
    };

    /// Puts a record together and counts it.
    #[inline(always)]
    fn place<'a>(&mut self, body: Body<'a>, end: Option<usize>) -> Result<RawRecord<'a>, BatchError> {
        let delta = body.offset_delta;
        if !self.base.is_next(self.previous_delta, delta) {
            let (stated, limit) = (delta.into(), self.base.last_offset_delta.into());
            return Err(self.flawed(Flaw { what: "its offset delta", stated, limit }));
        }
        self.previous_delta = delta;
        self.index += 1;
        Ok(self.base.record(body, end))
    }

    #[cold]
    fn flawed(&mut self, flaw: Flaw) -> BatchError {
        self.done = true;
        BatchError::Record { index: self.index, what: flaw.what, stated: flaw.stated, limit: flaw.limit }
    }

    #[cold]
    fn missing(&mut self) -> BatchError {
        self.done = true;
        BatchError::Missing { stated: self.record_count, index: self.index }
    }
}

impl RecordReader {
    /// `budget` is the most bytes the decompressed window and what a codec must hold in one piece may take.
    pub fn new(budget: usize) -> Self {
        Self { state: State::IDLE, unfold: Unfold::default(), window: Window::new(budget) }
    }

    /// Changes the budget; what is in use already stays.
    pub fn set_budget(&mut self, budget: usize) {
        self.window.set_budget(budget);
    }

    /// What the window and the codec take in memory now.
    pub fn memory_bytes(&self) -> usize {
        self.window.memory_bytes()
    }

    /// Starts on `batch`, leaving behind whatever was left of the one before.
    pub fn start(&mut self, batch: &Batch<'_>) -> Result<(), BatchError> {
        self.state = State::IDLE;
        let header = &batch.header;
        let codec = header.codec()?;
        let append_time = (header.timestamp_type() == TimestampType::LogAppend).then_some(header.max_timestamp);
        self.state = State {
            codec,
            base: Base {
                offset: header.base_offset,
                timestamp: header.base_timestamp,
                append_time,
                last_offset_delta: header.last_offset_delta,
            },
            record_count: header.record_count,
            done: false,
            ..State::IDLE
        };
        if codec != Codec::None {
            self.unfold.start(codec, &mut self.window);
        }
        Ok(())
    }

    /// The next record of `batch`, which must be the one started last, or `None` at its end. The end is checked:
    /// trailing bytes and a wrong count are errors. After an error it gives `None`.
    #[inline]
    pub fn next<'a>(&'a mut self, batch: &Batch<'a>) -> Result<Option<Record<'a>>, BatchError> {
        self.next_in(batch.bytes())
    }

    /// The same for those who keep the batch's bytes beside the reader and cannot keep a [`Batch`] that borrows them.
    #[inline]
    pub fn next_in<'a>(&'a mut self, batch: &'a [u8]) -> Result<Option<Record<'a>>, BatchError> {
        Ok(self.next_raw(batch)?.map(|found| found.record))
    }

    /// The same with the bytes that a copy of the record needs.
    #[inline]
    pub fn next_raw<'a>(&'a mut self, batch: &'a [u8]) -> Result<Option<RawRecord<'a>>, BatchError> {
        let Self { state, unfold, window } = self;
        match state.codec {
            Codec::None => Self::next_plain(state, batch),
            _ => Self::next_unfolded(state, unfold, window, batch),
        }
    }

    /// Gives `take` one record after the other until it breaks, or to the batch's end (`None`), where the same is checked as
    /// by [`Self::next`]. The record with which it breaks is read. This is the quick way through many records: usual ones of
    /// batches that are not compressed are read several fields at a time, with all that is known of the batch in registers.
    #[inline(always)]
    pub fn each<B>(
        &mut self,
        batch: &[u8],
        mut take: impl FnMut(&RawRecord<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, BatchError> {
        let Self { state, unfold, window } = self;
        let State { base, record_count, .. } = *state;
        let plain = state.codec == Codec::None && !state.done;
        let (mut at, mut index, mut previous_delta) = (state.at, state.index, state.previous_delta);
        loop {
            let usual = match plain && index < record_count {
                true => batch.get(at..).and_then(read_usual),
                false => None,
            };
            // `take` is called in one place only, so that it becomes a part of this loop, and a record is never put together
            // in memory for it.
            let found = match usual.filter(|(body, _)| base.is_next(previous_delta, body.offset_delta)) {
                Some((body, bytes)) => {
                    (at, index, previous_delta) = (at + bytes, index + 1, body.offset_delta);
                    base.record(body, Some(at))
                }
                None => {
                    (state.at, state.index, state.previous_delta) = (at, index, previous_delta);
                    let Some(found) = Self::next_unusual(state, unfold, window, batch)? else { return Ok(None) };
                    (at, index, previous_delta) = (state.at, state.index, state.previous_delta);
                    found
                }
            };
            if let ControlFlow::Break(with) = take(&found) {
                (state.at, state.index, state.previous_delta) = (at, index, previous_delta);
                return Ok(Some(with));
            }
        }
    }

    /// Passes records, from the next one on, that `known` says yes to, and gives how many: a quick way through a batch whose
    /// records are expected, for what was compared need not be read. `known` is lent a record's timestamp, and bytes that end
    /// where it does and begin where [`RawRecord::raw`] would; it may say yes only if these are those of a record that was read
    /// elsewhere, since nothing here looks into them. At the first no, and at whatever is not usual (compressed, an offset
    /// outside of `offsets` or that does not go up, the end of the batch), the record stays the next one, to be read.
    pub fn pass_known(
        &mut self,
        batch: &[u8],
        offsets: Range<i64>,
        mut known: impl FnMut(i64, &[u8]) -> bool,
    ) -> usize {
        let state = &mut self.state;
        if state.codec != Codec::None || state.done {
            return 0;
        }
        let base = state.base;
        let last = i64::from(base.last_offset_delta.min(base.delta(offsets.end.saturating_sub(1))));
        let mut previous = i64::from(state.previous_delta.max(base.delta(offsets.start.saturating_sub(1))));
        let (mut at, mut passed, most) = (state.at, 0, (state.record_count - state.index).max(0) as usize);
        while passed < most {
            let Some(rest) = batch.get(at..) else { break };
            let Some(front) = read_front(rest) else { break };
            if front.offset_delta <= previous || front.offset_delta > last {
                break;
            }
            if !known(base.timestamp(front.timestamp_delta), front.raw) {
                break;
            }
            (at, passed, previous) = (at + front.end, passed + 1, front.offset_delta);
        }
        if passed > 0 {
            (state.at, state.index) = (at, state.index + passed as i32);
            state.previous_delta = previous as i32;
        }
        passed
    }

    /// Gives `rows` as many records as are in a row, at most `most`, until it says no: that one stays the next record, as do those
    /// that are not usual ones or leave a gap of offsets. The batch lies at `at` in `bytes`, which end with it. Several times as
    /// quick as [`Self::each`], for those who want nothing of a record but what a [`Row`](super::Row) has. `rows` comes back with
    /// what it took.
    #[inline(always)]
    pub fn in_a_row<R: TakeRows>(&mut self, bytes: &[u8], at: usize, most: usize, rows: R) -> R {
        let most = most.min(self.most_in_a_row()) as i32;
        let state = &mut self.state;
        if state.codec != Codec::None || state.done || most == 0 {
            return rows;
        }
        let times = match state.base.append_time {
            Some(base) => Times { base, mask: 0 },
            None => Times { base: state.base.timestamp, mask: -1 },
        };
        let delta = state.previous_delta.saturating_add(1);
        let end = delta.saturating_add(most);
        let (next, rows) = in_a_row(bytes, Next { at: at + state.at, delta }, end, times, rows);
        let taken = next.delta - delta;
        (state.at, state.index, state.previous_delta) = (next.at - at, state.index + taken, next.delta - 1);
        rows
    }

    /// How many records may be in a row from the next one on: as many as are left, and as there are offsets for.
    pub fn most_in_a_row(&self) -> usize {
        let State { base, previous_delta, record_count, index, .. } = &self.state;
        let offsets = base.last_offset_delta.saturating_sub(*previous_delta);
        (record_count - index).min(offsets).max(0) as usize
    }

    /// Where in the batch the next record begins, if it lies there as it is.
    pub fn next_place(&self) -> Option<usize> {
        (self.state.codec == Codec::None).then_some(self.state.at)
    }

    /// The offset after the last record that was read or passed; before the first one, where the batch begins.
    pub fn reached(&self) -> i64 {
        self.state.base.offset.saturating_add(i64::from(self.state.previous_delta) + 1)
    }

    /// Passes over the records from here on of which there is nothing to say, up to the first one that is not as `unseen` wants
    /// it, or that [`Self::next`] must look at: that one says what there is to say. Where only that is asked of a batch, this is
    /// several times as quick as looking at each record.
    pub fn pass(&mut self, batch: &[u8], unseen: &Unseen) -> Passed {
        let state = &mut self.state;
        let base = &state.base;
        if state.codec != Codec::None || state.done || base.append_time.is_some() {
            return Passed::NOTHING;
        }
        // As many as there are, and as there are offsets left for.
        let offsets = base.last_offset_delta.saturating_sub(state.previous_delta);
        let records = (state.record_count - state.index).min(offsets);
        let rest = batch.get(state.at..).unwrap_or_default();
        let (passed, bytes) = pass(rest, state.previous_delta.saturating_add(1), records, base.timestamp, unseen);
        state.at += bytes;
        state.index += passed.records;
        state.previous_delta += passed.records;
        passed
    }

    /// The next record, whatever it is.
    #[inline(never)]
    fn next_unusual<'a>(
        state: &mut State,
        unfold: &mut Unfold,
        window: &'a mut Window,
        batch: &'a [u8],
    ) -> Result<Option<RawRecord<'a>>, BatchError> {
        match state.codec {
            Codec::None => Self::next_plain(state, batch),
            _ => Self::next_unfolded(state, unfold, window, batch),
        }
    }

    fn next_unfolded<'a>(
        state: &mut State,
        unfold: &mut Unfold,
        window: &'a mut Window,
        batch: &[u8],
    ) -> Result<Option<RawRecord<'a>>, BatchError> {
        let input = batch.get(HEADER_BYTES..).unwrap_or_default();
        if state.done {
            return Ok(None);
        }
        if state.index == state.record_count {
            return Self::end_unfolded(state, unfold, input, window);
        }
        let (body, end) = loop {
            let needed = match split(window.unread()) {
                Ok(Split::Whole { body, end }) => break (body, end),
                Ok(Split::Needs(needed)) => needed,
                Err(flaw) => return Err(state.flawed(flaw)),
            };
            let filled = window.check(needed, "a record").and_then(|()| unfold.fill(state.codec, input, window));
            match filled {
                Ok(true) => {}
                Ok(false) => return Err(state.missing()),
                Err(error) => {
                    state.done = true;
                    return Err(error);
                }
            }
        };
        match read_body(&window.take(end)[body..]) {
            Ok(body) => state.place(body, None).map(Some),
            Err(flaw) => Err(state.flawed(flaw)),
        }
    }

    /// After the last record: nothing may be left, unread or still compressed.
    #[cold]
    fn end_unfolded<'a>(
        state: &mut State,
        unfold: &mut Unfold,
        input: &[u8],
        window: &mut Window,
    ) -> Result<Option<RawRecord<'a>>, BatchError> {
        state.done = true;
        // An emptied batch may keep its codec's number without a frame of that codec.
        if state.record_count > 0 || !input.is_empty() {
            let more = !window.unread().is_empty() || unfold.fill(state.codec, input, window)?;
            if more {
                return Err(BatchError::Trailing { records: state.record_count, bytes: window.unread().len() });
            }
        }
        Ok(None)
    }

    #[inline(always)]
    fn next_plain<'a>(state: &mut State, batch: &'a [u8]) -> Result<Option<RawRecord<'a>>, BatchError> {
        let rest = batch.get(state.at..).unwrap_or_default();
        if state.index == state.record_count {
            return Self::end(state, rest.len());
        }
        if state.done {
            return Ok(None);
        }
        let (body, end) = match split(rest) {
            Ok(Split::Whole { body, end }) => (body, end),
            Ok(Split::Needs(_)) => return Err(state.missing()),
            Err(flaw) => return Err(state.flawed(flaw)),
        };
        state.at += end;
        match read_body(&rest[body..end]) {
            Ok(body) => {
                let end = state.at;
                state.place(body, Some(end)).map(Some)
            }
            Err(flaw) => Err(state.flawed(flaw)),
        }
    }

    /// After the last record: says so once if bytes are left.
    #[cold]
    fn end<'a>(state: &mut State, bytes: usize) -> Result<Option<RawRecord<'a>>, BatchError> {
        let first_time = !std::mem::replace(&mut state.done, true);
        if first_time && bytes > 0 {
            return Err(BatchError::Trailing { records: state.record_count, bytes });
        }
        Ok(None)
    }
}

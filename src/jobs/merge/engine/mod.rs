//! The engine: what moves every record from its source to the output, in order, a stretch at a time.
//!
//! ```text
//!  fetch ahead ──▶ window ──▶ decode in place ──▶ keys: lane ──▶ tree ──▶ order ──▶ copy ──▶ batch ──▶ sink
//!  (a task each)              (decoder.rs,        spans: slab    (merge/)           (outlet.rs)       (in flight)
//!                              rows.rs)
//!                             by workers, where that is most of the work (ahead.rs)
//! ```
//!
//! A record costs tens of nanoseconds here and no allocation: what is allocated grows with windows, batches and stretches.
//! Everything between a window and a batch is one synchronous piece of code, which stops where a source has to be refilled or a
//! batch is full; only there is anything awaited. So fetching, merging and sending overlap without the merge knowing of it.

mod ahead;
mod decoder;
mod input;
mod rows;
mod share;
mod slab;
mod timed;

#[cfg(test)]
mod tests;

pub(crate) use share::{BATCHES_ALIVE, BATCHES_IN_FLIGHT, Shares, batch_bytes_within, least_bytes};

use super::preflight::Floor;
use super::{Delivery, MergeSettings, OutputCodec, Plan, Retention};
use crate::base::budget::ByteBudget;
use crate::base::units::show_count;
use crate::batch::{BatchError, Moving, Piece, Pieces};
use crate::client::{Cluster, ReadOptions};
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::jobs::outlet::{Closed, Cut, Outlet, Room};
use crate::jobs::windows::{Slack, Windows};
use crate::merge::{Lane, LaneMerge, Stop};
use crate::observe::stages::{Stage, Watch};
use crate::ports::{Sink, Source};
use ahead::Workers;
use input::Input;
use slab::Lying;
use timed::{TimedSink, TimedSource};

/// Batches that wait while the ones before them are committed: what is merged in that time, if memory is given for it.
const BATCHES_WAITING_MAX: usize = 8;

/// Records whose order is found before they are copied: enough to amortise the change, few enough to stay in the cache.
const ORDER_RECORDS: usize = 8192;

/// What the engine merges, and how.
pub(super) struct Engine<'a> {
    settings: &'a MergeSettings,
    inputs: Vec<Input>,
    /// Who may decode ahead of the merge.
    workers: Workers,
    /// Where each input of the plan stands that holds nothing to merge.
    reached: Vec<i64>,
    /// Which place in the plan each of `inputs` has.
    places: Vec<usize>,
    batches_waiting: usize,
    /// How many records each of `inputs` has left; a buffer.
    left: Vec<usize>,
    /// Records that were copied as a block.
    in_blocks: u64,
    retention: Retention,
    cut: Cut,
    cx: &'a JobContext,
}

impl<'a> Engine<'a> {
    /// Divides the memory and begins to fetch from `cluster`.
    pub(super) fn on(plan: &Plan, settings: &'a MergeSettings, cluster: &Cluster, cx: &'a JobContext) -> Self {
        Self::start(plan, settings, cx, |source, shares| {
            let options = ReadOptions { fetch_bytes_max: shares.window_bytes, ..ReadOptions::default() };
            cluster.reader(source.partition.clone(), source.range.clone(), options)
        })
    }

    /// Divides the memory and begins to fetch; `open` gives the source of each partition that holds anything.
    pub(super) fn start<S>(
        plan: &Plan,
        settings: &'a MergeSettings,
        cx: &'a JobContext,
        open: impl Fn(&super::Source, &Shares) -> S,
    ) -> Self
    where
        S: Source + 'static,
        JobError: From<S::Error>,
    {
        let places = (0..plan.sources.len()).filter(|place| plan.sources[*place].offsets() > 0);
        let places: Vec<_> = places.collect();
        let sources: Vec<_> = places.iter().map(|place| &plan.sources[*place]).collect();
        let batch_bytes = settings.batch_bytes.min(plan.output_bytes_max);
        let waiting = if settings.delivery == Delivery::ExactlyOnce { BATCHES_WAITING_MAX } else { 0 };
        let shares = Shares::of(plan.memory_bytes, sources.len(), batch_bytes, waiting);
        let slack = ByteBudget::new(shares.slack_bytes);
        let workers = Workers::of(settings.threads, ahead::processors(), sources.len(), &shares, &settings.keys, cx);
        let copies = workers.copy();
        let inputs = sources.into_iter().map(|source| {
            let larger = Slack::new(&slack, move |window, piece| {
                shares.way_out(window, if copies { ahead::pieces(window.max(piece)) } else { piece })
            });
            let from = TimedSource { source: open(source, &shares), watch: cx.progress.stages().watch() };
            let windows = Windows::start(from, shares.window_bytes, Some(larger));
            Input::new(source.clone(), windows, shares, &slack)
        });
        let inputs = inputs.collect();
        let retention = plan.retention.clone();
        let reached = plan.sources.iter().map(|source| source.range.end).collect();
        let codec = settings.compression.codec().unwrap_or_default();
        let cut = Cut { batch_bytes: shares.batch_bytes, bytes_max: plan.output_bytes_max, codec };
        Self {
            settings,
            inputs,
            workers,
            reached,
            places,
            batches_waiting: shares.batches_waiting,
            left: Vec::new(),
            in_blocks: 0,
            retention,
            cut,
            cx,
        }
    }

    /// Merges everything into `sink`. Tells what was appended, however it ended.
    pub(super) async fn merge<S>(mut self, floor: Option<Floor>, sink: S) -> Closed
    where
        S: Sink,
        JobError: From<S::Error>,
    {
        let closed = self.move_all(floor, sink).await;
        tracing::debug!("{} records were copied in blocks, as they lay in their batches", show_count(self.in_blocks));
        closed
    }

    async fn move_all<S>(&mut self, floor: Option<Floor>, sink: S) -> Closed
    where
        S: Sink,
        JobError: From<S::Error>,
    {
        let watch = self.cx.progress.stages().watch();
        let sink = TimedSink { sink, watch: watch.clone() };
        let mut outlet = Outlet::new(sink, self.cut, self.cx.progress.clone()).guarded_by(&self.retention);
        let pumped = self.pump(floor, &mut outlet, &watch).await;
        let ended = outlet.end(pumped, || self.reached()).await;
        self.workers.stop().await;
        ended
    }

    /// How many batches may wait for a sink that is busy committing.
    pub(super) fn batches_waiting(&self) -> usize {
        self.batches_waiting
    }

    /// The offset to read on from in each input of the plan, once everything that was copied so far stands.
    fn reached(&self) -> Vec<i64> {
        reached(&self.reached, &self.places, self.inputs.iter())
    }

    async fn pump<S>(&mut self, mut floor: Option<Floor>, outlet: &mut Outlet<S>, watch: &Watch) -> Result<(), JobError>
    where
        S: Sink,
        JobError: From<S::Error>,
    {
        let keys = &self.settings.keys;
        let mut merge = LaneMerge::new(self.inputs.len());
        let mut order = Vec::with_capacity(ORDER_RECORDS);
        loop {
            order.clear();
            self.cx.give_way();
            let stop = merge.run(&mut order, ORDER_RECORDS);
            if let Some(first) = order.first()
                && let Some(floor) = floor.take()
                && let input = &self.inputs[usize::from(*first)]
                && let Some(record) = input.next_record()
            {
                floor.check(keys, &record, || input.next_at())?;
            }
            watch.lap(Stage::Order);
            // A source's stretch that comes last, and as a whole, may be one to be copied as a block.
            let alone = match stop {
                Stop::Needs(source) => self.inputs[source].stretch_at_end(&order, source),
                _ => 0,
            };
            let (mixed, last) = order.split_at(order.len() - alone);
            self.copy(mixed, outlet).await?;
            self.copy(last, outlet).await?;
            watch.lap(Stage::Encode);
            match stop {
                Stop::Full => {}
                Stop::Needs(source) => {
                    self.inputs[source].stop_before_batches(alone > 0);
                    let lane = merge.refill(source);
                    self.inputs[source].go_ahead(source, lane, &mut self.workers);
                    let more = self.refill(source, lane, outlet, watch).await?;
                    watch.lap(Stage::Decode);
                    if more {
                        outlet.will_count(self.inputs[source].payload_bytes());
                    } else {
                        merge.finish(source);
                    }
                }
                Stop::Done => return Ok(()),
            }
        }
    }

    /// Gets more of one source; commits meanwhile, if it takes long.
    async fn refill<S>(
        &mut self,
        source: usize,
        lane: &mut Lane,
        outlet: &mut Outlet<S>,
        watch: &Watch,
    ) -> Result<bool, JobError>
    where
        S: Sink,
        JobError: From<S::Error>,
    {
        let (keys, cx) = (&self.settings.keys, self.cx);
        if !outlet.commits() {
            return self.inputs[source].refill(lane, keys, cx, watch).await;
        }
        let (before, rest) = self.inputs.split_at_mut(source);
        let Some((input, behind)) = rest.split_first_mut() else { return Ok(false) };
        let (mine, awaits) = (input.reached(), input.awaits());
        let mut refill = std::pin::pin!(input.refill(lane, keys, cx, watch));
        loop {
            tokio::select! {
                biased;
                refilled = &mut refill => return refilled,
                () = outlet.due() => {
                    watch.lap(awaits);
                    let mut positions = reached(&self.reached, &self.places, before.iter());
                    positions[self.places[source]] = mine;
                    for (place, input) in self.places[source + 1..].iter().zip(behind.iter()) {
                        positions[*place] = input.reached();
                    }
                    outlet.commit(positions, false).await?;
                }
            }
        }
    }

    /// Copies the next records, in this order, sending each batch that is full.
    async fn copy<S>(&mut self, mut order: &[u16], outlet: &mut Outlet<S>) -> Result<(), JobError>
    where
        S: Sink,
        JobError: From<S::Error>,
    {
        loop {
            let copied = self.fill(order, outlet)?;
            order = &order[copied..];
            if order.is_empty() {
                return Ok(());
            }
            // Before the batch is sent: what is committed at the end is committed with its last batch.
            if let Some(signal) = self.cx.shutdown.requested() {
                return Err(JobError::Interrupted(signal));
            }
            outlet.send_or_commit(|| self.reached()).await?;
            self.cx.give_way();
        }
    }

    /// Copies records until the batch is full; gives how many that were. Nothing in here waits.
    fn fill<S>(&mut self, order: &[u16], outlet: &mut Outlet<S>) -> Result<usize, JobError>
    where
        S: Sink,
        JobError: From<S::Error>,
    {
        let copied = match self.fill_block(order, outlet) {
            Blockwise::Copied(records) => records,
            Blockwise::NextBatch => return Ok(0),
        };
        // What the loop needs of each input, close together.
        let mut next = Next { order: &order[copied..], lying: self.inputs.iter().map(Input::lying).collect() };
        let ended = loop {
            outlet.push_moved(&mut next);
            // What was left over is looked at here: the first of a batch, one that has no room, an unusual one.
            let Some((source, Piece { timestamp, from, bytes })) = next.peek() else { break Ok(()) };
            let raw = &from[..bytes as usize];
            if self.settings.compression == OutputCodec::Keep && outlet.is_empty() {
                outlet.set_codec(self.inputs[source].codec());
            }
            match outlet.room(raw.len()) {
                Room::Yes => {}
                Room::NextBatch => break Ok(()),
                Room::Never(bytes) => break Err((source, Refused::TooLarge(bytes))),
            }
            if let Err(error) = outlet.push_raw(timestamp, raw) {
                break Err((source, Refused::Batch(error)));
            }
            next.pass();
        };
        let copied = order.len() - next.order.len();
        self.left.clear();
        self.left.extend(next.lying.iter().map(Lying::left));
        for (input, left) in self.inputs.iter_mut().zip(&self.left) {
            input.pass_up_to(*left);
        }
        match ended {
            Ok(()) => Ok(copied),
            Err((source, refused)) => {
                let at = self.inputs[source].next_at();
                Err(match refused {
                    Refused::TooLarge(bytes) => JobError::RecordTooLarge { at, bytes, bytes_max: outlet.bytes_max() },
                    Refused::Batch(error) => JobError::Batch { at, error },
                })
            }
        }
    }

    /// Copies the next records as a block, where that is possible; see `input/block.rs`.
    fn fill_block<S>(&mut self, order: &[u16], outlet: &mut Outlet<S>) -> Blockwise
    where
        S: Sink,
        JobError: From<S::Error>,
    {
        let Some(source) = order.first().map(|source| usize::from(*source)) else { return Blockwise::Copied(0) };
        let input = &mut self.inputs[source];
        let Some(distance) = input.distance() else { return Blockwise::Copied(0) };
        if !outlet.is_same_distance(distance) {
            return match !outlet.is_empty() && input.begins_large_batch(order, source) {
                true => Blockwise::NextBatch,
                false => Blockwise::Copied(0),
            };
        }
        let Some(block) = input.block(order, source, outlet.room_bytes()) else { return Blockwise::Copied(0) };
        if self.settings.compression == OutputCodec::Keep && outlet.is_empty() {
            outlet.set_codec(input.codec());
        }
        let records = block.records;
        if !outlet.push_block(&block) {
            return Blockwise::Copied(0);
        }
        input.pass_all(records);
        self.in_blocks += records as u64;
        Blockwise::Copied(records)
    }
}

/// What became of records that might be copied as a block.
enum Blockwise {
    /// So many were.
    Copied(usize),
    /// They will be in a batch of their own.
    NextBatch,
}

/// Why a record cannot be copied.
enum Refused {
    /// It needs so many bytes.
    TooLarge(usize),
    Batch(BatchError),
}

/// The records at hand, in the order in which they are written.
struct Next<'a> {
    order: &'a [u16],
    lying: Vec<Lying<'a>>,
}

impl<'a> Next<'a> {
    /// The next one, and whose it is.
    fn peek(&self) -> Option<(usize, Piece<'a>)> {
        let source = usize::from(*self.order.first()?);
        Some((source, self.lying.get(source)?.peek()?))
    }

    /// The next one was taken.
    fn pass(&mut self) {
        if let Some((source, order)) = self.order.split_first() {
            self.lying[usize::from(*source)].pass();
            self.order = order;
        }
    }
}

impl Pieces for Next<'_> {
    #[inline(always)]
    fn next(&mut self, moving: &mut Moving<'_>) -> bool {
        let Some((source, order)) = self.order.split_first() else { return false };
        let Some(lying) = self.lying.get_mut(usize::from(*source)) else { return false };
        let goes_on = lying.peek().is_some_and(|piece| moving.add(piece));
        if goes_on {
            lying.pass();
            self.order = order;
        }
        goes_on
    }
}

/// `all`, with where the first inputs stand put in their places.
fn reached<'a>(all: &[i64], places: &[usize], inputs: impl Iterator<Item = &'a Input>) -> Vec<i64> {
    let mut positions = all.to_vec();
    for (place, input) in places.iter().zip(inputs) {
        positions[*place] = input.reached();
    }
    positions
}

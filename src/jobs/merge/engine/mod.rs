//! The engine: what moves every record from its source to the output, in order, a stretch at a time.
//!
//! ```text
//!  fetch ahead ──▶ window ──▶ decode in place ──▶ keys: lane ──▶ tree ──▶ order ──▶ copy ──▶ batch ──▶ sink
//!  (a task each)              (input.rs)          spans: slab    (merge/)           (encode.rs)       (in flight)
//! ```
//!
//! A record costs tens of nanoseconds here and no allocation: what is allocated grows with windows and batches. Everything
//! between a window and a batch is one synchronous piece of code, which stops where a source has to be refilled or a batch
//! is full; only there is anything awaited. So fetching, merging and sending overlap without the merge knowing of it.

mod encode;
mod input;
mod share;
mod slab;
mod windows;

#[cfg(test)]
mod tests;

pub(crate) use share::{Shares, least_bytes};

use super::preflight::Floor;
use super::{MergeSettings, Plan};
use crate::base::appended::Appended;
use crate::base::budget::ByteBudget;
use crate::batch::Codec;
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::keys::KeyPlan;
use crate::merge::{LaneMerge, Stop};
use crate::ports::{Sink, Source};
use encode::{Cut, Encoder};
use input::Input;
use windows::Windows;

/// Records whose order is found before they are copied: enough to amortise the change, few enough to stay in the cache.
const ORDER_RECORDS: usize = 8192;

/// What the engine merges, and how.
pub(super) struct Engine<'a> {
    keys: &'a KeyPlan,
    inputs: Vec<Input>,
    cut: Cut,
    cx: &'a JobContext,
}

impl<'a> Engine<'a> {
    /// Divides the memory and begins to fetch; `open` gives the source of each partition that holds anything.
    pub(super) fn start<S>(
        plan: &Plan,
        settings: &'a MergeSettings,
        codec: Codec,
        cx: &'a JobContext,
        open: impl Fn(&super::Source, &Shares) -> S,
    ) -> Self
    where
        S: Source + 'static,
        JobError: From<S::Error>,
    {
        let sources: Vec<_> = share::with_records(&plan.sources).collect();
        let shares = Shares::of(plan.memory_bytes, sources.len(), settings.batch_bytes.min(plan.output_bytes_max));
        let slack = ByteBudget::new(shares.slack_bytes);
        let inputs = sources.into_iter().map(|source| {
            let windows = Windows::start(open(source, &shares), &slack, shares);
            Input::new(source.clone(), windows, shares, &slack)
        });
        let inputs = inputs.collect();
        let cut = Cut { batch_bytes: shares.batch_bytes, bytes_max: plan.output_bytes_max, codec, identity: None };
        Self { keys: &settings.keys, inputs, cut, cx }
    }

    /// Merges everything into `sink`. Tells what was appended, however it ended.
    pub(super) async fn merge<S>(mut self, floor: Option<Floor>, mut sink: S) -> (Appended, Result<(), JobError>)
    where
        S: Sink,
        JobError: From<S::Error>,
    {
        self.cut.identity = sink.identity();
        let mut pump = Pump { encoder: Encoder::new(self.cut), counted: 0, sink: &mut sink };
        let merged = self.pump(floor, &mut pump).await;
        let (counted, payload) = (pump.counted, pump.encoder.payload_bytes);
        let (appended, outcome) = match merged {
            Ok(()) => {
                let (appended, finished) = sink.finish().await;
                (appended, finished.map_err(JobError::from))
            }
            Err(error) => {
                let (appended, closed) = sink.close().await;
                // What is wrong with the output outweighs whatever made us stop.
                (appended, Err(closed.err().map_or(error, JobError::from)))
            }
        };
        self.cx.progress.add(appended.records() - counted, payload);
        (appended, outcome)
    }

    async fn pump<S>(&mut self, mut floor: Option<Floor>, out: &mut Pump<'_, S>) -> Result<(), JobError>
    where
        S: Sink,
        JobError: From<S::Error>,
    {
        let mut merge = LaneMerge::new(self.inputs.len());
        let mut order = Vec::with_capacity(ORDER_RECORDS);
        loop {
            order.clear();
            let stop = merge.run(&mut order, ORDER_RECORDS);
            if let Some(first) = order.first()
                && let Some(floor) = floor.take()
                && let input = &self.inputs[usize::from(*first)]
                && let Some(record) = input.next_record()
            {
                floor.check(self.keys, &record, || input.next_at())?;
            }
            self.copy(&order, out).await?;
            match stop {
                Stop::Full => {}
                Stop::Needs(source) => {
                    let lane = merge.refill(source);
                    if !self.inputs[source].refill(lane, self.keys, self.cx).await? {
                        merge.finish(source);
                    }
                }
                Stop::Done => break,
            }
        }
        if out.encoder.is_empty() { Ok(()) } else { out.send(self.cx).await }
    }

    async fn copy<S>(&mut self, mut order: &[u16], out: &mut Pump<'_, S>) -> Result<(), JobError>
    where
        S: Sink,
        JobError: From<S::Error>,
    {
        while !order.is_empty() {
            let copied = out.encoder.fill(order, &mut self.inputs)?;
            order = &order[copied..];
            if !order.is_empty() {
                out.send(self.cx).await?;
                if let Some(signal) = self.cx.shutdown.requested() {
                    return Err(JobError::Interrupted(signal));
                }
            }
        }
        Ok(())
    }
}

/// The output end of the engine.
struct Pump<'a, S> {
    encoder: Encoder,
    sink: &'a mut S,
    /// Records that progress knows of.
    counted: u64,
}

impl<S> Pump<'_, S>
where
    S: Sink,
    JobError: From<S::Error>,
{
    /// Sends the batch being filled. Progress counts what is acknowledged.
    async fn send(&mut self, cx: &JobContext) -> Result<(), JobError> {
        let buffer = self.sink.spare().unwrap_or_default();
        let batch = self.encoder.finish(buffer).map_err(|error| {
            JobError::Refused(format!("{}: a batch for it cannot be put together: {error}", self.sink.partition()))
        })?;
        self.sink.append(batch).await?;
        let records = self.sink.appended().records();
        cx.progress.add(records - self.counted, std::mem::take(&mut self.encoder.payload_bytes));
        self.counted = records;
        Ok(())
    }
}

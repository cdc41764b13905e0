//! The plain merge: the shortest reading of what kmerge does.
//!
//! Each source is fetched ahead by its own task; the heap says which one is next; its record goes out. The heap never waits
//! and does no I/O: when it needs a source's next key, we wait for that source, and only for that one.

use super::ahead::Ahead;
use super::output::Cut;
use super::output::{Closed, Output};
use super::preflight::Floor;
use super::{MergeSettings, OutputCodec, Plan, plan};
use crate::base::appended::Appended;
use crate::base::budget::ByteBudget;
use crate::client::rskafka::{Compression, PlainClient, PlainPartition, RecordAndOffset};
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::keys::{Key, KeyPlan};
use crate::merge::{Step, StreamingMerge};
use futures::future::try_join_all;
use std::sync::Arc;

/// One source in the merge: what comes, and what stands at its head.
struct Input {
    ahead: Ahead,
    /// The record whose key the heap holds.
    head: Option<RecordAndOffset>,
    /// The offset of the record before the head; to name it if the head lies below.
    offset_before: Option<i64>,
    /// To read that record again.
    again: Arc<PlainPartition>,
}

/// Merges what `plan` says. Tells what was appended, however it ended.
pub(super) async fn merge(plan: &Plan, settings: &MergeSettings, floor: Option<Floor>, cx: &JobContext) -> Closed {
    let opened = super::preflight::interruptible(cx, open(plan, cx)).await;
    let (to, inputs) = match opened {
        Ok(opened) => opened,
        Err(error) => return (Appended::at_end(plan.output.clone(), plan.output_end), Err(error)),
    };
    cx.progress.begin("merge", plan.offsets());
    let mut output = Output::start(to, plan.output_end, cut(plan, settings), cx.progress.clone());
    match pump(inputs, &settings.keys, floor, &mut output, cx).await {
        Ok(()) => output.finish().await,
        Err(error) => output.close_because(error).await,
    }
}

/// Opens a connection for the output and for each source that has anything to read, and begins to fetch.
async fn open(plan: &Plan, cx: &JobContext) -> Result<(PlainPartition, Vec<Input>), JobError> {
    let client = PlainClient::connect(&cx.brokers, cx.timeout).await?;
    let to = client.partition(&plan.output).await?;
    let sources: Vec<_> = plan.sources.iter().filter(|source| source.offsets() > 0).collect();
    let budget = ByteBudget::new(plan::memory_for_reading(plan.memory_bytes));
    let opening = sources.iter().map(|source| async {
        let from = Arc::new(client.partition(&source.partition).await?);
        let ahead = Ahead::start(from.clone(), source.range.clone(), &budget, sources.len());
        Ok::<_, JobError>(Input { ahead, head: None, offset_before: None, again: from })
    });
    Ok((to, try_join_all(opening).await?))
}

/// Moves every record from its source to the output, in order.
async fn pump(
    mut inputs: Vec<Input>,
    keys: &KeyPlan,
    mut floor: Option<Floor>,
    output: &mut Output,
    cx: &JobContext,
) -> Result<(), JobError> {
    let mut heap = StreamingMerge::<Key>::new(inputs.len());
    loop {
        match heap.step() {
            Step::Emit(source) => {
                let input = &mut inputs[source];
                let RecordAndOffset { record, offset } = input.head.take().expect("the heap emits what was offered");
                if let Some(floor) = floor.take() {
                    floor.check(keys, &record, || input.ahead.partition().at(offset))?;
                }
                input.offset_before = Some(offset);
                if output.push(record, || input.ahead.partition().at(offset)).await?
                    && let Some(signal) = cx.shutdown.requested()
                {
                    return Err(JobError::Interrupted(signal));
                }
            }
            Step::Needs(source) => {
                let input = &mut inputs[source];
                match input.next(cx).await? {
                    None => heap.finish(source),
                    Some(next) => {
                        let at = || input.ahead.partition().at(next.offset);
                        let key = keys.extract(&next.record).map_err(|error| JobError::Key { at: at(), error })?;
                        if heap.offer(source, key).is_err() {
                            return Err(input.backwards(keys, &next).await);
                        }
                        input.head = Some(next);
                    }
                }
            }
            Step::Done => return Ok(()),
        }
    }
}

impl Input {
    /// The next record; `None` at the end of the range.
    #[inline]
    async fn next(&mut self, cx: &JobContext) -> Result<Option<RecordAndOffset>, JobError> {
        match self.ahead.next_here() {
            Some(next) => Ok(Some(next)),
            None => self.wait(cx).await,
        }
    }

    #[cold]
    async fn wait(&mut self, cx: &JobContext) -> Result<Option<RecordAndOffset>, JobError> {
        let who = self.ahead.partition().clone();
        let waiting = async {
            cx.progress.waiting_for(Some(&who));
            let more = self.ahead.wait().await;
            cx.progress.waiting_for(None);
            more
        };
        tokio::select! {
            biased;
            signal = cx.shutdown.wait() => Err(JobError::Interrupted(signal)),
            more = waiting => Ok(if more? { self.ahead.next_here() } else { None }),
        }
    }

    /// The error that names both records. The one before is on its way out already, so it is read once more.
    async fn backwards(&self, keys: &KeyPlan, next: &RecordAndOffset) -> JobError {
        let previous_offset = self.offset_before.unwrap_or(next.offset);
        let previous = self.again.fetch(previous_offset, next.offset, 1).await;
        let previous_key = match &previous {
            Ok(records) => records.first().map_or_else(|| "(gone)".to_owned(), |r| keys.show(&r.record)),
            Err(_) => "(could not be read again)".to_owned(),
        };
        JobError::Unsorted {
            at: self.ahead.partition().at(next.offset),
            key: keys.show(&next.record),
            previous_offset,
            previous_key,
        }
    }
}

/// How the output is cut for this plan.
fn cut(plan: &Plan, settings: &MergeSettings) -> Cut {
    Cut {
        batch_bytes: settings.batch_bytes,
        bytes_max: plan.output_bytes_max,
        memory_bytes: plan::memory_for_output(plan.memory_bytes),
        // The preflight has refused what this client does not have.
        compression: match settings.compression {
            OutputCodec::Gzip => Compression::Gzip,
            OutputCodec::Snappy => Compression::Snappy,
            _ => Compression::NoCompression,
        },
    }
}

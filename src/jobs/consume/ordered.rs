//! Records in one total order: by key, records of equal keys by source (topics in the order given, partitions ascending), then
//! by offset; the same order as a merge writes.
//!
//! ```text
//!  cursor of each source ──▶ its next record, held ──▶ heap of keys ──▶ the smallest is printed, once every source has one
//! ```
//!
//! Every source must be sorted by the key; one that is not ends it, naming both records. Where sources are followed, a record is
//! printed only when each of the others has a record that is not smaller, or has ended. A source that is quiet therefore holds
//! up all of them, unless it may be passed over.
//!
//! Non-obvious: *quiet* is what the leader says (`client::Tail`), not that nothing came; a broker that does not answer is waited
//! for. What a source sends after it was passed over is printed next if it is smaller than what went out before, as soon as no other
//! source is waited for: that is the one way in which the output runs backwards, and it is counted.

use super::printer::{Next, Origin};
use super::reach::Leg;
use super::{Ordered, PartitionRead, Reading, Stopped};
use crate::batch::TimestampType;
use crate::client::Tail;
use crate::jobs::cursor::{HeldRaw, RecordCursor};
use crate::jobs::error::JobError;
use crate::jobs::range::ReadShare;
use crate::jobs::windows::Windows;
use crate::keys::{Key, KeyPlan};
use crate::merge::{Step, StreamingMerge};
use futures::future::FutureExt as _;
use futures::stream::{FuturesUnordered, StreamExt as _};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::Duration;

const BLOCK_BYTES: usize = 64 << 10;
const BLOCKS_BYTES: usize = 4 * BLOCK_BYTES;

/// How often it is looked whether a source is quiet long enough.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One partition.
struct Source {
    /// Its place among the partitions of the report.
    index: usize,
    first: i64,
    cursor: RecordCursor<Windows>,
    /// The record whose key the heap holds; before the first one, and between two, the one before.
    held: HeldRaw,
    timestamp_type: TimestampType,
    read_from: Arc<AtomicI32>,
    /// Whether it is followed, and quiet.
    tail: Option<Arc<Tail>>,
    standing: Standing,
}

/// What is known of a source's next record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is held, or wanted.
    In,
    /// It is not waited for.
    PassedOver,
    /// There is none.
    Finished,
}

/// What a source has.
enum Has {
    Record,
    /// Nothing at hand.
    Nothing,
}

/// What waiting has brought.
enum Came {
    /// A source has more at hand, or is finished.
    More(usize, Result<bool, JobError>),
    /// The one that is waited for is quiet for long enough.
    Quiet,
}

impl Reading<'_> {
    /// Prints everything in order until everything is read, or there is another reason to stop.
    pub(super) async fn in_order(&mut self, legs: Vec<Leg>, ordered: &Ordered) -> Result<Stopped, JobError> {
        let legs: Vec<(usize, Leg)> = legs.into_iter().enumerate().filter(|(_, leg)| !leg.is_empty()).collect();
        let share = ReadShare::of("consume --ordered", self.settings.memory_bytes, BLOCKS_BYTES, legs.len())?;
        self.printer.set_block_bytes(BLOCK_BYTES);
        self.blocks.keep_up_to(2 * BLOCK_BYTES);
        let mut sources: Vec<Source> = legs.into_iter().map(|(index, leg)| self.source(index, &leg, share)).collect();
        let mut merge = StreamingMerge::<Key>::new(sources.len());
        loop {
            match merge.step() {
                Step::Emit(emitted) => {
                    let source = &sources[emitted];
                    match self.print_held(source)? {
                        Next::Go => {}
                        Next::Full => {
                            if let Some(stopped) = self.send_block().await {
                                return Ok(stopped);
                            }
                        }
                        Next::Enough => return Ok(Stopped::Count),
                    }
                }
                Step::Needs(wanted) => {
                    if let Has::Record = sources[wanted].offer(wanted, &mut merge, &ordered.keys)? {
                        continue;
                    }
                    if let Some(stopped) = self.wait(Some(wanted), &mut sources, &mut merge, ordered).await? {
                        return Ok(stopped);
                    }
                }
                Step::Done => {
                    if sources.iter().all(|source| source.standing == Standing::Finished) {
                        return Ok(self.at_the_ends());
                    }
                    if let Some(stopped) = self.wait(None, &mut sources, &mut merge, ordered).await? {
                        return Ok(stopped);
                    }
                }
            }
        }
    }

    fn source(&self, index: usize, leg: &Leg, share: ReadShare) -> Source {
        let reader = self.reader(leg, share.read_options());
        let (tail, read_from) = (reader.tail(), reader.read_from());
        let cursor = share.cursor(Windows::start(reader, share.fetch_bytes, None), self.cx);
        let held = HeldRaw::default();
        let standing = Standing::In;
        let timestamp_type = TimestampType::Create;
        Source { index, first: leg.first, cursor, held, timestamp_type, read_from, tail, standing }
    }

    fn print_held(&mut self, source: &Source) -> Result<Next, JobError> {
        // Nothing is emitted that was not held before.
        let Some(record) = source.held.record() else { return Ok(Next::Go) };
        let PartitionRead { partition, position, .. } = &mut self.partitions[source.index];
        *position = record.offset + 1;
        let broker = Some(source.read_from.load(Relaxed)).filter(|node| *node >= 0);
        let origin = Origin { partition, timestamp_type: source.timestamp_type, broker };
        Ok(self.printer.print(origin, &record))
    }

    /// Waits until the wanted source (or, if none is wanted, any that was passed over) has more at hand or is quiet for long
    /// enough; takes in what those that were passed over have meanwhile.
    async fn wait(
        &mut self,
        wanted: Option<usize>,
        sources: &mut [Source],
        merge: &mut StreamingMerge<Key>,
        ordered: &Ordered,
    ) -> Result<Option<Stopped>, JobError> {
        if let Some(wanted) = wanted
            && let Some(more) = sources[wanted].cursor.more().now_or_never()
        {
            sources[wanted].came(wanted, more?, merge);
            return Ok(None);
        }
        // What is printed goes out before anybody waits.
        if let Some(stopped) = self.send_block().await {
            return Ok(Some(stopped));
        }
        let tail = wanted.and_then(|wanted| sources[wanted].tail.clone());
        let holds_up = wanted.map(|wanted| &self.partitions[sources[wanted].index].partition);
        self.cx.progress.waiting_for(holds_up);
        let came = {
            let mut waiting: FuturesUnordered<_> = sources
                .iter_mut()
                .enumerate()
                .filter(|(index, source)| Some(*index) == wanted || source.standing == Standing::PassedOver)
                .map(|(index, source)| async move { (index, source.cursor.more().await) })
                .collect();
            tokio::select! {
                biased;
                () = self.blocks.closed() => return Ok(Some(Stopped::Closed)),
                Some((index, more)) = waiting.next() => Came::More(index, more),
                () = quiet(tail.as_deref(), ordered.idle_timeout) => Came::Quiet,
            }
        };
        self.cx.progress.waiting_for(None);
        match (came, wanted) {
            (Came::Quiet, Some(wanted)) => {
                merge.pass_over(wanted);
                sources[wanted].standing = Standing::PassedOver;
            }
            (Came::Quiet, None) => {}
            (Came::More(index, more), _) => {
                let source = &mut sources[index];
                let more = more?;
                if more && source.standing == Standing::PassedOver {
                    self.late += u64::from(source.comes_back(index, merge, &ordered.keys)?);
                } else {
                    source.came(index, more, merge);
                }
            }
        }
        Ok(None)
    }
}

/// Waits until the leader has said for long enough that there is nothing.
async fn quiet(tail: Option<&Tail>, idle_timeout: Option<Duration>) {
    let (Some(tail), Some(long_enough)) = (tail, idle_timeout) else {
        return std::future::pending().await;
    };
    while tail.quiet_for().is_none_or(|quiet| quiet < long_enough) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl Source {
    /// Notes that there is more at hand, or that there never will be.
    fn came(&mut self, index: usize, more: bool, merge: &mut StreamingMerge<Key>) {
        if !more {
            self.standing = Standing::Finished;
            merge.finish(index);
        }
    }

    /// Offers the next record at hand to the merge and holds it.
    fn offer(&mut self, index: usize, merge: &mut StreamingMerge<Key>, keys: &KeyPlan) -> Result<Has, JobError> {
        let (held, first) = (&mut self.held, self.first);
        let offered = self.cursor.pass_here(|found| {
            if found.record.offset < first {
                return ControlFlow::Continue(());
            }
            let key = match keys.extract(&found.record) {
                Ok(key) => key,
                Err(error) => return ControlFlow::Break(Err((found.record.offset, Some(error), String::new()))),
            };
            if merge.offer(index, key).is_err() {
                return ControlFlow::Break(Err((found.record.offset, None, keys.show(&found.record))));
            }
            held.hold(found.record.offset, found.record.timestamp, found.raw);
            ControlFlow::Break(Ok(()))
        })?;
        match offered {
            None => Ok(Has::Nothing),
            Some(Ok(())) => {
                self.timestamp_type = self.cursor.timestamp_type();
                Ok(Has::Record)
            }
            Some(Err((offset, Some(error), _))) => Err(JobError::Key { at: self.cursor.partition().at(offset), error }),
            Some(Err((offset, None, key))) => Err(self.backwards(offset, key, keys)),
        }
    }

    /// Takes in the next record of a source that was passed over; says whether it comes too late for its place.
    fn comes_back(&mut self, index: usize, merge: &mut StreamingMerge<Key>, keys: &KeyPlan) -> Result<bool, JobError> {
        let before = self.held.record().map(|record| (record.offset, keys.extract(&record), keys.show(&record)));
        let last = merge.last_emitted().cloned();
        let Has::Record = self.offer(index, merge, keys)? else { return Ok(false) };
        self.standing = Standing::In;
        let Some(now) = self.held.record() else { return Ok(false) };
        let at = |error| JobError::Key { at: self.cursor.partition().at(now.offset), error };
        let key = keys.extract(&now).map_err(at)?;
        if let Some((offset, Ok(previous), previous_key)) = before
            && key < previous
        {
            let at = self.cursor.partition().at(now.offset);
            return Err(JobError::Unsorted { at, key: keys.show(&now), previous_offset: offset, previous_key });
        }
        let late = last.is_some_and(|last| key < last);
        if late {
            tracing::warn!(
                record = %self.cursor.partition().at(now.offset),
                key = keys.show(&now),
                "comes after larger ones: its partition was quiet, and had been passed over"
            );
        }
        Ok(late)
    }

    #[cold]
    fn backwards(&self, offset: i64, key: String, keys: &KeyPlan) -> JobError {
        let at = self.cursor.partition().at(offset);
        match self.held.record() {
            Some(previous) => {
                JobError::Unsorted { at, key, previous_offset: previous.offset, previous_key: keys.show(&previous) }
            }
            None => JobError::Unsorted { at, key, previous_offset: offset, previous_key: "(unknown)".to_owned() },
        }
    }
}

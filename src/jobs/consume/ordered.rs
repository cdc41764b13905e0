//! Records in one total order: by key, records of equal keys by source (topics in the order given, partitions ascending; then
//! partitions that were added, as they were found), then by offset; the same order as a merge writes.
//!
//! ```text
//!  cursor of each source ──▶ its next record, held ──▶ heap of keys ──▶ the smallest is printed, once every source has one
//!                                       └─ late: its place lies before what was printed ──▶ printed at once
//! ```
//!
//! Every source must be sorted by the key; one that is not ends it, naming both records. Where sources are followed, a record is
//! printed only when each of the others has a record that is not smaller, or has ended. A source that is quiet therefore holds
//! up all of them, unless it may be passed over.
//!
//! Non-obvious:
//! - *Quiet* is what the leader says (`client::Tail`), not that nothing came; a broker that does not answer is waited for.
//! - A source that was passed over, or a partition that was added, may have records whose place lies before what was printed.
//!   They never reach the merge, which so goes on in order. Waiting could not make them less late: each is printed when it comes,
//!   whoever else is waited for, and counted. That is the one way in which the output runs backwards.
//! - A source that sends what is late is not quiet: its next record is waited for, as all the others' are.
//! - Sources that may be late are asked also while others have plenty at hand: each time one of those has come to the end of a
//!   window.

use super::growth::{Growth, Room, grown};
use super::printer::{Next, Origin};
use super::reach::Leg;
use super::source::{Has, Source, Standing};
use super::{Ordered, PartitionRead, Reading, Stopped, known};
use crate::base::place::TopicPartition;
use crate::batch::TimestampType;
use crate::client::Tail;
use crate::jobs::cursor::HeldRaw;
use crate::jobs::error::JobError;
use crate::jobs::range::ReadShare;
use crate::jobs::windows::Windows;
use crate::keys::Key;
use crate::merge::{Step, StreamingMerge};
use futures::future::FutureExt as _;
use futures::stream::{FuturesUnordered, StreamExt as _};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const BLOCK_BYTES: usize = 64 << 10;
const BLOCKS_BYTES: usize = 4 * BLOCK_BYTES;

/// How often it is looked whether a source is quiet long enough.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is merged.
struct Merging<'a> {
    ordered: &'a Ordered,
    /// By their numbers in the merge.
    sources: Vec<Source>,
    merge: StreamingMerge<Key>,
    growth: Option<Growth>,
    room: Room,
}

/// What waiting has brought.
enum Came {
    /// A source has more at hand, or is finished.
    More(usize, Result<bool, JobError>),
    /// The one that is waited for is quiet for long enough.
    Quiet,
    /// A partition was added.
    Grown(TopicPartition),
    /// Nobody reads what is printed any more.
    Closed,
}

impl Reading<'_> {
    /// Prints everything in order until everything is read, or there is another reason to stop.
    pub(super) async fn in_order(
        &mut self,
        legs: Vec<Leg>,
        following: bool,
        ordered: &Ordered,
    ) -> Result<Stopped, JobError> {
        let legs: Vec<(usize, Leg)> = legs.into_iter().enumerate().filter(|(_, leg)| !leg.is_empty()).collect();
        let (memory_bytes, grows) = (self.settings.memory_bytes, following && self.may_grow());
        let room = Room::beside(legs.len(), if grows { memory_bytes.saturating_sub(BLOCKS_BYTES) } else { 0 });
        let share = ReadShare::of("consume --ordered", memory_bytes, BLOCKS_BYTES + room.left_bytes(), legs.len())?;
        self.printer.set_block_bytes(BLOCK_BYTES);
        self.blocks.keep_up_to(2 * BLOCK_BYTES);
        let source = |(index, leg): (usize, Leg)| self.source(index, &leg, share, Standing::In);
        let mut merging = Merging {
            ordered,
            merge: StreamingMerge::new(legs.len()),
            sources: legs.into_iter().map(source).collect(),
            growth: grows.then(|| Growth::of(self.cluster, known(&self.partitions))),
            room,
        };
        loop {
            let Merging { sources, merge, .. } = &mut merging;
            let wanted = match merge.step() {
                Step::Emit(emitted) => {
                    if let Some(stopped) = self.print_held(&sources[emitted]).await? {
                        return Ok(stopped);
                    }
                    continue;
                }
                Step::Needs(wanted) => Some(wanted),
                Step::Done if sources.iter().all(|source| source.standing == Standing::Finished) => {
                    return Ok(self.at_the_ends());
                }
                Step::Done => None,
            };
            if let Some(wanted) = wanted {
                match sources[wanted].offer(wanted, merge, &ordered.keys)? {
                    Has::Record => continue,
                    Has::Late => {
                        if let Some(stopped) = self.print_late(&sources[wanted]).await? {
                            return Ok(stopped);
                        }
                        continue;
                    }
                    Has::Nothing => {}
                }
            }
            if let Some(stopped) = self.wait(wanted, &mut merging).await? {
                return Ok(stopped);
            }
        }
    }

    fn source(&self, index: usize, leg: &Leg, share: ReadShare, standing: Standing) -> Source {
        let reader = self.reader(leg, share.read_options());
        let (tail, read_from) = (reader.tail(), reader.read_from());
        let cursor = share.cursor(Windows::start(reader, share.fetch_bytes, None), self.cx);
        let held = HeldRaw::default();
        let timestamp_type = TimestampType::Create;
        Source { index, first: leg.first, cursor, held, timestamp_type, read_from, tail, standing }
    }

    async fn print_held(&mut self, source: &Source) -> Result<Option<Stopped>, JobError> {
        // Nothing is printed that was not held before.
        let Some(record) = source.held.record() else { return Ok(None) };
        let PartitionRead { partition, position, .. } = &mut self.partitions[source.index];
        *position = record.offset + 1;
        let broker = Some(source.read_from.load(Relaxed)).filter(|node| *node >= 0);
        let origin = Origin { partition, timestamp_type: source.timestamp_type, broker };
        match self.printer.print(origin, &record) {
            Next::Go => Ok(None),
            Next::Full => Ok(self.send_block().await),
            Next::Enough => Ok(Some(Stopped::Count)),
        }
    }

    async fn print_late(&mut self, source: &Source) -> Result<Option<Stopped>, JobError> {
        self.late += 1;
        self.print_held(source).await
    }

    /// Waits until the wanted source has more at hand or is quiet for long enough, or there is something else to be done: one
    /// that may be late has more, or a partition was added.
    async fn wait(&mut self, wanted: Option<usize>, merging: &mut Merging<'_>) -> Result<Option<Stopped>, JobError> {
        let mut something = false;
        for number in 0..merging.sources.len() {
            if let Some(more) = merging.asked(wanted, number).and_then(|source| source.cursor.more().now_or_never()) {
                something = true;
                if let Some(stopped) = self.take(Came::More(number, more), wanted, merging).await? {
                    return Ok(Some(stopped));
                }
            }
        }
        if something {
            let grown = grown(&mut merging.growth).now_or_never();
            return match grown {
                Some(partition) => self.take(Came::Grown(partition), wanted, merging).await,
                None => Ok(None),
            };
        }
        // What is printed goes out before anybody waits.
        if let Some(stopped) = self.send_block().await {
            return Ok(Some(stopped));
        }
        // Whoever has records left is not quiet, whatever its fetching ahead has heard meanwhile.
        let may_be_quiet = !wanted.is_some_and(|wanted| merging.sources[wanted].cursor.has_more_at_hand());
        let tail = wanted.and_then(|wanted| merging.sources[wanted].tail.clone());
        let holds_up = wanted.map(|wanted| &self.partitions[merging.sources[wanted].index].partition);
        self.cx.progress.waiting_for(holds_up);
        let came = {
            let mut waiting: FuturesUnordered<_> = merging
                .sources
                .iter_mut()
                .enumerate()
                .filter(|(number, source)| Some(*number) == wanted || source.may_be_late())
                .map(|(number, source)| async move { (number, source.cursor.more().await) })
                .collect();
            tokio::select! {
                biased;
                () = self.blocks.closed() => Came::Closed,
                Some((number, more)) = waiting.next() => Came::More(number, more),
                partition = grown(&mut merging.growth) => Came::Grown(partition),
                () = quiet(tail.as_deref(), merging.ordered.idle_timeout), if may_be_quiet => Came::Quiet,
            }
        };
        self.cx.progress.waiting_for(None);
        self.take(came, wanted, merging).await
    }

    /// Takes in what has come.
    async fn take(
        &mut self,
        came: Came,
        wanted: Option<usize>,
        merging: &mut Merging<'_>,
    ) -> Result<Option<Stopped>, JobError> {
        let Merging { ordered, sources, merge, room, .. } = merging;
        match came {
            Came::Closed => return Ok(Some(Stopped::Closed)),
            Came::Quiet => {
                if let Some(wanted) = wanted {
                    merge.pass_over(wanted);
                    sources[wanted].standing = Standing::PassedOver;
                }
            }
            Came::More(number, more) => {
                let source = &mut sources[number];
                source.came(number, more?, merge);
                // What is late goes out now; the first record that is not waits for its turn.
                while source.may_be_late()
                    && let Has::Late = source.offer(number, merge, &ordered.keys)?
                {
                    if let Some(stopped) = self.print_late(source).await? {
                        return Ok(Some(stopped));
                    }
                }
            }
            Came::Grown(partition) => {
                let leg = Leg::of_new(partition);
                let share = room.share(&leg.partition)?;
                let index = self.partitions.len();
                self.partitions.push(PartitionRead::of(&leg));
                merge.add();
                sources.push(self.source(index, &leg, share, Standing::Added));
            }
        }
        Ok(None)
    }
}

impl Merging<'_> {
    /// The source of this number, if it is to be asked for more: the one that is wanted, and any that may be late.
    fn asked(&mut self, wanted: Option<usize>, number: usize) -> Option<&mut Source> {
        self.sources.get_mut(number).filter(|source| Some(number) == wanted || source.may_be_late())
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

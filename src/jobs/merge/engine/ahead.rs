//! Workers, which decode sources ahead of the merge (`--threads`).
//!
//! ```text
//!              windows     ┌ worker k ────────────┐  ready: one stretch    ┌ the merge ──────────┐
//!  source i ──────────────▶│ unfold, check, keys  │───────────────────────▶│ order, copy         │
//!  (k = i mod workers)     └──────────────────────┘◀───────────────────────└─────────────────────┘
//!                                                     spent: its buffers
//! ```
//!
//! A source belongs to one worker from the moment it moves there. Two stretches of it are alive: the one that is merged and the one
//! that is decoded or waits; they share what one had before, so the budget is divided as without workers. A stretch is whole by
//! itself, and how far a source is is said by the stretch at hand: what was decoded ahead is not merged yet, and no commit knows of it.
//!
//! When a source moves: where batches are compressed or a key is looked for in JSON, decoding is the most of the work. Elsewhere
//! taking a record out of its window costs about as much as handing it over, so nothing moves unless a number of threads was asked for.
//!
//! Measured, in alternation: of zstd integers in six partitions, with two and three threads a merge takes up to a tenth more
//! processor time than with one. On two processors that others kept busy, a broker among them, it was now faster, now slower (0.75 to 1.4);
//! on idle processors it was not measured. So by default a processor is left to others, and on two nothing moves.
//!
//! Non-obvious:
//! - A worker is a task on the runtime's threads, not a thread: what it waits for, windows and buffers, are channels; it
//!   ends when they close, and dropping the merge ends it. It runs for a stretch at most between two waits, about a
//!   millisecond.
//! - The second spent stretch says that the merge waits: then the worker may borrow like a merge that decodes by itself.
//! - An error is an answer like a stretch, told after everything before it was merged.

use super::decoder::{Decoded, Decoder, For, Hand};
use super::share::Shares;
use super::slab::Slab;
use crate::base::budget::Reserved;
use crate::base::place::TopicPartition;
use crate::batch::Codec;
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::jobs::windows::Came;
use crate::keys::{KeyPlan, KeySource};
use crate::merge::Lane;
use crate::observe::phase::Phase;
use crate::observe::stages::{Stage, Watch};
use futures::stream::{FuturesUnordered, StreamExt as _};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// By default no more threads than this, however many processors there are: one merges, and it is busy with what a few decode.
const THREADS_DEFAULT_MAX: usize = 8;
/// By default so many processors are left to whoever else is needed: the broker, if it is on this machine, and what fetches.
const PROCESSORS_LEFT: usize = 1;

/// Stretches of a source that are alive at once.
const STRETCHES: usize = 2;

/// The processors there are.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What to reckon with for a piece where it is decoded ahead, when a budget is looked for: three are alive otherwise, here four.
pub(super) fn pieces(bytes: usize) -> usize {
    bytes.saturating_add(bytes.div_ceil(3))
}

/// Decoded records of one source, with all that the merge needs of them.
#[derive(Default)]
struct Stretch {
    slab: Slab,
    lane: Lane,
    codec: Codec,
    position: i64,
    borrowed: Option<Reserved>,
    /// When the worker waited for the window that this came from.
    waited: Option<(Instant, Instant)>,
    /// Whether there are records; if not, this is the end of the range.
    more: bool,
}

/// The workers of a merge; none runs before a source moves to one.
pub(super) struct Workers {
    count: usize,
    keys: Arc<KeyPlan>,
    cx: JobContext,
    shares: Option<Shares>,
    /// Whether sources move whatever their records are.
    asked_for: bool,
    json: bool,
    running: Vec<Option<mpsc::UnboundedSender<Job>>>,
    tasks: JoinSet<()>,
}

/// A source that moves to a worker.
struct Job {
    decoder: Box<Decoder>,
    hand: Hand,
    lane: Lane,
    ready: mpsc::Sender<Result<Stretch, JobError>>,
    spent: mpsc::Receiver<Stretch>,
}

/// The merge's end of a source that is decoded by a worker.
pub(super) struct Ahead {
    ready: mpsc::Receiver<Result<Stretch, JobError>>,
    spent: mpsc::Sender<Stretch>,
    /// Its buffers are those at hand.
    empty: Stretch,
}

impl Workers {
    /// Those that merge `sources` sources beside the merge itself.
    pub(super) fn of(
        asked: Option<usize>,
        processors: usize,
        sources: usize,
        shares: &Shares,
        keys: &KeyPlan,
        cx: &JobContext,
    ) -> Self {
        let by_default = processors.saturating_sub(PROCESSORS_LEFT).min(THREADS_DEFAULT_MAX);
        let count = asked.unwrap_or(by_default).saturating_sub(1).min(sources);
        let json = keys.parts().iter().any(|part| matches!(part.source, KeySource::Json(_)));
        Self {
            count,
            keys: Arc::new(keys.clone()),
            cx: cx.clone(),
            shares: shares.ahead(),
            asked_for: asked.is_some(),
            json,
            running: (0..count).map(|_| None).collect(),
            tasks: JoinSet::new(),
        }
    }

    /// Ends them all.
    pub(super) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Whether sources move from the start, so that also what is not compressed is copied.
    pub(super) fn copy(&self) -> bool {
        self.count > 0 && (self.asked_for || self.json)
    }

    /// Whether it is worth while to decode a source ahead whose batches have to be unfolded, or not.
    pub(super) fn are_worth(&self, unfolds: bool) -> bool {
        self.count > 0 && self.shares.is_some() && (self.asked_for || self.json || unfolds)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The place for a source with its worker, and the merge's end of it.
    pub(super) fn take(&mut self, source: usize, decoder: &mut Decoder) -> Option<(Ahead, Place<'_>)> {
        let shares = self.shares?;
        let number = source.checked_rem(self.count)?;
        decoder.go_ahead(shares);
        tracing::debug!("{}: decoded by worker {} of {}", decoder.partition(), number + 1, self.count);
        let (ready, coming) = mpsc::channel(STRETCHES - 1);
        let (back, spent) = mpsc::channel(STRETCHES);
        let ahead = Ahead { ready: coming, spent: back, empty: Stretch::default() };
        Some((ahead, Place { workers: self, number, ready, spent }))
    }

    fn worker(&mut self, number: usize) -> &mpsc::UnboundedSender<Job> {
        if self.running[number].is_none() {
            let running = self.running.iter().flatten().count() + 1;
            self.cx.progress.stages().decoded_by(running);
        }
        let Self { keys, cx, tasks, running, .. } = self;
        running[number].get_or_insert_with(|| {
            let (sender, coming) = mpsc::unbounded_channel();
            let watch = cx.progress.stages().watch();
            tasks.spawn(work(coming, keys.clone(), cx.clone(), watch));
            sender
        })
    }
}

/// Where a source moves to.
pub(super) struct Place<'a> {
    workers: &'a mut Workers,
    number: usize,
    ready: mpsc::Sender<Result<Stretch, JobError>>,
    spent: mpsc::Receiver<Stretch>,
}

impl Place<'_> {
    /// The source goes on there. `hand` and `lane` are the merge's; what is in them was merged.
    pub(super) fn begin(self, decoder: Box<Decoder>, hand: &mut Hand, lane: &mut Lane) {
        let Self { workers, number, ready, spent } = self;
        let left = Hand { position: hand.position, codec: hand.codec, ..Hand::default() };
        let (hand, lane) = (std::mem::replace(hand, left), std::mem::take(lane));
        // Where it does not listen it has died, and the merge will hear of it.
        let _ = workers.worker(number).send(Job { decoder, hand, lane, ready, spent });
    }
}

impl Ahead {
    /// Exchanges what is at hand, which was merged, for the next stretch; `false` at the end of the range.
    pub(super) async fn next(
        &mut self,
        hand: &mut Hand,
        lane: &mut Lane,
        partition: &TopicPartition,
        cx: &JobContext,
        watch: &Watch,
    ) -> Result<bool, JobError> {
        let mut spent = std::mem::take(&mut self.empty);
        hand.borrowed = None;
        std::mem::swap(&mut spent.slab, &mut hand.slab);
        std::mem::swap(&mut spent.lane, lane);
        // There is room for all that are alive; who does not listen has said why, or has died.
        let _ = self.spent.try_send(spent);
        let mut next = match self.ready.try_recv() {
            Ok(next) => next?,
            Err(_) => {
                cx.progress.waiting_for(Some(partition));
                watch.lap(Stage::Decode);
                let next = tokio::select! {
                    biased;
                    signal = cx.shutdown.wait() => Err(JobError::Interrupted(signal)),
                    next = self.ready.recv() => next.unwrap_or_else(|| Err(died(partition))),
                };
                match &next {
                    Ok(Stretch { waited: Some((from, to)), .. }) => {
                        watch.lap_but(Stage::AwaitDecode, Stage::AwaitFetch, *from, *to);
                    }
                    _ => watch.lap(Stage::AwaitDecode),
                }
                cx.progress.waiting_for(None);
                next?
            }
        };
        std::mem::swap(&mut next.slab, &mut hand.slab);
        std::mem::swap(&mut next.lane, lane);
        (hand.codec, hand.position, hand.borrowed) = (next.codec, next.position, next.borrowed.take());
        let more = next.more;
        self.empty = next;
        Ok(more)
    }
}

#[cold]
fn died(partition: &TopicPartition) -> JobError {
    JobError::Refused(format!(
        "{partition}: the worker that decodes it has died, which is a mistake in this program. With --threads 1 the merge \
         decodes by itself"
    ))
}

/// A worker: decodes its sources by turns until the merge has gone.
async fn work(mut coming: mpsc::UnboundedReceiver<Job>, keys: Arc<KeyPlan>, cx: JobContext, watch: Watch) {
    let mut sources = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(job) = coming.recv() => sources.push(decode(job, &keys, &cx, &watch)),
            Some(()) = sources.next() => {}
            else => return,
        }
    }
}

/// Decodes one source to its end, to an error, or until nobody wants it any more.
async fn decode(job: Job, keys: &KeyPlan, cx: &JobContext, watch: &Watch) {
    let Job { mut decoder, mut hand, mut lane, ready, mut spent } = job;
    decoder.begin(&mut hand);
    hand.slab = Slab::default();
    let mut free = Some(Stretch::default());
    loop {
        let mut stretch = match free.take() {
            Some(stretch) => stretch,
            None => match spent.recv().await {
                Some(stretch) => stretch,
                None => return,
            },
        };
        decoder.clear(&mut stretch.slab);
        std::mem::swap(&mut stretch.slab, &mut hand.slab);
        lane.hand_over(&mut stretch.lane);
        stretch.waited = None;
        let decoded = loop {
            if decoder.must_be_asked && free.is_none() {
                match spent.recv().await {
                    Some(mut asking) => {
                        // What it held is not counted any more.
                        decoder.clear(&mut asking.slab);
                        free = Some(asking);
                    }
                    None => return,
                }
            }
            let whom = if free.is_some() { For::Now } else { For::Later };
            watch.lap(Stage::AwaitWork);
            let decoded = decoder.decode(&mut hand, &mut lane, keys, whom);
            watch.lap(Stage::DecodeAhead);
            cx.give_way();
            match decoded {
                Ok(Decoded::Records) => break Ok(true),
                Ok(Decoded::End) => break Ok(false),
                Ok(Decoded::NeedsSlack) => {}
                Ok(Decoded::NeedsWindow) => match next_window(&mut decoder, &mut hand, whom, cx, &mut stretch).await {
                    Ok(true) => {}
                    Ok(false) => {
                        decoder.end(&mut hand);
                        break Ok(false);
                    }
                    Err(error) => break Err(error),
                },
                Err(error) => break Err(error),
            }
        };
        let answer = decoded.map(|more| {
            decoder.keep_last(&hand);
            std::mem::swap(&mut stretch.slab, &mut hand.slab);
            lane.hand_over(&mut stretch.lane);
            let Hand { codec, position, .. } = hand;
            Stretch { codec, position, borrowed: hand.borrowed.take(), more, ..stretch }
        });
        let last = !matches!(&answer, Ok(Stretch { more: true, .. }));
        if ready.send(answer).await.is_err() || last {
            return;
        }
    }
}

/// Gets the next window, if it fits; one that does not has to be asked for. `false` if there is none.
async fn next_window(
    decoder: &mut Decoder,
    hand: &mut Hand,
    whom: For,
    cx: &JobContext,
    stretch: &mut Stretch,
) -> Result<bool, JobError> {
    use crate::ports::Source as _;
    cx.phases.reached(Phase::Fetch);
    let from = Instant::now();
    let came = match whom {
        For::Now => decoder.windows.next(&mut hand.window).await.map(|came| came.is_some()),
        For::Later => match decoder.windows.come(&mut hand.window).await? {
            Came::TooLarge => {
                decoder.must_be_asked = true;
                Ok(true)
            }
            came => Ok(matches!(came, Came::Window)),
        },
    };
    stretch.waited = Some((from, Instant::now()));
    came
}

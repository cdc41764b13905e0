//! One source of the merge: the stretch at hand, and where the next one comes from.
//!
//! That is a decoder of its own, which the merge runs where it stands, or a worker that decodes ahead (`ahead.rs`). A source
//! begins with the first; it moves to its worker, if there is one, once it is seen that this is worth it.

mod block;

use super::ahead::{Ahead, Workers};
use super::decoder::{Decoded, Decoder, For, Hand};
use super::share::Shares;
use super::slab::Lying;
use crate::base::budget::ByteBudget;
use crate::base::place::{Place, TopicPartition};
use crate::batch::{Codec, Record};
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::jobs::merge::plan::Source;
use crate::jobs::windows::Windows;
use crate::keys::KeyPlan;
use crate::merge::Lane;
use crate::observe::phase::Phase;
use crate::observe::stages::{Stage, Watch};
use crate::ports::Source as _;
pub(super) use block::Origin;

/// One source.
pub(super) struct Input {
    hand: Hand,
    partition: TopicPartition,
    from: From,
    /// An input batch of so many bytes and more is worth beginning an output batch for.
    large_bytes: usize,
}

/// Where stretches come from.
enum From {
    Here(Box<Decoder>),
    Worker(Box<Ahead>),
}

impl Input {
    pub(super) fn new(source: Source, windows: Windows, shares: Shares, slack: &ByteBudget) -> Self {
        Self {
            hand: Hand { position: source.range.start, ..Hand::default() },
            partition: source.partition.clone(),
            from: From::Here(Box::new(Decoder::new(source, windows, shares, slack))),
            large_bytes: shares.batch_bytes / 2,
        }
    }

    /// The records at hand that are not taken yet.
    #[inline(always)]
    pub(super) fn lying(&self) -> Lying<'_> {
        self.hand.slab.lying(&self.hand.window)
    }

    /// All but so many of the records at hand were taken.
    #[inline(always)]
    pub(super) fn pass_up_to(&mut self, left: usize) {
        self.hand.slab.pass_up_to(left);
    }

    /// Where the next record stands.
    pub(super) fn next_at(&self) -> Place {
        self.partition.at(self.hand.slab.next_offset())
    }

    /// The offset to read on from, once what was taken so far stands: whatever was decoded ahead of that.
    pub(super) fn reached(&self) -> i64 {
        match self.hand.slab.all_taken() {
            true => self.hand.position,
            false => self.hand.slab.next_offset(),
        }
    }

    /// Whom the merge waits for where the next stretch takes long.
    pub(super) fn awaits(&self) -> Stage {
        match self.from {
            From::Here(_) => Stage::AwaitFetch,
            From::Worker(_) => Stage::AwaitDecode,
        }
    }

    /// Keys, values and headers of the records at hand.
    pub(super) fn payload_bytes(&self) -> u64 {
        self.hand.slab.payload_bytes()
    }

    /// How the records at hand came compressed.
    pub(super) fn codec(&self) -> Codec {
        self.hand.codec
    }

    /// The next record, to be looked at.
    pub(super) fn next_record(&self) -> Option<Record<'_>> {
        self.hand.slab.record(self.hand.slab.taken(), &self.hand.window)
    }

    /// Gets the next stretch, its keys into `lane`; `false` at the end of the range. All records at hand must have been taken.
    pub(super) async fn refill(
        &mut self,
        lane: &mut Lane,
        keys: &KeyPlan,
        cx: &JobContext,
        watch: &Watch,
    ) -> Result<bool, JobError> {
        match &mut self.from {
            From::Here(decoder) => Self::decode(decoder, &mut self.hand, lane, keys, cx, watch).await,
            From::Worker(ahead) => ahead.next(&mut self.hand, lane, &self.partition, cx, watch).await,
        }
    }

    /// Moves to a worker, if one is worth it for such records. All records at hand must have been taken.
    pub(super) fn go_ahead(&mut self, source: usize, lane: &mut Lane, workers: &mut Workers) {
        if let From::Here(decoder) = &mut self.from
            && workers.are_worth(decoder.unfolds())
            && let Some((ahead, place)) = workers.take(source, decoder)
            && let From::Here(decoder) = std::mem::replace(&mut self.from, From::Worker(Box::new(ahead)))
        {
            place.begin(decoder, &mut self.hand, lane);
        }
    }

    async fn decode(
        decoder: &mut Decoder,
        hand: &mut Hand,
        lane: &mut Lane,
        keys: &KeyPlan,
        cx: &JobContext,
        watch: &Watch,
    ) -> Result<bool, JobError> {
        decoder.begin(hand);
        loop {
            match decoder.decode(hand, lane, keys, For::Now)? {
                Decoded::Records => return Ok(true),
                Decoded::End => return Ok(false),
                // What is waited for has all the memory there is.
                Decoded::NeedsSlack => {}
                Decoded::NeedsWindow => {
                    cx.phases.reached(Phase::Fetch);
                    cx.progress.waiting_for(Some(decoder.partition()));
                    watch.lap(Stage::Decode);
                    let more = tokio::select! {
                        biased;
                        signal = cx.shutdown.wait() => Err(JobError::Interrupted(signal)),
                        more = decoder.windows.next(&mut hand.window) => more,
                    };
                    watch.lap(Stage::AwaitFetch);
                    cx.progress.waiting_for(None);
                    if more?.is_none() {
                        decoder.end(hand);
                        return Ok(false);
                    }
                }
            }
        }
    }
}

//! How a budget is divided: so much for the batches on their way out, a share for each source, the rest as slack.
//!
//! ```text
//!  --memory ┬─ output: batches being filled, being compressed, in flight
//!           ├─ source 0 ┬─ keys and spans of the records at hand
//!           │           ├─ two windows: one that is read, one that comes or waits
//!           │           └─ what compressed batches unfold to, a piece at a time
//!           ├─ source 1 ...
//!           └─ slack: for what turns out larger than its share (a batch larger than a window, one that unfolds)
//! ```
//!
//! Shares are fixed, so no source can starve another and none waits for memory that only the merge itself could free. The
//! slack is what a source may borrow from; when it is used up the job stops and says what would be enough.

use super::slab::SPAN_BYTES;

/// Of each source, at least.
pub(crate) const SHARE_BYTES_MIN: usize = 64 << 10;
/// More than this makes nothing faster.
const SHARE_BYTES_MAX: usize = 4 << 20;
/// Batches of the output that are in flight at once, at most.
pub(crate) const BATCHES_IN_FLIGHT: usize = 5;
/// Batches of the output that are alive at once: one being filled, one being compressed, those in flight.
pub(crate) const BATCHES_ALIVE: usize = 2 + BATCHES_IN_FLIGHT;
/// No smaller batch is aimed at: below it, requests are all that happens.
const BATCH_BYTES_MIN: usize = 16 << 10;
/// Windows of a source that are alive at once.
const WINDOWS: usize = 2;
/// The window that is fetched at once, at most.
const WINDOW_BYTES_MAX: usize = 1 << 20;
/// Records of a source that are decoded at once, at most: their keys and spans stay in the processor's cache.
const SLAB_RECORDS_MAX: usize = 4096;
/// Of a share, keys and spans get this part.
const SLAB_PART: usize = 4;

/// A stretch that is decoded ahead may be so large at least: smaller ones cost more to hand over than they give.
const AHEAD_BYTES_MIN: usize = 4 << 10;
const AHEAD_RECORDS_MIN: usize = 200;

/// What a source that unfolds may hold beyond its share, in pieces: its reader's buffer doubles as it grows, and the piece is
/// copied to where the records at hand lie.
const PIECES_ALIVE: usize = 3;

/// Budgets are not looked for beyond two to this many MiB.
const MIB_BITS_MAX: usize = 20;

/// The division of one budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    /// What is divided.
    memory_bytes: usize,
    /// How many share it.
    pub(super) sources: usize,
    /// The batch that was asked for.
    pub(super) batch_bytes_wanted: usize,
    /// What an uncompressed batch of the output stays below.
    pub(super) batch_bytes: usize,
    /// Batches that may wait beside those that are alive anyway.
    pub(super) batches_waiting: usize,
    /// As many of them as were asked for.
    batches_waiting_wanted: usize,
    /// The window of each source.
    pub(super) window_bytes: usize,
    /// Records of each source that are decoded at once.
    pub(super) slab_records: usize,
    /// What may be unfolded of a compressed batch without borrowing.
    pub(super) unfold_bytes: usize,
    /// What is left to borrow.
    pub(super) slack_bytes: usize,
}

/// The least memory with which `sources` sources can be merged.
pub(crate) fn least_bytes(sources: usize) -> usize {
    (sources.saturating_mul(SHARE_BYTES_MIN)).saturating_add(BATCHES_ALIVE * BATCH_BYTES_MIN)
}

/// What an uncompressed batch of the output stays below, where `batch_bytes` are asked for.
pub(crate) fn batch_bytes_within(memory_bytes: usize, sources: usize, batch_bytes: usize) -> usize {
    Shares::of(memory_bytes, sources, batch_bytes, 0).batch_bytes
}

impl Shares {
    /// Divides `memory_bytes`, which must be at least [`least_bytes`], among the output and `sources` sources.
    ///
    /// Of the output's part, batches that may wait get what is left when those that are alive anyway are as large as asked.
    pub(crate) fn of(memory_bytes: usize, sources: usize, batch_bytes: usize, waiting: usize) -> Self {
        let sources = sources.max(1);
        let all_sources_min = sources.saturating_mul(SHARE_BYTES_MIN);
        // The output takes a quarter at most, and leaves each source its least.
        let output_most = (memory_bytes / 4).min(memory_bytes.saturating_sub(all_sources_min));
        let batch_bytes_wanted = batch_bytes;
        let batch_bytes = batch_bytes.min((output_most / BATCHES_ALIVE).max(BATCH_BYTES_MIN));
        let batches_waiting = (output_most / batch_bytes).saturating_sub(BATCHES_ALIVE).min(waiting);
        let reading = memory_bytes.saturating_sub(batch_bytes * (BATCHES_ALIVE + batches_waiting));
        let share = (reading / 4 * 3 / sources).clamp(SHARE_BYTES_MIN, SHARE_BYTES_MAX);
        let slab_records = (share / SLAB_PART / SPAN_BYTES).clamp(1, SLAB_RECORDS_MAX);
        // Two parts for each window, one for what is unfolded.
        let part = (share - slab_records * SPAN_BYTES) / (2 * WINDOWS + 1);
        let window_bytes = (2 * part).min(WINDOW_BYTES_MAX);
        let unfold_bytes = part.min(WINDOW_BYTES_MAX / 2);
        let used = sources.saturating_mul(slab_records * SPAN_BYTES + WINDOWS * window_bytes + unfold_bytes);
        Self {
            memory_bytes,
            sources,
            batch_bytes_wanted,
            batch_bytes,
            batches_waiting,
            batches_waiting_wanted: waiting,
            window_bytes,
            slab_records,
            unfold_bytes,
            slack_bytes: reading.saturating_sub(used),
        }
    }

    /// What each of two stretches of a source gets where it is decoded ahead, and what unfolds it, so that together they take
    /// what one and its reader took; `None` where that is too little to be worth it.
    pub(super) fn ahead(&self) -> Option<Self> {
        let (slab_records, unfold_bytes) = (self.slab_records / 2, self.unfold_bytes / 3);
        let enough = unfold_bytes >= AHEAD_BYTES_MIN && slab_records >= AHEAD_RECORDS_MIN;
        enough.then_some(Self { slab_records, unfold_bytes, ..*self })
    }

    /// The least budget above this one, in whole MiB, with which every source could hold a window of `window` bytes and unfold
    /// pieces of `piece` bytes (0: its batches are not compressed), all at once, or `None` if there is none.
    pub(super) fn mib_for(&self, window: usize, piece: usize) -> Option<usize> {
        let enough = |mib: &usize| {
            let memory = mib << 20;
            let shares = Self::of(memory, self.sources, self.batch_bytes_wanted, self.batches_waiting_wanted);
            let unfolded = piece.saturating_mul(PIECES_ALIVE);
            let each = window.saturating_sub(shares.window_bytes).saturating_add(unfolded);
            memory >= least_bytes(self.sources)
                && memory > self.memory_bytes
                && each.saturating_mul(self.sources) <= shares.slack_bytes
        };
        let high = (0..=MIB_BITS_MAX).map(|bits| 1usize << bits).find(enough)?;
        let (mut low, mut high) = (high / 2, high);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if enough(&middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(high)
    }

    /// The same as advice.
    pub(super) fn way_out(&self, window: usize, piece: usize) -> String {
        match self.mib_for(window, piece) {
            Some(mib) => format!("Give --memory {mib}MiB or more"),
            None => "No memory that can be asked for would do".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_out_is_no_more_than_there_is() {
        for sources in [1, 2, 10, 100, 1000, 65_535] {
            for memory in [0, 1 << 20, 8 << 20, 64 << 20, 1 << 30] {
                let memory = least_bytes(sources) + memory;
                for (batch, waiting) in [(1 << 10, 0), (500_000, 0), (500_000, 8), (100 << 20, 8)] {
                    let shares = Shares::of(memory, sources, batch, waiting);
                    let each = shares.slab_records * SPAN_BYTES + WINDOWS * shares.window_bytes + shares.unfold_bytes;
                    let all = sources * each
                        + (BATCHES_ALIVE + shares.batches_waiting) * shares.batch_bytes
                        + shares.slack_bytes;
                    assert!(all <= memory, "{sources} {memory} {batch}: {shares:?}");
                    assert!(shares.window_bytes >= 16_000, "{sources} {memory} {batch}: {shares:?}");
                    assert!(shares.slab_records >= 500, "{sources} {memory} {batch}: {shares:?}");
                }
            }
        }
    }

    #[test]
    fn the_budget_that_is_named_is_enough_and_one_less_is_not() {
        for sources in [1, 10, 100] {
            for (bytes, waiting) in [(100_000, 0), (1 << 20, 0), (1 << 20, 8), (7 << 20, 8)] {
                let mib = Shares::of(0, sources, 500_000, waiting).mib_for(bytes, 0).unwrap();
                let enough = |mib: usize| {
                    let shares = Shares::of(mib << 20, sources, 500_000, waiting);
                    sources * bytes.saturating_sub(shares.window_bytes) <= shares.slack_bytes
                };
                assert!(enough(mib), "{sources} {bytes} {mib}");
                assert!((mib - 1) << 20 < least_bytes(sources) || !enough(mib - 1), "{sources} {bytes} {mib}");
            }
        }
    }

    #[test]
    fn more_than_was_given_is_named_whatever_did_not_fit() {
        for mib in [1, 8, 1000] {
            for (window, piece) in [(0, 0), (100_000, 100_000), (7 << 20, 1)] {
                let named = Shares::of(mib << 20, 10, 500_000, 0).mib_for(window, piece).unwrap();
                assert!(named > mib, "{mib} {window} {piece}: {named}");
            }
        }
    }

    #[test]
    fn the_usual_merge_gets_windows_and_batches_of_full_size() {
        for waiting in [0, 8] {
            let shares = Shares::of(64 << 20, 10, 500_000, waiting);
            assert_eq!((shares.batch_bytes, shares.window_bytes, shares.slab_records), (500_000, 1 << 20, 4096));
            assert_eq!(shares.batches_waiting, waiting);
        }
        assert_eq!(Shares::of(8 << 20, 10, 500_000, 8).batches_waiting, 0, "with little memory none may wait");
    }
}

//! How a budget is divided where records are shown as they come.
//!
//! ```text
//!  --memory ┬─ blocks: text on its way out
//!           ├─ unfolding: what the one compressed batch at hand may take at a time
//!           ├─ each partition that is read at once: two windows, one that is read, one that waits
//!           └─ slack: for windows that come out larger than their share, and for partitions that are added underway
//! ```

use super::blocks::ALIVE;
use crate::base::units::show_size;
use crate::jobs::error::JobError;

const BLOCK_BYTES_MAX: usize = 256 << 10;
const BLOCK_BYTES_MIN: usize = 4 << 10;
/// Fetches larger than this gain nothing, smaller ones cost more than they bring.
const WINDOW_BYTES_MAX: usize = 1 << 20;
const WINDOW_BYTES_MIN: usize = 16 << 10;
/// Windows of a partition that are alive at once.
const WINDOWS: usize = 2;
/// What a partition should have where it can be left waiting instead.
const PARTITION_BYTES: usize = 3 << 20;

/// The division.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    pub(super) block_bytes: usize,
    pub(super) unfold_bytes: usize,
    pub(super) window_bytes: usize,
    pub(super) slack_bytes: usize,
    /// How many partitions are read at once.
    pub(super) at_once: usize,
    /// What was divided, and among whom.
    memory_bytes: usize,
    partitions: usize,
    followed: bool,
}

/// Budgets are not looked for beyond two to this many MiB.
const MIB_BITS_MAX: usize = 20;

impl Shares {
    /// Divides `memory_bytes` among `partitions`, which are all read at once where they are followed.
    pub(super) fn of(memory_bytes: usize, partitions: usize, followed: bool) -> Result<Self, JobError> {
        let partitions = partitions.max(1);
        let block_bytes = (memory_bytes / 32).clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX);
        let unfold_bytes = memory_bytes / 4;
        let reading = memory_bytes.saturating_sub(unfold_bytes + ALIVE * block_bytes);
        let at_once = if followed { partitions } else { (reading / PARTITION_BYTES).clamp(1, partitions) };
        let window_bytes = (reading / 3 * 2 / at_once / WINDOWS).min(WINDOW_BYTES_MAX);
        if window_bytes < WINDOW_BYTES_MIN {
            let least = at_once * (2 * WINDOWS * WINDOW_BYTES_MIN) / 3 * 4;
            return Err(JobError::Refused(format!(
                "consume reads {at_once} partition(s) at once and cannot do that in {}: give --memory {}KiB or more",
                show_size(memory_bytes as u64),
                (least + ALIVE * BLOCK_BYTES_MAX).div_ceil(1 << 10)
            )));
        }
        let slack_bytes = reading - at_once * WINDOWS * window_bytes;
        Ok(Self { block_bytes, unfold_bytes, window_bytes, slack_bytes, at_once, memory_bytes, partitions, followed })
    }

    /// The largest batch that is fetched.
    pub(super) fn batch_bytes_max(&self) -> usize {
        self.slack_bytes.max(self.window_bytes)
    }

    /// What one more partition takes.
    pub(super) fn partition_bytes(&self) -> usize {
        WINDOWS * self.window_bytes
    }

    /// The memory with which every partition could hold a window of `window` bytes, all at once, and pieces of `piece` bytes
    /// could be unfolded; as advice.
    pub(super) fn way_out(&self, window: usize, piece: usize) -> String {
        let enough = |mib: usize| {
            let shares = Self::of(mib << 20, self.partitions, self.followed);
            shares.is_ok_and(|shares| {
                let each = window.saturating_sub(shares.window_bytes);
                // The buffer that a batch unfolds into doubles as it grows.
                mib << 20 > self.memory_bytes
                    && window <= shares.batch_bytes_max()
                    && each.saturating_mul(shares.at_once) <= shares.slack_bytes
                    && piece.saturating_mul(2) <= shares.unfold_bytes
            })
        };
        match (0..=MIB_BITS_MAX).map(|bits| 1usize << bits).find(|mib| enough(*mib)) {
            None => "No memory that can be asked for would do".to_owned(),
            Some(high) => {
                let (mut low, mut high) = (high / 2, high);
                while high - low > 1 {
                    let middle = low + (high - low) / 2;
                    if enough(middle) {
                        high = middle;
                    } else {
                        low = middle;
                    }
                }
                format!("Give --memory {high}MiB or more")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_out_is_no_more_than_there_is() {
        for partitions in [1, 2, 10, 100, 500] {
            for memory in [1 << 20, 8 << 20, 64 << 20, 1 << 30] {
                for followed in [false, true] {
                    let Ok(shares) = Shares::of(memory, partitions, followed) else { continue };
                    let windows = shares.at_once * shares.partition_bytes();
                    let all = windows + shares.slack_bytes + shares.unfold_bytes + ALIVE * shares.block_bytes;
                    assert!(all <= memory, "{partitions} {memory} {followed}: {shares:?}");
                    assert!(shares.slack_bytes >= windows / 4, "{partitions} {memory} {followed}: {shares:?}");
                }
            }
        }
    }

    #[test]
    fn the_memory_that_is_named_is_enough() {
        for partitions in [1, 10, 100, 1000] {
            let error = Shares::of(64 << 10, partitions, true).unwrap_err().to_string();
            let named = error.split("--memory ").nth(1).unwrap().split("KiB").next().unwrap();
            let named: usize = named.parse::<usize>().unwrap() << 10;
            assert!(Shares::of(named, partitions, true).is_ok(), "{partitions}: {error}");
        }
    }

    #[test]
    fn what_did_not_fit_does_with_the_memory_that_is_named() {
        for (partitions, followed) in [(1, false), (10, true), (100, true), (100, false)] {
            for (window, piece) in [(3 << 20, 0), (200_000, 9 << 20)] {
                let little = Shares::of(64 << 20, partitions, followed).unwrap();
                let named = little.way_out(window, piece);
                let mib = named.split("--memory ").nth(1).unwrap().split("MiB").next().unwrap();
                let much = Shares::of(mib.parse::<usize>().unwrap() << 20, partitions, followed).unwrap();
                assert!(much.memory_bytes > little.memory_bytes, "{named}");
                assert!(much.at_once * window.saturating_sub(much.window_bytes) <= much.slack_bytes, "{named}");
                assert!(piece <= much.unfold_bytes && window <= much.batch_bytes_max(), "{named}");
            }
        }
    }

    #[test]
    fn the_usual_consumer_gets_windows_of_full_size() {
        let shares = Shares::of(64 << 20, 10, true).unwrap();
        assert_eq!((shares.window_bytes, shares.block_bytes, shares.at_once), (1 << 20, 256 << 10, 10));
        assert_eq!(Shares::of(64 << 20, 100, false).unwrap().at_once, 15, "the others wait for their turn");
    }
}

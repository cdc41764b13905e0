//! The sender: each record when it is due, or as soon after that as there is room.

use super::plan::{Plan, latency_us};
use crate::base::clock::now_ms;
use crate::jobs::error::JobError;
use crate::jobs::pour::{Pour, PourRecord};
use crate::observe::histogram::Histogram;
use std::ops::Range;
use std::time::Duration;
use tokio::time::Instant;

/// A timer's step; waiting less than that takes as long.
const TICK: Duration = Duration::from_millis(1);
/// So long after the end what was due before it is still sent. Who is later than that has fallen behind.
const GRACE: Duration = Duration::from_millis(500);

/// Sends what the plan says until it ends; gives how many records were sent.
pub(super) async fn offer(pour: &mut Pour, plan: &Plan, record_bytes: usize) -> Result<u64, JobError> {
    let mut value = filler(record_bytes);
    let (clock, epoch_ms) = (Instant::now(), now_ms());
    let mut sent = 0;
    while sent < plan.records {
        let now = Instant::now();
        if now > plan.end() + GRACE {
            break;
        }
        while sent < plan.records && plan.due(sent) <= now {
            if let Some(stamp) = value.first_chunk_mut::<8>() {
                *stamp = plan.stamp(sent).to_be_bytes();
            }
            let due_ms = plan.due(sent).saturating_duration_since(clock).as_millis() as i64;
            let is_full = pour.add(&PourRecord { value: Some(&value), ..PourRecord::at(epoch_ms + due_ms) })?;
            sent += 1;
            if is_full {
                pour.hand_over().await?;
                if Instant::now() > plan.end() + GRACE {
                    return Ok(sent);
                }
            }
        }
        if sent < plan.records {
            pour.meanwhile(tokio::time::sleep_until(plan.due(sent).max(now + TICK))).await?;
        }
    }
    Ok(sent)
}

/// Adds what those of the plan's `records` have waited by now; gives how many of them were measured.
pub(super) fn add_waiting(
    latencies_us: &mut Histogram,
    plan: &Plan,
    records: Range<u64>,
    zero: Instant,
    now: Instant,
) -> u64 {
    let before = latencies_us.count();
    for record in records {
        if let Some(latency) = latency_us(plan.stamp(record), now.saturating_duration_since(zero)) {
            latencies_us.add(latency);
        }
    }
    latencies_us.count() - before
}

/// Text that is neither one byte again and again nor without any order: as compressible as records are.
fn filler(bytes: usize) -> Vec<u8> {
    const WORDS: &[u8] = b"order 4711 user 815 paid 12.50 EUR by card at 2026-01-01T00:00:00Z, shipped from store 23; ";
    WORDS.iter().copied().cycle().take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_due_and_not_sent_counts_with_the_time_it_has_waited() {
        let zero = Instant::now();
        let plan = Plan::new(100.0, zero, zero, Duration::from_secs(1), Duration::from_secs(1)).unwrap();
        let mut latencies = Histogram::default();
        // Half of the warm-up was sent and nothing else; a hundred measured records wait between 0.51 s and 1.5 s.
        let unsent = add_waiting(&mut latencies, &plan, 50..plan.records, zero, zero + Duration::from_millis(2500));
        assert_eq!((unsent, latencies.count()), (100, 100));
        let ms = |share| latencies.quantile(share).unwrap() / 1000;
        assert!((505..=518).contains(&ms(0.0)) && (1500..=1525).contains(&ms(1.0)), "{} {}", ms(0.0), ms(1.0));
    }

    #[test]
    fn a_value_has_the_bytes_that_were_asked_for() {
        assert_eq!(filler(8).len(), 8);
        assert_eq!(filler(1000).len(), 1000);
    }
}

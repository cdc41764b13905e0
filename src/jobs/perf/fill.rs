//! The input: a topic of a known shape, each partition sorted, with the times of records that came one after the other.

use super::rounds::Bench;
use crate::base::clock::now_ms;
use crate::base::place::TopicPartition;
use crate::batch::{BatchError, BatchWriter, Codec, Headers};
use crate::client::WriteOptions;
use crate::jobs::error::JobError;
use crate::jobs::generate::BATCH_BYTES_DEFAULT;
use crate::jobs::generate::ints::SortedInts;
use crate::jobs::generate::random::SplitMix64;
use crate::ports::Outgoing;
use futures::stream::{StreamExt as _, TryStreamExt as _};
use std::io::Write as _;

/// Partitions written at the same time.
const PARTITIONS_AT_ONCE: usize = 16;
/// Over so long the records of a partition seem to have come.
const SPAN_MS: i64 = 600_000;
/// What a record takes beside key and value, at most.
const RECORD_OVERHEAD_MAX: usize = 32;

/// Writes all partitions of the input, which are there and empty.
pub(super) async fn fill(bench: &Bench<'_>) -> Result<(), JobError> {
    let settings = bench.settings;
    bench.cx.progress.begin("fill", settings.records);
    let first_ms = now_ms() - SPAN_MS;
    let partitions = settings.shape.keys(settings.seed, settings.partitions, settings.records).zip(0..);
    let fills = partitions.map(|(keys, partition)| fill_one(bench, keys, partition, first_ms));
    futures::stream::iter(fills).buffer_unordered(PARTITIONS_AT_ONCE).try_collect().await
}

async fn fill_one(bench: &Bench<'_>, keys: SortedInts, partition: i32, first_ms: i64) -> Result<(), JobError> {
    let to = TopicPartition::new(bench.input, partition);
    let unwritable =
        |error: BatchError| JobError::Refused(format!("{}: a batch for it cannot be made: {error}", bench.input));
    let payload_bytes = bench.settings.shape.payload_bytes();
    let mut random = SplitMix64::new(bench.settings.seed, u64::from(u32::MAX) + 1 + partition as u64);
    let mut writer = bench.cluster.writer(to, 0, WriteOptions::default()).await?;
    let mut batch = BatchWriter::new(Codec::None);
    let (mut text, mut payload) = (Vec::new(), Vec::new());
    let count = keys.size_hint().0.max(1) as i64;
    for (index, key) in (0i64..).zip(keys) {
        text.clear();
        let _ = write!(text, "{key}");
        if batch.bytes() + text.len() + payload_bytes + RECORD_OVERHEAD_MAX > BATCH_BYTES_DEFAULT && !batch.is_empty() {
            let batch = finish(&mut batch, writer.spare()).map_err(unwritable)?;
            bench.cx.progress.add(batch.records.into(), batch.len as u64);
            writer.append(batch).await?;
        }
        let timestamp = first_ms + (i128::from(index) * i128::from(SPAN_MS) / i128::from(count)) as i64;
        let (key, value) = match payload_bytes {
            0 => (None, &text[..]),
            bytes => {
                fill_payload(&mut payload, bytes, &mut random);
                (Some(&text[..]), &payload[..])
            }
        };
        batch.push(timestamp, key, Some(value), Headers::EMPTY).map_err(unwritable)?;
    }
    if !batch.is_empty() {
        let last = finish(&mut batch, None).map_err(unwritable)?;
        bench.cx.progress.add(last.records.into(), last.len as u64);
        writer.append(last).await?;
    }
    writer.finish().await.1?;
    Ok(())
}

fn finish(batch: &mut BatchWriter, spare: Option<Vec<u8>>) -> Result<Outgoing, BatchError> {
    let records = batch.record_count() as u32;
    let mut bytes = spare.unwrap_or_default();
    let len = batch.finish_into(&mut bytes)?;
    Ok(Outgoing { bytes, len, records })
}

/// Text that is half the same and half not: compressible, as records are.
fn fill_payload(payload: &mut Vec<u8>, bytes: usize, random: &mut SplitMix64) {
    payload.clear();
    while payload.len() < bytes {
        let _ = write!(payload, "order {:016x} paid by card ", random.next_u64());
    }
    payload.truncate(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_the_bytes_that_were_asked_for_and_another_one_differs() {
        let (mut random, mut one, mut other) = (SplitMix64::new(1, 2), Vec::new(), Vec::new());
        fill_payload(&mut one, 100, &mut random);
        fill_payload(&mut other, 100, &mut random);
        assert!(one.len() == 100 && other.len() == 100 && one != other);
    }
}

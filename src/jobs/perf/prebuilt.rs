//! Batches made beforehand: those that a merge wrote, as if they had never been sent, or the same records in batches of another size.
//!
//! Where the output is larger than [`POOL_BYTES`], stretches of it are taken, spread evenly: the first records of an output are
//! not like the others. They are sent again and again then, until they are as many as the merge wrote (`wall.rs`).

use crate::base::appended::Appended;
use crate::base::place::TopicPartition;
use crate::batch::{Batch, BatchError, BatchMut, Batches, RecordReader};
use crate::client::{Cluster, OffsetAt, ReadOptions};
use crate::jobs::error::JobError;
use crate::jobs::merge::Retention;
use crate::jobs::outlet::{Cut, Outlet, Room};
use crate::observe::progress::Progress;
use crate::ports::{Outgoing, Sink, Source as _};
use std::ops::Range;

/// What is held of an output, at most.
pub(super) const POOL_BYTES: u64 = 256 << 20;
/// In so many pieces, where it is larger.
const STRETCHES: i64 = 8;
/// The most that a compressed batch may take when it is unfolded.
const UNFOLD_BYTES_MAX: usize = 64 << 20;

/// The batches of `output`, of which all take about `bytes`, as if they had never been sent.
pub(super) async fn as_written(
    cluster: &Cluster,
    output: &TopicPartition,
    bytes: u64,
) -> Result<Vec<Outgoing>, JobError> {
    let ends = cluster.offsets(std::slice::from_ref(output), OffsetAt::Latest).await?;
    let mut batches = Vec::new();
    for range in stretches(ends.first().copied().unwrap_or(0), bytes) {
        let mut reader = cluster.reader(output.clone(), range.clone(), ReadOptions::default());
        let mut window = Vec::new();
        while reader.next(&mut window).await?.is_some() {
            for batch in Batches::new(&window) {
                let broken = |error| JobError::Batch { at: output.at(range.start), error };
                let batch = batch.map_err(broken)?;
                batches.push(unsent(&batch).map_err(broken)?);
            }
        }
    }
    Ok(batches)
}

/// Which offsets of an output that ends at `end` and takes about `bytes` are held.
fn stretches(end: i64, bytes: u64) -> Vec<Range<i64>> {
    let stretches = if bytes <= POOL_BYTES || end < STRETCHES { 1 } else { STRETCHES };
    let every = end / stretches;
    let taken = match stretches {
        1 => every,
        _ => (i128::from(every) * i128::from(POOL_BYTES) / i128::from(bytes)) as i64,
    };
    (0..stretches).map(|stretch| stretch * every).map(|start| start..start + taken.max(1)).collect()
}

fn unsent(batch: &Batch<'_>) -> Result<Outgoing, BatchError> {
    let mut bytes = batch.bytes().to_vec();
    BatchMut::new(&mut bytes)?.unsign();
    Ok(Outgoing { len: bytes.len(), bytes, records: batch.header.record_count as u32 })
}

/// The records of `batches` in batches that are cut and encoded as the merge does it.
pub(super) async fn cut_anew(
    batches: Vec<Outgoing>,
    output: &TopicPartition,
    cut: Cut,
) -> Result<Vec<Outgoing>, JobError> {
    let sink = Kept { appended: Appended::at_end(output.clone(), 0), batches: Vec::new(), told: None };
    let (told, kept) = tokio::sync::oneshot::channel();
    let mut outlet =
        Outlet::new(Kept { told: Some(told), ..sink }, cut, Progress::default()).guarded_by(&Retention::default());
    let mut reader = RecordReader::new(UNFOLD_BYTES_MAX);
    for Outgoing { bytes, .. } in batches {
        let broken = |error| JobError::Batch { at: output.at(0), error };
        reader.start(&Batch::read(&bytes).map_err(broken)?).map_err(broken)?;
        while let Some(found) = reader.next_raw(&bytes).map_err(broken)? {
            if outlet.room(found.raw.len()) != Room::Yes && !outlet.is_empty() {
                outlet.send().await?;
                // Nothing here waits for anything; who asks us to stop is to be heard.
                tokio::task::yield_now().await;
            }
            outlet.push_raw(found.record.timestamp, found.raw).map_err(broken)?;
        }
    }
    outlet.finish().await.1?;
    kept.await.map_err(|_| JobError::OutputClosed)
}

/// A sink that keeps what it is given, and hands it over at the end.
struct Kept {
    appended: Appended,
    batches: Vec<Outgoing>,
    told: Option<tokio::sync::oneshot::Sender<Vec<Outgoing>>>,
}

impl Sink for Kept {
    type Error = JobError;

    fn partition(&self) -> &TopicPartition {
        self.appended.partition()
    }

    async fn append(&mut self, mut batch: Outgoing) -> Result<(), JobError> {
        self.appended.take(self.appended.next(), batch.records.into())?;
        batch.bytes.truncate(batch.len);
        // Buffers grow by doubling, and all of them are kept.
        batch.bytes.shrink_to_fit();
        self.batches.push(batch);
        Ok(())
    }

    fn spare(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn appended(&self) -> Appended {
        self.appended.clone()
    }

    async fn finish(self) -> (Appended, Result<(), JobError>) {
        if let Some(told) = self.told {
            let _ = told.send(self.batches);
        }
        (self.appended, Ok(()))
    }

    async fn close(self) -> (Appended, Result<(), JobError>) {
        (self.appended, Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchWriter, Codec, Headers, Record};
    use crate::jobs::testing::block_on;

    fn batch(codec: Codec, numbers: Range<u32>) -> Outgoing {
        let mut writer = BatchWriter::new(codec);
        for number in numbers.clone() {
            let (key, value) = (format!("key {number}"), number.to_string());
            writer.push(number.into(), Some(key.as_bytes()), Some(value.as_bytes()), Headers::EMPTY).unwrap();
        }
        let bytes = writer.finish().unwrap().to_vec();
        Outgoing { len: bytes.len(), bytes, records: numbers.len() as u32 }
    }

    fn records(batches: &[Outgoing]) -> Vec<(i64, i64, Vec<u8>, Vec<u8>)> {
        let mut reader = RecordReader::new(1 << 20);
        let mut records = Vec::new();
        for Outgoing { bytes, len, .. } in batches {
            let batch = Batch::read(&bytes[..*len]).unwrap();
            batch.verify_checksum().unwrap();
            reader.start(&batch).unwrap();
            while let Some(Record { offset, timestamp, key, value, .. }) = reader.next_in(bytes).unwrap() {
                records.push((offset, timestamp, key.unwrap().to_vec(), value.unwrap().to_vec()));
            }
        }
        records
    }

    #[test]
    fn what_was_sent_in_a_transaction_is_as_if_it_had_never_been() {
        let written = batch(Codec::Lz4, 0..100);
        let mut stored = written.bytes.clone();
        let mut sent = BatchMut::new(&mut stored).unwrap();
        sent.sign(77, 3, 500, true);
        sent.set_base_offset(4711);
        sent.set_leader_epoch(9);
        assert_ne!(stored, written.bytes);
        let unsent = unsent(&Batch::read(&stored).unwrap()).unwrap();
        assert_eq!((unsent.bytes, unsent.records), (written.bytes, 100));
    }

    #[test]
    fn batches_of_another_size_hold_the_same_records_and_are_as_large_as_may_be() {
        for codec in [Codec::None, Codec::Lz4] {
            let batches: Vec<_> = [0..300, 300..310, 310..1000].map(|numbers| batch(codec, numbers)).into();
            let before = records(&batches);
            let cut = Cut { batch_bytes: 2000, bytes_max: 1 << 20, codec };
            let anew = block_on(cut_anew(batches, &TopicPartition::new("out", 0), cut)).unwrap();
            let after = records(&anew);
            let of = |all: &[(i64, i64, Vec<u8>, Vec<u8>)]| -> Vec<_> {
                all.iter().map(|(_, time, key, value)| (*time, key.clone(), value.clone())).collect()
            };
            assert_eq!(of(&after), of(&before), "{codec:?}");
            assert_eq!(anew.iter().map(|batch| u64::from(batch.records)).sum::<u64>(), 1000);
            assert!(anew.len() > 5 && anew.iter().all(|batch| batch.len == batch.bytes.len() && batch.len <= 2000));
            let (_, full) = anew.split_last().unwrap();
            if codec == Codec::None {
                assert!(
                    full.iter().all(|batch| batch.len > 1900),
                    "{:?}",
                    full.iter().map(|b| b.len).collect::<Vec<_>>()
                );
            }
        }
    }

    #[test]
    fn a_large_output_is_held_in_pieces_from_all_of_it() {
        let pieces = |end, bytes| -> Vec<(i64, i64)> {
            stretches(end, bytes).into_iter().map(|range| (range.start, range.end)).collect()
        };
        assert_eq!(pieces(1000, 10), [(0, 1000)]);
        assert_eq!(pieces(3, 10 * POOL_BYTES), [(0, 3)]);
        let pieces = pieces(8_000_000, 4 * POOL_BYTES);
        assert_eq!((pieces.len(), pieces[0], pieces[7]), (8, (0, 250_000), (7_000_000, 7_250_000)));
    }
}

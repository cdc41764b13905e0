//! When the record at an offset was written, for who measures how late a reader is.
//!
//! No request answers that, so the batch there is fetched: one, whole, as a broker sends at least one. Uncommitted records count,
//! as they do in the lag. What lies there may be no record (a marker, a hole that compaction left): then the next one is
//! what the reader waits for, and a few batches are looked through for it. Nothing is repeated: whoever looks on looks again.

use super::cluster::{Ask, Cluster, call_error, refused};
use super::error::ClientError;
use super::one_batch::one_batch;
use crate::base::place::TopicPartition;
use crate::batch::{Batch, Batches, RecordReader};
use crate::wire::ErrorCode;
use crate::wire::fetch::Fetch;
use std::ops::Range;

const READ_UNCOMMITTED: i8 = 0;

/// How many fetches one question may take.
const LOOKS_MAX: usize = 4;

/// What a batch's records may take while they are unfolded.
const WINDOW_BYTES_MAX: usize = 8 << 20;

/// The first record of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstRecord {
    /// Its timestamp, in milliseconds since 1970.
    Written(i64),
    /// There is none: markers, or holes, up to the end.
    Nothing,
    /// It was not found in the batches that were looked through.
    NotFound,
}

impl Cluster {
    /// When the first record in this range of offsets was written.
    pub async fn first_record_in(
        &self,
        partition: &TopicPartition,
        range: Range<i64>,
    ) -> Result<FirstRecord, ClientError> {
        let mut from = range.start;
        for _ in 0..LOOKS_MAX {
            if from >= range.end {
                return Ok(FirstRecord::Nothing);
            }
            match self.look_at(partition, from).await? {
                Seen::Record(time) => return Ok(FirstRecord::Written(time)),
                Seen::Nothing { next } if next > from => from = next,
                Seen::Nothing { .. } => return Ok(FirstRecord::NotFound),
            }
        }
        Ok(if from >= range.end { FirstRecord::Nothing } else { FirstRecord::NotFound })
    }

    async fn look_at(&self, partition: &TopicPartition, from: i64) -> Result<Seen, ClientError> {
        let deadline = self.deadline();
        let leader = self.leader(partition, deadline).await?;
        let request = one_batch(partition, leader, from, READ_UNCOMMITTED);
        let answer = self.call::<Fetch>(Ask::Node(leader.node), &request, deadline).await?;
        let broker = answer.broker();
        let response = answer.read().map_err(|error| call_error::<Fetch>(broker, error))?;
        let check =
            |code: i16| ErrorCode::check(code).map_err(|code| refused(broker, "Fetch", partition.at(from), code));
        check(response.error_code)?;
        // One partition was asked for; a throttled broker may name none.
        let mut found = response.responses.iter().flat_map(|topic| &topic.partitions);
        let Some(data) = found.find(|data| data.partition_index == partition.partition) else {
            return Ok(Seen::Nothing { next: from });
        };
        check(data.error_code)?;
        Ok(first_record(data.records.unwrap_or_default(), from))
    }
}

/// What the batches of an answer hold.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// A record's timestamp.
    Record(i64),
    /// No record; where to look on.
    Nothing { next: i64 },
}

/// The first record at or after `from`. What cannot be read ends the look: readers of the data say what is wrong with it.
fn first_record(bytes: &[u8], from: i64) -> Seen {
    let mut next = from;
    for batch in Batches::new(bytes) {
        let Ok(batch) = batch else { break };
        if batch.header.last_offset() < from {
            continue;
        }
        if !batch.header.is_control()
            && let Some(time) = time_in(&batch, from)
        {
            return Seen::Record(time);
        }
        next = next.max(batch.header.last_offset().saturating_add(1));
    }
    Seen::Nothing { next }
}

fn time_in(batch: &Batch<'_>, from: i64) -> Option<i64> {
    let mut reader = RecordReader::new(WINDOW_BYTES_MAX);
    reader.start(batch).ok()?;
    while let Ok(Some(record)) = reader.next(batch) {
        if record.offset >= from {
            return Some(record.timestamp);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchWriter, Codec, Headers};

    /// A batch of records with these timestamps, from offset `base` on.
    fn batch(base: i64, codec: Codec, times: &[i64]) -> Vec<u8> {
        let mut writer = BatchWriter::new(codec);
        for time in times {
            writer.push(*time, None, Some(b"x"), Headers::EMPTY).unwrap();
        }
        let mut bytes = writer.finish().unwrap().to_vec();
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        bytes
    }

    #[test]
    fn the_record_at_the_offset_is_found_also_in_the_middle_of_a_batch() {
        for codec in [Codec::None, Codec::Gzip] {
            let bytes = [batch(10, codec, &[100, 101, 102]), batch(13, codec, &[7])].concat();
            for (from, time) in [(10, 100), (12, 102), (13, 7), (5, 100)] {
                assert_eq!(first_record(&bytes, from), Seen::Record(time), "{from} {codec:?}");
            }
            assert_eq!(first_record(&bytes, 14), Seen::Nothing { next: 14 });
        }
    }

    #[test]
    fn what_is_no_record_is_passed_over_and_what_cannot_be_read_ends_the_look() {
        let mut control = batch(10, Codec::None, &[100]);
        control[22] |= 0x20; // the attributes: a control batch
        assert_eq!(first_record(&control, 10), Seen::Nothing { next: 11 });
        let good = batch(11, Codec::None, &[55]);
        assert_eq!(first_record(&[control, good.clone()].concat(), 10), Seen::Record(55));
        assert_eq!(first_record(&good[..good.len() - 1], 11), Seen::Nothing { next: 11 });
        assert_eq!(first_record(&[0xff; 80], 11), Seen::Nothing { next: 11 });
    }
}

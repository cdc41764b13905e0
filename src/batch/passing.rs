//! Records that are passed over: what a broker asks of those it stores, without taking them apart.
//!
//! Of most records there is nothing to say. They can be read, each is one offset behind the one before, its time is one that
//! may be, its key is there where one must be. That is seen without building the record: what its offset must look like is
//! known before it is read, so it is compared and not decoded, and its key and value are stepped over. What is not seen to be
//! right at once is left to the reader, which also knows what is wrong with it; nothing is refused here.
//!
//! The value's length is not decoded either: it must be what the record has left. Measured on batches of dense integers: 72
//! instructions a record, 131 by [`RecordReader::each`](super::RecordReader::each), 214 by
//! [`RecordReader::next`](super::RecordReader::next).

use super::lengths::{NULL, longer_length, short_length, two_bytes};
use super::varint::in_word;

/// What records must be to be passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unseen {
    /// The least timestamp.
    pub earliest: i64,
    /// The largest one.
    pub latest: i64,
    /// They must have keys.
    pub keyed: bool,
}

/// Records that were passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// How many.
    pub records: i32,
    /// The largest timestamp of theirs, if there are any.
    pub max_timestamp: Option<i64>,
}

impl Passed {
    pub(super) const NOTHING: Passed = Passed { records: 0, max_timestamp: None };
}

/// The first offset deltas that take two, three, and four bytes.
const TWO_BYTES_FROM: i32 = 1 << 6;
const THREE_BYTES_FROM: i32 = 1 << 13;
const FOUR_BYTES_FROM: i32 = 1 << 20;

/// What is looked for in a stretch of records.
struct Bounds {
    least_timestamp_delta: i64,
    /// How far above the least they may be.
    span: u64,
    keyed: bool,
}

/// How far one got.
struct Stretch<'a> {
    rest: &'a [u8],
    /// The offset delta that is next.
    delta: i32,
    timestamp_delta_max: i64,
}

/// Passes over at most `count` records at the front of `bytes`, the first of which must have that offset delta; gives how
/// many bytes they take.
pub(super) fn pass(bytes: &[u8], first_delta: i32, count: i32, base: i64, unseen: &Unseen) -> (Passed, usize) {
    let Some(end_delta) = first_delta.checked_add(count) else { return (Passed::NOTHING, 0) };
    if first_delta < 0 || unseen.earliest > unseen.latest {
        return (Passed::NOTHING, 0);
    }
    // A timestamp that wraps, as it does in the reader, lies outside of these.
    let least_timestamp_delta = unseen.earliest.saturating_sub(base);
    let span = unseen.latest.saturating_sub(base).abs_diff(least_timestamp_delta);
    let bounds = Bounds { least_timestamp_delta, span, keyed: unseen.keyed };
    let mut found = Stretch { rest: bytes, delta: first_delta, timestamp_delta_max: i64::MIN };
    // Each size of offset has its own loop.
    for (below, pass) in [
        (TWO_BYTES_FROM, stretch::<1> as fn(&mut Stretch<'_>, i32, &Bounds)),
        (THREE_BYTES_FROM, stretch::<2>),
        (FOUR_BYTES_FROM, stretch::<3>),
    ] {
        let to = end_delta.min(below);
        if found.delta < to {
            pass(&mut found, to, &bounds);
            if found.delta < to {
                break;
            }
        }
    }
    let records = found.delta - first_delta;
    let max_timestamp = (records > 0).then(|| base + found.timestamp_delta_max);
    (Passed { records, max_timestamp }, bytes.len() - found.rest.len())
}

/// Passes over records whose offset deltas take so many bytes, up to one that has the delta `to`.
#[inline(never)]
fn stretch<const OFFSET_BYTES: usize>(found: &mut Stretch<'_>, to: i32, bounds: &Bounds) {
    let Stretch { mut rest, mut delta, mut timestamp_delta_max } = *found;
    let Bounds { least_timestamp_delta, span, keyed } = *bounds;
    while delta < to {
        let Some(record) = usual::<OFFSET_BYTES>(rest, offset_word::<OFFSET_BYTES>(delta)) else { break };
        let timestamp_delta = record.timestamp_delta;
        if timestamp_delta.wrapping_sub(least_timestamp_delta) as u64 > span || keyed && !record.has_key {
            break;
        }
        timestamp_delta_max = timestamp_delta_max.max(timestamp_delta);
        rest = record.rest;
        delta += 1;
    }
    *found = Stretch { rest, delta, timestamp_delta_max };
}

/// How an offset delta of that many bytes is written.
#[inline(always)]
fn offset_word<const OFFSET_BYTES: usize>(delta: i32) -> u64 {
    let raw = u64::from(delta as u32) << 1;
    match OFFSET_BYTES {
        1 => raw,
        2 => two_bytes(raw),
        _ => raw & 0x7f | 0x8080 | (raw << 1) & 0x7f00 | (raw >> 14) << 16,
    }
}

struct Usual<'a> {
    timestamp_delta: i64,
    has_key: bool,
    /// What lies behind it.
    rest: &'a [u8],
}

/// The record at the front of `bytes`, if it is a usual one (lengths of one or two bytes, a value, no headers) and has this
/// offset.
#[inline(always)]
fn usual<const OFFSET_BYTES: usize>(bytes: &[u8], offset: u64) -> Option<Usual<'_>> {
    let word = word_at(bytes, 0)?;
    if let Some(length) = short_length(word) {
        return behind_length::<OFFSET_BYTES, 1>(bytes, word, length, offset);
    }
    behind_length::<OFFSET_BYTES, 2>(bytes, word, longer_length(word)?, offset)
}

/// The same behind its length, which took so many bytes of the word that it begins with.
#[inline(always)]
fn behind_length<const OFFSET_BYTES: usize, const LENGTH_BYTES: usize>(
    bytes: &[u8],
    word: u64,
    length: usize,
    offset: u64,
) -> Option<Usual<'_>> {
    let (record, rest) = bytes.split_at_checked(LENGTH_BYTES + length)?;
    let [record @ .., 0] = record else { return None };
    // The attributes byte has no meaning.
    let (timestamp_delta, more) = in_word::<5>(word >> (8 * LENGTH_BYTES + 8))?;
    let at = LENGTH_BYTES + 1 + more;
    let word = word_at(bytes, at)?;
    if word & (u64::MAX >> (64 - 8 * OFFSET_BYTES)) != offset {
        return None;
    }
    let (word, at) = (word >> (8 * OFFSET_BYTES), at + OFFSET_BYTES);
    if word as u8 == NULL {
        let left = record.len().checked_sub(at + 1)?;
        return is_value(word >> 8, left).then_some(Usual { timestamp_delta, has_key: false, rest });
    }
    let value_at = match short_length(word) {
        Some(length) => at + 1 + length,
        None => at + 2 + longer_length(word)?,
    };
    let left = record.len().checked_sub(value_at)?;
    is_value(word_at(bytes, value_at)?, left).then_some(Usual { timestamp_delta, has_key: true, rest })
}

/// Whether a word begins with the length of a value that takes, with its length, exactly so many bytes.
#[inline(always)]
fn is_value(word: u64, bytes: usize) -> bool {
    // What is left at least is a length of one byte; from 65 on it takes two.
    match bytes as u64 {
        0 => false,
        bytes @ 1..=64 => word & 0xff == (bytes - 1) << 1,
        bytes => bytes < 8194 && word & 0xffff == two_bytes((bytes - 2) << 1),
    }
}

#[inline(always)]
fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::super::{Batch, BatchError, BatchMut, BatchWriter, Codec, Headers, HeadersBuf, RecordReader};
    use super::*;
    use proptest::prelude::*;

    const ALL: Unseen = Unseen { earliest: i64::MIN, latest: i64::MAX, keyed: false };

    /// What there is to say of a batch: where its first record lies that is not as it should be, or that nothing is wrong,
    /// and how many records and which largest timestamp come before that.
    type Said = (Result<bool, BatchError>, i32, Option<i64>);

    fn is_fine(timestamp: i64, has_key: bool, unseen: &Unseen) -> bool {
        (unseen.earliest..=unseen.latest).contains(&timestamp) && (has_key || !unseen.keyed)
    }

    /// One record after the other; with `passes` only those that are not passed over.
    fn walked(bytes: &[u8], unseen: &Unseen, passes: bool) -> Said {
        let batch = Batch::read(bytes).unwrap();
        let mut reader = RecordReader::new(1 << 20);
        let (mut records, mut max_timestamp) = (0, None);
        if let Err(error) = reader.start(&batch) {
            return (Err(error), 0, None);
        }
        loop {
            if passes {
                let passed = reader.pass(bytes, unseen);
                records += passed.records;
                max_timestamp = max_timestamp.max(passed.max_timestamp);
            }
            match reader.next(&batch) {
                Err(error) => return (Err(error), records, max_timestamp),
                Ok(None) => return (Ok(true), records, max_timestamp),
                Ok(Some(record)) if !is_fine(record.timestamp, record.key.is_some(), unseen) => {
                    return (Ok(false), records, max_timestamp);
                }
                Ok(Some(record)) => {
                    records += 1;
                    max_timestamp = max_timestamp.max(Some(record.timestamp));
                }
            }
        }
    }

    /// Timestamp, key, value, headers.
    type Made = (i64, Option<Vec<u8>>, Option<Vec<u8>>, bool);

    fn written(records: &[Made]) -> Vec<u8> {
        let mut writer = BatchWriter::new(Codec::None);
        let mut headers = HeadersBuf::default();
        headers.push(b"h", Some(b"v"));
        for (timestamp, key, value, has_headers) in records {
            let headers = if *has_headers { headers.headers() } else { Headers::EMPTY };
            writer.push(*timestamp, key.as_deref(), value.as_deref(), headers).unwrap();
        }
        writer.finish().unwrap().to_vec()
    }

    fn bytes(most: usize) -> impl Strategy<Value = Option<Vec<u8>>> {
        prop_oneof![
            1 => Just(None),
            9 => prop_oneof![8 => 0..20_usize, 1 => 50..80_usize, 1 => 0..most].prop_map(|length| Some(vec![b'x'; length])),
        ]
    }

    fn record() -> impl Strategy<Value = Made> {
        let near = 1_700_000_000_000_i64;
        let time = prop_oneof![
            8 => near - 100..near + 100,
            2 => near - (1 << 22)..near + (1 << 22),
            1 => near - (1 << 36)..near + (1 << 36),
            1 => any::<i64>(),
        ];
        (time, bytes(70), bytes(9000), proptest::bool::weighted(0.05))
    }

    fn unseen() -> impl Strategy<Value = Unseen> {
        let time = || prop_oneof![Just(i64::MIN), Just(i64::MAX), 1_700_000_000_000 - 100..1_700_000_000_000_i64 + 100];
        (time(), time(), any::<bool>()).prop_map(|(one, other, keyed)| Unseen {
            earliest: one.min(other),
            latest: one.max(other),
            keyed,
        })
    }

    proptest! {
        #[test]
        fn passing_over_records_says_of_a_batch_what_looking_at_each_says(
            records in proptest::collection::vec(record(), 1..150),
            unseen in unseen(),
            flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
            counts in (-2..3_i32, -2..3_i32),
        ) {
            let mut bytes = written(&records);
            prop_assert_eq!(walked(&bytes, &unseen, true), walked(&bytes, &unseen, false));
            // The same of what nobody should send.
            let length = bytes.len() - super::super::HEADER_BYTES;
            for (place, byte) in flips {
                bytes[super::super::HEADER_BYTES + place.index(length)] = byte;
            }
            for (at, off) in [(23, counts.0), (57, counts.1)] {
                let field = i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
                bytes[at..at + 4].copy_from_slice(&field.saturating_add(off).max(0).to_be_bytes());
            }
            if Batch::read(&bytes).is_ok() {
                prop_assert_eq!(walked(&bytes, &unseen, true), walked(&bytes, &unseen, false));
            }
        }
    }

    #[test]
    fn whatever_stands_in_place_of_a_byte_passing_over_records_says_what_looking_at_each_says() {
        let bytes = |length: usize| Some(vec![b'x'; length]);
        // Keys and values with lengths of one byte and of two, and records behind, so that none of these is among the last.
        let lengths = [(None, 1), (Some(3), 2), (None, 63), (Some(64), 1), (None, 64), (Some(1), 70)];
        let kinds = lengths.into_iter().chain([(None, 9); 3]);
        for base in [1_700_000_000_000_i64, i64::MAX - 1, i64::MIN + 1] {
            let time = |n: usize| base.wrapping_add([0, 5, -3, 70, 9_000, -2_000_000, 1 << 30, 0, 1][n]);
            let record = |(n, (key, value)): (usize, (Option<usize>, usize))| {
                (time(n), key.and_then(bytes), bytes(value), false)
            };
            let whole = written(&kinds.clone().enumerate().map(record).collect::<Vec<_>>());
            for at in super::super::HEADER_BYTES..whole.len() {
                for byte in 0..=u8::MAX {
                    let mut changed = whole.clone();
                    changed[at] = byte;
                    let said = walked(&changed, &ALL, true);
                    assert_eq!(said, walked(&changed, &ALL, false), "base {base}, byte {at} is {byte}");
                }
            }
        }
    }

    #[test]
    fn of_many_records_with_every_size_of_offset_only_the_last_few_are_looked_at() {
        let records: Vec<Made> = (0..20_000)
            .map(|n| (1_700_000_000_000 + n * 500_000, None, Some(n.to_string().into_bytes()), false))
            .collect();
        let bytes = written(&records);
        let batch = Batch::read(&bytes).unwrap();
        let mut reader = RecordReader::new(0);
        reader.start(&batch).unwrap();
        let passed = reader.pass(&bytes, &ALL);
        assert!(passed.records >= 19_998, "{passed:?}");
        let last = records[passed.records as usize - 1].0;
        assert_eq!(passed.max_timestamp, Some(last));
        let next = reader.next(&batch).unwrap().map(|record| record.offset);
        assert_eq!(next.unwrap_or(20_000), i64::from(passed.records));
        assert_eq!(walked(&bytes, &ALL, true), (Ok(true), 20_000, Some(records[19_999].0)));
    }

    #[test]
    fn a_record_without_a_key_or_of_another_time_is_stopped_at_and_given() {
        let key = |n: i64| (n != 70).then(|| b"k".to_vec());
        let records: Vec<Made> = (0..100).map(|n| (n, key(n), Some(b"value".to_vec()), false)).collect();
        let bytes = written(&records);
        assert_eq!(walked(&bytes, &Unseen { keyed: true, ..ALL }, true), (Ok(false), 70, Some(69)));
        assert_eq!(walked(&bytes, &Unseen { latest: 80, ..ALL }, true), (Ok(false), 81, Some(80)));
        assert_eq!(walked(&bytes, &Unseen { earliest: 1, ..ALL }, true), (Ok(false), 0, None));
    }

    #[test]
    fn what_has_one_time_for_all_records_or_must_be_unfolded_is_not_passed_over() {
        let mut bytes = written(&vec![(5, None, Some(b"value".to_vec()), false); 50]);
        BatchMut::new(&mut bytes).unwrap().set_append_time(9);
        let mut reader = RecordReader::new(1 << 20);
        reader.start(&Batch::read(&bytes).unwrap()).unwrap();
        assert_eq!(reader.pass(&bytes, &ALL), Passed::NOTHING);
        assert_eq!(walked(&bytes, &ALL, true), (Ok(true), 50, Some(9)));
    }
}

//! Records in a row: usual ones whose offsets follow each other, the quickest way to many of them.
//!
//! What the next offset must look like is known before it is read, so it is compared and not decoded. The value's length is not
//! decoded either: it must be what the record has left. Neither is an offset made, nor is it asked for each record how many are
//! wanted or whether it lies in the range: the caller has put that into one number. What is not seen to be right at once ends
//! the row and stays to be read one by one; nothing is refused here.

use super::lengths::{NULL, longer_length, short_length, two_bytes};
use super::varint::{in_word, word as written, zigzag};

/// A record of a row, which has no headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// When it was written.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value, which is there.
    pub value: &'a [u8],
    /// What these two take.
    pub payload_bytes: usize,
    /// Where its key, value and headers begin, as [`RawRecord::raw`](super::RawRecord::raw) has them.
    pub start: usize,
    /// How many bytes those are.
    pub bytes: usize,
}

/// Who wants rows; no closure, because its one method must become a part of several loops.
pub trait TakeRows {
    /// Takes a record; `false` if it does not, or wants no more: it stays the next one.
    fn take(&mut self, row: Row<'_>) -> bool;
}

/// What a distance in time is added to.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) base: i64,
    /// All of that distance, or nothing where the broker set the time of all records.
    pub(super) mask: i64,
}

/// How far one got: where the next record lies, and its offset delta.
#[derive(Clone, Copy)]
pub(super) struct Next {
    pub(super) at: usize,
    pub(super) delta: i32,
}

/// How many bytes of a record and what follows it are looked at before its length is known.
const HEAD_BYTES: usize = 32;

/// Gives `rows` records from `next` up to the offset delta `end`, whose offsets follow each other, as long as it takes them.
#[inline(always)]
pub(super) fn in_a_row<R: TakeRows>(bytes: &[u8], next: Next, end: i32, times: Times, rows: R) -> (Next, R) {
    // Each size of offset has its own loop.
    let (next, rows) = stretch::<1, R>(bytes, next, end, times, rows);
    let (next, rows) = stretch::<2, R>(bytes, next, end, times, rows);
    stretch::<3, R>(bytes, next, end, times, rows)
}

/// The same of those whose offset deltas take so many bytes. `rows` comes and goes by value: lent, it would live in memory.
#[inline(always)]
fn stretch<const OFFSET_BYTES: usize, R: TakeRows>(
    bytes: &[u8],
    next: Next,
    end: i32,
    times: Times,
    mut rows: R,
) -> (Next, R) {
    // The number is counted up as it stands encoded, as by `Counter`, of which here nothing is left but constants: the marks that more bytes follow are put back after each addition, which
    // carries through them, and one byte more is needed where the last one's mark appears.
    let over = 0x80 << (8 * (OFFSET_BYTES - 1));
    let more = 0x80_8080 & (over - 1);
    let (mut offset, _) = match written(zigzag(next.delta.into())) {
        Some(found) if found.1 == OFFSET_BYTES && (0..end).contains(&next.delta) => found,
        _ => return (next, rows),
    };
    // One that takes more bytes, or too many to be written here, does not come in this loop.
    let end = written(zigzag(end.into())).map_or(u64::MAX, |(end, _)| end);
    let mut at = next.at;
    while let Some((row, behind)) = row::<OFFSET_BYTES>(bytes, at, offset, &times) {
        if !rows.take(row) {
            break;
        }
        at = behind;
        offset = (offset + 2) | more;
        if offset & over != 0 {
            return (Next { at, delta: 1 << (7 * OFFSET_BYTES - 1) }, rows);
        }
        if offset == end {
            break;
        }
    }
    let delta = in_word::<3>(offset).map_or(next.delta, |(delta, _)| delta as i32);
    (Next { at, delta }, rows)
}

#[inline(always)]
fn row<'a, const OFFSET_BYTES: usize>(
    bytes: &'a [u8],
    at: usize,
    offset: u64,
    times: &Times,
) -> Option<(Row<'a>, usize)> {
    let rest = bytes.get(at..)?;
    let head = rest.first_chunk::<HEAD_BYTES>()?;
    let word = word_at(head, 0);
    if let Some(length) = short_length(word) {
        behind_length::<OFFSET_BYTES, 1>(rest, head, at, length, offset, times)
    } else {
        behind_length::<OFFSET_BYTES, 2>(rest, head, at, longer_length(word)?, offset, times)
    }
}

/// The same behind its length, which took so many bytes.
#[inline(always)]
fn behind_length<'a, const OFFSET_BYTES: usize, const LENGTH_BYTES: usize>(
    rest: &'a [u8],
    head: &[u8; HEAD_BYTES],
    at: usize,
    length: usize,
    offset: u64,
    times: &Times,
) -> Option<(Row<'a>, usize)> {
    let end = LENGTH_BYTES + length;
    let [record @ .., 0] = rest.get(..end)? else { return None };
    // The attributes byte has no meaning.
    let (timestamp_delta, more) = in_word::<5>(word_at(head, LENGTH_BYTES + 1))?;
    let place = LENGTH_BYTES + 1 + more;
    let word = word_at(head, place);
    if (word ^ offset) << (64 - 8 * OFFSET_BYTES) != 0 {
        return None;
    }
    let start = place + OFFSET_BYTES;
    let word = word >> (8 * OFFSET_BYTES);
    let row = |key, value, payload_bytes| {
        let timestamp = times.base.wrapping_add(timestamp_delta & times.mask);
        (Row { timestamp, key, value, payload_bytes, start: at + start, bytes: end - start }, at + end)
    };
    if word as u8 == NULL {
        let value = value_of(record, start + 1, word >> 8)?;
        Some(row(None, value, value.len()))
    } else {
        let (length, place) = match short_length(word) {
            Some(length) => (length, start + 1),
            None => (longer_length(word)?, start + 2),
        };
        let key = record.get(place..place + length)?;
        let place = place + length;
        let word = rest.get(place..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))?;
        let value = value_of(record, place, word.into())?;
        Some(row(Some(key), value, length + value.len()))
    }
}

/// The value whose length stands at `place`, where `word` begins, if all that is left of the record is that value.
#[inline(always)]
fn value_of(record: &[u8], place: usize, word: u64) -> Option<&[u8]> {
    let left = record.get(place..)?;
    // What is left at least is a length of one byte; from 65 on it takes two. Asked as where records are passed over, and cut
    // then, it is 5 to 12 instructions more a record.
    match left.len() as u64 {
        0 => None,
        bytes @ 1..=64 => (word & 0xff == (bytes - 1) << 1).then_some(&left[1..]),
        bytes => (bytes < 8194 && word & 0xffff == two_bytes((bytes - 2) << 1)).then(|| &left[2..]),
    }
}

/// Eight bytes of a head, from a place below sixteen on.
#[inline(always)]
fn word_at(head: &[u8; HEAD_BYTES], place: usize) -> u64 {
    // The mask changes nothing but what the compiler knows.
    let mut word = [0; 8];
    word.copy_from_slice(&head[place & 15..][..8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::super::{
        Batch, BatchError, BatchMut, BatchWriter, Codec, HEADER_BYTES, Headers, HeadersBuf, RecordReader,
    };
    use super::*;
    use proptest::prelude::*;

    /// Offset, timestamp, key, value, and where key, value and headers lie.
    type Seen = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, usize, usize);

    /// Keeps what it takes, which is not everything.
    struct Keeping<'a> {
        first: i64,
        seen: &'a mut Vec<Seen>,
    }

    impl TakeRows for Keeping<'_> {
        fn take(&mut self, row: Row<'_>) -> bool {
            if row.value == b"no" {
                return false;
            }
            let (key, value) = (row.key.map(<[u8]>::to_vec), row.value.to_vec());
            assert_eq!(row.payload_bytes, key.as_ref().map_or(0, Vec::len) + value.len());
            self.seen.push((self.first, row.timestamp, key, Some(value), row.start, row.bytes));
            self.first += 1;
            true
        }
    }

    /// All records, with what is wrong behind them; where `most` says so, as many as that in a row between those read alone.
    fn read(bytes: &[u8], most: Option<usize>, before: usize) -> (Vec<Seen>, Result<(), BatchError>) {
        let batch = Batch::read(bytes).unwrap();
        let (mut reader, mut seen) = (RecordReader::new(1 << 20), Vec::new());
        if let Err(error) = reader.start(&batch) {
            return (seen, Err(error));
        }
        // Something lies before the batch, as in a window.
        let mut window = vec![0xff; before];
        window.extend_from_slice(batch.bytes());
        loop {
            if let Some(most) = most {
                let (first, before_it) = (reader.reached(), seen.len());
                reader.in_a_row(&window, before, most, Keeping { first, seen: &mut seen });
                assert!(seen.len() - before_it <= most);
            }
            match reader.next_raw(&window[before..]) {
                Ok(Some(found)) => {
                    let (record, end) = (found.record, found.end.unwrap());
                    let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
                    let (start, length) = (before + end - found.raw.len(), found.raw.len());
                    seen.push((record.offset, record.timestamp, key, value, start, length));
                }
                Ok(None) => return (seen, Ok(())),
                Err(error) => return (seen, Err(error)),
            }
        }
    }

    /// Timestamp, key, value, whether there are headers.
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
        let length = prop_oneof![8 => 0..20_usize, 1 => 50..80_usize, 1 => 0..most];
        prop_oneof![1 => Just(None), 18 => length.prop_map(|length| Some(vec![b'x'; length])), 1 => Just(Some(b"no".to_vec()))]
    }

    fn record() -> impl Strategy<Value = Made> {
        let near = 1_700_000_000_000_i64;
        let time = prop_oneof![8 => near - 100..near + 100, 2 => near - (1 << 36)..near + (1 << 36), 1 => any::<i64>()];
        (time, bytes(9000), bytes(9000), proptest::bool::weighted(0.05))
    }

    proptest! {
        #[test]
        fn rows_and_records_read_alone_are_what_reading_each_alone_gives(
            records in proptest::collection::vec(record(), 1..150),
            most in 0..40_usize,
            before in 0..20_usize,
            append_time in proptest::option::of(any::<i32>()),
            flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
            counts in (-2..3_i32, -2..3_i32),
        ) {
            let mut bytes = written(&records);
            if let Some(time) = append_time {
                BatchMut::new(&mut bytes).unwrap().set_append_time(time.into());
            }
            for most in [most, usize::MAX] {
                prop_assert_eq!(read(&bytes, Some(most), before), read(&bytes, None, before));
            }
            // The same of what nobody should send.
            let length = bytes.len() - HEADER_BYTES;
            for (place, byte) in flips {
                bytes[HEADER_BYTES + place.index(length)] = byte;
            }
            for (at, off) in [(23, counts.0), (57, counts.1)] {
                let field = i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
                bytes[at..at + 4].copy_from_slice(&field.saturating_add(off).max(0).to_be_bytes());
            }
            if Batch::read(&bytes).is_ok() {
                for most in [most, usize::MAX] {
                    prop_assert_eq!(read(&bytes, Some(most), before), read(&bytes, None, before));
                }
            }
        }
    }

    #[test]
    fn whatever_stands_in_place_of_a_byte_rows_are_what_reading_each_alone_gives() {
        let bytes = |length: usize| Some(vec![b'x'; length]);
        let lengths = [(None, 1), (Some(3), 2), (None, 63), (Some(64), 1), (None, 64), (Some(1), 70), (Some(0), 0)];
        let kinds = lengths.into_iter().chain([(None, 30); 3]);
        for base in [1_700_000_000_000_i64, i64::MAX - 1] {
            let time = |n: usize| base.wrapping_add([0, 5, -3, 70, 9_000, -2_000_000, 1 << 30, 1 << 40, 0, 1][n]);
            let record = |(n, (key, value)): (usize, (Option<usize>, usize))| {
                (time(n), key.and_then(bytes), bytes(value), false)
            };
            let whole = written(&kinds.clone().enumerate().map(record).collect::<Vec<_>>());
            for at in HEADER_BYTES..whole.len() {
                for byte in 0..=u8::MAX {
                    let mut changed = whole.clone();
                    changed[at] = byte;
                    let said = read(&changed, Some(usize::MAX), 0);
                    assert_eq!(said, read(&changed, None, 0), "base {base}, byte {at} is {byte}");
                }
            }
        }
    }

    #[test]
    fn of_many_records_with_every_size_of_offset_only_the_last_are_left_to_be_read_alone() {
        let records: Vec<Made> =
            (0..20_000).map(|n| (1_700_000_000_000 + n, None, Some(n.to_string().into_bytes()), false)).collect();
        let bytes = written(&records);
        let (mut reader, mut seen) = (RecordReader::new(0), Vec::new());
        reader.start(&Batch::read(&bytes).unwrap()).unwrap();
        assert_eq!(reader.most_in_a_row(), 20_000);
        reader.in_a_row(&bytes, 0, usize::MAX, Keeping { first: 0, seen: &mut seen });
        // The last one or two lie too near to the end to be looked at in words.
        let left = reader.most_in_a_row();
        assert!(left <= 2, "{left}");
        assert_eq!((seen.len(), reader.reached()), (20_000 - left, 20_000 - left as i64));
    }
}

//! Whole batches, there and back, and what is refused on the way.

use super::*;

type OwnedHeader = (Vec<u8>, Option<Vec<u8>>);

/// A record by value, to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owned {
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<OwnedHeader>,
}

fn owned(record: &Record<'_>) -> Owned {
    Owned {
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: record.headers.iter().map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec))).collect(),
    }
}

fn read_all(bytes: &[u8], budget: usize) -> Result<Vec<Owned>, BatchError> {
    let batch = Batch::read(bytes)?;
    batch.verify_checksum()?;
    let mut reader = RecordReader::new(budget);
    reader.start(&batch)?;
    let mut records = Vec::new();
    while let Some(record) = reader.next(&batch)? {
        records.push(owned(&record));
    }
    assert_eq!(reader.next(&batch), Ok(None), "the end stays the end");
    Ok(records)
}

fn one(value: &[u8]) -> Vec<u8> {
    let mut writer = BatchWriter::new(Codec::None);
    writer.push(5, None, Some(value), Headers::EMPTY).unwrap();
    writer.finish().unwrap().to_vec()
}

#[test]
fn records_read_back_with_nulls_repeats_and_bytes_that_are_no_text() {
    let mut writer = BatchWriter::new(Codec::None);
    writer.base_offset(100);
    let headers: [(&[u8], Option<&[u8]>); 4] =
        [(b"a", Some(b"1")), (b"a", None), (b"", Some(b"")), (b"\xff\xfe", Some(b"\0"))];
    writer.push_pairs(1_000, Some(b"k"), Some(b"v"), &headers).unwrap();
    writer.push(1_001, None, None, Headers::EMPTY).unwrap();
    writer.push(-7, Some(b""), Some(b""), Headers::EMPTY).unwrap();
    assert_eq!(writer.record_count(), 3);
    let bytes = writer.finish().unwrap().to_vec();
    assert_eq!(writer.record_count(), 0);
    let header = BatchHeader::read(&bytes).unwrap();
    assert_eq!((header.last_offset(), header.max_timestamp, header.base_timestamp), (102, 1_001, 1_000));
    let records = read_all(&bytes, 0).unwrap();
    let expected = [
        Owned {
            offset: 100,
            timestamp: 1_000,
            key: Some(b"k".to_vec()),
            value: Some(b"v".to_vec()),
            headers: headers.iter().map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect(),
        },
        Owned { offset: 101, timestamp: 1_001, key: None, value: None, headers: vec![] },
        Owned { offset: 102, timestamp: -7, key: Some(vec![]), value: Some(vec![]), headers: vec![] },
    ];
    assert_eq!(records, expected);
}

#[test]
fn headers_are_copied_as_they_stand() {
    let mut writer = BatchWriter::new(Codec::None);
    writer.push_pairs(0, None, None, &[(b"n", None), (b"n", Some(b"x"))]).unwrap();
    let first = writer.finish().unwrap().to_vec();
    let batch = Batch::read(&first).unwrap();
    let mut reader = RecordReader::new(0);
    reader.start(&batch).unwrap();
    let record = reader.next(&batch).unwrap().unwrap();
    assert_eq!(record.headers.last(b"n"), Some(Some(&b"x"[..])));
    writer.push(0, None, None, record.headers).unwrap();
    assert_eq!(writer.finish().unwrap(), first);
}

#[test]
fn timestamps_further_apart_than_the_range_come_back() {
    let mut writer = BatchWriter::new(Codec::None);
    let times = [i64::MAX, i64::MIN, -1, 0, i64::MIN + 1, i64::MAX];
    for time in times {
        writer.push(time, None, None, Headers::EMPTY).unwrap();
    }
    let records = read_all(writer.finish().unwrap(), 0).unwrap();
    assert_eq!(records.iter().map(|record| record.timestamp).collect::<Vec<_>>(), times);
}

#[test]
fn the_brokers_time_stands_for_every_record() {
    let mut writer = BatchWriter::new(Codec::None);
    writer.append_time(Some(9_000));
    writer.push(1, None, None, Headers::EMPTY).unwrap();
    writer.push(2, None, None, Headers::EMPTY).unwrap();
    let bytes = writer.finish().unwrap();
    assert_eq!(BatchHeader::read(bytes).unwrap().timestamp_type(), TimestampType::LogAppend);
    assert!(read_all(bytes, 0).unwrap().iter().all(|record| record.timestamp == 9_000));
}

#[test]
fn a_delete_horizon_in_place_of_the_base_timestamp_does_not_move_the_records() {
    let mut writer = BatchWriter::new(Codec::None);
    writer.delete_horizon(Some(1_700_000_000_000));
    writer.push(5, None, Some(b"x"), Headers::EMPTY).unwrap();
    writer.push(-5, None, Some(b"y"), Headers::EMPTY).unwrap();
    let bytes = writer.finish().unwrap();
    let header = BatchHeader::read(bytes).unwrap();
    assert!(header.has_delete_horizon());
    assert_eq!((header.base_timestamp, header.max_timestamp), (1_700_000_000_000, 5));
    let times: Vec<_> = read_all(bytes, 0).unwrap().iter().map(|record| record.timestamp).collect();
    assert_eq!(times, [5, -5]);
}

#[test]
fn gaps_left_by_compaction_are_kept_at_the_start_between_and_at_the_end() {
    let mut writer = BatchWriter::new(Codec::None);
    writer.base_offset(1_000).last_offset_delta(Some(20));
    writer.skip_offsets(3).unwrap();
    writer.push(0, None, Some(b"a"), Headers::EMPTY).unwrap();
    writer.skip_offsets(4).unwrap();
    writer.push(0, None, Some(b"b"), Headers::EMPTY).unwrap();
    let bytes = writer.finish().unwrap();
    assert_eq!(BatchHeader::read(bytes).unwrap().last_offset(), 1_020);
    let offsets: Vec<_> = read_all(bytes, 0).unwrap().iter().map(|record| record.offset).collect();
    assert_eq!(offsets, [1_003, 1_008]);
}

#[test]
fn a_batch_that_compaction_emptied_still_covers_its_offsets() {
    let mut writer = BatchWriter::new(Codec::None);
    writer.base_offset(50).last_offset_delta(Some(9)).producer(7, 1, 3);
    let bytes = writer.finish().unwrap();
    let header = BatchHeader::read(bytes).unwrap();
    assert_eq!((header.record_count, header.last_offset(), bytes.len()), (0, 59, HEADER_BYTES));
    assert_eq!(read_all(bytes, 0), Ok(vec![]));
}

#[test]
fn every_header_field_and_flag_comes_back() {
    let mut writer = BatchWriter::new(Codec::None);
    writer.base_offset(7).leader_epoch(5).producer(11, 3, 99).transactional(true).control(true);
    writer.push(42, None, None, Headers::EMPTY).unwrap();
    let header = BatchHeader::read(writer.finish().unwrap()).unwrap();
    assert!(header.is_transactional() && header.is_control() && !header.has_delete_horizon());
    assert_eq!((header.base_offset, header.partition_leader_epoch, header.magic), (7, 5, 2));
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (11, 3, 99));
    writer.transactional(false).control(false);
    assert!(!BatchHeader::read(writer.finish().unwrap()).unwrap().is_transactional());
}

#[test]
fn a_partial_last_batch_ends_a_fetch_quietly() {
    let (first, second) = (one(b"1"), one(b"2"));
    let both = [&first[..], &second[..]].concat();
    for cut in first.len()..both.len() {
        let mut batches = Batches::new(&both[..cut]);
        assert_eq!(batches.next().unwrap().unwrap().bytes(), first);
        assert!(batches.next().is_none(), "cut at {cut}");
        assert_eq!(batches.rest(), &both[first.len()..cut]);
    }
    assert_eq!(Batches::new(&both).filter(Result::is_ok).count(), 2);
}

#[test]
fn an_old_format_or_a_nonsense_length_is_an_error_once() {
    let mut bytes = one(b"1");
    bytes[16] = 1;
    let mut batches = Batches::new(&bytes);
    assert_eq!(batches.next().unwrap().unwrap_err(), BatchError::Magic(1));
    assert!(batches.next().is_none());
    let mut bytes = one(b"1");
    bytes[8..12].copy_from_slice(&48i32.to_be_bytes());
    let mut batches = Batches::new(&bytes);
    assert_eq!(batches.next().unwrap().unwrap_err(), BatchError::Header { field: "batch_length", value: 48 });
    assert!(batches.next().is_none());
    bytes[8..12].copy_from_slice(&i32::MIN.to_be_bytes());
    assert!(Batches::new(&bytes).next().unwrap().is_err());
}

#[test]
fn a_changed_byte_is_found_by_the_checksum() {
    let mut bytes = one(b"1");
    *bytes.last_mut().unwrap() ^= 1;
    assert!(matches!(Batch::read(&bytes).unwrap().verify_checksum(), Err(BatchError::Checksum { .. })));
}

/// Changes the header of a batch and seals it again.
fn with_header(bytes: &[u8], change: impl FnOnce(&mut BatchHeader)) -> Vec<u8> {
    let mut header = BatchHeader::read(bytes).unwrap();
    change(&mut header);
    let mut bytes = bytes.to_vec();
    header.put(bytes.first_chunk_mut().unwrap());
    let crc = batches::checksum(&bytes);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

#[test]
fn a_lying_record_count_is_an_error_both_ways() {
    let bytes = one(b"1");
    let more = with_header(&bytes, |header| header.record_count = i32::MAX);
    assert_eq!(read_all(&more, 0), Err(BatchError::Missing { stated: i32::MAX, index: 1 }));
    let less = with_header(&bytes, |header| header.record_count = 0);
    assert_eq!(read_all(&less, 0), Err(BatchError::Trailing { records: 0, bytes: bytes.len() - HEADER_BYTES }));
}

#[test]
fn an_offset_beyond_the_batch_or_not_above_the_last_is_refused() {
    let mut writer = BatchWriter::new(Codec::None);
    writer.push(0, None, None, Headers::EMPTY).unwrap();
    writer.push(0, None, None, Headers::EMPTY).unwrap();
    let bytes = writer.finish().unwrap().to_vec();
    let beyond = with_header(&bytes, |header| header.last_offset_delta = 0);
    let refused = |stated, limit| Err(BatchError::Record { index: 1, what: "its offset delta", stated, limit });
    assert_eq!(read_all(&beyond, 0), refused(1, 0));
    let mut same = bytes.clone();
    let at = bytes.len() - 4; // offset delta, key, value, headers
    assert_eq!(same[at], 2);
    same[at] = 0;
    assert_eq!(read_all(&with_header(&same, |_| ()), 0), refused(0, 1));
}

#[test]
fn an_unknown_codec_is_named() {
    let bytes = with_header(&one(b"1"), |header| header.attributes = 5);
    assert_eq!(read_all(&bytes, 0), Err(BatchError::UnknownCodec(5)));
}

#[test]
fn after_an_error_nothing_more_comes() {
    let bytes = with_header(&one(b"1"), |header| header.record_count = 2);
    let batch = Batch::read(&bytes).unwrap();
    let mut reader = RecordReader::new(0);
    assert_eq!(reader.next(&batch), Ok(None), "nothing was started");
    reader.start(&batch).unwrap();
    assert!(reader.next(&batch).unwrap().is_some());
    assert!(reader.next(&batch).is_err());
    assert_eq!(reader.next(&batch), Ok(None));
}

const REAL: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

#[test]
fn records_read_back_through_every_codec() {
    for codec in Codec::ALL {
        let mut writer = BatchWriter::new(codec);
        for round in 0..3i64 {
            writer.base_offset(1_000 * round);
            for index in 0..500 * round {
                let value = vec![index as u8; (index * 7 % 400) as usize];
                writer.push_pairs(index, Some(&index.to_be_bytes()), Some(&value), &[(b"n", None)]).unwrap();
            }
            let bytes = writer.finish().unwrap().to_vec();
            assert_eq!(BatchHeader::read(&bytes).unwrap().codec(), Ok(codec));
            let records = read_all(&bytes, 1 << 20).unwrap();
            assert_eq!(records.len() as i64, 500 * round);
            for (index, record) in (0..).zip(&records) {
                assert_eq!((record.offset, record.timestamp), (1_000 * round + index, index));
                assert_eq!(record.value, Some(vec![index as u8; (index * 7 % 400) as usize]));
                assert_eq!(record.headers, [(b"n".to_vec(), None)]);
            }
        }
    }
}

#[test]
fn a_record_larger_than_the_budget_is_refused_with_both_numbers() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let mut writer = BatchWriter::new(codec);
        writer.push(0, None, Some(b"small"), Headers::EMPTY).unwrap();
        writer.push(0, None, Some(&vec![0; 500_000]), Headers::EMPTY).unwrap();
        let bytes = writer.finish().unwrap();
        match read_all(bytes, 300_000) {
            Err(BatchError::OverBudget { what: "a record", needed, budget: 300_000 }) => assert!(needed > 500_000),
            Err(BatchError::OverBudget { what: "zstd history", .. }) if codec == Codec::Zstd => {}
            other => panic!("{codec}: {other:?}"),
        }
        assert_eq!(read_all(bytes, 2 << 20).unwrap().len(), 2);
    }
}

#[test]
fn trailing_and_missing_records_are_found_behind_every_codec() {
    for codec in REAL {
        let mut writer = BatchWriter::new(codec);
        for index in 0..10 {
            writer.push(index, None, Some(b"value"), Headers::EMPTY).unwrap();
        }
        let bytes = writer.finish().unwrap().to_vec();
        let less = with_header(&bytes, |header| header.record_count = 9);
        assert!(matches!(read_all(&less, 1 << 20), Err(BatchError::Trailing { records: 9, .. })), "{codec}");
        let more = with_header(&bytes, |header| header.record_count = 11);
        assert_eq!(read_all(&more, 1 << 20), Err(BatchError::Missing { stated: 11, index: 10 }), "{codec}");
    }
}

#[test]
fn an_emptied_batch_may_keep_its_codec_with_or_without_a_frame() {
    for codec in REAL {
        let mut writer = BatchWriter::new(codec);
        let framed = writer.finish().unwrap().to_vec();
        assert_eq!(read_all(&framed, 1 << 16), Ok(vec![]));
        let mut writer = BatchWriter::new(Codec::None);
        let bare = with_header(writer.finish().unwrap(), |header| header.attributes = codec as i16);
        assert_eq!(read_all(&bare, 1 << 16), Ok(vec![]));
    }
}

/// A generator of numbers that are random enough, by its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Records that lie one behind the other: their times and how many bytes each has.
struct Lying<'a> {
    records: &'a [(i64, usize)],
    source: &'a [u8],
}

impl Pieces for Lying<'_> {
    fn next(&mut self, moving: &mut Moving<'_>) -> bool {
        let goes_on = self.peek().is_some_and(|piece| moving.add(piece));
        if goes_on {
            self.pass();
        }
        goes_on
    }
}

impl Lying<'_> {
    fn peek(&self) -> Option<Piece<'_>> {
        self.records.first().map(|&(timestamp, bytes)| Piece { timestamp, from: self.source, bytes: bytes as u32 })
    }

    fn pass(&mut self) {
        (self.source, self.records) = (&self.source[self.records[0].1..], &self.records[1..]);
    }
}

/// Pushes all that fit below `bytes_max`, many at once if `moved`, and gives the batch, its largest time and how many went so.
fn copied(
    records: &[(i64, usize)],
    source: &[u8],
    bytes_max: usize,
    skipped: u32,
    moved: bool,
) -> (Vec<u8>, i64, usize) {
    let mut writer = BatchWriter::new(Codec::None);
    // A buffer with something in it: what is behind the end is not zero.
    writer.push_raw(0, &vec![0xa5; source.len() / 2]).unwrap();
    writer.finish().unwrap();
    writer.skip_offsets(skipped).unwrap();
    let (mut next, mut taken) = (Lying { records, source }, 0);
    loop {
        if moved {
            let before = writer.record_count();
            writer.push_moved(bytes_max - RECORD_OVERHEAD_MAX, &mut next);
            taken += writer.record_count() - before;
        }
        let Some(Piece { timestamp, from, bytes }) = next.peek() else { break };
        if !writer.is_empty() && writer.bytes() + bytes as usize + RECORD_OVERHEAD_MAX > bytes_max {
            break;
        }
        writer.push_raw(timestamp, &from[..bytes as usize]).unwrap();
        next.pass();
    }
    assert_eq!(writer.record_count(), records.len() - next.records.len());
    let newest = writer.max_timestamp();
    (writer.finish().unwrap().to_vec(), newest, taken)
}

#[test]
fn records_that_move_together_make_the_bytes_that_single_ones_do() {
    let mut dice = Dice(8);
    let mut together = 0;
    for round in 0..400 {
        let spread = [1, 100, 20_000, 1 << 23, 1 << 31, u64::MAX][round % 6];
        let longest = [2, 40, 300, 1_200][round % 4];
        let count = 1 + dice.below(200) as usize;
        let record = |dice: &mut Dice| {
            let wide = dice.below(1 << 31) << 31 | dice.below(1 << 31);
            let time = (wide % spread) as i64 - (spread / 2) as i64;
            (time, dice.below(longest) as usize)
        };
        let records: Vec<_> = (0..count).map(|_| record(&mut dice)).collect();
        // Exactly so many bytes: the last records have nothing behind them that could be read.
        let source: Vec<u8> = (0..records.iter().map(|record| record.1).sum()).map(|_| dice.below(256) as u8).collect();
        let bytes_max = 100 + dice.below(40_000) as usize;
        let skipped = [0, 60, 8_190, (1 << 20) - 100, i32::MAX as u32 - 300][round % 5];
        let (slow, newest, none) = copied(&records, &source, bytes_max, skipped, false);
        let (fast, newest_too, some) = copied(&records, &source, bytes_max, skipped, true);
        assert!(
            slow == fast,
            "round {round} of seed 8: {count} records up to {longest} bytes, {skipped} offsets skipped"
        );
        assert_eq!((newest, none), (newest_too, 0));
        together += some;
    }
    assert!(together > 10_000, "only {together} records moved together");
}

#[test]
fn what_moves_stops_at_the_limit_and_at_a_record_that_is_not_whole() {
    let mut writer = BatchWriter::new(Codec::None);
    let source = [7; 100];
    // How many of the records, of so many bytes, were added.
    let moved = |writer: &mut BatchWriter, bytes_max: usize, each: &[usize]| {
        let records: Vec<_> = each.iter().map(|bytes| (0, *bytes)).collect();
        let mut next = Lying { records: &records, source: &source };
        writer.push_moved(bytes_max, &mut next);
        each.len() - next.records.len()
    };
    assert_eq!(moved(&mut writer, usize::MAX, &[10]), 0, "the first record of a batch");
    writer.push_raw(0, &source).unwrap();
    assert_eq!(
        moved(&mut writer, usize::MAX, &[90, 11]),
        1,
        "the second says that it is longer than what there is of it"
    );
    let bytes = writer.bytes();
    assert_eq!(moved(&mut writer, bytes + 9, &[10]), 0);
    assert_eq!(moved(&mut writer, bytes + 10, &[10, 10]), 1);
    assert_eq!((writer.record_count(), writer.bytes()), (3, bytes + 14));
    assert_eq!(moved(&mut writer, bytes, &[0]), 0, "the batch is beyond the limit already");
    writer.finish().unwrap();
    assert_eq!(moved(&mut writer, usize::MAX, &[10]), 0, "the first record after a batch");
}

#[test]
fn nearly_all_records_move_together() {
    let mut writer = BatchWriter::new(Codec::None);
    let (records, source) = ([(7, 10); 20_000], vec![1; 200_000]);
    let (mut next, mut alone) = (Lying { records: &records, source: &source }, 0);
    loop {
        writer.push_moved(usize::MAX, &mut next);
        let Some(Piece { timestamp, from, bytes }) = next.peek() else { break };
        writer.push_raw(timestamp, &from[..bytes as usize]).unwrap();
        next.pass();
        alone += 1;
    }
    assert_eq!(writer.record_count(), records.len());
    // Each time the buffer grows, those before that had no room for what is written beyond a record's end.
    assert!(alone < 150, "{alone} were pushed alone: the first, and where the buffer had to grow");
}

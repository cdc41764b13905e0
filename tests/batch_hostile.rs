//! Whatever the bytes say, reading a batch ends, with a value or an error, in bounded memory.
//!
//! The bound that is held here, per reader: its budget, plus [`CODEC_STATE_BYTES_MAX`] for what decoders keep at any
//! rate, whatever the size of the input; and next to nothing for an uncompressed batch. An allocator that counts, thread
//! by thread, watches it. Every random test prints its seed; `KMERGE_TEST_SEED` repeats a run.

mod counting;

use counting::peak;
use kmerge::batch::{Batch, BatchError, BatchHeader, BatchWriter, Batches, Codec, HEADER_BYTES, Headers, RecordReader};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use std::io::Write as _;
use std::ops::{ControlFlow, Range};

/// What the decoders keep beside the window: below 4 MiB, nearly all of it zstd's tables, block and literals.
const CODEC_STATE_BYTES_MAX: usize = 4 << 20;
/// Error texts.
const TEXT_BYTES_MAX: usize = 4_096;

/// Runs a property on cases drawn from a seed, which is printed.
fn property<S: Strategy>(name: &str, cases: u32, strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let given = std::env::var("KMERGE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |now| now.as_nanos() as u64)
    });
    let factor: u32 =
        std::env::var("KMERGE_TEST_CASES_FACTOR").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1);
    let _ = writeln!(std::io::stderr(), "{name}: KMERGE_TEST_SEED={seed}");
    let config = ProptestConfig {
        cases: cases * factor,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if let Err(failure) = TestRunner::new(config).run(&strategy, test) {
        panic!("{name} (KMERGE_TEST_SEED={seed}): {failure}");
    }
}

/// Walks everything in `bytes` as far as it goes: records and the first error.
fn walk(bytes: &[u8], budget: usize) -> (usize, Option<BatchError>) {
    let mut reader = RecordReader::new(budget);
    let mut records = 0;
    for batch in Batches::new(bytes) {
        let walked = batch.and_then(|batch| {
            reader.start(&batch)?;
            while let Some(record) = reader.next(&batch)? {
                records += 1;
                // Touch everything that is lent.
                let headers: usize = record.headers.iter().map(|header| header.key.len()).sum();
                std::hint::black_box((record.key, record.value, headers, record.headers.last(b"n")));
            }
            Ok(())
        });
        if let Err(error) = walked {
            return (records, Some(error));
        }
    }
    (records, None)
}

/// Walks and holds the bound.
fn walk_bounded(bytes: &[u8], budget: usize) -> Result<(), TestCaseError> {
    let plain = Batches::new(bytes).map_while(Result::ok).all(|batch| batch.header.codec() == Ok(Codec::None));
    let limit = TEXT_BYTES_MAX + if plain { 0 } else { budget + CODEC_STATE_BYTES_MAX };
    let ((_, error), held) = peak(|| walk(bytes, budget));
    prop_assert!(
        held <= limit,
        "{} bytes of input held {held} bytes, at most {limit} allowed ({error:?})",
        bytes.len()
    );
    Ok(())
}

type OwnedHeader = (Vec<u8>, Option<Vec<u8>>);

#[derive(Debug, Clone, PartialEq)]
struct Owned {
    skip: u32,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<OwnedHeader>,
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..most.min(40)),
        1 => (any::<u8>(), 0..most).prop_map(|(byte, length)| vec![byte; length]),
        1 => prop::collection::vec(any::<u8>(), 0..most),
    ]
}

fn record() -> impl Strategy<Value = Owned> {
    let skip = prop_oneof![9 => Just(0), 1 => 0..1_000_000u32];
    let timestamp = prop_oneof![4 => 0..2_000_000_000_000i64, 1 => any::<i64>()];
    let headers = prop_oneof![
        3 => Just(Vec::new()),
        1 => prop::collection::vec((bytes(10), prop::option::of(bytes(300))), 0..5),
    ];
    (skip, timestamp, prop::option::of(bytes(300)), prop::option::of(bytes(3_000)), headers)
        .prop_map(|(skip, timestamp, key, value, headers)| Owned { skip, timestamp, key, value, headers })
}

fn codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(Codec::ALL.to_vec())
}

fn write(codec: Codec, records: &[Owned]) -> Vec<u8> {
    let mut writer = BatchWriter::new(codec);
    for record in records {
        let headers: Vec<_> = record.headers.iter().map(|(name, value)| (&name[..], value.as_deref())).collect();
        writer.skip_offsets(record.skip).unwrap();
        writer.push_pairs(record.timestamp, record.key.as_deref(), record.value.as_deref(), &headers).unwrap();
    }
    writer.finish().unwrap().to_vec()
}

/// What one way of reading gives of a batch: records with the bytes of each and where those end, and the error.
type Told = (Vec<String>, Option<BatchError>);

/// Offset, timestamp, and the rest as it stands.
type Known = (i64, i64, Vec<u8>);

fn one_by_one(batch: &Batch<'_>) -> Told {
    let mut reader = RecordReader::new(1 << 20);
    if let Err(error) = reader.start(batch) {
        return (Vec::new(), Some(error));
    }
    let mut told = Vec::new();
    loop {
        match reader.next_raw(batch.bytes()) {
            Ok(Some(found)) => told.push(format!("{found:?}")),
            Ok(None) => return (told, None),
            Err(error) => return (told, Some(error)),
        }
    }
}

/// Breaks off after every `stretch` records, and reads the one after that by itself.
fn in_stretches(batch: &Batch<'_>, stretch: usize) -> Told {
    let mut reader = RecordReader::new(1 << 20);
    if let Err(error) = reader.start(batch) {
        return (Vec::new(), Some(error));
    }
    let mut told = Vec::new();
    loop {
        let mut left = stretch;
        let cut = reader.each(batch.bytes(), |found| {
            told.push(format!("{found:?}"));
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match cut.and_then(|cut| {
            Ok(cut.is_some()
                && match reader.next_raw(batch.bytes())? {
                    Some(found) => {
                        told.push(format!("{found:?}"));
                        true
                    }
                    None => false,
                })
        }) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return (told, Some(error)),
        }
    }
    assert_eq!(reader.each(batch.bytes(), |_| ControlFlow::Break(())), Ok(None), "the end stays the end");
    (told, None)
}

/// Passes those records that it expects, up to `stretch` at a time, and reads the one after that. `expected` are the batch's.
fn passing_known(batch: &Batch<'_>, stretch: usize, offsets: Range<i64>, expected: &[Known]) -> (Vec<Known>, usize) {
    let mut reader = RecordReader::new(1 << 20);
    let (mut told, mut passed) = (Vec::new(), 0);
    let mut more = reader.start(batch).is_ok();
    while more {
        let mut known = Vec::new();
        let came = reader.pass_known(batch.bytes(), offsets.clone(), |timestamp, raw| {
            let next = expected.get(told.len() + known.len()).filter(|_| known.len() < stretch);
            let yes = next.is_some_and(|next| (next.1, &next.2[..]) == (timestamp, raw));
            known.extend(next.filter(|_| yes).cloned());
            yes
        });
        assert_eq!(came, known.len());
        assert!(known.last().is_none_or(|last| reader.reached() == last.0 + 1));
        assert!(known.iter().all(|known| offsets.contains(&known.0)));
        passed += came;
        told.append(&mut known);
        let found = reader.next_raw(batch.bytes()).unwrap_or(None);
        told.extend(found.map(|found| (found.record.offset, found.record.timestamp, found.raw.to_vec())));
        more = found.is_some();
    }
    assert_eq!(reader.pass_known(batch.bytes(), 0..i64::MAX, |_, _| true), 0, "the end stays the end");
    (told, passed)
}

/// Whatever is passed without being read is what reading gives; how many records that were.
fn known_alike(bytes: &[u8], stretch: usize) -> Result<usize, TestCaseError> {
    let Ok(batch) = Batch::read(bytes) else { return Ok(0) };
    let (read, _) = passing_known(&batch, stretch, 0..0, &[]);
    prop_assert_eq!(read.len(), one_by_one(&batch).0.len());
    let mut all = 0;
    let middle = read.get(read.len() / 2).map_or(0, |record| record.0);
    for offsets in [i64::MIN..i64::MAX, i64::MIN..middle, middle..i64::MAX, middle..middle] {
        let (told, passed) = passing_known(&batch, stretch, offsets, &read);
        prop_assert_eq!(&told, &read);
        all += passed;
    }
    Ok(all)
}

/// Both ways give the same of `bytes`; whether there was an error.
fn told_alike(bytes: &[u8], stretch: usize) -> Result<bool, TestCaseError> {
    let Ok(batch) = Batch::read(bytes) else { return Ok(true) };
    let told = one_by_one(&batch);
    prop_assert_eq!(&in_stretches(&batch, stretch), &told);
    Ok(told.1.is_some())
}

/// A batch of mostly usual records, the same with some bytes changed, in several ways, and a length of stretches.
fn harmed_batches() -> impl Strategy<Value = (Vec<u8>, Vec<Vec<u8>>, usize)> {
    let plain = prop_oneof![9 => Just(Codec::None), 1 => codec()];
    let usual = (prop::option::of(0..1_000_000_000_u64), bytes(300)).prop_map(|(key, value)| Owned {
        skip: 0,
        timestamp: 1_000,
        key: key.map(|key| key.to_string().into_bytes()),
        value: Some(value),
        headers: Vec::new(),
    });
    let records = prop::collection::vec(prop_oneof![4 => usual, 1 => record()], 1..40);
    let harm = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 16);
    (plain, records, harm, 1..50_usize).prop_map(|(codec, records, harm, stretch)| {
        let whole = write(codec, &records);
        let mut written = whole.clone();
        let harmed = harm.into_iter().map(|(at, byte, kept)| {
            // Small steps are what lengths and deltas hide behind; of the header, what counts records and offsets may be
            // wrong as well.
            let at = at.index(written.len() - 20) + 20;
            written[at] = if byte < 128 { written[at] ^ (1 << (byte % 8)) } else { byte };
            let harmed = written.clone();
            if !kept {
                written.copy_from_slice(&whole);
            }
            harmed
        });
        let harmed = harmed.collect();
        (whole, harmed, stretch)
    })
}

#[test]
fn records_in_stretches_are_the_records_one_by_one_and_so_are_the_errors() {
    let errors = std::cell::Cell::new(0);
    property("in stretches", 300, harmed_batches(), |(written, harmed, stretch)| {
        prop_assert!(!told_alike(&written, stretch)?);
        for harmed in harmed {
            errors.set(errors.get() + usize::from(told_alike(&harmed, stretch)?));
        }
        Ok(())
    });
    assert!(errors.get() > 300, "too few batches were refused: {}", errors.get());
}

#[test]
fn what_is_passed_as_known_is_what_would_be_read_and_nothing_else_is_passed() {
    let passed = std::cell::Cell::new(0);
    property("known", 200, harmed_batches(), |(written, harmed, stretch)| {
        passed.set(passed.get() + known_alike(&written, stretch)?);
        harmed.iter().try_for_each(|harmed| known_alike(harmed, stretch).map(|_| ()))
    });
    assert!(passed.get() > 200, "too few records were passed: {}", passed.get());
}

#[test]
fn what_is_written_reads_back() {
    property("read back", 200, (codec(), prop::collection::vec(record(), 0..100)), |(codec, records)| {
        let written = write(codec, &records);
        let batch = Batch::read(&written).unwrap();
        prop_assert_eq!(batch.verify_checksum(), Ok(()));
        prop_assert_eq!(batch.header.record_count as usize, records.len());
        let latest = records.iter().map(|record| record.timestamp).max();
        prop_assert_eq!(batch.header.max_timestamp, latest.unwrap_or(-1));
        let mut reader = RecordReader::new(1 << 20);
        reader.start(&batch).unwrap();
        let mut offset = 0;
        for expected in &records {
            let record = reader.next(&batch).unwrap().unwrap();
            offset += i64::from(expected.skip);
            prop_assert_eq!((record.offset, record.timestamp), (offset, expected.timestamp));
            prop_assert_eq!((record.key, record.value), (expected.key.as_deref(), expected.value.as_deref()));
            let headers: Vec<OwnedHeader> =
                record.headers.iter().map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(&headers, &expected.headers);
            offset += 1;
        }
        prop_assert_eq!(reader.next(&batch), Ok(None));
        Ok(())
    });
}

#[test]
fn any_bytes_give_a_value_or_an_error() {
    property("any bytes", 2_000, prop::collection::vec(any::<u8>(), 0..300), |bytes| walk_bounded(&bytes, 1 << 20));
}

/// A change to some bytes.
#[derive(Debug, Clone)]
enum Change {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Count(i32),
}

fn change() -> impl Strategy<Value = Change> {
    let at = || any::<prop::sample::Index>();
    prop_oneof![
        3 => (at(), prop::sample::select(vec![0, 1, 0x7f, 0x80, 0xff])).prop_map(|(at, byte)| Change::Set(at, byte)),
        3 => (at(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, 1 << bit)),
        1 => at().prop_map(Change::Cut),
        2 => (at(), prop::collection::vec(any::<u8>(), 1..10)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        2 => (at(), 1..20usize).prop_map(|(at, bytes)| Change::Remove(at, bytes)),
        1 => any::<i32>().prop_map(Change::Count),
    ]
}

/// Applies the changes behind the length field, which is set to what is left, so that the walk goes deep.
fn mutate(batch: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = batch.to_vec();
    let body = 17;
    for change in changes {
        let span = bytes.len() - body;
        if span == 0 {
            break;
        }
        match change {
            Change::Set(at, byte) => bytes[body + at.index(span)] = *byte,
            Change::Flip(at, bit) => bytes[body + at.index(span)] ^= bit,
            Change::Cut(at) => bytes.truncate(body + at.index(span)),
            Change::Insert(at, more) => {
                let at = body + at.index(span);
                bytes.splice(at..at, more.iter().copied());
            }
            Change::Remove(at, count) => {
                let at = body + at.index(span);
                bytes.drain(at..(at + count).min(bytes.len()));
            }
            Change::Count(count) => {
                if let Some(field) = bytes.get_mut(57..61) {
                    field.copy_from_slice(&count.to_be_bytes());
                }
            }
        }
    }
    let length = bytes.len() as i32 - 12;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes
}

#[test]
fn any_change_to_a_batch_gives_a_value_or_an_error() {
    let strategy =
        (codec(), prop::collection::vec(record(), 0..20), prop::collection::vec(change(), 1..6), 0..2_000_000usize);
    property("mutations", 2_000, strategy, |(codec, records, changes, budget)| {
        let written = write(codec, &records);
        walk_bounded(&mutate(&written, &changes), budget)
    });
}

#[test]
fn any_change_to_a_batch_of_javas_gives_a_value_or_an_error() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let vectors: Vec<Vec<u8>> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "batch"))
        .flat_map(|path| {
            let bytes = std::fs::read(path).unwrap();
            Batches::new(&bytes).map(|batch| batch.unwrap().bytes().to_vec()).collect::<Vec<_>>()
        })
        .collect();
    let strategy = (prop::sample::select(vectors), prop::collection::vec(change(), 1..6), 0..2_000_000usize);
    property("vectors", 2_000, strategy, |(vector, changes, budget)| walk_bounded(&mutate(&vector, &changes), budget));
}

/// A batch header in front of compressed bytes.
fn wrap(codec: Codec, count: i32, compressed: &[u8]) -> Vec<u8> {
    let mut writer = BatchWriter::new(Codec::None);
    let mut bytes = writer.last_offset_delta(Some(i32::MAX - 1)).finish().unwrap().to_vec();
    bytes[22] = codec as u8;
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(compressed);
    let length = bytes.len() as i32 - 12;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes
}

#[test]
fn fault_59_any_bytes_behind_a_codecs_magic_give_a_value_or_an_error() {
    let magic: Vec<(Codec, &'static [u8])> = vec![
        (Codec::Gzip, b"\x1f\x8b\x08\0\0\0\0\0\0\0"),
        (Codec::Snappy, b""),
        (Codec::Snappy, b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0"),
        (Codec::Lz4, b"\x04\x22\x4d\x18\x60\x70\x73"),
        (Codec::Lz4, b"\x04\x22\x4d\x18\x60\x40\x82"),
        (Codec::Zstd, b"\x28\xb5\x2f\xfd\0\x68"),
        (Codec::Zstd, b"\x28\xb5\x2f\xfd\x20\xff"),
        (Codec::Zstd, b"\x28\xb5\x2f\xfd\x04\x68\x04\0"),
    ];
    let strategy = (prop::sample::select(magic), prop::collection::vec(any::<u8>(), 0..500), 0..2_000_000usize);
    property("magic", 3_000, strategy, |((codec, magic), bytes, budget)| {
        walk_bounded(&wrap(codec, i32::MAX, &[magic, &bytes].concat()), budget)
    });
}

/// A batch whose contents are a great many times its size: `records` with a value of 1,000 zeros each.
fn bomb(codec: Codec, records: usize) -> Vec<u8> {
    let mut writer = BatchWriter::new(codec);
    for _ in 0..records {
        writer.push(0, None, Some(&[0; 1_000]), Headers::EMPTY).unwrap();
    }
    writer.finish().unwrap().to_vec()
}

#[test]
fn contents_far_larger_than_the_budget_are_read_in_pieces() {
    // What each format gains on this: lz4 and snappy cannot do better.
    for (codec, ratio, budget) in [
        (Codec::Gzip, 150, 32 << 10),
        (Codec::Snappy, 15, 64 << 10),
        (Codec::Lz4, 50, 128 << 10),
        (Codec::Zstd, 150, 256 << 10),
    ] {
        let batch = bomb(codec, 20_000);
        assert!(batch.len() * ratio < 20_000_000, "{codec}: {}", batch.len());
        let ((records, error), held) = peak(|| walk(&batch, budget));
        assert_eq!((records, error), (20_000, None), "{codec}");
        let state = if codec == Codec::Zstd { CODEC_STATE_BYTES_MAX } else { 100_000 };
        assert!(held <= budget + state, "{codec}: {held} bytes held with a budget of {budget}");
    }
}

#[test]
fn fault_59_a_thousandfold_batch_is_read_in_a_small_budget() {
    use flate2::{Compression, write::GzEncoder};
    // One record of 60,000 zeros a time, 64 MB in all, at deflate's best.
    let mut plain = BatchWriter::new(Codec::None);
    for _ in 0..1_000 {
        plain.push(0, None, Some(&[0; 64_000]), Headers::EMPTY).unwrap();
    }
    let plain = plain.finish().unwrap();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&plain[HEADER_BYTES..]).unwrap();
    let gzip = wrap(Codec::Gzip, 1_000, &encoder.finish().unwrap());
    assert!(gzip.len() * 900 < plain.len(), "{} of {}", gzip.len(), plain.len());
    let ((records, error), held) = peak(|| walk(&gzip, 100_000));
    assert_eq!((records, error), (1_000, None));
    assert!(held <= 100_000 + 100_000, "{held}");

    // The same in zstd by hand: each block of 128 KiB in four bytes, where the records' own lengths allow it not.
    let blocks: Vec<u8> = std::iter::repeat_n([0x02, 0, 0x10, 0], 2_000).flatten().collect();
    let zstd = [&b"\x28\xb5\x2f\xfd\0\x38"[..], &blocks, &[1, 0, 0]].concat();
    let zstd = wrap(Codec::Zstd, 1, &zstd);
    let ((records, error), held) = peak(|| walk(&zstd, 200_000));
    assert_eq!(records, 0);
    assert!(matches!(error, Some(BatchError::Record { index: 0, .. })), "{error:?}");
    assert!(held <= 200_000 + CODEC_STATE_BYTES_MAX, "{held}");
}

#[test]
fn a_record_that_claims_more_than_it_has_costs_what_it_has() {
    // Claims 512 MiB, has a few bytes.
    let mut claim = vec![0x80, 0x80, 0x80, 0x80, 0x04];
    claim.extend([0; 50]);
    let mut bytes = wrap(Codec::None, 1, &claim);
    let ((_, error), held) = peak(|| walk(&bytes, usize::MAX));
    assert!(matches!(error, Some(BatchError::Missing { .. })), "{error:?}");
    assert!(held <= TEXT_BYTES_MAX, "{held}");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&claim).unwrap();
    bytes = wrap(Codec::Gzip, 1, &encoder.finish().unwrap());
    let ((_, error), held) = peak(|| walk(&bytes, 1 << 30));
    assert!(matches!(error, Some(BatchError::Missing { .. })), "{error:?}");
    assert!(held <= 200_000, "{held}");
}

#[test]
fn reading_allocates_nothing_per_record() {
    let batch = bomb(Codec::None, 1_000);
    let (result, held) = peak(|| walk(&batch, 0));
    assert_eq!((result, held), ((1_000, None), 0));
    assert_eq!(BatchHeader::read(&batch).unwrap().record_count, 1_000);
}

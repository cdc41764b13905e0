//! What a record costs in `batch/`: read, read with its checksum, written; by shape and by codec.
//!
//! Shapes are named and drawn from a fixed seed. The result is compared with what was drawn before anything is timed.
//! ns per record is the printed time over [`RECORDS`] (criterion's element throughput is its inverse); MB/s are of
//! uncompressed batch bytes.
//!
//! - `ints10`: values 1..=10 in text, no key: the smallest records there are.
//! - `dense`: random u32 in text, no key.
//! - `m118`: a key of 8 bytes and a value of 100, which compresses by half.
//! - `l1k`: a key of 8 bytes and a value of 1 KiB of the same kind.

#![expect(missing_docs, reason = "criterion_group! makes an undocumented function")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kmerge::batch::{Batch, BatchWriter, Codec, Headers, RecordReader};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::hint::black_box;

/// Records in a batch; 1 MiB where they are large.
const RECORDS: usize = 20_000;
const RECORDS_LARGE: usize = 1_000;
const SEED: u64 = 7;
const BUDGET: usize = 16 << 20;

type Drawn = (Option<Vec<u8>>, Vec<u8>);

fn shape(name: &str) -> Vec<Drawn> {
    let mut random = StdRng::seed_from_u64(SEED);
    let mut half_random = |bytes: usize| {
        let mut value = vec![b'.'; bytes];
        random.fill(&mut value[..bytes / 2]);
        value
    };
    match name {
        "ints10" | "dense" => {
            let most: u32 = if name == "ints10" { 10 } else { u32::MAX };
            (0..RECORDS).map(|_| (None, random.random_range(1..=most).to_string().into_bytes())).collect()
        }
        "m118" => (0..RECORDS as u64).map(|key| (Some(key.to_be_bytes().to_vec()), half_random(100))).collect(),
        _ => (0..RECORDS_LARGE as u64).map(|key| (Some(key.to_be_bytes().to_vec()), half_random(1_024))).collect(),
    }
}

fn write<'a>(writer: &'a mut BatchWriter, drawn: &[Drawn]) -> &'a [u8] {
    for (key, value) in drawn {
        writer.push(1_700_000_000_000, key.as_deref(), Some(value), Headers::EMPTY).unwrap();
    }
    writer.finish().unwrap()
}

/// Adds up lengths and offsets, so that every record is looked at.
fn read(reader: &mut RecordReader, batch: &Batch<'_>) -> (i64, usize) {
    reader.start(batch).unwrap();
    let (mut offsets, mut bytes) = (0, 0);
    while let Some(record) = reader.next(batch).unwrap() {
        offsets += record.offset;
        bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
    }
    (offsets, bytes)
}

/// Compares what was written with what was drawn.
fn check(bytes: &[u8], drawn: &[Drawn]) {
    let batch = Batch::read(bytes).unwrap();
    batch.verify_checksum().unwrap();
    let mut reader = RecordReader::new(BUDGET);
    reader.start(&batch).unwrap();
    for (key, value) in drawn {
        let record = reader.next(&batch).unwrap().unwrap();
        assert_eq!((record.key, record.value), (key.as_deref(), Some(&value[..])));
    }
    assert!(reader.next(&batch).unwrap().is_none());
}

fn batch_codec(criterion: &mut Criterion) {
    for name in ["ints10", "dense", "m118", "l1k"] {
        let drawn = shape(name);
        let mut plain_writer = BatchWriter::new(Codec::None);
        let plain_bytes = write(&mut plain_writer, &drawn).len() as u64;
        for codec in Codec::ALL {
            let mut writer = BatchWriter::new(codec);
            let bytes = write(&mut writer, &drawn).to_vec();
            check(&bytes, &drawn);
            let batch = Batch::read(&bytes).unwrap();
            let mut reader = RecordReader::new(BUDGET);
            for (unit, throughput) in [
                ("records", Throughput::Elements(drawn.len() as u64)),
                ("bytes", Throughput::BytesDecimal(plain_bytes)),
            ] {
                // The times are the same under both units: one is enough except where it is asked for.
                if unit == "bytes" && codec != Codec::None && name != "m118" {
                    continue;
                }
                let mut group = criterion.benchmark_group(format!("batch_codec/{unit}"));
                group.throughput(throughput).sample_size(20);
                group.measurement_time(std::time::Duration::from_secs(1));
                group.warm_up_time(std::time::Duration::from_millis(300));
                let id = |work: &str| BenchmarkId::new(format!("{work}/{name}"), codec);
                group.bench_function(id("read"), |bencher| bencher.iter(|| read(&mut reader, black_box(&batch))));
                if codec == Codec::None {
                    group.bench_function(id("read_checked"), |bencher| {
                        bencher.iter(|| {
                            batch.verify_checksum().unwrap();
                            read(&mut reader, black_box(&batch))
                        });
                    });
                }
                group.bench_function(id("write"), |bencher| {
                    bencher.iter(|| write(&mut writer, black_box(&drawn)).len());
                });
                group.finish();
            }
        }
    }
}

criterion_group!(benches, batch_codec);
criterion_main!(benches);

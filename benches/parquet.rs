//! What it costs to make a parquet file of clean records: logins as `generate logins` makes them, a default put in and the time
//! cast; row groups of [`GROUP`] records, snappy.
//!
//! - `file`: clean JSON to the file's bytes, which go nowhere.
//! - `cleaned`: the same with the rules before it: what a record costs `clean --parquet` beside the network.
//!
//! The throughput is that of the JSON that comes in.

#![expect(missing_docs, reason = "criterion_group! makes an undocumented function")]

mod logins;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kmerge::base::place::TopicPartition;
use kmerge::formats::parquet::{Codec, ParquetFile, Rows, Schema, infer};
use kmerge::rules::{Cleaner, Incoming, Rules, Verdict};
use logins::{DEFAULT_CAST, logins};
use std::hint::black_box;
use std::io;
use std::sync::Arc;

const GROUP: usize = 60_000;

fn clean(cleaner: &mut Cleaner, logins: &[Vec<u8>], rows: &mut Rows) {
    let mut out = Vec::new();
    for (offset, login) in logins.iter().enumerate() {
        let record = Incoming { value: Some(login), timestamp_ms: 1_700_000_000_000 + offset as i64 };
        assert_eq!(cleaner.clean(&record, &mut out), Verdict::Kept);
        rows.push(&out, offset as i64, record.timestamp_ms);
    }
}

fn write(schema: &Schema, rows: &Rows) -> u64 {
    let mut file = ParquetFile::begin(io::sink(), schema, Codec::Snappy, &TopicPartition::new("logins", 0));
    file.write(rows).expect("nothing refuses");
    let totals = file.finish(|_| Ok(())).expect("nothing refuses");
    assert!(totals.rows == GROUP as u64 && totals.in_rest.is_empty());
    totals.bytes
}

fn parquet(c: &mut Criterion) {
    let (logins, rules) = (logins(GROUP), Arc::new(Rules::parse(DEFAULT_CAST).expect("they are right")));
    let (mut cleaner, mut rows) = (Cleaner::new(rules.clone()), Rows::default());
    clean(&mut cleaner, &logins, &mut rows);
    let schema = infer(&rows, &rules.known_columns(), true);
    let bytes: usize = logins.iter().map(Vec::len).sum();
    assert!(write(&schema, &rows) < bytes as u64 / 2, "it is meant to be smaller");
    let mut group = c.benchmark_group("parquet");
    group.throughput(Throughput::Bytes(bytes as u64)).sample_size(20);
    group.bench_function("file", |b| b.iter(|| black_box(write(&schema, &rows))));
    group.bench_function("cleaned", |b| {
        b.iter(|| {
            rows.clear(usize::MAX);
            clean(&mut cleaner, &logins, &mut rows);
            black_box(write(&schema, &rows))
        });
    });
    group.finish();
}

criterion_group!(benches, parquet);
criterion_main!(benches);

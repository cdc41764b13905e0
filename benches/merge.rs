//! The merge alone: keys in, source order out, by the engine's tree of losers and by the plain merge's heap. Time per element is
//! time per record.
//!
//! Both orders are checked against a plain sort once per shape, outside the timer.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

#[path = "lanes/mod.rs"]
mod lanes;
#[path = "shapes/mod.rs"]
mod shapes;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kmerge::merge::{Step, StreamingMerge};
use shapes::Shape;
use std::hint::black_box;

const RECORDS: usize = 200_000;

fn merge(partitions: &[Vec<u64>], mut emit: impl FnMut(usize)) {
    let mut merge = StreamingMerge::new(partitions.len());
    let mut next = vec![0; partitions.len()];
    loop {
        match merge.step() {
            Step::Emit(source) => emit(source),
            Step::Needs(source) => match partitions[source].get(next[source]) {
                Some(key) => {
                    next[source] += 1;
                    merge.offer(source, *key).expect("the shapes are sorted");
                }
                None => merge.finish(source),
            },
            Step::Done => return,
        }
    }
}

/// (key, source, position) of everything, merged and sorted: they must be the same.
fn check(shape: Shape, partitions: &[Vec<u64>]) {
    let mut sorted: Vec<(u64, usize, usize)> = Vec::new();
    for (source, keys) in partitions.iter().enumerate() {
        sorted.extend(keys.iter().enumerate().map(|(position, key)| (*key, source, position)));
    }
    sorted.sort_unstable();
    let mut merged = Vec::with_capacity(sorted.len());
    let mut next = vec![0; partitions.len()];
    merge(partitions, |source| {
        merged.push((partitions[source][next[source]], source, next[source]));
        next[source] += 1;
    });
    assert!(merged == sorted, "{} came out of the heap in another order", shape.name());
    let mut sources = Vec::with_capacity(sorted.len());
    lanes::merge(partitions, |order| sources.extend_from_slice(order));
    let same = sorted.iter().map(|(_, source, _)| *source as u16).eq(sources);
    assert!(same, "{} came out of the tree in another order", shape.name());
}

fn merge_alone(c: &mut Criterion) {
    let mut group = c.benchmark_group("merge");
    for shape in Shape::ALL.into_iter().filter(|shape| shape.payload_bytes() == 0) {
        let partitions = shapes::keys(shape, RECORDS);
        check(shape, &partitions);
        group.throughput(Throughput::Elements(partitions.iter().map(Vec::len).sum::<usize>() as u64));
        group.bench_with_input(BenchmarkId::new("heap", shape.name()), &partitions, |b, partitions| {
            b.iter(|| {
                merge(partitions, |source| {
                    black_box(source);
                })
            });
        });
        group.bench_with_input(BenchmarkId::new("tree", shape.name()), &partitions, |b, partitions| {
            b.iter(|| {
                lanes::merge(partitions, |order| {
                    black_box(order);
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, merge_alone);
criterion_main!(benches);

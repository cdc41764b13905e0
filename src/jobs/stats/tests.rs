//! Whole counts over sources in memory.

use super::super::testing::{Made, MemorySource, block_on, context};
use super::*;
use crate::base::clock::now_ms;
use crate::base::shutdown::Signal;
use std::collections::HashSet;

fn settings(batch_records: u64) -> StatsSettings {
    StatsSettings {
        topic: "t".to_owned(),
        partitions: Vec::new(),
        text: TextSource::default(),
        batch_records,
        start: None,
        end: None,
        memory_bytes: 8 << 20,
    }
}

fn report(partitions: &[Vec<Made>], settings: &StatsSettings, at_once: usize, cut: (usize, usize)) -> StatsReport {
    let sources = partitions
        .iter()
        .enumerate()
        .map(|(index, records)| MemorySource::new("t", index as i32, records).cut(cut.0, cut.1));
    let read = ReadShare::of("stats", at_once << 20, 0, at_once).unwrap();
    let memory = Memory { at_once, read, words_bytes: 4 << 20, batches_max: 0 };
    let (totals, stopped) = block_on(count(sources, settings, memory, &context())).unwrap();
    let (topic, text) = (settings.topic.clone(), settings.text.clone());
    StatsReport { topic, partitions: partitions.len(), text, batch_records: settings.batch_records, totals, stopped }
}

/// Texts of which each partition has so many.
fn texts(partition: usize, records: usize) -> Vec<Made> {
    (0..records).map(|number| Made::value(format!("p{partition} record {number}  w{}", number % 97))).collect()
}

/// What is counted, apart from clocks: records, bytes, words, different words, so far.
fn counts(report: &StatsReport) -> Vec<(u64, u64, u64, u64, u64)> {
    let row = |b: &Batch| (b.records, b.bytes, b.words, b.unique_words.count, b.unique_words_so_far.count);
    report.totals.batches.iter().map(row).collect()
}

#[test]
fn batches_hold_what_a_plain_count_of_the_same_turns_holds() {
    let lens = [3500, 0, 1000, 2250, 1];
    let partitions: Vec<Vec<Made>> = lens.iter().enumerate().map(|(index, len)| texts(index, *len)).collect();
    // All are open: a thousand of each in turn, those at their end left out.
    let mut order: Vec<&Made> = Vec::new();
    let mut at = [0; 5];
    while order.len() < lens.iter().sum() {
        for (partition, at) in partitions.iter().zip(&mut at) {
            let turn = partition.iter().skip(*at).take(1000);
            *at = (*at + turn.len()).min(partition.len());
            order.extend(turn);
        }
    }
    let (mut expected, mut so_far) = (Vec::new(), HashSet::new());
    for batch in order.chunks(700) {
        let mut unique = HashSet::new();
        let (mut bytes, mut words) = (0, 0);
        for record in batch {
            let text = std::str::from_utf8(record.value.as_deref().unwrap()).unwrap();
            bytes += text.len() as u64;
            for word in text.split_whitespace() {
                words += 1;
                unique.insert(word);
                so_far.insert(word);
            }
        }
        expected.push((batch.len() as u64, bytes, words, unique.len() as u64, so_far.len() as u64));
    }
    for cut in [(1, 1), (7, 3), (1000, 2)] {
        let report = report(&partitions, &settings(700), 5, cut);
        assert_eq!(counts(&report), expected, "{cut:?}");
        let all = &report.totals;
        assert_eq!((all.records, all.words), (6751, expected.iter().map(|batch| batch.2).sum()));
        assert_eq!(all.unique_words, Unique { count: so_far.len() as u64, at_least: so_far.len() as u64, exact: true });
    }
}

#[test]
fn with_less_memory_fewer_partitions_are_open_and_the_totals_are_the_same() {
    let partitions: Vec<Vec<Made>> = (0..4).map(|index| texts(index, 1500)).collect();
    let total = |at_once| {
        let report = report(&partitions, &settings(1000), at_once, (100, 2));
        let all = report.totals;
        (all.records, all.bytes, all.words, all.unique_words)
    };
    assert_eq!(total(1), total(4));
    assert_eq!(total(2), total(4));
}

#[test]
fn records_without_text_and_with_broken_text_are_counted_and_the_first_is_named() {
    let mut records = vec![Made::value(r#"{"line":"a b"}"#), Made::value("{"), Made::value(r#"{"other":1}"#)];
    records.push(Made { value: None, ..Made::default() });
    records.push(Made::value("no"));
    let settings = StatsSettings { text: "value:json:/line".parse().unwrap(), ..settings(10) };
    let report = report(&[records], &settings, 1, (10, 1));
    let all = &report.totals;
    assert_eq!((all.records, all.words, all.without_text), (5, 2, 2));
    let unreadable = all.unreadable.as_ref().unwrap();
    assert_eq!((unreadable.records, unreadable.first.to_string().as_str()), (2, "t partition 0 offset 1"));
    let summary = report.summary();
    assert!(
        summary.contains("t partition 0 offset 1: cannot read value:json:/line")
            && summary.contains("2 records have no")
    );
    let json = report.to_json();
    assert_eq!((&json["unreadable"], &json["first_unreadable"]["offset"]), (&2.into(), &1.into()));
}

#[test]
fn ages_are_those_of_records_that_have_a_time() {
    let now = now_ms();
    let stamped = |timestamp| Made { timestamp, ..Made::value("x") };
    let of = |records: Vec<Made>| report(&[records], &settings(100), 1, (10, 1)).totals.ages;
    assert_eq!(of(vec![stamped(-1)]), Ages { p50_ms: None, p99_ms: None });
    let ages = of((0..98).map(|_| stamped(now - 5000)).chain([stamped(now - 80_000), stamped(now + 60_000)]).collect());
    assert!((5000..15_000).contains(&ages.p50_ms.unwrap()) && ages.p99_ms.unwrap() < 15_000, "{ages:?}");
    assert_eq!(of(vec![stamped(now + 60_000)]).p99_ms, Some(0), "one from the time to come is new");
}

#[test]
fn times_of_batches_add_up_and_rows_and_chart_have_them_all() {
    let report = report(&[texts(0, 5500)], &settings(1000), 1, (100, 1));
    let all = &report.totals;
    let sum: f64 = all.batches.iter().map(|batch| batch.seconds).sum();
    assert!(sum <= all.seconds && all.batches[0].began_seconds == 0.0, "{sum} of {}", all.seconds);
    assert!(all.batches.is_sorted_by(|a, b| (a.began_seconds + a.seconds - b.began_seconds).abs() < 1e-9));
    let rows: Vec<_> = report.rows().collect();
    assert_eq!(rows.len(), 7);
    assert!(rows.iter().all(|row| row.len() == COLUMNS.len()));
    assert_eq!((rows[5][1].as_str(), rows[6][0].as_str(), rows[6][1].as_str()), ("500", "total", "5500"));
    let csv: Vec<_> = report.rows_csv().collect();
    assert!(csv.len() == 6 && csv.iter().all(|row| row.len() == COLUMNS_CSV.len() && row[12] == "true"));
    let chart = report.chart();
    assert!(chart.panels.iter().all(|panel| panel.lines[0].points.len() == 6));
    assert!(chart.to_svg().contains("1,000 records a batch"));
}

#[test]
fn a_wish_to_stop_ends_with_what_was_counted() {
    let cx = context();
    cx.shutdown.request(Signal::Terminate);
    let read = ReadShare::of("stats", 1 << 20, 0, 1).unwrap();
    let sources = std::iter::once(MemorySource::new("t", 0, &texts(0, 100)));
    let memory = Memory { at_once: 1, read, words_bytes: 1 << 20, batches_max: 0 };
    let (totals, stopped) = block_on(count(sources, &settings(10), memory, &cx)).unwrap();
    assert_eq!((totals.records, stopped), (0, Some(Signal::Terminate)));
}

#[test]
fn memory_is_shared_out_and_what_does_not_fit_is_refused_with_the_way_out() {
    for memory_bytes in [1 << 20, 8 << 20, 64 << 20, 1 << 30] {
        for partitions in [0, 1, 10, 1000] {
            let memory =
                Memory::share_out(&StatsSettings { memory_bytes, ..settings(1000) }, 1_000_000, partitions).unwrap();
            let reading = memory.at_once * (memory.read.batch_bytes_max * 4);
            assert!(
                reading + memory.words_bytes + 1000 * size_of::<Batch>() <= memory_bytes,
                "{memory_bytes} {memory:?}"
            );
            assert!(memory.at_once >= 1 && memory.at_once <= partitions.max(1));
        }
    }
    let refused = |memory_bytes, batch_records| {
        let settings = StatsSettings { memory_bytes, ..settings(batch_records) };
        Memory::share_out(&settings, 10_000_000, 3).unwrap_err().to_string()
    };
    let many = refused(64 << 20, 1);
    assert!(many.contains("10,000,000 batches") && many.contains("--batch-records"), "{many}");
    let least: u64 = many.split("--batch-records ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let settings = StatsSettings { memory_bytes: 64 << 20, ..settings(least) };
    assert!(Memory::share_out(&settings, 10_000_000, 3).is_ok(), "what is advised is enough: {least}");
    assert!(refused(100 << 10, 10_000_000).contains("--memory"));
}

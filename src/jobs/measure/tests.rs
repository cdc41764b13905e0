//! The job on sources in memory: little memory against much, and every way in which it ends.

use super::super::testing::{Made, MemorySource, block_on, context};
use super::*;
use crate::base::kind::Kind;
use crate::base::shutdown::Signal;
use crate::spill::SpillError;

const RULES: &str = r#"
[[rule]]
required = { field = "user" }

[[rule]]
filter = { drop = { field = "device", equals = "bot" } }

[measure]
by = "device"
window = "1h"
aggregates = { n = "count", users = { distinct = "user" }, p95 = { p95 = "ms" }, total = { sum = "ms" } }
"#;

/// A folder of a test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kmerge-measure-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn is_empty(&self) -> bool {
        std::fs::read_dir(&self.0).unwrap().next().is_none()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn settings(rules: &str, folder: &Folder) -> MeasureSettings {
    MeasureSettings {
        from: vec!["t".to_owned()],
        partitions: Vec::new(),
        measures: Measures::parse(rules).unwrap(),
        start: None,
        end: None,
        strict: false,
        memory_bytes: 64 << 20,
        temp_dir: folder.0.clone(),
    }
}

/// Partitions of such records: a user in a thousand, one of three devices, ten of them bots, and a broken one in each hundred.
fn sources(partitions: i32, records: i64) -> Vec<MemorySource> {
    let value = |n: i64| match n % 100 {
        7 => "{".to_owned(),
        8 => r#"{"device":"web"}"#.to_owned(),
        9 => format!(r#"{{"user":{n},"device":"bot"}}"#),
        _ => format!(
            r#"{{"user":"u{}","device":"{}","ms":{}.5}}"#,
            n * 7919 % 1000,
            ["ios", "web", "tv"][n as usize % 3],
            n * 31 % 997
        ),
    };
    let of = |partition: i32| {
        let numbers = (0..records).map(|n| n * i64::from(partitions) + i64::from(partition));
        let made: Vec<Made> = numbers.map(|n| Made { timestamp: n * 1000, ..Made::value(value(n)) }).collect();
        MemorySource::new("t", partition, &made).cut(100, 2)
    };
    (0..partitions).map(of).collect()
}

fn memory(settings: &MeasureSettings, workers: usize, table_bytes: usize) -> Memory {
    Memory { workers, table_bytes, ..Memory::share_out(settings, workers).unwrap() }
}

fn csv(report: MeasureReport) -> String {
    let mut text = String::new();
    let put = |line: &str| {
        text += line;
        Ok::<(), SpillError>(())
    };
    report.rows.each_text(Form::Csv, put).unwrap();
    text
}

fn run_with(settings: &MeasureSettings, workers: usize, table_bytes: usize) -> Result<MeasureReport, JobError> {
    let sources = sources(4, 3_000).into_iter();
    block_on(measure(sources, settings, memory(settings, workers, table_bytes), &context()))
}

#[test]
fn the_answer_is_the_same_however_little_memory_there_is_and_nothing_is_left_behind() {
    let folder = Folder::new("same");
    let settings = settings(RULES, &folder);
    let large = run_with(&settings, 1, 32 << 20).unwrap();
    let json = large.to_json();
    // 12,000 records in 3 hours and a third; 120 of each sort that is no row.
    for (name, number) in
        [("in", 12_000), ("measured", 11_640), ("rows", 11_640), ("filtered", 120), ("rejected", 240), ("groups", 12)]
    {
        assert_eq!(json[name], number, "{name} in {json}");
    }
    assert_eq!(json["spilled_bytes"], 0);
    assert_eq!(json["first_rejected"]["offset"], 2, "n = 8 is the third of partition 0: {json}");
    let rows: u64 = csv(run_with(&settings, 1, 32 << 20).unwrap())
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(3).unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(rows, 11_640);
    let large = csv(large);
    for (workers, table_bytes) in [(1, 60_000), (3, 100_000)] {
        let small = run_with(&settings, workers, table_bytes).unwrap();
        let json = small.to_json();
        assert!(json["spilled_bytes"].as_u64() > Some(100_000) && json["spilled_files"].as_u64() > Some(5), "{json}");
        assert_eq!(csv(small), large, "{workers} workers, {table_bytes} bytes");
        assert!(folder.is_empty());
    }
}

#[test]
fn a_table_for_people_lines_up_and_each_row_is_an_object_of_json() {
    let folder = Folder::new("forms");
    let settings =
        settings("[measure]\nby = \"device\"\naggregates = { n = \"count\", most = { max = \"user\" } }\n", &folder);
    let text = |form: Form| {
        let mut text = String::new();
        let put = |line: &str| {
            text += line;
            Ok::<(), SpillError>(())
        };
        let report = run_with(&settings, 2, 1 << 20).unwrap();
        assert_eq!(report.rows.count(), 4);
        report.rows.each_text(form, put).unwrap();
        text
    };
    let expected = [
        "device     n   most\n",
        "bot      120  11909\n",
        "ios     3880   u999\n",
        "tv      3880   u999\n",
        "web     4000   u999\n",
    ];
    assert_eq!(text(Form::Table), expected.concat());
    assert!(text(Form::Json).starts_with(r#"{"device":"bot","n":120,"most":11909}{"device":"ios","#));
}

#[test]
fn the_first_record_that_is_refused_ends_it_where_that_is_asked_for() {
    let folder = Folder::new("strict");
    let settings = MeasureSettings { strict: true, ..settings(RULES, &folder) };
    let error = run_with(&settings, 1, 1 << 20).unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    let text = error.to_string();
    assert!(text.contains("t partition 0 offset 2: refused by required user: user is missing"), "{text}");
}

#[test]
fn duplicates_within_a_partition_are_no_rows() {
    let folder = Folder::new("duplicates");
    let text =
        "[[rule]]\ndeduplicate = { key = \"user\", window = \"365d\" }\n[measure]\naggregates = { n = \"count\" }\n";
    let report = run_with(&settings(text, &folder), 2, 1 << 20).unwrap();
    let json = report.to_json();
    // Those without a user are rejected; of the others each partition has a fourth of all users and of all bots.
    assert_eq!(
        (&json["rejected"], &json["deduplicated_by_rule"]["deduplicate user"]),
        (&240.into(), &json["deduplicated"])
    );
    let measured = json["measured"].as_u64().unwrap();
    assert_eq!(measured + json["deduplicated"].as_u64().unwrap(), 12_000 - 240);
    assert_eq!(csv(report), format!("n\n{measured}\n"));
}

#[test]
fn a_folder_that_cannot_be_written_to_ends_it_with_the_way_out() {
    let folder = Folder::new("nowhere");
    let settings = MeasureSettings { temp_dir: folder.0.join("not-there"), ..settings(RULES, &folder) };
    let error = run_with(&settings, 1, 60_000).unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    assert!(error.to_string().contains("not-there") && error.to_string().contains("--temp-dir"), "{error}");
    // Where all fits into memory, none is needed.
    run_with(&settings, 1, 32 << 20).unwrap();
}

#[test]
fn whoever_asks_it_to_stop_is_heard() {
    let folder = Folder::new("stopped");
    let settings = settings(RULES, &folder);
    let cx = context();
    cx.shutdown.request(Signal::Interrupt);
    let ended = block_on(measure(sources(2, 100).into_iter(), &settings, memory(&settings, 1, 1 << 20), &cx));
    assert!(matches!(ended, Err(JobError::Interrupted(Signal::Interrupt))));
    assert!(folder.is_empty());
}

#[test]
fn a_group_or_a_value_that_is_too_large_for_the_memory_is_named_with_its_place() {
    let folder = Folder::new("large");
    let settings = settings("[measure]\nby = \"k\"\naggregates = { n = \"count\" }\n", &folder);
    let long = format!("{{\"k\":\"{}\"}}", "x".repeat(100_000));
    let made = [Made::value("{\"k\":1}"), Made::value(long)];
    let source = MemorySource::new("t", 0, &made);
    let error =
        block_on(measure([source].into_iter(), &settings, memory(&settings, 1, 1 << 20), &context())).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("t partition 0 offset 1") && text.contains("--memory"), "{text}");
}

#[test]
fn too_little_memory_is_refused_with_what_would_do() {
    let folder = Folder::new("little");
    let with = |rules: &str, memory_bytes: usize| {
        let settings = MeasureSettings { memory_bytes, ..settings(rules, &folder) };
        Memory::share_out(&settings, 8).map(|memory| (memory.workers, memory.table_bytes * memory.workers))
    };
    assert_eq!(with(RULES, 64 << 20).unwrap(), (3, (64 - 16 - 12) * (1 << 20) / 3 * 3));
    assert_eq!(with(RULES, 4 << 20).unwrap().0, 1);
    let error = with(RULES, 1 << 20).unwrap_err().to_string();
    assert!(error.contains("--memory 4MiB"), "{error}");
    with(
        "[[rule]]\ndeduplicate = { key = \"a\", window = \"1h\" }\n[measure]\naggregates = { n = \"count\" }\n",
        4 << 20,
    )
    .unwrap();
    assert!(with(RULES, 100).is_err());
}

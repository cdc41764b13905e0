//! Two sides on one sheet, and topics in memory.

use super::count::count_all;
use super::sheet::CELL_BYTES;
use super::*;
use crate::jobs::minutes::Minute;
use crate::jobs::testing::{Made, MemorySource, block_on, context};

/// Minutes of records, one a record, all of two bytes.
fn source(topic: &str, partition: i32, minutes: &[i64]) -> MemorySource {
    let made = |minute: &i64| Made { timestamp: minute * 60_000 + 59_999, ..Made::value("xy") };
    MemorySource::new(topic, partition, &minutes.iter().map(made).collect::<Vec<_>>())
}

fn counting(source: MemorySource, side: Side) -> Counting<MemorySource> {
    Counting { source, side, is_worn: false }
}

fn count(of: Vec<Counting<MemorySource>>, sheet: Sheet) -> Result<ReconcileReport, JobError> {
    let share = ReadShare::of("reconcile", 1 << 20, 0, 1).unwrap();
    let sheet = block_on(count_all(of.into_iter(), sheet, share, 2, &context()))?;
    Ok(ReconcileReport {
        topic: "t".into(),
        against: Against::Topic("u".into()),
        sheet,
        notes: vec![],
        told: Told::default(),
        in_folder: InFolder::default(),
        below_start: 0,
        uncommitted: 0,
        seconds: 0.0,
    })
}

fn sheet(ignore_partitions: bool) -> Sheet {
    Sheet::new(Room::of(1 << 20), Wear::All, ignore_partitions)
}

fn rows(report: &ReconcileReport) -> Vec<String> {
    report.rows().map(|row| row[..6].join(" ")).collect()
}

#[test]
fn minutes_are_compared_by_partition_or_over_all_of_them() {
    let both = || {
        vec![
            counting(source("t", 0, &[0, 0, 1, 0]), Side::Found),
            counting(source("t", 1, &[5]), Side::Found),
            counting(source("u", 0, &[0, 0, 1]), Side::Expected),
            counting(source("u", 1, &[5, 0]), Side::Expected),
        ]
    };
    let report = count(both(), sheet(false)).unwrap();
    assert_eq!(rows(&report), ["0 1970-01-01T00:00:00Z 2 3 0 1", "1 1970-01-01T00:00:00Z 1 0 1 0"]);
    assert_eq!((report.totals().missing, report.totals().extra, report.totals().minutes), (1, 1, 4));
    assert_eq!(report.verdict().unwrap_err().to_string(), "2 of 4 minutes differ");
    let said = report.summary();
    assert!(said.contains("t holds 5 records, u 5; 1 missing, 1 extra, in 2 of 4 minutes"), "{said}");

    let report = count(both(), sheet(true)).unwrap();
    assert_eq!(rows(&report), [""; 0]);
    report.verdict().unwrap();
    assert!(report.summary().starts_with("equal: "), "{}", report.summary());
}

#[test]
fn the_same_records_with_other_bytes_differ() {
    let longer = MemorySource::new("u", 0, &[Made::value("xyz")]);
    let of =
        vec![counting(MemorySource::new("t", 0, &[Made::value("xy")]), Side::Found), counting(longer, Side::Expected)];
    let report = count(of, sheet(false)).unwrap();
    assert_eq!(report.rows().next().unwrap()[2..], ["1", "1", "0", "0", "3", "2"]);
    report.verdict().unwrap_err();
}

#[test]
fn what_a_group_has_read_is_what_lies_below_its_offset_be_it_in_the_middle_of_a_minute() {
    for below in 0..=6 {
        let of = vec![counting(source("t", 0, &[0, 0, 1, 1, 1]), Side::Both { below })];
        let report = count(of, sheet(false)).unwrap();
        let totals = report.totals();
        assert_eq!((totals.expected, totals.found), (5, below.min(5) as u64));
        assert_eq!((totals.missing, totals.extra), (5 - below.min(5) as u64, 0));
        assert_eq!(report.verdict().is_ok(), below >= 5, "{below}");
    }
}

#[test]
fn what_a_log_has_lost_the_beginning_of_is_expired_on_both_sides() {
    let of = |other: &[i64]| {
        let worn = source("t", 0, &[0, 0, 1, 1, 2, 2]).range(3..6);
        vec![
            Counting { source: worn, side: Side::Found, is_worn: true },
            counting(source("u", 0, other), Side::Expected),
        ]
    };
    let report = count(of(&[0, 0, 1, 1, 2, 2]), sheet(false)).unwrap();
    report.verdict().unwrap();
    let totals = report.totals();
    assert_eq!((totals.expired_minutes, totals.expired, totals.minutes), (2, 4, 1));
    assert!(report.summary().contains("2 minutes of 4 records are expired"), "{}", report.summary());
    let report = count(of(&[0, 0, 1, 1, 2]), sheet(false)).unwrap();
    assert_eq!(rows(&report), ["0 1970-01-01T00:02:00Z 1 2 0 1"]);

    // Of a partition that has lost everything, everything is expired, which is not to say that all is well.
    let empty = || Counting { source: source("t", 0, &[0, 1]).range(2..2), side: Side::Found, is_worn: true };
    let report = count(vec![empty(), counting(source("u", 0, &[0, 7]), Side::Expected)], sheet(false)).unwrap();
    assert_eq!((report.totals().expired_minutes, report.totals().minutes), (2, 0));
    assert!(report.verdict().unwrap_err().to_string().contains("nothing was compared"));
    assert!(report.summary().starts_with("not known to be equal: "), "{}", report.summary());
    assert_eq!(report.to_json()["equal"], false);

    // Over all partitions it says nothing of the others.
    let both = |found: &[i64]| {
        let (found, expected) = (source("t", 1, found), source("u", 0, &[0, 7]));
        vec![empty(), counting(found, Side::Found), counting(expected, Side::Expected)]
    };
    count(both(&[0, 7]), sheet(true)).unwrap().verdict().unwrap();
    let report = count(both(&[0]), sheet(true)).unwrap();
    assert_eq!(rows(&report), ["all 1970-01-01T00:07:00Z 1 0 1 0"]);
}

#[test]
fn a_group_below_the_start_has_not_read_all_also_where_nothing_is_left_to_read() {
    let mut report = count(vec![counting(source("t", 0, &[]), Side::Both { below: 5 })], sheet(false)).unwrap();
    report.verdict().unwrap();
    report.below_start = 1;
    assert!(report.verdict().unwrap_err().to_string().contains("below the first offset"));
    assert_eq!(report.to_json()["equal"], false);
    let partition = TopicPartition::new("t", 0);
    let stretch = Stretch { partition: partition.clone(), range: 30..30, is_worn: true, end: End::OfLog };
    assert!(is_below(&stretch, &[(partition.clone(), 29)]));
    assert!(!is_below(&stretch, &[(partition, 30)]) && !is_below(&stretch, &[]));
}

#[test]
fn where_a_group_has_committed_nothing_of_a_partition_the_others_do_not_make_it_equal() {
    let both = || [Side::Found, Side::Expected].map(|side| counting(source("t", 0, &[0, 1]), side)).into();
    let mut report = count(both(), sheet(false)).unwrap();
    report.verdict().unwrap();
    report.uncommitted = 1;
    let said = report.verdict().unwrap_err().to_string();
    assert!(said.contains("not all was compared") && said.contains("in 1 partition"), "{said}");
    assert!(report.summary().starts_with("not known to be equal: "), "{}", report.summary());
    assert_eq!(report.to_json()["equal"], false);
    let mut nothing = count(vec![], sheet(false)).unwrap();
    nothing.verdict().unwrap();
    nothing.uncommitted = 2;
    assert!(nothing.verdict().unwrap_err().to_string().contains("nothing was compared"));
}

#[test]
fn where_the_log_plays_no_part_a_group_below_its_start_has_committed_no_more_than_it_has() {
    let settings = ReconcileSettings {
        topic: "t".into(),
        with: With::Group("g".into()),
        partitions: vec![],
        start: None,
        end: Some(Bound::Time(5)),
        memory_bytes: 64 << 20,
    };
    let partition = TopicPartition::new("t", 0);
    let mut stretch = Stretch { partition: partition.clone(), range: 30..40, is_worn: true, end: End::OfLogBefore(5) };
    stretch.forget_log(&settings);
    assert_eq!((&stretch.range, stretch.is_worn, stretch.end), (&(0..40), false, End::Before(5)));
    stretch.end_at_committed(&[(partition, 20)]);
    assert_eq!((stretch.range, stretch.end), (0..20, End::Offset));
}

#[test]
fn a_time_bounds_no_comparison_of_two_topics() {
    let settings = |with, start, end| ReconcileSettings {
        topic: "t".into(),
        with,
        partitions: vec![],
        start,
        end,
        memory_bytes: 64 << 20,
    };
    let topic = || With::Topic { name: "u".into(), ignore_partitions: false };
    let time = || Some(Bound::Time(0));
    for (start, end, flag) in [(time(), None, "--start"), (None, time(), "--end")] {
        let error = refuse_times(&settings(topic(), start, end)).unwrap_err();
        assert!(matches!(&error, JobError::Usage(said) if said.starts_with(flag)), "{error}");
    }
    refuse_times(&settings(topic(), Some(Bound::Offset(1)), Some(Bound::Latest))).unwrap();
    refuse_times(&settings(With::Group("g".into()), time(), time())).unwrap();
}

#[test]
fn one_minute_more_than_there_is_room_for_is_refused_with_a_way_out_and_shared_ones_are_paid_for_once() {
    let room = |minutes: usize| Sheet::new(Room::of(minutes * CELL_BYTES), Wear::All, true);
    let of = |last: i64| {
        let minutes: Vec<i64> = (0..100).collect();
        let other: Vec<i64> = (0..99).chain([last]).collect();
        vec![counting(source("t", 0, &minutes), Side::Found), counting(source("u", 0, &other), Side::Expected)]
    };
    let one_by_one = |sheet, last| {
        let share = ReadShare::of("reconcile", 1 << 20, 0, 1).unwrap();
        block_on(count_all(of(last).into_iter(), sheet, share, 1, &context()))
    };
    assert!(one_by_one(room(100), 99).is_ok());
    let error = one_by_one(room(100), 100).unwrap_err().to_string();
    assert!(error.contains("100 different minutes") && error.contains("--memory"), "{error}");
}

#[test]
fn partitions_that_only_a_file_knows_are_paid_for_in_full_and_what_is_not_used_is_given_back() {
    let mut sheet = Sheet::new(Room::of(60 * CELL_BYTES), Wear::WithoutOffsets, false);
    for partition in 0..10 {
        (0..6).for_each(|minute| assert!(sheet.cell(partition, Minute::of(minute * 60_000)).is_ok()));
    }
    assert!(sheet.cell(10, Minute::of(0)).is_err(), "a leaf for one minute");
    assert!(sheet.cell(9, Minute::of(6 * 60_000)).is_err());

    // Lent while somebody else begins the same column.
    let mut sheet = Sheet::new(Room::of(12 * CELL_BYTES), Wear::All, true);
    sheet.cell(0, Minute::of(0)).unwrap();
    let lent = sheet.lend(0);
    sheet.cell(1, Minute::of(0)).unwrap();
    sheet.take_back(0, lent).unwrap();
    assert_eq!(sheet.cells().count(), 1);
    (0..12).for_each(|minute| assert!(sheet.cell(0, Minute::of(minute * 60_000)).is_ok()));
    assert!(sheet.cell(0, Minute::of(12 * 60_000)).is_err());
}

#[test]
fn records_and_lines_of_any_time_and_number_add_up_without_overflow() {
    let mut sheet = sheet(false);
    for minute in [Minute::of(i64::MIN), Minute::of(i64::MAX)] {
        for _ in 0..2 {
            let cell = sheet.cell(0, minute).unwrap();
            cell.expected.add(sheet::Count { records: u64::MAX, bytes: u64::MAX });
        }
    }
    let report = count(vec![counting(source("t", 0, &[]), Side::Found)], sheet).unwrap();
    assert_eq!(report.totals().missing, u64::MAX);
    assert_eq!(report.rows().count(), 2);
}

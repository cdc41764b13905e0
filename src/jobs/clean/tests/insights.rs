//! What insights have counted is what went out, whatever becomes of the instances that count it.

use super::world::{GROUP, LONG, PARTITIONS, RECORDS, RULES, World};
use crate::base::kind::Kind;
use crate::base::place::TopicPartition;
use crate::base::shutdown::Shutdown;
use crate::broker::{Fault, Rule};
use crate::client::group::{GroupOptions, Reset};
use crate::client::{Cluster, OffsetAt, ReadOptions};
use crate::jobs::cursor::RecordCursor;
use crate::observe::progress::Progress;
use crate::rules::Rules;
use crate::wire::ApiKey;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const INSIGHTS: &str = r#"
[[insight]]
field = "device"

[[insight]]
field = ["device", "id"]
top = 100
window = "10ms"
slide = "5ms"
"#;
const WINDOW: i64 = 10;
const SLIDE: i64 = 5;

/// By value, how often it came.
type Counts = BTreeMap<String, u64>;

/// A world that counts, and tells as often as this.
pub(super) fn counting(mut world: World, report_interval: Duration) -> World {
    world.broker.create_topic("popular", PARTITIONS, &[("retention.ms", "-1")]).unwrap();
    world.settings.insights_to = Some("popular".to_owned());
    world.settings.report_interval = report_interval;
    with_rules(&mut world, "");
    world
}

fn with_rules(world: &mut World, more: &str) {
    world.settings.rules = Arc::new(Rules::parse(&format!("{RULES}\n{more}\n{INSIGHTS}")).unwrap());
}

/// What goes out of a record, by its number: device and id; the time is its number and a thousand.
fn out(number: i64) -> Option<(&'static str, i64)> {
    match number % 10 {
        5..=7 => None,
        3 | 4 => Some(("unknown", number % 13)),
        _ => Some(("web", number % 13)),
    }
}

fn add(counts: &mut Counts, value: Value) {
    *counts.entry(value.to_string()).or_default() += 1;
}

/// What both insights have to count in all, of so many records in each partition.
fn totals(records: i64) -> [Counts; 2] {
    let (mut devices, mut both) = (Counts::new(), Counts::new());
    for (device, id) in (0..records).filter_map(out) {
        for _ in 0..PARTITIONS {
            add(&mut devices, json!(device));
            add(&mut both, json!([device, id]));
        }
    }
    [devices, both]
}

/// The windows of a partition that so many records close, by where they start.
fn windows(records: i64) -> BTreeMap<i64, Counts> {
    let mut windows: BTreeMap<i64, Counts> = BTreeMap::new();
    let latest = (0..records).filter(|number| out(*number).is_some()).max().map_or(0, |number| 1000 + number);
    for number in 0..records {
        let Some((device, id)) = out(number) else { continue };
        let last = (1000 + number) / SLIDE * SLIDE;
        for start in [last - SLIDE, last].into_iter().filter(|start| start + WINDOW <= latest) {
            add(windows.entry(start).or_default(), json!([device, id]));
        }
    }
    windows
}

fn counts(values: &Value) -> Counts {
    let each = values.as_array().unwrap().iter();
    each.map(|value| (value["value"].to_string(), value["count"].as_u64().unwrap())).collect()
}

fn millisecond(time: &Value) -> i64 {
    crate::base::time::parse_rfc3339(time.as_str().unwrap().as_bytes()).unwrap().epoch_ms
}

/// What a reader of committed records finds of a group: windows by partition and start, each once; and the newest totals.
async fn found(world: &World, group: &str) -> (Vec<BTreeMap<i64, Counts>>, BTreeMap<(String, i32), Value>) {
    let cluster = Cluster::connect(&world.broker.addresses(), LONG).await.unwrap();
    let (mut windows, mut totals) = (Vec::new(), BTreeMap::new());
    for partition in 0..PARTITIONS {
        let at = TopicPartition::new("popular", partition);
        let end = cluster.offsets(std::slice::from_ref(&at), OffsetAt::Latest).await.unwrap()[0];
        cluster.wait_for_transactions(&[(at.clone(), end)], LONG).await.unwrap();
        let reader = cluster.reader(at, 0..end, ReadOptions::default());
        let mut records = RecordCursor::new(reader, 1 << 20, Shutdown::default(), Progress::default());
        let json = |bytes: Option<&[u8]>| serde_json::from_slice::<Value>(bytes.unwrap()).unwrap();
        let mut of_partition = BTreeMap::new();
        while let Some((key, value)) = records.next_with(|record| (json(record.key), json(record.value))).await.unwrap()
        {
            if key["group"] != group {
                continue;
            }
            assert_eq!((&key["topic"], &key["partition"]), (&json!("in"), &json!(partition)), "{key}");
            assert_eq!((&value["insight"], &value["partition"]), (&key["insight"], &key["partition"]), "{value}");
            assert_eq!((&value["rest"], &value["other"]), (&json!(0), &json!(0)), "{value}");
            if key["window_start"].is_null() {
                totals.insert((key["insight"].as_str().unwrap().to_owned(), partition), value);
                continue;
            }
            let start = millisecond(&key["window_start"]);
            assert_eq!((millisecond(&value["window_end"]), &key["insight"]), (start + WINDOW, &json!("device, id")));
            let before = of_partition.insert(start, counts(&value["values"]));
            assert_eq!(before, None, "window {start} of partition {partition} comes twice");
        }
        windows.push(of_partition);
    }
    (windows, totals)
}

/// Panics unless all that went out is counted, as often as it went out.
async fn is_whole(world: &World, report: &Value, records: i64, when: &str) {
    for (insight, expected) in report["insights"].as_array().unwrap().iter().zip(totals(records)) {
        assert_eq!(counts(&insight["values"]), expected, "{when}: {insight}");
        assert_eq!(
            (&insight["partitions"], &insight["missed"], &insight["exact"]),
            (&json!(PARTITIONS), &json!(0), &json!(true))
        );
        assert!(insight["since"].as_array().unwrap().iter().all(|since| since["offset"] == 0), "{when}: {insight}");
    }
    let (found, newest) = found(world, GROUP).await;
    let expected = windows(records);
    assert!(found.iter().all(|windows| *windows == expected), "{when}: {found:?}\n{expected:?}");
    for (at, total) in newest {
        assert_eq!((&total["offset"], &total["since"]), (&json!(records), &json!(0)), "{when}: {at:?}");
    }
}

/// A run that follows is killed once it has committed everything there is, without an end at which it would keep its counts.
async fn all_is_committed_and_little_kept(world: &mut World) {
    world.settings.exit = false;
    let run = world.start();
    world.counted("followed").await;
    run.kill().await;
    world.settings.exit = true;
}

const NEVER: Duration = Duration::from_secs(3600);
const ALWAYS: Duration = Duration::from_millis(1);

#[tokio::test]
async fn what_is_counted_goes_on_from_run_to_run() {
    for interval in [ALWAYS, NEVER] {
        let mut world = counting(World::new().await, interval);
        let mut records = i64::from(RECORDS);
        for more in [0, 25, 0, 7] {
            world.more(more);
            records += i64::from(more);
            let (report, ended) = world.start().ended().await;
            ended.unwrap();
            is_whole(&world, &report.to_json(), records, &format!("{interval:?} {more}")).await;
        }
        world.is_whole("four runs").await;
    }
}

#[tokio::test]
async fn killed_at_any_commit_what_was_counted_is_had_again_and_every_window_comes_once() {
    for interval in [ALWAYS, NEVER] {
        for api in [ApiKey::Produce, ApiKey::TxnOffsetCommit, ApiKey::EndTxn] {
            for (request, fault) in [(0, Fault::HoldAnswer), (2, Fault::Hold), (3, Fault::HoldAnswer)] {
                let when = format!("{interval:?} {api} {request} {fault:?}");
                let mut world = counting(World::new().await, interval);
                let rule = world.broker.faults().add(Rule::on(api).after(request), fault);
                let run = world.start_until(&rule).await;
                match rule.hits() {
                    0 => run.ended().await.1.unwrap(),
                    _ => run.kill().await,
                }
                world.broker.faults().remove(&rule);
                world.more(20);
                let (report, ended) = world.start().ended().await;
                ended.unwrap_or_else(|error| panic!("{when}: {error}"));
                is_whole(&world, &report.to_json(), i64::from(RECORDS) + 20, &when).await;
                world.is_whole(&when).await;
            }
        }
    }
}

#[tokio::test]
async fn after_a_doubt_what_does_not_stand_is_not_counted() {
    for interval in [ALWAYS, NEVER] {
        for (api, fault) in [
            (ApiKey::TxnOffsetCommit, Fault::Error(crate::wire::ErrorCode::IllegalGeneration)),
            (ApiKey::EndTxn, Fault::DropAfter),
            (ApiKey::Produce, Fault::Error(crate::wire::ErrorCode::InvalidTxnState)),
        ] {
            let when = format!("{interval:?} {api}");
            let world = counting(World::new().await, interval);
            let rule = world.broker.faults().add(Rule::on(api), fault);
            let (report, ended) = world.start().ended().await;
            ended.unwrap_or_else(|error| panic!("{when}: {error}"));
            assert_eq!(rule.hits(), 1, "{when}");
            is_whole(&world, &report.to_json(), i64::from(RECORDS), &when).await;
        }
    }
}

#[tokio::test]
async fn another_group_that_reads_it_all_anew_counts_the_same() {
    let mut world = counting(World::new().await, ALWAYS);
    world.start().ended().await.1.unwrap();
    world.more(30);
    world.start().ended().await.1.unwrap();
    let first = found(&world, GROUP).await;
    let mut again = world.settings.clone();
    again.group = GroupOptions { group: "again".into(), ..again.group };
    again.to = Some("again".to_owned());
    let (report, ended) = world.start_as(&again).ended().await;
    ended.unwrap();
    let second = found(&world, "again").await;
    assert_eq!(first.0, second.0);
    for (insight, expected) in
        report.to_json()["insights"].as_array().unwrap().iter().zip(totals(i64::from(RECORDS) + 30))
    {
        assert_eq!(counts(&insight["values"]), expected);
    }
    let same = |totals: BTreeMap<(String, i32), Value>| {
        totals.into_iter().map(|(at, total)| (at, counts(&total["values"]))).collect::<Vec<_>>()
    };
    assert_eq!(same(first.1), same(second.1));
}

#[tokio::test]
async fn a_duplicate_is_not_counted_whoever_has_told_it() {
    for mut world in World::deduplicating().await.map(|world| counting(world, NEVER)) {
        with_rules(&mut world, "[[rule]]\ndeduplicate = { key = \"id\", window = \"20ms\" }\n");
        // What is kept at the end of this run lies behind records that duplicates are told by in the next ones.
        world.start().ended().await.1.unwrap();
        world.more(20);
        all_is_committed_and_little_kept(&mut world).await;
        world.more(20);
        let (report, ended) = world.start().ended().await;
        ended.unwrap();
        world.is_whole("with duplicates").await;
        for insight in report.to_json()["insights"].as_array().unwrap() {
            assert_eq!((&insight["records"], &insight["missed"]), (&json!(world.tally.out), &json!(0)), "{insight}");
        }
    }
}

#[tokio::test]
async fn where_records_are_deleted_before_they_are_counted_again_that_is_said_for_ever_after() {
    let mut world = counting(World::new().await, NEVER);
    all_is_committed_and_little_kept(&mut world).await;
    for partition in 0..PARTITIONS {
        world.broker.set_log_start("in", partition, 8).unwrap();
    }
    for run in 0..2 {
        let (report, ended) = world.start().ended().await;
        ended.unwrap();
        let json = report.to_json();
        let insight = &json["insights"][0];
        let (records, missed) = (insight["records"].as_u64().unwrap(), insight["missed"].as_u64().unwrap());
        assert_eq!(missed, 8 * PARTITIONS as u64, "{run}: {insight}");
        assert!(records < world.tally.out && records + missed >= world.tally.out, "{run}: {insight}");
        assert!(report.summary().contains("records are missing"), "{}", report.summary());
        world.more(0);
    }
}

#[tokio::test]
async fn what_is_kept_lies_in_a_compacted_topic_or_the_job_does_not_begin() {
    let world = counting(World::new().await, ALWAYS);
    world.broker.create_topic(&world.settings.insights_state, 1, &[]).unwrap();
    let error = world.start().ended().await.1.unwrap_err();
    assert!(error.kind() == Kind::Failed && error.to_string().contains("--insights-state"), "{error}");
}

#[tokio::test]
async fn what_reset_has_passed_over_is_not_counted_and_what_was_counted_before_is() {
    for interval in [ALWAYS, NEVER] {
        let mut world = counting(World::new().await, interval);
        let mut out = world.start().ended().await.0.tally().out;
        world.settings.group.reset = Reset::Latest;
        world.more(20);
        let held = world.broker.faults().add(Rule::on(ApiKey::Fetch).partition("in", 0), Fault::Hold);
        let mut run = world.start_until(&held).await;
        world.broker.set_log_start("in", 0, i64::from(RECORDS) + 1).unwrap();
        held.release();
        for more in [20, 0] {
            let (report, ended) = run.ended().await;
            ended.unwrap();
            out += report.tally().out;
            let insight = &report.to_json()["insights"][0];
            assert_eq!(
                (&insight["records"], &insight["missed"]),
                (&json!(out), &json!(0)),
                "{interval:?} {more}: {insight}"
            );
            assert!(insight["since"].as_array().unwrap().iter().all(|since| since["offset"] == 0), "{insight}");
            world.more(more);
            run = world.start();
        }
        run.ended().await.1.unwrap();
    }
}

#[tokio::test]
async fn where_the_offset_was_moved_or_what_was_kept_is_gone_counting_begins_anew_and_says_from_where_on() {
    let since = |insight: &Value| -> Vec<i64> {
        let each = insight["since"].as_array().unwrap().iter();
        each.map(|since| since["offset"].as_i64().unwrap()).collect()
    };
    let mut world = counting(World::new().await, ALWAYS);
    // One that is not waited for once it has left.
    world.settings.group.instance = None;
    world.start().ended().await.1.unwrap();
    let cluster = Cluster::connect(&world.broker.addresses(), LONG).await.unwrap();
    let records = i64::from(RECORDS);
    let moved: BTreeMap<_, _> =
        [(0, 10), (1, 0), (2, records)].map(|(at, to)| (TopicPartition::new("in", at), to)).into();
    cluster.set_group_offsets(GROUP, &moved).await.unwrap();
    let (report, ended) = world.start().ended().await;
    ended.unwrap();
    let again = (10..records).chain(0..records).filter(|number| out(*number).is_some()).count();
    let insight = &report.to_json()["insights"][0];
    assert_eq!((&insight["records"], since(insight)), (&json!(again), vec![10, 0, records]), "{insight}");
    cluster.delete_topic(&world.settings.insights_state).await.unwrap();
    let (report, ended) = world.start().ended().await;
    ended.unwrap();
    let insight = &report.to_json()["insights"][0];
    assert_eq!((&insight["records"], since(insight)), (&json!(0), vec![records; 3]), "{insight}");
}

#[tokio::test]
async fn a_preview_counts_what_goes_out_of_the_records_that_it_shows() {
    let world = counting(World::new().await, ALWAYS);
    for records in [0, 1, RECORDS, RECORDS + 10] {
        let from = [String::from("in")];
        let seen =
            super::super::preview(&from, &world.settings.rules, records as usize, 16 << 20, &world.context()).await;
        let seen = seen.unwrap();
        assert_eq!(seen.seen.len(), records as usize);
        let mut devices = Counts::new();
        // The second partition begins where the first one has no more.
        for (device, _) in (0..i64::from(records)).filter_map(|number| out(number % i64::from(RECORDS))) {
            add(&mut devices, json!(device));
        }
        let json = seen.to_json();
        assert_eq!(counts(&json["insights"][0]["values"]), devices, "{records}: {json}");
        let closed = windows(i64::from(records.min(RECORDS))).pop_last().map(|(_, window)| window);
        let window = &json["insights"][1]["window"];
        assert_eq!(window["values"].is_array().then(|| counts(&window["values"])), closed, "{records}: {json}");
        assert_eq!(seen.insights().len(), 2 + usize::from(closed.is_some()), "{:?}", seen.insights());
    }
}

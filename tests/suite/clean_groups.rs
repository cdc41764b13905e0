//! `clean` with `[[group_by]]`: what comes out in groups is a function of the input's log, whoever made it.

use crate::clean::{Cleaning, LONG, RuleFile, committed, members, payload};
use crate::support::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::time::{Duration, Instant};

const PARTITIONS: i32 = 4;
const START_MS: i64 = 1_715_947_200_000;
const WINDOW_MS: i64 = 60_000;
const LATENESS_MS: i64 = 10_000;

fn rules(to: &str) -> String {
    format!(
        r#"
        [[rule]]
        default = {{ field = "device", value = "unknown" }}

        [[rule]]
        deduplicate = {{ key = "id", window = "30s", lateness = "10s", time = "t" }}

        [[group_by]]
        name = "members"
        key = "device"
        window = "1m"
        time = "t"
        lateness = "10s"
        to = "{to}"
        members = true

        [[group_by]]
        name = "numbers"
        key = "device"
        window = "1m"
        time = "t"
        lateness = "10s"
        to = "{to}"
        aggregates = {{ n = "count", ids = {{ distinct = "id" }}, sum = {{ sum = "ms" }}, p50 = {{ p50 = "ms" }} }}
        "#
    )
}

/// Records that keep coming: some late, some twice, some without a device.
struct Load<'a> {
    cluster: &'a Cluster,
    topic: String,
    number: AtomicI64,
    ended: AtomicBool,
}

impl Load<'_> {
    async fn run(&self) {
        while !self.ended.load(SeqCst) {
            let first = self.number.load(SeqCst);
            for partition in 0..PARTITIONS {
                let records: Vec<Rec> = (first..first + 10).map(made).collect();
                self.cluster.put(&self.topic, partition, &records).await;
            }
            self.number.store(first + 10, SeqCst);
        }
    }

    async fn some_more(&self) {
        let (before, began) = (self.number.load(SeqCst), Instant::now());
        while self.number.load(SeqCst) < before + 60 {
            assert!(began.elapsed() < LONG, "nothing comes");
            // Between two looks.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn made(number: i64) -> Rec {
    let late = match number % 17 {
        5 => 9_000,
        11 => 90_000,
        _ => 0,
    };
    let id = if number % 13 == 7 { number - 3 } else { number };
    let mut value = json!({ "id": id, "t": START_MS + number * 1500 - late, "ms": number % 100 });
    if number % 5 > 0 {
        value["device"] = ["ios", "web", "tv"][(number % 3) as usize].into();
    }
    Rec::text(&value.to_string())
}

/// What has gone out of a partition's log, each group with its members' numbers; and how many records are what.
#[derive(Default)]
struct Read {
    groups: Vec<(Value, Vec<Value>)>,
    offered: u64,
    late: u64,
    open: u64,
}

/// Reads the log as anyone would who has never heard of a state to be had again.
fn read(log: &[Rec]) -> Read {
    let (mut told, mut latest) = (Read::default(), i64::MIN);
    let mut ids: BTreeMap<i64, i64> = BTreeMap::new();
    let mut windows: BTreeMap<i64, BTreeMap<String, Vec<Value>>> = BTreeMap::new();
    for record in log {
        let mut value: Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
        let (id, time) = (value["id"].as_i64().unwrap(), value["t"].as_i64().unwrap());
        if value.get("device").is_none() {
            value["device"] = "unknown".into();
        }
        if ids.insert(id, time).is_some_and(|before| (time - before).abs() < 30_000) {
            continue;
        }
        let start = time.div_euclid(WINDOW_MS) * WINDOW_MS;
        told.offered += 1;
        if start + WINDOW_MS <= latest.saturating_sub(LATENESS_MS) {
            told.late += 1;
        } else {
            let key = value["device"].as_str().unwrap().to_owned();
            windows.entry(start).or_default().entry(key).or_default().push(value);
        }
        latest = latest.max(time);
        while let Some(window) = windows.first_entry()
            && window.key() + WINDOW_MS <= latest - LATENESS_MS
        {
            let (start, groups) = window.remove_entry();
            told.groups.extend(groups.into_iter().map(|(key, members)| (json!([start, key]), members)));
        }
    }
    told.open = windows.values().flat_map(BTreeMap::values).map(|members| members.len() as u64).sum();
    told
}

/// The groups' records of each input partition, in their order, as members and as numbers.
async fn grouped(cluster: &Cluster, topic: &str) -> [BTreeMap<(i64, String), Vec<Value>>; 2] {
    let mut found = [BTreeMap::new(), BTreeMap::new()];
    for record in committed(cluster, topic).await {
        let mut value = payload(&record);
        let device = value["device"].as_str().unwrap().to_owned();
        assert_eq!(record["key"], json!({ "device": device }), "{record}");
        let start =
            kmerge::base::time::parse_rfc3339(value["window_start"].as_str().unwrap().as_bytes()).unwrap().epoch_ms;
        let end = kmerge::base::time::parse_rfc3339(value["window_end"].as_str().unwrap().as_bytes()).unwrap().epoch_ms;
        assert_eq!((end - start, &record["ts"]), (WINDOW_MS, &json!(end - 1)), "{record}");
        let which = usize::from(value.get("members").is_none());
        value["window_start"] = json!(start);
        let of: &mut Vec<Value> = found[which].entry((value["partition"].as_i64().unwrap(), device)).or_default();
        of.push(value);
    }
    found
}

fn numbers(members: &[Value]) -> Value {
    let mut all: Vec<i64> = members.iter().map(|member| member["ms"].as_i64().unwrap()).collect();
    all.sort_unstable();
    let mut ids: Vec<i64> = members.iter().map(|member| member["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    let middle = all[all.len().div_ceil(2) - 1];
    json!({ "n": members.len(), "ids": ids.len(), "sum": all.iter().sum::<i64>(), "p50": middle })
}

/// What comes out is what a reading of the input finds, each group once, in order; the counts are, too.
async fn is_whole(cluster: &Cluster, from: &str, to: &str, report: &Value) {
    let mut expected: [BTreeMap<(i64, String), Vec<Value>>; 2] = Default::default();
    let (mut offered, mut late, mut open, mut records, mut closed) = (0, 0, 0, 0, 0);
    for partition in 0..PARTITIONS {
        let told = read(&cluster.read(from, partition).await);
        (offered, late, open) = (offered + 2 * told.offered, late + 2 * told.late, open + 2 * told.open);
        for (at, members) in told.groups {
            (records, closed) = (records + 2, closed + 2 * members.len());
            let device = at[1].as_str().unwrap().to_owned();
            let whole = json!({ "window_start": at[0], "device": device, "count": members.len() });
            for (which, name) in ["members", "aggregates"].into_iter().enumerate() {
                let mut whole = whole.clone();
                whole[name] = if which == 0 { json!(members) } else { numbers(&members) };
                expected[which].entry((partition.into(), device.clone())).or_default().push(whole);
            }
        }
    }
    assert!(records > 50 && late > 0 && open > 0, "{records} {late} {open}");
    let found = grouped(cluster, to).await;
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (at, expected) in expected {
            assert_eq!(found[at].len(), expected.len(), "{at:?}");
            for (found, expected) in found[at].iter().zip(expected) {
                for (name, value) in expected.as_object().unwrap() {
                    assert_eq!(&found[name], value, "{name} of {at:?}: {found}");
                }
            }
        }
    }
    let total = &report["group_total"]["grouped"];
    let counts =
        json!({ "offered": offered, "closed": closed, "open": open, "late": late, "lost": 0, "records": records });
    assert_eq!(total, &counts, "{report}");
}

#[cfg(unix)]
on_both_brokers! {
    async fn groups_are_those_of_the_log_while_instances_come_go_and_are_killed_and_again_when_it_is_read_anew(cluster: &Cluster) {
        let (from, to, anew) =
            (cluster.topic("in", PARTITIONS).await, cluster.topic("grouped", 3).await, cluster.topic("anew", 3).await);
        let (dead, group) = (cluster.topic("dead", 1).await, cluster.group("grouping"));
        let file = RuleFile::new(&rules(&to));
        let load = Load { cluster, topic: from.clone(), number: AtomicI64::new(0), ended: AtomicBool::new(false) };
        let args = ["clean", "--from", &from, "--rules", file.path(), "--dead-letters", &dead, "--group", &group];
        let told = async {
            let first = Cleaning::start(cluster, &args);
            members(cluster, &group, 1).await;
            load.some_more().await;
            let second = Cleaning::start(cluster, &args);
            members(cluster, &group, 2).await;
            load.some_more().await;
            first.kill();
            load.some_more().await;
            members(cluster, &group, 1).await;
            load.some_more().await;
            load.ended.store(true, SeqCst);
            second.stop().await;
        };
        tokio::join!(told, load.run());
        let exits = ["--exit", "--output", "json"];
        let report = cluster.run(&[&args[..], &exits].concat()).await.ok().json();
        is_whole(cluster, &from, &to, &report).await;
        // Others that read it from the start come to the same.
        let (file, group) = (RuleFile::new(&rules(&anew)), cluster.group("anew"));
        let args = ["clean", "--from", &from, "--rules", file.path(), "--dead-letters", &dead, "--group", &group];
        let report = cluster.run(&[&args[..], &exits].concat()).await.ok().json();
        is_whole(cluster, &from, &anew, &report).await;
        assert_eq!((&report["to"], &report["grouped"]), (&Value::Null, &report["group_total"]["grouped"]));
    }

    async fn killed_at_random_instants_again_and_again_no_group_goes_out_twice_or_lacks_a_member(cluster: &Cluster) {
        let (from, to, result, dead) = (
            cluster.topic("in", PARTITIONS).await,
            cluster.topic("grouped", 3).await,
            cluster.topic("out", 2).await,
            cluster.topic("dead", 1).await,
        );
        let (file, group, mut seed) = (RuleFile::new(&rules(&to)), cluster.group("killed"), Seed::printed());
        let load = Load { cluster, topic: from.clone(), number: AtomicI64::new(0), ended: AtomicBool::new(false) };
        let args = ["clean", "--from", &from, "--to", &result, "--rules", file.path(), "--dead-letters", &dead, "--group", &group];
        let args = [&args[..], &["--group-instance-id", "one"]].concat();
        let told = async {
            for _ in 0..6 {
                let run = Cleaning::start(cluster, &args);
                // The instant itself is meant.
                tokio::time::sleep(Duration::from_millis(100 + seed.below(900))).await;
                run.kill();
            }
            load.some_more().await;
            load.ended.store(true, SeqCst);
        };
        tokio::join!(told, load.run());
        let report = cluster.run(&[&args[..], &["--exit", "--output", "json"]].concat()).await.ok().json();
        is_whole(cluster, &from, &to, &report).await;
        let (out, offered) = (&report["group_total"]["out"], &report["group_total"]["grouped"]["offered"]);
        assert_eq!(offered.as_u64(), out.as_u64().map(|out| 2 * out), "{report}");
        assert_eq!(committed(cluster, &result).await.len() as u64, out.as_u64().unwrap());
    }
}

on_both_brokers! {
    async fn groups_beyond_the_memory_end_the_job_and_say_what_to_do(cluster: &Cluster) {
        let (from, to, dead) = (cluster.topic("in", 1).await, cluster.topic("grouped", 1).await, cluster.topic("dead", 1).await);
        for first in 0..20 {
            let records: Vec<Rec> = (0..1000).map(|number| Rec::text(&json!({ "id": first * 1000 + number }).to_string())).collect();
            cluster.put(&from, 0, &records).await;
        }
        let file = RuleFile::new(&format!("[[group_by]]\nname = \"each\"\nkey = \"id\"\nwindow = \"30d\"\nto = \"{to}\"\nmembers = true\n"));
        let group = cluster.group("full");
        let args = ["clean", "--from", &from, "--rules", file.path(), "--dead-letters", &dead, "--group", &group, "--exit"];
        let said = [&*from, "partition 0 offset ", "each: the groups of its open windows take more than", "--memory"];
        cluster.run(&[&args[..], &["--memory", "8MiB"]].concat()).await.fails(1, &said);
        assert!(committed(cluster, &to).await.is_empty());
        let report = cluster.run(&[&args[..], &["--memory", "128MiB", "--output", "json"]].concat()).await.ok().json();
        let total = &report["group_total"]["grouped"];
        assert_eq!((&total["offered"], &total["open"], &total["closed"]), (&20_000.into(), &20_000.into(), &0.into()), "{report}");
    }

    async fn groups_of_a_topic_several_times_as_large_as_the_memory_are_made_within_the_memory_and_32_mib(cluster: &Cluster) {
        let (from, to, dead) = (cluster.topic("large", 2).await, cluster.topic("grouped", 2).await, cluster.topic("dead", 1).await);
        let start = ["--start-time", "2024-05-17T12:00:00Z"];
        cluster.run(&[&["generate", "logins", &from, "--records", "200000"][..], &start].concat()).await.ok();
        let group_by = |key: &str, rest: &str| format!("[[group_by]]\nkey = \"{key}\"\nwindow = \"2s\"\nlateness = \"1s\"\nto = \"{to}\"\n{rest}\n");
        let file = RuleFile::new(&(group_by("device_type", "members = true") + &group_by("user_id", "aggregates = { p50 = { p50 = \"timestamp\" } }")));
        let group = cluster.group("large");
        let args = ["clean", "--from", &from, "--rules", file.path(), "--dead-letters", &dead, "--group", &group, "--exit", "--close-windows"];
        let report = cluster.run(&[&args[..], &["--memory", "12MiB", "--output", "json"]].concat()).await.ok().json();
        let grouped = &report["grouped"];
        assert_eq!((&report["in"], &report["out"], &grouped["offered"]), (&200_000.into(), &200_000.into(), &400_000.into()), "{report}");
        assert_eq!((&grouped["open"], &grouped["lost"], &grouped["late"], &grouped["closed"]), (&0.into(), &0.into(), &0.into(), &400_000.into()));
        let peak = report["peak_memory_bytes"].as_u64().unwrap() >> 20;
        assert!(peak <= 12 + 32, "peak {peak} MiB");
    }

    async fn a_dry_run_shows_which_groups_a_record_is_in_and_which_it_is_too_late_for(cluster: &Cluster) {
        let from = cluster.topic("dry", 1).await;
        cluster.put(&from, 0, &[0, 60, 61].map(made)).await;
        cluster.put(&from, 0, &[made(1).stamped(7)]).await;
        let file = RuleFile::new(&rules("grouped"));
        let args = ["clean", "--from", &from, "--rules", file.path(), "--dry-run"];
        let shown = cluster.run(&args).await.ok().stdout;
        assert!(shown.contains("  in {\"device\":\"unknown\"} of members, the window that begins at 2024-05-17T12:00:00Z\n"), "{shown}");
        // The time of the records before is more than a window further.
        let json = cluster.run(&[&args[..], &["--output", "json"]].concat()).await.ok().json();
        let late: Vec<_> = json["records"].as_array().unwrap().iter().map(|one| one["groups"][1]["late"].as_bool()).collect();
        assert_eq!(late, [Some(false), Some(false), Some(false), Some(true)], "{json}");
    }
}

#[test]
fn check_says_what_groups_are_made_and_what_is_wrong_with_them() {
    let check = |text: &str, more: &[&str]| {
        let file = RuleFile::new(text);
        Outcome::from(command("127.0.0.1:1", &[&["clean", "check", file.path()], more].concat()).output().unwrap())
    };
    let right = check(&rules("grouped"), &[]).ok().stdout;
    assert!(
        right.contains("members: a record to grouped for each device in 1m of t, with its members (10000 at most)"),
        "{right}"
    );
    assert!(
        right.contains("numbers: a record to grouped for each device in 1m of t, with n, ids, sum, p50"),
        "{right}"
    );
    let json = check(&rules("grouped"), &["--output", "json"]).ok().json();
    assert_eq!((&json["rules"], &json["group_by"][1]["lateness_ms"]), (&2.into(), &10_000.into()), "{json}");
    let wrong = "[[group_by]]\nkey = \"count\"\nwindwo = \"1m\"\nto = \"a/b\"\naggregates = { x = { maen = \"a\" } }\n";
    let said = [
        "line 1, column 1: group_by 1: window is missing",
        "line 2, column 7: group_by 1.key: groups have a count of their own",
        "line 3, column 1: group_by 1: there is no windwo (did you mean window?)",
        "line 4, column 6: group_by 1.to: no topic has such a name",
        "line 5, column 29: group_by 1.aggregates.x.maen: there is no \"maen\" (did you mean mean?)",
    ];
    check(wrong, &[]).fails(2, &said);
}

//! `clean`: what comes out of a stream of logins with defects.

use crate::support::*;
use kmerge::base::place::TopicPartition;
use kmerge::client::OffsetAt;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) const RULES: &str = r#"
[[rule]]
default = { field = "device_type", value = "unknown" }

[[rule]]
required = { field = "user_id" }
"#;

/// A rule file that is gone with the test.
pub(crate) struct RuleFile(PathBuf);

impl RuleFile {
    pub(crate) fn new(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!(
            "kmerge-rules-{}-{:016x}.toml",
            std::process::id(),
            rand::random::<u64>()
        ));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for RuleFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What a reader of committed records sees in a topic, in the order of partitions and offsets, once what the dead have left open
/// is voided.
pub(crate) async fn committed(cluster: &Cluster, topic: &str) -> Vec<Value> {
    let client = cluster.client().await;
    let count = client.topic(topic).await.unwrap().partitions.len() as i32;
    let partitions: Vec<_> = (0..count).map(|partition| TopicPartition::new(topic, partition)).collect();
    let ends = client.offsets(&partitions, OffsetAt::Latest).await.unwrap();
    let ends: Vec<_> = partitions.into_iter().zip(ends).collect();
    client.wait_for_transactions(&ends, LONG).await.unwrap();
    let read = cluster.run(&["consume", topic, "-J", "--exit"]).await.ok();
    let mut records: Vec<Value> = read.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    records.sort_by_key(|record| (record["partition"].as_i64(), record["offset"].as_i64()));
    records
}

fn text(bytes: &Option<Vec<u8>>) -> String {
    String::from_utf8(bytes.clone().unwrap()).unwrap()
}

/// What the rules make of a login: what goes out, or `None` where it is refused; and whether a default was put in.
pub(crate) fn cleaned(value: &str) -> (Option<Value>, bool) {
    let Ok(mut login) = serde_json::from_str::<serde_json::Map<String, Value>>(value) else { return (None, false) };
    let lacks = login.get("device_type").is_none_or(Value::is_null);
    if lacks {
        login.insert("device_type".to_owned(), "unknown".into());
    }
    let keeps = login.get("user_id").is_some_and(|id| !id.is_null());
    (keeps.then_some(Value::Object(login)), lacks && keeps)
}

/// The value of a record of `consume -J`, as JSON.
pub(crate) fn payload(record: &Value) -> Value {
    match &record["payload"] {
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::String(text.clone())),
        payload => payload.clone(),
    }
}

/// The last header of that name.
fn header<'a>(record: &'a Value, name: &str) -> &'a str {
    let headers = record["headers"].as_array().unwrap();
    let found = headers.iter().rfind(|header| header[0] == name).and_then(|header| header[1].as_str());
    found.unwrap_or_else(|| panic!("no header {name}: {record}"))
}

on_both_brokers! {
    async fn logins_with_missing_and_broken_fields_come_out_whole_and_what_is_refused_is_in_the_dead_letters(cluster: &Cluster) {
        let (from, to, dead) = (cluster.topic("logins", 3).await, cluster.topic("clean", 3).await, cluster.topic("dead", 2).await);
        let args = [
            "generate", "logins", &from, "--records", "3000", "--seed", "7", "--missing", "device_type=10%", "--missing", "user_id=1%",
            "--broken", "1%",
        ];
        cluster.run(&args).await.ok();
        let (mut kept, mut refused, mut defaulted) = (BTreeMap::new(), BTreeMap::new(), 0);
        for partition in 0..3 {
            for (offset, record) in cluster.read(&from, partition).await.iter().enumerate() {
                let (value, lacked) = cleaned(&text(&record.value));
                defaulted += u64::from(lacked);
                match value {
                    Some(value) => kept.entry(partition).or_insert_with(Vec::new).push((text(&record.key), value)),
                    None => _ = refused.insert((partition, offset), (text(&record.key), text(&record.value))),
                }
            }
        }
        let out: usize = kept.values().map(Vec::len).sum();
        assert!(refused.len() > 20 && defaulted > 200 && out > 2500, "{} {defaulted} {out}", refused.len());

        let (rules, group) = (RuleFile::new(RULES), cluster.group("cleaners"));
        let args = ["--from", &from, "--to", &to, "--dead-letters", &dead, "--rules", rules.path(), "--group", &group];
        let args = [&["clean"][..], &args, &["--exit", "--output", "json"]].concat();
        let report = cluster.run(&args).await.ok().json();
        let counts = [("in", 3000), ("out", out), ("rejected", refused.len()), ("filtered", 0), ("deduplicated", 0)];
        for (name, count) in counts {
            assert_eq!((&report[name], &report["group_total"][name]), (&count.into(), &count.into()), "{name}: {report}");
        }
        assert_eq!(report["defaulted"]["device_type"], defaulted, "{report}");

        let mut found = BTreeMap::new();
        for record in committed(cluster, &to).await {
            let key = record["key"].as_str().unwrap().to_owned();
            found.entry(record["partition"].as_i64().unwrap() as i32).or_insert_with(Vec::new).push((key, payload(&record)));
        }
        assert_eq!(found, kept, "as many partitions, so every record in its own, in order");
        let letters = committed(cluster, &dead).await;
        assert_eq!(letters.len(), refused.len());
        for letter in letters {
            let at = (header(&letter, "kmerge.partition").parse().unwrap(), header(&letter, "kmerge.offset").parse().unwrap());
            let (key, value) = refused.remove(&at).unwrap_or_else(|| panic!("{at:?} comes twice, or is clean: {letter}"));
            assert_eq!((letter["key"].as_str(), header(&letter, "kmerge.topic")), (Some(&*key), &*from));
            let is_json = serde_json::from_str::<Value>(&value).is_ok();
            let (rule, shown) = (header(&letter, "kmerge.rule"), payload(&letter));
            assert_eq!(shown, serde_json::from_str(&value).unwrap_or(Value::String(value)), "as it was");
            assert_eq!((rule == "undecodable", header(&letter, "kmerge.class") == "missing"), (!is_json, is_json), "{letter}");
            assert!(!header(&letter, "kmerge.reason").is_empty());
        }
        // Nothing is left.
        let report = cluster.run(&args).await.ok().json();
        assert_eq!((&report["in"], &report["group_total"]["in"]), (&0.into(), &3000.into()));
    }

    async fn under_strict_the_first_refused_record_ends_the_job_and_is_named(cluster: &Cluster) {
        let (from, to) = (cluster.topic("strict", 1).await, cluster.topic("strict-out", 1).await);
        let logins: Vec<Rec> = (0..10).map(|number| Rec::text(if number == 7 { "{\"user_id\"" } else { "{\"user_id\":1}" })).collect();
        cluster.put(&from, 0, &logins).await;
        let (rules, group) = (RuleFile::new(RULES), cluster.group("strict"));
        let args = ["clean", "--from", &from, "--to", &to, "--rules", rules.path(), "--group", &group, "--exit", "--strict"];
        let said = [&*from, "partition 0 offset 7: undecodable: ", "--strict"];
        cluster.run(&args).await.fails(4, &said);
        assert!(committed(cluster, &to).await.is_empty());
    }

    async fn a_dry_run_shows_records_before_and_after_and_writes_nothing(cluster: &Cluster) {
        let from = cluster.topic("dry", 1).await;
        cluster.put(&from, 0, &[Rec::text("{\"user_id\":1}"), Rec::text("{\"user_id\":"), Rec::text("{\"user_id\":2,\"device_type\":\"web\"}")]).await;
        let rules = RuleFile::new(RULES);
        let shown = cluster.run(&["clean", "--from", &from, "--rules", rules.path(), "--dry-run", "-n", "2"]).await.ok();
        let expected = format!("{from} partition 0 offset 0: kept\n- {{\"user_id\":1}}\n+ {{\"user_id\":1,\"device_type\":\"unknown\"}}\n");
        assert!(shown.stdout.starts_with(&expected), "{shown:?}");
        assert!(shown.stdout.contains("offset 1: rejected by undecodable") && !shown.stdout.contains("offset 2"), "{shown:?}");
        assert!(shown.stderr.contains("1 kept, 1 rejected; nothing was written"), "{shown:?}");
        let json = cluster.run(&["clean", "--from", &from, "--rules", rules.path(), "--dry-run", "--output", "json"]).await.ok().json();
        let fates: Vec<_> = json["records"].as_array().unwrap().iter().map(|record| record["fate"].as_str().unwrap()).collect();
        assert_eq!(fates, ["kept", "rejected", "kept"]);
    }

    async fn a_topic_several_times_as_large_as_the_memory_is_cleaned_within_the_memory_and_32_mib(cluster: &Cluster) {
        let (from, to) = (cluster.topic("large", 2).await, cluster.topic("large-out", 2).await);
        cluster.run(&["generate", "logins", &from, "--records", "400000", "--missing", "device_type=10%"]).await.ok();
        let (rules, group) = (RuleFile::new(RULES), cluster.group("large"));
        let args = ["clean", "--from", &from, "--to", &to, "--rules", rules.path(), "--group", &group, "--strict", "--exit"];
        let report = cluster.run(&[&args[..], &["--memory", "8MiB", "--output", "json"]].concat()).await.ok().json();
        assert_eq!((&report["in"], &report["out"]), (&400_000.into(), &400_000.into()));
        let peak = report["peak_memory_bytes"].as_u64().unwrap() >> 20;
        assert!(peak <= 8 + 32, "peak {peak} MiB");
    }
}

/// A cleaner that follows, on its own.
pub(crate) struct Cleaning(pub(crate) Child);

impl Cleaning {
    /// One that is soon missed, and commits often.
    pub(crate) fn start(cluster: &Cluster, args: &[&str]) -> Self {
        let quick = ["--session-timeout", "6s", "--transaction-timeout", "6s", "--commit-interval", "100ms", "-q"];
        Self::begin(cluster, &[args, &quick].concat())
    }

    pub(crate) fn begin(cluster: &Cluster, args: &[&str]) -> Self {
        let mut command = command(&cluster.brokers, args);
        Self(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts"))
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }

    #[cfg(unix)]
    pub(crate) async fn stop(self) {
        signal("-TERM", &self.0);
        let ended = ended(self.0).await;
        assert_eq!(ended.status, 143);
    }
}

/// Waits until the group has so many members, and each of them something to read.
pub(crate) async fn members(cluster: &Cluster, group: &str, count: usize) {
    let (client, began) = (cluster.client().await, Instant::now());
    loop {
        let told = client.group(group).await.ok().flatten();
        let shares = |told: &kmerge::client::GroupDescribed| {
            told.members.iter().filter(|one| one.partitions.as_ref().is_some_and(|share| !share.is_empty())).count()
        };
        if told.as_ref().is_some_and(|told| told.members.len() == count && shares(told) == count) {
            return;
        }
        assert!(began.elapsed() < LONG, "{count} members are expected: {told:?}");
        // Between two looks.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn what_is_wrong_with_rules_or_topics_is_said_before_anything_starts() {
    let refused = |args: &[&str], words: &[&str]| {
        let outcome: Outcome = command("127.0.0.1:1", args).output().expect("the binary starts").into();
        outcome.fails(2, words);
    };
    let wrong =
        RuleFile::new("[[rule]]\ndefualt = { field = \"a\", value = 1 }\n\n[[rule]]\nrequired = { feild = \"b\" }\n");
    let words = ["line 2", "default", "line 5", "field"];
    refused(&["clean", "check", wrong.path()], &words);
    refused(&["clean", "--from", "a", "--to", "b", "--rules", wrong.path()], &words);
    refused(&["clean", "--from", "a", "--to", "b", "--rules", "/nowhere/rules.toml"], &["/nowhere/rules.toml"]);
    refused(&["clean", "--from", "a", "--to", "b"], &["--rules"]);
    let rules = RuleFile::new(RULES);
    refused(&["clean", "--from", "a", "--rules", rules.path()], &["--to"]);
    refused(&["clean", "--from", "a", "--to", "a", "--rules", rules.path()], &["--to a is read as well"]);
    refused(
        &["clean", "--from", "a", "--to", "b", "--rules", rules.path(), "--strict", "--dead-letters", "c"],
        &["--dead-letters"],
    );
    let checked = Outcome::from(command("127.0.0.1:1", &["clean", "check", rules.path()]).output().unwrap()).ok();
    assert!(checked.stdout.contains("nothing wrong"), "{checked:?}");
    let listed = command("127.0.0.1:1", &["clean", "check", wrong.path(), "--output", "json"]).output().unwrap();
    let listed = Outcome::from(listed);
    assert_eq!((listed.status, &listed.json()["errors"][0]["line"]), (2, &2.into()));
}

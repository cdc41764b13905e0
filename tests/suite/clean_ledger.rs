//! The ledger of `clean`: what is committed is noted, and nothing else; and the rows of its files against what should be there.

use crate::clean::{Cleaning, LONG, RuleFile, committed};
use crate::ledger::{MINUTE, START, lines, reconcile, sum};
use crate::produce::Sample;
use crate::support::*;
use kmerge::broker::{Fault, Rule};
use kmerge::wire::{ApiKey, ErrorCode};
use serde_json::Value;
use std::path::PathBuf;

/// Every tenth is filtered, some are refused.
const RULES: &str = r#"
[[rule]]
default = { field = "device", value = "unknown" }

[[rule]]
required = { field = "id" }

[[rule]]
filter = { drop = { field = "device", equals = "robot" } }
"#;

/// Nothing is refused.
const DEFAULT: &str = "[[rule]]\ndefault = { field = \"device\", value = \"unknown\" }\n";

/// Logins of a minute each twenty, in all partitions by turns.
async fn logins(cluster: &Cluster, topic: &str, partitions: i32, count: i64) {
    for partition in 0..partitions {
        let numbers = (0..count).filter(|number| number % i64::from(partitions) == i64::from(partition));
        let login = |number: i64| {
            let value = match number % 10 {
                0 => format!(r#"{{"id":{number},"device":"robot"}}"#),
                1 => format!(r#"{{"id":{number}"#),
                2 => format!(r#"{{"id":{number}}}"#),
                _ => format!(r#"{{"id":{number},"device":"web"}}"#),
            };
            Rec {
                key: Some(format!("k{}", number % 7).into_bytes()),
                ..Rec::text(&value).stamped(START + number * MINUTE / 20)
            }
        };
        cluster.put(topic, partition, &numbers.map(login).collect::<Vec<_>>()).await;
    }
}

/// Whether each of the groups has committed something.
async fn all_committed(client: &kmerge::client::Cluster, groups: [&str; 2]) -> bool {
    for group in groups {
        if !client.group_offsets(group).await.is_ok_and(|offsets| !offsets.is_empty()) {
            return false;
        }
    }
    true
}

struct Topics {
    from: String,
    to: String,
    dead: String,
    rules: RuleFile,
}

impl Topics {
    async fn new(cluster: &Cluster, name: &str, rules: &str) -> Self {
        let topic = async |kind: &str, partitions| cluster.topic(&format!("{name}-{kind}"), partitions).await;
        let (from, to, dead) = (topic("in", 3).await, topic("out", 2).await, topic("dead", 1).await);
        Self { from, to, dead, rules: RuleFile::new(rules) }
    }

    /// Without `--to`.
    fn args<'a>(&'a self, group: &'a str) -> Vec<&'a str> {
        let args = ["clean", "--from", &self.from, "--dead-letters", &self.dead, "--rules", self.rules.path()];
        [&args[..], &["--group", group, "--output", "json"]].concat()
    }

    fn both<'a>(&'a self, group: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&self.args(group)[..], &["--to", &self.to], more].concat()
    }
}

/// A topic holds just what is noted, so many records.
async fn agrees(cluster: &Cluster, topic: &str, with: &[&str], records: usize) {
    let outcome = reconcile(cluster, topic, with).await;
    assert_eq!(
        (outcome.status, outcome.json()["records_found"].as_u64()),
        (0, Some(records as u64)),
        "{topic}: {outcome:?}"
    );
}

on_both_brokers! {
    async fn results_dead_letters_groups_and_insights_are_noted_as_they_are_committed(cluster: &Cluster) {
        let (groups, insights, ledger) = (cluster.topic("groups", 2).await, cluster.topic("insights", 2).await, cluster.name("ledger"));
        let more = format!("[[group_by]]\nkey = \"device\"\nwindow = \"2m\"\nto = \"{groups}\"\nmembers = true\n\n[[insight]]\nfield = \"device\"\nwindow = \"1m\"\n");
        // Records of one of them get the time of their append.
        let dead = cluster.topic_with("stamps", 1, &[("message.timestamp.type", "LogAppendTime")]).await;
        let topics = Topics { dead, ..Topics::new(cluster, "all", &format!("{RULES}\n{more}")).await };
        logins(cluster, &topics.from, 3, 2000).await;
        let (state, file) = (cluster.name("state"), Sample::new("ledger", ""));
        let sinks = ["--insights-to", &*insights, "--insights-state", &state, "--exit", "--commit-interval", "20ms"];
        let group = cluster.group("noted");
        // Once in a file, then the rest in a topic.
        let report = cluster.run(&[&topics.both(&group, &sinks)[..], &["--ledger", file.path()]].concat()).await.ok().json();
        assert_eq!((&report["out"], &report["rejected"], &report["filtered"]), (&1600.into(), &200.into(), &200.into()));
        logins(cluster, &topics.from, 3, 1000).await;
        let report = cluster.run(&[&topics.both(&group, &sinks)[..], &["--ledger-topic", &ledger]].concat()).await.ok().json();
        assert_eq!(report["out"], 800);
        let with = ["--ledger", file.path(), "--ledger-topic", &*ledger];
        agrees(cluster, &topics.to, &with, 2400).await;
        agrees(cluster, &topics.dead, &with, 300).await;
        for topic in [&groups, &insights] {
            let records = committed(cluster, topic).await.len();
            assert!(records > 50, "{records}");
            agrees(cluster, topic, &with, records).await;
        }
        let only = reconcile(cluster, &topics.to, &["--ledger-topic", &ledger]).await;
        only.fails(4, &["1,600 extra"]);
        assert!(lines(&file).iter().all(|line| line["topic"] != state.as_str()), "what is written over is not noted");
    }

    async fn killed_at_random_instants_a_ledger_topic_has_what_is_committed_and_a_file_nothing_that_is_not(cluster: &Cluster) {
        let (topics, ledger, file, mut seed) = (Topics::new(cluster, "killed", DEFAULT).await, cluster.name("ledger"), Sample::new("ledger", ""), Seed::printed());
        // So that something comes while they are killed.
        let load = ["generate", "logins", &topics.from, "--records", "6000", "--rate", "2500", "--start-time", "2026-01-01T00:00:00Z"];
        let (other, group, second) = (cluster.topic("killed-other", 2).await, cluster.group("topic"), cluster.group("file"));
        let in_topic = topics.both(&group, &["--ledger-topic", &ledger, "--group-instance-id", "one"]);
        let in_file = [&topics.args(&second)[..], &["--to", &other, "--ledger", file.path(), "--group-instance-id", "two"]].concat();
        let kills = async {
            let client = cluster.client().await;
            for kill in 0..5 {
                let both = [Cleaning::start(cluster, &in_topic), Cleaning::start(cluster, &in_file)];
                // The instant itself is meant.
                tokio::time::sleep(std::time::Duration::from_millis(150 + seed.below(500))).await;
                // However slow the machine is, one of them has killed somebody who had committed something.
                let began = std::time::Instant::now();
                while kill == 4 && !all_committed(&client, [&group, &second]).await {
                    assert!(began.elapsed() < LONG, "nothing is committed");
                    // Asks again, until the condition holds.
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
                both.into_iter().for_each(Cleaning::kill);
            }
        };
        tokio::join!(async { cluster.run(&load).await.ok() }, kills);
        let rest = [[&in_topic[..], &["--exit"]].concat(), [&in_file[..], &["--exit"]].concat()];
        let (one, two) = tokio::join!(cluster.run(&rest[0]), cluster.run(&rest[1]));
        one.ok();
        two.ok();
        let written = committed(cluster, &topics.to).await.len();
        agrees(cluster, &topics.to, &["--ledger-topic", &ledger], written).await;
        let outcome = reconcile(cluster, &other, &["--ledger", file.path()]).await;
        assert_eq!(outcome.json()["missing"], 0, "{outcome:?}");
    }

    async fn rows_of_files_are_held_against_the_topic_and_against_what_was_noted_of_them(cluster: &Cluster) {
        let (topics, ledger, group) = (Topics::new(cluster, "files", RULES).await, cluster.name("ledger"), cluster.group("files"));
        let (place, mut folder) = (Place::new(), PathBuf::new());
        folder.push(&place.0);
        logins(cluster, &topics.from, 3, 3000).await;
        let args = [&topics.args(&group)[..], &["--parquet", place.path(), "--exit", "--ledger-topic", &ledger, "--parquet-bytes", "4KiB"]].concat();
        let report = cluster.run(&args).await.ok().json();
        assert_eq!(report["parquet"]["rows"], 2400);
        let (from, files) = (&topics.from, ["--parquet", place.path()]);
        let noted = [&files[..], &["--ledger-topic", &ledger]].concat();
        agrees(cluster, from, &noted, 2400).await;
        // The topic has what was filtered and refused as well.
        let outcome = reconcile(cluster, from, &files).await;
        assert_eq!((&outcome.json()["missing"], &outcome.json()["extra"]), (&600.into(), &0.into()), "{outcome:?}");
        outcome.fails(4, &["2,400 rows of", "3,000 records", "600 missing"]);
        // Lines about files are none about the topic.
        reconcile(cluster, from, &["--ledger-topic", &ledger]).await.fails(4, &["no line of the ledger is about"]);
        // By the partition.
        let one = reconcile(cluster, from, &[&noted[..], &["--partition", "1"]].concat()).await.ok().json();
        assert_eq!(one["records_found"], 800);
        // The log is gone: files are there all the same.
        cluster.delete_before(from, 0, 500).await;
        agrees(cluster, from, &noted, 2400).await;
        let worn = reconcile(cluster, from, &files).await.json();
        assert_eq!(worn["expired_records"], 400, "{worn}");

        // One that is cut off, one of somebody else, one that is gone, one that is another one's.
        let names = place.names();
        let of = |partition: i32| names.iter().filter(|name| name.starts_with(&format!("{from}-{partition}-"))).collect::<Vec<_>>();
        let whole = std::fs::read(folder.join(of(0)[0])).unwrap();
        std::fs::write(folder.join(of(0)[0]), &whole[..whole.len() / 2]).unwrap();
        std::fs::write(folder.join("part-00001.parquet"), "PAR1").unwrap();
        let outcome = reconcile(cluster, from, &noted).await;
        let (report, said) = (outcome.json(), format!("{} does not count: ", of(0)[0]));
        assert_eq!((&report["against"]["unreadable"][0]["file"], &report["against"]["unreadable_files"]), (&Value::from(of(0)[0].as_str()), &1.into()));
        assert!(report["missing"].as_u64().unwrap() > 0, "{report}");
        outcome.fails(4, &[&said, "passed over", "part-00001.parquet"]);
        std::fs::write(folder.join(of(0)[0]), std::fs::read(folder.join(of(1)[0])).unwrap()).unwrap();
        reconcile(cluster, from, &noted).await.fails(4, &[&said, "holds a row of partition 1"]);
        std::fs::write(folder.join(of(0)[0]), &whole).unwrap();
        agrees(cluster, from, &noted, 2400).await;
        std::fs::remove_file(folder.join(of(2)[0])).unwrap();
        let outcome = reconcile(cluster, from, &noted).await;
        assert!(outcome.json()["missing"].as_u64().unwrap() > 0 && outcome.json()["against"]["unreadable_files"] == 0, "{outcome:?}");
        outcome.fails(4, &["missing"]);
    }

    async fn every_record_that_is_in_the_topic_is_in_the_folder_also_of_those_that_come_up_to_an_end(cluster: &Cluster) {
        let (from, group, place) = (cluster.topic("plain", 2).await, cluster.group("plain"), Place::new());
        let rules = RuleFile::new(DEFAULT);
        let put = async |range: std::ops::Range<i64>| {
            let records: Vec<Rec> = range.map(|n| Rec::text(&format!("{{\"id\":{n}}}")).stamped(START + n / 50 * MINUTE)).collect();
            cluster.put(&from, 0, &records).await;
            cluster.put(&from, 1, &records[..records.len() / 2]).await;
        };
        put(0..500).await;
        let args = ["clean", "--from", &from, "--parquet", place.path(), "--rules", rules.path(), "--group", &group, "--strict", "--exit"];
        cluster.run(&args).await.ok();
        agrees(cluster, &from, &["--parquet", place.path()], 750).await;
        let ends = format!("{from}:0=500,1=250");
        put(500..600).await;
        reconcile(cluster, &from, &["--parquet", place.path()]).await.fails(4, &["150 missing, 0 extra"]);
        agrees(cluster, &from, &["--parquet", place.path(), "--group", &group], 750).await;
        agrees(cluster, &from, &["--parquet", place.path(), "--end", &ends], 750).await;
        // More in the folder than was asked for is none of it.
        cluster.run(&args).await.ok();
        agrees(cluster, &from, &["--parquet", place.path(), "--end", &ends], 750).await;
        agrees(cluster, &from, &["--parquet", place.path(), "--start", &ends], 150).await;
        let nowhere = place.0.join("nowhere");
        reconcile(cluster, &from, &["--parquet", nowhere.to_str().unwrap()]).await.fails(1, &["_schema.json"]);
        // Rows of which nobody knows which records they were.
        let bare = Place::new();
        std::fs::create_dir_all(bare.path()).unwrap();
        let kept = std::fs::read_to_string(place.0.join("_schema.json")).unwrap();
        let kept = kept.replace("\"metadata\": true", "\"metadata\": false");
        std::fs::write(bare.0.join("_schema.json"), kept).unwrap();
        let said = ["metadata = false under [parquet]", "another folder"];
        reconcile(cluster, &from, &["--parquet", bare.path()]).await.fails(1, &said);
        reconcile(cluster, &from, &["--parquet", place.path(), "--group", "other"]).await.fails(2, &["are those of the group"]);
        // A partition of which the group has committed nothing is not compared, and that is no equality.
        let (part, second, alone) = (cluster.topic("part", 2).await, cluster.group("part"), Place::new());
        let records: Vec<Rec> = (0..50).map(|n| Rec::text(&format!("{{\"id\":{n}}}")).stamped(START)).collect();
        cluster.put(&part, 0, &records).await;
        let args = ["clean", "--from", &part, "--parquet", alone.path(), "--rules", rules.path(), "--group", &second, "--strict", "--exit"];
        cluster.run(&args).await.ok();
        let with = ["--parquet", alone.path(), "--group", &*second];
        agrees(cluster, &part, &with, 50).await;
        cluster.put(&part, 1, &records).await;
        let outcome = reconcile(cluster, &part, &with).await;
        assert_eq!(outcome.json()["against"]["uncommitted_partitions"], 1, "{outcome:?}");
        outcome.fails(4, &["not known to be equal", "nothing of what is there in 1 partition"]);
        let outcome = reconcile(cluster, &part, &[&with[..], &["--partition", "1"]].concat()).await;
        outcome.fails(4, &["nothing was compared: the group has committed nothing"]);
        // A copy under another name.
        std::fs::copy(alone.0.join(&alone.names()[0]), alone.0.join(format!("{part}-0-10-30.parquet"))).unwrap();
        reconcile(cluster, &part, &with).await.fails(1, &["both say that they hold offset 10", &format!("{part}-0-10-30.parquet")]);
        // Of another topic nothing is there, and that is said.
        let other = cluster.topic("plain-other", 1).await;
        let told = reconcile(cluster, &other, &["--parquet", place.path()]).await.ok();
        assert!(told.stderr.contains("no file in"), "{told:?}");
    }
}

/// A folder that is gone with the test.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("kmerge-rows-{:016x}", rand::random::<u64>())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// The names of the files.
    fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(&self.0).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".parquet")).collect();
        names.sort();
        names
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_on_a_full_disk_ends_the_cleaner_which_says_what_it_lacks_and_what_is_committed_stays() {
    let cluster = Cluster::embedded("clean-full").await;
    let topics = Topics::new(&cluster, "full", RULES).await;
    logins(&cluster, &topics.from, 3, 300).await;
    let (ledger, group) = (cluster.topic("deletes", 1).await, "full");
    // What cannot be kept or opened is said before anything is made.
    let said = [("--ledger-topic", &*ledger, "not compact"), ("--ledger", "/not-there/ledger", "/not-there/ledger")];
    for (flag, ledger, said) in said {
        let args = [&topics.args(group)[..], &["--to", "never-made", "--exit", flag, ledger]].concat();
        cluster.run(&args).await.fails(1, &[said]);
        assert!(cluster.client().await.topic("never-made").await.is_err());
    }
    cluster
        .run(&topics.both(group, &["--exit", "--ledger-topic", &topics.to]))
        .await
        .fails(2, &["a topic of their own"]);
    let outcome =
        cluster.run(&topics.both(group, &["--exit", "--ledger", "/dev/full", "--commit-interval", "10s"])).await;
    outcome.fails(1, &["/dev/full", "the topic holds 270 acknowledged records that the ledger lacks"]);
    assert_eq!(committed(&cluster, &topics.to).await.len(), 240);
    let report = cluster.run(&topics.both(group, &["--exit"])).await.ok().json();
    assert_eq!((&report["in"], &report["group_total"]["in"]), (&0.into(), &300.into()));
}

/// Whatever becomes of a request, the ledger has what is committed: a doubt that turns out to stand, too.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_requests_the_ledger_has_what_is_committed_and_nothing_else() {
    let cluster = Cluster::embedded("clean-doubts").await;
    let faults = cluster.embedded.as_ref().unwrap().faults();
    let requests = [
        (ApiKey::EndTxn, 0, Fault::DropAfter),
        (ApiKey::EndTxn, 0, Fault::DropBefore),
        (ApiKey::EndTxn, 0, Fault::ErrorAfter(ErrorCode::UnknownServerError)),
        (ApiKey::TxnOffsetCommit, 0, Fault::Error(ErrorCode::InvalidTxnState)),
        (ApiKey::Produce, 1, Fault::Error(ErrorCode::InvalidProducerEpoch)),
        (ApiKey::Produce, 0, Fault::DropAfter),
    ];
    for (number, (api, after, fault)) in requests.into_iter().enumerate() {
        let topics = Topics::new(&cluster, &format!("doubt-{number}"), RULES).await;
        logins(&cluster, &topics.from, 3, 600).await;
        let (ledger, file) = (format!("ledger-{number}"), Sample::new("ledger", ""));
        for (group, with) in [("file", ["--ledger", file.path()]), ("topic", ["--ledger-topic", &*ledger])] {
            let rule = faults.add(Rule::on(api).after(after).once(), fault.clone());
            let group = format!("{group}-{number}");
            let report = cluster
                .run(&topics.both(&group, &[&["--exit", "--commit-interval", "20ms"], &with[..]].concat()))
                .await
                .ok()
                .json();
            let when = format!("{api} {fault:?} {with:?}: {report}");
            assert_eq!((rule.hits(), &report["out"]), (1, &480.into()), "{when}");
        }
        // Both have written to the same topics, each its half.
        let with = ["--ledger", file.path(), "--ledger-topic", &*ledger];
        agrees(&cluster, &topics.to, &with, 960).await;
        agrees(&cluster, &topics.dead, &with, 120).await;
        assert_eq!(sum(&lines(&file), "records"), 540, "{api} {fault:?}");
    }
}

/// More minutes than are held end the transaction, and all are noted.
#[tokio::test(flavor = "multi_thread")]
async fn more_minutes_than_are_held_end_the_transaction_before_its_time() {
    let cluster = Cluster::embedded("clean-minutes").await;
    let topics = Topics::new(&cluster, "minutes", RULES).await;
    let records: Vec<Rec> = (0..30_000)
        .map(|n| Rec::text(&format!("{{\"id\":{n},\"device\":\"web\"}}")).stamped(START + n * MINUTE))
        .collect();
    for records in records.chunks(5000) {
        cluster.put(&topics.from, 0, records).await;
    }
    let place = Place::new();
    let more = ["--exit", "--parquet", place.path(), "--batch-bytes", "4KiB", "--ledger-topic", "ledger"];
    let report = cluster.run(&topics.both("minutes", &more)).await.ok().json();
    assert!(report["commits"].as_u64() > Some(2), "{report}");
    agrees(&cluster, &topics.to, &["--ledger-topic", "ledger"], 30_000).await;
    agrees(&cluster, &topics.from, &["--ledger-topic", "ledger", "--parquet", place.path()], 30_000).await;
}

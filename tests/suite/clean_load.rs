//! `clean` under load: however many clean a topic, and whatever becomes of them, each record is cleaned once.
#![cfg(unix)]

use crate::clean::{Cleaning, LONG, RULES, RuleFile, cleaned, committed, members, payload};
use crate::support::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Logins that keep coming, each noted.
struct Load<'a> {
    cluster: &'a Cluster,
    topic: String,
    partitions: i32,
    ended: AtomicBool,
    /// By key: the values, in order.
    sent: Mutex<BTreeMap<String, Vec<String>>>,
}

impl Load<'_> {
    async fn run(&self) {
        let mut number = 0;
        while !self.ended.load(SeqCst) {
            let partition = number % self.partitions;
            let records: Vec<Rec> = (0..20).map(|record| self.made(partition, number * 20 + record)).collect();
            self.cluster.put(&self.topic, partition, &records).await;
            number += 1;
        }
    }

    fn made(&self, partition: i32, number: i32) -> Rec {
        let key = format!("{partition}-{}", number % 5);
        let value = match number % 10 {
            0 => format!(r#"{{"user_id":{number},"device_type":null}}"#),
            1 => format!(r#"{{"user_id":{number}"#),
            _ => format!(r#"{{"user_id":{number},"device_type":"web"}}"#),
        };
        self.sent.lock().unwrap().entry(key.clone()).or_default().push(value.clone());
        Rec { key: Some(key.into_bytes()), ..Rec::text(&value) }
    }

    fn count(&self) -> usize {
        self.sent.lock().unwrap().values().map(Vec::len).sum()
    }

    /// Lets some more come.
    async fn some_more(&self) {
        let (before, began) = (self.count(), Instant::now());
        while self.count() < before + 200 {
            assert!(began.elapsed() < LONG, "nothing comes");
            // Between two looks.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A topic under load, and what it takes to clean it.
struct Story<'a> {
    load: Load<'a>,
    to: String,
    dead: String,
    group: String,
    rules: RuleFile,
    /// Whether the rules look up what sort of device it is.
    looks_up: bool,
}

/// What the topic of devices has under a device type.
fn kind_of(device_type: &str) -> Value {
    format!("a {device_type} device").into()
}

impl<'a> Story<'a> {
    async fn begin(cluster: &'a Cluster, name: &str) -> Self {
        let from = cluster.topic(name, 6).await;
        let load = Load { cluster, topic: from, partitions: 6, ended: AtomicBool::new(false), sent: Mutex::default() };
        let (to, dead) =
            (cluster.topic(&format!("{name}-out"), 4).await, cluster.topic(&format!("{name}-dead"), 1).await);
        Self { load, to, dead, group: cluster.group(name), rules: RuleFile::new(RULES), looks_up: false }
    }

    /// The same with a lookup in the rules.
    async fn begin_looking_up(cluster: &'a Cluster, name: &str) -> Self {
        let devices = cluster.topic_with(&format!("{name}-devices"), 2, &[("cleanup.policy", "compact")]).await;
        for (partition, device) in (0..).zip(["web", "unknown"]) {
            let value = serde_json::json!({ "kind": kind_of(device) }).to_string();
            let record = Rec { key: Some(device.as_bytes().to_vec()), ..Rec::text(&value) };
            cluster.put(&devices, partition, &[record]).await;
        }
        let rule = format!("lookup = {{ field = \"device_type\", topic = \"{devices}\", take = [\"kind\"] }}");
        let rules = RuleFile::new(&format!("{RULES}\n[[rule]]\n{rule}\n"));
        Self { rules, looks_up: true, ..Self::begin(cluster, name).await }
    }

    fn args(&self) -> Vec<&str> {
        let topics = ["clean", "--from", &self.load.topic, "--to", &self.to, "--dead-letters", &self.dead];
        [&topics[..], &["--rules", self.rules.path(), "--group", &self.group]].concat()
    }

    fn start(&self, more: &[&str]) -> Cleaning {
        Cleaning::start(self.load.cluster, &[&self.args(), more].concat())
    }

    async fn members(&self, count: usize) {
        members(self.load.cluster, &self.group, count).await;
    }

    /// Cleans what is left: all that came has gone out, is counted and in order, each record once.
    async fn ends_whole(self, more: &[&str]) {
        let cluster = self.load.cluster;
        let rest = cluster.run(&[&self.args()[..], &["--exit", "--output", "json"], more].concat()).await.ok().json();
        let sent = self.load.sent.into_inner().unwrap();
        let all: usize = sent.values().map(Vec::len).sum();
        let (mut kept, mut refused) = (BTreeMap::new(), Vec::new());
        for (key, values) in &sent {
            for value in values {
                match cleaned(value).0 {
                    Some(mut value) => {
                        if self.looks_up {
                            value["kind"] = kind_of(value["device_type"].as_str().unwrap());
                        }
                        kept.entry(key.clone()).or_insert_with(Vec::new).push(value)
                    }
                    None => refused.push(value.clone()),
                }
            }
        }
        let total = &rest["group_total"];
        let out: usize = kept.values().map(Vec::len).sum();
        assert_eq!(
            (&total["in"], &total["out"], &total["rejected"]),
            (&all.into(), &out.into(), &refused.len().into())
        );
        let mut found = BTreeMap::new();
        for record in committed(cluster, &self.to).await {
            let key = record["key"].as_str().unwrap().to_owned();
            found.entry(key).or_insert_with(Vec::new).push(payload(&record));
        }
        for (key, kept) in &kept {
            let found = found.get(key).map_or(&[][..], Vec::as_slice);
            let differs = kept.iter().zip(found).position(|(kept, found)| kept != found);
            assert!(found == kept, "{key}: {} of {} records, they differ at {differs:?}", found.len(), kept.len());
        }
        assert_eq!(found.len(), kept.len());
        let letters = committed(cluster, &self.dead).await;
        let mut letters: Vec<_> = letters.iter().map(|letter| letter["payload"].as_str().unwrap().to_owned()).collect();
        letters.sort();
        refused.sort();
        assert_eq!(letters, refused);
    }
}

/// One instance, then three, of which one is killed and one stopped, then one.
async fn grows_and_shrinks(cluster: &Cluster, name: &str, more: &[&str]) {
    let story = Story::begin(cluster, name).await;
    let told = async {
        let first = story.start(more);
        story.members(1).await;
        story.load.some_more().await;
        let (second, third) = (story.start(more), story.start(more));
        story.members(3).await;
        story.load.some_more().await;
        third.kill();
        story.load.some_more().await;
        first.stop().await;
        story.members(1).await;
        story.load.some_more().await;
        story.load.ended.store(true, SeqCst);
        second.stop().await;
    };
    tokio::join!(told, story.load.run());
    story.ends_whole(&[]).await;
}

on_both_brokers! {
    async fn one_then_three_then_one_again_under_load_and_one_of_them_killed_clean_every_record_once(cluster: &Cluster) {
        grows_and_shrinks(cluster, "load", &[]).await;
    }

    async fn the_same_where_members_keep_what_they_have(cluster: &Cluster) {
        grows_and_shrinks(cluster, "kept", &["--assignor", "cooperative-sticky", "--compression", "lz4"]).await;
    }

    async fn who_slept_while_another_took_its_partitions_adds_nothing_to_what_that_one_has_cleaned(cluster: &Cluster) {
        let story = Story::begin(cluster, "sleeper").await;
        let told = async {
            let sleeper = story.start(&[]);
            story.members(1).await;
            story.load.some_more().await;
            signal("-STOP", &sleeper.0);
            let heir = story.start(&[]);
            story.load.some_more().await;
            // It is put out, and what it has open is voided, each in its time.
            let (client, began) = (cluster.client().await, Instant::now());
            loop {
                let told = client.group(&story.group).await.ok().flatten();
                let heirs = |told: &kmerge::client::GroupDescribed| {
                    told.members.len() == 1 && told.members[0].partitions.as_ref().is_some_and(|share| share.len() == 6)
                };
                if told.as_ref().is_some_and(heirs) {
                    break;
                }
                assert!(began.elapsed() < LONG, "{told:?}");
                // Between two looks.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            story.load.some_more().await;
            signal("-CONT", &sleeper.0);
            story.members(2).await;
            story.load.some_more().await;
            story.load.ended.store(true, SeqCst);
            sleeper.stop().await;
            heir.stop().await;
        };
        tokio::join!(told, story.load.run());
        story.ends_whole(&[]).await;
    }

    async fn killed_at_random_instants_again_and_again_the_same_command_goes_on_at_once(cluster: &Cluster) {
        let story = Story::begin_looking_up(cluster, "random").await;
        let (mut seed, named) = (Seed::printed(), ["--group-instance-id", "one"]);
        let told = async {
            for _ in 0..8 {
                let run = story.start(&named);
                // The instant itself is meant.
                tokio::time::sleep(Duration::from_millis(100 + seed.below(600))).await;
                run.kill();
            }
            story.load.ended.store(true, SeqCst);
        };
        tokio::join!(told, story.load.run());
        story.ends_whole(&named).await;
    }

    async fn two_that_clean_one_topic_up_to_its_end_at_the_same_time_share_it(cluster: &Cluster) {
        let story = Story::begin(cluster, "bounded").await;
        let enough = async {
            story.load.some_more().await;
            story.load.some_more().await;
            story.load.ended.store(true, SeqCst);
        };
        tokio::join!(enough, story.load.run());
        let args = [&story.args()[..], &["--exit", "--output", "json", "--commit-interval", "10ms"]].concat();
        let (one, other) = tokio::join!(cluster.run(&args), cluster.run(&args));
        let (one, other) = (one.ok().json(), other.ok().json());
        let read = |report: &Value| report["in"].as_u64().unwrap();
        assert_eq!(read(&one) + read(&other), story.load.count() as u64, "{one} {other}");
        story.ends_whole(&[]).await;
    }
}

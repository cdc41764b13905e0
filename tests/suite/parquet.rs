//! `clean --parquet`: what is in the files, however many write them and whatever becomes of those.

use crate::clean::Cleaning;
use crate::support::*;
use kmerge::base::place::TopicPartition;
use kmerge::client::OffsetAt;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(120);

const RULES: &str = r#"
[[rule]]
default = { field = "device_type", value = "unknown" }

[[rule]]
required = { field = "user_id" }
"#;

/// A folder that is gone with the test: the rules, and the folder of the files.
struct Place(PathBuf);

impl Place {
    fn new(rules: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kmerge-parquet-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("rules.toml"), rules).unwrap();
        Self(path)
    }

    fn rules(&self) -> String {
        self.0.join("rules.toml").to_str().unwrap().to_owned()
    }

    fn folder(&self) -> String {
        self.0.join("files").to_str().unwrap().to_owned()
    }

    /// Everything in the folder of the files, in order.
    fn names(&self) -> Vec<String> {
        let names =
            std::fs::read_dir(self.folder()).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// The rows of all files by topic, partition and offset, each once; whatever else is there but the kept columns is left over.
    fn rows(&self) -> BTreeMap<(String, i64, i64), Map<String, Value>> {
        let mut all = BTreeMap::new();
        let kept = std::fs::read(Path::new(&self.folder()).join("_schema.json")).unwrap();
        let kept: Value = serde_json::from_slice(&kept).unwrap();
        let json: Vec<&str> = kept["columns"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["type"] == "json")
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        for name in self.names().iter().filter(|name| !name.starts_with('_')) {
            let stem = name.strip_suffix(".parquet").unwrap_or_else(|| panic!("{name} is left over"));
            let numbers: Vec<&str> = stem.rsplitn(4, '-').collect();
            let rows = rows_of(&Path::new(&self.folder()).join(name));
            let ends = [rows.first(), rows.last()].map(|row| row.unwrap()["_offset"].to_string());
            assert_eq!((ends[0].as_str(), ends[1].as_str()), (numbers[1], numbers[0]), "{name}");
            for mut row in rows {
                let at = |name: &str| row[name].as_i64().unwrap();
                let at = (row["_topic"].as_str().unwrap().to_owned(), at("_partition"), at("_offset"));
                assert_eq!((at.0.as_str(), at.1.to_string().as_str()), (numbers[3], numbers[2]), "{name}");
                for name in &json {
                    if let Some(Value::String(text)) = row.get(*name) {
                        let value = serde_json::from_str(text).unwrap();
                        row.insert((*name).to_owned(), value);
                    }
                }
                if let Some(Value::String(rest)) = row.remove("_rest") {
                    row.extend(serde_json::from_str::<Map<String, Value>>(&rest).unwrap());
                }
                row.retain(|member, _| !member.starts_with('_'));
                assert!(all.insert(at.clone(), row).is_none(), "{at:?} is in two files");
            }
        }
        all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The rows of a file, without what is null.
fn rows_of(path: &Path) -> Vec<Map<String, Value>> {
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let value = |field: &Field| match field {
        Field::Null => None,
        Field::Int(number) => Some(Value::from(*number)),
        Field::Long(number) | Field::TimestampMillis(number) => Some(Value::from(*number)),
        Field::Double(number) => Some(Value::from(*number)),
        Field::Str(text) => Some(Value::from(text.as_str())),
        other => panic!("no column here holds {other:?}"),
    };
    let rows = reader.get_row_iter(None).unwrap().map(|row| {
        let row = row.unwrap();
        row.get_column_iter().filter_map(|(name, field)| Some((name.clone(), value(field)?))).collect()
    });
    rows.collect()
}

/// What the rules make of a record, if it goes out.
fn cleaned(value: &str) -> Option<Map<String, Value>> {
    let mut login: Map<String, Value> = serde_json::from_str(value).ok()?;
    if login.get("device_type").is_none_or(Value::is_null) {
        login.insert("device_type".to_owned(), "unknown".into());
    }
    login.get("user_id").is_some_and(|id| !id.is_null()).then_some(login)
}

/// Records that keep coming.
struct Load<'a> {
    cluster: &'a Cluster,
    topic: String,
    partitions: i32,
    ended: AtomicBool,
    sent: Mutex<Vec<Vec<String>>>,
}

impl<'a> Load<'a> {
    async fn new(cluster: &'a Cluster, name: &str, partitions: i32) -> Self {
        let topic = cluster.topic(name, partitions).await;
        let sent = Mutex::new(vec![Vec::new(); partitions as usize]);
        Self { cluster, topic, partitions, ended: AtomicBool::new(false), sent }
    }

    async fn run(&self) {
        let mut number = 0;
        while !self.ended.load(SeqCst) {
            let partition = number % self.partitions;
            let values: Vec<String> = (0..20).map(|one| made(number * 20 + one)).collect();
            let records: Vec<Rec> = values.iter().map(|value| Rec::text(value)).collect();
            self.cluster.put(&self.topic, partition, &records).await;
            self.sent.lock().unwrap()[partition as usize].extend(values);
            number += 1;
        }
    }

    fn count(&self) -> usize {
        self.sent.lock().unwrap().iter().map(Vec::len).sum()
    }

    async fn some_more(&self) {
        let (before, began) = (self.count(), Instant::now());
        while self.count() < before + 200 {
            assert!(began.elapsed() < LONG, "nothing comes");
            // Between two looks.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What has to be in the files, by where it stands.
    async fn oracle(&self) -> BTreeMap<(String, i64, i64), Map<String, Value>> {
        let mut all = BTreeMap::new();
        for partition in 0..self.partitions {
            // Offsets as the broker has them.
            let end = self.end(partition).await;
            let sent = self.sent.lock().unwrap()[partition as usize].clone();
            assert_eq!(end, sent.len() as i64, "nothing but records is in partition {partition}");
            for (offset, value) in sent.iter().enumerate() {
                if let Some(row) = cleaned(value) {
                    all.insert((self.topic.clone(), partition.into(), offset as i64), row);
                }
            }
        }
        all
    }

    async fn end(&self, partition: i32) -> i64 {
        let at = [TopicPartition::new(&*self.topic, partition)];
        self.cluster.client().await.offsets(&at, OffsetAt::Latest).await.unwrap()[0]
    }
}

/// One of ten lacks its device, one is broken, one has what the others have not.
fn made(number: i32) -> String {
    match number % 10 {
        3 => format!(r#"{{"user_id":{number},"device_type":null}}"#),
        4 => format!(r#"{{"user_id":{number}"#),
        5 => format!(r#"{{"user_id":"text {number}","device_type":"web","new":{{"a":[{number}]}}}}"#),
        _ => format!(r#"{{"user_id":{number},"device_type":"web"}}"#),
    }
}

const QUICK: [&str; 7] =
    ["--session-timeout", "6s", "--transaction-timeout", "6s", "--parquet-interval", "150ms", "-q"];

on_both_brokers! {
    async fn killed_at_random_instants_beside_another_that_is_killed_too_every_record_is_in_one_file(cluster: &Cluster) {
        let (load, place, mut seed) = (Load::new(cluster, "killed", 4).await, Place::new(RULES), Seed::printed());
        let (dead, group) = (cluster.topic("killed-dead", 1).await, cluster.group("killed"));
        let (rules, folder) = (place.rules(), place.folder());
        let args = ["clean", "--from", &load.topic, "--parquet", &folder, "--rules", &rules, "--group", &group, "--dead-letters", &dead];
        let args = [&args[..], &QUICK].concat();
        let told = async {
            load.some_more().await;
            let mut other = Cleaning::begin(cluster, &[&args[..], &["--group-instance-id", "other"]].concat());
            for round in 0..6 {
                let run = Cleaning::begin(cluster, &[&args[..], &["--group-instance-id", "one"]].concat());
                // The instant itself is meant.
                tokio::time::sleep(Duration::from_millis(200 + seed.below(700))).await;
                run.kill();
                if round == 3 {
                    other.kill();
                    other = Cleaning::begin(cluster, &[&args[..], &["--group-instance-id", "other"]].concat());
                }
            }
            other.kill();
            load.ended.store(true, SeqCst);
        };
        tokio::join!(told, load.run());
        // Both again, because the group keeps the share of a named member for some time.
        let last = ["one", "other"].map(|name| [&args[..], &["--group-instance-id", name, "--exit", "--output", "json"]].concat());
        let (one, other) = tokio::join!(cluster.run(&last[0]), cluster.run(&last[1]));
        for ended in [one, other] {
            ended.ok();
        }
        let (oracle, rows, names) = (load.oracle().await, place.rows(), place.names());
        let report = cluster.run(&last[0]).await.ok().json();
        let total = &report["group_total"];
        assert_eq!((&total["in"], &total["out"]), (&load.count().into(), &oracle.len().into()), "{report}");
        let differs = oracle.iter().find(|(at, row)| rows.get(*at) != Some(*row));
        assert!(rows.len() == oracle.len() && differs.is_none(), "{} of {} rows; {differs:?}", rows.len(), oracle.len());
        assert!(place.names().len() > 4, "{:?}", place.names());
        assert_eq!((&report["in"], place.names()), (&0.into(), names), "nothing is left to do, and nothing changes");
    }

    async fn two_that_clean_one_topic_up_to_its_end_at_the_same_time_share_the_folder_and_the_columns(cluster: &Cluster) {
        let (load, place) = (Load::new(cluster, "bounded", 6).await, Place::new(RULES));
        let (to, group) = (cluster.topic("bounded-out", 2).await, cluster.group("bounded"));
        let enough = async {
            load.some_more().await;
            load.some_more().await;
            load.ended.store(true, SeqCst);
        };
        tokio::join!(enough, load.run());
        let (rules, folder) = (place.rules(), place.folder());
        let args = ["clean", "--from", &load.topic, "--to", &to, "--parquet", &folder, "--rules", &rules, "--group", &group, "--exit"];
        let args = [&args[..], &QUICK, &["--output", "json", "--parquet-codec", "gzip"]].concat();
        let (one, other) = tokio::join!(cluster.run(&args), cluster.run(&args));
        let reports = [one.ok().json(), other.ok().json()];
        let sum = |name: &str| -> u64 { reports.iter().map(|report| report[name].as_u64().unwrap()).sum() };
        let oracle = load.oracle().await;
        assert_eq!((sum("in"), sum("out")), (load.count() as u64, oracle.len() as u64), "{reports:?}");
        assert!(place.rows() == oracle);
        let rows: u64 = reports.iter().map(|report| report["parquet"]["rows"].as_u64().unwrap()).sum();
        assert_eq!(rows, oracle.len() as u64, "each once, whether it goes to one place or to two");
    }

    async fn a_disk_that_takes_no_more_ends_the_job_with_status_1_and_leaves_nothing_that_is_half_written(cluster: &Cluster) {
        if cfg!(not(unix)) {
            return;
        }
        let (from, place) = (cluster.topic("full", 1).await, Place::new(RULES));
        cluster.run(&["generate", "logins", &from, "--records", "20000", "--seed", "3"]).await.ok();
        let (group, rules, folder) = (cluster.group("full"), place.rules(), place.folder());
        let args = ["clean", "--from", &from, "--parquet", &folder, "--rules", &rules, "--group", &group, "--strict", "--exit"];
        let args = [&args[..], &["--parquet-codec", "none", "--output", "json"]].concat();
        // Files of 100 KiB at most, which is told as an error, as a full disk is.
        let limited = command(&cluster.brokers, &args);
        let mut shell = std::process::Command::new("bash");
        shell.args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$@\"", "bash"]).arg(limited.get_program()).args(limited.get_args());
        shell.env("KMERGE_BROKERS", &cluster.brokers).stdin(Stdio::null());
        run(shell).await.fails(1, &["File too large", "nothing of the transaction is committed"]);
        assert_eq!(place.names(), ["_schema.json"], "not even an id of a topic that has no file");
        let offsets = cluster.client().await.group_offsets(&group).await.unwrap();
        assert!(offsets.values().all(|one| one.offset <= 0), "{offsets:?}");
        let report = cluster.run(&args).await.ok().json();
        assert_eq!((&report["in"], &report["out"], place.rows().len()), (&20_000.into(), &20_000.into(), 20_000));
    }

    async fn a_topic_that_was_deleted_and_created_anew_loses_no_file_and_goes_to_another_folder(cluster: &Cluster) {
        let (from, place) = (cluster.topic("anew", 1).await, Place::new(RULES));
        let (group, rules, folder) = (cluster.group("anew"), place.rules(), place.folder());
        let generate = async || cluster.run(&["generate", "logins", &from, "--records", "500", "--seed", "4"]).await.ok();
        let clean = async |folder: &str, group: &str| {
            cluster.run(&["clean", "--from", &from, "--parquet", folder, "--rules", &rules, "--group", group, "--strict", "--exit", "--output", "json"]).await
        };
        generate().await;
        clean(&folder, &group).await.ok();
        let (names, rows) = (place.names(), place.rows());
        cluster.run(&["topic", "delete", &from]).await.ok();
        cluster.run(&["topic", "create", &from, "--partitions", "1", "--config", "retention.ms=-1"]).await.ok();
        generate().await;
        clean(&folder, &group).await.fails(1, &[&from, "created anew", "Nothing was removed", "give another folder"]);
        assert_eq!((place.names(), place.rows()), (names, rows));
        let other = Place::new(RULES);
        clean(&other.folder(), &cluster.group("anew-again")).await.ok();
        assert_eq!(other.rows().len(), 500);
    }

    async fn a_topic_several_times_as_large_as_the_memory_becomes_files_within_the_memory_and_32_mib(cluster: &Cluster) {
        let (from, place) = (cluster.topic("large", 2).await, Place::new(RULES));
        cluster.run(&["generate", "logins", &from, "--records", "400000", "--missing", "device_type=10%"]).await.ok();
        let (group, rules, folder) = (cluster.group("large"), place.rules(), place.folder());
        let args = ["clean", "--from", &from, "--parquet", &folder, "--rules", &rules, "--group", &group, "--strict", "--exit"];
        let report = cluster.run(&[&args[..], &["--memory", "12MiB", "--output", "json"]].concat()).await.ok().json();
        assert_eq!((&report["in"], &report["parquet"]["rows"]), (&400_000.into(), &400_000.into()));
        let peak = report["peak_memory_bytes"].as_u64().unwrap() >> 20;
        assert!(peak <= 12 + 32, "peak {peak} MiB");
    }
}

#[test]
fn what_cannot_work_with_files_is_said_before_anything_starts() {
    let refused = |args: &[&str], words: &[&str]| {
        let outcome: Outcome = command("127.0.0.1:1", args).output().expect("the binary starts").into();
        outcome.fails(2, words);
    };
    let place = Place::new(RULES);
    let (rules, folder) = (place.rules(), place.folder());
    let with = |more: &[&'static str]| -> Vec<String> {
        let args = ["clean", "--from", "a", "--rules", &rules, "--parquet", &folder];
        args.iter().chain(more).map(|arg| (*arg).to_owned()).collect()
    };
    for (more, words) in [
        (&["--commit-interval", "1s"][..], &["--commit-interval"][..]),
        (&["--parquet-codec", "zstd"], &["zstd", "snappy"]),
        (&["--parquet-interval", "15s", "--transaction-timeout", "30s"], &["below half of --transaction-timeout"]),
        (&["--dry-run"], &["--parquet"]),
        (&["--from", "b"], &["--dead-letters"]),
    ] {
        let args = with(more);
        refused(&args.iter().map(String::as_str).collect::<Vec<_>>(), words);
    }
    refused(&["clean", "--from", "a", "--to", "b", "--rules", &rules, "--parquet-interval", "1s"], &["--parquet"]);
    let wrong = Place::new("[parquet]\ncolumns = { a = \"integr\" }\n");
    refused(&["clean", "check", &wrong.rules()], &["line 2", "parquet.columns.a", "int"]);
    assert!(!place.0.join("files").exists());
}

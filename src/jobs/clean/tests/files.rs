//! What goes to files: whatever goes wrong at whichever request, each record is in one file.

use super::super::ParquetSettings;
use super::super::files::tests::Folder;
use super::world::{LONG, PARTITIONS, RECORDS, World};
use crate::base::kind::Kind;
use crate::base::shutdown::Signal;
use crate::broker::{BrokerConfig, Fault, GroupConfig, Rule};
use crate::client::Cluster;
use crate::formats::parquet::Codec;
use crate::formats::parquet::testing::rows_of;
use crate::wire::{ApiKey, ErrorCode};
use std::collections::BTreeMap;
use std::time::Duration;

/// A job that writes to a folder, beside its topic or instead of it.
struct Job {
    world: World,
    folder: Folder,
}

impl Job {
    async fn new(to_topic: bool) -> Self {
        Self::of(World::new().await, to_topic)
    }

    fn of(mut world: World, to_topic: bool) -> Self {
        let folder = Folder::new();
        world.settings.parquet = Some(ParquetSettings {
            folder: folder.path().to_owned(),
            codec: Codec::Snappy,
            // Each window is a transaction.
            interval: Duration::from_millis(1),
            bytes_max: 1 << 20,
        });
        if !to_topic {
            world.settings.to = None;
            world.oracle.retain(|(topic, _), _| topic != "out");
        }
        Self { world, folder }
    }

    /// Adds records to each input partition.
    fn more(&mut self, records: i32) {
        self.world.more(records);
        if self.world.settings.to.is_none() {
            self.world.oracle.retain(|(topic, _), _| topic != "out");
        }
    }

    /// The values of all files, by partition and offset; each once, and in the file of its partition and offsets.
    fn rows(&self, when: &str) -> BTreeMap<(i64, i64), String> {
        let mut all = BTreeMap::new();
        for name in self.folder.names().iter().filter(|name| !name.starts_with('_')) {
            let numbers = name.strip_prefix("in-").and_then(|rest| rest.strip_suffix(".parquet"));
            let numbers: Vec<i64> = numbers
                .unwrap_or_else(|| panic!("{when}: {name} is left"))
                .split('-')
                .map(|number| number.parse().unwrap())
                .collect();
            let rows = rows_of(std::fs::read(self.folder.path().join(name)).unwrap());
            let offsets: Vec<i64> = rows.iter().map(|row| row["_offset"].as_i64().unwrap()).collect();
            assert!(offsets.is_sorted(), "{when}: {name}: {offsets:?}");
            assert_eq!((offsets.first(), offsets.last()), (numbers.get(1), numbers.get(2)), "{when}: {name}");
            for mut row in rows {
                let at = (row["_partition"].as_i64().unwrap(), row["_offset"].as_i64().unwrap());
                assert_eq!(at.0, numbers[0], "{when}: {name}");
                row.retain(|member, _| !member.starts_with('_'));
                row.sort_keys();
                let before = all.insert(at, serde_json::Value::Object(row).to_string());
                assert!(before.is_none(), "{when}: {at:?} is in two files");
            }
        }
        all
    }

    /// Panics unless every clean record is in one file, and everything else where it has to be.
    async fn is_whole(&self, when: &str) {
        self.world.is_whole(when).await;
        assert_eq!(self.rows(when), self.world.kept, "{when}");
    }
}

#[tokio::test]
async fn every_clean_record_is_in_one_file_beside_the_topic_or_instead_of_it() {
    for to_topic in [true, false] {
        let mut job = Job::new(to_topic).await;
        let (report, ended) = job.world.start().ended().await;
        ended.unwrap();
        job.is_whole("once").await;
        assert_eq!(report.tally(), job.world.tally);
        let json = report.to_json();
        let files = job.folder.names().iter().filter(|name| name.ends_with(".parquet")).count() as u64;
        assert!(files >= u64::try_from(PARTITIONS).unwrap());
        assert_eq!((&json["parquet"]["files"], &json["parquet"]["rows"]), (&files.into(), &json["out"]), "{json}");
        job.more(RECORDS);
        job.world.start().ended().await.1.unwrap();
        job.is_whole("twice").await;
    }
}

#[tokio::test]
async fn a_file_that_has_grown_large_ends_its_transaction() {
    let mut job = Job::new(false).await;
    for _ in 0..40 {
        job.more(100);
    }
    job.world.settings.transaction_timeout = Duration::from_secs(600);
    let settings = job.world.settings.parquet.as_mut().unwrap();
    // Only size ends transactions, but for the last one.
    (settings.interval, settings.bytes_max) = (Duration::from_secs(60), 600);
    let (report, ended) = job.world.start().ended().await;
    ended.unwrap();
    job.is_whole("by size").await;
    assert!(report.to_json()["commits"].as_u64().unwrap() > 5, "{}", report.to_json());
}

#[tokio::test]
async fn what_is_lost_or_refused_at_any_request_leaves_every_record_in_one_file() {
    for api in [ApiKey::Produce, ApiKey::TxnOffsetCommit, ApiKey::EndTxn] {
        for (request, fault) in
            [(0, Fault::DropBefore), (0, Fault::DropAfter), (1, Fault::DropAfter), (2, Fault::DropBefore)]
        {
            let job = Job::new(true).await;
            let when = format!("{api} {request} {fault:?}");
            let rule = job.world.broker.faults().add(Rule::on(api).after(request), fault);
            job.world.start().ended().await.1.unwrap_or_else(|error| panic!("{when}: {error}"));
            assert!(request > 0 || rule.hits() > 0, "{when}: never asked");
            job.is_whole(&when).await;
        }
    }
}

#[tokio::test]
async fn killed_before_or_behind_the_commit_the_same_command_leaves_every_record_in_one_file() {
    for api in [ApiKey::Produce, ApiKey::TxnOffsetCommit, ApiKey::EndTxn] {
        for request in [0, 2] {
            for fault in [Fault::Hold, Fault::HoldAnswer] {
                for (world, to_topic) in World::both().await.into_iter().zip([true, false]) {
                    let job = Job::of(world, to_topic);
                    let when = format!("{api} {request} {fault:?}");
                    let rule = job.world.broker.faults().add(Rule::on(api).after(request), fault.clone());
                    let run = job.world.start_until(&rule).await;
                    if rule.hits() > 0 {
                        run.kill().await;
                        job.world.broker.faults().remove(&rule);
                        job.world.start().ended().await.1.unwrap_or_else(|error| panic!("{when}: {error}"));
                    } else {
                        run.ended().await.1.unwrap_or_else(|error| panic!("{when}: {error}"));
                    }
                    job.is_whole(&when).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_group_that_was_set_back_is_told_and_loses_no_file() {
    let mut job = Job::new(false).await;
    job.world.start().ended().await.1.unwrap();
    // At least two files of each partition: one is what a crash may leave.
    job.more(RECORDS);
    job.world.start().ended().await.1.unwrap();
    let before = job.rows("before");
    let mut settings = job.world.settings.clone();
    // Another group stands at the beginning, as one does whose offsets were forgotten.
    settings.group.group = "forgotten".into();
    let text = std::fs::read_to_string(job.folder.path().join("_schema.json")).unwrap();
    std::fs::write(job.folder.path().join("_schema.json"), text.replace("cleaners", "forgotten")).unwrap();
    let error = job.world.start_as(&settings).ended().await.1.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    assert!(error.to_string().contains("kmerge group reset"), "{error}");
    assert_eq!(job.rows("after"), before);
}

#[tokio::test]
async fn a_topic_that_was_created_anew_is_told_by_its_id_and_loses_no_file() {
    for keeps_ids in [true, false] {
        let mut job = Job::new(false).await;
        // One file of each partition, as a crash may leave it.
        let parquet = job.world.settings.parquet.as_mut().unwrap();
        (parquet.interval, job.world.settings.transaction_timeout) =
            (Duration::from_secs(60), Duration::from_secs(600));
        job.world.start().ended().await.1.unwrap();
        let (ids, before) = (job.folder.path().join("_topic-in.json"), job.rows("before"));
        if !keeps_ids {
            // As of a version that did not; the next start does.
            std::fs::remove_file(&ids).unwrap();
            job.world.start().ended().await.1.unwrap();
        }
        let old = std::fs::read_to_string(&ids).unwrap();
        let cluster = Cluster::connect(&job.world.broker.addresses(), LONG).await.unwrap();
        cluster.delete_topic("in").await.unwrap();
        job.world.broker.create_topic("in", PARTITIONS, &[("retention.ms", "-1")]).unwrap();
        let new = cluster.topic("in").await.unwrap().topic_id.to_string();
        let error = job.world.start().ended().await.1.unwrap_err();
        assert_eq!(error.kind(), Kind::Failed);
        let error = error.to_string();
        assert!(error.contains(&new) && error.contains("another folder"), "{error}");
        assert!(!old.contains(&new) && old.split('"').any(|id| id.len() == 22 && error.contains(id)), "{error}");
        assert_eq!(job.rows("after"), before);
    }
}

#[tokio::test]
async fn a_disk_that_does_not_take_a_file_ends_the_job_and_nothing_is_committed_or_left() {
    let mut job = Job::new(true).await;
    let settings = job.world.settings.parquet.as_mut().unwrap();
    (settings.interval, job.world.settings.transaction_timeout) = (Duration::from_secs(60), Duration::from_secs(600));
    // A folder comes to stand where a file has to be, when all files are whole and none has its name.
    let held = job.world.broker.faults().add(Rule::on(ApiKey::TxnOffsetCommit), Fault::HoldAnswer);
    let run = job.world.start_until(&held).await;
    let in_the_way = job.folder.path().join(format!("in-1-0-{}.parquet", RECORDS - 1));
    std::fs::create_dir(&in_the_way).unwrap();
    held.release();
    let error = run.ended().await.1.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    assert!(error.to_string().contains("in-1-0-39.parquet"), "{error}");
    assert_eq!(job.folder.names(), ["_schema.json", "_topic-in.json", "in-1-0-39.parquet"]);
    assert!(job.world.seen().await.is_empty());
    // Once there is room, the same command goes on.
    std::fs::remove_dir(&in_the_way).unwrap();
    job.world.start().ended().await.1.unwrap();
    job.is_whole("afterwards").await;
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_before_anything_begins() {
    let mut job = Job::new(false).await;
    job.world.settings.parquet.as_mut().unwrap().interval = Duration::from_secs(10);
    let error = job.world.start().ended().await.1.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains("below half of --transaction-timeout 20s"), "{error}");
    job.world.settings.parquet = None;
    let error = job.world.start().ended().await.1.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains("--parquet DIR"), "{error}");
}

#[tokio::test]
async fn files_end_with_their_transaction_and_not_where_insights_are_told() {
    let mut job = Job::of(super::insights::counting(World::new().await, Duration::from_millis(1)), true);
    job.world.settings.exit = false;
    job.world.settings.transaction_timeout = Duration::from_secs(600);
    if let Some(parquet) = &mut job.world.settings.parquet {
        parquet.interval = Duration::from_secs(200);
    }
    let run = job.world.start();
    let faults = job.world.broker.faults();
    for _ in 0..3 {
        // The broker answers at once where there is something, and after half a second where there is not: by then all that
        // was there is cleaned, and told hundreds of times.
        faults.arrived(ApiKey::Fetch, faults.count(ApiKey::Fetch) + 3 * PARTITIONS as u64).await;
        job.world.more(30);
    }
    run.shutdown.request(Signal::Terminate);
    let (report, ended) = run.ended().await;
    assert_eq!(ended.unwrap_err().kind(), Kind::Interrupted(Signal::Terminate));
    assert!(report.tally().read > u64::try_from(PARTITIONS).unwrap() * u64::from(RECORDS.unsigned_abs()));
    assert_eq!(report.to_json()["parquet"]["files"], PARTITIONS);
}

#[tokio::test]
async fn a_member_that_was_suspended_removes_no_file_of_who_has_gone_on_meanwhile() {
    let session = Duration::from_secs(2);
    let groups = GroupConfig { session_timeout_min: session, ..GroupConfig::default() };
    let mut job = Job::of(World::on(BrokerConfig { groups, ..BrokerConfig::default() }).await, false);
    job.world.start().ended().await.1.unwrap();
    job.more(RECORDS);
    // It is told where the group stands, in its last answer of three, and is suspended before it has acted on it.
    let faults = job.world.broker.faults();
    let first = faults.add(Rule::on(ApiKey::OffsetFetch), Fault::Hold);
    let mut settings = job.world.settings.clone();
    settings.group.session_timeout = session;
    let run = job.world.start_as(&settings);
    tokio::time::timeout(LONG, first.hit()).await.expect("it asks where the group stands");
    let told = faults.add(Rule::on(ApiKey::ListOffsets).partition("in", 0).after(1), Fault::HoldAnswer);
    faults.remove(&first);
    tokio::time::timeout(LONG, told.hit()).await.expect("it asks where partitions end");
    let frozen = run.freeze().await;
    faults.remove(&told);
    // Once its session has ended somebody else has all partitions, with one file of each.
    settings.group.instance = Some("heir".to_owned());
    let parquet = settings.parquet.as_mut().unwrap();
    (parquet.interval, settings.transaction_timeout) = (Duration::from_secs(60), Duration::from_secs(600));
    job.world.start_as(&settings).ended().await.1.unwrap();
    job.is_whole("by the heir").await;
    drop(frozen);
    run.ended().await.1.unwrap();
    job.is_whole("by both").await;
}

#[tokio::test]
async fn a_signal_is_heard_while_a_broker_does_not_know_the_topic_whose_files_are_looked_at() {
    let job = Job::new(false).await;
    let faults = job.world.broker.faults();
    let begins = faults.add(Rule::on(ApiKey::OffsetFetch), Fault::Hold);
    let run = job.world.start_until(&begins).await;
    let unknown = Fault::Error(ErrorCode::UnknownTopicOrPartition);
    let unknown = faults.add(Rule::on(ApiKey::Metadata).always(), unknown);
    begins.release();
    tokio::time::timeout(LONG, unknown.hit_times(3)).await.expect("it is asked for again");
    run.shutdown.request(Signal::Terminate);
    let error = run.ended().await.1.unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted(Signal::Terminate), "{error}");
}

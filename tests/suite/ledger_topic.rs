//! Ledgers in compacted topics, and of integers: what was acknowledged is noted there as in files.

use crate::ledger::{START, lines, reconcile, rows, sum};
use crate::produce::{Sample, produce};
use crate::support::*;
use kmerge::broker::{Fault, Rule};
use kmerge::wire::{ApiKey, ErrorCode};

fn keyed(key: &str, value: Option<&str>) -> Rec {
    Rec { key: Some(key.into()), value: value.map(Into::into), ..Rec::int(0) }
}

on_both_brokers! {
    async fn any_number_of_commands_at_once_note_in_one_topic_which_the_first_of_them_makes(cluster: &Cluster) {
        let (topic, ledger) = (cluster.topic("shared", 3).await, cluster.name("ledger"));
        let file = Sample::new("csv", format!("id,at\n{}", rows((0..6000).map(|row| row % 30))));
        let from_file = [&*topic, file.path(), "--key", "id", "--timestamp-from", "at", "--ledger-topic", &ledger];
        let generate = async |what: &str, more: &[&str]| {
            let args = ["generate", what, &topic, "--records", "4000", "--ledger-topic", &ledger, "--start-time", "2026-01-01T00:00:00Z"];
            cluster.run(&[&args[..], more].concat()).await.ok()
        };
        let (_, _, produced) = tokio::join!(
            generate("logins", &["--linger", "0ms"]),
            generate("events", &["--compression", "lz4"]),
            produce(cluster, &from_file, ""),
        );
        produced.ok();
        let told = reconcile(cluster, &topic, &["--ledger-topic", &ledger]).await.ok();
        assert_eq!(told.json()["records_found"], 14_000);
        assert_eq!(told.json()["against"]["ledger_topics"], serde_json::json!([ledger]));
        let configs = cluster.client().await.topic_configs(&ledger).await.unwrap();
        assert_eq!(configs["cleanup.policy"], "compact");
        // Another run's keys are others, and a file is as good.
        let file = Sample::new("ledger", "");
        let more = ["generate", "parity", &topic, "--parity", "odd", "--records", "10", "--ledger", file.path()];
        cluster.run(&more).await.ok();
        reconcile(cluster, &topic, &["--ledger-topic", &ledger]).await.fails(4, &["10 extra"]);
        let both = ["--ledger-topic", &*ledger, "--ledger", file.path()];
        assert_eq!(reconcile(cluster, &topic, &both).await.ok().json()["records_found"], 14_010);
    }

    async fn more_minutes_than_are_counted_on_begin_new_parts_and_nothing_is_lost(cluster: &Cluster) {
        let (topic, ledger) = (cluster.topic("wide", 2).await, cluster.name("ledger"));
        let file = Sample::new("csv", format!("id,at\n{}", rows((0..20_000).map(|row| row % 9000))));
        let args = [&*topic, file.path(), "--key", "id", "--timestamp-from", "at", "--ledger-topic", &ledger];
        produce(cluster, &args, "").await.ok();
        let report = reconcile(cluster, &topic, &["--ledger-topic", &ledger]).await.ok().json();
        assert_eq!((&report["records_found"], &report["unreadable_lines"]), (&20_000.into(), &0.into()));
        let noted = cluster.read(&ledger, 0).await;
        let parts = noted.iter().filter(|one| String::from_utf8_lossy(one.key.as_deref().unwrap()).contains("\"part\":1"));
        assert!(noted.len() > 9000 && parts.count() > 0, "{}", noted.len());
        // One line too many for the memory.
        reconcile(cluster, &topic, &["--ledger-topic", &ledger, "--memory", "2MiB"]).await.fails(1, &["different minutes", "--memory"]);
    }

    async fn what_is_no_line_is_named_by_its_offset_and_of_a_key_the_newest_line_counts(cluster: &Cluster) {
        let (topic, ledger) = (cluster.topic("few", 1).await, cluster.topic_with("ledger", 1, &[("cleanup.policy", "compact")]).await);
        cluster.put(&topic, 0, &(0..10).map(|n| Rec::int(n).stamped(START)).collect::<Vec<_>>()).await;
        let line = |records: u64| format!(r#"{{"topic":"{topic}","partition":0,"minute":"2026-01-01T00:00:00Z","records":{records}}}"#);
        let other = line(1).replace(&topic, "else");
        // Somebody else's tool, which was torn once.
        let lines = [
            keyed("a", Some(&line(4))),
            keyed("a", Some(&line(4)[..30])),
            keyed("b", Some(&line(900))),
            keyed("a", Some(&line(7))),
            keyed("else", Some(&other)),
            keyed("b", None),
            keyed("c", Some(&line(3))),
        ];
        cluster.put(&ledger, 0, &lines).await;
        let told = reconcile(cluster, &topic, &["--ledger-topic", &ledger]).await.ok();
        let report = told.json();
        assert_eq!((&report["records_expected"], &report["unreadable_lines"]), (&10.into(), &1.into()), "{report}");
        assert_eq!((&report["unreadable"][0]["partition"], &report["unreadable"][0]["offset"]), (&0.into(), &1.into()), "{report}");
        assert!(told.stderr.contains("partition 0 offset 1 is torn"), "{told:?}");
        cluster.put(&ledger, 0, &[keyed("c", Some(&line(4)))]).await;
        reconcile(cluster, &topic, &["--ledger-topic", &ledger]).await.fails(4, &["1 missing, 0 extra"]);
    }

    async fn a_topic_that_would_lose_lines_is_refused_before_anything_is_made_and_one_that_is_written_cannot_be_meant(cluster: &Cluster) {
        let (ledger, missing) = (cluster.topic("deletes", 1).await, cluster.name("never-made"));
        let said = ["would not keep a ledger", "not compact", "--ledger-topic"];
        produce(cluster, &[&missing, "--create", "1", "--ledger-topic", &ledger], "one\n").await.fails(1, &said);
        cluster.run(&["generate", "ints", &missing, "--records", "1", "--ledger-topic", &ledger]).await.fails(1, &said);
        cluster.run(&["generate", "logins", &missing, "--records", "1", "--ledger-topic", &missing]).await.fails(2, &["one of its own"]);
        produce(cluster, &[&missing, "--ledger-topic", &ledger, "--ledger", "file"], "").await.fails(2, &["cannot be used with"]);
        assert!(cluster.client().await.topic(&missing).await.is_err());
        // Who reads it is told.
        let topic = cluster.topic("read", 1).await;
        let told = reconcile(cluster, &topic, &["--ledger-topic", &ledger]).await.ok();
        assert!(told.stderr.contains("its cleanup.policy is delete"), "{told:?}");
        reconcile(cluster, &topic, &["--ledger-topic", &missing]).await.fails(1, &[&missing]);
    }

    async fn integers_are_noted_in_a_file_or_a_topic_whoever_stamps_them(cluster: &Cluster) {
        let ledger = cluster.name("ledger");
        for (by, codec) in [("CreateTime", "none"), ("LogAppendTime", "zstd")] {
            let topic = cluster.topic_with(by, 4, &[("message.timestamp.type", by)]).await;
            let file = Sample::new("ledger", "");
            let args = ["generate", "ints", &topic, "--records", "50000", "--skew", "0.7", "--compression", codec, "--output", "json"];
            let report = cluster.run(&[&args[..], &["--ledger", file.path()]].concat()).await.ok().json();
            let noted = lines(&file);
            assert_eq!((sum(&noted, "records"), sum(&noted, "bytes")), (50_000, report["bytes"].as_u64().unwrap()));
            reconcile(cluster, &topic, &["--ledger", file.path()]).await.ok();
            let again = cluster.topic_with(&format!("again-{by}"), 4, &[("message.timestamp.type", by)]).await;
            cluster.run(&["generate", "ints", &again, "--records", "50000", "--ledger-topic", &ledger]).await.ok();
            let report = reconcile(cluster, &again, &["--ledger-topic", &ledger]).await.ok().json();
            assert_eq!(report["records_found"], 50_000);
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn integers_whose_ledger_is_on_a_full_disk_end_with_what_it_lacks() {
    let cluster = Cluster::embedded("ints-full").await;
    let topic = cluster.topic("full", 2).await;
    let args = ["generate", "ints", &topic, "--records", "2000", "--ledger", "/dev/full"];
    cluster
        .run(&args)
        .await
        .fails(1, &["/dev/full", "the topic holds 2,000 acknowledged records that the ledger lacks"]);
}

/// Where one partition fails, what the others have sent by then is noted if it is stored.
#[tokio::test(flavor = "multi_thread")]
async fn integers_that_stop_half_way_leave_the_ledger_right() {
    let cluster = Cluster::embedded("ints-half").await;
    let (topic, file) = (cluster.topic("half", 4).await, Sample::new("ledger", ""));
    let faults = cluster.embedded.as_ref().unwrap().faults();
    faults
        .add(Rule::on(ApiKey::Produce).partition(&topic, 2).after(3).always(), Fault::Error(ErrorCode::InvalidRecord));
    faults.add(Rule::on(ApiKey::Produce).partition(&topic, 1).after(2).once(), Fault::DropAfter);
    let args = ["generate", "ints", &topic, "--records", "400000", "--batch-bytes", "4KiB", "--ledger", file.path()];
    cluster.run(&args).await.fails(1, &["INVALID_RECORD"]);
    let report = reconcile(&cluster, &topic, &["--ledger", file.path()]).await.ok().json();
    let found = report["records_found"].as_u64().unwrap();
    assert!((1..400_000).contains(&found), "{report}");
}

/// A ledger's topic that takes nothing any more ends the run, and what it lacks is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_topic_that_cannot_be_written_ends_the_run_and_what_it_lacks_is_told() {
    let cluster = Cluster::embedded("ledger-refuses").await;
    let (topic, ledger) =
        (cluster.topic("t", 1).await, cluster.topic_with("ledger", 1, &[("cleanup.policy", "compact")]).await);
    let faults = cluster.embedded.as_ref().unwrap().faults();
    faults.add(
        Rule::on(ApiKey::Produce).partition(&ledger, 0).always(),
        Fault::Error(ErrorCode::TopicAuthorizationFailed),
    );
    let said = ["2 acknowledged, 0 failed", &*ledger, "2 acknowledged records that the ledger lacks"];
    produce(&cluster, &[&topic, "--ledger-topic", &ledger], "one\ntwo\n").await.fails(1, &said);
    assert_eq!(cluster.read(&topic, 0).await.len(), 2);
}

/// Answers that are lost on the way to the ledger's topic: what is repeated says the same once more.
#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_leave_a_ledger_topic_right() {
    let cluster = Cluster::embedded("ledger-topic-faults").await;
    let (topic, ledger) =
        (cluster.topic("t", 1).await, cluster.topic_with("ledger", 1, &[("cleanup.policy", "compact")]).await);
    let faults = cluster.embedded.as_ref().unwrap().faults();
    for (after, fault) in [(0, Fault::DropAfter), (2, Fault::DropBefore), (3, Fault::Repeat)] {
        faults.add(Rule::on(ApiKey::Produce).partition(&ledger, 0).after(after).once(), fault);
    }
    let file = Sample::new("csv", format!("id,at\n{}", rows((0..20_000).map(|row| row % 7000))));
    let args = [&*topic, file.path(), "--timestamp-from", "at", "--batch-bytes", "4KiB", "--ledger-topic", &ledger];
    produce(&cluster, &args, "").await.ok();
    let report = reconcile(&cluster, &topic, &["--ledger-topic", &ledger]).await.ok().json();
    assert_eq!((&report["records_found"], &report["minutes"]), (&20_000.into(), &7000.into()));
}

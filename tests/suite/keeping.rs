//! What an output topic would do to the records, refused before anything is written.

use crate::support::*;
use std::time::{SystemTime, UNIX_EPOCH};

const DAY_MS: i64 = 86_400_000;

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Three records, the first of them so many days old.
async fn input(cluster: &Cluster, name: &str, days: i64) -> String {
    let topic = cluster.topic(name, 2).await;
    let now = now_ms();
    let records = [Rec::int(1).stamped(now - days * DAY_MS), Rec::int(2).stamped(now), Rec::int(3).stamped(now)];
    cluster.put(&topic, 1, &records).await;
    topic
}

on_both_brokers! {
    async fn fault_52_records_older_than_retention_are_refused_by_every_client_and_allowed_by_a_word(cluster: &Cluster) {
        let input = input(cluster, "in", 8).await;
        let week = (7 * DAY_MS).to_string();
        let output = cluster.topic_with("out", 1, &[("retention.ms", &week)]).await;
        let args = ["merge", "--from", &input, "--to", &output];
        let place = format!("{input} partition 1 offset 0");
        let said = [&place, "7 days", "retention.ms=-1", "--allow-retention-loss"];
        cluster.run(&args).await.fails(1, &said);
        cluster.run(&[&args[..], &["--client", "rskafka"]].concat()).await.fails(1, &said);
        cluster.run(&[&args[..], &["--delivery", "exactly-once", "--dry-run"]].concat()).await.fails(1, &said);
        assert_eq!(cluster.read(&output, 0).await, []);
        // What is written first is as young as the topic keeps it.
        cluster.run(&[&args[..], &["--start", "0", "--dry-run"]].concat()).await.fails(1, &said);
        let young = format!("{input}:0=0,1=1");
        cluster.run(&[&args[..], &["--start", &young, "--dry-run"]].concat()).await.ok();
        cluster.run(&[&args[..], &["--allow-retention-loss"]].concat()).await.ok();
    }

    async fn fault_52_an_output_whose_records_were_all_deleted_is_empty(cluster: &Cluster) {
        let (input, output) = (input(cluster, "in", 0).await, cluster.topic("out", 1).await);
        cluster.put(&output, 0, &[7, 8, 9].map(Rec::int)).await;
        let args = ["merge", "--from", &input, "--to", &output];
        cluster.run(&args).await.fails(1, &["not empty (its first record is at offset 0)"]);
        cluster.run(&[&args[..], &["--delivery", "idempotent"]].concat()).await.fails(1, &["not empty (offsets 0 to 2)"]);
        cluster.delete_before(&output, 0, 3).await;
        let more = ["--delivery", "exactly-once", "--dry-run", "--output", "json"];
        let planned = cluster.run(&[&args[..], &more].concat()).await.ok();
        assert_eq!(planned.json()["output_start"], 3);
        cluster.run(&args).await.ok();
        cluster.verify(&input, &output, &[]).await.ok();
    }

    async fn counted_records_are_as_young_as_the_count(cluster: &Cluster) {
        let input = input(cluster, "in", 800).await;
        let output = cluster.topic_with("out", 1, &[("retention.ms", "604800000")]).await;
        cluster.run(&["merge", "--from", &input, "--to", &output, "--strategy", "count"]).await.ok();
        assert_eq!(cluster.read(&output, 0).await.len(), 3);
    }

    async fn more_records_than_retention_keeps_are_refused(cluster: &Cluster) {
        let input = cluster.topic("in", 1).await;
        cluster.put(&input, 0, &(0..2000).map(Rec::int).collect::<Vec<_>>()).await;
        let output = cluster.topic_with("out", 1, &[("retention.bytes", "5000")]).await;
        let args = ["merge", "--from", &input, "--to", &output];
        cluster.run(&args).await.fails(1, &["retention.bytes", "2,000 records", "--allow-retention-loss"]);
        cluster.run(&[&args[..], &["--end", "20"]].concat()).await.ok();
    }

    async fn fault_53_a_compacted_output_is_refused(cluster: &Cluster) {
        let input = input(cluster, "in", 0).await;
        let output = cluster.topic_with("out", 1, &[("cleanup.policy", "compact")]).await;
        cluster.run(&["merge", "--from", &input, "--to", &output]).await.fails(1, &["is compacted", "cleanup.policy=delete"]);
    }

    async fn an_output_that_stamps_records_itself_needs_a_word(cluster: &Cluster) {
        let input = input(cluster, "in", 0).await;
        let output = cluster.topic_with("out", 1, &[("message.timestamp.type", "LogAppendTime")]).await;
        let args = ["merge", "--from", &input, "--to", &output];
        cluster.run(&args).await.fails(1, &["LogAppendTime", "--allow-append-time"]);
        cluster.run(&[&args[..], &["--allow-append-time"]].concat()).await.ok();
        assert_eq!(cluster.read(&output, 0).await.len(), 3);
        cluster.verify(&input, &output, &["--ignore", "timestamp"]).await.ok();
    }

    async fn fault_15_timestamps_that_the_output_does_not_take_are_refused(cluster: &Cluster) {
        let input = input(cluster, "in", 3).await;
        let output = cluster.topic_with("out", 1, &[("message.timestamp.before.max.ms", "86400000")]).await;
        let args = ["merge", "--from", &input, "--to", &output, "--allow-retention-loss"];
        cluster.run(&args).await.fails(1, &["message.timestamp.before.max.ms=86400000", "offset 0"]);
    }

    async fn an_output_that_holds_only_aborted_records_is_empty(cluster: &Cluster) {
        let Some(broker) = &cluster.embedded else { return };
        let (input, output) = (input(cluster, "in", 0).await, cluster.topic("out", 1).await);
        let mut writer = kmerge::batch::BatchWriter::new(kmerge::batch::Codec::None);
        writer.producer(7, 0, 0).transactional(true);
        writer.push(now_ms(), None, Some(b"1"), kmerge::batch::Headers::EMPTY).unwrap();
        broker.append_raw(&output, 0, writer.finish().unwrap()).unwrap();
        let abort = kmerge::batch::control::ControlType::Abort;
        broker.append_raw(&output, 0, &kmerge::batch::control::marker(0, abort, now_ms(), 7, 0, 0).unwrap()).unwrap();
        cluster.run(&["merge", "--from", &input, "--to", &output]).await.ok();
        cluster.verify(&input, &output, &[]).await.ok();
    }
}

//! What goes wrong while records are written: each is stored once, or counted as failed with a reason.

use crate::produce::{produce, until, values};
use crate::support::*;
use kmerge::broker::{Fault, Rule};
use kmerge::wire::{ApiKey, ErrorCode};
use std::io::Write as _;

on_both_brokers! {
    async fn a_record_that_is_too_large_fails_alone(cluster: &Cluster) {
        let topic = cluster.topic_with("small", 1, &[("max.message.bytes", "2000")]).await;
        let input = format!("one\n{}\nthree\n", "x".repeat(3000));
        let outcome = produce(cluster, &[&topic, "--output", "json"], input).await;
        let outcome = outcome.fails(1, &["1 of 3 records were not written", "max.message.bytes 2,000"]);
        let report = outcome.json();
        assert_eq!((&report["sent"], &report["acknowledged"], &report["failed"]), (&3.into(), &2.into(), &1.into()));
        assert_eq!(report["failures"][0]["records"], 1);
        assert_eq!(values(cluster, &topic, 0).await, ["one", "three"]);
    }

    async fn what_the_broker_refuses_ends_the_run_with_its_reason(cluster: &Cluster) {
        let topic = cluster.topic_with("compacted", 1, &[("cleanup.policy", "compact")]).await;
        let outcome = produce(cluster, &[&topic], "no key\nnor here\n").await;
        outcome.fails(1, &["2 sent, 0 acknowledged, 2 failed", "refused: INVALID_RECORD", "without a key"]);
        produce(cluster, &[&topic, "-K", ":"], "a:1\nb:2\n").await.ok();
        assert_eq!(values(cluster, &topic, 0).await, ["1", "2"]);
    }

    async fn without_acknowledgements_nothing_is_known_of_what_was_sent_and_that_is_said(cluster: &Cluster) {
        let topic = cluster.topic("unanswered", 2).await;
        let args = [topic.as_str(), "--acks", "0", "--batch-bytes", "4KiB"];
        let outcome = produce(cluster, &[&args[..], &["--output", "json"]].concat(), many()).await.ok();
        assert!(outcome.stderr.contains("5,000 sent, 5,000 unanswered, as asked for, 0 failed"), "{outcome:?}");
        let report = outcome.json();
        assert_eq!(
            (&report["sent"], &report["acknowledged"], &report["unanswered"], &report["failed"]),
            (&5000.into(), &0.into(), &5000.into(), &0.into())
        );
        let mut sent: Vec<String> = many().lines().map(str::to_owned).collect();
        sent.sort_unstable();
        // Nobody has waited for the replicas.
        until(async || {
            let mut stored = [values(cluster, &topic, 0).await, values(cluster, &topic, 1).await].concat();
            stored.sort_unstable();
            stored == sent
        })
        .await;
    }

    async fn without_acknowledgements_a_refusal_is_a_connection_that_is_lost(cluster: &Cluster) {
        let topic = cluster.topic_with("compacted", 1, &[("cleanup.policy", "compact")]).await;
        let outcome = produce(cluster, &[&topic, "--acks", "0"], "no key\nnor here\n").await;
        outcome.fails(1, &["2 sent, 2 unanswered", "to 1 partition(s) may be lost", "--acks 1", &topic]);
        assert!(values(cluster, &topic, 0).await.is_empty());
        produce(cluster, &[&topic, "--acks", "0", "-K", ":"], "a:1\nb:2\n").await.ok();
        until(async || values(cluster, &topic, 0).await == ["1", "2"]).await;
    }

    async fn what_needs_acknowledgements_is_refused_where_none_are_asked_for(cluster: &Cluster) {
        let topic = cluster.topic("unanswered", 1).await;
        for more in [&["--ledger", "no.ledger"][..], &["--ledger-topic", "no-ledger"], &["--compare"], &["--mode", "sync"]] {
            let outcome = produce(cluster, &[&[topic.as_str(), "--acks", "0"][..], more].concat(), "one\n").await;
            outcome.fails(2, &["--acks 0", "use --acks 1 or all"]);
        }
        assert!(values(cluster, &topic, 0).await.is_empty() && !std::path::Path::new("no.ledger").exists());
    }

    async fn a_line_is_written_while_the_pipe_is_silent_and_a_topic_deleted_underway_is_told(cluster: &Cluster) {
        let topic = cluster.topic("deleted", 1).await;
        let mut child = begin(command(&cluster.brokers, &["produce", &topic, "--timeout", "1s"]));
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(b"first\n").unwrap();
        until(async || values(cluster, &topic, 0).await == ["first"]).await;
        cluster.run(&["topic", "delete", &topic]).await.ok();
        pipe.write_all(b"second\n").unwrap();
        // It ends by itself, though the pipe is open.
        let outcome = ended(child).await;
        outcome.fails(1, &["2 sent, 1 acknowledged, 1 failed", "the topic is gone", &topic]);
        drop(pipe);
    }
}

#[cfg(unix)]
on_both_brokers! {
    async fn a_signal_sends_what_was_read_and_says_how_far_it_came(cluster: &Cluster) {
        let topic = cluster.topic("signal", 1).await;
        let mut child = begin(command(&cluster.brokers, &["produce", &topic, "--linger", "1h"]));
        let mut pipe = child.stdin.take().unwrap();
        // More than a block is read, so that something was; the linger holds the rest back.
        let lines: String = (0..100_000).map(|i| format!("{i}\n")).collect();
        pipe.write_all(lines.as_bytes()).unwrap();
        until(async || !cluster.read(&topic, 0).await.is_empty()).await;
        signal("-INT", &child);
        let outcome = ended(child).await.fails(130, &["interrupted", "0 failed"]);
        let stored = values(cluster, &topic, 0).await;
        assert!(stored.iter().map(String::as_str).eq(lines.lines().take(stored.len())));
        let acknowledged = kmerge::base::units::show_count(stored.len() as u64);
        assert!(outcome.stderr.contains(&format!("{acknowledged} acknowledged")), "{acknowledged}: {outcome:?}");
        drop(pipe);
    }
}

#[cfg(unix)]
#[test]
fn a_signal_says_what_is_in_doubt_without_acknowledgements_be_the_connection_lost_or_the_broker_slow() {
    run_embedded("doubt", async |cluster| {
        let faults = cluster.embedded.as_ref().unwrap().faults();
        let interrupted = async |name: &str, fault: Fault, says: &[&str]| {
            let topic = cluster.topic(name, 1).await;
            let befallen = faults.add(Rule::on(ApiKey::Produce).partition(&topic, 0).after(1), fault);
            let mut child = begin(command(&cluster.brokers, &["produce", &topic, "--acks", "0", "--output", "json"]));
            let mut pipe = child.stdin.take().unwrap();
            pipe.write_all(b"first\n").unwrap();
            until(async || values(cluster, &topic, 0).await == ["first"]).await;
            pipe.write_all(b"second\n").unwrap();
            befallen.hit().await;
            signal("-INT", &child);
            // The pipe is open: it is the signal that ends it.
            let outcome = ended(child).await;
            drop(pipe);
            befallen.release();
            let outcome = outcome.fails(1, says);
            assert_eq!(outcome.json()["doubtful_partitions"], 1);
        };
        let lost = ["2 sent, 2 unanswered", "to 1 partition(s) may be lost", "--acks 1"];
        // Nobody knows whether the network has it.
        let slow = ["2 sent, 1 unanswered, as asked for, 1 failed", "not acknowledged in the time that was left"];
        tokio::join!(interrupted("lost", Fault::DropBefore, &lost), interrupted("slow", Fault::Hold, &slow));
    });
}

/// Lines that make many batches, each numbered.
fn many() -> String {
    (0..5000).map(|i| format!("line {i}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_and_repeats_on_the_way_store_every_record_once_also_beside_another_writer() {
    let cluster = Cluster::embedded("produce-faults").await;
    let topic = cluster.topic("faults", 1).await;
    let faults = cluster.embedded.as_ref().unwrap().faults();
    for (after, fault) in [
        (3, Fault::DropAfter),
        (11, Fault::DropBefore),
        (17, Fault::Repeat),
        (23, Fault::ErrorAfter(ErrorCode::RequestTimedOut)),
        (31, Fault::Error(ErrorCode::NotLeaderOrFollower)),
        (37, Fault::Error(ErrorCode::NotEnoughReplicas)),
    ] {
        faults.add(Rule::on(ApiKey::Produce).partition(&topic, 0).after(after).once(), fault);
    }
    let args = [topic.as_str(), "--batch-bytes", "1KiB"];
    let (ours, other) =
        tokio::join!(produce(&cluster, &args, many()), produce(&cluster, &args, "other\n".repeat(5000)));
    ours.ok();
    other.ok();
    let stored = values(&cluster, &topic, 0).await;
    let own: Vec<&str> = stored.iter().map(String::as_str).filter(|value| *value != "other").collect();
    assert!(own.iter().copied().eq(many().lines()), "{} of ours", own.len());
    assert_eq!(stored.len() - own.len(), 5000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_does_not_answer_fails_with_a_reason_and_the_others_are_written() {
    let cluster = Cluster::embedded("produce-silent").await;
    let topic = cluster.topic("silent", 2).await;
    let faults = cluster.embedded.as_ref().unwrap().faults();
    faults.add(Rule::on(ApiKey::Produce).partition(&topic, 1).always(), Fault::Error(ErrorCode::NotEnoughReplicas));
    let lines: String = (0..100).map(|i| format!("{i}=>{i}\n")).collect();
    let outcome = produce(&cluster, &[&topic, "-K", "=>", "--timeout", "1s", "--output", "json"], lines).await;
    let report = outcome.fails(1, &["not written", "NOT_ENOUGH_REPLICAS"]).json();
    let stored = cluster.read(&topic, 0).await.len();
    assert_eq!((&report["acknowledged"], &report["failed"]), (&stored.into(), &(100 - stored).into()));
    assert!(stored > 20, "{report}");
}

#[test]
fn what_a_broker_does_not_permit_to_write_or_to_make_is_said_with_the_topic() {
    run_embedded("permits-produce", async |cluster| {
        let topic = cluster.topic("secret", 1).await;
        let faults = cluster.embedded.as_ref().unwrap().faults();
        let rule = Rule::on(ApiKey::Produce).partition(&topic, 0).always();
        faults.add(rule, Fault::Error(ErrorCode::TopicAuthorizationFailed));
        let said = ["2 sent, 0 acknowledged, 2 failed", "TOPIC_AUTHORIZATION_FAILED", &topic];
        produce(cluster, &[&topic], "one\ntwo\n").await.fails(1, &said);
        faults.clear();
        assert!(values(cluster, &topic, 0).await.is_empty());
        let missing = cluster.name("missing");
        faults.add(Rule::on(ApiKey::CreateTopics).always(), Fault::Error(ErrorCode::TopicAuthorizationFailed));
        produce(cluster, &[&missing, "--create", "1"], "one\n")
            .await
            .fails(3, &["TOPIC_AUTHORIZATION_FAILED", &missing]);
    });
}

//! What the foreign client under the plain merge makes of a broker that misbehaves, and what we make of that.
//!
//! On the embedded broker only: it can be told to misbehave.

use crate::support::*;
use kmerge::batch::control::{ControlType, marker};
use kmerge::batch::{BatchMut, BatchWriter, Codec, Headers};
use kmerge::broker::{Broker, Fault, Rule};
use kmerge::wire::{ApiKey, ErrorCode};
use std::process::Stdio;

macro_rules! on_the_embedded_broker {
    ($($(#[$meta:meta])* async fn $name:ident($cluster:ident: &Cluster, $broker:ident: &Broker) $body:block)*) => {
        $(
            $(#[$meta])*
            #[test]
            fn $name() {
                run_embedded(stringify!($name), async |$cluster| {
                    let $broker: &Broker = $cluster.embedded.as_ref().expect("this broker is in this process");
                    $body
                });
            }
        )*
    };
}

fn ints(numbers: std::ops::Range<i64>) -> Vec<Rec> {
    numbers.map(Rec::int).collect()
}

/// An input of two sorted partitions with a hundred records each, and an output.
async fn topics(cluster: &Cluster) -> (String, String) {
    let (input, output) = (cluster.topic("in", 2).await, cluster.topic("out", 1).await);
    for partition in 0..2 {
        cluster.put(&input, partition, &ints(0..100)).await;
    }
    (input, output)
}

/// The fetches of the client that merges. The first one of a partition is ours: whether its end hides aborted records.
fn fetch_of(topic: &str, partition: i32) -> Rule {
    Rule::on(ApiKey::Fetch).partition(topic, partition).after(1)
}

on_the_embedded_broker! {
    async fn a_write_that_is_repeated_because_its_answer_was_lost_stops_with_both_offsets(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        broker.faults().add(Rule::on(ApiKey::Produce).partition(&output, 0), Fault::DropAfter);
        let merged = cluster.run(&["merge", "--client", "rskafka", "--from", &input, "--to", &output]).await;
        merged.fails(1, &["offset 0", "says 200", "sent twice"]);
        assert_eq!(cluster.read(&output, 0).await.len(), 400, "the client sent it twice");
    }

    async fn a_write_that_is_repeated_because_it_was_throttled_stops_with_both_offsets(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        broker.faults().add(Rule::on(ApiKey::Produce).partition(&output, 0), Fault::Throttle(5));
        cluster.run(&["merge", "--client", "rskafka", "--from", &input, "--to", &output]).await.fails(1, &["offset 0", "says 200", "throttled"]);
    }

    async fn a_write_whose_connection_breaks_before_it_is_handled_is_written_once(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        broker.faults().add(Rule::on(ApiKey::Produce).partition(&output, 0), Fault::DropBefore);
        cluster.run(&["merge", "--client", "rskafka", "--from", &input, "--to", &output]).await.ok();
        assert_eq!(cluster.read(&output, 0).await.len(), 200);
    }

    async fn another_writer_in_the_output_is_noticed(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        let held = broker.faults().add(Rule::on(ApiKey::Produce).partition(&output, 0), Fault::Hold);
        let args = ["merge", "--client", "rskafka", "--from", &input, "--to", &output];
        let merging = cluster.run(&args);
        let meddling = async {
            held.hit().await;
            broker.append_raw(&output, 0, &one_record(b"7")).unwrap();
            held.release();
        };
        let (merged, ()) = tokio::join!(merging, meddling);
        merged.fails(1, &["offset 0", "says 1", "another writer"]);
    }

    async fn a_write_that_is_never_answered_ends_at_the_timeout(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        broker.faults().add(Rule::on(ApiKey::Produce).partition(&output, 0).always(), Fault::HoldAnswer);
        let merged = cluster.run(&["merge", "--client", "rskafka", "--from", &input, "--to", &output, "--timeout", "1s"]).await;
        merged.fails(3, &[&output, "no answer within 1 s", "not known"]);
    }

    async fn a_fetch_that_is_never_answered_ends_at_the_timeout(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        broker.faults().add(fetch_of(&input, 1).always(), Fault::HoldAnswer);
        let merged = cluster.run(&["merge", "--client", "rskafka", "--from", &input, "--to", &output, "--timeout", "1s"]).await;
        merged.fails(3, &[&format!("{input} partition 1 offset 0"), "no answer within 1 s"]);
    }

    async fn fetches_that_break_off_are_repeated(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        broker.faults().add(Rule::on(ApiKey::Fetch).partition(&input, 0), Fault::DropAfter);
        broker.faults().add(fetch_of(&input, 0).after(2), Fault::DropAfter);
        broker.faults().add(fetch_of(&input, 1), Fault::Throttle(5));
        cluster.run(&["merge", "--client", "rskafka", "--from", &input, "--to", &output]).await.ok();
        assert_eq!(cluster.read(&output, 0).await.len(), 200);
    }

    async fn a_checksum_that_is_wrong_once_is_fetched_again_and_one_that_stays_wrong_is_an_error(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        let rule = fetch_of(&input, 1);
        broker.faults().add(rule.clone(), Fault::Corrupt);
        cluster.run(&["merge", "--client", "rskafka", "--from", &input, "--to", &output]).await.ok();

        broker.faults().add(rule.always(), Fault::Corrupt);
        let output = cluster.topic("out2", 1).await;
        let place = format!("{input} partition 1 offset 0");
        cluster.run(&["merge", "--client", "rskafka", "--from", &input, "--to", &output]).await.fails(4, &[&place, "CRC"]);
        assert_eq!(cluster.read(&output, 0).await, []);
    }

    async fn a_leader_that_moves_is_followed(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        let held = broker.faults().add(fetch_of(&input, 0), Fault::Hold);
        let args = ["merge", "--client", "rskafka", "--from", &input, "--to", &output];
        let merging = cluster.run(&args);
        let moving = async {
            held.hit().await;
            for (topic, partition) in [(&input, 0), (&input, 1), (&output, 0)] {
                let other = 3 - broker.leader(topic, partition).unwrap();
                broker.move_leader(topic, partition, other).unwrap();
            }
            held.release();
        };
        let (merged, ()) = tokio::join!(merging, moving);
        merged.ok();
        assert_eq!(cluster.read(&output, 0).await.len(), 200);
    }

    async fn an_input_that_grows_while_the_plan_is_made_is_merged_up_to_the_end_that_was_taken(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        // Asked for: where it starts, where it ends, how far it is stable. The record comes before the third answer.
        let stable = Rule::on(ApiKey::ListOffsets).partition(&input, 0).after(2).once();
        let held = broker.faults().add(stable, Fault::Hold);
        let args = ["merge", "--client", "rskafka", "--from", &input, "--to", &output, "--output", "json"];
        let merging = cluster.run(&args);
        let growing = async {
            held.hit().await;
            broker.append_raw(&input, 0, &one_record(b"7")).unwrap();
            held.release();
        };
        let (merged, ()) = tokio::join!(merging, growing);
        assert_eq!(merged.ok().json()["records"], 200);
    }

    async fn an_open_transaction_in_an_input_is_refused_before_the_start(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        broker.set_open_transaction(&input, 1, Some(50)).unwrap();
        let merged = cluster.run(&["merge", "--client", "rskafka", "--from", &input, "--to", &output]).await;
        merged.fails(1, &[&format!("{input} partition 1"), "open transaction", "50", "100"]);
        broker.set_open_transaction(&input, 1, None).unwrap();
        broker.set_open_transaction(&output, 0, Some(0)).unwrap();
        assert_eq!(cluster.read(&output, 0).await, []);
    }

    async fn a_transaction_marker_on_the_way_stops_and_says_what_the_output_may_hold(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        broker.append_raw(&input, 1, &marker(0, ControlType::Abort, 0, 7, 0, 0).unwrap()).unwrap();
        broker.append_raw(&input, 1, &one_record(b"200")).unwrap();
        let merged = cluster.run(&["merge", "--client", "rskafka", "--from", &input, "--to", &output]).await;
        merged.fails(1, &["transaction marker", &format!("{input} partition 1 offset 100"), "aborted records"]);
    }

    async fn an_end_between_aborted_records_and_their_marker_is_refused_before_the_start(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        // Offsets 100 and 102 are aborted by the marker at 103, 101 is nobody's.
        let mut writer = BatchWriter::new(Codec::None);
        for (producer, value) in [(7, &b"100"[..]), (-1, b"101"), (7, b"102")] {
            writer.producer(producer, 0, 0).transactional(producer == 7);
            writer.push(0, None, Some(value), Headers::EMPTY).unwrap();
            broker.append_raw(&input, 1, writer.finish().unwrap()).unwrap();
        }
        broker.append_raw(&input, 1, &marker(0, ControlType::Abort, 0, 7, 0, 0).unwrap()).unwrap();
        broker.append_raw(&input, 1, &one_record(b"104")).unwrap();
        broker.add_aborted(&input, 1, 7, 100, 103).unwrap();

        let merge = async |output: &str, end: &str| {
            let end = format!("{input}:0=100,1={end}");
            cluster.run(&["merge", "--client", "rskafka", "--from", &input, "--to", output, "--end", &end]).await
        };
        for end in ["101", "102", "103", "104"] {
            let said = [&format!("{input} partition 1"), "began at offset 100", &format!("end at {end}"), "--end"];
            merge(&output, end).await.fails(1, &said);
            assert_eq!(cluster.read(&output, 0).await, []);
        }
        merge(&output, "100").await.ok();
        assert_eq!(cluster.read(&output, 0).await.len(), 200);
        // An end behind the marker: it is met.
        let output = cluster.topic("out2", 1).await;
        merge(&output, "105").await.fails(1, &["transaction marker"]);
    }

    async fn a_transaction_that_is_aborted_while_the_plan_is_made_is_refused(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        let mut writer = BatchWriter::new(Codec::None);
        writer.producer(7, 0, 0).transactional(true).push(0, None, Some(b"100"), Headers::EMPTY).unwrap();
        broker.append_raw(&input, 0, writer.finish().unwrap()).unwrap();
        // The end was taken while it was open; it is over when we ask how far the log is stable.
        let stable = Rule::on(ApiKey::ListOffsets).partition(&input, 0).after(2).once();
        let held = broker.faults().add(stable, Fault::Hold);
        let args = ["merge", "--client", "rskafka", "--from", &input, "--to", &output];
        let aborting = async {
            held.hit().await;
            broker.append_raw(&input, 0, &marker(0, ControlType::Abort, 0, 7, 0, 0).unwrap()).unwrap();
            broker.add_aborted(&input, 0, 7, 100, 101).unwrap();
            held.release();
        };
        let (merged, ()) = tokio::join!(cluster.run(&args), aborting);
        merged.fails(1, &[&format!("{input} partition 0"), "began at offset 100"]);
        assert_eq!(cluster.read(&output, 0).await, []);
    }

    async fn a_log_whose_end_yields_nothing_is_an_error_and_no_loop(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        // Compaction took the last five records of this batch and left its last offset.
        let mut batch = one_record(b"500");
        batch[LAST_OFFSET_DELTA..LAST_OFFSET_DELTA + 4].copy_from_slice(&5i32.to_be_bytes());
        BatchMut::new(&mut batch).unwrap().set_producer(-1, -1, -1);
        broker.append_raw(&input, 1, &batch).unwrap();
        let merged = cluster.run(&["merge", "--client", "rskafka", "--from", &input, "--to", &output, "--timeout", "10s"]).await;
        merged.fails(1, &[&format!("{input} partition 1 offset 101"), "yields no record, twice", "offset 106"]);
    }

    async fn retention_that_passes_the_merge_is_an_error_and_no_gap(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        let held = broker.faults().add(fetch_of(&input, 1), Fault::Hold);
        let args = ["merge", "--client", "rskafka", "--from", &input, "--to", &output];
        let merging = cluster.run(&args);
        let deleting = async {
            held.hit().await;
            broker.set_log_start(&input, 1, 50).unwrap();
            held.release();
        };
        let (merged, ()) = tokio::join!(merging, deleting);
        merged.fails(4, &[&format!("{input} partition 1 offset 0 is gone")]);
        assert_eq!(cluster.read(&output, 0).await, []);
    }

    async fn a_broker_that_refuses_a_write_is_quoted(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        let rule = Rule::on(ApiKey::Produce).partition(&output, 0).always();
        broker.faults().add(rule, Fault::Error(ErrorCode::TopicAuthorizationFailed));
        // As our own client has it: what is refused is no failure of the merge.
        cluster.run(&["merge", "--client", "rskafka", "--from", &input, "--to", &output]).await.fails(3, &[&output, "TopicAuthorizationFailed"]);
    }

    #[cfg(unix)]
    async fn signals_end_it_with_their_status_and_say_how_far_it_got(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        for (signal, status) in [("-INT", 130), ("-TERM", 143)] {
            let held = broker.faults().add(fetch_of(&input, 1), Fault::Hold);
            let mut merge = command(&cluster.brokers, &["merge", "--client", "rskafka", "--from", &input, "--to", &output]);
            let child = merge.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            held.hit().await;
            let kill = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
            assert!(kill.success());
            let ended = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
            Outcome::from(ended).fails(status, &["interrupted", "Nothing was written"]);
            broker.faults().remove(&held);
        }
        assert_eq!(cluster.read(&output, 0).await, []);
    }

    #[cfg(unix)]
    async fn what_is_in_flight_when_a_signal_comes_is_finished(cluster: &Cluster, broker: &Broker) {
        let (input, output) = topics(cluster).await;
        // Small batches, so that some are written while others wait.
        let held = broker.faults().add(Rule::on(ApiKey::Produce).partition(&output, 0), Fault::HoldAnswer);
        let args = ["merge", "--client", "rskafka", "--from", &input, "--to", &output, "--batch-bytes", "1KiB"];
        let child = command(&cluster.brokers, &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        held.hit().await;
        let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        held.release();
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
        let written = cluster.read(&output, 0).await;
        // The signal may come after the last batch was cut; either way what was said is what is there.
        let said = Outcome::from(ended);
        assert!(written.is_sorted_by_key(number), "{written:?}");
        if written.len() < 200 {
            said.fails(130, &["interrupted", &format!("{} of 200 records", written.len())]);
        }
    }
}

/// Where a batch's header has the difference between its last offset and its first one.
const LAST_OFFSET_DELTA: usize = 23;

fn number(record: &Rec) -> i64 {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).parse().unwrap()
}

fn one_record(value: &[u8]) -> Vec<u8> {
    let mut writer = BatchWriter::new(Codec::None);
    writer.push(0, None, Some(value), Headers::EMPTY).unwrap();
    writer.finish().unwrap().to_vec()
}

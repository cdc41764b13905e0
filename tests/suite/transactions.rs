//! Inputs with transactions: only what is committed is merged, and what is still open is waited for.
//!
//! On the embedded broker, whose logs take batches as a transactional producer and a coordinator leave them.

use crate::support::*;
use kmerge::batch::control::{ControlType, marker};
use kmerge::batch::{BatchWriter, Codec, Headers};
use kmerge::broker::Broker;

/// A batch of a transaction of this producer, one record for each number.
fn transactional(producer: i64, sequence: i32, numbers: &[i64]) -> Vec<u8> {
    let mut writer = BatchWriter::new(Codec::None);
    writer.producer(producer, 0, sequence).transactional(true);
    for number in numbers {
        writer.push(1_700_000_000_000, None, Some(number.to_string().as_bytes()), Headers::EMPTY).unwrap();
    }
    writer.finish().unwrap().to_vec()
}

fn end(producer: i64, kind: ControlType) -> Vec<u8> {
    marker(0, kind, 1_700_000_000_000, producer, 0, 0).unwrap()
}

fn append(broker: &Broker, topic: &str, partition: i32, batches: &[Vec<u8>]) {
    for batch in batches {
        broker.append_raw(topic, partition, batch).unwrap();
    }
}

async fn values(cluster: &Cluster, topic: &str) -> Vec<String> {
    let records = cluster.read(topic, 0).await;
    records.iter().map(|record| String::from_utf8_lossy(record.value.as_deref().unwrap()).into_owned()).collect()
}

#[test]
fn aborted_records_and_markers_are_left_out_and_the_proof_agrees() {
    run_embedded("aborted", async |cluster| {
        let broker = cluster.embedded.as_ref().unwrap();
        let (input, output) = (cluster.topic("in", 2).await, cluster.topic("out", 1).await);
        let (commit, abort) = (ControlType::Commit, ControlType::Abort);
        append(
            broker,
            &input,
            0,
            &[
                transactional(7, 0, &[1, 4]),
                transactional(8, 0, &[2, 3]),
                end(8, abort),
                transactional(7, 2, &[5]),
                end(7, commit),
                transactional(8, 2, &[6]),
                end(8, commit),
                transactional(7, 3, &[9, 9]),
                end(7, abort),
            ],
        );
        cluster.put(&input, 1, &[Rec::int(2), Rec::int(5), Rec::int(8)]).await;

        let report = cluster.run(&["merge", "--from", &input, "--to", &output, "--output", "json"]).await.ok().json();

        assert_eq!(values(cluster, &output).await, ["1", "2", "4", "5", "5", "6", "8"]);
        assert_eq!(report["records"], 7);
        cluster.verify(&input, &output, &[]).await.ok();
        let checked = cluster.run(&["check", &input, "--output", "json"]).await.ok().json();
        assert_eq!(checked["records"], 7);
        // An end between aborted records and their marker changes nothing: they are aborted all the same.
        let output = cluster.topic("cut", 1).await;
        cluster.run(&["merge", "--from", &input, "--to", &output, "--end", &format!("{input}:0=11,1=3")]).await.ok();
        assert_eq!(values(cluster, &output).await, ["1", "2", "4", "5", "5", "6", "8"]);
    });
}

#[test]
fn an_open_transaction_below_the_end_is_waited_for_and_one_that_stays_open_is_named_with_its_producer() {
    run_embedded("open", async |cluster| {
        let broker = cluster.embedded.as_ref().unwrap();
        let (input, output) = (cluster.topic("in", 1).await, cluster.topic("out", 1).await);
        append(
            broker,
            &input,
            0,
            &[transactional(4711, 0, &[1]), transactional(5, 0, &[2]), end(5, ControlType::Commit)],
        );

        let args = ["merge", "--from", &input, "--to", &output];
        let refused = cluster.run(&[&args[..], &["--timeout", "1s"]].concat()).await;
        assert!(refused.status != 0, "{refused:?}");
        assert!(refused.stderr.contains("4711") && refused.stderr.contains("offset 0"), "{refused:?}");
        assert_eq!(cluster.read(&output, 0).await, []);

        // It ends behind the end that the merge has taken when it starts: whichever comes first, nothing of it is lost.
        let ending = async { append(broker, &input, 0, &[end(4711, ControlType::Commit)]) };
        let (merged, ()) = tokio::join!(cluster.run(&args), ending);
        merged.ok();
        assert_eq!(values(cluster, &output).await, ["1", "2"]);
    });
}

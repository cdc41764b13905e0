//! Partitions that lie one behind the other: their batches go into the output as they are, under new headers.

use crate::support::*;

const PARTITIONS: i64 = 3;
const BATCHES: i64 = 4;
const EACH: i64 = 6_000;

/// Batches of half a batch of the output and more, all of one partition below all of the next one.
async fn disjoint(cluster: &Cluster) -> (String, Vec<Rec>) {
    let input = cluster.topic("in", PARTITIONS as i32).await;
    let mut all = Vec::new();
    for batch in 0..PARTITIONS * BATCHES {
        let record = |at: i64| {
            let number = batch * EACH + at;
            let record = Rec::int(number).stamped(number * 7 % 1_000);
            if number % 50 == 0 { record.header("h", "x") } else { record }
        };
        let records: Vec<Rec> = (0..EACH).map(record).collect();
        cluster.put(&input, (batch / BATCHES) as i32, &records).await;
        all.extend(records);
    }
    (input, all)
}

on_both_brokers! {
    async fn partitions_one_behind_the_other_are_copied_in_blocks_and_nothing_but_their_headers_changes(cluster: &Cluster) {
        let (input, all) = disjoint(cluster).await;
        let jobs = ["--jobs-topic", &cluster.name("jobs")];
        for (delivery, compression) in [("exactly-once", "none"), ("idempotent", "keep"), ("exactly-once", "lz4")] {
            let output = cluster.topic(&format!("{delivery}-{compression}"), 1).await;
            let merge = ["merge", "--from", &input, "--to", &output, "--batch-bytes", "128KiB", "-v"];
            let how = ["--delivery", delivery, "--compression", compression];
            let job = if delivery == "exactly-once" { &jobs[..] } else { &[] };
            let told = cluster.run(&[&merge[..], &how, job].concat()).await.ok();

            let expected = format!("{} records were copied in blocks", PARTITIONS * BATCHES * EACH);
            assert!(told.stderr.replace([' ', ','], "").contains(&expected.replace(' ', "")), "{told:?}");
            assert!(cluster.read(&output, 0).await == all, "{delivery}, {compression}");
            cluster.verify(&input, &output, &[]).await.ok();
            assert_eq!(cluster.codecs(&output, 0).await, [if compression == "lz4" { "lz4" } else { "none" }]);
        }
    }
}

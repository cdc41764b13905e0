//! What a merge says that it was bound by.

use crate::support::*;
use kmerge::broker::{Fault, Rule};
use kmerge::wire::ApiKey;
use std::time::Duration;

/// An embedded cluster with an input of two partitions, and an output.
async fn ready(name: &str) -> (Cluster, String, String) {
    let cluster = Cluster::embedded(name).await;
    let (input, output) = (cluster.topic("in", 2).await, cluster.topic("out", 1).await);
    for partition in 0..2 {
        let records: Vec<Rec> = (0..3000).map(|i| Rec::int(100_000 + 2 * i + i64::from(partition))).collect();
        cluster.put(&input, partition, &records).await;
    }
    (cluster, input, output)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_slow_to_store_is_named_as_what_binds_the_merge() {
    let (cluster, input, output) = ready("storing").await;
    let slow = Rule::on(ApiKey::Produce).partition(&output, 0).always();
    cluster.embedded.as_ref().unwrap().faults().add(slow, Fault::Delay(Duration::from_millis(100)));
    let merge = ["merge", "--from", &input, "--to", &output, "--batch-bytes", "4KB", "-v", "--output", "json"];
    let told = cluster.run(&[&merge[..], &["--commit-interval", "50s"]].concat()).await.ok();
    let report = told.json();
    assert_eq!(report["bound_by"], "produce", "{told:?}");
    // Some twenty batches, three of them on their way at once.
    let seconds = &report["stage_seconds"];
    let [waited, worked] = [&seconds["merge"]["waited_for_produce"], &seconds["produce"]["worked"]];
    assert!(waited.as_f64().unwrap() > 0.3 && worked.as_f64().unwrap() > 0.3, "{report}");
    assert!(told.stderr.contains("bound by: broker (storing), for which the merge waited"), "{told:?}");
    assert!(told.stderr.contains("fetch: worked") && told.stderr.contains("produce: worked"), "-v tells all: {told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_slow_to_give_records_is_named_as_what_binds_the_merge() {
    let (cluster, input, output) = ready("fetching").await;
    let slow = Rule::on(ApiKey::Fetch).partition(&input, 1).always();
    cluster.embedded.as_ref().unwrap().faults().add(slow, Fault::Delay(Duration::from_millis(1500)));
    let merge = ["merge", "--from", &input, "--to", &output, "--delivery", "idempotent", "--output", "json"];
    let told = cluster.run(&merge).await.ok();
    let report = told.json();
    assert_eq!(report["bound_by"], "fetch", "{told:?}");
    assert!(report["stage_seconds"]["merge"]["waited_for_fetch"].as_f64().unwrap() > 0.7, "{report}");
    assert!(told.stderr.contains("bound by: broker (fetching)"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_merged_but_counted_no_stage_is_told() {
    let (cluster, input, output) = ready("counting").await;
    let count = ["merge", "--from", &input, "--to", &output, "--strategy", "count", "--output", "json"];
    let told = cluster.run(&count).await.ok();
    let report = told.json();
    assert!(report["stage_seconds"].is_null() && report["bound_by"].is_null(), "{report}");
    assert!(!told.stderr.contains("bound by"), "{told:?}");
}

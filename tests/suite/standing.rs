//! Where a group stands in a topic that transactions were written to: their last offset is a marker, which nobody is shown.

use crate::clean::RuleFile;
use crate::support::*;
use kmerge::base::place::TopicPartition;
use kmerge::client::OffsetAt;
use std::process::Stdio;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
const RECORDS: i64 = 20;

/// A topic of one partition that a transaction was written to.
async fn written_at_once(cluster: &Cluster, name: &str) -> String {
    let input = cluster.topic(&format!("{name}-in"), 1).await;
    let records: Vec<_> = (0..RECORDS).map(|id| Rec::text(&format!("{{\"id\":{id}}}"))).collect();
    cluster.put(&input, 0, &records).await;
    let topic = cluster.topic(name, 1).await;
    let args = ["merge", "--from", &input, "--to", &topic, "--key", "value:json:/id:int", "--delivery", "exactly-once"];
    cluster.run(&args).await.ok();
    topic
}

/// Waits until nothing is left for the group in the topic's one partition, whose end is a marker.
async fn stands_at_the_end(cluster: &Cluster, group: &str, topic: &str) {
    let client = cluster.client().await;
    let one = TopicPartition::new(topic, 0);
    let end = client.offsets(std::slice::from_ref(&one), OffsetAt::Latest).await.unwrap()[0];
    assert!(end > RECORDS, "no marker ends it: {end}");
    let began = Instant::now();
    loop {
        let at = client.group_offsets(group).await.unwrap().get(&one).map(|at| at.offset);
        if at == Some(end) {
            return;
        }
        assert!(began.elapsed() < LONG, "it stands at {at:?}, the end is {end}");
        // Between two looks.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

on_both_brokers! {
    async fn a_member_that_follows_stands_behind_the_marker_that_ends_a_transaction(cluster: &Cluster) {
        let topic = written_at_once(cluster, "marked").await;
        let group = cluster.group("reads-marked");
        let args = ["consume", &topic, "--group", &group, "--reset", "earliest", "-q"];
        let mut member = command(&cluster.brokers, &args).stdout(Stdio::null()).spawn().expect("the binary starts");
        stands_at_the_end(cluster, &group, &topic).await;
        member.kill().expect("it runs");
        member.wait().expect("it ends");
    }

    async fn a_cleaner_that_follows_stands_behind_the_marker_that_ends_a_transaction(cluster: &Cluster) {
        let topic = written_at_once(cluster, "uncleaned").await;
        let (to, dead, group) = (cluster.topic("cleaned", 1).await, cluster.topic("letters", 1).await, cluster.group("cleans"));
        let rules = RuleFile::new("[[rule]]\nrequired = { field = \"id\" }\n");
        let args = [
            "clean", "--from", &topic, "--to", &to, "--dead-letters", &dead, "--rules", rules.path(), "--group", &group,
            "--reset", "earliest", "--commit-interval", "100ms", "-q",
        ];
        let mut cleaner = command(&cluster.brokers, &args).stdout(Stdio::null()).spawn().expect("the binary starts");
        stands_at_the_end(cluster, &group, &topic).await;
        cleaner.kill().expect("it runs");
        cleaner.wait().expect("it ends");
    }
}

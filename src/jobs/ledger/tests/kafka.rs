//! The ledger on Apache Kafka, where `KMERGE_TEST_BROKERS` names one: the topic can be made as it is meant, and what is
//! written is read again.

use super::*;
use std::io::Write as _;

#[test]
fn on_kafka_the_topic_is_made_and_what_was_written_last_is_read() {
    let Ok(brokers) = std::env::var("KMERGE_TEST_BROKERS") else {
        // Not eprintln: that is swallowed when a test passes.
        let _ = writeln!(std::io::stderr(), "skipped: the ledger on real Kafka (KMERGE_TEST_BROKERS is not set)");
        return;
    };
    block_on(async {
        let brokers: Vec<String> = brokers.split(',').map(str::to_owned).collect();
        let cluster = Cluster::connect(&brokers, PATIENCE).await.unwrap();
        let topic = format!("kmerge-test-{}-ledger", std::process::id());
        let ended = story(&cluster, &topic).await;
        cluster.delete_topic(&topic).await.unwrap();
        ended.unwrap();
    });
}

async fn story(cluster: &Cluster, topic: &str) -> Result<(), JobError> {
    let replicas = cluster.brokers().len().min(2) as i16;
    let ledger = Ledger::open(cluster, topic, &plan().job, replicas, PATIENCE).await?;
    assert_eq!(ledger.read().await?, None);
    // As large as the topic takes it: no segment is too small for it.
    let mut plan = plan();
    let input = plan.inputs[0].clone();
    let many = (2..60_000).map(|partition| {
        let mut input = input.clone();
        input.partition.partition = partition;
        input
    });
    plan.inputs.splice(2..2, many);
    let mut progress = progress();
    progress.positions.splice(2..2, vec![3; plan.inputs.len() - 3]);
    ledger.check_fits(&plan)?;

    let options = WriteOptions { delivery: Delivery::AtLeastOnce, ..WriteOptions::default() };
    let mut sink = cluster.writer(ledger.partition().clone(), 0, options).await?;
    sink.append(ledger.first_batch(&plan, &progress)?).await?;
    for rank in [13, 14] {
        progress.rank = rank;
        sink.append(ledger.progress_batch(&progress)?).await?;
    }
    sink.finish().await.1?;

    let read = Ledger::look(cluster, topic, &plan.job, PATIENCE).await?.expect("the topic").read().await?;
    assert_eq!(read, Some((plan, Some(progress))));
    Ok(())
}

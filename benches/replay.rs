//! The wall: how fast a cluster takes the batches of a topic when nobody has to make them.
//!
//! ```text
//! cargo bench --bench replay -- BROKERS FROM TO
//! ```
//!
//! Reads all batches of FROM into memory, writes them to the partitions of the same numbers of TO, and prints what that took as
//! one JSON object. What `produce` reaches on the same cluster in the same minutes is then a share of it. Without arguments, as
//! among all benches, nothing is done.

#![expect(clippy::print_stdout, reason = "its result is data, which belongs there")]

use kmerge::base::place::TopicPartition;
use kmerge::batch::{Batch, BatchMut};
use kmerge::client::{Cluster, OffsetAt, ReadOptions, WriteOptions};
use kmerge::observe::usage::Usage;
use kmerge::ports::{Outgoing, Source};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const TIMEOUT: Duration = Duration::from_secs(60);

type Failed = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    // cargo adds a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [brokers, from, to] = &arguments[..] else {
        eprintln!("replay: give BROKERS FROM TO to write the batches of FROM to TO");
        return Ok(());
    };
    let brokers: Vec<String> = brokers.split(',').map(str::to_owned).collect();
    let cluster = Cluster::connect(&brokers, TIMEOUT).await?;
    let mut prebuilt = Vec::new();
    for partition in 0..cluster.topic(from).await?.partitions.len() {
        prebuilt.push(batches_of(&cluster, TopicPartition::new(from.as_str(), partition as i32)).await?);
    }
    let batches: usize = prebuilt.iter().map(Vec::len).sum();
    let records: u64 = prebuilt.iter().flatten().map(|batch| u64::from(batch.records)).sum();

    let used = Usage::now().cpu_seconds;
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for (partition, batches) in prebuilt.into_iter().enumerate() {
        writers.spawn(write(cluster.clone(), TopicPartition::new(to.as_str(), partition as i32), batches));
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    let seconds = began.elapsed().as_secs_f64();
    let usage = Usage::now();
    println!(
        "{{\"client\":\"prebuilt batches\",\"records\":{records},\"batches\":{batches},\"seconds\":{seconds:.3},\
         \"cpu_seconds\":{:.3},\"peak_memory_bytes\":{}}}",
        usage.cpu_seconds - used,
        usage.peak_memory_bytes,
    );
    Ok(())
}

/// All batches of a partition, as if they had never been sent.
async fn batches_of(cluster: &Cluster, partition: TopicPartition) -> Result<Vec<Outgoing>, Failed> {
    let partitions = std::slice::from_ref(&partition);
    let start = cluster.offsets(partitions, OffsetAt::Earliest).await?[0];
    let end = cluster.offsets(partitions, OffsetAt::Latest).await?[0];
    let mut reader = cluster.reader(partition, start..end, ReadOptions::default());
    let (mut batches, mut window) = (Vec::new(), Vec::new());
    while reader.next(&mut window).await?.is_some() {
        let mut rest = &window[..];
        while !rest.is_empty() {
            let batch = Batch::read(rest)?;
            let records = batch.header.record_count as u32;
            let mut bytes = batch.bytes().to_vec();
            rest = &rest[bytes.len()..];
            let mut unsent = BatchMut::new(&mut bytes)?;
            unsent.set_base_offset(0);
            unsent.set_producer(-1, -1, -1);
            batches.push(Outgoing { len: bytes.len(), bytes, records });
        }
    }
    Ok(batches)
}

async fn write(cluster: Cluster, partition: TopicPartition, batches: Vec<Outgoing>) -> Result<(), Failed> {
    let options = WriteOptions { beside_others: true, ..WriteOptions::default() };
    let mut writer = cluster.writer(partition, 0, options).await?;
    for batch in batches {
        writer.append(batch).await?;
    }
    Ok(writer.finish().await.1?)
}

//! Taking partitions over from others while something of one's own is open.

use super::insights::counting;
use super::world::{GROUP, LONG, PARTITIONS, RECORDS, World};
use crate::base::place::TopicPartition;
use crate::base::shutdown::Signal;
use crate::batch::{BatchWriter, Codec, Headers};
use crate::client::group::Assignor;
use crate::client::{Cluster, OffsetAt, WriteOptions};
use crate::ports::Outgoing;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The partitions of each member of the group, once all are given out and nothing moves.
async fn shares(cluster: &Cluster, members: usize) -> BTreeMap<String, Vec<TopicPartition>> {
    let began = Instant::now();
    loop {
        let group = cluster.group(GROUP).await.unwrap();
        let shares: BTreeMap<_, _> = group
            .into_iter()
            .flat_map(|group| group.members)
            .collect::<Vec<_>>()
            .into_iter()
            .map(|one| (one.member, one.partitions.unwrap_or_default()))
            .collect();
        let given: usize = shares.values().map(Vec::len).sum();
        if shares.len() == members && given == PARTITIONS as usize && shares.values().all(|share| !share.is_empty()) {
            return shares;
        }
        assert!(began.elapsed() < LONG, "{shares:?}");
        tokio::task::yield_now().await;
    }
}

async fn sum_of_ends(cluster: &Cluster, topic: &str, at: OffsetAt) -> i64 {
    let partitions = cluster.topic(topic).await.unwrap().partitions.len() as i32;
    let all: Vec<TopicPartition> = (0..partitions).map(|partition| TopicPartition::new(topic, partition)).collect();
    cluster.offsets(&all, at).await.unwrap().into_iter().sum()
}

#[tokio::test]
async fn what_is_open_is_committed_before_what_others_have_counted_is_waited_for() {
    let mut world = counting(World::new().await, Duration::from_secs(3600));
    // One that is not waited for once it has left, and members that keep what they have when they get more.
    let group = &mut world.settings.group;
    (group.instance, group.assignors) = (None, vec![Assignor::CooperativeSticky]);
    // All that was counted is kept, and had again by whoever comes next.
    world.start().ended().await.1.unwrap();
    (world.settings.exit, world.settings.commit_interval) = (false, Duration::from_secs(3600));
    world.settings.transaction_timeout = Duration::from_secs(600);
    let cluster = Cluster::connect(&world.broker.addresses(), LONG).await.unwrap();
    let heir = world.start();
    let (name, _) = shares(&cluster, 1).await.pop_first().unwrap();
    let leaver = world.start();
    let of_heir = shares(&cluster, 2).await.remove(&name).unwrap().remove(0);

    // Something of the heir's is open.
    let mut writer = BatchWriter::new(Codec::None);
    for number in 0..50 {
        let value = format!("{{\"user\":1,\"id\":{number},\"device\":\"web\"}}");
        writer.push(5_000, None, Some(value.as_bytes()), Headers::EMPTY).unwrap();
    }
    world.broker.append_raw("in", of_heir.partition, writer.finish().unwrap()).unwrap();
    let began = Instant::now();
    while sum_of_ends(&cluster, "out", OffsetAt::Latest).await
        == sum_of_ends(&cluster, "out", OffsetAt::LastStable).await
    {
        assert!(began.elapsed() < LONG, "nothing of the heir's is open");
        tokio::task::yield_now().await;
    }
    let before = cluster.group_offsets(GROUP).await.unwrap()[&of_heir].offset;

    // Somebody who will not be done has a transaction open wherever counts are kept.
    let producer = cluster.transactional("somebody", Duration::from_secs(600)).await.unwrap();
    let mut somebody = producer.spread(WriteOptions { beside_others: true, ..WriteOptions::default() });
    for partition in 0..PARTITIONS {
        let mut writer = BatchWriter::new(Codec::None);
        writer.push(0, Some(b"{}"), Some(b"{}"), Headers::EMPTY).unwrap();
        let bytes = writer.finish().unwrap().to_vec();
        let batch = Outgoing { len: bytes.len(), bytes, records: 1 };
        somebody.append(&TopicPartition::new(world.settings.insights_state.as_str(), partition), batch).await.unwrap();
    }
    somebody.flush().await.unwrap();
    leaver.shutdown.request(Signal::Terminate);
    leaver.ended().await.1.unwrap_err();

    let began = Instant::now();
    while cluster.group_offsets(GROUP).await.unwrap()[&of_heir].offset == before {
        assert!(began.elapsed() < LONG, "the heir waits for others with its own transaction open");
        tokio::task::yield_now().await;
    }
    heir.shutdown.request(Signal::Terminate);
    heir.ended().await.1.unwrap_err();
}

#[tokio::test]
async fn the_group_stands_behind_a_batch_whose_last_records_are_compacted_away() {
    let mut world = World::new().await;
    (world.settings.exit, world.settings.group.instance) = (false, None);
    let mut writer = BatchWriter::new(Codec::None);
    writer.push(5_000, None, Some(b"{\"user\":1}"), Headers::EMPTY).unwrap();
    writer.last_offset_delta(Some(9));
    world.broker.append_raw("in", 0, writer.finish().unwrap()).unwrap();
    let end = i64::from(RECORDS) + 10;
    let run = world.start();
    let cluster = Cluster::connect(&world.broker.addresses(), LONG).await.unwrap();
    let began = Instant::now();
    loop {
        let offsets = cluster.group_offsets(GROUP).await.unwrap();
        let stands = offsets.get(&TopicPartition::new("in", 0)).map(|one| one.offset);
        if stands == Some(end) {
            break;
        }
        assert!(began.elapsed() < LONG, "stands at {stands:?} and not at {end}");
        tokio::task::yield_now().await;
    }
    run.shutdown.request(Signal::Terminate);
    run.ended().await.1.unwrap_err();
}

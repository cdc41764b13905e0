//! An election between two replicas, and what is told of it: epochs, where they end, who leads, what followers serve,
//! what both know of a producer. And a topic that is created again.

use super::*;
use crate::wire::describe_producers::{DescribeProducers, DescribeProducersRequest, TopicRequest};
use crate::wire::offset_for_leader_epoch::{
    OffsetForLeaderEpoch, OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use crate::wire::{ErrorCode, Uuid};

/// The names of what differs from cluster to cluster.
struct Names {
    topic: String,
    id: Uuid,
    /// The nodes that led first and second.
    nodes: [i32; 2],
    /// The epochs in which they did.
    epochs: [i32; 2],
}

const ORDINALS: [&str; 2] = ["first", "second"];

impl Names {
    fn node(&self, id: i32) -> String {
        let known = self.nodes.iter().position(|node| *node == id);
        known.map_or_else(|| id.to_string(), |known| ORDINALS[known].to_owned())
    }

    fn epoch(&self, epoch: i32) -> String {
        let known = self.epochs.iter().position(|known| *known == epoch);
        known.map_or_else(|| epoch.to_string(), |known| ORDINALS[known].to_owned())
    }

    fn fetch(&self, offset: i64, current: i32, last: i32) -> FetchRequest {
        let mut request = fetch_request(&self.topic, 0, offset);
        request.topics[0].topic_id = self.id;
        let partition = &mut request.topics[0].partitions[0];
        (partition.current_leader_epoch, partition.last_fetched_epoch) = (current, last);
        request
    }
}

/// Makes another replica the leader.
async fn elect(peer: &mut Peer<'_>, topic: &str, from: i32, to: i32) {
    if let Some(ours) = peer.ours {
        ours.elect(topic, 0, to).unwrap();
        return;
    }
    // The order of the replicas says who is preferred; then the preferred one is elected.
    let reassign = |w: &mut Writer| {
        w.i32(30_000);
        w.uvarint(2);
        w.nullable_str(Some(topic)).unwrap();
        w.uvarint(2);
        w.i32(0);
        w.uvarint(3);
        w.i32(to);
        w.i32(from);
        (0..3).for_each(|_| w.uvarint(0));
    };
    let code = peer.bootstrap.raw(ApiKey::AlterPartitionReassignments, 0, reassign, |r| {
        let _throttle = r.i32().unwrap();
        r.i16().unwrap()
    });
    assert_eq!(code.await, 0, "reassigned");
    until("the election", async || {
        let choose = |w: &mut Writer| {
            w.i8(0);
            w.uvarint(2);
            w.nullable_str(Some(topic)).unwrap();
            w.uvarint(2);
            w.i32(0);
            w.uvarint(0);
            w.i32(30_000);
            w.uvarint(0);
        };
        peer.bootstrap.raw(ApiKey::ElectLeaders, 2, choose, |_| ()).await;
        peer.metadata(topic, |r| (r.topics[0].partitions[0].leader_id == to).then_some(())).await
    })
    .await;
}

/// A fresh batch of a producer, since old ones are forgotten at any time; the later ones have later times.
fn fresh(sequence: i32) -> Vec<u8> {
    let mut writer = BatchWriter::new(Codec::None);
    for _ in 0..3 {
        writer.push(now_ms() + 1000 * i64::from(sequence), Some(b"k"), Some(b"value"), Headers::EMPTY).unwrap();
    }
    writer.producer(77_000, 0, sequence);
    writer.finish().unwrap().to_vec()
}

/// Whether an answer to a write is the last word: not before a node knows that it leads (3, 6), nor while the other replica has not
/// followed in time (7). The same batch sent once more is stored once.
fn is_settled(code: i16) -> bool {
    ![3, 6, 7].contains(&code)
}

/// Code, and for each producer: id, epoch, last sequence, where a transaction is open.
pub(super) async fn describe(client: &mut Client, topic: &str, partition: i32) -> (i16, Vec<(i64, i32, i32, i64)>) {
    let topics = vec![TopicRequest { name: topic.into(), partition_indexes: vec![partition] }];
    client
        .call::<DescribeProducers, _>(0, &DescribeProducersRequest { topics }, |r| {
            let partition = &r.topics[0].partitions[0];
            let tell = |p: &crate::wire::describe_producers::ProducerState| {
                (p.producer_id, p.producer_epoch, p.last_sequence, p.current_txn_start_offset)
            };
            let mut producers: Vec<_> = partition.active_producers.iter().map(tell).collect();
            producers.sort();
            (partition.error_code, producers)
        })
        .await
}

pub(super) async fn leaders(peer: &mut Peer<'_>) {
    let wanted = peer.wanted("leaders", 1, 2, &[]);
    let topic = wanted.name.clone();
    assert_eq!(peer.create(vec![wanted]).await, [0]);
    let told = until("both replicas", async || {
        peer.metadata(&topic, |r| {
            let partition = r.topics[0].partitions.first().filter(|p| p.isr_nodes.len() == 2)?;
            let other = *partition.replica_nodes.iter().find(|node| **node != partition.leader_id)?;
            Some((r.topics[0].topic_id, [partition.leader_id, other], partition.leader_epoch))
        })
        .await
    });
    let (id, nodes, epoch) = told.await;
    let (mut old, mut new) = (peer.node(nodes[0]).await, peer.node(nodes[1]).await);
    for sequence in [0, 3] {
        let records = fresh(sequence);
        let written = until("a leader that knows it leads", async || {
            let answer = old.produce_at(9, &produce_request(&topic, 0, Some(&records))).await;
            is_settled(answer.error_code).then_some((answer.error_code, answer.base_offset))
        });
        let written = written.await;
        peer.note(format!("leaders: write {sequence}"), written);
    }
    elect(peer, &topic, nodes[0], nodes[1]).await;
    let second = until("the new epoch", async || {
        peer.metadata(&topic, |r| Some(r.topics[0].partitions[0].leader_epoch).filter(|now| *now != epoch)).await
    });
    let names = Names { id, nodes, epochs: [epoch, second.await], topic: topic.clone() };
    let records = fresh(6);
    let written = until("the new leader", async || {
        let answer = new.produce_at(9, &produce_request(&topic, 0, Some(&records))).await;
        is_settled(answer.error_code).then_some((answer.error_code, answer.base_offset))
    });
    let written = written.await;
    peer.note("leaders: write at the new one", written);
    until("the follower to follow", async || {
        (old.fetch_at(12, &names.fetch(0, -1, -1)).await.high_watermark == 9).then_some(())
    })
    .await;
    writes(peer, &names, &mut old, &mut new).await;
    reads(peer, &names, &mut old, &mut new).await;
    offsets(peer, &names, &mut old, &mut new).await;
    for (what, client) in [("first", &mut old), ("second", &mut new)] {
        let described = describe(client, &topic, 0).await;
        peer.note(format!("leaders: producers at the {what}"), described);
    }
    for (what, name, partition) in [("topic", "no-such", 0), ("name", "no such", 0), ("partition", topic.as_str(), 7)] {
        let described = describe(&mut new, name, partition).await;
        peer.note(format!("producers of an unknown {what}"), described);
    }
}

async fn writes(peer: &mut Peer<'_>, names: &Names, old: &mut Client, new: &mut Client) {
    let records = fresh(9);
    for version in [9, 10, 12, 13] {
        let mut request = produce_request(&names.topic, 0, Some(&records));
        request.topic_data[0].topic_id = names.id;
        let told = old.call::<Produce, _>(version, &request, |r| {
            let answer = &r.responses[0].partition_responses[0];
            let leader = &answer.current_leader;
            let hint = (names.node(leader.leader_id), names.epoch(leader.leader_epoch));
            let endpoints: Vec<String> = r.node_endpoints.iter().map(|e| names.node(e.node_id)).collect();
            (answer.error_code, answer.base_offset, hint, endpoints)
        });
        let told = told.await;
        peer.note(format!("leaders: produce v{version} at the old one"), told);
    }
    for sequence in [0, 3, 6, 1] {
        let answer = new.produce_at(9, &produce_request(&names.topic, 0, Some(&fresh(sequence)))).await;
        peer.note(format!("leaders: retry {sequence}"), (answer.error_code, answer.base_offset));
    }
}

async fn reads(peer: &mut Peer<'_>, names: &Names, old: &mut Client, new: &mut Client) {
    let [first, second] = names.epochs;
    let cases = [
        (0, -1, -1),
        (0, first, -1),
        (0, second, -1),
        (0, second + 5, -1),
        (9, second, -1),
        (10, second, -1),
        (0, -1, first),
        (6, -1, first),
        (7, -1, first),
        (9, -1, first),
        (12, -1, first),
        (6, second, second),
        (9, -1, second),
        (10, -1, second),
        (9, -1, second + 5),
        (9, first, first),
    ];
    for (what, client) in [("old", old), ("new", new)] {
        for version in [4, 10, 11, 12, 15, 16, 17] {
            for (offset, current, last) in cases {
                // Epochs came with versions 9 and 12.
                if (version < 9 && current != -1) || (version < 12 && last != -1) {
                    continue;
                }
                let request = names.fetch(offset, current, last);
                let told = client.call::<Fetch, _>(version, &request, |r| {
                    let answer = &r.responses[0].partitions[0];
                    let (diverging, leader) = (&answer.diverging_epoch, &answer.current_leader);
                    let fetched = Fetched::of(answer);
                    let hint = (names.node(leader.leader_id), names.epoch(leader.leader_epoch));
                    let endpoints: Vec<String> = r.node_endpoints.iter().map(|e| names.node(e.node_id)).collect();
                    let ends = (fetched.high_watermark, fetched.last_stable, fetched.log_start);
                    let parts = (names.epoch(diverging.epoch), diverging.end_offset);
                    (fetched.error_code, fetched.bases(), ends, parts, hint, endpoints)
                });
                let told = told.await;
                let (current, last) = (names.epoch(current), names.epoch(last));
                peer.note(format!("leaders: fetch v{version} at the {what} one: {offset} {current} {last}"), told);
            }
        }
    }
}

async fn offsets(peer: &mut Peer<'_>, names: &Names, old: &mut Client, new: &mut Client) {
    let [first, second] = names.epochs;
    for (what, client) in [("old", old), ("new", new)] {
        for current in [-1, first, second, second + 5] {
            for timestamp in [-1, -2, -3, -4, 0, i64::MAX / 2] {
                let partition = ListOffsetsPartition { timestamp, current_leader_epoch: current, ..Default::default() };
                let topics = vec![ListOffsetsTopic { name: names.topic.clone(), partitions: vec![partition] }];
                let request = ListOffsetsRequest { topics, timeout_ms: 10_000, ..Default::default() };
                let told = client.call::<ListOffsets, _>(10, &request, |r| {
                    let p = &r.topics[0].partitions[0];
                    (p.error_code, p.offset, names.epoch(p.leader_epoch))
                });
                let told = told.await;
                peer.note(format!("leaders: offset at {timestamp}, {what}, {}", names.epoch(current)), told);
            }
            for leader_epoch in [-1, first, second, second + 5] {
                for version in OffsetForLeaderEpoch::VERSIONS {
                    let partitions =
                        vec![OffsetForLeaderPartition { partition: 0, current_leader_epoch: current, leader_epoch }];
                    let topics = vec![OffsetForLeaderTopic { topic: names.topic.clone(), partitions }];
                    let request = OffsetForLeaderEpochRequest { topics, replica_id: -1 };
                    let told = client.call::<OffsetForLeaderEpoch, _>(version, &request, |r| {
                        let p = &r.topics[0].partitions[0];
                        (p.error_code, names.epoch(p.leader_epoch), p.end_offset)
                    });
                    let told = told.await;
                    let (asked, current) = (names.epoch(leader_epoch), names.epoch(current));
                    peer.note(format!("leaders: end of {asked}, v{version}, {what}, {current}"), told);
                }
            }
        }
    }
}

/// A topic's id dies with it.
pub(super) async fn ids(peer: &mut Peer<'_>) {
    let (name, _) = peer.topic("again", &[]).await;
    let id_of = |r: &MetadataResponse| (r.topics[0].error_code == 0).then_some(r.topics[0].topic_id);
    let old = peer.metadata(&name, id_of).await.unwrap();
    let request = DeleteTopicsRequest { topic_names: vec![name.clone()], timeout_ms: 20_000, ..Default::default() };
    peer.bootstrap.call::<DeleteTopics, _>(5, &request, |_| ()).await;
    until("the topic to be gone", async || peer.metadata(&name, id_of).await.is_none().then_some(())).await;
    let (_, mut client) = peer.topic("again", &[]).await;
    let new = peer.metadata(&name, id_of).await.unwrap();
    peer.note("ids: the same one again", old == new);
    for (what, id) in [("old", old), ("new", new), ("no", Uuid([9; 16]))] {
        let mut request = fetch_request("", 0, 0);
        request.topics[0].topic_id = id;
        let code = until("the old id to be forgotten", async || {
            // A node may answer for a moment as if it still led.
            let code = client.fetch_at(13, &request).await.error_code;
            (what == "new" || code == ErrorCode::UnknownTopicId.code()).then_some(code)
        });
        let code = code.await;
        peer.note(format!("ids: fetch by the {what} id"), code);
        let records = batch(1);
        let mut request = produce_request("", 0, Some(&records));
        request.topic_data[0].topic_id = id;
        let answer = client.produce_at(13, &request).await;
        peer.note(format!("ids: produce by the {what} id"), (answer.error_code, answer.base_offset));
        let topics = vec![MetadataRequestTopic { name: None, topic_id: id }];
        let request = MetadataRequest { topics: Some(topics), ..Default::default() };
        let told = client.call::<Metadata, _>(12, &request, |r| (r.topics[0].error_code, r.topics[0].name.is_some()));
        let told = told.await;
        peer.note(format!("ids: metadata by the {what} id"), told);
    }
}

//! Partitions that are reassigned: what is told while one is on its way, when it is there, and when it is taken back. On Apache
//! Kafka a throttle keeps it on its way, on ours a hook.

use super::*;
use crate::wire::ErrorCode;
use crate::wire::alter_partition_reassignments::{
    AlterPartitionReassignments, AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use crate::wire::create_partitions::{CreatePartitions, CreatePartitionsRequest, CreatePartitionsTopic};
use crate::wire::create_topics::CreatableReplicaAssignment;
use crate::wire::describe_configs::resource_type;
use crate::wire::describe_log_dirs::{DescribableLogDirTopic, DescribeLogDirs, DescribeLogDirsRequest};
use crate::wire::elect_leaders::{ElectLeaders, ElectLeadersRequest, TopicPartitions};
use crate::wire::incremental_alter_configs::config_operation;
use crate::wire::list_partition_reassignments::{
    ListPartitionReassignments, ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};

const RATES: [&str; 2] = ["leader.replication.throttled.rate", "follower.replication.throttled.rate"];
const THROTTLED: [(&str, &str); 2] =
    [("leader.replication.throttled.replicas", "*"), ("follower.replication.throttled.replicas", "*")];

/// Two nodes and a topic of one partition that the first of them holds.
struct Stage {
    topic: String,
    nodes: [i32; 2],
    /// The epoch at the start.
    epoch: i32,
}

impl Stage {
    fn name(&self, node: i32) -> String {
        let known = self.nodes.iter().position(|known| *known == node);
        known.map_or_else(|| node.to_string(), |known| ["first", "second"][known].to_owned())
    }

    fn names(&self, nodes: &[i32]) -> String {
        nodes.iter().map(|node| self.name(*node)).collect::<Vec<_>>().join(",")
    }

    /// Replicas, those in sync, leader, and by how much the epoch has grown.
    async fn told(&self, peer: &mut Peer<'_>) -> (String, String, String, i32) {
        peer.metadata(&self.topic, |r| {
            let partition = &r.topics[0].partitions[0];
            // Its order says nothing.
            let mut isr: Vec<String> = partition.isr_nodes.iter().map(|node| self.name(*node)).collect();
            isr.sort_unstable();
            (
                self.names(&partition.replica_nodes),
                isr.join(","),
                self.name(partition.leader_id),
                partition.leader_epoch - self.epoch,
            )
        })
        .await
    }

    /// Code, and whether there are words for it.
    async fn reassign(&self, peer: &mut Peer<'_>, partition: i32, to: Option<&[i32]>) -> (i16, i16) {
        self.reassign_as(peer, 1, &self.topic.clone(), partition, to, true).await
    }

    async fn reassign_as(
        &self,
        peer: &mut Peer<'_>,
        version: i16,
        topic: &str,
        partition_index: i32,
        to: Option<&[i32]>,
        allow_replication_factor_change: bool,
    ) -> (i16, i16) {
        let partition = ReassignablePartition { partition_index, replicas: to.map(<[i32]>::to_vec) };
        let topics = vec![ReassignableTopic { name: topic.to_owned(), partitions: vec![partition] }];
        let request =
            AlterPartitionReassignmentsRequest { topics, allow_replication_factor_change, ..Default::default() };
        peer.bootstrap
            .call::<AlterPartitionReassignments, _>(version, &request, |r| {
                (r.error_code, r.responses[0].partitions[0].error_code)
            })
            .await
    }

    /// What moves, by name of this topic, of its partitions 0 and 7, and of a topic that is not there.
    async fn listed(&self, peer: &mut Peer<'_>) -> (i16, Vec<(i32, String, String, String)>) {
        let wanted =
            |name: &str| ListPartitionReassignmentsTopics { name: name.to_owned(), partition_indexes: vec![0, 7] };
        let topics = Some(vec![wanted(&self.topic), wanted("no-such-topic")]);
        let request = ListPartitionReassignmentsRequest { topics, ..Default::default() };
        peer.bootstrap
            .call::<ListPartitionReassignments, _>(0, &request, |r| {
                let moving = r.topics.iter().flat_map(|topic| &topic.partitions).map(|one| {
                    let [all, adding, removing] =
                        [&one.replicas, &one.adding_replicas, &one.removing_replicas].map(|nodes| self.names(nodes));
                    (one.partition_index, all, adding, removing)
                });
                (r.error_code, moving.collect())
            })
            .await
    }

    /// What a node holds of this topic: codes, and partition, whether it has bytes, lag, whether it is a future copy.
    async fn held(&self, peer: &mut Peer<'_>, node: i32) -> (i16, Vec<i16>, Vec<(i32, bool, i64, bool)>, bool) {
        let wanted = |topic: &str| DescribableLogDirTopic { topic: topic.to_owned(), partitions: vec![0, 7] };
        let request = DescribeLogDirsRequest { topics: Some(vec![wanted(&self.topic), wanted("no-such-topic")]) };
        peer.node(node)
            .await
            .call::<DescribeLogDirs, _>(4, &request, |r| {
                let partitions = r.results.iter().flat_map(|one| &one.topics).flat_map(|topic| &topic.partitions);
                let partitions =
                    partitions.map(|p| (p.partition_index, p.partition_size > 0, p.offset_lag, p.is_future_key));
                let known = r.results.iter().all(|one| 0 < one.usable_bytes && one.usable_bytes <= one.total_bytes);
                (r.error_code, r.results.iter().map(|one| one.error_code).collect(), partitions.collect(), known)
            })
            .await
    }
}

/// Sets the rates at which nodes copy, or deletes them. A node changes its own settings only.
async fn throttle(asked: &mut Client, nodes: &[i32], rate: Option<&str>) -> Vec<i16> {
    let change = |name: &str| AlterableConfig {
        name: name.to_owned(),
        config_operation: if rate.is_some() { config_operation::SET } else { config_operation::DELETE },
        value: rate.map(str::to_owned),
    };
    let resource = |node: &i32| AlterConfigsResource {
        resource_type: resource_type::BROKER,
        resource_name: node.to_string(),
        configs: RATES.iter().map(|name| change(name)).collect(),
    };
    let request =
        IncrementalAlterConfigsRequest { resources: nodes.iter().map(resource).collect(), validate_only: false };
    asked
        .call::<IncrementalAlterConfigs, _>(1, &request, |r| r.responses.iter().map(|one| one.error_code).collect())
        .await
}

/// What moves goes no further, until `let_go`.
async fn hold(peer: &mut Peer<'_>, stage: &Stage) {
    match peer.ours {
        Some(ours) => ours.hold_copies(),
        None => {
            for node in stage.nodes {
                assert_eq!(throttle(&mut peer.node(node).await, &[node], Some("1")).await, [0]);
            }
        }
    }
}

async fn let_go(peer: &mut Peer<'_>, stage: &Stage) {
    let codes = throttle(&mut peer.node(stage.nodes[0]).await, &stage.nodes, None).await;
    peer.note("moves: rates deleted, one node asked for both", codes);
    for node in stage.nodes {
        let codes = throttle(&mut peer.node(node).await, &[node], None).await;
        peer.note("moves: rate deleted", codes);
    }
    if let Some(ours) = peer.ours {
        ours.release_copies();
    }
}

async fn stage(peer: &mut Peer<'_>) -> Stage {
    let nodes = peer.metadata("x", |r| [r.brokers[0].node_id, r.brokers[1].node_id]).await;
    let assignment = CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![nodes[0]] };
    let wanted = peer.wanted("moves", -1, -1, &THROTTLED);
    let topic = wanted.name.clone();
    assert_eq!(peer.create(vec![CreatableTopic { assignments: vec![assignment], ..wanted }]).await, [0]);
    let mut client = peer.node(nodes[0]).await;
    // More than a follower gets before it is found to be too fast.
    for _ in 0..6 {
        let mut writer = BatchWriter::new(Codec::None);
        writer.push(now_ms(), None, Some(&vec![7; 900_000]), Headers::EMPTY).unwrap();
        let records = writer.finish().unwrap().to_vec();
        until("a leader that knows it leads", async || {
            let answer = client.produce_at(9, &produce_request(&topic, 0, Some(&records))).await;
            (answer.error_code == 0).then_some(())
        })
        .await;
    }
    let epoch = peer.metadata(&topic, |r| r.topics[0].partitions[0].leader_epoch).await;
    Stage { topic, nodes, epoch }
}

/// Waits until nothing moves and the partition is where it was to go, led by `leader` if that is known; gives what is told
/// then.
async fn settled(peer: &mut Peer<'_>, stage: &Stage, to: &[i32], leader: Option<i32>) -> (String, String, String, i32) {
    until("the move to end", async || stage.listed(peer).await.1.is_empty().then_some(())).await;
    // The brokers hear of it a moment after the controller has said so, and tell of the time before until then.
    let (wanted, leads) = (stage.names(to), leader.map(|node| stage.names(&[node])));
    until("all of the replicas, and one that leads", async || {
        let (replicas, isr, leader, epoch) = stage.told(peer).await;
        let agreed = replicas == wanted
            && replicas.split(',').count() == isr.split(',').count()
            && replicas.contains(&leader)
            && leads.as_ref().is_none_or(|leads| *leads == leader);
        agreed.then_some((replicas, isr, leader, epoch))
    })
    .await
}

async fn refused(peer: &mut Peer<'_>, stage: &Stage) {
    let [one, two] = stage.nodes;
    let cases: [(&str, i32, Option<&[i32]>); 7] = [
        ("a partition that is not there", 7, Some(&[one])),
        ("a partition below zero", -1, Some(&[one])),
        ("a node that is not there", 0, Some(&[one, 99])),
        ("a node below zero", 0, Some(&[-1])),
        ("nobody", 0, Some(&[])),
        ("the same twice", 0, Some(&[two, two])),
        ("a move that is none taken back", 0, None),
    ];
    for (what, partition, to) in cases {
        let codes = stage.reassign(peer, partition, to).await;
        peer.note(format!("moves: {what}"), codes);
    }
    for version in [0, 1] {
        let codes = stage.reassign_as(peer, version, "no-such-topic", 0, Some(&[one]), true).await;
        peer.note(format!("moves: a topic that is not there, v{version}"), codes);
    }
    let codes = stage.reassign_as(peer, 1, &stage.topic, 0, Some(&[one, two]), false).await;
    peer.note("moves: another number of replicas, not allowed", codes);
    let codes = stage.reassign(peer, 0, Some(&[one])).await;
    peer.note("moves: where it is", codes);
    let told = (stage.listed(peer).await, stage.told(peer).await);
    peer.note("moves: nothing has moved", told);
    let held = (stage.held(peer, one).await, stage.held(peer, two).await);
    peer.note("moves: who holds it", held);
}

async fn under_way(peer: &mut Peer<'_>, stage: &Stage) {
    let [one, two] = stage.nodes;
    hold(peer, stage).await;
    let codes = stage.reassign(peer, 0, Some(&[two])).await;
    peer.note("moves: to the other", codes);
    until("the move to be told", async || stage.told(peer).await.0.contains("second").then_some(())).await;
    let told = (stage.listed(peer).await, stage.told(peer).await);
    peer.note("moves: under way", told);
    let codes = stage.reassign(peer, 0, Some(&[two, one])).await;
    let told = (stage.listed(peer).await, stage.told(peer).await);
    peer.note("moves: to both of them, underway", (codes, told));
    let codes = stage.reassign_as(peer, 1, &stage.topic, 0, Some(&[one, two]), false).await;
    peer.note("moves: another number of replicas, underway", codes);
    let grow = CreatePartitionsTopic { name: stage.topic.clone(), count: 2, assignments: None };
    let request = CreatePartitionsRequest { topics: vec![grow], timeout_ms: 20_000, validate_only: true };
    let code = peer.bootstrap.call::<CreatePartitions, _>(3, &request, |r| r.results[0].error_code).await;
    peer.note("moves: growing underway", code);
    let codes = stage.reassign(peer, 0, None).await;
    until("the old replicas", async || (stage.told(peer).await.0 == "first").then_some(())).await;
    let told = (stage.listed(peer).await, stage.told(peer).await);
    peer.note("moves: taken back", (codes, told));
    let_go(peer, stage).await;
}

async fn over(peer: &mut Peer<'_>, stage: &Stage) {
    let [one, two] = stage.nodes;
    let mut old = peer.node(one).await;
    let codes = stage.reassign(peer, 0, Some(&[two])).await;
    let told = settled(peer, stage, &[two], Some(two)).await;
    peer.note("moves: done", (codes, told));
    until("the old leader to hear of it", async || {
        let fetched = old.fetch_at(11, &fetch_request(&stage.topic, 0, 0)).await;
        (fetched.error_code != 0).then_some(fetched.error_code)
    })
    .await;
    let code = old.fetch_at(11, &fetch_request(&stage.topic, 0, 0)).await.error_code;
    peer.note("moves: read from where it was", code);
    let fetched = until("the new leader to lead", async || {
        let fetched = peer.node(two).await.fetch_at(11, &fetch_request(&stage.topic, 0, 0)).await;
        (fetched.error_code == 0).then_some((fetched.high_watermark, fetched.log_start))
    });
    let fetched = fetched.await;
    peer.note("moves: read from where it is", fetched);
    until("the old copy to go", async || stage.held(peer, one).await.2.is_empty().then_some(())).await;
    let held = (stage.held(peer, one).await, stage.held(peer, two).await);
    peer.note("moves: who holds it now", held);
    for (what, to) in [("both", &[one, two][..]), ("both the other way", &[two, one]), ("one of both", &[one])] {
        let codes = stage.reassign(peer, 0, Some(to)).await;
        let told = settled(peer, stage, to, None).await;
        peer.note(format!("moves: to {what}"), (codes, told));
    }
}

async fn elections(peer: &mut Peer<'_>, stage: &Stage) {
    let [one, two] = stage.nodes;
    let codes = stage.reassign(peer, 0, Some(&[two, one])).await;
    let told = settled(peer, stage, &[two, one], Some(one)).await;
    peer.note("elections: the other is preferred", (codes, told));
    let cases = [
        ("another leader while one leads", 1, 0),
        ("the preferred one", 0, 0),
        ("the preferred one again", 0, 0),
        ("of a partition that is not there", 0, 7),
        ("of no type", 7, 0),
    ];
    for (what, election_type, partition) in cases {
        let asked = TopicPartitions { topic: stage.topic.clone(), partitions: vec![partition] };
        let request = ElectLeadersRequest { election_type, topic_partitions: Some(vec![asked]), timeout_ms: 20_000 };
        let codes = peer.bootstrap.call::<ElectLeaders, _>(2, &request, |r| {
            let results = r.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
            (r.error_code, results.map(|one| (one.partition_id, one.error_code)).collect::<Vec<_>>())
        });
        let codes = codes.await;
        // The first case elects nobody: who leads goes on.
        let leader = if what.starts_with("another") { one } else { two };
        let told = settled(peer, stage, &[two, one], Some(leader)).await;
        peer.note(format!("elections: {what}"), (codes, told));
    }
}

async fn observe(address: &str, ours: Option<&Broker>) -> Observed {
    let mut peer = Peer::new(address, ours).await;
    let stage = stage(&mut peer).await;
    refused(&mut peer, &stage).await;
    under_way(&mut peer, &stage).await;
    over(&mut peer, &stage).await;
    elections(&mut peer, &stage).await;
    peer.clean().await
}

#[tokio::test]
async fn kafka_moves_partitions_the_same_way() {
    let Some(brokers) = std::env::var("KMERGE_TEST_BROKERS").ok().filter(|brokers| !brokers.is_empty()) else {
        let _ = writeln!(std::io::stderr(), "skipped: KMERGE_TEST_BROKERS names no cluster");
        return;
    };
    let kafka = observe(brokers.split(',').next().unwrap(), None).await;
    let broker = broker_with(BrokerConfig { nodes: 2, ..Default::default() }).await;
    let ours = observe(&broker.addresses()[0], Some(&broker)).await;
    let both = kafka.iter().zip(&ours).filter(|(kafka, ours)| kafka != ours);
    let different: Vec<String> =
        both.map(|(kafka, ours)| format!("{}: Kafka {}, ours {}", kafka.0, kafka.1, ours.1)).collect();
    assert!(different.is_empty(), "{} of {} answers differ:\n{}", different.len(), kafka.len(), different.join("\n"));
    assert!(kafka.len() == ours.len() && kafka.len() > 25, "{}", kafka.len());
    let found = |what: &str| kafka.iter().find(|(asked, _)| asked == what).map(|(_, told)| told.as_str());
    let no_such_node = format!("(0, {})", ErrorCode::InvalidReplicaAssignment.code());
    assert_eq!(found("moves: a node that is not there"), Some(&*no_such_node), "{kafka:?}");
}

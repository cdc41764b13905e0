//! What a transactional client sends, one request a function: against our broker, and against Apache Kafka.

use super::*;
use crate::wire::add_offsets_to_txn::{AddOffsetsToTxn, AddOffsetsToTxnRequest};
use crate::wire::add_partitions_to_txn::{
    AddPartitionsToTxn, AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use crate::wire::describe_transactions::{DescribeTransactions, DescribeTransactionsRequest, TransactionState};
use crate::wire::end_txn::{EndTxn, EndTxnRequest};
use crate::wire::find_coordinator::{FindCoordinator, FindCoordinatorRequest};
use crate::wire::init_producer_id::{InitProducerId, InitProducerIdRequest};
use crate::wire::offset_fetch::{
    OffsetFetch, OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use crate::wire::txn_offset_commit::{
    TxnOffsetCommit, TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use std::time::{Duration, Instant};

/// A producer id and its epoch.
pub(super) type Who = (i64, i16);

/// An error code, and a producer where there is none.
pub(super) type Given = (i16, Who);

/// Asks until the answer is there; a cluster takes a moment to agree with itself.
pub(super) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        // What is waited for happens in another task or process, which tells nobody.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Where a key is coordinated; nothing while that is not known.
pub(super) async fn coordinator_of(client: &mut Client, key: &str, key_type: i8) -> Option<String> {
    let request = FindCoordinatorRequest { key: key.into(), key_type, ..Default::default() };
    client
        .call::<FindCoordinator, _>(3, &request, |r| (r.error_code == 0).then(|| format!("{}:{}", r.host, r.port)))
        .await
}

/// A transactional id at its coordinator.
pub(super) struct Id {
    pub(super) name: String,
    pub(super) at: Client,
}

impl Id {
    /// Finds the coordinator, and waits until it is ready.
    pub(super) async fn find(client: &mut Client, name: &str) -> Self {
        let at = until("a coordinator that is ready", async || {
            let address = coordinator_of(client, name, 1).await?;
            let at = Client { stream: TcpStream::connect(&address).await.ok()?, correlation_id: 0 };
            let mut id = Self { name: name.into(), at };
            let busy = [14, 15, 16];
            (!busy.contains(&id.describe().await.error_code)).then_some(id.at)
        });
        Self { name: name.into(), at: at.await }
    }

    pub(super) async fn init_at(&mut self, version: i16, expected: Option<Who>, timeout_ms: i32) -> Given {
        let (producer_id, producer_epoch) = expected.unwrap_or((-1, -1));
        let request = InitProducerIdRequest {
            transactional_id: Some(self.name.clone()),
            transaction_timeout_ms: timeout_ms,
            producer_id,
            producer_epoch,
        };
        let read = |r: &crate::wire::init_producer_id::InitProducerIdResponse| {
            (r.error_code, (r.producer_id, r.producer_epoch))
        };
        self.at.call::<InitProducerId, _>(version, &request, read).await
    }

    /// Takes the id, however long that takes.
    pub(super) async fn init(&mut self) -> Who {
        until("the id", async || {
            let (code, who) = self.init_at(4, None, 60_000).await;
            assert!([0, 14, 15, 51].contains(&code), "{code}");
            (code == 0).then_some(who)
        })
        .await
    }

    pub(super) async fn add(&mut self, version: i16, who: Who, topics: &[(&str, i32)]) -> Vec<i16> {
        let topic = |(name, partition): &(&str, i32)| AddPartitionsToTxnTopic {
            name: (*name).into(),
            partitions: vec![*partition],
        };
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.name.clone(),
            v3_and_below_producer_id: who.0,
            v3_and_below_producer_epoch: who.1,
            v3_and_below_topics: topics.iter().map(topic).collect(),
            ..Default::default()
        };
        let read = |r: &crate::wire::add_partitions_to_txn::AddPartitionsToTxnResponse| {
            let topics = r.results_by_topic_v3_and_below.iter().flat_map(|topic| &topic.results_by_partition);
            topics.map(|partition| partition.partition_error_code).collect()
        };
        self.at.call::<AddPartitionsToTxn, _>(version, &request, read).await
    }

    /// Version 4 or 5, only to see whether the partition is there.
    pub(super) async fn verify(&mut self, version: i16, who: Who, topic: &str, partition: i32) -> i16 {
        let transaction = AddPartitionsToTxnTransaction {
            transactional_id: self.name.clone(),
            producer_id: who.0,
            producer_epoch: who.1,
            verify_only: true,
            topics: vec![AddPartitionsToTxnTopic { name: topic.into(), partitions: vec![partition] }],
        };
        let request = AddPartitionsToTxnRequest { transactions: vec![transaction], ..Default::default() };
        let read = |r: &crate::wire::add_partitions_to_txn::AddPartitionsToTxnResponse| {
            let result = &r.results_by_transaction[0].topic_results[0].results_by_partition[0];
            result.partition_error_code
        };
        self.at.call::<AddPartitionsToTxn, _>(version, &request, read).await
    }

    pub(super) async fn add_offsets(&mut self, version: i16, who: Who, group: &str) -> i16 {
        let request = AddOffsetsToTxnRequest {
            transactional_id: self.name.clone(),
            producer_id: who.0,
            producer_epoch: who.1,
            group_id: group.into(),
        };
        self.at.call::<AddOffsetsToTxn, _>(version, &request, |r| r.error_code).await
    }

    pub(super) async fn end(&mut self, version: i16, who: Who, committed: bool) -> Given {
        let request =
            EndTxnRequest { transactional_id: self.name.clone(), producer_id: who.0, producer_epoch: who.1, committed };
        self.at.call::<EndTxn, _>(version, &request, |r| (r.error_code, (r.producer_id, r.producer_epoch))).await
    }

    pub(super) async fn describe(&mut self) -> TransactionState {
        let request = DescribeTransactionsRequest { transactional_ids: vec![self.name.clone()] };
        self.at.call::<DescribeTransactions, _>(0, &request, |r| r.transaction_states[0].clone()).await
    }

    /// Waits until no transaction is ending.
    pub(super) async fn settle(&mut self) {
        until("the markers", async || (!self.describe().await.transaction_state.starts_with("Prepare")).then_some(()))
            .await;
    }

    /// Ends a transaction as newer clients do, and waits until it is complete.
    pub(super) async fn finish(&mut self, who: Who, committed: bool) -> Who {
        let (code, next) = self.end(5, who, committed).await;
        assert_eq!(code, 0);
        self.settle().await;
        next
    }
}

/// Records of now of a producer.
pub(super) fn records_of(who: Who, sequence: i32, records: usize, transactional: bool) -> Vec<u8> {
    let mut writer = BatchWriter::new(Codec::None);
    for _ in 0..records {
        writer.push(crate::base::clock::now_ms(), Some(b"k"), Some(b"value"), Headers::EMPTY).unwrap();
    }
    writer.producer(who.0, who.1, sequence).transactional(transactional);
    writer.finish().unwrap().to_vec()
}

/// One record in the transaction of an id: error code and offset.
pub(super) async fn write(
    leader: &mut Client,
    version: i16,
    id: Option<&str>,
    who: Who,
    sequence: i32,
    at: (&str, i32),
) -> (i16, i64) {
    let records = records_of(who, sequence, 1, true);
    let request =
        ProduceRequest { transactional_id: id.map(str::to_owned), ..produce_request(at.0, at.1, Some(&records)) };
    let answer = leader.produce_at(version, &request).await;
    (answer.error_code, answer.base_offset)
}

/// What a commit of offsets says beside where they are.
#[derive(Clone)]
pub(super) struct Upto {
    pub(super) offset: i64,
    pub(super) generation: i32,
    pub(super) member: String,
    pub(super) metadata: Option<String>,
}

impl Upto {
    pub(super) fn offset(offset: i64) -> Self {
        Self { offset, generation: -1, member: String::new(), metadata: Some("m".into()) }
    }
}

pub(super) async fn commit_in(
    at: &mut Client,
    version: i16,
    (id, group): (&str, &str),
    who: Who,
    (topic, partition): (&str, i32),
    upto: &Upto,
) -> i16 {
    let partitions = vec![TxnOffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: upto.offset,
        committed_metadata: upto.metadata.clone(),
        ..Default::default()
    }];
    let request = TxnOffsetCommitRequest {
        transactional_id: id.into(),
        group_id: group.into(),
        producer_id: who.0,
        producer_epoch: who.1,
        generation_id: upto.generation,
        member_id: upto.member.clone(),
        topics: vec![TxnOffsetCommitRequestTopic { name: topic.into(), partitions }],
        ..Default::default()
    };
    at.call::<TxnOffsetCommit, _>(version, &request, |r| r.topics[0].partitions[0].error_code).await
}

/// What a group has committed for a partition: the group's error, the partition's, offset, metadata.
pub(super) async fn committed(
    at: &mut Client,
    version: i16,
    group: &str,
    (topic, partition): (&str, i32),
    stable: bool,
) -> (i16, i16, i64, Option<String>) {
    let mut request = OffsetFetchRequest { require_stable: stable && version >= 7, ..Default::default() };
    if version >= 8 {
        let topics = vec![OffsetFetchRequestTopics { name: topic.into(), partition_indexes: vec![partition] }];
        request.groups =
            vec![OffsetFetchRequestGroup { group_id: group.into(), topics: Some(topics), ..Default::default() }];
    } else {
        request.group_id = group.into();
        let topic = OffsetFetchRequestTopic { name: topic.into(), partition_indexes: vec![partition] };
        request.topics = Some(vec![topic]);
    }
    at.call::<OffsetFetch, _>(version, &request, |r| match r.groups.first() {
        Some(group) => {
            let found = group.topics.first().and_then(|topic| topic.partitions.first());
            found.map_or((group.error_code, 0, -2, None), |p| {
                (group.error_code, p.error_code, p.committed_offset, p.metadata.clone())
            })
        }
        None => {
            let found = r.topics.first().and_then(|topic| topic.partitions.first());
            found.map_or((r.error_code, 0, -2, None), |p| {
                (r.error_code, p.error_code, p.committed_offset, p.metadata.clone())
            })
        }
    })
    .await
}

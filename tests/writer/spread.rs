//! Transactions over partitions of several topics together with a group's offsets: whatever befalls a request, all of a
//! transaction stands or nothing of it.

use crate::story::{LONG, encode, numbers};
use kmerge::base::place::TopicPartition;
use kmerge::broker::{ApiLevel, Broker, BrokerConfig, Fault, Rule};
use kmerge::client::transactional::{SpreadWriter, Trouble};
use kmerge::client::{Cluster, GroupOffset, Membership, OffsetAt, ReadOptions, WriteOptions};
use kmerge::ports::Source as _;
use kmerge::wire::{ApiKey, ErrorCode};
use std::time::Instant;

const TRANSACTIONS: i64 = 6;
const BATCHES: u64 = 3;
const RECORDS: u64 = 4;
const OUTPUTS: [(&str, i32); 5] = [("out", 0), ("out", 1), ("out", 2), ("dead", 0), ("dead", 1)];

struct World {
    broker: Broker,
    cluster: Cluster,
    /// Whether partitions are added to a transaction by requests of their own.
    is_explicit: bool,
}

/// Each transaction leaves some partitions out.
fn is_written(transaction: i64, output: usize) -> bool {
    !(transaction as usize + output).is_multiple_of(3)
}

fn input() -> TopicPartition {
    TopicPartition::new("in", 0)
}

impl World {
    async fn both() -> [Self; 2] {
        let explicit = BrokerConfig { transaction_version: 1, api_versions: ApiLevel::V3_9, ..BrokerConfig::default() };
        [Self::on(BrokerConfig::default()).await, Self::on(explicit).await]
    }

    async fn on(config: BrokerConfig) -> Self {
        let is_explicit = config.transaction_version < 2;
        let broker = Broker::start(BrokerConfig { nodes: 2, ..config }).await.unwrap();
        for (topic, partitions) in [("in", 1), ("out", 3), ("dead", 2)] {
            broker.create_topic(topic, partitions, &[("retention.ms", "-1")]).unwrap();
        }
        let cluster = Cluster::connect(&broker.addresses(), LONG).await.unwrap();
        Self { broker, cluster, is_explicit }
    }

    /// Writes all transactions, beginning again behind what stands after each doubt; gives how many doubts there were.
    async fn write(&self) -> usize {
        let mut producer = self.cluster.transactional("spread", LONG).await.unwrap();
        for doubts in 0.. {
            let mut writer = producer.spread(WriteOptions::default());
            let mut trouble = None;
            for transaction in self.committed().await..TRANSACTIONS {
                if let Err(met) = one(&mut writer, transaction).await {
                    trouble = Some(met);
                    break;
                }
                assert_eq!(writer.held_bytes(), 0);
            }
            match trouble {
                None => return doubts,
                Some(Trouble::Doubt(_)) => {}
                Some(trouble) => panic!("{trouble:?}"),
            }
            producer = writer.into_producer().await;
            producer.resolve().await.unwrap();
        }
        unreachable!()
    }

    /// Whether this is asked so often. Where what is written adds itself to the transaction, nobody asks to add it; the id is
    /// taken once.
    fn asks(&self, api: ApiKey, request: u64) -> bool {
        match api {
            ApiKey::AddPartitionsToTxn => self.is_explicit,
            ApiKey::AddOffsetsToTxn => self.is_explicit && request < TRANSACTIONS as u64,
            ApiKey::EndTxn | ApiKey::TxnOffsetCommit => request < TRANSACTIONS as u64,
            ApiKey::InitProducerId => request == 0,
            _ => true,
        }
    }

    async fn committed(&self) -> i64 {
        let offsets = self.cluster.group_offsets("readers").await.unwrap();
        let Some(GroupOffset { offset, metadata }) = offsets.get(&input()) else { return 0 };
        assert_eq!(*metadata, format!("note {offset}"));
        *offset
    }

    /// Each number of each transaction once and in order, and nothing else.
    async fn is_whole(&self, when: &str) {
        // A commit is decided a moment before it is seen.
        let began = Instant::now();
        while self.committed().await != TRANSACTIONS {
            assert!(began.elapsed() < LONG, "{when}: the group stands at {}", self.committed().await);
            tokio::task::yield_now().await;
        }
        for (index, (topic, partition)) in OUTPUTS.into_iter().enumerate() {
            let output = TopicPartition::new(topic, partition);
            let end = self.cluster.offsets(std::slice::from_ref(&output), OffsetAt::Latest).await.unwrap()[0];
            self.cluster.wait_for_transactions(&[(output.clone(), end)], LONG).await.unwrap();
            let mut reader = self.cluster.reader(output, 0..end, ReadOptions::default());
            let (mut found, mut bytes) = (Vec::new(), Vec::new());
            while reader.next(&mut bytes).await.unwrap().is_some() {
                found.extend(numbers(&bytes));
            }
            let written = (0..TRANSACTIONS).filter(|transaction| is_written(*transaction, index));
            let expected: Vec<u64> = written.flat_map(|one| first(one)..first(one) + BATCHES * RECORDS).collect();
            assert_eq!(found, expected, "{when}: {topic} {partition}");
        }
    }
}

fn first(transaction: i64) -> u64 {
    transaction as u64 * 1000
}

async fn one(writer: &mut SpreadWriter, transaction: i64) -> Result<(), Trouble> {
    let mut records = 0;
    for batch in 0..BATCHES {
        for (index, (topic, partition)) in OUTPUTS.into_iter().enumerate() {
            if is_written(transaction, index) {
                let buffer = writer.spare().unwrap_or_default();
                let batch = encode(first(transaction) + batch * RECORDS, RECORDS, buffer);
                writer.append(&TopicPartition::new(topic, partition), batch).await?;
                records += RECORDS;
            }
        }
    }
    assert_eq!(writer.flush().await?, records, "what is stored of this transaction");
    let offset = transaction + 1;
    let reached = GroupOffset { offset, metadata: format!("note {offset}") };
    writer.offsets(&Membership::only_a_name("readers"), &[(input(), reached)]).await?;
    assert!(writer.holds_something_open());
    writer.commit().await?;
    assert!(!writer.holds_something_open());
    Ok(())
}

#[tokio::test]
async fn partitions_of_two_topics_and_a_groups_offsets_are_written_together_on_both_ways() {
    for world in World::both().await {
        assert_eq!(world.write().await, 0);
        world.is_whole("without a fault").await;
        // Only what was written to has markers: two of three transactions each, and twelve records in each of them.
        let (_, end) = world.broker.offsets("out", 0).unwrap();
        assert_eq!(end, 4 * (BATCHES * RECORDS + 1) as i64);
    }
}

/// `fault` befalls each of the first requests of these in turn.
async fn gets_over(apis: &[ApiKey], fault: Fault) {
    for api in apis {
        for request in [0, 2, 7] {
            for world in World::both().await {
                let rule = world.broker.faults().add(Rule::on(*api).after(request), fault.clone());
                world.write().await;
                let when = format!("{api} {request} {fault:?}");
                world.is_whole(&when).await;
                assert_eq!(rule.hits() > 0, world.asks(*api, request), "{when}: {} hits", rule.hits());
            }
        }
    }
}

const ALL: [ApiKey; 6] = [
    ApiKey::Produce,
    ApiKey::TxnOffsetCommit,
    ApiKey::EndTxn,
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::InitProducerId,
];

#[tokio::test]
async fn a_request_or_an_answer_that_is_lost_leaves_all_of_a_transaction_or_nothing() {
    gets_over(&ALL, Fault::DropBefore).await;
    gets_over(&ALL, Fault::DropAfter).await;
}

#[tokio::test]
async fn a_request_that_arrives_twice_counts_once() {
    // The plain InitProducerId is the exception: its second copy shuts out who has the answer to the first one.
    gets_over(&ALL[..5], Fault::Repeat).await;
}

#[tokio::test]
async fn a_refusal_that_voids_the_transaction_is_a_doubt_that_is_got_over() {
    for code in [ErrorCode::InvalidTxnState, ErrorCode::InvalidProducerEpoch] {
        gets_over(&[ApiKey::Produce, ApiKey::TxnOffsetCommit], Fault::Error(code)).await;
    }
    gets_over(&[ApiKey::Produce], Fault::ErrorAfter(ErrorCode::OutOfOrderSequenceNumber)).await;
    gets_over(&[ApiKey::EndTxn], Fault::ErrorAfter(ErrorCode::UnknownServerError)).await;
}

#[tokio::test]
async fn who_takes_the_transactional_id_shuts_the_one_before_out_and_voids_what_it_had_open() {
    for world in World::both().await {
        let producer = world.cluster.transactional("spread", LONG).await.unwrap();
        let mut before = producer.spread(WriteOptions::default());
        before.append(&TopicPartition::new("out", 1), encode(7, 5, Vec::new())).await.unwrap();
        assert_eq!(before.flush().await.unwrap(), 5);
        assert_eq!(world.write().await, 0);
        world.is_whole("after the other one").await;
        let late = before.append(&TopicPartition::new("out", 1), encode(7, 5, Vec::new())).await;
        let late = match late {
            Ok(()) => before.flush().await.unwrap_err(),
            Err(late) => late,
        };
        let Trouble::Doubt(_) = late else { panic!("{late:?}") };
        let fenced = before.into_producer().await.resolve().await.unwrap_err();
        assert!(matches!(fenced, Trouble::Fenced(_)), "{fenced:?}");
        world.is_whole("after both").await;
    }
}

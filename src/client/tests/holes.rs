//! The end of a log whose last records compaction has removed: it lies behind the last batch, and stays where it is.

use super::super::*;
use super::fake::{Call, Fake, LEADER_EPOCH, LONG, Reply, range, versions};
use super::reads::{Log, SHORT, bases, data, read_all, reader};
use crate::base::place::TopicPartition;
use crate::wire::ApiKey;
use crate::wire::api_versions::ApiVersions;
use crate::wire::describe_configs::{
    DescribeConfigs, DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult,
};
use crate::wire::fetch::{EpochEndOffset, Fetch, PartitionData};

/// A broker whose log ends at 5 though its high watermark is 9, for a topic with that `cleanup.policy`.
pub(super) async fn hollow(policy: &'static str) -> Fake {
    let log = Log { high_watermark: 9, last_stable: 9, ..Log::of(vec![data(0, 5)]) };
    serve_policy(policy, move |call| log.answer(call)).await
}

/// A broker of a topic with that `cleanup.policy`, and what it answers to fetches.
async fn serve_policy(policy: &'static str, fetched: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Fake {
    Fake::start(move |call| match call.key() {
        Some(ApiKey::Fetch) => Some(fetched(call)),
        Some(ApiKey::ApiVersions) => Some(call.answer::<ApiVersions>(&versions(&[
            range::<ApiVersions>(),
            range::<crate::wire::metadata::Metadata>(),
            range::<Fetch>(),
            range::<DescribeConfigs>(),
        ]))),
        Some(ApiKey::DescribeConfigs) => {
            let config = DescribeConfigsResourceResult {
                name: "cleanup.policy".to_owned(),
                value: Some(policy.to_owned()),
                ..Default::default()
            };
            let result = DescribeConfigsResult {
                resource_type: 2,
                resource_name: "t".to_owned(),
                configs: vec![config],
                ..Default::default()
            };
            Some(
                call.answer::<DescribeConfigs>(&DescribeConfigsResponse {
                    results: vec![result],
                    ..Default::default()
                }),
            )
        }
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_compacted_log_may_end_before_the_range_and_another_may_not() {
    let fake = hollow("compact,delete").await;
    assert_eq!(bases(&fake, 0..9).await.unwrap(), [0]);
    let fake = hollow("delete").await;
    let error = read_all(&mut reader(&fake, 0..9, SHORT, ReadOptions::default()).await).await.unwrap_err();
    assert!(matches!(&error, ClientError::Stalled(at) if at.position == 5), "{error:?}");
    assert!(error.to_string().contains("though it should have some"), "{error}");
}

#[tokio::test]
async fn behind_a_hole_at_the_end_of_a_log_what_was_read_before_it_is_not_taken_for_a_log_that_was_cut() {
    let read_to_the_hole = async |fake: &Fake| {
        let mut reader = reader(fake, 0..9, LONG, ReadOptions::default()).await;
        assert_eq!(read_all(&mut reader).await.unwrap(), [0]);
        reader.mark()
    };
    for follows in [true, false] {
        let mut old = data(0, 5);
        old[12..16].copy_from_slice(&LEADER_EPOCH.to_be_bytes());
        let hollow = Log { high_watermark: 9, last_stable: 9, ..Log::of(vec![old.clone()]) };
        let grown = Log::of(vec![old, data(9, 2)]);
        let fake = serve_policy("compact", move |call| {
            let asked = &call.read::<Fetch>().topics[0].partitions[0];
            match asked.fetch_offset {
                // So Kafka says that what was read under that epoch has ended before.
                9.. if asked.last_fetched_epoch == LEADER_EPOCH => call.fetched(PartitionData {
                    diverging_epoch: EpochEndOffset { epoch: LEADER_EPOCH, end_offset: 5 },
                    ..Default::default()
                }),
                9.. => grown.answer(call),
                _ => hollow.answer(call),
            }
        })
        .await;
        let cluster = Cluster::connect(&fake.bootstrap(), LONG).await.unwrap();
        let (partition, options) = (TopicPartition::new("t", 0), ReadOptions::default());
        let (mut reader, expected) = match follows {
            true => (cluster.follower(partition, 0..11, options), vec![0, 9]),
            false => (cluster.reader(partition, 9..11, options).behind(read_to_the_hole(&fake).await), vec![9]),
        };
        assert_eq!(read_all(&mut reader).await.unwrap(), expected, "follows: {follows}");
    }
}

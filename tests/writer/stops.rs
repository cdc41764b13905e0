//! What ends the writing: with both numbers, the broker's words and the way out, and never with a number lost in between.

use crate::story::{SHORT, Story, encode};
use kmerge::base::kind::Kind;
use kmerge::base::place::TopicPartition;
use kmerge::broker::{Fault, Rule};
use kmerge::client::{ClientError, Cluster, WriteOptions};
use kmerge::ports::Outgoing;
use kmerge::wire::{ApiKey, ErrorCode};

#[tokio::test]
async fn fault_08_a_batch_refused_for_its_sequence_and_not_in_the_log_stops_and_is_never_renumbered() {
    let story = Story::new().await;
    let mut numbers = story.numbers().await;
    numbers.append(3).await.unwrap();
    story.fault(0, Fault::DropBefore);
    let rule = Rule::on(ApiKey::Produce).after(1).always();
    story.broker.faults().add(rule, Fault::Error(ErrorCode::OutOfOrderSequenceNumber));
    let error = numbers.write(1).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), (Some(ErrorCode::OutOfOrderSequenceNumber), Kind::Failed));
    assert!(error.to_string().contains("producer.id.expiration.ms"), "{error}");
    assert_eq!(story.broker.faults().count(ApiKey::InitProducerId), 1);
    assert!(story.searches() >= 5, "{} searches", story.searches());
}

#[tokio::test]
async fn fault_09_a_repeat_that_a_forgetful_broker_stores_twice_is_noticed_by_its_offset() {
    let story = Story::new().await.unreadable();
    let mut numbers = story.numbers().await;
    numbers.append(3).await.unwrap();
    let dropped = story.fault(0, Fault::DropAfter);
    numbers.append(1).await.unwrap();
    dropped.hit().await;
    story.broker.forget_producers("out", 0).unwrap();
    let error = numbers.finish().await.unwrap_err();
    assert!(matches!(error, ClientError::NotAdjacent(_)), "{error}");
}

#[tokio::test]
async fn fault_01_a_repeat_without_a_number_is_noticed_by_its_offset() {
    let story = Story::new().await.at_least_once().unreadable();
    story.fault(3, Fault::DropAfter);
    let error = story.numbers().await.write(10).await.unwrap_err();
    let ClientError::NotAdjacent(gap) = &error else { panic!("{error}") };
    assert_eq!(gap.got - gap.expected, gap.records, "one batch lies twice");
}

#[tokio::test]
async fn fault_14_a_batch_above_the_limit_stops_before_anything_is_written() {
    let story = Story::new().await;
    story.broker.create_topic("small", 1, &[("max.message.bytes", "100")]).unwrap();
    let mut writer = story.cluster.writer(TopicPartition::new("small", 0), 0, story.options).await.unwrap();
    let batch = encode(0, 30, Vec::new());
    writer.append(batch).await.unwrap();
    let (appended, result) = writer.finish().await;
    let error = result.unwrap_err();
    assert_eq!((error.code(), appended.records()), (Some(ErrorCode::MessageTooLarge), 0));
    let text = error.to_string();
    assert!(text.contains("small partition 0 offset 0 (a batch of 30 records"), "{text}");
    assert!(text.contains("--batch-bytes") && text.contains("max.message.bytes"), "{text}");
    assert_eq!(story.broker.offsets("small", 0).unwrap().1, 0);
}

#[tokio::test]
async fn fault_16_another_writer_stops_us_with_both_offsets() {
    let story = Story::new().await;
    let mut numbers = story.numbers().await;
    numbers.append(3).await.unwrap();
    let foreign = encode(1_000_000, 2, Vec::new());
    story.broker.append_raw("out", 0, &foreign.bytes[..foreign.len]).unwrap();
    let error = numbers.write(3).await.unwrap_err();
    let ClientError::NotAdjacent(gap) = &error else { panic!("{error}") };
    assert_eq!((gap.got - gap.expected, error.kind()), (2, Kind::Failed));
}

#[tokio::test]
async fn a_first_batch_beyond_the_planned_end_and_one_below_it_stop() {
    for (end, planned) in [(3, 1), (0, 7)] {
        let story = Story::new().await;
        if end > 0 {
            let foreign = encode(0, end, Vec::new());
            story.broker.append_raw("out", 0, &foreign.bytes[..foreign.len]).unwrap();
        }
        let writer = story.cluster.writer(TopicPartition::new("out", 0), planned, story.options).await.unwrap();
        let error = crate::story::Numbers::new(writer).write(1).await.unwrap_err();
        let ClientError::NotAdjacent(gap) = &error else { panic!("{error}") };
        assert_eq!((gap.expected, gap.got), (planned, end as i64));
    }
}

#[tokio::test]
async fn fault_40_a_topic_that_is_made_anew_is_not_taken_for_the_old_one() {
    let story = Story::new().await;
    let mut numbers = story.numbers().await;
    numbers.append(5).await.unwrap();
    story.broker.delete_topic("out").unwrap();
    story.broker.create_replicated_topic("out", 1, 2, &[]).unwrap();
    let error = match numbers.append(10).await {
        Ok(()) => numbers.finish().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, ClientError::Recreated { .. }), "{error}");
    assert!(story.log().is_empty());
}

#[tokio::test]
async fn fault_38_an_output_that_loses_its_tail_stops_at_the_next_answer() {
    let story = Story::new().await;
    let mut numbers = story.numbers().await;
    numbers.append(5).await.unwrap();
    // All but what is on its way is stored now.
    story.broker.faults().arrived(ApiKey::Produce, 5).await;
    story.broker.truncate("out", 0, 1).unwrap();
    let error = numbers.write(10).await.unwrap_err();
    let told = matches!(&error, ClientError::NotAdjacent(gap) if gap.got < gap.expected)
        || error.code() == Some(ErrorCode::OutOfOrderSequenceNumber);
    assert!(told, "{error}");
}

#[tokio::test]
async fn what_a_topic_does_not_take_stops_with_the_brokers_code() {
    for code in [
        ErrorCode::InvalidTimestamp,
        ErrorCode::InvalidRecord,
        ErrorCode::PolicyViolation,
        ErrorCode::InvalidProducerEpoch,
        ErrorCode::TopicAuthorizationFailed,
    ] {
        let story = Story::new().await;
        story.fault(3, Fault::Error(code));
        let mut numbers = story.numbers().await;
        let error = match numbers.append(6).await {
            Ok(()) => numbers.finish().await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.code(), Some(code), "{error}");
        let log = story.log();
        assert!(log.iter().copied().eq(0..log.len() as u64), "{log:?}");
    }
}

#[tokio::test]
async fn after_an_error_nothing_more_is_taken() {
    let story = Story::new().await;
    story.fault(1, Fault::Error(ErrorCode::InvalidRecord));
    let mut numbers = story.numbers().await;
    let mut errors = Vec::new();
    while errors.len() < 2 {
        errors.extend(numbers.append(1).await.err());
    }
    assert_eq!(errors[0].code(), Some(ErrorCode::InvalidRecord), "{}", errors[0]);
    assert!(matches!(errors[1], ClientError::WriterStopped { .. }), "{}", errors[1]);
    let (appended, result) = numbers.writer.finish().await;
    assert!(matches!(result, Err(ClientError::WriterStopped { .. })));
    story.holds(appended.records());
}

#[tokio::test]
async fn a_partition_that_nobody_leads_is_given_up_after_the_delivery_timeout() {
    let mut story = Story::within(SHORT).await;
    story.options.delivery_timeout = Some(SHORT * 2);
    let mut numbers = story.numbers().await;
    numbers.append(3).await.unwrap();
    for node in [1, 2] {
        let denied = Fault::Error(ErrorCode::LeaderNotAvailable);
        story.broker.faults().add(Rule::on(ApiKey::Produce).node(node).always(), denied);
    }
    let error = match numbers.append(1).await {
        Ok(()) => numbers.finish().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, ClientError::GaveUp { .. }), "{error}");
    assert_eq!((error.code(), error.kind()), (Some(ErrorCode::LeaderNotAvailable), Kind::Unreachable));
}

#[tokio::test]
async fn a_cluster_that_denies_numbered_batches_says_so_at_the_start() {
    let story = Story::new().await;
    let denied = Fault::Error(ErrorCode::ClusterAuthorizationFailed);
    story.broker.faults().add(Rule::on(ApiKey::InitProducerId).always(), denied);
    let options = WriteOptions::default();
    let error = story.cluster.writer(TopicPartition::new("out", 0), 0, options).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), (Some(ErrorCode::ClusterAuthorizationFailed), Kind::Unreachable));
}

/// A change to a batch that makes it unfit.
type Spoil = fn(&mut Outgoing);

#[tokio::test]
async fn a_batch_that_is_not_what_it_says_is_not_sent() {
    let story = Story::new().await;
    let cluster: &Cluster = &story.cluster;
    let spoils: [(&str, Spoil); 8] = [
        ("whole batch", |batch| batch.len -= 1),
        ("whole batch", |batch| batch.len = usize::MAX),
        ("bytes", |batch| batch.len += 1),
        ("records", |batch| batch.records += 1),
        ("last offset delta", |batch| batch.bytes[26] += 1),
        ("base offset", |batch| batch.bytes[7] = 1),
        ("transaction and marker bits", |batch| batch.bytes[22] |= 0x10),
        ("producer id", |batch| batch.bytes[50] -= 1),
    ];
    for (what, spoil) in spoils {
        let mut writer = cluster.writer(TopicPartition::new("out", 0), 0, story.options).await.unwrap();
        let mut batch = encode(0, 3, Vec::new());
        spoil(&mut batch);
        let error = writer.append(batch).await.unwrap_err();
        assert!(error.to_string().contains(what), "{what}: {error}");
    }
    assert_eq!(story.produces(), 0);
}

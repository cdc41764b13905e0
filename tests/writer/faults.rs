//! What the writer survives: the run goes on, the log holds each number once and in order.

use crate::story::{SHORT, Story};
use kmerge::broker::{Fault, Rule};
use kmerge::wire::{ApiKey, ErrorCode};
use std::task::Poll;
use std::time::Duration;

/// Befalls the first batch, one in the middle, and several one after the other; with the log to search and without.
async fn befalls(fault: Fault) {
    for (after, times) in [(0, 1), (4, 1), (7, 3)] {
        for readable in [true, false] {
            let mut story = Story::new().await;
            if !readable {
                story = story.unreadable();
            }
            let rule = Rule::on(ApiKey::Produce).after(after).times(times);
            let struck = story.broker.faults().add(rule, fault.clone());
            story.holds_each_once(12).await;
            assert_eq!(struck.hits(), times, "{fault:?} after {after}");
        }
    }
}

#[tokio::test]
async fn without_a_fault_every_number_is_there_and_nothing_is_sent_twice() {
    let story = Story::new().await;
    story.holds_each_once(200).await;
    assert_eq!((story.produces(), story.searches()), (200, 0));
}

#[tokio::test]
async fn without_numbers_on_the_batches_every_record_is_there_too() {
    let story = Story::new().await.at_least_once();
    story.holds_each_once(50).await;
    assert_eq!(story.produces(), 50);
}

#[tokio::test]
async fn fault_01_an_answer_lost_after_the_append_leaves_one_copy() {
    befalls(Fault::DropAfter).await;
}

#[tokio::test]
async fn fault_01_a_batch_without_a_number_is_found_in_the_log_and_not_sent_again() {
    let story = Story::new().await.at_least_once();
    story.fault(3, Fault::DropAfter);
    story.holds_each_once(10).await;
    assert_eq!(story.produces(), 10);
}

#[tokio::test]
async fn fault_02_a_request_lost_before_the_append_is_sent_again_in_order() {
    befalls(Fault::DropBefore).await;
}

#[tokio::test]
async fn fault_03_an_answer_after_our_timeout_is_no_second_acknowledgement() {
    let story = Story::within(SHORT).await;
    let held = story.fault(2, Fault::HoldAnswer);
    story.holds_each_once(10).await;
    held.release();
    story.holds(10 + (0..10).map(|batch| batch * 7 % 40).sum::<u64>());
}

#[tokio::test]
async fn fault_03_a_request_that_is_handled_after_its_repeat_is_not_stored_again() {
    let story = Story::within(SHORT).await;
    let held = story.fault(2, Fault::Hold);
    let mut numbers = story.numbers().await;
    numbers.append(10).await.unwrap();
    held.release();
    numbers.append(10).await.unwrap();
    let written = numbers.finish().await.unwrap();
    story.holds(written);
}

#[tokio::test]
async fn fault_03_a_request_that_arrives_twice_is_stored_once() {
    befalls(Fault::Repeat).await;
}

#[tokio::test]
async fn fault_04_a_timeout_says_nothing_of_the_append() {
    befalls(Fault::Error(ErrorCode::RequestTimedOut)).await;
    befalls(Fault::ErrorAfter(ErrorCode::RequestTimedOut)).await;
}

#[tokio::test]
async fn fault_05_a_deposed_leader_may_have_appended() {
    befalls(Fault::Error(ErrorCode::NotLeaderOrFollower)).await;
    befalls(Fault::ErrorAfter(ErrorCode::NotLeaderOrFollower)).await;
}

#[tokio::test]
async fn fault_05_a_leader_that_moves_is_followed() {
    let story = Story::new().await;
    let mut numbers = story.numbers().await;
    for round in 0..20 {
        story.broker.elect("out", 0, 1 + round % 2).unwrap();
        numbers.append(5).await.unwrap();
    }
    let written = numbers.finish().await.unwrap();
    story.holds(written);
}

#[tokio::test]
async fn fault_06_too_few_replicas_before_the_append_and_after_it_are_waited_for() {
    befalls(Fault::Error(ErrorCode::NotEnoughReplicas)).await;
    befalls(Fault::ErrorAfter(ErrorCode::NotEnoughReplicasAfterAppend)).await;
}

#[tokio::test]
async fn fault_06_what_is_not_replicated_is_waited_for() {
    let story = Story::within(SHORT).await;
    let mut numbers = story.numbers().await;
    numbers.append(3).await.unwrap();
    story.broker.hold_high_watermark("out", 0, 1).unwrap();
    numbers.append(3).await.unwrap();
    let seen = story.produces();
    let caught_up = async {
        // The batches in flight have been told that their time was over, and are tried again.
        story.broker.faults().arrived(ApiKey::Produce, seen + 2).await;
        story.broker.catch_up("out", 0).unwrap();
    };
    let (written, ()) = tokio::join!(numbers.finish(), caught_up);
    story.holds(written.unwrap());
}

#[tokio::test]
async fn fault_07_one_of_five_fails_and_those_behind_it_follow_it_again() {
    for code in [ErrorCode::NotEnoughReplicas, ErrorCode::CorruptMessage, ErrorCode::UnknownServerError] {
        befalls(Fault::Error(code)).await;
    }
    befalls(Fault::ErrorAfter(ErrorCode::UnknownServerError)).await;
}

#[tokio::test]
async fn fault_08_a_restarted_broker_that_knows_the_last_batch_only_gets_none_twice() {
    let story = Story::new().await;
    let leader = story.broker.leader("out", 0).unwrap();
    // Nobody else could lead, and nobody else remembers.
    let other = 3 - leader;
    story.broker.stop_node(other).await.unwrap();
    let mut numbers = story.numbers().await;
    numbers.append(3).await.unwrap();
    let held = story.broker.faults().add(Rule::on(ApiKey::Produce).after(0).always(), Fault::HoldAnswer);
    numbers.append(1).await.unwrap();
    held.hit().await;
    story.broker.faults().remove(&held);
    numbers.append(30).await.unwrap();
    for _ in 0..3 {
        story.broker.restart_node(leader).await.unwrap();
        numbers.append(30).await.unwrap();
    }
    let written = numbers.finish().await.unwrap();
    story.holds(written);
}

#[tokio::test]
async fn fault_09_a_broker_that_forgot_the_producer_gets_no_batch_twice_where_the_log_may_be_read() {
    let story = Story::new().await;
    let mut numbers = story.numbers().await;
    for _ in 0..10 {
        numbers.append(3).await.unwrap();
        let dropped = story.fault(0, Fault::DropAfter);
        numbers.append(1).await.unwrap();
        dropped.hit().await;
        story.broker.forget_producers("out", 0).unwrap();
    }
    let written = numbers.finish().await.unwrap();
    story.holds(written);
}

#[tokio::test]
async fn fault_10_the_first_batch_is_alone_on_its_way_until_it_is_acknowledged() {
    let story = Story::new().await;
    let held = story.fault(0, Fault::Hold);
    let mut numbers = story.numbers().await;
    numbers.append(1).await.unwrap();
    held.hit().await;
    {
        let mut second = Box::pin(numbers.append(1));
        assert!(matches!(futures::poll!(second.as_mut()), Poll::Pending), "it waits for the first one");
        assert_eq!(story.produces(), 1);
        held.release();
        second.await.unwrap();
    }
    let written = numbers.finish().await.unwrap();
    story.holds(written);
}

#[tokio::test]
async fn fault_13_a_throttled_success_counts_once() {
    let story = Story::new().await;
    story.broker.faults().add(Rule::on(ApiKey::Produce).times(5), Fault::Throttle(20));
    story.holds_each_once(20).await;
    assert_eq!(story.produces(), 20);
}

#[tokio::test]
async fn fault_13_a_quota_that_is_enforced_slows_the_writer_and_repeats_nothing() {
    let story = Story::within(SHORT).await;
    // Five throttled answers take longer than one may.
    story.broker.throttle(ApiKey::Produce, SHORT / 4);
    story.holds_each_once(10).await;
    assert_eq!(story.produces(), 10);
}

#[tokio::test]
async fn fault_42_a_broker_that_falls_silent_is_left_for_the_next_leader() {
    let story = Story::within(SHORT).await;
    let mut numbers = story.numbers().await;
    numbers.append(5).await.unwrap();
    let leader = story.broker.leader("out", 0).unwrap();
    let silent = story.broker.faults().add(Rule::on(ApiKey::Produce).node(leader).always(), Fault::Hold);
    // With what may still be on its way these are five at most, so it need not wait.
    numbers.append(1).await.unwrap();
    silent.hit().await;
    story.broker.elect("out", 0, 3 - leader).unwrap();
    numbers.append(20).await.unwrap();
    let written = numbers.finish().await.unwrap();
    story.holds(written);
    story.broker.faults().clear();
}

#[tokio::test]
async fn fault_71_a_leader_killed_before_anybody_notices_is_waited_for() {
    let story = Story::new().await;
    let mut numbers = story.numbers().await;
    for _ in 0..3 {
        numbers.append(7).await.unwrap();
        let leader = story.broker.leader("out", 0).unwrap();
        let asked = story.broker.faults().count(ApiKey::Metadata);
        story.broker.kill_node(leader).await.unwrap();
        let noticed = async {
            // The writer has looked for the leader in vain.
            story.broker.faults().arrived(ApiKey::Metadata, asked + 2).await;
            story.broker.stop_node(leader).await.unwrap();
        };
        let (appended, ()) = tokio::join!(numbers.append(7), noticed);
        appended.unwrap();
        story.broker.start_node(leader).await.unwrap();
    }
    let written = numbers.finish().await.unwrap();
    story.holds(written);
}

#[tokio::test]
async fn a_broker_that_is_starting_is_asked_again_for_a_producer_id() {
    for code in [ErrorCode::CoordinatorLoadInProgress, ErrorCode::CoordinatorNotAvailable, ErrorCode::NotCoordinator] {
        let story = Story::new().await;
        story.broker.faults().add(Rule::on(ApiKey::InitProducerId).times(3), Fault::Error(code));
        let written = story.numbers().await.write(5).await.unwrap();
        story.holds(written);
    }
}

#[tokio::test]
async fn a_writer_that_is_closed_tells_what_is_stored_and_leaves_nothing_on_its_way() {
    let story = Story::new().await;
    let mut numbers = story.numbers().await;
    numbers.append(1).await.unwrap();
    story.fault(3, Fault::Delay(Duration::from_millis(50)));
    numbers.append(9).await.unwrap();
    let (appended, result) = numbers.writer.close().await;
    result.unwrap();
    story.holds(appended.records());
    assert_eq!(story.broker.offsets("out", 0).unwrap().1, appended.next());
}

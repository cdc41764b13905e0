//! Doubts that a run meets and gets over by itself: it aborts, asks whether it is still the one, reads what stands, goes on.

use super::world::World;
use crate::base::clock;
use crate::base::kind::Kind;
use crate::base::shutdown::Signal;
use crate::batch::{BatchWriter, Codec, Headers};
use crate::broker::{ApiLevel, BrokerConfig, Fault, Rule};
use crate::jobs::error::JobError;
use crate::keys::{KeyPlan, Order};
use crate::wire::{ApiKey, ErrorCode};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const JOB: &str = "merge:in:out";

fn explicit() -> BrokerConfig {
    BrokerConfig { transaction_version: 1, api_versions: ApiLevel::V3_9, ..BrokerConfig::default() }
}

async fn both() -> [World; 2] {
    [World::new().await, World::on(explicit()).await]
}

/// The run meets `fault` at each request of that API in turn, and ends well all the same.
async fn gets_over(api: ApiKey, fault: Fault) {
    for request in 0..8 {
        for world in both().await {
            world.broker.faults().add(Rule::on(api).after(request), fault.clone());
            world.start().ended().await.unwrap_or_else(|error| panic!("{api} {request} {fault:?}: {error}"));
            assert!(world.is_whole().await, "{api} {request} {fault:?}");
        }
    }
}

#[tokio::test]
async fn fault_22_an_end_of_a_transaction_whose_answer_is_lost_is_decided_without_guessing() {
    gets_over(ApiKey::EndTxn, Fault::DropAfter).await;
    gets_over(ApiKey::EndTxn, Fault::DropBefore).await;
    gets_over(ApiKey::EndTxn, Fault::ErrorAfter(ErrorCode::UnknownServerError)).await;
    gets_over(ApiKey::EndTxn, Fault::Error(ErrorCode::UnknownServerError)).await;
}

#[tokio::test]
async fn fault_23_an_end_of_a_transaction_that_arrives_twice_ends_one() {
    gets_over(ApiKey::EndTxn, Fault::Repeat).await;
}

#[tokio::test]
async fn fault_09_a_write_in_a_transaction_whose_answer_is_lost_is_stored_once_also_where_producers_are_forgotten() {
    gets_over(ApiKey::Produce, Fault::DropAfter).await;
    gets_over(ApiKey::Produce, Fault::DropBefore).await;
    gets_over(ApiKey::Produce, Fault::ErrorAfter(ErrorCode::OutOfOrderSequenceNumber)).await;
    gets_over(ApiKey::Produce, Fault::Error(ErrorCode::InvalidTxnState)).await;
}

#[tokio::test]
async fn fault_26_a_coordinator_that_moves_or_starts_is_followed() {
    for code in [ErrorCode::NotCoordinator, ErrorCode::CoordinatorNotAvailable, ErrorCode::CoordinatorLoadInProgress] {
        gets_over(ApiKey::EndTxn, Fault::Error(code)).await;
        gets_over(ApiKey::InitProducerId, Fault::Error(code)).await;
    }
    for world in both().await {
        let faults = world.broker.faults();
        let rule = faults.add(Rule::on(ApiKey::EndTxn).after(2), Fault::Hold);
        let run = world.start_until(&rule).await;
        let other = 3 - world.broker.transaction_coordinator(JOB);
        world.broker.move_transaction_coordinator(JOB, other).unwrap();
        faults.remove(&rule);
        run.ended().await.unwrap();
        assert!(world.is_whole().await);
    }
}

#[tokio::test]
async fn fault_24_a_transaction_that_takes_too_long_is_void_and_its_job_goes_on() {
    let world = World::new().await;
    let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(2), Fault::Hold);
    let run = world.start_until(&rule).await;
    assert!(world.broker.expire_transaction(JOB));
    world.broker.faults().remove(&rule);
    run.ended().await.unwrap();
    assert!(world.is_whole().await);
}

#[tokio::test]
async fn fault_24_on_the_explicit_way_such_a_run_cannot_tell_it_from_being_fenced_and_says_both() {
    let world = World::on(explicit()).await;
    let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(2), Fault::Hold);
    let run = world.start_until(&rule).await;
    assert!(world.broker.expire_transaction(JOB));
    world.broker.faults().remove(&rule);
    let error = run.ended().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Fenced);
    let text = error.to_string();
    assert!(text.contains("another instance") && text.contains("longer than its timeout"), "{text}");
    world.start().ended().await.unwrap();
    assert!(world.is_whole().await);
}

#[tokio::test]
async fn fault_29_transaction_version_switched_under_a_run_at_any_commit_changes_nothing() {
    for (before, after) in [(2, 1), (2, 0), (1, 2), (0, 2)] {
        for commit in 0..3 {
            for fault in [Fault::Hold, Fault::HoldAnswer] {
                let when = format!("{before} to {after} at commit {commit}, {fault:?}");
                let config = BrokerConfig { transaction_version: before, ..BrokerConfig::default() };
                let world = World::on(config).await;
                let faults = world.broker.faults();
                let rule = faults.add(Rule::on(ApiKey::EndTxn).after(commit), fault);
                let run = world.start_until(&rule).await;
                assert_eq!(rule.hits(), 1, "{when}");
                world.broker.switch_transaction_version(after);
                faults.remove(&rule);
                run.ended().await.unwrap_or_else(|error| panic!("{when}: {error}"));
                assert!(world.is_whole().await, "{when}");
            }
        }
    }
}

#[tokio::test]
async fn fault_29_who_was_killed_goes_on_the_way_that_the_cluster_speaks_by_then() {
    for (before, after) in [(2, 1), (1, 2)] {
        let world = World::on(BrokerConfig { transaction_version: before, ..BrokerConfig::default() }).await;
        let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(2), Fault::Hold);
        world.start_until(&rule).await.kill().await;
        world.broker.switch_transaction_version(after);
        let report = world.start().ended().await.unwrap();
        assert!(report.resumed_at > 0 && world.is_whole().await, "{before} to {after}");
    }
}

#[tokio::test]
async fn fault_72_a_clock_that_jumps_by_years_under_a_run_and_its_successor_changes_nothing() {
    for world in both().await {
        let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(2), Fault::Hold);
        let run = world.until(&rule, world.start_there(|| drop(clock::wrong::begin()))).await;
        if rule.hits() == 0 {
            panic!("{:?}", run.ended().await);
        }
        run.kill().await;
        world.check_prefix("killed").await;
        let (tell, asked) = std::sync::mpsc::channel();
        let run = world.start_there(move || tell.send(clock::wrong::begin()).unwrap());
        let report = run.ended().await.unwrap();
        assert!(report.resumed_at > 0 && world.is_whole().await);
        assert!(asked.recv().unwrap().load(Relaxed) > 3, "nobody has looked at that clock");
    }
}

#[tokio::test]
async fn fault_12_the_last_epoch_is_followed_by_a_new_producer() {
    for epoch in [32_765, 32_766] {
        let world = World::new().await;
        let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(1), Fault::HoldAnswer);
        let run = world.start_until(&rule).await;
        run.kill().await;
        world.broker.faults().remove(&rule);
        // The transaction is decided; its markers may still be under way.
        while !world.broker.set_producer_epoch(JOB, epoch) {
            tokio::task::yield_now().await;
        }
        let before = world.broker.transaction(JOB).unwrap().producer_id;
        world.start().ended().await.unwrap();
        assert!(world.is_whole().await);
        assert_ne!(world.broker.transaction(JOB).unwrap().producer_id, before);
    }
}

#[tokio::test]
async fn fault_21_killed_between_the_decision_and_the_markers_the_next_run_waits_for_them() {
    for world in both().await {
        let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(2), Fault::HoldAnswer);
        world.broker.hold_markers();
        let run = world.start();
        // The second transaction waits for the first one's markers.
        world.broker.faults().arrived(ApiKey::EndTxn, 1).await;
        run.kill().await;
        let next = world.start();
        let inits = world.broker.faults().count(ApiKey::InitProducerId);
        world.broker.faults().arrived(ApiKey::InitProducerId, inits + 2).await;
        assert!(!next.is_over());
        assert_eq!(world.check_prefix("while the markers are held").await, 0);
        world.broker.faults().remove(&rule);
        world.broker.release_markers();
        next.ended().await.unwrap();
        assert!(world.is_whole().await);
    }
}

#[tokio::test]
async fn fault_55_who_is_asked_to_stop_commits_what_it_has_and_says_how_far_it_is() {
    // A commit with each batch, after some, and only because of the stop.
    for interval in [Duration::ZERO, Duration::from_millis(3), Duration::from_secs(5)] {
        // More than the batches that may wait.
        let mut world = World::of(600, BrokerConfig::default()).await;
        world.settings.progressing.commit_interval = interval;
        let cx = world.context();
        let rule = world.broker.faults().add(Rule::on(ApiKey::Produce).after(6), Fault::HoldAnswer);
        let stop = async {
            rule.hit().await;
            cx.shutdown.request(Signal::Terminate);
            rule.release();
        };
        let (ended, ()) = tokio::join!(super::super::super::run(&world.settings, &cx), stop);
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), Kind::Interrupted(Signal::Terminate));
        let JobError::Paused { records, planned, .. } = &error else { panic!("{error}") };
        // The markers may still be under way.
        let deadline = Instant::now() + Duration::from_secs(10);
        while world.check_prefix("stopped").await as u64 != *records {
            assert!(Instant::now() < deadline, "{records} are said to be committed");
            tokio::task::yield_now().await;
        }
        assert_eq!(*planned, world.oracle.len() as u64);
        assert!(*records > 0 && error.to_string().contains("the same command goes on"), "{error}");
        let report = world.start().ended().await.unwrap();
        assert_eq!(report.resumed_at, *records);
        assert!(world.is_whole().await);
    }
}

#[tokio::test]
async fn where_the_first_batch_behind_a_commit_waits_long_commits_become_rarer() {
    let mut world = World::of(600, BrokerConfig::default()).await;
    let interval = Duration::from_millis(100);
    world.settings.progressing.commit_interval = interval;
    // Each of some ninety batches, and so the one that goes alone: far more than three hundredths of the interval.
    let slow = Rule::on(ApiKey::Produce).partition("out", 0).always();
    world.broker.faults().add(slow, Fault::Delay(interval / 5));
    let began = Instant::now();
    world.start().ended().await.unwrap();
    let (commits, took) = (world.broker.faults().count(ApiKey::EndTxn), began.elapsed());
    // One each interval would be three times as many, or more.
    assert!(commits as u128 <= took.as_millis() / interval.as_millis() / 2, "{commits} commits in {took:?}");
    assert!(world.is_whole().await);
}

#[tokio::test]
async fn an_append_that_was_stopped_before_its_first_record_still_looks_at_what_stands_there() {
    let mut world = World::new().await;
    let mut writer = BatchWriter::new(Codec::None);
    writer.push(1, None, Some(br#"{"k":9}"#), Headers::EMPTY).unwrap();
    world.broker.append_raw("out", 0, writer.finish().unwrap()).unwrap();
    world.settings.append = true;
    let cx = world.context();
    let rule = world.broker.faults().add(Rule::on(ApiKey::Fetch).partition("in", 0), Fault::Hold);
    let stop = async {
        rule.hit().await;
        cx.shutdown.request(Signal::Terminate);
    };
    let (ended, ()) = tokio::join!(super::super::super::run(&world.settings, &cx), stop);
    ended.unwrap_err();
    world.broker.faults().remove(&rule);
    let error = world.start().ended().await.unwrap_err().to_string();
    assert!(error.contains("goes before the last one there"), "{error}");
}

#[tokio::test]
async fn why_the_coordinator_refuses_is_told() {
    for (code, words) in [
        (ErrorCode::InvalidTransactionTimeout, "transaction.max.timeout.ms"),
        (ErrorCode::TransactionalIdAuthorizationFailed, "AUTHORIZATION"),
    ] {
        let world = World::new().await;
        world.broker.faults().add(Rule::on(ApiKey::InitProducerId).always(), Fault::Error(code));
        let error = world.start().ended().await.unwrap_err();
        let text = error.to_string();
        assert!(text.to_uppercase().contains(&words.to_uppercase()) && !text.contains("defect"), "{text}");
    }
}

#[tokio::test]
async fn another_command_for_the_same_job_is_refused_before_it_shuts_the_running_one_out() {
    let world = World::new().await;
    let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(1), Fault::Hold);
    let run = world.start_until(&rule).await;
    let mut other = world.settings.clone();
    other.keys = KeyPlan::parse(&["value:string".to_owned()], Order::Asc).unwrap();
    let inits = world.broker.faults().count(ApiKey::InitProducerId);
    let cx = world.context();
    let release = async { world.broker.faults().remove(&rule) };
    let (refused, ()) = tokio::join!(super::super::super::run(&other, &cx), release);
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("value:string"), "{error}");
    assert_eq!(world.broker.faults().count(ApiKey::InitProducerId), inits);
    run.ended().await.unwrap();
    assert!(world.is_whole().await);
}

#[tokio::test]
async fn fault_16_somebody_else_who_writes_to_the_output_meanwhile_stops_the_job_for_good() {
    let world = World::new().await;
    let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(1), Fault::HoldAnswer);
    let run = world.start_until(&rule).await;
    let mut writer = BatchWriter::new(Codec::None);
    writer.push(1, None, Some(b"foreign"), Headers::EMPTY).unwrap();
    world.broker.append_raw("out", 0, writer.finish().unwrap()).unwrap();
    world.broker.faults().remove(&rule);
    let error = run.ended().await.unwrap_err().to_string();
    assert!(error.contains("another writer"), "{error}");
    let error = world.start().ended().await.unwrap_err().to_string();
    assert!(error.contains("out partition 0"), "{error}");
}

#[tokio::test]
async fn brokers_that_do_not_verify_transactions_are_refused_with_the_way_out() {
    let config = BrokerConfig { api_versions: ApiLevel::V3_5, ..BrokerConfig::default() };
    let world = World::on(config).await;
    let error = world.start().ended().await.unwrap_err().to_string();
    assert!(error.contains("Kafka 3.6") && error.contains("--delivery idempotent"), "{error}");
    assert!(world.committed().await.is_empty());
}

//! Duplicates are told by what came before, also where another instance, or the one before a doubt, has cleaned that.

use super::world::World;
use crate::broker::{Fault, Rule};
use crate::client::group::Reset;
use crate::wire::{ApiKey, ErrorCode};

#[tokio::test]
async fn a_duplicate_is_told_across_commits_and_restarts() {
    for mut world in World::deduplicating().await {
        let (report, ended) = world.start().ended().await;
        ended.unwrap();
        assert!(report.tally().deduplicated > 0 && report.tally().out > 0);
        for _ in 0..3 {
            world.more(15);
            world.start().ended().await.1.unwrap();
        }
        world.is_whole("four runs").await;
    }
}

#[tokio::test]
async fn after_a_doubt_or_a_kill_what_is_cleaned_again_is_no_duplicate_of_itself() {
    for request in [0, 1, 3] {
        for world in World::deduplicating().await {
            let fault = Fault::Error(ErrorCode::IllegalGeneration);
            world.broker.faults().add(Rule::on(ApiKey::TxnOffsetCommit).after(request), fault);
            world.start().ended().await.1.unwrap();
            world.is_whole(&format!("refused at commit {request}")).await;
        }
        for mut world in World::deduplicating().await {
            let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(request), Fault::HoldAnswer);
            let run = world.start_until(&rule).await;
            run.kill().await;
            world.broker.faults().remove(&rule);
            world.more(20);
            world.start().ended().await.1.unwrap();
            world.is_whole(&format!("killed at commit {request}")).await;
        }
    }
}

#[tokio::test]
async fn where_retention_has_taken_what_was_remembered_the_job_goes_on_with_what_is_there() {
    let [mut world, _] = World::deduplicating().await;
    world.start().ended().await.1.unwrap();
    for partition in 0..super::world::PARTITIONS {
        world.broker.set_log_start("in", partition, i64::from(super::world::RECORDS)).unwrap();
    }
    world.forget_ids();
    world.more(20);
    world.start().ended().await.1.unwrap();
    world.is_whole("behind a new start").await;
}

#[tokio::test]
async fn where_retention_takes_it_before_it_is_read_again_nothing_is_sent_twice_or_lost() {
    for reset in [Reset::EarliestIfNew, Reset::Earliest, Reset::Latest] {
        let [mut world, _] = World::deduplicating().await;
        world.start().ended().await.1.unwrap();
        world.settings.group.reset = reset;
        world.forget_ids_before(0, 35);
        world.more(20);
        let held = world.broker.faults().add(Rule::on(ApiKey::Fetch).partition("in", 0), Fault::Hold);
        let run = world.start_until(&held).await;
        world.broker.set_log_start("in", 0, 35).unwrap();
        held.release();
        run.ended().await.1.unwrap();
        world.is_whole(&format!("{reset:?}")).await;
    }
}

#[tokio::test]
async fn what_reset_has_passed_over_never_went_out_so_nothing_is_its_duplicate() {
    let [mut world, _] = World::deduplicating().await;
    world.settings.group.reset = Reset::Earliest;
    world.start().ended().await.1.unwrap();
    world.settings.group.reset = Reset::Latest;
    world.more(20);
    world.broker.set_log_start("in", 0, i64::from(super::world::RECORDS) + 1).unwrap();
    assert_eq!(world.start().ended().await.0.tally().read, 40, "all but one partition");
    world.forget_ids_before(0, i64::MAX);
    let before = world.tally;
    world.more(20);
    let (report, ended) = world.start().ended().await;
    ended.unwrap();
    assert_eq!(before.plus(report.tally()), world.tally);
}

//! Several at once: instances of one job, others who take its transactional id, other jobs beside it; and a count instead
//! of a merge.

use super::world::World;
use crate::base::kind::Kind;
use crate::broker::{Fault, Rule};
use crate::client::Cluster;
use crate::jobs::merge::run;
use crate::wire::ApiKey;
use std::time::Duration;

const JOB: &str = "merge:in:out";

#[tokio::test]
async fn fault_18_of_two_instances_that_start_together_none_spoils_what_the_other_writes() {
    for _ in 0..5 {
        let world = World::new().await;
        let (first, second) = (world.start(), world.start());
        let ended = [first.ended().await, second.ended().await];
        assert!(ended.iter().any(Result::is_ok));
        for error in ended.iter().filter_map(|ended| ended.as_ref().err()) {
            assert_eq!(error.kind(), Kind::Fenced, "{error}");
        }
        assert!(world.is_whole().await);
    }
}

#[tokio::test]
async fn fault_68_who_takes_the_transactional_id_again_and_again_is_given_way_to_once() {
    let world = World::new().await;
    let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(1), Fault::Hold);
    let run = world.start_until(&rule).await;
    let cluster = Cluster::connect(&world.broker.addresses(), Duration::from_secs(20)).await.unwrap();
    for _ in 0..3 {
        cluster.transactional(JOB, Duration::from_secs(60)).await.unwrap();
    }
    let taken = world.broker.transaction(JOB).unwrap();
    world.broker.faults().remove(&rule);
    assert_eq!(run.ended().await.unwrap_err().kind(), Kind::Fenced);
    let left = world.broker.transaction(JOB).unwrap();
    assert_eq!(
        (left.producer_id, left.producer_epoch),
        (taken.producer_id, taken.producer_epoch),
        "it has not taken the id back"
    );
    world.check_prefix("given way").await;
    world.start().ended().await.unwrap();
    assert!(world.is_whole().await);
}

#[tokio::test]
async fn a_job_stopped_with_its_record_written_holds_another_one_up_for_a_while_only_and_is_named() {
    let mut world = World::new().await;
    let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(1), Fault::Hold);
    let stopped = world.start_until(&rule).await;
    world.broker.create_topic("other", 1, &[("retention.ms", "-1")]).unwrap();
    let mut other = world.settings.clone();
    other.to = "other".to_owned();
    world.patience = Duration::from_millis(400);
    let error = run(&other, &world.context()).await.unwrap_err();
    let held = world.broker.transaction(JOB).unwrap().producer_id.to_string();
    assert!(error.to_string().contains(&held) && error.kind() == Kind::Unreachable, "{held}: {error}");
    world.broker.faults().remove(&rule);
    stopped.ended().await.unwrap();
    world.patience = Duration::from_secs(20);
    assert_eq!(run(&other, &world.context()).await.unwrap().records as usize, world.oracle.len());
    assert!(world.is_whole().await);
}

#[tokio::test]
async fn a_count_that_is_killed_goes_on_by_rank() {
    for request in 0..6 {
        for fault in [Fault::Hold, Fault::HoldAnswer] {
            let world = World::counting().await;
            let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(request), fault);
            world.start_until(&rule).await.kill().await;
            world.check_prefix("killed").await;
            let resumed = world.start().ended().await.unwrap();
            assert!(world.is_whole().await, "{request}, resumed at {}", resumed.resumed_at);
        }
    }
}

//! Negative controls: without one of its safeties the job fails where with it it does not, so that the tests can tell.

use super::super::sabotage::Sabotage;
use super::world::World;
use crate::broker::{Fault, Rule};
use crate::wire::ApiKey;

/// A run is stopped in the middle until a second one has finished, and goes on.
async fn woken(mut world: World) -> bool {
    let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(2), Fault::Hold);
    let first = world.start_until(&rule).await;
    if world.sabotage.is_some() {
        // What the first one holds open is not waited for long.
        world.patience = std::time::Duration::from_secs(1);
    }
    let second = world.start().ended().await;
    world.broker.faults().remove(&rule);
    let _ = first.ended().await;
    second.is_ok() && world.is_whole().await
}

#[tokio::test]
async fn without_fencing_two_instances_spoil_the_output() {
    assert!(woken(World::new().await).await);
    assert!(!woken(World::without(Sabotage::NoFencing).await).await);
}

/// The output loses its end while nobody runs.
async fn truncated(world: &World) -> Result<bool, String> {
    let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(4), Fault::Hold);
    world.start_until(&rule).await.kill().await;
    let committed = world.check_prefix("killed").await as i64;
    world.broker.truncate("out", 0, committed / 2).unwrap();
    world.start().ended().await.map_err(|error| error.to_string())?;
    Ok(world.is_whole().await)
}

#[tokio::test]
async fn fault_51_without_the_look_at_the_tail_an_output_that_was_cut_short_is_gone_on_with() {
    let refused = truncated(&World::new().await).await.unwrap_err();
    assert!(refused.contains("out partition 0"), "{refused}");
    assert_ne!(truncated(&World::without(Sabotage::NoTailCheck).await).await, Ok(true));
}

/// The job is killed at each end of a transaction, once it was carried out.
async fn killed_at_commits(sabotage: Option<Sabotage>) -> bool {
    for request in 0..8 {
        let world = World { sabotage, ..World::new().await };
        let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(request), Fault::HoldAnswer);
        world.start_until(&rule).await.kill().await;
        world.broker.faults().remove(&rule);
        if world.start().ended().await.is_err() || !world.is_whole().await {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn with_the_record_in_a_transaction_of_its_own_a_kill_between_the_two_is_not_got_over() {
    assert!(killed_at_commits(None).await);
    assert!(!killed_at_commits(Some(Sabotage::RecordApart)).await);
}

/// A second run asks for the id while the first one still commits.
async fn overtaken(sabotage: Option<Sabotage>) -> bool {
    let mut world = World::new().await;
    let faults = world.broker.faults();
    // In the first run's second transaction nothing is written yet; the third request for an id is the second run's.
    let held = faults.add(Rule::on(ApiKey::Produce).after(2), Fault::Hold);
    let first = world.start_until(&held).await;
    let asking = faults.add(Rule::on(ApiKey::InitProducerId), Fault::Hold);
    world.sabotage = sabotage;
    let second = world.start_until(&asking).await;
    let commits = faults.count(ApiKey::EndTxn);
    faults.remove(&held);
    faults.arrived(ApiKey::EndTxn, commits + 2).await;
    faults.remove(&asking);
    let second = second.ended().await;
    let _ = first.ended().await;
    second.is_ok() && world.is_whole().await
}

#[tokio::test]
async fn what_is_read_before_the_barrier_is_too_old() {
    assert!(overtaken(None).await);
    assert!(!overtaken(Some(Sabotage::NoBarrier)).await);
}

/// The answer to each write in turn is lost once the batch is stored.
async fn answers_lost(sabotage: Option<Sabotage>) -> bool {
    for request in 0..4 {
        let world = World { sabotage, ..World::new().await };
        let rule = Rule::on(ApiKey::Produce).partition("out", 0).after(request);
        world.broker.faults().add(rule, Fault::DropAfter);
        if world.start().ended().await.is_err() || !world.is_whole().await {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn without_the_order_of_sequences_a_batch_whose_answer_was_lost_is_stored_twice() {
    assert!(answers_lost(None).await);
    assert!(!answers_lost(Some(Sabotage::NoSequences)).await);
}

//! Something goes wrong at every request in turn: one run gets over it by itself, or is killed there and started again.

use super::world::World;
use crate::base::kind::Kind;
use crate::broker::{Fault, Rule};
use crate::wire::{ApiKey, ErrorCode};

/// What a cleaner asks while it writes and commits.
const ALL: [ApiKey; 6] = [
    ApiKey::Produce,
    ApiKey::TxnOffsetCommit,
    ApiKey::EndTxn,
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::InitProducerId,
];

/// Whether a run asks this at all. Where what is written adds itself to the transaction, nobody asks to add it.
fn is_asked(api: ApiKey, world: &World) -> bool {
    world.is_explicit || ![ApiKey::AddPartitionsToTxn, ApiKey::AddOffsetsToTxn].contains(&api)
}

/// The run meets `fault` at these requests of each API in turn, and ends well all the same.
async fn gets_over(apis: &[ApiKey], requests: &[u64], fault: Fault) {
    for api in apis {
        for request in requests {
            for world in World::both().await {
                let when = format!("{api} {request} {fault:?}");
                let rule = world.broker.faults().add(Rule::on(*api).after(*request), fault.clone());
                let (report, ended) = world.start().ended().await;
                ended.unwrap_or_else(|error| panic!("{when}: {error}"));
                world.is_whole(&when).await;
                assert_eq!(report.tally(), world.tally, "{when}");
                // How often the later ones are asked depends on how windows come.
                assert!(*request > 0 || (rule.hits() > 0) == is_asked(*api, &world), "{when}: {} hits", rule.hits());
            }
        }
    }
}

#[tokio::test]
async fn a_request_or_an_answer_that_is_lost_leaves_every_record_once() {
    gets_over(&ALL, &[0, 1, 3], Fault::DropBefore).await;
    gets_over(&ALL, &[0, 1, 3], Fault::DropAfter).await;
}

#[tokio::test]
async fn what_a_member_and_a_reader_ask_is_asked_again_where_the_answer_is_lost() {
    for api in [
        ApiKey::Metadata,
        ApiKey::FindCoordinator,
        ApiKey::JoinGroup,
        ApiKey::SyncGroup,
        ApiKey::OffsetFetch,
        ApiKey::ListOffsets,
        ApiKey::Fetch,
        ApiKey::Heartbeat,
    ] {
        for (request, fault) in [(0, Fault::DropBefore), (0, Fault::DropAfter), (1, Fault::DropBefore)] {
            let mut world = World::new().await;
            // The run is short, and is to beat once at least.
            world.settings.group.heartbeat_interval = std::time::Duration::from_millis(1);
            let when = format!("{api} {request} {fault:?}");
            let rule = world.broker.faults().add(Rule::on(api).after(request), fault);
            world.start().ended().await.1.unwrap_or_else(|error| panic!("{when}: {error}"));
            assert!(request > 0 || rule.hits() == 1, "{when}: never asked");
            world.is_whole(&when).await;
        }
    }
}

#[tokio::test]
async fn a_transaction_that_is_void_is_cleaned_again_from_what_is_committed() {
    for code in [ErrorCode::InvalidTxnState, ErrorCode::InvalidProducerEpoch] {
        gets_over(&[ApiKey::Produce, ApiKey::TxnOffsetCommit], &[0, 2], Fault::Error(code)).await;
    }
    gets_over(&[ApiKey::EndTxn], &[0, 1], Fault::ErrorAfter(ErrorCode::UnknownServerError)).await;
}

#[tokio::test]
async fn a_member_that_is_refused_at_the_commit_voids_and_goes_on_from_what_is_committed() {
    for code in [ErrorCode::IllegalGeneration, ErrorCode::UnknownMemberId, ErrorCode::RebalanceInProgress] {
        gets_over(&[ApiKey::TxnOffsetCommit], &[0, 1], Fault::Error(code)).await;
    }
}

#[tokio::test]
async fn killed_at_any_request_the_same_command_goes_on_where_it_was() {
    for api in ALL {
        for request in [0, 1, 3] {
            for fault in [Fault::Hold, Fault::HoldAnswer] {
                for world in World::both().await {
                    let when = format!("{api} {request} {fault:?}");
                    let rule = world.broker.faults().add(Rule::on(api).after(request), fault.clone());
                    let run = world.start_until(&rule).await;
                    assert!(request > 0 || (rule.hits() > 0) == is_asked(api, &world), "{when}: {} hits", rule.hits());
                    if rule.hits() > 0 {
                        run.kill().await;
                        world.broker.faults().remove(&rule);
                        world.start().ended().await.1.unwrap_or_else(|error| panic!("{when}: {error}"));
                    } else {
                        run.ended().await.1.unwrap_or_else(|error| panic!("{when}: {error}"));
                    }
                    world.is_whole(&when).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn an_instance_that_comes_later_under_the_same_name_shuts_the_one_before_out() {
    for world in World::both().await {
        let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(1), Fault::Hold);
        let before = world.start_until(&rule).await;
        assert_eq!(rule.hits(), 1);
        let after = world.start();
        let (_, ended) = after.ended().await;
        ended.unwrap();
        world.broker.faults().remove(&rule);
        let (_, ended) = before.ended().await;
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), Kind::Fenced, "{error}");
        world.is_whole("after both").await;
    }
}

//! What goes wrong between a member and its coordinator: two members read on, every record is read, none again that was
//! committed.

use crate::reader::{End, Reader, Shared};
use crate::story::{Log, World, alone, until};
use kmerge::base::place::TopicPartition;
use kmerge::broker::{Broker, Fault, Rule};
use kmerge::client::group::{Assignor, GroupEvent, GroupMember, NotCommitted};
use kmerge::wire::{ApiKey, ErrorCode};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Shorter than any broker would allow that is not a test's: so a member that was left behind holds nobody up for long.
const SESSION: Duration = Duration::from_millis(2500);

/// Two members, of which the second joins while the first reads, with `trouble` in force from the start or from then on.
async fn two_read_on(world: &World, assignor: Assignor, late: bool, trouble: impl Fn(&Broker, &str)) {
    let (partitions, records) = (4, 40);
    let topic = world.topic(&format!("{assignor}-{late}-{:08x}", rand::random::<u32>()), partitions, records).await;
    let mut options = world.options(&[&topic]);
    options.group = format!("group-of-{topic}").into();
    options.session_timeout = SESSION;
    options.heartbeat_interval = Duration::from_millis(100);
    options.assignors = vec![assignor];
    let shared = Shared::new(Log::of(&topic, partitions, records));
    if !late {
        trouble(world.broker(), &options.group);
    }
    let first = Reader::start("first", world.client().await, world.member(&options).await, &shared, 1);
    shared.turns.add_permits(10);
    until("some is read", || shared.turns.available_permits() == 0).await;
    if late {
        trouble(world.broker(), &options.group);
    }
    let second = Reader::start("second", world.client().await, world.member(&options).await, &shared, 2);
    until("both have some", || second.assigned.load(SeqCst) == 2 && first.assigned.load(SeqCst) == 2).await;
    shared.turns.add_permits(10_000);
    until("everything is committed", || shared.log.left() == 0 || first.is_over() || second.is_over()).await;
    first.end(End::Leave).await;
    second.end(End::Leave).await;
    shared.log.assert_whole();
    world.broker().faults().clear();
}

const APIS: [ApiKey; 5] =
    [ApiKey::JoinGroup, ApiKey::SyncGroup, ApiKey::Heartbeat, ApiKey::OffsetCommit, ApiKey::OffsetFetch];

fn befall(fault: Fault) {
    let befalls = async |api: ApiKey, assignor: Assignor| {
        let world = World::for_faults(api.name()).await;
        for (late, times) in [(false, 1), (true, 2)] {
            eprintln!("{fault:?} of {api}, {times} times, {assignor}, late: {late}");
            two_read_on(&world, assignor, late, |broker, _| {
                broker.faults().add(Rule::on(api).times(times), fault.clone());
            })
            .await;
        }
    };
    // Each on a broker of its own, all at once: most of the time goes by in waiting.
    let assignors = [Assignor::Range, Assignor::CooperativeSticky];
    let all = APIS.iter().flat_map(|api| assignors.map(|assignor| befalls(*api, assignor)));
    crate::story::runtime().block_on(futures::future::join_all(all));
}

#[test]
fn a_request_that_is_lost_is_asked_again() {
    befall(Fault::DropBefore);
}

#[test]
fn an_answer_that_is_lost_is_asked_for_again() {
    befall(Fault::DropAfter);
}

#[test]
fn a_coordinator_that_is_not_one_is_looked_for() {
    befall(Fault::Error(ErrorCode::NotCoordinator));
}

#[test]
fn a_coordinator_that_is_starting_is_waited_for() {
    befall(Fault::Error(ErrorCode::CoordinatorLoadInProgress));
}

#[test]
fn a_coordinator_that_moves_takes_the_group_along() {
    alone("moves", async |world| {
        for assignor in [Assignor::Sticky, Assignor::CooperativeSticky] {
            two_read_on(world, assignor, true, |broker, group| {
                // Of two nodes, 1 and 2, the other one.
                broker.move_group_coordinator(group, 3 - broker.group_coordinator(group)).unwrap();
            })
            .await;
        }
    });
}

async fn next(member: &mut GroupMember) -> GroupEvent {
    tokio::time::timeout(crate::story::LONG, member.next()).await.expect("an event in time").expect("a member")
}

#[test]
fn who_was_put_out_is_told_that_all_is_lost_and_joins_again() {
    alone("put-out", async |world| {
        let topic = world.topic("t", 2, 10).await;
        let options = world.options(&[&topic]);
        let mut member = world.member(&options).await;
        assert!(matches!(next(&mut member).await, GroupEvent::Assigned(starts) if starts.len() == 2));
        let offset = [(TopicPartition::new(topic.as_str(), 0), 4)];
        member.commit(&offset).await.unwrap();

        let broker = world.broker();
        let id = member.membership().member;
        assert!(broker.expire_member(&options.group, &id));
        // The commit itself finds out, before the next heartbeat is due.
        let refused = member.commit(&offset).await;
        assert!(matches!(refused, Err(NotCommitted::Lost(_))), "{refused:?}");
        assert!(matches!(next(&mut member).await, GroupEvent::Lost(gone) if gone.len() == 2));
        let GroupEvent::Assigned(starts) = next(&mut member).await else { panic!("it is in again") };
        assert_eq!(starts.iter().map(|start| start.offset).collect::<Vec<_>>(), [4, 0]);
        assert_ne!(member.membership().member, id);
        member.leave().await.unwrap();
    });
}

#[test]
fn who_hears_nothing_for_as_long_as_a_session_holds_nothing_any_more() {
    alone("silence", async |world| {
        let topic = world.topic("t", 1, 10).await;
        let mut options = world.options(&[&topic]);
        options.session_timeout = SESSION;
        let mut member = world.member(&options).await;
        assert!(matches!(next(&mut member).await, GroupEvent::Assigned(starts) if starts.len() == 1));
        let faults = world.broker().faults();
        let dropped = faults.add(Rule::on(ApiKey::Heartbeat).always(), Fault::DropBefore);
        let before = std::time::Instant::now();
        assert!(matches!(next(&mut member).await, GroupEvent::Lost(gone) if gone.len() == 1));
        assert!(before.elapsed() >= SESSION / 2, "{:?}", before.elapsed());
        faults.remove(&dropped);
        assert!(matches!(next(&mut member).await, GroupEvent::Assigned(starts) if starts.len() == 1));
        member.leave().await.unwrap();
    });
}

#[test]
fn offsets_that_a_transaction_may_yet_change_are_waited_for() {
    alone("unstable", async |world| {
        let topic = world.topic("t", 1, 10).await;
        let options = world.options(&[&topic]);
        let unstable = Fault::Error(ErrorCode::UnstableOffsetCommit);
        let told = world.broker().faults().add(Rule::on(ApiKey::OffsetFetch).times(3), unstable);
        let mut member = world.member(&options).await;
        assert!(matches!(next(&mut member).await, GroupEvent::Assigned(starts) if starts.len() == 1));
        assert_eq!(told.hits(), 3);
        member.leave().await.unwrap();
    });
}

#[test]
fn who_is_told_at_the_offsets_that_it_is_unknown_lets_the_heartbeat_decide() {
    alone("unknown", async |world| {
        let topic = world.topic("t", 1, 10).await;
        let unknown = Fault::Error(ErrorCode::UnknownMemberId);
        let told = world.broker().faults().add(Rule::on(ApiKey::OffsetFetch).times(2), unknown);
        let mut member = world.member(&world.options(&[&topic])).await;
        assert!(matches!(next(&mut member).await, GroupEvent::Assigned(starts) if starts.len() == 1));
        assert_eq!(told.hits(), 2);
        member.leave().await.unwrap();
    });
}

#[test]
fn silence_that_begins_before_the_share_comes_is_heeded_once_it_has_come() {
    alone("silent-sync", async |world| {
        let topic = world.topic("t", 1, 10).await;
        let mut options = world.options(&[&topic]);
        options.session_timeout = SESSION;
        options.heartbeat_interval = Duration::from_millis(100);
        let faults = world.broker().faults();
        // The coordinator hears of the member, and the member nothing of the coordinator.
        let dropped = faults.add(Rule::on(ApiKey::Heartbeat).always(), Fault::DropAfter);
        let held = faults.add(Rule::on(ApiKey::SyncGroup), Fault::Hold);
        let mut member = world.member(&options).await;
        held.hit().await;
        let before = std::time::Instant::now();
        until("a session is over", || before.elapsed() >= SESSION + Duration::from_millis(500)).await;
        held.release();
        while !matches!(next(&mut member).await, GroupEvent::Lost(gone) if gone.len() == 1) {}
        faults.remove(&dropped);
        while !matches!(next(&mut member).await, GroupEvent::Assigned(starts) if starts.len() == 1) {}
        member.leave().await.unwrap();
    });
}

#[test]
fn a_coordinator_that_never_answers_ends_it_with_an_error_and_not_never() {
    alone("never", async |world| {
        let topic = world.topic("t", 1, 10).await;
        let options = world.options(&[&topic]);
        let never = Fault::Error(ErrorCode::CoordinatorLoadInProgress);
        world.broker().faults().add(Rule::on(ApiKey::JoinGroup).always(), never);
        let client = world.client_within(Duration::from_secs(1)).await;
        let mut member = client.join_group(options).await.unwrap();
        let error = tokio::time::timeout(crate::story::LONG, member.next()).await.expect("in time").unwrap_err();
        let told = error.to_string();
        assert!(told.contains("given up after") && told.contains("COORDINATOR_LOAD_IN_PROGRESS"), "{told}");
    });
}

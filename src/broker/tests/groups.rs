//! Members of groups over sockets: who waits, who is let go, what is left when nodes die.

use super::grouped::*;
use super::transactional::until;
use super::*;
use crate::broker::{Fault, GroupConfig, Rule};
use crate::wire::delete_groups::{DeleteGroups, DeleteGroupsRequest};
use crate::wire::find_coordinator::{FindCoordinator, FindCoordinatorRequest};
use crate::wire::list_groups::{ListGroups, ListGroupsRequest};
use crate::wire::offset_delete::{
    OffsetDelete, OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use crate::wire::{ApiKey, ErrorCode};
use std::time::Duration;

/// Groups that wait for nobody and lose their members soon.
fn hasty() -> GroupConfig {
    GroupConfig {
        initial_rebalance_delay: Duration::ZERO,
        session_timeout_min: Duration::from_millis(1),
        ..GroupConfig::default()
    }
}

async fn cluster(nodes: u16, groups: GroupConfig) -> Broker {
    broker_with(BrokerConfig { nodes, topics: vec![("t".into(), 2)], groups, ..Default::default() }).await
}

/// A connection to the node that coordinates a group.
async fn at(broker: &Broker, group: &str) -> Client {
    let node = usize::try_from(broker.group_coordinator(group)).unwrap();
    Client::connect_to(broker, node).await
}

/// A stable group of two, `a` leads; each with its connection.
async fn pair(broker: &Broker, group: &str) -> [(Member, Client); 2] {
    let (mut a, mut at_a) = (Member::nobody(group), at(broker, group).await);
    let (mut b, mut at_b) = (Member::nobody(group), at(broker, group).await);
    assert_eq!(a.join(&mut at_a, 9).await.code, 0);
    assert_eq!(b.join_once(&mut at_b, 9).await.code, ErrorCode::MemberIdRequired.code());
    b.ask_to_join(&mut at_b, 9).await;
    until_members(&mut at(broker, group).await, group, 2).await;
    assert_eq!(a.join(&mut at_a, 9).await.members.len(), 2);
    assert_eq!(b.joined(&mut at_b, 9).await.code, 0);
    b.ask_to_sync(&mut at_b, 5, &[]).await;
    assert_eq!(a.sync(&mut at_a, 5, &[(&a.id, b"first"), (&b.id, b"second")]).await.2, b"first");
    assert_eq!(b.synced(&mut at_b, 5).await.2, b"second");
    [(a, at_a), (b, at_b)]
}

#[tokio::test]
async fn two_members_share_a_group_at_every_version() {
    let broker = cluster(1, hasty()).await;
    for (version, sync_version) in (0..=9).zip([0, 1, 2, 3, 4, 5, 5, 5, 5, 5]) {
        let group = format!("g{version}");
        let (mut a, mut at_a) = (Member::nobody(&group), at(&broker, &group).await);
        let joined = a.join(&mut at_a, version).await;
        assert_eq!((joined.code, joined.generation), (0, 1), "v{version}");
        assert_eq!((&joined.leader, joined.members.len()), (&joined.member, 1), "v{version}");
        let told = if version >= 7 { Some("consumer".to_owned()) } else { None };
        assert_eq!(joined.protocol, (told, Some("range".into())), "v{version}");
        let (code, _, share) = a.sync(&mut at_a, sync_version, &[(&a.id, b"all")]).await;
        assert_eq!((code, share.as_slice()), (0, &b"all"[..]), "v{version}");
        assert_eq!(a.heartbeat_at(&mut at_a, version.min(4)).await, 0);
        assert_eq!(a.commit(&mut at_a, 8, "t", 5).await, 0);
        let left = a.leave(&mut at_a, version.min(5)).await;
        assert_eq!(left, (0, vec![0; usize::from(version >= 3)]), "v{version}");
        assert_eq!(broker.group(&group).unwrap().state, "Empty");
        assert_eq!(broker.committed_offset(&group, "t", 0), Some(5));
    }
}

#[tokio::test]
async fn a_commit_of_who_was_rebalanced_away_is_refused_and_changes_nothing() {
    let broker = cluster(1, hasty()).await;
    let [(mut a, mut at_a), (b, mut at_b)] = pair(&broker, "g").await;
    assert_eq!(b.commit(&mut at_b, 8, "t", 10).await, 0);
    assert!(broker.expire_member("g", &b.id));
    assert_eq!(a.heartbeat(&mut at_a).await, ErrorCode::RebalanceInProgress.code());
    assert_eq!(a.commit(&mut at_a, 8, "t", 11).await, 0, "what was read may be committed before joining again");
    assert_eq!(a.join(&mut at_a, 9).await.generation, 3);
    assert_eq!(b.commit(&mut at_b, 8, "t", 99).await, ErrorCode::UnknownMemberId.code());
    let old = Member { generation: a.generation - 1, ..a.clone() };
    assert_eq!(old.commit(&mut at_a, 8, "t", 99).await, ErrorCode::IllegalGeneration.code());
    assert_eq!(a.commit(&mut at_a, 8, "t", 99).await, ErrorCode::RebalanceInProgress.code());
    assert_eq!(Member::nobody("g").commit(&mut at_a, 8, "t", 99).await, ErrorCode::UnknownMemberId.code());
    assert_eq!(broker.committed_offset("g", "t", 0), Some(11));
}

#[tokio::test]
async fn a_member_that_hangs_up_while_it_waits_is_let_go_and_its_share_goes_to_the_others() {
    let broker = cluster(1, hasty()).await;
    let [(mut a, mut at_a), (b, mut at_b)] = pair(&broker, "g").await;
    let brief = Member { session_ms: 200, protocols: vec![("range".into(), b"new".to_vec())], ..b };
    brief.ask_to_join(&mut at_b, 9).await;
    until_state(&mut at(&broker, "g").await, "g", "PreparingRebalance").await;
    drop(at_b);
    // It is in the next generation, as nobody could know, and out of the one after.
    assert_eq!(a.join(&mut at_a, 9).await.members.len(), 2);
    a.ask_to_sync(&mut at_a, 5, &[]).await;
    a.synced(&mut at_a, 5).await;
    until_members(&mut at(&broker, "g").await, "g", 1).await;
    let joined = a.join(&mut at_a, 9).await;
    assert_eq!((joined.code, joined.members.len()), (0, 1));
}

#[tokio::test]
async fn who_asks_again_on_another_connection_is_answered_there() {
    let broker = cluster(1, hasty()).await;
    let [(mut a, mut at_a), (b, mut at_b)] = pair(&broker, "g").await;
    let mut b = Member { protocols: vec![("range".into(), b"new".to_vec())], ..b };
    b.ask_to_join(&mut at_b, 9).await;
    until_state(&mut at(&broker, "g").await, "g", "PreparingRebalance").await;
    let mut elsewhere = at(&broker, "g").await;
    b.ask_to_join(&mut elsewhere, 9).await;
    assert_eq!(at_b.receive().await, None, "the first connection ends");
    assert_eq!(a.join(&mut at_a, 9).await.code, 0);
    assert_eq!(b.joined(&mut elsewhere, 9).await.generation, a.generation);
}

#[tokio::test]
async fn the_first_member_waits_for_others() {
    let delay = Duration::from_millis(300);
    let broker = cluster(1, GroupConfig { initial_rebalance_delay: delay, ..hasty() }).await;
    let (mut a, mut at_a) = (Member::nobody("g"), at(&broker, "g").await);
    let (mut b, mut at_b) = (Member::nobody("g"), at(&broker, "g").await);
    let began = std::time::Instant::now();
    a.ask_to_join(&mut at_a, 3).await;
    b.ask_to_join(&mut at_b, 3).await;
    assert_eq!((a.joined(&mut at_a, 3).await.generation, b.joined(&mut at_b, 3).await.generation), (1, 1));
    assert!(began.elapsed() >= delay, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_coordinator_that_moves_sends_its_members_away_and_they_are_still_in() {
    let broker = cluster(2, hasty()).await;
    let [(mut a, mut at_a), (b, mut at_b)] = pair(&broker, "g").await;
    let home = broker.group_coordinator("g");
    a.ask_to_join(&mut at_a, 9).await;
    until_state(&mut at(&broker, "g").await, "g", "PreparingRebalance").await;
    broker.move_group_coordinator("g", 3 - home).unwrap();
    let not_here = ErrorCode::NotCoordinator.code();
    assert_eq!(a.joined(&mut at_a, 9).await.code, not_here, "who waits is told");
    assert_eq!((a.heartbeat(&mut at_a).await, b.commit(&mut at_b, 8, "t", 1).await), (not_here, not_here));
    assert_eq!(a.leave(&mut at_a, 5).await.0, not_here);
    assert_eq!(describe(&mut at_a, 5, "g").await.error.0, not_here);
    let mut there = at(&broker, "g").await;
    assert_eq!((a.heartbeat(&mut there).await, b.commit(&mut there, 8, "t", 1).await), (0, 0));
    assert_eq!(describe(&mut there, 5, "g").await.state, "Stable");
}

#[tokio::test]
async fn a_group_outlives_the_node_that_coordinates_it() {
    let broker = cluster(2, hasty()).await;
    let [(a, mut at_a), (b, mut at_b)] = pair(&broker, "g").await;
    assert_eq!(b.commit(&mut at_b, 8, "t", 7).await, 0);
    broker.stop_node(broker.group_coordinator("g")).await.unwrap();
    assert_eq!(at_a.receive().await, None);
    let mut there = at(&broker, "g").await;
    assert_eq!((a.heartbeat(&mut there).await, b.heartbeat(&mut there).await), (0, 0));
    assert_eq!(broker.committed_offset("g", "t", 0), Some(7));
}

#[tokio::test]
async fn no_session_ends_while_nobody_can_reach_the_coordinator() {
    let broker = cluster(1, hasty()).await;
    let mut a = Member { session_ms: 300, ..Member::nobody("g") };
    let mut at_a = at(&broker, "g").await;
    a.join(&mut at_a, 9).await;
    assert_eq!(a.sync(&mut at_a, 5, &[(&a.id, b"all")]).await.0, 0);
    broker.kill_node(1).await.unwrap();
    // The pause is what is tested: twice as long as a session.
    tokio::time::sleep(Duration::from_millis(600)).await;
    broker.start_node(1).await.unwrap();
    assert_eq!(a.heartbeat(&mut at(&broker, "g").await).await, 0);
}

#[tokio::test]
async fn groups_are_listed_where_they_are_coordinated_by_state_and_type() {
    let broker = cluster(2, hasty()).await;
    let _members = pair(&broker, "stable").await;
    let mut at_simple = at(&broker, "simple").await;
    assert_eq!(Member::nobody("simple").commit(&mut at_simple, 8, "t", 1).await, 0);
    let list = async |version: i16, states: &[&str], types: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let request = ListGroupsRequest { states_filter: owned(states), types_filter: owned(types) };
        let mut all = Vec::new();
        for node in [1, 2] {
            let mut client = Client::connect_to(&broker, node).await;
            let listed = client.call::<ListGroups, _>(version, &request, |r| r.groups.clone()).await;
            for group in listed {
                assert_eq!(broker.group_coordinator(&group.group_id), node as i32);
                all.push((group.group_id, group.protocol_type, group.group_state, group.group_type));
            }
        }
        all.sort();
        all
    };
    let row = |group: &str, protocol: &str, state: &str, sort: &str| {
        (group.to_owned(), protocol.to_owned(), state.to_owned(), sort.to_owned())
    };
    let simple = row("simple", "", "Empty", "classic");
    let stable = row("stable", "consumer", "Stable", "classic");
    assert_eq!(list(5, &[], &[]).await, [simple.clone(), stable.clone()]);
    assert_eq!(list(3, &[], &[]).await, [row("simple", "", "", ""), row("stable", "consumer", "", "")]);
    assert_eq!(list(4, &[" sTable "], &[]).await, [row("stable", "consumer", "Stable", "")]);
    assert_eq!(list(5, &["Empty", "Nonsense"], &["Classic"]).await, [simple]);
    assert_eq!(list(5, &[], &["consumer"]).await, []);
    assert_eq!(list(5, &["Stable"], &["consumer", "classic"]).await, [stable]);
}

#[tokio::test]
async fn a_group_with_members_is_not_deleted_and_neither_are_the_offsets_they_read() {
    let broker = cluster(1, hasty()).await;
    broker.create_topic("u", 1, &[]).unwrap();
    let [(a, mut at_a), (b, mut at_b)] = pair(&broker, "g").await;
    for topic in ["t", "u"] {
        assert_eq!(a.commit(&mut at_a, 8, topic, 5).await, 0);
    }
    let delete = async |client: &mut Client, groups: &[&str]| {
        let groups_names = groups.iter().map(|group| (*group).to_owned()).collect();
        let read = |r: &crate::wire::delete_groups::DeleteGroupsResponse| {
            r.results.iter().map(|result| result.error_code).collect::<Vec<_>>()
        };
        client.call::<DeleteGroups, _>(2, &DeleteGroupsRequest { groups_names }, read).await
    };
    let delete_offset = async |client: &mut Client, topic: &str, partition_index: i32| {
        let partitions = vec![OffsetDeleteRequestPartition { partition_index }];
        let topics = vec![OffsetDeleteRequestTopic { name: topic.into(), partitions }];
        let request = OffsetDeleteRequest { group_id: "g".into(), topics };
        client.call::<OffsetDelete, _>(0, &request, |r| r.topics[0].partitions[0].error_code).await
    };
    let (full, gone) = (ErrorCode::NonEmptyGroup.code(), ErrorCode::GroupIdNotFound.code());
    assert_eq!(delete(&mut at_a, &["g", "nowhere", "g"]).await, [full, gone]);
    assert_eq!(delete_offset(&mut at_a, "t", 0).await, ErrorCode::GroupSubscribedToTopic.code());
    assert_eq!(delete_offset(&mut at_a, "u", 0).await, 0);
    assert_eq!(delete_offset(&mut at_a, "u", 9).await, ErrorCode::UnknownTopicOrPartition.code());
    assert_eq!((broker.committed_offset("g", "t", 0), broker.committed_offset("g", "u", 0)), (Some(5), None));
    let left = leave(&mut at_b, 5, "g", &[(&a.id, None), (&b.id, None)]).await;
    assert_eq!(left, (0, vec![0, 0]));
    assert_eq!(delete_offset(&mut at_a, "t", 0).await, 0);
    assert_eq!(delete(&mut at_a, &["g"]).await, [0]);
    assert_eq!((broker.group("g"), delete(&mut at_a, &["g"]).await), (None, vec![gone]));
    assert_eq!(describe(&mut at_a, 5, "g").await.state, "Dead");
}

#[tokio::test]
async fn faults_befall_groups_as_they_befall_everything_else() {
    let broker = cluster(1, hasty()).await;
    let [(mut a, mut at_a), (b, mut at_b)] = pair(&broker, "g").await;
    let busy = ErrorCode::CoordinatorLoadInProgress;
    for api in [ApiKey::Heartbeat, ApiKey::JoinGroup, ApiKey::LeaveGroup] {
        broker.faults().add(Rule::on(api), Fault::Error(busy));
    }
    assert_eq!(a.heartbeat(&mut at_a).await, busy.code());
    assert_eq!((a.heartbeat(&mut at_a).await, a.join_once(&mut at_a, 9).await.code), (0, busy.code()));
    assert_eq!((a.leave(&mut at_a, 5).await.0, broker.group("g").unwrap().state), (busy.code(), "Stable"));
    broker.faults().add(Rule::on(ApiKey::LeaveGroup), Fault::ErrorAfter(busy));
    assert_eq!(b.leave(&mut at_b, 5).await.0, busy.code());
    assert_eq!(broker.group("g").unwrap().members, [a.id.clone()]);
    broker.faults().add(Rule::on(ApiKey::SyncGroup), Fault::DropAfter);
    assert_eq!(a.join(&mut at_a, 9).await.code, 0);
    a.ask_to_sync(&mut at_a, 5, &[(&a.id, b"all")]).await;
    assert_eq!(at_a.receive().await, None);
    // The share was handed out; who asks again is told.
    assert_eq!(a.sync(&mut at(&broker, "g").await, 5, &[]).await.2, b"all");
}

#[tokio::test]
async fn a_member_finds_its_coordinator_and_is_sent_away_by_the_other_node() {
    let broker = cluster(2, hasty()).await;
    let mut client = Client::connect(&broker).await;
    let request = FindCoordinatorRequest { key: "g".into(), ..Default::default() };
    let node = client.call::<FindCoordinator, _>(3, &request, |r| r.node_id).await;
    let mut other = Client::connect_to(&broker, usize::try_from(3 - node).unwrap()).await;
    let joined = Member::nobody("g").join_once(&mut other, 9).await;
    assert_eq!((joined.code, joined.member.as_str()), (ErrorCode::NotCoordinator.code(), ""));
    assert_eq!(broker.group("g"), None);
}

#[tokio::test]
async fn what_groups_hold_is_paid_for_and_given_back() {
    let memory_bytes = 1 << 20;
    let broker = broker_with(BrokerConfig { memory_bytes, groups: hasty(), ..Default::default() }).await;
    let before = broker.memory().0;
    let mut client = Client::connect(&broker).await;
    let large = |group: &str| Member { protocols: vec![("range".into(), vec![7; 600 << 10])], ..Member::nobody(group) };
    let mut first = large("one");
    assert_eq!(first.join(&mut client, 9).await.code, 0);
    let refused = large("two").join(&mut client, 9).await;
    assert_eq!(refused.code, ErrorCode::CoordinatorNotAvailable.code());
    assert_eq!(first.leave(&mut client, 5).await, (0, vec![0]));
    assert_eq!(large("three").join(&mut client, 9).await.code, 0, "the first one's memory is free");
    assert!(broker.memory().0 > before + (600 << 10));
    let many = (0..257).map(|number| (number.to_string(), Vec::new())).collect();
    let refused = Member { protocols: many, ..Member::nobody("four") }.join(&mut client, 9).await;
    assert_eq!(refused.code, ErrorCode::InconsistentGroupProtocol.code());
    // Names that come and go: the broker says no, and lives on.
    let mut codes = Vec::new();
    for number in 0..3_000 {
        codes.push(Member::nobody(&format!("{number}")).join_once(&mut client, 9).await.code);
        if codes.last() != Some(&ErrorCode::MemberIdRequired.code()) {
            break;
        }
    }
    assert_eq!(codes.last(), Some(&ErrorCode::CoordinatorNotAvailable.code()), "after {} groups", codes.len());
    until("an answer", async || (broker.group("three").is_some()).then_some(())).await;
}

//! Members come, share the work, go.

use super::*;

#[test]
fn members_that_come_close_together_begin_one_generation_together() {
    let mut world = World::new();
    let a = world.join(&somebody("a"));
    world.pass(DELAY_MS - 1);
    let b = world.join(&somebody("b"));
    // The second one has bought the third one some time.
    world.pass(DELAY_MS - 1);
    let c = world.join(&somebody("c"));
    assert!([a, b, c].iter().all(|ticket| world.waits(*ticket)));
    assert_eq!(world.group.phase(), Phase::PreparingRebalance);
    world.pass(2 * DELAY_MS);
    assert_eq!(world.group.phase(), Phase::CompletingRebalance);
    for (ticket, id) in [(a, "a-u"), (b, "b-u"), (c, "c-u")] {
        let joined = world.joined(ticket);
        assert_eq!((joined.error, joined.generation, &*joined.member), (ErrorCode::None, 1, id));
        assert_eq!((&*joined.leader, joined.protocol.as_deref()), ("a-u", Some("range")));
        assert_eq!(joined.members.len(), if ticket == a { 3 } else { 0 }, "the leader alone is told who is in");
    }
}

#[test]
fn who_asks_for_its_share_waits_for_the_leader() {
    let mut world = World::new();
    world.join(&somebody("a"));
    world.join(&somebody("b"));
    world.pass(2 * DELAY_MS);
    let b = world.sync("b-u", 1, &[]);
    assert!(world.waits(b));
    let a = world.sync("a-u", 1, &[("a-u", "zero"), ("b-u", "one"), ("nobody", "two")]);
    assert_eq!((&*world.synced(a).assignment, &*world.synced(b).assignment), (&b"zero"[..], &b"one"[..]));
    assert_eq!(world.group.phase(), Phase::Stable);
    // Who asks again is told again.
    let again = world.sync("b-u", 1, &[("b-u", "not the leader's")]);
    assert_eq!(&*world.synced(again).assignment, b"one");
}

#[test]
fn a_member_that_is_told_its_id_is_in_once_it_comes_back_with_it() {
    let mut world = World::stable(&["a"]);
    let newer = Joining { is_told_its_id: true, ..somebody("b") };
    let refused = world.join(&newer);
    assert_eq!((world.joined(refused).error, &*world.joined(refused).member), (ErrorCode::MemberIdRequired, "b-u"));
    assert_eq!((world.group.phase(), world.ids()), (Phase::Stable, vec!["a-u".to_owned()]));
    let joined = world.join(&Joining { member: "b-u".into(), ..newer });
    assert_eq!(world.group.phase(), Phase::PreparingRebalance);
    assert_eq!(world.heartbeat("a-u"), Err(ErrorCode::RebalanceInProgress));
    world.rejoin("a-u");
    assert_eq!((world.joined(joined).generation, world.ids().len()), (2, 2));
}

#[test]
fn a_rebalance_waits_for_who_was_told_its_id_and_no_longer_than_its_session() {
    let mut world = World::stable(&["a"]);
    world.join(&Joining { is_told_its_id: true, ..somebody("b") });
    let a = world.rejoin("a-u");
    assert!(world.waits(a));
    world.pass(SESSION_MS);
    assert_eq!(world.joined(a).generation, 2);
}

#[test]
fn a_follower_with_nothing_new_is_told_what_stands_and_the_leader_begins_a_rebalance() {
    let mut world = World::stable(&["a", "b"]);
    let b = world.rejoin("b-u");
    let joined = world.joined(b);
    assert_eq!((joined.generation, joined.members.len(), world.group.phase()), (1, 0, Phase::Stable));
    let a = world.rejoin("a-u");
    assert!(world.waits(a));
    assert_eq!(world.group.phase(), Phase::PreparingRebalance);
    world.rejoin("b-u");
    assert_eq!((world.joined(a).generation, world.joined(a).members.len()), (2, 2));
}

#[test]
fn a_member_with_something_new_cancels_the_shares_that_others_wait_for() {
    let mut world = World::new();
    world.join(&somebody("a"));
    world.join(&somebody("b"));
    world.pass(2 * DELAY_MS);
    let a_again = world.rejoin("a-u");
    assert_eq!((world.joined(a_again).generation, world.joined(a_again).members.len()), (1, 2));
    let b = world.sync("b-u", 1, &[]);
    let other = Joining { protocols: vec![protocol("range", b"new")], member: "a-u".into(), ..somebody("a") };
    let a = world.join(&other);
    assert_eq!(world.synced(b).error, ErrorCode::RebalanceInProgress);
    let late = world.sync("a-u", 1, &[]);
    assert_eq!(world.synced(late).error, ErrorCode::RebalanceInProgress);
    world.rejoin("b-u");
    assert_eq!(world.joined(a).generation, 2);
}

#[test]
fn the_protocol_is_one_that_all_know_and_most_like_best() {
    let mut world = World::new();
    let likes = |client, names: &[&str]| {
        let protocols = names.iter().map(|name| protocol(name, b"")).collect();
        Joining { protocols, ..somebody(client) }
    };
    world.join(&likes("a", &["sticky", "range", "own"]));
    world.join(&likes("b", &["range", "sticky"]));
    let c = world.join(&likes("c", &["range", "sticky", "other"]));
    for names in [&["own"][..], &["other", "own"], &[]] {
        let refused = world.join(&likes("d", names));
        assert_eq!(world.joined(refused).error, ErrorCode::InconsistentGroupProtocol);
    }
    let foreign = world.join(&Joining { protocol_type: "connect".into(), ..likes("d", &["range"]) });
    assert_eq!(world.joined(foreign).error, ErrorCode::InconsistentGroupProtocol);
    world.pass(10 * DELAY_MS);
    assert_eq!(world.joined(c).protocol.as_deref(), Some("range"));
    let inconsistent = Syncing {
        generation: 1,
        member: "a-u",
        instance: None,
        protocol_type: Some(CONSUMER),
        protocol: Some("sticky"),
        assignments: Default::default(),
    };
    world.act(|group, env| group.sync(env, 99, &inconsistent));
    assert_eq!(world.synced(99).error, ErrorCode::InconsistentGroupProtocol);
    // What only the departed did not know may be chosen now.
    world.leave("a-u").unwrap();
    world.join(&Joining { member: "b-u".into(), ..likes("b", &["sticky", "other"]) });
    let c = world.join(&Joining { member: "c-u".into(), ..likes("c", &["other"]) });
    assert_eq!(world.joined(c).protocol.as_deref(), Some("other"));
}

#[test]
fn who_leaves_is_out_and_the_last_one_leaves_the_group_empty() {
    let mut world = World::stable(&["a", "b", "c"]);
    let leaving = ["b-u", "nobody", "c-u"].map(|member| Leaving { member, instance: None });
    let left = world.act(|group, env| group.leave(env, &leaving));
    assert_eq!(left, [Ok(()), Err(ErrorCode::UnknownMemberId), Ok(())]);
    assert_eq!((world.ids(), world.group.phase()), (vec!["a-u".to_owned()], Phase::PreparingRebalance));
    assert_eq!(world.leave("a-u"), Ok(()));
    assert_eq!((world.group.phase(), world.group.generation()), (Phase::Empty, 2));
    assert_eq!((world.group.protocol(), world.group.protocol_type()), (None, CONSUMER));
    assert_eq!(world.memory.used_bytes(), 0);
    // Also an empty group goes on counting.
    let a = world.join(&somebody("a"));
    world.pass(DELAY_MS);
    assert_eq!(world.joined(a).generation, 3);
}

#[test]
fn a_member_that_asks_twice_is_answered_the_second_time() {
    let mut world = World::stable(&["a", "b"]);
    let first = world.rejoin("a-u");
    let second = world.rejoin("a-u");
    assert_eq!(world.told.get(&first), Some(&Answer::Overtaken));
    world.rejoin("b-u");
    assert_eq!(world.joined(second).generation, 2);
    let first = world.sync("b-u", 2, &[]);
    let second = world.sync("b-u", 2, &[]);
    assert_eq!(world.told.get(&first), Some(&Answer::Overtaken));
    world.sync("a-u", 2, &[("b-u", "x")]);
    assert_eq!(&*world.synced(second).assignment, b"x");
}

#[test]
fn a_group_takes_so_many_members_and_a_memory_holds_so_much() {
    let mut world = World::new();
    world.config.size_max = 2;
    world.join(&somebody("a"));
    world.join(&somebody("b"));
    let third = world.join(&somebody("c"));
    assert_eq!(world.joined(third).error, ErrorCode::GroupMaxSizeReached);
    world.pass(2 * DELAY_MS);
    world.share();
    let third = world.join(&somebody("c"));
    assert_eq!(world.joined(third).error, ErrorCode::GroupMaxSizeReached);
    assert_eq!(world.group.phase(), Phase::Stable, "nobody else notices");

    let mut world = World::stable(&["a"]);
    let used = world.memory.used_bytes();
    let large = vec![protocol("range", &vec![0; 1 << 20])];
    let refused = world.join(&Joining { protocols: large.clone(), ..somebody("b") });
    assert_eq!(world.joined(refused).error, ErrorCode::CoordinatorNotAvailable);
    let refused = world.join(&Joining { protocols: large, member: "a-u".into(), ..somebody("a") });
    assert_eq!(world.joined(refused).error, ErrorCode::CoordinatorNotAvailable);
    assert_eq!((world.group.phase(), world.memory.used_bytes()), (Phase::Stable, used));
    world.rejoin("a-u");
    let refused = world.sync("a-u", 2, &[("a-u", &"x".repeat(1 << 20))]);
    assert_eq!(world.synced(refused).error, ErrorCode::CoordinatorNotAvailable);
    let ok = world.sync("a-u", 2, &[("a-u", "x"), ("nobody", &"x".repeat(1 << 20))]);
    assert_eq!(world.synced(ok).error, ErrorCode::None);
}

#[test]
fn the_topics_of_a_group_are_those_that_its_members_name() {
    let mut world = World::stable(&["a"]);
    assert!(world.group.reads("t") && !world.group.reads("u"));
    assert_eq!(world.group.admit_offset_delete(), Ok(()));
    // Three bytes are no subscription: it might read anything.
    world.join(&Joining { member: "a-u".into(), protocols: vec![protocol("range", b"odd")], ..somebody("a") });
    assert!(world.group.reads("u"));
    world.leave("a-u").unwrap();
    assert!(!world.group.reads("t"));
    let mut world = World::new();
    world.join(&Joining { protocol_type: "connect".into(), ..somebody("w") });
    world.pass(DELAY_MS);
    assert_eq!(world.group.admit_offset_delete(), Err(ErrorCode::NonEmptyGroup));
    assert!(!world.group.reads("t"));
}

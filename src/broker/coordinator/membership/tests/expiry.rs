//! What time does to a group.

use super::*;

#[test]
fn a_member_that_is_not_heard_of_is_out_and_the_others_are_to_join_again() {
    let mut world = World::stable(&["a", "b"]);
    for _ in 0..3 {
        world.pass(SESSION_MS / 2);
        let told = world.heartbeat("a-u");
        // What a commit says counts as well.
        if told.is_ok() {
            world.commit(1, "a-u", None).unwrap();
        }
    }
    assert_eq!((world.ids(), world.group.phase()), (vec!["a-u".to_owned()], Phase::PreparingRebalance));
    assert_eq!(world.heartbeat("b-u"), Err(ErrorCode::UnknownMemberId));
    let a = world.rejoin("a-u");
    assert_eq!((world.joined(a).generation, &*world.joined(a).leader), (2, "a-u"));
}

#[test]
fn a_commit_keeps_a_session_alive() {
    let mut world = World::stable(&["a"]);
    for _ in 0..5 {
        world.pass(SESSION_MS - 1);
        assert_eq!(world.commit(1, "a-u", None), Ok(()));
    }
    world.pass(SESSION_MS);
    assert_eq!(world.commit(1, "a-u", None), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn who_does_not_join_again_in_time_is_out_even_if_it_is_alive() {
    let mut world = World::stable(&["a", "b"]);
    let a = world.rejoin("a-u");
    for _ in 0..(REBALANCE_MS / SESSION_MS * 2) {
        assert!(world.waits(a));
        assert_eq!(world.heartbeat("b-u"), Err(ErrorCode::RebalanceInProgress));
        world.pass(SESSION_MS / 2);
    }
    assert_eq!((world.joined(a).generation, world.ids()), (2, vec!["a-u".to_owned()]));
}

#[test]
fn who_waits_need_not_be_heard_of_but_a_new_one_not_for_ever() {
    let mut world = World::stable(&["a", "b"]);
    let mut patient = somebody("c");
    patient.rebalance_timeout = Duration::from_secs(3600);
    let c = world.join(&patient);
    let a = world.rejoin("a-u");
    for _ in 0..58 {
        world.pass(SESSION_MS / 2);
        let _ = world.heartbeat("b-u");
    }
    assert!(world.waits(a) && world.waits(c));
    for _ in 0..4 {
        world.pass(SESSION_MS / 2);
        let _ = world.heartbeat("b-u");
    }
    assert_eq!((world.joined(c).error, world.waits(a)), (ErrorCode::UnknownMemberId, true));
}

#[test]
fn a_leader_that_does_not_join_again_is_replaced() {
    let mut world = World::stable(&["a", "b", "c"]);
    let b = world.join(&Joining { protocols: vec![protocol("range", b"")], member: "b-u".into(), ..somebody("b") });
    let c = world.rejoin("c-u");
    world.pass(REBALANCE_MS);
    let (b, c) = (world.joined(b), world.joined(c));
    assert_eq!((b.generation, &b.leader), (2, &c.leader));
    assert_eq!((b.members.len(), c.members.len()), (2, 0));
}

#[test]
fn who_does_not_ask_for_its_share_in_time_is_out() {
    let mut world = World::new();
    world.join(&somebody("a"));
    world.join(&somebody("b"));
    world.pass(2 * DELAY_MS);
    let a = world.sync("a-u", 1, &[("a-u", "x")]);
    assert_eq!(world.synced(a).error, ErrorCode::None);
    for _ in 0..(REBALANCE_MS / SESSION_MS * 2) {
        let _ = world.heartbeat("a-u");
        let _ = world.heartbeat("b-u");
        world.pass(SESSION_MS / 2);
    }
    assert_eq!((world.ids(), world.group.phase()), (vec!["a-u".to_owned()], Phase::PreparingRebalance));
}

#[test]
fn a_leader_that_dies_before_it_has_shared_leaves_nobody_waiting() {
    let mut world = World::new();
    world.join(&somebody("a"));
    world.join(&somebody("b"));
    world.pass(2 * DELAY_MS);
    let b = world.sync("b-u", 1, &[]);
    world.pass(SESSION_MS);
    assert_eq!(world.synced(b).error, ErrorCode::RebalanceInProgress);
    let b = world.rejoin("b-u");
    assert_eq!((world.joined(b).generation, &*world.joined(b).leader), (2, "b-u"));
}

#[test]
fn a_group_is_deserted_once_nobody_was_there_for_a_while() {
    let mut world = World::stable(&["a"]);
    let while_ = Duration::from_secs(600);
    assert!(!world.act(|group, env| group.is_deserted_for(env, while_)));
    world.leave("a-u").unwrap();
    assert!(!world.act(|group, env| group.is_deserted_for(env, while_)));
    world.pass(599_999);
    assert!(!world.act(|group, env| group.is_deserted_for(env, while_)));
    world.pass(1);
    assert!(world.act(|group, env| group.is_deserted_for(env, while_)));
}

#[test]
fn a_coordinator_that_moves_loses_the_rebalance_under_way_and_no_member() {
    let mut world = World::stable(&["a", "b"]);
    world.join(&somebody("c"));
    let a = world.rejoin("a-u");
    world.act(|group, env| group.move_here(env));
    assert_eq!(world.joined(a).error, ErrorCode::NotCoordinator);
    assert_eq!((world.group.phase(), world.group.generation(), world.ids().len()), (Phase::Stable, 1, 2));
    world.pass(SESSION_MS - 1);
    assert_eq!((world.heartbeat("a-u"), world.heartbeat("b-u")), (Ok(()), Ok(())));
    let share = world.sync("b-u", 1, &[]);
    assert_eq!(&*world.synced(share).assignment, b"b-u");
    // The generation that nobody has a share in yet is lost with its number.
    world.rejoin("a-u");
    world.join(&Joining { member: "b-u".into(), protocols: vec![protocol("range", b"")], ..somebody("b") });
    assert_eq!(world.group.generation(), 2);
    let b = world.sync("b-u", 2, &[]);
    world.act(|group, env| group.move_here(env));
    assert_eq!((world.synced(b).error, world.group.generation()), (ErrorCode::NotCoordinator, 1));
    assert_eq!(world.commit(2, "b-u", None), Err(ErrorCode::IllegalGeneration));
    assert_eq!(world.commit(1, "b-u", None), Ok(()));
}

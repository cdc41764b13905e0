//! Members with a name that outlives their process.

use super::*;

fn named(name: &str, unique: &str) -> Joining {
    Joining { instance: Some(name.into()), unique: unique.into(), ..somebody("client") }
}

/// `a` leads, `b` follows, both with names.
fn stable() -> World {
    let mut world = World::new();
    world.join(&named("a", "1"));
    world.join(&named("b", "1"));
    world.pass(2 * DELAY_MS);
    world.share();
    world
}

#[test]
fn a_static_member_is_back_without_a_rebalance_and_its_old_id_is_fenced() {
    let mut world = stable();
    let back = world.join(&named("b", "2"));
    let joined = world.joined(back);
    assert_eq!((joined.error, joined.generation, &*joined.member), (ErrorCode::None, 1, "b-2"));
    assert_eq!((&*joined.leader, joined.skips_assignment), ("a-1", false));
    assert_eq!(world.group.phase(), Phase::Stable);
    let share = world.sync("b-2", 1, &[]);
    assert_eq!(&*world.synced(share).assignment, b"b-1");
    for (id, instance, told) in [
        ("b-1", Some("b"), Err(ErrorCode::FencedInstanceId)),
        ("b-1", None, Err(ErrorCode::UnknownMemberId)),
        ("b-2", Some("b"), Ok(())),
        ("b-2", Some("nobody"), Err(ErrorCode::UnknownMemberId)),
        ("b-2", Some("a"), Err(ErrorCode::FencedInstanceId)),
    ] {
        assert_eq!(world.act(|group, env| group.heartbeat(env, 1, id, instance)), told, "{id} {instance:?}");
        assert_eq!(world.commit(1, id, instance), told, "{id} {instance:?}");
    }
    let fenced = world.join(&Joining { member: "b-1".into(), ..named("b", "3") });
    assert_eq!(world.joined(fenced).error, ErrorCode::FencedInstanceId);
}

#[test]
fn a_static_leader_that_is_back_is_told_to_share_nothing() {
    let mut world = stable();
    let back = world.join(&named("a", "2"));
    let joined = world.joined(back);
    assert_eq!((&*joined.leader, joined.skips_assignment, joined.members.len()), ("a-2", true, 2));
    // An older client would share anew, so it is told that the one that is gone leads.
    let older = world.join(&Joining { can_skip_assignment: false, ..named("a", "3") });
    let joined = world.joined(older);
    assert_eq!((&*joined.leader, joined.skips_assignment, joined.members.len()), ("a-2", false, 0));
    assert_eq!((&*joined.member, world.group.phase()), ("a-3", Phase::Stable));
}

#[test]
fn a_static_member_that_changes_what_all_know_begins_a_rebalance() {
    let mut world = World::new();
    let both = vec![protocol("range", b""), protocol("sticky", b"")];
    world.join(&Joining { protocols: both.clone(), ..named("a", "1") });
    world.join(&Joining { protocols: both, ..named("b", "1") });
    world.pass(2 * DELAY_MS);
    world.share();
    let back = world.join(&Joining { protocols: vec![protocol("sticky", b"")], ..named("b", "2") });
    assert!(world.waits(back));
    assert_eq!(world.group.phase(), Phase::PreparingRebalance);
    world.join(&Joining { member: "a-1".into(), protocols: vec![protocol("sticky", b"")], ..named("a", "") });
    assert_eq!((world.joined(back).generation, world.joined(back).protocol.as_deref()), (2, Some("sticky")));
}

#[test]
fn a_static_member_that_is_back_while_shares_are_made_begins_another_rebalance() {
    let mut world = World::new();
    world.join(&named("a", "1"));
    world.join(&named("b", "1"));
    world.pass(2 * DELAY_MS);
    let waiting = world.sync("b-1", 1, &[]);
    let back = world.join(&named("b", "2"));
    assert_eq!(world.synced(waiting).error, ErrorCode::FencedInstanceId);
    assert!(world.waits(back));
    let late = world.sync("a-1", 1, &[("b-1", "x")]);
    assert_eq!(world.synced(late).error, ErrorCode::RebalanceInProgress);
    world.join(&Joining { member: "a-1".into(), ..named("a", "") });
    assert_eq!((world.joined(back).generation, world.ids()), (2, vec!["a-1".to_owned(), "b-2".to_owned()]));
}

#[test]
fn a_static_member_that_waits_is_fenced_by_its_successor() {
    let mut world = stable();
    world.join(&Joining { member: "a-1".into(), ..named("a", "") });
    let old = world.join(&named("c", "1"));
    let new = world.join(&named("c", "2"));
    assert_eq!((world.joined(old).error, &*world.joined(old).member), (ErrorCode::FencedInstanceId, "c-1"));
    world.join(&Joining { member: "b-1".into(), ..named("b", "") });
    assert_eq!((world.joined(new).generation, &*world.joined(new).member), (2, "c-2"));
}

#[test]
fn a_static_member_that_misses_a_rebalance_is_in_until_its_session_ends() {
    let mut world = stable();
    let mut long = named("b", "2");
    long.session_timeout = Duration::from_millis(3 * REBALANCE_MS);
    world.join(&long);
    let a = world.join(&Joining { member: "a-1".into(), ..named("a", "") });
    world.pass(REBALANCE_MS);
    let told: Vec<&str> = world.joined(a).members.iter().map(|told| &*told.member).collect();
    assert_eq!((world.joined(a).generation, told), (2, vec!["a-1", "b-2"]));
    // It has not asked for its share either: that one it is put out for.
    world.sync("a-1", 2, &[]);
    for _ in 0..(REBALANCE_MS / SESSION_MS * 2) {
        let _ = world.heartbeat("a-1");
        world.pass(SESSION_MS / 2);
    }
    assert_eq!(world.ids(), ["a-1"]);
}

#[test]
fn static_members_alone_wait_for_one_that_joins() {
    let mut world = World::new();
    let mut long = named("a", "1");
    long.session_timeout = Duration::from_millis(4 * REBALANCE_MS);
    world.join(&long);
    world.join(&somebody("b"));
    world.pass(2 * DELAY_MS);
    world.share();
    world.leave("b-u").unwrap();
    world.pass(2 * REBALANCE_MS);
    assert_eq!((world.group.phase(), world.ids()), (Phase::PreparingRebalance, vec!["a-1".to_owned()]));
    let back = world.join(&named("a", "2"));
    assert_eq!((world.joined(back).generation, world.group.phase()), (2, Phase::CompletingRebalance));
}

#[test]
fn an_administrator_takes_a_static_member_out_by_its_name() {
    let mut world = stable();
    let by_name = |instance| Leaving { member: "", instance };
    let leaving = [by_name(Some("b")), by_name(Some("nobody")), by_name(None)];
    let unknown = Err(ErrorCode::UnknownMemberId);
    assert_eq!(world.act(|group, env| group.leave(env, &leaving)), [Ok(()), unknown, unknown]);
    assert_eq!((world.ids(), world.group.phase()), (vec!["a-1".to_owned()], Phase::PreparingRebalance));
    let wrong = [Leaving { member: "a-0", instance: Some("a") }];
    let fenced = world.act(|group, env| group.leave(env, &wrong));
    assert_eq!(fenced, [Err(ErrorCode::FencedInstanceId)]);
}

#[test]
fn a_static_member_has_its_name_also_after_the_coordinator_has_moved() {
    let mut world = stable();
    let back = world.join(&named("b", "2"));
    assert_eq!(&*world.joined(back).member, "b-2");
    world.act(|group, env| group.move_here(env));
    assert_eq!(world.commit(1, "b-2", Some("b")), Ok(()));
    assert_eq!(world.commit(1, "b-1", Some("b")), Err(ErrorCode::FencedInstanceId));
}

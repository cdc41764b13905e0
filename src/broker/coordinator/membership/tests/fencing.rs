//! Who may say what in which generation.

use super::*;

/// What a commit, a commit in a transaction, a heartbeat and a sync of that generation and member are told.
fn told(world: &mut World, generation: i32, member: &str) -> [Result<(), ErrorCode>; 4] {
    let in_transaction = Committer { generation, member, instance: None, is_transactional: true };
    let commit = world.commit(generation, member, None);
    let transactional = world.act(|group, env| group.admit_commit(env, &in_transaction));
    let heartbeat = world.act(|group, env| group.heartbeat(env, generation, member, None));
    let ticket = world.sync(member, generation, &[]);
    let sync = match world.told.get(&ticket) {
        Some(Answer::Sync(synced)) if synced.error != ErrorCode::None => Err(synced.error),
        _ => Ok(()),
    };
    [commit, transactional, heartbeat, sync]
}

const UNKNOWN: Result<(), ErrorCode> = Err(ErrorCode::UnknownMemberId);
const ILLEGAL: Result<(), ErrorCode> = Err(ErrorCode::IllegalGeneration);
const BUSY: Result<(), ErrorCode> = Err(ErrorCode::RebalanceInProgress);

#[test]
fn an_empty_group_takes_offsets_of_who_claims_no_generation() {
    let mut world = World::new();
    assert_eq!(told(&mut world, -1, ""), [Ok(()), Ok(()), UNKNOWN, UNKNOWN]);
    assert_eq!(told(&mut world, -1, "somebody"), [Ok(()), Ok(()), UNKNOWN, UNKNOWN]);
    assert_eq!(told(&mut world, 0, "somebody"), [UNKNOWN; 4]);
}

#[test]
fn a_stable_group_takes_offsets_of_its_members_in_its_generation() {
    let mut world = World::stable(&["a", "b"]);
    assert_eq!(told(&mut world, 1, "b-u"), [Ok(()); 4]);
    assert_eq!(told(&mut world, 0, "b-u"), [ILLEGAL; 4]);
    assert_eq!(told(&mut world, 2, "b-u"), [ILLEGAL; 4]);
    assert_eq!(told(&mut world, -1, "b-u"), [ILLEGAL; 4]);
    assert_eq!(told(&mut world, 1, "nobody"), [UNKNOWN; 4]);
    // In a transaction older clients could not say who they are.
    assert_eq!(told(&mut world, -1, ""), [UNKNOWN, Ok(()), UNKNOWN, UNKNOWN]);
}

#[test]
fn in_a_rebalance_offsets_are_taken_until_the_next_generation_begins() {
    let mut world = World::stable(&["a", "b"]);
    world.rejoin("a-u");
    assert_eq!(told(&mut world, 1, "b-u"), [Ok(()), Ok(()), BUSY, BUSY]);
    world.rejoin("b-u");
    assert_eq!(told(&mut world, 1, "b-u"), [ILLEGAL; 4]);
    assert_eq!(told(&mut world, 2, "b-u"), [BUSY, Ok(()), Ok(()), Ok(())]);
    world.share();
    assert_eq!(told(&mut world, 2, "b-u"), [Ok(()); 4]);
}

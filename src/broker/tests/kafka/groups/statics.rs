//! Static members: what they are told when they are back, and what becomes of who still has the old id.

use super::*;

/// Static members.
pub(super) async fn named(peer: &mut Peer<'_>) {
    let (topic, _) = peer.topic("groups-of-names", &[]).await;
    let mut seen = Seen::new(peer, "named").await;
    let mut one = Member::named(&seen.group, "first");
    let mut two = Member::named(&seen.group, "second");
    (one.rebalance_ms, two.rebalance_ms) = (1_000, 1_000);
    let joined = one.join_once(&mut seen.at, 9).await;
    let is_like_kafkas = joined.member.len() == "first-".len() + 36 && joined.member.starts_with("first-");
    seen.name(&one, "<one>");
    seen.note("the id of a static member", is_like_kafkas);
    seen.note("a static member joins", joined);
    one.sync(&mut seen.at, 5, &[(&one.id, b"all")]).await;
    let mut at_two = seen.connect().await;
    two.ask_to_join(&mut at_two, 9).await;
    until_members(&mut seen.at, &seen.group, 2).await;
    one.join_once(&mut seen.at, 9).await;
    let joined = two.joined(&mut at_two, 9).await;
    seen.name(&two, "<two>");
    seen.note("another static member joins", joined);
    two.ask_to_sync(&mut at_two, 5, &[]).await;
    one.sync(&mut seen.at, 5, &[(&one.id, b"first"), (&two.id, b"second")]).await;
    two.synced(&mut at_two, 5).await;
    seen.describe("two static members").await;
    for version in [5, 9] {
        let name = if version == 5 { "<two, back>" } else { "<two, back again>" };
        let mut back = Member::named(&seen.group, "second");
        let joined = back.join_once(&mut at_two, version).await;
        seen.name(&back, name);
        seen.note(format!("the follower is back v{version}"), joined);
        let told = back.sync(&mut at_two, 5, &[]).await;
        seen.note("its share", told);
        seen.fencing("its successor is there", &two, &topic).await;
        let told = two.clone().join_once(&mut at_two, 9).await;
        seen.note("the fenced one joins", told);
        let told = two.sync(&mut at_two, 5, &[]).await;
        seen.note("the fenced one syncs", told);
        let left = two.leave(&mut seen.at, 5).await;
        seen.note("the fenced one leaves", left);
        two = back;
    }
    seen.describe("the follower is back").await;
    for version in [5, 9] {
        let name = if version == 5 { "<one, back>" } else { "<one, back again>" };
        let mut back = Member::named(&seen.group, "first");
        let mut joined = back.join_once(&mut at_two, version).await;
        seen.name(&back, name);
        joined.members.sort_by_key(|(_, instance, _)| instance.clone());
        seen.note(format!("the leader is back v{version}"), joined);
        let told = back.sync(&mut at_two, 5, &[]).await;
        seen.note("the leader's share", told);
        one = back;
    }
    // One that misses a rebalance stays, and its successor is fenced in nothing.
    let mut three = Member { rebalance_ms: 1_000, ..Member::nobody(&seen.group) };
    three.join_once(&mut at_two, 9).await;
    seen.name(&three, "<three>");
    three.ask_to_join(&mut at_two, 9).await;
    until_members(&mut seen.at, &seen.group, 3).await;
    let mut joined = three.joined(&mut at_two, 9).await;
    joined.members.sort_by_key(|(_, instance, _)| instance.clone());
    seen.note("a rebalance that static members have missed", (joined.code, joined.generation, &joined.members));
    seen.describe("static members have missed a rebalance").await;
    let group = seen.group.clone();
    let mut left = leave(&mut seen.at, 3, &group, &[("", Some("second")), ("", Some("nobody"))]).await;
    seen.note("an administrator removes static members", left);
    left =
        leave(&mut seen.at, 5, &group, &[(&two.id, Some("first")), (&one.id, None), (&three.id, Some("first"))]).await;
    seen.note("by names and ids that do not belong together", left);
    left = leave(&mut seen.at, 5, &group, &[(&three.id, None), (&one.id, Some("first"))]).await;
    seen.note("the rest leaves", left);
    seen.describe("all have left").await;
}

//! Rivals, zombies, and transactions whose time is up.

use super::super::transactional::*;
use super::coordinator::Seen;
use super::*;

/// All that somebody who has lost his id could try.
async fn all_that_a_zombie_tries(
    peer: &mut Peer<'_>,
    when: &str,
    zombie: &mut Seen,
    who: Who,
    (leader, topic): (&mut Client, &str),
    (fresh_leader, fresh): (&mut Client, &str),
) {
    for version in [11, 12] {
        zombie.write(peer, &format!("{when}, known partition"), version, who, 1, (&mut *leader, topic)).await;
        zombie.write(peer, &format!("{when}, fresh partition"), version, who, 0, (&mut *fresh_leader, fresh)).await;
    }
    for version in [1, 3] {
        let added = zombie.id.add(version, who, &[(topic, 0)]).await;
        let offsets = zombie.id.add_offsets(version, who, "zombies").await;
        peer.note(format!("{when}: add v{version}"), (added, offsets));
    }
    for version in [1, 3, 4, 5] {
        for commits in [true, false] {
            zombie.end(peer, when, version, who, commits).await;
        }
    }
    for (what, client, topic) in [("known", leader, topic), ("fresh", fresh_leader, fresh)] {
        let plain = records_of(who, if what == "known" { 1 } else { 0 }, 1, false);
        let answer = client.produce_at(12, &produce_request(topic, 0, Some(&plain))).await;
        peer.note(format!("{when}: a plain batch, {what} partition"), (answer.error_code, answer.base_offset));
    }
}

async fn rivals(peer: &mut Peer<'_>) {
    let (topic, mut leader) = peer.topic("rivals", &[]).await;
    let (fresh, mut fresh_leader) = peer.topic("rivals-fresh", &[]).await;
    let mut first = Seen::find(peer, "rivals").await;
    let zombie = first.init(peer, "the first", 4, None, 60_000).await;
    first.write(peer, "the first", 12, zombie, 0, (&mut leader, &topic)).await;
    let mut rival = first.again(peer).await;
    rival.init(peer, "a rival, while a transaction is open", 4, None, 60_000).await;
    rival.describe(peer, "aborted for a rival").await;
    // The rival has not come back yet.
    first.end(peer, "before the rival is back", 5, zombie, true).await;
    first.end(peer, "before the rival is back", 5, zombie, false).await;
    first.end(peer, "before the rival is back", 3, zombie, false).await;
    first.write(peer, "before the rival is back", 12, zombie, 1, (&mut leader, &topic)).await;
    let successor = rival.init(peer, "the rival again", 4, None, 60_000).await;
    peer.note("epochs between", successor.1 - zombie.1);
    let zombies = (&mut leader, &*topic);
    all_that_a_zombie_tries(peer, "fenced", &mut first, zombie, zombies, (&mut fresh_leader, &fresh)).await;
    first.init(peer, "of the fenced one", 5, Some(zombie), 60_000).await;
    first.init(peer, "of the fenced one", 3, Some(zombie), 60_000).await;
    rival.write(peer, "the successor", 12, successor, 0, (&mut leader, &topic)).await;
    first.end(peer, "while the successor's is open", 5, zombie, true).await;
    first.end(peer, "while the successor's is open", 4, zombie, false).await;
    rival.describe(peer, "the successor's transaction").await;
    // Naming the id alone is enough to abort it.
    first.init(peer, "of the fenced one, while the successor's is open", 5, Some(zombie), 60_000).await;
    rival.describe(peer, "after the fenced one asked for its id").await;
    rival.init(peer, "of the successor", 5, Some(successor), 60_000).await;

    // The owner is back before the rival.
    let mut first = Seen::find(peer, "back-first").await;
    let owner = first.init(peer, "back first", 4, None, 60_000).await;
    first.write(peer, "back first", 12, owner, 0, (&mut leader, &topic)).await;
    let mut rival = first.again(peer).await;
    rival.init(peer, "a rival", 4, None, 60_000).await;
    rival.id.settle().await;
    first.init(peer, "of the owner, before the rival is back", 5, Some(owner), 60_000).await;
    rival.init(peer, "of the rival then", 5, None, 60_000).await;
    first.init(peer, "of the owner then", 5, Some(owner), 60_000).await;
}

async fn idle(peer: &mut Peer<'_>) {
    let (topic, mut leader) = peer.topic("idle", &[]).await;
    let (fresh, mut fresh_leader) = peer.topic("idle-fresh", &[]).await;
    let mut first = Seen::find(peer, "idle").await;
    let zero = first.init(peer, "idle", 4, None, 60_000).await;
    first.write(peer, "idle", 12, zero, 0, (&mut leader, &topic)).await;
    let one = first.end(peer, "idle", 5, zero, true).await;
    let mut rival = first.again(peer).await;
    rival.id.settle().await;
    rival.init(peer, "a rival, while none is open", 4, None, 60_000).await;
    let zombies = (&mut leader, &*topic);
    all_that_a_zombie_tries(peer, "fenced while idle", &mut first, one, zombies, (&mut fresh_leader, &fresh)).await;
}

async fn timed_out(peer: &mut Peer<'_>) {
    let (topic, mut leader) = peer.topic("late", &[]).await;
    let (fresh, mut fresh_leader) = peer.topic("late-fresh", &[]).await;
    let mut ids = Vec::new();
    for name in ["late-1", "late-2", "late-3"] {
        let mut seen = Seen::find(peer, name).await;
        let who = seen.init(peer, name, 4, None, 1_000).await;
        seen.write(peer, name, 12, who, 0, (&mut leader, &topic)).await;
        ids.push((seen, who));
    }
    for (seen, _) in &mut ids {
        until("the end of its time", async || {
            (seen.id.describe().await.transaction_state == "CompleteAbort").then_some(())
        })
        .await;
    }
    let [(one, who_1), (two, who_2), (three, who_3)] = &mut ids[..] else { panic!("three ids") };
    one.describe(peer, "its time was up").await;
    all_that_a_zombie_tries(peer, "too late", one, *who_1, (&mut leader, &topic), (&mut fresh_leader, &fresh)).await;
    let next = two.init(peer, "of who was too late", 5, Some(*who_2), 60_000).await;
    two.init(peer, "of who was too late, repeated", 5, Some(*who_2), 60_000).await;
    two.write(peer, "of who was too late", 12, next, 0, (&mut leader, &topic)).await;
    two.end(peer, "of who was too late", 5, next, true).await;
    three.init(peer, "plain, of who was too late", 5, None, 60_000).await;
    three.init(peer, "of who was too late, after a plain one", 5, Some(*who_3), 60_000).await;
}

pub(super) async fn fencing(peer: &mut Peer<'_>) {
    rivals(peer).await;
    idle(peer).await;
    timed_out(peer).await;
}

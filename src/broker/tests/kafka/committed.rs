//! Committed offsets, in transactions and without.

use super::super::transactional::*;
use super::*;
use crate::wire::offset_commit::{
    OffsetCommit, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::wire::offset_fetch::{OffsetFetch, OffsetFetchRequest, OffsetFetchRequestGroup};

/// A connection to a group's coordinator, once it is ready.
async fn group_at(peer: &mut Peer<'_>, group: &str) -> Client {
    until("a group's coordinator", async || {
        let address = coordinator_of(&mut peer.bootstrap, group, 0).await?;
        let mut at = Client::connect_at(&address).await;
        (committed(&mut at, 7, group, ("t", 0), true).await.0 == 0).then_some(at)
    })
    .await
}

async fn commit(at: &mut Client, version: i16, group: &str, topic: &str, partition: i32, upto: &Upto) -> i16 {
    let partitions = vec![OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: upto.offset,
        committed_metadata: upto.metadata.clone(),
        ..Default::default()
    }];
    let request = OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: upto.generation,
        member_id: upto.member.clone(),
        topics: vec![OffsetCommitRequestTopic { name: topic.into(), partitions }],
        ..Default::default()
    };
    at.call::<OffsetCommit, _>(version, &request, |r| r.topics[0].partitions[0].error_code).await
}

/// What may be said of a commit, and what not.
fn sorts() -> Vec<(&'static str, Upto)> {
    let with = |generation, member: &str, metadata: Option<usize>| Upto {
        generation,
        member: member.into(),
        metadata: metadata.map(|chars| "é".repeat(chars)),
        ..Upto::offset(5)
    };
    vec![
        ("generation 5", with(5, "", Some(1))),
        ("generation 5 of a member", with(5, "somebody", Some(1))),
        ("generation -1 of a member", with(-1, "somebody", Some(1))),
        ("generation 0", with(0, "", Some(1))),
        ("no metadata", with(-1, "", None)),
        ("metadata of 4096", with(-1, "", Some(4096))),
        ("metadata of 4097", with(-1, "", Some(4097))),
        ("offset -5", Upto::offset(-5)),
    ]
}

async fn plain(peer: &mut Peer<'_>) {
    let (topic, _) = peer.topic("plain", &[]).await;
    let group = format!("{}plain", peer.prefix);
    let mut at = group_at(peer, &group).await;
    for version in OffsetFetch::VERSIONS {
        let told = committed(&mut at, version, &group, (&topic, 0), true).await;
        peer.note(format!("offsets v{version} of a group that is not there"), told);
    }
    let unknown = commit(&mut at, 8, &group, &topic, 0, &sorts()[0].1).await;
    let unknown_newer = commit(&mut at, 9, &group, &topic, 0, &sorts()[0].1).await;
    peer.note("commit of a generation to a group that is not there", (unknown, unknown_newer));
    for version in OffsetCommit::VERSIONS {
        let upto = Upto::offset(100 + i64::from(version));
        let code = commit(&mut at, version, &group, &topic, 0, &upto).await;
        peer.note(format!("commit v{version}"), code);
    }
    for version in [2, 8, 9] {
        for (what, upto) in sorts() {
            let code = commit(&mut at, version, &group, &topic, 0, &upto).await;
            peer.note(format!("commit v{version}, {what}"), code);
        }
    }
    let elsewhere = [
        commit(&mut at, 8, &group, "no-such", 0, &Upto::offset(1)).await,
        commit(&mut at, 8, &group, &topic, 9, &Upto::offset(1)).await,
    ];
    peer.note("commit for what is not there", elsewhere);
    let nameless = commit(&mut at, 8, "", &topic, 0, &Upto::offset(1)).await;
    peer.note("commit of a group without a name, where it is coordinated", nameless == 0 || nameless == 16);
    for version in OffsetFetch::VERSIONS {
        for (what, topic, partition) in [("", &*topic, 0), (", no offset", &*topic, 9), (", no topic", "no-such", 0)] {
            let (error, code, offset, metadata) = committed(&mut at, version, &group, (topic, partition), true).await;
            let metadata = metadata.map(|text| text.chars().count());
            peer.note(format!("offsets v{version}{what}"), (error, code, offset, metadata));
        }
        if version < 2 {
            continue;
        }
        let all = match version {
            2..=7 => OffsetFetchRequest { group_id: group.clone(), topics: None, ..Default::default() },
            _ => {
                let one = |group_id: String| OffsetFetchRequestGroup { group_id, topics: None, ..Default::default() };
                OffsetFetchRequest { groups: vec![one(group.clone())], ..Default::default() }
            }
        };
        let told = at.call::<OffsetFetch, _>(version, &all, |r| {
            let older: Vec<_> = r.topics.iter().map(|t| (t.name.clone(), t.partitions.len())).collect();
            let newer = |group: &crate::wire::offset_fetch::OffsetFetchResponseGroup| {
                let topics: Vec<_> = group.topics.iter().map(|t| (t.name.clone(), t.partitions.len())).collect();
                (group.error_code, topics)
            };
            (r.error_code, older, r.groups.iter().map(newer).collect::<Vec<_>>())
        });
        let told = told.await;
        peer.note(format!("all offsets v{version}"), told);
    }
}

async fn transactional(peer: &mut Peer<'_>) {
    let (topic, mut leader) = peer.topic("with-offsets", &[]).await;
    let group = format!("{}with-offsets", peer.prefix);
    let mut at = group_at(peer, &group).await;
    let name = format!("{}with-offsets", peer.prefix);
    let mut id = Id::find(&mut peer.bootstrap, &name).await;
    let zero = id.init().await;
    let names = (&*name, &*group);
    let t0 = (&*topic, 0);
    for version in [0, 2, 3, 4] {
        let code = commit_in(&mut at, version, names, zero, t0, &Upto::offset(1)).await;
        peer.note(format!("commit in a transaction v{version}, not added"), code);
    }
    let nobody = commit_in(&mut at, 4, ("nobody", &group), zero, t0, &Upto::offset(1)).await;
    let nobody_newer = commit_in(&mut at, 5, ("nobody", &group), zero, t0, &Upto::offset(1)).await;
    peer.note("commit in the transaction of an unknown id", (nobody, nobody_newer));
    for (what, who) in [("epoch too high", (zero.0, 7)), ("another id", (zero.0 + 1, 0))] {
        let codes = [
            commit_in(&mut at, 2, names, who, t0, &Upto::offset(1)).await,
            commit_in(&mut at, 5, names, who, t0, &Upto::offset(1)).await,
        ];
        peer.note(format!("commit in a transaction, {what}"), codes);
    }
    let elsewhere = commit_in(&mut at, 5, names, zero, ("no-such", 0), &Upto::offset(1)).await;
    peer.note("commit in a transaction for what is not there", elsewhere);
    peer.note("and nothing is open by that", id.describe().await.transaction_state);
    let (what, upto) = &sorts()[0];
    let code = commit_in(&mut at, 5, names, zero, t0, upto).await;
    peer.note(format!("commit in a transaction, no group yet, {what}"), code);
    peer.note("and something is open by that", id.describe().await.transaction_state);
    let code = commit_in(&mut at, 5, names, zero, t0, &Upto::offset(11)).await;
    peer.note("commit in a transaction v5", code);
    for (what, upto) in sorts() {
        let code = commit_in(&mut at, 5, names, zero, (&topic, 0), &upto).await;
        peer.note(format!("commit in a transaction, {what}"), code);
    }
    commit_in(&mut at, 5, names, zero, t0, &Upto::offset(12)).await;
    let empty = commit_in(&mut at, 5, (&name, ""), zero, t0, &Upto::offset(1)).await;
    peer.note("commit in a transaction for a group without a name", empty);
    for stable in [true, false] {
        let told = committed(&mut at, 7, &group, t0, stable).await;
        let newer = committed(&mut at, 9, &group, t0, stable).await;
        peer.note(format!("offset while it is open, stable {stable}"), (told, newer));
    }
    peer.note("its state", id.describe().await.transaction_state);
    assert_eq!(write(&mut leader, 12, Some(&name), zero, 0, t0).await.0, 0);
    let one = id.finish(zero, true).await;
    let told = until("the stable offset", async || {
        let told = committed(&mut at, 9, &group, t0, true).await;
        (told.1 != 88).then_some(told)
    });
    peer.note("offset once it is committed", told.await);
    let zombie = [
        commit_in(&mut at, 5, names, zero, t0, &Upto::offset(13)).await,
        commit_in(&mut at, 3, names, zero, t0, &Upto::offset(13)).await,
    ];
    peer.note("commit in a transaction at the epoch before", zombie);
    // As older clients do it.
    let added = id.add_offsets(3, one, &group).await;
    peer.note("add offsets", added);
    for version in [0, 2, 4] {
        let code = commit_in(&mut at, version, names, one, t0, &Upto::offset(20)).await;
        peer.note(format!("commit in a transaction v{version}, added"), code);
    }
    let two = id.finish(one, false).await;
    let told = until("the stable offset", async || {
        let told = committed(&mut at, 9, &group, t0, true).await;
        (told.1 != 88).then_some(told)
    });
    peer.note("offset once it is aborted", told.await);
    peer.note("epochs", two.1 - zero.1);
    // A plain commit while one is open.
    commit_in(&mut at, 5, names, two, t0, &Upto::offset(30)).await;
    let code = commit(&mut at, 8, &group, &topic, 0, &Upto::offset(25)).await;
    peer.note("a plain commit while one in a transaction is open", code);
    let told = (committed(&mut at, 9, &group, t0, true).await, committed(&mut at, 9, &group, t0, false).await);
    peer.note("offset then", told);
    id.finish(two, true).await;
    let told = until("the stable offset", async || {
        let told = committed(&mut at, 9, &group, t0, true).await;
        (told.1 != 88).then_some(told)
    });
    peer.note("offset at last", told.await);
}

pub(super) async fn committed_offsets(peer: &mut Peer<'_>) {
    plain(peer).await;
    transactional(peer).await;
}

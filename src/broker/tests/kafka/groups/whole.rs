//! Groups as a whole: listed, deleted, asked for at the wrong node.

use super::*;
use crate::wire::delete_groups::{DeleteGroups, DeleteGroupsRequest};
use crate::wire::offset_delete::{
    OffsetDelete, OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};

/// Groups as a whole.
pub(super) async fn whole(peer: &mut Peer<'_>) {
    let (topic, _) = peer.topic("groups-deleted", &[]).await;
    let subscription =
        [&[0, 0, 0, 0, 0, 1], &(topic.len() as i16).to_be_bytes()[..], topic.as_bytes(), &[0; 4]].concat();
    let mut seen = Seen::new(peer, "whole").await;
    let delete = async |seen: &mut Seen<'_, '_>, what: &str, groups: &[&str]| {
        for version in DeleteGroups::VERSIONS {
            let groups_names = groups.iter().map(|group| (*group).to_owned()).collect();
            let read = |r: &crate::wire::delete_groups::DeleteGroupsResponse| {
                r.results.iter().map(|result| (result.group_id.clone(), result.error_code)).collect::<Vec<_>>()
            };
            let request = DeleteGroupsRequest { groups_names };
            let told = seen.at.call::<DeleteGroups, _>(version, &request, read).await;
            seen.note(format!("delete groups v{version}, {what}"), told);
        }
    };
    let delete_offsets = async |seen: &mut Seen<'_, '_>, what: &str, group: &str| {
        let of = |name: &str, partitions: &[i32]| OffsetDeleteRequestTopic {
            name: name.into(),
            partitions: partitions.iter().map(|p| OffsetDeleteRequestPartition { partition_index: *p }).collect(),
        };
        let request =
            OffsetDeleteRequest { group_id: group.into(), topics: vec![of(&topic, &[0]), of("no-such-topic", &[0])] };
        let told = seen.at.call::<OffsetDelete, _>(0, &request, |r| {
            let codes = |t: &crate::wire::offset_delete::OffsetDeleteResponseTopic| {
                (t.name.clone(), t.partitions.iter().map(|p| (p.partition_index, p.error_code)).collect::<Vec<_>>())
            };
            let mut topics: Vec<_> = r.topics.iter().map(codes).collect();
            topics.sort();
            (r.error_code, topics)
        });
        let told = told.await;
        seen.note(format!("delete offsets, {what}"), told);
    };
    let group = seen.group.clone();
    delete(&mut seen, "it is not there", &[&group]).await;
    delete_offsets(&mut seen, "it is not there", &group).await;
    delete_offsets(&mut seen, "no group", "").await;
    let mut one = Member { protocols: vec![("range".into(), subscription)], ..Member::nobody(&group) };
    assert_eq!(one.join(&mut seen.at, 9).await.code, 0);
    one.sync(&mut seen.at, 5, &[(&one.id, b"all")]).await;
    assert_eq!(one.commit(&mut seen.at, 8, &topic, 7).await, 0);
    delete(&mut seen, "it has a member", &[&group]).await;
    delete_offsets(&mut seen, "it has a member that reads it", &group).await;
    one.protocols = vec![("range".into(), READS_T.to_vec())];
    one.join_once(&mut seen.at, 9).await;
    delete_offsets(&mut seen, "it has a member that reads something else", &group).await;
    let told = committed(&mut seen.at, 8, &group, (&topic, 0), true).await;
    seen.note("an offset that was deleted", told);
    one.protocols = vec![("range".into(), b"odd".to_vec())];
    one.join_once(&mut seen.at, 9).await;
    delete_offsets(&mut seen, "its member does not say what it reads", &group).await;
    one.leave(&mut seen.at, 5).await;
    let mut other = Member { protocol_type: "connect".into(), ..Member::nobody(&group) };
    seen.join("a member of another type", 9, &mut other, "<other>").await;
    delete_offsets(&mut seen, "its member is of another type", &group).await;
    other.leave(&mut seen.at, 5).await;
    assert_eq!(Member::nobody(&group).commit(&mut seen.at, 8, &topic, 7).await, 0);
    for (what, version, states, types) in [
        ("all", 5, vec![], vec![]),
        ("empty ones", 4, vec!["Empty"], vec![]),
        ("empty ones in another case", 5, vec![" eMPTY "], vec![]),
        ("stable ones", 5, vec!["Stable"], vec![]),
        ("no such state", 5, vec!["Nonsense"], vec![]),
        ("classic ones", 5, vec![], vec!["Classic"]),
        ("newer ones", 5, vec![], vec!["consumer"]),
        ("no such type", 5, vec![], vec!["nonsense"]),
        ("no such type and a classic one", 5, vec!["Empty"], vec!["nonsense", "classic"]),
    ] {
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        let request = ListGroupsRequest { states_filter: owned(states), types_filter: owned(types) };
        let listed = seen.at.call::<ListGroups, _>(version, &request, |r| {
            let mine = r.groups.iter().filter(|listed| listed.group_id == group);
            let told = |g: &crate::wire::list_groups::ListedGroup| {
                (g.protocol_type.clone(), g.group_state.clone(), g.group_type.clone())
            };
            (r.error_code, mine.map(told).collect::<Vec<_>>())
        });
        let listed = listed.await;
        seen.note(format!("list {what}"), listed);
    }
    delete(&mut seen, "it is empty", &[&group, &group]).await;
    seen.describe("it was deleted").await;
    let read = |r: &crate::wire::describe_groups::DescribeGroupsResponse<'_>| {
        let told = |g: &crate::wire::describe_groups::DescribedGroup<'_>| {
            (g.error_code, g.group_state.clone(), g.error_message.clone())
        };
        r.groups.iter().map(told).collect::<Vec<_>>()
    };
    let request = DescribeGroupsRequest { groups: vec![String::new()], include_authorized_operations: false };
    let told = seen.at.call::<DescribeGroups, _>(6, &request, read).await;
    // Whether this node would coordinate it is chance.
    seen.note("describe a group without a name", told.iter().all(|(code, ..)| [0, 16, 69].contains(code)));
    let told = committed(&mut seen.at, 8, &group, (&topic, 0), true).await;
    seen.note("an offset of a deleted group", told);
}

/// The node that does not coordinate a group sends everybody away.
pub(super) async fn elsewhere(peer: &mut Peer<'_>) {
    let (topic, _) = peer.topic("groups-elsewhere", &[]).await;
    let mut seen = Seen::new(peer, "elsewhere").await;
    let mut one = Member::nobody(&seen.group);
    seen.join("a member", 9, &mut one, "<one>").await;
    one.sync(&mut seen.at, 5, &[(&one.id, b"all")]).await;
    let home = coordinator_of(&mut seen.peer.bootstrap, &seen.group, 0).await.unwrap();
    let addresses =
        seen.peer.metadata("x", |r| r.brokers.iter().map(|b| format!("{}:{}", b.host, b.port)).collect::<Vec<_>>());
    let other = addresses.await.into_iter().find(|address| *address != home);
    // A cluster of one node has no other.
    let Some(other) = other else { return };
    let (mut at, group) = (Client::connect_at(&other).await, seen.group.clone());
    for (what, member) in [("a member", one.clone()), ("somebody new", Member::nobody(&group))] {
        let codes = [
            member.heartbeat(&mut at).await,
            member.commit(&mut at, 8, &topic, 5).await,
            member.commit(&mut at, 8, "no-such-topic", 5).await,
        ];
        seen.note(format!("heartbeat and commits of {what}, elsewhere"), codes);
        for version in [3, 9] {
            let joined = member.clone().join_once(&mut at, version).await;
            seen.note(format!("join v{version} of {what}, elsewhere"), joined);
        }
        let told = member.sync(&mut at, 5, &[]).await;
        seen.note(format!("sync of {what}, elsewhere"), told);
        for version in [2, 5] {
            let left = member.leave(&mut at, version).await;
            seen.note(format!("leave v{version} of {what}, elsewhere"), left);
        }
    }
    for version in DescribeGroups::VERSIONS {
        let described = describe(&mut at, version, &group).await;
        seen.note(format!("describe v{version}, elsewhere"), described);
    }
    let request = DeleteGroupsRequest { groups_names: vec![group.clone()] };
    let told = at.call::<DeleteGroups, _>(2, &request, |r| r.results.iter().map(|r| r.error_code).collect::<Vec<_>>());
    let told = told.await;
    seen.note("delete, elsewhere", told);
    let request = OffsetDeleteRequest { group_id: group.clone(), ..Default::default() };
    let told = at.call::<OffsetDelete, _>(0, &request, |r| (r.error_code, r.topics.len())).await;
    seen.note("delete offsets, elsewhere", told);
    let is_listed = |r: &crate::wire::list_groups::ListGroupsResponse| r.groups.iter().any(|g| g.group_id == group);
    let listed = at.call::<ListGroups, _>(5, &ListGroupsRequest::default(), is_listed).await;
    seen.note("listed, elsewhere", listed);
    // The coordinator, asked twice in one request.
    let request = DescribeGroupsRequest { groups: vec![group.clone(), group.clone()], ..Default::default() };
    let told = seen.at.call::<DescribeGroups, _>(6, &request, |r| {
        r.groups.iter().map(|group| (group.error_code, group.group_state.clone())).collect::<Vec<_>>()
    });
    let told = told.await;
    seen.note("describe a group twice", told);
}

//! Groups and their members: every code, and what a group looks like in every state.

use super::super::grouped::*;
use super::super::transactional::*;
use super::*;
use crate::wire::delete_groups::{DeleteGroups, DeleteGroupsRequest};
use crate::wire::describe_groups::{DescribeGroups, DescribeGroupsRequest};
use crate::wire::heartbeat::Heartbeat;
use crate::wire::join_group::JoinGroup;
use crate::wire::leave_group::LeaveGroup;
use crate::wire::list_groups::{ListGroups, ListGroupsRequest};
use crate::wire::offset_delete::{
    OffsetDelete, OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use crate::wire::sync_group::SyncGroup;

/// One group under observation.
struct Seen<'p, 'b> {
    peer: &'p mut Peer<'b>,
    group: String,
    /// A connection for whoever does not wait.
    at: Client,
    /// Member ids, and what they are called here: they are random.
    names: Vec<(String, &'static str)>,
}

impl<'p, 'b> Seen<'p, 'b> {
    async fn new(peer: &'p mut Peer<'b>, name: &str) -> Self {
        let group = format!("{}{name}", peer.prefix);
        let at = group_at(&mut peer.bootstrap, &group).await;
        Self { peer, group, at, names: Vec::new() }
    }

    /// Another connection to the coordinator.
    async fn connect(&mut self) -> Client {
        group_at(&mut self.peer.bootstrap, &self.group).await
    }

    fn note(&mut self, what: impl Into<String>, answer: impl std::fmt::Debug) {
        let mut answer = format!("{answer:?}");
        for (id, name) in self.names.iter().filter(|(id, _)| !id.is_empty()) {
            answer = answer.replace(id.as_str(), name);
        }
        self.peer.note(what.into(), answer);
    }

    fn name(&mut self, member: &Member, name: &'static str) {
        self.names.push((member.id.clone(), name));
    }

    /// A member joins at once, which no other hinders; its id is known by that name from now on.
    async fn join(&mut self, what: &str, version: i16, member: &mut Member, name: &'static str) {
        let mut at = self.connect().await;
        let joined = member.join_once(&mut at, version).await;
        if joined.code == 79 {
            let is_like_kafkas = joined.member.len() == "test-".len() + 36 && joined.member.starts_with("test-");
            self.note(format!("{what}: an id v{version}"), is_like_kafkas);
            let named = Joined { member: String::new(), ..joined };
            self.note(format!("{what}: told its id v{version}"), named);
            let joined = member.join_once(&mut at, version).await;
            self.name(member, name);
            return self.note(format!("{what} v{version}"), joined);
        }
        self.name(member, name);
        self.note(format!("{what} v{version}"), joined);
    }

    /// What the group looks like, at every version.
    async fn describe(&mut self, when: &str) {
        for version in DescribeGroups::VERSIONS {
            let mut described = describe(&mut self.at, version, &self.group).await;
            // Random ids have no order that two clusters share.
            for member in &mut described.members {
                if let Some((_, name)) = self.names.iter().find(|(id, _)| *id == member.id) {
                    member.id = (*name).to_owned();
                }
            }
            described.members.sort();
            self.note(format!("describe v{version}, {when}"), described);
        }
        let request = ListGroupsRequest::default();
        let group = self.group.clone();
        let listed = self.at.call::<ListGroups, _>(5, &request, |r| {
            let mine = r.groups.iter().filter(|listed| listed.group_id == group);
            mine.map(|g| (g.protocol_type.clone(), g.group_state.clone(), g.group_type.clone())).collect::<Vec<_>>()
        });
        let listed = listed.await;
        self.note(format!("listed, {when}"), listed);
    }

    /// What members may do, at this generation and at others.
    async fn fencing(&mut self, when: &str, member: &Member, topic: &str) {
        let nobody = Member::nobody(&self.group);
        let sorts = [
            ("itself", member.clone()),
            ("the generation before", Member { generation: member.generation - 1, ..member.clone() }),
            ("the generation after", Member { generation: member.generation + 1, ..member.clone() }),
            ("no generation", Member { generation: -1, ..member.clone() }),
            ("somebody else", Member { id: "somebody".into(), instance: None, ..member.clone() }),
            ("nobody", nobody.clone()),
            ("a name that nobody has", Member { instance: Some("no-such".into()), ..member.clone() }),
        ];
        for (who, member) in &sorts {
            let codes = [
                member.heartbeat(&mut self.at).await,
                member.commit(&mut self.at, 8, topic, 5).await,
                member.commit(&mut self.at, 9, topic, 5).await,
                member.commit(&mut self.at, 8, "no-such-topic", 5).await,
            ];
            self.note(format!("heartbeat and commits of {who}, {when}"), codes);
        }
    }
}

/// A group of one, at every version of each request.
async fn alone(peer: &mut Peer<'_>) {
    let (topic, _) = peer.topic("groups", &[]).await;
    let mut seen = Seen::new(peer, "alone").await;
    seen.describe("it is not there").await;
    let absent = Member { id: "somebody".into(), generation: 1, ..Member::nobody(&seen.group) };
    seen.fencing("it is not there", &absent, &topic).await;
    for version in JoinGroup::VERSIONS {
        let joined = absent.clone().join_once(&mut seen.at, version).await;
        seen.note(format!("join v{version} of a member that is not there"), joined);
    }
    for version in SyncGroup::VERSIONS {
        let synced = absent.sync(&mut seen.at, version, &[]).await;
        seen.note(format!("sync v{version}, it is not there"), synced);
    }
    for version in LeaveGroup::VERSIONS {
        let left = absent.leave(&mut seen.at, version).await;
        seen.note(format!("leave v{version}, it is not there"), left);
    }
    let nobody = Member::nobody(&seen.group);
    for (what, member) in [
        ("no group", Member { group: String::new(), ..nobody.clone() }),
        ("no group, with an id", Member { group: String::new(), ..absent.clone() }),
        ("a session too short", Member { session_ms: 5_999, ..nobody.clone() }),
        ("a session too long", Member { session_ms: 1_800_001, ..absent.clone() }),
        ("a session below zero", Member { session_ms: -1, ..nobody.clone() }),
        ("no protocol type", Member { protocol_type: String::new(), ..nobody.clone() }),
        ("no protocols", Member { protocols: Vec::new(), ..nobody.clone() }),
    ] {
        for version in [3, 6, 9] {
            let joined = member.clone().join_once(&mut seen.at, version).await;
            seen.note(format!("join v{version}, {what}"), joined);
        }
    }
    seen.describe("somebody has tried").await;
    for version in JoinGroup::VERSIONS {
        let mut member = Member::nobody(&seen.group);
        seen.join("join", version, &mut member, "<one>").await;
        if version == 9 {
            seen.describe("shares are due").await;
            seen.fencing("shares are due", &member, &topic).await;
            let again = member.join_once(&mut seen.at, version).await;
            seen.note("join again, shares are due", again);
        }
        for sync_version in SyncGroup::VERSIONS {
            let foreign = Member { protocols: vec![("other".into(), Vec::new())], ..member.clone() };
            let told = foreign.sync(&mut seen.at, sync_version, &[]).await;
            if sync_version == 5 {
                seen.note(format!("sync v{sync_version} with another protocol"), told);
            }
            let foreign = Member { protocol_type: "connect".into(), ..member.clone() };
            if sync_version == 5 {
                let told = foreign.sync(&mut seen.at, sync_version, &[]).await;
                seen.note(format!("sync v{sync_version} with another type"), told);
            }
            let old = Member { generation: member.generation - 1, ..member.clone() };
            let told = old.sync(&mut seen.at, sync_version, &[]).await;
            seen.note(format!("sync v{sync_version} in the generation before"), told);
            let told = member.sync(&mut seen.at, sync_version, &[(&member.id, b"all"), ("nobody", b"x")]).await;
            seen.note(format!("sync v{sync_version} in v{version}"), told);
        }
        for beat_version in Heartbeat::VERSIONS {
            let code = member.heartbeat_at(&mut seen.at, beat_version).await;
            seen.note(format!("heartbeat v{beat_version}"), code);
        }
        if version == 9 {
            seen.describe("it is stable").await;
            seen.fencing("it is stable", &member, &topic).await;
            let id = Id::find(&mut seen.peer.bootstrap, &seen.group).await;
            transactional(&mut seen, id, &member, &topic).await;
        }
        let left = member.leave(&mut seen.at, version.min(5)).await;
        seen.note(format!("leave v{}", version.min(5)), left);
        let left = member.leave(&mut seen.at, version.min(5)).await;
        seen.note(format!("leave v{} again", version.min(5)), left);
        if version == 9 {
            seen.describe("it is empty").await;
            seen.fencing("it is empty", &member, &topic).await;
        }
    }
}

/// Commits in transactions, in the name of a member.
async fn transactional(seen: &mut Seen<'_, '_>, mut id: Id, member: &Member, topic: &str) {
    let zero = id.init().await;
    let (name, group) = (id.name.clone(), seen.group.clone());
    for (what, generation, member) in [
        ("itself", member.generation, member.id.as_str()),
        ("the generation before", member.generation - 1, &member.id),
        ("somebody else", member.generation, "somebody"),
        ("nobody", -1, ""),
        ("a member without a generation", -1, &member.id),
    ] {
        let upto = Upto { generation, member: member.into(), ..Upto::offset(50) };
        let mut codes = Vec::new();
        for version in [3, 5] {
            codes.push(commit_in(&mut seen.at, version, (&name, &group), zero, (topic, 0), &upto).await);
        }
        seen.note(format!("commits in a transaction of {what}"), codes);
    }
    id.finish(zero, false).await;
}

/// Two members, and what each is told while the other is missing.
async fn together(peer: &mut Peer<'_>) {
    let (topic, _) = peer.topic("groups-of-two", &[]).await;
    let mut seen = Seen::new(peer, "together").await;
    let (mut one, mut two) = (Member::nobody(&seen.group), Member::nobody(&seen.group));
    // Both know one protocol, and like others better.
    let likes = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), READS_T.to_vec())).collect::<Vec<_>>();
    (one.protocols, two.protocols) = (likes(&["range", "own"]), likes(&["sticky", "range"]));
    seen.join("the first", 9, &mut one, "<one>").await;
    one.sync(&mut seen.at, 5, &[(&one.id, b"all")]).await;
    let mut at_two = seen.connect().await;
    two.join_once(&mut at_two, 9).await;
    seen.name(&two, "<two>");
    seen.describe("the second was told its id").await;
    two.ask_to_join(&mut at_two, 9).await;
    until_members(&mut seen.at, &seen.group, 2).await;
    seen.describe("the first is to join again").await;
    seen.fencing("the first is to join again", &one, &topic).await;
    let told = one.sync(&mut seen.at, 5, &[]).await;
    seen.note("sync in a rebalance", told);
    for (what, stranger) in [
        ("another protocol", Member { protocols: likes(&["sticky"]), ..Member::nobody(&seen.group) }),
        ("another type", Member { protocol_type: "connect".into(), ..Member::nobody(&seen.group) }),
    ] {
        let refused = stranger.clone().join_once(&mut seen.at, 9).await;
        seen.note(format!("join with {what}"), refused);
    }
    let mut joined = one.join_once(&mut seen.at, 9).await;
    joined.members.sort_by_key(|(id, ..)| *id != one.id);
    seen.note("the first joins again", joined);
    let joined = two.joined(&mut at_two, 9).await;
    seen.note("the second has joined", joined);
    let sync = [("range".to_owned(), READS_T.to_vec())];
    (one.protocols, two.protocols) = (sync.to_vec(), sync.to_vec());
    two.ask_to_sync(&mut at_two, 5, &[]).await;
    seen.describe("the leader has not shared").await;
    let told = one.sync(&mut seen.at, 5, &[(&two.id, b"second")]).await;
    seen.note("the leader shares", told);
    let told = two.synced(&mut at_two, 5).await;
    seen.note("the second has its share", told);
    seen.describe("it is stable, of two").await;
    // The follower with nothing new, then with something.
    (one.protocols, two.protocols) = (likes(&["range", "own"]), likes(&["sticky", "range"]));
    let told = two.join_once(&mut at_two, 9).await;
    seen.note("the follower joins with nothing new", told);
    let told = two.join_once(&mut at_two, 3).await;
    seen.note("the follower joins with nothing new v3", told);
    two.protocols = likes(&["range"]);
    two.ask_to_join(&mut at_two, 9).await;
    until_state(&mut seen.at, &seen.group, "PreparingRebalance").await;
    seen.describe("the follower has something new").await;
    // The leader does not come: whoever has joined leads.
    let mut at_one = seen.connect().await;
    one.rebalance_ms = 1_000;
    one.ask_to_join(&mut at_one, 9).await;
    let mut joined = one.joined(&mut at_one, 9).await;
    joined.members.sort_by_key(|(id, ..)| *id != one.id);
    seen.note("both have joined", joined);
    two.joined(&mut at_two, 9).await;
    let leaving = [(&*one.id, None), ("somebody", None), (&*one.id, None), ("", None)];
    let left = leave(&mut seen.at, 5, &seen.group, &leaving).await;
    seen.note("several leave", left);
    seen.describe("the leader is gone").await;
    let told = two.heartbeat(&mut seen.at).await;
    seen.note("heartbeat, the leader is gone", told);
    two.rebalance_ms = 1_000;
    let joined = two.join_once(&mut at_two, 9).await;
    seen.note("the second leads", joined);
    // It does not share, and is put out for that.
    until_state(&mut seen.at, &seen.group, "Empty").await;
    seen.describe("nobody asked for a share").await;
}

/// Static members.
async fn named(peer: &mut Peer<'_>) {
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

/// Groups as a whole.
async fn whole(peer: &mut Peer<'_>) {
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

/// What time does. A session lasts six seconds at least, so this takes as long.
async fn silence(peer: &mut Peer<'_>) {
    let mut seen = Seen::new(peer, "silent").await;
    let brief = Member { session_ms: 6_000, ..Member::nobody(&seen.group) };
    let (mut one, mut two) = (brief.clone(), brief);
    seen.join("one that will be silent", 9, &mut one, "<one>").await;
    one.sync(&mut seen.at, 5, &[(&one.id, b"all")]).await;
    // The second is told its id and never comes back: the third has to wait for it.
    two.join_once(&mut seen.at, 9).await;
    seen.name(&two, "<two>");
    let began = std::time::Instant::now();
    until_state(&mut seen.at, &seen.group, "Empty").await;
    let after = began.elapsed().as_millis();
    seen.note("a silent member is out after six seconds", (5_000..9_000).contains(&after));
    seen.describe("a silent member is out").await;
    let told = one.heartbeat(&mut seen.at).await;
    seen.note("heartbeat of one that was silent", told);
    let told = two.join_once(&mut seen.at, 9).await;
    seen.note("one that did not come back in time", told);
}

pub(super) async fn groups(peer: &mut Peer<'_>) {
    alone(peer).await;
    together(peer).await;
    named(peer).await;
    whole(peer).await;
    silence(peer).await;
}

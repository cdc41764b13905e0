//! Groups and their members: every code, and what a group looks like in every state.

mod statics;
mod whole;

use super::super::grouped::*;
use super::super::transactional::*;
use super::*;
use crate::wire::describe_groups::{DescribeGroups, DescribeGroupsRequest};
use crate::wire::heartbeat::Heartbeat;
use crate::wire::join_group::JoinGroup;
use crate::wire::leave_group::LeaveGroup;
use crate::wire::list_groups::{ListGroups, ListGroupsRequest};
use crate::wire::sync_group::SyncGroup;

/// One group under observation.
pub(super) struct Seen<'p, 'b> {
    pub(super) peer: &'p mut Peer<'b>,
    pub(super) group: String,
    /// A connection for whoever does not wait.
    pub(super) at: Client,
    /// Member ids, and what they are called here: they are random.
    names: Vec<(String, &'static str)>,
}

impl<'p, 'b> Seen<'p, 'b> {
    pub(super) async fn new(peer: &'p mut Peer<'b>, name: &str) -> Self {
        let group = format!("{}{name}", peer.prefix);
        let at = group_at(&mut peer.bootstrap, &group).await;
        Self { peer, group, at, names: Vec::new() }
    }

    /// Another connection to the coordinator.
    pub(super) async fn connect(&mut self) -> Client {
        group_at(&mut self.peer.bootstrap, &self.group).await
    }

    pub(super) fn note(&mut self, what: impl Into<String>, answer: impl std::fmt::Debug) {
        let mut answer = format!("{answer:?}");
        for (id, name) in self.names.iter().filter(|(id, _)| !id.is_empty()) {
            answer = answer.replace(id.as_str(), name);
        }
        self.peer.note(what.into(), answer);
    }

    pub(super) fn name(&mut self, member: &Member, name: &'static str) {
        self.names.push((member.id.clone(), name));
    }

    /// A member joins at once, which no other hinders; its id is known by that name from now on.
    pub(super) async fn join(&mut self, what: &str, version: i16, member: &mut Member, name: &'static str) {
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
    pub(super) async fn describe(&mut self, when: &str) {
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
    pub(super) async fn fencing(&mut self, when: &str, member: &Member, topic: &str) {
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

/// What those who wait are told when something comes between.
async fn interrupted(peer: &mut Peer<'_>) {
    let (topic, _) = peer.topic("groups-interrupted", &[]).await;
    let mut seen = Seen::new(peer, "interrupted").await;
    let nobody = Member::nobody(&seen.group);
    let (mut one, mut two, mut three) = (nobody.clone(), nobody.clone(), nobody);
    seen.join("the first", 9, &mut one, "<one>").await;
    one.sync(&mut seen.at, 5, &[(&one.id, b"all")]).await;
    let (mut at_two, mut at_three) = (seen.connect().await, seen.connect().await);
    two.ask_to_join(&mut at_two, 3).await;
    until_members(&mut seen.at, &seen.group, 2).await;
    one.join_once(&mut seen.at, 9).await;
    let joined = two.joined(&mut at_two, 3).await;
    seen.name(&two, "<two>");
    seen.note("the second has joined", joined);
    two.ask_to_sync(&mut at_two, 5, &[]).await;
    three.ask_to_join(&mut at_three, 3).await;
    let told = two.synced(&mut at_two, 5).await;
    seen.note("a third comes while the second waits for its share", told);
    let told = one.sync(&mut seen.at, 5, &[(&two.id, b"too late")]).await;
    seen.note("the leader is too late", told);
    seen.fencing("a third has come", &one, &topic).await;
    one.ask_to_join(&mut seen.at, 9).await;
    let joined = two.join_once(&mut at_two, 9).await;
    seen.note("the second is in the next generation", joined);
    let joined = three.joined(&mut at_three, 3).await;
    seen.name(&three, "<three>");
    seen.note("so is the third", joined);
    let joined = one.joined(&mut seen.at, 9).await;
    seen.note("so is the first", (joined.generation, joined.members.len()));
    one.sync(&mut seen.at, 5, &[(&one.id, b"1"), (&two.id, b"2"), (&three.id, b"3")]).await;
    two.protocols = vec![("range".into(), b"new".to_vec())];
    two.ask_to_join(&mut at_two, 9).await;
    until_state(&mut seen.at, &seen.group, "PreparingRebalance").await;
    let left = two.leave(&mut seen.at, 5).await;
    seen.note("one that waits to join is taken out", left);
    let told = two.joined(&mut at_two, 9).await;
    seen.note("and is told", told);
    // An id that was given to a dynamic member comes with a name.
    let mut four = Member::nobody(&seen.group);
    four.join_once(&mut at_two, 9).await;
    seen.name(&four, "<four>");
    four.instance = Some("four".into());
    let told = four.join_once(&mut at_two, 9).await;
    seen.note("join of a dynamic member's id with a name", told);
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
    interrupted(peer).await;
    silence(peer).await;
    statics::named(peer).await;
    whole::whole(peer).await;
    whole::elsewhere(peer).await;
}

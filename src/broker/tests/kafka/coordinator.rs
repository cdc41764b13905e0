//! The life of transactions: ids, epochs, what is added, how they end, and repeated ends.

use super::super::transactional::*;
use super::*;
use crate::wire::find_coordinator::{FindCoordinator, FindCoordinatorRequest};
use crate::wire::list_transactions::{ListTransactions, ListTransactionsRequest};

/// A transactional id under observation: producer ids are told as how many were given before.
pub(super) struct Seen {
    pub(super) id: Id,
    ids: Vec<i64>,
}

impl Seen {
    pub(super) async fn find(peer: &mut Peer<'_>, name: &str) -> Self {
        let name = format!("{}{name}", peer.prefix);
        Self { id: Id::find(&mut peer.bootstrap, &name).await, ids: Vec::new() }
    }

    /// Another client of the same id.
    pub(super) async fn again(&self, peer: &mut Peer<'_>) -> Self {
        Self { id: Id::find(&mut peer.bootstrap, &self.id.name).await, ids: self.ids.clone() }
    }

    fn label(&mut self, id: i64) -> i64 {
        if id < 0 {
            return id;
        }
        let known = self.ids.iter().position(|known| *known == id);
        known.unwrap_or_else(|| {
            self.ids.push(id);
            self.ids.len() - 1
        }) as i64
    }

    pub(super) async fn init(
        &mut self,
        peer: &mut Peer<'_>,
        what: &str,
        version: i16,
        expected: Option<Who>,
        timeout_ms: i32,
    ) -> Who {
        // A cluster that has just started is still making the topic in which it keeps transactions.
        let (code, who) = until("a coordinator that is ready", async || {
            let answer = self.id.init_at(version, expected, timeout_ms).await;
            (![14, 15].contains(&answer.0)).then_some(answer)
        })
        .await;
        let label = self.label(who.0);
        peer.note(format!("init v{version}, {what}"), (code, label, who.1));
        who
    }

    pub(super) async fn end(&mut self, peer: &mut Peer<'_>, what: &str, version: i16, who: Who, commits: bool) -> Who {
        let (code, next) = self.id.end(version, who, commits).await;
        let label = self.label(next.0);
        let verb = if commits { "commit" } else { "abort" };
        peer.note(format!("{verb} v{version}, {what}"), (code, label, next.1));
        next
    }

    pub(super) async fn write(
        &mut self,
        peer: &mut Peer<'_>,
        what: &str,
        version: i16,
        who: Who,
        sequence: i32,
        (leader, topic): (&mut Client, &str),
    ) {
        let name = self.id.name.clone();
        let answer = write(leader, version, Some(&name), who, sequence, (topic, 0)).await;
        peer.note(format!("write v{version} at {sequence}, {what}"), answer);
    }

    pub(super) async fn describe(&mut self, peer: &mut Peer<'_>, what: &str) {
        self.id.settle().await;
        let state = self.id.describe().await;
        let label = self.label(state.producer_id);
        let mut topics: Vec<_> = state.topics.iter().filter(|t| !t.topic.starts_with("__")).collect();
        topics.sort_by(|a, b| a.topic.cmp(&b.topic));
        let told =
            (state.error_code, &state.transaction_state, state.transaction_timeout_ms, label, state.producer_epoch);
        peer.note(format!("describe, {what}"), (told, state.transaction_start_time_ms > 0, topics));
    }
}

async fn ids(peer: &mut Peer<'_>) {
    let mut seen = Seen::find(peer, "ids").await;
    seen.describe(peer, "nobody asked for it").await;
    for timeout_ms in [0, -1, 900_001] {
        seen.init(peer, &format!("timeout {timeout_ms}"), 4, None, timeout_ms).await;
    }
    seen.init(peer, "an expected one where there is none", 4, Some((123_456_789, 5)), 900_000).await;
    let (id, _) = seen.init(peer, "the second", 4, None, 60_000).await;
    seen.init(peer, "the third", 0, None, 60_000).await;
    for (version, epoch) in [(4, 2), (4, 2), (4, 3), (4, 1), (3, 1), (4, 9), (4, 4), (4, 3)] {
        seen.init(peer, &format!("naming epoch {epoch}"), version, Some((id, epoch)), 60_000).await;
    }
    seen.init(peer, "naming another id", 4, Some((id + 1, 4)), 60_000).await;
    seen.describe(peer, "after all this").await;
    let current = seen.init(peer, "a plain one", 5, None, 50_000).await;
    seen.init(peer, "naming the epoch before a plain one", 5, Some((id, current.1 - 1)), 50_000).await;
    let mut empty = Seen { id: Id { name: String::new(), at: seen.id.at }, ids: Vec::new() };
    empty.describe(peer, "an empty id").await;
    empty.end(peer, "an empty id", 4, (5, 0), true).await;
    let added = empty.id.add(3, (5, 0), &[]).await;
    peer.note("add nothing to an empty id", added);
    let offsets = empty.id.add_offsets(3, (5, 0), "g").await;
    peer.note("add offsets to an empty id", offsets);
}

/// One transaction after the other as newer clients make them.
async fn raising(peer: &mut Peer<'_>) {
    let (topic, mut leader) = peer.topic("raising", &[]).await;
    let (other, mut leader_of_other) = peer.topic("raising-other", &[]).await;
    let mut seen = Seen::find(peer, "raising").await;
    let zero = seen.init(peer, "raising", 4, None, 60_000).await;
    let (id, _) = zero;
    seen.end(peer, "of nothing, never anything", 5, zero, true).await;
    let at =
        async |peer: &mut Peer<'_>, leader: &mut Client, what: &str, version, name: Option<&str>, who, sequence| {
            let answer = write(leader, version, name, who, sequence, (&topic, 0)).await;
            peer.note(format!("write v{version} at {sequence}, {what}"), answer);
        };
    let name = seen.id.name.clone();
    let name = Some(name.as_str());
    at(peer, &mut leader, "no transactional id", 12, None, zero, 0).await;
    at(peer, &mut leader, "an unknown transactional id", 12, Some("nobody-has-this"), zero, 0).await;
    at(peer, &mut leader, "an unknown transactional id", 11, Some("nobody-has-this"), zero, 0).await;
    at(peer, &mut leader, "an unknown transactional id", 10, Some("nobody-has-this"), zero, 0).await;
    at(peer, &mut leader, "another producer id", 12, name, (id + 1, 0), 0).await;
    at(peer, &mut leader, "an epoch too high", 12, name, (id, 1), 0).await;
    at(peer, &mut leader, "an epoch too high", 11, name, (id, 1), 0).await;
    at(peer, &mut leader, "not added", 9, name, zero, 0).await;
    at(peer, &mut leader, "not added", 10, name, zero, 0).await;
    at(peer, &mut leader, "not added", 11, name, zero, 0).await;
    at(peer, &mut leader, "no producer id", 12, name, (-1, -1), -1).await;
    at(peer, &mut leader, "not from 0", 12, name, zero, 5).await;
    seen.describe(peer, "a write was out of order").await;
    at(peer, &mut leader, "the first", 12, name, zero, 0).await;
    at(peer, &mut leader, "repeated", 12, name, zero, 0).await;
    at(peer, &mut leader, "the second", 12, name, zero, 1).await;
    at(peer, &mut leader, "a gap", 12, name, zero, 7).await;
    at(peer, &mut leader, "an older version goes on", 11, name, zero, 2).await;
    seen.write(peer, "an older version elsewhere", 11, zero, 0, (&mut leader_of_other, &other)).await;
    seen.write(peer, "a newer version elsewhere", 12, zero, 3, (&mut leader_of_other, &other)).await;
    seen.write(peer, "a newer version elsewhere", 12, zero, 0, (&mut leader_of_other, &other)).await;
    for (what, named) in [("in a request without the id", None), ("in a request with the id", name)] {
        let plain = records_of(zero, 3, 1, false);
        let transactional_id = named.map(str::to_owned);
        let request = ProduceRequest { transactional_id, ..produce_request(&topic, 0, Some(&plain)) };
        let answer = leader.produce_at(12, &request).await;
        peer.note(format!("a plain batch, {what}"), (answer.error_code, answer.base_offset));
    }
    seen.describe(peer, "two partitions").await;
    let verified = [
        seen.id.verify(4, zero, &topic, 0).await,
        seen.id.verify(5, zero, &topic, 0).await,
        seen.id.verify(4, zero, "no-such-topic", 0).await,
        seen.id.verify(5, (id, 1), &topic, 0).await,
        seen.id.verify(5, (id + 1, 0), &topic, 0).await,
    ];
    peer.note("verify", verified);
    let one = seen.end(peer, "the first", 5, zero, true).await;
    seen.id.settle().await;
    seen.end(peer, "repeated", 5, zero, true).await;
    seen.end(peer, "repeated otherwise", 5, zero, false).await;
    seen.end(peer, "repeated in an older version", 4, zero, true).await;
    at(peer, &mut leader, "the epoch before", 12, name, zero, 3).await;
    at(peer, &mut leader, "a new epoch, not from 0", 12, name, one, 1).await;
    at(peer, &mut leader, "a new epoch", 12, name, one, 0).await;
    seen.end(peer, "repeated into the next", 5, zero, true).await;
    seen.end(peer, "repeated otherwise into the next", 5, zero, false).await;
    seen.describe(peer, "the next is open").await;
    let two = seen.end(peer, "the second", 5, one, false).await;
    seen.id.settle().await;
    seen.end(peer, "repeated", 5, one, false).await;
    seen.end(peer, "repeated otherwise", 5, one, true).await;
    seen.end(peer, "of nothing", 5, two, true).await;
    let three = seen.end(peer, "of nothing", 5, two, false).await;
    seen.describe(peer, "nothing was aborted").await;
    seen.end(peer, "of nothing, repeated", 5, two, false).await;
    seen.end(peer, "from the future", 5, (id, three.1 + 1), false).await;
    seen.end(peer, "with another id", 5, (id + 1, three.1), false).await;
    seen.init(peer, "naming the epoch of the last end", 5, Some(two), 60_000).await;
    let request = FetchRequest { isolation_level: 1, ..fetch_request(&topic, 0, 0) };
    let fetched = leader.fetch_at(12, &request).await;
    let aborted: Vec<i64> = fetched.aborted.iter().flatten().map(|(_, first)| *first).collect();
    peer.note("what is read of it", (fetched.bases(), aborted, fetched.last_stable));
    let (_, producers) = super::leaders::describe(&mut leader, &topic, 0).await;
    peer.note("producers left by it", producers.iter().map(|p| (p.1, p.2)).collect::<Vec<_>>());
}

/// As older clients make them.
async fn explicit(peer: &mut Peer<'_>) {
    let (topic, mut leader) = peer.topic("explicit", &[]).await;
    let mut seen = Seen::find(peer, "explicit").await;
    let who = seen.init(peer, "explicit", 3, None, 60_000).await;
    for (version, producer) in [(0, (who.0 + 1, 0)), (1, (who.0, 5)), (2, (who.0, 5)), (3, (who.0, 5))] {
        let codes = seen.id.add(version, producer, &[(&topic, 0)]).await;
        peer.note(format!("add v{version} by another"), codes);
        let code = seen.id.add_offsets(version, producer, "explicit").await;
        peer.note(format!("add offsets v{version} by another"), code);
        seen.end(peer, "by another", version, producer, true).await;
    }
    let mut codes = seen.id.add(3, who, &[("no-such-topic", 0), (&topic, 0), (&topic, 9)]).await;
    codes.sort();
    peer.note("add what is not there", codes);
    seen.end(peer, "of nothing", 4, who, true).await;
    seen.end(peer, "of nothing", 3, who, false).await;
    for version in 0..=3 {
        let codes = seen.id.add(version, who, &[(&topic, 0)]).await;
        peer.note(format!("add v{version}"), codes);
    }
    seen.describe(peer, "added and not written").await;
    seen.write(peer, "after the add", 9, who, 4, (&mut leader, &topic)).await;
    seen.write(peer, "after the add", 11, who, 5, (&mut leader, &topic)).await;
    seen.end(peer, "older", 2, who, true).await;
    seen.id.settle().await;
    seen.end(peer, "older, repeated", 4, who, true).await;
    seen.end(peer, "older, repeated otherwise", 4, who, false).await;
    seen.end(peer, "older, repeated as newer", 5, who, true).await;
    seen.write(peer, "after the end", 11, who, 6, (&mut leader, &topic)).await;
    let codes = seen.id.add(2, who, &[(&topic, 0)]).await;
    peer.note("add again", codes);
    seen.write(peer, "the epoch is kept", 11, who, 6, (&mut leader, &topic)).await;
    seen.end(peer, "a late repetition", 4, who, true).await;
    seen.describe(peer, "it hit the next one").await;
    // Then as newer ones, and back.
    seen.write(peer, "newer", 12, who, 7, (&mut leader, &topic)).await;
    let next = seen.end(peer, "newer", 5, who, true).await;
    seen.id.settle().await;
    let codes = seen.id.add(3, next, &[(&topic, 0)]).await;
    peer.note("add, back to older", codes);
    seen.write(peer, "older", 11, next, 0, (&mut leader, &topic)).await;
    seen.end(peer, "older", 3, next, false).await;
    seen.describe(peer, "back to older").await;
    let (_, producers) = super::leaders::describe(&mut leader, &topic, 0).await;
    peer.note("producers left by it", producers.iter().map(|p| (p.1, p.2)).collect::<Vec<_>>());
}

/// Who coordinates, and what is listed.
async fn finding(peer: &mut Peer<'_>) {
    let name = format!("{}finding", peer.prefix);
    for key_type in [0, 1] {
        until("coordinators", async || coordinator_of(&mut peer.bootstrap, &name, key_type).await).await;
    }
    for version in FindCoordinator::VERSIONS {
        for key_type in [0, 1, 5] {
            if version == 0 && key_type != 0 {
                continue;
            }
            let request = match version {
                0..=3 => FindCoordinatorRequest { key: name.clone(), key_type, ..Default::default() },
                _ => FindCoordinatorRequest {
                    coordinator_keys: vec![name.clone(), String::new()],
                    key_type,
                    ..Default::default()
                },
            };
            let mut client = Client::connect_at(&peer.address).await;
            let told = client
                .call::<FindCoordinator, _>(version, &request, |r| {
                    let several = r.coordinators.iter().map(|c| (c.error_code, c.node_id > 0, c.port > 0));
                    ((r.error_code, r.node_id > 0, r.port > 0), several.collect::<Vec<_>>())
                })
                .await;
            peer.note(format!("find v{version}, type {key_type}"), told);
        }
    }
    let mut seen = Seen::find(peer, "listed").await;
    let who = seen.id.init().await;
    for (what, version, states, ids, duration) in [
        ("all", 0, vec![], vec![], -1),
        ("empty ones", 1, vec!["Empty"], vec![], -1),
        ("open ones", 1, vec!["Ongoing"], vec![], -1),
        ("two states", 1, vec!["Ongoing", "Empty"], vec![], -1),
        ("a state that is not there", 1, vec!["Nonsense"], vec![], -1),
        ("its producer", 1, vec![], vec![who.0], -1),
        ("another producer", 1, vec![], vec![who.0 + 1], -1),
        ("long ones", 1, vec![], vec![], 1_000_000),
    ] {
        let request = ListTransactionsRequest {
            state_filters: states.into_iter().map(str::to_owned).collect(),
            producer_id_filters: ids,
            duration_filter: duration,
            ..Default::default()
        };
        let name = seen.id.name.clone();
        let told = seen.id.at.call::<ListTransactions, _>(version, &request, |r| {
            let mine = r.transaction_states.iter().filter(|state| state.transactional_id == name);
            let states: Vec<_> = mine.map(|state| state.transaction_state.clone()).collect();
            (r.error_code, r.unknown_state_filters.clone(), states)
        });
        let told = told.await;
        peer.note(format!("list {what}"), told);
    }
}

pub(super) async fn coordinator(peer: &mut Peer<'_>) {
    ids(peer).await;
    raising(peer).await;
    explicit(peer).await;
    finding(peer).await;
}

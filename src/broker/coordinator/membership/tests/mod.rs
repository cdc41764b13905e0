//! A group on its own: no socket, no task, a clock that the test moves.

mod expiry;
mod fencing;
mod random;
mod statics;
mod stories;

use super::*;
use std::time::Duration;

const SESSION_MS: u64 = 10_000;
const REBALANCE_MS: u64 = 60_000;
const DELAY_MS: u64 = 100;

/// A group, its clock, and what was told.
struct World {
    now: Instant,
    config: GroupConfig,
    memory: Memory,
    group: Membership,
    tickets: Ticket,
    told: BTreeMap<Ticket, Answer>,
}

/// A member to be: what a client would send.
fn somebody(client: &str) -> Joining {
    Joining {
        member: String::new(),
        instance: None,
        client_id: client.into(),
        client_host: "/127.0.0.1".into(),
        session_timeout: Duration::from_millis(SESSION_MS),
        rebalance_timeout: Duration::from_millis(REBALANCE_MS),
        protocol_type: CONSUMER.into(),
        protocols: vec![protocol("range", &[0, 0, 0, 0, 0, 1, 0, 1, b't'])],
        is_told_its_id: false,
        can_skip_assignment: true,
        unique: "u".into(),
    }
}

fn protocol(name: &str, metadata: &[u8]) -> Protocol {
    Protocol { name: name.into(), metadata: metadata.into() }
}

impl World {
    fn new() -> Self {
        let config = GroupConfig { initial_rebalance_delay: Duration::from_millis(DELAY_MS), ..GroupConfig::default() };
        Self {
            now: Instant::now(),
            config,
            memory: Memory::new(1 << 20),
            group: Membership::default(),
            tickets: 0,
            told: BTreeMap::new(),
        }
    }

    /// A stable group of such members, each with its own name as its share; the first one leads.
    fn stable(clients: &[&str]) -> Self {
        let mut world = Self::new();
        for client in clients {
            world.join(&somebody(client));
        }
        world.pass(DELAY_MS * 2);
        world.share();
        assert_eq!(world.group.phase(), Phase::Stable);
        world
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut Membership, &Env<'_>) -> T) -> T {
        let env = Env { now: self.now, config: &self.config, memory: &self.memory };
        let done = act(&mut self.group, &env);
        if self.group.next().is_some_and(|at| at <= self.now) {
            self.group.tick(&env);
        }
        for (ticket, answer) in self.group.take_answers() {
            let again = self.told.insert(ticket, answer);
            assert_eq!(again, None, "{ticket} was answered twice");
        }
        done
    }

    /// Time goes by, from one thing that is due to the next.
    fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.group.next().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.act(|group, env| group.tick(env));
        }
        self.now = end;
    }

    fn join(&mut self, joining: &Joining) -> Ticket {
        self.tickets += 1;
        let ticket = self.tickets;
        self.act(|group, env| group.join(env, ticket, joining));
        ticket
    }

    /// A member that is in joins again, with nothing new.
    fn rejoin(&mut self, id: &str) -> Ticket {
        self.join(&Joining { member: id.into(), ..somebody("x") })
    }

    fn sync(&mut self, id: &str, generation: i32, shares: &[(&str, &str)]) -> Ticket {
        self.tickets += 1;
        let ticket = self.tickets;
        let assignments = shares.iter().map(|(id, share)| (*id, share.as_bytes())).collect();
        let syncing =
            Syncing { generation, member: id, instance: None, protocol_type: None, protocol: None, assignments };
        self.act(|group, env| group.sync(env, ticket, &syncing));
        ticket
    }

    /// Everybody syncs, the leader last; each one's share is its own id.
    fn share(&mut self) {
        let (generation, ids) = (self.group.generation(), self.ids());
        let leader = self.group.leader.clone().unwrap();
        let shares: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), id.as_str())).collect();
        for id in ids.iter().filter(|id| **id != *leader) {
            self.sync(id, generation, &[]);
        }
        self.sync(&leader, generation, &shares);
    }

    fn heartbeat(&mut self, id: &str) -> Result<(), ErrorCode> {
        let generation = self.group.generation();
        self.act(|group, env| group.heartbeat(env, generation, id, None))
    }

    fn commit(&mut self, generation: i32, member: &str, instance: Option<&str>) -> Result<(), ErrorCode> {
        let committer = Committer { generation, member, instance, is_transactional: false };
        self.act(|group, env| group.admit_commit(env, &committer))
    }

    fn leave(&mut self, id: &str) -> Result<(), ErrorCode> {
        let leaving = [Leaving { member: id, instance: None }];
        self.act(|group, env| group.leave(env, &leaving)).remove(0)
    }

    /// What a join was answered with.
    fn joined(&self, ticket: Ticket) -> &Joined {
        match self.told.get(&ticket) {
            Some(Answer::Join(joined)) => joined,
            other => panic!("{ticket} was told {other:?}"),
        }
    }

    fn synced(&self, ticket: Ticket) -> &Synced {
        match self.told.get(&ticket) {
            Some(Answer::Sync(synced)) => synced,
            other => panic!("{ticket} was told {other:?}"),
        }
    }

    fn waits(&self, ticket: Ticket) -> bool {
        !self.told.contains_key(&ticket)
    }

    fn ids(&self) -> Vec<String> {
        self.group.members().map(|member| member.id.to_string()).collect()
    }
}

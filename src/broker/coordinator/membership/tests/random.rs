//! Members that join, sync, die and come back at random: whatever they do, each is answered once, a generation has one
//! leader and one protocol, and in the end nothing is left.

use super::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// What the clients of a group were told.
#[derive(Default)]
struct Told {
    /// The leader and the protocol of each generation.
    generations: BTreeMap<i32, (Arc<str>, Option<Arc<str>>)>,
    newest: i32,
    shares: u32,
}

impl Told {
    fn note(&mut self, answer: &Answer, has_moved: bool) {
        match answer {
            Answer::Join(joined) if joined.error == ErrorCode::None => {
                let told = (joined.leader.clone(), joined.protocol.clone());
                let known = self.generations.entry(joined.generation).or_insert_with(|| told.clone());
                // A static leader changes its id, and a generation whose coordinator moved may come again.
                assert!(has_moved || known.1 == told.1, "two protocols in generation {}", joined.generation);
                assert!(has_moved || joined.generation >= self.newest, "generations go back");
                self.newest = self.newest.max(joined.generation);
                assert!(joined.members.is_empty() || joined.leader == joined.member);
                assert!(joined.protocol.is_some());
            }
            Answer::Sync(synced) if synced.error == ErrorCode::None => self.shares += 1,
            _ => {}
        }
    }
}

struct Story {
    world: World,
    random: StdRng,
    told: Told,
    asked: u64,
    has_moved: bool,
}

impl Story {
    fn below(&mut self, end: usize) -> usize {
        self.random.random_range(0..end)
    }

    fn somebody(&mut self) -> Joining {
        let names = ["range", "sticky", "own"];
        let mut protocols: Vec<Protocol> = names.iter().map(|name| protocol(name, b"\0\0\0\0\0\0")).collect();
        protocols.truncate(1 + self.below(3));
        let rotation = self.below(protocols.len());
        protocols.rotate_left(rotation);
        self.asked += 1;
        Joining {
            instance: (self.below(4) == 0).then(|| format!("s{}", self.asked % 3)),
            protocols,
            is_told_its_id: self.below(2) == 0,
            can_skip_assignment: self.below(2) == 0,
            unique: self.asked.to_string(),
            session_timeout: Duration::from_millis([SESSION_MS, 3 * SESSION_MS][self.below(2)]),
            ..somebody("c")
        }
    }

    /// One who is in, was told its id, or neither.
    fn one(&mut self) -> (String, Option<String>) {
        let mut known: Vec<(String, Option<String>)> = self
            .world
            .group
            .members()
            .map(|member| (member.id.to_string(), member.instance.as_ref().map(|name| name.to_string())))
            .collect();
        known.extend(self.world.group.pending.keys().map(|id| (id.to_string(), None)));
        if known.is_empty() || self.below(20) == 0 {
            return ("nobody".into(), None);
        }
        let at = self.below(known.len());
        known.swap_remove(at)
    }

    fn step(&mut self) {
        let (id, instance) = self.one();
        let generation = self.world.group.generation() - i32::from(self.below(10) == 0);
        match self.below(12) {
            0 => {
                let joining = self.somebody();
                self.world.join(&joining);
            }
            1..=3 => {
                let joining = Joining { member: id, instance, ..self.somebody() };
                self.world.join(&joining);
            }
            4..=6 => {
                let ids = self.world.ids();
                let shares: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "share")).collect();
                self.world.sync(&id, generation, &shares);
            }
            7 | 8 => drop(self.world.act(|group, env| group.heartbeat(env, generation, &id, instance.as_deref()))),
            9 => drop(self.world.leave(&id)),
            10 => {
                let ms = [1, DELAY_MS, SESSION_MS / 2, SESSION_MS, REBALANCE_MS][self.below(5)];
                self.world.pass(ms);
            }
            _ if self.below(10) == 0 => {
                self.has_moved = true;
                self.world.act(|group, env| group.move_here(env));
            }
            _ => drop(self.world.commit(generation, &id, instance.as_deref())),
        }
        self.look();
    }

    fn look(&mut self) {
        let group = &self.world.group;
        for member in group.members() {
            let is_counted = |protocol: &Protocol| group.supported.get(&protocol.name).is_some_and(|count| *count > 0);
            assert!(member.protocols.iter().all(is_counted));
            assert!(member.join.is_none() || group.phase == Phase::PreparingRebalance);
            assert!(member.sync.is_none() || group.phase == Phase::CompletingRebalance);
        }
        let has_members = !group.members.is_empty();
        assert!(group.phase != Phase::Empty || !has_members);
        assert!(!matches!(group.phase, Phase::CompletingRebalance | Phase::Stable) || has_members);
        assert!(!has_members || group.leader.as_ref().is_some_and(|leader| group.members.contains_key(leader)));
        assert!(group.instances.values().all(|id| group.members.contains_key(id)));
        assert_eq!(group.join_timer.is_some(), group.phase == Phase::PreparingRebalance);
        for (_, answer) in std::mem::take(&mut self.world.told) {
            self.told.note(&answer, self.has_moved);
        }
    }
}

#[test]
fn whatever_members_do_each_is_answered_and_a_deserted_group_keeps_nothing() {
    let given = std::env::var("KMERGE_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = given.unwrap_or_else(|| rand::rng().random());
    eprintln!("KMERGE_TEST_SEED={seed}");
    let mut shares = 0;
    for story in 0..300 {
        let (world, random) = (World::new(), StdRng::seed_from_u64(seed ^ story));
        let mut story = Story { world, random, told: Told::default(), asked: 0, has_moved: false };
        for _ in 0..120 {
            story.step();
        }
        // Then all are silent: sessions and patience end.
        story.world.pass(2 * 3_600_000);
        story.look();
        assert!(story.world.group.is_deserted(), "{:?}", story.world.group);
        assert_eq!(story.world.group.next(), None);
        story.world.act(|group, _| group.keep());
        assert_eq!(story.world.memory.used_bytes(), 0);
        assert!(story.world.group.supported.is_empty());
        shares += story.told.shares;
    }
    assert!(shares > 300, "only {shares} shares were handed out: the stories mean nothing");
}

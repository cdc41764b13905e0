//! The four rules by hand, and what must hold of all of them on random groups.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeSet, HashMap};

fn counts(of: &[(&str, i32)]) -> Counts {
    of.iter().map(|(topic, count)| ((*topic).into(), *count)).collect()
}

fn member(id: &str, topics: &[&str]) -> Member {
    let topics = topics.iter().map(|topic| (*topic).into()).collect();
    Member { id: id.into(), topics, generation: -1, ..Default::default() }
}

/// `t0 t1` and the like.
fn show(share: &[TopicPartition]) -> String {
    share.iter().map(|one| format!("{}{}", one.topic, one.partition)).collect::<Vec<_>>().join(" ")
}

fn shares(assignor: Assignor, members: &[Member], counts: &Counts) -> Vec<String> {
    assignor.share(members, counts).iter().map(|share| show(share)).collect()
}

#[test]
fn range_gives_blocks_of_each_topic_and_the_first_members_one_more() {
    let members = [member("b", &["t", "u"]), member("a", &["t", "u"])];
    let counts = counts(&[("t", 3), ("u", 3)]);
    assert_eq!(shares(Assignor::Range, &members, &counts), ["t2 u2", "t0 t1 u0 u1"]);
    let members = [member("a", &["t"]), member("b", &["t", "u"]), member("c", &["u", "absent"])];
    assert_eq!(shares(Assignor::Range, &members, &counts), ["t0 t1", "t2 u0 u1", "u2"]);
}

#[test]
fn roundrobin_goes_over_all_topics_and_passes_over_who_does_not_want() {
    let counts = counts(&[("t", 3), ("u", 3)]);
    let members = [member("a", &["t", "u"]), member("b", &["t", "u"])];
    assert_eq!(shares(Assignor::RoundRobin, &members, &counts), ["t0 t2 u1", "t1 u0 u2"]);
    // The example in the documentation of Apache's assignor.
    let counts = super::tests::counts(&[("t0", 1), ("t1", 2), ("t2", 3)]);
    let members = [member("c0", &["t0"]), member("c1", &["t0", "t1"]), member("c2", &["t0", "t1", "t2"])];
    assert_eq!(shares(Assignor::RoundRobin, &members, &counts), ["t00", "t10", "t11 t20 t21 t22"]);
}

#[test]
fn members_with_a_name_come_first_and_by_their_name() {
    let named = |id: &str, name: &str| Member { instance: Some(name.into()), ..member(id, &["t"]) };
    let members = [member("a", &["t"]), named("z", "1"), named("y", "2")];
    assert_eq!(shares(Assignor::Range, &members, &counts(&[("t", 2)])), ["", "t0", "t1"]);
}

#[test]
fn sticky_evens_out_over_ways_of_more_than_one_step() {
    // c has all of u; it may give to b only, and b may give t to a.
    let own = |mut member: Member, topic: &str, partitions: std::ops::Range<i32>| {
        member.owned = partitions.map(|one| TopicPartition::new(topic, one)).collect();
        member.generation = 1;
        member
    };
    let members = [member("a", &["t"]), own(member("b", &["t", "u"]), "t", 0..2), own(member("c", &["u"]), "u", 0..4)];
    let loads = |assignor: Assignor| -> Vec<usize> {
        assignor.share(&members, &counts(&[("t", 2), ("u", 4)])).iter().map(Vec::len).collect()
    };
    assert_eq!(loads(Assignor::Sticky), [2, 2, 2]);
}

#[test]
fn of_two_claims_the_later_counts_and_of_two_alike_none() {
    let claim =
        |id: &str, generation| Member { owned: vec![TopicPartition::new("t", 0)], generation, ..member(id, &["t"]) };
    let counts = counts(&[("t", 2)]);
    let members = [claim("a", 3), claim("b", 4)];
    assert_eq!(shares(Assignor::Sticky, &members, &counts), ["t1", "t0"]);
    let members = [claim("a", 4), claim("b", 4)];
    assert_eq!(shares(Assignor::Sticky, &members, &counts), ["t0", "t1"]);
    // Both may be reading it, so nobody is given it in this step.
    assert_eq!(shares(Assignor::CooperativeSticky, &members, &counts), ["", "t1"]);
}

#[test]
fn a_claim_to_what_does_not_exist_or_is_not_wanted_any_more_is_none() {
    let mut greedy = member("a", &["t"]);
    greedy.owned = [("t", 7), ("t", -1), ("u", 0), ("x", 0)].map(|(t, p)| TopicPartition::new(t, p)).to_vec();
    greedy.generation = 1;
    let members = [greedy, member("b", &["u"])];
    assert_eq!(shares(Assignor::Sticky, &members, &counts(&[("t", 1), ("u", 1)])), ["t0", "u0"]);
}

#[test]
fn a_name_that_is_none_is_met_with_the_nearest() {
    for one in Assignor::ALL {
        assert_eq!(one.name().parse(), Ok(one));
    }
    let error = "cooperativ-sticky".parse::<Assignor>().unwrap_err();
    assert!(error.contains("did you mean") && error.contains("roundrobin"), "{error}");
}

const TOPICS: [&str; 4] = ["a", "b", "c", "d"];

/// A group: members with any subscriptions, alike in some cases, some with names; and topics of which some do not exist.
fn group() -> impl Strategy<Value = (Vec<Member>, Counts)> {
    let counts = proptest::collection::vec(0..9_i32, 4);
    let masks = proptest::collection::vec((0..16_u8, any::<bool>()), 1..9);
    (counts, masks, any::<bool>()).prop_map(|(counts, masks, alike)| {
        let counts = TOPICS.iter().zip(counts).filter(|(_, count)| *count > 0);
        let counts = counts.map(|(topic, count)| ((*topic).into(), count)).collect();
        let first = masks[0].0;
        let members = masks.iter().enumerate().map(|(index, (mask, named))| {
            let mask = if alike { first } else { *mask };
            let topics = (0..4).filter(|bit| mask >> bit & 1 == 1).map(|bit| TOPICS[bit as usize].into());
            Member {
                id: format!("m{index}"),
                instance: named.then(|| format!("n{}", 9 - index)),
                topics: topics.collect(),
                owned: Vec::new(),
                generation: -1,
            }
        });
        (members.collect(), counts)
    })
}

/// Lets `members` have `shares` as of a generation.
fn have(members: &mut [Member], shares: &Shares, generation: i32) {
    for (member, share) in members.iter_mut().zip(shares) {
        (member.owned, member.generation) = (share.clone(), generation);
    }
}

fn assert_each_once_to_a_subscriber(members: &[Member], counts: &Counts, shares: &Shares) {
    let mut expected = BTreeSet::new();
    for (topic, count) in wanted(members, counts) {
        expected.extend((0..count).map(|partition| TopicPartition::new(topic.clone(), partition)));
    }
    let given: Vec<_> = shares.iter().flatten().cloned().collect();
    assert_eq!(given.len(), expected.len());
    assert_eq!(given.into_iter().collect::<BTreeSet<_>>(), expected);
    for (member, share) in members.iter().zip(shares) {
        assert!(share.iter().all(|one| member.wants(&one.topic)), "{member:?} {share:?}");
    }
}

/// That no member has two more than one that could take one of them.
fn assert_even(members: &[Member], shares: &Shares) {
    for share in shares {
        for one in share {
            for (other, theirs) in members.iter().zip(shares) {
                assert!(!other.wants(&one.topic) || share.len() <= theirs.len() + 1, "{one} {shares:?}");
            }
        }
    }
}

fn moved(before: &[Member], shares: &Shares) -> usize {
    let now: HashMap<_, _> =
        shares.iter().enumerate().flat_map(|(index, share)| share.iter().map(move |one| (one, index))).collect();
    before
        .iter()
        .enumerate()
        .flat_map(|(i, m)| m.owned.iter().map(move |one| (one, i)))
        .filter(|(one, i)| now.get(one) != Some(i))
        .count()
}

proptest! {
    #[test]
    fn every_partition_goes_to_exactly_one_subscriber((members, counts) in group()) {
        for assignor in Assignor::ALL {
            let shares = assignor.share(&members, &counts);
            assert_each_once_to_a_subscriber(&members, &counts, &shares);
            // The same question in another order has the same answer for each.
            let mut turned = members.clone();
            turned.reverse();
            let mut again = assignor.share(&turned, &counts);
            again.reverse();
            prop_assert_eq!(&again, &shares);
        }
        assert_even(&members, &Assignor::Sticky.share(&members, &counts));
    }

    #[test]
    fn sticky_stays_even_whoever_comes_and_goes_and_moves_nothing_without_need(
        (mut members, counts) in group(),
        gone in 0..8_usize,
    ) {
        let shares = Assignor::Sticky.share(&members, &counts);
        have(&mut members, &shares, 1);
        let again = Assignor::Sticky.share(&members, &counts);
        prop_assert_eq!(moved(&members, &again), 0);

        if members.len() > 1 {
            members.remove(gone % members.len());
        }
        let alike = members.iter().all(|one| one.topics == members[0].topics);
        let after = Assignor::Sticky.share(&members, &counts);
        assert_each_once_to_a_subscriber(&members, &counts, &after);
        assert_even(&members, &after);
        // Who is left only gets more.
        if alike {
            prop_assert_eq!(moved(&members, &after), 0);
        }
        have(&mut members, &after, 2);
        members.push(Member { id: "new".into(), topics: members[0].topics.clone(), generation: -1, ..Default::default() });
        let grown = Assignor::Sticky.share(&members, &counts);
        assert_even(&members, &grown);
        if alike {
            // No more move than the new one has.
            prop_assert_eq!(moved(&members, &grown), grown[members.len() - 1].len());
        }
    }

    /// What each member does with its share: give up what is missing, take what is new, join again if it gave something up.
    #[test]
    fn cooperative_members_never_have_a_partition_at_once_and_settle_in_a_few_steps(
        (mut members, counts) in group(),
        changes in proptest::collection::vec((0..8_usize, 0..16_u8), 0..6),
        late in proptest::collection::vec(any::<bool>(), 60),
    ) {
        let mut late = late.into_iter().cycle();
        for (generation, (who, mask)) in (1..).zip(changes) {
            let who = who % members.len();
            members[who].topics = (0..4).filter(|bit| mask >> bit & 1 == 1).map(|bit| TOPICS[bit as usize].into()).collect();
            let mut steps = 0;
            loop {
                let shares = Assignor::CooperativeSticky.share(&members, &counts);
                let mut someone_gave_up = false;
                let mut someone_is_late = false;
                for (member, share) in members.iter_mut().zip(&shares) {
                    // One that does not get round to it in this step still has what it had, and says so.
                    if steps < 4 && late.next() == Some(true) {
                        someone_is_late = true;
                        continue;
                    }
                    someone_gave_up |= member.owned.iter().any(|one| !share.contains(one));
                    (member.owned, member.generation) = (share.clone(), generation * 100 + steps);
                }
                let all: Vec<_> = members.iter().flat_map(|one| &one.owned).collect();
                let once: BTreeSet<_> = all.iter().collect();
                prop_assert_eq!(all.len(), once.len(), "two members have the same partition");
                steps += 1;
                if !someone_gave_up && !someone_is_late {
                    assert_each_once_to_a_subscriber(&members, &counts, &shares);
                    assert_even(&members, &shares);
                    break;
                }
                prop_assert!(steps < 10, "it does not settle");
            }
        }
    }
}

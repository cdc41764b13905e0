//! One member, or two, step by step.

use crate::story::{LONG, World, batch};
use kmerge::base::kind::Kind;
use kmerge::base::place::TopicPartition;
use kmerge::client::group::{Assignor, GroupEvent, GroupMember, GroupProtocol, NotCommitted, Reset, Start};
use kmerge::client::transactional::Trouble;
use kmerge::client::{ClientError, WriteOptions};
use kmerge::wire::ErrorCode;
use std::collections::BTreeMap;
use std::time::Duration;

async fn next(member: &mut GroupMember) -> GroupEvent {
    let event = tokio::time::timeout(LONG, member.next()).await.expect("an event in time");
    event.expect("still a member")
}

async fn error(member: &mut GroupMember) -> ClientError {
    loop {
        match tokio::time::timeout(LONG, member.next()).await.expect("an error in time") {
            Ok(event) => eprintln!("{event:?}"),
            Err(error) => return error,
        }
    }
}

/// The next share that is not empty.
async fn share(member: &mut GroupMember) -> Vec<Start> {
    loop {
        match next(member).await {
            GroupEvent::Assigned(starts) if !starts.is_empty() => return starts,
            event => eprintln!("{event:?}"),
        }
    }
}

fn partitions(starts: &[Start]) -> Vec<i32> {
    starts.iter().map(|start| start.partition.partition).collect()
}

/// Until it has so many partitions; with the offsets that it was told to begin at. What it is to give up it gives up by asking
/// for the next event, and is told when that is done.
async fn holds(member: &mut GroupMember, held: &mut BTreeMap<i32, i64>, count: usize) {
    loop {
        match next(member).await {
            GroupEvent::Assigned(starts) => {
                held.extend(starts.iter().map(|start| (start.partition.partition, start.offset)));
                if held.len() == count {
                    return;
                }
            }
            GroupEvent::Revoked(gone) | GroupEvent::Lost(gone) => {
                held.retain(|one, _| !gone.iter().any(|gone| gone.partition == *one));
            }
        }
    }
}

async fn two_share_what_is_added(world: &World, protocol: GroupProtocol) {
    let topic = world.topic("grows-for-two", 2, 10).await;
    let mut options = world.options(&[&topic]);
    options.protocol = protocol;
    let mut before = world.member(&options).await;
    holds(&mut before, &mut BTreeMap::new(), 2).await;
    before.leave().await.unwrap();
    // What is added is no reason to ask where to begin.
    options.reset = Reset::Fail;
    let (mut one, mut other) = (world.member(&options).await, world.member(&options).await);
    let (mut ones, mut others) = (BTreeMap::new(), BTreeMap::new());
    futures::future::join(holds(&mut one, &mut ones, 1), holds(&mut other, &mut others, 1)).await;
    world.client().await.create_partitions(&topic, 6).await.unwrap();
    futures::future::join(holds(&mut one, &mut ones, 3), holds(&mut other, &mut others, 3)).await;
    ones.append(&mut others);
    assert_eq!(ones, (0..6).map(|partition| (partition, 0)).collect());
    one.leave().await.unwrap();
    other.leave().await.unwrap();
}

on_both_brokers! {
    async fn a_group_that_has_no_offset_is_not_read_from_anywhere_unasked(world: &World) {
        let topic = world.topic("new", 1, 10).await;
        let mut options = world.options(&[&topic]);
        options.reset = Reset::Fail;
        let mut member = world.member(&options).await;
        let error = error(&mut member).await;
        assert!(matches!(&error, ClientError::NoPosition { partition, .. } if partition.partition == 0), "{error}");
        assert_eq!(error.kind(), Kind::Data);
        assert!(error.to_string().contains("--reset earliest or --reset latest"), "{error}");

        options.reset = Reset::Earliest;
        let mut member = world.member(&options).await;
        assert_eq!(share(&mut member).await[0].offset, 0);
        member.commit(&[(TopicPartition::new(topic.as_str(), 0), 99)]).await.expect("any offset can be committed");
        member.leave().await.unwrap();

        // Beyond the log, and nobody said what to do about that.
        options.reset = Reset::Fail;
        let mut member = world.member(&options).await;
        let error = self::error(&mut member).await;
        let found = matches!(&error, ClientError::PositionLost { committed: 99, earliest: 0, latest: 10, .. });
        assert!(found && error.kind() == Kind::Data, "{error}");
    }

    async fn latest_is_decided_once_and_passes_over_nothing_that_comes_afterwards(world: &World) {
        let topic = world.topic("latest", 1, 10).await;
        let mut options = world.options(&[&topic]);
        options.reset = Reset::Latest;
        let mut first = world.member(&options).await;
        assert_eq!(share(&mut first).await[0].offset, 10);
        // It goes without having read anything, and without a word about it.
        first.leave().await.unwrap();
        world.append(&topic, 0, 10, 5).await;
        let mut second = world.member(&options).await;
        assert_eq!(share(&mut second).await[0].offset, 10);
        second.leave().await.unwrap();
    }

    async fn members_of_one_process_that_share_connections_do_not_wait_for_each_other(world: &World) {
        let topic = world.topic("shared", 4, 0).await;
        let (options, client) = (world.options(&[&topic]), world.client().await);
        let mut members = Vec::new();
        for _ in 0..2 {
            members.push(client.join_group(options.clone()).await.unwrap());
        }
        let mut second = members.pop().unwrap();
        let mut first = members.pop().unwrap();
        let first = tokio::spawn(async move {
            let mut held: usize = 0;
            while held != 2 {
                match next(&mut first).await {
                    GroupEvent::Assigned(starts) => held += starts.len(),
                    GroupEvent::Revoked(gone) | GroupEvent::Lost(gone) => held -= gone.len(),
                }
            }
            first
        });
        let mut held: usize = 0;
        while held != 2 {
            match next(&mut second).await {
                GroupEvent::Assigned(starts) => held += starts.len(),
                GroupEvent::Revoked(gone) | GroupEvent::Lost(gone) => held -= gone.len(),
            }
        }
        first.await.unwrap().leave().await.unwrap();
        second.leave().await.unwrap();
    }

    async fn a_member_with_a_name_comes_back_to_its_share_and_the_others_notice_nothing(world: &World) {
        let topic = world.topic("named", 2, 0).await;
        let named = |name: &str| {
            let mut options = world.options(&[&topic]);
            options.instance = Some(name.to_owned());
            // Leaving says nothing to the coordinator, so the session has to outlast the absence.
            options.session_timeout = Duration::from_secs(30);
            options
        };
        let mut a = world.member(&named("a")).await;
        assert_eq!(partitions(&share(&mut a).await), [0, 1]);
        let joining = tokio::spawn({
            let b = world.member(&named("b")).await;
            async move {
                let mut b = b;
                let starts = share(&mut b).await;
                (b, starts)
            }
        });
        assert!(matches!(next(&mut a).await, GroupEvent::Revoked(gone) if gone.len() == 2));
        assert_eq!(partitions(&share(&mut a).await), [0]);
        let (b, starts) = joining.await.unwrap();
        assert_eq!(partitions(&starts), [1]);

        b.vanish();
        let mut b = world.member(&named("b")).await;
        assert_eq!(partitions(&share(&mut b).await), [1]);
        a.leave().await.unwrap();
        let mut a = world.member(&named("a")).await;
        assert_eq!(partitions(&share(&mut a).await), [0]);
        let told = tokio::time::timeout(Duration::from_secs(1), b.next()).await;
        assert!(told.is_err(), "{told:?}");
    }

    async fn of_two_members_with_one_name_the_later_stays_and_the_earlier_is_told_why_it_goes(world: &World) {
        let topic = world.topic("fenced", 1, 10).await;
        let mut options = world.options(&[&topic]);
        options.instance = Some("only".to_owned());
        let mut earlier = world.member(&options).await;
        assert_eq!(share(&mut earlier).await.len(), 1);
        let mut later = world.member(&options).await;
        assert_eq!(share(&mut later).await.len(), 1);
        let offsets = [(TopicPartition::new(topic.as_str(), 0), 5)];
        let refused = earlier.commit(&offsets).await.expect_err("it is not the one any more");
        let fenced = |error: &ClientError| matches!(error, ClientError::InstanceFenced { .. });
        assert!(matches!(&refused, NotCommitted::Failed(error) if fenced(error)), "{refused}");
        let error = error(&mut earlier).await;
        assert!(fenced(&error) && error.kind() == Kind::Fenced, "{error}");
        later.commit(&offsets).await.unwrap();
    }

    async fn partitions_that_are_added_are_shared_out_without_anybody_joining(world: &World) {
        let topic = world.topic("grows", 1, 10).await;
        let mut member = world.member(&world.options(&[&topic])).await;
        assert_eq!(partitions(&share(&mut member).await), [0]);
        world.client().await.create_partitions(&topic, 3).await.unwrap();
        let mut held = vec![0];
        while held.len() < 3 {
            match next(&mut member).await {
                GroupEvent::Assigned(starts) => held.extend(partitions(&starts)),
                GroupEvent::Revoked(gone) | GroupEvent::Lost(gone) => {
                    held.retain(|one| !gone.iter().any(|gone| gone.partition == *one));
                }
            }
        }
        member.leave().await.unwrap();
    }

    async fn partitions_that_are_added_go_to_every_member_and_begin_at_their_start(world: &World) {
        two_share_what_is_added(world, GroupProtocol::Classic).await;
    }

    async fn who_holds_up_a_rebalance_for_too_long_is_put_out_and_can_commit_nothing(world: &World) {
        let topic = world.topic("slow", 2, 10).await;
        let mut options = world.options(&[&topic]);
        options.rebalance_timeout = Duration::from_millis(1500);
        let mut slow = world.member(&options).await;
        assert_eq!(share(&mut slow).await.len(), 2);
        let mut quick = world.member(&options).await;
        assert!(matches!(next(&mut slow).await, GroupEvent::Revoked(gone) if gone.len() == 2));
        // It has been told, and does nothing.
        assert_eq!(share(&mut quick).await.len(), 2);
        let refused = slow.commit(&[(TopicPartition::new(topic.as_str(), 0), 5)]).await;
        assert!(matches!(refused, Err(NotCommitted::Lost(_))), "{refused:?}");
        // It joins again when it asks for more.
        let slow = tokio::spawn(async move {
            let mut slow = slow;
            assert_eq!(share(&mut slow).await.len(), 1);
            slow
        });
        assert!(matches!(next(&mut quick).await, GroupEvent::Revoked(gone) if gone.len() == 2));
        assert_eq!(share(&mut quick).await.len(), 1);
        slow.await.unwrap().leave().await.unwrap();
        quick.leave().await.unwrap();
    }

    async fn members_without_a_common_assignor_cannot_be_in_one_group(world: &World) {
        let topic = world.topic("apart", 1, 0).await;
        let with = |assignor| {
            let mut options = world.options(&[&topic]);
            options.assignors = vec![assignor];
            options
        };
        let mut one = world.member(&with(Assignor::RoundRobin)).await;
        share(&mut one).await;
        let mut other = world.member(&with(Assignor::Sticky)).await;
        let error = error(&mut other).await.to_string();
        assert!(error.contains("INCONSISTENT_GROUP_PROTOCOL") && error.contains("(sticky)"), "{error}");
        assert!(error.contains("--assignor"), "{error}");
        one.leave().await.unwrap();
    }
}

on_both_brokers! {
    async fn offsets_that_move_in_a_transaction_are_fenced_by_who_the_member_is(world: &World) {
        let topic = world.topic("moves", 2, 20).await;
        let out = world.topic("moves-out", 2, 0).await;
        let [output, record] = [0, 1].map(|partition| TopicPartition::new(out.as_str(), partition));
        let at = |offset| [(TopicPartition::new(topic.as_str(), 0), offset)];
        let mut options = world.options(&[&topic]);
        options.assignors = vec![Assignor::CooperativeSticky];
        let mut member = world.member(&options).await;
        assert_eq!(partitions(&share(&mut member).await), [0, 1]);
        let before = member.membership();

        let client = world.client().await;
        let id = format!("{out}-id");
        let writer = async |end| {
            let producer = client.transactional(&id, LONG).await.expect("a transactional id");
            producer.writer(output.clone(), end, record.clone(), WriteOptions::default())
        };
        let mut transaction = writer(0).await;
        transaction.append(batch(0, 5)).await.unwrap();
        transaction.flush().await.unwrap();
        transaction.offsets(&before, &at(5)).await.unwrap();
        transaction.commit().await.unwrap();

        // Another generation: who says the one before is not heard, and the transaction is void.
        let mut other = world.member(&options).await;
        let GroupEvent::Revoked(gone) = next(&mut member).await else { panic!("it gives one up") };
        assert_eq!(gone.len(), 1);
        let member = tokio::spawn(async move {
            while !matches!(next(&mut member).await, GroupEvent::Assigned(_)) {}
            member
        });
        let starts = share(&mut other).await;
        let member = member.await.unwrap();
        transaction.append(batch(5, 5)).await.unwrap();
        transaction.flush().await.unwrap();
        let refused = transaction.offsets(&before, &at(10)).await.unwrap_err();
        let Trouble::Doubt(error) = refused else { panic!("{refused:?}") };
        assert_eq!(error.code(), Some(ErrorCode::IllegalGeneration), "{error}");
        transaction.into_producer().await.resolve().await.unwrap();

        // Whose it is now says it in time.
        let theirs = starts.iter().any(|start| start.partition.partition == 0);
        let owner = if theirs { other.membership() } else { member.membership() };
        let end = client.offsets(std::slice::from_ref(&output), kmerge::client::OffsetAt::Latest).await.unwrap()[0];
        let mut transaction = writer(end).await;
        transaction.append(batch(5, 5)).await.unwrap();
        transaction.flush().await.unwrap();
        transaction.offsets(&owner, &at(10)).await.unwrap();
        transaction.commit().await.unwrap();
        member.leave().await.unwrap();
        other.leave().await.unwrap();
        let mut heir = world.member(&options).await;
        let starts: Vec<_> = share(&mut heir).await.into_iter().map(|start| start.offset).collect();
        assert_eq!(starts, [10, 0]);
        heir.leave().await.unwrap();
    }
}

on_kafka! {
    async fn by_the_newer_protocol_too_partitions_that_are_added_go_to_every_member(world: &World) {
        two_share_what_is_added(world, GroupProtocol::Consumer).await;
    }

    async fn by_the_newer_protocol_what_one_gives_up_another_goes_on_with(world: &World) {
        let topic = world.topic("newer", 2, 10).await;
        let mut options = world.options(&[&topic]);
        options.protocol = GroupProtocol::Consumer;
        let mut first = world.member(&options).await;
        assert_eq!(partitions(&share(&mut first).await), [0, 1]);
        let all = [0, 1].map(|partition| (TopicPartition::new(topic.as_str(), partition), 4));
        first.commit(&all).await.unwrap();
        let mut second = world.member(&options).await;
        let GroupEvent::Revoked(gone) = next(&mut first).await else { panic!("it gives one up") };
        let [gone] = gone.as_slice() else { panic!("{gone:?}") };
        first.commit(&[(gone.clone(), 7)]).await.unwrap();
        let first = tokio::spawn(async move {
            while !matches!(next(&mut first).await, GroupEvent::Assigned(starts) if starts.is_empty()) {}
            first
        });
        let starts = share(&mut second).await;
        assert_eq!(starts, [Start { partition: gone.clone(), offset: 7, note: String::new() }]);
        // What was given up cannot be committed any more, what was kept can, in whatever epoch.
        let first = first.await.unwrap();
        assert!(matches!(first.commit(&[(gone.clone(), 8)]).await, Err(NotCommitted::Lost(_))));
        let kept = all.iter().find(|(one, _)| one != gone).unwrap().0.clone();
        first.commit(&[(kept.clone(), 9)]).await.unwrap();
        first.leave().await.unwrap();
        assert_eq!(share(&mut second).await, [Start { partition: kept, offset: 9, note: String::new() }]);
        second.leave().await.unwrap();
    }

    async fn by_the_newer_protocol_a_member_with_a_name_comes_back_to_its_share(world: &World) {
        let topic = world.topic("newer-named", 2, 0).await;
        let mut options = world.options(&[&topic]);
        options.protocol = GroupProtocol::Consumer;
        options.instance = Some("a".to_owned());
        let mut member = world.member(&options).await;
        assert_eq!(partitions(&share(&mut member).await), [0, 1]);
        member.leave().await.unwrap();
        let mut member = world.member(&options).await;
        assert_eq!(partitions(&share(&mut member).await), [0, 1]);
        member.leave().await.unwrap();
    }

    async fn a_member_whose_group_speaks_the_other_protocol_is_told_so(world: &World) {
        let topic = world.topic("mixed", 1, 0).await;
        let mut options = world.options(&[&topic]);
        let mut classic = world.member(&options).await;
        share(&mut classic).await;
        // Kafka lets the newer ones join such a group, and turns it into one of theirs.
        options.protocol = GroupProtocol::Consumer;
        let mut newer = world.member(&options).await;
        let told = tokio::time::timeout(LONG, newer.next()).await.expect("an answer in time");
        assert!(told.is_ok(), "{told:?}");
        newer.leave().await.unwrap();
        classic.leave().await.unwrap();
    }
}

//! The rules of one transactional id: by hand as they were measured on Apache Kafka 4.2, then every short story of two
//! producers, held against what must always be so.

use super::transaction::{Part, Phase, Producer, Transaction};
use crate::base::place::TopicPartition;
use crate::wire::ErrorCode;

type Given = Result<Producer, ErrorCode>;

const FENCED: Given = Err(ErrorCode::ProducerFenced);
const BUSY: Given = Err(ErrorCode::ConcurrentTransactions);
const INVALID: Given = Err(ErrorCode::InvalidTxnState);

fn part(partition: i32) -> Part {
    Part::Partition(TopicPartition::new("t", partition))
}

fn at(epoch: i16) -> Producer {
    Producer { id: 7, epoch }
}

/// An id under test; fresh producer ids count up from 100.
struct Id {
    transaction: Transaction,
    fresh: i64,
    raises: bool,
}

impl Id {
    fn new(raises: bool) -> Self {
        Self { transaction: Transaction::new(7), fresh: 100, raises }
    }

    /// With a transaction open at epoch 0.
    fn open(raises: bool) -> Self {
        let mut this = Self::new(raises);
        assert_eq!(this.init(None), Ok(at(0)));
        assert_eq!(this.add(at(0)), Ok(()));
        this
    }

    fn init(&mut self, expected: Option<Producer>) -> Given {
        let fresh = &mut self.fresh;
        self.transaction.init(expected, 1_000, self.raises, || {
            *fresh += 1;
            *fresh
        })
    }

    fn add(&mut self, producer: Producer) -> Result<(), ErrorCode> {
        self.transaction.add(producer, vec![part(0)], 50)
    }

    fn end(&mut self, producer: Producer, commits: bool) -> Given {
        let fresh = &mut self.fresh;
        if !self.raises {
            return self.transaction.end(producer, commits);
        }
        self.transaction.end_raising(producer, commits, 60, || {
            *fresh += 1;
            *fresh
        })
    }

    fn phase(&self) -> Phase {
        self.transaction.phase
    }
}

#[test]
fn an_end_can_be_repeated_until_the_next_transaction_is_open_and_tells_how_it_ended() {
    for (commits, other) in [(true, false), (false, true)] {
        let mut id = Id::open(true);
        assert_eq!(id.end(at(0), commits), Ok(at(1)));
        assert_eq!((id.end(at(0), commits), id.end(at(0), other)), (BUSY, INVALID));
        assert_eq!(id.init(Some(at(0))), BUSY);
        assert_eq!(id.add(at(1)), Err(ErrorCode::ConcurrentTransactions));
        id.transaction.complete();
        assert_eq!((id.end(at(0), commits), id.end(at(0), other)), (Ok(at(1)), INVALID));
        assert_eq!(id.add(at(0)), Err(ErrorCode::ProducerFenced));
        id.add(at(1)).unwrap();
        assert_eq!((id.end(at(0), commits), id.phase()), (FENCED, Phase::Ongoing));
    }
}

#[test]
fn without_epochs_of_their_own_a_late_repetition_ends_the_next_transaction() {
    let mut id = Id::open(false);
    assert_eq!(id.end(at(0), true), Ok(at(0)));
    id.transaction.complete();
    assert_eq!((id.end(at(0), true), id.end(at(0), false)), (Ok(at(0)), INVALID));
    id.add(at(0)).unwrap();
    assert_eq!((id.end(at(0), true), id.phase()), (Ok(at(0)), Phase::PrepareCommit));
}

#[test]
fn nothing_can_be_aborted_but_not_committed_and_only_where_epochs_are_raised() {
    let mut id = Id::new(true);
    id.init(None).unwrap();
    assert_eq!(id.end(at(0), true), INVALID);
    assert_eq!((id.end(at(0), false), id.phase()), (Ok(at(1)), Phase::PrepareAbort));
    id.transaction.complete();
    assert_eq!(id.end(at(1), true), INVALID);
    assert_eq!(id.end(at(1), false), Ok(at(2)));
    let mut id = Id::new(false);
    id.init(None).unwrap();
    assert_eq!((id.end(at(0), true), id.end(at(0), false)), (INVALID, INVALID));
}

#[test]
fn a_rival_aborts_what_is_open_and_fences_its_owner_two_epochs_on() {
    for raises in [true, false] {
        let mut id = Id::open(raises);
        assert_eq!((id.init(None), id.transaction.producer, id.phase()), (BUSY, at(1), Phase::PrepareAbort));
        assert_eq!(id.init(None), BUSY);
        id.transaction.complete();
        assert_eq!(id.init(None), Ok(at(2)));
        assert_eq!((id.end(at(0), true), id.init(Some(at(0)))), (FENCED, FENCED));
        assert_eq!(id.add(at(0)), Err(ErrorCode::ProducerFenced));
    }
}

#[test]
fn the_owner_of_a_transaction_that_took_too_long_goes_on_where_epochs_are_raised() {
    let mut id = Id::open(true);
    assert_eq!(id.transaction.expires_ms(), Some(1_050));
    id.transaction.fence(true);
    id.transaction.complete();
    assert_eq!((id.end(at(0), true), id.end(at(0), false)), (INVALID, Ok(at(1))));
    assert_eq!(id.init(Some(at(0))), Ok(at(1)));
    let mut id = Id::open(false);
    id.transaction.fence(false);
    id.transaction.complete();
    assert_eq!((id.end(at(0), true), id.init(Some(at(0)))), (FENCED, FENCED));
}

#[test]
fn the_last_epoch_is_followed_by_another_id_and_that_can_be_repeated() {
    let mut id = Id::new(true);
    id.init(None).unwrap();
    id.transaction.producer.epoch = 32_766;
    id.add(at(32_766)).unwrap();
    let next = Ok(Producer { id: 101, epoch: 0 });
    assert_eq!(id.end(at(32_766), true), next);
    assert_eq!((id.transaction.producer, id.end(at(32_766), true)), (at(32_767), BUSY));
    id.transaction.complete();
    assert_eq!((id.end(at(32_766), true), id.end(at(32_766), false)), (next, INVALID));
    // A plain init of the last epoch moves on as well.
    let mut id = Id::new(true);
    id.init(None).unwrap();
    id.transaction.producer.epoch = 32_766;
    assert_eq!(id.init(Some(at(32_766))), next);
    assert_eq!(id.init(Some(at(32_766))), next, "repeated");
    assert_eq!(id.init(Some(at(32_765))), FENCED);
    // So does its owner after its time was up.
    let mut id = Id::new(true);
    id.init(None).unwrap();
    id.transaction.producer.epoch = 32_766;
    id.add(at(32_766)).unwrap();
    id.transaction.fence(true);
    id.transaction.complete();
    assert_eq!(id.init(Some(at(32_766))), next);
}

#[test]
fn what_was_not_added_is_told_and_another_id_is_another_matter() {
    let mut id = Id::open(true);
    assert_eq!(id.transaction.verify(at(0), &part(0)), Ok(()));
    assert_eq!(id.transaction.verify(at(0), &part(1)), Err(ErrorCode::TransactionAbortable));
    let stranger = Producer { id: 8, epoch: 0 };
    assert_eq!(id.add(stranger), Err(ErrorCode::InvalidProducerIdMapping));
    assert_eq!(id.end(stranger, true), Err(ErrorCode::InvalidProducerIdMapping));
    assert_eq!(id.init(Some(stranger)), FENCED);
}

/// What can be done, by one who has a producer in hand, or by the cluster.
#[derive(Debug, Clone, Copy)]
enum Step {
    Init(usize),
    Again(usize),
    Add(usize),
    End(usize, bool),
    Expire,
    Complete,
}

const STEPS: [Step; 12] = [
    Step::Init(0),
    Step::Init(1),
    Step::Again(0),
    Step::Again(1),
    Step::Add(0),
    Step::Add(1),
    Step::End(0, true),
    Step::End(0, false),
    Step::End(1, true),
    Step::End(1, false),
    Step::Expire,
    Step::Complete,
];

/// Takes a step and looks whether it was one that may be.
fn take(id: &mut Id, hands: &mut [Option<Producer>; 2], step: Step, story: &[Step]) {
    let before = id.transaction.clone();
    let given = match step {
        Step::Init(who) => id.init(None).inspect(|producer| hands[who] = Some(*producer)),
        Step::Again(who) => id.init(hands[who]).inspect(|producer| hands[who] = Some(*producer)),
        Step::Add(who) => hands[who].map_or(FENCED, |producer| id.add(producer).map(|()| producer)),
        Step::End(who, commits) => hands[who]
            .map_or(FENCED, |producer| id.end(producer, commits))
            .inspect(|producer| hands[who] = Some(*producer)),
        Step::Expire => {
            id.transaction.fence(id.raises);
            BUSY
        }
        Step::Complete => {
            id.transaction.complete();
            BUSY
        }
    };
    let after = &id.transaction;
    let told = || format!("{story:?}, {step:?}: {given:?}, {before:?} to {after:?}");
    let same_id = before.producer.id == after.producer.id;
    assert!(!same_id || before.producer.epoch <= after.producer.epoch, "an epoch went down: {}", told());
    assert_eq!(
        after.phase == Phase::Ongoing || after.phase.is_ending(),
        !after.parts.is_empty() || is_empty_abort(after),
        "{}",
        told()
    );
    if before.phase.is_ending() {
        let left = matches!(step, Step::Complete);
        assert!(left || *after == before, "an end was undone: {}", told());
    }
    if before.phase == Phase::Ongoing && after.phase != Phase::Ongoing {
        assert!(after.phase.is_ending(), "a transaction vanished: {}", told());
        let commits = after.phase == Phase::PrepareCommit;
        assert!(!commits || matches!(step, Step::End(_, true)), "committed by nobody: {}", told());
    }
    match (step, given) {
        (Step::Add(_), Ok(producer)) => assert_eq!(producer, before.producer, "{}", told()),
        (Step::Init(_) | Step::Again(_), Ok(producer)) => {
            assert!(producer == after.producer && after.phase == Phase::Empty, "{}", told());
        }
        (Step::End(..), Ok(producer)) if id.raises && before.phase == Phase::Ongoing => {
            let raised = Producer { epoch: before.producer.epoch + 1, ..before.producer };
            assert_eq!(producer, raised, "{}", told());
        }
        _ => {}
    }
}

/// The abort of nothing has no parts.
fn is_empty_abort(transaction: &Transaction) -> bool {
    transaction.phase == Phase::PrepareAbort && transaction.parts.is_empty()
}

fn every_story(id: &Id, hands: [Option<Producer>; 2], story: &mut Vec<Step>, left: usize, count: &mut u64) {
    for step in STEPS {
        let mut next = Id { transaction: id.transaction.clone(), ..*id };
        let mut held = hands;
        take(&mut next, &mut held, step, story);
        *count += 1;
        if left > 1 {
            story.push(step);
            every_story(&next, held, story, left - 1, count);
            story.pop();
        }
    }
}

#[test]
fn in_every_short_story_of_two_producers_epochs_go_up_and_an_end_stands() {
    for raises in [true, false] {
        let mut count = 0;
        every_story(&Id::new(raises), [None; 2], &mut Vec::new(), 5, &mut count);
        assert_eq!(count, (1..=5).map(|length| 12u64.pow(length)).sum::<u64>());
    }
}

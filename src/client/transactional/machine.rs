//! What a transactional producer does next: a pure function of its state and of what it has just learned.
//!
//! ```text
//!            plain InitProducerId, once a process
//!  Starting ────────────── 0 ──────────────▶ Idle ◀──────────── 0 ─────────────┐
//!     │ 14 15 16 51, lost: again              │ begin                          │
//!     │                                       ▼                                │
//!     │            any doubt of a write ┌── Open ── commit ──▶ Ending(commit) ─┤
//!     │                                 ▼                        │  14 15 16 51, lost: the same again (on the explicit way
//!     │            45 59 120 ──▶ Ending(abort) ◀─────────────────┘             as Repeating, whose 0 is a doubt)
//!     │                                 │ 0 47 48 49 90: whose transaction was it? (90 on the explicit way: not ours)
//!     │                                 ▼                                          │
//!     │                             Resolving: InitProducerId with the             │
//!     │                                 │      current (id, epoch)                 ▼
//!     │                                 ├── 47 90: a successor runs ──────────▶ Fenced
//!     │                                 └── 0: only we are here ──▶ Idle, and recover: read the record and the tail
//!     └── 50 53, a denial, an unknown code ──▶ Stopped (from everywhere)
//! ```
//!
//! Non-obvious:
//! - There is one way back from every doubt, and it never guesses: abort what may be open, resolve, read what is there. The
//!   plain InitProducerId is not on it: it would fence a successor.
//! - The abort comes before the question. Asked while our own transaction is open, InitProducerId would fence ourselves.
//! - On the implicit way 90 to EndTxn is not the answer yet: it is said as well while the markers of our last commit are being
//!   written. The question decides, at a price: asked with an old epoch while a successor has a transaction open, it voids
//!   that one (Kafka 4.2 looks at the id alone then), and the successor gets over it as over any doubt. On the explicit way,
//!   where it could not, 90 says enough: it is not asked.
//! - Resolving is also the barrier: it is answered 0 only when all markers before it are written.
//! - An EndTxn that is repeated with the same (id, epoch) is carried out once, so a lost answer is asked for again. On the
//!   implicit way (transaction.version 2) that is the end of it. On the explicit way the epoch stays, and a copy that is late
//!   could end the next transaction: after every doubt, and every abort, the epoch is raised.

use crate::wire::ErrorCode;

/// How a transaction is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum End {
    Commit,
    Abort,
}

/// Which of the two protocols is spoken; never mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Way {
    /// Partitions join a transaction by being written to; every end raises the epoch.
    Implicit,
    /// Partitions are added first; the epoch stays.
    Explicit,
}

/// Where the producer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum State {
    Starting,
    Idle,
    Open,
    Ending(End),
    /// A commit on the explicit way whose answer was lost.
    Repeating,
    Resolving,
    Fenced,
    Stopped,
}

/// What it has learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// Something is about to be written.
    Begin,
    /// Everything was written and is to stand.
    Commit,
    /// What was written must not stand, or it is not known whether it was written.
    Doubt,
    /// The coordinator's answer to what was asked last.
    Answered(ErrorCode),
    /// There is no answer, and it may have been done.
    Lost,
    /// Nobody took the question: it was not done.
    NotAsked,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Go on.
    Continue,
    /// Ask for an identity, fencing whoever has the transactional id now.
    Init,
    /// Ask for the next epoch of the current identity.
    InitCurrent,
    /// End the transaction.
    EndTxn(End),
    /// Ask the same again, after a pause.
    Again,
    /// Ask the same again, after a pause and after looking for the coordinator.
    Elsewhere,
    /// Take on the identity in the answer and go on.
    Adopt,
    /// The same, but what is known of the output is worth nothing any more: read the record and the output's tail.
    AdoptAndRecover,
    /// Another instance has taken over: send nothing more.
    GiveWay,
    /// Nothing can be done about it.
    Stop,
}

/// See the module's head.
pub(super) fn step(way: Way, state: State, event: Event) -> (State, Action) {
    match (state, event) {
        (State::Fenced, _) => (State::Fenced, Action::GiveWay),
        (State::Stopped, _) => (State::Stopped, Action::Stop),

        (State::Idle, Event::Begin) => (State::Open, Action::Continue),
        (State::Open, Event::Begin) => (State::Open, Action::Continue),
        (State::Open, Event::Commit) => (State::Ending(End::Commit), Action::EndTxn(End::Commit)),
        // Nothing was written, so there is nothing to end.
        (State::Idle, Event::Commit) => (State::Idle, Action::Continue),
        (State::Open, Event::Doubt) => (State::Ending(End::Abort), Action::EndTxn(End::Abort)),
        // Nothing of ours is open.
        (State::Idle, Event::Doubt) => (State::Resolving, Action::InitCurrent),
        // It was given up for its time: the same is asked again.
        (State::Ending(end), Event::Doubt) => (state, Action::EndTxn(end)),
        (State::Repeating, Event::Doubt) => (state, Action::EndTxn(End::Commit)),
        (State::Resolving, Event::Doubt) => (state, Action::InitCurrent),

        (State::Starting | State::Resolving | State::Ending(_) | State::Repeating, Event::NotAsked) => {
            (state, Action::Elsewhere)
        }
        // An identity that nobody has heard of harms nobody.
        (State::Starting | State::Resolving, Event::Lost) => (state, Action::Elsewhere),
        (State::Ending(End::Commit), Event::Lost | Event::Answered(ErrorCode::UnknownServerError))
            if way == Way::Explicit =>
        {
            (State::Repeating, Action::Elsewhere)
        }
        (State::Ending(_) | State::Repeating, Event::Lost) => (state, Action::Elsewhere),

        (State::Starting | State::Resolving | State::Ending(_) | State::Repeating, Event::Answered(code)) => {
            answered(way, state, code)
        }

        // What makes no sense is not acted on.
        (State::Starting | State::Resolving | State::Ending(_) | State::Repeating, Event::Begin | Event::Commit)
        | (State::Starting, Event::Doubt)
        | (State::Idle | State::Open, Event::Answered(_) | Event::Lost | Event::NotAsked) => {
            (State::Stopped, Action::Stop)
        }
    }
}

fn answered(way: Way, state: State, code: ErrorCode) -> (State, Action) {
    use ErrorCode as E;
    match (state, code) {
        (State::Starting | State::Ending(End::Commit), E::None) => (State::Idle, Action::Adopt),
        (State::Ending(End::Abort) | State::Repeating, E::None) => (State::Resolving, Action::InitCurrent),
        (State::Resolving, E::None) => (State::Idle, Action::AdoptAndRecover),

        // It is starting, busy with what came before, or overloaded; or it is another broker by now.
        (_, E::ConcurrentTransactions | E::RequestTimedOut | E::ThrottlingQuotaExceeded) => (state, Action::Again),
        (_, E::CoordinatorLoadInProgress) => (state, Action::Again),
        (_, E::CoordinatorNotAvailable | E::NotCoordinator | E::NetworkException) => (state, Action::Elsewhere),
        (_, E::BrokerNotAvailable | E::KafkaStorageError | E::NotEnoughReplicas) => (state, Action::Elsewhere),
        (_, E::NotEnoughReplicasAfterAppend) => (state, Action::Again),

        // What it had no word for may have been done or not.
        (State::Ending(_) | State::Repeating, E::UnknownServerError) => (state, Action::Again),
        // It must not stand.
        (
            State::Ending(End::Commit) | State::Repeating,
            E::OutOfOrderSequenceNumber | E::UnknownProducerId | E::TransactionAbortable,
        ) => (State::Ending(End::Abort), Action::EndTxn(End::Abort)),
        // The identity is not the current one, or its transaction is not what we believe it is: it may have timed out.
        (
            State::Ending(_) | State::Repeating,
            E::InvalidProducerEpoch | E::InvalidTxnState | E::InvalidProducerIdMapping,
        ) => (State::Resolving, Action::InitCurrent),
        (State::Ending(_) | State::Repeating, E::ProducerFenced) => match way {
            Way::Implicit => (State::Resolving, Action::InitCurrent),
            Way::Explicit => (State::Fenced, Action::GiveWay),
        },
        // That is the question, and this its answer.
        (State::Resolving, E::InvalidProducerEpoch | E::ProducerFenced) => (State::Fenced, Action::GiveWay),
        // Whoever starts with nothing can only be told so while another starts at the same moment.
        (State::Starting, E::InvalidProducerEpoch | E::ProducerFenced) => (State::Starting, Action::Again),

        _ => (State::Stopped, Action::Stop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAYS: [Way; 2] = [Way::Implicit, Way::Explicit];
    const STATES: [State; 9] = [
        State::Starting,
        State::Idle,
        State::Open,
        State::Ending(End::Commit),
        State::Ending(End::Abort),
        State::Repeating,
        State::Resolving,
        State::Fenced,
        State::Stopped,
    ];

    fn events() -> Vec<Event> {
        let codes = ErrorCode::ALL.iter().copied().chain([ErrorCode::Unknown(-2), ErrorCode::Unknown(12_345)]);
        let others = [Event::Begin, Event::Commit, Event::Doubt, Event::Lost, Event::NotAsked];
        codes.map(Event::Answered).chain(others).collect()
    }

    fn every(mut each: impl FnMut(Way, State, Event, State, Action)) {
        for way in WAYS {
            for state in STATES {
                for event in events() {
                    let (next, action) = step(way, state, event);
                    each(way, state, event, next, action);
                }
            }
        }
    }

    #[test]
    fn a_plain_init_is_never_asked_for_after_the_start() {
        every(|_, state, _, next, action| {
            assert_ne!(action, Action::Init, "{state:?}");
            assert!(next != State::Starting || state == State::Starting, "{state:?}");
        });
    }

    #[test]
    fn only_an_answer_of_0_changes_the_identity_and_only_resolving_recovers() {
        every(|_, state, event, next, action| match action {
            Action::Adopt => {
                assert_eq!((event, next), (Event::Answered(ErrorCode::None), State::Idle));
                assert!(matches!(state, State::Starting | State::Ending(End::Commit)));
            }
            Action::AdoptAndRecover => {
                assert_eq!((state, event), (State::Resolving, Event::Answered(ErrorCode::None)));
            }
            _ => assert!(event != Event::Answered(ErrorCode::None) || state != State::Starting),
        });
    }

    #[test]
    fn nothing_leaves_the_two_ends() {
        every(|_, state, _, next, action| match state {
            State::Fenced => assert_eq!((next, action), (State::Fenced, Action::GiveWay)),
            State::Stopped => assert_eq!((next, action), (State::Stopped, Action::Stop)),
            _ => {}
        });
    }

    #[test]
    fn only_who_ends_a_transaction_or_asks_with_the_current_identity_learns_that_it_is_fenced() {
        let fenced = [ErrorCode::InvalidProducerEpoch, ErrorCode::ProducerFenced].map(Event::Answered);
        every(|way, state, event, next, _| {
            if next == State::Fenced && state != State::Fenced {
                assert!(fenced.contains(&event), "{way:?} {state:?} {event:?}");
                assert!(state == State::Resolving || way == Way::Explicit, "{way:?} {state:?} {event:?}");
            }
        });
    }

    #[test]
    fn what_is_written_is_never_followed_by_the_question_before_it_is_aborted() {
        every(|_, state, event, next, _| {
            if state == State::Open {
                assert_ne!(next, State::Resolving, "{event:?}");
            }
        });
    }

    /// Answers to EndTxn and InitProducerId that pass, for every state that asks.
    const PASSING: [ErrorCode; 10] = [
        ErrorCode::ConcurrentTransactions,
        ErrorCode::RequestTimedOut,
        ErrorCode::ThrottlingQuotaExceeded,
        ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotCoordinator,
        ErrorCode::NetworkException,
        ErrorCode::BrokerNotAvailable,
        ErrorCode::KafkaStorageError,
        ErrorCode::NotEnoughReplicas,
    ];

    #[test]
    fn fault_25_every_code_at_every_question_has_the_stated_action_and_the_rest_stops() {
        use ErrorCode as E;
        let whose = [E::InvalidProducerEpoch, E::InvalidTxnState, E::InvalidProducerIdMapping, E::ProducerFenced];
        let void = [E::OutOfOrderSequenceNumber, E::UnknownProducerId, E::TransactionAbortable];
        let fenced = [E::InvalidProducerEpoch, E::ProducerFenced];
        every(|way, state, event, next, action| {
            let Event::Answered(code) = event else { return };
            let ends = matches!(state, State::Ending(_) | State::Repeating);
            if !ends && !matches!(state, State::Starting | State::Resolving) {
                return;
            }
            let again = matches!(action, Action::Again | Action::Elsewhere) && next == state;
            let shown = format!("{way:?} {state:?} {code}");
            match state {
                _ if code == E::None => assert!(!again && next != State::Stopped, "{shown}"),
                _ if PASSING.contains(&code) || code == E::NotEnoughReplicasAfterAppend => assert!(again, "{shown}"),
                _ if ends && code == E::UnknownServerError => {
                    assert!(again || next == State::Repeating, "{shown}")
                }
                _ if ends && code == E::ProducerFenced && way == Way::Explicit => {
                    assert_eq!(next, State::Fenced, "{shown}")
                }
                _ if ends && whose.contains(&code) => {
                    assert_eq!((next, action), (State::Resolving, Action::InitCurrent), "{shown}")
                }
                State::Ending(End::Commit) | State::Repeating if void.contains(&code) => {
                    assert_eq!((next, action), (State::Ending(End::Abort), Action::EndTxn(End::Abort)), "{shown}")
                }
                State::Resolving if fenced.contains(&code) => assert_eq!(next, State::Fenced, "{shown}"),
                State::Starting if fenced.contains(&code) => assert!(again, "{shown}"),
                _ => assert_eq!((next, action), (State::Stopped, Action::Stop), "{shown}"),
            }
        });
    }

    #[test]
    fn a_lost_commit_is_asked_for_again_and_on_the_explicit_way_a_doubt_all_the_same() {
        let lost = |way| step(way, State::Ending(End::Commit), Event::Lost);
        assert_eq!(lost(Way::Implicit), (State::Ending(End::Commit), Action::Elsewhere));
        assert_eq!(lost(Way::Explicit), (State::Repeating, Action::Elsewhere));
        let done = step(Way::Explicit, State::Repeating, Event::Answered(ErrorCode::None));
        assert_eq!(done, (State::Resolving, Action::InitCurrent));
    }

    #[test]
    fn every_doubt_ends_idle_or_at_an_end_whatever_the_answers() {
        // From every state that asks, a walk of answers that change the state is short: there is no circle.
        every(|way, state, event, next, _| {
            let rank = |state| match state {
                State::Open => 6,
                State::Ending(End::Commit) => 5,
                State::Repeating => 4,
                State::Ending(End::Abort) => 3,
                State::Starting | State::Resolving => 2,
                State::Idle => 1,
                State::Fenced | State::Stopped => 0,
            };
            let begins = matches!(event, Event::Begin | Event::Doubt) && state == State::Idle;
            assert!(begins || next == state || rank(next) < rank(state), "{way:?} {state:?} {event:?}");
        });
    }
}

//! What a transactional producer does next: a pure function of its state and of what it has just learned.
//!
//! ```text
//!            plain InitProducerId, once a process
//!  Starting ────────────── 0 ──────────────▶ Idle ◀──────────── 0 ─────────────┐
//!     │ 14 15 16 51, lost: again              │ begin                          │
//!     │                                       ▼                                │
//!     │            any doubt of a write ┌── Open ── commit ──▶ Ending(commit) ─┤
//!     │                                 ▼                        │  14 15 16 51, lost: the same again
//!     │                          Ending(abort) ◀─────────────────┘             (explicit way: a lost one is a doubt)
//!     │                                 │ 0 45 47 48 49 59 90 120: whose transaction was it?
//!     │                                 ▼
//!     │                             Resolving: InitProducerId with the current (id, epoch)
//!     │                                 ├── 0: only we are here ──▶ Idle, and Recover: read the record and the tail
//!     │                                 └── 47 90: a successor runs ──▶ Fenced
//!     └── 50 53, a denial, an unknown code ──▶ Stopped (from everywhere)
//! ```
//!
//! Non-obvious:
//! - There is one way back from every doubt, and it never guesses: abort what may be open, resolve, read what is there. The
//!   plain InitProducerId is not on it: it would fence a successor.
//! - The abort comes before the question. Asked while our own transaction is open, InitProducerId would fence ourselves.
//! - Resolving is also the barrier: it is answered 0 only when all markers before it are written.
//! - On the implicit way (transaction.version 2) an EndTxn that is repeated with the same (id, epoch) tells the truth, so a
//!   lost answer is no doubt. On the explicit way the epoch does not move, and a copy that is late could end the next
//!   transaction: after every doubt, and every abort, the epoch is raised.

use crate::wire::ErrorCode;

/// How a transaction is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum End {
    Commit,
    Abort,
}

/// Which of the two protocols is spoken; never mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
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

        (State::Starting | State::Resolving | State::Ending(_), Event::NotAsked) => (state, Action::Elsewhere),
        // An identity that nobody has heard of harms nobody.
        (State::Starting | State::Resolving, Event::Lost) => (state, Action::Elsewhere),
        (State::Ending(End::Commit), Event::Lost) if way == Way::Explicit => (State::Resolving, Action::InitCurrent),
        (State::Ending(_), Event::Lost) => (state, Action::Elsewhere),

        (State::Starting | State::Resolving | State::Ending(_), Event::Answered(code)) => answered(state, code),

        // What makes no sense is not acted on.
        (State::Starting | State::Resolving | State::Ending(_), Event::Begin | Event::Commit | Event::Doubt)
        | (State::Idle | State::Open, Event::Answered(_) | Event::Lost | Event::NotAsked) => {
            (State::Stopped, Action::Stop)
        }
    }
}

fn answered(state: State, code: ErrorCode) -> (State, Action) {
    use ErrorCode as E;
    match (state, code) {
        (State::Starting | State::Ending(End::Commit), E::None) => (State::Idle, Action::Adopt),
        (State::Ending(End::Abort), E::None) => (State::Resolving, Action::InitCurrent),
        (State::Resolving, E::None) => (State::Idle, Action::AdoptAndRecover),

        // It is starting, busy with what came before, or overloaded; or it is another broker by now.
        (_, E::ConcurrentTransactions | E::RequestTimedOut | E::ThrottlingQuotaExceeded) => (state, Action::Again),
        (_, E::CoordinatorLoadInProgress) => (state, Action::Again),
        (_, E::CoordinatorNotAvailable | E::NotCoordinator | E::NetworkException) => (state, Action::Elsewhere),
        (_, E::BrokerNotAvailable | E::KafkaStorageError | E::NotEnoughReplicas) => (state, Action::Elsewhere),
        (_, E::NotEnoughReplicasAfterAppend) => (state, Action::Again),

        // The identity is not the current one, or its transaction is not what we believe it is.
        (State::Ending(_), E::InvalidProducerEpoch | E::ProducerFenced | E::InvalidTxnState) => {
            (State::Resolving, Action::InitCurrent)
        }
        (State::Ending(_), E::OutOfOrderSequenceNumber | E::UnknownProducerId | E::InvalidProducerIdMapping) => {
            (State::Resolving, Action::InitCurrent)
        }
        (State::Ending(_), E::TransactionAbortable | E::UnknownServerError) => (State::Resolving, Action::InitCurrent),
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
    const STATES: [State; 8] = [
        State::Starting,
        State::Idle,
        State::Open,
        State::Ending(End::Commit),
        State::Ending(End::Abort),
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
            _ => assert_ne!(event == Event::Answered(ErrorCode::None) && state == State::Starting, true),
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
    fn only_the_question_with_the_current_identity_tells_that_we_are_fenced() {
        every(|_, state, event, next, _| {
            if next == State::Fenced && state != State::Fenced {
                assert_eq!(state, State::Resolving);
                assert!(matches!(event, Event::Answered(ErrorCode::InvalidProducerEpoch | ErrorCode::ProducerFenced)));
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
        let doubts = [
            E::OutOfOrderSequenceNumber,
            E::InvalidProducerEpoch,
            E::InvalidTxnState,
            E::InvalidProducerIdMapping,
            E::UnknownProducerId,
            E::ProducerFenced,
            E::TransactionAbortable,
            E::UnknownServerError,
        ];
        let fenced = [E::InvalidProducerEpoch, E::ProducerFenced];
        every(|way, state, event, next, action| {
            let Event::Answered(code) = event else { return };
            let asks = matches!(state, State::Starting | State::Ending(_) | State::Resolving);
            if !asks {
                return;
            }
            let again = matches!(action, Action::Again | Action::Elsewhere) && next == state;
            let shown = format!("{way:?} {state:?} {code}");
            match state {
                _ if code == E::None => assert!(!again && next != State::Stopped, "{shown}"),
                _ if PASSING.contains(&code) || code == E::NotEnoughReplicasAfterAppend => assert!(again, "{shown}"),
                State::Ending(_) if doubts.contains(&code) => {
                    assert_eq!((next, action), (State::Resolving, Action::InitCurrent), "{shown}")
                }
                State::Resolving if fenced.contains(&code) => assert_eq!(next, State::Fenced, "{shown}"),
                State::Starting if fenced.contains(&code) => assert!(again, "{shown}"),
                _ => assert_eq!((next, action), (State::Stopped, Action::Stop), "{shown}"),
            }
        });
    }

    #[test]
    fn a_lost_commit_is_repeated_on_the_implicit_way_and_a_doubt_on_the_explicit_one() {
        let lost = |way| step(way, State::Ending(End::Commit), Event::Lost);
        assert_eq!(lost(Way::Implicit), (State::Ending(End::Commit), Action::Elsewhere));
        assert_eq!(lost(Way::Explicit), (State::Resolving, Action::InitCurrent));
    }

    #[test]
    fn every_doubt_ends_idle_or_at_an_end_whatever_the_answers() {
        // From every state that asks, a walk of answers that change the state is short: there is no circle.
        every(|way, state, event, next, _| {
            let rank = |state| match state {
                State::Open => 5,
                State::Ending(End::Commit) => 4,
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

//! What a member of a group does next (classic protocol): a pure function of its state and of what it has just learned.
//!
//! ```text
//!              79: again, with the id in the answer
//!              ┌──┐                     27: the others began anew
//!              ▼  │         0          ◀────────────────────────
//!  start ──▶ Joining ────────────────▶ Syncing ───── 0 ─────▶ Stable ◀─┐ heartbeats: 0
//!              ▲  ▲                       │                     │  └───┘
//!              │  └── 14 15 16, lost: the same again ──┘        │ 27, or other topics: give up what goes (the caller commits)
//!              │                                                │ 22 25, silence: all is lost (nothing can be committed)
//!              │                       released                 ▼
//!              └───────────────────────────────────────── Releasing
//!
//!  Joining, Syncing ── 22 25: what is still held is lost ──▶ Releasing
//!  82 ──▶ Fenced      a denial, an unknown code ──▶ Stopped      quit ──▶ Leaving ──▶ Left      (from everywhere)
//! ```
//! Non-obvious:
//! - It does not know eager from cooperative: *what* is given up is up to the shell. All of it before an eager member joins
//!   again, nothing before a cooperative one does; but that one may find after a Sync that it has more than its share
//!   (`Surplus`), gives that up and joins again, so that somebody else can have it.
//! - Between `Releasing` and `Joining` stands the caller: only it knows what it has handed out, and it commits that before
//!   it says `Released`. The heart goes on beating meanwhile. A caller that takes longer than the rebalance timeout is put out
//!   by the coordinator: the heart learns it, what is held is void, the caller's commit is refused.
//! - While it asks to join, or syncs, the answer says all: a heartbeat that was sent before is not listened to.
//! - 22 (another generation) leaves the member its id; after 25 the coordinator does not know it, and it comes as a new one.

use crate::wire::ErrorCode;

/// Where the member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// It has asked to join.
    Joining,
    /// It has joined and asked for its share.
    Syncing,
    /// It has its share.
    Stable,
    /// The caller is giving something up; `lost`: it is no longer ours, whatever the caller does.
    Releasing {
        lost: bool,
    },
    Leaving,
    Left,
    Fenced,
    Stopped,
}

/// What it has learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The coordinator's answer to what was asked last.
    Answered(ErrorCode),
    /// There is none.
    NoAnswer,
    /// The coordinator's answer to a heartbeat.
    Beat(ErrorCode),
    /// No heartbeat was answered for as long as the coordinator waits for one.
    Silent,
    /// The topics are not what the shares were made from, and we are the one to say so.
    Stale,
    /// The new share lacks what the caller still has.
    Surplus,
    /// The caller has given up what it was to give up.
    Released,
    /// The caller wants to leave.
    Quit,
}

/// How much of the membership is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    Generation,
    /// The id as well.
    Member,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing; wait for what comes.
    Wait,
    /// Ask to join.
    Join,
    /// Take the member id from the answer and ask to join with it.
    JoinAs,
    /// Take the generation from the answer and ask for the share (as the leader: make all of them first).
    Sync,
    /// Take the share from the answer.
    Take,
    /// Have the caller give up what goes, and wait for it.
    GiveUp,
    /// Tell the caller that all it has is lost, and wait until it has let go of it.
    Lose(Gone),
    /// What the caller is giving up is lost: it cannot be committed any more. Go on waiting for it.
    Void(Gone),
    /// Ask the same again, after a pause.
    Again,
    /// The same, after looking for the coordinator.
    Elsewhere,
    /// Tell the coordinator that we go.
    Leave,
    /// It is over as it was asked for.
    Done,
    /// Somebody else has our name.
    GiveWay,
    /// Nothing can be done about it.
    Stop,
}

/// See the module's head.
pub(super) fn step(state: State, event: Event) -> (State, Action) {
    use ErrorCode as E;
    match (state, event) {
        (State::Fenced, _) => (state, Action::GiveWay),
        (State::Stopped, _) => (state, Action::Stop),
        (State::Left, _) => (state, Action::Done),

        // Whatever it says, and whether it says anything: we are gone.
        (State::Leaving, Event::Answered(_) | Event::NoAnswer) => (State::Left, Action::Done),
        (State::Leaving, _) => (state, Action::Wait),
        (_, Event::Quit) => (State::Leaving, Action::Leave),

        (State::Joining | State::Syncing, Event::Answered(code)) => answered(state, code),
        (State::Joining | State::Syncing, Event::NoAnswer) => (state, Action::Elsewhere),
        (State::Joining | State::Syncing, Event::Beat(_) | Event::Silent | Event::Stale) => (state, Action::Wait),

        (State::Stable | State::Releasing { .. }, Event::Beat(E::FencedInstanceId)) => (State::Fenced, Action::GiveWay),
        (State::Stable, Event::Beat(E::RebalanceInProgress) | Event::Stale | Event::Surplus) => {
            (State::Releasing { lost: false }, Action::GiveUp)
        }
        (State::Stable, Event::Beat(code)) => match gone(code) {
            Some(gone) => (State::Releasing { lost: true }, Action::Lose(gone)),
            None if passes(code) => (state, Action::Wait),
            None => (State::Stopped, Action::Stop),
        },
        (State::Stable, Event::Silent) => (State::Releasing { lost: true }, Action::Lose(Gone::Generation)),

        (State::Releasing { .. }, Event::Released) => (State::Joining, Action::Join),
        (State::Releasing { lost: false }, Event::Beat(code)) => match gone(code) {
            Some(gone) => (State::Releasing { lost: true }, Action::Void(gone)),
            None if passes(code) => (state, Action::Wait),
            None => (State::Stopped, Action::Stop),
        },
        (State::Releasing { lost: false }, Event::Silent) => {
            (State::Releasing { lost: true }, Action::Void(Gone::Generation))
        }
        (State::Releasing { lost: true }, Event::Beat(_) | Event::Silent) => (state, Action::Wait),
        (State::Releasing { .. }, Event::Stale) => (state, Action::Wait),

        // What makes no sense is not acted on.
        (State::Joining | State::Syncing, Event::Released | Event::Surplus)
        | (State::Stable, Event::Answered(_) | Event::NoAnswer | Event::Released)
        | (State::Releasing { .. }, Event::Answered(_) | Event::NoAnswer | Event::Surplus) => {
            (State::Stopped, Action::Stop)
        }
    }
}

fn answered(state: State, code: ErrorCode) -> (State, Action) {
    use ErrorCode as E;
    match (state, code) {
        (State::Joining, E::None) => (State::Syncing, Action::Sync),
        (State::Joining, E::MemberIdRequired) => (State::Joining, Action::JoinAs),
        (State::Syncing, E::None) => (State::Stable, Action::Take),
        // The others join again, or somebody new does.
        (State::Syncing, E::RebalanceInProgress) => (State::Joining, Action::Join),
        (_, E::FencedInstanceId) => (State::Fenced, Action::GiveWay),
        (_, E::CoordinatorNotAvailable | E::NotCoordinator | E::NetworkException) => (state, Action::Elsewhere),
        (_, code) if passes(code) => (state, Action::Again),
        (_, code) => match gone(code) {
            Some(gone) => (State::Releasing { lost: true }, Action::Lose(gone)),
            None => (State::Stopped, Action::Stop),
        },
    }
}

/// Whether the code says that what we hold is not ours any more.
fn gone(code: ErrorCode) -> Option<Gone> {
    match code {
        ErrorCode::IllegalGeneration => Some(Gone::Generation),
        ErrorCode::UnknownMemberId => Some(Gone::Member),
        _ => None,
    }
}

/// Whether the code is about the coordinator's day rather than about us.
pub(super) fn passes(code: ErrorCode) -> bool {
    use ErrorCode as E;
    matches!(
        code,
        E::None
            | E::RebalanceInProgress
            | E::CoordinatorLoadInProgress
            | E::CoordinatorNotAvailable
            | E::NotCoordinator
            | E::RequestTimedOut
            | E::NetworkException
            | E::BrokerNotAvailable
            | E::ThrottlingQuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASING: State = State::Releasing { lost: false };
    const LOST: State = State::Releasing { lost: true };
    const STATES: [State; 9] = [
        State::Joining,
        State::Syncing,
        State::Stable,
        RELEASING,
        LOST,
        State::Leaving,
        State::Left,
        State::Fenced,
        State::Stopped,
    ];

    fn codes() -> impl Iterator<Item = ErrorCode> {
        ErrorCode::ALL.iter().copied().chain([ErrorCode::Unknown(-2), ErrorCode::Unknown(12_345)])
    }

    fn events() -> Vec<Event> {
        let others = [Event::NoAnswer, Event::Silent, Event::Stale, Event::Surplus, Event::Released, Event::Quit];
        codes().map(Event::Answered).chain(codes().map(Event::Beat)).chain(others).collect()
    }

    fn every(mut each: impl FnMut(State, Event, State, Action)) {
        for state in STATES {
            for event in events() {
                let (next, action) = step(state, event);
                each(state, event, next, action);
            }
        }
    }

    #[test]
    fn nothing_leaves_the_three_ends_and_quitting_ends_from_everywhere() {
        every(|state, event, next, action| match state {
            State::Fenced => assert_eq!((next, action), (state, Action::GiveWay)),
            State::Stopped => assert_eq!((next, action), (state, Action::Stop)),
            State::Left => assert_eq!((next, action), (state, Action::Done)),
            State::Leaving => assert!(matches!(next, State::Leaving | State::Left), "{event:?}"),
            _ if event == Event::Quit => assert_eq!((next, action), (State::Leaving, Action::Leave)),
            _ => {}
        });
    }

    #[test]
    fn the_caller_is_asked_before_anybody_joins_again_unless_it_never_had_a_share() {
        every(|state, event, next, action| {
            if next == State::Joining && state != State::Joining {
                let asked = matches!(state, State::Releasing { .. }) && event == Event::Released;
                // Between Joining and Syncing nothing was handed out.
                let between = state == State::Syncing && event == Event::Answered(ErrorCode::RebalanceInProgress);
                assert!((asked || between) && action == Action::Join, "{state:?} {event:?}");
            }
            if state == State::Stable {
                assert_ne!(next, State::Joining, "{event:?}");
            }
        });
    }

    #[test]
    fn only_a_sync_that_was_answered_gives_a_share_and_only_a_join_a_generation() {
        let none = Event::Answered(ErrorCode::None);
        every(|state, event, next, action| {
            assert_eq!(action == Action::Take, (state, event) == (State::Syncing, none), "{state:?} {event:?}");
            assert_eq!(action == Action::Sync, (state, event) == (State::Joining, none), "{state:?} {event:?}");
            assert!(next != State::Stable || state == State::Stable || action == Action::Take);
            let required = Event::Answered(ErrorCode::MemberIdRequired);
            assert_eq!(action == Action::JoinAs, (state, event) == (State::Joining, required));
        });
    }

    #[test]
    fn what_is_lost_is_never_ours_again_before_the_caller_has_let_go_of_it() {
        every(|state, event, next, _| {
            if state == LOST && !matches!(event, Event::Released | Event::Quit) {
                assert!(matches!(next, LOST | State::Fenced | State::Stopped), "{event:?} {next:?}");
            }
        });
    }

    #[test]
    fn every_code_in_every_state_is_acted_on_as_the_table_says() {
        use ErrorCode as E;
        let passing =
            [E::CoordinatorLoadInProgress, E::RequestTimedOut, E::BrokerNotAvailable, E::ThrottlingQuotaExceeded];
        let elsewhere = [E::CoordinatorNotAvailable, E::NotCoordinator, E::NetworkException];
        let gone = |code| match code {
            E::IllegalGeneration => Some(Gone::Generation),
            E::UnknownMemberId => Some(Gone::Member),
            _ => None,
        };
        every(|state, event, next, action| {
            let shown = format!("{state:?} {event:?}");
            let (Event::Answered(code) | Event::Beat(code)) = event else { return };
            let expected = match (state, event) {
                (State::Joining | State::Syncing, Event::Beat(_)) => (state, Action::Wait),
                (State::Stable | State::Releasing { .. }, Event::Answered(_)) => (State::Stopped, Action::Stop),
                (State::Joining | State::Syncing | State::Stable | State::Releasing { .. }, _)
                    if code == E::FencedInstanceId =>
                {
                    (State::Fenced, Action::GiveWay)
                }
                (State::Joining, _) if code == E::None => (State::Syncing, Action::Sync),
                (State::Joining, _) if code == E::MemberIdRequired => (State::Joining, Action::JoinAs),
                (State::Joining, _) if code == E::RebalanceInProgress => (state, Action::Again),
                (State::Syncing, _) if code == E::None => (State::Stable, Action::Take),
                (State::Syncing, _) if code == E::RebalanceInProgress => (State::Joining, Action::Join),
                (State::Joining | State::Syncing, _) if passing.contains(&code) => (state, Action::Again),
                (State::Joining | State::Syncing, _) if elsewhere.contains(&code) => (state, Action::Elsewhere),
                (State::Stable, _) if code == E::RebalanceInProgress => (RELEASING, Action::GiveUp),
                (LOST, Event::Beat(_)) => (LOST, Action::Wait),
                (RELEASING, _) if code == E::RebalanceInProgress => (RELEASING, Action::Wait),
                (State::Stable | RELEASING, _)
                    if code == E::None || passing.contains(&code) || elsewhere.contains(&code) =>
                {
                    (state, Action::Wait)
                }
                (State::Joining | State::Syncing | State::Stable, _) if gone(code).is_some() => {
                    (LOST, Action::Lose(gone(code).unwrap()))
                }
                (RELEASING, _) if gone(code).is_some() => (LOST, Action::Void(gone(code).unwrap())),
                (State::Joining | State::Syncing | State::Stable | RELEASING, _) => (State::Stopped, Action::Stop),
                // The ends and leaving have their own test.
                _ => return,
            };
            assert_eq!((next, action), expected, "{shown}");
        });
    }

    #[test]
    fn silence_loses_everything_and_a_lost_answer_is_asked_for_again() {
        assert_eq!(step(State::Stable, Event::Silent), (LOST, Action::Lose(Gone::Generation)));
        assert_eq!(step(RELEASING, Event::Silent), (LOST, Action::Void(Gone::Generation)));
        for state in [State::Joining, State::Syncing] {
            assert_eq!(step(state, Event::NoAnswer), (state, Action::Elsewhere));
            assert_eq!(step(state, Event::Silent), (state, Action::Wait));
        }
        assert_eq!(step(State::Leaving, Event::NoAnswer), (State::Left, Action::Done));
    }
}

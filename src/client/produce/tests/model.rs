//! A partition on paper: a log, what the broker knows of the producer, connections that die with requests in them. What
//! happens next is decided by a [`Chooser`], so that one test walks every history and another one draws them.

use super::super::flight::{Answer, Flight, IN_FLIGHT_MAX, Stop};
use crate::wire::ErrorCode;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::VecDeque;

/// Where the log ends when the writer begins.
pub(super) const START: i64 = 100;

/// Decides between so many ways to go on.
pub(super) enum Chooser {
    /// Walks all of them, one history after the other.
    All {
        /// Each decision so far, and how many ways there were.
        path: Vec<(usize, usize)>,
        at: usize,
    },
    Random(Box<StdRng>),
}

impl Chooser {
    pub(super) fn all() -> Self {
        Self::All { path: Vec::new(), at: 0 }
    }

    pub(super) fn random(seed: u64) -> Self {
        Self::Random(Box::new(StdRng::seed_from_u64(seed)))
    }

    fn choose(&mut self, ways: usize) -> usize {
        match self {
            Self::All { path, at } => {
                if *at == path.len() {
                    path.push((0, ways));
                }
                *at += 1;
                path[*at - 1].0
            }
            Self::Random(dice) => dice.random_range(0..ways),
        }
    }

    /// Goes back to the start with the next history; `false` after the last one.
    pub(super) fn next_history(&mut self) -> bool {
        let Self::All { path, at } = self else { return true };
        *at = 0;
        while let Some((choice, ways)) = path.pop() {
            if choice + 1 < ways {
                path.push((choice + 1, ways));
                return true;
            }
        }
        false
    }
}

/// What may happen in a world.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) batches: usize,
    pub(super) in_flight_max: usize,
    /// Batches carry a producer's sequence.
    pub(super) sequenced: bool,
    /// How many things go wrong.
    pub(super) faults: usize,
    /// Batches are damaged on their way.
    pub(super) damage: bool,
    /// The writer may read the log.
    pub(super) readable: bool,
    /// The broker forgets its producers entirely, as with old timestamps.
    pub(super) forgetful: bool,
    /// Somebody else writes as well.
    pub(super) rival: bool,
}

impl Limits {
    pub(super) fn new(batches: usize, in_flight_max: usize, faults: usize) -> Self {
        let (sequenced, damage, readable, forgetful, rival) = (true, true, true, false, false);
        Self { batches, in_flight_max, sequenced, faults, damage, readable, forgetful, rival }
    }
}

/// How a history ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) stop: Option<Stop>,
    /// The batches in the log by number, `None` for a rival's.
    pub(super) log: Vec<Option<usize>>,
    /// What happened, for the message of a failed test.
    pub(super) story: Vec<String>,
}

/// Batch `id` holds one to three records.
pub(super) fn records(id: usize) -> u32 {
    1 + (id as u32 % 3)
}

fn sequence(id: usize) -> i64 {
    (0..id).map(|before| i64::from(records(before))).sum()
}

/// One thing that may happen next.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// The broker takes the next request of the connection.
    Handle,
    /// The oldest answer arrives.
    Deliver,
    /// The broker takes the next request of a connection that is closed on our side.
    HandleLate,
    /// The request is refused with this code, not looked at.
    Refuse(ErrorCode),
    /// The request is handled and answered with this code.
    HandleAndSay(ErrorCode),
    /// The connection ends; what is in it may still reach the broker.
    Break,
    /// The broker restarts: connections end, of each producer only the last batch is known.
    Restart,
    /// What the broker knew of the producer is gone.
    Forget,
    /// Somebody else appends a record.
    Intrude,
}

pub(super) struct World<'a> {
    limits: Limits,
    chooser: &'a mut Chooser,
    flight: Flight,
    /// The number of the oldest batch that is not certain.
    oldest: usize,
    pushed: usize,
    faults_left: usize,
    log: Vec<(i64, Option<usize>)>,
    end: i64,
    /// First sequence, last sequence, base offset of the batches the broker remembers.
    window: Option<VecDeque<(i64, i64, i64)>>,
    requests: VecDeque<usize>,
    answers: VecDeque<Answer>,
    late: VecDeque<usize>,
    story: Vec<String>,
}

impl<'a> World<'a> {
    pub(super) fn new(limits: Limits, chooser: &'a mut Chooser) -> Self {
        Self {
            limits,
            chooser,
            flight: Flight::new(START, limits.in_flight_max, limits.sequenced),
            oldest: 0,
            pushed: 0,
            faults_left: limits.faults,
            log: Vec::new(),
            end: START,
            window: None,
            requests: VecDeque::new(),
            answers: VecDeque::new(),
            late: VecDeque::new(),
            story: Vec::new(),
        }
    }

    /// Lives one history through.
    pub(super) fn run(mut self) -> End {
        let mut steps = 0;
        let stop = loop {
            steps += 1;
            assert!(steps < 2_000, "it does not end: {:#?}", self.story);
            self.drive();
            if self.oldest == self.limits.batches && self.late.is_empty() {
                break None;
            }
            if let Err(stop) = self.happen() {
                break Some(stop);
            }
        };
        End { stop, log: self.log.iter().map(|(_, id)| *id).collect(), story: self.story }
    }

    /// What the driver does on its own: heal, fill the window, send.
    fn drive(&mut self) {
        if let Some(remedy) = self.flight.remedy() {
            if remedy.search && self.limits.readable {
                let found = self.search();
                self.story.push(format!("search finds {found}"));
                let certain = self.flight.found(found);
                self.certain(certain);
            }
            self.flight.begin_round();
        }
        while self.pushed < self.limits.batches && self.flight.has_room() {
            self.flight.push(records(self.pushed));
            self.pushed += 1;
        }
        while let Some(index) = self.flight.next_to_send() {
            let id = self.oldest + index;
            assert!(id < self.pushed);
            assert!(!self.requests.contains(&id), "two copies on one connection: {:#?}", self.story);
            self.story.push(format!("send {id}"));
            self.requests.push_back(id);
            self.flight.sent(index);
        }
        assert!(self.flight.len() <= IN_FLIGHT_MAX);
    }

    /// How many of the oldest batches the log holds from their place on.
    fn search(&self) -> usize {
        let mut at = self.flight.next();
        let mut found = 0;
        while let Some((base, Some(id))) = self.log.iter().find(|(base, _)| *base == at) {
            if *id != self.oldest + found {
                break;
            }
            at = base + i64::from(records(*id));
            found += 1;
        }
        found
    }

    /// Whatever the machine calls certain must be in the log, at its place, at this moment.
    fn certain(&mut self, count: usize) {
        for id in self.oldest..self.oldest + count {
            let place = START + sequence(id);
            assert!(self.log.contains(&(place, Some(id))), "{id} is not at {place}: {:#?}", self.story);
        }
        self.oldest += count;
        assert_eq!(self.flight.next(), START + sequence(self.oldest));
    }

    fn happen(&mut self) -> Result<(), Stop> {
        use ErrorCode as E;
        let mut events = Vec::new();
        if !self.answers.is_empty() {
            events.push(Event::Deliver);
        }
        if !self.requests.is_empty() {
            events.push(Event::Handle);
        }
        if !self.late.is_empty() {
            events.push(Event::HandleLate);
        }
        if self.faults_left > 0 {
            if !self.requests.is_empty() {
                events.push(Event::Refuse(E::NotEnoughReplicas));
                if self.limits.damage {
                    events.push(Event::Refuse(E::CorruptMessage));
                }
                events.extend([E::RequestTimedOut, E::NotLeaderOrFollower].map(Event::HandleAndSay));
            }
            if self.flight.awaited() > 0 {
                events.extend([Event::Break, Event::Restart]);
            }
            if self.limits.forgetful && self.window.is_some() {
                events.push(Event::Forget);
            }
            if self.limits.rival {
                events.push(Event::Intrude);
            }
        }
        assert!(!events.is_empty(), "it hangs: {:#?}", self.story);
        let event = events[self.chooser.choose(events.len())];
        self.story.push(format!("{event:?}"));
        self.faults_left -= usize::from(!matches!(event, Event::Deliver | Event::Handle | Event::HandleLate));
        match event {
            Event::Handle => {
                let id = self.requests.pop_front().unwrap();
                let answer = self.append(id);
                self.answers.push_back(answer);
            }
            Event::HandleLate => {
                let id = self.late.pop_front().unwrap();
                self.append(id);
            }
            Event::Deliver => {
                let answer = self.answers.pop_front().unwrap();
                self.story.push(format!("{answer:?}"));
                let certain = self.flight.answered(answer)?;
                self.certain(certain);
            }
            Event::Refuse(code) => {
                self.requests.pop_front();
                self.answers.push_back(Answer::Refused(code));
            }
            Event::HandleAndSay(code) => {
                let id = self.requests.pop_front().unwrap();
                let answer = match self.append(id) {
                    Answer::Stored(_) => Answer::Refused(code),
                    refused => refused,
                };
                self.answers.push_back(answer);
            }
            Event::Break => {
                // A prefix of what is in it may have reached the broker's side.
                let reached = self.chooser.choose(self.requests.len() + 1);
                self.late.extend(self.requests.drain(..).take(reached));
                self.hang_up();
            }
            Event::Restart => {
                self.late.clear();
                if let Some(window) = &mut self.window {
                    window.drain(..window.len() - 1);
                }
                self.hang_up();
            }
            Event::Forget => self.window = None,
            Event::Intrude => {
                self.log.push((self.end, None));
                self.end += 1;
            }
        }
        Ok(())
    }

    fn hang_up(&mut self) {
        self.requests.clear();
        self.answers.clear();
        self.flight.lost();
    }

    /// As Kafka does it.
    fn append(&mut self, id: usize) -> Answer {
        let (first, last) = (sequence(id), sequence(id + 1) - 1);
        if self.limits.sequenced
            && let Some(window) = &self.window
        {
            if let Some((_, _, base)) = window.iter().find(|seen| (seen.0, seen.1) == (first, last)) {
                return Answer::Stored(*base);
            }
            if window.back().is_some_and(|seen| seen.1 + 1 != first) {
                return Answer::Refused(ErrorCode::OutOfOrderSequenceNumber);
            }
        }
        let base = self.end;
        self.log.push((base, Some(id)));
        self.end += i64::from(records(id));
        let window = self.window.get_or_insert_default();
        window.push_back((first, last, base));
        if window.len() > 5 {
            window.pop_front();
        }
        Answer::Stored(base)
    }
}

//! One transactional id: who may write under it and how far its transaction is. Pure: no clock, no log, no lock.
//!
//! ```text
//!             init                          end: commit                    markers written
//!  (new) ───────────▶ Empty ──────┐      ┌──────────────▶ PrepareCommit ───────────────────▶ CompleteCommit
//!                       ▲         │ add  │                                                        │ │
//!                       │         ▼      │                                                        │ │
//!                       │       Ongoing ─┤                                                 init   │ │ add
//!                       │         ▲      │ end: abort, a rival's init, time is up                 │ │
//!                       │         │      └──────────────▶ PrepareAbort ────────────────────▶ CompleteAbort
//!                       │         │                             ▲    markers written              │ │
//!                       │         └─────────────────────────────┼─────────────────────────────────┼─┘
//!                       └───────────────────────────────────────┼─────────────────────────────────┘
//!   from Empty, CompleteCommit and CompleteAbort ───────────────┘ end: abort, of nothing (only with a raised epoch)
//! ```
//!
//! Rules of Apache Kafka 4.2, surprising ones included:
//! - `init` raises the epoch. While a transaction is open it aborts that first, at an epoch nobody is given, and is to be
//!   repeated, even where it names an older epoch of the same id.
//! - Who names the epoch before the current one gets the current one: it is taken for a repetition. After a transaction
//!   that was aborted for its time (or by a rival that has not repeated its `init` yet) its owner goes on that way.
//! - `end` of newer clients raises the epoch as well, so a repetition can be told from the end of the next transaction.
//!   Without that, the state alone must tell: a late repetition of a commit ends the next transaction.
//! - Epoch 32766 is the last one that is given out. After it there is a new producer id, from epoch 0 on.

use crate::base::place::TopicPartition;
use crate::wire::ErrorCode;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The last epoch a producer is given; one more stands in markers only.
const EPOCH_MAX: i16 = i16::MAX - 1;

const NONE: i64 = -1;
const NO_EPOCH: i16 = -1;

/// How far a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Empty,
    Ongoing,
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
}

impl Phase {
    pub(crate) const ALL: [Self; 6] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
    ];

    /// Kafka's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    /// The outcome is decided, the markers are not all written.
    pub(crate) fn is_ending(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }
}

/// A producer id with its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// What a transaction writes to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Records.
    Partition(TopicPartition),
    /// The offsets of a group.
    Group(Arc<str>),
}

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) phase: Phase,
    /// Who may write now; while it is ending, who is named in the markers.
    pub(crate) producer: Producer,
    /// The epoch before, where its owner may still repeat itself.
    last_epoch: i16,
    /// The id before this one.
    previous_id: i64,
    /// The id that follows when the markers are written, where the epochs of this one are used up.
    next_id: i64,
    pub(crate) timeout_ms: i32,
    pub(crate) parts: BTreeSet<Part>,
    /// When the transaction began, or the one before where none is open; -1 before the first.
    pub(crate) started_ms: i64,
}

impl Transaction {
    pub(crate) fn new(producer_id: i64) -> Self {
        Self {
            phase: Phase::Empty,
            producer: Producer { id: producer_id, epoch: NO_EPOCH },
            last_epoch: NO_EPOCH,
            previous_id: NONE,
            next_id: NONE,
            timeout_ms: 0,
            parts: BTreeSet::new(),
            started_ms: NONE,
        }
    }

    /// Gives the id to whoever asks, or to `expected`, who says that it has it already.
    pub(crate) fn init(
        &mut self,
        expected: Option<Producer>,
        timeout_ms: i32,
        raises: bool,
        fresh_id: impl FnOnce() -> i64,
    ) -> Result<Producer, ErrorCode> {
        let is_new = self.producer.epoch == NO_EPOCH;
        let of_before = |claimed: Producer| claimed.id == self.previous_id && claimed.epoch >= EPOCH_MAX;
        if expected.is_some_and(|claimed| !is_new && claimed.id != self.producer.id && !of_before(claimed)) {
            return Err(ErrorCode::ProducerFenced);
        }
        match self.phase {
            Phase::PrepareCommit | Phase::PrepareAbort => return Err(ErrorCode::ConcurrentTransactions),
            Phase::Ongoing => {
                self.fence(raises);
                return Err(ErrorCode::ConcurrentTransactions);
            }
            Phase::Empty | Phase::CompleteCommit | Phase::CompleteAbort => {}
        }
        let Producer { id, epoch } = self.producer;
        let claimed_epoch = expected.map(|claimed| claimed.epoch);
        // The last epoch's transaction was aborted for its time: what stands in its marker is given to nobody. (Kafka
        // fails there.)
        let is_beyond = epoch > EPOCH_MAX && claimed_epoch == Some(self.last_epoch);
        if is_beyond || (epoch >= EPOCH_MAX && claimed_epoch.is_none_or(|claimed| claimed == epoch)) {
            self.previous_id = id;
            self.producer = Producer { id: fresh_id(), epoch: 0 };
            self.last_epoch = claimed_epoch.map_or(NO_EPOCH, |_| epoch);
        } else {
            match claimed_epoch {
                None => (self.producer.epoch, self.last_epoch) = (epoch.saturating_add(1), NO_EPOCH),
                Some(claimed) if is_new || claimed == epoch => {
                    (self.producer.epoch, self.last_epoch) = (epoch.saturating_add(1), epoch);
                }
                Some(claimed) if claimed == self.last_epoch => {}
                Some(_) => return Err(ErrorCode::ProducerFenced),
            }
        }
        (self.phase, self.timeout_ms, self.started_ms) = (Phase::Empty, timeout_ms, NONE);
        Ok(self.producer)
    }

    /// Aborts the open transaction against the will of its producer, whose epoch is the old one from now on. Whether it
    /// may come back is another matter: where epochs are raised with each transaction, it may.
    pub(crate) fn fence(&mut self, raises: bool) {
        if self.phase == Phase::Ongoing {
            self.last_epoch = if raises { self.producer.epoch } else { NO_EPOCH };
            self.producer.epoch = self.producer.epoch.saturating_add(1);
            self.phase = Phase::PrepareAbort;
        }
    }

    /// Looks whether a producer could add to its transaction now.
    fn may_add(&self, producer: Producer) -> Result<(), ErrorCode> {
        if self.producer.id != producer.id {
            Err(ErrorCode::InvalidProducerIdMapping)
        } else if self.producer.epoch != producer.epoch {
            Err(ErrorCode::ProducerFenced)
        } else if self.phase.is_ending() {
            Err(ErrorCode::ConcurrentTransactions)
        } else {
            Ok(())
        }
    }

    /// What of `parts` an [`add`](Self::add) would add, or why it would be refused.
    pub(crate) fn missing(&self, producer: Producer, parts: &[Part]) -> Result<usize, ErrorCode> {
        self.may_add(producer)?;
        Ok(parts.iter().filter(|part| !self.parts.contains(*part)).count())
    }

    /// Adds what the transaction is to write to; the first of it opens the transaction.
    pub(crate) fn add(&mut self, producer: Producer, parts: Vec<Part>, now_ms: i64) -> Result<(), ErrorCode> {
        self.may_add(producer)?;
        if self.phase != Phase::Ongoing {
            (self.phase, self.started_ms) = (Phase::Ongoing, now_ms);
        }
        self.parts.extend(parts);
        Ok(())
    }

    /// Says whether a producer has added that part.
    pub(crate) fn verify(&self, producer: Producer, part: &Part) -> Result<(), ErrorCode> {
        self.may_add(producer)?;
        if self.parts.contains(part) { Ok(()) } else { Err(ErrorCode::TransactionAbortable) }
    }

    /// Ends the open transaction, as clients did before the epoch was raised each time: the producer goes on as it is.
    pub(crate) fn end(&mut self, producer: Producer, commits: bool) -> Result<Producer, ErrorCode> {
        if self.producer.id != producer.id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if self.producer.epoch != producer.epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        match (self.phase, commits) {
            (Phase::Ongoing, _) => self.phase = ending(commits),
            (Phase::CompleteCommit, true) | (Phase::CompleteAbort, false) => {}
            (Phase::PrepareCommit, true) | (Phase::PrepareAbort, false) => {
                return Err(ErrorCode::ConcurrentTransactions);
            }
            _ => return Err(ErrorCode::InvalidTxnState),
        }
        Ok(self.producer)
    }

    /// Ends the open transaction and raises the epoch; gives who is to write the next one.
    pub(crate) fn end_raising(
        &mut self,
        producer: Producer,
        commits: bool,
        now_ms: i64,
        fresh_id: impl FnOnce() -> i64,
    ) -> Result<Producer, ErrorCode> {
        let same = self.producer.epoch == producer.epoch;
        let raised_since = producer.epoch.checked_add(1) == Some(self.producer.epoch);
        let renamed_since = self.previous_id == producer.id && producer.epoch == EPOCH_MAX && self.producer.epoch == 0;
        let is_repeated = raised_since || renamed_since;
        if self.producer.id != producer.id && !renamed_since {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        let is_current = match self.phase {
            Phase::Ongoing | Phase::Empty => same,
            Phase::PrepareCommit | Phase::PrepareAbort => raised_since,
            Phase::CompleteCommit | Phase::CompleteAbort => same || is_repeated,
        };
        if !is_current {
            return Err(ErrorCode::ProducerFenced);
        }
        match (self.phase, commits) {
            (Phase::Ongoing, _) => {}
            (Phase::CompleteCommit, true) | (Phase::CompleteAbort, false) if is_repeated => return Ok(self.producer),
            (Phase::PrepareCommit, true) | (Phase::PrepareAbort, false) => {
                return Err(ErrorCode::ConcurrentTransactions);
            }
            (Phase::Empty, false) => self.started_ms = now_ms,
            (Phase::CompleteCommit | Phase::CompleteAbort, false) if !is_repeated => self.started_ms = now_ms,
            _ => return Err(ErrorCode::InvalidTxnState),
        }
        self.phase = ending(commits);
        self.last_epoch = self.producer.epoch;
        self.producer.epoch = self.producer.epoch.saturating_add(1);
        if self.last_epoch < EPOCH_MAX {
            return Ok(self.producer);
        }
        self.next_id = fresh_id();
        Ok(Producer { id: self.next_id, epoch: 0 })
    }

    /// All markers are written.
    pub(crate) fn complete(&mut self) {
        self.phase = match self.phase {
            Phase::PrepareCommit => Phase::CompleteCommit,
            Phase::PrepareAbort => Phase::CompleteAbort,
            _ => return,
        };
        self.parts.clear();
        if self.next_id != NONE {
            self.previous_id = self.producer.id;
            self.producer = Producer { id: std::mem::replace(&mut self.next_id, NONE), epoch: 0 };
        }
    }

    /// When the open transaction is aborted for its time.
    pub(crate) fn expires_ms(&self) -> Option<i64> {
        (self.phase == Phase::Ongoing).then(|| self.started_ms.saturating_add(self.timeout_ms.into()))
    }
}

fn ending(commits: bool) -> Phase {
    if commits { Phase::PrepareCommit } else { Phase::PrepareAbort }
}

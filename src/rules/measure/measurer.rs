//! Records become rows, and rows go into the table, until that is full. One for each worker.

use super::members::Members;
use super::row::Row;
use super::table::{Filled, Table};
use super::{MeasurePlan, Measures};
use crate::rules::refusal::Refusal;
use crate::rules::scan::Scanner;
use crate::rules::seen::Seen;
use crate::rules::tree::{Kind, Tree};
use crate::rules::{Class, Cleaner, Counts, Incoming, Offered, Reason, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Buffers that have become larger than this are let go.
const BUFFER_BYTES_MAX: usize = 4 << 20;

/// Stands for a rule where there is no row in a record.
pub const MEASURE: &str = "measure";
/// Stands for a rule where none could look at a record.
pub const UNDECODABLE: &str = "undecodable";

/// What was made of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// Its rows are to be added, unless a state of the rules says otherwise.
    Rows,
    /// A rule does not want it.
    Filtered,
    /// It is refused.
    Rejected {
        /// By this rule; or [`MEASURE`], [`UNDECODABLE`].
        by: String,
        /// Why.
        reason: Reason,
    },
}

/// How many rows there were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows that were measured.
    pub rows: u64,
    /// By class of reason: records that were refused because they have no row in them.
    pub rejected: BTreeMap<Class, u64>,
    /// By class of reason: members that were refused, where rows are members.
    pub rejected_members: BTreeMap<Class, u64>,
}

/// There is no room for the next row before the table is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFull {
    /// Take it, and go on.
    Take,
    /// It would not fit into an empty one either.
    TooLarge {
        /// What it takes.
        bytes: usize,
    },
}

/// See the module's head.
#[derive(Debug)]
pub struct Measurer {
    plan: Arc<MeasurePlan>,
    cleaner: Cleaner,
    table: Table,
    table_bytes: usize,
    entry_bytes_max: usize,
    row: Row,
    waiting: Waiting,
    members: Members,
    tree: Tree,
    scanner: Scanner,
    buffer: Vec<u8>,
    timestamp_ms: i64,
    counts: RowCounts,
    refused: Option<Reason>,
}

/// What is still to be added of the last record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Nothing,
    Row,
    Members,
}

impl Measurer {
    /// Its table takes so many bytes, and no entry of it more than the other number.
    pub fn new(measures: &Measures, table_bytes: usize, entry_bytes_max: usize) -> Self {
        Self {
            plan: Arc::clone(&measures.plan),
            cleaner: Cleaner::new(Arc::clone(&measures.rules)),
            table: Table::new(table_bytes),
            table_bytes,
            entry_bytes_max,
            row: Row::default(),
            waiting: Waiting::Nothing,
            members: Members::default(),
            tree: Tree::default(),
            scanner: Scanner::default(),
            buffer: Vec::new(),
            timestamp_ms: 0,
            counts: RowCounts::default(),
            refused: None,
        }
    }

    /// Looks at a record. What is in it is added by [`Self::add`].
    pub fn look(&mut self, record: &Incoming<'_>) -> Looked {
        self.waiting = Waiting::Nothing;
        let (plan, row, members) = (&self.plan, &mut self.row, &mut self.members);
        let looked = self.cleaner.lend(record, |tree, paths, buffer| match &plan.unnest {
            None => row.read(plan, record.timestamp_ms, tree, paths, buffer).map(|()| Waiting::Row),
            Some(unnest) => {
                let refuse = |refusal: Refusal| Err(refusal.reason(unnest.array, paths, tree));
                let Some(member) = tree.something(unnest.array) else { return refuse(Refusal::MISSING) };
                if member.kind != Kind::Array {
                    return refuse(Refusal::of(Class::WrongType, "its members cannot be rows, it is no array"));
                }
                members.begin(Seen::of(member, tree, buffer).json);
                Ok(Waiting::Members)
            }
        });
        match looked {
            Ok(Ok(waiting)) => {
                (self.waiting, self.timestamp_ms) = (waiting, record.timestamp_ms);
                Looked::Rows
            }
            Ok(Err(reason)) => {
                *self.counts.rejected.entry(reason.class).or_default() += 1;
                Looked::Rejected { by: MEASURE.to_owned(), reason }
            }
            Err(Verdict::Kept) => Looked::Rows,
            Err(Verdict::Filtered { .. }) => Looked::Filtered,
            Err(Verdict::Rejected { rule, reason }) => {
                Looked::Rejected { by: self.cleaner.rules().name(rule).to_owned(), reason }
            }
            Err(Verdict::Undecodable { reason }) => Looked::Rejected { by: UNDECODABLE.to_owned(), reason },
        }
    }

    /// What a state of the rules has to know of the record that was looked at last.
    pub fn offered(&self) -> Offered<'_> {
        self.cleaner.offered()
    }

    /// Adds the rows of the record that was looked at last, or what is left of them. Where there is no room, the table is to be
    /// taken, and this asked again.
    pub fn add(&mut self) -> Result<(), TableFull> {
        if self.waiting == Waiting::Row {
            self.add_row()?;
        }
        while self.waiting == Waiting::Members {
            let Some((text, end)) = self.members.next() else { break };
            let read = match &self.plan.unnest {
                None => break,
                Some(unnest) => match self.tree.read(text, &unnest.paths, &mut self.scanner) {
                    Ok(()) => {
                        let (tree, paths, buffer) = (&self.tree, &unnest.paths, &mut self.buffer);
                        self.row.read(&self.plan, self.timestamp_ms, tree, paths, buffer)
                    }
                    Err(fault) => Err(Reason { class: fault.class, text: fault.text }),
                },
            };
            match read {
                Ok(()) => self.add_row()?,
                Err(reason) => {
                    *self.counts.rejected_members.entry(reason.class).or_default() += 1;
                    self.refused.get_or_insert(reason);
                }
            }
            self.members.go_on(end);
        }
        self.waiting = Waiting::Nothing;
        self.tree.shrink(BUFFER_BYTES_MAX);
        self.scanner.shrink(BUFFER_BYTES_MAX);
        Ok(())
    }

    fn add_row(&mut self) -> Result<(), TableFull> {
        if self.row.entry_bytes(&self.plan) > self.entry_bytes_max {
            return Err(self.too_large());
        }
        if !self.table.has_room(&self.row, &self.plan) {
            if !self.table.is_empty() {
                return Err(TableFull::Take);
            }
            // The room of one that was emptied is shared out as the rows before had it.
            self.table = Table::new(self.table_bytes);
            if !self.table.has_room(&self.row, &self.plan) {
                return Err(self.too_large());
            }
        }
        self.table.add(&self.row, &self.plan);
        self.counts.rows += 1;
        Ok(())
    }

    fn too_large(&self) -> TableFull {
        TableFull::TooLarge { bytes: self.row.entry_bytes(&self.plan) }
    }

    /// Takes the table out. An empty one takes its place.
    pub fn take(&mut self) -> Filled {
        Filled(std::mem::replace(&mut self.table, Table::new(self.table_bytes)))
    }

    /// Goes on with a table that is empty again.
    pub fn put_back(&mut self, Filled(emptied): Filled) {
        if self.table.is_empty() && emptied.is_empty() {
            self.table = emptied;
        }
    }

    /// Why a member was refused, if one was since this was last asked: the first one.
    pub fn take_refused(&mut self) -> Option<Reason> {
        self.refused.take()
    }

    /// The counts since they were last taken.
    pub fn take_counts(&mut self) -> (Counts, RowCounts) {
        (self.cleaner.take_counts(), std::mem::take(&mut self.counts))
    }
}

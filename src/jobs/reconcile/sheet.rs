//! Both sides, minute by minute, within a bound of memory.

use super::newest::KEY_CELLS;
use crate::base::units::{show_count, show_size};
use crate::jobs::error::JobError;
use crate::jobs::minutes::Minute;
use std::collections::{BTreeMap, btree_map};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What a minute takes, with its part of the tree that is half full at worst.
pub(super) const CELL_BYTES: usize = 2 * (size_of::<Cell>() + size_of::<Minute>()) + 16;

/// What a column takes, be there one minute in it: a whole leaf of the tree, which has room for twice as many.
const LEAF_CELLS: usize = 6;

/// Records, and what their keys and values take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// How many.
    pub records: u64,
    /// Keys and values.
    pub bytes: u64,
}

impl Count {
    pub(super) fn add(&mut self, more: Self) {
        // What a file claims may be anything.
        self.records = self.records.saturating_add(more.records);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
}

/// One minute of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cell {
    pub(super) expected: Count,
    pub(super) found: Count,
    /// Records that were to be here and have expired, as far as is known.
    pub(super) expired: u64,
    /// Why it cannot be compared.
    pub(super) border: Option<Border>,
    /// Not all that was expected says how many bytes.
    pub(super) without_bytes: bool,
    /// Nor between which offsets it lies.
    pub(super) without_offsets: bool,
}

/// Which minutes have expired where a log has lost its beginning: those up to that of the first record that is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wear {
    /// All of them.
    All,
    /// Those of which it is not known by offsets.
    WithoutOffsets,
}

/// What runs through a minute, so that only a part of it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Border {
    /// The start or the end that was asked for.
    AskedFor,
    /// The start of the log.
    LogStart,
}

impl Cell {
    /// Whether the two sides differ.
    pub(super) fn differs(&self) -> bool {
        self.border.is_none()
            && (self.expected.records != self.found.records
                || (!self.without_bytes && self.expected.bytes != self.found.bytes))
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.expected.add(more.expected);
        self.found.add(more.found);
        self.expired = self.expired.saturating_add(more.expired);
        self.border = self.border.max(more.border);
        self.without_bytes |= more.without_bytes;
        self.without_offsets |= more.without_offsets;
    }
}

/// How many minutes there may be, shared by all who count.
#[derive(Debug, Clone)]
pub(super) struct Room {
    left: Arc<AtomicUsize>,
    total: usize,
}

impl Room {
    pub(super) fn of(bytes: usize) -> Self {
        let total = bytes / CELL_BYTES;
        Self { left: Arc::new(AtomicUsize::new(total)), total }
    }

    pub(super) fn take(&self, cells: usize) -> Result<(), JobError> {
        let taken = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(cells));
        taken.map(|_| ()).map_err(|_| self.full())
    }

    pub(super) fn give_back(&self, cells: usize) {
        self.left.fetch_add(cells, Relaxed);
    }

    #[cold]
    fn full(&self) -> JobError {
        JobError::Refused(format!(
            "there are more than {} different minutes, counted by partition, and --memory leaves room for no more ({} for \
             a million; a key of a ledger's topic takes as much as {KEY_CELLS}, a file as one): give more of it, or compare a \
             part with --start and --end or --partition",
            show_count(self.total as u64),
            show_size(2 * 1_000_000 * CELL_BYTES as u64)
        ))
    }
}

/// The minutes of one partition.
#[derive(Debug)]
pub(super) struct Column {
    cells: BTreeMap<Minute, Cell>,
    /// For so many cells, which may be more than there are.
    paid: usize,
    room: Room,
}

impl Column {
    pub(super) fn new(room: Room) -> Self {
        Self { cells: BTreeMap::new(), paid: 0, room }
    }

    /// The same with its first leaf paid for. Those of the topic's partitions are few; a file may name any number of others.
    fn paid(room: Room) -> Result<Self, JobError> {
        room.take(LEAF_CELLS)?;
        Ok(Self { paid: LEAF_CELLS, ..Self::new(room) })
    }

    /// The cell of a minute, which is paid for if it is new.
    pub(super) fn cell(&mut self, minute: Minute) -> Result<&mut Cell, JobError> {
        let is_paid = self.cells.len() < self.paid;
        Ok(match self.cells.entry(minute) {
            btree_map::Entry::Occupied(known) => known.into_mut(),
            btree_map::Entry::Vacant(new) => {
                if !is_paid {
                    self.room.take(1)?;
                    self.paid += 1;
                }
                new.insert(Cell::default())
            }
        })
    }

    /// The minutes up to this one cannot be compared.
    fn wear(&mut self, up_to: Option<Minute>, which: Wear) {
        for (minute, cell) in &mut self.cells {
            if up_to.is_none_or(|last| *minute <= last) && (which == Wear::All || cell.without_offsets) {
                cell.border = cell.border.max(Some(Border::LogStart));
            }
        }
    }
}

/// All partitions, or all of them in one.
#[derive(Debug)]
pub(super) struct Sheet {
    columns: BTreeMap<Option<i32>, Column>,
    /// Up to which minute a partition's log has expired, where only that is known; `None` is all of it.
    worn: BTreeMap<Option<i32>, Option<Minute>>,
    which: Wear,
    room: Room,
    ignore_partitions: bool,
}

impl Sheet {
    pub(super) fn new(room: Room, which: Wear, ignore_partitions: bool) -> Self {
        Self { columns: BTreeMap::new(), worn: BTreeMap::new(), which, room, ignore_partitions }
    }

    /// What minutes are paid from.
    pub(super) fn room(&self) -> Room {
        self.room.clone()
    }

    /// A column that is none of the sheet's yet, and may never be.
    pub(super) fn column(&self) -> Column {
        Column::new(self.room.clone())
    }

    /// It is not to be: what it was paid with is free again.
    pub(super) fn give_up(&self, column: Column) {
        self.room.give_back(column.paid);
    }

    fn name(&self, partition: i32) -> Option<i32> {
        if self.ignore_partitions { None } else { Some(partition) }
    }

    pub(super) fn cell(&mut self, partition: i32, minute: Minute) -> Result<&mut Cell, JobError> {
        let name = self.name(partition);
        let column = match self.columns.entry(name) {
            btree_map::Entry::Occupied(known) => known.into_mut(),
            btree_map::Entry::Vacant(new) => new.insert(Column::paid(self.room.clone())?),
        };
        column.cell(minute)
    }

    /// What is known of a partition so far, to be counted on; nothing, where somebody else has it.
    pub(super) fn lend(&mut self, partition: i32) -> Column {
        self.columns.remove(&self.name(partition)).unwrap_or_else(|| Column::new(self.room.clone()))
    }

    /// Takes it back, beside what somebody else has brought back meanwhile.
    pub(super) fn take_back(&mut self, partition: i32, mut counted: Column) -> Result<(), JobError> {
        let name = self.name(partition);
        let known = match self.columns.entry(name) {
            btree_map::Entry::Vacant(nothing) => {
                nothing.insert(counted);
                return Ok(());
            }
            btree_map::Entry::Occupied(known) => known.into_mut(),
        };
        if known.cells.len() < counted.cells.len() {
            std::mem::swap(known, &mut counted);
        }
        self.room.give_back(counted.paid - counted.cells.len());
        for (minute, cell) in counted.cells {
            // Paid for once.
            self.room.give_back(1);
            known.cell(minute)?.add(&cell);
        }
        Ok(())
    }

    /// A partition's log has lost its beginning; `first` is the minute of the first record that is still there.
    pub(super) fn wear(&mut self, partition: i32, first: Option<Minute>) {
        // Up to where an empty one has expired nobody knows, and that is no word about the others.
        if self.ignore_partitions && first.is_none() {
            return;
        }
        let name = self.name(partition);
        let worn = self.worn.entry(name).or_insert(first);
        // None is everything.
        *worn = if worn.is_none() || first.is_none() { None } else { (*worn).max(first) };
    }

    /// Says which minutes have expired, once all is counted.
    pub(super) fn finish(&mut self) {
        for (name, worn) in &self.worn {
            if let Some(column) = self.columns.get_mut(name) {
                column.wear(*worn, self.which);
            }
        }
    }

    /// Every minute, by partition and time.
    pub(super) fn cells(&self) -> impl Iterator<Item = (Option<i32>, Minute, &Cell)> {
        let columns = self.columns.iter();
        columns.flat_map(|(name, column)| column.cells.iter().map(|(minute, cell)| (*name, *minute, cell)))
    }
}

//! The streaming heap: k sources, one key of each in a binary heap, the smallest (key, source) at the top.
//!
//! ```text
//!  source 0 ─ 3 ┐                 step() = Emit(1)    the job writes source 1's record,
//!  source 1 ─ 1 ┼─▶ heap, top 1   step() = Needs(1)   fetches until it has the next one,
//!  source 2 ─ 2 ┘                 offer(1, 4)         and the top sifts down: one pass, no pop and push
//! ```
//!
//! Non-obvious: an emitted key stays at the top of the heap, *spent*, until its source offers the next one or is finished.
//! That makes the step after it a single sift, and it keeps the key that the next one must not lie below: an input that runs
//! backwards is found when the key is offered, before anything after it is emitted. So after the start at most one source
//! is ever waited for: the one that was emitted last.
//!
//! Who merges sources that never end may *pass over* one from which nothing comes, and *add* one that is new: the merge goes on
//! without it, and takes its next key when it is offered after all. Such a key may be *late*: its place lies before what was
//! emitted meanwhile. It is given back, so what is emitted never runs backwards, and who gave it does with it what is best.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What the merge wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The next record in order is the one this source offered last. It is taken by this answer.
    Emit(usize),
    /// Cannot go on before this source offers a key or is finished.
    Needs(usize),
    /// Every source is finished and everything was emitted.
    Done,
}

/// Where a source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// Its next key is missing. Its last one, if there was one, is the spent top of the heap.
    Wanted,
    /// Its key is in the heap.
    Held,
    /// Its key is in the heap and no other will come.
    HeldLast,
    /// It has nothing more.
    Finished,
    /// It has nothing now, and is not waited for.
    PassedOver,
}

/// A k-way streaming heap over (key, source); a source's keys come in its offset order, one at a time.
#[derive(Debug)]
pub struct StreamingMerge<K> {
    heap: BinaryHeap<Reverse<(K, usize)>>,
    slots: Vec<Slot>,
    /// The source at the top of the heap, once it was emitted and until its next key is there.
    spent: Option<usize>,
    /// No source below this one is waited for, beside the spent one.
    started: usize,
    /// What was emitted last, unless that is the spent top.
    last: Option<(K, usize)>,
}

impl<K: Ord> StreamingMerge<K> {
    /// A merge of `sources` sources, each of which is asked for a first key.
    pub fn new(sources: usize) -> Self {
        Self {
            heap: BinaryHeap::with_capacity(sources),
            slots: vec![Slot::Wanted; sources],
            spent: None,
            started: 0,
            last: None,
        }
    }

    /// One more source, behind the others where keys are equal; it is asked for a first key. Gives its number.
    pub fn add(&mut self) -> usize {
        self.slots.push(Slot::Wanted);
        self.slots.len() - 1
    }

    /// Offers the next key of `source`, which must be wanted or passed over. An `Err` gives the key back, and the source stays
    /// what it was: the key lies below the one before it, or (of a source that was added or passed over) its place is before what
    /// was emitted since.
    ///
    /// # Panics
    /// If the source is not wanted: its key would be lost. That is a mistake in the job, whatever the data.
    pub fn offer(&mut self, source: usize, key: K) -> Result<(), K> {
        let has_room = matches!(self.slots[source], Slot::Wanted | Slot::PassedOver);
        assert!(has_room, "source {source} was offered a key it has no room for");
        if self.spent != Some(source) {
            if self.emitted_last().is_some_and(|(last, at)| (&key, source) < (last, at)) {
                return Err(key);
            }
            // So it goes below a spent top.
            self.heap.push(Reverse((key, source)));
        } else {
            if let Some(mut top) = self.heap.peek_mut() {
                if key < top.0.0 {
                    return Err(key);
                }
                // It sifts down when `top` goes.
                self.last = Some((std::mem::replace(&mut top.0.0, key), source));
            }
            self.spent = None;
        }
        self.slots[source] = Slot::Held;
        Ok(())
    }

    /// Says that `source` has nothing after what it offered so far. Saying it twice is harmless.
    pub fn finish(&mut self, source: usize) {
        self.slots[source] = match self.slots[source] {
            Slot::Held | Slot::HeldLast => Slot::HeldLast,
            Slot::Wanted | Slot::PassedOver | Slot::Finished => {
                self.drop_spent(source);
                Slot::Finished
            }
        };
    }

    /// Goes on without `source`, which must be wanted, until it offers its next key.
    ///
    /// # Panics
    /// If the source is not wanted.
    pub fn pass_over(&mut self, source: usize) {
        assert_eq!(self.slots[source], Slot::Wanted, "source {source} is not waited for");
        self.drop_spent(source);
        self.slots[source] = Slot::PassedOver;
    }

    /// Waits for `source` again, if it was passed over.
    pub fn want(&mut self, source: usize) {
        if self.slots[source] == Slot::PassedOver {
            self.slots[source] = Slot::Wanted;
            self.started = self.started.min(source);
        }
    }

    /// What was emitted last.
    fn emitted_last(&self) -> Option<(&K, usize)> {
        match self.spent {
            Some(source) => self.heap.peek().map(|Reverse((key, _))| (key, source)),
            None => self.last.as_ref().map(|(key, source)| (key, *source)),
        }
    }

    /// What to do next. `Emit` takes the head of that source; the source is asked for again on a later call.
    pub fn step(&mut self) -> Step {
        if let Some(source) = self.spent {
            return Step::Needs(source);
        }
        while let Some(slot) = self.slots.get(self.started) {
            if *slot == Slot::Wanted {
                return Step::Needs(self.started);
            }
            self.started += 1;
        }
        let Some(Reverse((_, source))) = self.heap.peek() else {
            return Step::Done;
        };
        let source = *source;
        self.spent = Some(source);
        if self.slots[source] == Slot::HeldLast {
            self.drop_spent(source);
            self.slots[source] = Slot::Finished;
        } else {
            self.slots[source] = Slot::Wanted;
        }
        Step::Emit(source)
    }

    fn drop_spent(&mut self, source: usize) {
        if self.spent == Some(source) {
            self.last = self.heap.pop().map(|Reverse(top)| top);
            self.spent = None;
        }
    }
}

#[cfg(test)]
mod tests;

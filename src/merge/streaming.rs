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
//! Who merges sources that never end may *pass over* one from which nothing comes: the merge goes on as if that had ended, and
//! takes its next key when it is offered after all. Only then can what is emitted run backwards;
//! [`StreamingMerge::last_emitted`] is there to notice it.

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
    /// Sources below this one have offered their first key or are finished.
    started: usize,
    /// Its key, if that had to leave the top because one came in that is smaller.
    aside: Option<K>,
    /// The key that was emitted last, if its source has left the heap since.
    last: Option<K>,
}

impl<K: Ord> StreamingMerge<K> {
    /// A merge of `sources` sources, each of which is asked for a first key.
    pub fn new(sources: usize) -> Self {
        Self {
            heap: BinaryHeap::with_capacity(sources),
            slots: vec![Slot::Wanted; sources],
            spent: None,
            started: 0,
            aside: None,
            last: None,
        }
    }

    /// Offers the next key of `source`, which must be wanted or passed over. An `Err` gives the key back: it lies below the one before it,
    /// and the source stays wanted.
    ///
    /// # Panics
    /// If the source is not wanted: its key would be lost. That is a mistake in the job, whatever the data.
    pub fn offer(&mut self, source: usize, key: K) -> Result<(), K> {
        let has_room = matches!(self.slots[source], Slot::Wanted | Slot::PassedOver);
        assert!(has_room, "source {source} was offered a key it has no room for");
        if self.spent != Some(source) {
            // Only who was passed over comes with a key that may go before what was emitted since.
            let goes_before = |Reverse((top, at)): &Reverse<(K, usize)>| (&key, source) < (top, *at);
            if self.spent.is_some() && self.aside.is_none() && self.heap.peek().is_some_and(goes_before) {
                self.aside = self.heap.pop().map(|Reverse((key, _))| key);
            }
            self.heap.push(Reverse((key, source)));
        } else if let Some(before) = self.aside.take() {
            if key < before {
                self.aside = Some(before);
                return Err(key);
            }
            self.heap.push(Reverse((key, source)));
            self.spent = None;
        } else {
            if let Some(mut top) = self.heap.peek_mut() {
                if key < top.0.0 {
                    return Err(key);
                }
                top.0.0 = key; // sifts down when `top` goes
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

    /// Goes on without `source`, which must be wanted, until it offers its next key. That is not compared with the one before
    /// it, nor with what was emitted meanwhile.
    ///
    /// # Panics
    /// If the source is not wanted.
    pub fn pass_over(&mut self, source: usize) {
        assert_eq!(self.slots[source], Slot::Wanted, "source {source} is not waited for");
        self.drop_spent(source);
        self.slots[source] = Slot::PassedOver;
    }

    /// The key that was emitted last, as long as nothing was offered in its place.
    pub fn last_emitted(&self) -> Option<&K> {
        match self.spent {
            Some(_) => self.aside.as_ref().or_else(|| self.heap.peek().map(|Reverse((key, _))| key)),
            None => self.last.as_ref(),
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
            self.last = self.aside.take().or_else(|| self.heap.pop().map(|Reverse((key, _))| key));
            self.spent = None;
        }
    }
}

#[cfg(test)]
mod tests;

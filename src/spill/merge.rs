//! Entries of several sources as one, in the order of their keys; of equal keys the first source's come first.

use super::{Entries, SpillError};

/// A heap of sources, the one with the least key on top.
pub struct Merge<E> {
    sources: Vec<E>,
    /// Indexes of the sources that have an entry.
    heap: Vec<usize>,
    begun: bool,
}

impl<E: Entries> Merge<E> {
    /// Nothing is read of them before the first entry is asked for.
    pub fn new(sources: Vec<E>) -> Self {
        Self { heap: Vec::with_capacity(sources.len()), sources, begun: false }
    }

    fn begin(&mut self) -> Result<(), SpillError> {
        self.begun = true;
        for (index, source) in self.sources.iter_mut().enumerate() {
            if source.advance()? {
                self.heap.push(index);
            }
        }
        for at in (0..self.heap.len() / 2).rev() {
            self.sink(at);
        }
        Ok(())
    }

    fn is_before(&self, a: usize, b: usize) -> bool {
        let key = |at: usize| self.heap.get(at).and_then(|&index| Some((self.sources.get(index)?.key(), index)));
        key(a) < key(b)
    }

    /// Moves a source down until none below it comes before it.
    fn sink(&mut self, mut at: usize) {
        loop {
            let left = 2 * at + 1;
            let mut first = at;
            for child in [left, left + 1] {
                if child < self.heap.len() && self.is_before(child, first) {
                    first = child;
                }
            }
            if first == at {
                return;
            }
            self.heap.swap(at, first);
            at = first;
        }
    }

    fn top(&self) -> Option<&E> {
        self.heap.first().and_then(|&index| self.sources.get(index))
    }
}

impl<E: Entries> Entries for Merge<E> {
    fn advance(&mut self) -> Result<bool, SpillError> {
        if !self.begun {
            self.begin()?;
        } else if let Some(source) = self.heap.first().and_then(|&index| self.sources.get_mut(index)) {
            if !source.advance()? {
                self.heap.swap_remove(0);
            }
            self.sink(0);
        }
        Ok(!self.heap.is_empty())
    }

    fn key(&self) -> &[u8] {
        self.top().map_or(&[], Entries::key)
    }

    fn value(&self) -> &[u8] {
        self.top().map_or(&[], Entries::value)
    }
}

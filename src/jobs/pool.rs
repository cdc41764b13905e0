//! Buffers and writers that wait to be used again, within a bound of memory.

use crate::batch::BatchWriter;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See the module's head.
pub(in crate::jobs) struct Pool<T> {
    spares: Mutex<Spares<T>>,
    bytes_max: usize,
    spare_bytes_max: usize,
}

struct Spares<T> {
    all: Vec<T>,
    bytes: usize,
}

/// What holds memory while it waits to be used again.
pub(in crate::jobs) trait Spare {
    /// How much.
    fn capacity_bytes(&self) -> usize;
}

impl Spare for Vec<u8> {
    fn capacity_bytes(&self) -> usize {
        self.capacity()
    }
}

impl Spare for BatchWriter {
    fn capacity_bytes(&self) -> usize {
        self.capacity_bytes()
    }
}

impl<T: Spare> Pool<T> {
    /// Keeps up to `bytes_max` in all, and nothing that has grown beyond `spare_bytes_max` by itself.
    pub(in crate::jobs) fn new(bytes_max: usize, spare_bytes_max: usize) -> Self {
        Self { spares: Mutex::new(Spares { all: Vec::new(), bytes: 0 }), bytes_max, spare_bytes_max }
    }

    /// One of them.
    pub(in crate::jobs) fn take(&self) -> Option<T> {
        let mut spares = self.lock();
        let spare = spares.all.pop()?;
        spares.bytes -= spare.capacity_bytes();
        Some(spare)
    }

    /// Keeps it, unless there are enough or a large record has made it grow: that one is freed.
    pub(in crate::jobs) fn give_back(&self, spare: T) {
        let (bytes, mut spares) = (spare.capacity_bytes(), self.lock());
        if bytes <= self.spare_bytes_max && spares.bytes + bytes <= self.bytes_max {
            spares.bytes += bytes;
            spares.all.push(spare);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Spares<T>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Codec, Headers};

    #[test]
    fn a_buffer_that_a_large_record_has_made_grow_is_not_kept() {
        let pool = Pool::new(25_000, 10_000);
        pool.give_back(Vec::with_capacity(10_001));
        assert!(pool.take().is_none());
        (0..5).for_each(|_| pool.give_back(Vec::with_capacity(9_000)));
        let kept = std::iter::from_fn(|| pool.take()).count();
        assert_eq!(kept, 2, "and of the others no more than there is room for");
        pool.give_back(Vec::with_capacity(9_000));
        assert!(pool.take().is_some());
    }

    #[test]
    fn a_writer_counts_with_all_that_it_holds() {
        let pool = Pool::new(25_000, 10_000);
        for (codec, value_bytes, is_kept) in
            [(Codec::None, 100, true), (Codec::None, 20_000, false), (Codec::Gzip, 20_000, false)]
        {
            let mut writer = BatchWriter::new(codec);
            writer.push(0, None, Some(&vec![0; value_bytes]), Headers::EMPTY).unwrap();
            if codec != Codec::None {
                writer.finish_into(&mut Vec::new()).unwrap();
            }
            pool.give_back(writer);
            assert_eq!(pool.take().is_some(), is_kept, "{codec:?}, {value_bytes}");
        }
    }
}

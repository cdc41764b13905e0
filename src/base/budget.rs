//! A byte budget: buffers are paid for before they are filled, and given back when they are dropped.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One pot of bytes that several parts spend from. Clones share it.
#[derive(Debug, Clone)]
pub struct ByteBudget {
    free: Arc<Semaphore>,
    total: usize,
}

/// Bytes taken from a budget; dropping it gives them back.
#[derive(Debug)]
pub struct Reserved {
    permit: Option<OwnedSemaphorePermit>,
}

impl ByteBudget {
    /// A pot of `total` bytes.
    pub fn new(total: usize) -> Self {
        let total = total.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Self { free: Arc::new(Semaphore::new(total)), total }
    }

    /// The size of the pot when nothing is taken.
    pub fn total(&self) -> usize {
        self.total
    }

    /// What is left now.
    pub fn free(&self) -> usize {
        self.free.available_permits()
    }

    /// Waits until `bytes` are free and takes them. More than the whole pot would never come free: `None`.
    pub async fn take(&self, bytes: usize) -> Option<Reserved> {
        if bytes > self.total {
            return None;
        }
        let permit = self.free.clone().acquire_many_owned(bytes as u32).await.ok()?;
        Some(Reserved { permit: Some(permit) })
    }

    /// Takes `bytes` if they are free now.
    pub fn try_take(&self, bytes: usize) -> Option<Reserved> {
        if bytes > self.total {
            return None;
        }
        let permit = self.free.clone().try_acquire_many_owned(bytes as u32).ok()?;
        Some(Reserved { permit: Some(permit) })
    }
}

impl ByteBudget {
    /// Takes nothing, to be held like something.
    pub fn nothing(&self) -> Reserved {
        Reserved { permit: None }
    }

    /// Takes all that is free now.
    pub fn take_free(&self) -> Reserved {
        loop {
            match self.try_take(self.free()) {
                Some(taken) => return taken,
                // Somebody was faster; what is free now is less.
                None => continue,
            }
        }
    }
}

impl Reserved {
    /// How many bytes are held.
    pub fn bytes(&self) -> usize {
        self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Parts with `bytes` of what is held, or all if it is less.
    pub fn split(&mut self, bytes: usize) -> Self {
        let held = self.bytes();
        Self { permit: self.permit.as_mut().and_then(|permit| permit.split(bytes.min(held))) }
    }

    /// Holds `more` as well.
    pub fn add(&mut self, more: Self) {
        match (&mut self.permit, more.permit) {
            (Some(permit), Some(more)) => permit.merge(more),
            (None, Some(more)) => self.permit = Some(more),
            (_, None) => {}
        }
    }

    /// Gives back all but `keep` bytes, once the true size of a buffer is known.
    pub fn shrink(&mut self, keep: usize) {
        if let Some(permit) = &mut self.permit
            && let Some(excess) = permit.num_permits().checked_sub(keep)
        {
            drop(permit.split(excess));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_dropped_comes_back() {
        let budget = ByteBudget::new(100);
        let mut held = budget.take(80).await.unwrap();
        assert!(budget.try_take(40).is_none());
        held.shrink(30);
        assert_eq!((held.bytes(), budget.free()), (30, 70));
        drop(held);
        assert_eq!(budget.free(), 100);
    }

    #[test]
    fn what_is_parted_comes_back_by_itself_and_is_never_more_than_there_was() {
        let budget = ByteBudget::new(100);
        let mut held = budget.try_take(80).unwrap();
        let parts = [held.split(30), held.split(90), held.split(1)];
        assert_eq!((parts.each_ref().map(Reserved::bytes), held.bytes()), ([30, 50, 0], 0));
        held.add(budget.nothing());
        held.add(budget.try_take(5).unwrap());
        assert_eq!((held.bytes(), budget.free()), (5, 15));
        drop(held);
        assert_eq!(budget.free(), 20);
        drop(parts);
        assert_eq!(budget.free(), 100);
    }

    #[tokio::test]
    async fn more_than_the_whole_is_refused_instead_of_waiting_for_ever() {
        assert!(ByteBudget::new(100).take(101).await.is_none());
    }
}

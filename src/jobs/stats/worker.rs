//! A thread of its own for a step of the counting: it works on what it is given, one thing after the other, and gives each back.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// See the module's head. The thread ends when this is dropped.
pub(super) struct Worker<T> {
    given: SyncSender<T>,
    done: Receiver<T>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Worker<T> {
    /// A thread of that name, which has so many things at once at most, those that it has done and nobody has taken back among them.
    pub(super) fn start(name: &str, at_once: usize, mut work: impl FnMut(&mut T) + Send + 'static) -> io::Result<Self> {
        let (given, to_do) = sync_channel(at_once);
        let (give_back, done) = sync_channel(at_once);
        let work_on = move || {
            while let Ok(mut thing) = to_do.recv() {
                work(&mut thing);
                if give_back.send(thing).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work_on)?;
        Ok(Self { given, done, thread: Some(thread) })
    }

    /// Gives it something to do.
    pub(super) fn give(&self, thing: T) {
        // If the thread is gone, whoever waits for it is told.
        let _ = self.given.send(thing);
    }

    /// Waits for what was given first of what it has. If the thread has died, so does this one.
    pub(super) fn take_back(&mut self) -> Option<T> {
        match self.done.recv() {
            Ok(thing) => Some(thing),
            Err(_) => match self.thread.take().map(JoinHandle::join) {
                Some(Err(died)) => std::panic::resume_unwind(died),
                // It does not end before this does in any other way.
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_back_in_order_with_what_was_made_of_them() {
        let mut worker = Worker::start("doubles", 3, |number: &mut u32| *number *= 2).unwrap();
        for round in 0..100 {
            (0..3).for_each(|number| worker.give(round + number));
            let back: Vec<u32> = (0..3).filter_map(|_| worker.take_back()).collect();
            assert_eq!(back, [2 * round, 2 * round + 2, 2 * round + 4]);
        }
    }

    #[test]
    #[should_panic(expected = "not a word")]
    fn who_waits_for_a_thread_that_has_died_dies_of_the_same() {
        let mut worker = Worker::start("dies", 1, |_: &mut ()| panic!("not a word")).unwrap();
        worker.give(());
        worker.take_back();
    }
}

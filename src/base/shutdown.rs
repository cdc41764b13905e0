//! A wish to stop, seen by every part of a job at once. Who raises it (a signal handler) is not known here.

use tokio::sync::watch;

/// The signals a user or a supervisor sends to ask us to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// The polite kill.
    Terminate,
}

/// A handle on the wish to stop. Clones share it.
#[derive(Debug, Clone)]
pub struct Shutdown {
    sender: std::sync::Arc<watch::Sender<Option<Signal>>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { sender: std::sync::Arc::new(watch::Sender::new(None)) }
    }
}

impl Shutdown {
    /// Asks every holder of a clone to stop.
    pub fn request(&self, signal: Signal) {
        self.sender.send_replace(Some(signal));
    }

    /// The signal that asked us to stop, if one did.
    pub fn requested(&self) -> Option<Signal> {
        *self.sender.borrow()
    }

    /// Waits until somebody asks us to stop.
    pub async fn wait(&self) -> Signal {
        let mut receiver = self.sender.subscribe();
        loop {
            if let Some(signal) = *receiver.borrow_and_update() {
                return signal;
            }
            // The sender lives in `self`, so this cannot fail while we are borrowed.
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_sees_the_wish_also_when_it_comes_late() {
        let shutdown = Shutdown::default();
        let clone = shutdown.clone();
        assert_eq!(clone.requested(), None);
        let waiting = tokio::spawn(async move { clone.wait().await });
        shutdown.request(Signal::Terminate);
        assert_eq!(waiting.await.unwrap(), Signal::Terminate);
        assert_eq!(shutdown.clone().wait().await, Signal::Terminate);
    }
}

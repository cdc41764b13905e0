//! A sink in memory, for tests: keeps what it is given, and fails or dawdles where it is told to.

use super::{Outgoing, Sink};
use crate::base::appended::{Appended, NotAdjacent};
use crate::base::place::TopicPartition;

/// Batches kept in order.
#[derive(Debug)]
pub(crate) struct MemorySink {
    appended: Appended,
    /// The stored batches, each as it came.
    pub(crate) batches: Vec<Vec<u8>>,
    spares: Vec<Vec<u8>>,
    fails_after: Option<usize>,
}

impl MemorySink {
    /// An empty partition behind offset `end`.
    pub(crate) fn new(topic: &str, end: i64) -> Self {
        Self {
            appended: Appended::at_end(TopicPartition::new(topic, 0), end),
            batches: Vec::new(),
            spares: Vec::new(),
            fails_after: None,
        }
    }

    /// Takes so many batches and then says that somebody else has written.
    pub(crate) fn failing_after(mut self, batches: usize) -> Self {
        self.fails_after = Some(batches);
        self
    }
}

impl Sink for MemorySink {
    type Error = NotAdjacent;

    fn partition(&self) -> &TopicPartition {
        self.appended.partition()
    }

    async fn append(&mut self, batch: Outgoing) -> Result<(), NotAdjacent> {
        tokio::task::yield_now().await; // as a network would
        let mut base = self.appended.next();
        if self.fails_after == Some(self.batches.len()) {
            base += 1;
        }
        self.appended.take(base, batch.records.into())?;
        self.batches.push(batch.bytes[..batch.len].to_vec());
        self.spares.push(batch.bytes);
        Ok(())
    }

    fn spare(&mut self) -> Option<Vec<u8>> {
        self.spares.pop()
    }

    fn appended(&self) -> Appended {
        self.appended.clone()
    }

    async fn finish(self) -> (Appended, Result<(), NotAdjacent>) {
        (self.appended, Ok(()))
    }

    async fn close(self) -> (Appended, Result<(), NotAdjacent>) {
        (self.appended, Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_sink_in_memory_keeps_batches_gives_buffers_back_and_fails_on_request() {
        let mut sink = MemorySink::new("out", 7).failing_after(2);
        for _ in 0..2 {
            let batch = Outgoing { bytes: b"batch and more".to_vec(), len: 5, records: 3 };
            sink.append(batch).await.unwrap();
        }
        assert_eq!(
            (sink.appended().next(), sink.batches.as_slice()),
            (13, &[b"batch".to_vec(), b"batch".to_vec()][..])
        );
        assert!(sink.spare().is_some());
        let error = sink.append(Outgoing { bytes: Vec::new(), len: 0, records: 1 }).await.unwrap_err();
        assert_eq!((error.expected, error.got), (13, 14));
        assert_eq!(sink.finish().await.0.records(), 6);
    }
}

//! What stands at both ends of the engine, with a look at the stage clock before and after each wait.

use crate::base::appended::Appended;
use crate::base::place::TopicPartition;
use crate::observe::stages::{Stage, Watch};
use crate::ports::{Outgoing, Reached, Sink, Source};
use std::ops::Range;

/// A source, and the watch of the task that fetches from it.
pub(super) struct TimedSource<S> {
    pub(super) source: S,
    pub(super) watch: Watch,
}

impl<S: Source> Source for TimedSource<S> {
    type Error = S::Error;

    fn partition(&self) -> &TopicPartition {
        self.source.partition()
    }

    fn range(&self) -> Range<i64> {
        self.source.range()
    }

    async fn next(&mut self, into: &mut Vec<u8>) -> Result<Option<()>, S::Error> {
        self.watch.lap(Stage::AwaitRoom);
        let next = self.source.next(into).await;
        self.watch.lap(Stage::Fetch);
        next
    }
}

/// A sink, and the watch of the task that merges into it: until a batch comes here, it was made.
pub(super) struct TimedSink<S> {
    pub(super) sink: S,
    pub(super) watch: Watch,
}

impl<S: Sink> Sink for TimedSink<S> {
    type Error = S::Error;

    fn partition(&self) -> &TopicPartition {
        self.sink.partition()
    }

    async fn append(&mut self, batch: Outgoing) -> Result<(), S::Error> {
        self.watch.lap(Stage::Encode);
        let appended = self.sink.append(batch).await;
        self.watch.lap(Stage::AwaitProduce);
        appended
    }

    fn commits(&self) -> bool {
        self.sink.commits()
    }

    fn is_due(&self) -> bool {
        self.sink.is_due()
    }

    fn due(&self) -> impl Future<Output = ()> + Send {
        self.sink.due()
    }

    async fn commit(&mut self, batch: Option<Outgoing>, reached: Reached) -> Result<(), S::Error> {
        self.watch.lap(Stage::Encode);
        let committed = self.sink.commit(batch, reached).await;
        self.watch.lap(Stage::AwaitProduce);
        committed
    }

    fn spare(&mut self) -> Option<Vec<u8>> {
        self.sink.spare()
    }

    fn appended(&self) -> Appended {
        self.sink.appended()
    }

    async fn finish(self) -> (Appended, Result<(), S::Error>) {
        let Self { sink, watch } = self;
        let finished = sink.finish().await;
        watch.lap(Stage::AwaitProduce);
        finished
    }

    async fn close(self) -> (Appended, Result<(), S::Error>) {
        let Self { sink, watch } = self;
        let closed = sink.close().await;
        watch.lap(Stage::AwaitProduce);
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::appended::NotAdjacent;
    use crate::jobs::testing::block_on;
    use crate::observe::stages::Stages;
    use crate::ports::MemorySink;
    use std::convert::Infallible;
    use std::time::{Duration, Instant};

    const LONG: Duration = Duration::from_millis(5);

    /// What takes that long, however fast the machine is.
    async fn take_long() {
        let began = Instant::now();
        while began.elapsed() < LONG {
            tokio::task::yield_now().await;
        }
    }

    /// A source and a sink that take long for everything.
    struct Slow<S>(S);

    impl Source for Slow<TopicPartition> {
        type Error = Infallible;

        fn partition(&self) -> &TopicPartition {
            &self.0
        }
        fn range(&self) -> Range<i64> {
            0..1
        }
        async fn next(&mut self, _: &mut Vec<u8>) -> Result<Option<()>, Infallible> {
            take_long().await;
            Ok(None)
        }
    }

    impl Sink for Slow<MemorySink> {
        type Error = NotAdjacent;

        fn partition(&self) -> &TopicPartition {
            self.0.partition()
        }
        async fn append(&mut self, batch: Outgoing) -> Result<(), NotAdjacent> {
            take_long().await;
            self.0.append(batch).await
        }
        fn spare(&mut self) -> Option<Vec<u8>> {
            self.0.spare()
        }
        fn appended(&self) -> Appended {
            self.0.appended()
        }
        async fn finish(self) -> (Appended, Result<(), NotAdjacent>) {
            take_long().await;
            self.0.finish().await
        }
        async fn close(self) -> (Appended, Result<(), NotAdjacent>) {
            take_long().await;
            self.0.close().await
        }
    }

    /// What the clock has gone on by meanwhile: in which stages for long, in which not at all.
    fn gone_on(stages: &Stages, work: impl Future<Output = ()>, long: &[Stage], not: &[Stage]) {
        let before = stages.times();
        block_on(work);
        let took = stages.times().since(before);
        assert!(long.iter().all(|stage| took.of(*stage) >= LONG), "{long:?}: {took:?}");
        assert!(not.iter().all(|stage| took.of(*stage) == Duration::ZERO), "{not:?}: {took:?}");
    }

    #[test]
    fn a_source_that_is_awaited_and_one_that_is_left_waiting_are_told_apart() {
        let stages = Stages::default();
        let source = Slow(TopicPartition::new("in", 0));
        let mut source = TimedSource { source, watch: stages.watch() };
        let next = async {
            take_long().await;
            assert_eq!(source.next(&mut Vec::new()).await, Ok(None));
        };
        gone_on(&stages, next, &[Stage::AwaitRoom, Stage::Fetch], &[Stage::Encode, Stage::AwaitProduce]);
    }

    #[test]
    fn until_a_batch_comes_it_was_made_and_until_it_is_taken_it_is_waited_for_whatever_is_done_with_it() {
        let batch = || Outgoing { bytes: vec![0; 5], len: 5, records: 1 };
        let reached = || Reached { positions: vec![1], records: 1, complete: true };
        let stages = Stages::default();
        let slow = || TimedSink { sink: Slow(MemorySink::new("out", 0)), watch: stages.watch() };
        let (made, waited) = (&[Stage::Encode, Stage::AwaitProduce], &[Stage::Fetch, Stage::Commit, Stage::AwaitFetch]);
        let mut sink = slow();
        let append = async {
            take_long().await;
            sink.append(batch()).await.unwrap();
        };
        gone_on(&stages, append, made, waited);
        let commit = async {
            take_long().await;
            sink.commit(Some(batch()), reached()).await.unwrap();
        };
        gone_on(&stages, commit, made, waited);
        gone_on(&stages, async { sink.finish().await.1.unwrap() }, &[Stage::AwaitProduce], &[Stage::Encode]);
        gone_on(&stages, async { slow().close().await.1.unwrap() }, &[Stage::AwaitProduce], &[Stage::Encode]);
    }
}

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

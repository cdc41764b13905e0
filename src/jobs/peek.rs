//! A look at a few records of one partition, as text for people.

use super::JobContext;
use super::cursor::RecordCursor;
use super::error::JobError;
use crate::base::place::TopicPartition;
use crate::base::text::excerpt;
use crate::client::{Cluster, ReadOptions};
use std::ops::Range;

/// What a batch may take unfolded; a look is not worth more.
const WINDOW_BYTES: usize = 8 << 20;

/// A record as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peeked {
    /// Its offset.
    pub offset: i64,
    /// Its value, printable and cut.
    pub value: String,
}

/// The records of `range` that are there, in order. The range should be short: all of it is read.
pub async fn run(partition: TopicPartition, range: Range<i64>, cx: &JobContext) -> Result<Vec<Peeked>, JobError> {
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?;
    let source = cluster.reader(partition, range, ReadOptions::default());
    let mut cursor =
        RecordCursor::new(source, WINDOW_BYTES, cx.shutdown.clone(), crate::observe::progress::Progress::default());
    let mut peeked = Vec::new();
    while let Some(record) = cursor
        .next_with(|record| Peeked {
            offset: record.offset,
            value: record.value.map_or_else(|| "null".to_owned(), excerpt),
        })
        .await?
    {
        peeked.push(record);
    }
    Ok(peeked)
}

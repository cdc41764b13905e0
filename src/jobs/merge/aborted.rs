//! Aborted records whose marker the merge would not meet.
//!
//! The merging client reads everything and is stopped by a transaction's marker, so aborted records never go unnoticed if
//! the marker lies in the range. A range may end between the two: because `--end` says so, or because the end was taken
//! while the transaction was open and it was aborted before we asked how far the log is stable. So each source is asked at
//! its last offset, by our own client, which aborted transactions reach over it.
//!
//! It is asked after the last stable offset was found at or behind every end: then each transaction with records in the
//! range has ended, and the answer leaves none out.

use super::plan::Source;
use crate::client::Cluster;
use crate::jobs::error::JobError;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

/// So many sources are asked at once: each answer holds a batch.
const ASKED_AT_ONCE: usize = 8;

/// Refuses ranges that end between aborted records and their marker.
pub(super) async fn refuse_aborted(cluster: &Cluster, sources: &[Source]) -> Result<(), JobError> {
    let asking = sources.iter().filter(|source| source.offsets() > 0).map(|source| check(cluster, source));
    // In order, so that the same input is refused for the same partition.
    stream::iter(asking).buffered(ASKED_AT_ONCE).try_collect().await
}

async fn check(cluster: &Cluster, Source { partition, range }: &Source) -> Result<(), JobError> {
    let firsts = cluster.aborted_over(partition, range.end - 1).await?;
    let Some(first) = firsts.into_iter().find(|first| *first < range.end) else { return Ok(()) };
    Err(JobError::Refused(format!(
        "{partition}: a transaction that began at offset {first} was aborted, and its marker comes at offset {} or later, \
         while the merge is to end at {}: this client would take its records for good ones. End at offset {first} or \
         before (--end), or start behind its marker (--start)",
        range.end - 1,
        range.end,
    )))
}

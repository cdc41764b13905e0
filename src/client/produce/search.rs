//! Looks in the log for batches whose answers were lost.
//!
//! What is found is stored for certain: only what all in-sync replicas have is shown to a reader. What is not found proves
//! nothing (it may not be replicated yet, or still be on its way), so a search never ends the doubt the other way.

use super::PartitionWriter;
use crate::batch::Batches;
use crate::client::call::ANSWER_BYTES_MAX;
use crate::client::cluster::{call_error, refused};
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::client::one_batch::one_batch;
use crate::wire::ErrorCode;
use crate::wire::fetch::Fetch;

/// Markers and open transactions are shown too: we look for a place in the log, not for data.
const READ_UNCOMMITTED: i8 = 0;

impl PartitionWriter {
    /// How many of the oldest batches the log holds, each at its place.
    pub(super) async fn search(&mut self) -> Result<usize, ClientError> {
        let deadline = Deadline::after(self.cluster.timeout() / 2);
        let (leader, connection) = self.connect(deadline).await?;
        let broker = connection.broker().clone();
        let mut at = self.flight.next();
        let mut found = 0;
        while found < self.held.len() {
            let request = one_batch(self.partition(), leader, at, READ_UNCOMMITTED);
            let answer = connection
                .call::<Fetch>(&request, Vec::new(), ANSWER_BYTES_MAX, deadline)
                .await
                .map_err(|error| call_error::<Fetch>(&broker, error))?;
            let response = answer.read().map_err(|error| call_error::<Fetch>(&broker, error))?;
            let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
            let data = partitions.into_iter().find(|one| one.partition_index == self.partition().partition);
            let code = match data {
                Some(data) if response.error_code == 0 => ErrorCode::from_code(data.error_code),
                _ => ErrorCode::from_code(response.error_code),
            };
            match code {
                ErrorCode::None => {}
                // There is nothing, not even an end.
                ErrorCode::OffsetOutOfRange => break,
                code => return Err(refused(&broker, "Fetch", self.partition().at(at), code)),
            }
            let before = found;
            for batch in Batches::new(data.and_then(|data| data.records).unwrap_or_default()) {
                // What cannot be read, or is not ours, is not what we look for.
                let (Ok(batch), Some(held)) = (batch, self.held.get(found)) else { break };
                if !held.is_at(at, &batch.header) {
                    break;
                }
                at = at.saturating_add(held.records.into());
                found += 1;
            }
            if found == before {
                break;
            }
        }
        tracing::debug!(partition = %self.partition(), from = self.flight.next(), found, "searched the log");
        Ok(found)
    }
}

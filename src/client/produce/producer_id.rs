//! The id under which an idempotent producer numbers its batches.

use super::codes::decide_init;
use crate::client::cluster::{Ask, Cluster, call_error, refused};
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::wire::ErrorCode;
use crate::wire::init_producer_id::{InitProducerId, InitProducerIdRequest};

/// An idempotent producer, by which the broker tells a repeated batch from a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
}

impl Identity {
    /// The sequence of a record before which the producer has written `records_before` to the partition. After 2^31 - 1
    /// comes 0.
    pub fn sequence(records_before: u64) -> i32 {
        // Cannot cut: the mask leaves 31 bits.
        (records_before & i32::MAX as u64) as i32
    }
}

impl Cluster {
    /// An id that nobody else has. Without a transactional id it fences nobody.
    pub(super) async fn new_producer(&self) -> Result<Identity, ClientError> {
        let deadline = self.deadline();
        let mut retry = self.retry_until(deadline);
        loop {
            match self.ask_for_producer(deadline).await {
                Ok(identity) => return Ok(identity),
                Err(ClientError::Refused { broker, api, what, code, message }) => {
                    let verdict = decide_init(code);
                    retry.after_verdict(ClientError::Refused { broker, api, what, code, message }, verdict).await?
                }
                Err(error) => retry.after(error).await?,
            };
        }
    }

    async fn ask_for_producer(&self, deadline: Deadline) -> Result<Identity, ClientError> {
        // The timeout is that of transactions, which there are none of.
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            producer_id: -1,
            producer_epoch: -1,
        };
        let answer = self.call::<InitProducerId>(Ask::Any, &request, deadline).await?;
        let broker = answer.broker();
        let response = answer.read().map_err(|error| call_error::<InitProducerId>(broker, error))?;
        ErrorCode::check(response.error_code)
            .map_err(|code| refused(broker, "InitProducerId", "an idempotent producer", code))?;
        let (id, epoch) = (response.producer_id, response.producer_epoch);
        if id < 0 || epoch < 0 {
            return Err(ClientError::Protocol {
                broker: broker.clone(),
                api: "InitProducerId",
                expected: "a producer id and an epoch of 0 or more".to_owned(),
                got: format!("id {id}, epoch {epoch}"),
            });
        }
        tracing::debug!(id, epoch, "producer id");
        Ok(Identity { id, epoch })
    }
}

#[cfg(test)]
mod tests {
    use super::Identity;

    #[test]
    fn fault_11_sequences_count_records_and_go_round_at_two_to_the_thirty_first() {
        let last = i32::MAX as u64;
        let sequences = [0, 1, last - 1, last, last + 1, last + 2, 3 * (last + 1) + 7].map(Identity::sequence);
        assert_eq!(sequences, [0, 1, i32::MAX - 1, i32::MAX, 0, 1, 7]);
    }
}

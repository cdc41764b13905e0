//! Which aborted transactions reach over an offset.
//!
//! A reader of everything learns that records were aborted from the marker behind them. Whoever stops before that marker
//! learns it from nobody, so it asks here: a broker sends along with committed data every aborted transaction that began
//! before the answer's end and whose marker lies at or behind the offset asked for (the broker counts the marker as the
//! transaction's last offset). One fetch of one batch tells them all, however far back they began.
//!
//! Only transactions that have ended are told: ask when the offset lies below the last stable one.

use super::cluster::{Ask, Cluster, call_error, refused};
use super::deadline::Deadline;
use super::error::ClientError;
use super::one_batch::one_batch;
use super::retry::Verdict;
use crate::base::place::TopicPartition;
use crate::wire::ErrorCode;
use crate::wire::fetch::Fetch;
use std::time::Duration;

const READ_COMMITTED: i8 = 1;

impl Cluster {
    /// The first offsets of the aborted transactions whose marker lies at `offset` or behind it, the least first. Those that
    /// began at or after `offset` may be among them.
    pub async fn aborted_over(&self, partition: &TopicPartition, offset: i64) -> Result<Vec<i64>, ClientError> {
        let deadline = self.deadline();
        let mut retry = self.retry_until(deadline);
        let mut pause = self.backoff();
        loop {
            match self.ask_aborted(partition, offset, deadline).await {
                Ok(Some(firsts)) => return Ok(firsts),
                // A throttled answer names no partition at all; the wait it asks for was waited.
                Ok(None) => tokio::time::sleep(pause.next()).await,
                Err(error) => {
                    if retry.after(error).await? == Verdict::Refresh {
                        self.forget(&partition.topic);
                    }
                }
            }
        }
    }

    /// One fetch; `None` if the broker held its answer back to slow us down.
    async fn ask_aborted(
        &self,
        partition: &TopicPartition,
        offset: i64,
        deadline: Deadline,
    ) -> Result<Option<Vec<i64>>, ClientError> {
        let leader = self.leader(partition, deadline).await?;
        // The list comes also where the batch does not.
        let request = one_batch(partition, leader, offset, READ_COMMITTED);
        let answer = self.call::<Fetch>(Ask::Node(leader.node), &request, deadline).await?;
        let broker = answer.broker();
        let response = answer.read().map_err(|error| call_error::<Fetch>(broker, error))?;
        let check = |code: i16| match ErrorCode::from_code(code) {
            ErrorCode::None => Ok(()),
            code => Err(refused(broker, "Fetch", partition.at(offset), code)),
        };
        check(response.error_code)?;
        // One partition was asked for.
        let mut found = response.responses.iter().flat_map(|topic| &topic.partitions);
        let Some(data) = found.find(|data| data.partition_index == partition.partition) else {
            let throttled = Duration::from_millis(response.throttle_time_ms.max(0) as u64);
            if throttled.is_zero() || deadline.left() <= throttled {
                return Err(ClientError::Protocol {
                    broker: broker.clone(),
                    api: "Fetch",
                    expected: partition.to_string(),
                    got: format!("an answer without it, throttled for {} ms", throttled.as_millis()),
                });
            }
            tokio::time::sleep(throttled).await;
            return Ok(None);
        };
        check(data.error_code)?;
        let mut firsts: Vec<i64> = data.aborted_transactions.iter().flatten().map(|one| one.first_offset).collect();
        firsts.sort_unstable();
        Ok(Some(firsts))
    }
}

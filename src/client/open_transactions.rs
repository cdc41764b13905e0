//! Transactions of others that a reader of committed data has to wait for, and who holds them open.

use super::cluster::{Ask, Cluster, call_error, refused};
use super::deadline::Deadline;
use super::error::{ClientError, OpenTransaction, Producer, Stalled};
use super::offsets::OffsetAt;
use crate::base::place::TopicPartition;
use crate::wire::ErrorCode;
use crate::wire::describe_producers::{DescribeProducers, DescribeProducersRequest, ProducerState, TopicRequest};
use std::time::Duration;
use tokio::time::Instant;

impl Cluster {
    /// Waits until no transaction is open below the `end` that stands beside each partition, for `time` at most. Then it is
    /// an error that names the first partition, the transaction's first offset, and the producer.
    pub async fn wait_for_transactions(
        &self,
        ends: &[(TopicPartition, i64)],
        time: Duration,
    ) -> Result<(), ClientError> {
        let (started, deadline) = (Instant::now(), Deadline::after(time));
        let mut backoff = self.backoff();
        let mut told = false;
        let mut open: Vec<(TopicPartition, i64)> = ends.iter().filter(|(_, end)| *end > 0).cloned().collect();
        while !open.is_empty() {
            let partitions: Vec<_> = open.iter().map(|(partition, _)| partition.clone()).collect();
            let stable = self.offsets(&partitions, OffsetAt::LastStable).await?;
            let mut stable = stable.into_iter();
            let mut first = None;
            open.retain(|(partition, end)| match stable.next() {
                Some(stable) if stable < *end => {
                    first.get_or_insert((partition.clone(), stable, *end));
                    true
                }
                _ => false,
            });
            let Some((partition, from, end)) = first else { continue };
            if !told {
                tracing::info!(%partition, from, end, "waiting for a transaction that is open below the end");
                told = true;
            }
            let wait = backoff.next();
            if deadline.left() <= wait {
                return Err(self.held_up(&partition, from, end, started.elapsed()).await);
            }
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// Why committed data ends at `from`.
    async fn held_up(&self, partition: &TopicPartition, from: i64, end: i64, waited: Duration) -> ClientError {
        let latest = match self.offsets(std::slice::from_ref(partition), OffsetAt::Latest).await {
            Ok(latest) => latest.first().copied().unwrap_or(from),
            Err(error) => return error,
        };
        if latest < end && latest <= from {
            // No transaction: the end that was known is not there (any more, or yet).
            return ClientError::Stalled(Box::new(Stalled {
                partition: partition.clone(),
                broker: self.said_by(),
                position: from,
                end,
                last_stable: from,
                high_watermark: latest,
                waited,
                producer: None,
            }));
        }
        let producer = self.open_transaction(partition, from).await;
        ClientError::OpenTransaction(Box::new(OpenTransaction {
            partition: partition.clone(),
            from,
            end,
            waited,
            producer,
        }))
    }

    /// The producer whose transaction is open from `from` on, as far as the leader tells: it need not, nor need we be
    /// allowed to ask.
    pub async fn open_transaction(&self, partition: &TopicPartition, from: i64) -> Option<Producer> {
        let deadline = self.deadline();
        let mut retry = self.retry_until(deadline);
        loop {
            let error = match self.producers(partition, deadline).await {
                Ok(producers) => {
                    let open = producers.into_iter().filter(|one| one.current_txn_start_offset >= 0);
                    let oldest =
                        open.min_by_key(|one| (one.current_txn_start_offset != from, one.current_txn_start_offset))?;
                    return Some(Producer {
                        id: oldest.producer_id,
                        epoch: oldest.producer_epoch,
                        since: oldest.current_txn_start_offset,
                        last_write_ms: oldest.last_timestamp,
                    });
                }
                Err(error) => error,
            };
            if let Err(error) = retry.after(error).await {
                tracing::debug!(%error, %partition, "who holds the transaction open is not told");
                return None;
            }
            self.forget(&partition.topic);
        }
    }

    /// The producers that a partition's leader remembers.
    async fn producers(
        &self,
        partition: &TopicPartition,
        deadline: Deadline,
    ) -> Result<Vec<ProducerState>, ClientError> {
        let leader = self.leader(partition, deadline).await?;
        let topic = TopicRequest { name: partition.topic.to_string(), partition_indexes: vec![partition.partition] };
        let request = DescribeProducersRequest { topics: vec![topic] };
        let answer = self.call::<DescribeProducers>(Ask::Node(leader.node), &request, deadline).await?;
        let response = answer.read().map_err(|error| call_error::<DescribeProducers>(answer.broker(), error))?;
        let topic = response.topics.into_iter().find(|topic| topic.name == *partition.topic);
        let found = topic.and_then(|t| t.partitions.into_iter().find(|one| one.partition_index == partition.partition));
        let Some(found) = found else {
            return Err(ClientError::Protocol {
                broker: answer.broker().clone(),
                api: "DescribeProducers",
                expected: partition.to_string(),
                got: "an answer without it".to_owned(),
            });
        };
        match ErrorCode::from_code(found.error_code) {
            ErrorCode::None => Ok(found.active_producers),
            code => Err(refused(answer.broker(), "DescribeProducers", partition, code)),
        }
    }
}

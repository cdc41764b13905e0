//! Whose transaction that is: from the producer id that a partition knows to the transactional id that a coordinator keeps.

use crate::client::cluster::{Ask, Cluster, call_error, refused};
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::wire::ErrorCode;
use crate::wire::describe_transactions::{DescribeTransactions, DescribeTransactionsRequest};
use crate::wire::list_transactions::{ListTransactions, ListTransactionsRequest};
use futures::stream::{FuturesUnordered, StreamExt as _};

/// A transactional id and its transaction, by its coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionKept {
    /// The transactional id.
    pub id: String,
    /// `Ongoing`, `PrepareCommit`, ...
    pub state: String,
    /// When it began, in milliseconds since 1970; `None` where none is open.
    pub began_ms: Option<i64>,
    /// After how long the coordinator voids it, in milliseconds.
    pub timeout_ms: i32,
}

impl Cluster {
    /// The transactional id that has this producer id now; `None` if no coordinator keeps one. Every broker is asked, once, and
    /// none is waited for once one has told.
    pub async fn transaction_of(&self, producer_id: i64) -> Result<Option<TransactionKept>, ClientError> {
        let deadline = self.deadline();
        let mut failed = None;
        let asked = self.nodes().into_iter().map(|node| self.transaction_at(node, producer_id, deadline));
        let mut asked: FuturesUnordered<_> = asked.collect();
        while let Some(told) = asked.next().await {
            match told {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    async fn transaction_at(
        &self,
        node: i32,
        producer_id: i64,
        deadline: Deadline,
    ) -> Result<Option<TransactionKept>, ClientError> {
        let request = ListTransactionsRequest {
            producer_id_filters: vec![producer_id],
            duration_filter: -1,
            ..ListTransactionsRequest::default()
        };
        let answer = self.call::<ListTransactions>(Ask::Node(node), &request, deadline).await?;
        let broker = answer.broker();
        let response = answer.read().map_err(|error| call_error::<ListTransactions>(broker, error))?;
        let about = format!("producer {producer_id}");
        ErrorCode::check(response.error_code).map_err(|code| refused(broker, "ListTransactions", &about, code))?;
        let mut listed = response.transaction_states.into_iter();
        let Some(listed) = listed.find(|one| one.producer_id == producer_id) else { return Ok(None) };
        let id = listed.transactional_id;
        let request = DescribeTransactionsRequest { transactional_ids: vec![id.clone()] };
        let answer = self.call::<DescribeTransactions>(Ask::Node(node), &request, deadline).await?;
        let broker = answer.broker();
        let response = answer.read().map_err(|error| call_error::<DescribeTransactions>(broker, error))?;
        let Some(found) = response.transaction_states.into_iter().find(|one| one.transactional_id == id) else {
            return Ok(None);
        };
        match ErrorCode::from_code(found.error_code) {
            ErrorCode::None => {}
            // Gone between the two questions.
            ErrorCode::TransactionalIdNotFound => return Ok(None),
            code => {
                let about = format!("transactional id {}", crate::base::text::visible(&id));
                return Err(refused(broker, "DescribeTransactions", about, code));
            }
        }
        Ok(Some(TransactionKept {
            id,
            state: found.transaction_state,
            began_ms: Some(found.transaction_start_time_ms).filter(|time| *time >= 0),
            timeout_ms: found.transaction_timeout_ms,
        }))
    }
}

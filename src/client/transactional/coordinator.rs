//! Questions to the broker that keeps a transactional id, each asked once. What the answers mean is up to the machine.

use super::machine::{Action, End, Event, Way};
use super::way::{ADD_PARTITIONS, END_TXN_EXPLICIT, END_TXN_IMPLICIT};
use super::{TransactionalProducer, Trouble};
use crate::base::place::TopicPartition;
use crate::client::address::Address;
use crate::client::call::Answer;
use crate::client::cluster::{Ask, call_error, refused};
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::client::need::Need;
use crate::client::produce::Identity;
use crate::client::retry::{Retry, Verdict, verdict};
use crate::wire::add_partitions_to_txn::{AddPartitionsToTxn, AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use crate::wire::describe_transactions::{DescribeTransactions, DescribeTransactionsRequest};
use crate::wire::end_txn::{EndTxn, EndTxnRequest};
use crate::wire::find_coordinator::key_type;
use crate::wire::init_producer_id::{InitProducerId, InitProducerIdRequest};
use crate::wire::{Api, ErrorCode};

/// What is asked of the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// For an identity: a new one, or the next epoch of the current one.
    Identity { current: bool },
    /// To end the transaction.
    End(End),
}

impl Asked {
    pub(super) fn of(action: Action) -> Self {
        match action {
            Action::EndTxn(end) => Self::End(end),
            action => Self::Identity { current: action != Action::Init },
        }
    }

    fn api(self) -> &'static str {
        match self {
            Self::Identity { .. } => InitProducerId::KEY.name(),
            Self::End(_) => EndTxn::KEY.name(),
        }
    }
}

/// What an answer holds: its code and the identity that goes with 0. Without one: what that means, and why.
pub(super) type Told = Result<(ErrorCode, Identity), (Event, ClientError)>;

impl TransactionalProducer {
    /// Asks once.
    pub(super) async fn ask(&mut self, asked: Asked, deadline: Deadline) -> Told {
        let node = self.coordinator(deadline).await.map_err(|error| (Event::NotAsked, error))?;
        match asked {
            Asked::Identity { current } => self.ask_identity(node, current, deadline).await,
            Asked::End(end) => self.ask_end(node, end, deadline).await,
        }
    }

    pub(super) fn refusal(&self, asked: Asked, code: ErrorCode) -> ClientError {
        let broker = self.cluster.said_by();
        match code {
            ErrorCode::InvalidTransactionTimeout => ClientError::Refused {
                broker,
                api: asked.api(),
                what: self.what(),
                code,
                message: Some(
                    "the brokers' transaction.max.timeout.ms is below the timeout that was asked for".to_owned(),
                ),
            },
            code => refused(&broker, asked.api(), self.what(), code),
        }
    }

    fn what(&self) -> String {
        format!("transactional id {}", self.id)
    }

    async fn ask_identity(&mut self, node: i32, current: bool, deadline: Deadline) -> Told {
        let request = InitProducerIdRequest {
            transactional_id: Some(self.id.to_string()),
            transaction_timeout_ms: i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX),
            producer_id: if current { self.identity.id } else { -1 },
            producer_epoch: if current { self.identity.epoch } else { -1 },
        };
        // With the current identity only from version 3 on; Kafka has it since 2.5.
        let need = Need::of::<InitProducerId>().from(3);
        let answer = self.put::<InitProducerId>(node, need, &request, deadline).await?;
        let response = answer.read().map_err(|error| lost(call_error::<InitProducerId>(answer.broker(), error)))?;
        let code = ErrorCode::from_code(response.error_code);
        self.told(answer.broker(), "InitProducerId", code, response.producer_id, response.producer_epoch)
    }

    async fn ask_end(&mut self, node: i32, end: End, deadline: Deadline) -> Told {
        let request = EndTxnRequest {
            transactional_id: self.id.to_string(),
            producer_id: self.identity.id,
            producer_epoch: self.identity.epoch,
            committed: end == End::Commit,
        };
        let need = match self.way {
            Way::Implicit => END_TXN_IMPLICIT,
            Way::Explicit => END_TXN_EXPLICIT,
        };
        let answer = self.put::<EndTxn>(node, need, &request, deadline).await?;
        let response = answer.read().map_err(|error| lost(call_error::<EndTxn>(answer.broker(), error)))?;
        let code = ErrorCode::from_code(response.error_code);
        match self.way {
            Way::Implicit => self.told(answer.broker(), "EndTxn", code, response.producer_id, response.producer_epoch),
            Way::Explicit => Ok((code, self.identity)),
        }
    }

    fn told(&self, broker: &Address, api: &'static str, code: ErrorCode, id: i64, epoch: i16) -> Told {
        if code == ErrorCode::None && (id < 0 || epoch < 0) {
            let expected = "a producer id and an epoch of 0 or more".to_owned();
            let got = format!("id {id}, epoch {epoch}");
            return Err(lost(ClientError::Protocol { broker: broker.clone(), api, expected, got }));
        }
        Ok((code, Identity { id, epoch }))
    }

    /// Adds partitions to the transaction, on the explicit way.
    pub(super) async fn add(&mut self, partitions: &[TopicPartition]) -> Result<(), Trouble> {
        let deadline = self.cluster.deadline();
        let mut retry = self.cluster.retry_until(deadline);
        loop {
            match self.add_once(partitions, deadline).await {
                Ok(()) => return Ok(()),
                Err(error) => self.again(&mut retry, error).await?,
            }
        }
    }

    /// After an error of a question that does no harm when it is asked twice: waits, or says what it means. A lost answer is
    /// no doubt then; that none comes at all is one.
    pub(super) async fn again(&mut self, retry: &mut Retry, error: ClientError) -> Result<(), Trouble> {
        use ErrorCode as E;
        (self.coordinator, self.group_coordinator) = (None, None);
        let verdict = match error.code() {
            // What came before is still being decided, or the coordinator is starting, or another one is.
            Some(E::ConcurrentTransactions | E::CoordinatorLoadInProgress) => Verdict::Again,
            Some(E::NotCoordinator | E::CoordinatorNotAvailable) => Verdict::Again,
            Some(E::InvalidProducerEpoch | E::ProducerFenced | E::InvalidTxnState) => {
                return Err(Trouble::Doubt(error));
            }
            Some(E::InvalidProducerIdMapping | E::TransactionAbortable) => return Err(Trouble::Doubt(error)),
            _ => verdict(&error),
        };
        retry.after_verdict(error, verdict).await.map(|_| ()).map_err(|error| match verdict {
            Verdict::Stop => Trouble::Stop(error),
            _ => Trouble::Doubt(error),
        })
    }

    async fn add_once(&mut self, partitions: &[TopicPartition], deadline: Deadline) -> Result<(), ClientError> {
        let node = self.coordinator(deadline).await?;
        let topics = partitions
            .iter()
            .map(|one| AddPartitionsToTxnTopic { name: one.topic.to_string(), partitions: vec![one.partition] });
        let request = AddPartitionsToTxnRequest {
            transactions: Vec::new(),
            v3_and_below_transactional_id: self.id.to_string(),
            v3_and_below_producer_id: self.identity.id,
            v3_and_below_producer_epoch: self.identity.epoch,
            v3_and_below_topics: topics.collect(),
        };
        let asked = self.cluster.call_as::<AddPartitionsToTxn>(Ask::Node(node), ADD_PARTITIONS, &request, deadline);
        let answer = asked.await?;
        let broker = answer.broker();
        let response = answer.read().map_err(|error| call_error::<AddPartitionsToTxn>(broker, error))?;
        let topics = &response.results_by_topic_v3_and_below;
        // Where one cannot be added, the others are told that they were not tried: the one is the cause.
        let not_tried = ErrorCode::OperationNotAttempted.code();
        let all =
            topics.iter().flat_map(|topic| topic.results_by_partition.iter().map(move |told| (&topic.name, told)));
        let culprit = all.into_iter().find(|(_, told)| ![0, not_tried].contains(&told.partition_error_code));
        if let Some((topic, told)) = culprit {
            let what = TopicPartition::new(topic.as_str(), told.partition_index);
            let code = ErrorCode::from_code(told.partition_error_code);
            return Err(refused(broker, "AddPartitionsToTxn", what, code));
        }
        for wanted in partitions {
            let mut told =
                topics.iter().filter(|topic| topic.name == *wanted.topic).flat_map(|t| &t.results_by_partition);
            let told = told.find(|one| one.partition_index == wanted.partition);
            let Some(told) = told else {
                let (expected, got) = (wanted.to_string(), "an answer without it".to_owned());
                let (broker, api) = (broker.clone(), "AddPartitionsToTxn");
                return Err(ClientError::Protocol { broker, api, expected, got });
            };
            if let Err(code) = ErrorCode::check(told.partition_error_code) {
                return Err(refused(broker, "AddPartitionsToTxn", wanted, code));
            }
        }
        Ok(())
    }

    /// The broker that keeps the id, looked for if it is not known.
    pub(super) async fn coordinator(&mut self, deadline: Deadline) -> Result<i32, ClientError> {
        let node = match self.coordinator {
            Some(node) => node,
            None => self.cluster.coordinator(&self.id, key_type::TRANSACTION, deadline).await?,
        };
        self.coordinator = Some(node);
        Ok(node)
    }

    /// Who has the id, as far as that is told.
    pub(super) async fn described(&mut self) -> Option<Identity> {
        let deadline = self.cluster.deadline();
        let node = self.cluster.coordinator(&self.id, key_type::TRANSACTION, deadline).await.ok()?;
        let request = DescribeTransactionsRequest { transactional_ids: vec![self.id.to_string()] };
        let answer = self.cluster.call::<DescribeTransactions>(Ask::Node(node), &request, deadline).await.ok()?;
        let response = answer.read().ok()?;
        let told = response.transaction_states.iter().find(|one| one.transactional_id == *self.id)?;
        (told.error_code == 0).then_some(Identity { id: told.producer_id, epoch: told.producer_epoch })
    }

    async fn put<A: Api>(
        &self,
        node: i32,
        need: Need,
        request: &A::Request<'_>,
        deadline: Deadline,
    ) -> Result<Answer<A>, (Event, ClientError)> {
        let answer = self.cluster.call_as::<A>(Ask::Node(node), need, request, deadline).await;
        answer.map_err(|error| match &error {
            ClientError::Call { source, .. } if source.may_have_arrived() => (Event::Lost, error),
            _ => (Event::NotAsked, error),
        })
    }
}

fn lost(error: ClientError) -> (Event, ClientError) {
    (Event::Lost, error)
}

//! Before something of a transaction is stored, the transaction's coordinator is asked: newer clients leave it to the broker
//! to add what they write to, of older ones it wants to know that they have added it.
//!
//! As in Kafka nobody is asked about a partition in whose log the same producer and epoch have a transaction open.

use super::{Call, Role, hosted, resolve};
use crate::base::place::TopicPartition;
use crate::batch::Batch;
use crate::broker::cluster::Cluster;
use crate::broker::coordinator::{Part, Producer};
use crate::broker::validate::Refusal;
use crate::wire::ErrorCode;
use crate::wire::produce::ProduceRequest;
use std::collections::HashMap;

/// The version of Produce from which the broker adds the partitions.
const ADDS_FROM_VERSION: i16 = 12;

/// The version of Produce from which TRANSACTION_ABORTABLE is told as such.
const ABORTABLE_FROM_VERSION: i16 = 11;

/// What a transactional batch may count on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// The log has its transaction open.
    Open,
    /// The coordinator has been asked; each transaction has an epoch of its own, and begins at sequence 0.
    Fresh,
    /// The coordinator has been asked, or nobody asks.
    Verified,
}

/// By topic and partition as they stand in the request; nothing for batches that are in no transaction.
pub(super) type Admissions = HashMap<(usize, usize), Result<Admission, Refusal>>;

/// Who asks.
pub(super) struct Asker<'a> {
    pub(super) id: &'a str,
    pub(super) producer: Producer,
    /// What is missing is added.
    pub(super) adds: bool,
    /// Whether the client knows TRANSACTION_ABORTABLE.
    pub(super) knows_abortable: bool,
    /// What it is told where the coordinator cannot answer.
    pub(super) unavailable: ErrorCode,
}

/// Asks the coordinator about parts of a transaction, in their order.
pub(super) async fn ask(cluster: &Cluster, asker: &Asker<'_>, parts: Vec<Part>) -> Vec<Result<(), ErrorCode>> {
    let coordinator = &cluster.coordinator;
    let Asker { id, producer, .. } = *asker;
    let told = |error| match error {
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        ErrorCode::TransactionAbortable if !asker.knows_abortable => ErrorCode::InvalidTxnState,
        ErrorCode::ConcurrentTransactions if !asker.adds => asker.unavailable,
        ErrorCode::CoordinatorNotAvailable => asker.unavailable,
        error => error,
    };
    let count = parts.len();
    if coordinator.reachable(cluster, id).is_err() {
        return vec![Err(asker.unavailable); count];
    }
    if asker.adds {
        let added = coordinator.add_patiently(cluster, id, producer, parts).await.map_err(told);
        return vec![added; count];
    }
    parts.iter().map(|part| coordinator.verify(id, producer, part).map_err(told)).collect()
}

/// Who is named by a batch that says it is transactional.
fn transactional(records: Option<&[u8]>) -> Option<Producer> {
    let header = Batch::read(records?).ok()?.header;
    let producer = Producer { id: header.producer_id, epoch: header.producer_epoch };
    header.is_transactional().then_some(producer)
}

/// Whether any batch of a request says that it is transactional.
pub(super) fn has_transactional(request: &ProduceRequest<'_>) -> bool {
    let mut entries = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    entries.any(|entry| transactional(entry.records).is_some())
}

/// Looks what the transactional batches of a request may count on.
pub(super) async fn enlist(call: &Call<'_>, request: &ProduceRequest<'_>) -> Admissions {
    let mut admissions = Admissions::new();
    let Some(id) = request.transactional_id.as_deref() else { return admissions };
    let (mut places, mut parts, mut producers) = (Vec::new(), Vec::new(), Vec::new());
    for (t, topic) in request.topic_data.iter().enumerate() {
        let Ok(found) = resolve(call, &topic.name, topic.topic_id) else { continue };
        for (p, entry) in topic.partition_data.iter().enumerate() {
            let named = transactional(entry.records).filter(|producer| producer.id >= 0);
            let Some(producer) = named else { continue };
            if !producers.contains(&producer) {
                producers.push(producer);
            }
            let Some(partition) = found.partition(entry.index) else { continue };
            if call.forced(Some((&found.name, entry.index))).is_some() {
                continue;
            }
            let Ok(state) = hosted(call, &partition, -1, Role::Leader) else { continue };
            let is_open = state.log.transactions().start_of(producer.id).is_some();
            if is_open && state.producers.epoch_of(producer.id) == Some(producer.epoch) {
                admissions.insert((t, p), Ok(Admission::Open));
            } else {
                places.push((t, p));
                parts.push(Part::Partition(TopicPartition::new(found.name.clone(), entry.index)));
            }
        }
    }
    let adds = call.version >= ADDS_FROM_VERSION;
    let admission = if adds { Admission::Fresh } else { Admission::Verified };
    let answers = match *producers {
        _ if parts.is_empty() => Vec::new(),
        _ if !call.cluster.features().verifies() => vec![Ok(()); parts.len()],
        [producer] => {
            let knows_abortable = call.version >= ABORTABLE_FROM_VERSION;
            let unavailable = ErrorCode::NotEnoughReplicas;
            ask(call.cluster, &Asker { id, producer, adds, knows_abortable, unavailable }, parts).await
        }
        // One request, one transaction.
        _ => vec![Err(ErrorCode::InvalidProducerIdMapping); parts.len()],
    };
    for (place, answer) in places.into_iter().zip(answers) {
        admissions.insert(place, answer.map(|()| admission).map_err(|code| refusal(code, id)));
    }
    admissions
}

fn refusal(code: ErrorCode, id: &str) -> Refusal {
    Refusal::new(code, format!("the coordinator of transactional id {} refuses: {}", id.escape_debug(), code.name()))
}

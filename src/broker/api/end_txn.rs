//! EndTxn: commits or aborts a transaction. The answer comes once that is decided, the markers follow.
//!
//! - Versions: all that `wire` speaks. From v5 on the epoch is raised, and the answer holds the id and epoch of the next
//!   transaction. As in Kafka that depends on the request's version alone: clients send v5 where they are told of
//!   `transaction.version` 2, and who does so elsewhere gets the same. The rules are in `coordinator/transaction.rs`.

use super::{Call, coordinates, older};
use crate::broker::coordinator::{Producer, Sort};
use crate::wire::ErrorCode;
use crate::wire::end_txn::{EndTxnRequest, EndTxnResponse};

/// The version from which PRODUCER_FENCED is told as such.
const FENCED_FROM_VERSION: i16 = 2;

/// The version from which the epoch is raised.
const RAISES_FROM_VERSION: i16 = 5;

pub(super) fn handle(call: &Call<'_>, request: EndTxnRequest) -> EndTxnResponse {
    let ended = call.forced(None).map_or_else(|| end(call, &request), Err);
    match call.forced_after(None).map_or(ended, Err) {
        Ok(Producer { id, epoch }) => EndTxnResponse { producer_id: id, producer_epoch: epoch, ..Default::default() },
        Err(error) => EndTxnResponse { error_code: error.code(), ..Default::default() },
    }
}

fn end(call: &Call<'_>, request: &EndTxnRequest) -> Result<Producer, ErrorCode> {
    let (cluster, id) = (call.cluster, &request.transactional_id);
    coordinates(call, Sort::Transaction, id)?;
    let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let raises = call.version >= RAISES_FROM_VERSION;
    let ended = cluster.coordinator.end(cluster, id, producer, request.committed, raises);
    ended.map_err(|error| older(call, error, FENCED_FROM_VERSION))
}

//! AddOffsetsToTxn: the group whose offsets a transaction is to commit.
//!
//! - Versions: all that `wire` speaks.

use super::add_partitions_to_txn::FENCED_FROM_VERSION;
use super::{Call, coordinates, older};
use crate::broker::coordinator::{Part, Producer, Sort};
use crate::wire::ErrorCode;
use crate::wire::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

pub(super) fn handle(call: &Call<'_>, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let added = call.forced(None).map_or_else(|| add(call, &request), Err);
    let error = added.err().or(call.forced_after(None)).unwrap_or(ErrorCode::None);
    AddOffsetsToTxnResponse { error_code: error.code(), ..Default::default() }
}

fn add(call: &Call<'_>, request: &AddOffsetsToTxnRequest) -> Result<(), ErrorCode> {
    let id = &request.transactional_id;
    coordinates(call, Sort::Transaction, id)?;
    let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
    let parts = vec![Part::Group(request.group_id.as_str().into())];
    let added = call.cluster.coordinator.add(call.cluster, id, producer, parts);
    added.map_err(|error| older(call, error, FENCED_FROM_VERSION))
}

//! InitProducerId: a producer id and its epoch.
//!
//! - Versions: all that `wire` speaks.
//! - Without a transactional id every request gets a fresh id at epoch 0, also one that names its current id and epoch, as
//!   in Kafka.
//! - With one it goes to the id's coordinator. Whoever had it is fenced; its open transaction is aborted first, and the
//!   client is told to ask again (CONCURRENT_TRANSACTIONS) until the markers are written. The rules are in
//!   `coordinator/transaction.rs`.

use super::{Call, coordinates, older};
use crate::broker::coordinator::{Producer, Sort};
use crate::wire::ErrorCode;
use crate::wire::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

const NONE: i64 = -1;
const NO_EPOCH: i16 = -1;

/// The version from which PRODUCER_FENCED is told as such.
const FENCED_FROM_VERSION: i16 = 4;

pub(super) fn handle(call: &Call<'_>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let given = call.forced(None).map_or_else(|| init(call, &request), Err);
    match call.forced_after(None).map_or(given, Err) {
        Ok(Producer { id, epoch }) => {
            InitProducerIdResponse { producer_id: id, producer_epoch: epoch, ..Default::default() }
        }
        Err(error) => InitProducerIdResponse {
            error_code: error.code(),
            producer_id: NONE,
            producer_epoch: NO_EPOCH,
            ..Default::default()
        },
    }
}

fn init(call: &Call<'_>, request: &InitProducerIdRequest) -> Result<Producer, ErrorCode> {
    let claimed = Producer { id: request.producer_id, epoch: request.producer_epoch };
    // Half of an identity is none.
    if (claimed.id == NONE) != (claimed.epoch == NO_EPOCH) {
        return Err(ErrorCode::InvalidRequest);
    }
    let Some(id) = request.transactional_id.as_deref() else {
        return Ok(Producer { id: call.cluster.next_producer_id(), epoch: 0 });
    };
    coordinates(call, Sort::Transaction, id)?;
    let expected = (claimed.id != NONE).then_some(claimed);
    let given = call.cluster.coordinator.init(call.cluster, id, expected, request.transaction_timeout_ms);
    given.map_err(|error| older(call, error, FENCED_FROM_VERSION))
}

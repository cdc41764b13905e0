//! InitProducerId: a fresh producer id at epoch 0, for idempotent producers.
//!
//! - Versions: all that `wire` speaks.
//! - Without a transactional id every request gets a fresh id, also one that names its current id and epoch, as in Kafka.
//! - With a transactional id: UNSUPPORTED_VERSION. There are no transactions here, and a client must not wait for one.

use super::Call;
use crate::wire::ErrorCode;
use crate::wire::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

pub(super) fn handle(call: &Call<'_>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let refused = call.forced(None).or(match request.transactional_id.as_deref() {
        Some("") => Some(ErrorCode::InvalidRequest),
        Some(_) => Some(ErrorCode::UnsupportedVersion),
        // Half of an identity is none.
        None if (request.producer_id == -1) != (request.producer_epoch == -1) => Some(ErrorCode::InvalidRequest),
        None => None,
    });
    match refused {
        Some(error) => InitProducerIdResponse {
            error_code: error.code(),
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        },
        None => InitProducerIdResponse {
            producer_id: call.cluster.next_producer_id(),
            producer_epoch: 0,
            ..Default::default()
        },
    }
}

//! InitProducerId 0 to 5: the id and epoch under which a producer numbers its batches.
//!
//! Version 6 (two-phase commit) is marked unstable in Kafka 4.2, whose brokers do not offer it.

use super::define::{api, structs};

api! {
    /// Gives out producer ids.
    InitProducerId, 0 to 5, InitProducerIdRequest => InitProducerIdResponse
}

structs! {
    /// Who wants an id.
    pub struct InitProducerIdRequest {
        /// Null for a producer that is idempotent only.
        transactional_id: Option<String> = from(0);
        transaction_timeout_ms: i32 = from(0);
        /// With the epoch: the id held so far, to have its epoch raised; -1 for a new one.
        producer_id: i64 = from(3), default -1;
        producer_epoch: i16 = from(3), default -1;
    }

    /// The id.
    pub struct InitProducerIdResponse {
        throttle_time_ms: i32 = from(0).ignorable();
        error_code: i16 = from(0);
        producer_id: i64 = from(0), default -1;
        producer_epoch: i16 = from(0);
    }
}

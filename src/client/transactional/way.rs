//! Which of the two transaction protocols a cluster speaks, and in which versions of each request.
//!
//! The implicit way needs the cluster's *finalized* transaction.version to be 2 and the versions that go with it. The
//! explicit way is for brokers of 3.6 and later: those check with the coordinator, before they append, that the transaction
//! is open (told by AddPartitionsToTxn 4, with which they ask each other). Older ones do not, so what a client wrote
//! before it died could land in a transaction of its successor: they are refused.

use super::machine::Way;
use crate::client::cluster::{Ask, Cluster};
use crate::client::error::{CallError, ClientError};
use crate::client::need::Need;
use crate::wire::Api as _;
use crate::wire::add_partitions_to_txn::AddPartitionsToTxn;
use crate::wire::end_txn::EndTxn;
use crate::wire::init_producer_id::InitProducerId;
use crate::wire::produce::Produce;
use crate::wire::txn_offset_commit::TxnOffsetCommit;

const TRANSACTION_VERSION: &str = "transaction.version";

const PRODUCE_IMPLICIT: Need = Need::of::<Produce>().from(12);
const PRODUCE_EXPLICIT: Need = Need::of::<Produce>().up_to(11);
pub(super) const END_TXN_IMPLICIT: Need = Need::of::<EndTxn>().from(5);
pub(super) const END_TXN_EXPLICIT: Need = Need::of::<EndTxn>().up_to(4);
/// As clients send it; the versions above are for brokers.
pub(super) const ADD_PARTITIONS: Need = Need::of::<AddPartitionsToTxn>().up_to(3);
pub(super) const TXN_OFFSETS_IMPLICIT: Need = Need::of::<TxnOffsetCommit>().from(5);
pub(super) const TXN_OFFSETS_EXPLICIT: Need = Need::of::<TxnOffsetCommit>().from(3).up_to(4);
/// Has it, who verifies transactions before appending.
const VERIFIES: Need = Need::of::<AddPartitionsToTxn>().from(4);

impl Way {
    /// The versions of Produce in a transaction.
    pub(super) fn produce(self) -> Need {
        match self {
            Self::Implicit => PRODUCE_IMPLICIT,
            Self::Explicit => PRODUCE_EXPLICIT,
        }
    }
}

impl Cluster {
    /// The way that this cluster speaks.
    pub(super) async fn way(&self) -> Result<Way, ClientError> {
        let deadline = self.deadline();
        let mut retry = self.retry_until(deadline);
        let connection = loop {
            match self.ask(Ask::Any, deadline).await {
                Ok(connection) => break connection,
                Err(error) => retry.after(error).await?,
            };
        };
        let has = |needs: &[Need]| needs.iter().try_for_each(|need| connection.pick(*need).map(|_| ()));
        let missing = |error: CallError| ClientError::NoTransactions {
            broker: connection.broker().clone(),
            why: error.to_string(),
        };
        has(&[Need::of::<InitProducerId>().from(3)]).map_err(missing)?;
        let level = connection.feature(TRANSACTION_VERSION).unwrap_or(0);
        if level >= 2 && has(&[PRODUCE_IMPLICIT, END_TXN_IMPLICIT, TXN_OFFSETS_IMPLICIT]).is_ok() {
            return Ok(Way::Implicit);
        }
        has(&[VERIFIES, PRODUCE_EXPLICIT, END_TXN_EXPLICIT, ADD_PARTITIONS]).map_err(missing)?;
        Ok(Way::Explicit)
    }
}

const _: () = assert!(*Produce::VERSIONS.end() >= 12);

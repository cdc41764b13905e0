//! What each error code means for a batch that was sent: is it in the log, and is it worth sending again?
//!
//! One table for Produce. Two questions decide about each code: *may the batch be in the log all the same?* (then only a
//! repeat under the same sequence, or the log itself, can tell) and *may the same bytes succeed later?* A code that is not
//! in the table stops the writer: what we do not understand we do not repeat.

use crate::client::retry::{Verdict, verdict_of_code};
use crate::wire::ErrorCode;

/// What an answer to one batch calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is in the log, at the base offset that the answer tells.
    Stored,
    /// Send the same bytes again, after a wait.
    Repeat(Repeat),
    /// The broker expects another sequence. Of a batch behind one that failed that is to be expected; of the oldest one it
    /// means that the broker has it already, or does not know the batches before it.
    OutOfOrder,
    /// It is in the log, and the answer does not tell where.
    Somewhere,
    /// The same bytes would fail the same way.
    Stop,
}

/// How a batch is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repeat {
    /// The answer does not exclude that it was appended.
    pub(super) in_doubt: bool,
    /// Ask first who leads now.
    pub(super) refresh: bool,
    /// Only a few times: it may be a fact.
    pub(super) bounded: bool,
}

/// Not appended, may pass.
const LATER: Decision = Decision::Repeat(Repeat { in_doubt: false, refresh: false, bounded: false });
/// Not appended, somebody else may lead.
const ELSEWHERE: Decision = Decision::Repeat(Repeat { in_doubt: false, refresh: true, bounded: false });
/// Perhaps appended, may pass.
const UNSURE: Decision = Decision::Repeat(Repeat { in_doubt: true, refresh: false, bounded: false });
/// Perhaps appended, somebody else may lead.
const UNSURE_ELSEWHERE: Decision = Decision::Repeat(Repeat { in_doubt: true, refresh: true, bounded: false });

/// What to do about the answer to a batch.
pub(super) fn decide(code: ErrorCode) -> Decision {
    use ErrorCode as E;
    match code {
        E::None => Decision::Stored,

        // Too few replicas in sync, seen before the append (19) and after it (20): the second is in the leader's log. A
        // repeat is answered once it is replicated.
        E::NotEnoughReplicas => LATER,
        E::NotEnoughReplicasAfterAppend => UNSURE,
        // The replicas took longer than the request allowed. Kafka appends first and then waits.
        E::RequestTimedOut => UNSURE,
        // Also said by a leader that was deposed while it waited for replicas, that is after its own append.
        E::NotLeaderOrFollower => UNSURE_ELSEWHERE,
        // A disk failed, perhaps during the append; another broker will lead.
        E::KafkaStorageError => UNSURE_ELSEWHERE,
        // Said for a broken connection between brokers; nothing is known.
        E::NetworkException => UNSURE_ELSEWHERE,
        // Nobody leads, or this broker does not know the partition (yet, or any more): it cannot have appended. That the
        // topic was deleted is seen by its id when it is looked up again.
        E::LeaderNotAvailable | E::ReplicaNotAvailable | E::BrokerNotAvailable => ELSEWHERE,
        E::UnknownTopicOrPartition | E::UnknownTopicId | E::FencedLeaderEpoch | E::UnknownLeaderEpoch => ELSEWHERE,
        // The broker checks something with a coordinator before it appends, or asks to be left alone.
        E::CoordinatorLoadInProgress | E::CoordinatorNotAvailable | E::NotCoordinator => LATER,
        E::ThrottlingQuotaExceeded => LATER,
        // The transaction before this one is still being decided.
        E::ConcurrentTransactions => LATER,

        // The checksum was wrong on arrival. Damaged on the way, a repeat passes; damaged with us, it never will.
        E::CorruptMessage => Decision::Repeat(Repeat { in_doubt: false, refresh: false, bounded: true }),
        // Something broke in the broker that it has no word for, before the append or after it.
        E::UnknownServerError => Decision::Repeat(Repeat { in_doubt: true, refresh: false, bounded: true }),

        E::OutOfOrderSequenceNumber => Decision::OutOfOrder,
        // Said by older brokers that have lost what they knew of the producer: our sequence is not a first one.
        E::UnknownProducerId => Decision::OutOfOrder,
        // Older than the batches the broker remembers. Kafka does not say it on this path, others do.
        E::DuplicateSequenceNumber => Decision::Somewhere,

        // Facts about the batch: its size, its times, what the topic or a policy takes.
        E::MessageTooLarge | E::RecordListTooLarge => Decision::Stop,
        E::InvalidTimestamp | E::InvalidRecord | E::PolicyViolation => Decision::Stop,
        E::UnsupportedForMessageFormat | E::UnsupportedCompressionType => Decision::Stop,
        // Facts about the request or the topic.
        E::InvalidRequiredAcks | E::InvalidRequest | E::UnsupportedVersion | E::InvalidTopicException => Decision::Stop,
        // We may not.
        E::TopicAuthorizationFailed | E::ClusterAuthorizationFailed => Decision::Stop,
        // Somebody else writes as this producer, with a newer epoch. Its id was given to us alone.
        E::InvalidProducerEpoch | E::ProducerFenced => Decision::Stop,
        // About transactions: this one is not open, or not ours. Who began it knows what to do.
        E::InvalidTxnState | E::TransactionAbortable => Decision::Stop,
        // The last epoch was used up and the new id is not known to the coordinator before the markers of the old one are
        // written; or it has forgotten the transactional id.
        E::InvalidProducerIdMapping => Decision::Repeat(Repeat { in_doubt: false, refresh: false, bounded: true }),
        // Everything else is not said about a produce.
        _ => Decision::Stop,
    }
}

/// What to do about the answer to a request for a producer id. Nothing is lost when it is repeated: an id that nobody
/// uses costs nothing.
pub(super) fn decide_init(code: ErrorCode) -> Verdict {
    match code {
        // A broker that starts has no block of ids yet, and says so in either way.
        ErrorCode::CoordinatorLoadInProgress | ErrorCode::CoordinatorNotAvailable => Verdict::Again,
        // Any broker hands out ids; one that believes otherwise is asked again, or another one is.
        ErrorCode::NotCoordinator | ErrorCode::ConcurrentTransactions => Verdict::Again,
        other => verdict_of_code(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ErrorCode as E;

    /// Every code that does not stop the writer. The test below holds that all others do.
    const KEPT_GOING: &[(ErrorCode, Decision)] = &[
        (E::None, Decision::Stored),
        (E::NotEnoughReplicas, LATER),
        (E::CoordinatorLoadInProgress, LATER),
        (E::CoordinatorNotAvailable, LATER),
        (E::NotCoordinator, LATER),
        (E::ThrottlingQuotaExceeded, LATER),
        (E::ConcurrentTransactions, LATER),
        (E::LeaderNotAvailable, ELSEWHERE),
        (E::ReplicaNotAvailable, ELSEWHERE),
        (E::BrokerNotAvailable, ELSEWHERE),
        (E::UnknownTopicOrPartition, ELSEWHERE),
        (E::UnknownTopicId, ELSEWHERE),
        (E::FencedLeaderEpoch, ELSEWHERE),
        (E::UnknownLeaderEpoch, ELSEWHERE),
        (E::NotEnoughReplicasAfterAppend, UNSURE),
        (E::RequestTimedOut, UNSURE),
        (E::NotLeaderOrFollower, UNSURE_ELSEWHERE),
        (E::KafkaStorageError, UNSURE_ELSEWHERE),
        (E::NetworkException, UNSURE_ELSEWHERE),
        (E::InvalidProducerIdMapping, Decision::Repeat(Repeat { in_doubt: false, refresh: false, bounded: true })),
        (E::CorruptMessage, Decision::Repeat(Repeat { in_doubt: false, refresh: false, bounded: true })),
        (E::UnknownServerError, Decision::Repeat(Repeat { in_doubt: true, refresh: false, bounded: true })),
        (E::OutOfOrderSequenceNumber, Decision::OutOfOrder),
        (E::UnknownProducerId, Decision::OutOfOrder),
        (E::DuplicateSequenceNumber, Decision::Somewhere),
    ];

    #[test]
    fn every_code_there_is_has_its_decision_and_what_is_not_listed_stops() {
        for &code in ErrorCode::ALL.iter().chain(&[ErrorCode::Unknown(134), ErrorCode::Unknown(-2)]) {
            let listed = KEPT_GOING.iter().find(|(kept, _)| *kept == code);
            assert_eq!(decide(code), listed.map_or(Decision::Stop, |(_, decision)| *decision), "{code}");
        }
    }

    #[test]
    fn a_producer_id_is_asked_for_again_while_a_broker_starts_and_never_after_a_denial() {
        for &code in ErrorCode::ALL {
            let verdict = decide_init(code);
            match code {
                E::CoordinatorLoadInProgress | E::CoordinatorNotAvailable | E::NotCoordinator => {
                    assert_eq!(verdict, Verdict::Again, "{code}")
                }
                E::ConcurrentTransactions => assert_eq!(verdict, Verdict::Again, "{code}"),
                _ => assert_eq!(verdict, verdict_of_code(code), "{code}"),
            }
        }
        assert_eq!(decide_init(E::ClusterAuthorizationFailed), Verdict::Stop);
        assert_eq!(decide_init(E::UnsupportedVersion), Verdict::Stop);
    }
}

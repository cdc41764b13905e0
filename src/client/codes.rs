//! What each error code means for each API that is called here, and what is done about it.
//!
//! A code has a meaning of its own ([`meaning`], every code there is); some mean something else in the answer to a certain
//! API ([`decide`]). What is done is one of three things ([`Verdict`]); a deadline ends all of them. The codes of producers
//! decide about more than another try: those of Produce are in `produce/codes.rs`, those of transactions in `transactional/`,
//! those of groups in `group/`.

use super::retry::Verdict;
use crate::wire::{ApiKey, ErrorCode};

/// What is done about a code, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    pub(crate) why: &'static str,
}

/// The APIs that are decided about here.
pub(crate) const DECIDED: &[ApiKey] = &[
    ApiKey::ApiVersions,
    ApiKey::Metadata,
    ApiKey::ListOffsets,
    ApiKey::Fetch,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::DescribeConfigs,
    ApiKey::DescribeProducers,
    ApiKey::DescribeTransactions,
    ApiKey::FindCoordinator,
    ApiKey::CreateTopics,
    ApiKey::CreatePartitions,
    ApiKey::DeleteTopics,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::AlterPartitionReassignments,
    ApiKey::ListPartitionReassignments,
    ApiKey::ElectLeaders,
    ApiKey::DescribeLogDirs,
];

const fn again(why: &'static str) -> Decision {
    Decision { verdict: Verdict::Again, why }
}

const fn refresh(why: &'static str) -> Decision {
    Decision { verdict: Verdict::Refresh, why }
}

const fn stop(why: &'static str) -> Decision {
    Decision { verdict: Verdict::Stop, why }
}

/// What is done about `code` in an answer to `api`.
pub(crate) fn decide(api: ApiKey, code: ErrorCode) -> Decision {
    use ApiKey as A;
    use ErrorCode as E;
    match (api, code) {
        // Reading changes nothing, so what the broker has no word for may be tried again.
        (A::Fetch | A::ListOffsets | A::OffsetForLeaderEpoch, E::UnknownServerError) => {
            again("the broker failed while it read; it may have been one read")
        }
        (A::Fetch, E::CorruptMessage) => again("the broker found a damaged batch; it may have been damaged on its way"),
        (A::Fetch, E::OffsetOutOfRange) => stop("the leader is asked what it holds, which decides"),
        (A::Fetch | A::ListOffsets, E::OffsetNotAvailable) => {
            again("the leader was elected a moment ago, or a follower lags, and does not know its end yet")
        }
        // Sessions are not used.
        (A::Fetch, E::FetchSessionIdNotFound | E::InvalidFetchSessionEpoch | E::FetchSessionTopicIdError) => {
            stop("no session was asked for")
        }
        (A::Fetch, E::InconsistentTopicId) => refresh("the topic's id is not what we know; it may have been made anew"),
        // Who is asked for a topic's settings or producers is asked by what we know of the topic.
        (A::DescribeProducers, E::ReplicaNotAvailable) => refresh("that broker holds the partition no more"),
        // The controller has not done it, or not said so; asking again shows (a change is looked for by who made it).
        (A::CreateTopics | A::CreatePartitions | A::DeleteTopics, E::RequestTimedOut) => {
            again("the controller waited for the brokers as long as it might; the change may still be made")
        }
        (A::CreatePartitions, E::ReassignmentInProgress) => again("partitions are being moved, which ends"),
        (
            A::CreatePartitions
            | A::DeleteTopics
            | A::IncrementalAlterConfigs
            | A::AlterPartitionReassignments
            | A::ElectLeaders,
            E::UnknownTopicOrPartition | E::UnknownTopicId,
        ) => stop("there is no such topic, says who decides it"),
        (A::FindCoordinator, E::NotCoordinator) => refresh("the coordinator has moved"),
        (A::Metadata, E::RebootstrapRequired) => refresh("the cluster is another one than that broker knew"),
        _ => meaning(code),
    }
}

/// What a code means in general. Every code has its line: a new one does not compile until somebody has thought about it.
pub(crate) fn meaning(code: ErrorCode) -> Decision {
    use ErrorCode as E;
    match code {
        E::None => stop("no error"),

        // The partition has moved, or is moving.
        E::NotLeaderOrFollower => refresh("another broker leads the partition"),
        E::LeaderNotAvailable => refresh("a leader is being elected"),
        E::ReplicaNotAvailable => refresh("the partition is being moved"),
        E::FencedLeaderEpoch => refresh("a leader was elected that we have not heard of"),
        E::UnknownLeaderEpoch => refresh("the broker has not heard of the election that we have"),
        E::ListenerNotFound => refresh("the leader's listener is not known to that broker yet"),
        E::KafkaStorageError => refresh("a disk of that broker has failed; another one will lead"),
        // Callers to whom "unknown" is an answer look at the code before they ask here.
        E::UnknownTopicOrPartition | E::UnknownTopicId => refresh("not every broker has heard of a new topic yet"),
        E::NotController => refresh("the controller has moved"),
        E::PreferredLeaderNotAvailable | E::EligibleLeadersNotAvailable => refresh("no leader can be elected yet"),
        E::NewLeaderElected => refresh("a leader was elected meanwhile"),

        // It is busy, starting, or waits for others.
        E::OffsetNotAvailable => again("the leader does not know its end yet"),
        E::RequestTimedOut => again("the broker waited for others longer than it was allowed to"),
        E::NetworkException => again("the broker lost its connection to another one"),
        E::BrokerNotAvailable => again("the broker is starting or stopping"),
        E::CoordinatorLoadInProgress | E::CoordinatorNotAvailable => again("the coordinator is starting"),
        E::ThrottlingQuotaExceeded => again("the broker asks to be left alone for a moment"),
        E::CorruptMessage => again("damaged on the way, or read from a bad page"),

        // The broker has failed in a way it has no word for; whoever may repeat knows that it may.
        E::UnknownServerError => stop("the broker failed; its log says how"),

        // About what was asked: the same question has the same answer.
        E::OffsetOutOfRange | E::PositionOutOfRange | E::OffsetMovedToTieredStorage => stop("the log does not hold it"),
        E::InvalidFetchSize
        | E::InvalidTopicException
        | E::InvalidRequiredAcks
        | E::InvalidPartitions
        | E::InvalidReplicationFactor
        | E::InvalidReplicaAssignment
        | E::InvalidConfig
        | E::InvalidRequest
        | E::PolicyViolation
        | E::UnsupportedVersion
        | E::UnsupportedForMessageFormat
        | E::UnsupportedCompressionType
        | E::InvalidTimestamp
        | E::InvalidRecord
        | E::MessageTooLarge
        | E::RecordListTooLarge
        | E::TopicAlreadyExists
        | E::TopicDeletionDisabled
        | E::SecurityDisabled
        | E::ResourceNotFound
        | E::DuplicateResource
        | E::InvalidRegularExpression
        | E::MismatchedEndpointType
        | E::UnsupportedEndpointType
        | E::OperationNotAttempted => stop("a fact about what was asked"),
        E::TopicAuthorizationFailed
        | E::GroupAuthorizationFailed
        | E::ClusterAuthorizationFailed
        | E::TransactionalIdAuthorizationFailed
        | E::DelegationTokenAuthorizationFailed
        | E::SaslAuthenticationFailed
        | E::UnsupportedSaslMechanism
        | E::IllegalSaslState => stop("we may not"),
        E::InconsistentTopicId | E::InconsistentClusterId | E::RebootstrapRequired => {
            stop("the topic or cluster is not the one we know")
        }
        E::NotEnoughReplicas | E::NotEnoughReplicasAfterAppend => stop("said about writes, which decide themselves"),
        E::ReassignmentInProgress | E::NoReassignmentInProgress | E::ElectionNotNeeded => {
            stop("about moves of partitions")
        }

        // About idempotent and transactional producers.
        E::OutOfOrderSequenceNumber
        | E::DuplicateSequenceNumber
        | E::InvalidProducerEpoch
        | E::InvalidTxnState
        | E::InvalidProducerIdMapping
        | E::InvalidTransactionTimeout
        | E::ConcurrentTransactions
        | E::TransactionCoordinatorFenced
        | E::UnknownProducerId
        | E::ProducerFenced
        | E::TransactionalIdNotFound
        | E::TransactionAbortable => stop("about producers, which decide themselves"),

        // About groups and their offsets, share groups and streams groups.
        E::NotCoordinator
        | E::OffsetMetadataTooLarge
        | E::IllegalGeneration
        | E::InconsistentGroupProtocol
        | E::InvalidGroupId
        | E::UnknownMemberId
        | E::InvalidSessionTimeout
        | E::RebalanceInProgress
        | E::InvalidCommitOffsetSize
        | E::NonEmptyGroup
        | E::GroupIdNotFound
        | E::MemberIdRequired
        | E::GroupMaxSizeReached
        | E::FencedInstanceId
        | E::GroupSubscribedToTopic
        | E::UnstableOffsetCommit
        | E::FencedMemberEpoch
        | E::UnreleasedInstanceId
        | E::UnsupportedAssignor
        | E::StaleMemberEpoch
        | E::InvalidRecordState
        | E::ShareSessionNotFound
        | E::InvalidShareSessionEpoch
        | E::ShareSessionLimitReached
        | E::FencedStateEpoch
        | E::StreamsInvalidTopology
        | E::StreamsInvalidTopologyEpoch
        | E::StreamsTopologyFenced => stop("about groups, which decide themselves"),

        // Between brokers and controllers, and about features that are not used here.
        E::StaleControllerEpoch
        | E::LogDirNotFound
        | E::DelegationTokenAuthDisabled
        | E::DelegationTokenNotFound
        | E::DelegationTokenOwnerMismatch
        | E::DelegationTokenRequestNotAllowed
        | E::DelegationTokenExpired
        | E::InvalidPrincipalType
        | E::FetchSessionIdNotFound
        | E::InvalidFetchSessionEpoch
        | E::FetchSessionTopicIdError
        | E::StaleBrokerEpoch
        | E::UnacceptableCredential
        | E::InconsistentVoterSet
        | E::InvalidUpdateVersion
        | E::FeatureUpdateFailed
        | E::PrincipalDeserializationFailure
        | E::SnapshotNotFound
        | E::DuplicateBrokerRegistration
        | E::BrokerIdNotRegistered
        | E::IneligibleReplica
        | E::UnknownControllerId
        | E::UnknownSubscriptionId
        | E::TelemetryTooLarge
        | E::InvalidRegistration
        | E::InvalidVoterKey
        | E::DuplicateVoter
        | E::VoterNotFound => stop("not said to clients like this one"),

        E::Unknown(_) => stop("a code that came after this program: repeating it is not our call"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::Path;

    /// For every API: the codes after which another try is made. The test holds that all others end the operation.
    fn tried_again(api: ApiKey) -> BTreeMap<i16, Verdict> {
        use ErrorCode as E;
        let moved = [
            E::NotLeaderOrFollower,
            E::LeaderNotAvailable,
            E::ReplicaNotAvailable,
            E::FencedLeaderEpoch,
            E::UnknownLeaderEpoch,
            E::ListenerNotFound,
            E::KafkaStorageError,
            E::UnknownTopicOrPartition,
            E::UnknownTopicId,
            E::NotController,
            E::PreferredLeaderNotAvailable,
            E::EligibleLeadersNotAvailable,
            E::NewLeaderElected,
        ];
        let busy = [
            E::OffsetNotAvailable,
            E::RequestTimedOut,
            E::NetworkException,
            E::BrokerNotAvailable,
            E::CoordinatorLoadInProgress,
            E::CoordinatorNotAvailable,
            E::ThrottlingQuotaExceeded,
            E::CorruptMessage,
        ];
        let (also, not): (&[(E, Verdict)], &[E]) = match api {
            ApiKey::Fetch => {
                (&[(E::UnknownServerError, Verdict::Again), (E::InconsistentTopicId, Verdict::Refresh)], &[])
            }
            ApiKey::ListOffsets | ApiKey::OffsetForLeaderEpoch => (&[(E::UnknownServerError, Verdict::Again)], &[]),
            ApiKey::CreatePartitions => {
                (&[(E::ReassignmentInProgress, Verdict::Again)], &[E::UnknownTopicOrPartition, E::UnknownTopicId])
            }
            ApiKey::DeleteTopics
            | ApiKey::IncrementalAlterConfigs
            | ApiKey::AlterPartitionReassignments
            | ApiKey::ElectLeaders => (&[], &[E::UnknownTopicOrPartition, E::UnknownTopicId]),
            ApiKey::Metadata => (&[(E::RebootstrapRequired, Verdict::Refresh)], &[]),
            ApiKey::FindCoordinator => (&[(E::NotCoordinator, Verdict::Refresh)], &[]),
            ApiKey::ApiVersions
            | ApiKey::DescribeConfigs
            | ApiKey::DescribeProducers
            | ApiKey::DescribeTransactions
            | ApiKey::ListPartitionReassignments
            | ApiKey::DescribeLogDirs
            | ApiKey::CreateTopics => (&[], &[]),
            other => panic!("{other} has no line in this table"),
        };
        let mut all: BTreeMap<i16, Verdict> = moved.iter().map(|code| (code.code(), Verdict::Refresh)).collect();
        all.extend(busy.iter().map(|code| (code.code(), Verdict::Again)));
        all.extend(also.iter().map(|(code, verdict)| (code.code(), *verdict)));
        all.retain(|code, _| !not.iter().any(|one| one.code() == *code));
        all
    }

    #[test]
    fn every_code_of_every_api_that_is_called_is_decided_as_the_table_says() {
        for &api in DECIDED {
            let table = tried_again(api);
            let beyond = [ErrorCode::Unknown(-2), ErrorCode::Unknown(12_345)];
            for &code in ErrorCode::ALL.iter().chain(&beyond) {
                let expected = table.get(&code.code()).copied().unwrap_or(Verdict::Stop);
                let decision = decide(api, code);
                assert_eq!(decision.verdict, expected, "{api} {code}");
                assert!(!decision.why.is_empty());
            }
        }
    }

    /// The names between `::<` and `>` after a word.
    fn named<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
        text.split(word).skip(1).filter_map(|rest| rest.strip_prefix("::<")?.split('>').next())
    }

    fn sources(folder: &Path, out: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                sources(&path, out);
            } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("tests.rs") {
                out.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn no_api_is_called_whose_codes_are_not_decided() {
        let mut texts = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/client"), &mut texts);
        let words = [".call", ".call_as", ".put", ".submit", ".submit_with", ".submit_as", " ask"];
        let called: std::collections::BTreeSet<_> =
            texts.iter().flat_map(|text| words.iter().flat_map(|word| named(text, word))).collect();
        assert!(called.len() > 8, "{called:?}");
        for name in called {
            // A generic call names its parameter; those of producers and of groups are decided where they are called.
            let elsewhere = [
                "A",
                "Produce",
                "InitProducerId",
                "EndTxn",
                "AddPartitionsToTxn",
                "AddOffsetsToTxn",
                "TxnOffsetCommit",
                "ListGroups",
                "ListTransactions",
                "DescribeGroups",
                "ConsumerGroupDescribe",
                "DeleteGroups",
                "OffsetDelete",
                "JoinGroup",
                "SyncGroup",
                "Heartbeat",
                "LeaveGroup",
                "ConsumerGroupHeartbeat",
                "OffsetCommit",
                "OffsetFetch",
            ]
            .contains(&name);
            assert!(elsewhere || DECIDED.iter().any(|api| api.name() == name), "{name}");
        }
    }
}

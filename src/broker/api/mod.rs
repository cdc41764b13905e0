//! From a request's frame to its answer: one file per API, each headed by versions, behaviour, omissions.
//!
//! ```text
//! frame ── header ── noted for tests ── faults before ── decode ── handle ── encode ── faults after ── answer
//! ```
//!
//! `served` is what ApiVersions tells; asking for anything else ends the connection as Kafka ends it. That includes the
//! newer protocol of groups (KIP-848): clients that can choose use the classic one here.

// What there is.
mod served;

// The first requests of every client.
mod api_versions;
mod find_coordinator;
mod metadata;

// The data path.
mod fetch;
mod list_offsets;
mod offset_for_leader_epoch;
mod produce;

mod delete_records;
mod describe_producers;

// Transactions, and how far groups have read.
mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod describe_transactions;
mod end_txn;
mod enlist;
mod init_producer_id;
mod list_transactions;
mod offset_commit;
mod offset_fetch;
mod txn_offset_commit;

// Members of groups.
mod heartbeat;
mod join_group;
mod leave_group;
mod sync_group;

// Administration.
mod alter_partition_reassignments;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod elect_leaders;
mod incremental_alter_configs;
mod list_groups;
mod list_partition_reassignments;
mod offset_delete;

use super::answer::Answer;
use super::cluster::Cluster;
use super::coordinator::Sort;
use super::faults::{Fault, Seen, Struck};
use super::throttle::{Throttle, whole_ms};
use super::topic::{Partition, State, Topic};
use super::validate::Refusal;
use crate::base::place::TopicPartition;
use crate::wire::header::RequestHeader;
use crate::wire::produce::{LeaderIdAndEpoch, NodeEndpoint};
use crate::wire::{Api, ApiKey, ErrorCode, Reader, Uuid, WireError, frame};
pub(crate) use create_topics::PARTITIONS_MAX;
use std::sync::{Arc, MutexGuard};
use tokio::net::TcpStream;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The answer stands in the buffer.
    Answer,
    /// The client wants none.
    Silence,
    /// The connection ends.
    Close,
}

/// Why a request cannot be answered; the connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("API {key} version {version} is not spoken here")]
    NotServed { key: i16, version: i16 },
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// One request on its way through a handler.
pub(crate) struct Call<'a> {
    pub(crate) cluster: &'a Arc<Cluster>,
    pub(crate) node: i32,
    pub(crate) version: i16,
    /// What the client calls itself.
    client_id: &'a str,
    struck: &'a [Struck],
    throttle: Option<Throttle>,
    stream: Option<&'a TcpStream>,
}

impl<'a> Call<'a> {
    /// The error that a test wants for this part of the request in place of handling it.
    fn forced(&self, partition: Option<(&str, i32)>) -> Option<ErrorCode> {
        self.struck_with(partition).find_map(|fault| match fault {
            Fault::Error(code) => Some(*code),
            _ => None,
        })
    }

    /// The error that a test wants to be answered although the request was handled.
    fn forced_after(&self, partition: Option<(&str, i32)>) -> Option<ErrorCode> {
        self.struck_with(partition).find_map(|fault| match fault {
            Fault::ErrorAfter(code) => Some(*code),
            _ => None,
        })
    }

    fn refuse_if_forced(&self) -> Result<(), Refusal> {
        self.forced(None).map_or(Ok(()), |code| Err(Refusal::new(code, "asked for by a test")))
    }

    /// How long the client is told to be throttled: by a quota, or because a test wants it to be told.
    fn throttle_ms(&self) -> i32 {
        let told = |fault: &Fault| match fault {
            Fault::Throttle(ms) => Some(*ms),
            _ => None,
        };
        let told = self.struck_with(None).find_map(told).unwrap_or(0);
        told.max(self.throttle.map_or(0, |throttle| whole_ms(throttle.pause)))
    }

    fn struck_with(&self, partition: Option<(&str, i32)>) -> impl Iterator<Item = &'a Fault> {
        let struck: &'a [Struck] = self.struck;
        struck.iter().filter(move |struck| struck.concerns(partition)).map(Struck::fault)
    }

    /// Where the client is, as Kafka writes that down.
    fn client_host(&self) -> String {
        let address = self.stream.and_then(|stream| stream.peer_addr().ok());
        address.map(|address| format!("/{}", address.ip().to_canonical())).unwrap_or_default()
    }

    /// Waits until the client has hung up. Never, if it has already sent its next request.
    async fn hung_up(&self) {
        if let Some(stream) = self.stream
            && !matches!(stream.peek(&mut [0]).await, Ok(1))
        {
            return;
        }
        std::future::pending().await
    }
}

/// Handles one frame (without its length prefix) that came in at a node; a whole answer frame is put into `out`, which is empty.
/// The frame's bytes may be taken into the log.
/// `throttle` is how the connection was throttled last, and afterwards how it is to be throttled now.
pub(crate) async fn answer(
    cluster: &Arc<Cluster>,
    node: i32,
    stream: Option<&TcpStream>,
    bytes: &mut Vec<u8>,
    out: &mut Answer,
    throttle: &mut Option<Throttle>,
) -> Result<Outcome, RequestError> {
    let mut ahead = Reader::new(bytes, false);
    let (code, version, correlation_id) = (ahead.i16()?, ahead.i16()?, ahead.i32()?);
    let not_served = RequestError::NotServed { key: code, version };
    let Some(served) = served::find(cluster.features(), code) else { return Err(not_served) };
    let key = served.key;
    let spoken = (served.first..=served.last).contains(&version);
    if !spoken && key == ApiKey::ApiVersions {
        let response = api_versions::unsupported(cluster.features());
        frame::write_response::<crate::wire::api_versions::ApiVersions>(&mut out.head, 0, correlation_id, &response)?;
        return Ok(Outcome::Answer);
    }
    if !spoken {
        return Err(not_served);
    }
    let mut body = Reader::new(bytes, false);
    let header = RequestHeader::read(&mut body)?;
    tracing::trace!(node, %key, version, client = header.client_id, "request");
    let faults = &cluster.faults;
    faults.note(Seen { api: key, version, node });
    *throttle = cluster.quotas.throttle(key, *throttle);
    let client_id = header.client_id.as_deref().unwrap_or_default();
    let unstruck = Call { cluster, node, version, client_id, struck: &[], throttle: *throttle, stream };
    let body_at = body.offset();
    let struck = faults.strike(key, node, || partitions(&unstruck, key, body).unwrap_or_default());
    for struck in &struck {
        match struck.fault() {
            Fault::Hold => struck.released().await,
            Fault::Delay(time) => tokio::time::sleep(*time).await,
            Fault::DropBefore => return Ok(Outcome::Close),
            _ => {}
        }
    }
    let call = Call { struck: &struck, ..unstruck };
    // The first time may take the bytes.
    let mut again = struck.iter().any(|struck| matches!(struck.fault(), Fault::Repeat)).then(|| bytes.clone());
    let outcome = run(&call, key, correlation_id, (bytes, body_at), out).await?;
    for struck in &struck {
        match struck.fault() {
            Fault::Repeat => {
                let mut bytes = again.take().unwrap_or_default();
                run(&call, key, correlation_id, (&mut bytes, body_at), &mut Answer::default()).await?;
            }
            Fault::HoldAnswer => struck.released().await,
            Fault::DropAfter => return Ok(Outcome::Close),
            _ => {}
        }
    }
    Ok(outcome)
}

/// Decodes, handles and encodes one request, whose body begins there in the bytes of a frame.
async fn run(
    call: &Call<'_>,
    key: ApiKey,
    correlation_id: i32,
    (bytes, body_at): (&mut Vec<u8>, usize),
    answer: &mut Answer,
) -> Result<Outcome, RequestError> {
    use crate::wire;
    let out = &mut answer.head;
    if key == ApiKey::Produce {
        return match produce::handle(call, bytes, body_at).await? {
            produce::Produced::Silence => Ok(Outcome::Silence),
            produce::Produced::Close => Ok(Outcome::Close),
            produce::Produced::Answer(response) => {
                frame::write_response::<wire::produce::Produce>(out, call.version, correlation_id, &response)?;
                Ok(Outcome::Answer)
            }
        };
    }
    let body = body_of(bytes, body_at)?;
    match key {
        ApiKey::Fetch => {
            let request = decode::<wire::fetch::Fetch>(call, body)?;
            fetch::handle(call, request).await.write(call.version, correlation_id, answer)?;
        }
        ApiKey::TxnOffsetCommit => {
            let request = decode::<wire::txn_offset_commit::TxnOffsetCommit>(call, body)?;
            let mut response = txn_offset_commit::handle(call, request).await;
            response.tell_throttle(call.throttle_ms());
            frame::write_response::<wire::txn_offset_commit::TxnOffsetCommit>(
                out,
                call.version,
                correlation_id,
                &response,
            )?;
        }
        ApiKey::JoinGroup => {
            let request = decode::<wire::join_group::JoinGroup>(call, body)?;
            let Some(joined) = join_group::handle(call, request).await else { return Ok(Outcome::Close) };
            let response = join_group::response(call, &joined);
            frame::write_response::<wire::join_group::JoinGroup>(out, call.version, correlation_id, &response)?;
        }
        ApiKey::SyncGroup => {
            let request = decode::<wire::sync_group::SyncGroup>(call, body)?;
            let Some(synced) = sync_group::handle(call, request).await else { return Ok(Outcome::Close) };
            let response = sync_group::response(call, &synced);
            frame::write_response::<wire::sync_group::SyncGroup>(out, call.version, correlation_id, &response)?;
        }
        ApiKey::DescribeGroups => {
            let request = decode::<wire::describe_groups::DescribeGroups>(call, body)?;
            let described = describe_groups::handle(call, request);
            let response = describe_groups::response(call, &described);
            let version = call.version;
            frame::write_response::<wire::describe_groups::DescribeGroups>(out, version, correlation_id, &response)?;
        }
        other => run_simple(call, other, correlation_id, body, out)?,
    }
    Ok(Outcome::Answer)
}

/// A frame from its body on. What is wrong in it is told with its place in the frame.
fn body_of(bytes: &[u8], body_at: usize) -> Result<Reader<'_>, WireError> {
    let mut body = Reader::new(bytes, false);
    body.take(body_at)?;
    Ok(body)
}

/// A request that is answered at once from what it holds.
fn simple<'r, A: Api>(
    call: &Call<'_>,
    correlation_id: i32,
    body: Reader<'r>,
    out: &mut Vec<u8>,
    handle: impl FnOnce(&Call<'_>, A::Request<'r>) -> A::Response<'r>,
) -> Result<(), RequestError>
where
    A::Response<'r>: TellThrottle,
{
    let request = decode::<A>(call, body)?;
    let mut response = handle(call, request);
    response.tell_throttle(call.throttle_ms());
    Ok(frame::write_response::<A>(out, call.version, correlation_id, &response)?)
}

/// An answer that can say that the client is throttled.
trait TellThrottle {
    fn tell_throttle(&mut self, ms: i32);
}

impl TellThrottle for crate::wire::txn_offset_commit::TxnOffsetCommitResponse {
    fn tell_throttle(&mut self, ms: i32) {
        self.throttle_time_ms = ms;
    }
}

/// The APIs that are answered at once: file, API, answer.
macro_rules! simple_apis {
    ($($file:ident $api:ident $response:ident;)*) => {
        $(
            impl TellThrottle for crate::wire::$file::$response {
                fn tell_throttle(&mut self, ms: i32) {
                    self.throttle_time_ms = ms;
                }
            }
        )*

        /// Decodes, handles and encodes one of them.
        fn run_simple(
            call: &Call<'_>,
            key: ApiKey,
            correlation_id: i32,
            body: Reader<'_>,
            out: &mut Vec<u8>,
        ) -> Result<(), RequestError> {
            match key {
                $(ApiKey::$api => simple::<crate::wire::$file::$api>(call, correlation_id, body, out, $file::handle),)*
                other => Err(RequestError::NotServed { key: other.code(), version: call.version }),
            }
        }
    };
}

simple_apis! {
    list_offsets ListOffsets ListOffsetsResponse;
    metadata Metadata MetadataResponse;
    offset_commit OffsetCommit OffsetCommitResponse;
    offset_fetch OffsetFetch OffsetFetchResponse;
    find_coordinator FindCoordinator FindCoordinatorResponse;
    api_versions ApiVersions ApiVersionsResponse;
    create_topics CreateTopics CreateTopicsResponse;
    delete_topics DeleteTopics DeleteTopicsResponse;
    delete_records DeleteRecords DeleteRecordsResponse;
    init_producer_id InitProducerId InitProducerIdResponse;
    offset_for_leader_epoch OffsetForLeaderEpoch OffsetForLeaderEpochResponse;
    add_partitions_to_txn AddPartitionsToTxn AddPartitionsToTxnResponse;
    add_offsets_to_txn AddOffsetsToTxn AddOffsetsToTxnResponse;
    end_txn EndTxn EndTxnResponse;
    describe_configs DescribeConfigs DescribeConfigsResponse;
    create_partitions CreatePartitions CreatePartitionsResponse;
    incremental_alter_configs IncrementalAlterConfigs IncrementalAlterConfigsResponse;
    describe_cluster DescribeCluster DescribeClusterResponse;
    describe_producers DescribeProducers DescribeProducersResponse;
    describe_transactions DescribeTransactions DescribeTransactionsResponse;
    list_transactions ListTransactions ListTransactionsResponse;
    alter_partition_reassignments AlterPartitionReassignments AlterPartitionReassignmentsResponse;
    list_partition_reassignments ListPartitionReassignments ListPartitionReassignmentsResponse;
    describe_log_dirs DescribeLogDirs DescribeLogDirsResponse;
    elect_leaders ElectLeaders ElectLeadersResponse;
    heartbeat Heartbeat HeartbeatResponse;
    leave_group LeaveGroup LeaveGroupResponse;
    list_groups ListGroups ListGroupsResponse;
    delete_groups DeleteGroups DeleteGroupsResponse;
    offset_delete OffsetDelete OffsetDeleteResponse;
}

fn decode<'r, A: Api>(call: &Call<'_>, mut body: Reader<'r>) -> Result<A::Request<'r>, WireError> {
    frame::read_request::<A>(&mut body, call.version)
}

/// The partitions that a request names, for faults that befall one of them.
fn partitions(call: &Call<'_>, key: ApiKey, body: Reader<'_>) -> Result<Vec<TopicPartition>, WireError> {
    use crate::wire;
    Ok(match key {
        ApiKey::Produce => produce::partitions(call, &decode::<wire::produce::Produce>(call, body)?),
        ApiKey::Fetch => fetch::partitions(call, &decode::<wire::fetch::Fetch>(call, body)?),
        ApiKey::ListOffsets => list_offsets::partitions(&decode::<wire::list_offsets::ListOffsets>(call, body)?),
        ApiKey::DeleteRecords => {
            delete_records::partitions(&decode::<wire::delete_records::DeleteRecords>(call, body)?)
        }
        ApiKey::OffsetForLeaderEpoch => offset_for_leader_epoch::partitions(&decode::<
            wire::offset_for_leader_epoch::OffsetForLeaderEpoch,
        >(call, body)?),
        ApiKey::DescribeProducers => {
            describe_producers::partitions(&decode::<wire::describe_producers::DescribeProducers>(call, body)?)
        }
        _ => Vec::new(),
    })
}

/// The topic that a request names, by id where it gives one.
fn resolve(call: &Call<'_>, name: &str, id: Uuid) -> Result<Arc<Topic>, ErrorCode> {
    if id.is_zero() {
        return call.cluster.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition);
    }
    call.cluster.topic_by_id(id).ok_or(ErrorCode::UnknownTopicId)
}

fn name_of(cluster: &Cluster, name: &str, id: Uuid) -> Option<Arc<str>> {
    if id.is_zero() { Some(name.into()) } else { cluster.topic_by_id(id).map(|topic| topic.name.clone()) }
}

/// Who may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Leader,
    /// Any node that holds the partition.
    Replica,
}

/// A partition's state, if this node may answer for it and the client does not think of another epoch (-1: it thinks of
/// none). The epoch is looked at first, as in Kafka: who has fallen behind learns that, wherever it asks.
fn hosted<'p>(
    call: &Call<'_>,
    partition: &'p Partition,
    client_epoch: i32,
    role: Role,
) -> Result<MutexGuard<'p, State>, ErrorCode> {
    let state = partition.state();
    if !state.replicas.contains(&call.node) {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    match client_epoch {
        -1 => {}
        epoch if epoch < state.leader_epoch => return Err(ErrorCode::FencedLeaderEpoch),
        epoch if epoch > state.leader_epoch => return Err(ErrorCode::UnknownLeaderEpoch),
        _ => {}
    }
    if role == Role::Leader && state.leader != call.node {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    Ok(state)
}

/// Whether this node coordinates a group or a transactional id.
fn coordinates(call: &Call<'_>, sort: Sort, key: &str) -> Result<(), ErrorCode> {
    if sort == Sort::Transaction && key.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    match call.cluster.coordinator.seats.node(sort, key, call.cluster) {
        Some(node) if node == call.node => Ok(()),
        Some(_) => Err(ErrorCode::NotCoordinator),
        None => Err(ErrorCode::CoordinatorNotAvailable),
    }
}

/// PRODUCER_FENCED as clients knew it before that version.
fn older(call: &Call<'_>, error: ErrorCode, fenced_from_version: i16) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced if call.version < fenced_from_version => ErrorCode::InvalidProducerEpoch,
        error => error,
    }
}

/// Who leads, and where that node listens, for a client that asked the wrong one.
fn leader_hint(cluster: &Cluster, topic: &str, index: i32, endpoints: &mut Vec<NodeEndpoint>) -> LeaderIdAndEpoch {
    let Some(partition) = cluster.partition(&TopicPartition::new(topic, index)) else {
        return LeaderIdAndEpoch::default();
    };
    let (leader_id, leader_epoch) = {
        let state = partition.state();
        (state.leader, state.leader_epoch)
    };
    let known = endpoints.iter().any(|endpoint| endpoint.node_id == leader_id);
    if let Some(node) = cluster.alive().into_iter().find(|node| node.id == leader_id && !known) {
        let (host, port) = (node.host, node.port.into());
        endpoints.push(NodeEndpoint { node_id: leader_id, host, port, rack: None });
    }
    LeaderIdAndEpoch { leader_id, leader_epoch }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Refusal::new(code, code.name())
    }
}

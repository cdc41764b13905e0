//! A broker by script, in the test's own process: a listener that answers each request with what a closure says.
//!
//! What the closure has no opinion on is answered sensibly: ApiVersions with all we speak, Metadata with the fake itself as
//! the only broker (id 1) and the topic `t`. It knows nothing of logs; a test that wants data writes the answer.
//!
//! [`Memory`] is the same without sockets: a transport whose addresses are all served by one script, for tests on a clock
//! that stands still.

use super::super::deadline::Deadline;
use super::super::error::{CallError, Step};
use super::super::transport::{Duplex, Transport};
use super::super::{Address, Cluster};
use crate::wire::api_versions::{ApiVersion, ApiVersions, ApiVersionsResponse};
use crate::wire::describe_producers::DescribeProducers;
use crate::wire::fetch::{Fetch, FetchResponse, FetchableTopicResponse, PartitionData};
use crate::wire::header::RequestHeader;
use crate::wire::list_offsets::{
    ListOffsets, ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use crate::wire::metadata::{
    Metadata, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::offset_for_leader_epoch::OffsetForLeaderEpoch;
use crate::wire::{Api, ApiKey, Reader, Uuid, frame};
use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Long enough for a loaded machine, for what must succeed.
pub(super) const LONG: Duration = Duration::from_secs(20);

/// The id of the topic `t`.
pub(super) const TOPIC_ID: Uuid = Uuid([7; 16]);

/// The epoch of its leader.
pub(super) const LEADER_EPOCH: i32 = 5;

/// A request that has come in.
pub(super) struct Call {
    pub(super) header: RequestHeader,
    /// Where the fake listens.
    pub(super) here: SocketAddr,
    frame: Vec<u8>,
}

impl Call {
    pub(super) fn key(&self) -> Option<ApiKey> {
        ApiKey::from_code(self.header.api_key)
    }

    pub(super) fn version(&self) -> i16 {
        self.header.api_version
    }

    /// The request, if it is one of `A`.
    pub(super) fn read<A: Api>(&self) -> A::Request<'_> {
        assert_eq!(self.key(), Some(A::KEY));
        let mut reader = Reader::new(&self.frame, false);
        RequestHeader::read(&mut reader).unwrap();
        frame::read_request::<A>(&mut reader, self.version()).unwrap()
    }

    /// The answer to it.
    pub(super) fn answer<A: Api>(&self, response: &A::Response<'_>) -> Reply {
        self.answer_at::<A>(self.version(), response)
    }

    pub(super) fn answer_at<A: Api>(&self, version: i16, response: &A::Response<'_>) -> Reply {
        let mut out = Vec::new();
        frame::write_response::<A>(&mut out, version, self.header.correlation_id, response).unwrap();
        Reply::Bytes(out)
    }

    /// An answer to a Fetch of `t` partition 0.
    pub(super) fn fetched(&self, data: PartitionData<'_>) -> Reply {
        let by_name = self.version() < 13;
        let topic = FetchableTopicResponse {
            topic: if by_name { "t".to_owned() } else { String::new() },
            topic_id: if by_name { Uuid::default() } else { TOPIC_ID },
            partitions: vec![data],
        };
        self.answer::<Fetch>(&FetchResponse { responses: vec![topic], ..Default::default() })
    }

    /// An answer to a ListOffsets about `t` partition 0.
    pub(super) fn listed(&self, error_code: i16, offset: i64) -> Reply {
        let partition = ListOffsetsPartitionResponse { error_code, offset, ..Default::default() };
        let topic = ListOffsetsTopicResponse { name: "t".to_owned(), partitions: vec![partition] };
        self.answer::<ListOffsets>(&ListOffsetsResponse { topics: vec![topic], ..Default::default() })
    }

    /// The fake's own metadata, with another epoch of the leader of `t` partition 0.
    pub(super) fn metadata_in(&self, leader_epoch: i32) -> Reply {
        self.metadata_of(self.here, TOPIC_ID, leader_epoch)
    }

    /// A cluster of one broker, advertised at `advertised`, that leads `t` partition 0.
    pub(super) fn metadata(&self, advertised: SocketAddr) -> Reply {
        self.metadata_of(advertised, TOPIC_ID, LEADER_EPOCH)
    }

    /// The fake's own metadata, with another id for the topic `t`.
    pub(super) fn metadata_with(&self, topic_id: [u8; 16]) -> Reply {
        self.metadata_of(self.here, Uuid(topic_id), LEADER_EPOCH)
    }

    fn metadata_of(&self, advertised: SocketAddr, topic_id: Uuid, leader_epoch: i32) -> Reply {
        let request = self.read::<Metadata>();
        let asked = request.topics.map(|topics| topics.into_iter().filter_map(|topic| topic.name).collect::<Vec<_>>());
        let topic = |name: String| match name.as_str() {
            "t" => MetadataResponseTopic {
                name: Some(name),
                topic_id,
                partitions: vec![MetadataResponsePartition {
                    leader_id: 1,
                    leader_epoch,
                    replica_nodes: vec![1],
                    isr_nodes: vec![1],
                    ..Default::default()
                }],
                ..Default::default()
            },
            _ => MetadataResponseTopic { error_code: 3, name: Some(name), ..Default::default() },
        };
        self.answer::<Metadata>(&MetadataResponse {
            brokers: vec![MetadataResponseBroker {
                node_id: 1,
                host: advertised.ip().to_string(),
                port: advertised.port().into(),
                rack: None,
            }],
            controller_id: 1,
            topics: asked.unwrap_or_else(|| vec!["t".to_owned()]).into_iter().map(topic).collect(),
            ..Default::default()
        })
    }
}

/// What to do with a request.
pub(super) enum Reply {
    /// Send this, length and all.
    Bytes(Vec<u8>),
    /// The same, a byte at a time.
    ByteByByte(Vec<u8>),
    /// Close the connection.
    Close,
    /// Send nothing, and keep the connection open.
    Silence,
}

type Script = Arc<dyn Fn(&Call) -> Option<Reply> + Send + Sync>;

/// Brokers by script, reached without sockets. Clones share everything.
#[derive(Clone)]
pub(super) struct Memory {
    script: Script,
    /// The addresses that nobody listens at.
    pub(super) dead: Arc<Mutex<BTreeSet<SocketAddr>>>,
    /// The addresses that were dialled, in order.
    pub(super) dialled: Arc<Mutex<Vec<SocketAddr>>>,
    /// Which APIs were asked for, in order.
    pub(super) seen: Arc<Mutex<Vec<ApiKey>>>,
    chance: Arc<Mutex<StdRng>>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    pub(super) fn new(seed: u64, script: impl Fn(&Call) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self {
            script: Arc::new(script),
            dead: Arc::default(),
            dialled: Arc::default(),
            seen: Arc::default(),
            chance: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))),
        }
    }

    /// A cluster over it.
    pub(super) async fn connect(&self, timeout: Duration) -> Cluster {
        let brokers = [memory_address(1).to_string()];
        Cluster::connect_over(Arc::new(self.clone()), &brokers, timeout).await.unwrap()
    }

    /// How often an API was asked for.
    pub(super) fn count(&self, key: ApiKey) -> usize {
        self.seen.lock().unwrap().iter().filter(|seen| **seen == key).count()
    }
}

/// The address of a number, in memory.
pub(super) fn memory_address(number: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], number))
}

impl Transport for Memory {
    fn dial<'a>(
        &'a self,
        address: &'a Address,
        _: Deadline,
    ) -> BoxFuture<'a, Result<Box<dyn Duplex>, (Step, CallError)>> {
        let here: SocketAddr = address.to_string().parse().unwrap();
        Box::pin(async move {
            if self.dead.lock().unwrap().contains(&here) {
                let refused = std::io::ErrorKind::ConnectionRefused.into();
                return Err((Step::Connect, CallError::Connect(vec![(here, refused)])));
            }
            self.dialled.lock().unwrap().push(here);
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            tokio::spawn(serve(theirs, here, self.script.clone(), self.seen.clone()));
            Ok(Box::new(ours) as Box<dyn Duplex>)
        })
    }

    fn chance(&self) -> f64 {
        self.chance.lock().unwrap().random()
    }
}

/// A broker by script. Dropping it closes everything.
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    /// Which APIs were asked for, in order.
    pub(super) seen: Arc<Mutex<Vec<ApiKey>>>,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    /// Starts one; `script` decides about a request, or leaves it (`None`) to the default.
    pub(super) async fn start(script: impl Fn(&Call) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    /// The same on a port that is bound already.
    pub(super) fn serve(
        listener: TcpListener,
        script: impl Fn(&Call) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log): (Script, _) = (Arc::new(script), seen.clone());
        let task = tokio::spawn(async move {
            // Connections end with the fake.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let _ = stream.set_nodelay(true);
                connections.spawn(serve(stream, address, script.clone(), log.clone()));
            }
        });
        Self { address, seen, task }
    }

    /// As `--brokers` takes it.
    pub(super) fn bootstrap(&self) -> Vec<String> {
        vec![self.address.to_string()]
    }

    /// How often an API was asked for.
    pub(super) fn count(&self, key: ApiKey) -> usize {
        self.seen.lock().unwrap().iter().filter(|seen| **seen == key).count()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    here: SocketAddr,
    script: Script,
    log: Arc<Mutex<Vec<ApiKey>>>,
) {
    loop {
        let Ok(length) = stream.read_u32().await else { return };
        let mut frame = vec![0; length as usize];
        if stream.read_exact(&mut frame).await.is_err() {
            return;
        }
        let header = RequestHeader::read(&mut Reader::new(&frame, false)).unwrap();
        let call = Call { header, here, frame };
        log.lock().unwrap().extend(call.key());
        let reply = script(&call).unwrap_or_else(|| by_default(&call));
        let sent = match reply {
            Reply::Bytes(bytes) => stream.write_all(&bytes).await,
            Reply::ByteByByte(bytes) => {
                for byte in bytes {
                    let _ = stream.write_all(&[byte]).await;
                    let _ = stream.flush().await;
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
            Reply::Close => return,
            Reply::Silence => Ok(()),
        };
        if sent.is_err() {
            return;
        }
    }
}

fn by_default(call: &Call) -> Reply {
    match call.key() {
        Some(ApiKey::ApiVersions) => call.answer::<ApiVersions>(&versions(&[
            range::<ApiVersions>(),
            range::<Metadata>(),
            range::<Fetch>(),
            range::<ListOffsets>(),
            range::<OffsetForLeaderEpoch>(),
            range::<DescribeProducers>(),
        ])),
        Some(ApiKey::Metadata) => call.metadata(call.here),
        _ => Reply::Close,
    }
}

/// An API in all the versions we have.
pub(super) fn range<A: Api>() -> ApiVersion {
    ApiVersion { api_key: A::KEY.code(), min_version: *A::VERSIONS.start(), max_version: *A::VERSIONS.end() }
}

/// An answer to ApiVersions.
pub(super) fn versions(apis: &[ApiVersion]) -> ApiVersionsResponse {
    ApiVersionsResponse { api_keys: apis.to_vec(), ..Default::default() }
}

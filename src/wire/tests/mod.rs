//! What the tests of all messages share: random messages, and a message taken apart into named leaves.

mod hostile;
mod second_opinion;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::marker::PhantomData;

use kafka_protocol::messages as kafka;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::field::{At, Field};
use super::{Api, Message, Reader, Uuid, WireError, Writer};

/// One message of one API with its counterpart in the kafka-protocol crate.
pub(crate) trait Half {
    type Of<'a>: Message<'a> + Field<'a> + Default + Debug;
    type Theirs: Encodable + Decodable + HeaderVersion + Default + Debug;
    type Api: Api;
    const NAME: &'static str;
    /// The last version that kafka-protocol 0.18 knows.
    const THEIRS_TO: i16;

    fn is_flexible(version: i16) -> bool {
        version >= Self::Api::FLEXIBLE_FROM
    }

    fn sample(dice: &mut Dice, version: i16) -> Self::Of<'static> {
        Field::sample(dice, At { version, nullable: false })
    }

    fn write(message: &Self::Of<'_>, version: i16) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::new(Self::is_flexible(version));
        Message::write(message, &mut writer, version)?;
        Ok(writer.into_bytes())
    }

    fn read(bytes: &[u8], version: i16) -> Result<Self::Of<'_>, WireError> {
        let mut reader = Reader::new(bytes, Self::is_flexible(version));
        let message = Message::read(&mut reader, version)?;
        reader.finish()?;
        Ok(message)
    }

    fn leaves(message: &Self::Of<'_>, version: i16) -> Leaves {
        let mut out = Leaves::default();
        message.leaves("", version, &mut out);
        out
    }
}

pub(crate) struct Request<A>(PhantomData<A>);
pub(crate) struct Response<A>(PhantomData<A>);

macro_rules! halves {
    ($($file:ident $api:ident: $request:ident, $response:ident, to $last:literal;)*) => {
        $(
            impl Half for Request<super::$file::$api> {
                type Of<'a> = <super::$file::$api as Api>::Request<'a>;
                type Theirs = kafka::$request;
                type Api = super::$file::$api;
                const NAME: &'static str = stringify!($request);
                const THEIRS_TO: i16 = $last;
            }

            impl Half for Response<super::$file::$api> {
                type Of<'a> = <super::$file::$api as Api>::Response<'a>;
                type Theirs = kafka::$response;
                type Api = super::$file::$api;
                const NAME: &'static str = stringify!($response);
                const THEIRS_TO: i16 = $last;
            }
        )*

        /// Calls a visitor for every message of every API.
        fn every_message(visitor: &mut impl Visitor) {
            $(
                visitor.visit::<Request<super::$file::$api>>();
                visitor.visit::<Response<super::$file::$api>>();
            )*
        }
    };
}

pub(crate) trait Visitor {
    fn visit<H: Half>(&mut self);
}

halves! {
    produce Produce: ProduceRequest, ProduceResponse, to 13;
    fetch Fetch: FetchRequest, FetchResponse, to 18;
    list_offsets ListOffsets: ListOffsetsRequest, ListOffsetsResponse, to 10;
    metadata Metadata: MetadataRequest, MetadataResponse, to 13;
    find_coordinator FindCoordinator: FindCoordinatorRequest, FindCoordinatorResponse, to 6;
    api_versions ApiVersions: ApiVersionsRequest, ApiVersionsResponse, to 4;
    create_topics CreateTopics: CreateTopicsRequest, CreateTopicsResponse, to 7;
    delete_topics DeleteTopics: DeleteTopicsRequest, DeleteTopicsResponse, to 6;
    delete_records DeleteRecords: DeleteRecordsRequest, DeleteRecordsResponse, to 2;
    init_producer_id InitProducerId: InitProducerIdRequest, InitProducerIdResponse, to 5;
    describe_configs DescribeConfigs: DescribeConfigsRequest, DescribeConfigsResponse, to 4;
    create_partitions CreatePartitions: CreatePartitionsRequest, CreatePartitionsResponse, to 3;
    incremental_alter_configs IncrementalAlterConfigs: IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, to 1;
    describe_cluster DescribeCluster: DescribeClusterRequest, DescribeClusterResponse, to 2;
    offset_for_leader_epoch OffsetForLeaderEpoch: OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, to 4;
    describe_producers DescribeProducers: DescribeProducersRequest, DescribeProducersResponse, to 0;
    add_partitions_to_txn AddPartitionsToTxn: AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, to 5;
    add_offsets_to_txn AddOffsetsToTxn: AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, to 4;
    end_txn EndTxn: EndTxnRequest, EndTxnResponse, to 5;
    txn_offset_commit TxnOffsetCommit: TxnOffsetCommitRequest, TxnOffsetCommitResponse, to 5;
    offset_commit OffsetCommit: OffsetCommitRequest, OffsetCommitResponse, to 9;
    offset_fetch OffsetFetch: OffsetFetchRequest, OffsetFetchResponse, to 9;
    describe_transactions DescribeTransactions: DescribeTransactionsRequest, DescribeTransactionsResponse, to 0;
    list_transactions ListTransactions: ListTransactionsRequest, ListTransactionsResponse, to 2;
    alter_partition_reassignments AlterPartitionReassignments:
        AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, to 1;
    list_partition_reassignments ListPartitionReassignments:
        ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, to 0;
    describe_log_dirs DescribeLogDirs: DescribeLogDirsRequest, DescribeLogDirsResponse, to 4;
    elect_leaders ElectLeaders: ElectLeadersRequest, ElectLeadersResponse, to 2;
    join_group JoinGroup: JoinGroupRequest, JoinGroupResponse, to 9;
    sync_group SyncGroup: SyncGroupRequest, SyncGroupResponse, to 5;
    heartbeat Heartbeat: HeartbeatRequest, HeartbeatResponse, to 4;
    leave_group LeaveGroup: LeaveGroupRequest, LeaveGroupResponse, to 5;
    list_groups ListGroups: ListGroupsRequest, ListGroupsResponse, to 5;
    describe_groups DescribeGroups: DescribeGroupsRequest, DescribeGroupsResponse, to 6;
    delete_groups DeleteGroups: DeleteGroupsRequest, DeleteGroupsResponse, to 2;
    offset_delete OffsetDelete: OffsetDeleteRequest, OffsetDeleteResponse, to 0;
    consumer_group_heartbeat ConsumerGroupHeartbeat: ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, to 1;
    consumer_group_describe ConsumerGroupDescribe: ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, to 1;
}

/// A seed for this run: printed where the test fails, and taken from `KMERGE_TEST_SEED` to run it again.
fn seed() -> u64 {
    let given = std::env::var("KMERGE_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| rand::rng().random());
    eprintln!("KMERGE_TEST_SEED={seed}");
    seed
}

/// Random fields, from a seed. Numbers are drawn from the edges as often as from the middle.
pub(crate) struct Dice(StdRng);

/// What random byte fields are cut from, so that they may live as long as anybody likes.
static POOL: [u8; 256] = {
    let mut pool = [0; 256];
    let mut at = 0;
    while at < pool.len() {
        pool[at] = (at as u8).wrapping_mul(167) ^ 0x5a;
        at += 1;
    }
    pool
};

macro_rules! integers {
    ($($type:ident)*) => {$(
        pub(crate) fn $type(&mut self) -> $type {
            match self.0.random_range(0..4) {
                0 => [<$type>::MIN, -1, 0, 1, <$type>::MAX][self.0.random_range(0..5)],
                _ => self.0.random(),
            }
        }
    )*};
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    integers! { i8 i16 i32 i64 }

    pub(crate) fn bool(&mut self) -> bool {
        self.0.random()
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        Uuid(self.0.random())
    }

    /// How many elements an array gets.
    pub(crate) fn count(&mut self) -> usize {
        self.below(4)
    }

    pub(crate) fn string(&mut self) -> String {
        // Up to 130 bytes and more, where a varint takes its second byte; some of them outside ASCII.
        let length = if self.below(8) == 0 { self.below(140) } else { self.below(12) };
        (0..length).map(|_| ['a', 'Z', '.', '_', '7', 'ß', '字', '🦀'][self.below(8)]).collect()
    }

    pub(crate) fn bytes(&mut self) -> &'static [u8] {
        let start = self.below(POOL.len());
        &POOL[start..start + self.below(POOL.len() - start)]
    }
}

/// Field paths such as `topics[0].name` with their values as `Debug` shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Leaves(BTreeMap<String, String>);

impl Leaves {
    pub(crate) fn leaf(&mut self, path: &str, value: &impl Debug) {
        self.0.insert(path.to_owned(), format!("{value:?}"));
    }
}

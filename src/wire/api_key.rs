//! The numbers of Kafka's APIs, and from which version on each has compact lengths and tagged fields.

macro_rules! api_keys {
    ($($name:ident = $code:literal $(, $flexible_from:literal)?;)*) => {
        /// An API of Kafka, as the broker of 4.2 knows them. Those that 4.0 took away (4 to 7, between brokers) are absent.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum ApiKey {
            $(#[doc = concat!("Number ", $code, ".")] $name = $code,)*
        }

        impl ApiKey {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The API of that number.
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its number.
            pub const fn code(self) -> i16 {
                self as i16
            }

            /// Kafka's name for it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The first version with compact lengths and tagged fields; `i16::MAX` where there is none yet.
            pub const fn flexible_from(self) -> i16 {
                match self {
                    $(Self::$name => { let version = i16::MAX; $(let _ = version; let version = $flexible_from;)? version })*
                }
            }
        }
    };
}

impl std::fmt::Display for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

// Name = number, first flexible version.
api_keys! {
    Produce = 0, 9;
    Fetch = 1, 12;
    ListOffsets = 2, 6;
    Metadata = 3, 9;
    OffsetCommit = 8, 8;
    OffsetFetch = 9, 6;
    FindCoordinator = 10, 3;
    JoinGroup = 11, 6;
    Heartbeat = 12, 4;
    LeaveGroup = 13, 4;
    SyncGroup = 14, 4;
    DescribeGroups = 15, 5;
    ListGroups = 16, 3;
    SaslHandshake = 17;
    ApiVersions = 18, 3;
    CreateTopics = 19, 5;
    DeleteTopics = 20, 4;
    DeleteRecords = 21, 2;
    InitProducerId = 22, 2;
    OffsetForLeaderEpoch = 23, 4;
    AddPartitionsToTxn = 24, 3;
    AddOffsetsToTxn = 25, 3;
    EndTxn = 26, 3;
    WriteTxnMarkers = 27, 1;
    TxnOffsetCommit = 28, 3;
    DescribeAcls = 29, 2;
    CreateAcls = 30, 2;
    DeleteAcls = 31, 2;
    DescribeConfigs = 32, 4;
    AlterConfigs = 33, 2;
    AlterReplicaLogDirs = 34, 2;
    DescribeLogDirs = 35, 2;
    SaslAuthenticate = 36, 2;
    CreatePartitions = 37, 2;
    CreateDelegationToken = 38, 2;
    RenewDelegationToken = 39, 2;
    ExpireDelegationToken = 40, 2;
    DescribeDelegationToken = 41, 2;
    DeleteGroups = 42, 2;
    ElectLeaders = 43, 2;
    IncrementalAlterConfigs = 44, 1;
    AlterPartitionReassignments = 45, 0;
    ListPartitionReassignments = 46, 0;
    OffsetDelete = 47;
    DescribeClientQuotas = 48, 1;
    AlterClientQuotas = 49, 1;
    DescribeUserScramCredentials = 50, 0;
    AlterUserScramCredentials = 51, 0;
    Vote = 52, 0;
    BeginQuorumEpoch = 53, 1;
    EndQuorumEpoch = 54, 1;
    DescribeQuorum = 55, 0;
    AlterPartition = 56, 0;
    UpdateFeatures = 57, 0;
    Envelope = 58, 0;
    FetchSnapshot = 59, 0;
    DescribeCluster = 60, 0;
    DescribeProducers = 61, 0;
    BrokerRegistration = 62, 0;
    BrokerHeartbeat = 63, 0;
    UnregisterBroker = 64, 0;
    DescribeTransactions = 65, 0;
    ListTransactions = 66, 0;
    AllocateProducerIds = 67, 0;
    ConsumerGroupHeartbeat = 68, 0;
    ConsumerGroupDescribe = 69, 0;
    ControllerRegistration = 70, 0;
    GetTelemetrySubscriptions = 71, 0;
    PushTelemetry = 72, 0;
    AssignReplicasToDirs = 73, 0;
    ListConfigResources = 74, 0;
    DescribeTopicPartitions = 75, 0;
    ShareGroupHeartbeat = 76, 0;
    ShareGroupDescribe = 77, 0;
    ShareFetch = 78, 0;
    ShareAcknowledge = 79, 0;
    AddRaftVoter = 80, 0;
    RemoveRaftVoter = 81, 0;
    UpdateRaftVoter = 82, 0;
    InitializeShareGroupState = 83, 0;
    ReadShareGroupState = 84, 0;
    WriteShareGroupState = 85, 0;
    DeleteShareGroupState = 86, 0;
    ReadShareGroupStateSummary = 87, 0;
    StreamsGroupHeartbeat = 88, 0;
    StreamsGroupDescribe = 89, 0;
    DescribeShareGroupOffsets = 90, 0;
    AlterShareGroupOffsets = 91, 0;
    DeleteShareGroupOffsets = 92, 0;
}

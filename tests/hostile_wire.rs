//! What hostile messages cost: whatever the bytes say, reading them as any message of any version ends with a value or an
//! error, and the memory it holds is bounded by their number: [`MEMORY_FACTOR`] times that plus [`MEMORY_FLOOR`] for the
//! arrays, half as much again while one grows, once that for strings, and a short text. An allocator that counts, thread
//! by thread, watches it. The seed is printed where a test fails; `KMERGE_TEST_SEED` repeats a run.

mod counting;

use counting::peak;
use kmerge::wire::{Api, MEMORY_FACTOR, MEMORY_FLOOR, Message as _, Problem, Reader, WireError};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The text of an error with the way to its field, and the beginnings of small arrays.
const TEXT_BYTES_MAX: usize = 2_048;

/// How often what came out, over a whole run.
#[derive(Debug, Default)]
struct Tally {
    values: usize,
    counts: usize,
    lengths: usize,
    memory: usize,
    factor_max: usize,
}

impl Tally {
    fn add(&mut self, outcome: &Result<usize, WireError>) {
        match outcome {
            Ok(_) => self.values += 1,
            Err(error) => match error.problem {
                Problem::Count { .. } => self.counts += 1,
                Problem::Truncated { .. } => self.lengths += 1,
                Problem::Memory { .. } => self.memory += 1,
                _ => {}
            },
        }
    }
}

/// Reads a message from the start of the bytes and says how many it took: what follows is the caller's affair here.
fn request<A: Api>(bytes: &[u8], version: i16) -> Result<usize, WireError> {
    let mut reader = Reader::new(bytes, version >= A::FLEXIBLE_FROM);
    A::Request::read(&mut reader, version).map(|_| reader.offset())
}

fn response<A: Api>(bytes: &[u8], version: i16) -> Result<usize, WireError> {
    let mut reader = Reader::new(bytes, version >= A::FLEXIBLE_FROM);
    A::Response::read(&mut reader, version).map(|_| reader.offset())
}

type Read = fn(&[u8], i16) -> Result<usize, WireError>;

macro_rules! every_message {
    ($($file:ident $api:ident)*) => {
        vec![$(
            (kmerge::wire::$file::$api::VERSIONS, kmerge::wire::$file::$api::FLEXIBLE_FROM, request::<kmerge::wire::$file::$api> as Read),
            (kmerge::wire::$file::$api::VERSIONS, kmerge::wire::$file::$api::FLEXIBLE_FROM, response::<kmerge::wire::$file::$api> as Read),
        )*]
    };
}

/// Bytes that often mean something: small counts and strings in either form, zeros, and now and then a lie.
fn stream(random: &mut StdRng, flexible: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..random.random_range(0..60) {
        let token: &[u8] = match (random.random_range(0..12), flexible) {
            (0..=2, _) => &[0],
            (3, _) => &[0; 16],
            (4, _) => &[0, 0, 0, 0],
            (5, true) => &[1],
            (6 | 7, true) => &[2],
            (8, true) => &[2, b'a'],
            (9, true) => &[0x80, 0x20],
            (10, true) => &[0xff, 0xff, 0xff, 0xff, 0x0f],
            (5, false) => &[0, 1, b'a'],
            (6 | 7, false) => &[0, 0, 0, 1],
            (8, false) => &[0, 0, 0, 2],
            (9, false) => &[0, 0, 4, 0],
            (10, false) => &[0x7f, 0xff, 0xff, 0xff],
            _ => &[0xff; 4],
        };
        out.extend_from_slice(token);
    }
    // A long tail of nothing makes large counts of small elements come true.
    let tail = [0, 0, 100, 4_000, 40_000][random.random_range(0..5)];
    out.resize(out.len() + tail, u8::from(flexible && random.random()));
    out
}

fn held(read: Read, bytes: &[u8], version: i16, tally: &mut Tally) -> Result<usize, WireError> {
    let (outcome, peak) = peak(|| read(bytes, version));
    tally.add(&outcome);
    tally.factor_max = tally.factor_max.max(peak.saturating_sub(MEMORY_FLOOR) / bytes.len().max(1));
    // An array that grows holds its old block, half as long at most, beside the new one.
    let bound = (MEMORY_FACTOR + MEMORY_FACTOR / 2 + 1) * bytes.len() + MEMORY_FLOOR * 3 / 2 + TEXT_BYTES_MAX;
    assert!(peak <= bound, "{} bytes held {peak} for {outcome:?}", bytes.len());
    outcome
}

#[test]
fn no_message_costs_more_memory_than_a_multiple_of_its_bytes() {
    let given = std::env::var("KMERGE_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = given.unwrap_or_else(|| rand::rng().random());
    eprintln!("KMERGE_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut tally = Tally::default();
    let messages = every_message! {
        produce Produce  fetch Fetch  list_offsets ListOffsets  metadata Metadata  find_coordinator FindCoordinator
        api_versions ApiVersions  create_topics CreateTopics  delete_topics DeleteTopics  delete_records DeleteRecords
        init_producer_id InitProducerId  describe_configs DescribeConfigs  create_partitions CreatePartitions
        incremental_alter_configs IncrementalAlterConfigs  describe_cluster DescribeCluster
        offset_for_leader_epoch OffsetForLeaderEpoch  describe_producers DescribeProducers
        add_partitions_to_txn AddPartitionsToTxn  add_offsets_to_txn AddOffsetsToTxn  end_txn EndTxn
        txn_offset_commit TxnOffsetCommit  offset_commit OffsetCommit  offset_fetch OffsetFetch
        describe_transactions DescribeTransactions  list_transactions ListTransactions
        alter_partition_reassignments AlterPartitionReassignments  describe_log_dirs DescribeLogDirs
        list_partition_reassignments ListPartitionReassignments  elect_leaders ElectLeaders
        join_group JoinGroup  sync_group SyncGroup  heartbeat Heartbeat  leave_group LeaveGroup
        list_groups ListGroups  describe_groups DescribeGroups  delete_groups DeleteGroups  offset_delete OffsetDelete
        consumer_group_heartbeat ConsumerGroupHeartbeat  consumer_group_describe ConsumerGroupDescribe
    };
    for (versions, flexible_from, read) in messages {
        for version in versions {
            for _ in 0..150 {
                let bytes = stream(&mut random, version >= flexible_from);
                let Ok(length) = held(read, &bytes, version, &mut tally) else { continue };
                // The bytes of a whole message: let each place among them lie in turn.
                for at in 0..length.min(200) {
                    for lie in [&[0x7f, 0xff, 0xff, 0xff][..], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0x80, 0, 0, 0]] {
                        let lying = [&bytes[..at], lie, &bytes[at..]].concat();
                        let _ = held(read, &lying, version, &mut tally);
                    }
                }
            }
        }
    }
    // Else the streams have stopped meaning anything.
    let Tally { values, counts, lengths, .. } = tally;
    assert!(values > 1_000 && counts > 1_000 && lengths > 1_000, "{tally:?}");
}

#[test]
fn a_message_of_two_byte_elements_is_stopped_at_the_memory_limit() {
    // 500,000 topics with empty names in a Metadata request: two bytes each, some forty in memory.
    let mut bytes = vec![0xa1, 0xc2, 0x1e];
    bytes.extend([1, 0].repeat(500_000));
    let mut tally = Tally::default();
    let _ = held(request::<kmerge::wire::metadata::Metadata>, &bytes, 9, &mut tally);
    assert_eq!(tally.memory, 1, "{tally:?}");
}

#[test]
fn a_lie_about_a_length_costs_next_to_nothing() {
    use kmerge::wire::{fetch::Fetch, produce::Produce};
    let lies: [(Read, i16, &[u8]); 4] = [
        // Arrays of 2,147,483,647 and 4,294,967,294 topics, records of 2 GiB and 4 GiB.
        (request::<Produce>, 3, &[0xff, 0xff, 0, 1, 0, 0, 0, 9, 0x7f, 0xff, 0xff, 0xff]),
        (response::<Fetch>, 12, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        (
            request::<Produce>,
            3,
            &[0xff, 0xff, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0, 1, b'a', 0, 0, 0, 1, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff],
        ),
        (request::<Produce>, 9, &[0, 0, 1, 0, 0, 0, 9, 2, 2, b'a', 2, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    ];
    for (read, version, bytes) in lies {
        let (outcome, peak) = peak(|| read(bytes, version));
        let problem = outcome.map_err(|error| error.problem);
        assert!(matches!(problem, Err(Problem::Count { .. } | Problem::Truncated { .. })), "{problem:?}");
        assert!(peak <= TEXT_BYTES_MAX, "{peak} bytes held for {problem:?}");
    }
}

//! A job as the ledger's tests know it.

use super::record::{JobPlan, JobProgress, JobState, PlannedInput, PlannedOutput};
use super::tail::Tail;
use crate::base::place::TopicPartition;
use crate::jobs::merge::Strategy;
use crate::keys::{KeyPlan, Order};
use crate::wire::Uuid;

pub(in crate::jobs) const NOON: i64 = 1_700_000_000_000;

/// Two partitions of `a` and one of `b` into `out`, 30 records.
pub(in crate::jobs) fn plan() -> JobPlan {
    let input = |topic: &str, partition: i32, range| PlannedInput {
        partition: TopicPartition::new(topic, partition),
        topic_id: id(topic),
        range,
    };
    JobPlan {
        job: "merge:a,b:out".to_owned(),
        inputs: vec![input("a", 0, 0..10), input("a", 1, 5..20), input("b", 0, 7..12)],
        keys: KeyPlan::parse(&["value:json:/at:time".to_owned(), "header:x, y:string".to_owned()], Order::Desc)
            .unwrap(),
        strategy: Strategy::Merge,
        output: PlannedOutput { partition: TopicPartition::new("out", 0), topic_id: id("out"), start: 3 },
        planned_at_ms: NOON,
    }
}

/// Twelve of them are written.
pub(in crate::jobs) fn progress() -> JobProgress {
    JobProgress {
        positions: vec![4, 11, 9],
        rank: 12,
        tail: Some(Tail { start: 10, end: 17, records: 7, checksum: 0xfedc_ba98_7654_3210, stamps: 1 }),
        state: JobState::Running,
        updated_at_ms: NOON + 1,
    }
}

/// Another id for each name.
pub(in crate::jobs) fn id(topic: &str) -> Uuid {
    let mut bytes = [7; 16];
    for (byte, letter) in bytes.iter_mut().zip(topic.bytes()) {
        *byte = letter;
    }
    Uuid(bytes)
}

//! DescribeLogDirs: what the node that is asked holds, and how many bytes of it.
//!
//! - Versions: all that `wire` speaks.
//! - There is one "folder", called `memory`, as large as the broker's limit. Nodes share it: there is one copy of the data, so
//!   the sizes of all nodes together may be more than it holds.
//! - A copy that lags tells its own size; as in Kafka it knows of no watermark above its end, so its offset lag is 0.
//! - Left out: copies that move between folders.

use super::Call;
use crate::broker::topic::Topic;
use crate::wire::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};
use std::sync::Arc;

/// The name of the one folder.
const FOLDER: &str = "memory";

pub(super) fn handle(call: &Call<'_>, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    if let Some(error) = call.forced(None) {
        return DescribeLogDirsResponse { error_code: error.code(), ..Default::default() };
    }
    let cluster = call.cluster;
    let topics: Vec<DescribeLogDirsTopic> = match request.topics {
        None => cluster.topics().iter().map(|topic| tell(call, topic, |_| true)).collect(),
        Some(wanted) => wanted
            .iter()
            .filter_map(|wanted| {
                let topic: Arc<Topic> = cluster.topic(&wanted.topic)?;
                Some(tell(call, &topic, |index| wanted.partitions.contains(&index)))
            })
            .collect(),
    };
    let (total, used) = (cluster.memory.total_bytes(), cluster.memory.used_bytes());
    let folder = DescribeLogDirsResult {
        log_dir: FOLDER.to_owned(),
        topics: topics.into_iter().filter(|topic| !topic.partitions.is_empty()).collect(),
        total_bytes: bytes(total),
        usable_bytes: bytes(total.saturating_sub(used)),
        ..Default::default()
    };
    DescribeLogDirsResponse { results: vec![folder], ..Default::default() }
}

/// What this node holds of a topic.
fn tell(call: &Call<'_>, topic: &Topic, is_wanted: impl Fn(i32) -> bool) -> DescribeLogDirsTopic {
    let mut partitions = Vec::new();
    for partition in topic.partitions() {
        let state = partition.state();
        if !state.replicas.contains(&call.node) || !is_wanted(partition.at.partition) {
            continue;
        }
        let end = state.end_at(call.node);
        partitions.push(DescribeLogDirsPartition {
            partition_index: partition.at.partition,
            partition_size: bytes(state.log.bytes_below(end)),
            offset_lag: (state.watermark_at(call.node) - end).max(0),
            is_future_key: false,
        });
    }
    DescribeLogDirsTopic { name: topic.name.to_string(), partitions }
}

fn bytes(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

//! DescribeLogDirs 1 to 4: what a broker's folders hold, and how far its copies are behind.

use super::define::{api, structs};

api! {
    /// Describes a broker's log folders.
    DescribeLogDirs, 1 to 4, DescribeLogDirsRequest => DescribeLogDirsResponse
}

structs! {
    /// Which partitions are meant.
    pub struct DescribeLogDirsRequest {
        /// Null for all of them.
        topics: Option<Vec<DescribableLogDirTopic>> = from(0);
    }

    /// One topic's.
    pub struct DescribableLogDirTopic {
        topic: String = from(0);
        partitions: Vec<i32> = from(0);
    }

    /// The folders of the broker that was asked.
    pub struct DescribeLogDirsResponse {
        throttle_time_ms: i32 = from(0);
        error_code: i16 = from(3).ignorable();
        results: Vec<DescribeLogDirsResult> = from(0);
    }

    /// One folder.
    pub struct DescribeLogDirsResult {
        error_code: i16 = from(0);
        log_dir: String = from(0);
        topics: Vec<DescribeLogDirsTopic> = from(0);
        /// The size of the volume it lies on; -1 where that is not known.
        total_bytes: i64 = from(4).ignorable(), default -1;
        usable_bytes: i64 = from(4).ignorable(), default -1;
    }

    /// What it holds of one topic.
    pub struct DescribeLogDirsTopic {
        name: String = from(0);
        partitions: Vec<DescribeLogDirsPartition> = from(0);
    }

    /// A copy of a partition.
    pub struct DescribeLogDirsPartition {
        partition_index: i32 = from(0);
        /// Its bytes.
        partition_size: i64 = from(0);
        /// How many offsets it is behind the high watermark, or, while it moves between folders, the copy that it replaces.
        offset_lag: i64 = from(0);
        /// Whether it is on its way into this folder.
        is_future_key: bool = from(0);
    }
}

//! Where a record is: the coordinates that every error about data carries.

use std::fmt;
use std::sync::Arc;

/// A partition of a topic. Cheap to clone: the name is shared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's index.
    pub partition: i32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }

    /// This partition at `offset`.
    pub fn at(&self, offset: i64) -> Place {
        Place { partition: self.clone(), offset }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} partition {}", super::text::visible(&self.topic), self.partition)
    }
}

/// A record's place: topic, partition, offset.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The topic and the partition.
    pub partition: TopicPartition,
    /// The offset in it.
    pub offset: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} offset {}", self.partition, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_names_topic_partition_and_offset() {
        assert_eq!(TopicPartition::new("data-input", 3).at(17).to_string(), "data-input partition 3 offset 17");
    }

    #[test]
    fn a_hostile_topic_name_cannot_drive_the_terminal() {
        assert_eq!(TopicPartition::new("a\x1b[2J", 0).to_string(), "a\\x1b[2J partition 0");
    }
}

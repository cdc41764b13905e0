//! A line of a ledger.

use super::Minute;
use serde_json::{Value, json};
use std::ops::RangeInclusive;

/// So many records of one partition and one minute were acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The topic.
    pub topic: String,
    /// They did not go there: they came from there, and became rows of the files that this group writes.
    pub files_of: Option<String>,
    /// The partition's index.
    pub partition: i32,
    /// The minute of their times as they are stored.
    pub minute: Minute,
    /// How many.
    pub records: u64,
    /// Their keys and values, if that is said.
    pub bytes: Option<u64>,
    /// The first and the last offset of them, if that is said. Others may lie between.
    pub offsets: Option<RangeInclusive<i64>>,
}

impl Line {
    /// As it stands in the file, without its end.
    pub fn show(&self) -> String {
        let mut line = json!({
            "topic": self.topic,
            "partition": self.partition,
            "minute": self.minute.to_json(),
            "records": self.records,
        });
        if let Some(group) = &self.files_of {
            line["files_of"] = group.as_str().into();
        }
        if let Some(bytes) = self.bytes {
            line["bytes"] = bytes.into();
        }
        if let Some(offsets) = &self.offsets {
            line["first_offset"] = (*offsets.start()).into();
            line["last_offset"] = (*offsets.end()).into();
        }
        line.to_string()
    }

    /// Reads a line; `None` if it is none, be it torn or something else. Members that are not known are passed over.
    pub fn read(text: &[u8]) -> Option<Self> {
        let line: Value = serde_json::from_slice(text).ok()?;
        // A member that is there must be what it should be.
        let optional = |name: &str| match line.get(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => value.as_u64().map(Some),
        };
        let offset = |name: &str| optional(name)?.map(i64::try_from).transpose().ok();
        let offsets = match (offset("first_offset")?, offset("last_offset")?) {
            (None, None) => None,
            (Some(first), Some(last)) if first <= last => Some(first..=last),
            _ => return None,
        };
        let files_of = match line.get("files_of") {
            None | Some(Value::Null) => None,
            Some(group) => Some(group.as_str()?.to_owned()),
        };
        Some(Self {
            files_of,
            topic: line.get("topic")?.as_str()?.to_owned(),
            partition: line.get("partition")?.as_u64()?.try_into().ok()?,
            minute: Minute::from_json(line.get("minute")?)?,
            records: line.get("records")?.as_u64()?,
            bytes: optional("bytes")?,
            offsets,
        })
    }
}

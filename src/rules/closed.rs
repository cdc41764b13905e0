//! A group whose window is closed, as the record that goes out.
//!
//! ```text
//!  key    {"device_type":"iOS"}
//!  value  {"window_start":"…","window_end":"…","topic":"logins","partition":3,"device_type":"iOS","count":2,
//!          "members":[{…},{…}]}                            or: "aggregates":{"mean_age":31.5},"unfit":{"mean_age":1}}
//! ```
//!
//! `unfit` is there only where an aggregate could do nothing with a value. The record's timestamp is the window's last millisecond.

use super::group_by::{Collects, GroupBy};
use super::groups::{Collected, Group};
use super::{Rules, moment};
use crate::base::time::Time;
use crate::formats::string;
use std::io::Write as _;

/// What a group's record has beside the fields of its key.
pub(super) const NAMES: [&str; 8] =
    ["window_start", "window_end", "topic", "partition", "count", "members", "aggregates", "unfit"];

/// See the module's head.
#[derive(Debug)]
pub struct Closed {
    pub(super) by: usize,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) key: Box<[u8]>,
    pub(super) group: Group,
}

impl Closed {
    /// Of which `group_by`, in the order of the file.
    pub fn by(&self) -> usize {
        self.by
    }

    /// The record's key, a JSON object of the group's fields.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// How many members it has.
    pub fn count(&self) -> u64 {
        self.group.count
    }

    /// The record's timestamp. There is none before 1970.
    pub fn timestamp_ms(&self) -> i64 {
        self.end_ms.saturating_sub(1).max(0)
    }

    /// Writes the record's value, of a group of this input partition.
    pub fn write(&mut self, rules: &Rules, (topic, partition): (&str, i32), out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"window_start\":\"");
        moment::write(Time { epoch_ms: self.start_ms, nanos: 0 }, out);
        out.extend_from_slice(b"\",\"window_end\":\"");
        moment::write(Time { epoch_ms: self.end_ms, nanos: 0 }, out);
        out.extend_from_slice(b"\",\"topic\":");
        string::put(out, topic);
        let _ = write!(out, ",\"partition\":{partition},");
        out.extend_from_slice(self.key.get(1..self.key.len().saturating_sub(1)).unwrap_or_default());
        let _ = write!(out, ",\"count\":{}", self.group.count);
        match &mut self.group.collected {
            Collected::Members(members) => {
                out.extend_from_slice(b",\"members\":[");
                out.extend_from_slice(members);
                out.push(b']');
            }
            Collected::Aggregates(aggregates) => {
                let specs = match rules.group_bys.get(self.by) {
                    Some(GroupBy { collects: Collects::Aggregates(specs), .. }) => specs.as_slice(),
                    _ => &[],
                };
                let mut unfit: Vec<(&str, u64)> = Vec::new();
                object(out, "aggregates", specs.iter().zip(aggregates), |out, (spec, aggregate)| {
                    string::put(out, spec.name());
                    out.push(b':');
                    aggregate.write(out);
                    if aggregate.unfit() > 0 {
                        unfit.push((spec.name(), aggregate.unfit()));
                    }
                });
                if !unfit.is_empty() {
                    object(out, "unfit", unfit, |out, (name, count)| {
                        string::put(out, name);
                        let _ = write!(out, ":{count}");
                    });
                }
            }
        }
        out.push(b'}');
    }
}

/// A member that is an object.
fn object<T>(
    out: &mut Vec<u8>,
    name: &str,
    members: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    let _ = write!(out, ",\"{name}\":{{");
    for (index, member) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, member);
    }
    out.push(b'}');
}

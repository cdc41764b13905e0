//! What is counted of a record: a value and a time for each insight, as the rules have left them.

use super::{Insight, TIMES_MS};
use crate::formats::string;
use crate::rules::cast::moment_of;
use crate::rules::paths::PathId;
use crate::rules::seen::Seen;
use crate::rules::tree::{Kind, Tree};

/// What is counted of a record that was kept: a value and a time for each insight.
#[derive(Debug, Clone, Copy)]
pub struct Noted<'a> {
    /// The values as JSON, one behind the other.
    pub(super) values: &'a [u8],
    /// Where each ends, and its time in milliseconds, where it has one that can be read.
    pub(super) ends: &'a [(usize, Option<i64>)],
}

impl<'a> Noted<'a> {
    /// The values as JSON, one behind the other; where each ends, and its time in milliseconds, if it has one.
    pub fn of(values: &'a [u8], ends: &'a [(usize, Option<i64>)]) -> Self {
        Self { values, ends }
    }
}

/// The same while it is taken. The buffers are used again.
#[derive(Debug, Default)]
pub(in crate::rules) struct Notes {
    values: Vec<u8>,
    ends: Vec<(usize, Option<i64>)>,
}

impl Notes {
    /// Begins a record, without what an exceptional one has taken.
    pub(in crate::rules) fn clear(&mut self, keep_bytes: usize) {
        self.values.clear();
        self.values.shrink_to(keep_bytes);
        self.ends.clear();
    }

    /// Takes what an insight counts of a record.
    pub(in crate::rules) fn take(&mut self, insight: &Insight, timestamp_ms: i64, tree: &Tree, buffer: &mut Vec<u8>) {
        match insight.paths.as_slice() {
            [path] => put_value(*path, tree, &mut self.values, buffer),
            paths => {
                for (at, path) in paths.iter().enumerate() {
                    self.values.push(if at == 0 { b'[' } else { b',' });
                    put_value(*path, tree, &mut self.values, buffer);
                }
                self.values.push(b']');
            }
        }
        let time_ms = match insight.time {
            None => Some(timestamp_ms).filter(|time| *time >= 0),
            Some((path, unit)) => {
                let member = tree.something(path);
                member.and_then(|member| moment_of(Seen::of(member, tree, buffer), unit).ok()).map(|time| time.epoch_ms)
            }
        };
        self.ends.push((self.values.len(), time_ms.filter(|time| TIMES_MS.contains(time))));
    }

    pub(in crate::rules) fn noted(&self) -> Noted<'_> {
        Noted { values: &self.values, ends: &self.ends }
    }
}

/// Appends a field's value as JSON: a text as it is always written, all else as it is written in the record.
#[inline]
fn put_value(path: PathId, tree: &Tree, out: &mut Vec<u8>, buffer: &mut Vec<u8>) {
    let Some(member) = tree.something(path) else { return out.extend_from_slice(b"null") };
    match member.kind {
        Kind::Text { .. } => {
            out.push(b'"');
            string::put_inside(out, Seen::of(member, tree, buffer).text);
            out.push(b'"');
        }
        _ => tree.write_value(member, out),
    }
}

//! The groups of the small job, and what they have to be, read slowly from all that went on.

use super::super::GroupTally;
use super::super::outbox::slot;
use super::world::{OUTPUTS, Seen};
use crate::base::time::show_epoch_ms;
use std::collections::BTreeMap;

pub(super) const TOPIC: &str = "grouped";

/// Both have a member of their input partition in them, by which they are told apart.
pub(super) const RULES: &str = r#"
[[group_by]]
key = "device"
window = "10ms"
lateness = "5ms"
time = "t"
to = "grouped"
members = true

[[group_by]]
key = ["device", "user"]
window = "8ms"
time = "t"
to = "grouped"
aggregates = { at = { min = "at" }, n = "count", last = { max = "t" } }
"#;

/// The event time of a record: one in eleven is late.
pub(super) fn time_of(number: i32) -> i64 {
    let number = i64::from(number);
    1_000_000 + 2 * number - number % 3 * 3 - if number % 11 == 9 { 40 } else { 0 }
}

/// A record that went on.
pub(super) struct Went {
    pub(super) time_ms: i64,
    pub(super) number: i32,
    /// As it was cleaned.
    pub(super) value: String,
}

/// All group records by where they are, and what became of the members, of the logs as they are.
pub(super) fn slowly(went: &BTreeMap<i32, Vec<Went>>) -> (Seen, GroupTally) {
    let (mut seen, mut tally) = (Seen::new(), GroupTally::default());
    for (partition, went) in went {
        for at in 0..went.len() {
            for (window_ms, lateness_ms, is_first) in [(10, 5, true), (8, 0, false)] {
                let passed =
                    |until: usize| went[..until].iter().map(|one| one.time_ms).max().unwrap_or(0) - lateness_ms;
                let end = |one: &Went| one.time_ms.div_euclid(window_ms) * window_ms + window_ms;
                let is_late = |at: usize| end(&went[at]) <= passed(at);
                tally.offered += 1;
                tally.late += u64::from(is_late(at));
                let mut groups: BTreeMap<(i64, String), Vec<&Went>> = BTreeMap::new();
                for before in (0..=at).filter(|before| !is_late(*before)) {
                    let one = &went[before];
                    if end(one) > passed(at) && end(one) <= passed(at + 1) {
                        let device = if one.value.contains("unknown") { "unknown" } else { "web" };
                        let user = if is_first { "" } else { ",\"user\":1" };
                        groups.entry((end(one), format!("{{\"device\":\"{device}\"{user}}}"))).or_default().push(one);
                    }
                }
                for ((end_ms, key), members) in groups {
                    tally.records += 1;
                    tally.closed += members.len() as u64;
                    let to = slot(Some(key.as_bytes()), *partition, OUTPUTS);
                    let rest = if is_first { with_members(&members) } else { with_aggregates(*partition, &members) };
                    let (start, end) = (show_epoch_ms(end_ms - window_ms), show_epoch_ms(end_ms));
                    let value = format!(
                        "{{\"window_start\":\"{start}\",\"window_end\":\"{end}\",\"topic\":\"in\",\"partition\":{partition},{},\
                         \"count\":{},{rest}}}",
                        &key[1..key.len() - 1],
                        members.len()
                    );
                    seen.entry((TOPIC.to_owned(), to as i32)).or_default().push(format!("{key} {value}"));
                }
            }
        }
    }
    (seen, tally)
}

fn with_members(members: &[&Went]) -> String {
    let values: Vec<&str> = members.iter().map(|one| one.value.as_str()).collect();
    format!("\"members\":[{}]", values.join(","))
}

fn with_aggregates(partition: i32, members: &[&Went]) -> String {
    let first = members.iter().map(|one| format!("{partition}:{}", one.number)).min().unwrap_or_default();
    let last = members.iter().map(|one| one.time_ms).max().unwrap_or_default();
    format!("\"aggregates\":{{\"at\":\"{first}\",\"n\":{},\"last\":{last}}}", members.len())
}

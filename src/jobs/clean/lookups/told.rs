//! What is told of lookups.

use crate::base::text::visible;
use crate::base::units::{show_count, show_size};
use crate::rules::lookup::{LookupCounts, Lookups};
use crate::rules::{Counts, Rules};
use serde_json::{Value, json};

/// What is held of a topic that rules look up in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::jobs::clean) struct LookupStand {
    topic: String,
    keys: u64,
    bytes: u64,
    records: u64,
    unreadable: u64,
    without_key: u64,
}

/// What is held of each of the topics.
pub(in crate::jobs::clean) fn stands(rules: &Rules, lookups: &Lookups) -> Vec<LookupStand> {
    let each = rules.lookup_topics().iter().zip(lookups.tables()).map(|(topic, table)| LookupStand {
        topic: topic.name().to_owned(),
        keys: table.len() as u64,
        bytes: table.bytes() as u64,
        records: table.records(),
        unreadable: table.unreadable(),
        without_key: table.without_key(),
    });
    each.collect()
}

/// As JSON objects.
pub(in crate::jobs::clean) fn topics_json(stands: &[LookupStand]) -> Value {
    let each = stands.iter().map(|LookupStand { topic, keys, bytes, records, unreadable, without_key }| {
        json!({ "topic": topic, "keys": keys, "bytes": bytes, "records": records, "unreadable": unreadable,
            "without_key": without_key })
    });
    each.collect()
}

/// What came of lookups by rule, as JSON objects.
pub(in crate::jobs::clean) fn rules_json(counts: &Counts) -> Value {
    let each = counts.lookups.iter().map(|(rule, LookupCounts { found, partly, not_found, without_key })| {
        json!({ "rule": rule, "found": found, "partly": partly, "not_found": not_found, "without_key": without_key })
    });
    each.collect()
}

/// What was not found, in words, by rule; nothing where all was.
pub(in crate::jobs::clean) fn told(counts: &Counts) -> Option<String> {
    let each: Vec<String> = counts.lookups.iter().filter_map(|(rule, counts)| lacking(rule, counts)).collect();
    (!each.is_empty()).then(|| each.join("; "))
}

fn lacking(rule: &str, counts: &LookupCounts) -> Option<String> {
    let parts = [
        (counts.not_found, "records whose key is not there"),
        (counts.partly, "whose key has less than is taken"),
        (counts.without_key, "without a key"),
    ];
    let said =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{} {what}", show_count(*count)));
    let said = said.collect::<Vec<_>>().join(", ");
    (!said.is_empty()).then(|| format!("{}: {said}", visible(rule)))
}

/// A line for each topic and each rule.
pub(in crate::jobs::clean) fn show(stands: &[LookupStand], counts: &Counts) -> Vec<String> {
    let topics = stands.iter().map(|one| {
        let unreadable = match one.unreadable {
            0 => String::new(),
            count => format!(", {} values that no rule could look at", show_count(count)),
        };
        let without_key = match one.without_key {
            0 => String::new(),
            count => format!(", {} records without a key", show_count(count)),
        };
        let (keys, size) = (show_count(one.keys), show_size(one.bytes));
        format!("looked up in {}: {keys} keys in {size}{unreadable}{without_key}", one.topic)
    });
    let rules = counts.lookups.iter().map(|(rule, counts)| {
        let (name, found) = (visible(rule), show_count(counts.found));
        match lacking(rule, counts) {
            Some(lacking) => format!("{lacking}; {found} found"),
            None => format!("{name}: {found} found"),
        }
    });
    topics.chain(rules).collect()
}

//! Insights as records: a window that has closed, and what was counted in all, each of one input partition.
//!
//! ```text
//!  key    {"insight":"device_type","group":"…","topic":"logins","partition":3,"window_start":"…"}     in all: no window_start
//!  value  {"insight":"device_type","fields":["device_type"],"group":"…","topic":"logins","partition":3,
//!          "window_start":"…","window_end":"…",                        in all: "offset":…,"since":…,"missed":…,"late":…,"untimed":…,
//!          "records":12,"distinct":2,"other":0,"rest":0,"values":[{"value":"iOS","count":7},{"value":"web","count":5}]}
//! ```
//!
//! The most frequent values come first; where there are more than a thousand, the records of those that are not listed are `rest`.
//! Who adds partitions up is right where it is 0.

use crate::base::place::TopicPartition;
use crate::base::time::show_epoch_ms;
use crate::rules::insight::{Closed, Insight, Insights, Listing};
use serde_json::{Map, Value, json};

/// A record of the topic.
pub(in crate::jobs::clean) struct ResultRecord {
    pub(in crate::jobs::clean) timestamp: i64,
    pub(in crate::jobs::clean) key: Vec<u8>,
    pub(in crate::jobs::clean) value: Vec<u8>,
}

/// A window that has closed.
pub(in crate::jobs::clean) fn window(
    insight: &Insight,
    closed: &Closed,
    group: &str,
    input: &TopicPartition,
) -> ResultRecord {
    let size_ms = insight.windows.map_or(0, |windows| windows.size_ms);
    let end_ms = closed.start_ms.saturating_add(size_ms);
    let (start, end) = (show_epoch_ms(closed.start_ms).to_string(), show_epoch_ms(end_ms).to_string());
    let mut key = of(&insight.name, group, input);
    key.insert("window_start".to_owned(), json!(start));
    let more = [("window_start", json!(start)), ("window_end", json!(end))];
    ResultRecord {
        // The window's last millisecond; there is none before 1970.
        timestamp: end_ms.saturating_sub(1).max(0),
        key: Value::Object(key).to_string().into_bytes(),
        value: value(insight, group, input, &more, closed.values, &closed.listing),
    }
}

/// What was counted in all, of the records before the offset `at`.
pub(in crate::jobs::clean) fn total(
    (number, insight): (usize, &Insight),
    insights: &Insights,
    at: i64,
    now_ms: i64,
    (group, input): (&str, &TopicPartition),
) -> ResultRecord {
    let ((since, missed), (late, untimed)) = (insights.since(number), insights.late_and_untimed(number));
    let more = [("offset", at.into()), ("since", since.into()), ("missed", missed.into())];
    let more = [&more[..], &[("late", late.into()), ("untimed", untimed.into())]].concat();
    ResultRecord {
        timestamp: now_ms,
        key: Value::Object(of(&insight.name, group, input)).to_string().into_bytes(),
        value: value(insight, group, input, &more, insights.values(number), &insights.total(number)),
    }
}

fn of(insight: &str, group: &str, input: &TopicPartition) -> Map<String, Value> {
    let members = [
        ("insight", json!(insight)),
        ("group", json!(group)),
        ("topic", json!(*input.topic)),
        ("partition", json!(input.partition)),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn value(
    insight: &Insight,
    group: &str,
    input: &TopicPartition,
    more: &[(&str, Value)],
    distinct: usize,
    listing: &Listing,
) -> Vec<u8> {
    let mut head = of(&insight.name, group, input);
    head.insert("fields".to_owned(), json!(insight.fields));
    head.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let counts =
        [("records", listing.records), ("distinct", distinct as u64), ("other", listing.other), ("rest", listing.rest)];
    head.extend(counts.map(|(name, count)| (name.to_owned(), json!(count))));
    let mut out = Value::Object(head).to_string().into_bytes();
    // Values stand as they are written, which not every reader of numbers could say again.
    out.pop();
    out.extend_from_slice(b",\"values\":[");
    for (at, value) in listing.values.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"{\"value\":" } else { b",{\"value\":" });
        out.extend_from_slice(&value.json);
        out.extend_from_slice(format!(",\"count\":{}}}", value.count).as_bytes());
    }
    out.extend_from_slice(b"]}");
    out
}

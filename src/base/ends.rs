//! Where reading starts and ends, as people type it and as `merge` prints it for `verify`.
//!
//! A list of offsets is `TOPIC:PARTITION=OFFSET,PARTITION=OFFSET;TOPIC:...`, as in `data-input:0=100,1=120`; a topic's name
//! cannot hold any of these signs, so the form is read without doubt. An end is the offset after the last record.

use super::place::TopicPartition;
use super::text::{did_you_mean, excerpt};
use super::time;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The longest topic name that Kafka allows.
const TOPIC_NAME_BYTES_MAX: usize = 249;

/// An offset for each of some partitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ends(BTreeMap<TopicPartition, i64>);

/// Where to start or to end in each partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// The first offset there is.
    Earliest,
    /// The high watermark now.
    Latest,
    /// The same offset in every partition.
    Offset(i64),
    /// The first offset whose record is not older than this, in milliseconds since 1970.
    Time(i64),
    /// An offset for each partition.
    Offsets(Ends),
}

/// Why a text is no list of offsets or no bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BoundError(String);

impl BoundError {
    pub(super) fn new(message: String) -> Self {
        Self(message)
    }
}

impl Ends {
    /// The offset of `partition`, if it is in the list.
    pub fn get(&self, partition: &TopicPartition) -> Option<i64> {
        self.0.get(partition).copied()
    }

    /// Sets the offset of `partition`; gives the one it had.
    pub fn insert(&mut self, partition: TopicPartition, offset: i64) -> Option<i64> {
        self.0.insert(partition, offset)
    }

    /// Every partition with its offset, by topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (&TopicPartition, i64)> {
        self.0.iter().map(|(partition, offset)| (partition, *offset))
    }

    /// How many partitions are in the list.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no partition is in the list.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first partition in the list that is not one of `partitions`: most likely a mistake.
    pub fn stranger_to(&self, partitions: &[TopicPartition]) -> Option<&TopicPartition> {
        self.0.keys().find(|listed| !partitions.contains(listed))
    }
}

impl FromIterator<(TopicPartition, i64)> for Ends {
    fn from_iter<T: IntoIterator<Item = (TopicPartition, i64)>>(offsets: T) -> Self {
        Self(offsets.into_iter().collect())
    }
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut topic = None;
        for (partition, offset) in &self.0 {
            match topic.replace(&partition.topic) {
                Some(same) if *same == partition.topic => write!(f, ",")?,
                Some(_) => write!(f, ";{}:", partition.topic)?,
                None => write!(f, "{}:", partition.topic)?,
            }
            write!(f, "{}={offset}", partition.partition)?;
        }
        Ok(())
    }
}

impl FromStr for Ends {
    type Err = BoundError;

    fn from_str(text: &str) -> Result<Self, BoundError> {
        let mut ends = Self::default();
        for part in text.split(';') {
            let (topic, list) = part.split_once(':').ok_or_else(|| {
                wrong(format!("{} has no topic: write TOPIC:PARTITION=OFFSET,...", excerpt(part.as_bytes())))
            })?;
            let topic: std::sync::Arc<str> = checked_topic(topic.trim())?.into();
            for pair in list.split(',') {
                let (partition, offset) = read_pair(pair)?;
                let partition = TopicPartition::new(topic.clone(), partition);
                if ends.0.contains_key(&partition) {
                    return Err(wrong(format!("{partition} is listed twice")));
                }
                ends.0.insert(partition, offset);
            }
        }
        Ok(ends)
    }
}

impl FromStr for Bound {
    type Err = BoundError;

    fn from_str(text: &str) -> Result<Self, BoundError> {
        let text = text.trim();
        if let Some(time) = text.strip_prefix('@') {
            return read_time(time).map(Bound::Time);
        }
        if text.contains([':', '=']) {
            return text.parse().map(Bound::Offsets);
        }
        match text {
            "earliest" | "beginning" | "start" => return Ok(Bound::Earliest),
            "latest" | "end" => return Ok(Bound::Latest),
            _ => {}
        }
        read_offset(text).map(Bound::Offset).ok_or_else(|| {
            wrong(format!(
                "{} is no place to start or end: give an offset, earliest, latest, @TIME (RFC 3339 or milliseconds since \
                 1970) or TOPIC:PARTITION=OFFSET,...{}",
                excerpt(text.as_bytes()),
                did_you_mean(text, ["earliest", "beginning", "start", "latest", "end"])
            ))
        })
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Earliest => f.write_str("earliest"),
            Bound::Latest => f.write_str("latest"),
            Bound::Offset(offset) => write!(f, "{offset}"),
            Bound::Time(ms) => write!(f, "@{ms}"),
            Bound::Offsets(ends) => ends.fmt(f),
        }
    }
}

fn wrong(message: String) -> BoundError {
    BoundError(message)
}

fn checked_topic(name: &str) -> Result<&str, BoundError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > TOPIC_NAME_BYTES_MAX || !name.chars().all(legal) {
        return Err(wrong(format!("{} is no name of a topic", excerpt(name.as_bytes()))));
    }
    Ok(name)
}

fn read_pair(pair: &str) -> Result<(i32, i64), BoundError> {
    let shown = || excerpt(pair.trim().as_bytes());
    let (partition, offset) =
        pair.split_once('=').ok_or_else(|| wrong(format!("{} is not PARTITION=OFFSET", shown())))?;
    let partition = read_offset(partition.trim())
        .and_then(|index| i32::try_from(index).ok())
        .ok_or_else(|| wrong(format!("{}: the partition is no whole number from 0 on", shown())))?;
    let offset = read_offset(offset.trim())
        .ok_or_else(|| wrong(format!("{}: the offset is no whole number from 0 on", shown())))?;
    Ok((partition, offset))
}

/// Digits only: a sign would be a mistake.
fn read_offset(text: &str) -> Option<i64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn read_time(text: &str) -> Result<i64, BoundError> {
    if let Ok(ms) = text.parse::<i64>() {
        // Kafka uses negative times as names for places (latest, earliest).
        return if ms >= 0 { Ok(ms) } else { Err(wrong(format!("@{ms}: times before 1970 cannot be looked up"))) };
    }
    let time = time::parse_rfc3339(text.as_bytes())
        .map_err(|error| wrong(format!("{}: {error}, nor milliseconds since 1970", excerpt(text.as_bytes()))))?;
    match time.epoch_ms_ceil() {
        ms if ms >= 0 => Ok(ms),
        _ => Err(wrong(format!("{}: times before 1970 cannot be looked up", excerpt(text.as_bytes())))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<Bound>().unwrap_err().to_string()
    }

    #[test]
    fn a_list_is_shown_as_it_is_read() {
        for text in ["data-input:0=100,1=120", "a:0=1;b:0=0,7=9223372036854775807", "x.y_z-1:2147483647=0"] {
            assert_eq!(text.parse::<Ends>().unwrap().to_string(), text);
        }
        let ends: Ends = " b : 1 = 2 , 0=1; a:3=4 ".parse().unwrap();
        assert_eq!(ends.to_string(), "a:3=4;b:0=1,1=2");
        assert_eq!(ends.get(&TopicPartition::new("b", 1)), Some(2));
        assert_eq!(ends.get(&TopicPartition::new("b", 2)), None);
        assert_eq!(ends.stranger_to(&[TopicPartition::new("a", 3)]), Some(&TopicPartition::new("b", 0)));
    }

    #[test]
    fn partitions_are_in_numeric_order() {
        let ends: Ends = (0..12).rev().map(|i| (TopicPartition::new("t", i), i64::from(i))).collect();
        assert_eq!(ends.to_string(), "t:0=0,1=1,2=2,3=3,4=4,5=5,6=6,7=7,8=8,9=9,10=10,11=11");
    }

    #[test]
    fn bounds_are_read() {
        assert_eq!("17".parse(), Ok(Bound::Offset(17)));
        for word in ["earliest", "beginning", "start"] {
            assert_eq!(word.parse(), Ok(Bound::Earliest));
        }
        for word in ["latest", "end"] {
            assert_eq!(word.parse(), Ok(Bound::Latest));
        }
        assert_eq!("@1970-01-01T00:00:01Z".parse(), Ok(Bound::Time(1000)));
        assert_eq!("@1970-01-01T01:00:01.0001+01:00".parse(), Ok(Bound::Time(1001)));
        assert_eq!("@1715947200000".parse(), Ok(Bound::Time(1_715_947_200_000)));
        assert_eq!("t:0=5".parse(), Ok(Bound::Offsets([(TopicPartition::new("t", 0), 5)].into_iter().collect())));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("", "\"\" is no place"),
            ("-1", "\"-1\" is no place"),
            ("+1", "\"+1\" is no place"),
            ("latst", "did you mean latest?"),
            ("t:", "\"\" is not PARTITION=OFFSET"),
            ("t:0", "\"0\" is not PARTITION=OFFSET"),
            ("t:0=1,", "\"\" is not PARTITION=OFFSET"),
            ("t:0=1;", "\"\" has no topic"),
            ("0=1", "\"0=1\" has no topic"),
            (":0=1", "\"\" is no name of a topic"),
            ("a b:0=1", "\"a b\" is no name of a topic"),
            ("t\x1b[2J:0=1", "\\x1b"),
            ("t:-1=1", "the partition is no whole number"),
            ("t:2147483648=1", "the partition is no whole number"),
            ("t:0=-1", "the offset is no whole number"),
            ("t:0=9223372036854775808", "the offset is no whole number"),
            ("t:0=1,0=2", "t partition 0 is listed twice"),
            ("t:0=1;t:0=2", "t partition 0 is listed twice"),
            ("@", "not an RFC 3339 time"),
            ("@yesterday", "not an RFC 3339 time"),
            ("@2024-05-17T12:00:00", "no time zone"),
            ("@-1", "before 1970"),
            ("@1969-12-31T23:59:58Z", "before 1970"),
        ] {
            assert!(refused(text).contains(part), "{text:?}: {}", refused(text));
        }
    }
}

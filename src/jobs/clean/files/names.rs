//! The names of files: `TOPIC-PARTITION-FIRST-LAST.parquet`, and hidden ones for what is not whole yet.
//!
//! Of a topic's name letters, digits, `.`, `_` and `-` stay, as Kafka allows no other; whatever else a broker might tell us,
//! and a dot at the beginning, becomes `%` and two digits, so that no name leads out of the folder or is hidden.

use crate::base::place::TopicPartition;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

/// Names of files have 255 bytes at most; this leaves room for the longest numbers.
const TOPIC_BYTES_MAX: usize = 190;

/// What the name of a file in the folder says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// It is whole, and holds records of these offsets.
    Whole(RangeInclusive<i64>),
    /// It is not, and never will be once nobody writes it.
    Temporary,
}

/// Why the files of a topic could not have names.
pub(super) fn too_long(topic: &str) -> Option<String> {
    let bytes = escaped(topic).len();
    (bytes > TOPIC_BYTES_MAX).then(|| {
        format!(
            "the topic's name takes {bytes} bytes in the name of a file, where {TOPIC_BYTES_MAX} find room: {topic}"
        )
    })
}

fn escaped(topic: &str) -> String {
    let mut name = String::with_capacity(topic.len());
    for (at, byte) in topic.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(byte)),
            b'.' if at > 0 => name.push('.'),
            _ => _ = write!(name, "%{byte:02X}"),
        }
    }
    name
}

/// What all names of a partition's files begin with, but for the dot of hidden ones.
pub(super) fn prefix(of: &TopicPartition) -> String {
    format!("{}-{}-", escaped(&of.topic), of.partition)
}

/// The name of a file that is whole.
pub(in crate::jobs) fn whole(of: &TopicPartition, offsets: &RangeInclusive<i64>) -> String {
    format!("{}{}-{}.parquet", prefix(of), offsets.start(), offsets.end())
}

/// The name of the file that says which topic it is. Begins with an underscore, so that readers of whole folders pass it over.
pub(super) fn of_topic(topic: &str) -> String {
    format!("_topic-{}.json", escaped(topic))
}

/// A name for what is being written, which nobody else has.
pub(super) fn temporary(of: &TopicPartition, first: i64) -> String {
    format!(".{}{first}-{:016x}.tmp", prefix(of), rand::random::<u64>())
}

/// What a name says, if it is one of a partition with this prefix.
pub(super) fn read(name: &str, prefix: &str) -> Option<Found> {
    if let Some(rest) = name.strip_prefix('.') {
        let (first, random) = rest.strip_prefix(prefix)?.strip_suffix(".tmp")?.split_once('-')?;
        offset(first)?;
        return (random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(Found::Temporary);
    }
    let (first, last) = name.strip_prefix(prefix)?.strip_suffix(".parquet")?.split_once('-')?;
    Some(Found::Whole(offset(first)?..=offset(last)?))
}

/// The partition and the offsets of a whole file, by its name, if it is one of this topic.
pub(in crate::jobs) fn file_of(name: &str, topic: &str) -> Option<(i32, RangeInclusive<i64>)> {
    let (partition, _) = name.strip_prefix(escaped(topic).as_str())?.strip_prefix('-')?.split_once('-')?;
    let partition = i32::try_from(offset(partition)?).ok()?;
    match read(name, &prefix(&TopicPartition::new(topic, partition)))? {
        Found::Whole(offsets) => Some((partition, offsets)),
        Found::Temporary => None,
    }
}

/// Digits and nothing else, so that no other partition's name is taken for one of these.
fn offset(text: &str) -> Option<i64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_partition_to_who_knows_the_topic() {
        for (topic, partition) in [("a", 1), ("a-1", 2), ("a-1-2", 3), ("..", 0), ("x/../y", 7)] {
            let name = whole(&TopicPartition::new(topic, partition), &(3..=9));
            for (other, _) in [("a", 1), ("a-1", 2), ("a-1-2", 3), ("..", 0), ("x/../y", 7)] {
                assert_eq!(file_of(&name, other), (other == topic).then_some((partition, 3..=9)), "{name} {other}");
            }
        }
        for name in ["a-1-3.parquet", "a--1-3-9.parquet", "a-99999999999-3-9.parquet", ".a-1-3-0123456789abcdef.tmp"] {
            assert_eq!(file_of(name, "a"), None, "{name}");
        }
    }

    #[test]
    fn a_name_is_read_back_for_its_own_partition_only() {
        let all = [("a", 1), ("a", 11), ("a-1", 2), ("a-1-2", 3), ("a.b", 1), ("..", 0), ("x/../y", 7)];
        for (topic, partition) in all {
            let of = TopicPartition::new(topic, partition);
            let names = [whole(&of, &(3..=4)), temporary(&of, 3)];
            for (other, number) in all {
                let prefix = prefix(&TopicPartition::new(other, number));
                let is_its_own = (other, number) == (topic, partition);
                assert_eq!(read(&names[0], &prefix), is_its_own.then_some(Found::Whole(3..=4)), "{names:?} {prefix}");
                assert_eq!(read(&names[1], &prefix), is_its_own.then_some(Found::Temporary), "{names:?} {prefix}");
            }
        }
        assert_eq!(whole(&TopicPartition::new("logins", 2), &(0..=99)), "logins-2-0-99.parquet");
    }

    #[test]
    fn no_topic_leads_out_of_the_folder_or_hides_its_files() {
        for topic in ["..", ".", "/", "../../etc", "a/b", "a\\b", "a\0b", ".hidden", "%2E", "ü", "con:", "a b"] {
            let name = whole(&TopicPartition::new(topic, 0), &(0..=1));
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"%._-".contains(&byte));
            assert!(plain && !name.starts_with('.'), "{topic}: {name}");
            assert_eq!(std::path::Path::new(&name).components().count(), 1, "{topic}: {name}");
        }
        assert_ne!(escaped("%2E"), escaped("."), "what looks like an escape is none");
    }

    #[test]
    fn every_name_finds_room_and_a_topic_that_leaves_none_is_refused() {
        let longest = TopicPartition::new("t".repeat(TOPIC_BYTES_MAX), i32::MAX);
        assert_eq!(too_long(&longest.topic), None);
        assert!(whole(&longest, &(i64::MAX - 1..=i64::MAX)).len() <= 255 && temporary(&longest, i64::MAX).len() <= 255);
        assert!(too_long(&"t".repeat(TOPIC_BYTES_MAX + 1)).unwrap().contains("191"));
        assert!(too_long(&"/".repeat(64)).is_some(), "as it is in the name");
    }

    #[test]
    fn other_files_are_nobodys() {
        for name in [
            "a-1-3-.parquet",
            "a-1-+3-4.parquet",
            "a-1-3-4.csv",
            "a-1--3-4.parquet",
            ".a-1-3-4.tmp",
            "_schema.json",
            "a-1-3-99999999999999999999.parquet",
        ] {
            assert_eq!(read(name, "a-1-"), None, "{name}");
        }
    }
}

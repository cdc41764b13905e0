//! Topic configurations: all names, defaults and limits of Kafka 4.2, so that scripts written for it work.
//!
//! In force are `max.message.bytes`, `message.timestamp.type`, `message.timestamp.before.max.ms` and `.after.max.ms`,
//! `min.insync.replicas`, which copies are throttled while partitions move, and of `cleanup.policy` that compacted topics need keys and that only `delete` lets
//! DeleteRecords work. The others are kept and told: nothing expires, rolls or is compacted in memory. Values that would
//! change what is stored (`compression.type` other than `producer`, remote storage) are refused, not ignored.

use std::collections::BTreeMap;

/// A configuration's type, by its number in DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConfigType {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

/// What a value must be.
#[derive(Debug, Clone, Copy)]
enum Check {
    Boolean,
    Int(i32, i32),
    Long(i64, i64),
    Ratio,
    OneOf(&'static [&'static str]),
    ListOf(&'static [&'static str]),
    List,
    /// What Kafka allows and this broker cannot do.
    Only(&'static str),
}

#[derive(Debug)]
struct Definition {
    name: &'static str,
    default: &'static str,
    check: Check,
}

const fn define(name: &'static str, default: &'static str, check: Check) -> Definition {
    Definition { name, default, check }
}

const FOREVER: &str = "9223372036854775807";

const DEFINITIONS: &[Definition] = &[
    define(CLEANUP_POLICY, "delete", Check::ListOf(&["compact", "delete"])),
    define("compression.gzip.level", "-1", Check::Int(-1, 9)),
    define("compression.lz4.level", "9", Check::Int(1, 17)),
    define("compression.type", "producer", Check::Only("producer")),
    define("compression.zstd.level", "3", Check::Int(-131_072, 22)),
    define("delete.retention.ms", "86400000", Check::Long(0, i64::MAX)),
    define("file.delete.delay.ms", "60000", Check::Long(0, i64::MAX)),
    define("flush.messages", FOREVER, Check::Long(1, i64::MAX)),
    define("flush.ms", FOREVER, Check::Long(0, i64::MAX)),
    define("follower.replication.throttled.replicas", "", Check::List),
    define("index.interval.bytes", "4096", Check::Int(0, i32::MAX)),
    define("leader.replication.throttled.replicas", "", Check::List),
    define("local.retention.bytes", "-2", Check::Long(-2, i64::MAX)),
    define("local.retention.ms", "-2", Check::Long(-2, i64::MAX)),
    define("max.compaction.lag.ms", FOREVER, Check::Long(1, i64::MAX)),
    define(MAX_MESSAGE_BYTES, "1048588", Check::Int(0, i32::MAX)),
    define(TIMESTAMP_AFTER_MAX_MS, "3600000", Check::Long(0, i64::MAX)),
    define(TIMESTAMP_BEFORE_MAX_MS, FOREVER, Check::Long(0, i64::MAX)),
    define(TIMESTAMP_TYPE, "CreateTime", Check::OneOf(&["CreateTime", "LogAppendTime"])),
    define("min.cleanable.dirty.ratio", "0.5", Check::Ratio),
    define("min.compaction.lag.ms", "0", Check::Long(0, i64::MAX)),
    define(MIN_INSYNC_REPLICAS, "1", Check::Int(1, i32::MAX)),
    define("preallocate", "false", Check::Boolean),
    define("remote.log.copy.disable", "false", Check::Boolean),
    define("remote.log.delete.on.disable", "false", Check::Boolean),
    define("remote.storage.enable", "false", Check::Only("false")),
    define("retention.bytes", "-1", Check::Long(-1, i64::MAX)),
    define("retention.ms", "604800000", Check::Long(-1, i64::MAX)),
    define("segment.bytes", "1073741824", Check::Int(14, i32::MAX)),
    define("segment.index.bytes", "10485760", Check::Int(4, i32::MAX)),
    define("segment.jitter.ms", "0", Check::Long(0, i64::MAX)),
    define("segment.ms", "604800000", Check::Long(1, i64::MAX)),
    define("unclean.leader.election.enable", "false", Check::Boolean),
];

const CLEANUP_POLICY: &str = "cleanup.policy";
const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
const TIMESTAMP_AFTER_MAX_MS: &str = "message.timestamp.after.max.ms";
const TIMESTAMP_BEFORE_MAX_MS: &str = "message.timestamp.before.max.ms";
const TIMESTAMP_TYPE: &str = "message.timestamp.type";

/// One change to a configuration, as IncrementalAlterConfigs names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Set(String),
    /// Back to the default.
    Delete,
    /// Adds to a list.
    Append(String),
    /// Takes away from a list.
    Subtract(String),
}

/// One configuration as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) default: &'static str,
    /// It was set for this topic.
    pub(crate) is_set: bool,
    pub(crate) kind: ConfigType,
}

/// What is set for a topic, and the values the data path asks for, already read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicConfig {
    set: BTreeMap<&'static str, String>,
    pub(crate) message_bytes_max: usize,
    pub(crate) log_append_time: bool,
    pub(crate) timestamp_before_max_ms: i64,
    pub(crate) timestamp_after_max_ms: i64,
    pub(crate) insync_replicas_min: usize,
    pub(crate) is_compacted: bool,
    pub(crate) may_delete: bool,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self::read(BTreeMap::new())
    }
}

impl TopicConfig {
    /// This configuration with changes made to it, or what is wrong with the first that cannot be made.
    pub(crate) fn changed<'a>(&self, changes: impl IntoIterator<Item = (&'a str, Change)>) -> Result<Self, String> {
        let mut set = self.set.clone();
        for (name, change) in changes {
            let definition = definition(name)?;
            let value = match change {
                Change::Delete => {
                    set.remove(definition.name);
                    continue;
                }
                Change::Set(value) => value,
                Change::Append(items) => list_change(definition, set.get(definition.name), &items, true)?,
                Change::Subtract(items) => list_change(definition, set.get(definition.name), &items, false)?,
            };
            definition.check(&value)?;
            set.insert(definition.name, value);
        }
        Ok(Self::read(set))
    }

    /// A value as it stands.
    pub(crate) fn text(&self, name: &str) -> &str {
        let default = DEFINITIONS.iter().find(|definition| definition.name == name).map_or("", |one| one.default);
        self.set.get(name).map_or(default, String::as_str)
    }

    /// Every configuration, by name.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        DEFINITIONS.iter().map(|definition| {
            let set = self.set.get(definition.name);
            Entry {
                name: definition.name,
                value: set.cloned().unwrap_or_else(|| definition.default.to_owned()),
                default: definition.default,
                is_set: set.is_some(),
                kind: definition.kind(),
            }
        })
    }

    /// Reads the values in force. They were checked when they were set.
    fn read(set: BTreeMap<&'static str, String>) -> Self {
        let text = |name: &str| {
            let default = DEFINITIONS.iter().find(|d| d.name == name).map_or("", |d| d.default);
            set.get(name).map_or(default, String::as_str)
        };
        let number = |name: &str| text(name).trim().parse::<i64>().unwrap_or(0);
        let size = |name: &str| usize::try_from(number(name)).unwrap_or(0);
        let policy = |word: &str| text(CLEANUP_POLICY).split(',').any(|item| item.trim() == word);
        Self {
            message_bytes_max: size(MAX_MESSAGE_BYTES),
            log_append_time: text(TIMESTAMP_TYPE) == "LogAppendTime",
            timestamp_before_max_ms: number(TIMESTAMP_BEFORE_MAX_MS),
            timestamp_after_max_ms: number(TIMESTAMP_AFTER_MAX_MS),
            insync_replicas_min: size(MIN_INSYNC_REPLICAS),
            is_compacted: policy("compact"),
            may_delete: policy("delete"),
            set,
        }
    }
}

impl Definition {
    fn kind(&self) -> ConfigType {
        match self.check {
            Check::Boolean => ConfigType::Boolean,
            Check::Int(..) => ConfigType::Int,
            Check::Long(..) => ConfigType::Long,
            Check::Ratio => ConfigType::Double,
            Check::OneOf(_) => ConfigType::String,
            Check::ListOf(_) | Check::List => ConfigType::List,
            Check::Only("false") => ConfigType::Boolean,
            Check::Only(_) => ConfigType::String,
        }
    }

    fn check(&self, value: &str) -> Result<(), String> {
        let trimmed = value.trim();
        let wrong = |expected: String| {
            Err(format!(
                "Invalid value {} for configuration {}: {expected}",
                crate::base::text::visible(value),
                self.name
            ))
        };
        match self.check {
            Check::Boolean if matches!(trimmed.to_ascii_lowercase().as_str(), "true" | "false") => Ok(()),
            Check::Boolean => wrong("it must be true or false".into()),
            Check::Int(low, high) => match trimmed.parse::<i32>() {
                Ok(number) if (low..=high).contains(&number) => Ok(()),
                _ => wrong(format!("it must be a number from {low} to {high}")),
            },
            Check::Long(low, high) => match trimmed.parse::<i64>() {
                Ok(number) if (low..=high).contains(&number) => Ok(()),
                _ => wrong(format!("it must be a number from {low} to {high}")),
            },
            Check::Ratio => match trimmed.parse::<f64>() {
                Ok(number) if (0.0..=1.0).contains(&number) => Ok(()),
                _ => wrong("it must be a number from 0 to 1".into()),
            },
            Check::OneOf(words) if words.contains(&value) => Ok(()),
            Check::OneOf(words) => wrong(format!("it must be one of {}", words.join(", "))),
            Check::ListOf(words) => match trimmed.split(',').map(str::trim).find(|item| !words.contains(item)) {
                None => Ok(()),
                Some(_) => wrong(format!("it must be a list of {}", words.join(", "))),
            },
            Check::List => Ok(()),
            Check::Only(word) if trimmed == word => Ok(()),
            Check::Only(word) => wrong(format!("the embedded broker knows only {word}")),
        }
    }
}

fn definition(name: &str) -> Result<&'static Definition, String> {
    DEFINITIONS
        .iter()
        .find(|definition| definition.name == name)
        .ok_or_else(|| format!("Unknown topic config name: {}", crate::base::text::visible(name)))
}

fn list_change(definition: &Definition, current: Option<&String>, items: &str, append: bool) -> Result<String, String> {
    if definition.kind() != ConfigType::List {
        return Err(format!("Can't append to or subtract from configuration {}: it is not a list", definition.name));
    }
    let split = |text: &'_ str| -> Vec<String> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    };
    let mut list = split(current.map_or(definition.default, String::as_str));
    let items = split(items);
    list.retain(|item| !items.contains(item));
    if append {
        list.extend(items);
    }
    Ok(list.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<TopicConfig, String> {
        TopicConfig::default().changed([(name, Change::Set(value.into()))])
    }

    #[test]
    fn every_default_passes_its_own_check_and_names_ascend() {
        for pair in DEFINITIONS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} is out of place", pair[1].name);
        }
        for definition in DEFINITIONS {
            assert_eq!(definition.check(definition.default), Ok(()), "{}", definition.name);
        }
    }

    #[test]
    fn the_defaults_in_force_are_kafkas() {
        let config = TopicConfig::default();
        assert_eq!(config.message_bytes_max, 1_048_588);
        assert_eq!((config.timestamp_before_max_ms, config.timestamp_after_max_ms), (i64::MAX, 3_600_000));
        assert!(!config.log_append_time && !config.is_compacted && config.may_delete);
        assert_eq!(config.insync_replicas_min, 1);
    }

    #[test]
    fn what_is_set_is_in_force_and_told_as_set() {
        let config = set(TIMESTAMP_TYPE, "LogAppendTime").unwrap();
        assert!(config.log_append_time);
        let entry = config.entries().find(|entry| entry.name == TIMESTAMP_TYPE).unwrap();
        assert_eq!((entry.value.as_str(), entry.default, entry.is_set), ("LogAppendTime", "CreateTime", true));
        assert!(!config.changed([(TIMESTAMP_TYPE, Change::Delete)]).unwrap().log_append_time);
        let compacted = set(CLEANUP_POLICY, "compact,delete").unwrap();
        assert!(compacted.is_compacted && compacted.may_delete);
    }

    #[test]
    fn wrong_values_unknown_names_and_what_we_cannot_do_are_refused() {
        for (name, value) in [
            (MAX_MESSAGE_BYTES, "-1"),
            (MAX_MESSAGE_BYTES, "1MB"),
            (MIN_INSYNC_REPLICAS, "0"),
            (CLEANUP_POLICY, "shred"),
            (TIMESTAMP_TYPE, "createtime"),
            ("compression.type", "zstd"),
            ("remote.storage.enable", "true"),
            ("no.such.thing", "1"),
        ] {
            assert!(set(name, value).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn lists_grow_and_shrink_and_other_types_do_not() {
        let both = TopicConfig::default().changed([(CLEANUP_POLICY, Change::Append("compact".into()))]).unwrap();
        assert!(both.is_compacted && both.may_delete);
        let one = both.changed([(CLEANUP_POLICY, Change::Subtract("delete".into()))]).unwrap();
        assert!(one.is_compacted && !one.may_delete);
        assert!(TopicConfig::default().changed([(MAX_MESSAGE_BYTES, Change::Append("1".into()))]).is_err());
    }
}

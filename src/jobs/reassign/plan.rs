//! Plans of moves in the JSON that Kafka's own tool reads and writes.
//!
//! ```json
//! {"version":1,"partitions":[{"topic":"events","partition":0,"replicas":[3,1],"log_dirs":["any","any"]}]}
//! ```
//!
//! A plan is a file from outside: what it says twice, leaves empty or cannot mean is an error that names the partition. Folders
//! (`log_dirs`) other than `any` are kept: Kafka's tool writes them into the plans that bring partitions back. Whether they
//! ask for anything is seen when the plan is held against the cluster.

use crate::base::place::TopicPartition;
use crate::base::text::visible;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The only version there is; also meant where none is given.
const VERSION: i64 = 1;

/// Any folder of a broker.
const ANY_FOLDER: &str = "any";

/// Why a file is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(String);

/// Which brokers shall hold each partition, the preferred leader first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// By partition.
    pub partitions: BTreeMap<TopicPartition, Vec<i32>>,
    /// The folders that are named for a partition's copy at a broker.
    pub folders: BTreeMap<(TopicPartition, i32), String>,
}

impl Plan {
    /// Reads a plan.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let root = document(text)?;
        let listed = array(&root, "partitions", "the plan")?;
        let (mut partitions, mut folders) = (BTreeMap::new(), BTreeMap::new());
        for (place, one) in listed.iter().enumerate() {
            let what = format!("entry {place} of \"partitions\"");
            let topic = string(one, "topic", &what)?;
            let index = number(one.get("partition"), || format!("\"partition\" of {what}"))?;
            let at = TopicPartition::new(topic, index);
            let replicas = replicas(one, &at)?;
            for (broker, folder) in replicas.iter().zip(folders_of(one, &at, replicas.len())?) {
                if folder != ANY_FOLDER {
                    folders.insert((at.clone(), *broker), folder);
                }
            }
            if partitions.insert(at.clone(), replicas).is_some() {
                return Err(PlanError(format!("{at} stands in the plan twice")));
            }
        }
        if partitions.is_empty() {
            return Err(PlanError("the plan names no partition".to_owned()));
        }
        Ok(Self { partitions, folders })
    }

    /// The plan as Kafka's tool writes it, on one line.
    pub fn to_json(&self) -> Value {
        let partitions = self.partitions.iter().map(|(at, replicas)| {
            let folder = |broker: &i32| self.folders.get(&(at.clone(), *broker)).map_or(ANY_FOLDER, String::as_str);
            json!({
                "topic": &*at.topic, "partition": at.partition, "replicas": replicas,
                "log_dirs": replicas.iter().map(folder).collect::<Vec<_>>(),
            })
        });
        json!({ "version": VERSION, "partitions": partitions.collect::<Vec<_>>() })
    }

    /// The brokers it names.
    pub fn brokers(&self) -> BTreeSet<i32> {
        self.partitions.values().flatten().copied().collect()
    }

    /// The topics it names.
    pub fn topics(&self) -> BTreeSet<&str> {
        self.partitions.keys().map(|at| &*at.topic).collect()
    }
}

/// Reads a list of topics to move: `{"version":1,"topics":[{"topic":"events"}]}`.
pub fn parse_topics(text: &str) -> Result<Vec<String>, PlanError> {
    let root = document(text)?;
    let mut topics = Vec::new();
    for (place, one) in array(&root, "topics", "the list of topics")?.iter().enumerate() {
        let topic = string(one, "topic", &format!("entry {place} of \"topics\""))?;
        if topics.contains(&topic) {
            return Err(PlanError(format!("topic {} is listed twice", visible(&topic))));
        }
        topics.push(topic);
    }
    if topics.is_empty() {
        return Err(PlanError("the list names no topic".to_owned()));
    }
    Ok(topics)
}

fn document(text: &str) -> Result<Value, PlanError> {
    let root: Value = serde_json::from_str(text).map_err(|error| PlanError(format!("this is no JSON: {error}")))?;
    match root.get("version") {
        None => Ok(root),
        Some(version) if version.as_i64() == Some(VERSION) => Ok(root),
        Some(other) => {
            Err(PlanError(format!("version {} of the format is not known, only {VERSION} is", shown(other))))
        }
    }
}

fn array<'v>(value: &'v Value, name: &str, of: &str) -> Result<&'v Vec<Value>, PlanError> {
    let found = value.get(name).and_then(Value::as_array);
    found.ok_or_else(|| PlanError(format!("{of} has no array \"{name}\"")))
}

fn string(value: &Value, name: &str, of: &str) -> Result<String, PlanError> {
    let found = value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    found.map(str::to_owned).ok_or_else(|| PlanError(format!("{of} has no string \"{name}\"")))
}

fn number(value: Option<&Value>, what: impl Fn() -> String) -> Result<i32, PlanError> {
    let found = value.and_then(Value::as_i64).and_then(|number| i32::try_from(number).ok()).filter(|it| *it >= 0);
    found.ok_or_else(|| match value {
        None => PlanError(format!("{} is missing", what())),
        Some(other) => PlanError(format!("{} is {}, it must be a number from 0 on", what(), shown(other))),
    })
}

fn replicas(one: &Value, at: &TopicPartition) -> Result<Vec<i32>, PlanError> {
    let mut replicas = Vec::new();
    for broker in array(one, "replicas", &at.to_string())? {
        let broker = number(Some(broker), || format!("a broker of {at}"))?;
        if replicas.contains(&broker) {
            return Err(PlanError(format!("{at} names broker {broker} twice")));
        }
        replicas.push(broker);
    }
    if replicas.is_empty() {
        return Err(PlanError(format!("{at} names no broker")));
    }
    Ok(replicas)
}

/// The folder of each copy; any, where none are named at all.
fn folders_of(one: &Value, at: &TopicPartition, brokers: usize) -> Result<Vec<String>, PlanError> {
    if one.get("log_dirs").is_none() {
        return Ok(vec![ANY_FOLDER.to_owned(); brokers]);
    }
    let folders = array(one, "log_dirs", &at.to_string())?;
    if folders.len() != brokers {
        let count = folders.len();
        return Err(PlanError(format!("{at} names {brokers} broker(s) and {count} log_dirs: one for each is needed")));
    }
    let text = |folder: &Value| {
        let named = folder.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        named.ok_or_else(|| PlanError(format!("{at} names the folder {}, which is none", shown(folder))))
    };
    folders.iter().map(text).collect()
}

/// A value from a file, short and safe to print.
fn shown(value: &Value) -> String {
    crate::base::text::excerpt(value.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const APACHES: &str = r#"{"version":1,"partitions":[{"topic":"bar","partition":0,"replicas":[3,2],"log_dirs":["any","any"]},{"topic":"foo","partition":10,"replicas":[1],"log_dirs":["any"]}]}"#;

    #[test]
    fn what_kafkas_tool_writes_is_read_and_written_back_byte_for_byte() {
        let plan = Plan::parse(APACHES).unwrap();
        assert_eq!(plan.partitions[&TopicPartition::new("bar", 0)], [3, 2]);
        assert_eq!(plan.to_json().to_string(), APACHES);
        assert_eq!((plan.brokers(), plan.topics()), ([1, 2, 3].into(), ["bar", "foo"].into()));
    }

    #[test]
    fn folders_that_kafkas_tool_has_written_are_kept() {
        let text =
            r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[3,2],"log_dirs":["any","/data/2"]}]}"#;
        let plan = Plan::parse(text).unwrap();
        assert_eq!(plan.folders[&(TopicPartition::new("t", 0), 2)], "/data/2");
        assert_eq!(plan.to_json().to_string(), text);
    }

    #[test]
    fn version_and_folders_may_be_left_out() {
        let plan = Plan::parse(r#"{"partitions":[{"topic":"t","partition":1,"replicas":[5]}]}"#).unwrap();
        assert_eq!(plan.partitions[&TopicPartition::new("t", 1)], [5]);
        assert_eq!(parse_topics(r#"{"topics":[{"topic":"a"},{"topic":"b"}],"version":1}"#).unwrap(), ["a", "b"]);
    }

    #[test]
    fn what_a_plan_cannot_mean_is_said_with_the_partition() {
        let one = |fields: &str| format!(r#"{{"partitions":[{{"topic":"t","partition":0,{fields}}}]}}"#);
        let deep = "[".repeat(10_000);
        for (text, said) in [
            ("", "no JSON"),
            (&deep, "no JSON"),
            ("[]", "no array \"partitions\""),
            (r#"{"partitions":[]}"#, "names no partition"),
            (r#"{"version":2,"partitions":[]}"#, "version"),
            (r#"{"partitions":[{"partition":0,"replicas":[1]}]}"#, "entry 0 of \"partitions\" has no string \"topic\""),
            (r#"{"partitions":[{"topic":"t","replicas":[1]}]}"#, "\"partition\" of entry 0"),
            (r#"{"partitions":[{"topic":"t","partition":-1,"replicas":[1]}]}"#, "a number from 0 on"),
            (&one(r#""replicas":[]"#), "t partition 0 names no broker"),
            (&one(r#""replicas":[1,2,1]"#), "t partition 0 names broker 1 twice"),
            (&one(r#""replicas":["1"]"#), "a broker of t partition 0"),
            (&one(r#""replicas":[1],"log_dirs":[]"#), "t partition 0 names 1 broker(s) and 0 log_dirs"),
            (&one(r#""replicas":[1],"log_dirs":[5]"#), "t partition 0 names the folder \"5\", which is none"),
        ] {
            let error = Plan::parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
        let twice =
            r#"{"partitions":[{"topic":"t","partition":0,"replicas":[1]},{"topic":"t","partition":0,"replicas":[2]}]}"#;
        assert!(Plan::parse(twice).unwrap_err().to_string().contains("t partition 0 stands in the plan twice"));
        for text in ["{}", r#"{"topics":[]}"#, r#"{"topics":[{"topic":"a"},{"topic":"a"}]}"#] {
            assert!(parse_topics(text).is_err(), "{text}");
        }
    }
}

//! The records of a job as JSON: names that stay, values that a person can read. Checksums are hexadecimal text, because
//! many readers of JSON cannot hold 64 bits in a number.
//!
//! What is read is a claim: the version first, then each field by its type, then whether the fields fit together. Fields
//! that are not known are passed over.

use super::record::{JobPlan, JobProgress, JobState, PlannedInput, PlannedOutput, VERSION};
use super::tail::Tail;
use crate::base::place::TopicPartition;
use crate::base::text::excerpt;
use crate::jobs::merge::Strategy;
use crate::keys::{KeyPart, KeyPlan, Order};
use crate::wire::Uuid;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What is wrong with a record of a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    /// Another format.
    #[error("it is of format version {found}, this kmerge reads version {VERSION}")]
    Version {
        /// The version it claims.
        found: u64,
    },
    /// No JSON object, or a field that is not what it should be.
    #[error("{0}")]
    Form(String),
}

pub(super) fn plan_to_json(plan: &JobPlan) -> Value {
    let inputs: Vec<Value> = plan
        .inputs
        .iter()
        .map(|input| {
            json!({
                "topic": &*input.partition.topic,
                "topic_id": input.topic_id.to_string(),
                "partition": input.partition.partition,
                "start": input.range.start,
                "end": input.range.end,
            })
        })
        .collect();
    json!({
        "version": VERSION,
        "job": plan.job,
        "inputs": inputs,
        "key": plan.keys.parts().iter().map(KeyPart::spec).collect::<Vec<_>>(),
        "order": plan.keys.order().name(),
        "strategy": plan.strategy.name(),
        "output": {
            "topic": &*plan.output.partition.topic,
            "topic_id": plan.output.topic_id.to_string(),
            "partition": plan.output.partition.partition,
            "start": plan.output.start,
        },
        "planned_at_ms": plan.planned_at_ms,
    })
}

pub(super) fn plan_from_json(value: &[u8]) -> Result<JobPlan, Flaw> {
    let object = object(value)?;
    let fields = Fields::of(&object)?;
    let keys: Vec<String> = fields.list("key", |field| Ok(field.text()?.to_owned()))?;
    let order = fields.named("order", &[(Order::Asc.name(), Order::Asc), (Order::Desc.name(), Order::Desc)])?;
    if keys.is_empty() {
        return Err(Flaw::Form("key is empty".to_owned()));
    }
    // A topic's partitions follow each other and share its name.
    let mut name: Arc<str> = "".into();
    let output = fields.object("output")?;
    Ok(JobPlan {
        job: fields.at("job").text()?.to_owned(),
        inputs: fields.list("inputs", |field| {
            let input = field.object()?;
            let topic = input.at("topic").text()?;
            if *name != *topic {
                name = topic.into();
            }
            let partition = TopicPartition::new(name.clone(), input.at("partition").index()?);
            let (start, end) = (input.at("start").offset()?, input.at("end").offset()?);
            if start > end {
                return Err(Flaw::Form(format!("{partition} goes from {start} to {end}")));
            }
            Ok(PlannedInput { partition, topic_id: input.at("topic_id").id()?, range: start..end })
        })?,
        keys: KeyPlan::parse(&keys, order).map_err(Flaw::Form)?,
        strategy: fields.named(
            "strategy",
            &[(Strategy::Merge.name(), Strategy::Merge), (Strategy::Count.name(), Strategy::Count)],
        )?,
        output: PlannedOutput {
            partition: TopicPartition::new(output.at("topic").text()?, output.at("partition").index()?),
            topic_id: output.at("topic_id").id()?,
            start: output.at("start").offset()?,
        },
        planned_at_ms: fields.at("planned_at_ms").integer()?,
    })
}

pub(super) fn progress_to_json(progress: &JobProgress) -> Value {
    let tail = progress.tail.map(|tail| {
        json!({
            "start": tail.start,
            "end": tail.end,
            "records": tail.records,
            "checksum": format!("{:016x}", tail.checksum),
            "timestamps": format!("{:016x}", tail.stamps),
        })
    });
    json!({
        "version": VERSION,
        "state": progress.state.name(),
        "rank": progress.rank,
        "positions": progress.positions,
        "tail": tail,
        "updated_at_ms": progress.updated_at_ms,
    })
}

pub(super) fn progress_from_json(value: &[u8]) -> Result<JobProgress, Flaw> {
    let object = object(value)?;
    let fields = Fields::of(&object)?;
    let running = (JobState::Running.name(), JobState::Running);
    Ok(JobProgress {
        positions: fields.list("positions", |field| field.offset())?,
        rank: fields.at("rank").count()?,
        tail: match fields.0.get("tail") {
            None | Some(Value::Null) => None,
            Some(_) => Some(tail_from(&fields.object("tail")?)?),
        },
        state: fields.named("state", &[running, (JobState::Complete.name(), JobState::Complete)])?,
        updated_at_ms: fields.at("updated_at_ms").integer()?,
    })
}

fn tail_from(tail: &Fields<'_>) -> Result<Tail, Flaw> {
    let (start, end) = (tail.at("start").offset()?, tail.at("end").offset()?);
    let records = tail.at("records").count()?;
    match u32::try_from(records) {
        // Offsets without a record may lie between, never records without an offset.
        Ok(count) if count > 0 && end > start && records <= end.abs_diff(start) => Ok(Tail {
            start,
            end,
            records: count,
            checksum: tail.at("checksum").hexadecimal()?,
            stamps: tail.at("timestamps").hexadecimal()?,
        }),
        _ => Err(Flaw::Form(format!("tail is {records} records from {start} to {end}"))),
    }
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, Flaw> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Flaw::Form(format!("it is no JSON object: {}", excerpt(bytes)))),
        Err(error) => Err(Flaw::Form(format!("it is no JSON ({error}): {}", excerpt(bytes)))),
    }
}

/// The fields of an object.
struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    /// The fields of a record, if it is of our version: of another one nothing else is looked at.
    fn of(object: &'a Map<String, Value>) -> Result<Self, Flaw> {
        let fields = Self(object);
        match fields.at("version").count()? {
            VERSION => Ok(fields),
            found => Err(Flaw::Version { found }),
        }
    }

    fn at(&self, name: &'static str) -> Field<'a> {
        Field { name, value: self.0.get(name).unwrap_or(&Value::Null) }
    }

    fn object(&self, name: &'static str) -> Result<Fields<'a>, Flaw> {
        self.at(name).object()
    }

    fn list<T>(&self, name: &'static str, mut read: impl FnMut(Field<'a>) -> Result<T, Flaw>) -> Result<Vec<T>, Flaw> {
        match self.at(name) {
            Field { value: Value::Array(items), .. } => items.iter().map(|value| read(Field { name, value })).collect(),
            other => Err(other.wrong("a list")),
        }
    }

    /// One of these words.
    fn named<T: Copy>(&self, name: &'static str, words: &[(&str, T)]) -> Result<T, Flaw> {
        let field = self.at(name);
        let text = field.text()?;
        let found = words.iter().find(|(word, _)| *word == text);
        let known = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
        found.map(|(_, means)| *means).ok_or_else(|| field.wrong(&known()))
    }
}

/// One value, and where it stands.
#[derive(Debug, Clone, Copy)]
struct Field<'a> {
    name: &'static str,
    value: &'a Value,
}

impl<'a> Field<'a> {
    fn wrong(self, expected: &str) -> Flaw {
        let shown = excerpt(self.value.to_string().as_bytes());
        Flaw::Form(format!("{} is {shown}, expected {expected}", self.name))
    }

    fn object(self) -> Result<Fields<'a>, Flaw> {
        self.value.as_object().map(Fields).ok_or_else(|| self.wrong("an object"))
    }

    fn text(self) -> Result<&'a str, Flaw> {
        self.value.as_str().ok_or_else(|| self.wrong("text"))
    }

    fn integer(self) -> Result<i64, Flaw> {
        self.value.as_i64().ok_or_else(|| self.wrong("a whole number"))
    }

    fn count(self) -> Result<u64, Flaw> {
        self.value.as_u64().ok_or_else(|| self.wrong("a count"))
    }

    fn offset(self) -> Result<i64, Flaw> {
        self.value.as_i64().filter(|offset| *offset >= 0).ok_or_else(|| self.wrong("an offset"))
    }

    fn index(self) -> Result<i32, Flaw> {
        let index = self.value.as_i64().and_then(|index| i32::try_from(index).ok());
        index.filter(|index| *index >= 0).ok_or_else(|| self.wrong("a partition"))
    }

    fn id(self) -> Result<Uuid, Flaw> {
        self.text()?.parse().map_err(|_| self.wrong("the id of a topic"))
    }

    fn hexadecimal(self) -> Result<u64, Flaw> {
        let text = self.text()?;
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| digits);
        number.ok_or_else(|| self.wrong("16 hexadecimal digits"))
    }
}

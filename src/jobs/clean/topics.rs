//! What there is before anything is read: the inputs' partitions, the topics that are written, and how memory is divided.
//!
//! ```text
//!  --memory ┬─ reading: each partition its share, and some more for partitions that are added underway
//!           ├─ what is held from record to record, where the rules have to
//!           ├─ batches being filled, in all topics, and what is used again for them
//!           └─ batches on their way
//! ```
//!
//! Where files are written, half of it is theirs; where rules look up in topics, half of what is left is for those; and the rest is
//! divided so.

use super::accounts::{self, Accounts};
use super::files::{Shelf, beside, ids_of};
use super::insights::{Desk, Store};
use super::lookups::{Looking, TopicReader, memory as lookup_memory};
use super::outbox::{Outbox, Topic, Topics};
use super::{CleanSettings, ParquetSettings, Rejects};
use crate::base::budget::ByteBudget;
use crate::base::units::show_size;
use crate::client::{Cluster, NewTopic};
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use crate::jobs::made::topic_or_new;
use crate::jobs::merge::message_bytes_max;
use crate::jobs::range::{ReadShare, partitions_of};
use crate::rules::Rules;
use std::sync::Arc;

/// See the module's head.
pub(super) struct Looked {
    /// What reading may take, and the share of each partition.
    pub(super) reading: ByteBudget,
    pub(super) share: ReadShare,
    pub(super) share_bytes: usize,
    /// What is held of a partition may take so much, and what insights have counted of it as much again.
    pub(super) state_bytes_max: usize,
    /// What batches on their way may take.
    pub(super) held_bytes_max: usize,
    /// Where insights are written, and where what they have counted is kept.
    pub(super) desk: Option<Desk>,
    pub(super) store: Option<Store>,
    /// What rules look up in.
    pub(super) lookups: Option<Looking>,
    /// Where files go, and what rows may take that are not written yet.
    pub(super) files: Option<Arc<Shelf>>,
    pub(super) rows_bytes_max: usize,
    /// The ledger, where one is kept.
    pub(super) accounts: Option<Accounts>,
    /// Topics that were made just now.
    pub(super) made: Vec<String>,
}

pub(super) async fn look(cluster: &Cluster, settings: &CleanSettings) -> Result<(Looked, Outbox), JobError> {
    let inputs = partitions_of(cluster, &settings.from, &[]).await?.len().max(1);
    // Some more than there are now.
    let planned = inputs + 1 + inputs / 4;
    let (files_bytes, rows_bytes_max) = match settings.parquet {
        Some(_) => ParquetSettings::memory(settings.memory_bytes),
        None => (0, 0),
    };
    let lookups_bytes = lookup_memory(&settings.rules, settings.memory_bytes - files_bytes);
    let memory = settings.memory_bytes - files_bytes - lookups_bytes;
    let halved = u32::from(settings.parquet.is_some()) + u32::from(lookups_bytes > 0);
    let (reading_bytes, share) = reading(memory, 1 << halved, planned)?;
    let mut made = Vec::new();
    // Before anything is made: without it nothing is to be written.
    let ledger = accounts::open(cluster, settings).await?;
    let result = match &settings.to {
        Some(name) => Some(topic(cluster, settings, name, inputs, &mut made).await?),
        None => None,
    };
    let dead = match &settings.rejects {
        Rejects::Letters(name) => Some(topic(cluster, settings, name, inputs, &mut made).await?),
        Rejects::Stop => None,
    };
    let mut beside = Vec::new();
    for name in of_groups(&settings.rules).0 {
        beside.push(topic(cluster, settings, name, inputs, &mut made).await?);
    }
    let (desk, store) = Desk::open(cluster, settings, inputs, &mut beside, &mut made).await?.unzip();
    let mut outbox = Outbox::new(Topics { result, dead, beside }, settings.codec, memory / 8);
    let looked = Looked {
        reading: ByteBudget::new(reading_bytes),
        share,
        share_bytes: reading_bytes / planned,
        state_bytes_max: memory / 4 / planned / (1 + usize::from(desk.is_some() && settings.rules.holds_something())),
        held_bytes_max: memory / 8,
        desk,
        store,
        lookups: None,
        files: open_files(cluster, settings).await?,
        rows_bytes_max,
        accounts: Accounts::new(ledger, cluster, settings, &mut outbox).await?,
        made,
    };
    Ok((looked, outbox))
}

/// The topics that rules look up in, which have to be there; `None` where none does.
pub(super) async fn find_lookups(
    cluster: &Cluster,
    settings: &CleanSettings,
    cx: &JobContext,
) -> Result<Option<TopicReader>, JobError> {
    let files_bytes = settings.parquet.as_ref().map_or(0, |_| ParquetSettings::memory(settings.memory_bytes).0);
    let memory = (settings.memory_bytes - files_bytes, settings.memory_bytes);
    TopicReader::find(cluster, &settings.rules, memory, cx).await
}

/// The topics that groups go to, each once; and which of them that is, by `group_by`.
pub(super) fn of_groups(rules: &Rules) -> (Vec<&str>, Vec<usize>) {
    let mut topics: Vec<&str> = Vec::new();
    let each = rules.group_bys().iter().map(|by| {
        topics.iter().position(|topic| *topic == by.to()).unwrap_or_else(|| {
            topics.push(by.to());
            topics.len() - 1
        })
    });
    let each = each.collect();
    (topics, each)
}

/// The folder, where files are written.
async fn open_files(cluster: &Cluster, settings: &CleanSettings) -> Result<Option<Arc<Shelf>>, JobError> {
    let Some(parquet) = settings.parquet.clone() else { return Ok(None) };
    let (rules, group) = (settings.rules.clone(), settings.group.group.to_string());
    let topics = settings.from.clone();
    let ids = ids_of(cluster, topics.iter().map(String::as_str), cluster.timeout()).await?;
    let counts_minutes = settings.ledger.is_some();
    let open = beside(move || {
        let shelf = Shelf::open(&parquet, &rules, &group, &topics)?;
        shelf.is_of_topics(&ids).map(|()| shelf)
    });
    let shelf = open.await?;
    if counts_minutes {
        shelf.count_minutes();
    }
    Ok(Some(shelf))
}

/// What reading takes, half of `memory`, and the share of each partition. All that there is is so many times as much.
fn reading(memory: usize, all: usize, partitions: usize) -> Result<(usize, ReadShare), JobError> {
    let least = partitions.saturating_mul(ReadShare::LEAST_BYTES).saturating_mul(2);
    if memory < least {
        return Err(JobError::Refused(format!(
            "clean has to have room for {partitions} partitions and has none in {}: give --memory {}KiB or more",
            show_size((memory * all) as u64),
            (least * all).div_ceil(1 << 10)
        )));
    }
    Ok((memory / 2, ReadShare::of("clean", memory / 2, 0, partitions)?))
}

async fn topic(
    cluster: &Cluster,
    settings: &CleanSettings,
    name: &str,
    partitions: usize,
    made: &mut Vec<String>,
) -> Result<Topic, JobError> {
    let new = NewTopic::new(name, i32::try_from(partitions).unwrap_or(i32::MAX));
    let (info, is_new) = topic_or_new(cluster, &new).await?;
    if is_new {
        made.push(name.to_owned());
    }
    let bytes_max = message_bytes_max(&cluster.topic_configs(name).await?);
    Ok(Topic::new(name, info.partitions.len(), bytes_max, settings.batch_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::parse_size;

    #[test]
    fn the_memory_that_is_advised_is_enough_and_no_less_is() {
        for partitions in [3, 7, 101, 5_000] {
            let error = reading(1 << 20, 1, partitions).unwrap_err().to_string();
            let advised = error.split("--memory ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
            let advised = parse_size(advised).unwrap();
            let (reading_bytes, _) = reading(advised, 1, partitions).unwrap();
            assert!(reading_bytes / partitions >= ReadShare::LEAST_BYTES, "{error}");
            reading(advised - 1, 1, partitions).unwrap_err();
            let beside_files = reading(1 << 19, 2, partitions).unwrap_err().to_string();
            let twice = beside_files.split("--memory ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
            assert_eq!(parse_size(twice).unwrap(), 2 * advised, "{beside_files}");
        }
    }
}

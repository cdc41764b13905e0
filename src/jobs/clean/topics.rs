//! What there is before anything is read: the inputs' partitions, the topics that are written, and how memory is divided.
//!
//! ```text
//!  --memory ┬─ reading: each partition its share, and some more for partitions that are added underway
//!           ├─ what is remembered, where the rules have to
//!           ├─ batches being filled, in both topics
//!           └─ batches on their way
//! ```

use super::outbox::{Outbox, Topic};
use super::{CleanSettings, Rejects};
use crate::base::budget::ByteBudget;
use crate::client::{Cluster, NewTopic};
use crate::jobs::error::JobError;
use crate::jobs::made::topic_or_new;
use crate::jobs::merge::message_bytes_max;
use crate::jobs::range::{ReadShare, partitions_of};

/// See the module's head.
pub(super) struct Looked {
    /// What reading may take, and the share of each partition.
    pub(super) reading: ByteBudget,
    pub(super) share: ReadShare,
    pub(super) share_bytes: usize,
    /// What is remembered of a partition may take so much.
    pub(super) state_bytes_max: usize,
    /// What batches on their way may take.
    pub(super) held_bytes_max: usize,
    /// Topics that were made just now.
    pub(super) made: Vec<String>,
}

pub(super) async fn look(cluster: &Cluster, settings: &CleanSettings) -> Result<(Looked, Outbox), JobError> {
    let inputs = partitions_of(cluster, &settings.from, &[]).await?.len().max(1);
    // Some more than there are now.
    let planned = inputs + 1 + inputs / 4;
    let memory = settings.memory_bytes;
    let reading_bytes = memory / 2;
    let share = ReadShare::of("clean", memory, memory - reading_bytes, planned)?;
    let mut made = Vec::new();
    let result = topic(cluster, settings, &settings.to, inputs, &mut made).await?;
    let dead = match &settings.rejects {
        Rejects::Letters(name) => Some(topic(cluster, settings, name, inputs, &mut made).await?),
        Rejects::Stop => None,
    };
    let outbox = Outbox::new(result, dead, settings.codec, memory / 8);
    let looked = Looked {
        reading: ByteBudget::new(reading_bytes),
        share,
        share_bytes: reading_bytes / planned,
        state_bytes_max: memory / 4 / planned,
        held_bytes_max: memory / 8,
        made,
    };
    Ok((looked, outbox))
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

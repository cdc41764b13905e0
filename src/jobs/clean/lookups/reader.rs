//! Reads the topics that rules look up in, partition after partition, again and again.
//!
//! Non-obvious:
//! - Up to the last stable offset: what a transaction holds open comes once it has ended, and nobody waits for that (`held.rs`
//!   says so where it takes long).
//! - A topic of that name with another id is another topic, whatever its offsets are: what is in the table is not in it. So is a log
//!   that an unclean election has cut, also where it has grown again since: each reader goes on as the one before it.
//! - What retention deletes stays in the table, and is not there after a restart; so a topic that is not compacted is warned of.

use super::Looking;
use super::held::{HeldBack, Told};
use super::memory;
use crate::base::place::TopicPartition;
use crate::base::text::visible;
use crate::base::units::{show_count, show_size};
use crate::client::{ClientError, Cluster, LogMark, OffsetAt, PartitionReader};
use crate::jobs::JobContext;
use crate::jobs::cursor::RecordCursor;
use crate::jobs::error::JobError;
use crate::jobs::range::ReadShare;
use crate::observe::progress::Progress;
use crate::rules::Rules;
use crate::rules::lookup::{LookupFull, Lookups, Taken};
use crate::wire::Uuid;
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// So often it is looked whether there is something new.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// See the module's head.
pub(in crate::jobs::clean) struct TopicReader {
    cluster: Cluster,
    cx: JobContext,
    share: ReadShare,
    /// What of the memory the tables may take, and all of it.
    tables_bytes_max: usize,
    memory_bytes: usize,
    topics: Vec<Topic>,
    /// What is left of this round, the last one first.
    todo: Vec<(usize, TopicPartition, Range<i64>)>,
    now: Option<(usize, RecordCursor<PartitionReader>)>,
    /// Offsets of this round, and those of partitions that are read.
    offsets_total: u64,
    offsets_read: u64,
    is_following: bool,
    /// For how long a topic may be unknown, or end before what was read of it: who has just begun to lead may know no better.
    pub(super) patience: Duration,
    /// Since when partitions have ended before what was read of them.
    cut: BTreeMap<TopicPartition, Instant>,
    pub(super) held: HeldBack,
}

/// A topic, and how far its partitions are read.
struct Topic {
    name: Arc<str>,
    id: Uuid,
    /// By partition; those that are missing were not looked at yet.
    places: Vec<Place>,
    /// Since when nobody knows it.
    gone: Option<Instant>,
    has_told_unreadable: bool,
}

/// How far a partition is read.
#[derive(Debug, Clone, Copy)]
struct Place {
    next: i64,
    /// Of the log that was read.
    mark: Option<LogMark>,
}

impl TopicReader {
    /// Looks whether the topics are there; `None` where no rule looks up. Tables, and reading them, may take their part of
    /// `memory_bytes`.
    pub(in crate::jobs::clean) async fn find(
        cluster: &Cluster,
        rules: &Rules,
        (memory_bytes, all_bytes): (usize, usize),
        cx: &JobContext,
    ) -> Result<Option<Self>, JobError> {
        let ours = memory(rules, memory_bytes);
        if ours == 0 {
            return Ok(None);
        }
        let mut topics = Vec::new();
        for topic in rules.lookup_topics() {
            let name = topic.name();
            let info = cluster.topic(name).await.map_err(|error| match error {
                ClientError::UnknownTopic { hint, .. } => not_there(name, rules, &hint),
                error => error.into(),
            })?;
            // Who may not look at the configuration does not hear of it.
            let configs = cluster.topic_configs(name).await.unwrap_or_default();
            if let Some(policy) = configs.get("cleanup.policy").filter(|policy| !policy.contains("compact")) {
                tracing::warn!(
                    "{name} is not compacted (cleanup.policy is {policy}): a key whose last record retention has deleted is not found after a restart"
                );
            }
            let name = name.into();
            topics.push(Topic { name, id: info.topic_id, places: Vec::new(), gone: None, has_told_unreadable: false });
        }
        let share = ReadShare::of("clean", (ours / 4).max(ReadShare::LEAST_BYTES), 0, 1)?;
        Ok(Some(Self {
            cluster: cluster.clone(),
            cx: cx.clone(),
            share,
            tables_bytes_max: ours - ours / 4,
            memory_bytes: all_bytes,
            topics,
            todo: Vec::new(),
            now: None,
            offsets_total: 0,
            offsets_read: 0,
            is_following: false,
            patience: cluster.timeout(),
            cut: BTreeMap::new(),
            held: HeldBack::new(),
        }))
    }

    /// Reads them all to their ends.
    pub(in crate::jobs::clean) async fn load(mut self, rules: &Arc<Rules>) -> Result<Looking, JobError> {
        let mut lookups = Lookups::new(rules, self.tables_bytes_max);
        self.look().await?;
        self.cx.progress.begin("look up", self.offsets_total);
        while self.more().await? {
            self.pass(&mut lookups)?;
        }
        self.is_following = true;
        for (topic, table) in self.topics.iter().zip(lookups.tables()) {
            tracing::info!(
                "{}: {} keys in {}, of {} records",
                topic.name,
                show_count(table.len() as u64),
                show_size(table.bytes() as u64),
                show_count(table.records())
            );
        }
        Ok((lookups, Box::new(self)))
    }

    /// Waits until there are records at hand.
    pub(super) async fn follow(mut self: Box<Self>) -> super::News {
        loop {
            match self.more().await {
                Ok(false) => {}
                done => return (self, done.map(|_| ())),
            }
            sleep(LOOK_EVERY).await;
            if let Err(error) = self.look().await {
                return (self, Err(error));
            }
        }
    }

    /// Takes the records at hand.
    pub(in crate::jobs::clean) fn pass(&mut self, lookups: &mut Lookups) -> Result<(), JobError> {
        let Some((index, cursor)) = &mut self.now else { return Ok(()) };
        let (partition, begin) = (cursor.partition().clone(), cursor.range().start);
        let mut unreadable = None;
        let full = cursor.pass_here(|found| {
            let record = &found.record;
            match lookups.take(*index, record.key, record.value) {
                Ok(Taken::Unreadable(reason)) => {
                    unreadable.get_or_insert((record.offset, reason));
                    ControlFlow::Continue(())
                }
                Ok(Taken::Held | Taken::Gone | Taken::WithoutKey) => ControlFlow::Continue(()),
                Err(full) => ControlFlow::Break((record.offset, full)),
            }
        })?;
        if let (Some((offset, reason)), Some(topic)) = (unreadable, self.topics.get_mut(*index))
            && !std::mem::replace(&mut topic.has_told_unreadable, true)
        {
            let at = partition.at(offset);
            tracing::warn!(
                "{at}: nothing can be looked up in it ({reason}), so its key is not found; the report counts such values"
            );
        }
        match full {
            None => Ok(()),
            Some((offset, full)) => {
                let read = self.offsets_read.saturating_add_signed(offset.saturating_sub(begin));
                Err(self.too_little(&partition, offset, read, &full))
            }
        }
    }

    /// Says how much memory would about do.
    #[cold]
    fn too_little(&self, partition: &TopicPartition, offset: i64, read: u64, full: &LookupFull) -> JobError {
        let needed = match self.is_following {
            true => full.bytes as f64 * 1.5,
            false => full.bytes as f64 * (self.offsets_total as f64 / read.max(1) as f64).max(1.1),
        };
        let advised = needed / full.bytes_max as f64 * self.memory_bytes as f64;
        JobError::Refused(format!(
            "{}: {full}, when {} of {} offsets are read: give --memory {}MiB or more, as far as that can be told",
            partition.at(offset),
            show_count(read),
            show_count(self.offsets_total),
            (advised / f64::from(1 << 20)).ceil()
        ))
    }

    /// Makes sure that records are at hand; `false` where all of this round is read.
    async fn more(&mut self) -> Result<bool, JobError> {
        loop {
            if let Some((index, cursor)) = &mut self.now {
                let index = *index;
                let (partition, range) = (cursor.partition().clone(), cursor.range());
                let reached = match cursor.more().await {
                    Ok(true) => return Ok(true),
                    Ok(false) => Place { next: range.end, mark: Some(cursor.source().mark()) },
                    Err(JobError::Client(ClientError::OutOfRange { wanted, earliest, .. })) if earliest > wanted => {
                        passed_over(self.is_following, &partition, wanted, earliest);
                        // Where the log before that has ended nobody knows.
                        Place { next: earliest, mark: None }
                    }
                    Err(error) => return Err(error),
                };
                self.now = None;
                let read_to = reached.next.min(range.end);
                self.offsets_read = self.offsets_read.saturating_add_signed(read_to.saturating_sub(range.start));
                self.reached(index, &partition, reached);
                if reached.next < range.end {
                    self.todo.push((index, partition, reached.next..range.end));
                }
            }
            let Some((index, partition, range)) = self.todo.pop() else { return Ok(false) };
            let mark = self.place(index, &partition).and_then(|place| place.mark);
            let source = self.cluster.reader(partition, range, self.share.read_options());
            let source = if let Some(mark) = mark { source.behind(mark) } else { source };
            // Records of a job are those that it cleans.
            let progress = if self.is_following { Progress::default() } else { self.cx.progress.clone() };
            let cursor = RecordCursor::new(source, self.share.window_bytes, self.cx.shutdown.clone(), progress);
            self.now = Some((index, cursor));
        }
    }

    fn place(&mut self, index: usize, partition: &TopicPartition) -> Option<&mut Place> {
        self.topics.get_mut(index)?.places.get_mut(usize::try_from(partition.partition).ok()?)
    }

    fn reached(&mut self, index: usize, partition: &TopicPartition, reached: Place) {
        if let Some(place) = self.place(index, partition) {
            *place = reached;
        }
    }

    /// Begins a round: what has come to each partition since the last one.
    async fn look(&mut self) -> Result<(), JobError> {
        (self.offsets_total, self.offsets_read) = (0, 0);
        let (mut todo, looks_at_held) = (Vec::new(), self.held.is_due());
        for index in 0..self.topics.len() {
            if let Some((name, count)) = self.is_there(index).await? {
                let stable = self.look_at(index, &name, count, &mut todo).await?;
                if looks_at_held {
                    self.held.look(&self.cluster, &stable).await.iter().for_each(Told::warn);
                }
            }
        }
        let offsets = todo.iter().map(|(_, _, range)| range.end.saturating_sub(range.start).max(0).unsigned_abs());
        self.offsets_total = offsets.sum();
        todo.reverse();
        self.todo = todo;
        Ok(())
    }

    /// The topic's name, and how many partitions it has; `None` where nobody knows it for the moment.
    async fn is_there(&mut self, index: usize) -> Result<Option<(Arc<str>, usize)>, JobError> {
        let Some(topic) = self.topics.get_mut(index) else { return Ok(None) };
        match self.cluster.topic(&topic.name).await {
            Ok(info) if info.topic_id != topic.id => {
                let (old, new) = (topic.id.to_string(), info.topic_id.to_string());
                Err(ClientError::Recreated { topic: topic.name.clone(), old, new }.into())
            }
            Ok(info) => {
                topic.gone = None;
                Ok(Some((topic.name.clone(), info.partitions.len())))
            }
            Err(ClientError::UnknownTopic { .. })
                if topic.gone.get_or_insert_with(Instant::now).elapsed() < self.patience =>
            {
                Ok(None)
            }
            Err(error @ ClientError::UnknownTopic { .. }) => {
                Err(JobError::Unfit(format!("{error}: rules look up in it, and it was there when the job began")))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What has come to a topic's partitions; gives where the committed data of each ends.
    async fn look_at(
        &mut self,
        index: usize,
        name: &Arc<str>,
        count: usize,
        todo: &mut Vec<(usize, TopicPartition, Range<i64>)>,
    ) -> Result<Vec<(TopicPartition, i64)>, JobError> {
        let Some(topic) = self.topics.get_mut(index) else { return Ok(Vec::new()) };
        let known = topic.places.len();
        let partitions: Vec<TopicPartition> = (0..i32::try_from(count.max(known)).unwrap_or(i32::MAX))
            .map(|partition| TopicPartition::new(name.clone(), partition))
            .collect();
        if let Some(new) = partitions.get(known..).filter(|new| !new.is_empty()) {
            let earliest = self.cluster.offsets(new, OffsetAt::Earliest).await?;
            topic.places.extend(earliest.into_iter().map(|next| Place { next, mark: None }));
        }
        let ends = self.cluster.offsets(&partitions, OffsetAt::LastStable).await?;
        let stable: Vec<_> = partitions.iter().cloned().zip(ends.iter().copied()).collect();
        for ((partition, &Place { next, .. }), end) in partitions.into_iter().zip(&topic.places).zip(ends) {
            if end < next {
                let since = *self.cut.entry(partition.clone()).or_insert_with(Instant::now);
                if since.elapsed() >= self.patience {
                    return Err(JobError::Unfit(format!(
                        "{partition} ends at offset {end} and was read up to {next}: its log was cut, and the table that rules look \
                         up in has more than it. Start again, to read it anew"
                    )));
                }
                continue;
            }
            self.cut.remove(&partition);
            if end > next {
                todo.push((index, partition, next..end));
            }
        }
        Ok(stable)
    }
}

/// While the table is read that only means that it was read a moment too late.
fn passed_over(is_following: bool, partition: &TopicPartition, from: i64, to: i64) {
    if is_following {
        tracing::warn!(%partition, from, to, "records were deleted before they could be read: what they said is not in the table that rules look up in");
    }
}

#[cold]
fn not_there(name: &str, rules: &Rules, hint: &str) -> JobError {
    let rule = rules.lookup_rules().into_iter().find(|one| one.topic == name);
    let rule = rule.map_or_else(String::new, |one| visible(rules.name(one.rule)));
    JobError::Refused(format!(
        "there is no topic {name}{hint}, which {rule} reads: name another one in the rules, or make it (kmerge topic create {name} \
         --config cleanup.policy=compact)"
    ))
}

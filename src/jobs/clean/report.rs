//! What became of the records, told underway and at the end.

use super::commit::InDoubt;
use super::files::Written;
use super::insights::{Board, Shown};
use super::lane::Lane;
use super::lookups::{self, LookupStand};
use super::tally::{GroupTally, Note, Tally};
use super::{CleanSettings, Rejects, topics};
use crate::base::place::TopicPartition;
use crate::base::text::visible;
use crate::base::units::{show_count, show_size};
use crate::client::Cluster;
use crate::formats::parquet::add_name;
use crate::observe::usage::Usage;
use crate::rules::{Counts, Rules};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the group may be asked for at the end.
const ASKED_WITHIN: Duration = Duration::from_secs(5);

/// What is committed so far by this run.
#[derive(Debug)]
pub(super) struct Done {
    tally: Tally,
    /// Records that came too late to be told duplicates for certain.
    late: u64,
    counts: Counts,
    /// What has not been told yet.
    untold: Counts,
    /// Where partitions stand by the commits of this run, and what became of all their records before.
    stands: BTreeMap<TopicPartition, (i64, Tally)>,
    files: Written,
    /// What of it has not been told yet.
    untold_in_rest: BTreeMap<String, u64>,
    pub(super) commits: u64,
    pub(super) doubts: u64,
    made: Vec<String>,
    pub(super) board: Board,
    /// What is held of topics that rules look up in, at the end.
    pub(super) lookups: Vec<LookupStand>,
    /// What was told of insights last.
    told: Vec<String>,
}

/// What became of the records.
#[derive(Debug)]
pub struct CleanReport {
    from: Vec<String>,
    to: Option<String>,
    parquet: Option<String>,
    grouped_to: Vec<String>,
    dead_letters: Option<String>,
    group: String,
    done: Done,
    of_group: Option<Tally>,
    seconds: f64,
}

impl Done {
    pub(super) fn new(rules: &Arc<Rules>, made: Vec<String>) -> Self {
        Self {
            tally: Tally::default(),
            late: 0,
            counts: Counts::default(),
            untold: Counts::default(),
            stands: BTreeMap::new(),
            files: Written::default(),
            untold_in_rest: BTreeMap::new(),
            commits: 0,
            doubts: 0,
            made,
            board: Board::new(rules),
            lookups: Vec::new(),
            told: Vec::new(),
        }
    }

    /// These are committed.
    pub(super) fn count(&mut self, committed: &InDoubt) {
        self.commits += 1;
        self.late += committed.late;
        self.tally.add(committed.tally);
        self.counts.add(&committed.counts);
        self.untold.add(&committed.counts);
        self.board.have_closed(&committed.closed);
        self.files.add(&committed.files);
        for (name, count) in &committed.files.in_rest {
            add_name(&mut self.untold_in_rest, name, *count);
        }
    }

    /// How far partitions are committed.
    pub(super) fn stands(&mut self, lanes: &BTreeMap<TopicPartition, Lane>) {
        for (partition, lane) in lanes {
            let now = (lane.committed, lane.counted);
            match self.stands.get_mut(partition) {
                Some(stands) => *stands = now,
                None => _ = self.stands.insert(partition.clone(), now),
            }
        }
    }

    /// Tells by count and field what was put in for what was missing, and what was refused, since the last time.
    pub(super) fn tell(&mut self) {
        let untold = std::mem::take(&mut self.untold);
        if !untold.defaulted.is_empty() {
            tracing::warn!(
                "missing or null, so the default was put in: {}",
                show(&untold.defaulted, |field| visible(field))
            );
        }
        if !untold.mended.is_empty() {
            tracing::warn!("failed, and was mended as the rule says: {}", show(&untold.mended, |rule| visible(rule)));
        }
        if let Some(lacking) = lookups::told(&untold) {
            tracing::warn!("not found where rules look up, so it was done as they say: {lacking}");
        }
        let in_rest = std::mem::take(&mut self.untold_in_rest);
        if !in_rest.is_empty() {
            tracing::warn!("no column, or does not fit it, so it stands in _rest: {}", show(&in_rest, Clone::clone));
        }
        let rejected = refusals(&untold);
        if !rejected.is_empty() {
            tracing::warn!("refused: {}", show(&rejected, Clone::clone));
        }
        if !untold.late_for_group.is_empty() {
            tracing::warn!("too late for groups: {}", show(&untold.late_for_group, |rule| visible(rule)));
        }
        if !untold.unfit.is_empty() {
            tracing::warn!("of the wrong type for aggregates: {}", show(&untold.unfit, |name| visible(name)));
        }
    }

    /// Tells what insights have counted, if that is not what was told last.
    pub(super) fn tell_insights(&mut self) {
        let lines: Vec<String> = self.board.shown().iter().flat_map(Shown::lines).collect();
        if lines != self.told {
            lines.iter().for_each(|line| tracing::info!("{line}"));
            self.told = lines;
        }
    }

    /// How many members open groups have, in partitions that this run has committed.
    fn in_open_groups(&self) -> u64 {
        self.stands.values().map(|(_, tally)| tally.grouped.open()).sum()
    }

    pub(super) fn report(self, settings: &CleanSettings, of_group: Option<Tally>, began: Instant) -> CleanReport {
        CleanReport {
            from: settings.from.clone(),
            to: settings.to.clone(),
            grouped_to: topics::of_groups(&settings.rules).0.into_iter().map(str::to_owned).collect(),
            parquet: settings.parquet.as_ref().map(|parquet| visible(&parquet.folder.to_string_lossy())),
            dead_letters: match &settings.rejects {
                Rejects::Letters(topic) => Some(topic.clone()),
                Rejects::Stop => None,
            },
            group: settings.group.group.to_string(),
            done: self,
            of_group,
            seconds: began.elapsed().as_secs_f64(),
        }
    }
}

/// By rule and class, those that no rule saw among them.
fn refusals(counts: &Counts) -> BTreeMap<String, u64> {
    let rejected =
        counts.rejected.iter().map(|((rule, class), count)| (format!("{} ({class})", visible(rule)), *count));
    let undecodable = counts.undecodable.iter().map(|(class, count)| (format!("undecodable ({class})"), *count));
    rejected.chain(undecodable).collect()
}

/// What became of records in groups, of which so many have open ones.
fn groups(grouped: GroupTally, open: u64) -> String {
    let GroupTally { offered, closed, late, lost, records } = grouped;
    let lost = if lost > 0 { format!(", {} lost", show_count(lost)) } else { String::new() };
    format!(
        "{} records offered, {} in {} groups that went out, {} in open ones, {} late{lost}",
        show_count(offered),
        show_count(closed),
        show_count(records),
        show_count(open),
        show_count(late)
    )
}

fn show(counts: &BTreeMap<String, u64>, name: impl Fn(&String) -> String) -> String {
    let shown: Vec<String> =
        counts.iter().map(|(key, count)| format!("{} {}", name(key), show_count(*count))).collect();
    shown.join(", ")
}

impl CleanReport {
    pub(super) fn of_nothing(settings: &CleanSettings, began: Instant) -> Self {
        Done::new(&settings.rules, Vec::new()).report(settings, None, began)
    }

    /// What all members have done so far, by the notes beside the group's offsets; `None` where the cluster does not tell.
    pub(super) async fn of_group(cluster: &Cluster, settings: &CleanSettings, done: &Done) -> Option<Tally> {
        let asked = tokio::time::timeout(ASKED_WITHIN, cluster.group_offsets(&settings.group.group)).await;
        let offsets = asked.ok()?.ok()?;
        let is_read = |partition: &TopicPartition| settings.from.iter().any(|from| **from == *partition.topic);
        let mut tallies: BTreeMap<&TopicPartition, (i64, Tally)> = offsets
            .iter()
            .filter(|(partition, _)| is_read(partition))
            .map(|(partition, told)| (partition, (told.offset, Note::read(&told.metadata, told.offset).tally)))
            .collect();
        // A commit is decided a moment before it is told: what we know ourselves may be newer.
        for (partition, stands) in &done.stands {
            let told = tallies.entry(partition).or_insert(*stands);
            if told.0 <= stands.0 {
                *told = *stands;
            }
        }
        Some(tallies.values().fold(Tally::default(), |sum, (_, tally)| sum.plus(*tally)))
    }

    /// What became of the records of this run.
    pub fn tally(&self) -> Tally {
        self.done.tally
    }

    /// Whether there is anything to tell.
    pub fn has_begun(&self) -> bool {
        self.of_group.is_some() || self.done.commits > 0
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        let Done { tally, counts, stands, files, commits, doubts, made, .. } = &self.done;
        let usage = Usage::now();
        let mut report = Map::new();
        let mut put = |name: &str, value: Value| report.insert(name.to_owned(), value);
        put("from", json!(self.from));
        put("to", json!(self.to));
        put("grouped_to", json!(self.grouped_to));
        let parquet = self.parquet.as_ref().map(|folder| {
            json!({ "folder": folder, "files": files.files, "rows": files.rows, "bytes": files.bytes, "in_rest": files.in_rest })
        });
        put("parquet", json!(parquet));
        put("dead_letters", json!(self.dead_letters));
        put("group", json!(self.group));
        put("made", json!(made));
        for (name, value) in tally.to_json().as_object().into_iter().flatten() {
            put(name, value.clone());
        }
        put("grouped", tally.grouped.to_json(self.done.in_open_groups()));
        put("late_by_group", json!(counts.late_for_group));
        put("unfit", json!(counts.unfit));
        let insights = self.done.board.shown();
        put("insights", insights.iter().map(Shown::to_json).collect());
        put("defaulted", json!(counts.defaulted));
        put("mended", json!(counts.mended));
        put("lookups", lookups::rules_json(counts));
        put("lookup_topics", lookups::topics_json(&self.done.lookups));
        put("filtered_by_rule", json!(counts.filtered));
        let rejected = counts.rejected.iter();
        let rejected =
            rejected.map(|((rule, class), count)| json!({ "rule": rule, "class": class.name(), "count": count }));
        put("rejected_by_rule", rejected.collect());
        let undecodable = counts.undecodable.iter().map(|(class, count)| (class.name().to_owned(), json!(count)));
        put("undecodable", Value::Object(undecodable.collect()));
        put("group_total", self.of_group.map_or(Value::Null, Tally::to_json));
        let stands = stands.iter().map(
            |(one, (position, _))| json!({ "topic": *one.topic, "partition": one.partition, "committed": position }),
        );
        put("late", json!(self.done.late));
        put("partitions", stands.collect());
        put("commits", json!(commits));
        put("doubts", json!(doubts));
        put("seconds", json!(self.seconds));
        put("records_per_second", json!(self.rate().round()));
        put("cpu_seconds", json!(usage.cpu_seconds));
        put("peak_memory_bytes", json!(usage.peak_memory_bytes));
        Value::Object(report)
    }

    /// The report for people.
    pub fn summary(&self) -> String {
        let Done { tally, counts, files, made, .. } = &self.done;
        let mut text = String::new();
        if !made.is_empty() {
            let _ = writeln!(text, "made {}", made.join(", "));
        }
        let letters = self.dead_letters.as_ref().map(|topic| format!(" to {topic}")).unwrap_or_default();
        let _ = writeln!(
            text,
            "{} records in {:.2} s ({} records/s): {} to {}, {} filtered, {} duplicates, {} refused{letters}",
            show_count(tally.read),
            self.seconds,
            show_count(self.rate() as u64),
            show_count(tally.out),
            self.to.as_ref().or(self.parquet.as_ref()).map_or("groups only", String::as_str),
            show_count(tally.filtered),
            show_count(tally.deduplicated),
            show_count(tally.rejected),
        );
        if let Some(folder) = &self.parquet {
            let (count, size) = (show_count(files.files), show_size(files.bytes));
            let _ = writeln!(text, "{count} files of {size} in {folder}");
            if !files.in_rest.is_empty() {
                let _ =
                    writeln!(text, "in _rest, for want of a column that fits: {}", show(&files.in_rest, Clone::clone));
            }
        }
        if !self.grouped_to.is_empty() {
            let grouped = groups(tally.grouped, self.done.in_open_groups());
            let _ = writeln!(text, "groups to {}: {grouped}", self.grouped_to.join(", "));
        }
        for line in self.done.board.shown().iter().flat_map(Shown::lines) {
            let _ = writeln!(text, "{line}");
        }
        if !counts.unfit.is_empty() {
            let _ = writeln!(text, "of the wrong type for aggregates: {}", show(&counts.unfit, |name| visible(name)));
        }
        if !counts.defaulted.is_empty() {
            let _ = writeln!(text, "defaults put in: {}", show(&counts.defaulted, |field| visible(field)));
        }
        for line in lookups::show(&self.done.lookups, counts) {
            let _ = writeln!(text, "{line}");
        }
        let rejected = refusals(counts);
        if !rejected.is_empty() {
            let _ = writeln!(text, "refused: {}", show(&rejected, Clone::clone));
        }
        if let Some(all) = self.of_group.filter(|all| all != tally) {
            let _ = writeln!(
                text,
                "the group {} so far: {} records, {} out, {} filtered, {} duplicates, {} refused",
                self.group,
                show_count(all.read),
                show_count(all.out),
                show_count(all.filtered),
                show_count(all.deduplicated),
                show_count(all.rejected)
            );
            if all.grouped.offered > 0 {
                let _ = writeln!(text, "its groups so far: {}", groups(all.grouped, all.grouped.open()));
            }
        }
        text
    }

    fn rate(&self) -> f64 {
        self.done.tally.read as f64 / self.seconds.max(1e-9)
    }
}

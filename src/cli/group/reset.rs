//! `kmerge group reset`: what was typed, and what is shown of it.

use crate::cli::context::Context;
use crate::cli::table::{Table, counted};
use clap::{ArgGroup, Args};
use kmerge::base::clock::now_ms;
use kmerge::base::text::visible;
use kmerge::base::time::parse_rfc3339;
use kmerge::base::units::parse_duration;
use kmerge::client::Cluster;
use kmerge::jobs::groups::reset::{self, Scope, Target};
use serde_json::{Value, json};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  kmerge group reset readers --all-topics --to-earliest
      a dry run: what would be set
  kmerge group reset readers --topic events --to-datetime 2026-05-17T12:00:00Z --execute
  kmerge group reset readers --topic events:0,3-5 --shift-by -100 --execute
  kmerge group reset readers --topic events --by-duration 2h --execute

Only while nobody is in the group. What lies outside the log becomes its start or its end, and that is said. Times without a \
zone are UTC; durations are 2h, 90m, 7d or P1DT2H. A group that is not there is made.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
#[command(group = one_of("target", &[
    "to_earliest", "to_latest", "to_offset", "to_datetime", "by_duration", "shift_by", "to_current",
]))]
#[command(group = one_of("scope", &["topics", "all_topics"]))]
#[command(group = one_of("name_of", &["name", "group"]))]
pub(super) struct ResetArgs {
    /// The group.
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// The group, as a flag.
    #[arg(short, long, value_name = "NAME")]
    group: Option<String>,

    /// A topic, or some of its partitions: events, events:0, events:0,3-5 (repeatable).
    #[arg(short, long = "topic", value_name = "TOPIC[:LIST]", value_parser = parse_scope)]
    topics: Vec<(String, Vec<i32>)>,

    /// All partitions that the group has offsets of.
    #[arg(long)]
    all_topics: bool,

    /// To the first record that is still there.
    #[arg(long)]
    to_earliest: bool,

    /// To the end.
    #[arg(long)]
    to_latest: bool,

    /// To this offset.
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,

    /// To the first record at or after this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to_datetime: Option<i64>,

    /// To the first record at or after the time that long ago.
    #[arg(long, value_name = "DURATION", value_parser = parse_ago)]
    by_duration: Option<Duration>,

    /// On by so many offsets, or back if it is below zero.
    #[arg(long, value_name = "N")]
    shift_by: Option<i64>,

    /// To where it is; to the end where it has no offset.
    #[arg(long)]
    to_current: bool,

    /// Set the offsets, do not only show them.
    #[arg(long)]
    execute: bool,

    /// Only show what would be set: the default.
    #[arg(long, conflicts_with = "execute")]
    dry_run: bool,
}

/// Exactly one of these must be typed.
fn one_of(id: &'static str, args: &[&'static str]) -> ArgGroup {
    ArgGroup::new(id).args(args.iter().copied()).required(true)
}

impl ResetArgs {
    /// clap has seen to it that there is one.
    fn target(&self) -> Target {
        let ago = |time: Duration| now_ms().saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)).max(0);
        match (self.to_offset, self.to_datetime, self.by_duration, self.shift_by) {
            (Some(offset), ..) => Target::Offset(offset),
            (_, Some(time), ..) => Target::Time(time),
            (_, _, Some(time), _) => Target::Time(ago(time)),
            (.., Some(by)) => Target::Shift(by),
            _ if self.to_earliest => Target::Earliest,
            _ if self.to_latest => Target::Latest,
            _ => Target::Current,
        }
    }

    pub(super) async fn run(self, cluster: &Cluster, cx: &Context) -> anyhow::Result<()> {
        let group = self.name.as_deref().or(self.group.as_deref()).unwrap_or_default();
        reset::check_idle(cluster, group).await?;
        let scope = if self.all_topics { Scope::Committed } else { Scope::Topics(self.topics.clone()) };
        let changes = reset::plan(cluster, group, &scope, self.target()).await?;
        for one in &changes {
            if let Some(asked) = one.asked {
                cx.say(&format!("{}: the log does not have offset {asked}, {} is taken", one.partition, one.to));
            }
        }
        if self.execute {
            reset::carry_out(cluster, group, &changes).await?;
        }
        let mut table = Table::new(2, &["GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "NEW-OFFSET"]);
        let mut list: Vec<Value> = Vec::new();
        for one in &changes {
            let (topic, partition) = (one.partition.topic.to_string(), one.partition.partition);
            let current = one.from.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
            table.row([group.to_owned(), topic.clone(), partition.to_string(), current, one.to.to_string()]);
            list.push(json!({
                "topic": topic, "partition": partition, "current_offset": one.from, "new_offset": one.to,
            }));
        }
        cx.print_table(&table, &json!({ "group": group, "executed": self.execute, "partitions": list }))?;
        let what = counted(changes.len(), "offset");
        cx.say(&match self.execute {
            true => format!("{what} of group {} set", visible(group)),
            false => {
                format!("{what} of group {} would be set; nothing was changed: --execute sets them", visible(group))
            }
        });
        Ok(())
    }
}

/// `events`, `events:0`, `events:0,3-5`.
fn parse_scope(text: &str) -> Result<(String, Vec<i32>), String> {
    let Some((topic, list)) = text.rsplit_once(':') else { return Ok((text.to_owned(), Vec::new())) };
    let wrong = || format!("{list:?} is no list of partitions: write it like events:0,3-5");
    let number = |text: &str| text.parse::<i32>().ok().filter(|number| *number >= 0);
    let mut partitions = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = number(first).zip(number(last)).ok_or_else(wrong)?;
        // A range is a claim too: no topic has more partitions than this.
        if first > last || last - first > 1_000_000 {
            return Err(wrong());
        }
        partitions.extend(first..=last);
    }
    Ok((topic.to_owned(), partitions))
}

/// A time in RFC 3339; without a zone, as Kafka's tool takes it, UTC is meant.
fn parse_time(text: &str) -> Result<i64, String> {
    use kmerge::base::time::TimeError;
    let time = match parse_rfc3339(text.as_bytes()) {
        Err(TimeError::NoOffset) => parse_rfc3339(format!("{text}Z").as_bytes()),
        time => time,
    };
    time.map(kmerge::base::time::Time::epoch_ms_ceil).map_err(|error| error.to_string())
}

/// `2h`, or a duration of ISO 8601 such as `P1DT2H30M`.
fn parse_ago(text: &str) -> Result<Duration, String> {
    let Some(rest) = text.strip_prefix('P') else { return parse_duration(text) };
    let wrong = || format!("{text:?} is no duration: write it like 2h, 7d or P1DT2H30M");
    let (days, clock) = rest.split_once('T').map_or((rest, None), |(days, clock)| (days, Some(clock)));
    let mut seconds = 0_u64;
    let mut found = false;
    for (mut part, units) in
        [(days, &[('W', 604_800), ('D', 86_400)][..]), (clock.unwrap_or(""), &[('H', 3_600), ('M', 60), ('S', 1)])]
    {
        for (letter, unit_seconds) in units {
            let Some((number, after)) = part.split_once(*letter) else { continue };
            let number: u64 = number.parse().map_err(|_| wrong())?;
            seconds = number.checked_mul(*unit_seconds).and_then(|it| seconds.checked_add(it)).ok_or_else(wrong)?;
            (part, found) = (after, true);
        }
        if !part.is_empty() {
            return Err(wrong());
        }
    }
    if found && clock != Some("") { Ok(Duration::from_secs(seconds)) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_a_topic_or_some_of_its_partitions() {
        assert_eq!(parse_scope("events"), Ok(("events".into(), vec![])));
        assert_eq!(parse_scope("events:0,3-5"), Ok(("events".into(), vec![0, 3, 4, 5])));
        for wrong in ["events:", "events:a", "events:5-3", "events:-1", "events:0-2147483647", "e:1,,2"] {
            assert!(parse_scope(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_ours_or_those_of_iso_8601() {
        let seconds = |text: &str| parse_ago(text).map(|time| time.as_secs());
        assert_eq!((seconds("2h"), seconds("P1DT2H30M")), (Ok(7_200), Ok(86_400 + 9_000)));
        assert_eq!((seconds("PT5S"), seconds("P2W"), seconds("P7D")), (Ok(5), Ok(1_209_600), Ok(604_800)));
        for wrong in ["P", "PT", "P1", "P1H", "PT1D", "P1DT", "PT1.5S", "P-1D", "P99999999999999999999D", "soon"] {
            assert!(parse_ago(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_utc() {
        assert_eq!(parse_time("2024-05-17T12:00:00"), parse_time("2024-05-17T12:00:00Z"));
        assert_eq!(parse_time("2024-05-17T14:00:00.000+02:00"), parse_time("2024-05-17T12:00:00.000"));
        assert!(parse_time("yesterday").is_err());
    }
}

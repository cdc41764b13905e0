//! `kmerge monitor`: what a cluster does, once or again and again, on the terminal and for Prometheus.

mod served;

use super::context::Context;
use super::exit::UsageError;
use super::global::OutputForm;
use super::metrics::serve_at;
use super::output::{self, ClosedPipe, write_stdout};
use super::table::Table;
use clap::Args;
use kmerge::base::kind::Kind;
use kmerge::base::pattern::Pattern;
use kmerge::base::units::parse_duration;
use kmerge::jobs::error::JobError;
use kmerge::jobs::monitor::{FLAT_COLUMNS, GROUP_COLUMNS, Monitor, MonitorSettings, TOPIC_COLUMNS, View};
use kmerge::observe::http::parse_listen;
use served::Served;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  kmerge monitor
      two looks, two seconds apart, and what happened in between
  kmerge monitor --watch --topic 'orders*' --group billing
  kmerge monitor --watch --top 10
  kmerge monitor --watch --output csv >> cluster.csv
      a row for each broker, topic and group, every two seconds
  kmerge monitor --listen 9308 --interval 15s
      for Prometheus, under the names of kafka_exporter and some more; only this machine can reach it
  kmerge monitor --output json | jq '.groups[] | {group, topics}'

What is told:
  - MESSAGES/S is how far the ends of a topic's partitions moved, a second. Transaction markers take offsets, so they count. Of a \
    group it is how far its committed offsets moved.
  - BYTES/S is how far the leaders' logs grew on their disks, a second, as compressed as they are. A log that shrank, or whose \
    start moved (retention), or that another broker leads now, is a gap: it is not counted, and no rate is negative.
  - LAG is how many offsets a group's committed offset lies below the end; LAG-SECONDS how old the record is that the group reads \
    next: this machine's clock less the record's timestamp.
  - HELD-BACK is for how long a transaction that is open has kept readers of committed records from reading on, in the partition \
    where that is longest. Whose it is is told once it did so in two looks.
  - `-` is what was not told; why, stands above the tables. A broker that does not answer leaves gaps, no more.

A cluster that is away is waited for with --watch and --listen, and that is said; without them it ends with status 3. With \
--listen /ready answers 200 while the last look succeeded and is fresh, and /metrics has nothing about a cluster that is away.

Metrics beside those of kafka_exporter: kafka_consumergroup_lag_seconds, kafka_topic_partition_bytes_in_total, \
kafka_topic_partition_log_bytes, kafka_topic_partition_last_stable_offset, kafka_topic_partition_leaderless, \
kafka_topic_partition_open_transaction_seconds, kafka_broker_log_bytes, kmerge_monitor_up.";

/// Watch a cluster: rates, lag, what holds readers back; on the terminal and for Prometheus.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct MonitorArgs {
    /// These topics only, and what groups read of them: names, or patterns with * and ? (repeatable, or separated by commas). All
    /// but Kafka's own, if absent.
    #[arg(short, long = "topic", value_name = "PATTERN", value_delimiter = ',')]
    topics: Vec<Pattern>,

    /// These groups only. All, if absent.
    #[arg(short, long = "group", value_name = "PATTERN", value_delimiter = ',')]
    groups: Vec<Pattern>,

    /// In the tables for people no more than so many rows: the topics that grow fastest, the groups that lag most. All, by name,
    /// if absent.
    #[arg(long, value_name = "COUNT")]
    top: Option<usize>,

    /// From one look to the next.
    #[arg(short, long, value_name = "TIME", default_value = "2s", value_parser = parse_interval)]
    interval: Duration,

    /// Look again and again, until Ctrl-C: on a terminal in place, into a pipe one after the other.
    #[arg(short, long)]
    watch: bool,

    /// Serve /metrics, /ping, /ready, and / for people, at HOST:PORT, or at a port of this machine alone; until Ctrl-C.
    #[arg(short, long, value_name = "ADDR", value_parser = parse_listen)]
    listen: Option<String>,
}

/// Questions are not asked faster than they can be answered.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

fn parse_interval(text: &str) -> Result<Duration, String> {
    parse_duration(text).and_then(|time| if time < INTERVAL_MIN { Err("100ms at least".to_owned()) } else { Ok(time) })
}

/// How long a question of a look may take where there will be another look, unless --timeout or --interval says otherwise.
const PATIENCE_MIN: Duration = Duration::from_secs(3);

impl MonitorArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let brokers = cx.brokers()?;
        if self.listen.is_some() && !self.watch && cx.global.output != OutputForm::Text {
            return Err(UsageError::new("--output is for what --watch prints; --listen alone prints nothing").into());
        }
        let lasting = self.watch || self.listen.is_some();
        let watch = self.watch;
        let work = async {
            match lasting {
                true => self.watch(cx, &brokers).await,
                false => self.once(cx, &brokers).await,
            }
        };
        tokio::select! {
            biased;
            signal = cx.shutdown.wait() => Err(JobError::Interrupted(signal).into()),
            () = output::reader_gone(), if watch => Err(ClosedPipe.into()),
            result = work => result,
        }
    }

    fn settings(&self) -> MonitorSettings {
        MonitorSettings { topics: self.topics.clone(), groups: self.groups.clone() }
    }

    /// Two looks.
    async fn once(&self, cx: &Context, brokers: &[String]) -> anyhow::Result<()> {
        let mut monitor = Monitor::connect(self.settings(), brokers, cx.global.timeout).await?;
        let first = monitor.look().await?;
        monitor.check_names(&first)?;
        tokio::time::sleep(self.interval).await;
        let view = monitor.look().await?;
        Shown { top: self.top, ..Shown::default() }.show(cx, &view).await
    }

    /// One look after the other.
    async fn watch(&self, cx: &Context, brokers: &[String]) -> anyhow::Result<()> {
        let served = Served::new(self.interval, self.top);
        let _serving = match &self.listen {
            Some(address) => Some(serve_at(cx, "--listen", address, served.pages()).await?),
            None => None,
        };
        let timeout = cx.global.timeout.min(self.interval.max(PATIENCE_MIN));
        let mut monitor = None;
        let mut shown = Shown { top: self.top, ..Shown::default() };
        let mut outage: Option<(Instant, String)> = None;
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let began = Instant::now();
            let looked = match &mut monitor {
                Some(monitor) => look(monitor).await,
                None => match Monitor::connect(self.settings(), brokers, timeout).await {
                    Ok(connected) => look(monitor.insert(connected)).await,
                    Err(error) => Err(error.into()),
                },
            };
            served.looked(&looked, began.elapsed());
            match looked {
                Ok(view) => {
                    if let Some((since, _)) = outage.take() {
                        cx.say(&format!("the cluster answers again, after {:.0} s", since.elapsed().as_secs_f64()));
                    }
                    if !shown.begun
                        && let Some(Err(error)) = monitor.as_ref().map(|monitor| monitor.check_names(&view))
                    {
                        cx.say(&format!("{error}; waiting for it"));
                    }
                    shown.begun = true;
                    if self.watch {
                        shown.show(cx, &view).await?;
                    }
                }
                Err(error) if error.kind() == Kind::Unreachable => {
                    let text = error.to_string();
                    let since = outage.as_ref().map_or_else(Instant::now, |(since, _)| *since);
                    // The same again would scroll away what it said before.
                    if outage.is_none() {
                        cx.say(&format!("the cluster is away: {text}; waiting for it"));
                    }
                    outage = Some((since, text));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

async fn look(monitor: &mut Monitor) -> Result<View, JobError> {
    monitor.look().await
}

/// What was put out so far, and how.
#[derive(Debug, Default)]
struct Shown {
    top: Option<usize>,
    begun: bool,
    printed: bool,
}

impl Shown {
    async fn show(&mut self, cx: &Context, view: &View) -> anyhow::Result<()> {
        let text = match cx.global.output {
            OutputForm::Json => format!("{}\n", view.to_json()),
            OutputForm::Csv => {
                let mut table = Table::new(0, &FLAT_COLUMNS);
                view.flat_rows().into_iter().for_each(|row| table.row(row));
                let csv = table.csv();
                match self.printed {
                    true => csv.split_once('\n').map_or_else(String::new, |(_, rows)| rows.to_owned()),
                    false => csv,
                }
            }
            OutputForm::Text => {
                let text = for_people(view, self.top);
                match (std::io::stdout().is_terminal() && self.begun, self.printed) {
                    (true, _) => in_place(&text),
                    (false, true) => format!("\n{text}"),
                    (false, false) => text,
                }
            }
        };
        self.printed = true;
        // On a thread of its own: a pipe that nobody empties blocks it, and a signal is to be heard all the same.
        tokio::task::spawn_blocking(move || write_stdout(&text)).await?
    }
}

fn for_people(view: &View, top: Option<usize>) -> String {
    let mut text = view.summary();
    let mut table = Table::new(1, &TOPIC_COLUMNS);
    view.topic_rows(top).into_iter().for_each(|row| table.row(row));
    text += &format!("\n{}", table.text());
    let rows = view.group_rows(top);
    if !rows.is_empty() {
        let mut table = Table::new(3, &GROUP_COLUMNS);
        rows.into_iter().for_each(|row| table.row(row));
        text += &format!("\n{}", table.text());
    }
    text
}

/// Over what the terminal shows: from the top, each line to its end, and nothing below.
fn in_place(text: &str) -> String {
    format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_without_a_pause_is_refused() {
        assert_eq!(parse_interval("100ms"), Ok(INTERVAL_MIN));
        assert!(parse_interval("0s").is_err() && parse_interval("99ms").is_err());
    }
}

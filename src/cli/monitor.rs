//! `kmerge monitor`: what a cluster does, once or again and again, on the terminal and for Prometheus.

use super::context::Context;
use super::exit::UsageError;
use super::global::OutputForm;
use super::metrics::{Serving, serve_at};
use super::output::{self, ClosedPipe, write_stdout};
use super::table::Table;
use clap::Args;
use kmerge::base::kind::Kind;
use kmerge::base::pattern::Pattern;
use kmerge::base::units::parse_duration;
use kmerge::jobs::error::JobError;
use kmerge::jobs::monitor::{self, FLAT_COLUMNS, GROUP_COLUMNS, Monitor, MonitorSettings, TOPIC_COLUMNS, View};
use kmerge::observe::exposition::{Exposition, Sort};
use kmerge::observe::http::{parse_listen, usual_pages};
use kmerge::observe::metrics::Process;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  kmerge monitor
      two looks, two seconds apart, and what happened in between
  kmerge monitor --watch --topic 'orders*' --group billing
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

    /// From one look to the next.
    #[arg(short, long, value_name = "TIME", default_value = "2s", value_parser = parse_interval)]
    interval: Duration,

    /// Look again and again, until Ctrl-C: on a terminal in place, into a pipe one after the other.
    #[arg(short, long)]
    watch: bool,

    /// Serve /metrics, /ping and /ready at HOST:PORT, or at a port of this machine alone; until Ctrl-C.
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
        Shown::default().show(cx, &view)
    }

    /// One look after the other.
    async fn watch(&self, cx: &Context, brokers: &[String]) -> anyhow::Result<()> {
        let process = Process::starting();
        let served = Arc::new(Mutex::new(Served::waiting(page(&process, None))));
        let _serving = match &self.listen {
            Some(address) => Some(self.serve(cx, address, served.clone()).await?),
            None => None,
        };
        let timeout = cx.global.timeout.min(self.interval.max(PATIENCE_MIN));
        let mut monitor = None;
        let mut shown = Shown::default();
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
            let took = began.elapsed();
            let served_now = match &looked {
                Ok(view) => Served::view(page(&process, Some((view, took))), took),
                Err(error) => Served::away(page(&process, None), error),
            };
            *served.lock().unwrap_or_else(PoisonError::into_inner) = served_now;
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
                        shown.show(cx, &view)?;
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

    async fn serve(&self, cx: &Context, address: &str, served: Arc<Mutex<Served>>) -> anyhow::Result<Serving> {
        let interval = self.interval;
        let also = served.clone();
        let lock = |served: &Arc<Mutex<Served>>| served.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let pages = usual_pages(move || lock(&served).page, move || lock(&also).is_fresh(interval));
        serve_at(cx, "--listen", address, pages).await
    }
}

async fn look(monitor: &mut Monitor) -> Result<View, JobError> {
    monitor.look().await
}

/// What is served until the next look has ended.
#[derive(Debug, Clone)]
struct Served {
    page: Arc<str>,
    /// When the look ended and how long it took, or why there is none.
    look: Result<(Instant, Duration), String>,
}

impl Served {
    fn waiting(page: String) -> Self {
        Self { page: page.into(), look: Err("no look has ended yet".to_owned()) }
    }

    fn view(page: String, took: Duration) -> Self {
        Self { page: page.into(), look: Ok((Instant::now(), took)) }
    }

    fn away(page: String, error: &JobError) -> Self {
        Self { page: page.into(), look: Err(error.to_string()) }
    }

    /// Whether it is what a look every `interval` would have found by now.
    fn is_fresh(&self, interval: Duration) -> Result<(), String> {
        let (ended, took) = self.look.clone()?;
        let age = ended.elapsed();
        match age > 3 * interval.max(took) {
            true => Err(format!("the last look ended {:.0} s ago", age.as_secs_f64())),
            false => Ok(()),
        }
    }
}

/// The page of a look; of a cluster that is away, only that it is.
fn page(process: &Process, view: Option<(&View, Duration)>) -> String {
    let mut text = Exposition::default();
    process.put(&mut text);
    text.family("kmerge_monitor_up", Sort::Gauge, "1 if the last look at the cluster succeeded.")
        .count(&[], view.is_some().into());
    if let Some((view, took)) = view {
        text.family("kmerge_monitor_look_seconds", Sort::Gauge, "How long the last look took.")
            .sample(&[], took.as_secs_f64());
        text.family("kmerge_monitor_look_timestamp_seconds", Sort::Gauge, "When it was, in seconds since 1970.")
            .sample(&[], view.snapshot.now_ms as f64 / 1000.0);
        text.family("kmerge_monitor_not_known", Sort::Gauge, "Reasons why something was not told in the last look.")
            .count(&[], view.snapshot.problems.len() as u64);
        monitor::exposition(&mut text, view);
    }
    text.finish()
}

/// What was put out so far.
#[derive(Debug, Default)]
struct Shown {
    begun: bool,
    printed: bool,
}

impl Shown {
    fn show(&mut self, cx: &Context, view: &View) -> anyhow::Result<()> {
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
                let text = for_people(view);
                match (std::io::stdout().is_terminal() && self.begun, self.printed) {
                    (true, _) => in_place(&text),
                    (false, true) => format!("\n{text}"),
                    (false, false) => text,
                }
            }
        };
        self.printed = true;
        write_stdout(&text)
    }
}

fn for_people(view: &View) -> String {
    let mut text = view.summary();
    let mut table = Table::new(1, &TOPIC_COLUMNS);
    view.topic_rows().into_iter().for_each(|row| table.row(row));
    text += &format!("\n{}", table.text());
    let rows = view.group_rows();
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
    fn a_look_is_fresh_for_as_long_as_three_would_take() {
        let interval = Duration::from_secs(60);
        assert!(Served::waiting(String::new()).is_fresh(interval).is_err());
        assert!(Served::view(String::new(), Duration::ZERO).is_fresh(interval).is_ok());
        assert!(Served::view(String::new(), Duration::ZERO).is_fresh(Duration::ZERO).is_err());
        let away = JobError::Refused("away".to_owned());
        assert_eq!(Served::away(String::new(), &away).is_fresh(interval), Err("away".to_owned()));
    }

    #[test]
    fn looking_without_a_pause_is_refused() {
        assert_eq!(parse_interval("100ms"), Ok(INTERVAL_MIN));
        assert!(parse_interval("0s").is_err() && parse_interval("99ms").is_err());
    }
}

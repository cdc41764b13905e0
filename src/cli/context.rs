//! What every command runs in: the checked global settings, the wish to stop, the progress counters.

use super::exit::UsageError;
use super::global::{self, Global};
use super::output;
use super::progress::Shown;
use super::table::Table;
use kmerge::base::shutdown::{Shutdown, Signal};
use kmerge::jobs::JobContext;
use kmerge::observe::progress::Progress;

pub struct Context {
    pub global: Global,
    /// Raised by Ctrl-C and SIGTERM.
    pub shutdown: Shutdown,
    /// Moved by the job, shown by [`Context::show_progress`].
    pub progress: Progress,
    /// Whether others on this machine come first.
    gives_way: bool,
}

impl Context {
    pub fn new(global: Global, gives_way: bool) -> anyhow::Result<Self> {
        let shutdown = Shutdown::default();
        listen_for_signals(shutdown.clone());
        Ok(Self { global, shutdown, progress: Progress::default(), gives_way })
    }

    /// The bootstrap addresses: `--brokers`, KMERGE_BROKERS or KAFKA_BOOTSTRAP_SERVERS.
    pub fn brokers(&self) -> anyhow::Result<Vec<String>> {
        let Some(list) = self.brokers_if_any() else {
            return Err(UsageError::new(
                "no broker address: give --brokers HOST:PORT or set KMERGE_BROKERS (to try things without a cluster: \
                 kmerge demo, or kmerge broker)",
            )
            .into());
        };
        Ok(list)
    }

    /// The same, where a command can do without.
    pub fn brokers_if_any(&self) -> Option<Vec<String>> {
        Some(self.global.brokers()).filter(|list| !list.is_empty())
    }

    /// What a job on the cluster runs in.
    pub fn job(&self) -> anyhow::Result<JobContext> {
        Ok(self.job_on(self.brokers()?))
    }

    /// What a job runs in, on a cluster that the command itself knows.
    pub fn job_on(&self, brokers: Vec<String>) -> JobContext {
        JobContext {
            brokers_in_environment: brokers == global::addresses(std::env::var("KMERGE_BROKERS").ok()),
            brokers,
            timeout: self.global.timeout,
            shutdown: self.shutdown.clone(),
            progress: self.progress.clone(),
            phases: Default::default(),
            gives_way: self.gives_way,
        }
    }

    /// Tells on stderr, unless --quiet.
    pub fn say(&self, text: &str) {
        output::say(&self.global, text);
    }

    /// Shows the progress counters until the guard is dropped.
    pub fn show_progress(&self) -> Shown {
        Shown::start(self.progress.clone(), &self.global)
    }

    /// Ends a job: the summary on stderr (unless --quiet), the report as one JSON object on stdout (if --output json).
    pub fn finish(&self, summary: &str, report: &serde_json::Value) -> anyhow::Result<()> {
        output::finish(&self.global, summary, report)
    }

    /// Data on stdout: `text` for people or `json` as one line, whichever was asked for.
    pub fn print(&self, text: &str, json: &serde_json::Value) -> anyhow::Result<()> {
        output::print(&self.global, text, json)
    }

    /// A table on stdout: for people, as CSV, or `json` as one line.
    pub fn print_table(&self, table: &Table, json: &serde_json::Value) -> anyhow::Result<()> {
        output::print_table(&self.global, &table.text(), table, json)
    }

    /// The same where people are shown more than the table.
    pub fn print_table_as(&self, text: &str, table: &Table, json: &serde_json::Value) -> anyhow::Result<()> {
        output::print_table(&self.global, text, table, json)
    }
}

/// The first signal asks the job to stop, the second one leaves at once. From the return on no signal ends us unasked, whenever
/// the task that waits for them first gets to run.
fn listen_for_signals(shutdown: Shutdown) {
    let Ok(mut signals) = Signals::new() else { return };
    tokio::spawn(async move {
        loop {
            let signal = signals.next().await;
            if shutdown.requested().is_some() {
                std::process::exit(super::exit::of_signal(signal).into());
            }
            shutdown.request(signal);
        }
    });
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }
}

//! Shows how far a job is: a bar on a terminal, otherwise a log line every ten seconds.

use super::global::{Global, ProgressWhen};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kmerge::base::units::{show_count, show_size};
use kmerge::observe::progress::{Progress, Snapshot};
use std::io::IsTerminal as _;
use std::time::Duration;

const REDRAW: Duration = Duration::from_millis(100);
const LOG_EVERY: Duration = Duration::from_secs(10);
/// Where it is known how many records there will be, and where it is not.
const WITH_END: &str = "{prefix} [{bar:30}] {percent:>3}% {msg}";
const WITHOUT_END: &str = "{prefix} {pos} records, {msg}";

/// Shows until it is dropped.
pub struct Shown {
    task: Option<tokio::task::JoinHandle<()>>,
    bar: Option<ProgressBar>,
}

impl Shown {
    pub fn start(progress: Progress, global: &Global) -> Self {
        let draw = match global.progress {
            _ if global.quiet => return Self { task: None, bar: None },
            ProgressWhen::Never => return Self { task: None, bar: None },
            ProgressWhen::Always => true,
            ProgressWhen::Auto => std::io::stderr().is_terminal(),
        };
        if !draw {
            return Self { task: Some(tokio::spawn(log_lines(progress))), bar: None };
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(WITH_END) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { task: Some(tokio::spawn(draw_bar(progress, bar.clone()))), bar: Some(bar) }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

async fn draw_bar(progress: Progress, bar: ProgressBar) {
    let mut has_end = true;
    loop {
        let now = progress.snapshot();
        if has_end != (now.records_total > 0) {
            has_end = !has_end;
            let template = if has_end { WITH_END } else { WITHOUT_END };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
        }
        bar.set_prefix(now.phase.clone());
        bar.set_length(now.records_total);
        bar.set_position(if has_end { now.records_done.min(now.records_total) } else { now.records_done });
        bar.set_message(rate_line(&now));
        tokio::time::sleep(REDRAW).await;
    }
}

async fn log_lines(progress: Progress) {
    loop {
        tokio::time::sleep(LOG_EVERY).await;
        let now = progress.snapshot();
        let of = match now.records_total {
            0 => String::new(),
            total => format!(" of {}", show_count(total)),
        };
        tracing::info!("{}: {}{of} records, {}", now.phase, show_count(now.records_done), rate_line(&now));
    }
}

/// The rate since the phase began, and from it the time left.
fn rate_line(now: &Snapshot) -> String {
    let seconds = now.elapsed.as_secs_f64().max(1e-3);
    let rate = now.records_done as f64 / seconds;
    let left = now.records_total.saturating_sub(now.records_done);
    let eta =
        if rate > 0.0 && now.records_total > 0 { format!(", {:.0} s left", left as f64 / rate) } else { String::new() };
    let held = now.waiting_for.as_ref().map(|who| format!(", waiting for {who}")).unwrap_or_default();
    format!("{}/s, {}/s{eta}{held}", show_count(rate as u64), show_size((now.bytes_done as f64 / seconds) as u64))
}

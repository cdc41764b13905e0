//! `--metrics` of every long command: its progress over HTTP, for Prometheus. The one place that wires it.

use super::context::Context;
use anyhow::Context as _;
use clap::Args;
use kmerge::observe::exposition::Exposition;
use kmerge::observe::http::{Limits, Pages, Server, parse_listen, usual_pages};
use kmerge::observe::metrics::{Process, put_progress};

/// Where a long command is to be watched, as typed.
#[derive(Debug, Args)]
pub struct MetricsArgs {
    /// Serve progress for Prometheus at HOST:PORT, or at a port of this machine alone: /metrics, /ping, /ready.
    #[arg(long, value_name = "ADDR", value_parser = parse_listen, global = true)]
    metrics: Option<String>,
}

/// Serves until it is dropped.
pub struct Serving(tokio::task::JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl MetricsArgs {
    /// Begins to serve, if that was asked for. Ready is a job that has begun with its records.
    pub async fn serve(&self, cx: &Context) -> anyhow::Result<Option<Serving>> {
        let Some(address) = &self.metrics else { return Ok(None) };
        let process = Process::starting();
        let (progress, begun) = (cx.progress.clone(), cx.progress.clone());
        let metrics = move || {
            let mut text = Exposition::default();
            process.put(&mut text);
            put_progress(&mut text, &progress);
            text.finish().into()
        };
        let ready = move || match begun.snapshot().phase.is_empty() {
            true => Err("the job has not begun".to_owned()),
            false => Ok(()),
        };
        serve_at(cx, "--metrics", address, usual_pages(metrics, ready)).await.map(Some)
    }
}

/// Listens, says where, and serves pages.
pub async fn serve_at(cx: &Context, flag: &str, address: &str, pages: Pages) -> anyhow::Result<Serving> {
    let server = Server::bind(address, Limits::default()).await;
    let server =
        server.with_context(|| format!("listen at {address} ({flag}; another port may be free, 0 takes one)"))?;
    cx.say(&format!("metrics at http://{}/metrics", server.address()?));
    Ok(Serving(tokio::spawn(server.serve(pages))))
}

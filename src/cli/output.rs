//! stdout carries data and reports, stderr everything else. A reader that closes the pipe ends us quietly.

use super::global::{Global, OutputForm};
use super::table::Table;
use std::io::{self, Write};

/// The reader of stdout is gone: nothing to complain about.
#[derive(Debug, thiserror::Error)]
#[error("the reader closed the pipe")]
pub struct ClosedPipe;

/// Logs go to stderr; what is shown depends on -q, -v and KMERGE_LOG.
pub fn start_log(global: &Global) {
    let default = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (_, 0) => "warn,rskafka=off,kmerge=info",
        (_, 1) => "info,kmerge=debug",
        _ => "debug,kmerge=trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("KMERGE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let colour =
        io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour)
        .with_target(global.verbose > 1)
        .try_init();
}

/// Writes text to stdout as it stands.
pub fn write_stdout(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ClosedPipe.into()),
        other => Ok(other?),
    }
}

/// What is put together before it is written.
const PIECE_BYTES: usize = 64 << 10;

/// Many short texts on their way to stdout, a piece at a time: a long report should never be in memory as a whole.
#[derive(Default)]
pub struct Pieces(String);

impl Pieces {
    pub fn push(&mut self, text: &str) -> anyhow::Result<()> {
        self.0 += text;
        if self.0.len() >= PIECE_BYTES {
            write_stdout(&self.0)?;
            self.0.clear();
        }
        Ok(())
    }

    /// There are no more.
    pub fn end(self) -> anyhow::Result<()> {
        write_stdout(&self.0)
    }
}

/// Writes many short texts to stdout, a piece at a time.
pub fn write_pieces(texts: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let mut pieces = Pieces::default();
    for text in texts {
        pieces.push(&text)?;
    }
    pieces.end()
}

/// Writes one JSON object to stdout: `whole`, and in it the long list `name`, element by element.
pub fn write_json_with(
    whole: &serde_json::Value,
    name: &str,
    list: impl Iterator<Item = serde_json::Value>,
) -> anyhow::Result<()> {
    let whole = whole.to_string();
    let open = format!("{},\"{name}\":[", whole.strip_suffix('}').unwrap_or(&whole));
    let list = list.enumerate().map(|(index, one)| format!("{}{one}", if index == 0 { "" } else { "," }));
    write_pieces(std::iter::once(open).chain(list).chain(["]}\n".to_owned()]))
}

pub fn say(global: &Global, text: &str) {
    if !global.quiet {
        // stderr may be closed as well; a summary nobody reads is no failure.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

pub fn finish(global: &Global, summary: &str, report: &serde_json::Value) -> anyhow::Result<()> {
    say(global, summary.trim_end());
    match global.output {
        OutputForm::Json => write_stdout(&format!("{report}\n")),
        OutputForm::Text | OutputForm::Csv => Ok(()),
    }
}

/// Ends a job whose data is on stdout: the report goes to stderr, whatever its form.
pub fn finish_beside_data(global: &Global, summary: &str, report: &serde_json::Value) {
    match global.output {
        OutputForm::Json => say(global, &report.to_string()),
        OutputForm::Text | OutputForm::Csv => say(global, summary.trim_end()),
    }
}

/// stdout without the line buffer that the standard library puts before it.
#[cfg(unix)]
pub fn unbuffered_stdout() -> io::Result<impl Write> {
    use std::os::fd::AsFd as _;
    Ok(std::fs::File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Elsewhere the line buffer stays.
#[cfg(not(unix))]
pub fn unbuffered_stdout() -> io::Result<impl Write> {
    Ok(io::stdout().lock())
}

/// Waits until whoever reads stdout through a pipe is gone, also while nothing is written; for ever where it is no pipe.
#[cfg(unix)]
pub async fn reader_gone() {
    use std::os::fd::AsFd as _;
    use tokio::io::Interest;
    // Only the readiness is asked for; nothing is written here, so the pipe stays as it is, blocking.
    let watched =
        || tokio::net::unix::pipe::Sender::from_file_unchecked(io::stdout().as_fd().try_clone_to_owned()?.into());
    // Files cannot be waited for, and need not be.
    if let Ok(stdout) = watched() {
        while let Ok(ready) = stdout.ready(Interest::ERROR).await {
            if ready.is_error() || ready.is_write_closed() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
    std::future::pending().await
}

/// Elsewhere the next write tells.
#[cfg(not(unix))]
pub async fn reader_gone() {
    std::future::pending().await
}

pub fn print(global: &Global, text: &str, json: &serde_json::Value) -> anyhow::Result<()> {
    match global.output {
        OutputForm::Json => write_stdout(&format!("{json}\n")),
        OutputForm::Text | OutputForm::Csv => write_stdout(&format!("{}\n", text.trim_end())),
    }
}

/// A table, in the form that was asked for; `text` stands in for it where people read.
pub fn print_table(global: &Global, text: &str, table: &Table, json: &serde_json::Value) -> anyhow::Result<()> {
    match global.output {
        OutputForm::Csv => write_stdout(&table.csv()),
        OutputForm::Json | OutputForm::Text => print(global, text, json),
    }
}

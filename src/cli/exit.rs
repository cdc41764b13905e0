//! How the process ends: one documented status per sort of failure.

use kmerge::base::kind::Kind;
use kmerge::base::shutdown::Signal;
use std::io::Write as _;
use std::process::ExitCode;

/// Shown at the end of `--help`.
pub const HELP: &str = "\
Exit status: 0 done; 1 failed; 2 wrong usage or configuration; 3 cluster unreachable, refused or timed out; \
4 the data is not what was promised (unsorted, unreadable, gone, different); 5 another instance has taken over; \
130/143 stopped by Ctrl-C or SIGTERM.";

/// What was typed, or what is configured, cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

impl UsageError {
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// A command that ran another one ends with that one's status.
#[derive(Debug, thiserror::Error)]
#[error("the command ended with status {0}")]
pub struct ChildStatus(pub u8);

/// What clap found: help and version are no errors.
pub fn from_clap(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(of_kind(Kind::Usage)),
    }
}

/// Prints the error chain and says how to end.
pub fn report(error: &anyhow::Error, _quiet: bool) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    if let Some(ChildStatus(status)) = error.downcast_ref() {
        return ExitCode::from(*status);
    }
    let mut stderr = std::io::stderr().lock();
    let mut last = String::new();
    let _ = write!(stderr, "kmerge: ");
    for (i, cause) in error.chain().enumerate() {
        let text = cause.to_string();
        // An error that wraps another often repeats it.
        if last.contains(&text) {
            continue;
        }
        let _ = write!(stderr, "{}{text}", if i == 0 { "" } else { ": " });
        last = text;
    }
    let _ = writeln!(stderr);
    ExitCode::from(of_kind(kind_of(error)))
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<super::output::ClosedPipe>().is_some()
}

fn kind_of(error: &anyhow::Error) -> Kind {
    error
        .chain()
        .find_map(|cause| {
            if cause.is::<UsageError>() {
                return Some(Kind::Usage);
            }
            if let Some(error) = cause.downcast_ref::<kmerge::client::ClientError>() {
                return Some(error.kind());
            }
            if let Some(error) = cause.downcast_ref::<kmerge::broker::BrokerError>() {
                return Some(error.kind());
            }
            cause.downcast_ref::<kmerge::jobs::error::JobError>().map(kmerge::jobs::error::JobError::kind)
        })
        .unwrap_or(Kind::Failed)
}

fn of_kind(kind: Kind) -> u8 {
    match kind {
        Kind::Failed => 1,
        Kind::Usage => 2,
        Kind::Unreachable => 3,
        Kind::Data => 4,
        Kind::Fenced => 5,
        Kind::Interrupted(signal) => of_signal(signal),
    }
}

/// By convention 128 and the signal's number.
pub fn of_signal(signal: Signal) -> u8 {
    match signal {
        Signal::Interrupt => 130,
        Signal::Terminate => 143,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_wrapped_usage_error_keeps_its_status() {
        let error = Err::<(), _>(UsageError::new("no")).context("read the settings").unwrap_err();
        assert_eq!(of_kind(kind_of(&error)), 2);
    }

    #[test]
    fn every_kind_has_a_status_of_its_own() {
        let kinds = [
            Kind::Failed,
            Kind::Usage,
            Kind::Unreachable,
            Kind::Data,
            Kind::Interrupted(Signal::Interrupt),
            Kind::Interrupted(Signal::Terminate),
        ];
        assert_eq!(kinds.map(of_kind), [1, 2, 3, 4, 130, 143]);
    }
}

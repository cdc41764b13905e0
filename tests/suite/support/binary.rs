//! The binary, run as a user runs it.

use std::process::{Command, Output, Stdio};

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Outcome {
    /// The exit status, 128 and the signal's number where a signal ended it.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The binary with these arguments, speaking to `brokers`.
pub fn command(brokers: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kmerge"));
    command.args(args).stdin(Stdio::null());
    for name in ["KAFKA_BOOTSTRAP_SERVERS", "KMERGE_LOG"] {
        command.env_remove(name);
    }
    command.env("KMERGE_BROKERS", brokers);
    command
}

/// Runs it to its end on a thread of its own, so that an embedded broker in this process goes on answering.
pub async fn run(mut command: Command) -> Outcome {
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("the binary starts");
    Outcome::from(output)
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            status: status(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

#[cfg(unix)]
fn status(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

#[cfg(not(unix))]
fn status(status: std::process::ExitStatus) -> i32 {
    status.code().unwrap_or(-1)
}

impl Outcome {
    /// The one JSON object on stdout.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON on stdout ({error}): {self:?}"))
    }

    /// Ended well.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 0, "{self:?}");
        self
    }

    /// Ended with this status, and said each of these.
    #[track_caller]
    pub fn fails(self, status: i32, said: &[&str]) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        for words in said {
            assert!(self.stderr.contains(words), "stderr does not say {words:?}: {self:?}");
        }
        self
    }
}

//! The binary with something to read, and while it runs.

use super::binary::Outcome;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

/// Runs it to its end with `input` on its standard input.
pub async fn run_with(mut command: Command, input: Vec<u8>) -> Outcome {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Who ends early does not read to the end.
    let writing = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let outcome = ended(child).await;
    writing.join().unwrap();
    outcome
}

/// Begins, with a pipe to write into.
pub fn begin(mut command: Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for the end on a thread of its own.
pub async fn ended(child: Child) -> Outcome {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap();
    Outcome::from(output.unwrap())
}

/// Sends a signal by its name.
#[cfg(unix)]
pub fn signal(name: &str, child: &Child) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

//! Who carries data beside a broker on the same machine gives way to it.

use crate::produce::until;
use crate::support::{Cluster, command};
use std::process::{Child, Stdio};

/// The niceness of every thread, or `None` while there are not yet several.
fn niceness(child: &Child) -> Option<Vec<i32>> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).ok()?;
    let stats = tasks.map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
    // Behind the name, which may hold anything: proc(5) counts from there.
    let nice = |stat: String| stat.rsplit_once(')')?.1.split_whitespace().nth(16)?.parse().ok();
    let all: Option<Vec<i32>> = stats.map(|stat| nice(stat?)).collect();
    all.filter(|all| all.len() > 1)
}

/// What all threads of a `produce` that waits for input come to have.
async fn comes_to_have(brokers: &str, more: &[&str], wanted: i32) {
    let mut waiting = command(brokers, &["produce", "awaited", "--create", "1"]);
    let mut child =
        waiting.args(more).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until(async || niceness(&child).is_some_and(|all| all.iter().all(|nice| *nice == wanted))).await;
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_carries_data_gives_way_to_a_broker_on_this_machine_unless_told_otherwise() {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: this system does not show the niceness of threads as a file");
        return;
    }
    let cluster = Cluster::embedded("giving-way").await;
    let ours = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let ours: i32 = ours.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse().unwrap();
    // Whoever starts it with a niceness knows better, and nobody gets back what was given.
    comes_to_have(&cluster.brokers, &[], if ours == 0 { 5 } else { ours }).await;
    comes_to_have(&cluster.brokers, &["--nice", "11"], ours.max(11)).await;
    comes_to_have(&cluster.brokers, &["--nice", "0"], ours).await;
}

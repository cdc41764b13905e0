//! Asked to stop while nothing is merged: by a signal, by a reader that goes away.
#![cfg(unix)]

use crate::support::*;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Stdio};

fn send(signal: &str, child: &Child) {
    let status = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(status.expect("kill is there").success());
}

/// Waits for the end and gives the exit status and what was said on stderr.
async fn end_of(mut child: Child) -> (Option<i32>, String) {
    tokio::task::spawn_blocking(move || {
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (child.wait().unwrap().code(), said)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_closes_the_pipe_ends_us_quietly() {
    let cluster = Cluster::embedded("pipe").await;
    for i in 0..50 {
        cluster.topic(&format!("topic-with-a-rather-long-name-{i}"), 1).await;
    }
    let mut list = command(&cluster.brokers, &["topic", "list"]);
    let mut child = list.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let (code, said) = end_of(child).await;
    assert_eq!((code, said.as_str()), (Some(0), ""));
}

/// A broker that runs `script`, when that has printed its first line: the child, the line, and what comes after it.
fn broker_with(script: &str) -> (Child, String, BufReader<ChildStdout>) {
    let mut broker = command("", &["broker", "--port", "0", "--exec", script]);
    let mut child = broker.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    (child, first.trim().to_owned(), stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_command_of_exec_with_what_it_started() {
    let (child, sleeper, _) = broker_with("sleep 60 >/dev/null 2>&1 & echo $!; wait");
    assert!(sleeper.parse::<u32>().is_ok(), "stdout belongs to the command: {sleeper:?}");
    send("-TERM", &child);
    let (code, said) = end_of(child).await;
    assert_eq!(code, Some(143), "{said}");
    assert!(said.contains("BROKERS=127.0.0.1:"), "{said}");
    let there = std::process::Command::new("kill").args(["-0", &sleeper]).stderr(Stdio::null()).status().unwrap();
    assert!(!there.success(), "the sleeper sleeps on");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_of_exec_is_asked_to_end_before_it_is_made_to() {
    let script = "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let (child, ready, mut stdout) = broker_with(script);
    assert_eq!(ready, "ready");
    send("-INT", &child);
    assert_eq!(end_of(child).await.0, Some(130));
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "asked\n");

    let (child, ready, _) = broker_with("trap '' TERM; echo ready; sleep 60");
    assert_eq!(ready, "ready");
    send("-TERM", &child);
    let began = std::time::Instant::now();
    assert_eq!(end_of(child).await.0, Some(143), "who does not listen is made to");
    assert!(began.elapsed().as_secs() < 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_says_where_it_is_and_ends_on_a_signal() {
    let mut broker = command("", &["broker", "--nodes", "2", "--port", "0"]);
    let mut child = broker.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let brokers = first.trim().strip_prefix("BROKERS=").unwrap_or_else(|| panic!("{first:?}")).to_owned();
    assert_eq!(brokers.split(',').count(), 2);
    run(command(&brokers, &["topic", "create", "made", "--partitions", "1"])).await.ok();
    send("-TERM", &child);
    assert_eq!(end_of(child).await.0, Some(0));
}

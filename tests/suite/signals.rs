//! Asked to stop while nothing is merged: by a signal, by a reader that goes away.
#![cfg(unix)]

use crate::support::*;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};

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

//! The command line without a cluster: help, wrong usage, addresses that lead nowhere.

use crate::support::{Outcome, command, run};
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

async fn kmerge(args: &[&str]) -> Outcome {
    let mut command = command("", args);
    command.env_remove("KMERGE_BROKERS");
    run(command).await
}

#[tokio::test]
async fn every_command_has_help_with_the_exit_statuses_a_call_away() {
    let help = kmerge(&["--help"]).await.ok();
    assert!(help.stdout.contains("Exit status"), "{help:?}");
    let commands = [
        "demo", "merge", "check", "verify", "torture", "consume", "generate", "produce", "stats", "measure", "perf",
        "topic", "group", "broker",
    ];
    for command in commands {
        assert!(help.stdout.contains(command), "{command} is not in --help");
        assert!(kmerge(&[command, "--help"]).await.ok().stdout.contains("Usage:"), "{command}");
    }
}

#[tokio::test]
async fn a_mistyped_option_value_is_wrong_usage_and_names_the_nearest() {
    kmerge(&["merge", "--from", "a", "--to", "b", "--strategy", "cuont"]).await.fails(2, &["count"]);
    kmerge(&["merge", "--from", "a", "--to", "b", "--key", "value:itn"]).await.fails(2, &["int"]);
    kmerge(&["mrege"]).await.fails(2, &["merge"]);
    kmerge(&["merge", "--from", "a", "--to", "b", "--memory", "much"]).await.fails(2, &["64MiB"]);
}

#[tokio::test]
async fn without_an_address_the_way_out_is_named() {
    kmerge(&["topic", "list"]).await.fails(2, &["--brokers", "KMERGE_BROKERS"]);
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_named_with_the_step_within_the_timeout() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let start = Instant::now();
    kmerge(&["topic", "list", "-b", &free, "--timeout", "1s"]).await.fails(3, &[&free, "refused"]);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_address_that_speaks_http_is_said_to() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    kmerge(&["topic", "list", "-b", &address, "--timeout", "2s"]).await.fails(3, &[&address, "HTTP"]);
}

#[tokio::test]
async fn a_listener_that_never_answers_is_told_within_the_timeout() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let start = Instant::now();
    kmerge(&["topic", "list", "-b", &address, "--timeout", "1s"]).await.fails(3, &[&address]);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    drop(listener);
}

#[tokio::test]
async fn a_port_behind_the_host_that_a_broker_listens_on_is_told_where_it_belongs() {
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let listen = format!("{host}:9092");
        let said = format!("--listen takes a host alone: write --listen {host} --port 9092");
        kmerge(&["broker", "--listen", &listen]).await.fails(2, &[&said]);
    }
}

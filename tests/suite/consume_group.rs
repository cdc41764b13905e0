//! `consume --group`: what members of a group print, and what the next one prints.

use crate::support::*;
use kmerge::base::place::TopicPartition;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

/// A topic of so many partitions, in each of them the same number of records.
async fn filled(cluster: &Cluster, name: &str, partitions: i32, records: i64) -> String {
    let topic = cluster.topic(name, partitions).await;
    for partition in 0..partitions {
        more(cluster, &topic, partition, 0..records).await;
    }
    topic
}

async fn more(cluster: &Cluster, topic: &str, partition: i32, numbers: std::ops::Range<i64>) {
    // Small batches, so that there is a place to stop at.
    for first in numbers.clone().step_by(10) {
        let end = numbers.end.min(first + 10);
        let records: Vec<_> = (first..end).map(|number| Rec::text(&format!("{partition}:{number}"))).collect();
        cluster.put(topic, partition, &records).await;
    }
}

/// What it prints of a share that is read to its end.
async fn share(cluster: &Cluster, topic: &str, more: &[&str]) -> Outcome {
    cluster.run(&[&["consume", topic, "--group", topic, "--exit"][..], more].concat()).await
}

fn expected(partitions: i32, numbers: std::ops::Range<i64>) -> BTreeSet<String> {
    (0..partitions).flat_map(|partition| numbers.clone().map(move |number| format!("{partition}:{number}"))).collect()
}

/// Waits until the group stands at that offset in all of so many partitions.
async fn stands_at(cluster: &Cluster, topic: &str, partitions: i32, offset: i64) {
    let (client, started) = (cluster.client().await, Instant::now());
    loop {
        let offsets = client.group_offsets(topic).await.expect("the group's offsets");
        let stands =
            |partition| offsets.get(&TopicPartition::new(topic, partition)).is_some_and(|at| at.offset == offset);
        if (0..partitions).all(stands) {
            return;
        }
        assert!(started.elapsed() < LONG, "not at {offset} within {LONG:?}: {offsets:?}");
        // Between two looks.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The lines, each of which is there once.
fn lines(outcome: &Outcome) -> BTreeSet<String> {
    let lines: BTreeSet<String> = outcome.stdout.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), outcome.stdout.lines().count(), "a line comes twice: {outcome:?}");
    lines
}

/// A member at work, whose lines are read as they come.
struct Member {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Member {
    fn start(cluster: &Cluster, topic: &str, more: &[&str]) -> Self {
        let args = [&["consume", topic, "--group", topic, "--session-timeout", "6s"][..], more].concat();
        let mut command = command(&cluster.brokers, &args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary starts");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for so many lines in all.
    async fn has(&mut self, count: usize) {
        let started = Instant::now();
        while self.seen.len() < count {
            match self.lines.try_recv() {
                Ok(line) => self.seen.push(line),
                // Between two looks.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
            assert!(started.elapsed() < LONG, "{} of {count} lines within {LONG:?}", self.seen.len());
        }
    }

    /// Asks it to stop, and gives its exit status and all that it has printed.
    #[cfg(unix)]
    async fn stop(mut self) -> (Option<i32>, Vec<String>) {
        let pid = self.child.id().to_string();
        let asked = std::process::Command::new("kill").args(["-TERM", &pid]).status();
        assert!(asked.expect("kill is there").success());
        let mut child = self.child;
        // On a thread of its own, so that an embedded broker in this process goes on answering.
        let ended = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().expect("it ends");
        self.seen.extend(self.lines.iter());
        (ended.code(), self.seen)
    }

    /// Kills it, and gives all that it has printed.
    async fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        self.seen.extend(self.lines.iter());
        self.seen
    }
}

on_both_brokers! {
    async fn a_group_reads_every_record_once_and_goes_on_where_it_stopped(cluster: &Cluster) {
        let topic = filled(cluster, "goes-on", 3, 50).await;
        let first = share(cluster, &topic, &["--reset", "earliest"]).await.ok();
        assert_eq!(lines(&first), expected(3, 0..50));
        assert_eq!(share(cluster, &topic, &[]).await.ok().stdout, "");
        for partition in 0..3 {
            more(cluster, &topic, partition, 50..60).await;
        }
        assert_eq!(lines(&share(cluster, &topic, &[]).await.ok()), expected(3, 50..60));
    }

    async fn what_count_left_unread_the_next_one_reads(cluster: &Cluster) {
        let topic = filled(cluster, "count", 2, 50).await;
        let args = ["--reset", "earliest", "--count", "33", "--assignor", "sticky,roundrobin"];
        let first = share(cluster, &topic, &args).await.ok();
        assert_eq!(lines(&first).len(), 33);
        let second = share(cluster, &topic, &["--assignor", "cooperative-sticky"]).await.ok();
        assert_eq!(lines(&second).len(), 67);
        assert_eq!(&lines(&first) | &lines(&second), expected(2, 0..50));
    }

    async fn a_group_without_an_offset_is_refused_until_somebody_says_where_to_begin(cluster: &Cluster) {
        let topic = filled(cluster, "new", 1, 20).await;
        share(cluster, &topic, &[]).await.fails(4, &["has committed no offset", "--reset earliest or --reset latest"]);
        assert_eq!(share(cluster, &topic, &["--reset", "latest"]).await.ok().stdout, "");
        // That was a decision, and it holds.
        more(cluster, &topic, 0, 20..25).await;
        assert_eq!(lines(&share(cluster, &topic, &["--reset", "earliest"]).await.ok()), expected(1, 20..25));
    }

    async fn an_offset_that_retention_has_passed_is_never_jumped_over_unasked(cluster: &Cluster) {
        let topic = filled(cluster, "expired", 1, 40).await;
        let ten = share(cluster, &topic, &["--reset", "earliest", "--count", "10"]).await.ok();
        assert_eq!(lines(&ten).len(), 10);
        cluster.delete_before(&topic, 0, 30).await;
        let words = ["stands at offset 10", "offsets 10 to 29 are gone", "--reset earliest or --reset latest"];
        share(cluster, &topic, &[]).await.fails(4, &words);
        let rest = share(cluster, &topic, &["--reset", "earliest"]).await.ok();
        assert_eq!(lines(&rest), expected(1, 30..40));
    }

    async fn a_member_that_is_killed_leaves_nothing_out_and_what_it_committed_is_not_printed_again(cluster: &Cluster) {
        let topic = filled(cluster, "killed", 4, 100).await;
        let mut victim = Member::start(cluster, &topic, &["--reset", "earliest"]);
        victim.has(400).await;
        stands_at(cluster, &topic, 4, 100).await;
        for partition in 0..4 {
            more(cluster, &topic, partition, 100..150).await;
        }
        victim.has(450).await;
        let victim: BTreeSet<String> = victim.kill().await.into_iter().collect();
        let heir = share(cluster, &topic, &["--session-timeout", "6s"]).await.ok();
        let heir = lines(&heir);
        assert_eq!(&victim | &heir, expected(4, 0..150));
        assert!(heir.is_disjoint(&expected(4, 0..100)), "what was committed is printed again");
    }

    async fn a_member_that_is_asked_to_stop_commits_and_leaves_at_once(cluster: &Cluster) {
        let topic = filled(cluster, "stopped", 2, 40).await;
        let mut member = Member::start(cluster, &topic, &["--reset", "earliest"]);
        member.has(80).await;
        let (status, printed) = member.stop().await;
        assert_eq!((status, printed.len()), (Some(143), 80));
        // Nobody waits for its session to end, and nothing of what it has printed comes again.
        let started = Instant::now();
        assert_eq!(share(cluster, &topic, &[]).await.ok().stdout, "");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }

    async fn a_member_whose_reader_is_gone_leaves_at_once_and_without_complaint(cluster: &Cluster) {
        let topic = filled(cluster, "head", 1, 20).await;
        let args = ["consume", &topic, "--group", &topic, "--reset", "earliest"];
        let mut child = command(&cluster.brokers, &args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        // On threads of their own, so that an embedded broker in this process goes on answering.
        let ended = tokio::task::spawn_blocking(move || {
            out.read_line(&mut String::new()).expect("a line");
            drop(out);
            child.wait()
        });
        assert_eq!(ended.await.unwrap().expect("it ends").code(), Some(0));
        // Nobody waits for its session to end.
        let started = Instant::now();
        share(cluster, &topic, &["--reset", "earliest"]).await.ok();
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }

    async fn two_members_share_and_nothing_is_printed_twice(cluster: &Cluster) {
        let topic = filled(cluster, "two", 4, 30).await;
        let mut one = Member::start(cluster, &topic, &["--reset", "earliest"]);
        one.has(120).await;
        let mut other = Member::start(cluster, &topic, &["--reset", "earliest"]);
        // Both get some of what is written from now on, once the other one is in.
        let started = Instant::now();
        let (mut next, before) = (30, one.seen.len());
        while other.seen.is_empty() {
            assert!(started.elapsed() < LONG, "the other one gets nothing");
            for partition in 0..4 {
                more(cluster, &topic, partition, next..next + 10).await;
            }
            next += 10;
            other.seen.extend(other.lines.try_iter());
        }
        let all = 4 * next as usize;
        while one.seen.len() + other.seen.len() < all {
            assert!(started.elapsed() < LONG, "{} + {} of {all}", one.seen.len(), other.seen.len());
            one.seen.extend(one.lines.try_iter());
            other.seen.extend(other.lines.try_iter());
            // Between two looks.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(one.seen.len() > before, "the first one gets nothing more once the other one is in");
        let (one, other) = (one.kill().await, other.kill().await);
        assert_eq!(one.len() + other.len(), all, "nobody died before: nothing is printed twice");
        let all: BTreeSet<String> = one.into_iter().chain(other).collect();
        assert_eq!(all, expected(4, 0..next));
    }
}

#[test]
fn what_a_group_decides_itself_cannot_be_said_beside_it() {
    let refused = |args: &[&str], words: &str| {
        let outcome: Outcome = command("127.0.0.1:1", args).output().expect("the binary starts").into();
        outcome.fails(2, &[words]);
    };
    let with = |more: &[&'static str]| [&["consume", "t", "-g", "g"][..], more].concat();
    refused(&with(&["-o", "5"]), "--reset is for where it has no offset");
    refused(&with(&["-p", "0"]), "the group gives them");
    refused(&with(&["--ordered", "--key", "value"]), "a share of them");
    refused(&with(&["--assignor", "fair"]), "no assignor \"fair\"");
    refused(&with(&["--assignor", "range,range"]), "names range twice");
    refused(&with(&["--assignor", "range", "--group-protocol", "consumer"]), "the brokers share out");
    refused(&["consume", "t", "--reset", "earliest"], "--group");
    refused(&["consume", "t", "-g", ""], "a value is required");
}

/// Retention overtakes a member between its last fetch and the next one.
#[test]
fn what_retention_takes_away_underway_ends_it_or_is_passed_over_as_reset_says() {
    use kmerge::broker::{Fault, Rule};
    use kmerge::wire::ApiKey;
    run_embedded("overtaken", async |cluster| {
        let broker = cluster.embedded.as_ref().expect("it is embedded");
        for (reset, expected) in [("earliest", Some(30..40)), ("latest", Some(40..40)), ("fail", None)] {
            let topic = filled(cluster, &format!("overtaken-{reset}"), 1, 20).await;
            // So that the group has an offset.
            share(cluster, &topic, &["--reset", "earliest"]).await.ok();
            more(cluster, &topic, 0, 20..40).await;
            let held = broker.faults().add(Rule::on(ApiKey::Fetch).partition(&topic, 0), Fault::Hold);
            let args = ["--reset", reset];
            let reads = share(cluster, &topic, &args);
            let overtaken = async {
                held.hit().await;
                broker.set_log_start(&topic, 0, 30).expect("it is there");
                held.release();
            };
            let (outcome, ()) = futures::future::join(reads, overtaken).await;
            match expected {
                Some(numbers) => {
                    assert_eq!(lines(&outcome.ok()), self::expected(1, numbers));
                    // That was a decision, and it holds, also where nothing was read after it.
                    more(cluster, &topic, 0, 40..45).await;
                    assert_eq!(lines(&share(cluster, &topic, &[]).await.ok()), self::expected(1, 40..45));
                }
                None => drop(outcome.fails(4, &["offsets 20 to 29 are lost"])),
            }
        }
    });
}

/// A commit that the coordinator refuses until the next generation, which nobody begins.
#[cfg(unix)]
#[test]
fn who_is_asked_to_stop_does_not_wait_for_the_end_of_a_rebalance() {
    use kmerge::broker::{Fault, Rule};
    use kmerge::wire::{ApiKey, ErrorCode};
    run_embedded("stopped-in-a-rebalance", async |cluster| {
        let topic = filled(cluster, "rebalance", 1, 20).await;
        share(cluster, &topic, &["--reset", "earliest"]).await.ok();
        more(cluster, &topic, 0, 20..40).await;
        let broker = cluster.embedded.as_ref().expect("it is embedded");
        let refused = Fault::Error(ErrorCode::RebalanceInProgress);
        let refused = broker.faults().add(Rule::on(ApiKey::OffsetCommit), refused);
        let mut member = Member::start(cluster, &topic, &[]);
        member.has(20).await;
        refused.hit().await;
        let started = Instant::now();
        let (status, printed) = member.stop().await;
        assert_eq!((status, printed.len()), (Some(143), 20));
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        // The last commit made up for it.
        assert_eq!(share(cluster, &topic, &[]).await.ok().stdout, "");
    });
}

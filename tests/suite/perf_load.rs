//! What a cluster makes of a rate of records.

use crate::support::*;
use kmerge::broker::{Fault, Rule};
use kmerge::wire::ApiKey;
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};

const PREFIX: &str = "kmerge-perf-";

/// The topics there are whose names begin so.
async fn topics(brokers: &str, prefix: &str) -> Vec<String> {
    let list = run(command(brokers, &["topic", "list"])).await.ok();
    list.stdout.split_whitespace().filter(|word| word.starts_with(prefix)).map(str::to_owned).collect()
}

fn number(trial: &Value, field: &str) -> f64 {
    trial[field].as_f64().unwrap_or_else(|| panic!("{field}: {trial}"))
}

on_both_brokers! {
    async fn each_rate_is_offered_to_each_number_of_partitions_in_topics_that_are_gone_afterwards(cluster: &Cluster) {
        let plot = std::env::temp_dir().join(format!("{}.svg", cluster.name("load")));
        let load = [
            "perf", "load", "--rate", "500", "--times", "1,2", "--partitions", "1,3", "--duration", "1s", "--warm-up",
            "200ms", "--plot", plot.to_str().unwrap(), "--output", "json",
        ];
        let told = cluster.run(&load).await.ok();
        let report = told.json();
        let trials = report["trials"].as_array().unwrap();
        let asked: Vec<_> = trials.iter().map(|t| (number(t, "partitions"), number(t, "offered_per_second"))).collect();
        assert_eq!(asked, [(1.0, 500.0), (1.0, 1000.0), (3.0, 500.0), (3.0, 1000.0)]);
        for trial in trials {
            // However slow this machine is now, what was written was read, and nothing takes no time.
            assert!(number(trial, "read_per_second") <= 2.0 * number(trial, "offered_per_second"), "{trial}");
            let latencies = ["latency_p50_ms", "latency_p99_ms", "latency_p999_ms", "latency_max_ms"].map(|l| number(trial, l));
            assert!(latencies[0] > 0.0 && latencies.is_sorted(), "{trial}");
            assert!(number(trial, "lag_max") >= number(trial, "lag_end"), "{trial}");
        }
        let prefix = report["topics"].as_str().unwrap().trim_end_matches('*');
        assert!(prefix.starts_with(PREFIX) && prefix.len() > PREFIX.len() + 8, "{prefix}");
        assert_eq!(topics(&cluster.brokers, prefix).await, [""; 0]);
        assert!(told.stderr.contains("records/s: ") && told.stderr.contains("4 trials"), "{told:?}");
        let svg = std::fs::read_to_string(&plot).unwrap();
        std::fs::remove_file(&plot).unwrap();
        assert!(svg.contains("latency p99, ms") && svg.contains("500/s") && svg.contains("1,000/s"), "{svg}");
    }

    async fn a_table_or_csv_has_a_row_for_each_trial(cluster: &Cluster) {
        let load = async |form: &str| {
            let args = ["perf", "load", "--rate", "200", "--times", "1.5", "--partitions", "2", "--duration", "100ms", "--warm-up"];
            cluster.run(&[&args[..], &["0s", "--output", form]].concat()).await.ok().stdout
        };
        let csv = load("csv").await;
        let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!((lines.len(), lines[0].len(), lines[1].len()), (2, 14, 14), "{csv}");
        assert_eq!((lines[0][..3].join(" "), lines[1][..3].join(" ")), ("PARTITIONS TIMES OFFERED/S".into(), "2 1.5 300".into()));
        let text = load("text").await;
        assert!(text.starts_with("PARTITIONS") && text.lines().count() == 2, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_stalls_is_charged_for_every_record_that_was_due_meanwhile() {
    let cluster = Cluster::embedded("stall").await;
    let broker = cluster.embedded.as_ref().unwrap();
    broker.faults().add(Rule::on(ApiKey::Produce).after(20), Fault::Delay(Duration::from_millis(800)));
    let load =
        ["perf", "load", "--rate", "1000", "--times", "1", "--partitions", "1", "--duration", "2s", "--warm-up", "0s"];
    let report = cluster.run(&[&load[..], &["--output", "json"]].concat()).await.ok().json();
    // Of two thousand records eight hundred were due while nothing was written, the first of them waited longest.
    let trial = &report["trials"][0];
    assert!(number(trial, "latency_max_ms") >= 780.0 && number(trial, "latency_p99_ms") >= 700.0, "{trial}");
    assert!(number(trial, "written_per_second") > 0.0, "{trial}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_is_asked_to_stop_deletes_its_topic_and_tells_of_the_trials_that_are_done() {
    let cluster = Cluster::embedded("stop").await;
    // Twenty trials, of which the second one has begun when it is asked.
    let times = ["1"; 20].join(",");
    let args =
        ["perf", "load", "--rate", "100", "--partitions", "1", "--duration", "300ms", "--warm-up", "0s", "--times"];
    let mut load = command(&cluster.brokers, &[&args[..], &[&times, "--output", "json"]].concat());
    let child = load.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while !topics(&cluster.brokers, PREFIX).await.iter().any(|topic| !topic.ends_with("-1")) {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not get to its second trial");
    }
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill is there").success());
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    let ended = Outcome::from(ended);
    let report = ended.json();
    let ended = ended.fails(130, &["interrupted"]);
    let trials = report["trials"].as_array().unwrap().len();
    assert!(report["complete"] == false && (1..20).contains(&trials), "{ended:?}");
    assert_eq!(topics(&cluster.brokers, PREFIX).await, [""; 0], "{ended:?}");
}

#[tokio::test]
async fn what_is_no_rate_and_what_is_not_its_own_is_refused_before_anything_is_done() {
    for (wrong, said) in [
        (["--rate", "0"], "--rate"),
        (["--rate", "-5"], "--rate"),
        (["--times", "1,0"], "--times"),
        (["--partitions", "0"], "--partitions"),
        (["--topic-prefix", "orders"], "kmerge-perf-"),
        (["--duration", "1ms"], "--duration"),
        (["--record-bytes", "3"], "--record-bytes"),
    ] {
        run(command("127.0.0.1:1", &[&["perf", "load"][..], &wrong].concat())).await.fails(2, &[said]);
    }
}

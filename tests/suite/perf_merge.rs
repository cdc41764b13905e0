//! How near a merge comes to what a cluster takes.

use crate::support::*;
use serde_json::Value;
use std::time::{Duration, Instant};

/// So small that nothing can be told by the figures, only that they are there.
const SMALL: [&str; 8] = ["perf", "--records", "3000", "--partitions", "3", "--batch-bytes", "4KB", "--output"];

/// A name for topics of a run's own, which no other test has.
fn name(cluster: &Cluster, what: &str) -> String {
    format!("kmerge-perf-{}", cluster.name(what))
}

/// The topics there are whose names begin so.
async fn topics(cluster: &Cluster, prefix: &str) -> Vec<String> {
    let topics = cluster.client().await.topics().await.unwrap();
    topics.into_iter().map(|topic| topic.name).filter(|name| name.starts_with(prefix)).collect()
}

#[track_caller]
fn number(report: &Value, field: &str) -> f64 {
    report[field].as_f64().unwrap_or_else(|| panic!("{field}: {report}"))
}

on_both_brokers! {
    async fn a_merge_is_held_against_the_wall_in_topics_that_are_gone_afterwards(cluster: &Cluster) {
        let (name, plot) = (name(cluster, "share"), std::env::temp_dir().join(cluster.name("share.svg")));
        let more = ["json", "--rounds", "2", "--shape", "m118", "--name", &name, "--plot", plot.to_str().unwrap()];
        let told = cluster.run(&[&SMALL[..], &more].concat()).await.ok();
        let report = told.json();
        let walls = report["walls"].as_array().unwrap();
        let ways: Vec<_> = walls.iter().map(|way| (number(way, "batch_bytes"), number(way, "in_flight"))).collect();
        assert_eq!(ways, [(2000., 1.), (2000., 2.), (4000., 1.), (4000., 2.), (8000., 1.), (8000., 2.)]);
        let best = walls.iter().map(|way| number(way, "records_per_second")).fold(0.0, f64::max);
        let (wall, merge) = (number(&report, "wall_records_per_second"), number(&report, "merge_records_per_second"));
        assert!(wall == best && merge > 0.0 && number(&report, "fetch_records_per_second") > 0.0, "{report}");
        assert!((number(&report, "share") - merge / wall).abs() <= 0.01 * merge / wall + 0.001, "{report}");
        assert_eq!((number(&report, "rounds"), number(&report, "verified_merges")), (2.0, 3.0));
        assert_eq!((&report["complete"], &report["delivery"]), (&true.into(), &"exactly-once".into()));
        assert_eq!((&report["broker"], &report["shape"]), (&"cluster".into(), &"m118".into()));
        if cfg!(target_os = "linux") {
            assert!(number(&report, "client_cpu_ns_per_record") > 0.0, "{report}");
        }
        // Not every system that tells processor time lets the peak of memory begin anew.
        if !report["peak_memory_bytes"].is_null() {
            assert!(number(&report, "peak_memory_bytes") > 1e6, "{report}");
        }
        assert!(number(&report["stage_seconds"]["merge"], "decoded") > 0.0, "{report}");
        assert!(told.stderr.contains("of the wall") && told.stderr.contains("all 3 merges were verified"), "{told:?}");
        let svg = std::fs::read_to_string(&plot).unwrap();
        std::fs::remove_file(&plot).unwrap();
        assert!(svg.contains("the wall") && svg.contains("the merge"), "{svg}");
        assert_eq!(topics(cluster, &name).await, [""; 0]);
    }

    async fn without_transactions_and_compressed_a_table_has_a_row_for_each_work(cluster: &Cluster) {
        let name = name(cluster, "table");
        let kind = ["--delivery", "at-least-once", "--compression", "lz4", "--shape", "ints10"];
        let csv = cluster.run(&[&SMALL[..], &["csv", "--rounds", "1", "--name", &name], &kind].concat()).await.ok().stdout;
        let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(rows[0].join(" "), "WORK BATCH-BYTES IN-FLIGHT RECORDS/S MIN MAX MB/S OF-WALL");
        let mut works: Vec<&str> = rows[1..].iter().map(|row| row[0]).collect();
        works.sort_unstable();
        assert_eq!(works, ["fetch", "merge", "produce", "produce", "produce", "produce", "produce", "wall"]);
        assert!(rows[1..].iter().all(|row| row.len() == 8 && row[3].parse::<f64>().unwrap() > 0.0), "{csv}");
        assert_eq!(topics(cluster, &name).await, [""; 0]);
    }

    async fn a_topic_that_is_there_already_is_refused_and_not_touched(cluster: &Cluster) {
        let name = name(cluster, "mine");
        let client = cluster.client().await;
        let there = format!("{name}-out-1");
        client.create_topic(&kmerge::client::NewTopic::new(&there, 1)).await.unwrap();
        let refused = cluster.run(&[&SMALL[..], &["json", "--name", &name]].concat()).await;
        let left = topics(cluster, &name).await;
        client.delete_topic(&there).await.unwrap();
        refused.fails(1, &[&there, "is there already"]);
        assert_eq!(left, [there]);
    }

    async fn who_is_asked_to_stop_deletes_the_topics_and_tells_of_the_rounds_that_are_done(cluster: &Cluster) {
        for rounds_done in [0, 1] {
            let name = name(cluster, "stop");
            let args = [&SMALL[..], &["json", "--name", &name, "--rounds", "500"]].concat();
            let child = begin(command(&cluster.brokers, &args));
            let began = Instant::now();
            while !topics(cluster, &name).await.iter().any(|topic| round(topic) > rounds_done) {
                assert!(began.elapsed() < Duration::from_secs(120), "it does not come to the end of round {rounds_done}");
            }
            signal("-INT", &child);
            let told = ended(child).await;
            if rounds_done > 0 || !told.stdout.is_empty() {
                let report = told.json();
                let rounds = number(&report, "rounds");
                assert!(report["complete"] == false && (1.0..500.0).contains(&rounds), "{report}");
            }
            told.fails(130, &["interrupted"]);
            assert_eq!(topics(cluster, &name).await, [""; 0]);
        }
    }
}

/// The round for which a topic was made: `NAME-out-2` and `NAME-wall-2-1` are of the second one.
fn round(topic: &str) -> u32 {
    let behind = |word| topic.split_once(word).and_then(|(_, rest)| rest.split('-').next()?.parse().ok());
    behind("-out-").or_else(|| behind("-wall-")).unwrap_or(0)
}

#[tokio::test]
async fn without_an_address_it_measures_on_a_broker_of_its_own_and_leaves_out_what_would_be_that_ones() {
    let told = run(command("", &[&SMALL[..], &["json", "--rounds", "1"]].concat())).await.ok();
    let report = told.json();
    assert_eq!((&report["broker"], &report["complete"]), (&"embedded".into(), &true.into()));
    assert_eq!((&report["client_cpu_ns_per_record"], &report["peak_memory_bytes"]), (&Value::Null, &Value::Null));
    assert!(told.stderr.contains("a broker of its own") && told.stderr.contains("are not told"), "{told:?}");
}

#[tokio::test]
async fn what_is_not_its_own_and_what_measures_nothing_is_refused_before_anything_is_done() {
    for (wrong, said) in [
        (&["--name", "orders"][..], "kmerge-perf-"),
        (&["--rounds", "0"], "--rounds"),
        (&["--records", "0"], "--records"),
        (&["--partitions", "0"], "--partitions"),
        (&["--batch-bytes", "5"], "--batch-bytes"),
        (&["--records", "5", "load"], "--records before load"),
    ] {
        run(command("127.0.0.1:1", &[&["perf"][..], wrong].concat())).await.fails(2, &[said]);
    }
}

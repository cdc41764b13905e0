//! Sample data that comes record by record, as it lies in the topic.

use crate::support::*;
use std::time::{Duration, Instant};

on_both_brokers! {
    async fn even_and_odd_numbers_are_written_to_one_topic_by_two_at_the_same_time(cluster: &Cluster) {
        let topic = cluster.name("numbers");
        let generate = async |parity: &str| {
            let args = ["generate", "parity", "--to", &topic, "--parity", parity, "--records", "200", "--rate", "2000", "--output", "json"];
            cluster.run(&args).await.ok().json()
        };
        let (even, odd) = tokio::join!(generate("even"), generate("odd"));
        for report in [&even, &odd] {
            assert_eq!((&report["sent"], &report["acknowledged"], &report["failed"]), (&200.into(), &200.into(), &0.into()));
            assert!(report["seconds"].as_f64().unwrap() > 0.09, "two hundred at two thousand a second: {report}");
        }
        let numbers: Vec<i64> = cluster.read(&topic, 0).await.iter().map(|record| text(record).parse().unwrap()).collect();
        let (even, odd): (Vec<i64>, Vec<i64>) = numbers.iter().partition(|number| *number % 2 == 0);
        assert!(even.iter().copied().eq((0..200).map(|i| 2 * i)), "{even:?}");
        assert!(odd.iter().copied().eq((0..200).map(|i| 2 * i + 1)), "{odd:?}");
    }

    async fn a_seed_repeats_logins_with_what_is_wrong_with_them_and_their_times(cluster: &Cluster) {
        let (first, again) = (cluster.topic("first", 3).await, cluster.topic("again", 3).await);
        for topic in [&first, &again] {
            let args = [
                "generate", "logins", topic, "--records", "500", "--seed", "7", "--start-time",
                "2026-01-01T00:00:00Z", "--missing", "device_type=10%", "--broken", "2%",
            ];
            cluster.run(&args).await.ok();
        }
        let (mut records, mut lacking, mut broken, mut times) = (0, 0, 0, Vec::new());
        for partition in 0..3 {
            let logins = cluster.read(&first, partition).await;
            assert_eq!(logins, cluster.read(&again, partition).await);
            records += logins.len();
            for login in &logins {
                times.push(login.timestamp);
                let key = login.key.as_deref().unwrap();
                assert_eq!(kmerge::jobs::pour::partition_of_key(key, 3), partition as usize);
                match serde_json::from_slice::<serde_json::Value>(login.value.as_deref().unwrap()) {
                    Ok(login) => lacking += usize::from(login.get("device_type").is_none()),
                    Err(_) => broken += 1,
                }
            }
        }
        assert_eq!(records, 500);
        assert!((25..80).contains(&lacking) && (2..25).contains(&broken), "{lacking} {broken}");
        times.sort_unstable();
        let start = 1_767_225_600_000;
        assert!(times.iter().copied().eq(start..start + 500), "a millisecond each");
    }

    async fn the_events_of_an_order_lie_in_one_partition_in_order(cluster: &Cluster) {
        let topic = cluster.name("orders");
        cluster.run(&["generate", "events", &topic, "--partitions", "2", "--records", "1000", "--compression", "zstd"]).await.ok();
        let mut steps: std::collections::BTreeMap<Vec<u8>, Vec<String>> = Default::default();
        for partition in 0..2 {
            for event in cluster.read(&topic, partition).await {
                let value: serde_json::Value = serde_json::from_slice(&event.value.unwrap()).unwrap();
                steps.entry(event.key.unwrap()).or_default().push(value["type"].as_str().unwrap().to_owned());
            }
        }
        assert_eq!(steps.values().map(Vec::len).sum::<usize>(), 1000);
        assert!(steps.values().all(|steps| steps[0] == "created"));
        assert!(steps.values().any(|steps| steps.join(",") == "created,paid,shipped,delivered"));
    }

    async fn wrong_paces_ranges_and_fields_are_wrong_usage(cluster: &Cluster) {
        let topic = cluster.name("none");
        let wrong = async |args: &[&str], said: &str| {
            cluster.run(&[&["generate"], args, &["--to", &topic, "--records", "1"]].concat()).await.fails(2, &[said]);
        };
        wrong(&["parity", "--parity", "even", "--rate", "0"], "above 0").await;
        wrong(&["parity", "--parity", "even", "--rate", "-3"], "above 0").await;
        wrong(&["parity", "--parity", "even", "--interval", "0s"], "no pace").await;
        wrong(&["parity", "--parity", "odd", "--min", "2", "--max", "2"], "no odd number").await;
        wrong(&["parity", "--parity", "evn"], "even").await;
        wrong(&["logins", "--missing", "device=10%"], "no such field").await;
        wrong(&["logins", "--missing", "ip"], "device_type=10%").await;
        wrong(&["logins", "--broken", "101%"], "share").await;
        wrong(&["events", "--missing", "amont=1%"], "did you mean amount?").await;
        let there = cluster.run(&["topic", "list"]).await.ok();
        assert!(!there.stdout.contains(&topic), "nothing was made: {there:?}");
    }
}

/// Waits until a partition holds so many records.
#[cfg(unix)]
async fn holds(cluster: &Cluster, topic: &str, records: usize) {
    let began = Instant::now();
    let client = cluster.client().await;
    while client.topic(topic).await.is_err() || cluster.read(topic, 0).await.len() < records {
        assert!(began.elapsed() < Duration::from_secs(30), "{topic} never holds {records} records");
        tokio::task::yield_now().await;
    }
}

#[cfg(unix)]
on_both_brokers! {
    async fn without_a_count_it_goes_on_until_it_is_stopped_and_that_is_no_failure(cluster: &Cluster) {
        let topic = cluster.name("endless");
        let child = begin(command(&cluster.brokers, &["generate", "parity", "--to", &topic, "--parity", "odd", "--interval", "5ms"]));
        // Records come one by one, each within its linger.
        holds(cluster, &topic, 5).await;
        signal("-INT", &child);
        let outcome = ended(child).await.ok();
        assert!(outcome.stderr.contains(" sent, ") && outcome.stderr.contains("0 failed"), "{outcome:?}");
    }

    async fn with_a_count_being_stopped_before_it_is_a_failure_that_says_how_far_it_came(cluster: &Cluster) {
        let topic = cluster.name("stopped");
        let args = ["generate", "parity", "--to", &topic, "--parity", "even", "--interval", "20ms", "--records", "100000"];
        let child = begin(command(&cluster.brokers, &args));
        holds(cluster, &topic, 1).await;
        signal("-TERM", &child);
        let outcome = ended(child).await.fails(143, &["interrupted", "acknowledged"]);
        let said = outcome.stderr.split(": ").find(|part| part.contains(" sent, ")).unwrap().to_owned();
        let acknowledged = cluster.read(&topic, 0).await.len();
        assert!(said.contains(&format!("{acknowledged} acknowledged")), "{acknowledged}: {outcome:?}");
    }
}

fn text(record: &Rec) -> &str {
    std::str::from_utf8(record.value.as_deref().unwrap()).unwrap()
}

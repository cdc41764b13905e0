//! `--memory` against topics that are larger, in a process of its own.

use crate::support::*;

const MIB: u64 = 1 << 20;

on_both_brokers! {
    async fn a_topic_several_times_larger_than_the_memory_is_merged_within_the_stated_factor(cluster: &Cluster) {
        let (input, output) = (cluster.name("in"), cluster.topic("out", 1).await);
        // 300,000 objects of 130 bytes each.
        let args = ["generate", "ints", "--to", &input, "--records", "300000", "--min", "0", "--max", "4294967295"];
        cluster.run(&args).await.ok();

        let args = ["merge", "--from", &input, "--to", &output, "--memory", "8MiB", "--output", "json"];
        let report = cluster.run(&args).await.ok().json();

        assert_eq!(report["records"], 300_000);
        let peak = report["peak_memory_bytes"].as_u64().unwrap();
        assert!(peak <= 8 * MIB * 3 / 2 + 24 * MIB, "peak {} MiB", peak / MIB);
        let merged = cluster.read(&output, 0).await;
        assert!(merged.iter().map(number).is_sorted());
        assert_eq!(merged.len(), 300_000);
    }

    async fn check_and_verify_stay_within_their_memory_however_large_the_topics_are(cluster: &Cluster) {
        let (input, output) = (cluster.topic("in", 3).await, cluster.topic("out", 1).await);
        // 48 MiB in each topic, in batches that every reader's share of the memory has room for.
        let wide = |number| Rec { key: Some(vec![b'k'; 1 << 10]), ..Rec::int(number) };
        for batch in 0..128 {
            let records: Vec<Rec> = (batch * 128..(batch + 1) * 128).map(wide).collect();
            for partition in 0..3 {
                cluster.put(&input, partition, &records).await;
            }
        }
        cluster.run(&["merge", "--from", &input, "--to", &output, "--batch-bytes", "100KB"]).await.ok();

        let peak_of = async |args: &[&str]| {
            let report = cluster.run(&[args, &["--memory", "8MiB", "--output", "json"]].concat()).await.ok().json();
            report["peak_memory_bytes"].as_u64().unwrap()
        };
        for args in [&["check", &input][..], &["verify", "--from", &input, "--to", &output]] {
            let peak = peak_of(args).await;
            assert!(peak <= 8 * MIB + 8 * MIB, "{}: peak {} MiB", args[0], peak / MIB);
        }
    }

    async fn too_little_memory_is_refused_with_what_would_do(cluster: &Cluster) {
        let (input, output) = (cluster.topic("in", 3).await, cluster.topic("out", 1).await);
        for partition in 0..3 {
            cluster.put(&input, partition, &(0..20_000).map(Rec::int).collect::<Vec<_>>()).await;
        }
        let merge = async |memory: &str, more: &[&str]| {
            cluster.run(&[&["merge", "--from", &input, "--to", &output, "--memory", memory][..], more].concat()).await
        };
        merge("100KiB", &[]).await.fails(1, &["3 partitions", "--memory"]);
        merge("100KiB", &["--strategy", "count"]).await.fails(1, &["--memory"]);
        // The plan fits, the objects that rskafka makes of a batch do not: 20,000 of 130 bytes in one.
        merge("4MiB", &["--client", "rskafka"]).await.fails(1, &["one batch takes", "decoded whole", "--memory"]);
        assert_eq!(cluster.read(&output, 0).await, []);
        merge("4MiB", &[]).await.ok();
        assert_eq!(cluster.read(&output, 0).await.len(), 60_000);
    }

    async fn more_distinct_keys_than_fit_are_refused_by_count(cluster: &Cluster) {
        let (input, output) = (cluster.topic("in", 2).await, cluster.topic("out", 1).await);
        for partition in 0..2 {
            for start in (0..20_000).step_by(1000) {
                cluster.put(&input, partition, &(start..start + 1000).map(Rec::int).collect::<Vec<_>>()).await;
            }
        }
        let args = ["merge", "--from", &input, "--to", &output, "--strategy", "count", "--memory"];
        cluster.run(&[&args[..], &["4MiB"]].concat()).await.fails(1, &["distinct keys", "--memory"]);
        assert_eq!(cluster.read(&output, 0).await, []);
        cluster.run(&[&args[..], &["16MiB"]].concat()).await.ok();
        assert_eq!(cluster.read(&output, 0).await.len(), 40_000);
    }
}

fn number(record: &Rec) -> i64 {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).parse().unwrap()
}

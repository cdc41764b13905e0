//! `--memory` against topics that are larger, in a process of its own.

use crate::support::*;

const MIB: u64 = 1 << 20;

/// Merges a generated topic of about 64 MiB (before compression) in 8 MiB and holds the peak to its bound.
async fn merges_in_8_mib(cluster: &Cluster, partitions: &str, shape: &[&str]) {
    let (input, output) = (cluster.name("in"), cluster.topic("out", 1).await);
    let args = ["generate", "ints", &input, "--partitions", partitions, "--records", RECORDS_64_MIB];
    cluster.run(&[&args[..], shape].concat()).await.ok();

    let args = ["merge", "--from", &input, "--to", &output, "--memory", "8MiB", "--output", "json"];
    let report = cluster.run(&args).await.ok().json();

    assert_eq!(report["records"].to_string(), RECORDS_64_MIB);
    let peak = report["peak_memory_bytes"].as_u64().unwrap();
    assert!(peak <= 8 * MIB + 32 * MIB, "peak {} MiB", peak / MIB);
}

/// A dense integer takes sixteen bytes in the log.
const RECORDS_64_MIB: &str = "4000000";
const RECORDS_24_MIB: &str = "1500000";
const DENSE: [&str; 4] = ["--min", "0", "--max", "4294967295"];

on_both_brokers! {
    async fn batches_of_128_kib_in_10_partitions_are_merged_within_the_memory_and_32_mib(cluster: &Cluster) {
        merges_in_8_mib(cluster, "10", &[&DENSE[..], &["--batch-bytes", "128KiB"]].concat()).await;
    }

    async fn zstd_batches_of_equal_ints_are_merged_within_the_memory_and_32_mib(cluster: &Cluster) {
        merges_in_8_mib(cluster, "4", &["--min", "7", "--max", "7", "--compression", "zstd", "--batch-bytes", "1000KiB"]).await;
    }

    async fn a_partition_that_holds_nine_tenths_is_merged_within_the_memory_and_32_mib(cluster: &Cluster) {
        merges_in_8_mib(cluster, "10", &[&DENSE[..], &["--skew", "0.9"]].concat()).await;
    }

    async fn a_hundred_partitions_are_merged_within_the_memory_and_32_mib(cluster: &Cluster) {
        merges_in_8_mib(cluster, "100", &[&DENSE[..], &["--batch-bytes", "8KiB"]].concat()).await;
    }

    async fn a_topic_several_times_larger_than_the_memory_is_merged_by_rskafka_within_the_stated_factor(cluster: &Cluster) {
        let (input, output) = (cluster.name("in"), cluster.topic("out", 1).await);
        // 300,000 objects of 130 bytes each.
        let args = ["generate", "ints", "--to", &input, "--records", "300000", "--min", "0", "--max", "4294967295"];
        cluster.run(&args).await.ok();

        let args = ["merge", "--client", "rskafka", "--from", &input, "--to", &output, "--memory", "8MiB", "--output", "json"];
        let report = cluster.run(&args).await.ok().json();

        assert_eq!(report["records"], 300_000);
        let peak = report["peak_memory_bytes"].as_u64().unwrap();
        assert!(peak <= 8 * MIB * 3 / 2 + 24 * MIB, "peak {} MiB", peak / MIB);
        let merged = cluster.read(&output, 0).await;
        assert!(merged.iter().map(number).is_sorted());
        assert_eq!(merged.len(), 300_000);
    }

    async fn a_topic_three_times_as_large_as_the_memory_is_shown_within_the_memory_and_32_mib(cluster: &Cluster) {
        let input = cluster.name("in");
        let args = ["generate", "ints", &input, "--partitions", "10", "--records", RECORDS_24_MIB];
        cluster.run(&[&args[..], &DENSE].concat()).await.ok();
        for more in [&[][..], &["--ordered"], &["-J"]] {
            let args = ["consume", &input, "-e", "--memory", "8MiB", "--output", "json", "--progress", "never"];
            let mut consume = command(&cluster.brokers, &[&args[..], more].concat());
            consume.stdout(std::process::Stdio::null());
            let ended = tokio::task::spawn_blocking(move || consume.stderr(std::process::Stdio::piped()).spawn()?.wait_with_output());
            let ended = Outcome::from(ended.await.unwrap().unwrap()).ok();
            let report: serde_json::Value = serde_json::from_str(&ended.stderr).unwrap();
            assert_eq!(report["records"].to_string(), RECORDS_24_MIB);
            let peak = report["peak_memory_bytes"].as_u64().unwrap();
            assert!(peak <= 8 * MIB + 32 * MIB, "{more:?}: peak {} MiB", peak / MIB);
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

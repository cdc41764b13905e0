//! `merge --threads`: whoever takes the records apart, the output and the errors are the same.

use crate::support::*;
use kmerge::batch::Codec;

const PARTITIONS: i32 = 3;
const RECORDS: i64 = 9_000;
const BATCH: usize = 250;
const CODECS: [Codec; 3] = [Codec::Zstd, Codec::Gzip, Codec::Lz4];

/// The record of that number: its key stands in JSON.
fn object(number: i64) -> Rec {
    Rec::text(&format!(r#"{{"name":"n{}","at":{{"number":{number}}}}}"#, number % 97))
}

/// A topic of so many records, each partition by a codec of its own.
async fn filled(cluster: &Cluster) -> String {
    let input = cluster.topic_with("in", PARTITIONS, &[("retention.ms", "-1")]).await;
    for (partition, codec) in (0..PARTITIONS).zip(CODECS) {
        let numbers = (0..RECORDS).filter(|number| number % i64::from(PARTITIONS) == i64::from(partition));
        for batch in numbers.map(object).collect::<Vec<_>>().chunks(BATCH) {
            cluster.put_with(&input, partition, codec, batch).await;
        }
    }
    input
}

fn in_order() -> Vec<Rec> {
    (0..RECORDS).map(object).collect()
}

const KEY: [&str; 2] = ["--key", "value:json:/at/number"];

on_both_brokers! {
    async fn with_1_2_and_4_threads_the_same_records_come_out_and_v_names_who_decodes_what(cluster: &Cluster) {
        let input = filled(cluster).await;
        for threads in ["1", "2", "4"] {
            let output = cluster.topic(&format!("out-{threads}"), 1).await;
            let args = ["merge", "--from", &input, "--to", &output, "--threads", threads, "-v", "--output", "json"];
            let told = cluster.run(&[&args[..], &KEY].concat()).await.ok();
            assert_eq!(told.json()["threads"].to_string(), threads, "{told:?}");
            for partition in 0..PARTITIONS as usize {
                let workers = threads.parse::<usize>().unwrap() - 1;
                let said = format!("{input} partition {partition}: decoded by worker {} of {workers}", partition % workers.max(1) + 1);
                assert_eq!(told.stderr.matches(&said).count(), workers.min(1), "{said}: {told:?}");
            }
            assert!(cluster.read(&output, 0).await == in_order(), "{threads} threads");
            cluster.verify(&input, &output, &KEY).await.ok();
        }
    }

    async fn a_merge_with_threads_that_is_killed_goes_on_where_its_output_is_and_not_where_its_workers_were(cluster: &Cluster) {
        let input = filled(cluster).await;
        for (phase, threads) in [("fetch:2", "2"), ("produce:4", "2"), ("end_txn:2", "3"), ("after_commit:2", "2")] {
            let (output, jobs) = (cluster.topic(&format!("out-{phase}").replace(':', "-"), 1).await, cluster.name("jobs"));
            let job = format!("kmerge-torture-{}-{}", cluster.name("job"), phase.replace(':', "-"));
            let args = ["merge", "--from", &input, "--to", &output, "--job", &job, "--jobs-topic", &jobs, "--threads", threads];
            let slow = ["--batch-bytes", "4KiB", "--commit-interval", "1ms"];
            let args = [&args[..], &slow, &KEY].concat();
            let mut merge = command(&cluster.brokers, &args);
            merge.env("KMERGE_TORTURE", format!("kill:{phase}:{job}"));
            let killed = run(merge).await;
            assert_eq!(killed.status, 128 + 9, "{phase}: {killed:?}");
            cluster.run(&args).await.ok();
            // What was voided is in the log as well: the proof reads what is committed.
            let proof = ["verify", "--job", &job, "--jobs-topic", &jobs, "--output", "json"];
            let proven = cluster.run(&[&proof[..], &KEY].concat()).await.ok().json();
            assert_eq!((&proven["ok"], &proven["output_records"]), (&true.into(), &RECORDS.into()), "{phase}: {proven}");
        }
    }

    async fn what_is_wrong_is_told_in_the_same_words_with_threads_behind_the_same_output(cluster: &Cluster) {
        for (name, records) in [("key", [object(1), Rec::text("{}"), object(9)]), ("order", [object(5), object(2), object(9)])] {
            let input = cluster.topic(name, 2).await;
            cluster.put_with(&input, 0, Codec::Zstd, &records).await;
            cluster.put_with(&input, 1, Codec::Gzip, &[object(0), object(3), object(8)]).await;
            let mut told = Vec::new();
            for threads in ["1", "3"] {
                let output = cluster.topic(&format!("{name}-{threads}"), 1).await;
                let args = ["merge", "--from", &input, "--to", &output, "--threads", threads, "--delivery", "idempotent"];
                let ended = cluster.run(&[&args[..], &KEY].concat()).await.fails(4, &[&format!("{input} partition 0 offset 1")]);
                let written = cluster.read(&output, 0).await;
                // Lines of the log have the time in front.
                let said = ended.stderr.lines().find(|line| line.starts_with("kmerge: ")).map(str::to_owned);
                told.push((said.expect("an error"), written));
            }
            assert_eq!(told[0], told[1]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_threads_that_makes_no_sense_is_refused() {
    let cluster = Cluster::embedded("threads").await;
    for threads in ["0", "257", "-1", "many"] {
        let args = ["merge", "--from", "a", "--to", "b", &format!("--threads={threads}")];
        cluster.run(&args).await.fails(2, &["--threads", threads]);
    }
    for alone in [["--strategy", "count"], ["--client", "rskafka"]] {
        let args = ["merge", "--from", "a", "--to", "b", "--threads", "2"];
        cluster.run(&[&args[..], &alone].concat()).await.fails(2, &["--threads 2", alone[1]]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_take_no_more_memory_than_one_does_in_zstd_batches_that_are_larger_than_their_shares() {
    const MIB: u64 = 1 << 20;
    let cluster = Cluster::embedded("threads-memory").await;
    let input = cluster.name("in");
    let args = ["generate", "ints", &input, "--partitions", "4", "--records", "1500000", "--min", "7", "--max", "7"];
    cluster.run(&[&args[..], &["--compression", "zstd", "--batch-bytes", "500KiB"]].concat()).await.ok();
    let mut peaks = Vec::new();
    for threads in ["1", "3"] {
        let output = cluster.topic(&format!("out-{threads}"), 1).await;
        let args = ["merge", "--from", &input, "--to", &output, "--memory", "8MiB", "--threads", threads];
        let report = cluster.run(&[&args[..], &["--output", "json"]].concat()).await.ok().json();
        assert_eq!(
            (&report["records"], report["threads"].to_string().as_str()),
            (&1_500_000.into(), threads),
            "{report}"
        );
        peaks.push(report["peak_memory_bytes"].as_u64().unwrap());
    }
    assert!(peaks[1] <= peaks[0] + 4 * MIB, "{peaks:?}");
}

//! What is in a topic, batch by batch.

use crate::support::*;
use kmerge::batch::Codec;
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

/// These fields of each batch.
fn batches(report: &Value, fields: [&str; 4]) -> Vec<[u64; 4]> {
    let number = |batch: &Value, field: &str| batch[field].as_u64().unwrap_or_else(|| panic!("{field}: {batch}"));
    let batches = report["batches"].as_array().unwrap();
    batches.iter().map(|batch| fields.map(|field| number(batch, field))).collect()
}

on_both_brokers! {
    async fn words_and_different_words_are_counted_for_each_batch_and_in_all(cluster: &Cluster) {
        let topic = cluster.topic("words", 2).await;
        let texts = ["the quick brown fox", "the  lazy\tdog", "", "jumps over the \u{3000}lazy dog", "a\u{a0}b"];
        cluster.put_with(&topic, 0, Codec::Gzip, &texts.map(Rec::text)).await;
        cluster.put(&topic, 1, &["the end", "fox"].map(Rec::text)).await;

        let report = cluster.run(&["stats", &topic, "--batch-records", "3", "--output", "json"]).await.ok().json();
        assert_eq!((&report["records"], &report["words"], &report["partitions"]), (&json!(7), &json!(17), &json!(2)));
        assert_eq!((&report["unique_words"], &report["unique_words_exact"]), (&json!(11), &json!(true)));
        assert_eq!(report["bytes"], texts.iter().map(|text| text.len()).sum::<usize>() + "the endfox".len());
        let found = batches(&report, ["records", "words", "unique_words", "unique_words_so_far"]);
        assert_eq!(found, [[3, 7, 6, 6], [3, 9, 8, 11], [1, 1, 1, 11]]);
        let seconds: f64 = report["batches"].as_array().unwrap().iter().map(|b| b["seconds"].as_f64().unwrap()).sum();
        assert!(seconds > 0.0 && seconds <= report["seconds"].as_f64().unwrap(), "{report}");
        // Records of 2023, read today.
        assert!(report["age_p50_ms"].as_u64() > Some(86_400_000) && report["age_p99_ms"] == report["age_p50_ms"], "{report}");
        if cfg!(target_os = "linux") {
            assert!(report["batches"][0]["memory_bytes"].as_u64() > Some(MIB) && report["cpu_percent"].as_f64() > Some(0.0));
        }
    }

    async fn a_part_of_a_topic_is_counted_by_partition_start_and_end(cluster: &Cluster) {
        let topic = cluster.topic("part", 3).await;
        for partition in 0..3 {
            let records: Vec<Rec> = (0..10).map(|n| Rec::text(&format!("p{partition} {n}")).stamped(1000 + n)).collect();
            cluster.put(&topic, partition, &records).await;
        }
        let count = async |more: &[&str]| {
            let report = cluster.run(&[&["stats", &topic, "--output", "json"][..], more].concat()).await.ok().json();
            (report["records"].as_u64().unwrap(), report["unique_words"].as_u64().unwrap())
        };
        assert_eq!(count(&[]).await, (30, 13));
        assert_eq!(count(&["--partition", "0,2"]).await, (20, 12));
        assert_eq!(count(&["--start", "8"]).await, (6, 5));
        assert_eq!(count(&["--end", &format!("{topic}:0=1,1=2,2=3")]).await, (6, 6));
        assert_eq!(count(&["--start", "@1970-01-01T00:00:01.009Z"]).await, (3, 4));
        cluster.run(&["stats", &topic, "--end", "11"]).await.fails(1, &["ends at offset 10"]);
        cluster.run(&["stats", &topic, "--partition", "3"]).await.fails(2, &["no partition 3"]);
    }

    async fn text_is_taken_from_a_field_a_key_or_a_header_and_what_has_none_is_told(cluster: &Cluster) {
        let topic = cluster.topic("fields", 1).await;
        let deep = "[".repeat(10_000);
        let values = [r#"{"user":{"name":"ada b"}}"#, r#"{"user":{}}"#, "{", &deep, r#"{"user":{"name":["x", 1]}}"#];
        let mut records: Vec<Rec> = values.into_iter().map(Rec::text).collect();
        records[0].key = Some(b"k1 k2".to_vec());
        records[1] = records[1].clone().header("h", "one two three");
        records.push(Rec { value: None, ..Rec::text("") });
        cluster.put(&topic, 0, &records).await;

        let told = cluster.run(&["stats", &topic, "--text", "value:json:/user/name", "--output", "json"]).await.ok();
        let report = told.json();
        assert_eq!((&report["words"], &report["without_text"], &report["unreadable"]), (&json!(4), &json!(2), &json!(2)));
        assert_eq!(report["first_unreadable"]["offset"], 2);
        assert!(told.stderr.contains("offset 2: cannot read value:json:/user/name"), "{told:?}");
        for (text, words) in [("key", 2), ("header:h", 3)] {
            let report = cluster.run(&["stats", &topic, "--text", text, "--output", "json"]).await.ok().json();
            assert_eq!((&report["words"], &report["without_text"]), (&json!(words), &json!(5)), "{text}");
        }
        cluster.run(&["stats", &topic, "--text", "valeu"]).await.fails(2, &["did you mean value?"]);
        cluster.run(&["stats", &topic, "--batch-records", "0"]).await.fails(2, &["--batch-records"]);
    }

    async fn the_table_has_a_row_a_batch_and_the_plot_is_written_whole(cluster: &Cluster) {
        let topic = cluster.topic("table", 2).await;
        cluster.put(&topic, 0, &(0..25).map(Rec::int).collect::<Vec<_>>()).await;
        let plot = std::env::temp_dir().join(format!("{topic}.svg"));
        let plotted = plot.to_str().unwrap();

        let told = cluster.run(&["stats", &topic, "--batch-records", "10", "--plot", plotted]).await.ok();
        let rows: Vec<Vec<&str>> = told.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
        let firsts: Vec<&str> = rows.iter().map(|row| row[0]).collect();
        assert_eq!(firsts, ["BATCH", "1", "2", "3", "total"], "{told:?}");
        assert_eq!((rows[3][1], rows[4][1], rows[4][3], rows[4][4]), ("5", "25", "25", "25"), "{told:?}");
        assert!(told.stderr.contains("25 records") && told.stderr.contains("25 different"), "{told:?}");
        let svg = std::fs::read_to_string(&plot).unwrap();
        std::fs::remove_file(&plot).unwrap();
        assert!(svg.contains("records/s") && svg.contains("memory, MiB") && svg.ends_with("</svg>\n"), "{svg}");

        let csv = cluster.run(&["stats", &topic, "--batch-records", "10", "--output", "csv"]).await.ok().stdout;
        let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!((lines.len(), lines[0][..4].join(",")), (4, "BATCH,RECORDS,BYTES,WORDS".to_owned()), "{csv}");
        assert_eq!((lines[3][..2].join(","), lines[3].len(), lines[3][13]), ("3,5".to_owned(), 14, "true"), "{csv}");

        // Nothing is left of a plot that came to nothing.
        cluster.run(&["stats", &format!("{topic}-not-there"), "--plot", plotted]).await.fails(1, &["not-there"]);
        let left = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
        assert_eq!(left.filter(|file| file.file_name().to_string_lossy().contains(&topic)).count(), 0);
        let folder = std::env::temp_dir().join("not-there/x.svg");
        cluster.run(&["stats", &topic, "--plot", folder.to_str().unwrap()]).await.fails(1, &["--plot", "not-there"]);
    }

    async fn more_different_words_than_fit_are_estimated_within_the_memory_and_32_mib(cluster: &Cluster) {
        let topic = cluster.name("dense");
        let args = ["generate", "ints", &topic, "--partitions", "3", "--records", RECORDS_64_MIB, "--min", "0", "--max", "4294967295"];
        cluster.run(&args).await.ok();

        let told = cluster.run(&["stats", &topic, "--memory", "8MiB", "--output", "json"]).await.ok();
        let report = told.json();
        assert_eq!((&report["words"], &report["batches"][399]["unique_words_exact"]), (&json!(4_000_000), &json!(true)));
        assert_eq!(report["unique_words_exact"], false);
        let (about, least) = (report["unique_words"].as_u64().unwrap(), report["unique_words_at_least"].as_u64().unwrap());
        // Of four million draws from four thousand million, some two thousand were drawn before.
        assert!(about.abs_diff(3_998_000) < 4_000_000 / 25 && (50_000..4_000_000).contains(&least), "{about} {least}");
        let from = report["estimated_from_batch"].as_u64().unwrap();
        assert!(told.stderr.contains(&format!("from batch {from} on")), "{}", told.stderr);
        let peak = report["peak_memory_bytes"].as_u64().unwrap();
        assert!(peak <= 8 * MIB + 32 * MIB, "peak {} MiB", peak / MIB);

        let refused = cluster.run(&["stats", &topic, "--batch-records", "1", "--memory", "8MiB"]).await;
        refused.fails(1, &["4,000,000 batches", "--batch-records"]);
    }
}

/// A dense integer takes sixteen bytes in the log.
const RECORDS_64_MIB: &str = "4000000";

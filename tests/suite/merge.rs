//! The main job, by what is in the output afterwards.

use crate::support::*;

on_both_brokers! {
    async fn ten_partitions_become_one_in_order_with_ties_by_partition_then_offset(cluster: &Cluster) {
        let input = cluster.topic("in", 10).await;
        let output = cluster.topic("out", 1).await;
        let mut seed = Seed::printed();
        let mut expected = Vec::new();
        for partition in 0..10 {
            let mut keys: Vec<i64> = (0..200).map(|_| seed.below(10) as i64).collect();
            keys.sort_unstable();
            let records: Vec<Rec> = keys.iter().enumerate().map(|(i, key)| Rec::int(*key).stamped(i64::from(partition) * 1000 + i as i64)).collect();
            cluster.put(&input, partition, &records).await;
            expected.extend(keys.into_iter().zip(records).enumerate().map(|(i, (key, record))| ((key, partition, i), record)));
        }
        expected.sort_by_key(|(place, _)| *place);

        let report = cluster.run(&["merge", "--from", &input, "--to", &output, "--output", "json"]).await.ok().json();

        assert_eq!(report["records"], 2000);
        assert_eq!(report["partitions"], 10);
        assert_eq!(report["output_start"], 0);
        let merged: Vec<Rec> = cluster.read(&output, 0).await;
        assert_eq!(merged, expected.into_iter().map(|(_, record)| record).collect::<Vec<_>>());
        cluster.verify(&input, &output, &[]).await.ok();
    }

    async fn several_topics_are_sources_in_the_order_given(cluster: &Cluster) {
        let (first, second) = (cluster.topic("b", 2).await, cluster.topic("a", 1).await);
        let output = cluster.topic("out", 1).await;
        cluster.put(&first, 0, &[Rec::int(1).stamped(10)]).await;
        cluster.put(&first, 1, &[Rec::int(1).stamped(11)]).await;
        cluster.put(&second, 0, &[Rec::int(0).stamped(20), Rec::int(1).stamped(21)]).await;

        cluster.run(&["merge", "--from", &format!("{first},{second}"), "--to", &output]).await.ok();

        let stamps: Vec<i64> = cluster.read(&output, 0).await.iter().map(|record| record.timestamp).collect();
        assert_eq!(stamps, [20, 10, 11, 21]);
    }

    async fn key_value_headers_and_timestamp_arrive_unchanged(cluster: &Cluster) {
        let input = cluster.topic("in", 2).await;
        let output = cluster.topic("out", 1).await;
        let records = [
            Rec { key: None, value: Some(b"1".to_vec()), headers: vec![], timestamp: 5 },
            Rec { key: Some(vec![]), value: Some(b"2".to_vec()), headers: vec![(b"h".to_vec(), Some(b"\xff\x00".to_vec()))], timestamp: 1_700_000_000_123 },
            Rec { key: Some(b"\xfe\x00k".to_vec()), value: Some(b"+3".to_vec()), headers: vec![(b"a".to_vec(), Some(vec![])), (b"b".to_vec(), Some(b"2".to_vec()))], timestamp: 0 },
        ];
        cluster.put(&input, 1, &records).await;

        cluster.run(&["merge", "--from", &input, "--to", &output]).await.ok();

        assert_eq!(cluster.read(&output, 0).await, records);
    }

    async fn empty_partitions_and_an_empty_topic_end_at_once(cluster: &Cluster) {
        let input = cluster.topic("in", 4).await;
        let output = cluster.topic("out", 1).await;
        let report = cluster.run(&["merge", "--from", &input, "--to", &output, "--output", "json"]).await.ok().json();
        assert_eq!(report["records"], 0);

        cluster.put(&input, 2, &[Rec::int(7)]).await;
        let output = cluster.topic("other", 1).await;
        let report = cluster.run(&["merge", "--from", &input, "--to", &output, "--output", "json"]).await.ok().json();
        assert_eq!((&report["records"], cluster.read(&output, 0).await.len()), (&1.into(), 1));
    }

    async fn descending_reverses_the_key_and_leaves_ties_as_they_are(cluster: &Cluster) {
        let input = cluster.topic("in", 2).await;
        let output = cluster.topic("out", 1).await;
        cluster.put(&input, 0, &[Rec::int(9).stamped(1), Rec::int(5).stamped(2)]).await;
        cluster.put(&input, 1, &[Rec::int(9).stamped(3), Rec::int(-2).stamped(4)]).await;

        cluster.run(&["merge", "--from", &input, "--to", &output, "--order", "desc"]).await.ok();

        let stamps: Vec<i64> = cluster.read(&output, 0).await.iter().map(|record| record.timestamp).collect();
        assert_eq!(stamps, [1, 3, 2, 4]);
        cluster.verify(&input, &output, &["--order", "desc"]).await.ok();
    }

    async fn a_composite_key_of_a_json_field_and_a_header_orders_the_output(cluster: &Cluster) {
        let input = cluster.topic("in", 2).await;
        let output = cluster.topic("out", 1).await;
        let record = |at: &str, tag: &str, stamp| Rec::text(&format!(r#"{{"at":"{at}","n":1e3}}"#)).header("tag", tag).stamped(stamp);
        cluster.put(&input, 0, &[record("2024-01-01T00:00:00Z", "b", 1), record("2024-01-01T00:00:00Z", "c", 2)]).await;
        cluster.put(&input, 1, &[record("2024-01-01T01:00:00+01:00", "a", 3), record("2024-01-02T00:00:00Z", "", 4)]).await;
        let keys = ["--key", "value:json:/at:time", "--key", "header:tag:string"];

        cluster.run(&[&["merge", "--from", &input, "--to", &output][..], &keys].concat()).await.ok();

        let stamps: Vec<i64> = cluster.read(&output, 0).await.iter().map(|record| record.timestamp).collect();
        assert_eq!(stamps, [3, 1, 2, 4]);
        cluster.verify(&input, &output, &keys).await.ok();
    }

    async fn the_end_offsets_of_the_report_pin_the_proof_when_the_input_has_grown(cluster: &Cluster) {
        let input = cluster.topic("in", 2).await;
        let output = cluster.topic("out", 1).await;
        cluster.put(&input, 0, &(0..50).map(Rec::int).collect::<Vec<_>>()).await;
        let report = cluster.run(&["merge", "--from", &input, "--to", &output, "--output", "json"]).await.ok().json();
        cluster.put(&input, 1, &[Rec::int(3)]).await;

        cluster.verify(&input, &output, &[]).await.fails(4, &[]);
        let ends = report["ends"].as_str().expect("ends is text");
        cluster.verify(&input, &output, &["--end", ends, "--output-start", "0"]).await.ok();
    }

    async fn start_and_end_take_offsets_and_times(cluster: &Cluster) {
        let input = cluster.topic("in", 1).await;
        let output = cluster.topic("out", 1).await;
        let records: Vec<Rec> = (0..10).map(|n| Rec::int(n).stamped(1_000 * n)).collect();
        // One record a batch, so that a time finds its record and not the batch around it.
        for record in &records {
            cluster.put(&input, 0, std::slice::from_ref(record)).await;
        }
        cluster.run(&["merge", "--from", &input, "--to", &output, "--start", "2", "--end", "@7000"]).await.ok();
        assert_eq!(cluster.read(&output, 0).await, records[2..7]);
    }

    async fn the_proof_that_is_printed_works_as_it_stands_wherever_the_addresses_came_from(cluster: &Cluster) {
        let input = cluster.topic("in", 2).await;
        cluster.put(&input, 1, &[Rec::int(1), Rec::int(2)]).await;
        // The addresses as configurations often have them.
        let listed: Vec<String> = cluster.brokers.split(',').map(|address| format!("PLAINTEXT://{address}")).collect();
        let listed = listed.join(",");
        for (environment, more) in [(&*cluster.brokers, &[][..]), ("", &["--brokers", &listed])] {
            let output = cluster.topic(if more.is_empty() { "environment" } else { "typed" }, 1).await;
            let args = ["merge", "--from", &input, "--to", &output, "--output", "json"];
            let report = run(command(environment, &[&args, more].concat())).await.ok().json();
            let proof = report["verify_command"].as_str().expect("it is text").to_owned();
            assert_eq!(proof.contains("--brokers"), !more.is_empty(), "{proof}");
            // Nothing in it needs a shell.
            let words: Vec<&str> = proof.split(' ').collect();
            assert_eq!(words[0], "kmerge");
            run(command(environment, &words[1..])).await.ok();
        }
    }

    async fn batches_behind_the_end_play_no_part_whatever_rskafka_makes_of_them(cluster: &Cluster) {
        use kmerge::batch::Codec;
        let null_header = Rec { headers: vec![(b"h".to_vec(), None)], ..Rec::int(20) };
        for (i, (codec, strange)) in
            [(Codec::Lz4, Rec::int(20)), (Codec::Zstd, Rec::int(20)), (Codec::None, null_header)].into_iter().enumerate()
        {
            let input = cluster.topic(&format!("in{i}"), 1).await;
            let output = cluster.topic(&format!("out{i}"), 1).await;
            // All of it fits into one fetch.
            for number in 0..20 {
                cluster.put(&input, 0, &[Rec::int(number)]).await;
            }
            cluster.put_with(&input, 0, codec, &[strange]).await;

            cluster.run(&["merge", "--client", "rskafka", "--from", &input, "--to", &output, "--end", "20"]).await.ok();

            assert_eq!(cluster.read(&output, 0).await, (0..20).map(Rec::int).collect::<Vec<_>>());
            // Without an end before it, it is named by its place.
            let output = cluster.topic(&format!("whole{i}"), 1).await;
            let place = format!("{input} partition 0 offset 20");
            cluster.run(&["merge", "--client", "rskafka", "--from", &input, "--to", &output]).await.fails(1, &[&place]);
        }
    }

    async fn a_dry_run_shows_the_plan_and_writes_nothing(cluster: &Cluster) {
        let input = cluster.topic("in", 3).await;
        let output = cluster.topic("out", 1).await;
        cluster.put(&input, 1, &[Rec::int(1), Rec::int(2)]).await;
        let outcome = cluster.run(&["merge", "--from", &input, "--to", &output, "--dry-run"]).await.ok();
        assert!(format!("{}{}", outcome.stdout, outcome.stderr).contains(&input), "{outcome:?}");
        assert_eq!(cluster.read(&output, 0).await, []);
    }

    async fn append_goes_on_behind_what_is_there(cluster: &Cluster) {
        let input = cluster.topic("in", 1).await;
        let output = cluster.topic("out", 1).await;
        cluster.put(&output, 0, &[Rec::int(1), Rec::int(5)]).await;
        cluster.put(&input, 0, &[Rec::int(5), Rec::int(6)]).await;

        let report = cluster.run(&["merge", "--from", &input, "--to", &output, "--append", "--output", "json"]).await.ok().json();

        assert_eq!(report["output_start"], 2);
        assert_eq!(cluster.read(&output, 0).await.len(), 4);
        cluster.verify(&input, &output, &["--output-start", "2"]).await.ok();
    }

    async fn counting_gives_what_merging_gives_and_needs_no_sorted_input(cluster: &Cluster) {
        let input = cluster.topic("in", 3).await;
        let (merged, counted) = (cluster.topic("merged", 1).await, cluster.topic("counted", 1).await);
        let mut seed = Seed::printed();
        for partition in 0..3 {
            let mut values: Vec<i64> = (0..500).map(|_| seed.below(20) as i64 - 10).collect();
            values.sort_unstable();
            cluster.put(&input, partition, &values.into_iter().map(Rec::int).collect::<Vec<_>>()).await;
        }
        cluster.run(&["merge", "--from", &input, "--to", &merged]).await.ok();
        let report = cluster.run(&["merge", "--from", &input, "--to", &counted, "--strategy", "count", "--output", "json"]).await.ok().json();
        assert_eq!((&report["strategy"], &report["records"]), (&"count".into(), &1500.into()));
        cluster.verify(&input, &counted, &["--ignore", "timestamp"]).await.ok();
        let values = |records: Vec<Rec>| records.into_iter().map(|record| record.value).collect::<Vec<_>>();
        assert_eq!(values(cluster.read(&merged, 0).await), values(cluster.read(&counted, 0).await));

        let unsorted = cluster.topic("unsorted", 1).await;
        let output = cluster.topic("sorted", 1).await;
        cluster.put(&unsorted, 0, &[Rec::int(3), Rec::int(1), Rec::int(2)]).await;
        cluster.run(&["merge", "--from", &unsorted, "--to", &output, "--strategy", "count"]).await.ok();
        assert_eq!(values(cluster.read(&output, 0).await), [Some(b"1".to_vec()), Some(b"2".to_vec()), Some(b"3".to_vec())]);
    }
}

//! Is it sorted, and is it what it should be?

use crate::support::*;

on_both_brokers! {
    async fn check_finds_the_first_inversion_of_each_partition(cluster: &Cluster) {
        let input = cluster.topic("in", 3).await;
        cluster.put(&input, 0, &[1, 2, 2, 3].map(Rec::int)).await;
        cluster.put(&input, 1, &[1, 5, 4, 3].map(Rec::int)).await;

        let outcome = cluster.run(&["check", &input, "--key", "value:int", "--output", "json"]).await;
        let report = outcome.json();
        outcome.fails(4, &[]);
        assert_eq!(report["sorted"], false);
        assert_eq!(report["records"], 8);
        assert_eq!(report["inversions"], 2);
        let first = &report["partitions"][1]["first_inversion"];
        assert_eq!((&first["offset"], &first["key"], &first["previous_offset"]), (&2.into(), &"4".into(), &1.into()));
        assert_eq!(first["previous_key"], "5");
        let said = cluster.run(&["check", &input, "--key", "value:int"]).await;
        assert!(format!("{}{}", said.stdout, said.stderr).contains(&format!("{input} partition 1 offset 2")), "{said:?}");
    }

    async fn check_of_sorted_partitions_ends_well(cluster: &Cluster) {
        let input = cluster.topic("in", 2).await;
        cluster.put(&input, 0, &[3, 2, 2].map(Rec::int)).await;
        cluster.run(&["check", &input, "--order", "desc"]).await.ok();
        cluster.run(&["check", &input]).await.fails(4, &[]);
    }

    async fn verify_reads_every_codec_and_aborted_batches_are_not_there(cluster: &Cluster) {
        use kmerge::batch::Codec;
        let input = cluster.topic("in", 5).await;
        let output = cluster.topic("out", 1).await;
        let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
        for (partition, codec) in codecs.into_iter().enumerate() {
            cluster.put_with(&input, partition as i32, codec, &(0..200).map(Rec::int).collect::<Vec<_>>()).await;
        }
        let merged: Vec<Rec> = (0..200).flat_map(|n| std::iter::repeat_n(Rec::int(n), 5)).collect();
        cluster.put_with(&output, 0, Codec::Zstd, &merged).await;
        let report = cluster.verify(&input, &output, &["--output", "json"]).await.ok().json();
        assert_eq!((&report["ok"], &report["input_records"], &report["output_records"]), (&true.into(), &1000.into(), &1000.into()));
    }

    async fn verify_names_the_first_wrong_offset_and_counts_the_rest(cluster: &Cluster) {
        let input = cluster.topic("in", 2).await;
        cluster.put(&input, 0, &[1, 3, 5].map(Rec::int)).await;
        cluster.put(&input, 1, &[2, 4, 6].map(Rec::int)).await;

        let missing = cluster.topic("missing", 1).await;
        cluster.put(&missing, 0, &[1, 2, 4, 5, 6].map(Rec::int)).await;
        let outcome = cluster.verify(&input, &missing, &["--output", "json"]).await;
        let report = outcome.json();
        outcome.fails(4, &["offset 2"]);
        assert_eq!((&report["missing"], &report["extra"], &report["exact"]), (&1.into(), &0.into(), &true.into()));

        let swapped = cluster.topic("swapped", 1).await;
        cluster.put(&swapped, 0, &[1, 2, 4, 3, 5, 6].map(Rec::int)).await;
        let report = cluster.verify(&input, &swapped, &["--output", "json"]).await.json();
        assert_eq!((&report["missing"], &report["extra"], &report["out_of_order"]), (&0.into(), &0.into(), &1.into()));
        assert_eq!(report["ok"], false);

        let changed = cluster.topic("changed", 1).await;
        let mut records: Vec<Rec> = (1..=6).map(Rec::int).collect();
        records[3].timestamp += 1;
        cluster.put(&changed, 0, &records).await;
        cluster.verify(&input, &changed, &[]).await.fails(4, &["offset 3", "timestamp"]);
        cluster.verify(&input, &changed, &["--ignore", "timestamp"]).await.ok();
    }
}

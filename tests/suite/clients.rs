//! Our client beside rskafka: the same inputs through both, and what only ours can do.

use crate::support::*;
use kmerge::batch::Codec;

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

on_both_brokers! {
    async fn both_clients_write_the_same_record_for_record(cluster: &Cluster) {
        // What rskafka can represent: unique headers without nulls, the producer's time; none, gzip and snappy.
        let input = cluster.topic("in", 6).await;
        let mut seed = Seed::printed();
        for partition in 0..6 {
            let codec = [Codec::None, Codec::Gzip, Codec::Snappy][partition as usize % 3];
            let mut keys: Vec<i64> = (0..seed.below(900)).map(|_| seed.below(500) as i64 - 250).collect();
            keys.sort_unstable();
            let records: Vec<Rec> = keys
                .into_iter()
                .map(|key| {
                    let record = Rec::int(key).stamped(1_600_000_000_000 + seed.below(1 << 36) as i64);
                    let record = if seed.below(3) == 0 { record.header("b", "2").header("c", "") } else { record };
                    let key = (seed.below(2) == 0).then(|| vec![0xff; seed.below(300) as usize]);
                    Rec { key, ..record }
                })
                .collect();
            for (index, batch) in records.chunks(1 + seed.below(200) as usize).enumerate() {
                cluster.put_with(&input, partition, if index % 2 == 0 { codec } else { Codec::None }, batch).await;
            }
        }
        let mut outputs = Vec::new();
        for client in ["kmerge", "rskafka"] {
            let output = cluster.topic(client, 1).await;
            let args = ["merge", "--from", &input, "--to", &output, "--client", client, "--output", "json"];
            let report = cluster.run(&args).await.ok().json();
            assert_eq!(report["client"], client);
            outputs.push((cluster.read(&output, 0).await, report["records"].clone(), report["bytes"].clone()));
            cluster.verify(&input, &output, &[]).await.ok();
        }
        assert!(outputs[0] == outputs[1], "the outputs differ");
    }

    async fn every_codec_comes_in_and_goes_out(cluster: &Cluster) {
        let input = cluster.topic("in", 5).await;
        for (partition, codec) in CODECS.into_iter().enumerate() {
            cluster.put_with(&input, partition as i32, codec, &(0..300).map(Rec::int).collect::<Vec<_>>()).await;
        }
        for codec in CODECS.map(Codec::name) {
            let output = cluster.topic(codec, 1).await;
            cluster.run(&["merge", "--from", &input, "--to", &output, "--compression", codec]).await.ok();
            cluster.verify(&input, &output, &[]).await.ok();
            assert_eq!(cluster.codecs(&output, 0).await, [codec]);
        }
    }

    async fn keep_compresses_as_the_input_is_compressed(cluster: &Cluster) {
        for codec in CODECS {
            let input = cluster.topic(&format!("in-{}", codec.name()), 2).await;
            for partition in 0..2 {
                cluster.put_with(&input, partition, codec, &(0..300).map(Rec::int).collect::<Vec<_>>()).await;
            }
            let output = cluster.topic(&format!("out-{}", codec.name()), 1).await;
            cluster.run(&["merge", "--from", &input, "--to", &output, "--compression", "keep"]).await.ok();
            cluster.verify(&input, &output, &[]).await.ok();
            assert_eq!(cluster.codecs(&output, 0).await, [codec.name()]);
        }
    }

    async fn fault_45_nulls_empties_repeats_strange_bytes_and_distant_times_arrive_as_they_were(cluster: &Cluster) {
        let (input, output) = (cluster.topic("in", 1).await, cluster.topic("out", 1).await);
        let strange = vec![(b"z".to_vec(), None), (b"\xff\x00".to_vec(), Some(b"1".to_vec())), (b"z".to_vec(), Some(vec![])), (b"".to_vec(), Some(b"\x80".to_vec()))];
        let records = [
            Rec { headers: strange, ..Rec::int(1) }.stamped(0),
            // Further apart than 24.8 days, which 32 bits of milliseconds hold.
            Rec { key: Some(vec![]), ..Rec::int(2) }.stamped(1_700_000_000_000),
            Rec { key: None, ..Rec::int(3) }.stamped(5),
            Rec { key: Some(b"\x00".to_vec()), ..Rec::int(4) }.stamped(1_600_000_000_000),
        ];
        for codec in CODECS {
            cluster.put_with(&input, 0, codec, &records.iter().cloned().map(|r| Rec { value: Some(b"7".to_vec()), ..r }).collect::<Vec<_>>()).await;
        }
        cluster.run(&["merge", "--from", &input, "--to", &output]).await.ok();
        assert_eq!(cluster.read(&output, 0).await, cluster.read(&input, 0).await);
    }

    async fn log_append_time_is_the_time_that_goes_on(cluster: &Cluster) {
        let input = cluster.topic_with("in", 2, &[("message.timestamp.type", "LogAppendTime")]).await;
        let output = cluster.topic("out", 1).await;
        for partition in 0..2 {
            cluster.put(&input, partition, &[Rec::int(1).stamped(1), Rec::int(2).stamped(2)]).await;
        }
        cluster.run(&["merge", "--from", &input, "--to", &output]).await.ok();
        let (merged, read) = (cluster.read(&output, 0).await, cluster.read(&input, 0).await);
        assert_eq!(merged[0], read[0]);
        assert!(merged.iter().all(|record| record.timestamp > 1_700_000_000_000), "{merged:?}");
        cluster.verify(&input, &output, &[]).await.ok();
    }

    async fn what_rskafka_cannot_do_is_refused_by_name_before_anything_is_written(cluster: &Cluster) {
        let (input, output) = (cluster.topic("in", 1).await, cluster.topic("out", 1).await);
        let args = ["merge", "--from", &input, "--to", &output, "--client", "rskafka"];
        for (more, said) in [
            (["--compression", "lz4"], "gzip or snappy only"),
            (["--compression", "keep"], "gzip or snappy only"),
            (["--delivery", "idempotent"], "no idempotent producer"),
            (["--strategy", "count"], "does not count"),
        ] {
            cluster.run(&[&args[..], &more].concat()).await.fails(2, &["rskafka", said]);
        }
    }

    async fn delivery_is_exactly_once_unless_asked_otherwise_and_reported(cluster: &Cluster) {
        let input = cluster.topic("in", 2).await;
        for partition in 0..2 {
            cluster.put(&input, partition, &(0..100).map(Rec::int).collect::<Vec<_>>()).await;
        }
        for (name, more, delivery) in [
            ("a", &[][..], "exactly-once"),
            ("d", &["--delivery", "idempotent"], "idempotent"),
            ("b", &["--delivery", "at-least-once"], "at-least-once"),
            ("c", &["--client", "rskafka"], "at-least-once"),
        ] {
            let output = cluster.topic(name, 1).await;
            let args = [&["merge", "--from", &input, "--to", &output, "--output", "json"][..], more].concat();
            assert_eq!(cluster.run(&args).await.ok().json()["delivery"], delivery);
            assert_eq!(cluster.read(&output, 0).await.len(), 200);
        }
    }
}

//! Bad input to the merge: a clear error with the way out, the right exit status, nothing written out of order.

use crate::support::*;

on_both_brokers! {
    async fn an_unreadable_key_stops_with_its_place_and_an_excerpt(cluster: &Cluster) {
        let input = cluster.topic("in", 2).await;
        let output = cluster.topic("out", 1).await;
        cluster.put(&input, 1, &[Rec::int(1), Rec::text("se\x1bven")]).await;
        let place = format!("{input} partition 1 offset 1");
        cluster.run(&["merge", "--from", &input, "--to", &output]).await.fails(4, &[&place, r"se\x1bven"]);
    }

    async fn fault_46_an_input_that_runs_backwards_stops_before_anything_behind_it_is_written(cluster: &Cluster) {
        let input = cluster.topic("in", 2).await;
        let output = cluster.topic("out", 1).await;
        cluster.put(&input, 0, &[Rec::int(1), Rec::int(5), Rec::int(4), Rec::int(6)]).await;
        cluster.put(&input, 1, &[Rec::int(9)]).await;
        let place = format!("{input} partition 0 offset 2");
        cluster.run(&["merge", "--from", &input, "--to", &output]).await.fails(4, &[&place, "offset 1", "4", "5"]);
        let written: Vec<Rec> = cluster.read(&output, 0).await;
        assert!(written.len() <= 2, "{written:?}");
        assert_eq!(written, [Rec::int(1), Rec::int(5)][..written.len()]);
    }

    async fn a_missing_topic_is_named_with_the_nearest_one(cluster: &Cluster) {
        let input = cluster.topic("input", 1).await;
        let output = cluster.topic("out", 1).await;
        let slip = input.replace("input", "inptu");
        cluster.run(&["merge", "--from", &slip, "--to", &output]).await.fails(1, &[&slip, &input]);
        let slip = output.replace("out", "oput");
        cluster.run(&["merge", "--from", &input, "--to", &slip]).await.fails(1, &[&slip, &output]);
    }

    async fn an_output_of_more_than_one_partition_is_refused(cluster: &Cluster) {
        let input = cluster.topic("in", 1).await;
        let output = cluster.topic("out", 2).await;
        cluster.run(&["merge", "--from", &input, "--to", &output]).await.fails(1, &["2 partitions"]);
    }

    async fn an_output_that_holds_something_needs_append(cluster: &Cluster) {
        let input = cluster.topic("in", 1).await;
        let output = cluster.topic("out", 1).await;
        cluster.put(&output, 0, &[Rec::int(5)]).await;
        cluster.run(&["merge", "--from", &input, "--to", &output]).await.fails(1, &["--append"]);
    }

    async fn append_below_the_last_key_there_is_refused_and_writes_nothing(cluster: &Cluster) {
        let input = cluster.topic("in", 1).await;
        let output = cluster.topic("out", 1).await;
        cluster.put(&output, 0, &[Rec::int(5)]).await;
        cluster.put(&input, 0, &[Rec::int(4)]).await;
        cluster.run(&["merge", "--from", &input, "--to", &output, "--append"]).await.fails(4, &["5", "4"]);
        assert_eq!(cluster.read(&output, 0).await.len(), 1);
    }

    async fn a_topic_cannot_be_merged_into_itself(cluster: &Cluster) {
        let topic = cluster.topic("same", 1).await;
        cluster.run(&["merge", "--from", &topic, "--to", &topic]).await.fails(2, &[&topic]);
    }

    async fn a_start_that_retention_has_passed_is_refused(cluster: &Cluster) {
        let input = cluster.topic("in", 1).await;
        let output = cluster.topic("out", 1).await;
        cluster.put(&input, 0, &(0..10).map(Rec::int).collect::<Vec<_>>()).await;
        cluster.delete_before(&input, 0, 5).await;
        cluster.run(&["merge", "--from", &input, "--to", &output, "--start", "2"]).await.fails(1, &["2", "5"]);
        cluster.run(&["merge", "--from", &input, "--to", &output]).await.ok();
        assert_eq!(cluster.read(&output, 0).await.len(), 5);
    }

    async fn a_record_above_the_outputs_limit_is_named(cluster: &Cluster) {
        let input = cluster.topic("in", 1).await;
        let output = cluster.topic_with("out", 1, &[("max.message.bytes", "2000")]).await;
        let big = Rec { key: Some(vec![b'x'; 3000]), ..Rec::int(2) };
        cluster.put(&input, 0, &[Rec::int(1), big, Rec::int(3)]).await;
        let place = format!("{input} partition 0 offset 1");
        cluster.run(&["merge", "--from", &input, "--to", &output]).await.fails(1, &[&place, "max.message.bytes", "2000"]);
        assert!(cluster.read(&output, 0).await.len() <= 1);
    }

    async fn a_codec_that_rskafka_cannot_read_is_named(cluster: &Cluster) {
        let input = cluster.topic("in", 1).await;
        let output = cluster.topic("out", 1).await;
        cluster.put_with(&input, 0, kmerge::batch::Codec::Lz4, &[Rec::int(1)]).await;
        cluster.run(&["merge", "--client", "rskafka", "--from", &input, "--to", &output]).await.fails(1, &["lz4", &input]);
    }

    async fn a_null_header_value_is_refused_by_name_through_rskafka(cluster: &Cluster) {
        let input = cluster.topic("in", 1).await;
        let output = cluster.topic("out", 1).await;
        let record = Rec { headers: vec![(b"h".to_vec(), None)], ..Rec::int(1) };
        cluster.put(&input, 0, &[record]).await;
        cluster.run(&["merge", "--client", "rskafka", "--from", &input, "--to", &output]).await.fails(1, &["header"]);
    }

    async fn counting_names_the_first_record_that_is_more_than_its_key(cluster: &Cluster) {
        let output = cluster.topic("out", 1).await;
        let more = [
            Rec { key: Some(vec![]), ..Rec::int(7) },
            Rec::int(7).header("h", ""),
            Rec::text("007"),
            Rec::text("+7"),
            Rec::text("-0"),
        ];
        for (i, record) in more.into_iter().enumerate() {
            let input = cluster.topic(&format!("in{i}"), 1).await;
            cluster.put(&input, 0, &[Rec::int(1), record]).await;
            let place = format!("{input} partition 0 offset 1");
            cluster.run(&["merge", "--from", &input, "--to", &output, "--strategy", "count"]).await.fails(4, &[&place]);
        }
        assert_eq!(cluster.read(&output, 0).await, []);
    }
}

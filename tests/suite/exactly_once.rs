//! A merge that is killed, doubled or stopped is still the merge: what a user does, with the binary.

use crate::support::*;

const RECORDS: i64 = 60_000;

async fn input(cluster: &Cluster) -> String {
    let input = cluster.topic_with("in", 3, &[("retention.ms", "-1")]).await;
    for partition in 0..3 {
        let numbers = (0..RECORDS / 3).map(|number| Rec::int(3 * number + i64::from(partition)));
        cluster.put(&input, partition, &numbers.collect::<Vec<_>>()).await;
    }
    input
}

on_both_brokers! {
    async fn the_same_command_again_says_that_it_is_complete_and_how_the_inputs_have_grown(cluster: &Cluster) {
        let (input, output) = (input(cluster).await, cluster.topic("out", 1).await);
        let args = ["merge", "--from", &input, "--to", &output];
        cluster.run(&args).await.ok();
        let again = cluster.run(&args).await.ok();
        assert!(again.stderr.contains("already complete") && !again.stderr.contains("merged 0"), "{}", again.stderr);
        cluster.put(&input, 0, &[Rec::int(RECORDS), Rec::int(RECORDS + 1)]).await;
        let again = cluster.run(&args).await.ok();
        assert!(again.stderr.contains("grown by 2 records"), "{}", again.stderr);
        let json = cluster.run(&[&args[..], &["--output", "json"]].concat()).await.ok().json();
        assert_eq!((&json["records"], &json["resumed_at"]), (&0.into(), &RECORDS.into()));
        cluster.run(&["verify", "--job", &format!("merge:{input}:{output}")]).await.ok();
    }

    async fn an_output_that_somebody_wrote_to_or_deleted_is_not_gone_on_with(cluster: &Cluster) {
        let (input, output) = (input(cluster).await, cluster.topic("out", 1).await);
        let args = ["merge", "--from", &input, "--to", &output];
        cluster.run(&args).await.ok();
        let other = cluster.topic("other", 1).await;
        cluster.run(&["merge", "--from", &input, "--to", &other, "--job", &format!("merge:{input}:{output}")])
            .await
            .fails(2, &["writes to", &other]);
        // On a loaded machine there are several transactions, and a marker behind each.
        let place = kmerge::base::place::TopicPartition::new(output.as_str(), 0);
        let end = cluster.client().await.offsets(&[place], kmerge::client::OffsetAt::Latest).await.unwrap()[0];
        cluster.delete_before(&output, 0, end).await;
        cluster.run(&args).await.fails(4, &["is not there", "--restart"]);
        cluster.run(&[&args[..], &["--restart"]].concat()).await.ok();
        assert_eq!(cluster.read(&output, 0).await.len() as i64, RECORDS);
    }

    async fn a_count_goes_on_and_is_complete_like_a_merge(cluster: &Cluster) {
        let (input, output) = (input(cluster).await, cluster.topic("out", 1).await);
        let args = ["merge", "--from", &input, "--to", &output, "--strategy", "count"];
        cluster.run(&args).await.ok();
        let again = cluster.run(&args).await.ok();
        assert!(again.stderr.contains("already complete"), "{}", again.stderr);
        cluster.verify(&input, &output, &["--ignore", "timestamp"]).await.ok();
    }

    async fn fault_27_a_group_follows_the_progress_and_decides_nothing(cluster: &Cluster) {
        let (input, output) = (input(cluster).await, cluster.topic("out", 1).await);
        let group = format!("{output}-group");
        cluster.run(&["merge", "--from", &input, "--to", &output, "--group", &group]).await.ok();
        if let Some(broker) = &cluster.embedded {
            let committed: Vec<_> = (0..3).map(|partition| broker.committed_offset(&group, &input, partition)).collect();
            assert_eq!(committed, [Some(RECORDS / 3); 3]);
        }
        // Where the job is, its record says: a group that knows nothing changes nothing.
        let again = cluster.run(&["merge", "--from", &input, "--to", &output, "--group", "nobody"]).await.ok();
        assert!(again.stderr.contains("already complete"), "{}", again.stderr);
    }
}

//! Sample data, as it lies in the topic.

use crate::support::*;

on_both_brokers! {
    async fn integers_ascend_in_each_partition_and_a_seed_repeats_them(cluster: &Cluster) {
        let (first, again) = (cluster.name("first"), cluster.name("again"));
        for topic in [&first, &again] {
            let args = ["generate", "ints", "--to", topic, "--partitions", "3", "--records", "20001", "--max", "100", "--seed", "9"];
            let report = cluster.run(&[&args[..], &["--output", "json"]].concat()).await.ok().json();
            assert_eq!((&report["records"], &report["partitions"], &report["created"]), (&20001.into(), &3.into(), &true.into()));
        }
        for partition in 0..3 {
            let values = numbers(&cluster.read(&first, partition).await);
            assert_eq!(values.len(), 6667);
            assert!(values.is_sorted() && values.iter().all(|value| (1..=100).contains(value)), "{partition}");
            assert_eq!(values, numbers(&cluster.read(&again, partition).await), "{partition}");
        }
    }

    async fn skew_puts_its_share_into_partition_0(cluster: &Cluster) {
        let topic = cluster.topic("skewed", 4).await;
        cluster.run(&["generate", "ints", &topic, "--records", "1000", "--skew", "0.9", "--min", "-5", "--max", "-5"]).await.ok();
        let mut lens = Vec::new();
        for partition in 0..4 {
            lens.push(cluster.read(&topic, partition).await.len());
        }
        assert_eq!(lens, [900, 34, 33, 33]);
    }

    async fn a_topic_that_holds_records_is_refused(cluster: &Cluster) {
        let topic = cluster.topic("taken", 1).await;
        cluster.put(&topic, 0, &[Rec::int(1)]).await;
        let made = cluster.run(&["generate", "ints", "--to", &topic, "--records", "10"]).await;
        made.fails(1, &["holds records", "kmerge topic delete"]);
        assert_eq!(cluster.read(&topic, 0).await.len(), 1);
        cluster.run(&["generate", "ints", "--to", &topic, "--partitions", "2"]).await.fails(1, &["1 partitions, not 2"]);
    }

    async fn wrong_numbers_are_wrong_usage(cluster: &Cluster) {
        let topic = cluster.name("none");
        let wrong = async |more: &[&str], said: &str| {
            cluster.run(&[&["generate", "ints", "--to", &topic][..], more].concat()).await.fails(2, &[said]);
        };
        wrong(&["--min", "3", "--max", "2"], "above --max").await;
        wrong(&["--skew", "1.5"], "0 to 1").await;
        wrong(&["--partitions", "0"], "--partitions must be").await;
    }
}

fn numbers(records: &[Rec]) -> Vec<i64> {
    let read = |record: &Rec| String::from_utf8(record.value.clone()?).ok()?.parse().ok();
    records.iter().map(|record| read(record).expect("a number")).collect()
}

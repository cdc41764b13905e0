//! The commands around the merge, as a user types them.

use crate::support::*;

on_both_brokers! {
    async fn a_topic_is_created_described_listed_and_deleted(cluster: &Cluster) {
        let topic = cluster.name("made");
        cluster.run(&["topic", "create", &topic, "--partitions", "3", "--config", "retention.ms=123456"]).await.ok();
        cluster.run(&["topic", "create", &topic, "--partitions", "3"]).await.fails(1, &[&topic, "exists"]);
        cluster.run(&["topic", "create", &topic, "--partitions", "3", "--if-not-exists"]).await.ok();
        let listed = cluster.run(&["topic", "list"]).await.ok();
        assert!(listed.stdout.lines().any(|line| line.contains(&topic)), "{listed:?}");
        let described = cluster.run(&["topic", "describe", &topic]).await.ok();
        assert!(described.stdout.contains("123456"), "{described:?}");
        cluster.run(&["topic", "delete", &topic]).await.ok();
        cluster.run(&["topic", "describe", &topic]).await.fails(1, &[&topic]);
    }

    async fn several_topics_are_deleted_at_once_or_none_where_one_is_not_there(cluster: &Cluster) {
        let (one, two, missing) = (cluster.topic("one", 1).await, cluster.topic("two", 1).await, cluster.name("missing"));
        cluster.run(&["topic", "delete", &one, &missing, &two]).await.fails(1, &[&missing]);
        cluster.run(&["topic", "delete", &one, &one]).await.fails(2, &["twice"]);
        cluster.run(&["topic", "describe", &one]).await.ok();
        let deleted = cluster.run(&["topic", "delete", &one, &missing, &two, "--if-exists", "--output", "json"]).await.ok().json();
        let flags: Vec<_> = deleted["topics"].as_array().unwrap().iter().map(|one| one["deleted"] == true).collect();
        assert_eq!(flags, [true, false, true], "{deleted}");
        for gone in [&one, &two] {
            cluster.run(&["topic", "describe", gone]).await.fails(1, &[gone]);
        }
    }

    async fn generated_ints_are_sorted_and_the_same_for_a_seed(cluster: &Cluster) {
        let (first, second) = (cluster.name("first"), cluster.name("second"));
        for topic in [&first, &second] {
            let args = ["generate", "ints", "--to", topic, "--partitions", "4", "--records", "10000", "--max", "1000", "--seed", "9"];
            cluster.run(&args).await.ok();
            let report = cluster.run(&["check", topic, "--output", "json"]).await.ok().json();
            assert_eq!((&report["sorted"], &report["records"]), (&true.into(), &10_000.into()));
        }
        for partition in 0..4 {
            let values = async |topic: &str| cluster.read(topic, partition).await.into_iter().map(|r| r.value).collect::<Vec<_>>();
            assert_eq!(values(&first).await, values(&second).await);
        }
    }

    async fn skewed_ints_go_mostly_to_partition_0(cluster: &Cluster) {
        let topic = cluster.name("skewed");
        cluster.run(&["generate", "ints", "--to", &topic, "--partitions", "5", "--records", "5000", "--skew", "0.9"]).await.ok();
        assert_eq!(cluster.read(&topic, 0).await.len(), 4500);
    }

    /// The promise of bounded memory, in a process of its own: the inputs are several times the budget.
    async fn a_topic_several_times_the_budget_merges_inside_a_bounded_peak(cluster: &Cluster) {
        let (input, output) = (cluster.name("large"), cluster.topic("merged", 1).await);
        cluster.run(&["generate", "ints", "--to", &input, "--records", "3000000", "--min", "1000000", "--max", "9999999"]).await.ok();
        let report = cluster.run(&["merge", "--from", &input, "--to", &output, "--memory", "8MiB", "--output", "json"]).await.ok().json();
        assert_eq!(report["records"], 3_000_000);
        // 21 MB of keys and values, which take several times that as objects, through 8 MiB.
        let bytes = report["bytes"].as_u64().unwrap();
        let peak = report["peak_memory_bytes"].as_u64().unwrap();
        assert!(bytes > 2 * (8 << 20), "{report}");
        if cfg!(target_os = "linux") {
            assert!(peak < 64 << 20, "a peak of {peak} bytes with a budget of 8 MiB: {report}");
        }
        cluster.verify(&input, &output, &["--memory", "16MiB"]).await.ok();
    }
}

/// One that cannot be deleted does not keep the others from being.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_cannot_be_deleted_is_told_and_the_others_are() {
    use kmerge::broker::{Fault, Rule};
    use kmerge::wire::{ApiKey, ErrorCode};
    let cluster = Cluster::embedded("delete-some").await;
    let (one, two) = (cluster.topic("one", 1).await, cluster.topic("two", 1).await);
    let refused = Fault::Error(ErrorCode::TopicAuthorizationFailed);
    cluster.embedded.as_ref().unwrap().faults().add(Rule::on(ApiKey::DeleteTopics).once(), refused);
    let outcome = cluster.run(&["topic", "delete", &one, &two]).await;
    outcome.fails(1, &["1 of 2 topics could not be deleted", &format!("{one} not deleted"), &format!("{two} deleted")]);
    cluster.run(&["topic", "describe", &one]).await.ok();
    cluster.run(&["topic", "describe", &two]).await.fails(1, &[&two]);
}

#[tokio::test]
async fn the_demo_takes_the_whole_tour() {
    let outcome = run(command("", &["demo", "--records", "20000", "--output", "json"])).await.ok();
    let report = outcome.json();
    assert_eq!((&report["merge"]["records"], &report["verify"]["ok"]), (&20_000.into(), &true.into()));
    assert!(outcome.stderr.contains("What to try next"), "{outcome:?}");
}

#[tokio::test]
async fn the_broker_runs_a_command_with_its_address_and_ends_with_its_status() {
    let kmerge = env!("CARGO_BIN_EXE_kmerge");
    let script = format!("'{kmerge}' topic list && exit 7");
    let outcome =
        run(command("", &["broker", "--nodes", "2", "--port", "0", "--topic", "made:3", "--exec", &script])).await;
    assert_eq!(outcome.status, 7, "{outcome:?}");
    assert!(outcome.stdout.contains("made"), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_at_an_ipv6_address_is_written_to_and_merged_by_either_client() {
    use kmerge::broker::{Broker, BrokerConfig};
    let topics = vec![("out".to_owned(), 1)];
    let config = BrokerConfig { listen: std::net::Ipv6Addr::LOCALHOST.into(), topics, ..BrokerConfig::default() };
    let Ok(broker) = Broker::start(config).await else {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "skipped: this machine has no IPv6 loopback");
        return;
    };
    let brokers = broker.bootstrap();
    assert!(brokers.starts_with("[::1]:"), "{brokers}");
    run(command(&brokers, &["generate", "ints", "--to", "in", "--records", "100"])).await.ok();
    run(command(&brokers, &["merge", "--from", "in", "--to", "out"])).await.ok();
    run(command(&brokers, &["verify", "--from", "in", "--to", "out"])).await.ok();
}

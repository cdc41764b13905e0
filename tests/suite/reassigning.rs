//! Partitions that are moved, and what is refused before anything is.

use crate::produce::until;
use crate::support::*;
use kmerge::client::{ConfigOf, NewTopic};
use std::path::PathBuf;

/// A file of this test's own, gone with it.
struct Plan(PathBuf);

impl Plan {
    fn of(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!(
            "kmerge-plan-{}-{name}-{:08x}.json",
            std::process::id(),
            rand::random::<u32>()
        ));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn brokers(cluster: &Cluster) -> Vec<i32> {
    cluster.client().await.brokers().iter().map(|broker| broker.node).collect()
}

fn plan(topic: &str, partition: i32, replicas: &[i32]) -> String {
    format!(r#"{{"version":1,"partitions":[{{"topic":"{topic}","partition":{partition},"replicas":{replicas:?}}}]}}"#)
}

on_both_brokers! {
    async fn a_plan_that_cannot_be_is_refused_before_anything_is_sent(cluster: &Cluster) {
        let topic = cluster.topic("refused", 2).await;
        let there = brokers(cluster).await;
        let before = cluster.run(&["topic", "describe", &topic, "--output", "json"]).await.ok().json();
        for (name, text, status, said) in [
            ("nobody", plan(&topic, 0, &[there[0], 99]), 1, &["no broker 99", "Nothing was changed"][..]),
            ("twice", plan(&topic, 0, &[there[0], there[0]]), 2, &["twice"]),
            ("partition", plan(&topic, 7, &[there[0]]), 1, &["partition 7 does not exist", "2 partition(s)"]),
            ("topic", plan("no-such-topic-here", 0, &[there[0]]), 1, &["no topic no-such-topic-here"]),
            ("json", "{".into(), 2, &["no JSON"]),
            ("deep", "[".repeat(10_000), 2, &["no JSON"]),
            (
                "folder",
                plan(&topic, 0, &[there[0]]).replace("}]}", r#","log_dirs":["/no/such/folder"]}]}"#),
                1,
                &["/no/such/folder", "\"any\"", "Nothing was changed"],
            ),
        ] {
            let file = Plan::of(name, &text);
            for action in [&["--execute"][..], &[]] {
                let args = [&["topic", "reassign", "--reassignment-json-file", file.path()][..], action].concat();
                cluster.run(&args).await.fails(status, said);
            }
        }
        cluster.run(&["topic", "reassign", "--topics", &topic, "--broker-list", "98,99", "--execute"]).await.fails(1, &["no broker 98"]);
        cluster.run(&["topic", "reassign", "--topics", &topic, "--broker-list", "1,1"]).await.fails(2, &["twice"]);
        cluster.run(&["topic", "reassign", "--reassignment-json-file", "/no/such/file"]).await.fails(2, &["/no/such/file"]);
        cluster.run(&["topic", "reassign", "--topics", &topic]).await.fails(2, &["--broker-list"]);
        cluster.run(&["topic", "reassign", "--execute"]).await.fails(2, &["--reassignment-json-file"]);
        cluster.run(&["topic", "reassign", "--list", "--execute"]).await.fails(2, &["cannot be used with"]);
        let after = cluster.run(&["topic", "describe", &topic, "--output", "json"]).await.ok().json();
        assert_eq!(after, before);
    }

    async fn a_move_is_carried_out_verified_and_brought_back(cluster: &Cluster) {
        let topic = cluster.topic("moved", 2).await;
        let there = brokers(cluster).await;
        let before = cluster.run(&["topic", "describe", &topic, "--output", "json"]).await.ok().json();
        let was: Vec<i32> = serde_json::from_value(before["partitions"][0]["replicas"].clone()).unwrap();
        let target = *there.iter().find(|node| **node != was[0]).unwrap();
        cluster.put(&topic, 0, &[Rec::int(1), Rec::int(2)]).await;

        let (there_and, back) = (Plan::of("to", &plan(&topic, 0, &[target])), Plan::of("back", ""));
        let file = ["topic", "reassign", "--reassignment-json-file", there_and.path()];
        let verify = [&file[..], &["--verify"]].concat();
        cluster.run(&verify).await.fails(1, &["1 of 1 partition not where the plan wants"]);
        let execute = [&file[..], &["--execute", "--wait", "--rollback-file", back.path(), "--output", "json"]].concat();
        let report = cluster.run(&execute).await.ok().json();
        assert_eq!((&report["state"], &report["moves"]), (&"done".into(), &1.into()));
        let told = cluster.run(&[&verify[..], &["--output", "csv"]].concat()).await.ok().stdout;
        assert_eq!(told, format!("TOPIC,PARTITION,REPLICAS,PLAN,STATE\n{topic},0,{target},{target},there\n"));
        let now = cluster.run(&["topic", "describe", &topic, "--output", "json"]).await.ok().json();
        assert_eq!((&now["partitions"][0]["leader"], &now["partitions"][0]["latest"]), (&target.into(), &2.into()));
        assert_eq!(cluster.read(&topic, 0).await.len(), 2);

        cluster.run(&["topic", "reassign", "--reassignment-json-file", back.path(), "--execute", "--wait"]).await.ok();
        let now = cluster.run(&["topic", "describe", &topic, "--output", "json"]).await.ok().json();
        assert_eq!(now["partitions"][0]["replicas"], before["partitions"][0]["replicas"]);
        cluster.run(&[&file[..], &["--cancel"]].concat()).await.ok();
    }
}

/// A topic of one partition, which one broker holds.
async fn held_by_one(cluster: &Cluster, name: &str) -> String {
    let name = cluster.name(name);
    // Tests write old timestamps, by which a broker would delete.
    let configs = vec![("retention.ms".to_owned(), "-1".to_owned())];
    let topic = NewTopic { replication_factor: 1, configs, ..NewTopic::new(&name, 1) };
    cluster.client().await.create_topic(&topic).await.unwrap();
    name
}

/// What throttles this topic and these brokers, by name.
async fn throttles(cluster: &Cluster, topic: &str, brokers: &[i32]) -> Vec<String> {
    let client = cluster.client().await;
    let mut found = Vec::new();
    for of in brokers.iter().map(|node| ConfigOf::Broker(*node)).chain([ConfigOf::Topic(topic.to_owned())]) {
        let settings = client.settings(&of).await.unwrap();
        let own = settings.into_iter().filter(|one| one.own && one.name.contains("replication.throttled"));
        found.extend(own.map(|one| format!("{}={}", one.name, one.value.unwrap())));
    }
    found
}

on_both_brokers! {
    async fn a_throttle_holds_a_move_up_is_changed_on_the_way_and_goes_with_the_last_move(cluster: &Cluster) {
        let (topic, other) = (held_by_one(cluster, "throttled").await, held_by_one(cluster, "other").await);
        let there = brokers(cluster).await;
        // More than a follower of Kafka gets before it is found to be too fast.
        for topic in [&topic, &other].repeat(6) {
            cluster.put(topic, 0, &[Rec::text(&"x".repeat(900_000))]).await;
        }
        let described = async |topic: &str| cluster.run(&["topic", "describe", topic, "--output", "json"]).await.ok().json();
        let was = [described(&topic).await, described(&other).await];
        let leads = |told: &serde_json::Value| i32::try_from(told["partitions"][0]["leader"].as_i64().unwrap()).unwrap();
        let [from, other_from] = [leads(&was[0]), leads(&was[1])];
        let away = |from: i32| *there.iter().find(|node| **node != from).unwrap();
        let to = away(from);
        let file = Plan::of("throttled", &plan(&topic, 0, &[to]));
        let run = async |file: &Plan, more: &[&str]| {
            cluster.run(&[&["topic", "reassign", "--reassignment-json-file", file.path()][..], more].concat()).await
        };
        run(&file, &["--execute", "--throttle", "0"]).await.fails(2, &["nothing would move"]);
        run(&file, &["--throttle", "1"]).await.fails(2, &["--execute"]);

        // Other tests move partitions of the same cluster.
        let begun = run(&file, &["--execute", "--additional", "--throttle", "1"]).await.ok();
        assert!(begun.stderr.contains("copy at most 1"), "{begun:?}");
        let expected = |rate: &str| {
            let rates = ["follower", "leader"].map(|end| format!("{end}.replication.throttled.rate={rate}"));
            let replicas = [
                format!("follower.replication.throttled.replicas=0:{to}"),
                format!("leader.replication.throttled.replicas=0:{from}"),
            ];
            [rates.clone(), rates, replicas].concat()
        };
        assert_eq!(throttles(cluster, &topic, &[from, to]).await, expected("1"));
        run(&file, &["--verify"]).await.fails(1, &["1 of 1 partition not where the plan wants"]);
        assert_eq!(throttles(cluster, &topic, &[from, to]).await, expected("1"), "it moves: the throttle stays");
        run(&file, &["--execute", "--additional", "--throttle", "1GiB", "--wait", "--preserve-throttles"]).await.ok();
        run(&file, &["--verify", "--preserve-throttles"]).await.ok();
        assert_eq!(throttles(cluster, &topic, &[from, to]).await, expected("1073741824"));
        assert_eq!(cluster.read(&topic, 0).await.len(), 6);
        // Not before others of the cluster are over.
        until(async || run(&file, &["--verify"]).await.ok().stderr.contains("the throttle is removed from broker")).await;
        assert_eq!(throttles(cluster, &topic, &[from, to]).await, Vec::<String>::new());
        assert_eq!(run(&file, &["--verify"]).await.ok().stderr, "", "there is none any more");

        let file = Plan::of("throttled-back", &plan(&other, 0, &[away(other_from)]));
        run(&file, &["--execute", "--additional", "--throttle", "1"]).await.ok();
        until(async || {
            run(&file, &["--cancel"]).await.ok();
            throttles(cluster, &other, &there).await.is_empty()
        })
        .await;
        assert_eq!(described(&other).await["partitions"][0]["replicas"], was[1]["partitions"][0]["replicas"]);

        // Last of all, as it ends what `--verify` would have to say of the first plan.
        until(async || {
            let waited = run(&file, &["--execute", "--additional", "--throttle", "1GiB", "--wait"]).await.ok().stderr;
            let removed = waited.contains("the throttle is removed from broker");
            assert!(waited.contains("copy at most 1") || cluster.embedded.is_none(), "it was throttled: {waited}");
            // Only where others move partitions as well.
            let stays = waited.contains("other partitions move, so the throttle stays") && cluster.embedded.is_none();
            assert!(removed || stays, "{waited}");
            removed
        })
        .await;
        assert_eq!(throttles(cluster, &other, &there).await, Vec::<String>::new());
        assert_eq!(described(&other).await["partitions"][0]["replicas"], serde_json::json!([away(other_from)]));
        assert_eq!(cluster.read(&other, 0).await.len(), 6);
    }
}

#[test]
fn who_may_not_move_partitions_is_told_so_with_a_status_of_its_own() {
    use kmerge::broker::{Fault, Rule};
    use kmerge::wire::{ApiKey, ErrorCode};
    run_embedded("denied", async |cluster| {
        let broker = cluster.embedded.as_ref().unwrap();
        broker.create_topic("t", 2, &[]).unwrap();
        let denied = Fault::Error(ErrorCode::ClusterAuthorizationFailed);
        broker.faults().add(Rule::on(ApiKey::AlterPartitionReassignments).always(), denied);
        let args = ["topic", "reassign", "--topics", "t", "--broker-list", "2,1", "--execute"];
        cluster.run(&args).await.fails(3, &["CLUSTER_AUTHORIZATION_FAILED", "t partition"]);
    });
}

#[test]
fn an_answer_about_a_move_that_is_lost_is_asked_for_again() {
    use kmerge::broker::{Fault, Rule};
    use kmerge::wire::ApiKey;
    run_embedded("lost", async |cluster| {
        let broker = cluster.embedded.as_ref().unwrap();
        broker.create_topic("t", 1, &[]).unwrap();
        broker.elect("t", 0, 1).unwrap();
        let file = Plan::of("lost", &plan("t", 0, &[2]));
        let args = ["topic", "reassign", "--reassignment-json-file", file.path()];
        broker.hold_copies();
        broker.faults().add(Rule::on(ApiKey::AlterPartitionReassignments), Fault::DropAfter);
        cluster.run(&[&args[..], &["--execute"]].concat()).await.ok();
        assert_eq!(broker.replicas("t", 0).unwrap(), [2, 1]);
        broker.faults().add(Rule::on(ApiKey::AlterPartitionReassignments), Fault::DropAfter);
        cluster.run(&[&args[..], &["--cancel"]].concat()).await.ok();
        assert_eq!(broker.replicas("t", 0).unwrap(), [1]);
    });
}

#[test]
fn a_move_under_way_is_listed_waited_for_left_running_and_taken_back() {
    run_embedded("underway", async |cluster| {
        let broker = cluster.embedded.as_ref().unwrap();
        broker.create_topic("t", 1, &[]).unwrap();
        broker.elect("t", 0, 1).unwrap();
        cluster.put("t", 0, &[Rec::int(1)]).await;
        broker.hold_copies();
        let file = Plan::of("held", &plan("t", 0, &[2]));
        let args = ["topic", "reassign", "--reassignment-json-file", file.path()];
        let begun = cluster.run(&[&args[..], &["--execute"]].concat()).await.ok();
        assert!(begun.stderr.contains("to bring the partitions back: {\"version\":1,"), "{begun:?}");
        let told = cluster.run(&["topic", "reassign", "--list", "--output", "csv"]).await.ok().stdout;
        assert_eq!(told, "TOPIC,PARTITION,REPLICAS,ADDING,REMOVING\nt,0,\"2,1\",2,1\n");
        cluster.run(&[&args[..], &["--verify"]].concat()).await.fails(1, &["1 of 1"]);
        cluster
            .run(&[&args[..], &["--execute"]].concat())
            .await
            .fails(1, &["moved already", "--cancel", "--additional"]);
        assert_eq!(broker.leader("t", 0).unwrap(), 1, "the old leader leads while it moves");

        #[cfg(unix)]
        {
            let told = broker.faults().count(kmerge::wire::ApiKey::AlterPartitionReassignments);
            let mut waits = command(&cluster.brokers, &[&args[..], &["--execute", "--additional", "--wait"]].concat());
            let child = waits.stderr(std::process::Stdio::piped()).spawn().unwrap();
            let id = child.id().to_string();
            // From then on it may have begun, and says so.
            broker.faults().arrived(kmerge::wire::ApiKey::AlterPartitionReassignments, told + 1).await;
            assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
            let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
            Outcome::from(output).fails(130, &["go on moving", "--verify", "--cancel"]);
        }
        let taken = cluster.run(&[&args[..], &["--cancel", "--output", "json"]].concat()).await.ok().json();
        assert_eq!(taken["cancelled"][0]["topic"], "t");
        assert_eq!((broker.replicas("t", 0).unwrap(), broker.leader("t", 0).unwrap()), (vec![1], 1));
        broker.release_copies();
        cluster.run(&[&args[..], &["--execute", "--wait"]].concat()).await.ok();
        assert_eq!((broker.replicas("t", 0).unwrap(), broker.leader("t", 0).unwrap()), (vec![2], 2));
    });
}

//! The scenarios of `compose/scenarios`: each one's script ends with 0 only if what it promises was checked, so all there is to
//! do here is to run them. On a cluster of their own, and on real Kafka.

#![cfg(unix)]

use crate::support::{Cluster, Killable, Outcome, run_embedded, run_on_kafka};
use kmerge::wire::ApiKey;
use std::process::{Command, Stdio};

/// A script, to be run quickly.
fn script(name: &str) -> Command {
    let mut command = Command::new(format!("{}/compose/scenarios/{name}/run", env!("CARGO_MANIFEST_DIR")));
    command.arg("--fast").env("KMERGE", env!("CARGO_BIN_EXE_kmerge")).stdin(Stdio::null());
    for name in ["KMERGE_BROKERS", "KAFKA_BOOTSTRAP_SERVERS", "KMERGE_LOG"] {
        command.env_remove(name);
    }
    // Several may run at once.
    let out = format!("{}/scenario-{name}-{:016x}", env!("CARGO_TARGET_TMPDIR"), rand::random::<u64>());
    command.env("SCENARIO_OUT", out);
    command
}

/// Runs a script. Without `cluster` it starts one of its own.
async fn scenario(name: &str, cluster: Option<&Cluster>) -> Outcome {
    let mut command = script(name);
    let Some(cluster) = cluster else { return crate::support::run(command).await };
    let prefix = cluster.name("");
    command.env("KAFKA_BOOTSTRAP_SERVERS", &cluster.brokers).env("SCENARIO_PREFIX", &prefix);
    let ended = crate::support::run(command).await;
    let groups = cluster.client().await.groups().await.unwrap();
    let left: Vec<_> = groups.iter().filter(|group| group.group.starts_with(&prefix)).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    ended
}

#[tokio::test]
async fn sorted_merge_on_a_cluster_of_its_own() {
    let ended = scenario("sorted-merge", None).await.ok();
    assert!(ended.stderr.contains("Whole and sorted."), "{ended:?}");
}

#[tokio::test]
async fn even_odd_on_a_cluster_of_its_own() {
    let ended = scenario("even-odd", None).await.ok();
    assert!(ended.stderr.contains("numtest1 is gone."), "{ended:?}");
}

#[tokio::test]
async fn csv_million_on_a_cluster_of_its_own() {
    let ended = scenario("csv-million", None).await.ok();
    assert!(ended.stderr.contains("batches: 10"), "{ended:?}");
}

#[tokio::test]
async fn scale_topic_on_a_cluster_of_its_own() {
    let ended = scenario("scale-topic", None).await.ok();
    assert!(ended.stderr.contains("the partitions' leaders: 3 3 3"), "{ended:?}");
}

#[tokio::test]
async fn user_login_on_a_cluster_of_its_own() {
    let ended = scenario("user-login", None).await.ok();
    assert!(ended.stderr.contains("Each login was cleaned once."), "{ended:?}");
}

#[tokio::test]
async fn clean_and_measure_on_a_cluster_of_its_own() {
    let ended = scenario("clean-and-measure", None).await.ok();
    assert!(ended.stderr.contains("Everything is in"), "{ended:?}");
}

/// Something is written and cleaned, then one of two nodes is gone for a moment, with all connections to it.
#[test]
fn user_login_goes_on_when_a_node_is_killed_and_comes_back() {
    run_embedded("user-login", async |cluster| {
        let broker = cluster.embedded.as_ref().unwrap();
        let killed = async {
            broker.faults().arrived(ApiKey::TxnOffsetCommit, 1).await;
            broker.kill_node(2).await.unwrap();
            broker.start_node(2).await.unwrap();
            std::future::pending::<()>().await
        };
        let ended = tokio::select! {
            ended = scenario("user-login", Some(cluster)) => ended.ok(),
            () = killed => unreachable!("it does not end"),
        };
        assert!(
            broker.faults().count(ApiKey::TxnOffsetCommit) > 1 && ended.stderr.contains("Each login was cleaned once.")
        );
    });
}

/// The script kills the broker itself, and starts it again.
#[tokio::test]
async fn user_login_goes_on_when_a_broker_is_killed_on_kafka() {
    let Some(cluster) = Killable::for_story("user-login").await else { return };
    let mut command = script("user-login");
    command.env("KAFKA_BOOTSTRAP_SERVERS", cluster.addresses().join(",")).env("LOCAL_KAFKA", cluster.folder());
    command.env("SCENARIO_PREFIX", format!("killed-{:08x}-", rand::random::<u32>()));
    let ended = crate::support::run(command).await.ok();
    assert!(ended.stderr.contains("broker-1 is killed") && ended.stderr.contains("Each login was cleaned once."));
}

#[test]
fn sorted_merge_on_kafka() {
    run_on_kafka("sorted-merge", async |cluster| _ = scenario("sorted-merge", Some(cluster)).await.ok());
}

#[test]
fn even_odd_on_kafka() {
    run_on_kafka("even-odd", async |cluster| _ = scenario("even-odd", Some(cluster)).await.ok());
}

#[test]
fn csv_million_on_kafka() {
    run_on_kafka("csv-million", async |cluster| _ = scenario("csv-million", Some(cluster)).await.ok());
}

#[test]
fn user_login_on_kafka() {
    run_on_kafka("user-login", async |cluster| _ = scenario("user-login", Some(cluster)).await.ok());
}

#[test]
fn clean_and_measure_on_kafka() {
    run_on_kafka("clean-and-measure", async |cluster| _ = scenario("clean-and-measure", Some(cluster)).await.ok());
}

/// Where there are three brokers it runs; where there are two it says what is missing.
#[test]
fn scale_topic_on_kafka() {
    run_on_kafka("scale-topic", async |cluster| {
        let ended = scenario("scale-topic", Some(cluster)).await;
        match cluster.client().await.brokers().len() {
            0..3 => _ = ended.fails(2, &["this needs three"]),
            _ => _ = ended.ok(),
        }
    });
}

#[tokio::test]
async fn a_scenario_says_what_it_does_and_refuses_what_it_does_not_know() {
    let script = format!("{}/compose/scenarios/even-odd/run", env!("CARGO_MANIFEST_DIR"));
    let mut help = Command::new(&script);
    help.arg("--help").env("KMERGE", env!("CARGO_BIN_EXE_kmerge"));
    let told = crate::support::run(help).await.ok();
    assert!(told.stdout.contains("run --fast") && told.stdout.contains("C reads both"), "{told:?}");
    let mut wrong = Command::new(&script);
    wrong.arg("--slow").env("KMERGE", env!("CARGO_BIN_EXE_kmerge"));
    crate::support::run(wrong).await.fails(2, &["unknown argument --slow"]);
}

//! What is wrong with a merge is found, whatever it says of itself.

use super::testing::{Script, settings};
use super::*;
use crate::base::kind::Kind;
use crate::broker::{Broker, BrokerConfig};

/// Tortures a script on a broker of its own, kills or not; gives the report and the topics that are left.
async fn tortured(script: &Script, kills: u32) -> (Result<TortureReport, JobError>, usize) {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let cx = JobContext { brokers: broker.addresses(), ..crate::jobs::testing::context() };
    let told = run(&TortureSettings { kills, ..settings(script) }, &cx).await;
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await.unwrap();
    (told, cluster.topics().await.unwrap().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_is_a_finding_with_what_it_said_and_nothing_is_left() {
    let script = Script::new("fails", "echo 'the tail is not there' >&2; exit 4");
    for kills in [0, 3] {
        let (told, left) = tortured(&script, kills).await;
        let report = told.unwrap();
        assert_eq!((report.ok(), report.kills(), left), (false, 0, 0), "{report:?}");
        assert!(report.summary().contains("FAILED: a merge has ended with"), "{}", report.summary());
        let error = report.verdict().unwrap_err();
        assert!(error.to_string().contains("the tail is not there"), "{error}");
        assert_eq!(error.kind(), Kind::Failed);
        assert_eq!(report.to_json()["ok"], false);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_says_it_is_complete_and_has_written_nothing_is_found_out() {
    let script = Script::new("idle", "exit 0");
    let (told, left) = tortured(&script, 0).await;
    let error = told.unwrap_err();
    assert!(error.to_string().contains("no record of a job"), "{error}");
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_there_is_no_finding() {
    let gone = Script::new("gone", "exit 0");
    let settings = settings(&gone);
    drop(gone);
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let cx = JobContext { brokers: broker.addresses(), ..crate::jobs::testing::context() };
    let error = run(&settings, &cx).await.unwrap_err();
    assert!(error.to_string().starts_with("start "), "{error}");
}

//! Nothing goes wrong.

use super::super::Rejects;
use super::world::{LONG, RECORDS, World};
use crate::base::kind::Kind;
use crate::base::shutdown::Signal;
use crate::broker::{Fault, Rule};
use crate::client::group::Reset;
use crate::jobs::error::JobError;
use crate::rules::Rules;
use crate::wire::ApiKey;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test]
async fn every_record_becomes_what_it_has_to_and_goes_where_it_belongs_on_both_ways() {
    for world in World::both().await {
        let (report, ended) = world.start().ended().await;
        ended.unwrap();
        world.is_whole("once").await;
        assert_eq!(report.tally(), world.tally);
        let json = report.to_json();
        assert_eq!(json["defaulted"]["device"], 2 * 3 * RECORDS / 10);
        assert_eq!((&json["in"], &json["group_total"]["in"]), (&(3 * RECORDS).into(), &(3 * RECORDS).into()));
        assert_eq!(json["doubts"], 0, "{json}");
    }
}

#[tokio::test]
async fn what_comes_later_is_cleaned_later_and_the_counts_go_on() {
    let mut world = World::new().await;
    world.start().ended().await.1.unwrap();
    world.more(30);
    let (report, ended) = world.start().ended().await;
    ended.unwrap();
    assert_eq!(report.tally().read, 90);
    world.is_whole("twice").await;
    let (report, ended) = world.start().ended().await;
    ended.unwrap();
    assert_eq!(report.tally().read, 0, "nothing is left");
    world.is_whole("three times").await;
}

#[tokio::test]
async fn who_follows_cleans_what_comes_and_commits_when_it_is_asked_to_stop() {
    let mut world = World::new().await;
    world.settings.exit = false;
    // Only the end commits.
    world.settings.commit_interval = Duration::from_secs(60);
    world.settings.transaction_timeout = Duration::from_secs(600);
    let run = world.start();
    world.more(25);
    let produced = world.broker.faults();
    produced.arrived(ApiKey::Produce, 1).await;
    run.shutdown.request(Signal::Terminate);
    let (report, ended) = run.ended().await;
    assert_eq!(ended.unwrap_err().kind(), Kind::Interrupted(Signal::Terminate));
    let read = report.tally().read;
    assert!(read > 0 && report.tally().is_balanced());
    world.settings.exit = true;
    let (rest, ended) = world.start().ended().await;
    ended.unwrap();
    assert_eq!(read + rest.tally().read, world.tally.read);
    world.is_whole("stopped and finished").await;
}

#[tokio::test]
async fn under_strict_the_first_refused_record_is_named_and_nothing_of_its_transaction_stands() {
    let mut world = World::new().await;
    world.settings.rejects = Rejects::Stop;
    world.settings.commit_interval = Duration::from_secs(60);
    world.settings.transaction_timeout = Duration::from_secs(600);
    let began = Instant::now();
    let (report, ended) = world.start().ended().await;
    let error = ended.unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    let text = error.to_string();
    assert!(matches!(error, JobError::Unfit(_)) && text.contains("offset 5"), "{text}");
    assert!(text.starts_with("in partition ") && text.contains("--strict"), "{text}");
    assert_eq!(report.tally().read, 0);
    assert!(world.seen().await.is_empty());
    assert!(began.elapsed() < LONG);
    // Without it, the same job goes on from the start.
    world.settings.rejects = Rejects::Letters("dead".to_owned());
    world.start().ended().await.1.unwrap();
    world.is_whole("after --strict").await;
}

#[tokio::test]
async fn topics_that_would_feed_on_themselves_are_refused() {
    let some = |to: &str| Some(to.to_owned());
    for (to, dead, grouped) in [
        (some("in"), "dead", None),
        (some("out"), "in", None),
        (some("out"), "out", None),
        (some("out"), "dead", Some("in")),
        (some("out"), "dead", Some("out")),
        (some("out"), "dead", Some("dead")),
        (None, "dead", Some("dead")),
    ] {
        let mut world = World::new().await;
        world.settings.to = to;
        world.settings.rejects = Rejects::Letters(dead.to_owned());
        if let Some(topic) = grouped {
            let rule = format!("[[group_by]]\nkey = \"user\"\nwindow = \"1m\"\nto = \"{topic}\"\nmembers = true\n");
            world.settings.rules = Arc::new(Rules::parse(&rule).unwrap());
        }
        let error = world.start().ended().await.1.unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{error}");
    }
}

#[tokio::test]
async fn records_that_retention_takes_underway_end_the_job_or_are_passed_over_as_reset_says() {
    for (reset, goes_on) in [(Reset::EarliestIfNew, false), (Reset::Earliest, true)] {
        let mut world = World::new().await;
        world.settings.group.reset = reset;
        world.start().ended().await.1.unwrap();
        world.more(20);
        let held = world.broker.faults().add(Rule::on(ApiKey::Fetch).partition("in", 0), Fault::Hold);
        let run = world.start_until(&held).await;
        world.broker.set_log_start("in", 0, i64::from(RECORDS) + 10).unwrap();
        held.release();
        let (report, ended) = run.ended().await;
        match goes_on {
            true => {
                ended.unwrap();
                assert_eq!(report.tally().read, 50);
                assert_eq!(world.start().ended().await.0.tally().read, 0, "the jump is committed");
            }
            false => {
                let error = ended.unwrap_err();
                assert_eq!(error.kind(), Kind::Data);
                assert!(error.to_string().contains("offset"), "{error}");
            }
        }
    }
}

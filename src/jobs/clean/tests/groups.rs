//! Groups that are open across commits, instances and deaths: what goes out is what a slow reading of the log finds, once.

use super::grouped;
use super::world::{PARTITIONS, RECORDS, World};
use crate::broker::{Fault, Rule};
use crate::client::group::Reset;
use crate::rules::Rules;
use crate::wire::{ApiKey, ErrorCode};
use std::sync::Arc;

#[tokio::test]
async fn groups_stay_open_from_run_to_run_and_go_out_once_their_time_has_come() {
    for mut world in World::grouping().await {
        let (report, ended) = world.start().ended().await;
        ended.unwrap();
        let tally = report.tally().grouped;
        assert!(tally.records > 0 && tally.late > 0 && tally.open() > 0 && tally.lost == 0, "{tally:?}");
        let json = report.to_json();
        assert_eq!((&json["grouped"]["open"], &json["grouped_to"][0]), (&tally.open().into(), &grouped::TOPIC.into()));
        assert_eq!(json["grouped"], json["group_total"]["grouped"]);
        let late: u64 = json["late_by_group"].as_object().unwrap().values().filter_map(serde_json::Value::as_u64).sum();
        assert_eq!(late, tally.late);
        let said = format!(
            "groups to grouped: {} records offered, {} in {} groups that went out, {} in open ones, {} late\n",
            tally.offered,
            tally.closed,
            tally.records,
            tally.open(),
            tally.late
        );
        assert!(report.summary().contains(&said), "{}without {said}", report.summary());
        for more in [1, 15, 2, 15] {
            world.more(more);
            world.start().ended().await.1.unwrap();
        }
        // One with nothing to do leaves all as it is.
        world.start().ended().await.1.unwrap();
        world.is_whole("six runs").await;
    }
}

#[tokio::test]
async fn after_a_doubt_or_a_kill_open_groups_are_what_they_were() {
    for request in [0, 1, 3, 6] {
        for (api, code) in
            [(ApiKey::TxnOffsetCommit, ErrorCode::IllegalGeneration), (ApiKey::EndTxn, ErrorCode::UnknownServerError)]
        {
            for world in World::grouping().await {
                let fault = if api == ApiKey::EndTxn { Fault::ErrorAfter(code) } else { Fault::Error(code) };
                world.broker.faults().add(Rule::on(api).after(request), fault);
                world.start().ended().await.1.unwrap();
                world.is_whole(&format!("refused at {api} {request}")).await;
            }
        }
        for fault in [Fault::Hold, Fault::HoldAnswer] {
            for mut world in World::grouping().await {
                let rule = world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(request), fault.clone());
                let run = world.start_until(&rule).await;
                run.kill().await;
                world.broker.faults().remove(&rule);
                world.more(20);
                world.start().ended().await.1.unwrap();
                world.is_whole(&format!("killed at commit {request} {fault:?}")).await;
            }
        }
    }
}

#[tokio::test]
async fn without_a_result_topic_records_go_into_groups_only_and_are_counted_as_going_out() {
    let [mut world, _] = World::grouping().await;
    world.settings.to = None;
    world.oracle.retain(|(topic, _), _| topic != "out");
    let (report, ended) = world.start().ended().await;
    ended.unwrap();
    world.is_whole("groups only").await;
    assert_eq!((report.tally().out, &report.to_json()["to"]), (world.tally.out, &serde_json::Value::Null));
}

#[tokio::test]
async fn windows_that_a_run_is_asked_to_close_at_its_end_go_out_once_and_open_no_more() {
    let faults = [None, Some((0, Fault::DropAfter)), Some((2, Fault::DropAfter)), Some((4, Fault::DropBefore))];
    for (had_run, fault) in [false, true].into_iter().flat_map(|had_run| faults.clone().map(|fault| (had_run, fault))) {
        let [mut world, _] = World::grouping().await;
        if had_run {
            // Nothing is left to be read then.
            world.start().ended().await.1.unwrap();
            assert!(world.counted("at first").await.grouped.open() > 0);
        }
        if let Some((request, fault)) = &fault {
            let request = if had_run { 0 } else { *request };
            world.broker.faults().add(Rule::on(ApiKey::EndTxn).after(request), fault.clone());
        }
        world.settings.close_windows = true;
        let when = format!("{had_run} {fault:?}");
        world.start().ended().await.1.unwrap_or_else(|error| panic!("{when}: {error}"));
        let tally = world.counted_once(&when, |tally| tally.grouped.open() == 0).await.grouped;
        assert_eq!((tally.open(), tally.lost, tally.late), (0, 0, grouped::slowly(&world.went).1.late), "{when}");
        let seen = world.seen().await;
        let lines = seen.iter().filter(|((topic, _), _)| topic == grouped::TOPIC).flat_map(|(_, lines)| lines);
        let counts = lines.map(|line| {
            let count = line.split("\"count\":").nth(1).and_then(|rest| rest.split([',', '}']).next());
            count.and_then(|count| count.parse::<u64>().ok()).unwrap()
        });
        let counts: Vec<u64> = counts.collect();
        assert_eq!((counts.len() as u64, counts.iter().sum::<u64>()), (tally.records, tally.closed), "{when}");
        // A run that finds nothing closes nothing; what comes now for the windows that were closed is late.
        world.start().ended().await.1.unwrap();
        assert_eq!(world.counted(&when).await.grouped, tally, "{when}");
        world.more(1);
        world.start().ended().await.1.unwrap();
        let after = world.counted(&when).await.grouped;
        assert!(after.late > tally.late && after.closed == tally.closed, "{when}: {after:?} {tally:?}");
    }
}

#[tokio::test]
async fn members_that_retention_has_taken_before_their_window_closed_are_counted_as_lost() {
    let [mut world, _] = World::grouping().await;
    world.start().ended().await.1.unwrap();
    let before = grouped::slowly(&world.went).1;
    for partition in 0..PARTITIONS {
        world.broker.set_log_start("in", partition, i64::from(RECORDS)).unwrap();
    }
    world.forget_ids();
    world.more(40);
    let (report, ended) = world.start().ended().await;
    ended.unwrap();
    let (run, all) = (report.tally().grouped, world.counted("at last").await.grouped);
    assert!(before.open() > 0 && run.lost == before.open() && all.lost == before.open(), "{before:?} {run:?} {all:?}");
    let whole = grouped::slowly(&world.went).1;
    assert_eq!((all.offered, all.late), (whole.offered, whole.late), "time goes on from where it was");
    assert!(all.closed < whole.closed && all.records > before.records);
}

#[tokio::test]
async fn where_retention_takes_them_while_they_are_read_again_the_rest_goes_on() {
    for reset in [Reset::EarliestIfNew, Reset::Latest] {
        let [mut world, _] = World::grouping().await;
        world.start().ended().await.1.unwrap();
        let before = world.counted("before").await.grouped;
        world.settings.group.reset = reset;
        world.more(20);
        let held = world.broker.faults().add(Rule::on(ApiKey::Fetch).partition("in", 0), Fault::Hold);
        let run = world.start_until(&held).await;
        world.broker.set_log_start("in", 0, i64::from(RECORDS) - 1).unwrap();
        held.release();
        let (report, ended) = run.ended().await;
        ended.unwrap();
        let (run, all) = (report.tally(), world.counted("at last").await.grouped);
        assert_eq!((run.read, run.rejected + run.out), (60, 60 - run.filtered - run.deduplicated), "{reset:?}");
        assert!(all.lost == run.grouped.lost && all.lost > 0 && all.lost < before.open(), "{run:?} {before:?}");
    }
}

#[tokio::test]
async fn other_rules_begin_their_groups_anew_and_what_was_open_is_counted_as_lost() {
    let [mut world, _] = World::grouping().await;
    world.start().ended().await.1.unwrap();
    let open = world.counted("before").await.grouped.open();
    let other = grouped::RULES.replace("10ms", "12ms").replace("8ms", "16ms");
    world.settings.rules = Arc::new(Rules::parse(&other).unwrap());
    world.more(40);
    let (report, ended) = world.start().ended().await;
    ended.unwrap();
    assert_eq!((report.tally().grouped.lost, report.tally().grouped.offered > 0), (open, true));
}

#[tokio::test]
async fn groups_that_take_more_than_their_memory_end_the_job_with_nothing_half_done_and_with_more_it_goes_on() {
    let [mut world, _] = World::grouping().await;
    // Its windows never end.
    let endless = grouped::RULES
        .replace("10ms", "300d")
        .replace("8ms", "300d")
        .replace("members = true", "members = true\nmembers_max = 15");
    let few = Arc::new(Rules::parse(&endless).unwrap());
    let most = world.settings.rules.clone();
    world.settings.rules = few;
    let (report, ended) = world.start().ended().await;
    let error = ended.unwrap_err().to_string();
    for part in ["in partition ", "group_by device", "more than 15 members", "raise members_max"] {
        assert!(error.contains(part), "{error}\nwithout {part}");
    }
    let tally = report.tally();
    assert!(tally.read < world.tally.read && tally.grouped.records == 0);
    // What was committed stands, and what comes now goes on from there.
    world.settings.rules = most;
    let (rest, ended) = world.start().ended().await;
    ended.unwrap();
    assert_eq!(tally.read + rest.tally().read, world.tally.read);
    assert_eq!(world.counted("at last").await.read, world.tally.read);
}

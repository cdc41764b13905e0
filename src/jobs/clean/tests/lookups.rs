//! What another topic has is put into what goes out.

use super::super::{Fate, preview};
use super::world::{LONG, Seen, World};
use crate::base::kind::Kind;
use crate::base::shutdown::Signal;
use crate::batch::{BatchWriter, Codec, Headers};
use crate::broker::{Fault, Rule};
use crate::rules::Rules;
use crate::wire::ApiKey;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

const LOOKUP: &str = "[[rule]]\nlookup = { field = \"id\", topic = \"users\", take = { name = \"name\", country = \"/address/country\" } }\n";

/// Of ids from 0 to 12 these have a name, and those below 6 a country.
const NAMED: std::ops::Range<i64> = 3..10;
const AT_HOME: i64 = 6;

fn put(world: &World, key: &str, value: Option<&str>) {
    let mut writer = BatchWriter::new(Codec::None);
    writer.push(0, Some(key.as_bytes()), value.map(str::as_bytes), Headers::EMPTY).unwrap();
    world.broker.append_raw("users", key.len() as i32 % 2, writer.finish().unwrap()).unwrap();
}

/// Rules that look up, a topic for them, and what is to come of it.
fn looking(world: &mut World) {
    world.broker.create_topic("users", 2, &[("retention.ms", "-1"), ("cleanup.policy", "compact")]).unwrap();
    let rules = format!("{}\n{LOOKUP}", super::world::RULES);
    world.settings.rules = Arc::new(Rules::parse(&rules).unwrap());
    for id in 0..13 {
        let key = id.to_string();
        put(world, &key, Some(r#"{"name":"old"}"#));
        match NAMED.contains(&id) {
            true if id < AT_HOME => {
                put(world, &key, Some(&format!(r#"{{"name":"n{id}","address":{{"country":"IT"}}}}"#)))
            }
            true => put(world, &key, Some(&format!(r#"{{"name":"n{id}"}}"#))),
            false => put(world, &key, None),
        }
    }
    joined(&mut world.oracle);
}

/// Puts into each result what is to be found.
fn joined(oracle: &mut Seen) {
    for ((topic, _), lines) in oracle {
        if topic != "out" {
            continue;
        }
        for line in lines {
            let (key, value) = line.split_once(' ').unwrap();
            let mut members: BTreeMap<String, Value> = serde_json::from_str(value).unwrap();
            let id = members["id"].as_i64().unwrap();
            if NAMED.contains(&id) {
                members.insert("name".to_owned(), json!(format!("n{id}")));
                if id < AT_HOME {
                    members.insert("country".to_owned(), json!("IT"));
                }
            }
            *line = format!("{key} {}", serde_json::to_string(&members).unwrap());
        }
    }
}

#[tokio::test]
async fn every_record_gets_what_the_other_topic_has_and_what_it_lacks_is_counted() {
    for mut world in World::both().await {
        looking(&mut world);
        let (report, ended) = world.start().ended().await;
        ended.unwrap();
        world.is_whole("looked up").await;
        let json = report.to_json();
        let [rule] = json["lookups"].as_array().unwrap().as_slice() else { panic!("{json}") };
        let count = |name: &str| rule[name].as_u64().unwrap();
        assert_eq!(rule["rule"], "lookup id in users");
        assert_eq!(count("found") + count("partly") + count("not_found"), report.tally().out);
        assert!(count("found") > 10 && count("partly") > 10 && count("not_found") > 10, "{rule}");
        assert_eq!(json["lookup_topics"][0]["keys"], NAMED.count());
        assert_eq!(json["lookup_topics"][0]["records"], 26);
        assert!(report.summary().contains("looked up in users: 7 keys in "), "{}", report.summary());
    }
}

#[tokio::test]
async fn killed_or_in_doubt_the_same_command_looks_up_again_and_every_record_goes_out_once() {
    for api in [ApiKey::Produce, ApiKey::TxnOffsetCommit, ApiKey::EndTxn] {
        for fault in [Fault::Hold, Fault::HoldAnswer, Fault::DropAfter] {
            for mut world in World::both().await {
                looking(&mut world);
                let when = format!("{api} {fault:?}");
                let rule = world.broker.faults().add(Rule::on(api).after(1), fault.clone());
                let run = world.start_until(&rule).await;
                if rule.hits() > 0 && !matches!(fault, Fault::DropAfter) {
                    run.kill().await;
                    world.broker.faults().remove(&rule);
                    world.start().ended().await.1.unwrap_or_else(|error| panic!("{when}: {error}"));
                } else {
                    run.ended().await.1.unwrap_or_else(|error| panic!("{when}: {error}"));
                }
                world.is_whole(&when).await;
            }
        }
    }
}

#[tokio::test]
async fn who_follows_gives_later_records_what_has_come_to_the_other_topic_since() {
    let mut world = World::new().await;
    looking(&mut world);
    world.settings.exit = false;
    let run = world.start();
    // A result of each partition first, so that the table was read before.
    world.counted("at first").await;
    put(&world, "12", Some(r#"{"name":"later","address":{"country":"FR"}}"#));
    put(&world, "3", None);
    let began = Instant::now();
    // The id of the record with the largest number decides: the tables are looked at while records come.
    let last = |seen: &Seen, id: i64| {
        let lines = seen.iter().filter(|((topic, _), _)| topic == "out").flat_map(|(_, lines)| lines);
        let values = lines.map(|line| serde_json::from_str::<Value>(line.split_once(' ').unwrap().1).unwrap());
        let number = |value: &Value| {
            let at = value["at"].as_str().unwrap().split_once(':').unwrap();
            (at.0.parse::<i64>().unwrap() == 0).then(|| at.1.parse::<i64>().unwrap())
        };
        values
            .filter(|value| value["id"] == id)
            .filter_map(|value| Some((number(&value)?, value)))
            .max_by_key(|one| one.0)
    };
    loop {
        assert!(began.elapsed() < LONG, "the news do not come");
        world.more(26);
        world.counted("more").await;
        let seen = world.seen().await;
        let (_, now) = last(&seen, 12).unwrap();
        let (_, gone) = last(&seen, 3).unwrap();
        if now["name"] == "later" && gone["name"].is_null() {
            assert_eq!(now["country"], "FR");
            break;
        }
    }
    assert!(!run.is_over());
    run.shutdown.request(Signal::Terminate);
    let (report, ended) = run.ended().await;
    assert_eq!(ended.unwrap_err().kind(), Kind::Interrupted(Signal::Terminate));
    assert_eq!(report.to_json()["lookup_topics"][0]["records"], 28);
    // All were cleaned once, whatever they were given.
    let seen = world.seen().await;
    let count = |seen: &Seen| seen.values().map(Vec::len).sum::<usize>();
    assert_eq!(count(&seen), count(&world.oracle));
}

#[tokio::test]
async fn commits_go_on_while_a_broker_holds_back_what_is_new_in_the_other_topic() {
    let mut world = World::new().await;
    looking(&mut world);
    // Who waits for what is held waits longer than anybody looks for commits.
    (world.settings.exit, world.timeout) = (false, LONG * 10);
    let run = world.start();
    world.counted("at first").await;
    let held = world.broker.faults().add(Rule::on(ApiKey::Fetch).partition("users", 0).always(), Fault::Hold);
    put(&world, "12", Some(r#"{"name":"later"}"#));
    tokio::time::timeout(LONG, held.hit()).await.expect("the news are asked for");
    for _ in 0..3 {
        world.more(26);
        world.counted("while it is held").await;
    }
    assert!(!run.is_over());
    world.broker.faults().remove(&held);
    run.shutdown.request(Signal::Terminate);
    let (report, ended) = run.ended().await;
    assert_eq!(ended.unwrap_err().kind(), Kind::Interrupted(Signal::Terminate));
    assert_eq!(report.tally().read, world.tally.read);
}

#[tokio::test]
async fn a_topic_that_is_missing_or_read_or_written_is_refused_before_anything_is_made() {
    for (topic, kind) in [("nowhere", Kind::Failed), ("in", Kind::Usage), ("out", Kind::Usage), ("dead", Kind::Usage)] {
        let mut world = World::new().await;
        looking(&mut world);
        let rules = LOOKUP.replace("users", topic);
        world.settings.rules = Arc::new(Rules::parse(&rules).unwrap());
        if topic == "nowhere" {
            world.settings.to = Some("made".to_owned());
        }
        let (report, ended) = world.start().ended().await;
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(topic), "{error}");
        assert!(!report.has_begun());
        // A dry run writes nothing, and reads the same.
        if topic == "in" || topic == "nowhere" {
            let dry = preview(&["in".to_owned()], &world.settings.rules, 5, 16 << 20, &world.context()).await;
            assert_eq!(dry.unwrap_err().to_string(), error.to_string());
        }
        let cluster = crate::client::Cluster::connect(&world.broker.addresses(), LONG).await.unwrap();
        assert!(cluster.topics().await.unwrap().iter().all(|topic| topic.name != "made"));
    }
}

#[tokio::test]
async fn a_dry_run_looks_up_as_well() {
    let mut world = World::new().await;
    looking(&mut world);
    let (from, rules) = (["in".to_owned()], &world.settings.rules);
    let seen = preview(&from, rules, 5, 16 << 20, &world.context()).await.unwrap();
    let kept: Vec<String> = seen
        .seen
        .into_iter()
        .map(|one| match one.fate {
            Fate::Kept(after) => after,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(!kept[1].contains("name"), "{kept:?}");
    assert!(kept[3].ends_with(r#""name":"n3","country":"IT"}"#), "{kept:?}");
}

//! Job records as JSON: what is written is read again, and nothing else is.

use super::super::json::{Flaw, plan_from_json, plan_to_json, progress_from_json, progress_to_json};
use super::super::record::{JobProgress, JobState};
use super::super::testing::{plan, progress};
use serde_json::{Value, json};

fn changed(json: Value, path: &str, to: Value) -> Vec<u8> {
    let mut json = json;
    *json.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")) = to;
    json.to_string().into_bytes()
}

fn refused_plan(path: &str, to: Value) -> String {
    plan_from_json(&changed(plan_to_json(&plan()), path, to)).unwrap_err().to_string()
}

fn refused_progress(path: &str, to: Value) -> String {
    progress_from_json(&changed(progress_to_json(&progress()), path, to)).unwrap_err().to_string()
}

#[test]
fn what_is_written_is_read_again() {
    assert_eq!(plan_from_json(plan_to_json(&plan()).to_string().as_bytes()).unwrap(), plan());
    let mut some = progress();
    assert_eq!(progress_from_json(progress_to_json(&some).to_string().as_bytes()).unwrap(), some);
    (some.tail, some.rank, some.state) = (None, u64::MAX, JobState::Complete);
    assert_eq!(progress_from_json(progress_to_json(&some).to_string().as_bytes()).unwrap(), some);
}

#[test]
fn the_names_of_the_fields_stay() {
    let shown = progress_to_json(&progress()).to_string();
    let expected = concat!(
        r#"{"version":1,"state":"running","rank":12,"positions":[4,11,9],"#,
        r#""tail":{"start":10,"end":17,"records":7,"checksum":"fedcba9876543210","timestamps":"0000000000000001"},"#,
        r#""updated_at_ms":1700000000001}"#
    );
    assert_eq!(shown, expected);
    let shown = plan_to_json(&plan());
    let fields: Vec<_> = shown.as_object().unwrap().keys().collect();
    let expected = ["version", "job", "inputs", "key", "order", "strategy", "output", "planned_at_ms"];
    assert_eq!(fields, expected);
    assert_eq!(shown["key"], json!(["value:json:/at:time", "header:x, y:string"]));
    let fields: Vec<_> = shown["inputs"][0].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["topic", "topic_id", "partition", "start", "end"]);
}

#[test]
fn a_field_that_came_later_is_passed_over() {
    let mut later = progress_to_json(&progress());
    later["mood"] = json!("fine");
    assert_eq!(progress_from_json(later.to_string().as_bytes()).unwrap(), progress());
}

#[test]
fn another_version_is_told_before_anything_else_is_looked_at() {
    let newer = plan_from_json(br#"{"version":2,"positions":"whatever"}"#).unwrap_err();
    assert_eq!(newer, Flaw::Version { found: 2 });
    assert!(newer.to_string().contains("version 2"), "{newer}");
    assert!(matches!(progress_from_json(b"{}"), Err(Flaw::Form(_))), "no version is none of ours");
}

#[test]
fn what_is_no_object_is_refused_with_an_excerpt() {
    for wrong in [&b""[..], b"[1]", b"\xff", b"{\"version\":1", b"null"] {
        assert!(matches!(plan_from_json(wrong), Err(Flaw::Form(_))), "{wrong:?}");
    }
    assert!(plan_from_json(b"tea\x1b").unwrap_err().to_string().contains(r#""tea\x1b""#));
}

#[test]
fn every_field_of_a_plan_must_be_what_it_is_named_for() {
    for (path, to, said) in [
        ("/job", json!(7), "job is \"7\", expected text"),
        ("/inputs", json!({}), "inputs is"),
        ("/inputs/1", json!("x"), "inputs is"),
        ("/inputs/1/topic", Value::Null, "topic is"),
        ("/inputs/1/topic_id", json!("short"), "topic_id is"),
        ("/inputs/1/partition", json!(-1), "partition is"),
        ("/inputs/1/partition", json!(1_u64 << 40), "partition is"),
        ("/inputs/1/start", json!(-5), "start is"),
        ("/inputs/1/start", json!(21), "a partition 1 goes from 21 to 20"),
        ("/inputs/1/end", json!(1.5), "end is"),
        ("/inputs/1/end", json!(u64::MAX), "end is"),
        ("/key", json!([]), "key is empty"),
        ("/key", json!(["valeu"]), "valeu"),
        ("/order", json!("up"), "order is"),
        ("/strategy", json!("guess"), "merge or count"),
        ("/output", json!("out"), "output is"),
        ("/output/start", json!("0"), "start is"),
        ("/planned_at_ms", json!("noon"), "planned_at_ms is"),
    ] {
        let shown = refused_plan(path, to);
        assert!(shown.contains(said), "{path}: {shown}");
    }
}

#[test]
fn every_field_of_a_progress_must_be_what_it_is_named_for() {
    for (path, to, said) in [
        ("/state", json!("done"), "running or complete"),
        ("/rank", json!(-1), "rank is"),
        ("/positions", json!(3), "positions is"),
        ("/positions/2", json!(-3), "positions is"),
        ("/tail", json!(1), "tail is"),
        ("/tail/end", json!(10), "tail is 7 records from 10 to 10"),
        ("/tail/records", json!(0), "tail is 0 records"),
        ("/tail/records", json!(8), "tail is 8 records from 10 to 17"),
        ("/tail/records", json!(1_u64 << 32), "tail is"),
        ("/tail/checksum", json!("+edcba9876543210"), "checksum is"),
        ("/tail/timestamps", json!(1), "timestamps is"),
        ("/updated_at_ms", Value::Null, "updated_at_ms is"),
    ] {
        let shown = refused_progress(path, to);
        assert!(shown.contains(said), "{path}: {shown}");
    }
}

#[test]
fn a_progress_must_fit_its_plan() {
    assert_eq!(progress().misfit(&plan()), None);
    let misfit = |change: fn(&mut JobProgress)| {
        let mut changed = progress();
        change(&mut changed);
        changed.misfit(&plan()).expect("a misfit")
    };
    assert!(misfit(|p| p.positions.truncate(2)).contains("2 positions, the plan 3 inputs"));
    assert!(misfit(|p| p.positions[1] = 21).contains("a partition 1 is 21, the plan goes from 5 to 20"));
    assert!(misfit(|p| p.positions[1] = 4).contains("is 4"));
    assert!(misfit(|p| p.rank = 31).contains("31 records, the plan has 30"));
    assert!(misfit(|p| p.tail = None).contains("knows none"));
    assert!(misfit(|p| p.rank = 6).contains("its last records are 7, all are 6"));
    assert!(misfit(|p| p.tail.as_mut().unwrap().start = 2).contains("the job itself at 3"));
    let mut nothing = progress();
    (nothing.rank, nothing.tail) = (0, None);
    assert_eq!(nothing.misfit(&plan()), None);
}

//! `clean` with lookups: logins get what a topic of users has, and later ones what the users have become.

use crate::clean::{Cleaning, LONG, RuleFile, committed, members, payload};
use crate::support::*;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn rules(users: &str) -> RuleFile {
    RuleFile::new(&format!(
        "[[rule]]\nrequired = {{ field = \"user_id\" }}\n\n[[rule]]\nname = \"who\"\nlookup = {{ field = \"user_id\", topic = \
         \"{users}\", take = {{ name = \"name\", country = \"/address/country\" }} }}\n"
    ))
}

fn user(id: usize, country: &str) -> Rec {
    let value = format!("{{\"name\":\"user {id}\",\"address\":{{\"country\":\"{country}\",\"city\":\"X\"}}}}");
    Rec { key: Some(format!("u{id}").into_bytes()), ..Rec::text(&value) }
}

fn login(user: usize, number: usize) -> Rec {
    Rec::text(&format!("{{\"user_id\":\"u{user}\",\"number\":{number}}}"))
}

/// What the logins have become, by number.
async fn results(cluster: &Cluster, to: &str) -> Vec<Value> {
    let mut results: Vec<Value> = committed(cluster, to).await.iter().map(payload).collect();
    results.sort_by_key(|result| result["number"].as_u64());
    results
}

const USERS: usize = 40;

on_both_brokers! {
    async fn logins_get_name_and_country_of_their_user_and_later_ones_what_the_user_has_become(cluster: &Cluster) {
        let (from, to) = (cluster.topic("logins", 2).await, cluster.topic("joined", 2).await);
        let users = cluster.topic_with("users", 3, &[("cleanup.policy", "compact")]).await;
        for partition in 0..3 {
            let of = || (0..USERS).filter(move |id| id % 3 == partition);
            let all: Vec<Rec> = of().map(|id| user(id, "old")).chain(of().map(|id| user(id, "IT"))).collect();
            cluster.put(&users, partition as i32, &all).await;
        }
        let gone = Rec { key: Some(b"u7".to_vec()), value: None, ..Rec::text("") };
        cluster.put(&users, 1, &[gone, Rec { key: Some(b"u10".to_vec()), ..Rec::text("no JSON") }]).await;
        for partition in 0..2 {
            let logins: Vec<Rec> = (0..100).map(|number| login(number % 50, partition * 100 + number)).collect();
            cluster.put(&from, partition as i32, &logins).await;
        }
        let (rules, group) = (rules(&users), cluster.group("joiners"));
        let args = ["clean", "--from", &from, "--to", &to, "--rules", rules.path(), "--group", &group, "--strict"];
        let report = cluster.run(&[&args[..], &["--exit", "--output", "json"]].concat()).await.ok().json();
        // Ten users are not there, one is gone, and one has a value that says nothing.
        let expected = json!([{ "rule": "who", "found": 152, "partly": 0, "not_found": 48, "without_key": 0 }]);
        assert_eq!(report["lookups"], expected, "{report}");
        let topic = &report["lookup_topics"][0];
        let counts = ["keys", "unreadable", "without_key"].map(|name| topic[name].as_u64().unwrap());
        assert_eq!((topic["topic"].as_str(), counts), (Some(&*users), [USERS as u64 - 2, 1, 0]), "{report}");
        for (number, result) in results(cluster, &to).await.iter().enumerate() {
            let id = number % 100 % 50;
            let mut expected = json!({ "user_id": format!("u{id}"), "number": number });
            if id < USERS && id != 7 && id != 10 {
                expected["name"] = json!(format!("user {id}"));
                expected["country"] = json!("IT");
            }
            assert_eq!(*result, expected);
        }

        #[cfg(unix)]
        {
            let cleaning = Cleaning::start(cluster, &args);
            members(cluster, &group, 1).await;
            cluster.put(&users, 1, &[user(1, "FR"), user(7, "DE")]).await;
            let (began, mut number) = (Instant::now(), 200);
            loop {
                assert!(began.elapsed() < LONG, "the news do not come");
                cluster.put(&from, 0, &[login(1, number)]).await;
                number += 1;
                let last = loop {
                    let results = results(cluster, &to).await;
                    if results.len() == number {
                        break results.last().unwrap().clone();
                    }
                    assert!(began.elapsed() < LONG, "a login does not come out");
                    // Between two looks.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                };
                if last["country"] == "FR" {
                    break;
                }
                assert_eq!(last["country"], "IT");
            }
            let later: Vec<Rec> = (0..60).map(|more| login([1, 7, 2][more % 3], number + more)).collect();
            cluster.put(&from, 1, &later).await;
            let all = loop {
                let results = results(cluster, &to).await;
                if results.len() == number + 60 {
                    break results;
                }
                assert!(began.elapsed() < LONG, "logins do not come out");
                // Between two looks.
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            for (more, result) in all[number..].iter().enumerate() {
                assert_eq!(result["country"], ["FR", "DE", "IT"][more % 3], "{result}");
            }
            cleaning.stop().await;
        }
    }

    async fn a_dry_run_shows_what_is_found_and_a_topic_that_is_not_there_is_named_with_the_way_out(cluster: &Cluster) {
        let (from, users) = (cluster.topic("dry", 1).await, cluster.topic_with("users", 1, &[("cleanup.policy", "compact")]).await);
        cluster.put(&from, 0, &[login(3, 0), login(4, 1)]).await;
        cluster.put(&users, 0, &[user(3, "IT")]).await;
        let right = rules(&users);
        let shown = cluster.run(&["clean", "--from", &from, "--rules", right.path(), "--dry-run"]).await.ok();
        assert!(shown.stdout.contains("+ {\"user_id\":\"u3\",\"number\":0,\"name\":\"user 3\",\"country\":\"IT\"}\n"), "{shown:?}");
        assert!(shown.stdout.contains("  {\"user_id\":\"u4\",\"number\":1}\n"), "{shown:?}");
        let missing = cluster.name("nobody");
        let wrong = rules(&missing);
        let (to, group) = (cluster.name("never"), cluster.group("never"));
        let args = ["clean", "--from", &from, "--to", &to, "--rules", wrong.path(), "--group", &group, "--exit"];
        cluster.run(&args).await.fails(1, &[&*missing, "who", "kmerge topic create"]);
        let args = ["clean", "--from", &from, "--to", &users, "--rules", right.path(), "--group", &group, "--exit"];
        cluster.run(&args).await.fails(2, &[&*users, "looked up in"]);
    }
}

#[test]
fn a_check_says_what_is_looked_up_and_what_cannot_stand_beside_it() {
    let check = |file: &RuleFile, more: &[&str]| {
        let args = [&["clean", "check", file.path()], more].concat();
        Outcome::from(command("127.0.0.1:1", &args).output().expect("the binary starts"))
    };
    let right = rules("users");
    let said = check(&right, &[]).ok().stdout;
    assert!(said.contains("\n  who: name, country (its /address/country) of what users has under user_id"), "{said}");
    let json = check(&right, &["--output", "json"]).ok().json();
    let takes = json!({ "name": "name", "country": "/address/country" });
    assert_eq!((&json["lookups"][0]["topic"], &json["lookups"][0]["take"]), (&json!("users"), &takes), "{json}");
    let text = std::fs::read_to_string(right.path()).unwrap();
    let wrong = RuleFile::new(&format!("{text}\n[[insight]]\nfield = \"country\"\n"));
    check(&wrong, &[]).fails(2, &["line 9", "country depends on what a lookup finds", "second clean"]);
}

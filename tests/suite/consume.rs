//! Records out: what is shown, in which form, from where to where, and why it ended.

use crate::support::*;
use kmerge::batch::Codec;
use kmerge::broker::{Fault, Rule};
use kmerge::wire::{ApiKey, ErrorCode};
use std::collections::BTreeSet;

/// Records that tell everything a form can lose.
fn odd() -> Vec<Rec> {
    let bytes = |bytes: &[u8]| Some(bytes.to_vec());
    let plain = Rec::text("plain");
    vec![
        plain.clone(),
        Rec { key: bytes(b"k"), value: None, ..plain.clone() },
        Rec { key: bytes(b""), value: bytes(b""), ..plain.clone() },
        Rec { key: bytes(b"\xff\x00"), value: bytes(b"\xfe"), ..plain.clone() },
        Rec { value: bytes(br#"{"a": [1, 2],"a":3}"#), ..plain.clone() },
        Rec { value: bytes(b"null"), ..plain.clone() },
        Rec { value: bytes("two\nlines \u{1b}[2J".as_bytes()), ..plain.clone() },
        plain.header("h", "1").header("h", "2").stamped(1_715_947_200_123),
    ]
}

on_both_brokers! {
    async fn consume_shows_what_is_there_and_says_why_it_stopped(cluster: &Cluster) {
        let topic = cluster.topic("in", 3).await;
        for partition in 0..3 {
            cluster.put(&topic, partition, &[1, 2, 3, 4].map(|n| Rec::int(n * 10 + i64::from(partition)))).await;
        }
        let all = cluster.run(&["consume", &topic, "-e"]).await.ok();
        let shown: BTreeSet<i64> = all.stdout.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(shown, (1..5).flat_map(|n| (0..3).map(move |p| n * 10 + p)).collect());
        assert!(all.stderr.contains("12 records of 3 partitions"), "{all:?}");
        assert!(all.stderr.contains("everything is read that was there at the start"), "{all:?}");

        let two = cluster.run(&["consume", "-t", &topic, "-p", "0,2", "-o", "-1", "-e", "-f", "%t %p %o %s|"]).await.ok();
        let mut shown: Vec<_> = two.stdout.split_terminator('|').collect();
        shown.sort_unstable();
        assert_eq!(shown, [format!("{topic} 0 3 40"), format!("{topic} 2 3 42")]);

        let counted = cluster.run(&["consume", &topic, "-p", "1", "-c", "2"]).await.ok();
        assert_eq!(counted.stdout, "11\n21\n");
        assert!(counted.stderr.contains("as many records as were asked for"), "{counted:?}");

        let quiet = cluster.run(&["consume", &topic, "-e", "-q", "-p", "1", "-o", "1:3"]).await.ok();
        assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("21\n31\n", ""));

        let report = cluster.run(&["consume", &topic, "-e", "--output", "json", "--where", "value:int<20"]).await.ok();
        assert_eq!(report.stdout.lines().count(), 3);
        let said: serde_json::Value = serde_json::from_str(&report.stderr).unwrap();
        assert_eq!((&said["records"], &said["records_read"], &said["stopped"]), (&3.into(), &12.into(), &"exit".into()));
    }

    async fn consume_begins_and_ends_at_times(cluster: &Cluster) {
        let topic = cluster.topic("in", 1).await;
        let records: Vec<_> = (0..10).map(|n| Rec::int(n).stamped(1_715_904_000_000 + n * 3_600_000)).collect();
        cluster.put(&topic, 0, &records[..4]).await;
        cluster.put(&topic, 0, &records[4..]).await;
        for (place, numbers) in [
            ("@2024-05-17T02:00:00Z:2h", &[2, 3][..]),
            ("@2024-05-17T08:00:00Z", &[8, 9]),
            ("@:2024-05-17T02:00:00Z", &[0, 1]),
            ("@1715904000000:1715907600001", &[0, 1]),
            ("@-1h:end", &[]),
            ("+3:+2", &[3, 4]),
            ("-2:end", &[8, 9]),
            ("t", &[]),
        ] {
            let ended = cluster.run(&["consume", &topic, "-e", "-o", place]).await;
            if place == "t" {
                ended.fails(2, &["no place to start"]);
                continue;
            }
            let shown: Vec<i64> = ended.ok().stdout.lines().map(|line| line.parse().unwrap()).collect();
            assert_eq!(shown, numbers, "{place}");
        }
        let both = cluster.run(&["consume", &topic, "-o", "s@1715907600000", "-o", "e@1715911200000"]).await.ok();
        assert_eq!(both.stdout, "1\n");
        let list = format!("{topic}:0=9");
        assert_eq!(cluster.run(&["consume", &topic, "-e", "-o", &list]).await.ok().stdout, "9\n");
        cluster.run(&["consume", &topic, "-e", "-o", "nowhere:0=9"]).await.fails(2, &["nowhere partition 0"]);
    }

    async fn json_lines_carry_everything(cluster: &Cluster) {
        let topic = cluster.topic("in", 1).await;
        cluster.put(&topic, 0, &odd()).await;
        let shown = cluster.run(&["consume", &topic, "-e", "-J"]).await.ok();
        let lines: Vec<serde_json::Value> = shown.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), odd().len());
        assert_eq!((&lines[0]["topic"], &lines[0]["offset"], &lines[0]["tstype"]), (&topic.as_str().into(), &0.into(), &"create".into()));
        assert!(lines[0]["broker"].is_i64());
        assert_eq!((&lines[1]["key"], &lines[1]["payload"]), (&"k".into(), &serde_json::Value::Null));
        assert_eq!((&lines[3]["key_encoding"], &lines[3]["payload"]), (&"base64".into(), &"/g==".into()));
        assert!(shown.stdout.contains(r#""payload":{"a": [1, 2],"a":3}"#), "nested as it is: {shown:?}");
        assert_eq!(lines[5]["payload"], "null");
        assert_eq!(lines[6]["payload"], "two\nlines \u{1b}[2J");
        assert_eq!((&lines[7]["headers"], &lines[7]["ts"]), (&serde_json::json!([["h", "1"], ["h", "2"]]), &1_715_947_200_123_i64.into()));
    }

    async fn every_codec_is_shown_alike_and_in_order(cluster: &Cluster) {
        let topic = cluster.topic("in", 5).await;
        let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
        for (partition, codec) in codecs.into_iter().enumerate() {
            cluster.put_with(&topic, partition as i32, codec, &(0..300).map(Rec::int).collect::<Vec<_>>()).await;
        }
        let expected: String = (0..300).map(|n| format!("{n}\n")).collect();
        for partition in ["0", "1", "2", "3", "4"] {
            let shown = cluster.run(&["consume", &topic, "-e", "-p", partition, "--memory", "1MiB"]).await.ok();
            assert!(shown.stdout == expected, "partition {partition}: {shown:?}");
        }
        let ordered = cluster.run(&["consume", &topic, "-e", "--ordered", "--memory", "4MiB"]).await.ok();
        assert!(ordered.stdout == expected.lines().flat_map(|line| [line, "\n"].repeat(5)).collect::<String>());
    }

    async fn conditions_choose_by_key_header_pointer_and_time(cluster: &Cluster) {
        let topic = cluster.topic("in", 1).await;
        let order = |key: &str, value: &str| Rec { key: Some(key.into()), ..Rec::text(value) };
        cluster.put(&topic, 0, &[
            order("a", r#"{"n":1,"s":"paid"}"#).header("from", "shop"),
            order("b", r#"{"n":20,"s":"open"}"#).header("from", "test"),
            order("a", "no json").stamped(1_750_000_000_000),
            Rec { value: None, ..order("c", "") },
        ]).await;
        for (conditions, offsets) in [
            (&["key=a"][..], "02"),
            (&["key!=a"], "13"),
            (&["header:from=shop"], "0"),
            (&["header:from"], "01"),
            (&["value:json:/s=open"], "1"),
            (&["value:json:/n:int<5"], "0"),
            (&["!value"], "3"),
            (&["timestamp>=2025-01-01"], "2"),
            (&["key=a", "value*=json"], "2"),
        ] {
            let mut args = vec!["consume", &*topic, "-e", "-f", "%o"];
            conditions.iter().for_each(|condition| args.extend(["--where", condition]));
            assert_eq!(cluster.run(&args).await.ok().stdout, offsets, "{conditions:?}");
        }
        let told = cluster.run(&["consume", &topic, "-e", "--where", "value:json:/n:int<5"]).await.ok();
        assert!(told.stderr.contains("1 record could not be read as --where wants"), "{told:?}");
    }

    async fn ordered_is_the_order_of_a_merge_and_what_is_not_sorted_ends_it(cluster: &Cluster) {
        let (first, second) = (cluster.topic("a", 2).await, cluster.topic("b", 1).await);
        cluster.put(&first, 0, &[1, 4, 4, 9].map(Rec::int)).await;
        cluster.put(&first, 1, &[2, 4, 8].map(Rec::int)).await;
        cluster.put(&second, 0, &[0, 4, 10].map(Rec::int)).await;
        let topics = format!("{first},{second}");
        let shown = cluster.run(&["consume", &topics, "-e", "--ordered", "--key", "value:int", "-f", "%s:%p%t\\n"]).await.ok();
        let expected = [(0, 0, &second), (1, 0, &first), (2, 1, &first), (4, 0, &first), (4, 0, &first), (4, 1, &first),
            (4, 0, &second), (8, 1, &first), (9, 0, &first), (10, 0, &second)];
        let expected: String = expected.iter().map(|(n, p, t)| format!("{n}:{p}{t}\n")).collect();
        assert_eq!(shown.stdout, expected);
        let down = cluster.run(&["consume", &second, "-e", "--ordered", "--order", "desc"]).await;
        down.fails(4, &["is not sorted", "offset 1", "1 record of 1 partition"]);
        let counted = cluster.run(&["consume", &topics, "--ordered", "-c", "3"]).await.ok();
        assert_eq!(counted.stdout, "0\n1\n2\n");
        cluster.run(&["consume", &first, "-e", "--key", "key:string"]).await.fails(2, &["--ordered"]);
    }

    async fn what_the_log_does_not_hold_is_refused_or_waited_for(cluster: &Cluster) {
        let topic = cluster.topic("in", 1).await;
        cluster.put(&topic, 0, &[0, 1, 2, 3].map(Rec::int)).await;
        cluster.put(&topic, 0, &[4, 5].map(Rec::int)).await;
        cluster.delete_before(&topic, 0, 4).await;
        cluster.run(&["consume", &topic, "-e", "-o", "2"]).await.fails(1, &["offsets 2 to 3 are gone", "--start earliest"]);
        assert_eq!(cluster.run(&["consume", &topic, "-e"]).await.ok().stdout, "4\n5\n");
        let behind = cluster.run(&["consume", &topic, "-e", "-o", "100"]).await.ok();
        assert_eq!(behind.stdout, "");
        cluster.run(&["consume", &topic, "-o", "5:4"]).await.fails(2, &["lies behind the end"]);
        cluster.run(&["consume", &format!("{topic}x"), "-e"]).await.fails(1, &["there is no topic", "did you mean"]);
        cluster.run(&["consume", &topic, "-e", "-p", "3"]).await.fails(2, &["has no partition 3"]);
        cluster.run(&["consume", &topic, "-e", "-f", "%y"]).await.fails(2, &["\"%y\""]);
        cluster.run(&["consume", &topic, "--follow", "-o", "1:2"]).await.fails(2, &["--follow"]);
    }

    /// What `consume -J` writes is what `produce -J` reads: every byte, every null, every header, every timestamp.
    async fn json_lines_make_the_same_topic_again(cluster: &Cluster) {
        let mut seed = Seed::printed();
        let (topic, copy) = (cluster.topic("in", 2).await, cluster.topic("copy", 2).await);
        let mut bytes = |most: u64| {
            let kind = seed.below(8);
            let length = seed.below(most);
            let scalar = ["null", "17", "true", "\"quoted\"", "{}", "[1, {\"a\": null}]", "{\"a\":1}\n", " [] "];
            match kind {
                0 => None,
                1 => Some(scalar[seed.below(8) as usize].as_bytes().to_vec()),
                2..5 => Some((0..length).map(|_| b' ' + seed.below(90) as u8).collect()),
                _ => Some((0..length).map(|_| seed.below(256) as u8).collect()),
            }
        };
        let mut written = vec![odd(), Vec::new()];
        for number in 0..200 {
            let (key, value) = (bytes(12), bytes(60));
            let headers = (0..number % 4).map(|_| (bytes(8).unwrap_or_default(), bytes(8))).collect();
            written[number % 2].push(Rec { key, value, headers, timestamp: 1_700_000_000_000 + number as i64 });
        }
        for (partition, records) in (0..).zip(&written) {
            cluster.put(&topic, partition, records).await;
        }
        let kmerge = env!("CARGO_BIN_EXE_kmerge");
        let script = format!("'{kmerge}' consume -eJ {topic} | '{kmerge}' produce -J {copy} --keep-partitions");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script]).env("KMERGE_BROKERS", &cluster.brokers).env_remove("KAFKA_BOOTSTRAP_SERVERS");
        run(shell).await.ok();
        for (partition, records) in (0..).zip(&written) {
            assert_eq!(&cluster.read(&copy, partition).await, records, "partition {partition}");
        }
        let shown = async |topic: &str| {
            let lines = cluster.run(&["consume", "-eJ", topic]).await.ok().stdout;
            let without_place = |line: &str| {
                let mut envelope: serde_json::Value = serde_json::from_str(line).unwrap();
                for name in ["topic", "broker"] {
                    envelope.as_object_mut().unwrap().remove(name).unwrap();
                }
                envelope.to_string()
            };
            lines.lines().map(without_place).collect::<BTreeSet<_>>()
        };
        assert_eq!(shown(&topic).await, shown(&copy).await);
    }
}

#[test]
fn what_a_broker_does_not_permit_is_said_with_the_topic() {
    run_embedded("permits", async |cluster| {
        let topic = cluster.topic("secret", 1).await;
        cluster.put(&topic, 0, &[Rec::int(0)]).await;
        let faults = cluster.embedded.as_ref().unwrap().faults();
        for (api, mode) in [(ApiKey::Fetch, "--exit"), (ApiKey::Fetch, "--follow"), (ApiKey::ListOffsets, "--exit")] {
            let rule = Rule::on(api).partition(&topic, 0).always();
            faults.add(rule, Fault::Error(ErrorCode::TopicAuthorizationFailed));
            cluster.run(&["consume", &topic, mode]).await.fails(3, &[&topic, "TOPIC_AUTHORIZATION_FAILED"]);
            faults.clear();
        }
    });
}

#[test]
fn a_batch_that_stays_damaged_ends_it_with_its_place_behind_what_is_good() {
    run_embedded("damaged", async |cluster| {
        let topic = cluster.topic("in", 1).await;
        for number in 0..3 {
            cluster.put(&topic, 0, &[Rec::int(number)]).await;
        }
        let faults = cluster.embedded.as_ref().unwrap().faults();
        faults.add(Rule::on(ApiKey::Fetch).partition(&topic, 0).always(), Fault::Corrupt);
        let ended = cluster.run(&["consume", &topic, "-e"]).await;
        ended.fails(4, &[&format!("{topic} partition 0 offset"), "damaged batch"]);
    });
}

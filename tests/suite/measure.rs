//! What the records of a topic come to, in groups.

use crate::support::*;
use kmerge::broker::{Fault, Rule};
use kmerge::wire::ApiKey;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("kmerge-measure-{}-{:016x}", std::process::id(), rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// A file in it.
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn names(&self) -> BTreeSet<String> {
        std::fs::read_dir(&self.0).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(path)).unwrap()
}

const BY_DEVICE: &str = r#"
[[rule]]
default = { field = "device_type", value = "unknown" }

[[rule]]
required = { field = "user_id" }

[measure]
by = ["device_type", "locale"]
window = "2s"
time = "timestamp"
unit = "s"
aggregates = { logins = "count", users = { distinct = "user_id" }, first = { min = "timestamp" }, last_third = { "p66.667" = "timestamp" } }
"#;

/// What that comes to, line by line of CSV: by hand, from the records of the topic.
async fn by_hand(cluster: &Cluster, topic: &str, partitions: i32) -> (Vec<String>, u64) {
    let mut groups: BTreeMap<(i64, Key, Key), Vec<Value>> = BTreeMap::new();
    let mut refused = 0;
    for partition in 0..partitions {
        for record in cluster.read(topic, partition).await {
            let Ok(mut login) = serde_json::from_slice::<Value>(record.value.as_deref().unwrap()) else {
                refused += 1;
                continue;
            };
            if login["device_type"].is_null() {
                login["device_type"] = json!("unknown");
            }
            if login["user_id"].is_null() || login["timestamp"].is_null() {
                refused += 1;
                continue;
            }
            let window = login["timestamp"].as_i64().unwrap().div_euclid(2);
            groups.entry((window, text(&login["device_type"]), text(&login["locale"]))).or_default().push(login);
        }
    }
    let lines = groups.into_iter().map(|((window, device, locale), logins)| {
        let users: BTreeSet<&str> = logins.iter().map(|login| login["user_id"].as_str().unwrap()).collect();
        let mut times: Vec<i64> = logins.iter().map(|login| login["timestamp"].as_i64().unwrap()).collect();
        times.sort_unstable();
        let place = (times.len() * 66_667).div_ceil(100_000) - 1;
        let window = [window, window + 1].map(|window| {
            let (hour, minute, second) =
                ((window * 2).rem_euclid(86_400) / 3600, window * 2 / 60 % 60, window * 2 % 60);
            format!("{hour:02}:{minute:02}:{second:02}Z")
        });
        let (device, locale) = (device.unwrap_or_default(), locale.unwrap_or_default());
        format!(
            "{},{},{device},{locale},{},{},{},{}",
            window[0],
            window[1],
            logins.len(),
            users.len(),
            times[0],
            times[place]
        )
    });
    (lines.collect(), refused)
}

/// Nothing comes before every text.
type Key = Option<String>;

fn text(value: &Value) -> Key {
    value.as_str().map(str::to_owned)
}

/// A line without the dates of its window.
fn without_dates(line: &str) -> String {
    let cells: Vec<&str> = line
        .split(',')
        .map(|cell| cell.split_once('T').filter(|(date, _)| date.len() == 10).map_or(cell, |(_, time)| time))
        .collect();
    cells.join(",")
}

/// Logins of a few seconds, some without a device, a user, a time, some cut short.
async fn logins(cluster: &Cluster, records: &str, partitions: i32) -> String {
    let topic = cluster.topic("logins", partitions).await;
    let args = [
        "generate",
        "logins",
        &topic,
        "--records",
        records,
        "--seed",
        "11",
        "--users",
        "500",
        "--missing",
        "device_type=10%",
        "--missing",
        "user_id=1%",
        "--missing",
        "locale=5%",
        "--missing",
        "timestamp=1%",
        "--broken",
        "1%",
    ];
    cluster.run(&args).await.ok();
    topic
}

on_both_brokers! {
    async fn logins_by_device_and_time_come_to_what_they_do_by_hand_in_every_form(cluster: &Cluster) {
        let folder = Folder::new();
        let (topic, rules, out) = (logins(cluster, "4000", 3).await, folder.write("rules.toml", BY_DEVICE), folder.path("out.csv"));
        let (expected, refused) = by_hand(cluster, &topic, 3).await;
        assert!(expected.len() > 20 && refused > 60, "{} {refused}", expected.len());

        std::fs::write(&out, "before").unwrap();
        let told = cluster.run(&["measure", "--from", &topic, "--rules", &rules, "--csv", &out, "--output", "json"]).await.ok();
        let csv = read(&out);
        let mut lines = csv.lines();
        assert_eq!(lines.next(), Some("window_start,window_end,device_type,locale,logins,users,first,last_third"));
        assert_eq!(lines.map(without_dates).collect::<Vec<_>>(), expected);
        let report = told.json();
        assert_eq!((&report["in"], &report["rejected"], &report["groups"]), (&json!(4000), &json!(refused), &json!(expected.len())));
        assert_eq!(report["measured"], report["rows"]);
        assert_eq!(report["measured"].as_u64().unwrap() + refused, 4000);
        assert!(report["result"].is_null() && report["defaulted"]["device_type"].as_u64() > Some(200), "{report}");
        assert!(told.stderr.contains("refused: ") && told.stderr.contains("out.csv"), "{told:?}");
        assert_eq!(folder.names(), ["out.csv", "rules.toml"].map(str::to_owned).into());

        let shown = cluster.run(&["measure", "--from", &topic, "--rules", &rules, "--csv", "-"]).await.ok();
        assert_eq!(shown.stdout, csv);
        assert_eq!(cluster.run(&["measure", "--from", &topic, "--rules", &rules, "--output", "csv"]).await.ok().stdout, csv);

        let table = cluster.run(&["measure", "--from", &topic, "--rules", &rules]).await.ok();
        let rows: Vec<Vec<&str>> = table.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!((rows.len(), rows[0][..3].join(" ")), (expected.len() + 1, "window_start window_end device_type".to_owned()));
        assert!(rows[1..].iter().all(|row| row.len() == 8), "{table:?}");

        let told = cluster.run(&["measure", "--from", &topic, "--rules", &rules, "--output", "json"]).await.ok().json();
        let objects = told["result"].as_array().unwrap();
        assert_eq!(objects.len(), expected.len());
        for (object, line) in objects.iter().zip(&expected) {
            let cells: Vec<&str> = line.split(',').collect();
            assert_eq!(object["device_type"], cells[2]);
            assert_eq!(object["locale"].as_str().unwrap_or_default(), cells[3]);
            assert_eq!((object["logins"].to_string(), object["users"].to_string()), (cells[4].to_owned(), cells[5].to_owned()));
        }

        let part = ["measure", "--from", &topic, "--rules", &rules, "--partition", "1", "--start", "10", "--end", "60", "--output", "json"];
        assert_eq!(cluster.run(&part).await.ok().json()["in"], 50);
        cluster.run(&["measure", "--from", &topic, "--rules", &rules, "--strict"]).await.fails(4, &["--strict: ", "offset"]);
    }

    async fn what_clean_has_grouped_is_measured_member_by_member_as_if_it_had_not_been_grouped(cluster: &Cluster) {
        let folder = Folder::new();
        let [plain, grouped, counted] = [cluster.topic("plain", 2).await, cluster.topic("grouped", 2).await, cluster.topic("counted", 1).await];
        let clicks: Vec<Value> = (0..300).map(|n| json!({ "page": format!("p{}", n % 7), "ms": n * 37 % 101, "at": 1_700_000_000 + n })).collect();
        for partition in 0..2 {
            let own = clicks.iter().skip(partition).step_by(2).map(|click| Rec::text(&click.to_string()));
            cluster.put(&plain, partition as i32, &own.collect::<Vec<_>>()).await;
        }
        let group_by = |to: &str, what: &str| format!("[[group_by]]\nkey = \"page\"\nwindow = \"20s\"\ntime = \"at\"\nunit = \"s\"\nto = \"{to}\"\n{what}\n");
        let aggregates = "name = \"numbers\"\naggregates = { n = \"count\", slowest = { max = \"ms\" }, p95 = { p95 = \"ms\" } }";
        let grouping = folder.write("grouping.toml", &(group_by(&grouped, "members = true") + &group_by(&counted, aggregates)));
        let group = cluster.group("grouping");
        cluster.run(&["clean", "--from", &plain, "--rules", &grouping, "--exit", "--close-windows", "--group", &group]).await.ok();

        let measure = "by = \"page\"\nwindow = \"1m\"\ntime = \"at\"\nunit = \"s\"\naggregates = { n = \"count\", half = { p50 = \"ms\" }, mean = { mean = \"ms\" } }\n";
        let rules = folder.write("plain.toml", &format!("[measure]\n{measure}"));
        let nested = folder.write("nested.toml", &format!("[measure]\nunnest = \"members\"\n{measure}"));
        let expected = cluster.run(&["measure", "--from", &plain, "--rules", &rules, "--output", "csv"]).await.ok().stdout;
        let found = cluster.run(&["measure", "--from", &grouped, "--rules", &nested, "--output", "csv"]).await.ok();
        assert_eq!(found.stdout, expected);
        assert!(expected.lines().count() > 20 && found.stderr.contains("300 members measured"), "{found:?}");

        // Counts can be summed and extremes compared, where quantiles cannot be had.
        let sums = folder.write("sums.toml", "[measure]\nby = \"page\"\naggregates = { n = { sum = \"/aggregates/n\" }, slowest = { max = \"/aggregates/slowest\" } }\n");
        let found = cluster.run(&["measure", "--from", &counted, "--rules", &sums, "--output", "csv"]).await.ok().stdout;
        let by_hand = (0..7).map(|page| {
            let of_page: Vec<u64> = clicks.iter().skip(page).step_by(7).map(|click| click["ms"].as_u64().unwrap()).collect();
            format!("p{page},{},{}\n", of_page.len(), of_page.iter().max().unwrap())
        });
        assert_eq!(found, format!("page,n,slowest\n{}", by_hand.collect::<String>()));
        let of_groups = folder.write("of-groups.toml", "[measure]\naggregates = { p = { p95 = \"/aggregates/p95\" } }\n");
        cluster.run(&["measure", "--from", &counted, "--rules", &of_groups]).await.fails(2, &["line 2", "cannot be had of aggregates", "unnest"]);
        // Records without members are refused, and told.
        let told = cluster.run(&["measure", "--from", &plain, "--rules", &nested]).await.ok();
        assert!(told.stderr.contains("members is missing") && told.stderr.contains("(missing) 300"), "{told:?}");
    }

    async fn with_little_memory_the_answer_is_the_same_and_the_memory_and_the_folder_are_kept(cluster: &Cluster) {
        let (folder, temp) = (Folder::new(), Folder::new());
        let topic = cluster.topic("many", 3).await;
        let args = ["generate", "logins", &topic, "--records", "400000", "--seed", "5", "--users", "100000"];
        cluster.run(&args).await.ok();
        let rules = folder.write(
            "rules.toml",
            "[measure]\nby = [\"user_id\", \"locale\"]\naggregates = { n = \"count\", ips = { distinct = \"ip\" }, half = { p50 = \"timestamp\" } }\n",
        );
        let (little, much) = (folder.path("little.csv"), folder.path("much.csv"));
        let measure = async |out: &str, memory: &str| {
            let args = ["measure", "--from", &topic, "--rules", &rules, "--csv", out, "--memory", memory, "--temp-dir"];
            cluster.run(&[&args[..], &[temp.0.to_str().unwrap(), "--output", "json"]].concat()).await.ok().json()
        };
        let report = measure(&little, "8MiB").await;
        assert!(report["spilled_bytes"].as_u64() > Some(16 * MIB), "{report}");
        let peak = report["peak_memory_bytes"].as_u64().unwrap();
        assert!(peak <= 8 * MIB + 32 * MIB, "peak {} MiB", peak / MIB);
        let report = measure(&much, "512MiB").await;
        assert_eq!(report["spilled_bytes"], 0, "{report}");
        assert!(read(&little) == read(&much), "with little memory the answer is another one");
        assert!(read(&much).lines().count() > 90_000);
        assert!(temp.names().is_empty());
    }

    async fn a_topic_of_odd_records_is_measured_as_far_as_they_go(cluster: &Cluster) {
        let folder = Folder::new();
        let topic = cluster.topic("odd", 1).await;
        let deep = format!("{{\"k\":\"deep\",\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        let values = [
            r#"{"k":"a","v":1}"#, r#"{"k":"a","v":"1"}"#, r#"{"k":"a","v":1e400}"#, r#"{"k":"a","v":[1]}"#, r#"{"k":"a","v":2.5}"#,
            r#"{"k":null,"v":18446744073709551616}"#, r#"{"v":9223372036854775807}"#, r#"{"k":"","v":9223372036854775807}"#,
            r#"{"k":"","v":9223372036854775807}"#, r#"{"k":1,"v":null}"#, r#"{"k":1.0}"#, r#"{"k":"1"}"#, r#"{"k":{"a":1}}"#,
            "{\"k\":\"x,\\\"y\\\"\\n\u{e9}\",\"v\":-1}", &deep, r#"{"k":"twice","k":"twice"}"#, r#"{"k":"\ud83d"}"#, "7", "not json",
        ];
        let mut records: Vec<Rec> = values.iter().map(|value| Rec::text(value)).collect();
        records.push(Rec { value: None, ..Rec::text("") });
        cluster.put(&topic, 0, &records).await;
        let rules = folder.write("rules.toml", "[measure]\nby = \"k\"\naggregates = { n = \"count\", v = { count = \"v\" }, s = { sum = \"v\" }, m = { max = \"v\" }, p = { p50 = \"v\" }, d = { distinct = \"v\" } }\n");
        let told = cluster.run(&["measure", "--from", &topic, "--rules", &rules, "--output", "csv"]).await.ok();
        let expected = [
            "k,n,v,s,m,p,d",
            ",2,2,2.7670116110564327e19,1.8446744073709552e19,9223372036854775807,2",
            "1,2,0,0,,,0",
            "\"\",2,2,18446744073709551614,9223372036854775807,9223372036854775807,1",
            "1,1,0,0,,,0",
            "a,5,5,3.5,2.5,1,3",
            "deep,1,0,0,,,0",
            "\"x,\"\"y\"\"\n\u{e9}\",1,1,-1,-1,-1,1",
            "\"{\"\"a\"\":1}\",1,0,0,,,0",
        ];
        assert_eq!(told.stdout, expected.join("\n") + "\n");
        let report = cluster.run(&["measure", "--from", &topic, "--rules", &rules, "--output", "json"]).await.ok().json();
        assert_eq!((&report["in"], &report["measured"], &report["rejected"]), (&json!(20), &json!(15), &json!(5)));
        assert_eq!(report["unfit"], json!({ "s": 3, "m": 3, "p": 3, "d": 2 }));
        assert_eq!(report["first_rejected"]["offset"], 15);
    }

    async fn what_cannot_be_done_is_said_before_anything_is_read(cluster: &Cluster) {
        let folder = Folder::new();
        let topic = cluster.topic("t", 1).await;
        let rules = folder.write("rules.toml", "[measure]\naggregates = { n = \"count\" }\n");
        let wrong = folder.write("wrong.toml", "[measure]\nby = 7\naggregats = { n = \"count\" }\n");
        let run = async |args: &[&str]| cluster.run(&[&["measure", "--from", &topic][..], args].concat()).await;
        run(&["--rules", &wrong]).await.fails(2, &["wrong.toml", "line 2", "line 3", "did you mean aggregates?"]);
        run(&["--rules", &folder.path("none.toml")]).await.fails(2, &["none.toml"]);
        run(&["--rules", &rules, "--csv", &folder.path("not-there/out.csv")]).await.fails(1, &["--csv", "not-there"]);
        run(&["--rules", &rules, "--csv", folder.0.to_str().unwrap()]).await.fails(2, &["no regular file"]);
        run(&["--rules", &rules, "--csv", &folder.path("out.csv"), "--output", "csv"]).await.fails(2, &["not to both"]);
        run(&["--rules", &rules, "--temp-dir", &folder.path("not-there")]).await.fails(2, &["--temp-dir", "no folder"]);
        run(&["--rules", &rules, "--memory", "1MiB"]).await.fails(1, &["--memory 4MiB"]);
        run(&["--rules", &rules, "--partition", "1"]).await.fails(2, &["no partition 1"]);
        // An empty topic has no groups.
        assert_eq!(run(&["--rules", &rules, "--csv", "-"]).await.ok().stdout, "n\n");
        assert_eq!(folder.names().len(), 2, "{:?}", folder.names());
    }
}

/// A disk that is full, as far as one process is concerned: no file may be larger than 64 KiB.
#[cfg(unix)]
fn on_a_full_disk(cluster: &Cluster, args: &[&str]) -> std::process::Command {
    let measure = command(&cluster.brokers, &[]);
    let mut shell = std::process::Command::new("sh");
    // Who ignores the signal is told by the write.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 128; exec \"$@\"", "sh"]).arg(measure.get_program()).args(args);
    shell.env("KMERGE_BROKERS", &cluster.brokers).stdin(std::process::Stdio::null());
    shell
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_nothing_is_written_and_nothing_is_left() {
    let cluster = Cluster::embedded("full-disk").await;
    let (folder, temp) = (Folder::new(), Folder::new());
    let topic = logins(&cluster, "60000", 2).await;
    let out = folder.write("out.csv", "before");
    let rules = folder.write("rules.toml", "[measure]\nby = [\"ip\"]\naggregates = { n = \"count\" }\n");
    let args = |memory: &'static str| {
        [
            "measure",
            "--from",
            &topic,
            "--rules",
            &rules,
            "--csv",
            &out,
            "--memory",
            memory,
            "--temp-dir",
            temp.0.to_str().unwrap(),
        ]
        .map(str::to_owned)
    };
    // There is no room to put anything aside; and where nothing has to be, none for the file itself.
    for (memory, said) in [("4MiB", "--temp-dir"), ("256MiB", "out.csv")] {
        let args = args(memory);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        run(on_a_full_disk(&cluster, &args)).await.fails(1, &[said, "File too large"]);
        assert_eq!(read(&out), "before");
        assert_eq!(folder.names(), ["out.csv", "rules.toml"].map(str::to_owned).into());
        assert!(temp.names().is_empty());
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_by_a_signal_it_writes_nothing_and_leaves_nothing() {
    let cluster = Cluster::embedded("stopped").await;
    let folder = Folder::new();
    let topic = logins(&cluster, "1000", 2).await;
    let (rules, out) = (folder.write("rules.toml", BY_DEVICE), folder.path("out.csv"));
    let held =
        cluster.embedded.as_ref().unwrap().faults().add(Rule::on(ApiKey::Fetch).partition(&topic, 1), Fault::Hold);
    let child = begin(command(&cluster.brokers, &["measure", "--from", &topic, "--rules", &rules, "--csv", &out]));
    tokio::time::timeout(std::time::Duration::from_secs(60), held.hit()).await.expect("it reads");
    signal("-INT", &child);
    ended(child).await.fails(130, &["interrupted"]);
    assert_eq!(folder.names(), ["rules.toml".to_owned()].into());
}

//! `clean` with insights: what is counted is what went out, whoever is killed meanwhile, and whoever counts it again.

use crate::clean::{LONG, RuleFile, committed, members, payload};
use crate::support::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::time::{Duration, Instant};

const RULES: &str = r#"
[[rule]]
default = { field = "device_type", value = "unknown" }

[[rule]]
required = { field = "user_id" }

[[insight]]
name = "devices"
field = "device_type"

[[insight]]
name = "by minute"
field = ["device_type", "locale"]
top = 100
window = "1m"
slide = "20s"
time = "t"
lateness = "10s"
"#;
const SIZE: i64 = 60_000;
const SLIDE: i64 = 20_000;
const LATENESS: i64 = 10_000;
/// A minute's beginning, long ago.
const BEGIN: i64 = 1_700_000_040_000;
const PARTITIONS: i32 = 3;

type Counts = BTreeMap<String, u64>;

/// A login as it goes out: device, locale, and its time.
type Login = (&'static str, &'static str, i64);

/// What a slow reading counts of the logins of one partition: the devices, the windows that close, and those that come late.
fn slowly(logins: &[Login]) -> (Counts, BTreeMap<i64, Counts>, u64) {
    let (mut devices, mut windows, mut late) = (Counts::new(), BTreeMap::<i64, Counts>::new(), 0);
    let mut latest = i64::MIN;
    for (device, locale, time) in logins {
        latest = latest.max(*time);
        *devices.entry(json!(device).to_string()).or_default() += 1;
        let of: Vec<i64> = (0..SIZE / SLIDE).map(|back| time / SLIDE * SLIDE - back * SLIDE).collect();
        let open = of.iter().filter(|start| **start + SIZE > latest - LATENESS);
        late += u64::from(open.clone().count() < of.len());
        for start in open {
            *windows.entry(*start).or_default().entry(json!([device, locale]).to_string()).or_default() += 1;
        }
    }
    windows.retain(|start, _| start + SIZE <= latest - LATENESS);
    (devices, windows, late)
}

/// Logins that keep coming, each noted where it goes out.
struct Load<'a> {
    cluster: &'a Cluster,
    topic: String,
    /// Of the next logins.
    number: AtomicI64,
    ended: AtomicBool,
    kept: Mutex<Vec<Vec<Login>>>,
}

impl Load<'_> {
    async fn run(&self) {
        while !self.ended.load(SeqCst) {
            self.some().await;
        }
    }

    /// Lets some more come, by who else runs this.
    async fn some_more(&self) {
        let (before, began) = (self.number.load(SeqCst), Instant::now());
        while self.number.load(SeqCst) < before + 9 {
            assert!(began.elapsed() < LONG, "nothing comes");
            // Between two looks.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Twenty logins in a partition, a second or so from one to the next; some of them late.
    async fn some(&self) {
        let number = self.number.fetch_add(1, SeqCst);
        let partition = number % i64::from(PARTITIONS);
        let logins = (0..20).map(|login| {
            let number = number / i64::from(PARTITIONS) * 20 + login;
            let back = if number % 17 == 0 { 45_000 } else { number % 3 * 700 };
            let time = BEGIN + number * 900 - back;
            let device = ["iOS", "web", "android"][(number % 7 % 3) as usize];
            let locale = ["de", "fr"][(number % 5 % 2) as usize];
            match number % 10 {
                0 => Rec::text(&format!(r#"{{"user_id":{number},"locale":"{locale}"#)),
                1 => Rec::text(&format!(r#"{{"device_type":"{device}","t":{time}}}"#)),
                2 => {
                    self.keep(partition, ("unknown", locale, time));
                    Rec::text(&format!(r#"{{"user_id":1,"device_type":null,"locale":"{locale}","t":{time}}}"#))
                }
                _ => {
                    self.keep(partition, (device, locale, time));
                    Rec::text(&format!(r#"{{"user_id":1,"device_type":"{device}","locale":"{locale}","t":{time}}}"#))
                }
            }
        });
        let logins: Vec<Rec> = logins.collect();
        self.cluster.put(&self.topic, partition as i32, &logins).await;
    }

    fn keep(&self, partition: i64, login: Login) {
        self.kept.lock().unwrap()[partition as usize].push(login);
    }
}

fn counts(values: &Value) -> Counts {
    let each = values.as_array().unwrap().iter();
    each.map(|value| (value["value"].to_string(), value["count"].as_u64().unwrap())).collect()
}

struct Story<'a> {
    load: Load<'a>,
    to: String,
    dead: String,
    popular: String,
    state: String,
    rules: RuleFile,
}

impl<'a> Story<'a> {
    async fn begin(cluster: &'a Cluster, name: &str) -> Self {
        let topic = cluster.topic(name, PARTITIONS).await;
        let kept = Mutex::new(vec![Vec::new(); PARTITIONS as usize]);
        let named = |what: &str| format!("{name}-{what}");
        Self {
            load: Load { cluster, topic, number: AtomicI64::new(0), ended: AtomicBool::new(false), kept },
            to: cluster.topic(&named("out"), PARTITIONS).await,
            dead: cluster.topic(&named("dead"), 1).await,
            popular: cluster.topic(&named("popular"), PARTITIONS).await,
            state: cluster.name(&named("state")),
            rules: RuleFile::new(RULES),
        }
    }

    fn args<'b>(&'b self, group: &'b str, name: &'b str) -> Vec<&'b str> {
        let topics = ["clean", "--from", &self.load.topic, "--to", &self.to, "--dead-letters", &self.dead];
        let insights = ["--insights-to", &self.popular, "--insights-state", &self.state, "--report-interval", "150ms"];
        let quick = ["--session-timeout", "6s", "--transaction-timeout", "6s", "--commit-interval", "50ms"];
        let group = ["--rules", self.rules.path(), "--group", group, "--group-instance-id", name];
        [&topics[..], &insights, &quick, &group].concat()
    }

    fn start(&self, group: &str, name: &str) -> Child {
        let mut command = command(&self.load.cluster.brokers, &self.args(group, name));
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts")
    }

    /// Cleans what is left; the report and the topic say what a slow reading says.
    async fn counts_all(&self, group: &str) -> Value {
        let cluster = self.load.cluster;
        let report =
            cluster.run(&[&self.args(group, "one")[..], &["--exit", "--output", "json"]].concat()).await.ok().json();
        let expected: Vec<_> = self.load.kept.lock().unwrap().iter().map(|logins| slowly(logins)).collect();
        let (mut devices, mut late) = (Counts::new(), 0);
        for (of_partition, _, its_late) in &expected {
            of_partition.iter().for_each(|(device, count)| *devices.entry(device.clone()).or_default() += count);
            late += its_late;
        }
        let (found, by_minute) = (&report["insights"][0], &report["insights"][1]);
        assert_eq!(counts(&found["values"]), devices, "{report}");
        assert_eq!((&by_minute["late"], &by_minute["missed"]), (&json!(late), &json!(0)), "{report}");
        assert!(late > 0 && expected.iter().all(|(_, windows, _)| windows.len() > 3));

        let mut windows = vec![BTreeMap::new(); PARTITIONS as usize];
        for record in committed(cluster, &self.popular).await {
            let (key, value) = (&record["key"], payload(&record));
            let Some(start) = key["window_start"].as_str().filter(|_| key["group"] == group) else { continue };
            let partition = key["partition"].as_u64().unwrap() as usize;
            assert_eq!((record["partition"].as_u64(), &key["insight"]), (Some(partition as u64), &json!("by minute")));
            let before = windows[partition].insert(start.to_owned(), counts(&value["values"]));
            assert_eq!(before, None, "{start} comes twice in partition {partition}");
        }
        for (found, (_, windows, _)) in windows.iter().zip(&expected) {
            let shown = |start: &i64| kmerge::base::time::show_epoch_ms(*start).to_string();
            let expected: BTreeMap<_, _> =
                windows.iter().map(|(start, counts)| (shown(start), counts.clone())).collect();
            assert_eq!(found, &expected);
        }
        report
    }
}

#[cfg(unix)]
on_both_brokers! {
    async fn killed_at_random_instants_what_was_counted_is_what_went_out_and_another_group_counts_the_same(cluster: &Cluster) {
        let story = Story::begin(cluster, "insights").await;
        let (one, other) = (cluster.group("one"), cluster.group("other"));
        let mut seed = Seed::printed();
        let told = async {
            for _ in 0..5 {
                let mut run = story.start(&one, "one");
                // The instant itself is meant.
                tokio::time::sleep(Duration::from_millis(200 + seed.below(700))).await;
                run.kill().expect("it runs");
                run.wait().expect("it ends");
            }
            // What was counted of a partition moves with it: two share, and one of them is killed.
            let (mut first, second) = (story.start(&one, "one"), story.start(&one, "two"));
            members(cluster, &one, 2).await;
            story.load.some_more().await;
            first.kill().expect("it runs");
            first.wait().expect("it ends");
            members(cluster, &one, 1).await;
            story.load.some_more().await;
            signal("-TERM", &second);
            assert_eq!(ended(second).await.status, 143);
            story.load.ended.store(true, SeqCst);
        };
        tokio::join!(told, story.load.run());
        // Enough of it, however slow the machine.
        for _ in 0..20 * PARTITIONS {
            story.load.some().await;
        }
        let first = story.counts_all(&one).await;
        let again = story.counts_all(&other).await;
        for insight in 0..2 {
            for name in ["records", "values", "late", "untimed", "window"] {
                assert_eq!(first["insights"][insight][name], again["insights"][insight][name], "{name}");
            }
        }
        // Nothing is left, and the numbers stand.
        assert_eq!(story.counts_all(&one).await["in"], 0);
    }

    async fn insights_are_told_while_it_runs(cluster: &Cluster) {
        let story = Story::begin(cluster, "told").await;
        let group = cluster.group("told");
        for _ in 0..30 {
            story.load.some().await;
        }
        let mut run = story.start(&group, "one");
        let said = BufReader::new(run.stderr.take().unwrap());
        let told = tokio::task::spawn_blocking(move || {
            let mut devices = None;
            for line in said.lines().map_while(Result::ok) {
                if line.contains("devices: ") {
                    devices = Some(line);
                } else if line.contains("by minute, 20") {
                    return devices.map(|devices| (devices, line));
                }
            }
            None
        });
        let (devices, window) = told.await.unwrap().expect("it is told before it ends");
        assert!(devices.contains(" % (") && window.contains(" of 3 partitions: "), "{devices}\n{window}");
        run.kill().expect("it runs");
        run.wait().expect("it ends");
    }

    async fn of_a_field_of_nothing_but_different_values_the_first_ones_are_told_apart_within_the_memory(cluster: &Cluster) {
        let (from, to) = (cluster.topic("many", 2).await, cluster.topic("many-out", 2).await);
        cluster.run(&["generate", "logins", &from, "--records", "200000"]).await.ok();
        let state = cluster.name("many-state");
        let (few, many, group) = (many_values(2_000), many_values(1_000_000), cluster.group("many"));
        let args = |rules: &RuleFile| -> Vec<String> {
            let args = ["clean", "--from", &from, "--to", &to, "--rules", rules.path(), "--group", &group, "--strict", "--exit"];
            let more = ["--insights-state", &state, "--memory", "16MiB", "--output", "json"];
            args.into_iter().chain(more).map(str::to_owned).collect()
        };
        let run = async |rules: &RuleFile| {
            let args = args(rules);
            cluster.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).await
        };
        run(&many).await.fails(1, &["insight users: ", "values_max", &from]);
        let report = run(&few).await.ok().json();
        let insight = &report["insights"][0];
        let (records, other) = (insight["records"].as_u64(), insight["other"].as_u64().unwrap());
        assert!(records == Some(200_000) && (190_000..=196_000).contains(&other), "{insight}");
        let peak = report["peak_memory_bytes"].as_u64().unwrap() >> 20;
        assert!(peak <= 16 + 32, "peak {peak} MiB");
    }
}

/// An insight into fields that are others in each record.
fn many_values(values_max: usize) -> RuleFile {
    RuleFile::new(&format!(
        "[[insight]]\nname = \"users\"\nfield = [\"user_id\", \"ip\"]\nwindow = \"1m\"\nvalues_max = {values_max}\n"
    ))
}

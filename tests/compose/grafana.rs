//! `compose/grafana/`: what compose accepts, what Prometheus finds, and a dashboard that asks for nothing that is not served.

use crate::document::{Value, load, read, root, with_included};
use crate::{kafka, rules};
use kmerge::broker::{Broker, BrokerConfig};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FOLDER: &str = "compose/grafana";
const PATIENCE: Duration = Duration::from_secs(60);

fn file(name: &str) -> Value {
    Value::parse(&read(&format!("{FOLDER}/{name}"))).unwrap()
}

/// The compose file, with the cluster that it includes.
fn together() -> Value {
    load(&format!("{FOLDER}/grafana.yml")).unwrap()
}

fn dashboard() -> serde_json::Value {
    serde_json::from_str(&read("compose/grafana/dashboards/kmerge.json")).unwrap()
}

/// Every query of the dashboard's panels and variables.
fn queries(dashboard: &serde_json::Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array());
    let asked = panels.flatten().map(|target| target["expr"].as_str().unwrap().to_owned());
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let listed = variables.iter().filter_map(|variable| variable["query"]["query"].as_str().map(str::to_owned));
    asked.chain(listed).collect()
}

/// The names in a query that only a metric can have.
fn metrics(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|word| ["kafka_", "kmerge_", "process_"].iter().any(|prefix| word.starts_with(prefix)));
    ours.map(str::to_owned).collect()
}

#[test]
fn compose_accepts_the_file_with_the_cluster() {
    let path = format!("{FOLDER}/grafana.yml");
    let problems = |text: &str| rules::problems(&with_included(&path, text).unwrap(), &root().join(FOLDER));
    assert_eq!(problems(&read(&path)), Vec::<String>::new());
    assert_eq!(kafka::problems(&together()), Vec::<String>::new());
    let gone = read(&path).replace("./dashboards:", "./gone:");
    assert!(problems(&gone).iter().any(|problem| problem.contains("./gone is mounted, and is not there")));
}

#[test]
fn our_own_commands_are_typed_right_and_served_where_prometheus_looks() {
    let document = together();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut served = BTreeSet::new();
    for (name, service) in document.get("services").entries() {
        let words = service.get("command").texts();
        if service.get("image").text() != "kmerge" {
            continue;
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_kmerge"));
        // It would listen there before it looks for a broker, and two of these at once can't.
        let elsewhere = words.iter().map(|word| if word.starts_with("0.0.0.0:") { "0" } else { word });
        command.args(elsewhere).env("KMERGE_BROKERS", nobody.to_string()).stdin(Stdio::null());
        // Whatever is mistyped or missing ends with status 2 before the address is tried, where nobody answers. A monitor would
        // wait for somebody; it has no argument that must be there.
        let (more, status) = match words[0] {
            "monitor" => (&["--help"][..], 0),
            _ => (&["--timeout", "1s"][..], 3),
        };
        let output = command.args(more).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let flag = words.iter().position(|word| ["--listen", "--metrics"].contains(word));
        let address = flag.and_then(|at| words[at + 1].strip_prefix("0.0.0.0:"));
        served.extend(address.map(|port| format!("{name}:{port}")));
    }
    let scraped = file("prometheus.yml");
    let jobs = scraped.get("scrape_configs").list().iter().flat_map(|job| job.get("static_configs").list());
    let targets: BTreeSet<String> = jobs.flat_map(|one| one.get("targets").texts()).map(str::to_owned).collect();
    assert_eq!(served, targets);
}

#[test]
fn grafana_finds_its_source_and_its_dashboards() {
    let grafana = together().get("services").get("grafana").clone();
    let mounts = grafana.get("volumes").texts().join("\n");
    let source = file("provisioning/datasources/prometheus.yml");
    let [source] = source.get("datasources").list() else { panic!("one source") };
    assert_eq!((source.get("type").text(), source.get("url").text()), ("prometheus", "http://prometheus:9090"));
    let provider = file("provisioning/dashboards/kmerge.yml");
    let [provider] = provider.get("providers").list() else { panic!("one provider") };
    let path = provider.get("options").get("path").text();
    assert!(mounts.contains(&format!("./dashboards:{path}:ro")), "{mounts}");
    assert!(mounts.contains("./provisioning:/etc/grafana/provisioning:ro"), "{mounts}");
}

#[test]
fn the_dashboard_is_whole() {
    let dashboard = dashboard();
    assert_eq!(dashboard["uid"], "kmerge", "a uid of its own, so that links to it last");
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: BTreeSet<&str> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(
        (variables[0]["type"].as_str(), variables[0]["query"].as_str()),
        (Some("datasource"), Some("prometheus"))
    );
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<i64> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    let mut taken = BTreeSet::new();
    for panel in panels {
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(x < 24 && taken.insert((x, y)), "{} lies over another panel", panel["title"]);
            }
        }
        let targets = panel["targets"].as_array().into_iter().flatten();
        for with_source in targets.chain((panel["type"] != "row").then_some(panel)) {
            assert_eq!(with_source["datasource"]["uid"], "${DS_PROMETHEUS}", "{}", panel["title"]);
        }
    }
    for query in queries(&dashboard) {
        let used = query.match_indices('$').map(|(at, _)| {
            let name = &query[at + 1..];
            &name[..name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(name.len())]
        });
        for name in used.filter(|name| *name != "__rate_interval") {
            assert!(names.contains(name), "{query}: there is no variable {name}");
        }
        // Of what may go back rate() takes each step back for a restart from nothing.
        for of in query.split("rate(").skip(1).filter_map(|rest| rest.split('{').next()) {
            assert!(of.ends_with("_total"), "{query}: {of} is no counter");
        }
    }
}

/// A command that serves, and the page it serves.
struct Serving(Child, String);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Serving {
    fn start(brokers: &str, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kmerge"));
        command.args(args).env("KMERGE_BROKERS", brokers).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address =
            lines.find_map(|line| Some(line.strip_prefix("metrics at http://")?.strip_suffix("/metrics")?.to_owned()));
        // What else it says is read and dropped: a full pipe would hold it up.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child, address.expect("it says where it serves"))
    }

    fn page(&self) -> String {
        let mut stream = TcpStream::connect(&self.1).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The names of the families, once the page has this line.
    fn families_with(&self, line: &str) -> BTreeSet<String> {
        let began = Instant::now();
        loop {
            let page = self.page();
            if page.lines().any(|one| one.starts_with(line)) {
                let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
                return types.map(str::to_owned).collect();
            }
            assert!(began.elapsed() < PATIENCE, "{line} does not come: {page}");
            std::thread::yield_now();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_the_dashboard_names_metrics_that_are_served() {
    let config = BrokerConfig { topics: vec![("orders".to_owned(), 2)], ..BrokerConfig::default() };
    let broker = Broker::start(config).await.unwrap();
    let brokers = broker.bootstrap();
    let served = tokio::task::spawn_blocking(move || {
        let generate = ["generate", "events", "--to", "orders", "--rate", "100", "--metrics", "0"];
        let job = Serving::start(&brokers, &generate);
        let monitor = Serving::start(&brokers, &["monitor", "--listen", "0", "--interval", "100ms"]);
        let mut served = job.families_with("kmerge_records_total{phase=\"generate\"}");
        served.append(&mut monitor.families_with("kafka_topic_partitions{topic=\"orders\"} 2"));
        served
    });
    let served = served.await.unwrap();
    broker.stop().await;
    let queries = queries(&dashboard());
    assert!(queries.len() > 20, "{queries:?}");
    for query in queries {
        let names = metrics(&query);
        assert!(!names.is_empty(), "{query}");
        for name in names {
            assert!(served.contains(&name), "{query}: {name} is not served");
        }
    }
    assert!(root().join(FOLDER).join("grafana.yml").exists());
}

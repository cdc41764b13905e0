//! `kmerge monitor`: what it tells of a cluster, once, again and again, and to Prometheus; also of one that is away.

use crate::support::*;
use kmerge::base::clock::now_ms;
use kmerge::base::place::TopicPartition;
use kmerge::broker::{Broker, BrokerConfig, Fault, Rule};
use kmerge::client::FirstRecord;
use kmerge::jobs::monitor::{Monitor, MonitorSettings};
use kmerge::wire::{ApiKey, ErrorCode};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The one of a list whose field is this text.
#[track_caller]
fn the<'a>(list: &'a Value, field: &str, text: &str) -> &'a Value {
    let found = list.as_array().and_then(|list| list.iter().find(|one| one[field] == text));
    found.unwrap_or_else(|| panic!("no {field} {text} in {list}"))
}

on_both_brokers! {
    /// Each in a batch of its own, so that the one at the offset is told and none beside it.
    async fn the_time_of_the_record_at_an_offset_is_told_as_long_as_it_lies_in_the_range(cluster: &Cluster) {
        let topic = cluster.topic("times", 1).await;
        let old = now_ms() - 60_000;
        for i in 0..3 {
            cluster.put(&topic, 0, &[Rec::int(i).stamped(old + i)]).await;
        }
        let (client, at) = (cluster.client().await, TopicPartition::new(topic.as_str(), 0));
        for offset in 0..3 {
            let found = client.first_record_in(&at, offset..3).await.unwrap();
            assert_eq!(found, FirstRecord::Written(old + offset), "{offset}");
        }
        assert_eq!(client.first_record_in(&at, 3..3).await.unwrap(), FirstRecord::Nothing);
    }

    /// One topic stands still, with a group behind its end; another one grows meanwhile.
    async fn monitor_tells_how_fast_topics_grow_and_how_late_groups_are(cluster: &Cluster) {
        let (still, busy) = (cluster.topic("still", 2).await, cluster.topic("busy", 1).await);
        let old = now_ms() - 60_000;
        let records: Vec<Rec> = (0..5).map(|i| Rec::int(i).stamped(old + i)).collect();
        cluster.put(&still, 0, &records).await;
        cluster.put(&still, 1, &records[..2]).await;
        let group = cluster.group("readers");
        let at = |partition, offset| (TopicPartition::new(still.as_str(), partition), offset);
        let client = cluster.client().await;
        client.set_group_offsets(&group, &BTreeMap::from([at(0, 2), at(1, 2)])).await.unwrap();

        let args = ["monitor", "--topic", &format!("{still},{busy}"), "--group", &group, "--interval", "2s", "--output", "json"];
        let mut monitor = std::pin::pin!(cluster.run(&args));
        let said = loop {
            tokio::select! {
                said = &mut monitor => break said.ok().json(),
                () = async {
                    cluster.put(&busy, 0, &records).await;
                    // A pace of writing; nothing is waited for.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                } => {}
            }
        };
        let busy_seen = the(&said["topics"], "topic", &busy);
        assert!(busy_seen["messages_per_second"].as_f64().unwrap() > 0.0, "{said}");
        assert!(busy_seen["bytes_per_second"].as_f64().unwrap() > 0.0, "{said}");
        let still_seen = the(&said["topics"], "topic", &still);
        assert_eq!((still_seen["messages_per_second"].as_f64(), still_seen["bytes_per_second"].as_f64()), (Some(0.0), Some(0.0)));
        assert_eq!(still_seen["partitions"][0]["end"], 5, "{said}");
        assert!(still_seen["log_bytes"].as_u64().unwrap() > 0, "{said}");
        let readers = the(&said["groups"], "group", &group);
        assert_eq!((&readers["state"], &readers["members"]), (&"Empty".into(), &0.into()), "{said}");
        let [first, second] = &readers["partitions"].as_array().unwrap()[..] else { panic!("{said}") };
        assert_eq!((&first["lag"], &second["lag"], second["lag_seconds"].as_f64()), (&3.into(), &0.into(), Some(0.0)));
        let late = first["lag_seconds"].as_f64().unwrap();
        assert!((60.0..600.0).contains(&(late + 0.002)), "{said}");
        assert_eq!(said["not_known"].as_array().map(Vec::len), Some(0), "{said}");
    }

    /// A merge that was killed with its transaction open keeps readers of what is committed from its output.
    async fn monitor_tells_whose_transaction_holds_readers_back(cluster: &Cluster) {
        let (from, to) = (cluster.topic("in", 1).await, cluster.topic("out", 1).await);
        let records: Vec<Rec> = (0..100).map(Rec::int).collect();
        cluster.put(&from, 0, &records).await;
        let job = format!("kmerge-torture-{to}");
        let jobs_topic = cluster.name("jobs");
        let args = ["merge", "--from", &from, "--to", &to, "--job", &job, "--jobs-topic", &jobs_topic];
        let mut merge = command(&cluster.brokers, &args);
        merge.env("KMERGE_TORTURE", format!("kill:end_txn:1:{job}"));
        run(merge).await.fails(137, &[]);

        let look = ["monitor", "--topic", &to, "--interval", "500ms", "--output", "json"];
        let said = cluster.run(&look).await.ok().json();
        let seen = &said["topics"][0];
        let open = &seen["partitions"][0]["open_transaction"];
        assert_eq!((&open["transactional_id"], &open["from_offset"]), (&job.as_str().into(), &0.into()), "{said}");
        assert!(open["producer_id"].is_i64() && open["seconds"].as_f64().unwrap() > 0.4, "{said}");
        assert_eq!((&seen["partitions"][0]["last_stable"], &seen["partitions"][0]["end"]), (&0.into(), &100.into()));
        let text = cluster.run(&["monitor", "--topic", &to, "--interval", "500ms"]).await.ok().stdout;
        assert!(text.contains(&format!("transactional id {job}")), "{text}");

        // The same job goes on; what it held is let go.
        cluster.run(&args).await.ok();
        let said = cluster.run(&look).await.ok().json();
        assert_eq!(said["topics"][0]["partitions"][0]["open_transaction"], Value::Null, "{said}");
    }

    async fn a_name_that_nothing_has_is_refused_and_a_pattern_is_not(cluster: &Cluster) {
        let topic = cluster.topic("here", 1).await;
        let gone = format!("{topic}-gone");
        cluster.run(&["monitor", "--topic", &gone]).await.fails(1, &["there is no topic", &gone, "kmerge topic list"]);
        let group = ["monitor", "--topic", &topic, "--group", &gone];
        cluster.run(&group).await.fails(1, &["there is no group", &gone]);
        // A group that reads something else is there.
        let (other, group) = (cluster.topic("other", 1).await, cluster.group("elsewhere"));
        let at = BTreeMap::from([(TopicPartition::new(other.as_str(), 0), 0)]);
        cluster.client().await.set_group_offsets(&group, &at).await.unwrap();
        cluster.run(&["monitor", "--topic", &topic, "--group", &group, "-i", "100ms"]).await.ok();
        let csv = cluster.run(&["monitor", "--topic", &format!("{topic}*"), "-i", "100ms", "--output", "csv"]).await.ok().stdout;
        assert!(csv.starts_with("TIME,KIND,NAME,TOPIC,"), "{csv}");
        assert!(csv.lines().any(|line| line.contains(&format!(",topic,{topic},,1,0.000,0.000,"))), "{csv}");
    }
}

/// Node 2 refuses one question and is silent to another; what node 1 tells is no worse for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_broker_does_not_tell_is_a_gap_with_a_reason() {
    let cluster = Cluster::embedded("gaps").await;
    let topic = cluster.topic("halves", 2).await;
    let records: Vec<Rec> = (0..3).map(Rec::int).collect();
    cluster.put(&topic, 0, &records).await;
    cluster.put(&topic, 1, &records).await;
    let look = ["monitor", "--topic", &topic, "-i", "100ms", "--output", "json", "--timeout"];
    let whole = cluster.run(&[&look[..], &["10s"]].concat()).await.ok().json();
    let leader = |said: &Value, index: usize| said["topics"][0]["partitions"][index]["leader"].as_i64();
    let sick = usize::from(leader(&whole, 0) != Some(2));
    assert_eq!((leader(&whole, sick), &whole["not_known"]), (Some(2), &Value::Array(vec![])), "{whole}");

    let faults = cluster.embedded.as_ref().unwrap().faults();
    let refused = Fault::Error(ErrorCode::ClusterAuthorizationFailed);
    faults.add(Rule::on(ApiKey::DescribeLogDirs).node(2).always(), refused);
    faults.add(Rule::on(ApiKey::ListOffsets).node(2).always(), Fault::Hold);
    faults.add(Rule::on(ApiKey::ListGroups).always(), Fault::Error(ErrorCode::GroupAuthorizationFailed));
    let said = cluster.run(&[&look[..], &["4s"]].concat()).await.ok().json();
    let seen = &said["topics"][0]["partitions"];
    assert_eq!(
        (&seen[1 - sick]["end"], seen[1 - sick]["messages_per_second"].as_f64()),
        (&3.into(), Some(0.0)),
        "{said}"
    );
    assert_eq!(seen[1 - sick]["log_bytes"], whole["topics"][0]["partitions"][1 - sick]["log_bytes"], "{said}");
    for unknown in ["end", "start", "last_stable", "log_bytes", "messages_per_second", "bytes_per_second"] {
        assert_eq!(seen[sick][unknown], Value::Null, "{unknown}: {said}");
    }
    assert_eq!((&said["topics"][0]["gaps"], &said["groups"]), (&1.into(), &Value::Array(vec![])), "{said}");
    let reasons = said["not_known"].to_string();
    for reason in ["sizes at broker 2: ", "ends: ", "groups at broker 1: "] {
        assert!(reasons.contains(reason), "{reason}: {reasons}");
    }
    faults.clear();
}

/// A monitor of a topic whose two partitions are led by nodes 1 and 2.
async fn monitor_of_halves(cluster: &Cluster, timeout: Duration) -> Monitor {
    let topic = cluster.topic("halves", 2).await;
    let settings = MonitorSettings { topics: vec![topic.parse().unwrap()], ..MonitorSettings::default() };
    let brokers: Vec<String> = cluster.brokers.split(',').map(str::to_owned).collect();
    Monitor::connect(settings, &brokers, timeout).await.unwrap()
}

/// What the others tell at once is not spread over the time for which one broker is silent.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_is_of_when_the_ends_were_asked_for_however_long_a_broker_is_silent() {
    let cluster = Cluster::embedded("silent").await;
    let mut monitor = monitor_of_halves(&cluster, Duration::from_secs(4)).await;
    let faults = cluster.embedded.as_ref().unwrap().faults();
    let held = faults.add(Rule::on(ApiKey::ListOffsets).node(2).always(), Fault::Hold);
    let view = monitor.look().await.unwrap();
    let took = now_ms() - view.snapshot.now_ms;
    held.release();
    let ends: Vec<_> = view.snapshot.topics[0].partitions.iter().map(|one| one.end).collect();
    assert!(ends.contains(&Some(0)) && ends.contains(&None), "{ends:?}");
    // It waited for the ends and then for the last stable offsets, each time for half the timeout. Clocks are not that exact.
    assert!(took > 3_900, "{took} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_slow_to_tell_sizes_tells_all_else_meanwhile() {
    let cluster = Cluster::embedded("disks").await;
    let mut monitor = monitor_of_halves(&cluster, Duration::from_secs(10)).await;
    let faults = cluster.embedded.as_ref().unwrap().faults();
    let held = faults.add(Rule::on(ApiKey::DescribeLogDirs).node(2).always(), Fault::Hold);
    let before = faults.count(ApiKey::ListOffsets);
    let mut look = std::pin::pin!(monitor.look());
    let view = tokio::select! {
        view = &mut look => panic!("it does not wait for the sizes: {view:?}"),
        // Ends, starts, last stable offsets, of two brokers.
        () = faults.arrived(ApiKey::ListOffsets, before + 6) => {
            held.release();
            look.await.unwrap()
        }
    };
    assert_eq!(view.snapshot.problems, Vec::<String>::new());
    assert!(view.snapshot.brokers.iter().all(|one| one.log_bytes.is_some()), "{:?}", view.snapshot.brokers);
}

#[test]
fn a_cluster_that_is_away_ends_a_single_look_with_status_3() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = command(&nobody.to_string(), &["monitor", "--timeout", "300ms"]).output().unwrap();
    Outcome::from(output).fails(3, &["no broker answers"]);
}

/// A monitor that goes on, what it says and what it shows as it comes.
struct Watching {
    child: Child,
    said: Receiver<String>,
    shown: Receiver<String>,
}

fn lines(pipe: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        BufReader::new(pipe).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    lines
}

impl Watching {
    fn start(brokers: &str, args: &[&str]) -> Self {
        let mut command = command(brokers, &[&["monitor", "--interval", "100ms", "--timeout", "10s"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (said, shown) = (lines(child.stderr.take().unwrap()), lines(child.stdout.take().unwrap()));
        Self { child, said, shown }
    }

    /// The next line that contains this.
    #[track_caller]
    fn wait_for(lines: &Receiver<String>, text: &str) -> String {
        let began = Instant::now();
        tokio::task::block_in_place(|| {
            loop {
                let left = PATIENCE.saturating_sub(began.elapsed());
                let line = lines.recv_timeout(left).unwrap_or_else(|error| panic!("{text:?} does not come: {error}"));
                if line.contains(text) {
                    return line;
                }
            }
        })
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: &str, path: &str) -> String {
    tokio::task::block_in_place(|| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    })
}

fn wait_until(address: &str, path: &str, holds: impl Fn(&str) -> bool) -> String {
    let began = Instant::now();
    loop {
        let answer = get(address, path);
        if holds(&answer) {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{path} stays so: {answer}");
        std::thread::yield_now();
    }
}

async fn broker() -> Broker {
    let config = BrokerConfig { topics: vec![("orders".to_owned(), 2)], ..BrokerConfig::default() };
    Broker::start(config).await.expect("the embedded broker starts")
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_away_is_said_and_waited_for_and_so_is_one_that_goes() {
    let broker = broker().await;
    // It hangs up on everybody; its port stays its own.
    broker.faults().add(Rule::on(ApiKey::ApiVersions).always(), Fault::DropBefore);
    let watching = Watching::start(&broker.bootstrap(), &["--watch", "--listen", "0", "--output", "csv"]);
    let metrics = Watching::wait_for(&watching.said, "metrics at http://");
    let metrics = metrics.strip_prefix("metrics at http://").unwrap().strip_suffix("/metrics").unwrap();
    Watching::wait_for(&watching.said, "the cluster is away: no broker answers");
    assert!(get(metrics, "/ready").starts_with("HTTP/1.1 503 "));
    assert!(get(metrics, "/ping").ends_with("pong\n"));
    assert!(get(metrics, "/").contains("no broker answers"));

    broker.faults().clear();
    Watching::wait_for(&watching.said, "the cluster answers again");
    assert!(Watching::wait_for(&watching.shown, "TIME,").starts_with("TIME,KIND,"));
    // The first look knows no rates; there is one line of heads, whatever comes after it.
    assert!(Watching::wait_for(&watching.shown, ",topic,orders,").contains(",topic,orders,,2,,,"));
    // Of a broker that stalls there is a gap before that.
    Watching::wait_for(&watching.shown, ",topic,orders,,2,0.000,0.000,0,0,0,");
    wait_until(metrics, "/ready", |answer| answer.starts_with("HTTP/1.1 200 "));
    let page = wait_until(metrics, "/metrics", |page| page.contains("\nkmerge_monitor_up 1\n"));
    assert!(page.contains("\nkafka_topic_partition_current_offset{topic=\"orders\",partition=\"1\"} 0\n"), "{page}");

    let page = wait_until(metrics, "/", |page| page.contains("\norders "));
    assert!(page.contains("\r\nContent-Type: text/html; charset=utf-8\r\n"), "{page}");

    broker.stop().await;
    Watching::wait_for(&watching.said, "the cluster is away");
    let page = wait_until(metrics, "/metrics", |page| page.contains("\nkmerge_monitor_up 0\n"));
    assert!(!page.contains("kafka_"), "nothing is told of a cluster that is away: {page}");
    assert!(get(metrics, "/ready").starts_with("HTTP/1.1 503 "));

    signal("-INT", &watching.child);
    let mut watching = watching;
    let status = tokio::task::block_in_place(|| watching.child.wait()).unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(watching.shown.iter().all(|line| !line.starts_with("TIME,")), "the heads are there once");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_appends_to_a_pipe_and_ends_quietly_with_its_reader() {
    let broker = broker().await;
    let mut command = command(&broker.bootstrap(), &["monitor", "--watch", "--interval", "100ms", "-t", "orders"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    tokio::task::block_in_place(|| {
        let mut text = String::new();
        while text.matches("TOPIC ").count() < 2 {
            assert!(stdout.read_line(&mut text).unwrap() > 0, "it ended: {text}");
        }
        assert!(!text.contains('\x1b'), "{text}");
        drop(stdout);
    });
    let ended = ended(child).await;
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    broker.stop().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_into_a_pipe_that_nobody_empties_hears_a_signal() {
    // One look at so many partitions is more than a pipe takes.
    let config = BrokerConfig { topics: vec![("wide".to_owned(), 1000)], ..BrokerConfig::default() };
    let broker = Broker::start(config).await.unwrap();
    let args = ["monitor", "--watch", "--listen", "0", "--interval", "100ms", "--output", "json"];
    let mut child = command(&broker.bootstrap(), &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pipe = child.stdout.take().unwrap();
    let said = lines(child.stderr.take().unwrap());
    let mut watching = Watching { child, said, shown: channel().1 };
    let metrics = Watching::wait_for(&watching.said, "metrics at http://");
    let metrics = metrics.strip_prefix("metrics at http://").unwrap().strip_suffix("/metrics").unwrap();
    // It looks no more.
    wait_until(metrics, "/ready", |answer| answer.contains("not ready: the last look ended"));
    signal("-INT", &watching.child);
    let began = Instant::now();
    let status = loop {
        if let Some(status) = watching.child.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < PATIENCE, "it hears nothing");
        tokio::task::yield_now().await;
    };
    assert_eq!(status.code(), Some(130));
    drop(pipe);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_told_before_anything_is_done() {
    let cluster = Cluster::embedded("taken").await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let topic = cluster.name("not-made");
    let args = ["generate", "ints", "--to", &topic, "--records", "10", "--metrics", &port];
    cluster.run(&args).await.fails(1, &["listen at 127.0.0.1:", "--metrics"]);
    cluster.run(&["topic", "describe", &topic]).await.fails(1, &[]);
    cluster.run(&["monitor", "--listen", "here"]).await.fails(2, &["no address to listen at"]);
    cluster.run(&["monitor", "--listen", "0", "--output", "json"]).await.fails(2, &["prints nothing"]);
}

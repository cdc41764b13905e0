//! What `--help` shows is typed as it stands: the examples of a command, one after the other, in a shell beside a small cluster.
//!
//! An example that goes on until Ctrl-C gets it after a while. One that takes too much time or machine for a test is typed where
//! nobody listens: that it looks for a broker shows that it is understood.
#![cfg(unix)]

mod of_jobs;

use crate::support::*;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// After so long an example is taken for one that goes on.
const GOES_ON: Duration = Duration::from_secs(3);

/// How long anything may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What marks an example that is understood only.
const TOO_MUCH: [&str; 4] = ["--records 100000", "--repeat-to", "--compare", "perf"];

/// A folder of a test's own with the files that examples read, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("kmerge-help-{name}-{:08x}", rand::random::<u32>()));
        std::fs::create_dir(&folder).unwrap();
        let folder = Self(folder);
        for (file, text) in [
            ("app.log", "started\nready\n"),
            ("orders.csv", "order_id,amount\n1,10\n2,20\n"),
            ("rows.csv", "a,b\n1,2\n"),
            ("events.json", r#"[{"user":{"id":"u1"},"at":"2026-05-17T12:00:00Z"}]"#),
        ] {
            std::fs::write(folder.0.join(file), text).unwrap();
        }
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The examples in a help text: lines that are indented by two; what is indented further explains them.
fn examples(help: &str) -> Vec<String> {
    let behind = help.lines().skip_while(|line| *line != "Examples:").skip(1);
    let lines = behind.take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' ')).map(str::to_owned).collect()
}

/// A tool that is not on this machine, if the example needs one.
fn missing_tool(example: &str) -> Option<&'static str> {
    let is_there = |tool: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
    };
    ["jq", "kcat", "tail", "gzip"].into_iter().find(|tool| example.contains(&format!("{tool} ")) && !is_there(tool))
}

/// Types it; its status, and what it said. Unless it `ends` by itself it is interrupted after a while.
fn typed(example: &str, brokers: &str, folder: &Path, ends: bool) -> (i32, String) {
    let kmerge = Path::new(env!("CARGO_BIN_EXE_kmerge")).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(kmerge).chain(std::env::split_paths(&path))).unwrap();
    let mut shell = Command::new("bash");
    // Who fails in front of a pipe fails.
    shell.args(["-o", "pipefail", "-c", example]).current_dir(folder).env("PATH", path).env("KMERGE_BROKERS", brokers);
    // Shells that people type in have it.
    shell.env("HOSTNAME", "here");
    shell.env_remove("KAFKA_BOOTSTRAP_SERVERS").env_remove("KMERGE_LOG");
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    let mut child = shell.spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let said = std::thread::spawn(move || {
        let mut said = String::new();
        let _ = stderr.read_to_string(&mut said);
        said
    });
    let (began, mut signalled) = (Instant::now(), false);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let signal = match began.elapsed() {
            elapsed if elapsed > PATIENCE => Some("-KILL"),
            elapsed if elapsed > GOES_ON && !signalled && !ends => Some("-INT"),
            _ => None,
        };
        if let Some(signal) = signal {
            signalled = true;
            let group = format!("-{}", child.id());
            assert!(Command::new("kill").args([signal, "--", &group]).status().unwrap().success());
        }
        // There is no waiting for a child with an end to it.
        std::thread::sleep(Duration::from_millis(10));
    };
    let status = std::os::unix::process::ExitStatusExt::signal(&status).map_or(status.code(), |by| Some(128 + by));
    (status.unwrap(), said.join().unwrap())
}

/// What examples speak of.
async fn stage(cluster: &Cluster) {
    let broker = cluster.embedded.as_ref().unwrap();
    broker.add_node().unwrap();
    for (topic, partitions) in [
        ("data-input", 4),
        ("data-output", 1),
        ("orders", 8),
        ("returns", 8),
        ("events", 6),
        ("logins", 2),
        ("log", 1),
        ("load", 2),
        ("orders-copy", 8),
    ] {
        broker.create_topic(topic, partitions, &[]).unwrap();
    }
    for partition in 0..4 {
        cluster.put("data-input", partition, &[1, 2, 3].map(Rec::int)).await;
        let order = Rec::text(r#"{"at":"2026-05-17T12:00:00Z","amount":3,"status":"paid"}"#);
        let order = Rec { key: Some(b"order".to_vec()), ..order };
        cluster.put("orders", partition, &[order.clone(), order]).await;
        cluster.put("events", partition, &[Rec::int(partition.into())]).await;
    }
    cluster.put("logins", 0, &[Rec::text(r#"{"device_type":"android"}"#)]).await;
    cluster.run(&["consume", "events", "-g", "readers", "--reset", "earliest", "-e"]).await.ok();
}

fn all_run(command_line: &'static [&'static str]) {
    let mut help = command("", &[command_line, &["--help"]].concat());
    let examples = examples(&String::from_utf8(help.env("COLUMNS", "1000").output().unwrap().stdout).unwrap());
    assert!(!examples.is_empty(), "{command_line:?} shows no examples");
    // One that would write where another one has written has a cluster of its own.
    let at_once = if command_line == ["merge"] { 1 } else { examples.len() };
    for examples in examples.chunks(at_once) {
        run_embedded(command_line.last().unwrap(), async |cluster| run_all(command_line, examples, cluster).await);
    }
}

async fn run_all(command_line: &[&str], examples: &[String], cluster: &Cluster) {
    let folder = Folder::new(&command_line.join("-"));
    if !of_jobs::stage(command_line[0], cluster, &folder.0).await {
        stage(cluster).await;
    }
    if command_line == ["topic", "create"] {
        cluster.run(&["topic", "delete", "data-output"]).await.ok();
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for example in examples {
        if let Some(tool) = missing_tool(example) {
            eprintln!("not typed, as there is no {tool} here: {example}");
            continue;
        }
        let is_too_much = TOO_MUCH.iter().any(|much| example.contains(much));
        let (line, brokers) = match is_too_much {
            true => (format!("{example} --timeout 1s"), nobody.clone()),
            false => (example.clone(), cluster.brokers.clone()),
        };
        let (folder, ends) = (folder.0.clone(), of_jobs::ends(command_line[0], example));
        let (status, said) = tokio::task::spawn_blocking(move || typed(&line, &brokers, &folder, ends)).await.unwrap();
        let fine: &[i32] = match (is_too_much, ends) {
            (true, _) => &[3],
            (false, true) => &[0],
            (false, false) => &[0, 130],
        };
        assert!(fine.contains(&status), "{example}\nends with {status}: {said}");
    }
}

macro_rules! every_example_runs {
    ($($name:ident: $command:expr;)*) => { $( #[test] fn $name() { all_run(&$command); } )* };
}

every_example_runs! {
    every_example_of_produce_runs: ["produce"];
    every_example_of_consume_runs: ["consume"];
    every_example_of_stats_runs: ["stats"];
    every_example_of_check_runs: ["check"];
    every_example_of_generate_ints_runs: ["generate", "ints"];
    every_example_of_generate_parity_runs: ["generate", "parity"];
    every_example_of_generate_logins_runs: ["generate", "logins"];
    every_example_of_generate_events_runs: ["generate", "events"];
    every_example_of_topic_create_runs: ["topic", "create"];
    every_example_of_topic_list_runs: ["topic", "list"];
    every_example_of_topic_delete_runs: ["topic", "delete"];
    every_example_of_group_list_runs: ["group", "list"];
    every_example_of_topic_describe_runs: ["topic", "describe"];
    every_example_of_topic_alter_runs: ["topic", "alter"];
    every_example_of_topic_add_partitions_runs: ["topic", "add-partitions"];
    every_example_of_topic_config_runs: ["topic", "config"];
    every_example_of_topic_reassign_runs: ["topic", "reassign"];
    every_example_of_group_lag_runs: ["group", "lag"];
    every_example_of_group_describe_runs: ["group", "describe"];
    every_example_of_group_reset_runs: ["group", "reset"];
    every_example_of_group_delete_runs: ["group", "delete"];
    every_example_of_perf_load_runs: ["perf", "load"];
    every_example_of_merge_runs: ["merge"];
    every_example_of_verify_runs: ["verify"];
    every_example_of_reconcile_runs: ["reconcile"];
    every_example_of_clean_runs: ["clean"];
    every_example_of_measure_runs: ["measure"];
}

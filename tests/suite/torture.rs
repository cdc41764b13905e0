//! A merge that is killed again and again, as the user's own proof; and that nothing else ever kills itself.
#![cfg(unix)]

use crate::support::*;
use kmerge::base::kind::Kind;
use kmerge::jobs::JobContext;
use kmerge::jobs::torture::{self, TortureSettings};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PREFIX: &str = "kmerge-torture-";

/// The topics there are that a torture has made.
async fn its_topics(brokers: &str) -> Vec<String> {
    let list = run(command(brokers, &["topic", "list"])).await.ok();
    let names = list.stdout.split_whitespace().filter(|word| word.starts_with(PREFIX));
    names.map(str::to_owned).collect()
}

on_both_brokers! {
    async fn a_merge_that_is_killed_everywhere_writes_every_record_once(cluster: &Cluster) {
        let seed: u32 = rand::random();
        // So often that most of those that are killed have committed before, however fast they are.
        let asked = ["torture", "--kills", "7", "--pairs", "1", "--commit-interval", "5ms", "--records", "300000", "--seed", &seed.to_string()];
        let told = cluster.run(&[&asked[..], &["--output", "json"]].concat()).await.ok();
        let report = told.json();
        let number = |name: &str| report[name].as_u64().unwrap_or_else(|| panic!("{name}: {told:?}"));
        assert_eq!(report["ok"], true, "{told:?}");
        assert_eq!((number("kills"), number("records"), number("seed")), (7, 300_000, seed.into()), "{told:?}");
        let phases = report["phases"].as_object().unwrap();
        for phase in ["random", "fetch", "produce", "job_record", "end_txn", "after_commit"] {
            assert!(phases[phase].as_u64() >= Some(1), "{phase}: {told:?}");
        }
        assert!(number("resumes") >= 7, "{told:?}");
        assert!(number("resumes_after_first_commit") >= 3, "{told:?}");
        assert!(number("woken") >= 1 && number("taken_over") >= number("woken"), "{told:?}");
        for verified in report["verified"].as_array().unwrap() {
            assert_eq!((&verified["ok"], &verified["output_records"]), (&true.into(), &300_000.into()), "{told:?}");
        }
        assert!(told.stderr.contains("EXACTLY ONCE: every record"), "{told:?}");
        // Another torture may run on the same cluster; this one has told its name.
        let name = told.stderr.split([' ', ',']).find(|word| word.starts_with(PREFIX)).expect("it tells its name");
        let mut left = its_topics(&cluster.brokers).await;
        left.retain(|topic| topic.starts_with(name));
        assert_eq!(left, [""; 0], "{told:?}");
    }

    async fn a_merge_does_not_kill_itself_for_a_job_that_no_torture_has_started(cluster: &Cluster) {
        let (input, output) = (cluster.topic("in", 1).await, cluster.topic("out", 1).await);
        let jobs = cluster.name("jobs");
        cluster.put(&input, 0, &[1, 2, 3].map(Rec::int)).await;
        let merge = |job: &str, said: &str| {
            let args = ["merge", "--delivery", "exactly-once", "--from", &input, "--to", &output, "--jobs-topic", &jobs];
            let mut merge = command(&cluster.brokers, &[&args[..], &["--job", job]].concat());
            merge.env("KMERGE_TORTURE", said);
            run(merge)
        };
        // Not by the transactional id of another test either.
        let (mine, tortured) = (cluster.name("job"), format!("{PREFIX}{}", cluster.name("job")));
        let killed = merge(&tortured, &format!("kill:produce:1:{tortured}")).await;
        assert_eq!(killed.status, 128 + 9, "this one was meant: {killed:?}");
        merge(&mine, &format!("kill:produce:1:{mine}")).await.ok();
        assert_eq!(cluster.read(&output, 0).await.len(), 3);
        merge(&mine, &format!("kill:fetch:1:{tortured}")).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torture_that_is_asked_to_stop_leaves_nothing_behind() {
    let cluster = Cluster::embedded("stop").await;
    for (signal, status) in [("-TERM", 143), ("-INT", 130)] {
        let mut torture = command(&cluster.brokers, &["torture", "--records", "300000", "--kills", "1000"]);
        let child = torture.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let began = Instant::now();
        while !its_topics(&cluster.brokers).await.iter().any(|topic| topic.ends_with("-out")) {
            assert!(began.elapsed() < Duration::from_secs(60), "it does not get to merge");
        }
        let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
        let ended = Outcome::from(ended).fails(status, &["interrupted"]);
        assert_eq!(its_topics(&cluster.brokers).await, [""; 0], "{ended:?}");
    }
}

/// A merge that writes once more, when it is done, what it has written.
const TWICE: &str = r#"
"$KMERGE" "$@" || exit $?
while [ $# -gt 0 ]; do
    case "$1" in --from) from=$2 ;; --to) to=$2 ;; --brokers) brokers=$2 ;; esac
    shift
done
exec "$KMERGE" merge --from "$from" --to "$to" --brokers "$brokers" --delivery idempotent --append
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_writes_a_record_twice_is_found_out() {
    let cluster = Cluster::embedded("twice").await;
    let script = std::env::temp_dir().join(format!("kmerge-torture-twice-{}", std::process::id()));
    let text = format!("#!/bin/sh\n[ \"$1\" = merge ] || exit 0\nKMERGE='{}'\n{TWICE}", env!("CARGO_BIN_EXE_kmerge"));
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    // A process that another test is just starting may hold the file open for writing a moment longer.
    while matches!(Command::new(&script).status(), Err(error) if error.kind() == ErrorKind::ExecutableFileBusy) {}
    let settings = TortureSettings {
        program: script.clone(),
        records: 1,
        partitions: 1,
        replication_factor: None,
        kills: 0,
        pairs: 0,
        commit_interval: Duration::from_millis(50),
        seed: 1,
        keep: false,
    };
    let cx = JobContext {
        brokers: cluster.brokers.split(',').map(str::to_owned).collect(),
        brokers_in_environment: false,
        timeout: Duration::from_secs(30),
        shutdown: Default::default(),
        progress: Default::default(),
        phases: Default::default(),
        gives_way: false,
    };
    let told = torture::run(&settings, &cx).await;
    std::fs::remove_file(&script).unwrap();
    let report = told.unwrap();
    assert!(!report.ok() && report.summary().contains("NOT EXACTLY ONCE"), "{}", report.summary());
    assert_eq!(report.to_json()["verified"][0]["extra"], 1);
    assert_eq!(report.verdict().unwrap_err().kind(), Kind::Data);
}

#[tokio::test]
async fn a_torture_needs_something_to_merge() {
    for wrong in [["--records", "0"], ["--partitions", "0"]] {
        run(command("127.0.0.1:1", &[&["torture"][..], &wrong].concat())).await.fails(2, &[wrong[0]]);
    }
}

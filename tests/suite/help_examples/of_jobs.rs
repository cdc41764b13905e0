//! What the examples of whole jobs speak of: topics with something in them, files of rules, and what another job has made before.

use super::typed;
use crate::support::*;
use std::path::Path;

/// In the year that examples speak of, before what they bound with `--end`.
const AT: i64 = 1_767_243_600_000;

const RULES: &str = r#"
[[rule]]
default = { field = "device_type", value = "unknown" }

[[rule]]
required = { field = "user_id" }

[[insight]]
field = "device_type"
"#;

const GROUPING: &str = r#"
[[group_by]]
key = ["device_type"]
window = "10m"
to = "logins-by-device"
aggregates = { logins = "count" }
"#;

const MEASURES: &str = r#"
[measure]
by = ["device_type"]
window = "1h"
aggregates = { logins = "count", users = { distinct = "user_id" } }
"#;

/// Topics and files for the examples of this command, if it is such a job.
pub(super) async fn stage(job: &str, cluster: &Cluster, folder: &Path) -> bool {
    match job {
        "merge" => {
            to_be_merged(cluster).await;
            let order = |at: &str| Rec {
                key: Some(b"customer".to_vec()),
                ..Rec::text(&format!(r#"{{"at":"2026-01-01T05:00:{at}Z"}}"#))
            };
            cluster.put("orders", 0, &[order("01"), order("03")]).await;
            cluster.put("orders", 1, &[order("02")]).await;
        }
        "verify" => {
            to_be_merged(cluster).await;
            cluster.run(&["merge", "--from", "data-input", "--to", "data-output"]).await.ok();
            cluster.run(&["merge", "--from", "a,b", "--to", "c", "--key", "timestamp", "--order", "desc"]).await.ok();
        }
        "reconcile" => {
            to_be_merged(cluster).await;
            logins(cluster, folder).await;
            create(cluster, &[("orders-copy", 2)]);
            for topic in ["orders", "orders-copy"] {
                let line = format!(
                    "printf '1\\n2\\n3\\n' | kmerge produce {topic} -p 1 --timestamp 2026-01-01T05:00:00Z --ledger {topic}.ledger"
                );
                run_line(&line, cluster, folder).await;
            }
            for line in [
                "kmerge merge --from data-input --to data-output",
                "kmerge consume orders -g billing --reset earliest -e",
                "kmerge clean --from logins --to clean-logins --parquet logins/ --rules rules.toml --ledger-topic ledgers --exit",
            ] {
                run_line(line, cluster, folder).await;
            }
        }
        "clean" => logins(cluster, folder).await,
        "measure" => {
            logins(cluster, folder).await;
            create(cluster, &[("clicks", 1)]);
            cluster.put("clicks", 0, &[login(1, "web")]).await;
        }
        _ => return false,
    }
    true
}

/// Whether an example of this command has to come to an end by itself: of cleaners some go on until Ctrl-C.
pub(super) fn ends(job: &str, example: &str) -> bool {
    match job {
        "merge" | "verify" | "reconcile" | "measure" => true,
        "clean" => ["--exit", "--dry-run", "clean check"].iter().any(|word| example.contains(word)),
        _ => false,
    }
}

fn create(cluster: &Cluster, topics: &[(&str, i32)]) {
    let broker = cluster.embedded.as_ref().unwrap();
    for (topic, partitions) in topics {
        // The records are old.
        broker.create_topic(topic, *partitions, &[("retention.ms", "-1")]).unwrap();
    }
}

async fn to_be_merged(cluster: &Cluster) {
    let topics = [("data-input", 2), ("data-output", 1), ("orders-by-time", 1), ("a", 1), ("b", 1), ("c", 1)];
    create(cluster, &topics);
    create(cluster, &[("orders", 2)]);
    // As many as the ends in an example.
    for (partition, count) in [(0, 100), (1, 120)] {
        let numbers: Vec<Rec> = (0..count).map(Rec::int).collect();
        cluster.put("data-input", partition, &numbers).await;
    }
    for topic in ["a", "b"] {
        cluster.put(topic, 0, &[1, 2].map(|number| Rec::int(number).stamped(AT - 86_400_000))).await;
    }
}

fn login(user: i64, device: &str) -> Rec {
    Rec::text(&format!(r#"{{"user_id":{user},"device_type":"{device}"}}"#)).stamped(AT)
}

async fn logins(cluster: &Cluster, folder: &Path) {
    create(cluster, &[("logins", 2), ("clean-logins", 2), ("logins-by-device", 1), ("popular", 1)]);
    for partition in 0..2 {
        cluster.put("logins", partition, &[login(1, "web"), login(2, "android"), login(3, "web")]).await;
    }
    for (file, text) in [("rules.toml", RULES), ("grouping.toml", GROUPING), ("measures.toml", MEASURES)] {
        std::fs::write(folder.join(file), text).unwrap();
    }
}

/// What has to be there before an example can do what it says.
async fn run_line(line: &str, cluster: &Cluster, folder: &Path) {
    let (typed_line, brokers, folder) = (line.to_owned(), cluster.brokers.clone(), folder.to_owned());
    let (status, said) =
        tokio::task::spawn_blocking(move || typed(&typed_line, &brokers, &folder, true)).await.unwrap();
    assert_eq!(status, 0, "{line}: {said}");
}

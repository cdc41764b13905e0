//! Holds `compose/` to what compose, the Apache image and our own command line accept, without a Docker engine.

mod document;
mod grafana;
mod kafka;
mod rules;

use document::{Value, read, root};
use std::net::TcpListener;
use std::process::Command;

const FILE: &str = "compose/kafka.yml";

fn problems(text: &str) -> Vec<String> {
    match Value::parse(text) {
        Ok(document) => rules::problems(&document).into_iter().chain(kafka::problems(&document)).collect(),
        Err(error) => vec![error],
    }
}

fn compose() -> Value {
    Value::parse(&read(FILE)).unwrap()
}

#[test]
fn compose_and_the_apache_image_accept_the_file() {
    assert_eq!(problems(&read(FILE)), Vec::<String>::new());
}

#[test]
fn each_mistake_in_the_file_is_found() {
    let text = read(FILE);
    for (right, wrong, complaint) in [
        ("services:\n", "service:\n", "unknown key service"),
        ("    hostname: kafka-1\n", "    host_name: kafka-1\n", "unknown key host_name"),
        ("      kafka-2:\n        condition", "      kafka-3:\n        condition", "kafka-3, which is no service"),
        ("condition: service_completed_successfully", "condition: service_done", "unknown condition"),
        ("    healthcheck: *broker-healthcheck\n", "", "has no healthcheck"),
        ("interval: 10s", "interval: 10", "no duration"),
        ("\"CMD-SHELL\", \"/opt/kafka/bin/kafka-topics.sh", "\"/opt/kafka/bin/kafka-topics.sh", "CMD-SHELL"),
        ("$$(hostname):19092", "$(hostname):19092", "write $$"),
        ("127.0.0.1:39092:9092", "127.0.0.1:29092:9092", "published twice"),
        ("127.0.0.1:39092:9092", "39092:9092", "is not IP:PUBLISHED:CONTAINER"),
        ("  kafka-2-data:\n", "", "not declared"),
        ("\"false\"", "false", "quote it"),
        ("restart: \"no\"", "restart: never", "restart must be"),
        (
            "<<: *broker-environment\n      KAFKA_NODE_ID: \"3\"",
            "<<: *broker-environment\n      CLUSTER_ID: other\n      KAFKA_NODE_ID: \"3\"",
            "CLUSTER_ID",
        ),
        ("KAFKA_NODE_ID: \"3\"", "KAFKA_NODE_ID: \"2\"", "of its own"),
        (
            "KAFKA_LISTENERS: CONTROLLER://:9093",
            "KAFKA_LISTENERS: CONTROLLER://:9093\n      KAFKA_ADVERTISED_LISTENERS: CONTROLLER://controller:9093",
            "refuses KAFKA_ADVERTISED_LISTENERS",
        ),
        ("1@controller:9093", "1@controller:9094", "QUORUM_VOTERS must be"),
        ("HOST://localhost:39092", "HOST://localhost:49092", "nobody reaches HOST"),
        ("INTERNAL://kafka-2:19092", "INTERNAL://kafka-1:19092", "nobody reaches INTERNAL"),
        ("CONTROLLER:PLAINTEXT,", "", "missing in KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"),
        ("  KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: \"2\"\n", "", "OFFSETS_TOPIC_REPLICATION_FACTOR must be 2"),
        ("KAFKA_LOG_DIRS: /var/lib/kafka/data", "KAFKA_LOG_DIRS: /tmp/data", "on no volume"),
    ] {
        assert!(text.contains(right), "the file no longer contains '{right}': mend this test");
        let found = problems(&text.replace(right, wrong));
        assert!(found.iter().any(|problem| problem.contains(complaint)), "'{wrong}' gave {found:?}");
    }
}

#[test]
fn the_topics_are_ten_partitions_in_and_one_out() {
    let script = compose().get("services").get("topic-init").get("command").texts().join("\n");
    for expected in [
        "for topic in data-input:10 data-output:1;",
        "--partitions \"${topic#*:}\"",
        "--topic \"${topic%:*}\"",
        "bash\n-euc\n",
    ] {
        assert!(script.contains(expected), "'{expected}' is not in:\n{script}");
    }
}

/// Run as they stand, against an address where nobody listens: a mistyped option ends with status 2 before the address is tried,
/// a right command line with status 3.
#[test]
fn our_own_commands_in_the_file_are_typed_right() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let document = compose();
    let ours: Vec<_> =
        document.get("services").entries().filter(|(_, service)| service.get("image").text() == "kmerge").collect();
    assert_eq!(ours.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["generate", "merge", "verify"]);
    for (name, service) in ours {
        let output = Command::new(env!("CARGO_BIN_EXE_kmerge"))
            .args(service.get("command").texts())
            .args(["--timeout", "1s"])
            .env("KMERGE_BROKERS", nobody.to_string())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{name}: {stderr}");
        assert!(!service.get("environment").get("KMERGE_BROKERS").text().is_empty(), "{name} knows no broker");
    }
}

#[test]
fn the_image_is_built_as_the_package_asks_and_does_not_run_as_root() {
    let dockerfile = read("compose/Dockerfile");
    let lines: Vec<&str> = dockerfile.lines().filter(|line| !line.starts_with('#')).collect();
    let line = |word: &str| lines.iter().rfind(|line| line.starts_with(word)).copied().unwrap_or_default();
    let manifest = read("Cargo.toml");

    let user = line("USER ");
    assert!(user.starts_with("USER ") && !user.contains("root") && user != "USER 0", "{user}");
    assert!(line("ENTRYPOINT").contains("/kmerge\"]"), "{}", line("ENTRYPOINT"));
    assert!(line("RUN cargo build").contains("--release --locked"), "{}", line("RUN cargo build"));
    assert!(line("ENV CC").contains("CC=/bin/false CXX=/bin/false"), "nothing may compile C");

    let oldest = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"')).unwrap();
    assert!(dockerfile.contains(&format!("FROM rust:{oldest}-")), "Cargo.toml asks for Rust {oldest}");

    let ignored = read(".dockerignore");
    for copied in lines.iter().filter(|line| line.starts_with("COPY ") && !line.contains("--from")) {
        for source in copied.split_whitespace().skip(1).take(copied.split_whitespace().count() - 2) {
            assert!(root().join(source).exists(), "{copied}: {source} is not there");
            assert!(ignored.lines().any(|line| line == format!("!{source}")), ".dockerignore keeps {source} out");
        }
    }
    // cargo refuses a manifest that names a target it can't find.
    for section in ["[[bench]]", "[[test]]", "[[example]]"] {
        let folder = section.trim_matches(['[', ']']);
        let copied = lines.iter().any(|line| line.starts_with(&format!("COPY {folder}")));
        assert!(!manifest.contains(section) || copied, "Cargo.toml has a {section}, but its files are not copied");
    }
}

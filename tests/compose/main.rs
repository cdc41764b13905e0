//! Holds `compose/` to what compose, the Apache image and our own command line accept, without a Docker engine.

mod document;
mod grafana;
mod kafka;
mod kubernetes;
mod rules;

use document::{load, read, root, with_included};
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const CLUSTER: &str = "compose/kafka.yml";

/// The compose file of each scenario.
fn scenarios() -> Vec<String> {
    let folders = std::fs::read_dir(root().join("compose/scenarios")).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<String> = folders
        .filter(|entry| entry.path().is_dir())
        .map(|entry| format!("compose/scenarios/{}/compose.yml", entry.file_name().into_string().unwrap()))
        .collect();
    names.sort();
    names
}

/// What is wrong with a text in the place of that file.
fn problems(path: &str, text: &str) -> Vec<String> {
    let folder = root().join(Path::new(path).parent().unwrap());
    match with_included(path, text) {
        Ok(document) => rules::problems(&document, &folder).into_iter().chain(kafka::problems(&document)).collect(),
        Err(error) => vec![error],
    }
}

#[test]
fn compose_and_the_apache_image_accept_the_files() {
    let scenarios = scenarios();
    assert!(scenarios.len() >= 6, "{scenarios:?}");
    for path in scenarios.iter().map(String::as_str).chain([CLUSTER]) {
        assert_eq!(problems(path, &read(path)), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn mistakes_in_a_scenario_are_found() {
    let path = "compose/scenarios/csv-million/compose.yml";
    let text = read(path);
    for (right, wrong, complaint) in [
        ("../../kafka.yml", "../kafka.yml", "kafka.yml, which is not there"),
        ("  topic:\n", "  kafka-1:\n", "services has kafka-1, and so has"),
        ("      kafka-1:\n", "      kafka-9:\n", "kafka-9, which is no service"),
        ("file: sample.csv", "file: samples.csv", "'samples.csv', which is not there"),
        ("configs: [\"sample\"]", "configs: [\"other\"]", "config other is used but not declared"),
        ("context: ../../..", "context: ../..", "build reads"),
        ("pull_policy: never", "pull_policy: once", "pull_policy must be"),
        ("pull_policy: never", "pull_policy: missing", "would be pulled"),
        (
            "    <<: *kmerge\n",
            "    <<: *kmerge\n    build: {context: ../../.., dockerfile: compose/Dockerfile}\n",
            "several at once",
        ),
        ("    build:\n      context: ../../..\n      dockerfile: compose/Dockerfile\n", "", "nobody builds kmerge"),
        ("restart: \"no\"", "restart: always", "waits for topic to complete"),
        ("${RECORDS:-1000000}", "$RECORDS", "write $$"),
    ] {
        assert!(text.contains(right), "the file no longer contains '{right}': mend this test");
        let found = problems(path, &text.replace(right, wrong));
        assert!(found.iter().any(|problem| problem.contains(complaint)), "'{wrong}' gave {found:?}");
    }
}

#[test]
fn each_mistake_in_the_file_is_found() {
    let text = read(CLUSTER);
    for (right, wrong, complaint) in [
        ("services:\n", "service:\n", "unknown key service"),
        ("    hostname: kafka-1\n", "    host_name: kafka-1\n", "unknown key host_name"),
        ("      controller:\n        condition", "      kafka-3:\n        condition", "kafka-3, which is no service"),
        ("condition: service_healthy", "condition: service_done", "unknown condition"),
        ("    healthcheck:\n", "    x-healthcheck:\n", "has no healthcheck"),
        ("interval: 10s", "interval: 10", "no duration"),
        ("\"CMD-SHELL\", \"/opt/kafka/bin/kafka-topics.sh", "\"/opt/kafka/bin/kafka-topics.sh", "CMD-SHELL"),
        ("$$(hostname):19092", "$(hostname):19092", "write $$"),
        ("127.0.0.1:39092:9092", "127.0.0.1:29092:9092", "published twice"),
        ("127.0.0.1:39092:9092", "39092:9092", "is not IP:PUBLISHED:CONTAINER"),
        ("  kafka-2-data:\n", "", "volume kafka-2-data is used but not declared"),
        ("\"false\"", "false", "quote it"),
        ("restart: unless-stopped", "restart: never", "restart must be"),
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
        let found = problems(CLUSTER, &text.replace(right, wrong));
        assert!(found.iter().any(|problem| problem.contains(complaint)), "'{wrong}' gave {found:?}");
    }
}

/// A folder in the place of a volume.
fn volume(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("volumes").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Run as they stand, against an address where nobody listens: a mistyped option ends with status 2 before the address is tried,
/// a right command line with status 3.
#[test]
fn our_own_commands_in_the_files_are_typed_right() {
    let mut commands = Vec::new();
    for path in scenarios() {
        let document = load(&path).unwrap();
        let folder = root().join(Path::new(&path).parent().unwrap());
        let services = document.get("services").entries();
        let ours: Vec<_> = services.filter(|(_, service)| service.get("image").text() == "kmerge").collect();
        assert!(ours.len() >= 3, "{path}");
        for (name, service) in ours {
            assert!(!service.get("environment").get("KMERGE_BROKERS").text().is_empty(), "{name} knows no broker");
            // Where compose puts a config, here is its file; and where it puts a volume, here is a folder.
            let volumes = service.get("volumes").texts();
            let in_place = |word: &str| {
                let file = word.strip_prefix('/').map(|config| document.get("configs").get(config).get("file").text());
                if let Some(file) = file.filter(|file| !file.is_empty()) {
                    return folder.join(file).into_os_string();
                }
                let mut mounted = volumes.iter().filter_map(|volume| volume.split_once(':'));
                match mounted.find_map(|(name, at)| Some((name, word.strip_prefix(at)?.strip_prefix('/')?))) {
                    Some((name, inside)) => volume(name).join(inside).into_os_string(),
                    None => word.into(),
                }
            };
            let words: Vec<OsString> = service.get("command").texts().into_iter().map(in_place).collect();
            commands.push((format!("{path}: {name}"), words));
        }
    }
    let objects = kubernetes::objects();
    let mounted = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kubernetes");
    std::fs::create_dir_all(&mounted).unwrap();
    for container in kubernetes::containers(&objects) {
        let name = container.get("name").text();
        let variables = container.get("env").list();
        assert!(variables.iter().any(|variable| variable.get("name").text() == "KMERGE_BROKERS"), "{name}");
        // Where a pod finds an entry of a config map, here is a file with it.
        let in_place = |word: &str| {
            let Some(text) = kubernetes::mounted(&objects, container, word) else { return word.into() };
            let file = mounted.join(word.trim_start_matches('/').replace('/', "-"));
            std::fs::write(&file, text).unwrap();
            file.into_os_string()
        };
        let words = container.get("args").texts().into_iter().map(in_place).collect();
        commands.push((format!("kubernetes: {name}"), words));
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let begin = |words: Vec<OsString>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kmerge"));
        command.args(words).args(["--timeout", "1s"]).env("KMERGE_BROKERS", nobody.to_string());
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let running: Vec<_> = commands.into_iter().map(|(which, words)| (which, begin(words))).collect();
    for (which, child) in running {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{which}: {}", String::from_utf8_lossy(&output.stderr));
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

//! What compose accepts, as far as our file uses it: known keys, names that exist, well-formed values.

use crate::document::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const TOP_LEVEL: &[&str] = &["name", "include", "services", "models", "networks", "volumes", "secrets", "configs"];

/// The keys of a service in the compose specification, without those that need a newer engine or root's rights.
const SERVICE: &[&str] = &[
    "build",
    "command",
    "configs",
    "container_name",
    "depends_on",
    "deploy",
    "entrypoint",
    "env_file",
    "environment",
    "expose",
    "extra_hosts",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "labels",
    "logging",
    "mem_limit",
    "networks",
    "platform",
    "ports",
    "profiles",
    "pull_policy",
    "read_only",
    "restart",
    "secrets",
    "stop_grace_period",
    "stop_signal",
    "tmpfs",
    "ulimits",
    "user",
    "volumes",
    "working_dir",
];

const HEALTHCHECK: &[&str] = &["test", "interval", "timeout", "retries", "start_period", "start_interval", "disable"];
const RESTART: &[&str] = &["no", "always", "on-failure", "unless-stopped"];
const PULL_POLICY: &[&str] = &["always", "never", "missing", "build", "daily", "weekly"];
const BUILD: &[&str] = &["context", "dockerfile", "args", "target"];

/// Everything in the document, which lies in that folder, that compose would refuse, or accept and not do.
pub(crate) fn problems(document: &Value, folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    unknown_keys(document, TOP_LEVEL, "the file", &mut found);
    let services: BTreeMap<&str, &Value> = document.get("services").entries().collect();
    if services.is_empty() {
        found.push("no services".to_owned());
    }
    let mut published = BTreeSet::new();
    let mut mounted = BTreeSet::new();
    let mut given = BTreeSet::new();
    for (&name, &service) in &services {
        let mut about = Vec::new();
        unknown_keys(service, SERVICE, "the service", &mut about);
        image_or_build(service, folder, &mut about);
        pulled(service, &services, &mut about);
        depends_on(name, service, &services, &mut about);
        healthcheck(service.get("healthcheck"), &mut about);
        environment(service.get("environment"), &mut about);
        for port in service.get("ports").list() {
            about.extend(published_port(port.text(), &mut published).err());
        }
        for volume in service.get("volumes").list() {
            match volume.text().split_once(':') {
                // A folder or a file of ours, which the container only reads.
                Some((ours, path)) if ours.starts_with("./") && path.starts_with('/') && path.ends_with(":ro") => {
                    if !folder.join(ours).exists() {
                        about.push(format!("{ours} is mounted, and is not there"));
                    }
                }
                Some((volume, path)) if path.starts_with('/') => drop(mounted.insert(volume.to_owned())),
                _ => about.push(format!("volume {volume:?} is not NAME:/PATH")),
            }
        }
        given.extend(service.get("configs").texts().into_iter().map(str::to_owned));
        if !RESTART.contains(&service.get("restart").text()) {
            about.push(format!("restart must be one of {RESTART:?}, got {:?}", service.get("restart")));
        }
        let grace = service.get("stop_grace_period");
        if *grace != Value::Null && !is_duration(grace.text()) {
            about.push(format!("stop_grace_period {grace:?} is no duration"));
        }
        if service.get("command").list().iter().any(|word| !matches!(word, Value::Text(_))) {
            about.push("a word of the command is no string: quote it".to_owned());
        }
        found.extend(about.into_iter().map(|what| format!("{name}: {what}")));
    }
    declared_and_used("volume", document.get("volumes"), &mounted, &mut found);
    declared_and_used("config", document.get("configs"), &given, &mut found);
    for (name, config) in document.get("configs").entries() {
        let file = config.get("file").text();
        if file.is_empty() || !folder.join(file).is_file() {
            found.push(format!("config {name} is the file '{file}', which is not there"));
        }
    }
    found
}

fn declared_and_used(what: &str, declared: &Value, used: &BTreeSet<String>, found: &mut Vec<String>) {
    let declared: BTreeSet<String> = declared.entries().map(|(name, _)| name.to_owned()).collect();
    found.extend(used.difference(&declared).map(|name| format!("{what} {name} is used but not declared")));
    found.extend(declared.difference(used).map(|name| format!("{what} {name} is declared but not used")));
}

fn unknown_keys(value: &Value, known: &[&str], whose: &str, found: &mut Vec<String>) {
    for (key, _) in value.entries() {
        if !known.contains(&key) && !key.starts_with("x-") {
            found.push(format!("{whose} has an unknown key {key}"));
        }
    }
}

fn image_or_build(service: &Value, folder: &Path, found: &mut Vec<String>) {
    let build = service.get("build");
    if *build == Value::Null {
        if service.get("image").text().is_empty() {
            found.push("neither image nor build".to_owned());
        }
        return;
    }
    unknown_keys(build, BUILD, "build", found);
    let context = folder.join(build.get("context").text());
    let dockerfile = context.join(build.get("dockerfile").text());
    if !dockerfile.is_file() {
        found.push(format!("build reads {}, which is not there", dockerfile.display()));
    }
}

/// What is built under one name is built by one service, and no other one looks for it elsewhere.
fn pulled(service: &Value, services: &BTreeMap<&str, &Value>, found: &mut Vec<String>) {
    let policy = service.get("pull_policy");
    if *policy != Value::Null && !PULL_POLICY.contains(&policy.text()) {
        found.push(format!("pull_policy must be one of {PULL_POLICY:?}, got {policy:?}"));
    }
    let image = service.get("image").text();
    let builds = |one: &Value| *one.get("build") != Value::Null && one.get("image").text() == image;
    match (services.values().filter(|one| builds(one)).count(), builds(service)) {
        (0, _) if policy.text() == "never" => found.push(format!("nobody builds {image}, and it is never pulled")),
        (1, false) if policy.text() != "never" => found.push(format!("{image} is built here, and would be pulled")),
        (2.., true) => found.push(format!("{image} is built by several at once")),
        _ => {}
    }
}

fn depends_on(name: &str, service: &Value, services: &BTreeMap<&str, &Value>, found: &mut Vec<String>) {
    for (needed, how) in service.get("depends_on").entries() {
        let Some(target) = services.get(needed) else {
            found.push(format!("depends on {needed}, which is no service"));
            continue;
        };
        match how.get("condition").text() {
            "service_healthy" if *target.get("healthcheck") == Value::Null => {
                found.push(format!("waits for {needed} to be healthy, but that has no healthcheck"));
            }
            "service_completed_successfully" if target.get("restart").text() != "no" => {
                found.push(format!("waits for {needed} to complete, but that is restarted for ever"));
            }
            "service_started" | "service_healthy" | "service_completed_successfully" => {}
            other => found.push(format!("depends on {needed} with the unknown condition '{other}'")),
        }
        if target.get("depends_on").entries().any(|(back, _)| back == name) {
            found.push(format!("{needed} and {name} wait for each other"));
        }
    }
    if !service.get("depends_on").list().is_empty() {
        found.push("depends_on must name a condition: a list only waits for the start".to_owned());
    }
}

fn healthcheck(check: &Value, found: &mut Vec<String>) {
    if *check == Value::Null {
        return;
    }
    unknown_keys(check, HEALTHCHECK, "healthcheck", found);
    match check.get("test").texts().as_slice() {
        ["CMD-SHELL", command] if !command.is_empty() => {}
        ["CMD", program, ..] if !program.is_empty() => {}
        other => found.push(format!("healthcheck test must be [CMD-SHELL, LINE] or [CMD, WORD...], got {other:?}")),
    }
    for key in ["interval", "timeout", "start_period", "start_interval"] {
        let value = check.get(key);
        if *value != Value::Null && !is_duration(value.text()) {
            found.push(format!("healthcheck {key} {value:?} is no duration"));
        }
    }
    if check.get("retries").text().parse::<u32>().is_err() {
        found.push("healthcheck has no retries".to_owned());
    }
}

/// Text is handed on as it stands; a bare `true` or an empty value is a different thing to every reader.
fn environment(environment: &Value, found: &mut Vec<String>) {
    for (key, value) in environment.entries() {
        if !matches!(value, Value::Text(text) if !text.is_empty()) {
            found.push(format!("environment {key} is {value:?}: quote it"));
        }
    }
}

fn published_port(text: &str, published: &mut BTreeSet<u16>) -> Result<(), String> {
    let parts: Vec<&str> = text.split(':').collect();
    let &[host, outside, inside] = parts.as_slice() else {
        return Err(format!("port '{text}' is not IP:PUBLISHED:CONTAINER"));
    };
    if host != "127.0.0.1" {
        return Err(format!("port '{text}' is open to the network: the cluster asks nobody for a password"));
    }
    let port = |text: &str| text.parse::<u16>().ok().filter(|&port| port != 0);
    match (port(outside), port(inside)) {
        (Some(outside), Some(_)) if published.insert(outside) => Ok(()),
        (Some(outside), Some(_)) => Err(format!("port {outside} is published twice")),
        _ => Err(format!("port '{text}' has no valid numbers")),
    }
}

/// `1m30s` and the like.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        if unit.len() == rest.len() {
            return false;
        }
        let Some(after) = ["us", "ms", "s", "m", "h"].iter().find_map(|name| unit.strip_prefix(name)) else {
            return false;
        };
        rest = after;
    }
    !text.is_empty()
}

#[test]
fn durations_have_a_unit_behind_each_number() {
    for good in ["10s", "1m30s", "500ms", "2h"] {
        assert!(is_duration(good), "{good}");
    }
    for bad in ["", "10", "s", "10 s", "1m30", "10d"] {
        assert!(!is_duration(bad), "{bad}");
    }
}

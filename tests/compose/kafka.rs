//! What the Apache image makes of the environment: each `KAFKA_A_B` becomes the property `a.b`, and the nodes must agree.

use crate::document::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What would keep the cluster from forming, or a client from reaching it.
pub(crate) fn problems(document: &Value) -> Vec<String> {
    let nodes: Vec<Node<'_>> = document
        .get("services")
        .entries()
        .filter(|(_, service)| service.get("environment").get("KAFKA_PROCESS_ROLES") != &Value::Null)
        .map(|(name, service)| Node { name, service })
        .collect();
    let (controllers, brokers): (Vec<_>, Vec<_>) =
        nodes.iter().partition(|node| node.property("PROCESS_ROLES") == "controller");
    let mut found = Vec::new();
    if controllers.len() != 1 || !(2..=3).contains(&brokers.len()) {
        found.push(format!(
            "expected 1 controller and 2 brokers, or 3, got {} and {}",
            controllers.len(),
            brokers.len()
        ));
    }
    agreement(&nodes, &controllers, &mut found);
    for node in &nodes {
        let mut about = Vec::new();
        node.listeners(&mut about);
        node.storage(&mut about);
        if node.property("PROCESS_ROLES") == "broker" {
            node.replication(&mut about);
        }
        found.extend(about.into_iter().map(|what| format!("{}: {what}", node.name)));
    }
    found
}

/// What must be the same, or different, on every node.
fn agreement(nodes: &[Node<'_>], controllers: &[&Node<'_>], found: &mut Vec<String>) {
    let clusters: BTreeSet<&str> = nodes.iter().map(|node| node.environment("CLUSTER_ID")).collect();
    if clusters.len() != 1 || clusters.iter().any(|id| !is_cluster_id(id)) {
        found.push(format!("CLUSTER_ID must be one base64 number of 16 bytes on every node, got {clusters:?}"));
    }
    let ids: BTreeSet<&str> = nodes.iter().map(|node| node.property("NODE_ID")).collect();
    if ids.len() != nodes.len() || ids.iter().any(|id| id.parse::<u32>().is_err()) {
        found.push(format!("KAFKA_NODE_ID must be a number of its own on every node, got {ids:?}"));
    }
    let images: BTreeSet<&str> = nodes.iter().map(|node| node.service.get("image").text()).collect();
    if images.len() != 1 || !images.iter().all(|image| image.starts_with("apache/kafka:4.")) {
        found.push(format!("every node runs one Apache Kafka 4.x, got {images:?}"));
    }
    let voters: Vec<String> = controllers
        .iter()
        .map(|node| {
            let port = ports(node.property("LISTENERS")).get("CONTROLLER").map(|&(_, port)| port).unwrap_or_default();
            format!("{}@{}:{port}", node.property("NODE_ID"), node.name)
        })
        .collect();
    for node in nodes {
        if node.property("CONTROLLER_QUORUM_VOTERS") != voters.join(",") {
            found.push(format!("{}: KAFKA_CONTROLLER_QUORUM_VOTERS must be {}", node.name, voters.join(",")));
        }
    }
}

struct Node<'a> {
    name: &'a str,
    service: &'a Value,
}

impl Node<'_> {
    fn environment(&self, key: &str) -> &str {
        self.service.get("environment").get(key).text()
    }

    fn property(&self, name: &str) -> &str {
        self.environment(&format!("KAFKA_{name}"))
    }

    fn listeners(&self, found: &mut Vec<String>) {
        let listeners = ports(self.property("LISTENERS"));
        let advertised = ports(self.property("ADVERTISED_LISTENERS"));
        let protocols: BTreeSet<&str> = self
            .property("LISTENER_SECURITY_PROTOCOL_MAP")
            .split(',')
            .filter_map(|pair| Some(pair.split_once(':')?.0))
            .collect();
        for name in listeners.keys().copied().chain([self.property("CONTROLLER_LISTENER_NAMES")]) {
            if !protocols.contains(name) {
                found.push(format!("listener {name} is missing in KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"));
            }
        }
        // Other containers find this one by the name of its service.
        if self.service.get("hostname").text() != self.name {
            found.push("hostname differs from the service's name".to_owned());
        }
        if self.property("PROCESS_ROLES") == "controller" {
            if !advertised.is_empty() {
                found.push("the image refuses KAFKA_ADVERTISED_LISTENERS on a controller".to_owned());
            }
            return;
        }
        if !listeners.contains_key(self.property("INTER_BROKER_LISTENER_NAME")) {
            found.push("KAFKA_INTER_BROKER_LISTENER_NAME names no listener".to_owned());
        }
        if !advertised.keys().eq(listeners.keys()) {
            found.push(format!("listens on {:?} but advertises {:?}", listeners.keys(), advertised.keys()));
        }
        for (name, (host, port)) in advertised {
            let inside = listeners.get(name).map(|&(_, port)| port).unwrap_or_default();
            let reached = if host == "localhost" {
                let mapping = format!("127.0.0.1:{port}:{inside}");
                self.service.get("ports").texts().contains(&mapping.as_str())
            } else {
                host == self.name && port == inside
            };
            if !reached {
                found.push(format!(
                    "nobody reaches {name} at {host}:{port}: it listens on {inside}, published are {:?}",
                    self.service.get("ports").texts()
                ));
            }
        }
    }

    /// The data must lie on the volume, or `down` and `up` lose it.
    fn storage(&self, found: &mut Vec<String>) {
        let data = self.property("LOG_DIRS");
        let on_volume = self
            .service
            .get("volumes")
            .texts()
            .iter()
            .any(|volume| volume.split_once(':').is_some_and(|(_, path)| path == data));
        if data.is_empty() || !on_volume {
            found.push(format!("KAFKA_LOG_DIRS '{data}' is on no volume"));
        }
    }

    /// The image's environment replaces all its defaults, and Kafka's own defaults want three brokers.
    fn replication(&self, found: &mut Vec<String>) {
        for name in [
            "DEFAULT_REPLICATION_FACTOR",
            "OFFSETS_TOPIC_REPLICATION_FACTOR",
            "TRANSACTION_STATE_LOG_REPLICATION_FACTOR",
            "SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR",
        ] {
            if self.property(name) != "2" {
                found.push(format!("KAFKA_{name} must be 2, the number of brokers that are always there"));
            }
        }
        for name in ["MIN_INSYNC_REPLICAS", "TRANSACTION_STATE_LOG_MIN_ISR", "SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR"] {
            if self.property(name) != "1" {
                found.push(format!("KAFKA_{name} must be 1: writing goes on with one broker down"));
            }
        }
        if self.property("AUTO_CREATE_TOPICS_ENABLE") != "false" {
            found.push("KAFKA_AUTO_CREATE_TOPICS_ENABLE must be false".to_owned());
        }
    }
}

/// `NAME://HOST:PORT,...` as name → (host, port).
fn ports(listeners: &str) -> BTreeMap<&str, (&str, u16)> {
    listeners
        .split(',')
        .filter_map(|listener| {
            let (name, address) = listener.split_once("://")?;
            let (host, port) = address.rsplit_once(':')?;
            Some((name, (host, port.parse().ok()?)))
        })
        .collect()
}

/// Kafka's uuids are 16 bytes in URL-safe base64 without padding: 22 characters, the last of which carries two bits.
fn is_cluster_id(text: &str) -> bool {
    text.len() == 22
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && text.ends_with(['A', 'Q', 'g', 'w'])
}

//! Holds `compose/kubernetes/` to what Kubernetes accepts, as far as our files use it, and to what our pods promise: they die and
//! come back without harm, stop for good where coming back would harm, and have no right that they do not use.

use crate::document::{Value, read, root};
use std::collections::BTreeMap;

/// Every object of every file, with where it stands.
pub(crate) fn objects() -> Vec<(String, Value)> {
    let folder = root().join("compose/kubernetes");
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let mut found = Vec::new();
    for name in names {
        let path = format!("compose/kubernetes/{}", name.into_string().unwrap());
        for document in parts(&read(&path)) {
            found.push((path.clone(), document.unwrap_or_else(|error| panic!("{path}: {error}"))));
        }
    }
    found
}

fn parts(text: &str) -> Vec<Result<Value, String>> {
    text.split("\n---\n").map(Value::parse).collect()
}

/// The keys that an object of this kind, or a part of it by its path, may have. A path names keys; a list adds nothing to it.
const SCHEMA: &[(&str, &[&str])] = &[
    ("ServiceAccount", &["apiVersion", "kind", "metadata", "automountServiceAccountToken", "imagePullSecrets"]),
    ("Job", &["apiVersion", "kind", "metadata", "spec"]),
    (
        "Job.spec",
        &[
            "activeDeadlineSeconds",
            "backoffLimit",
            "completions",
            "parallelism",
            "podFailurePolicy",
            "suspend",
            "template",
            "ttlSecondsAfterFinished",
        ],
    ),
    ("Job.spec.podFailurePolicy", &["rules"]),
    ("Job.spec.podFailurePolicy.rules", &["action", "onExitCodes", "onPodConditions"]),
    ("Job.spec.podFailurePolicy.rules.onExitCodes", &["containerName", "operator", "values"]),
    ("Job.spec.podFailurePolicy.rules.onPodConditions", &["type", "status"]),
    ("ConfigMap", &["apiVersion", "kind", "metadata", "data", "binaryData", "immutable"]),
    ("Deployment", &["apiVersion", "kind", "metadata", "spec"]),
    (
        "Deployment.spec",
        &[
            "minReadySeconds",
            "paused",
            "progressDeadlineSeconds",
            "replicas",
            "revisionHistoryLimit",
            "selector",
            "strategy",
            "template",
        ],
    ),
    ("Deployment.spec.selector", &["matchLabels", "matchExpressions"]),
    ("ScaledObject", &["apiVersion", "kind", "metadata", "spec"]),
    (
        "ScaledObject.spec",
        &[
            "advanced",
            "cooldownPeriod",
            "fallback",
            "idleReplicaCount",
            "initialCooldownPeriod",
            "maxReplicaCount",
            "minReplicaCount",
            "pollingInterval",
            "scaleTargetRef",
            "triggers",
        ],
    ),
    ("ScaledObject.spec.scaleTargetRef", &["apiVersion", "kind", "name", "envSourceContainerName"]),
    (
        "ScaledObject.spec.triggers",
        &["type", "metadata", "name", "useCachedMetrics", "authenticationRef", "metricType"],
    ),
    (
        "ScaledObject.spec.triggers.metadata",
        &[
            "activationLagThreshold",
            "allowIdleConsumers",
            "bootstrapServers",
            "consumerGroup",
            "ensureEvenDistributionOfPartitions",
            "excludePersistentLag",
            "lagThreshold",
            "limitToPartitionsWithLag",
            "offsetResetPolicy",
            "partitionLimitation",
            "sasl",
            "scaleToZeroOnInvalidOffset",
            "tls",
            "topic",
            "version",
        ],
    ),
    ("*.metadata", &["name", "namespace", "labels", "annotations"]),
    ("*.template", &["metadata", "spec"]),
    (
        "*.template.spec",
        &[
            "automountServiceAccountToken",
            "containers",
            "initContainers",
            "restartPolicy",
            "securityContext",
            "serviceAccountName",
            "terminationGracePeriodSeconds",
            "volumes",
        ],
    ),
    ("*.template.spec.securityContext", &["runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup", "seccompProfile"]),
    ("*.template.spec.securityContext.seccompProfile", &["type", "localhostProfile"]),
    ("*.initContainers", CONTAINER),
    ("*.containers", CONTAINER),
    ("*.env", &["name", "value", "valueFrom"]),
    ("*.resources", &["requests", "limits"]),
    ("*.resources.requests", &["cpu", "memory"]),
    ("*.resources.limits", &["cpu", "memory"]),
    ("*ontainers.securityContext", &["allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem"]),
    ("*.capabilities", &["add", "drop"]),
    ("*.volumeMounts", &["mountPath", "name", "readOnly", "subPath"]),
    ("*.volumes", &["configMap", "emptyDir", "name", "secret"]),
    ("*.volumes.configMap", &["defaultMode", "items", "name", "optional"]),
];

const CONTAINER: &[&str] = &[
    "args",
    "command",
    "env",
    "image",
    "imagePullPolicy",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resources",
    "securityContext",
    "volumeMounts",
];

/// The versions of the kinds that we use.
const KINDS: &[(&str, &str)] = &[
    ("ServiceAccount", "v1"),
    ("ConfigMap", "v1"),
    ("Job", "batch/v1"),
    ("Deployment", "apps/v1"),
    ("ScaledObject", "keda.sh/v1alpha1"),
];

/// Where keys are names that people give.
const NAMED_BY_PEOPLE: &[&str] = &[".labels", ".annotations", ".matchLabels", "ConfigMap.data"];

/// What Kubernetes would refuse or drop silently.
fn problems(object: &Value) -> Vec<String> {
    let kind = object.get("kind").text();
    let mut found = Vec::new();
    match KINDS.iter().find(|(known, _)| *known == kind) {
        Some((_, version)) if object.get("apiVersion").text() == *version => {}
        Some((_, version)) => found.push(format!("a {kind} is of {version}, not of {:?}", object.get("apiVersion"))),
        None => found.push(format!("unknown kind '{kind}'")),
    }
    keys(object, kind, &mut found);
    found
}

fn keys(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::List(items) => items.iter().for_each(|item| keys(item, path, found)),
        Value::Map(_) if NAMED_BY_PEOPLE.iter().any(|end| path.ends_with(end)) => {}
        Value::Map(entries) => {
            let of_path = |pattern: &str| match pattern.strip_prefix('*') {
                Some(end) => path.ends_with(end),
                None => path == pattern,
            };
            let Some((_, known)) = SCHEMA.iter().find(|(pattern, _)| of_path(pattern)) else {
                return found.push(format!("{path} is nothing that has parts"));
            };
            for (key, value) in entries {
                if !known.contains(&key.as_str()) {
                    found.push(format!("{path} has an unknown key {key}"));
                }
                keys(value, &format!("{path}.{key}"), found);
            }
        }
        Value::Null => found.push(format!("{path} is empty")),
        Value::Flag(_) | Value::Text(_) => {}
    }
}

fn of_kind<'a>(objects: &'a [(String, Value)], kind: &str) -> Vec<&'a Value> {
    objects.iter().map(|(_, object)| object).filter(|object| object.get("kind").text() == kind).collect()
}

/// The template of whatever makes pods.
fn templates(objects: &[(String, Value)]) -> Vec<&Value> {
    let templates = objects.iter().map(|(_, object)| object.get("spec").get("template").get("spec"));
    templates.filter(|spec| **spec != Value::Null).collect()
}

/// Containers that run our image, with their pods.
pub(crate) fn containers(objects: &[(String, Value)]) -> Vec<&Value> {
    let lists = templates(objects).into_iter().flat_map(|spec| [spec.get("initContainers"), spec.get("containers")]);
    lists.flat_map(Value::list).collect()
}

/// What a pod finds at a path, by its volumes: the entry of a config map.
pub(crate) fn mounted<'a>(objects: &'a [(String, Value)], container: &Value, path: &str) -> Option<&'a str> {
    let mounts = container.get("volumeMounts").list().iter();
    let (mount, file) = mounts
        .filter_map(|mount| Some((mount, path.strip_prefix(mount.get("mountPath").text())?.strip_prefix('/')?)))
        .next()?;
    let volumes = templates(objects).into_iter().flat_map(|pod| pod.get("volumes").list());
    let volume = volumes.into_iter().find(|volume| volume.get("name") == mount.get("name"))?;
    let map = of_kind(objects, "ConfigMap")
        .into_iter()
        .find(|map| map.get("metadata").get("name") == volume.get("configMap").get("name"))?;
    Some(map.get("data").get(file).text()).filter(|text| !text.is_empty())
}

#[test]
fn kubernetes_accepts_the_files() {
    let objects = objects();
    assert!(objects.len() >= 2, "{objects:?}");
    for (path, object) in &objects {
        assert_eq!(problems(object), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn mistakes_in_a_manifest_are_found() {
    let text = read("compose/kubernetes/merge.yaml");
    for (right, wrong, complaint) in [
        ("kind: Job", "kind: Jobs", "unknown kind 'Jobs'"),
        ("apiVersion: batch/v1", "apiVersion: batch/v1beta1", "a Job is of batch/v1"),
        ("  backoffLimit:", "  backOffLimit:", "unknown key backOffLimit"),
        ("          operator: In", "          op: In", "unknown key op"),
        (
            "            readOnlyRootFilesystem",
            "            readOnlyRootFileSystem",
            "unknown key readOnlyRootFileSystem",
        ),
        ("              drop: [ALL]", "              drop:", "drop is empty"),
        ("      restartPolicy: Never", "      restart: {policy: Never}", "restart is nothing that has parts"),
    ] {
        assert!(text.contains(right), "the file no longer contains '{right}': mend this test");
        let found: Vec<String> =
            parts(&text.replace(right, wrong)).iter().flat_map(|part| problems(part.as_ref().unwrap())).collect();
        assert!(found.iter().any(|problem| problem.contains(complaint)), "'{wrong}' gave {found:?}");
    }
}

#[test]
fn a_merge_that_was_fenced_or_cannot_succeed_is_not_started_again() {
    let objects = objects();
    let jobs = of_kind(&objects, "Job");
    assert!(!jobs.is_empty());
    for job in jobs {
        let rules = job.get("spec").get("podFailurePolicy").get("rules").list();
        let fails =
            rules.iter().find(|rule| rule.get("action").text() == "FailJob").expect("a rule that fails the job");
        let codes = fails.get("onExitCodes");
        assert_eq!((codes.get("operator").text(), codes.get("values").texts()), ("In", vec!["2", "4", "5"]));
        let pod = job.get("spec").get("template").get("spec");
        assert_eq!(pod.get("restartPolicy").text(), "Never", "podFailurePolicy asks for it");
        let names: Vec<&str> =
            pod.get("containers").list().iter().map(|container| container.get("name").text()).collect();
        assert!(names.contains(&codes.get("containerName").text()), "{names:?}");
    }
}

#[test]
fn what_scales_is_there_and_the_scaler_reads_the_lag_that_the_pods_work_off() {
    let objects = objects();
    let scalers = of_kind(&objects, "ScaledObject");
    assert!(!scalers.is_empty());
    for scaler in scalers {
        let target = scaler.get("spec").get("scaleTargetRef").get("name");
        let deployments = of_kind(&objects, "Deployment");
        let found = deployments.into_iter().find(|deployment| deployment.get("metadata").get("name") == target);
        let deployment = found.expect("the deployment that is scaled");
        assert_eq!(deployment.get("spec").get("replicas"), &Value::Null, "two would say how many");
        let template = deployment.get("spec").get("template");
        let labels = deployment.get("spec").get("selector").get("matchLabels");
        assert_eq!(labels, template.get("metadata").get("labels"), "a deployment finds its pods by these");
        let trigger = scaler.get("spec").get("triggers").list().first().unwrap().get("metadata");
        let args = template.get("spec").get("containers").list()[0].get("args").texts();
        let given = |name: &str| args[args.iter().position(|arg| *arg == name).unwrap() + 1];
        assert_eq!(
            (trigger.get("topic").text(), trigger.get("consumerGroup").text()),
            (given("--from"), given("--group"))
        );
        assert_eq!(trigger.get("offsetResetPolicy").text(), "earliest", "as clean begins");
        // Kafka 4 serves no client older than 2.1.
        let version: Vec<u32> = trigger.get("version").text().split('.').map(|part| part.parse().unwrap()).collect();
        assert!(version >= vec![2, 1], "{version:?}");
        // A scaler's values are strings; here numbers look like them.
        let flags = trigger.entries().filter(|(_, value)| !matches!(value, Value::Text(_))).map(|(key, _)| key);
        assert_eq!(flags.collect::<Vec<_>>(), Vec::<&str>::new(), "quote them");
        let threshold = format!("lagThreshold: \"{}\"", trigger.get("lagThreshold").text());
        assert!(read("compose/kubernetes/clean.yaml").contains(&threshold), "quote the threshold");
    }
}

#[test]
fn pods_have_no_rights_that_they_do_not_use() {
    let objects = objects();
    let accounts: BTreeMap<&str, &Value> = of_kind(&objects, "ServiceAccount")
        .into_iter()
        .map(|account| (account.get("metadata").get("name").text(), account))
        .collect();
    for pod in templates(&objects) {
        let account = accounts.get(pod.get("serviceAccountName").text()).expect("an account of its own");
        assert_eq!(account.get("automountServiceAccountToken"), &Value::Flag(false));
        assert_eq!(pod.get("automountServiceAccountToken"), &Value::Flag(false));
        assert_eq!(pod.get("securityContext").get("runAsNonRoot"), &Value::Flag(true));
        assert_eq!(pod.get("securityContext").get("seccompProfile").get("type").text(), "RuntimeDefault");
    }
    let containers = containers(&objects);
    assert!(containers.len() >= 2);
    for container in containers {
        let confined = container.get("securityContext");
        assert_eq!(confined.get("allowPrivilegeEscalation"), &Value::Flag(false));
        assert_eq!(confined.get("readOnlyRootFilesystem"), &Value::Flag(true));
        assert_eq!(confined.get("capabilities").get("drop").texts(), ["ALL"]);
        assert!(confined.get("capabilities").get("add").list().is_empty());
    }
}

/// A pod is killed at its limit, so that must be what the process is held to: `--memory` and 32 MiB.
#[test]
fn a_pods_memory_is_what_its_command_takes() {
    let objects = objects();
    let mut seen = 0;
    for container in containers(&objects) {
        let args = container.get("args").texts();
        let Some(at) = args.iter().position(|arg| *arg == "--memory") else { continue };
        let mib = |text: &str| text.trim_end_matches("MiB").trim_end_matches("Mi").parse::<u64>().unwrap();
        assert_eq!(
            mib(container.get("resources").get("limits").get("memory").text()),
            mib(args[at + 1]) + 32,
            "{args:?}"
        );
        seen += 1;
    }
    assert!(seen > 0);
}

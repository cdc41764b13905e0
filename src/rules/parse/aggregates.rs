//! Aggregates of a rule file, by name: `{ logins = "count", mean_age = { mean = "age" }, slowest = { p95 = "ms" } }`.

use super::section::Section;
use crate::base::text::{did_you_mean, excerpt};
use crate::rules::aggregate::{AggregateKind, AggregateSpec};
use crate::rules::paths::{Paths, ROOT};
use toml::de::DeValue;

/// More than anybody asks for of one group.
const AGGREGATES_MAX: usize = 1000;

const EXAMPLE: &str = "{ logins = \"count\", mean_age = { mean = \"age\" }, slow_ms = { p95 = \"ms\" } }";

/// Reads the table of this name, in the order of the file. Where something is wrong, that is noted, and what it gives is of no use.
pub(super) fn aggregates(body: &Section<'_>, name: &str, paths: &mut Paths) -> Vec<AggregateSpec> {
    let Some(section) = body.section(name) else { return Vec::new() };
    let names = section.names();
    if names.is_empty() || names.len() > AGGREGATES_MAX {
        body.wrong(name, format!("1 to {AGGREGATES_MAX} aggregates have to stand here, as in {EXAMPLE}"));
        return Vec::new();
    }
    names.into_iter().filter_map(|(name, _)| aggregate(&section, name, paths)).collect()
}

fn aggregate(section: &Section<'_>, name: &str, paths: &mut Paths) -> Option<AggregateSpec> {
    if let Some((DeValue::String(word), _)) = section.get(name) {
        if word == "count" {
            return Some(AggregateSpec { name: name.to_owned(), kind: AggregateKind::Records, path: ROOT });
        }
        let word = excerpt(word.as_bytes());
        section.wrong(name, format!("{word} is not \"count\", and all else is of a field, as in {{ mean = \"age\" }}"));
        return None;
    }
    let body = section.section(name)?;
    let names = body.names();
    let [(word, _)] = names.as_slice() else {
        section.wrong(name, "one aggregate of one field has to stand here, as in { mean = \"age\" }");
        return None;
    };
    let Some(kind) = AggregateKind::parse(word) else {
        let near = did_you_mean(word, ["count", "sum", "mean", "min", "max", "p50", "p95", "distinct"]);
        let words = AggregateKind::WORDS;
        body.wrong(word, format!("there is no {}{near}; here goes one of {words}", excerpt(word.as_bytes())));
        return None;
    };
    let path = body.field(word, paths)?;
    Some(AggregateSpec { name: name.to_owned(), kind, path })
}

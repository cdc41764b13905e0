//! Conditions of a rule file.

use super::DEPTH_MAX;
use super::section::Section;
use super::values::constant;
use crate::rules::condition::{Condition, Constant, Test};
use crate::rules::paths::Paths;
use regex::bytes::{Regex, RegexBuilder};
use std::cmp::Ordering;
use toml::de::DeValue;

/// What a compiled pattern may take, and as much again what it remembers while it runs.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// What all patterns of a file may take, and so how many there may be.
const PATTERNS_BYTES_MAX: usize = 512 << 20;
const PATTERNS_MAX: usize = PATTERNS_BYTES_MAX / (2 * PATTERN_BYTES_MAX);

type Holds = fn(Ordering) -> bool;

const JOINS: [&str; 3] = ["all", "any", "not"];
const ORDERS: [(&str, Holds); 4] = [
    ("less", Ordering::is_lt),
    ("at_most", Ordering::is_le),
    ("greater", Ordering::is_gt),
    ("at_least", Ordering::is_ge),
];
const NAMES: [&str; 16] = [
    "field",
    "all",
    "any",
    "not",
    "exists",
    "equals",
    "not_equals",
    "in",
    "less",
    "at_most",
    "greater",
    "at_least",
    "contains",
    "starts_with",
    "ends_with",
    "matches",
];

/// Reads `{ field = …, equals = … }`, or `{ all = [ … ] }`, `{ any = [ … ] }`, `{ not = { … } }`.
pub(super) fn condition(section: &Section<'_>, paths: &mut Paths) -> Option<Condition> {
    nested(section, paths, 1)
}

fn nested(section: &Section<'_>, paths: &mut Paths, depth: usize) -> Option<Condition> {
    if depth > DEPTH_MAX {
        section.wrong("", format!("conditions are nested more than {DEPTH_MAX} deep"));
        return None;
    }
    let before = section.errors.len();
    section.only(&NAMES);
    let names = section.names();
    let join = JOINS.into_iter().find(|join| section.has(join));
    if let Some(join) = join {
        if names.len() > 1 {
            section.wrong(join, format!("{join} stands alone in its condition"));
            return None;
        }
        return joined(section, join, paths, depth);
    }
    if !section.needs("field", "\"a name or a /pointer\"") {
        return None;
    }
    let path = section.field("field", paths);
    let tests: Vec<Test> = names.iter().filter_map(|(name, _)| test(section, name)).collect();
    if tests.is_empty() && section.errors.len() == before {
        section.wrong("", format!("nothing is asked of the field: {} is missing", NAMES[4..].join(", ")));
        return None;
    }
    Some(Condition::Field { path: path?, tests })
}

fn joined(section: &Section<'_>, join: &str, paths: &mut Paths, depth: usize) -> Option<Condition> {
    if join == "not" {
        let inner = section.section(join)?;
        return nested(&inner, paths, depth + 1).map(|inner| Condition::Not(Box::new(inner)));
    }
    let before = section.errors.len();
    let sections = section.sections(join);
    if section.errors.len() > before {
        return None;
    }
    if sections.is_empty() {
        section.wrong(join, "conditions have to stand here, as in [{ field = \"a\", exists = true }]");
        return None;
    }
    let conditions: Vec<Option<Condition>> = sections.iter().map(|inner| nested(inner, paths, depth + 1)).collect();
    let conditions = conditions.into_iter().collect::<Option<Vec<_>>>()?;
    Some(if join == "all" { Condition::All(conditions) } else { Condition::Any(conditions) })
}

fn test(section: &Section<'_>, name: &str) -> Option<Test> {
    let text = || section.text(name).map(|text| text.as_bytes().into());
    let one = || {
        let (value, _) = section.get(name)?;
        constant(value).map_err(|message| section.wrong(name, message)).ok()
    };
    match name {
        "exists" => section.truth(name).map(Test::Exists),
        "equals" => one().map(Test::Equals),
        "not_equals" => one().map(Test::NotEquals),
        "in" => several(section).map(Test::In),
        "contains" => text().map(Test::Contains),
        "starts_with" => text().map(Test::StartsWith),
        "ends_with" => text().map(Test::EndsWith),
        "matches" => pattern(section, name).map(Test::Matches),
        _ => {
            let (_, holds) = ORDERS.into_iter().find(|(order, _)| *order == name)?;
            let than = one()?;
            if let Constant::Bool(_) = than {
                section.wrong(name, "true and false have no order: ask for equals");
                return None;
            }
            Some(Test::Order { holds, than })
        }
    }
}

fn several(section: &Section<'_>) -> Option<Vec<Constant>> {
    let constants = match section.get("in")?.0 {
        DeValue::Array(all) if !all.is_empty() => {
            all.iter().map(|value| constant(value.get_ref())).collect::<Result<Vec<_>, _>>()
        }
        _ => Err("values have to stand here, as in [\"a\", \"b\"]".to_owned()),
    };
    constants.map_err(|message| section.wrong("in", message)).ok()
}

/// A regular expression, whose time grows with the text alone, and whose memory is limited.
pub(super) fn pattern(section: &Section<'_>, name: &str) -> Option<Regex> {
    let text = section.text(name)?;
    if section.errors.count_pattern() > PATTERNS_MAX {
        section.wrong(
            name,
            format!("a file may have {PATTERNS_MAX} patterns: one takes the place of several, as in 'a|b'"),
        );
        return None;
    }
    let built = RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX).build();
    let said = |error: regex::Error| match error {
        regex::Error::CompiledTooBig(bytes) => format!("the pattern takes more than {bytes} bytes"),
        error => {
            // The crate draws the place over several lines; the last one says what it is.
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            format!("no regular expression: {}", last.trim_start_matches("error: "))
        }
    };
    built.map_err(|error| section.wrong(name, said(error))).ok()
}

//! The kinds of rules, each with its fields; what a rule cannot be is said here, before any record comes.

use super::conditions::{condition, pattern};
use super::section::Section;
use super::template;
use crate::rules::cast::Target;
use crate::rules::change::{Case, Change, Json};
use crate::rules::moment::{Part, Unit};
use crate::rules::paths::{PathId, Paths};
use crate::rules::step::{Action, Fallback};
use std::sync::Arc;

/// In the order of the documentation.
pub(super) const NAMES: [&str; 14] = [
    "default",
    "rename",
    "drop",
    "cast",
    "trim",
    "case",
    "map",
    "range",
    "pattern",
    "required",
    "derive",
    "lookup",
    "filter",
    "deduplicate",
];

pub(super) const FIELD: &str = "\"a name or a /pointer\"";

/// Reads the body of a rule. Where something is wrong, that is noted, and what it gives is of no use.
pub(super) fn read(kind: &str, body: &Section<'_>, paths: &mut Paths) -> Vec<Action> {
    match kind {
        "default" => {
            body.only(&["field", "value"]);
            body.needs("value", "\"unknown\"");
            let value = body.json("value");
            each(body, paths, |path| Some(Action::Default { path, value: value.clone()? }))
        }
        "rename" => rename(body, paths).into_iter().collect(),
        "drop" => {
            body.only(&["field"]);
            each(body, paths, |path| Some(Action::Drop { path }))
        }
        "required" => {
            body.only(&["field"]);
            each(body, paths, |path| Some(Action::Required { path }))
        }
        "derive" => derive(body, paths).into_iter().collect(),
        "filter" => filter(body, paths).into_iter().collect(),
        "deduplicate" => deduplicate(body, paths).into_iter().collect(),
        _ => changes(kind, body, paths),
    }
}

/// An action for each of the rule's fields.
fn each(body: &Section<'_>, paths: &mut Paths, action: impl FnMut(PathId) -> Option<Action>) -> Vec<Action> {
    body.needs("field", FIELD);
    body.fields("field", paths).into_iter().filter_map(action).collect()
}

type ReadChange = fn(&Section<'_>) -> Option<Change>;

/// The rules that make something of one field, or ask something of it.
fn changes(kind: &str, body: &Section<'_>, paths: &mut Paths) -> Vec<Action> {
    let (names, change): (&[&str], ReadChange) = match kind {
        "cast" => (&["field", "to", "unit", "on_failure", "default"], cast),
        "trim" => (&["field"], |_| Some(Change::Trim)),
        "case" => (&["field", "to"], case),
        "map" => (&["field", "values", "on_failure", "default"], map),
        "range" => (&["field", "min", "max", "on_failure", "default"], range),
        _ => (&["field", "matches", "on_failure", "default"], |body| {
            body.needs("matches", "'^[a-z]+$'");
            pattern(body, "matches").map(Change::Pattern)
        }),
    };
    body.only(names);
    let fallback = if names.contains(&"on_failure") { fallback(body) } else { Some(Fallback::Reject) };
    let fallback = match kind {
        "map" if !body.has("on_failure") && !body.has("default") => Some(Fallback::Keep),
        _ => fallback,
    };
    let change = change(body).map(Arc::new);
    each(body, paths, |path| Some(Action::Change { path, change: change.clone()?, fallback: fallback.clone()? }))
}

/// The words of `on_failure`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    Reject,
    Null,
    Default,
    Keep,
}

/// `on_failure`, or `default`, which says it as well.
pub(super) fn fallback(body: &Section<'_>) -> Option<Fallback> {
    let words = [
        ("reject", OnFailure::Reject),
        ("null", OnFailure::Null),
        ("default", OnFailure::Default),
        ("keep", OnFailure::Keep),
    ];
    let has_default = body.has("default");
    let word = match (body.has("on_failure"), has_default) {
        (true, _) => body.word("on_failure", &words)?,
        (false, true) => OnFailure::Default,
        (false, false) => OnFailure::Reject,
    };
    if has_default && word != OnFailure::Default {
        body.wrong("default", "it would never be used: say on_failure = \"default\", or leave that out");
        return None;
    }
    match word {
        OnFailure::Reject => Some(Fallback::Reject),
        OnFailure::Null => Some(Fallback::Value(Json::null())),
        OnFailure::Keep => Some(Fallback::Keep),
        OnFailure::Default if has_default => body.json("default").map(Fallback::Value),
        OnFailure::Default => {
            body.wrong("on_failure", "which default? write default = \"unknown\" beside it");
            None
        }
    }
}

fn cast(body: &Section<'_>) -> Option<Change> {
    body.needs("to", "\"int\"");
    let words = [
        ("int", Target::Int),
        ("float", Target::Float),
        ("bool", Target::Bool),
        ("string", Target::String),
        ("time", Target::Time(Unit::Millisecond)),
    ];
    let target = body.word("to", &words)?;
    match target {
        Target::Time(_) => Some(Change::Cast(Target::Time(unit(body)?))),
        _ if body.has("unit") => {
            body.wrong("unit", "only times have a unit");
            None
        }
        _ => Some(Change::Cast(target)),
    }
}

/// What numbers of time count: milliseconds, if nothing is said.
fn unit(body: &Section<'_>) -> Option<Unit> {
    if body.has("unit") { body.word("unit", &Unit::ALL) } else { Some(Unit::Millisecond) }
}

fn case(body: &Section<'_>) -> Option<Change> {
    body.needs("to", "\"lower\"");
    body.word("to", &[("lower", Case::Lower), ("upper", Case::Upper)]).map(Change::Case)
}

fn map(body: &Section<'_>) -> Option<Change> {
    body.needs("values", "{ \"ios\" = \"iOS\" }");
    let section = body.section("values")?;
    let names = section.names();
    if names.is_empty() {
        body.wrong("values", "nothing is mapped: write { \"from\" = \"to\" }");
        return None;
    }
    let pairs = names.into_iter().map(|(name, _)| Some((name.as_bytes().into(), section.json(name)?)));
    let values = pairs.collect::<Option<_>>()?;
    Some(Change::Map { values, strict: body.has("on_failure") || body.has("default") })
}

fn range(body: &Section<'_>) -> Option<Change> {
    if !body.has("min") && !body.has("max") {
        body.wrong("", "min or max is missing, as in min = 0");
        return None;
    }
    let bound = |name: &str| if body.has(name) { body.number(name).map(Some) } else { Some(None) };
    let (min, max) = (bound("min"), bound("max"));
    let (min, max) = (min?, max?);
    if let (Some(min), Some(max)) = (min, max)
        && min.order(max).is_gt()
    {
        body.wrong("min", "min is above max, so no number is in the range");
        return None;
    }
    Some(Change::Range { min, max })
}

fn rename(body: &Section<'_>, paths: &mut Paths) -> Option<Action> {
    body.only(&["field", "to"]);
    body.needs("field", FIELD);
    body.needs("to", FIELD);
    let (from, to) = (body.field("field", paths), body.field("to", paths));
    let (from, to) = (from?, to?);
    if paths.is_within(from, to) || paths.is_within(to, from) {
        body.wrong("to", "a field cannot be moved onto itself, into itself, or onto what it is in");
        return None;
    }
    Some(Action::Rename { from, to })
}

fn derive(body: &Section<'_>, paths: &mut Paths) -> Option<Action> {
    body.only(&["field", "from", "part", "unit", "template", "on_failure", "default"]);
    body.needs("field", FIELD);
    let path = body.field("field", paths);
    let fallback = fallback(body);
    if let Some(text) = body.has("template").then(|| body.text("template")) {
        if let Some(other) = ["from", "part", "unit"].into_iter().find(|name| body.has(name)) {
            body.wrong(other, "a field is derived from a template or from a time, not both");
            return None;
        }
        let pieces = template::pieces(text?, paths).map_err(|message| body.wrong("template", message)).ok()?;
        return Some(Action::DeriveText { path: path?, pieces, fallback: fallback? });
    }
    if !body.has("from") && !body.has("part") {
        body.wrong("", "template is missing, or from and part, as in from = \"timestamp\", part = \"hour\"");
        return None;
    }
    body.needs("from", FIELD);
    body.needs("part", "\"hour\"");
    let (from, part, unit) = (body.field("from", paths), body.word("part", &Part::ALL), unit(body));
    Some(Action::DerivePart { path: path?, from: from?, unit: unit?, part: part?, fallback: fallback? })
}

fn filter(body: &Section<'_>, paths: &mut Paths) -> Option<Action> {
    body.only(&["keep", "drop"]);
    let keep = match (body.has("keep"), body.has("drop")) {
        (true, false) => true,
        (false, true) => false,
        _ => {
            body.wrong("", "either keep or drop has to stand here, as in keep = { field = \"a\", exists = true }");
            return None;
        }
    };
    let section = body.section(if keep { "keep" } else { "drop" })?;
    condition(&section, paths).map(|condition| Action::Filter { keep, condition })
}

fn deduplicate(body: &Section<'_>, paths: &mut Paths) -> Option<Action> {
    body.only(&["key", "window", "lateness", "time", "unit"]);
    body.needs("key", FIELD);
    body.needs("window", "\"10m\"");
    let key = body.fields("key", paths);
    let time = time_of(body, paths)?;
    (!key.is_empty()).then_some(Action::Deduplicate { key, time })
}

/// The field that has the time, and in what unit; none of its own for the record's timestamp.
pub(super) fn time_of(body: &Section<'_>, paths: &mut Paths) -> Option<Option<(PathId, Unit)>> {
    if body.has("unit") && !body.has("time") {
        body.wrong("unit", "the record's own timestamp has no unit to choose; say which field with time");
        return None;
    }
    match body.has("time") {
        true => Some(Some((body.field("time", paths)?, unit(body)?))),
        false => Some(None),
    }
}

/// How long a rule remembers, and how much later than others a record may come, in milliseconds.
pub(super) fn window(kind: &str, body: &Section<'_>) -> Option<(i64, i64)> {
    if kind != "deduplicate" {
        return None;
    }
    let window_ms = body.duration_ms("window")?;
    if window_ms == 0 {
        body.wrong("window", "a window has to have a length");
        return None;
    }
    let lateness_ms = if body.has("lateness") { body.duration_ms("lateness")? } else { 0 };
    Some((window_ms, lateness_ms))
}

/// What a rule without a name is called.
pub(super) fn default_name(kind: &str, actions: &[Action], paths: &Paths) -> String {
    let fields = actions.iter().filter_map(|action| match action {
        Action::Default { path, .. }
        | Action::Drop { path }
        | Action::Change { path, .. }
        | Action::Required { path }
        | Action::DerivePart { path, .. }
        | Action::DeriveText { path, .. } => Some(paths.shown(*path).to_owned()),
        Action::Rename { from, .. } => Some(paths.shown(*from).to_owned()),
        Action::Deduplicate { key, .. } => {
            Some(key.iter().map(|path| paths.shown(*path)).collect::<Vec<_>>().join(", "))
        }
        Action::Lookup(lookup) => Some(format!("{} in {}", paths.shown(lookup.field), lookup.name)),
        Action::Filter { .. } => None,
    });
    let fields: Vec<String> = fields.collect();
    if fields.is_empty() { kind.to_owned() } else { format!("{kind} {}", fields.join(", ")) }
}

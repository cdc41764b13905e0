//! `lookup`: what is taken from another topic; and what of a file cannot stand beside that.

use super::group_by::topic;
use super::kinds::{FIELD, fallback};
use super::section::Section;
use crate::base::text::visible;
use crate::rules::Rules;
use crate::rules::lookup::{Cause, Holder, Lookup, LookupTopic, Take, conflicts};
use crate::rules::paths::{PathId, Paths};
use crate::rules::step::{Action, Fallback};
use toml::de::DeValue;

/// Reads the body of a rule. Where something is wrong, that is noted.
pub(super) fn read(body: &Section<'_>, paths: &mut Paths, topics: &mut Vec<LookupTopic>) -> Option<Action> {
    body.only(&["field", "topic", "take", "on_failure", "default"]);
    body.needs("field", FIELD);
    body.needs("topic", "\"users\"");
    body.needs("take", "[\"name\"]");
    let field = body.field("field", paths);
    let name = topic(body, "topic");
    let fallback = match body.has("on_failure") || body.has("default") {
        true => fallback(body),
        false => Some(Fallback::Keep),
    };
    let known = topics.iter().position(|topic| Some(topic.name()) == name);
    let mut of = match known {
        Some(known) => topics.remove(known),
        None => LookupTopic::new(name.unwrap_or_default()),
    };
    let takes = takes(body, paths, &mut of);
    // In its place again.
    let at = known.unwrap_or(topics.len());
    let name = name.map(|_| of.name.clone());
    topics.insert(at, of);
    Some(Action::Lookup(Lookup { field: field?, topic: at, name: name?, takes: takes?, fallback: fallback? }))
}

/// What is taken: fields that keep their names, or what each becomes.
fn takes(body: &Section<'_>, paths: &mut Paths, of: &mut LookupTopic) -> Option<Vec<Take>> {
    let pairs: Vec<(PathId, PathId)> = match body.get("take")?.0 {
        DeValue::Table(_) => {
            let section = body.section("take")?;
            let names = section.names();
            let pair = |name: &str, of: &mut LookupTopic, paths: &mut Paths| {
                let to = section.field_of(name, name, paths);
                let from = section.field(name, &mut of.paths);
                Some((to?, from?))
            };
            // All of them, so that all that is wrong is told.
            let pairs: Vec<_> = names.into_iter().map(|(name, _)| pair(name, of, paths)).collect();
            pairs.into_iter().collect::<Option<_>>()?
        }
        DeValue::String(_) | DeValue::Array(_) => {
            let before = body.errors.len();
            let to = body.fields("take", paths);
            if body.errors.len() > before {
                return None;
            }
            to.into_iter().zip(body.fields("take", &mut of.paths)).collect()
        }
        _ => Vec::new(),
    };
    if pairs.is_empty() {
        let message = "fields have to stand here, as in [\"name\"], or what they become, as in { country = \"/address/country\" }";
        body.wrong("take", message);
        return None;
    }
    let meets = |one: PathId, other: PathId| paths.is_within(one, other) || paths.is_within(other, one);
    for (index, (to, _)) in pairs.iter().enumerate() {
        if let Some((other, _)) = pairs[..index].iter().find(|(other, _)| meets(*to, *other)) {
            let (one, other) = (paths.shown(*to), paths.shown(*other));
            body.wrong("take", format!("{other} and {one} are the same field, or one is in the other"));
            return None;
        }
    }
    Some(pairs.into_iter().map(|(to, from)| Take { to, from: of.take(from) }).collect())
}

/// Says what is held of records and would not be made again as it was, because it depends on what was looked up.
pub(super) fn refuse_conflicts(rules: &Rules, top: &Section<'_>) {
    const WAY_OUT: &str = "do that in a second clean, of what comes out of this one";
    for conflict in conflicts(rules) {
        let (kind, index) = match conflict.holder {
            Holder::Deduplicate(rule) => ("rule", rule.0),
            Holder::GroupBy(index) => ("group_by", index),
            Holder::Insight(index) => ("insight", index),
        };
        let sections = top.sections(kind);
        let Some(section) = sections.into_iter().nth(index) else { continue };
        let section = section.called(format!("{kind} {}", index + 1));
        let section = match conflict.holder {
            Holder::Deduplicate(_) => section.section("deduplicate").unwrap_or(section),
            _ => section,
        };
        let why = match conflict.cause {
            Cause::Field(path) => format!("{} depends on what a lookup finds", rules.paths.shown(path)),
            Cause::Fate(rule) => {
                format!("which records go on depends on what a lookup finds, by {}", visible(rules.name(rule)))
            }
            Cause::Members => "members would have in them what a lookup finds".to_owned(),
        };
        let message = format!(
            "{why}, and that may be something else when records are read again to have back what is held of them: {WAY_OUT}"
        );
        section.wrong(conflict.name, message);
    }
}

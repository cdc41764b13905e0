//! `[[group_by]]`: which records belong together, and what becomes of them.

use super::aggregates::aggregates;
use super::kinds::time_of;
use super::section::Section;
use super::{Read, name};
use crate::rules::RuleId;
use crate::rules::closed;
use crate::rules::group_by::{Collects, GroupBy};
use crate::rules::paths::{PathId, Paths};
use crate::rules::seen::Number;

const NAMES: [&str; 10] =
    ["name", "key", "window", "lateness", "time", "unit", "to", "members", "members_max", "aggregates"];

/// What groups of records may have, if nothing is said.
const MEMBERS_MAX: u64 = 10_000;
/// Each takes its place in the note beside an offset, which brokers limit.
const GROUP_BYS_MAX: usize = 16;
/// The longest name that brokers take.
const TOPIC_CHARS_MAX: usize = 249;

pub(super) fn group_by(index: usize, section: Section<'_>, read: &mut Read, paths: &mut Paths) {
    let label = format!("group_by {}", index + 1);
    let section = section.called(label.clone());
    section.only(&NAMES);
    if index == GROUP_BYS_MAX {
        section.wrong("", format!("a file may have {GROUP_BYS_MAX} of these"));
    }
    section.needs("key", "[\"device_type\"]");
    let key = section.fields("key", paths);
    named_apart(&section, &key, paths);
    section.needs("window", "\"10m\"");
    let window_ms = section.duration_ms("window");
    if window_ms == Some(0) {
        section.wrong("window", "a window has to have a length");
    }
    let lateness_ms = if section.has("lateness") { section.duration_ms("lateness") } else { Some(0) };
    let time = time_of(&section, paths);
    section.needs("to", "\"grouped\"");
    let to = topic(&section, "to");
    let collects = collects(&section, paths);
    let fields = key.iter().map(|path| paths.shown(*path)).collect::<Vec<_>>().join(", ");
    let rule = RuleId(read.names.len());
    let name = name(&section, format!("group_by {fields}"), &label, &read.names);
    read.names.push(name);
    let (Some(window_ms), Some(lateness_ms), Some(time), Some(to), Some((collects, what))) =
        (window_ms, lateness_ms, time, to, collects)
    else {
        return;
    };
    let timed = time.map(|(path, unit)| (paths.shown(path), unit));
    let all = format!("{to} {fields:?} {window_ms} {lateness_ms} {timed:?} {what}");
    let mark = crc32c::crc32c(all.as_bytes());
    read.group_bys.push(GroupBy { rule, key, time, window_ms, lateness_ms, to: to.to_owned(), collects, mark });
}

/// A group's record has the fields of its key beside its own.
fn named_apart(section: &Section<'_>, key: &[PathId], paths: &Paths) {
    for (index, &path) in key.iter().enumerate() {
        let quoted = paths.quoted(path);
        if let Some(own) = closed::NAMES.into_iter().find(|own| quoted == format!("\"{own}\"").as_bytes()) {
            section.wrong("key", format!("groups have a {own} of their own: rename {} before", paths.shown(path)));
        } else if key[..index].iter().any(|other| *other != path && paths.quoted(*other) == quoted) {
            section.wrong(
                "key",
                format!("two fields of the key have the name of {}: rename one before", paths.shown(path)),
            );
        }
    }
}

/// A name that a topic can have.
pub(super) fn topic<'a>(section: &Section<'a>, name: &str) -> Option<&'a str> {
    let text = section.text(name)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.is_empty() || text.len() > TOPIC_CHARS_MAX || !text.bytes().all(allowed) || [".", ".."].contains(&text) {
        section.wrong(
            name,
            format!("no topic has such a name: it has 1 to {TOPIC_CHARS_MAX} letters, digits, dots, _ and -"),
        );
        return None;
    }
    Some(text)
}

/// What is collected, and what tells it from other things that are.
fn collects(section: &Section<'_>, paths: &mut Paths) -> Option<(Collects, String)> {
    let most = members_max(section);
    match (section.has("members"), section.has("aggregates")) {
        (true, false) => match section.truth("members")? {
            true => Some((Collects::Members { most: most? }, "members".to_owned())),
            false => {
                section.wrong("members", "say members = true, or ask for aggregates");
                None
            }
        },
        (false, true) => {
            if section.has("members_max") {
                section.wrong("members_max", "it would never be used: aggregates keep no members");
            }
            let before = section.errors.len();
            let specs = aggregates(section, "aggregates", paths);
            let what = specs.iter().map(|spec| format!("{:?} {}", spec.kind(), paths.shown(spec.path)));
            let what = format!("{:?}", what.collect::<Vec<_>>());
            (section.errors.len() == before).then_some((Collects::Aggregates(specs), what))
        }
        (false, false) => {
            section.wrong(
                "",
                "members = true is missing, or aggregates, as in aggregates = { mean_age = { mean = \"age\" } }",
            );
            None
        }
        (true, true) => {
            section.wrong("aggregates", "a group has its members or aggregates: give each a [[group_by]]");
            None
        }
    }
}

fn members_max(section: &Section<'_>) -> Option<u64> {
    if !section.has("members_max") {
        return Some(MEMBERS_MAX);
    }
    match section.number("members_max")? {
        Number::Whole(most) if most > 0 => u64::try_from(most).ok(),
        _ => {
            section.wrong("members_max", "a whole number has to stand here, 1 or more");
            None
        }
    }
}

//! The insights of a rule file: what is counted, and by which windows.

use super::section::Section;
use crate::base::text::{excerpt, visible};
use crate::rules::insight::{Insight, WindowsOf};
use crate::rules::moment::Unit;
use crate::rules::paths::{PathId, Paths};
use crate::rules::seen::Number;

const NAMES: [&str; 9] = ["name", "field", "top", "window", "slide", "time", "unit", "lateness", "values_max"];

/// How many values are shown, if nothing is said, and at most.
const TOP: usize = 10;
const TOP_MAX: usize = 1000;
/// How many values are told apart, if nothing is said, and at most: some hundred kilobytes for each table, and some tens of
/// megabytes.
const VALUES_MAX: usize = 10_000;
const VALUES_MAX_MAX: usize = 1_000_000;
/// So far beyond what anybody waits for that times and lengths can be added up.
const LENGTH_MS_MAX: i64 = 3660 * 86_400_000;
/// Each window is the sum of so many panes at most.
const SLIDES_MAX: i64 = 1000;

/// Reads an insight. Where something is wrong, that is noted.
pub(super) fn read(index: usize, section: Section<'_>, paths: &mut Paths, taken: &[Insight]) -> Option<Insight> {
    let section = section.called(format!("insight {}", index + 1));
    section.only(&NAMES);
    section.needs("field", "\"a name or a /pointer\"");
    let fields = section.fields("field", paths);
    let shown: Vec<String> = fields.iter().map(|path| paths.shown(*path).to_owned()).collect();
    let name = name(&section, &shown, index, taken);
    let (top, values_max) =
        (whole(&section, "top", TOP, TOP_MAX), whole(&section, "values_max", VALUES_MAX, VALUES_MAX_MAX));
    let windows = windows(&section);
    let time = time(&section, paths);
    if fields.is_empty() {
        return None;
    }
    let (windows, time, values_max) = (windows?, time?, values_max?);
    let by = time.map(|(path, unit)| (paths.shown(path), unit));
    let by = windows.map(|of| (of.size_ms, of.slide_ms, of.lateness_ms, by));
    let definition = format!("{shown:?}, the first {values_max}, by {by:?}");
    Some(Insight { name: name?, fields: shown, top: top?, windows, values_max, paths: fields, time, definition })
}

/// An insight's own name, or that of its fields. No two are alike.
fn name(section: &Section<'_>, fields: &[String], index: usize, taken: &[Insight]) -> Option<String> {
    let is_taken = |name: &str| taken.iter().any(|other| other.name == name);
    if section.has("name") {
        let name = section.text("name")?;
        if name.is_empty() {
            section.wrong("name", "a name has to stand here");
            return None;
        }
        if is_taken(&visible(name)) {
            section.wrong("name", format!("another insight is called {}", excerpt(name.as_bytes())));
            return None;
        }
        return Some(visible(name));
    }
    let default = fields.join(", ");
    Some(if is_taken(&default) { format!("{default} (insight {})", index + 1) } else { default })
}

/// A whole number from 1 on.
fn whole(section: &Section<'_>, name: &str, default: usize, most: usize) -> Option<usize> {
    if !section.has(name) {
        return Some(default);
    }
    let number = match section.number(name)? {
        Number::Whole(number) => usize::try_from(number).ok().filter(|number| (1..=most).contains(number)),
        Number::Double(_) => None,
    };
    if number.is_none() {
        section.wrong(name, format!("a whole number from 1 to {most} has to stand here"));
    }
    number
}

/// The windows, if there are any; `None` where something is wrong with them.
fn windows(section: &Section<'_>) -> Option<Option<WindowsOf>> {
    if !section.has("window") {
        let without = ["slide", "time", "unit", "lateness"].into_iter().find(|name| section.has(name));
        if let Some(name) = without {
            section.wrong(name, "it is of use only with window, as in window = \"1m\"");
        }
        return without.is_none().then_some(None);
    }
    let (size_ms, slide_ms) = (length(section, "window"), section.has("slide").then(|| length(section, "slide")));
    let lateness_ms = if section.has("lateness") { section.duration_ms("lateness") } else { Some(0) };
    let (size_ms, lateness_ms) = (size_ms?, lateness_ms?);
    let slide_ms = slide_ms.unwrap_or(Some(size_ms))?;
    if size_ms % slide_ms != 0 {
        section.wrong("slide", "a window has to be a whole number of slides, as in window = \"1m\", slide = \"10s\"");
        return None;
    }
    if size_ms / slide_ms > SLIDES_MAX {
        section.wrong("slide", format!("a window has {SLIDES_MAX} slides at most"));
        return None;
    }
    Some(Some(WindowsOf { size_ms, slide_ms, lateness_ms }))
}

fn length(section: &Section<'_>, name: &str) -> Option<i64> {
    match section.duration_ms(name)? {
        0 => {
            section.wrong(name, "it has to have a length");
            None
        }
        long if long > LENGTH_MS_MAX => {
            section.wrong(name, "longer than ten years");
            None
        }
        length => Some(length),
    }
}

/// Where the time is, if that is said; `None` where something is wrong with it.
fn time(section: &Section<'_>, paths: &mut Paths) -> Option<Option<(PathId, Unit)>> {
    let unit = if section.has("unit") { section.word("unit", &Unit::ALL) } else { Some(Unit::Millisecond) };
    match (section.has("time"), section.has("unit")) {
        (true, _) => Some(Some((section.field("time", paths)?, unit?))),
        (false, true) if section.has("window") => {
            section.wrong("unit", "the record's own timestamp has no unit to choose; say which field with time");
            None
        }
        _ => Some(None),
    }
}

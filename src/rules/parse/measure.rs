//! A rule file of measures: `[measure]`, and before it the `[[rule]]` tables that `clean` has as well.

use super::aggregates::aggregates;
use super::kinds::time_of;
use super::section::{Errors, Section};
use super::{Read, rule, toml};
use crate::rules::RuleError;
use crate::rules::aggregate::{AggregateKind, AggregateSpec};
use crate::rules::measure::{MeasurePlan, Measures, Unnest, WINDOW_COLUMNS, Windowing};
use crate::rules::paths::{PathId, Paths, ROOT};
use std::sync::Arc;

const NAMES: [&str; 6] = ["by", "window", "time", "unit", "unnest", "aggregates"];

/// Where the groups of `clean` have what was put together already.
const PUT_TOGETHER: &str = "aggregates";

pub(in crate::rules) fn measures(text: &str) -> Result<Measures, Vec<RuleError>> {
    let errors = Errors::new(text);
    let Some(table) = toml(text, &errors) else { return Err(errors.into_sorted()) };
    let (mut read, mut paths) = (Read::default(), Paths::new());
    let top = Section::new(&errors, table.get_ref(), 0, String::new());
    top.only(&["rule", "measure"]);
    for (index, section) in top.sections("rule").into_iter().enumerate() {
        if section.has("lookup") {
            section.wrong("lookup", "only clean looks up in other topics: measure what comes out of it");
        }
        rule(index, section, &mut read, &mut paths);
    }
    if !top.has("measure") {
        errors.add(0, "", "nothing is measured: a [measure] section is missing");
    }
    let section = top.section("measure").map(|section| section.called("measure".to_owned()));
    let plan = section.and_then(|section| plan(&section, &mut paths));
    match plan {
        Some(plan) if errors.len() == 0 => {
            Ok(Measures { rules: Arc::new(read.into_rules(paths)), plan: Arc::new(plan) })
        }
        _ => Err(errors.into_sorted()),
    }
}

fn plan(section: &Section<'_>, record: &mut Paths) -> Option<MeasurePlan> {
    section.only(&NAMES);
    section.needs("aggregates", "{ records = \"count\", mean_age = { mean = \"age\" } }");
    let array = match section.has("unnest") {
        true => Some(section.field("unnest", record)?),
        false => None,
    };
    // Members have fields of their own.
    let mut member = Paths::new();
    let paths = if array.is_some() { &mut member } else { record };
    let by = section.fields("by", paths);
    let window = window(section, paths);
    let aggregates = aggregates(section, "aggregates", paths);
    if array.is_none() {
        aggregates.iter().for_each(|aggregate| refuse_put_together(section, aggregate, paths));
    }
    let columns = columns(section, &by, window.as_ref(), &aggregates, paths);
    let spread = aggregates.iter().filter(|aggregate| aggregate.kind.is_spread()).count();
    let unnest = array.map(|array| Unnest { array, paths: member });
    Some(MeasurePlan { by, window, unnest, aggregates, spread, columns })
}

fn window(section: &Section<'_>, paths: &mut Paths) -> Option<Windowing> {
    let time = time_of(section, paths);
    if !section.has("window") {
        if section.has("time") {
            section.wrong("time", "times are of use with a window only: write window = \"1h\" beside it");
        }
        return None;
    }
    let size_ms = section.duration_ms("window")?;
    if size_ms == 0 {
        section.wrong("window", "a window has to have a length");
        return None;
    }
    Some(Windowing { size_ms, time: time? })
}

/// What cannot be had from what was put together already.
fn refuse_put_together(section: &Section<'_>, aggregate: &AggregateSpec, paths: &Paths) {
    let what = match aggregate.kind {
        AggregateKind::Mean => "a mean",
        AggregateKind::Quantile(_) => "a quantile",
        AggregateKind::Distinct => "a number of different values",
        _ => return,
    };
    let of_groups = paths.child(ROOT, PUT_TOGETHER.as_bytes());
    if aggregate.path != ROOT && of_groups.is_some_and(|of_groups| paths.is_within(aggregate.path, of_groups)) {
        let message = format!(
            "{}: {what} cannot be had of aggregates: what groups come to does not say what their records were. Have clean's \
             group_by write members = true, and measure with unnest = \"members\"; where {PUT_TOGETHER} is a field of your own, \
             rename it by a [[rule]] first",
            aggregate.name
        );
        section.wrong("aggregates", message);
    }
}

/// The names of the answer's columns, which have to differ.
fn columns(
    section: &Section<'_>,
    by: &[PathId],
    window: Option<&Windowing>,
    aggregates: &[AggregateSpec],
    paths: &Paths,
) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    if window.is_some() {
        columns.extend(WINDOW_COLUMNS.map(str::to_owned));
    }
    for (name, key) in by
        .iter()
        .map(|path| (paths.shown(*path).to_owned(), "by"))
        .chain(aggregates.iter().map(|aggregate| (aggregate.name.clone(), "aggregates")))
    {
        if columns.contains(&name) {
            section.wrong(key, format!("two columns would be called {name}"));
        }
        columns.push(name);
    }
    columns
}

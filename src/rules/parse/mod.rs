//! Reads a rule file: TOML, with a `[[rule]]` for each rule, a `[[group_by]]` for each way to group what goes on, an `[[insight]]`
//! for what is counted of it, and `[parquet]` for the columns of its files.

mod aggregates;
mod conditions;
mod group_by;
mod insight;
mod kinds;
mod lookup;
mod measure;
mod section;
mod table;
mod template;
mod values;

use super::group_by::GroupBy;
use super::insight::Insight;
use super::lookup::LookupTopic;
use super::paths::Paths;
use super::step::{Action, Step, Window};
use super::{RuleError, RuleId, Rules, Table};
use crate::base::text::{excerpt, visible};
use section::{Errors, Section};
use toml::Spanned;
use toml::de::DeTable;

pub(super) use measure::measures;

/// Larger than any file that was written by hand.
const FILE_BYTES_MAX: usize = 1 << 20;

/// More rules, or insights, than anybody reads through. Each is looked up among those before.
const RULES_MAX: usize = 10_000;
const INSIGHTS_MAX: usize = 1000;

/// Conditions and values are followed no deeper: dotted names in tables in tables lead deeper than the parser's own limit.
const DEPTH_MAX: usize = 100;

/// What has been read so far.
#[derive(Default)]
struct Read {
    names: Vec<String>,
    steps: Vec<Step>,
    windows: Vec<Window>,
    group_bys: Vec<GroupBy>,
    insights: Vec<Insight>,
    lookups: Vec<LookupTopic>,
    table: Table,
}

pub(super) fn rules(text: &str) -> Result<Rules, Vec<RuleError>> {
    let errors = Errors::new(text);
    let Some(table) = toml(text, &errors) else { return Err(errors.into_sorted()) };
    let (mut read, mut paths) = (Read::default(), Paths::new());
    let top = Section::new(&errors, table.get_ref(), 0, String::new());
    top.only(&["rule", "group_by", "insight", "parquet"]);
    read.table = table::read(top.section("parquet").map(|section| section.called("parquet".to_owned())));
    let (rules, group_bys) = (top.sections("rule"), top.sections("group_by"));
    let insights = top.sections("insight");
    let is_empty = rules.is_empty() && group_bys.is_empty() && insights.is_empty() && !top.has("parquet");
    if is_empty && errors.len() == 0 {
        errors.add(0, "", "no rules: each begins with [[rule]], with [[group_by]] or with [[insight]]");
    }
    let all = [
        ("[[rule]] and [[group_by]]", rules.len() + group_bys.len(), RULES_MAX),
        ("[[insight]]", insights.len(), INSIGHTS_MAX),
    ];
    if let Some((what, count, most)) = all.into_iter().find(|(_, count, most)| count > most) {
        errors.add(0, "", format!("{count} {what}, where {most} are the most"));
        return Err(errors.into_sorted());
    }
    for (index, section) in rules.into_iter().enumerate() {
        rule(index, section, &mut read, &mut paths);
    }
    for (index, section) in group_bys.into_iter().enumerate() {
        group_by::group_by(index, section, &mut read, &mut paths);
    }
    for (index, section) in insights.into_iter().enumerate() {
        let insight = insight::read(index, section, &mut paths, &read.insights);
        read.insights.extend(insight);
    }
    if errors.len() > 0 {
        return Err(errors.into_sorted());
    }
    let rules = read.into_rules(paths);
    lookup::refuse_conflicts(&rules, &top);
    if errors.len() > 0 { Err(errors.into_sorted()) } else { Ok(rules) }
}

/// The file as tables, or what is wrong with it as TOML.
fn toml<'t>(text: &'t str, errors: &Errors<'_>) -> Option<Spanned<DeTable<'t>>> {
    if text.len() > FILE_BYTES_MAX {
        errors.add(0, "", format!("the file has more than {FILE_BYTES_MAX} bytes"));
        return None;
    }
    let (table, broken) = DeTable::parse_recoverable(text);
    for error in &broken {
        errors.add(error.span().map_or(0, |span| span.start), "", format!("no TOML: {}", error.message()));
    }
    // What is left of a file that is no TOML would be complained of for what was lost.
    broken.is_empty().then_some(table)
}

impl Read {
    fn into_rules(self, paths: Paths) -> Rules {
        let Self { names, steps, windows, group_bys, insights, lookups, table } = self;
        Rules { names, steps, windows, group_bys, insights, lookups, paths, table }
    }
}

fn rule(index: usize, section: Section<'_>, read: &mut Read, paths: &mut Paths) {
    let label = format!("rule {}", index + 1);
    let section = section.called(label.clone());
    let mut allowed = vec!["name"];
    allowed.extend(kinds::NAMES);
    let before = section.errors.len();
    section.only(&allowed);
    let kinds: Vec<&str> =
        section.names().into_iter().map(|(name, _)| name).filter(|name| kinds::NAMES.contains(name)).collect();
    let kind = match kinds.as_slice() {
        [kind] => kind,
        [] if section.errors.len() > before => return,
        [] => return section.wrong("", format!("says nothing to do: {} is missing", kinds::NAMES.join(", "))),
        [_, second, ..] => {
            let message = format!("{} stand in one rule: give each a [[rule]]", kinds.join(" and "));
            return section.wrong(second, message);
        }
    };
    let id = RuleId(read.names.len());
    let Some(body) = section.section(kind) else { return };
    let actions = match *kind {
        "lookup" => lookup::read(&body, paths, &mut read.lookups).into_iter().collect(),
        _ => kinds::read(kind, &body, paths),
    };
    let window = kinds::window(kind, &body);
    let default_name = kinds::default_name(kind, &actions, paths);
    read.names.push(name(&section, default_name, &label, &read.names));
    read.windows.extend(window.map(|(window_ms, lateness_ms)| Window { rule: id, window_ms, lateness_ms }));
    read.steps.extend(actions.into_iter().map(|action: Action| Step { rule: id, action }));
}

/// A rule's own name, or what it does and to which fields. No two are alike.
fn name(section: &Section<'_>, default: String, label: &str, taken: &[String]) -> String {
    match section.text("name") {
        Some("") => section.wrong("name", "a name has to stand here"),
        Some(name) if taken.contains(&visible(name)) => {
            section.wrong("name", format!("another rule is called {}", excerpt(name.as_bytes())));
        }
        Some(name) => return visible(name),
        None => {}
    }
    if taken.contains(&default) { format!("{default} ({label})") } else { default }
}

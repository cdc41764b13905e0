//! `kmerge clean check`: what is wrong with a rule file.

use super::rules;
use crate::cli::context::Context;
use crate::cli::exit::UsageError;
use crate::cli::global::OutputForm;
use clap::Args;
use kmerge::base::text::visible;
use kmerge::rules::insight::Insight;
use kmerge::rules::lookup::LookupRule;
use kmerge::rules::{GroupBy, Rules};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  kmerge clean check rules.toml
  kmerge clean check rules.toml --output json
      for an editor: line, column, path and message of each; and what is looked up, grouped and counted

Exit status: 0 if the file is right, 2 if not.";

/// Say everything that is wrong with a rule file. Needs no cluster.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct CheckArgs {
    /// The rule file.
    #[arg(value_name = "RULES")]
    file: PathBuf,
}

impl CheckArgs {
    pub fn run(self, cx: &Context) -> anyhow::Result<()> {
        let checked = rules::checked(&self.file)?;
        let groups = checked.as_ref().map(groups).unwrap_or_default();
        let errors = checked.as_ref().err().map(Vec::as_slice).unwrap_or_default();
        let wrong: Vec<Value> = errors
            .iter()
            .map(|error| {
                json!({ "line": error.line, "column": error.column, "path": error.path, "message": error.message })
            })
            .collect();
        let file = self.file.display().to_string();
        if errors.is_empty() || cx.global.output == OutputForm::Json {
            let rules = checked.as_ref().map_or(0, |rules| rules.len() - groups.len());
            let mut text = format!("{file}: nothing wrong");
            for one in &groups {
                let of = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
                let _ = write!(text, "\n  {}: a record to {} for each {}", of("name"), of("to"), of("each"));
            }
            let lookups = checked.as_ref().map(lookups).unwrap_or_default();
            for one in &lookups {
                let of = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
                let _ = write!(text, "\n  {}: {}", of("name"), of("takes"));
            }
            let insights = checked.as_ref().map(Rules::insights).unwrap_or_default();
            for insight in insights {
                let _ = write!(text, "\n  {}", insight.describe());
            }
            let insights: Vec<Value> = insights.iter().map(insight).collect();
            let json = json!({ "file": file, "ok": errors.is_empty(), "errors": wrong, "rules": rules, "group_by": groups,
                "insights": insights, "lookups": lookups });
            cx.print(&text, &json)?;
        }
        match errors.is_empty() {
            true => Ok(()),
            false => Err(UsageError::new(rules::show(&self.file, errors)).into()),
        }
    }
}

/// What an insight counts, as a JSON object.
fn insight(insight: &Insight) -> Value {
    let windows = insight.windows;
    json!({
        "name": insight.name,
        "fields": insight.fields,
        "top": insight.top,
        "values_max": insight.values_max,
        "window_ms": windows.map(|windows| windows.size_ms),
        "slide_ms": windows.map(|windows| windows.slide_ms),
        "lateness_ms": windows.map(|windows| windows.lateness_ms),
    })
}

/// What is looked up, as JSON objects.
fn lookups(rules: &Rules) -> Vec<Value> {
    let one = |LookupRule { rule, field, topic, takes }: LookupRule| {
        let taken: Vec<String> =
            takes.iter().map(|(to, from)| if to == from { to.clone() } else { format!("{to} (its {from})") }).collect();
        let fields: serde_json::Map<String, Value> = takes.iter().map(|(to, from)| (to.clone(), json!(from))).collect();
        let said = format!("{} of what {topic} has under {field}", taken.join(", "));
        json!({ "name": visible(rules.name(rule)), "topic": topic, "field": field, "take": fields, "takes": said })
    };
    rules.lookup_rules().into_iter().map(one).collect()
}

/// What groups are made, as JSON objects.
fn groups(rules: &Rules) -> Vec<Value> {
    let one = |by: &GroupBy| {
        json!({
            "name": visible(rules.name(by.rule())),
            "to": by.to(),
            "window_ms": by.window_ms(),
            "lateness_ms": by.lateness_ms(),
            "each": rules.describe(by),
        })
    };
    rules.group_bys().iter().map(one).collect()
}

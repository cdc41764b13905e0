//! `kmerge clean check`: what is wrong with a rule file.

use super::rules;
use crate::cli::context::Context;
use crate::cli::exit::UsageError;
use crate::cli::global::OutputForm;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  kmerge clean check rules.toml
  kmerge clean check rules.toml --output json
      for an editor: line, column, path and message of each

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
        let errors = rules::checked(&self.file)?.err().unwrap_or_default();
        let wrong: Vec<Value> = errors
            .iter()
            .map(|error| {
                json!({ "line": error.line, "column": error.column, "path": error.path, "message": error.message })
            })
            .collect();
        let file = self.file.display().to_string();
        if errors.is_empty() || cx.global.output == OutputForm::Json {
            let json = json!({ "file": file, "ok": errors.is_empty(), "errors": wrong });
            cx.print(&format!("{file}: nothing wrong"), &json)?;
        }
        match errors.is_empty() {
            true => Ok(()),
            false => Err(UsageError::new(rules::show(&self.file, &errors)).into()),
        }
    }
}

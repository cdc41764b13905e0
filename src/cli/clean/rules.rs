//! A rule file, read and checked: whatever is wrong with it is told at once.

use crate::cli::exit::UsageError;
use kmerge::rules::{RuleError, Rules};
use std::fmt::Write as _;
use std::path::Path;

/// Rule files are small; what is longer is something else.
const BYTES_MAX: u64 = 16 << 20;

/// The rules of a file, or the usage error that names everything that is wrong with it.
pub fn read(path: Option<&Path>) -> anyhow::Result<Rules> {
    let path = path.unwrap_or(Path::new(""));
    match checked(path)? {
        Ok(rules) => Ok(rules),
        Err(errors) => Err(UsageError::new(show(path, &errors)).into()),
    }
}

/// The rules of a file, or what is wrong with them.
pub fn checked(path: &Path) -> anyhow::Result<Result<Rules, Vec<RuleError>>> {
    Ok(Rules::parse(&text(path)?))
}

/// The text of a rule file.
pub fn text(path: &Path) -> anyhow::Result<String> {
    let refused = |why: String| UsageError::new(format!("{}: {why}", path.display()));
    let looked = std::fs::metadata(path).map_err(|error| refused(error.to_string()))?;
    if looked.len() > BYTES_MAX {
        return Err(refused("larger than any rule file (16 MiB)".to_owned()).into());
    }
    Ok(std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?)
}

/// Every error on a line of its own, as compilers have them.
pub fn show(path: &Path, errors: &[RuleError]) -> String {
    let mut text = format!("{} thing(s) wrong with the rules; nothing was started", errors.len());
    for error in errors {
        let _ = write!(text, "\n  {}: {error}", path.display());
    }
    text
}

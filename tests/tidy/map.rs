//! The map in `src/lib.rs` and the README name what is there, and nothing else.

use std::collections::BTreeSet;

/// The folders whose paths a document may name.
const TOP: &[&str] = &["src/", "tests/", "benches/", "compose/", ".ci/"];

/// The documentation of a module: its `//!` lines without the marks.
pub(crate) fn documentation(text: &str) -> String {
    text.lines().filter_map(|line| line.strip_prefix("//!")).map(str::trim_start).collect::<Vec<_>>().join("\n")
}

/// Modules and folders that the map leaves out, or in another order than the `mod` lines.
pub(crate) fn left_out(map: &str, modules: &[String], files: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let entries: Vec<(&str, &str)> = entries(map);
    let named: Vec<&str> = entries.iter().map(|(name, _)| *name).collect();
    if named != modules {
        found.push(format!("the map lists {named:?}, the mod lines are {modules:?}: give each one line \"- [`name`]: …\", in that order"));
    }
    for folder in folders(files).into_iter().filter(|folder| !format!("{folder}/").contains("/tests/")) {
        let known = match folder.split_once('/') {
            Some((module, inner)) if modules.iter().any(|name| name == module) => entries
                .iter()
                .find(|(name, _)| *name == module)
                .is_some_and(|(_, text)| mentions(text, inner.rsplit('/').next().unwrap_or(inner))),
            Some(_) => map.contains(&format!("src/{folder}/")),
            None => modules.contains(&folder) || map.contains(&format!("src/{folder}/")),
        };
        if !known {
            found.push(format!(
                "the folder src/{folder}/ is not on the map: name it in its module's line of src/lib.rs"
            ));
        }
    }
    found
}

/// Paths a document names that are not there.
pub(crate) fn dangling(document: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let named: BTreeSet<&str> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || "_-./".contains(c)))
        .map(|word| word.trim_start_matches("./").trim_end_matches(['.', '/']))
        .filter(|word| TOP.iter().any(|top| word.starts_with(top)))
        // A name in capitals stands for any name.
        .filter(|word| !word.split('/').any(|part| part.len() > 1 && part.chars().all(|c| c.is_ascii_uppercase())))
        .collect();
    let missing = named.into_iter().filter(|path| !exists(path));
    missing.map(|path| format!("{document} names {path}, which is not there")).collect()
}

/// The bulleted modules of the map with the text of each.
fn entries(map: &str) -> Vec<(&str, &str)> {
    map.split("\n- [`")
        .skip(1)
        .filter_map(|entry| entry.split_once("`]"))
        .map(|(name, text)| (name, text.split("\n\n").next().unwrap_or(text)))
        .collect()
}

/// The name as a word, in the singular or the plural.
fn mentions(text: &str, name: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .any(|word| word == name || word.strip_suffix('s') == Some(name))
}

/// The folders below src/, without that name.
fn folders(files: &[String]) -> BTreeSet<String> {
    let inside = files.iter().filter_map(|path| path.strip_prefix("src/"));
    inside.filter_map(|path| path.rsplit_once('/')).map(|(folder, _)| folder.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "The map.\n\n- [`jobs`]: whole jobs: `merge` (the\n  plain one).\n- [`base`]: words.\n\nThe binary (`src/cli/`) stands above.";

    fn left(files: &[&str]) -> Vec<String> {
        let files: Vec<String> = files.iter().map(|&path| path.to_owned()).collect();
        left_out(MAP, &["jobs".to_owned(), "base".to_owned()], &files)
    }

    #[test]
    fn a_whole_map_is_fine() {
        assert_eq!(
            left(&["src/lib.rs", "src/jobs/mod.rs", "src/jobs/merge/plain.rs", "src/cli/mod.rs", "src/base.rs"]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_folder_or_a_module_that_is_not_on_the_map_is_found() {
        assert_eq!(left(&["src/jobs/sort/mod.rs"]).len(), 1);
        assert_eq!(left(&["src/tools/mod.rs"]).len(), 1);
        assert_eq!(left_out(MAP, &["jobs".to_owned()], &[]).len(), 1);
        assert_eq!(left_out(MAP, &["base".to_owned(), "jobs".to_owned()], &[]).len(), 1);
    }

    #[test]
    fn a_path_that_is_not_there_is_found() {
        let text = "See `src/old.rs`, (src/jobs/), tests/scenario/NAME/run and https://example.org/src/x.";
        assert_eq!(
            dangling("README.md", text, |path| path == "src/jobs"),
            ["README.md names src/old.rs, which is not there"]
        );
    }
}

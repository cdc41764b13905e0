//! Imports run down the `mod` lines of `src/lib.rs`, and stages never meet; a foreign crate is named in its one place.

use crate::source::Source;

/// What a job puts together. None of them knows another one, so each can be read, tested and timed alone.
const STAGES: &[&str] = &["merge", "keys", "client", "broker"];

/// Crate, where it may be named, what to use elsewhere.
const FOREIGN: &[(&str, &[&str], &str)] = &[
    (
        "rskafka",
        &["src/client/rskafka.rs", "src/jobs/merge/", "src/jobs/generate", "src/broker/tests/rskafka.rs"],
        "the types of client/",
    ),
    (
        "chrono",
        &["src/client/rskafka.rs", "src/jobs/merge/", "src/jobs/generate", "src/broker/tests/rskafka.rs"],
        "base::time",
    ),
    ("clap", &["src/cli/", "src/main.rs"], "settings of the job, filled by cli/"),
    ("anyhow", &["src/cli/", "src/main.rs"], "an error enum with coordinates"),
    ("indicatif", &["src/cli/"], "observe::progress"),
    (
        "rustix",
        &["src/cli/exec.rs", "src/cli/nice.rs", "src/jobs/torture/signals.rs", "src/observe/usage.rs"],
        "the standard library",
    ),
    ("flate2", &["src/batch/"], "batch::Codec"),
    ("snap", &["src/batch/"], "batch::Codec"),
    ("lz4_flex", &["src/batch/"], "batch::Codec"),
    ("ruzstd", &["src/batch/"], "batch::Codec"),
    ("parquet", &["src/formats/parquet/"], "formats::parquet"),
    ("toml", &["src/rules/parse/"], "rules::Rules"),
    ("regex", &["src/rules/"], "keys::Filter, or rules::Rules"),
];

/// The modules of `src/lib.rs`, from the top down.
pub(crate) fn modules(library: &Source) -> Vec<String> {
    let starts = (0..library.tokens.len()).filter(|&at| library.stands(at, &["pub", "mod"]));
    starts.filter_map(|at| library.words(at + 2).next().map(str::to_owned)).collect()
}

/// Imports that run up the list, or from one stage into another.
pub(crate) fn upward(source: &Source, modules: &[String]) -> Vec<String> {
    let Some(from) = module_of(&source.path).filter(|from| modules.contains(from)) else { return Vec::new() };
    let rank = |name: &str| modules.iter().position(|module| module == name);
    let mut found = Vec::new();
    for (to, line) in imports(source) {
        let complaint = if rank(&to) < rank(&from) {
            "imports only run down the mod lines of src/lib.rs: move what both need further down"
        } else if to != from && STAGES.contains(&to.as_str()) && STAGES.contains(&from.as_str()) {
            "stages never meet: let the job bring them together, or put what both need into a module below"
        } else {
            continue;
        };
        if rank(&to).is_some() {
            found.push(format!("{}:{line}: {from} imports {to}; {complaint}", source.path));
        }
    }
    found
}

/// Foreign crates out of their place.
pub(crate) fn foreign(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        let Some((name, places, instead)) = FOREIGN.iter().find(|(name, ..)| *name == token.text) else { continue };
        let before = at.checked_sub(1).map_or("", |at| source.tokens[at].text.as_str());
        // A module of ours may have a crate's name: it is reached by a path, or declared.
        let ours = (before == "::" && !is_absolute(source, at)) || before == "mod";
        let used = source.stands(at + 1, &["::"]) || before == "use";
        if used && !ours && !places.iter().any(|place| source.path.starts_with(place)) {
            found.push(format!("{}:{}: {name} is named in {places:?} only; use {instead}", source.path, token.line));
        }
    }
    found
}

/// `::name` at the start of a path.
fn is_absolute(source: &Source, at: usize) -> bool {
    let before = at.checked_sub(2).map_or("", |at| source.tokens[at].text.as_str());
    !before.chars().all(|c| c.is_alphanumeric() || c == '_') || before == "use" || before.is_empty()
}

/// `src/keys/plan.rs` belongs to `keys`; the binary's own files to nobody.
fn module_of(path: &str) -> Option<String> {
    let inside = path.strip_prefix("src/")?;
    Some(inside.split('/').next()?.trim_end_matches(".rs").to_owned())
}

/// The top modules a file names through `crate::…` or `super::…`, with lines.
fn imports(source: &Source) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        let starts = at == 0 || source.tokens[at - 1].text != "::";
        let root = match token.text.as_str() {
            "crate" => source.stands(at + 1, &["::"]).then_some(at + 2),
            "super" if starts => climbs_to_root(source, at),
            _ => None,
        };
        if let Some(at) = root {
            found.extend(heads(source, at).into_iter().map(|name| (name, token.line)));
        }
    }
    found
}

/// Where a chain of `super::` ends, if it ends at the crate's root.
fn climbs_to_root(source: &Source, at: usize) -> Option<usize> {
    let mut after = at;
    let mut climbed = 0;
    while source.stands(after, &["super", "::"]) {
        (after, climbed) = (after + 2, climbed + 1);
    }
    let inside = source.path.strip_prefix("src/")?.trim_end_matches(".rs").trim_end_matches("/mod");
    let depth = inside.split('/').count() + source.tokens[at].inline_mods;
    (climbed == depth).then_some(after)
}

/// The first names of what follows: one, or those of a `{a::b, c}`.
fn heads(source: &Source, at: usize) -> Vec<String> {
    if !source.stands(at, &["{"]) {
        return source.words(at).take(1).map(str::to_owned).collect();
    }
    let (mut depth, mut head, mut found) = (0_usize, false, Vec::new());
    for word in source.words(at) {
        match word {
            "{" => (depth, head) = (depth + 1, depth == 0),
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            "," => head = depth == 1,
            name => {
                if head {
                    found.push(name.to_owned());
                }
                head = false;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules() -> Vec<String> {
        ["jobs", "merge", "keys", "client", "broker", "wire", "base"].map(str::to_owned).to_vec()
    }

    fn complaints(path: &str, text: &str) -> usize {
        upward(&Source::new(path, text), &modules()).len()
    }

    #[test]
    fn the_mod_lines_give_the_order() {
        let text = "//! [`c`]\n// pub mod x;\npub mod b;\n\npub mod a;\nmod private;\n";
        assert_eq!(super::modules(&Source::new("src/lib.rs", text)), ["b", "a"]);
    }

    #[test]
    fn imports_that_run_up_are_found_however_they_are_written() {
        assert_eq!(complaints("src/wire/mod.rs", "use crate::client::Cluster;"), 1);
        assert_eq!(complaints("src/wire/mod.rs", "fn f() { crate::client::probe() }"), 1);
        assert_eq!(complaints("src/wire/mod.rs", "use crate::{base::{text, units}, client::{self}, jobs};"), 2);
        assert_eq!(complaints("src/wire/mod.rs", "use super::client;"), 1);
        assert_eq!(complaints("src/wire/fetch.rs", "use super::super::client;"), 1);
        assert_eq!(complaints("src/ports.rs", "use super::jobs;"), 0, "ports is not in this list");
        assert_eq!(complaints("src/base.rs", "#[cfg(test)] mod tests { use super::super::jobs; }"), 1);
    }

    #[test]
    fn imports_that_run_down_or_stay_inside_are_fine() {
        assert_eq!(
            complaints("src/wire/fetch.rs", "use crate::base::text; use super::Reader; use crate::wire::Writer;"),
            0
        );
        assert_eq!(complaints("src/base/mod.rs", "mod tests { use super::*; use super::jobs; }"), 0);
        assert_eq!(complaints("src/jobs/merge/mod.rs", "use crate::{merge, keys, client, broker};"), 0);
        assert_eq!(
            complaints("src/wire/mod.rs", "// use crate::jobs;\nlet x = \"crate::jobs\"; /// [`crate::jobs`]\n"),
            0
        );
        assert_eq!(complaints("src/cli/mod.rs", "use crate::jobs;"), 0, "the binary's own tree");
    }

    #[test]
    fn stages_never_meet_in_either_direction() {
        assert_eq!(complaints("src/merge/mod.rs", "use crate::keys::Key;"), 1);
        assert_eq!(complaints("src/keys/mod.rs", "use crate::merge::Order;"), 1);
        assert_eq!(complaints("src/client/mod.rs", "use crate::broker::Broker;"), 1);
        assert_eq!(complaints("src/broker/mod.rs", "use crate::client::Cluster;"), 1);
    }

    #[test]
    fn a_foreign_crate_is_found_out_of_its_place_and_our_module_of_that_name_is_not() {
        let count = |path: &str, text: &str| foreign(&Source::new(path, text)).len();
        assert_eq!(count("src/keys/mod.rs", "use rskafka::record::Record;"), 1);
        assert_eq!(count("src/keys/mod.rs", "fn f(r: &rskafka::record::Record) {}"), 1);
        assert_eq!(count("src/keys/mod.rs", "fn f() -> ::anyhow::Result<()> {}"), 1);
        assert_eq!(count("src/jobs/mod.rs", "use {clap::Parser, std::fmt};"), 1);
        assert_eq!(
            count("src/client/mod.rs", "pub mod rskafka; use self::rskafka::Old; use crate::client::rskafka::Old;"),
            0
        );
        assert_eq!(count("src/client/rskafka.rs", "use rskafka::client::Client;"), 0);
        assert_eq!(count("src/cli/merge.rs", "use clap::Args; use anyhow::Result;"), 0);
    }
}

//! The house style as a test: the order of imports, the map, one place for each foreign crate, nothing left lying about.

mod bans;
mod imports;
mod map;
mod source;

use source::{Source, files, read, root, sources};

/// Everything of ours that is written by hand.
const FOLDERS: &[&str] = &["src", "tests", "benches", "compose", ".ci"];

fn holds(problems: impl IntoIterator<Item = String>) {
    let problems: Vec<String> = problems.into_iter().collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

fn library() -> Source {
    Source::new("src/lib.rs", &read("src/lib.rs"))
}

#[test]
fn imports_only_run_down_the_mod_lines_and_stages_never_meet() {
    let modules = imports::modules(&library());
    assert!(modules.len() > 5, "the mod lines of src/lib.rs were not understood: {modules:?}");
    holds(sources("src").iter().flat_map(|source| imports::upward(source, &modules)));
}

#[test]
fn a_foreign_crate_is_named_in_its_place_only() {
    holds(sources("src").iter().flat_map(imports::foreign));
}

#[test]
fn the_map_names_every_module_and_folder() {
    let map = map::documentation(&library().text);
    holds(map::left_out(&map, &imports::modules(&library()), &files("src")));
}

#[test]
fn the_map_and_the_readme_name_only_what_is_there() {
    let exists = |path: &str| root().join(path).exists();
    let map = map::documentation(&library().text);
    holds(map::dangling("src/lib.rs", &map, exists).into_iter().chain(map::dangling(
        "README.md",
        &read("README.md"),
        exists,
    )));
}

#[test]
fn no_source_file_is_longer_than_one_idea() {
    holds(sources("src").iter().filter_map(bans::too_long));
}

#[test]
fn nothing_is_left_unfinished_ignored_or_printed() {
    holds(
        ["src", "tests", "benches"].iter().flat_map(|folder| sources(folder)).flat_map(|source| bans::banned(&source)),
    );
}

#[test]
fn fault_72_only_the_clock_knows_the_time_of_day() {
    holds(sources("src").iter().flat_map(bans::wall_clocks));
}

#[test]
fn tests_wait_for_conditions_and_do_not_sleep() {
    holds(
        ["src", "tests", "benches"].iter().flat_map(|folder| sources(folder)).flat_map(|source| bans::sleeps(&source)),
    );
}

#[test]
fn nothing_names_the_paths_of_one_machine() {
    let top = ["README.md", "Cargo.toml"].map(str::to_owned);
    let all = FOLDERS.iter().flat_map(|folder| files(folder)).chain(top);
    // Vectors are bytes, not text.
    let texts = all.filter_map(|path| Some((std::fs::read_to_string(root().join(&path)).ok()?, path)));
    holds(texts.flat_map(|(text, path)| bans::machine_paths(&path, &text)));
}

#[test]
fn whoever_needs_real_kafka_has_it_in_the_name_by_which_ci_finds_those() {
    holds(
        ["src", "tests"].iter().flat_map(|folder| sources(folder)).flat_map(|source| bans::nameless_on_kafka(&source)),
    );
}

//! What must not be in the tree, each with what to write instead.

use crate::source::Source;

const LINES_MAX: usize = 500;

/// The tokens, what to do instead.
const BANNED: &[(&[&str], &str)] = &[
    (&["todo", "!"], "write it, or return an error that says what is missing"),
    (&["unimplemented", "!"], "write it, or return an error that says what is missing"),
    (&["dbg", "!"], "tracing::debug! in src/, the assertion's message in tests"),
    (&["#", "[", "ignore"], "a test that needs something absent says \"skipped\" on stderr and returns"),
];

/// The one file that asks for the time of day.
const CLOCK: &str = "src/base/clock.rs";

/// What runs a test on real Kafka, and the files that have it.
const ON_KAFKA: &[&[&str]] = &[&["run_on_kafka", "("], &["story", "::", "kafka", "("]];
const ON_KAFKA_FROM: &[&str] = &["tests/suite/support/cluster.rs", "tests/groups/story.rs"];

/// Whose folders a path begins with when it only holds on one machine.
const MACHINE: &[&str] = &["work", "root", "home", "Users"];

/// A file that is more than one idea.
pub(crate) fn too_long(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    (lines > LINES_MAX).then(|| {
        format!(
            "{} has {lines} lines, at most {LINES_MAX}: give each idea a file; tests may move to a tests.rs beside it",
            source.path
        )
    })
}

pub(crate) fn banned(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        for (tokens, instead) in BANNED {
            if source.stands(at, tokens) {
                found.push(format!("{}:{}: no {}: {instead}", source.path, token.line, tokens.concat()));
            }
        }
    }
    found
}

/// Asking for the time of day, which may jump while somebody waits by it.
pub(crate) fn wall_clocks(source: &Source) -> Vec<String> {
    let asked = (0..source.tokens.len()).filter(|&at| source.stands(at, &["SystemTime"]) && source.path != CLOCK);
    asked
        .map(|at| {
            format!(
                "{}:{}: no SystemTime: wait by Instant, date by base::clock::now_ms",
                source.path, source.tokens[at].line
            )
        })
        .collect()
}

/// Sleeping in tests: either too short for a slow machine or too long for every other one.
pub(crate) fn sleeps(source: &Source) -> Vec<String> {
    let all_is_test =
        !source.path.starts_with("src/") || source.path.ends_with("/tests.rs") || source.path.ends_with("/testing.rs");
    let calls = (0..source.tokens.len()).filter(|&at| source.stands(at, &["sleep", "("]));
    calls
        .map(|at| &source.tokens[at])
        .filter(|token| all_is_test || token.in_test)
        .filter(|token| !source.commented.contains(&token.line) && !source.commented.contains(&(token.line - 1)))
        .map(|token| {
            format!("{}:{}: no sleep in tests: wait for the condition, within a deadline; if the pause itself is meant, say why in a comment on this line or the one above", source.path, token.line)
        })
        .collect()
}

/// Tests on real Kafka without the name by which CI finds them: it is in the path of the file, or in the function's.
pub(crate) fn nameless_on_kafka(source: &Source) -> Vec<String> {
    let is_named = |name: &str| name.contains("kafka");
    let mut found = Vec::new();
    let asks = source.text.contains(&["var(\"KMERGE_TEST_", "BROKERS\")"].concat());
    if asks && !is_named(&source.path) && !ON_KAFKA_FROM.contains(&&*source.path) {
        found.push(format!("{}: it asks for real Kafka: call its file so, or what asks for others", source.path));
    }
    let calls = (0..source.tokens.len()).filter(|&at| ON_KAFKA.iter().any(|call| source.stands(at, call)));
    for at in calls {
        let function = (0..at).rev().find(|&at| source.stands(at, &["fn"])).and_then(|at| source.words(at + 1).next());
        if !is_named(&source.path) && !function.is_some_and(is_named) {
            let line = source.tokens[at].line;
            found.push(format!("{}:{line}: a test on real Kafka has kafka in its name", source.path));
        }
    }
    found
}

/// Paths of one machine in any text.
pub(crate) fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (line, text) in text.lines().enumerate() {
        for folder in MACHINE {
            let needle = format!("/{folder}/");
            let starts = text
                .match_indices(&needle)
                .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || "_-.}".contains(c)));
            if starts {
                found.push(format!("{path}:{}: {needle} is there on one machine only; start from the package's folder, or from a variable", line + 1));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::new(path, text)
    }

    #[test]
    fn a_long_file_is_found() {
        assert!(too_long(&source("src/a.rs", &"x\n".repeat(LINES_MAX))).is_none());
        assert!(too_long(&source("src/a.rs", &"x\n".repeat(LINES_MAX + 1))).is_some());
    }

    #[test]
    fn leftovers_are_found_but_not_their_mention() {
        for bad in
            ["fn f() { todo!() }", "unimplemented!(\"x\")", "dbg!(x)", "#[ignore]\nfn f() {}", "#[ignore = \"slow\"]"]
        {
            assert_eq!(banned(&source("src/a.rs", bad)).len(), 1, "{bad}");
        }
        assert_eq!(banned(&source("src/a.rs", "// todo!()\nlet x = \"dbg!\"; ignore();")), Vec::<String>::new());
    }

    #[test]
    fn who_asks_for_the_time_of_day_is_found_but_not_the_clock() {
        let text = "fn f() { std::time::SystemTime::now(); }";
        assert_eq!(wall_clocks(&source("src/client/retry.rs", text)).len(), 1);
        assert_eq!(wall_clocks(&source(CLOCK, text)).len(), 0);
    }

    #[test]
    fn a_sleep_in_a_test_needs_a_reason() {
        let bad = "#[cfg(test)] mod tests { fn f() { std::thread::sleep(x); } }";
        assert_eq!(sleeps(&source("src/a.rs", bad)).len(), 1);
        assert_eq!(sleeps(&source("tests/a.rs", "tokio::time::sleep(x).await;")).len(), 1);
        assert_eq!(sleeps(&source("src/a.rs", "fn f() { sleep(x) }")).len(), 0, "not a test");
        assert_eq!(sleeps(&source("tests/a.rs", "// Between two looks at the condition.\nsleep(x);")).len(), 0);
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        let [first, ..] = MACHINE else { unreachable!() };
        assert_eq!(machine_paths("a", &format!("cd /{first}/x")).len(), 1);
        assert_eq!(machine_paths("a", &format!("see example.org/{first}/x and $top/{first}/x}}")).len(), 0);
    }

    #[test]
    fn a_test_on_real_kafka_that_ci_would_not_find_is_found() {
        let found = |path: &str, text: &str| nameless_on_kafka(&source(path, text)).len();
        let named = "fn merged_on_kafka() { run_on_kafka(\"merged\", story) }";
        let nameless = "fn kafka() {}\nfn merged() { run_on_kafka(\"merged\", story) }";
        assert_eq!((found("tests/suite/a.rs", named), found("tests/suite/a.rs", nameless)), (0, 1));
        assert_eq!(found("tests/groups/a.rs", "fn $name() { crate::story::kafka(name, story) }"), 1);
        let asks = ["std::env::var(\"KMERGE_TEST_", "BROKERS\")"].concat();
        assert_eq!((found("src/a/tests.rs", &asks), found("src/a/tests/kafka.rs", &asks)), (1, 0));
    }
}

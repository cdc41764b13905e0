//! Rules, as a user writes them, put to records.

use super::*;

/// The rules of a file in which nothing is wrong.
fn rules(text: &str) -> Arc<Rules> {
    let parsed = Rules::parse(text);
    Arc::new(parsed.unwrap_or_else(|errors| panic!("{text}\n{}", shown(&errors))))
}

fn shown(errors: &[RuleError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// One rule of a kind: `"trim", "{ field = … }"`.
fn one(rule: &str) -> Arc<Rules> {
    rules(&format!("[[rule]]\n{rule}\n"))
}

/// What becomes of a value: the JSON, or the verdict in words.
fn cleaned(rules: &Arc<Rules>, value: &[u8]) -> String {
    let mut cleaner = Cleaner::new(Arc::clone(rules));
    let mut out = b"of the record before".to_vec();
    let verdict = cleaner.clean(&Incoming { value: Some(value), timestamp_ms: 1000 }, &mut out);
    let counts = cleaner.take_counts();
    assert_eq!(counts.records, 1);
    let (class, ended) = match &verdict {
        Verdict::Kept => (None, counts.kept),
        Verdict::Filtered { rule } => (None, counts.filtered[rules.name(*rule)]),
        Verdict::Rejected { rule, reason } => {
            (Some(reason.class), counts.rejected[&(rules.name(*rule).to_owned(), reason.class)])
        }
        Verdict::Undecodable { reason } => (Some(reason.class), counts.undecodable[&reason.class]),
    };
    assert_eq!(ended, 1, "{verdict:?}");
    assert_eq!(cleaner.take_counts(), Counts::default(), "they were taken");
    assert!(verdict == Verdict::Kept || out.is_empty(), "{verdict:?}");
    match verdict {
        Verdict::Kept => String::from_utf8(out).unwrap(),
        Verdict::Filtered { rule } => format!("filtered by {}", rules.name(rule)),
        Verdict::Rejected { rule, reason } => format!("{}: {reason} ({})", rules.name(rule), class.unwrap()),
        Verdict::Undecodable { reason } => format!("{reason} ({})", class.unwrap()),
    }
}

/// Puts a rule to values, and compares what becomes of them. `=` is the value itself; what begins with `…` has to be in it.
fn holds(rule: &str, cases: &[(&str, &str)]) {
    let rules = one(rule);
    for (value, expected) in cases {
        let became = cleaned(&rules, value.as_bytes());
        match expected.strip_prefix('…') {
            Some(part) => assert!(became.contains(part), "{rule}\n{value}\nbecame {became}\nwithout {part}"),
            None => {
                let expected = if *expected == "=" { value } else { expected };
                assert_eq!(&became, expected, "{rule}\n{value}");
            }
        }
    }
}

mod kinds;

mod file;

mod input;

mod lookups;

mod oracle;

mod grouping;

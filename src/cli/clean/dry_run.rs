//! `kmerge clean --dry-run`: records before and after, with what differs in colour on a terminal, and what insights count of them.

use crate::cli::context::Context;
use kmerge::base::text::visible;
use kmerge::jobs::clean::{Fate, Seen, preview};
use kmerge::rules::Rules;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::sync::Arc;

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

pub async fn run(
    from: &[String],
    rules: &Arc<Rules>,
    count: usize,
    memory_bytes: usize,
    cx: &Context,
) -> anyhow::Result<()> {
    let looked = preview(from, rules, count, memory_bytes, &cx.job()?).await?;
    let seen = &looked.seen;
    let coloured = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut text: String = seen.iter().map(|seen| show(seen, coloured)).collect();
    for line in looked.insights() {
        let _ = writeln!(text, "insight {line}");
    }
    let mut fates: BTreeMap<&str, usize> = BTreeMap::new();
    for one in seen {
        *fates.entry(one.fate.name()).or_default() += 1;
    }
    cx.print(&text, &looked.to_json())?;
    let fates: Vec<String> = fates.iter().map(|(fate, count)| format!("{count} {fate}")).collect();
    cx.say(&match fates.is_empty() {
        true => "no records".to_owned(),
        false => format!("of the first {} records: {}; nothing was written", seen.len(), fates.join(", ")),
    });
    Ok(())
}

/// The record before and after, a line each; one line where it is the same.
fn show(seen: &Seen, coloured: bool) -> String {
    let before = seen.before.as_deref().map_or_else(|| "null".to_owned(), visible);
    let mut text = format!("{}: {}", seen.at, seen.fate.name());
    match seen.fate.because() {
        (Some(rule), Some(reason)) => _ = write!(text, " by {}: {}", visible(rule), visible(reason)),
        (Some(rule), None) => _ = write!(text, " by {}", visible(rule)),
        (None, _) => {}
    }
    text.push('\n');
    match &seen.fate {
        Fate::Kept(after) if visible(after) == before => _ = writeln!(text, "  {before}"),
        Fate::Kept(after) => {
            let after = visible(after);
            let (removed, added) = differing(&before, &after);
            line(&mut text, '-', &before, removed, coloured.then_some(RED));
            line(&mut text, '+', &after, added, coloured.then_some(GREEN));
        }
        _ => line(&mut text, '-', &before, 0..0, coloured.then_some(RED)),
    }
    for group in &seen.groups {
        let (late, rule, key) =
            (if group.late { "too late for" } else { "in" }, visible(&group.rule), visible(&group.key));
        let _ = writeln!(text, "  {late} {key} of {rule}, the window that begins at {}", group.window_start);
    }
    text
}

fn line(text: &mut String, sign: char, value: &str, differs: std::ops::Range<usize>, colour: Option<&str>) {
    let Some(colour) = colour else {
        let _ = writeln!(text, "{sign} {value}");
        return;
    };
    let parts = (value.get(..differs.start), value.get(differs.clone()), value.get(differs.end..));
    let (start, middle, end) = match parts {
        (Some(start), Some(middle), Some(end)) => (start, middle, end),
        _ => (value, "", ""),
    };
    let _ = writeln!(text, "{colour}{sign} {start}{BOLD}{middle}{PLAIN}{colour}{end}{PLAIN}");
}

/// The parts between what both begin with and what both end with.
fn differing(one: &str, other: &str) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
    let begins: usize =
        one.chars().zip(other.chars()).take_while(|(one, other)| one == other).map(|(c, _)| c.len_utf8()).sum();
    let (rest, other_rest) = (one.get(begins..).unwrap_or_default(), other.get(begins..).unwrap_or_default());
    let ends: usize = rest
        .chars()
        .rev()
        .zip(other_rest.chars().rev())
        .take_while(|(one, other)| one == other)
        .map(|(c, _)| c.len_utf8())
        .sum();
    (begins..one.len() - ends, begins..other.len() - ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kmerge::base::place::TopicPartition;
    use kmerge::jobs::clean::InGroup;

    fn seen(before: &str, fate: Fate) -> Seen {
        Seen { at: TopicPartition::new("t", 1).at(7), before: Some(before.to_owned()), fate, groups: Vec::new() }
    }

    #[test]
    fn what_differs_is_bold_between_what_does_not() {
        let shown = show(&seen(r#"{"a":1,"é":null}"#, Fate::Kept(r#"{"a":1,"é":"x"}"#.to_owned())), true);
        let bold = |colour: &str, sign: char, text: &str| {
            format!("{colour}{sign} {{\"a\":1,\"é\":{BOLD}{text}{PLAIN}{colour}}}{PLAIN}\n")
        };
        let expected = format!("t partition 1 offset 7: kept\n{}{}", bold(RED, '-', "null"), bold(GREEN, '+', "\"x\""));
        assert_eq!(shown, expected);
    }

    #[test]
    fn without_a_terminal_there_is_no_colour_and_what_is_the_same_is_shown_once() {
        assert_eq!(show(&seen("{}", Fate::Kept("{}".to_owned())), false), "t partition 1 offset 7: kept\n  {}\n");
        let rejected = Fate::Rejected { rule: "required a".to_owned(), reason: "a is missing".to_owned() };
        let shown = show(&seen("{\x1b}", rejected), false);
        assert_eq!(shown, "t partition 1 offset 7: rejected by required a: a is missing\n- {\\x1b}\n");
    }

    #[test]
    fn the_groups_of_a_record_stand_below_it() {
        let mut one = seen("{}", Fate::Kept("{}".to_owned()));
        let group = |rule: &str, late| InGroup {
            rule: rule.to_owned(),
            key: "{\"a\":1}".to_owned(),
            window_start: "2024-05-17T12:00:00Z".to_owned(),
            late,
        };
        one.groups = vec![group("by a", false), group("b", true)];
        let shown = show(&one, false);
        let expected = "  {\"a\":1} of by a, the window that begins at 2024-05-17T12:00:00Z";
        assert!(shown.contains(&expected.replacen("  ", "  in ", 1)), "{shown}");
        assert!(
            shown.ends_with("  too late for {\"a\":1} of b, the window that begins at 2024-05-17T12:00:00Z\n"),
            "{shown}"
        );
    }

    #[test]
    fn differences_overlap_nowhere() {
        for (one, other, expected) in [
            ("", "", (0..0, 0..0)),
            ("aa", "aaa", (2..2, 2..3)),
            ("abc", "abc", (3..3, 3..3)),
            ("", "x", (0..0, 0..1)),
            ("éa", "èa", (0..2, 0..2)),
        ] {
            assert_eq!(differing(one, other), expected, "{one} {other}");
        }
    }
}

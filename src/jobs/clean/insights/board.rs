//! What insights tell: the sums over the partitions that an instance has, in all and of the last window.
//!
//! Partitions close their windows each in its time: of the last ones that is told which most partitions have closed.

use super::counting::Counting;
use super::recent::{Recent, Window};
use crate::base::place::TopicPartition;
use crate::base::text::visible;
use crate::base::time::show_epoch_ms;
use crate::base::units::show_count;
use crate::rules::Rules;
use crate::rules::insight::{Insight, Insights, Listing, Value as Counted};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::sync::Arc;

/// A value that is told is cut after so many characters.
const VALUE_CHARS_MAX: usize = 48;

/// See the module's head.
#[derive(Debug)]
pub(in crate::jobs::clean) struct Board {
    rules: Arc<Rules>,
    totals: Vec<Total>,
    windows: Recent,
}

#[derive(Debug, Default, Clone)]
struct Total {
    listing: Listing,
    late: u64,
    untimed: u64,
    missed: u64,
    since: Vec<(TopicPartition, i64)>,
}

/// What is told of one insight.
#[derive(Debug, Clone)]
pub(in crate::jobs::clean) struct Shown {
    insight: Insight,
    total: Total,
    window: Option<(i64, Window)>,
}

impl Board {
    pub(in crate::jobs::clean) fn new(rules: &Arc<Rules>) -> Self {
        let count = rules.insights().len();
        Self { rules: Arc::clone(rules), totals: vec![Total::default(); count], windows: Recent::default() }
    }

    /// These windows have closed, and that is committed.
    pub(in crate::jobs::clean) fn have_closed(&mut self, windows: &Recent) {
        self.windows.merge(windows);
    }

    /// What these have counted in all is committed.
    pub(in crate::jobs::clean) fn stands<'a>(
        &mut self,
        partitions: impl Iterator<Item = (&'a TopicPartition, &'a Counting)>,
    ) {
        let partitions: Vec<(&TopicPartition, &Insights)> =
            partitions.map(|(partition, counting)| (partition, counting.insights())).collect();
        for (number, (total, insight)) in self.totals.iter_mut().zip(self.rules.insights()).enumerate() {
            *total = Total {
                listing: Insights::sum(partitions.iter().map(|(_, insights)| *insights), number, insight.top),
                ..Total::default()
            };
            for (partition, insights) in &partitions {
                let ((since, missed), (late, untimed)) = (insights.since(number), insights.late_and_untimed(number));
                total.late += late;
                total.untimed += untimed;
                total.missed += missed;
                total.since.push(((*partition).clone(), since));
            }
        }
    }

    /// What is to be told now.
    pub(in crate::jobs::clean) fn shown(&self) -> Vec<Shown> {
        let each = self.rules.insights().iter().zip(&self.totals).enumerate();
        each.map(|(number, (insight, total))| {
            let window = self.windows.fullest(number).map(|(start, window)| (start, window.clone()));
            Shown { insight: insight.clone(), total: total.clone(), window }
        })
        .collect()
    }
}

impl Shown {
    /// For people: a line for what was counted in all, and one for the window.
    pub(in crate::jobs::clean) fn lines(&self) -> Vec<String> {
        let (name, top, total) = (&self.insight.name, self.insight.top, &self.total);
        let mut line = format!("{name}: {}", show(&total.listing, top));
        if total.late > 0 {
            let _ = write!(line, "; {} too late for a window", show_count(total.late));
        }
        if total.untimed > 0 {
            let _ = write!(line, "; {} without a time", show_count(total.untimed));
        }
        if total.missed > 0 {
            let missed = show_count(total.missed);
            let _ = write!(line, "; up to {missed} records are missing, deleted before they could be counted again");
        }
        let mut lines = vec![line];
        if let Some((start, window)) = &self.window {
            let end = start.saturating_add(self.insight.windows.map_or(0, |windows| windows.size_ms));
            lines.push(format!(
                "{name}, {} to {}, {} of {} partitions: {}",
                show_epoch_ms(*start),
                show_epoch_ms(end),
                window.partitions,
                total.since.len().max(window.partitions),
                show(&window.listing, top)
            ));
        }
        lines
    }

    /// As one JSON object.
    pub(in crate::jobs::clean) fn to_json(&self) -> Value {
        let (top, total) = (self.insight.top, &self.total);
        let mut json = Map::new();
        json.insert("name".to_owned(), json!(self.insight.name));
        json.insert("fields".to_owned(), json!(self.insight.fields));
        json.insert("partitions".to_owned(), json!(total.since.len()));
        listing(&mut json, &total.listing, top);
        let counts = [("late", total.late), ("untimed", total.untimed), ("missed", total.missed)];
        json.extend(counts.map(|(name, count)| (name.to_owned(), json!(count))));
        let since = total.since.iter();
        let since =
            since.map(|(one, since)| json!({ "topic": *one.topic, "partition": one.partition, "offset": since }));
        json.insert("since".to_owned(), since.collect());
        let window = self.window.as_ref().map(|(start, window)| {
            let end = start.saturating_add(self.insight.windows.map_or(0, |windows| windows.size_ms));
            let mut json = Map::new();
            json.insert("start".to_owned(), json!(show_epoch_ms(*start).to_string()));
            json.insert("end".to_owned(), json!(show_epoch_ms(end).to_string()));
            json.insert("partitions".to_owned(), json!(window.partitions));
            listing(&mut json, &window.listing, top);
            Value::Object(json)
        });
        json.insert("window".to_owned(), json!(window));
        Value::Object(json)
    }
}

/// The first values with their share and count, and what is left.
fn show(listing: &Listing, top: usize) -> String {
    let share = |count: u64| {
        let percent = count as f64 * 100.0 / listing.records.max(1) as f64;
        format!("{percent:.1} % ({})", show_count(count))
    };
    let shown = listing.values.iter().take(top);
    let mut parts: Vec<String> = shown.map(|value| format!("{} {}", text(value), share(value.count))).collect();
    let listed: u64 = listing.values.iter().take(top).map(|value| value.count).sum();
    let others = listing.records.saturating_sub(listed).saturating_sub(listing.other);
    if others > 0 {
        parts.push(format!("others {}", share(others)));
    }
    if listing.other > 0 {
        parts.push(format!("not told apart {}", share(listing.other)));
    }
    if parts.is_empty() {
        return "nothing yet".to_owned();
    }
    let about = if listing.is_exact(top) { "" } else { "about: " };
    format!("{about}{}", parts.join(", "))
}

/// A value as a terminal may show it, without the quotation marks of a text.
fn text(value: &Counted) -> String {
    let json = String::from_utf8_lossy(&value.json);
    let bare = serde_json::from_str::<String>(&json).ok().filter(|text| !text.trim().is_empty());
    let shown = visible(&bare.unwrap_or_else(|| json.into_owned()));
    match shown.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", shown.get(..end).unwrap_or_default()),
        None => shown,
    }
}

fn listing(json: &mut Map<String, Value>, listing: &Listing, top: usize) {
    let values = listing.values.iter().take(top);
    let values = values.map(|value| json!({ "value": as_json(value), "count": value.count }));
    json.insert("records".to_owned(), json!(listing.records));
    json.insert("values".to_owned(), values.collect());
    json.insert("other".to_owned(), json!(listing.other));
    json.insert("exact".to_owned(), json!(listing.is_exact(top)));
}

/// The value; a number that this would change is given as text, as it is written.
fn as_json(value: &Counted) -> Value {
    let text = String::from_utf8_lossy(&value.json);
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::Number(number)) if number.to_string() != text => Value::String(text.into_owned()),
        Ok(json) => json,
        Err(_) => Value::String(text.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::insight::Noted;

    fn shown(values: &[(&str, i64)], rules: &str) -> Shown {
        let rules = Arc::new(Rules::parse(rules).unwrap());
        let (mut board, mut insights) = (Board::new(&rules), Insights::new(&rules, 7, 1 << 20));
        for (value, time) in values {
            insights.count(Noted::of(value.as_bytes(), &[(value.len(), Some(*time))])).unwrap();
        }
        let mut recent = Recent::default();
        std::iter::from_fn(|| insights.next_closed()).for_each(|closed| recent.add(&closed));
        board.have_closed(&recent);
        let counting = Counting::new(insights, super::super::Kept::nothing(7), tokio::time::Instant::now());
        let partition = TopicPartition::new("in", 3);
        board.stands([(&partition, &counting)].into_iter());
        board.shown().remove(0)
    }

    #[test]
    fn before_anything_is_counted_that_is_said() {
        let board = Board::new(&Arc::new(Rules::parse(WINDOWS).unwrap()));
        assert_eq!(board.shown()[0].lines(), ["a: nothing yet"]);
    }

    const WINDOWS: &str = "[[insight]]\nfield = \"a\"\ntop = 2\nwindow = \"1m\"\n";

    #[test]
    fn what_is_told_is_the_share_of_the_first_values_in_all_and_in_the_last_window() {
        let shown = shown(&[(r#""iOS""#, 0), (r#""iOS""#, 1), (r#""""#, 2), ("1.50", 60_000), ("null", 1)], WINDOWS);
        assert_eq!(
            shown.lines(),
            [
                "a: iOS 40.0 % (2), \"\" 20.0 % (1), others 40.0 % (2); 1 too late for a window",
                "a, 1970-01-01T00:00:00Z to 1970-01-01T00:01:00Z, 1 of 1 partitions: iOS 66.7 % (2), \"\" 33.3 % (1)"
            ]
        );
        let json = shown.to_json();
        assert_eq!(
            (&json["name"], &json["records"], &json["late"], &json["exact"]),
            (&json!("a"), &json!(5), &json!(1), &json!(true))
        );
        assert_eq!(json["values"][0], json!({ "value": "iOS", "count": 2 }));
        assert_eq!(json["since"][0], json!({ "topic": "in", "partition": 3, "offset": 7 }));
        assert_eq!((&json["window"]["end"], &json["window"]["records"]), (&json!("1970-01-01T00:01:00Z"), &json!(3)));
    }

    #[test]
    fn numbers_that_json_readers_would_change_are_texts_and_what_could_drive_a_terminal_is_escaped() {
        let value = |json: &str| Counted { json: json.as_bytes().into(), count: 1 };
        for (json, expected) in
            [("1.50", json!("1.50")), ("1e400", json!("1e400")), ("7", json!(7)), ("[1,\"x\"]", json!([1, "x"]))]
        {
            assert_eq!(as_json(&value(json)), expected);
        }
        assert_eq!(text(&value(r#""\u001b[2J""#)), "\\x1b[2J");
        assert_eq!(text(&value(&format!("\"{}\"", "é".repeat(100)))), format!("{}...", "é".repeat(48)));
    }
}

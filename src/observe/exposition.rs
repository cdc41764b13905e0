//! Metrics as Prometheus reads them: the text format 0.0.4.
//!
//! ```text
//! # HELP kafka_brokers Brokers of the cluster.
//! # TYPE kafka_brokers gauge
//! kafka_brokers 2
//! ```
//!
//! A family's samples stand together under its two lines; names are ours, label values may be anything.

use super::latencies::Read;
use std::fmt::Write as _;

/// What such text is called over HTTP.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a number of a family does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Only grows, while the process runs.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often what lasted how long.
    Histogram,
}

/// Text under construction.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// A family that has been begun; samples are added to it.
#[derive(Debug)]
pub struct Family<'a> {
    name: &'static str,
    text: &'a mut String,
}

impl Exposition {
    /// Begins a family. Its name is one that Prometheus takes, and no other family has it.
    pub fn family(&mut self, name: &'static str, sort: Sort, help: &str) -> Family<'_> {
        let kind = match sort {
            Sort::Counter => "counter",
            Sort::Gauge => "gauge",
            Sort::Histogram => "histogram",
        };
        self.text.push_str("# HELP ");
        self.text.push_str(name);
        self.text.push(' ');
        escape(&mut self.text, help, false);
        let _ = writeln!(self.text, "\n# TYPE {name} {kind}");
        Family { name, text: &mut self.text }
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// Adds a sample.
    pub fn sample(&mut self, labels: &[(&'static str, &str)], value: impl Into<f64>) {
        self.put("", labels, value.into());
    }

    /// Adds what a histogram has.
    pub fn histogram(&mut self, read: &Read) {
        for (end, count) in &read.up_to {
            let end = if end.is_finite() { end.to_string() } else { "+Inf".to_owned() };
            self.put("_bucket", &[("le", &end)], *count as f64);
        }
        self.put("_sum", &[], read.sum.as_secs_f64());
        self.put("_count", &[], read.up_to.last().map_or(0, |(_, count)| *count) as f64);
    }

    fn put(&mut self, suffix: &str, labels: &[(&'static str, &str)], value: f64) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        for (place, (name, text)) in labels.iter().enumerate() {
            self.text.push(if place == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(self.text, text, true);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        self.text.push(' ');
        let _ = match value {
            _ if value.is_nan() => writeln!(self.text, "NaN"),
            _ if value.is_infinite() => writeln!(self.text, "{}Inf", if value > 0.0 { '+' } else { '-' }),
            _ => writeln!(self.text, "{value}"),
        };
    }

    /// The same with a whole number, which may be too large to be told exactly.
    pub fn count(&mut self, labels: &[(&'static str, &str)], value: u64) {
        self.sample(labels, value as f64);
    }

    /// The same with an offset.
    pub fn offset(&mut self, labels: &[(&'static str, &str)], value: i64) {
        self.sample(labels, value as f64);
    }
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            // No escape stands for it, and a page with one in it Prometheus drops as a whole.
            '\0' => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
pub(crate) mod strict;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_a_strict_reader_reads() {
        let hostile = "a\\b\"c\nd\u{e9}{}=,\0\r\u{1b}";
        let mut text = Exposition::default();
        let mut family = text.family("kafka_brokers", Sort::Gauge, "Brokers.\nAll \\ of them \"now\".");
        family.sample(&[], 2);
        let mut family = text.family("kmerge_x", Sort::Gauge, "X.");
        family.count(&[("topic", hostile), ("partition", "0")], u64::MAX);
        family.sample(&[("topic", ""), ("partition", "1")], f64::NEG_INFINITY);
        family.sample(&[("topic", ""), ("partition", "2")], f64::NAN);
        family.sample(&[("topic", ""), ("partition", "3")], 1e-9);
        let read = strict::read(&text.finish()).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].help.as_str(), read[0].kind.as_str()), ("Brokers.\nAll \\ of them \"now\".", "gauge"));
        assert_eq!(read[0].samples[0].value, 2.0);
        let others = &read[1].samples;
        assert_eq!(
            others[0].labels,
            [("topic".to_owned(), hostile.replace('\0', "\u{fffd}")), ("partition".into(), "0".into())]
        );
        assert_eq!((others[0].value, others[1].value), (u64::MAX as f64, f64::NEG_INFINITY));
        assert!(others[2].value.is_nan());
        assert_eq!(others[3].value, 1e-9);
    }

    #[test]
    fn the_strict_reader_refuses_what_prometheus_would() {
        let head = "# HELP a A.\n# TYPE a gauge\n";
        assert!(strict::read(&format!("{head}a 1\n")).is_ok());
        for wrong in [
            "a 1",                    // no line end
            "a\n",                    // no value
            "a{b=\"c\" 1\n",          // not closed
            "a{b=\"c\\x\"} 1\n",      // no such escape
            "a{b=\"\0\"} 1\n",        // a NUL, wherever it stands
            "a{b=c} 1\n",             // no quotes
            "a{1b=\"c\"} 1\n",        // no label name
            "a{b=\"1\",b=\"2\"} 1\n", // a label twice
            "a 1\na 1\n",             // a sample twice
            "b 1\n",                  // not of this family
            "a 1x\n",
            "\n",
        ] {
            assert!(strict::read(&format!("{head}{wrong}")).is_err(), "{wrong:?}");
        }
        assert!(strict::read(&format!("{head}a 1\n{head}a 2\n")).is_err(), "a family twice");
        assert!(strict::read("# TYPE a gauge\na 1\n").is_err(), "no help");
        assert!(strict::read("# HELP a A.\n# TYPE a counter\na 1\n").is_err(), "a counter is called _total");
        assert!(strict::read("# HELP a_total A.\n# TYPE a_total counter\na_total -1\n").is_err(), "less than nothing");
    }
}

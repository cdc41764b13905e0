//! A table of a rule file, and what is wrong in it. Reading goes on behind an error, so that all are told at once.

use super::values;
use crate::base::text::{did_you_mean, excerpt, visible};
use crate::base::units::parse_duration;
use crate::rules::RuleError;
use crate::rules::change::Json;
use crate::rules::paths::{PathId, Paths};
use crate::rules::seen::Number;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use toml::de::{DeTable, DeValue};

/// More than anybody reads at once; each has its place counted from the top of the file.
const ERRORS_MAX: usize = 100;

/// What is wrong so far.
pub(super) struct Errors<'t> {
    text: &'t str,
    list: RefCell<Vec<RuleError>>,
    /// Not an error yet: how many patterns the file has, which every section counts.
    patterns: Cell<usize>,
}

impl<'t> Errors<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, list: RefCell::new(Vec::new()), patterns: Cell::new(0) }
    }

    /// Something is wrong at this byte of the file.
    pub(super) fn add(&self, at: usize, path: &str, message: impl Into<String>) {
        if self.len() >= ERRORS_MAX {
            return;
        }
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        self.list.borrow_mut().push(RuleError { line, column, path: path.to_owned(), message: message.into() });
    }

    /// Counts one pattern more, and gives how many there are.
    pub(super) fn count_pattern(&self) -> usize {
        self.patterns.update(|patterns| patterns + 1);
        self.patterns.get()
    }

    pub(super) fn len(&self) -> usize {
        self.list.borrow().len()
    }

    /// All of them, in the order of the file.
    pub(super) fn into_sorted(self) -> Vec<RuleError> {
        let mut list = self.list.into_inner();
        list.sort();
        list.dedup();
        list
    }
}

/// A table.
#[derive(Clone)]
pub(super) struct Section<'a> {
    pub(super) errors: &'a Errors<'a>,
    table: &'a DeTable<'a>,
    /// Where it begins in the file.
    at: usize,
    /// How one comes to it.
    path: String,
}

impl<'a> Section<'a> {
    pub(super) fn new(errors: &'a Errors<'a>, table: &'a DeTable<'a>, at: usize, path: String) -> Self {
        Self { errors, table, at, path }
    }

    /// The same table, come to in these words.
    pub(super) fn called(mut self, path: String) -> Self {
        self.path = path;
        self
    }

    /// Complains of every name that is not one of these.
    pub(super) fn only(&self, names: &[&str]) {
        for key in self.table.keys().filter(|key| !names.contains(&key.get_ref().as_ref())) {
            let name = key.get_ref();
            let near = did_you_mean(name, names.iter().copied());
            let message = format!("there is no {}{near}; here go {}", visible(name), names.join(", "));
            self.errors.add(key.span().start, &self.path, message);
        }
    }

    /// The names that are there, in the order of the file.
    pub(super) fn names(&self) -> Vec<(&'a str, usize)> {
        let mut names: Vec<_> = self.table.keys().map(|key| (key.get_ref().as_ref(), key.span().start)).collect();
        names.sort_by_key(|(_, at)| *at);
        names
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn get(&self, name: &str) -> Option<(&'a DeValue<'a>, usize)> {
        let value = self.table.get(name)?;
        Some((value.get_ref(), value.span().start))
    }

    fn path_of(&self, name: &str) -> String {
        if name.is_empty() { self.path.clone() } else { format!("{}.{name}", self.path) }
    }

    /// Something is wrong with what this name has, or with the whole table.
    pub(super) fn wrong(&self, name: &str, message: impl Into<String>) {
        let at = self.get(name).map_or(self.at, |(_, at)| at);
        self.errors.add(at, &self.path_of(name), message);
    }

    /// Whether a name is there; complains if not.
    pub(super) fn needs(&self, name: &str, example: &str) -> bool {
        let there = self.has(name);
        if !there {
            self.errors.add(self.at, &self.path, format!("{name} is missing, as in {name} = {example}"));
        }
        there
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        match self.get(name)?.0 {
            DeValue::String(text) => Some(text),
            other => {
                self.wrong(
                    name,
                    format!("a text in quotation marks has to stand here, not {}", values::type_name(other)),
                );
                None
            }
        }
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&self, name: &str, all: &[(&'static str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = all.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let words: Vec<&str> = all.iter().map(|(word, _)| *word).collect();
            let near = did_you_mean(text, words.iter().copied());
            self.wrong(name, format!("{} is none of {}{near}", excerpt(text.as_bytes()), words.join(", ")));
        }
        found
    }

    pub(super) fn truth(&self, name: &str) -> Option<bool> {
        match self.get(name)?.0 {
            DeValue::Boolean(truth) => Some(*truth),
            other => {
                self.wrong(name, format!("true or false has to stand here, not {}", values::type_name(other)));
                None
            }
        }
    }

    /// A duration, in milliseconds.
    pub(super) fn duration_ms(&self, name: &str) -> Option<i64> {
        let duration = parse_duration(self.text(name)?);
        match duration.map(|duration| i64::try_from(duration.as_millis())) {
            Ok(Ok(ms)) => Some(ms),
            Ok(Err(_)) => {
                self.wrong(name, "longer than time itself");
                None
            }
            Err(message) => {
                self.wrong(name, message);
                None
            }
        }
    }

    pub(super) fn json(&self, name: &str) -> Option<Json> {
        let json = values::json(self.get(name)?.0);
        json.map_err(|message| self.wrong(name, message)).ok()
    }

    pub(super) fn number(&self, name: &str) -> Option<Number> {
        let number = values::number(self.get(name)?.0);
        if number.is_none() {
            self.wrong(name, "a number has to stand here");
        }
        number
    }

    /// A field.
    pub(super) fn field(&self, name: &str, paths: &mut Paths) -> Option<PathId> {
        let text = self.text(name)?;
        self.field_of(name, text, paths)
    }

    pub(super) fn field_of(&self, name: &str, text: &str, paths: &mut Paths) -> Option<PathId> {
        paths.field(text).map_err(|message| self.wrong(name, message)).ok()
    }

    /// A field, or several in an array; none if something is wrong with them.
    pub(super) fn fields(&self, name: &str, paths: &mut Paths) -> Vec<PathId> {
        let texts: Vec<&str> = match self.get(name).map(|(value, _)| value) {
            None => return Vec::new(),
            Some(DeValue::String(text)) => vec![text],
            Some(DeValue::Array(all)) if !all.is_empty() => {
                let texts = all.iter().filter_map(|text| text.get_ref().as_str());
                texts.collect()
            }
            Some(_) => Vec::new(),
        };
        let count = match self.get(name) {
            Some((DeValue::Array(all), _)) => all.len(),
            _ => 1,
        };
        if texts.is_empty() || texts.len() != count {
            self.wrong(name, "a field has to stand here, or several, as in [\"a\", \"/b/c\"]");
            return Vec::new();
        }
        let fields: Vec<PathId> = texts.iter().filter_map(|text| self.field_of(name, text, paths)).collect();
        let mut before = HashSet::with_capacity(fields.len());
        if let Some(twice) = fields.iter().find(|field| !before.insert(**field)) {
            self.wrong(name, format!("{} stands here twice", paths.shown(*twice)));
        }
        fields
    }

    /// A table inside.
    pub(super) fn section(&self, name: &str) -> Option<Section<'a>> {
        match self.get(name)? {
            (DeValue::Table(table), at) => Some(Section::new(self.errors, table, at, self.path_of(name))),
            (other, _) => {
                self.wrong(name, format!("a table has to stand here, as in {{ … }}, not {}", values::type_name(other)));
                None
            }
        }
    }

    /// An array of tables inside.
    pub(super) fn sections(&self, name: &str) -> Vec<Section<'a>> {
        let Some((value, _)) = self.get(name) else { return Vec::new() };
        let DeValue::Array(all) = value else {
            self.wrong(name, format!("an array of tables has to stand here, not {}", values::type_name(value)));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, value) in all.iter().enumerate() {
            let (at, path) = (value.span().start, format!("{}[{index}]", self.path_of(name)));
            match value.get_ref() {
                DeValue::Table(table) => sections.push(Section::new(self.errors, table, at, path)),
                other => {
                    let message = format!("a table has to stand here, not {}", values::type_name(other));
                    self.errors.add(at, &path, message);
                }
            }
        }
        sections
    }
}

//! A random rule: how it is written in a file, and what it does to a whole document.

use super::super::Class;
use super::values::{NAMES, record, text, value};
use cast::{At, cast, moment};
use condition::Condition;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

mod cast;

mod condition;

/// The names on the way.
pub(super) type Field = Vec<&'static str>;

#[derive(Debug)]
pub(super) struct Rule {
    kind: Kind,
    fail: Fail,
}

#[derive(Debug)]
enum Kind {
    Default(Field, Value),
    Rename(Field, Field),
    Drop(Field),
    Cast(Field, &'static str, &'static str),
    Trim(Field),
    Case(Field, bool),
    Map(Field, Vec<(&'static str, Value)>),
    Range(Field, f64, f64),
    Pattern(Field),
    Required(Field),
    Part(Field, Field, &'static str, &'static str),
    Template(Field, Field, Field),
    /// Field, what is taken as what, and what is there.
    Lookup(Field, Vec<(Field, Field)>, BTreeMap<String, Value>),
    Filter(bool, Condition),
}

#[derive(Debug, Clone)]
enum Fail {
    Reject,
    Null,
    Keep,
    Default(Value),
}

#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Kept(Value),
    Filtered(usize),
    Rejected(usize, Class),
}

pub(super) fn one_of<T: Copy>(random: &mut StdRng, all: &[T]) -> T {
    all[random.random_range(0..all.len())]
}

/// Few names below the top, so that rules meet in what they name.
pub(super) fn field(random: &mut StdRng) -> Field {
    let mut field = vec![one_of(random, &NAMES)];
    for _ in 0..one_of(random, &[0, 0, 0, 1, 1, 2]) {
        field.push(one_of(random, &NAMES[..2]));
    }
    field
}

/// A value that TOML can write.
fn constant(random: &mut StdRng) -> Value {
    fn has_null(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Array(all) => all.iter().any(has_null),
            Value::Object(all) => all.values().any(has_null),
            _ => false,
        }
    }
    std::iter::repeat_with(|| value(random, 2)).find(|value| !has_null(value)).unwrap()
}

pub(super) fn toml(value: &Value) -> String {
    match value {
        Value::Array(all) => format!("[{}]", all.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(all) => {
            let pairs: Vec<String> =
                all.iter().map(|(name, value)| format!("{} = {}", Value::from(name.as_str()), toml(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        // JSON's texts, numbers and truths are TOML's.
        other => other.to_string(),
    }
}

pub(super) fn spelled(field: &Field) -> String {
    let pointer: String = field.iter().map(|name| format!("/{}", name.replace('/', "~1"))).collect();
    let name = if field.len() == 1 && field[0] != "b" { field[0] } else { &pointer };
    Value::from(name).to_string()
}

impl Rule {
    pub(super) fn draw(random: &mut StdRng) -> Self {
        const UNITS: [&str; 4] = ["s", "ms", "us", "ns"];
        let fail = match random.random_range(0..5) {
            0 | 1 => Fail::Reject,
            2 => Fail::Null,
            3 => Fail::Keep,
            _ => Fail::Default(constant(random)),
        };
        let kind = match random.random_range(0..16) {
            0 => Kind::Default(field(random), constant(random)),
            1 => loop {
                let (from, to) = (field(random), field(random));
                if !from.starts_with(&to) && !to.starts_with(&from) {
                    break Kind::Rename(from, to);
                }
            },
            2 => Kind::Drop(field(random)),
            3 | 4 => Kind::Cast(
                field(random),
                one_of(random, &["int", "float", "bool", "string", "time"]),
                one_of(random, &UNITS),
            ),
            5 => Kind::Trim(field(random)),
            6 => Kind::Case(field(random), random.random()),
            7 => {
                let mut pairs: Vec<(&str, Value)> = Vec::new();
                for name in ["1", "true", "a", "É\u{a0}", "2.0"] {
                    if random.random() {
                        pairs.push((name, constant(random)));
                    }
                }
                pairs.push(("17", constant(random)));
                Kind::Map(field(random), pairs)
            }
            8 => {
                let min = one_of(random, &[-1.0, 0.5, 17.0]);
                Kind::Range(field(random), min, min + one_of(random, &[0.0, 16.5, 1e18]))
            }
            9 => Kind::Pattern(field(random)),
            10 => Kind::Required(field(random)),
            11 => {
                let parts = ["year", "month", "day", "hour", "minute", "second", "weekday", "date"];
                Kind::Part(field(random), field(random), one_of(random, &parts), one_of(random, &UNITS))
            }
            12 => Kind::Template(field(random), field(random), field(random)),
            13 => {
                let mut takes: Vec<(Field, Field)> = Vec::new();
                while takes.is_empty() || random.random() {
                    let to = field(random);
                    if takes.iter().all(|(other, _)| !to.starts_with(other) && !other.starts_with(&to)) {
                        takes.push((to, field(random)));
                    }
                }
                let table = (0..20).map(|_| (text(random).to_owned(), record(random))).collect();
                Kind::Lookup(field(random), takes, table)
            }
            _ => Kind::Filter(random.random(), Condition::draw(random, 0)),
        };
        Self { kind, fail }
    }

    pub(super) fn toml(&self, at: usize) -> String {
        let fail = match &self.fail {
            Fail::Reject => ", on_failure = \"reject\"".to_owned(),
            Fail::Null => ", on_failure = \"null\"".to_owned(),
            Fail::Keep => ", on_failure = \"keep\"".to_owned(),
            Fail::Default(value) => format!(", default = {}", toml(value)),
        };
        let of = spelled;
        let body = match &self.kind {
            Kind::Default(field, value) => format!("default = {{ field = {}, value = {} }}", of(field), toml(value)),
            Kind::Rename(from, to) => format!("rename = {{ field = {}, to = {} }}", of(from), of(to)),
            Kind::Drop(field) => format!("drop = {{ field = {} }}", of(field)),
            Kind::Cast(field, to, unit) => {
                let unit = if *to == "time" { format!(", unit = \"{unit}\"") } else { String::new() };
                format!("cast = {{ field = {}, to = \"{to}\"{unit}{fail} }}", of(field))
            }
            Kind::Trim(field) => format!("trim = {{ field = {} }}", of(field)),
            Kind::Case(field, upper) => {
                format!("case = {{ field = {}, to = \"{}\" }}", of(field), if *upper { "upper" } else { "lower" })
            }
            Kind::Map(field, pairs) => {
                let pairs: Map<String, Value> =
                    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
                format!("map = {{ field = {}, values = {}{fail} }}", of(field), toml(&Value::Object(pairs)))
            }
            Kind::Range(field, min, max) => {
                format!("range = {{ field = {}, min = {min:?}, max = {max:?}{fail} }}", of(field))
            }
            Kind::Pattern(field) => format!("pattern = {{ field = {}, matches = '^[0-9]'{fail} }}", of(field)),
            Kind::Required(field) => format!("required = {{ field = {} }}", of(field)),
            Kind::Part(field, from, part, unit) => format!(
                "derive = {{ field = {}, from = {}, part = \"{part}\", unit = \"{unit}\"{fail} }}",
                of(field),
                of(from)
            ),
            Kind::Template(field, one, two) => {
                let braced = |field: &Field| of(field).trim_matches('"').to_owned();
                format!(
                    "derive = {{ field = {}, template = \"{{{}}}-{{{{{{{}}}\"{fail} }}",
                    of(field),
                    braced(one),
                    braced(two)
                )
            }
            Kind::Lookup(field, takes, _) => {
                let takes: Vec<String> = takes.iter().map(|(to, from)| format!("{} = {}", of(to), of(from))).collect();
                format!(
                    "lookup = {{ field = {}, topic = \"t{at}\", take = {{ {} }}{fail} }}",
                    of(field),
                    takes.join(", ")
                )
            }
            Kind::Filter(keep, condition) => {
                format!("filter = {{ {} = {} }}", if *keep { "keep" } else { "drop" }, condition.toml())
            }
        };
        format!("[[rule]]\nname = \"{at}\"\n{body}\n")
    }

    fn apply(&self, root: &mut Value) -> Result<bool, Class> {
        match &self.kind {
            Kind::Default(field, value) => {
                if get(root, field).is_none_or(Value::is_null) {
                    put(root, field, value.clone())?;
                }
            }
            Kind::Rename(from, to) => rename(root, from, to)?,
            Kind::Drop(field) => drop(take(root, field)),
            Kind::Cast(field, target, unit) => self.change(root, field, |value| cast(value, target, unit))?,
            Kind::Trim(field) => self.change(root, field, |value| Ok(on_text(value, |text| text.trim().to_owned())))?,
            Kind::Case(field, upper) => self.change(root, field, |value| {
                Ok(on_text(value, |text| if *upper { text.to_uppercase() } else { text.to_lowercase() }))
            })?,
            Kind::Map(field, pairs) => self.change(root, field, |value| {
                let found = pairs.iter().find(|(from, _)| *from == shown(value));
                match value {
                    Value::Array(_) | Value::Object(_) => Err(Class::WrongType),
                    _ => found.map(|(_, to)| to.clone()).ok_or(Class::NotMapped),
                }
            })?,
            Kind::Range(field, min, max) => self.change(root, field, |value| match value.as_f64() {
                None => Err(Class::WrongType),
                Some(number) if number < *min || number > *max => Err(Class::OutOfRange),
                Some(_) => Ok(value.clone()),
            })?,
            Kind::Pattern(field) => self.change(root, field, |value| match value {
                Value::Array(_) | Value::Object(_) => Err(Class::WrongType),
                _ if shown(value).starts_with(|c: char| c.is_ascii_digit()) => Ok(value.clone()),
                _ => Err(Class::NoMatch),
            })?,
            Kind::Required(field) => {
                get(root, field).filter(|value| !value.is_null()).ok_or(Class::Missing)?;
            }
            Kind::Part(field, from, part, unit) => {
                let source = get(root, from).filter(|value| !value.is_null()).ok_or(Class::Missing);
                let made = source.and_then(|value| moment(value, unit)).map(|nanos| At::of(nanos).part(part));
                self.put_or_fall_back(root, field, made)?;
            }
            Kind::Template(field, one, two) => {
                let text = |field| get(root, field).filter(|value| !value.is_null()).map(shown).ok_or(Class::Missing);
                let made = text(one).and_then(|one| Ok(format!("{one}-{{{}", text(two)?).into()));
                self.put_or_fall_back(root, field, made)?;
            }
            Kind::Lookup(field, takes, table) => {
                let key = match get(root, field) {
                    None | Some(Value::Null) => Err(Class::Missing),
                    Some(Value::Array(_) | Value::Object(_)) => Err(Class::WrongType),
                    Some(key) => Ok(shown(key)),
                };
                let mut found = Vec::new();
                for (to, from) in takes {
                    let held = key.as_ref().map(|key| table.get(key)).map_err(|class| *class);
                    let there = held.map(|held| held.and_then(|held| get(held, from)).filter(|there| !there.is_null()));
                    found.push((to, there.and_then(|there| there.cloned().ok_or(Class::NotFound))));
                }
                // What is lacking refuses the record before anything is put.
                let lacking = found.iter().find_map(|(_, there)| there.as_ref().err());
                if let (Fail::Reject, Some(class)) = (&self.fail, lacking) {
                    return Err(*class);
                }
                for (to, there) in found {
                    self.put_or_fall_back(root, to, there)?;
                }
            }
            Kind::Filter(keep, condition) => return condition.holds(root).map(|holds| holds == *keep),
        }
        Ok(true)
    }

    /// What is in the topic that it looks up in, if it does.
    pub(super) fn looked_up(&self) -> Option<&BTreeMap<String, Value>> {
        match &self.kind {
            Kind::Lookup(_, _, table) => Some(table),
            _ => None,
        }
    }

    fn change(
        &self,
        root: &mut Value,
        field: &Field,
        make: impl Fn(&Value) -> Result<Value, Class>,
    ) -> Result<(), Class> {
        match get(root, field).filter(|value| !value.is_null()) {
            Some(value) => {
                let made = make(value);
                self.put_or_fall_back(root, field, made)
            }
            None => Ok(()),
        }
    }

    fn put_or_fall_back(&self, root: &mut Value, field: &Field, made: Result<Value, Class>) -> Result<(), Class> {
        match (made, &self.fail) {
            (Ok(value), _) => put(root, field, value),
            (Err(class), Fail::Reject) => Err(class),
            (Err(_), Fail::Null) => put(root, field, Value::Null),
            (Err(_), Fail::Keep) => Ok(()),
            (Err(_), Fail::Default(value)) => put(root, field, value.clone()),
        }
    }
}

/// All rules, one after the other.
pub(super) fn slowly(rules: &[Rule], mut record: Value) -> Outcome {
    for (at, rule) in rules.iter().enumerate() {
        match rule.apply(&mut record) {
            Ok(true) => {}
            Ok(false) => return Outcome::Filtered(at),
            Err(class) => return Outcome::Rejected(at, class),
        }
    }
    Outcome::Kept(record)
}

fn on_text(value: &Value, make: impl Fn(&str) -> String) -> Value {
    value.as_str().map_or_else(|| value.clone(), |text| make(text).into())
}

/// A string's text, or what else is written.
pub(super) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(super) fn get<'a>(root: &'a Value, field: &[&str]) -> Option<&'a Value> {
    field.iter().try_fold(root, |at, name| at.as_object()?.get(*name))
}

fn put(root: &mut Value, field: &[&str], value: Value) -> Result<(), Class> {
    let mut at = root;
    for name in field {
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        at = at.as_object_mut().ok_or(Class::Occupied)?.entry(*name).or_insert(Value::Null);
    }
    *at = value;
    Ok(())
}

fn take(root: &mut Value, field: &[&str]) -> Option<Value> {
    let (last, way) = field.split_last()?;
    let parent = way.iter().try_fold(root, |at, name| at.as_object_mut()?.get_mut(*name))?;
    parent.as_object_mut()?.shift_remove(*last)
}

fn rename(root: &mut Value, from: &Field, to: &Field) -> Result<(), Class> {
    if get(root, from).is_none() {
        return Ok(());
    }
    let is_null = get(root, from).is_some_and(Value::is_null);
    if get(root, to).is_some_and(|there| !there.is_null()) {
        return if is_null { Ok(()) } else { Err(Class::Occupied) };
    }
    take(root, to);
    let (parent, new) = (&from[..from.len() - 1], to[to.len() - 1]);
    if parent != &to[..to.len() - 1] {
        if is_null && put(root, to, Value::Null).is_err() {
            return Ok(());
        }
        let value = take(root, from).unwrap_or_default();
        return put(root, to, value);
    }
    let parent = parent.iter().try_fold(root, |at, name| at.as_object_mut()?.get_mut(*name)).unwrap();
    let old = std::mem::take(parent.as_object_mut().unwrap());
    let renamed =
        |(name, value): (String, Value)| (if name == from[from.len() - 1] { new.to_owned() } else { name }, value);
    *parent = old.into_iter().map(renamed).collect();
    Ok(())
}

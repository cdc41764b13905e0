//! The compose file as compose sees it: anchors and `<<` resolved, variables filled in with their defaults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use yaml_rust2::{Yaml, YamlLoader};

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &str) -> String {
    let path = root().join(Path::new(path));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A compose file with what it includes, as compose copies it in: resource by resource, and none may be there twice.
pub(crate) fn load(path: &str) -> Result<Value, String> {
    with_included(path, &read(path))
}

/// The same of a text that stands in the place of that file.
pub(crate) fn with_included(path: &str, text: &str) -> Result<Value, String> {
    let Value::Map(mut document) = Value::parse(text)? else { return Err(format!("{path}: not a mapping")) };
    let Some(included) = document.remove("include") else { return Ok(Value::Map(document)) };
    for file in included.texts() {
        let folder = Path::new(path).parent().unwrap_or(Path::new(""));
        let file = folder.join(file);
        if !root().join(&file).is_file() {
            return Err(format!("{path} includes {}, which is not there", file.display()));
        }
        let other = load(&file.to_string_lossy())?;
        for section in ["services", "volumes", "configs"] {
            let Value::Map(theirs) = other.get(section) else { continue };
            let ours = document.entry(section.to_owned()).or_insert_with(|| Value::Map(BTreeMap::new()));
            let Value::Map(ours) = ours else { return Err(format!("{path}: {section} is no mapping")) };
            for (name, value) in theirs {
                if ours.insert(name.clone(), value.clone()).is_some() {
                    return Err(format!("{path}: {section} has {name}, and so has {}", file.display()));
                }
            }
        }
    }
    Ok(Value::Map(document))
}

/// A YAML value; scalars keep the text that compose would hand on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Flag(bool),
    Text(String),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

static NULL: Value = Value::Null;

impl Value {
    /// Reads one document. A repeated key, an unknown anchor and a variable compose could not fill in are errors.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let documents = YamlLoader::load_from_str(text).map_err(|error| error.to_string())?;
        let [document] = documents.as_slice() else {
            return Err(format!("{} documents, expected one", documents.len()));
        };
        Self::from_yaml(document)
    }

    fn from_yaml(yaml: &Yaml) -> Result<Self, String> {
        Ok(match yaml {
            Yaml::Null => Self::Null,
            Yaml::Boolean(flag) => Self::Flag(*flag),
            Yaml::Integer(number) => Self::Text(number.to_string()),
            Yaml::Real(number) => Self::Text(number.clone()),
            Yaml::String(text) => Self::Text(interpolate(text)?),
            Yaml::Array(items) => Self::List(items.iter().map(Self::from_yaml).collect::<Result<_, _>>()?),
            Yaml::Hash(entries) => {
                let mut map = BTreeMap::new();
                let mut merged = Vec::new();
                for (key, value) in entries {
                    let Yaml::String(key) = key else { return Err(format!("the key {key:?} is no string")) };
                    match (key.as_str(), Self::from_yaml(value)?) {
                        ("<<", Self::Map(base)) => merged.push(base),
                        ("<<", other) => return Err(format!("<< takes a mapping, got {other:?}")),
                        (key, value) => drop(map.insert(key.to_owned(), value)),
                    }
                }
                // What is written beside << wins over what it brings.
                for (key, value) in merged.into_iter().flatten() {
                    map.entry(key).or_insert(value);
                }
                Self::Map(map)
            }
            Yaml::Alias(_) | Yaml::BadValue => return Err(format!("not understood: {yaml:?}")),
        })
    }

    /// The value under a key, or null.
    pub(crate) fn get(&self, key: &str) -> &Self {
        match self {
            Self::Map(map) => map.get(key).unwrap_or(&NULL),
            _ => &NULL,
        }
    }

    pub(crate) fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    pub(crate) fn list(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// The texts of a list.
    pub(crate) fn texts(&self) -> Vec<&str> {
        self.list().iter().map(Self::text).collect()
    }

    /// The entries of a mapping, in the order of their keys.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Self)> {
        let map = if let Self::Map(map) = self { Some(map) } else { None };
        map.into_iter().flatten().map(|(key, value)| (key.as_str(), value))
    }
}

/// `${NAME:-default}` becomes its default and `$$` a dollar sign; anything else behind a `$` is refused, because compose would
/// put an empty string there and only warn.
fn interpolate(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let filled = after
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'))
            .and_then(|(inner, after)| inner.split_once(":-").map(|(_, default)| (default, after)));
        let Some((default, after)) = filled else {
            return Err(format!("'{text}': write $$ for a dollar sign, ${{NAME:-default}} for a variable"));
        };
        out.push_str(default);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[test]
fn what_stands_beside_a_merged_mapping_wins_over_it() {
    let value = Value::parse("base: &b {a: 1, c: 3}\nuse: {a: 2, <<: *b}\n").unwrap();
    assert_eq!(value.get("use"), &Value::parse("{a: 2, c: 3}").unwrap());
}

#[test]
fn a_repeated_key_is_refused() {
    assert!(Value::parse("a: 1\na: 2\n").unwrap_err().contains("duplicated key"));
}

#[test]
fn a_variable_without_a_default_is_refused() {
    assert_eq!(interpolate("${N:-5} $$x").unwrap(), "5 $x");
    assert!(interpolate("$HOME").is_err());
    assert!(interpolate("${HOME}").is_err());
    assert!(interpolate("${HOME:-").is_err());
}

//! The key language read.

use super::json::Pointer;
use super::{KeyPart, KeySource, KeyType};
use crate::base::text::{did_you_mean, excerpt};

const SOURCES: [&str; 5] = ["value", "key", "timestamp", "header:NAME", "value:json:/POINTER"];
const HEADER: &str = "header:";
const JSON: &str = "value:json:";

/// Reads one `--key`.
pub(super) fn part(spec: &str) -> Result<KeyPart, String> {
    source_and_type(spec).map(|(source, kind)| KeyPart { source, kind: kind.unwrap_or_default() })
}

/// The same where a type that is not said is not the default one.
pub(super) fn source_and_type(spec: &str) -> Result<(KeySource, Option<KeyType>), String> {
    let (source, kind) = split_type(spec);
    let source = read_source(source, spec)?;
    match (&source, kind) {
        (KeySource::Timestamp, Some(kind)) if !matches!(kind, KeyType::Int | KeyType::Time) => {
            Err(format!("{}: a timestamp is a number and needs no type", shown(spec)))
        }
        (KeySource::Timestamp, _) => Ok((source, Some(KeyType::Int))),
        (KeySource::Json(_), Some(KeyType::Be64)) => {
            Err(format!("{}: JSON has no be64; its numbers are int or decimal", shown(spec)))
        }
        _ => Ok((source, kind)),
    }
}

/// The last `:WORD` is a type only if it is one of the six: names and pointers may hold colons.
fn split_type(spec: &str) -> (&str, Option<KeyType>) {
    spec.rsplit_once(':').and_then(|(source, word)| Some((source, Some(type_named(word)?)))).unwrap_or((spec, None))
}

fn type_named(word: &str) -> Option<KeyType> {
    KeyType::ALL.into_iter().find(|kind| kind.name() == word)
}

fn read_source(source: &str, spec: &str) -> Result<KeySource, String> {
    if let Some(pointer) = source.strip_prefix(JSON) {
        return Pointer::parse(pointer).map(KeySource::Json).map_err(|error| format!("{}: {error}", shown(spec)));
    }
    if let Some(name) = source.strip_prefix(HEADER).filter(|name| !name.is_empty()) {
        return Ok(KeySource::Header(name.to_owned()));
    }
    match source {
        "value" => return Ok(KeySource::Value),
        "key" => return Ok(KeySource::Key),
        "timestamp" => return Ok(KeySource::Timestamp),
        "header" | "header:" => {
            return Err(format!("{}: which header? write header:NAME or header:NAME:TYPE", shown(spec)));
        }
        "value:json" => {
            return Err(format!("{}: which field? write value:json:/POINTER", shown(spec)));
        }
        _ => {}
    }
    Err(match source.split_once(':') {
        // These take no name, so what follows can only be a type.
        Some((known @ ("value" | "key" | "timestamp"), word)) => {
            // The first word of `json:/a` with a slip in it, too.
            let near_json = if known == "value" { word.split_once(":/").map(|(first, _)| first) } else { None };
            match near_json {
                Some(first) => format!(
                    "{}: {} is nothing a value can be read as{}",
                    shown(spec),
                    shown(first),
                    did_you_mean(first, ["json"])
                ),
                None => format!(
                    "{}: no type is called {}{}; there are {}",
                    shown(spec),
                    shown(word),
                    did_you_mean(word, KeyType::ALL.map(KeyType::name)),
                    KeyType::ALL.map(KeyType::name).join(", ")
                ),
            }
        }
        _ => format!(
            "{}: a key is taken from {}{}",
            shown(spec),
            SOURCES.join(", "),
            did_you_mean(source.split(':').next().unwrap_or(source), ["value", "key", "timestamp", "header"])
        ),
    })
}

fn shown(text: &str) -> String {
    excerpt(text.as_bytes())
}

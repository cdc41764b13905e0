//! Values of a rule file as JSON, as numbers, and as what conditions compare with.

use super::DEPTH_MAX;
use crate::formats::string;
use crate::rules::change::Json;
use crate::rules::condition::Constant;
use crate::rules::seen::Number;
use crate::rules::tree::Kind;
use toml::de::{DeInteger, DeValue};

/// What a value is, for people.
pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// The value as JSON. Times are texts.
pub(super) fn json(value: &DeValue<'_>) -> Result<Json, String> {
    let mut text = Vec::new();
    write(value, &mut text, 1)?;
    let kind = match value {
        DeValue::String(_) | DeValue::Datetime(_) => Kind::Text { escaped: text.contains(&b'\\') },
        DeValue::Integer(_) => Kind::Number { whole: true },
        DeValue::Float(_) => Kind::Number { whole: false },
        DeValue::Boolean(_) => Kind::Bool,
        DeValue::Array(_) => Kind::Array,
        DeValue::Table(_) => Kind::Object,
    };
    Ok(Json { text: text.into(), kind })
}

fn write(value: &DeValue<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("a value is nested more than {DEPTH_MAX} deep"));
    }
    match value {
        DeValue::String(text) => string::put(out, text),
        DeValue::Datetime(time) => string::put(out, &time.to_string()),
        DeValue::Boolean(truth) => out.extend_from_slice(truth.to_string().as_bytes()),
        DeValue::Integer(number) => {
            let number = integer(number).ok_or("a whole number has to be within 64 bits")?;
            out.extend_from_slice(number.to_string().as_bytes());
        }
        DeValue::Float(number) => {
            let text = number.as_str();
            let finite = text.parse::<f64>().is_ok_and(f64::is_finite);
            if !finite {
                return Err(format!("JSON has no {text}"));
            }
            out.extend_from_slice(text.trim_start_matches('+').as_bytes());
        }
        DeValue::Array(all) => {
            out.push(b'[');
            for (index, value) in all.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(value.get_ref(), out, depth + 1)?;
            }
            out.push(b']');
        }
        DeValue::Table(table) => {
            // The parser sorts tables by name; the file's order is that of the places.
            let mut members: Vec<_> = table.iter().collect();
            members.sort_by_key(|(name, _)| name.span().start);
            out.push(b'{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                string::put(out, name.get_ref());
                out.push(b':');
                write(value.get_ref(), out, depth + 1)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A number, which is finite.
pub(super) fn number(value: &DeValue<'_>) -> Option<Number> {
    match value {
        DeValue::Integer(number) => integer(number).map(Number::Whole),
        DeValue::Float(number) => {
            number.as_str().parse().ok().filter(|number: &f64| number.is_finite()).map(Number::Double)
        }
        _ => None,
    }
}

/// What a field is compared with.
pub(super) fn constant(value: &DeValue<'_>) -> Result<Constant, String> {
    match value {
        DeValue::Boolean(truth) => Ok(Constant::Bool(*truth)),
        DeValue::String(text) => Ok(Constant::Text(text.as_bytes().into())),
        DeValue::Integer(_) | DeValue::Float(_) => number(value)
            .map(Constant::Number)
            .ok_or("a number has to be finite, and within 64 bits if it is whole".to_owned()),
        other => {
            Err(format!("a field is compared with a text, a number, true or false, not with {}", type_name(other)))
        }
    }
}

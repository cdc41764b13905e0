//! A format string read.

use super::{ByteForm, Field, HeadersForm, Piece, TimeForm};
use crate::base::text::{did_you_mean, excerpt};

const LETTERS: &str =
    "%s %S %R (value), %k %K (key), %T (timestamp), %h (headers), %t (topic), %p (partition), %o (offset), %%";
const NAMES: [&str; 8] = ["value", "key", "ts", "topic", "partition", "offset", "headers", "header:NAME"];
const FORMS: [&str; 6] = ["text", "hex", "base64", "json", "len", "len32"];

/// Why a text is no format string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

fn wrong<T>(message: String) -> Result<T, TemplateError> {
    Err(TemplateError(message))
}

/// The pieces of a format string, neighbouring text in one.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut plain = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let piece = match first {
            '\\' => {
                rest = escape(rest, &mut plain)?;
                continue;
            }
            '%' => token(&mut rest)?,
            _ => None,
        };
        match piece {
            Some(piece) => {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(piece);
            }
            None => {
                // Itself; of a doubled percent sign the second one.
                let (head, tail) = rest.split_at(first.len_utf8());
                plain.extend_from_slice(head.as_bytes());
                rest = tail;
            }
        }
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

/// What begins with a backslash; gives what is behind it.
fn escape<'a>(rest: &'a str, plain: &mut Vec<u8>) -> Result<&'a str, TemplateError> {
    let after = &rest[1..];
    let Some(letter) = after.chars().next() else {
        return wrong("the format ends with a backslash; a backslash itself is written \\\\".to_owned());
    };
    let byte = match letter {
        'n' => b'\n',
        't' => b'\t',
        'r' => b'\r',
        '0' => 0,
        '\\' => b'\\',
        'x' => {
            let digits = after.get(1..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
                return wrong("\\x takes two hexadecimal digits, as in \\x1f".to_owned());
            };
            plain.push(byte);
            return Ok(&after[3..]);
        }
        other => {
            let shown = excerpt(format!("\\{other}").as_bytes());
            return wrong(format!("no escape is written {shown}; there are \\n \\t \\r \\0 \\\\ \\xNN"));
        }
    };
    plain.push(byte);
    Ok(&after[letter.len_utf8()..])
}

/// What begins with a percent sign, taken off `rest`; `None` for a doubled one, of which the first is taken off.
fn token(rest: &mut &str) -> Result<Option<Piece>, TemplateError> {
    let after = &rest[1..];
    let Some(letter) = after.chars().next() else {
        return wrong("the format ends with a percent sign; a percent sign itself is written %%".to_owned());
    };
    let piece = match letter {
        '%' => {
            *rest = after;
            return Ok(None);
        }
        '{' => {
            let Some((name, tail)) = after[1..].split_once('}') else {
                return wrong(format!("{} has no closing brace", excerpt(rest.as_bytes())));
            };
            *rest = tail;
            return named(name).map(Some);
        }
        's' => Piece::Bytes(Field::Value, ByteForm::Text),
        'S' => Piece::Bytes(Field::Value, ByteForm::Len),
        'R' => Piece::Bytes(Field::Value, ByteForm::Len32),
        'k' => Piece::Bytes(Field::Key, ByteForm::Text),
        'K' => Piece::Bytes(Field::Key, ByteForm::Len),
        'T' => Piece::Time(TimeForm::Millis),
        'h' => Piece::Headers(HeadersForm::Pairs),
        't' => Piece::Topic,
        'p' => Piece::Partition,
        'o' => Piece::Offset,
        other => {
            let shown = excerpt(format!("%{other}").as_bytes());
            let hint = match other {
                'v' => " (the value is %s)",
                'd' => " (the timestamp is %T)",
                _ => "",
            };
            return wrong(format!(
                "no token is written {shown}{hint}; there are {LETTERS}, and names such as %{{ts:rfc3339}}"
            ));
        }
    };
    *rest = &after[letter.len_utf8()..];
    Ok(Some(piece))
}

/// What stands between braces: a name, and behind the last colon how it is written.
fn named(text: &str) -> Result<Piece, TemplateError> {
    let shown = || excerpt(format!("%{{{text}}}").as_bytes());
    if let Some(header) = text.strip_prefix("header:") {
        // The last `:WORD` is a form only if it is one of them: names may hold colons.
        let cut = header.rsplit_once(':').and_then(|(name, word)| Some((name, byte_form(word)?)));
        let (name, form) = cut.unwrap_or((header, ByteForm::Text));
        return match name {
            "" => wrong(format!("{}: which header? Write %{{header:NAME}}", shown())),
            name => Ok(Piece::Bytes(Field::Header(name.as_bytes().to_vec()), form)),
        };
    }
    let (name, form) = match text.split_once(':') {
        Some((name, form)) => (name, Some(form)),
        None => (text, None),
    };
    let no_form = |forms: &[&str]| {
        let typed = form.unwrap_or_default();
        let there_are = match forms {
            [] => "it is written in one way only".to_owned(),
            forms => format!("there are {}{}", forms.join(", "), did_you_mean(typed, forms.iter().copied())),
        };
        wrong(format!("{}: {name} cannot be written as {}; {there_are}", shown(), excerpt(typed.as_bytes())))
    };
    let plain = |piece: Piece| if form.is_none() { Ok(piece) } else { no_form(&[]) };
    match name {
        "topic" => plain(Piece::Topic),
        "partition" => plain(Piece::Partition),
        "offset" => plain(Piece::Offset),
        "value" | "payload" | "key" => {
            let field = if name == "key" { Field::Key } else { Field::Value };
            match form.map_or(Some(ByteForm::Text), byte_form) {
                Some(form) => Ok(Piece::Bytes(field, form)),
                None => no_form(&FORMS),
            }
        }
        "ts" | "timestamp" => match form {
            None | Some("ms") => Ok(Piece::Time(TimeForm::Millis)),
            Some("s") => Ok(Piece::Time(TimeForm::Seconds)),
            Some("rfc3339") => Ok(Piece::Time(TimeForm::Rfc3339)),
            Some(_) => no_form(&["ms", "s", "rfc3339"]),
        },
        "headers" => match form {
            None | Some("text") => Ok(Piece::Headers(HeadersForm::Pairs)),
            Some("json") => Ok(Piece::Headers(HeadersForm::Json)),
            Some("count") => Ok(Piece::Headers(HeadersForm::Count)),
            Some(_) => no_form(&["text", "json", "count"]),
        },
        _ => wrong(format!(
            "{}: nothing is called {}{}; there are {}",
            shown(),
            excerpt(name.as_bytes()),
            did_you_mean(name, NAMES),
            NAMES.join(", ")
        )),
    }
}

fn byte_form(word: &str) -> Option<ByteForm> {
    Some(match word {
        "text" => ByteForm::Text,
        "hex" => ByteForm::Hex,
        "base64" => ByteForm::Base64,
        "json" => ByteForm::Json,
        "len" => ByteForm::Len,
        "len32" => ByteForm::Len32,
        _ => return None,
    })
}

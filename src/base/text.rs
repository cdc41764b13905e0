//! Text for people: bytes from the wire made safe to print, and the nearest name to a mistyped one.

/// How many characters of a record an error quotes.
const EXCERPT_CHARS_MAX: usize = 48;

/// Text with control characters (which could drive a terminal) and bidirectional overrides escaped.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        push_visible(&mut out, c);
    }
    out
}

/// A short, printable, quoted excerpt of `bytes`, for error messages. Says how long the whole is when it was cut.
pub fn excerpt(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    let mut chars = 0;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if chars == EXCERPT_CHARS_MAX {
                return cut(out, bytes.len());
            }
            if c == '"' {
                out.push('\\');
            }
            push_visible(&mut out, c);
            chars += 1;
        }
        for byte in chunk.invalid() {
            if chars == EXCERPT_CHARS_MAX {
                return cut(out, bytes.len());
            }
            out.push_str(&format!("\\x{byte:02x}"));
            chars += 1;
        }
    }
    out.push('"');
    out
}

fn cut(mut out: String, len: usize) -> String {
    out.push_str(&format!("...\" ({len} bytes)"));
    out
}

fn push_visible(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if c.is_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
        c if turns_text(c) => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
        c => out.push(c),
    }
}

/// Whether a character is one of those that can make a terminal show another text than the one that is there: it controls the
/// direction of what follows.
pub fn turns_text(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Appends bytes as a terminal may show them: what could drive it is escaped, as is what is no UTF-8; line breaks and tabs stay.
pub fn put_visible(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' | '\t' => shown.push(c),
                c => push_visible(&mut shown, c),
            }
        }
        out.extend_from_slice(shown.as_bytes());
        shown.clear();
        chunk.invalid().iter().for_each(|byte| out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()));
    }
}

/// The candidate most like `name`, if one is near enough to be a slip of the fingers.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// ` (did you mean X?)`, or nothing.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, candidates).map(|near| format!(" (did you mean {}?)", visible(near))).unwrap_or_default()
}

/// Insertions, deletions, substitutions and swaps of neighbours: the slips that fingers make.
fn edit_distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for j in 0..b.len() {
            let mut least = (row[j] + usize::from(a[i] != b[j])).min(next[j] + 1).min(row[j + 1] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_escapes_what_could_drive_a_terminal() {
        assert_eq!(excerpt(b"a\x1b]0;x\x07\n\xff\"b"), r#""a\x1b]0;x\x07\n\xff\"b""#);
        assert_eq!(excerpt("a\u{202e}b".as_bytes()), r#""a\u{202e}b""#);
    }

    #[test]
    fn a_long_excerpt_is_cut_and_says_how_long_the_whole_is() {
        let shown = excerpt(&[b'x'; 1000]);
        assert!(shown.ends_with("...\" (1000 bytes)"), "{shown}");
        assert!(shown.len() < 80);
    }

    #[test]
    fn a_slip_finds_its_name_and_a_stranger_finds_none() {
        assert_eq!(nearest("data-inptu", ["data-input", "data-output"]), Some("data-input"));
        assert_eq!(nearest("zebra", ["data-input", "data-output"]), None);
        assert_eq!(did_you_mean("strng", ["string", "bytes"]), " (did you mean string?)");
        assert_eq!(nearest("itn", ["int", "time"]), Some("int"));
    }
}

//! Rust source as words and signs, without comments and the insides of strings. No parser: enough to see which paths are named
//! and where a test begins.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A word or a sign, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
    /// Inline `mod name { … }` around it.
    pub(crate) inline_mods: usize,
    /// Inside an inline module behind `#[cfg(test)]`.
    pub(crate) in_test: bool,
}

/// One source file.
pub(crate) struct Source {
    /// From the top of the package, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    /// The lines that carry a comment.
    pub(crate) commented: BTreeSet<usize>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let mut commented = BTreeSet::new();
        let mut tokens = tokenize(text, &mut commented);
        place(&mut tokens);
        Self { path: path.to_owned(), text: text.to_owned(), tokens, commented }
    }

    /// The words of the tokens from `at` on.
    pub(crate) fn words(&self, at: usize) -> impl Iterator<Item = &str> {
        self.tokens.iter().skip(at).map(|token| token.text.as_str())
    }

    /// Do these tokens stand at `at`?
    pub(crate) fn stands(&self, at: usize, expected: &[&str]) -> bool {
        self.words(at).take(expected.len()).eq(expected.iter().copied())
    }
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder of the package, by path from the top; none if the folder is absent.
pub(crate) fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(relative(&path));
            }
        }
    }
    found.sort();
    found
}

fn relative(path: &Path) -> String {
    let inside = path.strip_prefix(root()).unwrap_or(path);
    inside.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Every Rust file below a folder.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let rust = files(folder).into_iter().filter(|path| path.ends_with(".rs"));
    rust.map(|path| Source::new(&path, &read(&path))).collect()
}

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn tokenize(text: &str, commented: &mut BTreeSet<usize>) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, token) = piece(rest, first);
        let piece = &rest[..length];
        if piece.starts_with("//") || piece.starts_with("/*") {
            commented.extend(line..=line + piece.matches('\n').count());
        }
        if let Some(text) = token {
            tokens.push(Token { text: text.to_owned(), line, inline_mods: 0, in_test: false });
        }
        line += piece.matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// The next piece of source: how long it is, and the token it stands for, if any.
fn piece(rest: &str, first: char) -> (usize, Option<&str>) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), None);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), None);
    }
    if let Some(length) = string(rest) {
        return (length, Some("\"\""));
    }
    if first == '\'' {
        return match character(rest) {
            Some(length) => (length, Some("''")),
            None => (1, None), // a lifetime's tick
        };
    }
    if is_word(first) {
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        return (length, Some(&rest[..length]));
    }
    if rest.starts_with("::") {
        return (2, Some("::"));
    }
    let length = first.len_utf8();
    (length, (!first.is_whitespace()).then(|| &rest[..length]))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of a string literal: "…", b"…", c"…", and the raw ones.
fn string(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|after| {
            let hashes = if prefix.ends_with('r') { after.trim_start_matches('#') } else { after };
            hashes.starts_with('"')
        })
    })?;
    let after = &rest[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = after.len() - after.trim_start_matches('#').len();
        let close = format!("\"{}", "#".repeat(hashes));
        let inside = prefix.len() + hashes + 1;
        return Some(rest[inside..].find(&close).map_or(rest.len(), |end| inside + end + close.len()));
    }
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(prefix.len() + 1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

/// The length of a character literal; `None` for a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        chars.next()?; // the escaped one may be a tick
        return chars.find(|&(_, c)| c == '\'').map(|(at, _)| at + 1);
    }
    chars.next().filter(|&(_, c)| c == '\'').map(|(at, _)| at + 1)
}

/// Marks what stands in inline modules, and which of them are tests.
fn place(tokens: &mut [Token]) {
    let text = |tokens: &[Token], at: usize| tokens.get(at).map(|token| token.text.clone()).unwrap_or_default();
    let mut braces: Vec<Option<bool>> = Vec::new(); // of an inline module: is it a test?
    let mut test_comes = false;
    for at in 0..tokens.len() {
        let modules: Vec<bool> = braces.iter().copied().flatten().collect();
        tokens[at].inline_mods = modules.len();
        tokens[at].in_test = modules.contains(&true);
        match tokens[at].text.as_str() {
            "cfg" if text(tokens, at + 1) == "(" && text(tokens, at + 2) == "test" => test_comes = true,
            "{" => {
                let module = at >= 2 && text(tokens, at - 2) == "mod";
                braces.push(module.then_some(test_comes));
                test_comes = false;
            }
            "}" => drop(braces.pop()),
            ";" => test_comes = false,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        Source::new("x.rs", text).tokens.into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_strings_and_characters_are_left_out() {
        assert_eq!(words("a /* b /* c */ d */ e // f\ng"), ["a", "e", "g"]);
        assert_eq!(
            words(r##"x("a \" b", r#"c " d"#, b"e", br"f\")"##),
            ["x", "(", "\"\"", ",", "\"\"", ",", "\"\"", ",", "\"\"", ")"]
        );
        assert_eq!(words("'a' '\\'' '\\u{1F600}' 'static"), ["''", "''", "''", "static"]);
    }

    #[test]
    fn lines_are_counted_through_strings_and_comments() {
        let source = Source::new("x.rs", "\"one\ntwo\" a\n/* three\nfour */ b // c");
        let lines: Vec<_> = source.tokens.iter().map(|token| (token.text.as_str(), token.line)).collect();
        assert_eq!(lines, [("\"\"", 1), ("a", 2), ("b", 4)]);
        assert_eq!(source.commented, BTreeSet::from([3, 4]));
    }

    #[test]
    fn tests_and_inline_modules_are_seen() {
        let source = Source::new("x.rs", "fn a() { b } mod c { d } #[cfg(test)] mod e { fn f() { g } } h");
        let of = |word: &str| source.tokens.iter().find(|token| token.text == word).map(|t| (t.inline_mods, t.in_test));
        assert_eq!(
            [of("b"), of("d"), of("g"), of("h")],
            [Some((0, false)), Some((1, false)), Some((1, true)), Some((0, false))]
        );
    }
}

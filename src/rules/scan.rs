//! Reads a record's JSON once, whole and strictly, and puts what rules look into on the tree.
//!
//! What was decided where JSON leaves room:
//! - Two members of one name in one object, wherever it is: nobody can say which is meant, so it is a fault. Names are compared
//!   as the text they stand for: `"a"` is `"\u0061"`.
//! - Half of a surrogate pair stands for no character: a fault, wherever it is.
//! - A number may be as large or as precise as it likes, as long as no rule has to know how large it is.
//!
//! Non-obvious: what no rule looks into is passed over in a loop with four bytes a level, so depth costs no stack; still there
//! is a limit, because few readers behind us could follow. Only the objects on the way of a rule's pointer are read by recursion.

use super::Class;
use super::paths::{PathId, Paths, ROOT};
use super::string_end::{self, StringEnd};
use super::tree::{Kind, Span, Tree};
use crate::base::text::excerpt;
use crate::formats::string;

/// The deepest nesting that is followed.
pub(super) const DEPTH_MAX: usize = 100_000;
/// How many members the objects may have, taken together, that rules look into.
pub(super) const MEMBERS_MAX: usize = 65_536;
/// Larger than any record: spans have 32 bits, and what rules write has to find room behind it.
pub(super) const BYTES_MAX: usize = 1 << 30;
/// Up to so many names are compared each with each.
const FEW: usize = 12;

/// Why a text is not taken for a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) class: Class,
    pub(super) text: String,
}

impl Fault {
    /// For what only exceptional records run into.
    pub(super) const LARGE: Self = Self { class: Class::TooLarge, text: String::new() };

    fn json(at: usize, problem: &str) -> Self {
        Self { class: Class::NoJson, text: format!("no JSON: {problem} at byte {at}") }
    }
}

/// A member's name: in the text, or unescaped.
#[derive(Debug, Clone, Copy)]
struct Name {
    start: u32,
    end: u32,
    unescaped: bool,
}

/// Reads JSON. Its buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// The names so far of the objects that have not ended.
    names: Vec<Name>,
    unescaped: Vec<u8>,
    /// The arrays and objects being passed over: where the names of an object begin, doubled; an array is odd.
    levels: Vec<u32>,
}

impl Scanner {
    /// Reads a record into an empty tree, whose bytes are the record's.
    #[inline]
    pub(super) fn document(&mut self, text: &[u8], paths: &Paths, tree: &mut Tree) -> Result<(), Fault> {
        if text.len() > BYTES_MAX {
            return Err(Fault { class: Class::TooLarge, text: format!("it has more than {BYTES_MAX} bytes") });
        }
        if let Err(error) = std::str::from_utf8(text) {
            let text = format!("no UTF-8, which JSON has to be, at byte {}", error.valid_up_to());
            return Err(Fault { class: Class::NoUtf8, text });
        }
        let at = spaces(text, 0);
        if text.get(at) != Some(&b'{') {
            return Err(self.no_object(text, at, paths, tree));
        }
        self.object(text, 0, ROOT, paths, tree)
    }

    /// A document that is no object may not even be JSON, which is the better reason.
    fn no_object(&mut self, text: &[u8], at: usize, paths: &Paths, tree: &mut Tree) -> Fault {
        self.begin();
        let read = Reading { text, base: 0, paths };
        match self.value(&read, at, None, tree).and_then(|(kind, end)| read.ends(end).map(|()| kind)) {
            Err(fault) => fault,
            Ok(kind) => {
                let kind = match kind {
                    Kind::Array => "an array",
                    Kind::Text { .. } => "a text",
                    Kind::Number { .. } => "a number",
                    Kind::Bool => "true or false",
                    _ => "null",
                };
                Fault { class: Class::NoObject, text: format!("the JSON is {kind}; rules are put to objects") }
            }
        }
    }

    /// Reads a text that is an object, with spaces around it, into the tree, where it begins at `base`.
    #[inline]
    pub(super) fn object(
        &mut self,
        text: &[u8],
        base: u32,
        path: PathId,
        paths: &Paths,
        tree: &mut Tree,
    ) -> Result<(), Fault> {
        self.begin();
        let read = Reading { text, base, paths };
        let begin = spaces(text, 0);
        let end = self.members(&read, begin + 1, path, tree)?;
        read.ends(end)
    }

    fn begin(&mut self) {
        self.names.clear();
        self.unescaped.clear();
        self.levels.clear();
    }

    /// Lets go of what an exceptional record has taken.
    pub(super) fn shrink(&mut self, bytes: usize) {
        self.begin();
        self.names.shrink_to(bytes / size_of::<Name>());
        self.unescaped.shrink_to(bytes);
        self.levels.shrink_to(bytes / 4);
    }

    /// The members of an object that rules look into, behind its brace; gives the place behind the other one.
    fn members(&mut self, read: &Reading<'_>, begin: usize, object: PathId, tree: &mut Tree) -> Result<usize, Fault> {
        let text = read.text;
        let from = self.names.len();
        let mut at = spaces(text, begin);
        if text.get(at) == Some(&b'}') {
            return Ok(at + 1);
        }
        loop {
            let (name, end) = self.name(read, at)?;
            let path = read.paths.child(object, self.name_bytes(text, name));
            if tree.members_len() >= MEMBERS_MAX {
                return Err(Fault { class: Class::TooLarge, text: format!("more than {MEMBERS_MAX} members") });
            }
            let member = tree.append(object, read.span(at, end), path);
            let begin = spaces(text, colon(text, end)?);
            let (kind, end) = self.value(read, begin, path, tree)?;
            tree.set_value(member, read.span(begin, end), kind);
            at = spaces(text, end);
            match text.get(at) {
                Some(b',') => at = spaces(text, at + 1),
                Some(b'}') => break,
                _ => return Err(Fault::json(at, "a comma or a } has to stand")),
            }
        }
        self.end_names(text, from)?;
        Ok(at + 1)
    }

    /// A value; gives what it is, and the place behind it.
    #[inline]
    fn value(
        &mut self,
        read: &Reading<'_>,
        at: usize,
        path: Option<PathId>,
        tree: &mut Tree,
    ) -> Result<(Kind, usize), Fault> {
        match read.text.get(at) {
            Some(b'{') => match path.filter(|&path| read.paths.is_entered(path)) {
                Some(path) => {
                    tree.open(path);
                    Ok((Kind::Opened, self.members(read, at + 1, path, tree)?))
                }
                None => Ok((Kind::Object, self.pass_over(read, at)?)),
            },
            Some(b'[') => Ok((Kind::Array, self.pass_over(read, at)?)),
            _ => plain(read.text, at),
        }
    }

    /// Passes over an array or object, however deep; gives the place behind it.
    fn pass_over(&mut self, read: &Reading<'_>, begin: usize) -> Result<usize, Fault> {
        let text = read.text;
        let mut at = begin;
        loop {
            // A value begins at `at`.
            match text.get(at) {
                Some(open @ (b'{' | b'[')) => {
                    if self.levels.len() >= DEPTH_MAX {
                        let text = format!("nested deeper than {DEPTH_MAX} levels");
                        return Err(Fault { class: Class::TooLarge, text });
                    }
                    let is_object = *open == b'{';
                    self.levels.push((self.names.len() as u32) << 1 | u32::from(!is_object));
                    at = spaces(text, at + 1);
                    let is_empty = text.get(at) == Some(if is_object { &b'}' } else { &b']' });
                    if !is_empty {
                        if is_object {
                            at = self.name_and_colon(read, at)?;
                        }
                        continue;
                    }
                }
                _ => at = spaces(text, plain(text, at)?.1),
            }
            // A value has ended before `at`, or an array or object without any is at its end.
            loop {
                let Some(&level) = self.levels.last() else { return Ok(at) };
                let is_object = level & 1 == 0;
                match text.get(at) {
                    Some(b',') => {
                        at = spaces(text, at + 1);
                        if is_object {
                            at = self.name_and_colon(read, at)?;
                        }
                        break;
                    }
                    Some(b'}') if is_object => self.end_names(text, (level >> 1) as usize)?,
                    Some(b']') if !is_object => {}
                    _ if is_object => return Err(Fault::json(at, "a comma or a } has to stand")),
                    _ => return Err(Fault::json(at, "a comma or a ] has to stand")),
                }
                self.levels.pop();
                at += 1;
                if self.levels.is_empty() {
                    return Ok(at);
                }
                at = spaces(text, at);
            }
        }
    }

    fn name_and_colon(&mut self, read: &Reading<'_>, at: usize) -> Result<usize, Fault> {
        let (_, end) = self.name(read, at)?;
        Ok(spaces(read.text, colon(read.text, end)?))
    }

    /// A member's name with its quotation marks; gives the place behind it.
    #[inline]
    fn name(&mut self, read: &Reading<'_>, at: usize) -> Result<(Name, usize), Fault> {
        let text = read.text;
        if text.get(at) != Some(&b'"') {
            return Err(Fault::json(at, "a name in quotation marks has to stand"));
        }
        let StringEnd { behind, escaped } = string_end::find(text, at)?;
        let mut name = Name { start: at as u32 + 1, end: behind as u32 - 1, unescaped: false };
        if escaped {
            let start = self.unescaped.len();
            let inside = std::str::from_utf8(&text[at + 1..behind - 1]).unwrap_or_default();
            string::take_inside(inside, &mut self.unescaped).ok_or_else(|| Fault::json(at, "no text"))?;
            name = Name { start: start as u32, end: self.unescaped.len() as u32, unescaped: true };
        }
        self.names.push(name);
        Ok((name, behind))
    }

    #[inline]
    fn name_bytes<'a>(&'a self, text: &'a [u8], name: Name) -> &'a [u8] {
        name.bytes(text, &self.unescaped)
    }

    /// An object has ended, whose names are those from `from` on: no two may be one.
    #[inline]
    fn end_names(&mut self, text: &[u8], from: usize) -> Result<(), Fault> {
        let Self { names, unescaped, .. } = self;
        let own = names.get_mut(from..).unwrap_or_default();
        let twice = if own.len() <= FEW {
            own.iter().enumerate().find_map(|(i, name)| {
                let len = name.end - name.start;
                let mut before = own.iter().take(i).filter(|other| other.end - other.start == len);
                before.find(|other| other.bytes(text, unescaped) == name.bytes(text, unescaped))
            })
        } else {
            own.sort_unstable_by(|a, b| a.bytes(text, unescaped).cmp(b.bytes(text, unescaped)));
            let mut pairs = own.windows(2);
            pairs.find(|pair| pair[0].bytes(text, unescaped) == pair[1].bytes(text, unescaped)).map(|pair| &pair[0])
        };
        if let Some(name) = twice {
            let text = format!("two members of one object are called {}", excerpt(name.bytes(text, unescaped)));
            return Err(Fault { class: Class::DuplicateName, text });
        }
        names.truncate(from);
        Ok(())
    }
}

impl Name {
    #[inline]
    fn bytes<'a>(&self, text: &'a [u8], unescaped: &'a [u8]) -> &'a [u8] {
        let place = if self.unescaped { unescaped } else { text };
        place.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// What is read.
struct Reading<'a> {
    text: &'a [u8],
    /// Where the text stands in the tree's bytes.
    base: u32,
    paths: &'a Paths,
}

impl Reading<'_> {
    #[inline]
    fn span(&self, start: usize, end: usize) -> Span {
        Span { start: self.base + start as u32, end: self.base + end as u32 }
    }

    fn ends(&self, at: usize) -> Result<(), Fault> {
        match spaces(self.text, at) {
            end if end == self.text.len() => Ok(()),
            more => Err(Fault::json(more, "something stands behind the object")),
        }
    }
}

/// Behind the spaces that may be there.
#[inline]
fn spaces(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

#[inline]
fn colon(text: &[u8], at: usize) -> Result<usize, Fault> {
    match spaces(text, at) {
        at if text.get(at) == Some(&b':') => Ok(at + 1),
        at => Err(Fault::json(at, "a colon has to stand")),
    }
}

/// A value that is neither array nor object.
#[inline]
fn plain(text: &[u8], at: usize) -> Result<(Kind, usize), Fault> {
    let word = |word: &[u8], kind: Kind| match text[at..].starts_with(word) {
        true => Ok((kind, at + word.len())),
        false => Err(Fault::json(at, "a value has to stand")),
    };
    match text.get(at) {
        Some(b'"') => string_end::find(text, at).map(|end| (Kind::Text { escaped: end.escaped }, end.behind)),
        Some(b'-' | b'0'..=b'9') => number(text, at),
        Some(b't') => word(b"true", Kind::Bool),
        Some(b'f') => word(b"false", Kind::Bool),
        Some(b'n') => word(b"null", Kind::Null),
        Some(_) => Err(Fault::json(at, "a value has to stand")),
        None => Err(Fault::json(at, "the text ends where a value has to stand")),
    }
}

#[inline]
fn number(text: &[u8], begin: usize) -> Result<(Kind, usize), Fault> {
    let digits = |mut at: usize| {
        let begin = at;
        while let Some(b'0'..=b'9') = text.get(at) {
            at += 1;
        }
        if at == begin { Err(Fault::json(at, "a digit has to stand")) } else { Ok(at) }
    };
    let first = if text.get(begin) == Some(&b'-') { begin + 1 } else { begin };
    let mut at = digits(first)?;
    if text.get(first) == Some(&b'0') && at > first + 1 {
        return Err(Fault::json(first, "a number may not begin with 0"));
    }
    let mut whole = true;
    if text.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
        whole = false;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at = digits(if let Some(b'+' | b'-') = text.get(at + 1) { at + 2 } else { at + 1 })?;
        whole = false;
    }
    Ok((Kind::Number { whole }, at))
}

//! The fields that the rules of a file name, as a tree: `device` and `/device/type` share their first step.
//!
//! A field is a name, which is a member at the top, or a JSON pointer, which begins with a slash. Pointers lead through
//! objects only: an element of an array has no name that would stay its own when another one goes.

use crate::base::text::visible;
use crate::formats::string;
use crate::keys::Pointer;

/// A field that a rule names; 0 is the whole document.
pub(super) type PathId = u32;

/// The whole document.
pub(super) const ROOT: PathId = 0;

/// More fields than any rules name that were written by hand. They are kept in order, which takes longer the more there are.
const FIELDS_MAX: usize = 10_000;

/// Every field that a rule names, and what they are in.
#[derive(Debug)]
pub(super) struct Paths {
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    parent: PathId,
    name: Box<[u8]>,
    /// The name as JSON, with its quotation marks.
    quoted: Box<[u8]>,
    /// As people read it: a name, or a pointer.
    shown: String,
    children: Vec<PathId>,
}

impl Paths {
    pub(super) fn new() -> Self {
        let root =
            Node { parent: ROOT, name: [].into(), quoted: [].into(), shown: String::new(), children: Vec::new() };
        Self { nodes: vec![root] }
    }

    /// The field of a rule file.
    pub(super) fn field(&mut self, text: &str) -> Result<PathId, String> {
        if text.is_empty() {
            return Err("a field is a name or a JSON pointer; this is empty".to_owned());
        }
        if self.nodes.len() > FIELDS_MAX {
            return Err(format!("the rules name more than {FIELDS_MAX} fields"));
        }
        if !text.starts_with('/') {
            return Ok(self.child_or_new(ROOT, text, visible(text)));
        }
        let pointer = Pointer::parse(text)?;
        let mut at = ROOT;
        let mut shown = String::new();
        for name in pointer.names() {
            shown.push('/');
            shown.push_str(&visible(name).replace('~', "~0").replace('/', "~1"));
            at = self.child_or_new(at, name, shown.clone());
        }
        Ok(at)
    }

    fn child_or_new(&mut self, parent: PathId, name: &str, shown: String) -> PathId {
        if let Some(known) = self.child(parent, name.as_bytes()) {
            return known;
        }
        let mut quoted = Vec::new();
        string::put(&mut quoted, name);
        let id = self.nodes.len() as PathId;
        // At the top a name says it as well.
        let shown = if parent == ROOT && !name.starts_with('/') && !name.is_empty() { visible(name) } else { shown };
        let name = name.as_bytes().into();
        self.nodes.push(Node { parent, name, quoted: quoted.into(), shown, children: Vec::new() });
        let nodes = &mut self.nodes;
        let mut children = std::mem::take(&mut nodes[parent as usize].children);
        let at =
            children.partition_point(|&child| order(&nodes[child as usize].name, &nodes[id as usize].name).is_lt());
        children.insert(at, id);
        nodes[parent as usize].children = children;
        id
    }

    /// The field of this name in that one, if a rule names it.
    #[inline]
    pub(super) fn child(&self, parent: PathId, name: &[u8]) -> Option<PathId> {
        let children = &self.nodes[parent as usize].children;
        let found = children.binary_search_by(|&child| order(&self.nodes[child as usize].name, name)).ok()?;
        children.get(found).copied()
    }

    /// The fields that rules name in this one.
    pub(super) fn children(&self, path: PathId) -> &[PathId] {
        &self.nodes[path as usize].children
    }

    /// Whether a rule names a field inside this one.
    #[inline]
    pub(super) fn is_entered(&self, path: PathId) -> bool {
        !self.nodes[path as usize].children.is_empty()
    }

    pub(super) fn parent(&self, path: PathId) -> PathId {
        self.nodes[path as usize].parent
    }

    /// The name that it has in what it is in.
    pub(super) fn name(&self, path: PathId) -> Option<&str> {
        std::str::from_utf8(&self.nodes[path as usize].name).ok()
    }

    pub(super) fn quoted(&self, path: PathId) -> &[u8] {
        &self.nodes[path as usize].quoted
    }

    pub(super) fn shown(&self, path: PathId) -> &str {
        &self.nodes[path as usize].shown
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether one is the other, or in it.
    pub(super) fn is_within(&self, inner: PathId, outer: PathId) -> bool {
        let mut at = inner;
        while at != ROOT && at != outer {
            at = self.parent(at);
        }
        at == outer
    }
}

/// By length first: most names differ there.
#[inline]
fn order(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_the_pointer_to_it_are_one_field() {
        let mut paths = Paths::new();
        let name = paths.field("device").unwrap();
        assert_eq!(paths.field("/device").unwrap(), name);
        let inner = paths.field("/device/a~1b").unwrap();
        assert_eq!((paths.parent(inner), paths.child(name, b"a/b")), (name, Some(inner)));
        assert_eq!((paths.shown(name), paths.shown(inner)), ("device", "/device/a~1b"));
        assert_eq!(paths.quoted(inner), br#""a/b""#);
        assert!(paths.is_entered(name) && !paths.is_entered(inner));
        assert!(paths.is_within(inner, name) && !paths.is_within(name, inner));
        assert_eq!(paths.child(ROOT, b"devicf"), None);
    }

    #[test]
    fn more_fields_than_anybody_names_are_refused() {
        let mut paths = Paths::new();
        for number in 0..FIELDS_MAX {
            paths.field(&number.to_string()).unwrap();
        }
        assert!(paths.field("one more").unwrap_err().contains("10000"));
    }

    #[test]
    fn what_is_no_field_is_refused() {
        let mut paths = Paths::new();
        assert!(paths.field("").unwrap_err().contains("empty"));
        assert!(paths.field("/a~2").unwrap_err().contains("~0"));
        assert!(paths.field(&"/a".repeat(101)).unwrap_err().contains("100"));
    }
}

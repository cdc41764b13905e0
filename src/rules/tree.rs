//! A record's JSON with what the rules made of it: the members of the objects that rules look into, each a span of bytes.
//!
//! ```text
//!  bytes    {"user_id":"7","meta":{"a":1},"x":[1, 2.50]}·············  the record, and behind it what rules wrote
//!  members     user_id──┘    meta (opened: a)  x──┘ as it is written
//!  at       field of a rule ─▶ its member
//! ```
//!
//! Nothing is built for what no rule names: it is copied as it stands, spaces, digits and all. An object is written anew only
//! if something in it has changed.
//!
//! Non-obvious: `at` always tells where a field of a rule is now, so whoever moves or removes an object must put right what is
//! inside it too.

use super::paths::{PathId, Paths, ROOT};
use super::scan::{BYTES_MAX, Fault, Scanner};

/// The bytes behind and before each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// What a JSON text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    /// `whole`: digits with perhaps a sign, nothing else.
    Number {
        whole: bool,
    },
    /// `escaped`: it has a backslash in it.
    Text {
        escaped: bool,
    },
    Array,
    /// As it is written.
    Object,
    /// An object whose members are in the tree.
    Opened,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    /// With its quotation marks.
    pub(super) name: Span,
    pub(super) value: Span,
    pub(super) kind: Kind,
    pub(super) path: Option<PathId>,
    next: u32,
    gone: bool,
    /// From the name to the value's end it stands in the record as it is.
    pristine: bool,
}

/// The members of an object, in their order.
#[derive(Debug, Clone, Copy)]
struct Members {
    first: u32,
    last: u32,
    changed: bool,
}

/// Rules may write as much behind a record as the largest record takes, which spans have the bits for.
const KEPT_BYTES_MAX: usize = 2 * BYTES_MAX;

const NONE: u32 = u32::MAX;
const CLOSED: Members = Members { first: NONE, last: NONE, changed: false };

/// Why something could not be put into the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PutError {
    /// This one is in the way: it is no object.
    InTheWay(PathId),
    /// What was put is beyond what is followed.
    Fault(Fault),
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    bytes: Vec<u8>,
    members: Vec<Member>,
    at: Vec<u32>,
    /// By field; only those of opened objects mean anything.
    opened: Vec<Members>,
    /// What is copied inside `bytes` goes through here.
    carry: Vec<u8>,
}

impl Tree {
    /// Reads a record, which has to be an object.
    #[inline]
    pub(super) fn read(&mut self, record: &[u8], paths: &Paths, scanner: &mut Scanner) -> Result<(), Fault> {
        self.bytes.clear();
        self.bytes.extend_from_slice(record);
        self.members.clear();
        self.at.clear();
        self.at.resize(paths.len(), NONE);
        self.opened.clear();
        self.opened.resize(paths.len(), CLOSED);
        scanner.document(record, paths, self)
    }

    /// Lets go of what an exceptional record has taken.
    pub(super) fn shrink(&mut self, bytes: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(bytes);
        self.carry.clear();
        self.carry.shrink_to(bytes);
        self.members.clear();
        self.members.shrink_to(bytes / size_of::<Member>());
    }

    pub(super) fn members_len(&self) -> usize {
        self.members.len()
    }

    #[inline]
    pub(super) fn bytes(&self, span: Span) -> &[u8] {
        self.bytes.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// The field's member, if it is there.
    #[inline]
    pub(super) fn get(&self, path: PathId) -> Option<&Member> {
        self.members.get(self.at[path as usize] as usize)
    }

    /// The field's member, if it is there and not null.
    #[inline]
    pub(super) fn something(&self, path: PathId) -> Option<&Member> {
        self.get(path).filter(|member| member.kind != Kind::Null)
    }

    /// Whether the document is written anew.
    pub(super) fn is_changed(&self) -> bool {
        self.opened[ROOT as usize].changed
    }

    /// The scanner has come to an object that rules look into.
    pub(super) fn open(&mut self, path: PathId) {
        self.opened[path as usize] = CLOSED;
    }

    /// The scanner has come to a member of such an object. It is given its value later.
    #[inline]
    pub(super) fn append(&mut self, object: PathId, name: Span, path: Option<PathId>) -> u32 {
        let id = self.members.len() as u32;
        let (value, kind) = (Span::default(), Kind::Null);
        self.members.push(Member { name, value, kind, path, next: NONE, gone: false, pristine: true });
        if let Some(path) = path {
            self.at[path as usize] = id;
        }
        let list = &mut self.opened[object as usize];
        match self.members.get_mut(list.last as usize) {
            Some(last) => last.next = id,
            None => list.first = id,
        }
        list.last = id;
        id
    }

    #[inline]
    pub(super) fn set_value(&mut self, member: u32, value: Span, kind: Kind) {
        if let Some(member) = self.members.get_mut(member as usize) {
            (member.value, member.kind) = (value, kind);
        }
    }

    /// Puts a value where a field is, or at the end of the object that it belongs to, which is made if need be.
    pub(super) fn put(
        &mut self,
        path: PathId,
        json: &[u8],
        kind: Kind,
        paths: &Paths,
        scanner: &mut Scanner,
    ) -> Result<(), PutError> {
        let id = match self.at[path as usize] {
            NONE => self.make(path, paths)?,
            id => {
                self.forget_inside(path, paths);
                id
            }
        };
        self.touch(path, paths);
        self.give(id, path, json, kind, paths, scanner)
    }

    fn give(
        &mut self,
        id: u32,
        path: PathId,
        json: &[u8],
        kind: Kind,
        paths: &Paths,
        scanner: &mut Scanner,
    ) -> Result<(), PutError> {
        let value = self.keep(json).map_err(PutError::Fault)?;
        let kind = if kind == Kind::Object && paths.is_entered(path) {
            self.open(path);
            scanner.object(json, value.start, path, paths, self).map_err(PutError::Fault)?;
            Kind::Opened
        } else {
            kind
        };
        if let Some(member) = self.members.get_mut(id as usize) {
            (member.value, member.kind, member.pristine) = (value, kind, false);
        }
        Ok(())
    }

    /// A new member, null so far; and the objects that it is in, where they are missing or null.
    fn make(&mut self, path: PathId, paths: &Paths) -> Result<u32, PutError> {
        let parent = paths.parent(path);
        if parent != ROOT {
            match self.get(parent).map(|member| member.kind) {
                Some(Kind::Opened) => {}
                None | Some(Kind::Null) => {
                    let id =
                        if self.get(parent).is_none() { self.make(parent, paths)? } else { self.at[parent as usize] };
                    self.open(parent);
                    self.set_value(id, Span::default(), Kind::Opened);
                    if let Some(member) = self.members.get_mut(id as usize) {
                        member.pristine = false;
                    }
                }
                Some(_) => return Err(PutError::InTheWay(parent)),
            }
        }
        let name = self.keep(paths.quoted(path)).map_err(PutError::Fault)?;
        Ok(self.append(parent, name, Some(path)))
    }

    /// Takes a field out, with all that is in it.
    pub(super) fn remove(&mut self, path: PathId, paths: &Paths) {
        let Some(member) = self.members.get_mut(self.at[path as usize] as usize) else { return };
        member.gone = true;
        self.forget_inside(path, paths);
        self.touch(path, paths);
        self.at[path as usize] = NONE;
    }

    /// Gives a field another name in the same object, where it stays in its place, or moves it to the end of another object.
    /// Nothing may be there under the new name.
    pub(super) fn rename(
        &mut self,
        from: PathId,
        to: PathId,
        paths: &Paths,
        scanner: &mut Scanner,
    ) -> Result<(), PutError> {
        let Some(&member) = self.get(from) else { return Ok(()) };
        let kind = if member.kind == Kind::Opened { Kind::Object } else { member.kind };
        let mut json = std::mem::take(&mut self.carry);
        json.clear();
        self.write_value(&member, &mut json);
        let done = if paths.parent(from) == paths.parent(to) {
            self.rename_in_place(from, to, &json, kind, paths, scanner)
        } else {
            // Made first, so that nothing is lost where it cannot be.
            self.put(to, &json, kind, paths, scanner).map(|()| self.remove(from, paths))
        };
        self.carry = json;
        done
    }

    fn rename_in_place(
        &mut self,
        from: PathId,
        to: PathId,
        json: &[u8],
        kind: Kind,
        paths: &Paths,
        scanner: &mut Scanner,
    ) -> Result<(), PutError> {
        let id = self.at[from as usize];
        let name = self.keep(paths.quoted(to)).map_err(PutError::Fault)?;
        self.forget_inside(from, paths);
        (self.at[from as usize], self.at[to as usize]) = (NONE, id);
        if let Some(member) = self.members.get_mut(id as usize) {
            (member.name, member.path) = (name, Some(to));
        }
        self.touch(to, paths);
        self.give(id, to, json, kind, paths, scanner)
    }

    /// What rules name inside a field is not there any more.
    fn forget_inside(&mut self, path: PathId, paths: &Paths) {
        for &child in paths.children(path) {
            self.at[child as usize] = NONE;
            self.forget_inside(child, paths);
        }
    }

    /// The objects around a field are written anew.
    fn touch(&mut self, path: PathId, paths: &Paths) {
        let mut at = path;
        while at != ROOT {
            at = paths.parent(at);
            self.opened[at as usize].changed = true;
        }
    }

    fn keep(&mut self, json: &[u8]) -> Result<Span, Fault> {
        // Before anything is taken for it.
        if self.bytes.len().saturating_add(json.len()) > KEPT_BYTES_MAX {
            return Err(Fault::LARGE);
        }
        let start = u32::try_from(self.bytes.len()).map_err(|_| Fault::LARGE)?;
        self.bytes.extend_from_slice(json);
        let end = u32::try_from(self.bytes.len()).map_err(|_| Fault::LARGE)?;
        Ok(Span { start, end })
    }

    /// Appends the whole document.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.write_object(ROOT, out);
    }

    /// Appends what a member is now.
    pub(super) fn write_value(&self, member: &Member, out: &mut Vec<u8>) {
        match (member.kind, member.path) {
            (Kind::Opened, Some(path)) if self.opened[path as usize].changed => self.write_object(path, out),
            _ => out.extend_from_slice(self.bytes(member.value)),
        }
    }

    /// Recurses into objects that rules look into only: as deep as the deepest pointer of a rule.
    fn write_object(&self, object: PathId, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut at = self.opened[object as usize].first;
        let mut is_first = true;
        while let Some(member) = self.members.get(at as usize) {
            at = member.next;
            if member.gone {
                continue;
            }
            if !is_first {
                out.push(b',');
            }
            is_first = false;
            let opened = member.kind == Kind::Opened;
            if member.pristine && !opened {
                out.extend_from_slice(self.bytes(Span { start: member.name.start, end: member.value.end }));
            } else {
                out.extend_from_slice(self.bytes(member.name));
                out.push(b':');
                self.write_value(member, out);
            }
        }
        out.push(b'}');
    }
}

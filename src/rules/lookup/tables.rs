//! The tables of all topics that rules look up in, and what they may take together.

use super::super::scan::{Fault, Scanner};
use super::super::tree::Tree;
use super::super::{Reason, Rules};
use super::LookupTopic;
use super::table::{HEAD_BYTES, LookupTable, code_of};
use std::sync::Arc;

/// Buffers that have become larger than this are let go.
const BUFFER_BYTES_MAX: usize = 1 << 20;

/// The tables, in the order of [`Rules::lookup_topics`].
#[derive(Debug)]
pub struct Lookups {
    rules: Arc<Rules>,
    tables: Vec<LookupTable>,
    bytes_max: usize,
    reader: Reader,
}

/// Reads values. Its buffers are used again.
#[derive(Debug, Default)]
struct Reader {
    tree: Tree,
    scanner: Scanner,
    /// The entry: the key, and what is taken.
    entry: Vec<u8>,
}

/// What became of a record of a topic that rules look up in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is its key's newest value.
    Held,
    /// It takes its key out.
    Gone,
    /// No rule could look at it, so there is nothing under its key.
    Unreadable(Reason),
    /// It has no key.
    WithoutKey,
}

/// More would have to be held than there is room for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what rules take of {topic} needs more than the {bytes_max} bytes that there are for it")]
pub struct LookupFull {
    /// The topic.
    pub topic: String,
    /// What would have to be held of all topics.
    pub bytes: usize,
    /// What may be.
    pub bytes_max: usize,
}

impl Lookups {
    /// Nothing was taken yet, and never more than so many bytes are.
    pub fn new(rules: &Arc<Rules>, bytes_max: usize) -> Self {
        let tables = rules.lookups.iter().map(|topic| LookupTable::new(topic.fields.len())).collect();
        Self { rules: Arc::clone(rules), tables, bytes_max, reader: Reader::default() }
    }

    /// The tables, for [`super::super::Cleaner::clean_with`].
    #[inline]
    pub fn tables(&self) -> &[LookupTable] {
        &self.tables
    }

    /// What they take together.
    pub fn bytes(&self) -> usize {
        self.tables.iter().map(LookupTable::bytes).sum()
    }

    /// Takes a record of one of the topics, which is the newest of its key so far.
    pub fn take(&mut self, topic: usize, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Taken, LookupFull> {
        let all_bytes = self.bytes();
        let (Some(of), Some(table)) = (self.rules.lookups.get(topic), self.tables.get_mut(topic)) else {
            return Ok(Taken::WithoutKey);
        };
        table.records += 1;
        let Some(key) = key else {
            table.without_key += 1;
            return Ok(Taken::WithoutKey);
        };
        let Some(value) = value else {
            table.remove(key);
            return Ok(Taken::Gone);
        };
        let key_len = match self.reader.read(of, key, value) {
            Ok(key_len) => key_len,
            Err(Fault { class, text }) => {
                table.unreadable += 1;
                table.remove(key);
                self.reader.shrink();
                return Ok(Taken::Unreadable(Reason { class, text }));
            }
        };
        let entry = &self.reader.entry;
        if !table.has(key, entry) {
            let bytes = (all_bytes - table.bytes()).saturating_add(table.bytes_with(entry.len()));
            if bytes > self.bytes_max {
                return Err(LookupFull { topic: of.name.to_string(), bytes, bytes_max: self.bytes_max });
            }
            table.put(entry, key_len);
        }
        self.reader.shrink();
        Ok(Taken::Held)
    }
}

impl Reader {
    /// Puts the entry together; gives the length of its key.
    fn read(&mut self, of: &LookupTopic, key: &[u8], value: &[u8]) -> Result<u32, Fault> {
        let Self { tree, scanner, entry } = self;
        tree.read(value, &of.paths, scanner)?;
        entry.clear();
        entry.extend_from_slice(key);
        let heads = entry.len();
        let values = heads + of.fields.len() * HEAD_BYTES;
        entry.resize(values, 0);
        for (head, path) in (heads..).step_by(HEAD_BYTES).zip(&of.fields) {
            let member = tree.something(*path);
            if let Some(member) = member {
                entry.extend_from_slice(tree.bytes(member.value));
            }
            let end = u32::try_from(entry.len() - values).map_err(|_| Fault::LARGE)?;
            if let Some([kind, places @ ..]) = entry.get_mut(head..head + HEAD_BYTES) {
                *kind = code_of(member.map(|member| member.kind));
                places.copy_from_slice(&end.to_le_bytes());
            }
        }
        u32::try_from(key.len()).map_err(|_| Fault::LARGE)
    }

    /// Costs nothing where there is nothing to let go.
    fn shrink(&mut self) {
        self.tree.shrink(BUFFER_BYTES_MAX);
        self.scanner.shrink(BUFFER_BYTES_MAX);
        self.entry.clear();
        self.entry.shrink_to(BUFFER_BYTES_MAX);
    }
}

//! Rows as they came, one behind the other, until they are enough for a row group.

/// See the module's head.
#[derive(Debug, Default)]
pub struct Rows {
    text: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
}

/// A record that becomes a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) json: &'a [u8],
    pub(super) offset: i64,
}

impl Rows {
    /// What a row takes beside its text, here and in the columns that are made of it: some words here, and a level in each.
    pub fn overhead(columns: usize) -> usize {
        32 + 4 * columns
    }

    /// Adds a row: a JSON object, where it stood and when.
    #[inline]
    pub fn push(&mut self, json: &[u8], offset: i64, timestamp_ms: i64) {
        self.text.extend_from_slice(json);
        self.ends.push(self.text.len());
        self.offsets.push(offset);
        self.timestamps.push(timestamp_ms);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// What they take, in a table of so many columns.
    pub fn bytes(&self, columns: usize) -> usize {
        self.text.len() + self.len() * Self::overhead(columns)
    }

    /// Forgets them, and keeps what they took for the next ones, up to `bytes` of text, and as much of the rest.
    pub fn clear(&mut self, bytes: usize) {
        self.text.clear();
        self.text.shrink_to(bytes);
        let words = bytes / (3 * size_of::<i64>());
        self.ends.clear();
        self.ends.shrink_to(words);
        for numbers in [&mut self.offsets, &mut self.timestamps] {
            numbers.clear();
            numbers.shrink_to(words);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let texts = starts.zip(&self.ends).map(|(start, end)| self.text.get(start..*end).unwrap_or_default());
        texts.zip(&self.offsets).map(|(json, offset)| Row { json, offset: *offset })
    }

    /// Where records stood.
    pub fn offsets(&self) -> &[i64] {
        &self.offsets
    }

    /// Negative, where a record has none.
    pub fn timestamps(&self) -> &[i64] {
        &self.timestamps
    }
}

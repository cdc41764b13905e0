//! The inputs, one after the other, and again if they are to be repeated: rows out of blocks.

use super::ProduceSettings;
use super::feed::{Fed, Feed};
use super::rows::{Format, Prepared, Shape};
use crate::base::text::visible;
use crate::formats::text::Text;
use crate::formats::{Malformed, Reader};
use crate::jobs::error::JobError;
use std::path::PathBuf;

/// Where records come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The standard input.
    Stdin,
    /// A file, or what can be opened like one.
    File(PathBuf),
}

impl Input {
    /// As it is typed: `-` is the standard input.
    pub fn parse(text: &str) -> Self {
        if text == "-" { Self::Stdin } else { Self::File(text.into()) }
    }

    /// For people.
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "stdin".to_owned(),
            Self::File(path) => visible(&path.to_string_lossy()),
        }
    }

    /// By the end of its name.
    pub(super) fn format(&self) -> Format {
        let Self::File(path) = self else { return Format::Lines };
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        match extension.as_deref() {
            Some("csv" | "tsv") => Format::Csv,
            Some("json") => Format::Json,
            _ => Format::Lines,
        }
    }

    pub(super) fn is_tab_separated(&self) -> bool {
        matches!(self, Self::File(path) if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv")))
    }
}

pub(super) struct Inputs<'a> {
    settings: &'a ProduceSettings,
    feed: Feed,
    /// How many of the inputs were begun in this pass.
    begun: usize,
    text: Text,
    reader: Reader,
    shape: Shape<'a>,
    /// Rows of this pass.
    rows: u64,
}

impl<'a> Inputs<'a> {
    /// Nothing is read yet: [`Self::more`] begins.
    pub(super) fn open(settings: &'a ProduceSettings) -> Result<Self, JobError> {
        let feed = Feed::start().map_err(|source| JobError::Input { name: "the reading thread".to_owned(), source })?;
        let mut text = Text::new(settings.record_bytes_max());
        text.end();
        let shape = Shape::of(settings);
        Ok(Self { settings, feed, begun: 0, text, reader: shape.reader(&Input::Stdin), shape, rows: 0 })
    }

    /// The next row; `None` if more has to come, or another input.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Prepared<'_>>, RowError> {
        let Some(row) = self.reader.next(&mut self.text).map_err(RowError::Malformed)? else { return Ok(None) };
        self.rows += 1;
        self.shape.prepare(row).map(Some).map_err(RowError::Unfit)
    }

    /// What is wrong with the row that was read last, with its place.
    #[cold]
    pub(super) fn tell(&mut self, error: RowError) -> JobError {
        let error = match error {
            RowError::Malformed(error) => error,
            RowError::Unfit(problem) => self.text.wrong_last(problem),
        };
        JobError::Malformed { name: self.name(), error }
    }

    fn name(&self) -> String {
        self.begun.checked_sub(1).and_then(|at| self.settings.inputs.get(at)).map_or_else(String::new, Input::name)
    }

    /// Waits for more to read; `false` if there is none.
    pub(super) async fn more(&mut self) -> Result<bool, JobError> {
        if self.text.is_ended() {
            return self.begin_next();
        }
        match self.feed.next().await {
            Fed::Block { bytes, len } => {
                let spare = self.text.feed(bytes, len);
                self.feed.give_back(spare);
            }
            Fed::End => self.text.end(),
            Fed::Failed(source) => return Err(JobError::Input { name: self.name(), source }),
        }
        Ok(true)
    }

    fn begin_next(&mut self) -> Result<bool, JobError> {
        let inputs = &self.settings.inputs;
        if self.begun == inputs.len() {
            if self.settings.repeat_to.is_none() {
                return Ok(false);
            }
            if self.rows == 0 {
                return Err(JobError::Refused(format!("{} holds no records: there is nothing to repeat", self.name())));
            }
            self.rows = 0;
            // A small file is still there whole.
            if inputs.len() == 1 && self.text.rewind() {
                self.reader.restart();
                return Ok(true);
            }
            self.begun = 0;
        }
        let Some(input) = inputs.get(self.begun) else { return Ok(false) };
        self.begun += 1;
        self.text.restart();
        self.reader = self.shape.reader(input);
        self.feed.open(input.clone());
        Ok(true)
    }
}

/// Why a row cannot be taken.
pub(super) enum RowError {
    /// It cannot be read.
    Malformed(Malformed),
    /// It does not hold what it must.
    Unfit(String),
}

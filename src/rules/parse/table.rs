//! `[parquet]` of a rule file: the columns, and whether rows say where their records stood.

use super::section::Section;
use crate::formats::parquet::{Column, Kind, Schema};
use crate::rules::table::Table;

pub(super) fn read(section: Option<Section<'_>>) -> Table {
    let Some(section) = section else { return Table::default() };
    section.only(&["columns", "metadata"]);
    let metadata = section.truth("metadata").unwrap_or(true);
    Table { columns: section.section("columns").map(|columns| read_columns(&columns, metadata)), metadata }
}

fn read_columns(section: &Section<'_>, metadata: bool) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for (name, _) in section.names() {
        let Some(kind) = section.word(name, &Kind::ALL) else { continue };
        if name.starts_with('/') {
            section.wrong(name, "a column is a member at the top: rename it to one before");
        }
        columns.push(Column { name: name.to_owned(), kind });
        // Checked one by one, so that each is told at its place.
        let last = columns.len() - 1;
        if let Err(error) = Schema::new(columns[last..].to_vec(), metadata) {
            section.wrong(name, error.to_string());
        }
    }
    if let Err(error) = Schema::new(columns.clone(), metadata)
        && section.errors.len() == 0
    {
        section.wrong("", error.to_string());
    }
    columns
}

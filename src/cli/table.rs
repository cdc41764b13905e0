//! Tables: columns for people, or CSV (RFC 4180) for what reads files.

use kmerge::base::text::visible;

/// A table of text. Names on the left are easier to read, numbers on the right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    heads: Vec<&'static str>,
    /// How many columns from the first on line up on the left.
    left: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one; the first `left` columns line up on the left.
    pub fn new(left: usize, heads: &[&'static str]) -> Self {
        Self { heads: heads.to_vec(), left, rows: Vec::new() }
    }

    /// Adds a row. What comes from the cluster is as it came: control characters are made visible when it is shown.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Columns of text, without blanks at the ends of lines.
    pub fn text(&self) -> String {
        let heads: Vec<String> = self.heads.iter().map(|head| (*head).to_owned()).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect());
        let lines: Vec<Vec<String>> = std::iter::once(heads).chain(rows).collect();
        let width =
            |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..self.heads.len()).map(|column| width(column).unwrap_or(0)).collect();
        let mut out = String::new();
        for line in &lines {
            let mut text = String::new();
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                text += if column == 0 { "" } else { "  " };
                text += &if column < self.left { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
            }
            out += text.trim_end();
            out.push('\n');
        }
        out
    }

    /// One line a row, the heads first; a cell that needs it is quoted.
    pub fn csv(&self) -> String {
        let heads = std::iter::once(self.heads.iter().map(|head| (*head).to_owned()).collect::<Vec<_>>());
        let mut out = String::new();
        for line in heads.chain(self.rows.iter().cloned()) {
            let cells: Vec<String> = line.iter().map(|cell| quoted(cell)).collect();
            out += &cells.join(",");
            out.push('\n');
        }
        out
    }
}

fn quoted(cell: &str) -> String {
    let plain = !cell.contains([',', '"', '\n', '\r']);
    if plain { cell.to_owned() } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
}

/// `3 partitions`, `1 partition`.
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// `1,2,3`.
pub fn ids(ids: &[i32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(1, &["TOPIC", "N"]);
        table.row(["a".into(), "10".into()]);
        table.row(["long-name".into(), "1".into()]);
        table
    }

    #[test]
    fn a_table_lines_its_columns_up() {
        assert_eq!(table().text(), "TOPIC       N\na          10\nlong-name   1\n");
    }

    #[test]
    fn csv_quotes_what_would_be_taken_for_something_else() {
        let mut table = table();
        table.row(["a,\"b\"\nc".into(), String::new()]);
        assert_eq!(table.csv(), "TOPIC,N\na,10\nlong-name,1\n\"a,\"\"b\"\"\nc\",\n");
    }

    #[test]
    fn what_the_cluster_names_cannot_drive_the_terminal() {
        let mut table = Table::new(1, &["TOPIC"]);
        table.row(["a\x1b[2J".into()]);
        assert_eq!(table.text(), "TOPIC\na\\x1b[2J\n");
    }
}

//! What a rule file says of the table that records become, and what its rules know of the columns.

use super::Rules;
use super::cast::Target;
use super::change::Change;
use super::moment::Unit;
use super::paths::{PathId, ROOT};
use super::step::{Action, Fallback};
use crate::formats::parquet::{Column, Kind};
use std::collections::BTreeMap;

/// `[parquet]` of a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The columns, in their order; if there are none, what the first records hold decides.
    pub columns: Option<Vec<Column>>,
    /// Whether each row says where its record stood, and when.
    pub metadata: bool,
}

impl Default for Table {
    fn default() -> Self {
        Self { columns: None, metadata: true }
    }
}

impl Rules {
    /// What the file says of the table that records become.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Members at the top whose type the rules make sure of, whatever the first records hold.
    pub fn known_columns(&self) -> Vec<Column> {
        let mut known: BTreeMap<PathId, Kind> = BTreeMap::new();
        for step in &self.steps {
            match &step.action {
                Action::Change { path, change, fallback } => match &**change {
                    // Kept, a value is whatever it was.
                    Change::Cast(target) if *fallback != Fallback::Keep => {
                        known.insert(*path, kind_of(*target));
                    }
                    Change::Cast(_) | Change::Map { .. } => _ = known.remove(path),
                    Change::Trim | Change::Case(_) | Change::Range { .. } | Change::Pattern(_) => {}
                },
                Action::Rename { from, to } => {
                    known.remove(to);
                    if let Some(kind) = known.remove(from) {
                        known.insert(*to, kind);
                    }
                }
                Action::Drop { path } => _ = known.remove(path),
                Action::DerivePart { path, .. } | Action::DeriveText { path, .. } => _ = known.remove(path),
                Action::Lookup(lookup) => lookup.takes.iter().for_each(|take| _ = known.remove(&take.to)),
                Action::Default { .. }
                | Action::Required { .. }
                | Action::Filter { .. }
                | Action::Deduplicate { .. } => {}
            }
        }
        let at_top = known.into_iter().filter(|(path, _)| *path != ROOT && self.paths.parent(*path) == ROOT);
        at_top.filter_map(|(path, kind)| Some(Column { name: self.paths.name(path)?.to_owned(), kind })).collect()
    }
}

fn kind_of(target: Target) -> Kind {
    match target {
        Target::Int => Kind::Int,
        Target::Float => Kind::Float,
        Target::Bool => Kind::Bool,
        Target::String => Kind::String,
        Target::Time(Unit::Second | Unit::Millisecond) => Kind::Time,
        Target::Time(Unit::Microsecond | Unit::Nanosecond) => Kind::TimeMicros,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(all: &[Column]) -> Vec<(&str, &'static str)> {
        all.iter().map(|one| (one.name.as_str(), one.kind.name())).collect()
    }

    #[test]
    fn columns_are_read_in_their_order_and_metadata_can_be_left_out() {
        let rules =
            Rules::parse("[parquet]\nmetadata = false\ncolumns = { b = \"int\", \"a.b\" = \"time_us\" }\n").unwrap();
        let table = rules.table();
        assert_eq!(columns(table.columns.as_ref().unwrap()), [("b", "int"), ("a.b", "time_us")]);
        assert!(!table.metadata && rules.is_empty());
        let rules = Rules::parse("[[rule]]\ntrim = { field = \"a\" }\n").unwrap();
        assert_eq!(*rules.table(), Table { columns: None, metadata: true });
    }

    #[test]
    fn whatever_is_wrong_with_the_table_is_told_at_its_line() {
        let file = "[parquet]\nmetadat = true\nmetadata = 1\n[parquet.columns]\na = \"flot\"\n\"/b/c\" = \"int\"\n_rest = \"json\"\n";
        let errors = Rules::parse(file).unwrap_err();
        let told: Vec<_> = errors.iter().map(|error| (error.line, error.to_string())).collect();
        for (line, part) in
            [(2, "metadat"), (3, "true or false"), (5, "did you mean"), (6, "parquet.columns./b/c"), (7, "by itself")]
        {
            assert!(told.iter().any(|(at, text)| *at == line && text.contains(part)), "{line} {part}: {told:?}");
        }
        assert_eq!(told.len(), 5, "{told:?}");
        let errors = Rules::parse("parquet = 7\n").unwrap_err();
        assert!(errors[0].to_string().contains("a table"), "{errors:?}");
    }

    #[test]
    fn what_rules_cast_is_known_wherever_it_is_renamed_to() {
        let rules = Rules::parse(
            r#"
[[rule]]
cast = { field = ["a", "b", "c", "d", "e", "/m/x"], to = "int" }
[[rule]]
cast = { field = "t", to = "time", unit = "us", on_failure = "null" }
[[rule]]
cast = { field = "kept", to = "bool", on_failure = "keep" }
[[rule]]
rename = { field = "a", to = "z" }
[[rule]]
rename = { field = "/m/x", to = "x" }
[[rule]]
drop = { field = "b" }
[[rule]]
map = { field = "c", values = { "1" = "one" } }
[[rule]]
derive = { field = "d", template = "{e}" }
[[rule]]
cast = { field = "t", to = "time", unit = "s" }
"#,
        )
        .unwrap();
        let mut known = rules.known_columns();
        known.sort_by(|one, other| one.name.cmp(&other.name));
        assert_eq!(columns(&known), [("e", "int"), ("t", "time"), ("x", "int"), ("z", "int")]);
    }
}

//! The columns of a table, and the JSON that they are kept as.

use serde_json::{Map, Value, json};

/// More columns than any table that was meant as one. A schema that is kept may not have more either.
pub(super) const COLUMNS_MAX: usize = 1000;

/// What a column holds; the table in the head of the module says what of JSON that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers of 64 bits.
    Int,
    /// Doubles.
    Float,
    /// Truth.
    Bool,
    /// Text.
    String,
    /// Moments, in milliseconds.
    Time,
    /// Moments, in microseconds.
    TimeMicros,
    /// Anything, as JSON text.
    Json,
}

impl Kind {
    /// All of them, by the names that rule files and kept schemas have for them.
    pub const ALL: [(&'static str, Self); 7] = [
        ("int", Self::Int),
        ("float", Self::Float),
        ("bool", Self::Bool),
        ("string", Self::String),
        ("time", Self::Time),
        ("time_us", Self::TimeMicros),
        ("json", Self::Json),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// A column: the member of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The member's name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
}

/// The columns of a table. Behind them come `_rest` and, with `metadata`, where each record stood and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    columns: Vec<Column>,
    metadata: bool,
}

/// What is wrong with a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SchemaError(String);

/// What does not fit elsewhere.
pub(super) const REST: &str = "_rest";
/// Where a record stood, and when.
pub(super) const METADATA: [&str; 4] = ["_topic", "_partition", "_offset", "_timestamp"];

impl Schema {
    /// A table of these columns.
    pub fn new(columns: Vec<Column>, metadata: bool) -> Result<Self, SchemaError> {
        if columns.len() > COLUMNS_MAX {
            return Err(SchemaError(format!("{} columns, where {COLUMNS_MAX} are the most", columns.len())));
        }
        for (index, column) in columns.iter().enumerate() {
            if let Some(why) = unfit_name(&column.name) {
                return Err(SchemaError(why));
            }
            if columns[..index].iter().any(|other| other.name == column.name) {
                return Err(SchemaError(format!("two columns are called {}", column.name)));
            }
        }
        Ok(Self { columns, metadata })
    }

    /// A table of columns that are known to be right.
    pub(super) fn of_checked(columns: Vec<Column>, metadata: bool) -> Self {
        Self { columns, metadata }
    }

    /// The columns that members go to.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Whether each row says where its record stood, and when.
    pub fn has_metadata(&self) -> bool {
        self.metadata
    }

    /// How many columns there are in all.
    pub fn width(&self) -> usize {
        self.columns.len() + 1 + if self.metadata { METADATA.len() } else { 0 }
    }

    /// As it is kept.
    pub fn to_json(&self) -> Value {
        let columns = self.columns.iter().map(|one| json!({ "name": one.name, "type": one.kind.name() }));
        json!({ "columns": columns.collect::<Vec<_>>(), "metadata": self.metadata })
    }

    /// Reads what was kept; more may stand beside it.
    pub fn from_json(kept: &Map<String, Value>) -> Result<Self, SchemaError> {
        let lacks = |what: &str| SchemaError(format!("it has no {what}"));
        let metadata = kept.get("metadata").and_then(Value::as_bool).ok_or_else(|| lacks("\"metadata\""))?;
        let kept = kept.get("columns").and_then(Value::as_array).ok_or_else(|| lacks("\"columns\""))?;
        let column = |kept: &Value| {
            let name = kept.get("name").and_then(Value::as_str)?;
            let kind = kept.get("type").and_then(Value::as_str)?;
            let kind = Kind::ALL.iter().find(|(name, _)| *name == kind)?.1;
            Some(Column { name: name.to_owned(), kind })
        };
        let columns: Option<Vec<Column>> = kept.iter().map(column).collect();
        Self::new(columns.ok_or_else(|| lacks("name or type that is known in one of its columns"))?, metadata)
    }

    /// Where the two differ, for people; `None` if they are the same.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let kind_in =
            |schema: &Self, name: &str| schema.columns.iter().find(|one| one.name == name).map(|one| one.kind);
        let show = |kind: Option<Kind>| kind.map_or("no column", Kind::name);
        for column in self.columns.iter().chain(&other.columns) {
            let (one, two) = (kind_in(self, &column.name), kind_in(other, &column.name));
            if one != two {
                return Some(format!("{} is {} in one and {} in the other", column.name, show(one), show(two)));
            }
        }
        if self.metadata != other.metadata {
            return Some("one has metadata and the other has not".to_owned());
        }
        (self.columns != other.columns).then(|| "the columns are in another order".to_owned())
    }
}

/// Why a member of this name cannot be a column.
pub(super) fn unfit_name(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("a column has no name".to_owned());
    }
    if name.chars().any(char::is_control) {
        return Some(format!("the column {} has a control character in its name", crate::base::text::visible(name)));
    }
    (name == REST || METADATA.contains(&name))
        .then(|| format!("{name} is the name of a column that is there by itself"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(columns: &[(&str, Kind)], metadata: bool) -> Result<Schema, SchemaError> {
        let columns = columns.iter().map(|(name, kind)| Column { name: (*name).to_owned(), kind: *kind });
        Schema::new(columns.collect(), metadata)
    }

    fn read(text: &str) -> Result<Schema, SchemaError> {
        Schema::from_json(serde_json::from_str::<Value>(text).unwrap().as_object().unwrap())
    }

    #[test]
    fn a_schema_comes_back_as_it_was_kept() {
        let all: Vec<_> = Kind::ALL.iter().map(|(name, kind)| (*name, *kind)).collect();
        for metadata in [true, false] {
            let kept = schema(&all, metadata).unwrap();
            assert_eq!(read(&kept.to_json().to_string()).unwrap(), kept);
            assert_eq!(kept.width(), 8 + if metadata { 4 } else { 0 });
        }
    }

    #[test]
    fn names_that_no_column_can_have_are_refused() {
        for (columns, part) in [
            (&[("", Kind::Int)][..], "no name"),
            (&[("a\n", Kind::Int)], "control character"),
            (&[("_rest", Kind::Json)], "by itself"),
            (&[("_offset", Kind::Int)], "by itself"),
            (&[("a", Kind::Int), ("b", Kind::Int), ("a", Kind::Bool)], "two columns are called a"),
        ] {
            assert!(schema(columns, true).unwrap_err().to_string().contains(part), "{part}");
        }
        let many: Vec<_> = (0..=COLUMNS_MAX).map(|at| Column { name: at.to_string(), kind: Kind::Int }).collect();
        assert!(Schema::new(many, true).unwrap_err().to_string().contains("1001 columns"));
    }

    #[test]
    fn a_kept_schema_that_is_none_is_refused_with_what_it_lacks() {
        for (text, part) in [
            ("{}", "metadata"),
            (r#"{"metadata":1,"columns":[]}"#, "metadata"),
            (r#"{"metadata":true}"#, "columns"),
            (r#"{"metadata":true,"columns":[{"name":"a"}]}"#, "type"),
            (r#"{"metadata":true,"columns":[{"name":"a","type":"blob"}]}"#, "type"),
            (r#"{"metadata":true,"columns":["a"]}"#, "type"),
        ] {
            assert!(read(text).unwrap_err().to_string().contains(part), "{text}");
        }
    }

    #[test]
    fn the_first_difference_is_named() {
        let one = schema(&[("a", Kind::Int), ("b", Kind::Json)], true).unwrap();
        for (other, part) in [
            (schema(&[("a", Kind::Int), ("b", Kind::Bool)], true), "b is json in one and bool in the other"),
            (schema(&[("a", Kind::Int)], true), "b is json in one and no column in the other"),
            (schema(&[("b", Kind::Json), ("a", Kind::Int)], true), "another order"),
            (schema(&[("a", Kind::Int), ("b", Kind::Json)], false), "metadata"),
        ] {
            assert!(one.difference(&other.unwrap()).unwrap().contains(part), "{part}");
        }
        assert_eq!(one.difference(&one.clone()), None);
    }
}

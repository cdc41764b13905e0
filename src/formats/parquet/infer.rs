//! The columns that rows ask for, by what the first of them hold.
//!
//! A column is of the one type that all its values have; whole numbers among others are floats; whatever else is mixed, or
//! nested, is JSON text. A member that is only null, or whose name no column can have, gets no column.

use super::columns::{COLUMNS_MAX, Column, Kind, Schema, unfit_name};
use super::fill::{EXACT_MAX, name_of};
use super::members::{self, Is};
use super::rows::Rows;
use std::collections::HashMap;

/// So many rows are looked at.
const ROWS_MAX: usize = 10_000;
/// Columns that are inferred; other members stand in `_rest`.
const INFERRED_MAX: usize = COLUMNS_MAX / 2;

const INT: u8 = 1;
const FLOAT: u8 = 2;
const BOOL: u8 = 4;
const TEXT: u8 = 8;
/// Neither within 64 bits nor exact as a double, or nested.
const OTHER: u8 = 16;
/// A whole number that a double cannot tell from its neighbours.
const LONG: u8 = 32;

/// The columns that these rows ask for. What is `known` of members counts more than what they hold, and makes columns of
/// members that do not turn up.
pub fn infer(rows: &Rows, known: &[Column], metadata: bool) -> Schema {
    let mut seen: Vec<(String, u8)> = Vec::new();
    let mut at: HashMap<Box<[u8]>, usize> = HashMap::new();
    let mut unescaped = Vec::new();
    for row in rows.iter().take(ROWS_MAX) {
        // What is no object is told when the columns are filled.
        let _ = members::each(row.json, |member| {
            let Some(name) = name_of(&member, &mut unescaped) else { return };
            let index = match at.get(name) {
                Some(index) => *index,
                None if seen.len() < INFERRED_MAX => {
                    let Ok(text) = std::str::from_utf8(name) else { return };
                    at.insert(name.into(), seen.len());
                    seen.push((text.to_owned(), 0));
                    seen.len() - 1
                }
                None => return,
            };
            if let Some((_, holds)) = seen.get_mut(index) {
                *holds |= sort_of(member.value, member.is);
            }
        });
    }
    let known_kind = |name: &str| known.iter().find(|one| one.name == name).map(|one| one.kind);
    let mut columns: Vec<Column> = Vec::new();
    for (name, holds) in seen {
        if let Some(kind) = known_kind(&name).or_else(|| kind_of(holds)) {
            columns.push(Column { name, kind });
        }
    }
    for one in known {
        if columns.len() < INFERRED_MAX && !columns.iter().any(|other| other.name == one.name) {
            columns.push(one.clone());
        }
    }
    columns.retain(|one| unfit_name(&one.name).is_none());
    Schema::of_checked(columns, metadata)
}

fn sort_of(value: &[u8], is: Is) -> u8 {
    match is {
        Is::Null => 0,
        Is::Bool(_) => BOOL,
        Is::Text { .. } => TEXT,
        Is::Nested => OTHER,
        Is::Number { whole: false } => FLOAT,
        Is::Number { whole: true } => match std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok()) {
            Some(number) if number.unsigned_abs() <= EXACT_MAX => INT,
            Some(_) => INT | LONG,
            None => OTHER,
        },
    }
}

fn kind_of(holds: u8) -> Option<Kind> {
    Some(match holds {
        0 => return None,
        INT | INT_LONG => Kind::Int,
        FLOAT | INT_FLOAT => Kind::Float,
        BOOL => Kind::Bool,
        TEXT => Kind::String,
        _ => Kind::Json,
    })
}

const INT_LONG: u8 = INT | LONG;
const INT_FLOAT: u8 = INT | FLOAT;

#[cfg(test)]
mod tests {
    use super::*;

    fn inferred(rows: &[&str], known: &[(&str, Kind)]) -> Vec<(String, &'static str)> {
        let mut all = Rows::default();
        for (offset, row) in rows.iter().enumerate() {
            all.push(row.as_bytes(), offset as i64, 0);
        }
        let known: Vec<_> = known.iter().map(|(name, kind)| Column { name: (*name).to_owned(), kind: *kind }).collect();
        let schema = infer(&all, &known, true);
        schema.columns().iter().map(|one| (one.name.clone(), one.kind.name())).collect()
    }

    #[test]
    fn a_column_is_of_the_type_that_all_its_values_have_and_json_where_they_have_none_in_common() {
        for (rows, expected) in [
            (&["1", "-9223372036854775808"][..], "int"),
            (&["1", "2.5"], "float"),
            (&["1e3"], "float"),
            (&["9007199254740993", "2.5"], "json"),
            (&["9223372036854775808"], "json"),
            (&["true", "null", "false"], "bool"),
            (&["\"a\"", "\"\\u00e9\""], "string"),
            (&["\"a\"", "1"], "json"),
            (&["[1]"], "json"),
            (&["{}"], "json"),
            (&["true", "1"], "json"),
        ] {
            let rows: Vec<String> = rows.iter().map(|value| format!("{{\"a\":{value}}}")).collect();
            let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
            assert_eq!(inferred(&rows, &[]), [("a".to_owned(), expected)], "{rows:?}");
        }
    }

    #[test]
    fn columns_come_in_the_order_in_which_they_turn_up_and_what_is_known_counts_more() {
        let rows = ["{\"b\":1,\"a\":null}", "{\"c\":\"x\",\"a\":null}", "{\"\\u0064\":1}"];
        let known = [("b", Kind::Float), ("when", Kind::Time), ("a", Kind::Bool)];
        let expected = [("b", "float"), ("a", "bool"), ("c", "string"), ("d", "int"), ("when", "time")];
        let expected: Vec<_> = expected.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
        assert_eq!(inferred(&rows, &known), expected);
    }

    #[test]
    fn what_is_only_null_or_has_a_name_that_no_column_can_have_gets_none() {
        assert_eq!(inferred(&["{\"a\":null,\"\":1,\"_rest\":1,\"_offset\":1,\"\\u0000\":1}"], &[]), []);
        let many: Vec<String> = (0..2 * COLUMNS_MAX).map(|at| format!("\"{at}\":1")).collect();
        assert_eq!(inferred(&[&format!("{{{}}}", many.join(","))], &[]).len(), INFERRED_MAX);
    }
}

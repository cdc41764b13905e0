//! What was written is read back by the parquet crate's own reader, which shares nothing with the way it was written but the crate.

use super::*;
use crate::base::place::TopicPartition;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::serialized_reader::ReadOptionsBuilder;
use parquet::record::Field;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::{self, Write};

fn schema(columns: &[(&str, Kind)], metadata: bool) -> Schema {
    let columns = columns.iter().map(|(name, kind)| Column { name: (*name).to_owned(), kind: *kind });
    Schema::new(columns.collect(), metadata).unwrap()
}

fn of() -> TopicPartition {
    TopicPartition::new("logins", 3)
}

/// A file of these rows, so many in each row group.
fn written(schema: &Schema, codec: Codec, rows: &[&str], group: usize) -> (Vec<u8>, Totals) {
    let mut bytes = Vec::new();
    let mut file = ParquetFile::begin(&mut bytes, schema, codec, &of());
    for (number, chunk) in rows.chunks(group).enumerate() {
        let mut buffered = Rows::default();
        for (at, row) in chunk.iter().enumerate() {
            let offset = (number * group + at) as i64;
            buffered.push(row.as_bytes(), 100 + offset, 1_000 + offset);
        }
        file.write(&buffered).unwrap();
    }
    let totals = file.finish(|_| Ok(())).unwrap();
    (bytes, totals)
}

/// The rows of a file, by name; what is null is left out.
fn read(bytes: Vec<u8>) -> Vec<BTreeMap<String, Field>> {
    let options = ReadOptionsBuilder::new().build();
    let reader = SerializedFileReader::new_with_options(bytes::Bytes::from(bytes), options).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| {
        let row = row.unwrap();
        let there = row.get_column_iter().filter(|(_, field)| **field != Field::Null);
        there.map(|(name, field)| (name.clone(), field.clone())).collect()
    })
    .collect()
}

fn text(text: &str) -> Field {
    Field::Str(text.to_owned())
}

#[test]
fn values_come_back_in_the_types_of_their_columns_in_every_codec_and_whatever_the_row_groups() {
    let columns = [
        ("n", Kind::Int),
        ("x", Kind::Float),
        ("yes", Kind::Bool),
        ("name", Kind::String),
        ("at", Kind::Time),
        ("finely", Kind::TimeMicros),
        ("what", Kind::Json),
    ];
    let full = r#"{"n":-9223372036854775808,"x":0.1,"yes":true,"name":"\u00e9\n😀","at":"2024-05-17T14:00:00.250+02:00","finely":"2024-05-17T12:00:00.123456Z","what":{"a":[1, 2]}}"#;
    let swapped = r#"{"what":"x","yes":false,"x":9007199254740992,"n":7}"#;
    let rows = [full, "{}", swapped, r#"{"n":null,"\u0078":1e300}"#];
    for codec in [Codec::Snappy, Codec::Lz4, Codec::Gzip, Codec::None] {
        for group in 1..=4 {
            let (bytes, totals) = written(&schema(&columns, true), codec, &rows, group);
            assert_eq!((totals.rows, totals.bytes, totals.in_rest), (4, bytes.len() as u64, BTreeMap::new()));
            let found = read(bytes);
            let metadata = |at: i64| {
                [
                    ("_topic", text("logins")),
                    ("_partition", Field::Int(3)),
                    ("_offset", Field::Long(100 + at)),
                    ("_timestamp", Field::TimestampMillis(1_000 + at)),
                ]
            };
            let row = |at: i64, fields: &[(&str, Field)]| -> BTreeMap<String, Field> {
                let all = fields.iter().cloned().chain(metadata(at));
                all.map(|(name, field)| (name.to_owned(), field)).collect()
            };
            let first = [
                ("n", Field::Long(i64::MIN)),
                ("x", Field::Double(0.1)),
                ("yes", Field::Bool(true)),
                ("name", text("é\n😀")),
                ("at", Field::TimestampMillis(1_715_947_200_250)),
                ("finely", Field::TimestampMicros(1_715_947_200_123_456)),
                ("what", text(r#"{"a":[1, 2]}"#)),
            ];
            let third = [
                ("what", text("\"x\"")),
                ("yes", Field::Bool(false)),
                ("x", Field::Double(9_007_199_254_740_992.0)),
                ("n", Field::Long(7)),
            ];
            let expected = [row(0, &first), row(1, &[]), row(2, &third), row(3, &[("x", Field::Double(1e300))])];
            assert_eq!(found, expected, "{codec:?} in groups of {group}");
        }
    }
}

#[test]
fn what_has_no_column_or_does_not_fit_it_stands_in_rest_and_is_counted() {
    let columns =
        [("n", Kind::Int), ("x", Kind::Float), ("at", Kind::Time), ("name", Kind::String), ("yes", Kind::Bool)];
    for (row, rest) in [
        (r#"{"n":1.0}"#, r#"{"n":1.0}"#),
        (r#"{"n":"1","name":"a"}"#, r#"{"n":"1"}"#),
        (r#"{"n":9223372036854775808}"#, r#"{"n":9223372036854775808}"#),
        (r#"{"x":9007199254740993}"#, r#"{"x":9007199254740993}"#),
        (r#"{"x":1e400}"#, r#"{"x":1e400}"#),
        (r#"{"x":true,"yes":0}"#, r#"{"x":true,"yes":0}"#),
        (r#"{"at":"yesterday"}"#, r#"{"at":"yesterday"}"#),
        (r#"{"at":"2024-05-17T12:00:00.0001Z"}"#, r#"{"at":"2024-05-17T12:00:00.0001Z"}"#),
        (r#"{"at":1715947200250}"#, r#"{"at":1715947200250}"#),
        (r#"{"name":7}"#, r#"{"name":7}"#),
        (r#"{"new":{"a": [1]},"b\n":null,"_rest":1,"_offset":2}"#, r#"{"new":{"a": [1]},"_rest":1,"_offset":2}"#),
        (r#"{"q\"":"x"}"#, r#"{"q\"":"x"}"#),
        // Nobody who has looked at it lets this through; still nothing of it vanishes.
        (r#"{"n":1,"n":2}"#, r#"{"n":2}"#),
    ] {
        let (bytes, totals) = written(&schema(&columns, false), Codec::None, &["{\"n\":5}", row, "{}"], 3);
        let found = read(bytes);
        assert_eq!(found[1].get("_rest"), Some(&text(rest)), "{row}");
        let all: BTreeMap<String, Box<serde_json::value::RawValue>> = serde_json::from_str(rest).unwrap();
        let counted: Vec<&str> = totals.in_rest.keys().map(String::as_str).collect();
        let mut names: Vec<&str> = all.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(counted, names, "{row}");
        assert!(totals.in_rest.values().all(|count| *count == 1), "{row}");
        assert!(!found[0].contains_key("_rest") && found[2].is_empty(), "{row}");
    }
}

#[test]
fn names_that_are_counted_are_bounded_whatever_comes() {
    let rows: Vec<String> = (0..300).map(|at| format!("{{\"name-{at}\":1}}")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let (_, totals) = written(&schema(&[], false), Codec::None, &rows, 300);
    assert_eq!((totals.in_rest.len(), totals.in_rest["(others)"]), (101, 200));
}

#[test]
fn values_that_hardly_ever_come_twice_take_no_more_than_themselves_and_come_back() {
    let columns = [("id", Kind::String), ("n", Kind::Int), ("x", Kind::Float), ("few.of", Kind::String)];
    let row = |at: u64| {
        let id = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{{\"id\":\"{id:016x}\",\"n\":{at},\"x\":{at}.5,\"few.of\":\"{}\"}}", at % 3)
    };
    let rows: Vec<String> = (0..9000).map(row).collect();
    let texts: Vec<&str> = rows.iter().map(String::as_str).collect();
    for group in [4096, 9000] {
        let (bytes, _) = written(&schema(&columns, false), Codec::None, &texts, group);
        // Sixteen digits and their length, a double, and next to nothing for the others.
        assert!(bytes.len() < 9000 * (20 + 8 + 2), "{} bytes", bytes.len());
        for (at, found) in read(bytes).iter().enumerate() {
            let again = serde_json::json!({
                "id": found["id"].to_string().trim_matches('"'), "n": at, "x": at as f64 + 0.5, "few.of": (at % 3).to_string()
            });
            let row: serde_json::Value = serde_json::from_str(&rows[at]).unwrap();
            assert_eq!(row, again);
            assert_eq!((&found["n"], &found["x"]), (&Field::Long(at as i64), &Field::Double(at as f64 + 0.5)));
        }
    }
}

#[test]
fn what_is_no_object_is_named_by_its_offset() {
    let mut file = ParquetFile::begin(io::sink(), &schema(&[], true), Codec::None, &of());
    let mut rows = Rows::default();
    rows.push(b"{}", 6, 0);
    rows.push(b"[]", 7, 0);
    let error = file.write(&rows).unwrap_err();
    assert!(matches!(error, Fault::NoObject(7)), "{error}");
}

/// Takes so many bytes, as a disk does that fills.
struct Full {
    left: usize,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.left);
        self.left -= taken;
        match taken {
            0 if !bytes.is_empty() => Err(io::ErrorKind::StorageFull.into()),
            taken => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_fills_is_told_as_that_wherever_it_fills() {
    let columns = schema(&[("a", Kind::Int), ("b", Kind::String)], true);
    let mut rows = Rows::default();
    for offset in 0..2000 {
        rows.push(format!("{{\"a\":{offset},\"b\":\"text {offset}\"}}").as_bytes(), offset, offset);
    }
    let write = |left: usize| -> Result<Totals, Fault> {
        let mut file = ParquetFile::begin(Full { left }, &columns, Codec::None, &of());
        file.write(&rows)?;
        file.write(&rows)?;
        file.finish(|_| Ok(()))
    };
    let whole = write(usize::MAX).unwrap().bytes as usize;
    assert_eq!(write(whole).unwrap().bytes as usize, whole);
    for left in (0..whole).step_by(997).chain([whole - 1]) {
        let error = write(left).unwrap_err();
        assert!(matches!(&error, Fault::Io(error) if error.kind() == io::ErrorKind::StorageFull), "{left}: {error}");
    }
    let file = ParquetFile::begin(Vec::new(), &columns, Codec::None, &of());
    let error = file.finish(|_| Err(io::ErrorKind::StorageFull.into()));
    assert!(matches!(error, Err(Fault::Io(_))), "what is told last counts, too");
}

/// JSON values as a stream may have them.
fn value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1000_i64..1000).prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,12}".prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(|all| json!(all)),
    ]
}

proptest! {
    #[test]
    fn every_row_can_be_put_together_again_from_its_columns_and_its_rest(
        rows in prop::collection::vec(prop::collection::btree_map("[abc_]{1,2}", value(), 0..4), 1..40),
        sample in 0..40_usize,
        group in 1..10_usize,
    ) {
        let texts: Vec<String> = rows.iter().map(|row| serde_json::to_string(row).unwrap()).collect();
        let mut first = Rows::default();
        for (offset, row) in texts.iter().take(sample).enumerate() {
            first.push(row.as_bytes(), offset as i64, 0);
        }
        let schema = infer(&first, &[], false);
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (bytes, _) = written(&schema, Codec::Snappy, &texts, group);
        for (row, found) in rows.iter().zip(read(bytes)) {
            let mut again: BTreeMap<String, serde_json::Value> = match found.get("_rest") {
                Some(Field::Str(rest)) => serde_json::from_str(rest).unwrap(),
                _ => BTreeMap::new(),
            };
            for column in schema.columns() {
                let value = match (found.get(&column.name), column.kind) {
                    (None, _) => continue,
                    (Some(Field::Str(json)), Kind::Json) => serde_json::from_str(json).unwrap(),
                    (Some(Field::Str(text)), _) => text.as_str().into(),
                    (Some(Field::Long(number)), _) => (*number).into(),
                    (Some(Field::Double(number)), _) => serde_json::json!(number),
                    (Some(Field::Bool(truth)), _) => (*truth).into(),
                    (field, kind) => panic!("{field:?} in a column of {kind:?}"),
                };
                prop_assert!(again.insert(column.name.clone(), value).is_none(), "{} is there twice", column.name);
            }
            let there: BTreeMap<_, _> = row.iter().filter(|(_, value)| !value.is_null()).collect();
            prop_assert_eq!(there.keys().copied().collect::<Vec<_>>(), again.keys().collect::<Vec<_>>());
            for (name, value) in there {
                // A whole number among doubles comes back as a double; and serde_json does not read each double exactly, which
                // shows in more digits where doubles have few.
                let few = 8.0 * f64::from_bits(1);
                let near = |one: f64, other: f64| (one - other).abs() <= one.abs() * 1e-15 + few;
                let is_near = value.as_f64().zip(again[name].as_f64()).is_some_and(|(one, other)| near(one, other));
                let same = *value == again[name] || is_near;
                prop_assert!(same, "{}: {} came back as {}", name, value, again[name]);
            }
        }
    }
}

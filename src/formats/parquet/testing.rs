//! Files read back for tests, by the parquet crate's own reader.

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Map, Value};

/// The rows of a file, by name; what is null is left out, times are numbers, and what is JSON is a text.
pub(crate) fn rows_of(file: Vec<u8>) -> Vec<Map<String, Value>> {
    let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
    let value = |field: &Field| match field {
        Field::Null => None,
        Field::Bool(truth) => Some(Value::from(*truth)),
        Field::Int(number) => Some(Value::from(*number)),
        Field::Long(number) | Field::TimestampMillis(number) | Field::TimestampMicros(number) => {
            Some(Value::from(*number))
        }
        Field::Double(number) => Some(Value::from(*number)),
        Field::Str(text) => Some(Value::from(text.as_str())),
        other => panic!("no column of ours holds {other:?}"),
    };
    let rows = reader.get_row_iter(None).unwrap().map(|row| {
        let row = row.unwrap();
        row.get_column_iter().filter_map(|(name, field)| Some((name.clone(), value(field)?))).collect()
    });
    rows.collect()
}

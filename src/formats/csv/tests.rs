//! What rows become, and what is refused; the same wherever blocks end.

use super::*;
use crate::formats::text::in_blocks;
use proptest::prelude::*;
use serde_json::Value;

type Found = (Option<String>, Option<String>, String);

fn read_with(mut csv: Csv, text: &[u8], step: usize) -> Result<Vec<Found>, Malformed> {
    let owned = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
    in_blocks(text, step, |text| {
        let row = csv.next(text)?;
        Ok(row.map(|row| (owned(row.key), owned(row.time), owned(row.value).unwrap())))
    })
}

fn read(text: &str, step: usize) -> Vec<String> {
    let rows = read_with(Csv::new(b',', None, None), text.as_bytes(), step).unwrap();
    rows.into_iter().map(|(_, _, value)| value).collect()
}

fn error(text: &[u8]) -> String {
    let errors: Vec<String> = (1..=text.len().max(1))
        .map(|step| read_with(Csv::new(b',', None, None), text, step).unwrap_err().to_string())
        .collect();
    assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
    errors[0].clone()
}

#[test]
fn rows_become_objects_wherever_blocks_end() {
    let text = "id,name\n1,a b\r\n\n2,\"x, \"\"y\"\"\nz\"\n3,é\\\t\n4,\n\"5\",say \"hi\"";
    let objects = [
        r#"{"id":"1","name":"a b"}"#,
        r#"{"id":"2","name":"x, \"y\"\nz"}"#,
        r#"{"id":"3","name":"é\\\t"}"#,
        r#"{"id":"4","name":""}"#,
        r#"{"id":"5","name":"say \"hi\""}"#,
    ];
    for step in 1..=text.len() {
        assert_eq!(read(text, step), objects, "{step}");
    }
    assert_eq!(read("\u{feff}a\r\n1\r\n", 3), [r#"{"a":"1"}"#]);
    assert_eq!(read("\"a \"\"b\"\"\"\n1\n", 2), [r#"{"a \"b\"":"1"}"#]);
    assert_eq!(read("a,b\n", 1), [""; 0]);
}

#[test]
fn columns_are_handed_out_as_they_are() {
    for step in 1..9 {
        let csv = Csv::new(b';', Some("k"), Some("t"));
        let rows = read_with(csv, b"t;k\n1;x\n2;\"a;\"\"b\"\n", step).unwrap();
        let of = |row: &Found| (row.0.clone().unwrap(), row.1.clone().unwrap());
        assert_eq!(rows.iter().map(of).collect::<Vec<_>>(), [("x".into(), "1".into()), ("a;\"b".into(), "2".into())]);
    }
    let error = read_with(Csv::new(b',', Some("nmae"), None), b"id,name\n", 9).unwrap_err().to_string();
    assert!(error.contains("did you mean name?") && error.contains("--key nmae"), "{error}");
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, said) in [
        (&b""[..], "line 1: there is no header"),
        (b"\n\n", "line 3: there is no header"),
        (b"a,,c\n", "line 1: column 2 has no name"),
        (b"a,b,a\n", "line 1: columns 1 and 3 are both named \"a\""),
        (b"a,b\n1,2\n3\n", "line 3: 1 fields where the header has 2"),
        (b"a,b\n\"1\n\",2\n3,4,5\n", "line 4: 3 fields where the header has 2"),
        (b"a,b\n1,\"2\"x\n", "line 2: text behind a closing quotation mark: \"x\""),
        (b"a,b\n1,2\n3,\"4\n5\n", "line 3: the text ends inside quotation marks"),
        (b"a\nx\n\xff\n", "line 3: no UTF-8"),
        (b"a\n\"x\ny\xff\"\n", "line 3: no UTF-8"),
    ] {
        let error = error(text);
        assert!(error.starts_with(said), "{error} is not {said}");
    }
}

proptest! {
    #[test]
    fn fields_come_back_from_the_object_whatever_they_hold_and_wherever_blocks_end(
        rows in proptest::collection::vec(proptest::collection::vec("[a,\"\n\r\t\\\\é \u{1}]{0,6}", 3), 0..6),
        step in 1..40usize,
    ) {
        let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
        let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n";
        let text = format!("x,y,z\n{}", rows.iter().map(line).collect::<String>());
        for (object, row) in read(&text, step).iter().zip(&rows) {
            let object: Value = serde_json::from_str(object).unwrap();
            for (column, field) in ["x", "y", "z"].into_iter().zip(row) {
                prop_assert_eq!(&object[column], field);
            }
        }
        prop_assert_eq!(read(&text, step).len(), rows.len());
    }

    #[test]
    fn any_bytes_give_rows_or_an_error_and_the_same_wherever_blocks_end(
        text in proptest::collection::vec(prop_oneof![4 => proptest::sample::select(b",\"\n\ra".to_vec()), 1 => any::<u8>()], 0..40),
        step in 1..20usize,
    ) {
        let whole = read_with(Csv::new(b',', None, None), &text, 100);
        prop_assert_eq!(read_with(Csv::new(b',', None, None), &text, step), whole);
    }
}

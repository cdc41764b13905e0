//! Files on a disk: from rows to a name, and what is left where something goes wrong between.

use super::folder::{self, Unpublished};
use super::open::Finished;
use super::*;
use crate::base::place::TopicPartition;
use crate::formats::parquet::testing::rows_of;

/// A folder that is gone with the test.
pub(in crate::jobs::clean) struct Folder(PathBuf);

impl Folder {
    pub(in crate::jobs::clean) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("kmerge-files-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(in crate::jobs::clean) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn put(&self, name: &str) {
        std::fs::write(self.0.join(name), "x").unwrap();
    }

    /// Everything that is there, in order.
    pub(in crate::jobs::clean) fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn rules(more: &str) -> Rules {
    Rules::parse(&format!("[[rule]]\ntrim = {{ field = \"a\" }}\n{more}")).unwrap()
}

fn open_as(folder: &Folder, rules: &Rules, group: &str) -> Result<Arc<Shelf>, JobError> {
    let (interval, bytes_max) = (Duration::from_secs(30), 1 << 20);
    let settings = ParquetSettings { folder: folder.path().to_owned(), codec: Codec::Snappy, interval, bytes_max };
    Shelf::open(&settings, rules, group, &["t".to_owned()])
}

fn shelf(folder: &Folder) -> Arc<Shelf> {
    open_as(folder, &rules(""), "g").unwrap()
}

/// A finished file of one partition with these offsets.
fn finished(shelf: &Arc<Shelf>, partition: i32, offsets: std::ops::Range<i64>) -> Finished {
    let mut file = OpenFile::new(&TopicPartition::new("t", partition), shelf);
    for offset in offsets {
        file.push(format!("{{\"a\":{offset}}}").as_bytes(), offset, 1);
    }
    file.finish().unwrap().unwrap()
}

#[test]
fn a_file_has_its_name_once_it_is_whole_and_holds_what_was_put_into_it() {
    let folder = Folder::new();
    let shelf = shelf(&folder);
    let mut file = OpenFile::new(&TopicPartition::new("t", 1), &shelf);
    for (offset, json) in [(4, "{\"a\":1}"), (7, "{\"a\":2,\"b\":true}")] {
        file.push(json.as_bytes(), offset, offset * 10);
        file.write().unwrap();
    }
    file.push(b"{\"a\":\"x\"}", 9, -1);
    assert!(file.bytes() > 0 && !file.is_empty());
    let finished = file.finish().unwrap().unwrap();
    assert!(folder.names().iter().all(|name| name.starts_with(['.', '_'])), "{:?}", folder.names());
    let written = folder::publish(folder.path(), vec![finished]).unwrap();
    assert_eq!(folder.names(), ["_schema.json", "t-1-4-9.parquet"]);
    let bytes = std::fs::read(folder.path().join("t-1-4-9.parquet")).unwrap();
    assert_eq!((written.files, written.rows, written.bytes), (1, 3, bytes.len() as u64));
    assert_eq!(written.in_rest, [("a".to_owned(), 1), ("b".to_owned(), 1)].into());
    let rows: Vec<String> = rows_of(bytes).into_iter().map(|row| serde_json::Value::Object(row).to_string()).collect();
    let expected = [
        r#"{"a":1,"_topic":"t","_partition":1,"_offset":4,"_timestamp":40}"#,
        r#"{"a":2,"_rest":"{\"b\":true}","_topic":"t","_partition":1,"_offset":7,"_timestamp":70}"#,
        r#"{"_rest":"{\"a\":\"x\"}","_topic":"t","_partition":1,"_offset":9}"#,
    ];
    assert_eq!(rows, expected);
}

#[test]
fn nothing_is_left_of_a_file_that_nobody_has_finished_or_published() {
    let folder = Folder::new();
    let shelf = shelf(&folder);
    let mut begun = OpenFile::new(&TopicPartition::new("t", 0), &shelf);
    begun.push(b"{}", 0, 0);
    begun.write().unwrap();
    let whole = finished(&shelf, 1, 0..5);
    assert_eq!(folder.names().len(), 3);
    drop((begun, whole));
    assert_eq!(folder.names(), ["_schema.json"]);
}

#[test]
fn where_one_file_cannot_have_its_name_none_has() {
    let folder = Folder::new();
    let shelf = shelf(&folder);
    let both = vec![finished(&shelf, 0, 0..5), finished(&shelf, 1, 0..5)];
    // No file takes the place of a folder.
    std::fs::create_dir(folder.path().join("t-1-0-4.parquet")).unwrap();
    let Err(Unpublished::Job(error)) = folder::publish(folder.path(), both) else { panic!("published") };
    assert!(error.to_string().contains("t-1-0-4.parquet"), "{error}");
    assert_eq!(folder.names(), ["_schema.json", "t-1-0-4.parquet"]);
}

#[test]
fn who_was_too_slow_finds_nothing_to_rename_once_another_has_taken_the_partition() {
    let folder = Folder::new();
    let shelf = shelf(&folder);
    let slow = finished(&shelf, 0, 0..5);
    let cleared = folder::clear(folder.path(), &[(TopicPartition::new("t", 0), 0)], || true).unwrap();
    assert_eq!(cleared.gone.len(), 1);
    let heir = finished(&shelf, 0, 0..7);
    folder::publish(folder.path(), vec![heir]).unwrap();
    assert!(matches!(folder::publish(folder.path(), vec![slow]), Err(Unpublished::Gone)));
    assert_eq!(folder.names(), ["_schema.json", "t-0-0-6.parquet"]);
}

#[test]
fn who_was_too_slow_for_one_partition_leaves_others_to_whoever_takes_them() {
    let folder = Folder::new();
    let shelf = shelf(&folder);
    let slow = vec![finished(&shelf, 0, 0..5), finished(&shelf, 1, 0..5)];
    folder::clear(folder.path(), &[(TopicPartition::new("t", 1), 0)], || true).unwrap();
    assert!(matches!(folder::publish(folder.path(), slow), Err(Unpublished::Gone)));
    // A name that is given may be an heir's by now.
    assert_eq!(folder.names(), ["_schema.json", "t-0-0-4.parquet"]);
    folder::clear(folder.path(), &[(TopicPartition::new("t", 0), 0)], || true).unwrap();
    assert_eq!(folder.names(), ["_schema.json"]);
}

#[test]
fn columns_that_were_kept_hold_for_whoever_comes_later_and_for_no_other_group() {
    let folder = Folder::new();
    let shelf = shelf(&folder);
    finished(&shelf, 0, 0..1);
    let again = open_as(&folder, &rules(""), "g").unwrap();
    assert_eq!(again.schema.get(), shelf.schema.get());
    let error = open_as(&folder, &rules(""), "other").unwrap_err().to_string();
    assert!(error.contains("group g"), "{error}");
    for (more, part) in [
        ("[parquet]\ncolumns = { a = \"string\" }\n", "a is int in one and string in the other"),
        ("[parquet]\nmetadata = false\n", "metadata"),
    ] {
        let error = open_as(&folder, &rules(more), "g").unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("another folder"), "{error}");
    }
    open_as(&folder, &rules("[parquet]\ncolumns = { a = \"int\" }\n"), "g").unwrap();
}

#[test]
fn of_two_that_infer_columns_from_different_rows_at_once_both_write_those_of_the_faster() {
    let folder = Folder::new();
    let (one, other) = (shelf(&folder), shelf(&folder));
    finished(&one, 0, 0..1);
    let mut second = OpenFile::new(&TopicPartition::new("t", 1), &other);
    second.push(b"{\"b\":true,\"a\":7}", 0, 0);
    let second = second.finish().unwrap().unwrap();
    assert_eq!(second.totals.in_rest, [("b".to_owned(), 1)].into());
    assert_eq!(other.schema.get(), one.schema.get());
}

#[test]
fn a_folder_that_cannot_be_made_or_written_is_named() {
    let folder = Folder::new();
    folder.put("file");
    let settings = ParquetSettings {
        folder: folder.path().join("file").join("inside"),
        codec: Codec::None,
        interval: Duration::from_secs(1),
        bytes_max: 1,
    };
    let error = Shelf::open(&settings, &rules(""), "g", &[]).unwrap_err().to_string();
    assert!(error.contains("inside"), "{error}");
    let long = Shelf::open(&settings, &rules(""), "g", &["t".repeat(249)]).unwrap_err().to_string();
    assert!(long.contains("249 bytes"), "{long}");
    let shelf = shelf(&folder);
    std::fs::remove_dir_all(folder.path()).unwrap();
    let mut file = OpenFile::new(&TopicPartition::new("t", 0), &shelf);
    file.push(b"{}", 0, 0);
    assert!(file.finish().unwrap_err().to_string().contains("nothing of the transaction is committed"));
}

//! Ledgers that are written, torn, and read.

use super::file::{append, locked};
use super::*;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kmerge-ledger-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn opened(path: &std::path::Path) -> Arc<Ledger> {
    Arc::new(Ledger::File(Arc::new(LedgerFile::open(path).unwrap())))
}

fn runs(times: &[i64]) -> Runs {
    let mut runs = Runs::default();
    times.iter().for_each(|time| runs.push(*time, 10));
    runs
}

fn landed(base_offset: i64, append_time_ms: i64, max_timestamp: i64) -> Acknowledged {
    Acknowledged { base_offset, append_time_ms, max_timestamp }
}

fn read(text: &[u8]) -> (Vec<Line>, Vec<(u64, String)>) {
    let mut reader = LedgerReader::of("l".to_owned(), text);
    let (mut lines, mut unreadable) = (Vec::new(), Vec::new());
    while let Some(found) = reader.next_line().unwrap() {
        match found {
            Found::Line(line) => lines.push(line),
            Found::Unreadable(Unreadable { at: At::Line(line), begins, .. }) => unreadable.push((line, begins)),
            other => panic!("{other:?}"),
        }
    }
    (lines, unreadable)
}

fn line(partition: i32, minute_ms: i64, records: u64, bytes: u64, offsets: std::ops::RangeInclusive<i64>) -> Line {
    let (bytes, offsets) = (Some(bytes), Some(offsets));
    Line { topic: "t".into(), files_of: None, partition, minute: Minute::of(minute_ms), records, bytes, offsets }
}

#[tokio::test]
async fn batches_add_up_by_partition_and_minute_and_stand_in_the_file() {
    let scratch = Scratch::new("adds-up");
    let book = Arc::new(Book::new("t", opened(&scratch.0), false));
    assert!(!book.take(0, landed(100, -1, 60_001), &runs(&[0, 60_000, 60_001])));
    assert!(!book.take(1, landed(7, -1, 0), &runs(&[0])));
    assert!(!book.take(0, landed(200, -1, 5), &runs(&[5])));
    assert!(book.write_out().await);
    book.take(0, landed(300, -1, 5), &runs(&[5]));
    assert!(book.close().await.is_none());
    let text = scratch.text();
    assert!(text.starts_with(
        r#"{"topic":"t","partition":0,"minute":"1970-01-01T00:00:00Z","records":2,"bytes":20,"first_offset":100,"last_offset":200}"#
    ));
    let (lines, unreadable) = read(text.as_bytes());
    assert_eq!(unreadable, []);
    assert_eq!(
        lines,
        [
            line(0, 0, 2, 20, 100..=200),
            line(0, 60_000, 2, 20, 101..=102),
            line(1, 0, 1, 10, 7..=7),
            line(0, 0, 1, 10, 300..=300),
        ]
    );
}

#[tokio::test]
async fn a_batch_that_the_broker_stamped_is_of_that_minute_and_a_repeats_answer_is_no_stamp() {
    let scratch = Scratch::new("stamped");
    let file = opened(&scratch.0);
    let (keeps, stamps) = (Book::new("t", file.clone(), false), Arc::new(Book::new("t", file, true)));
    let keeps = Arc::new(keeps);
    // A repeat on a topic that keeps times is answered with the largest of them.
    keeps.take(0, landed(0, 61_000, 61_000), &runs(&[0, 61_000]));
    // The topic was changed underway.
    keeps.take(1, landed(0, 600_000, 61_000), &runs(&[0, 61_000]));
    stamps.take(2, landed(0, 61_000, 61_000), &runs(&[0, 61_000]));
    stamps.take(3, landed(0, -1, 61_000), &runs(&[0, 61_000]));
    assert!(keeps.close().await.is_none() && stamps.close().await.is_none());
    let found: Vec<_> =
        read(scratch.text().as_bytes()).0.into_iter().map(|line| (line.partition, line.minute, line.records)).collect();
    let minute = |n: i64| Minute::of(n * 60_000);
    let expected = [
        (0, minute(0), 1),
        (0, minute(1), 1),
        (1, minute(10), 2),
        (2, minute(1), 2),
        (3, minute(0), 1),
        (3, minute(1), 1),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn many_minutes_are_written_out_before_they_are_many() {
    let scratch = Scratch::new("many");
    let book = Arc::new(Book::new("t", opened(&scratch.0), false));
    let mut asked = 0;
    for batch in 0..100_i64 {
        let times: Vec<i64> = (0..100).map(|n| (batch * 100 + n) * 60_000).collect();
        if book.take(0, landed(batch * 100, -1, 0), &runs(&times)) {
            asked += 1;
            assert!(book.write_out().await);
        }
    }
    assert!(book.close().await.is_none());
    assert_eq!((asked, read(scratch.text().as_bytes()).0.len()), (2, 10_000));
}

#[test]
fn a_writer_behind_a_torn_line_begins_a_new_one_and_a_reader_tells_which_and_goes_on() {
    let scratch = Scratch::new("torn");
    let whole = line(0, 0, 1, 10, 5..=5);
    std::fs::write(&scratch.0, format!("{}\n\n{}", whole.show(), r#"{"topic":"t","parti"#)).unwrap();
    let file = LedgerFile::open(&scratch.0).unwrap();
    let text = format!("{}\n", whole.show());
    file.append(text.as_bytes()).unwrap();
    file.append(text.as_bytes()).unwrap();
    let (lines, unreadable) = read(scratch.text().as_bytes());
    assert_eq!(lines, [whole.clone(), whole.clone(), whole.clone()]);
    assert_eq!(unreadable.len(), 1);
    assert!(unreadable[0].0 == 3 && unreadable[0].1.contains("parti"), "{unreadable:?}");
    // What lacks its end only is whole.
    let (lines, unreadable) = read(whole.show().as_bytes());
    assert_eq!((lines, unreadable), (vec![whole], vec![]));
}

#[test]
fn while_one_process_looks_and_writes_the_others_are_kept_out() {
    let scratch = Scratch::new("locked");
    let open = || std::fs::OpenOptions::new().read(true).append(true).create(true).open(&scratch.0).unwrap();
    let (mut ours, theirs) = (open(), open());
    locked(&mut ours, |_| assert!(matches!(theirs.try_lock(), Err(std::fs::TryLockError::WouldBlock))));
    theirs.try_lock().unwrap();
    theirs.unlock().unwrap();
    // A torn line that stands there once the others are let in is seen.
    theirs.lock().unwrap();
    let file = LedgerFile::open(&scratch.0).unwrap();
    let whole = line(0, 0, 1, 10, 5..=5);
    let text = format!("{}\n", whole.show());
    let writer = std::thread::spawn(move || file.append(text.as_bytes()).unwrap());
    (&theirs).write_all(br#"{"topic":"t","parti"#).unwrap();
    theirs.unlock().unwrap();
    writer.join().unwrap();
    let (lines, unreadable) = read(scratch.text().as_bytes());
    assert_eq!((lines, unreadable.len()), (vec![whole], 1));
}

#[test]
fn a_line_that_lies_or_never_ends_is_unreadable_and_what_follows_is_read() {
    let good = line(0, 0, 1, 10, 5..=5).show();
    for bad in [
        "{}".to_owned(),
        "[1]".to_owned(),
        "\u{0}".to_owned(),
        good.replace("\"records\":1", "\"records\":-1"),
        good.replace("\"records\":1", "\"records\":1e30"),
        good.replace("\"partition\":0", "\"partition\":2147483648"),
        good.replace("\"last_offset\":5", "\"last_offset\":4"),
        good.replace(",\"last_offset\":5", ""),
        good.replace("\"bytes\":10", "\"bytes\":\"10\""),
        good.replace("1970-01-01T00:00:00Z", "yesterday"),
        "[".repeat(15_000),
        "x".repeat(100_000),
    ] {
        let (lines, unreadable) = read(format!("{bad}\n{good}\n").as_bytes());
        assert_eq!((lines.len(), unreadable.len()), (1, 1), "{}", &bad[..bad.len().min(100)]);
    }
    let (lines, _) = read(good.replace(",\"bytes\":10,\"first_offset\":5,\"last_offset\":5", ",\"new\":1").as_bytes());
    assert_eq!((lines[0].bytes, &lines[0].offsets), (None, &None));
}

/// A disk that takes so many bytes.
struct Disk {
    bytes: Vec<u8>,
    room: usize,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let take = bytes.len().min(self.room - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..take]);
        if take == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(take) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn wherever_a_disk_is_full_what_is_said_to_be_there_can_be_read_and_nothing_else() {
    let lines: Vec<Line> = (0..5).map(|n| line(n, 0, 1, 10, 0..=0)).collect();
    let text: String = lines.iter().map(|line| line.show() + "\n").collect();
    let is_whole = |disk: &mut Disk| Ok(disk.bytes.last().is_none_or(|byte| *byte == b'\n'));
    for room in 0..=text.len() {
        let mut disk = Disk { bytes: Vec::new(), room };
        let there = match append(text.as_bytes(), &mut disk, is_whole) {
            Ok(()) => text.len(),
            Err((there, error)) => {
                assert_eq!(error.kind(), io::ErrorKind::StorageFull);
                there
            }
        };
        let said = text[..there].lines().count();
        assert_eq!(read(&disk.bytes).0, lines[..said], "{room}");
        // There is room again.
        disk.room = usize::MAX;
        append(&text.as_bytes()[there..], &mut disk, is_whole).unwrap();
        assert_eq!(read(&disk.bytes).0, lines, "{room}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_a_ledger_on_a_full_disk_lacks_is_counted() {
    let file = opened("/dev/full".as_ref());
    let book = Arc::new(Book::new("t", file, false));
    book.take(0, landed(0, -1, 0), &runs(&[0, 1]));
    assert!(!book.write_out().await);
    book.take(0, landed(2, -1, 0), &runs(&[0, 1, 2]));
    let lack = book.close().await.unwrap();
    assert_eq!((lack.records, lack.error.kind()), (5, io::ErrorKind::StorageFull));
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_is_no_ledger_since_nobody_may_read_it() {
    let scratch = Scratch::new("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&scratch.0).status().unwrap().success());
    let said = LedgerFile::open(&scratch.0).unwrap_err();
    assert!(
        matches!(&said, crate::jobs::error::JobError::Input { source, .. } if source.to_string().contains("a pipe")),
        "{said:?}"
    );
}

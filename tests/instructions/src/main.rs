//! Kernels for `tests/instructions/run`, which counts the instructions of each: one core, fixed seeds, no clock.
//!
//! `kmerge-instructions KERNEL ROUNDS` runs a kernel so often over the same [`RECORDS`] records, and says how many those were.

#![allow(clippy::print_stdout, reason = "what a script reads")]

#[path = "../../../benches/lanes/mod.rs"]
mod lanes;
#[path = "../../../benches/logins/mod.rs"]
mod logins;
#[path = "../../../benches/shapes/mod.rs"]
mod shapes;

use kmerge::batch::{
    Batch, BatchWriter, Block, Codec, HEADER_BYTES, Headers, Moving, Piece, Pieces, RecordReader, Row, TakeRows, Unseen,
};
use kmerge::formats::words::{Joined, TakeWords};
use kmerge::keys::{KeyPlan, Order, WholeNumber};
use kmerge::rules::{Cleaner, Incoming, Rules, Verdict};
use logins::{DEFAULT_CAST, logins};
use shapes::Shape;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Records of a round.
const RECORDS: usize = 20_000;
const TIMESTAMP: i64 = 1_700_000_000_000;
/// Records at hand at a time.
const STRETCH: usize = 4_096;
const BUDGET: usize = 16 << 20;

/// What a round does, with everything that it needs at hand.
type Kernel = Box<dyn FnMut()>;
type Named = (&'static str, fn() -> Kernel);

/// By name; what is made beforehand is made for the one that is asked for.
const KERNELS: [Named; 23] = [
    ("batch read, dense", || read(Shape::Dense)),
    ("batch read, m118", || read(Shape::M118)),
    ("batch passed over, dense", || passed_over(Shape::Dense)),
    ("batch passed over, ints10", || passed_over(Shape::Ints10)),
    ("batch passed over, m118", || passed_over(Shape::M118)),
    ("batch known, dense", || known(Shape::Dense)),
    ("batch known, m118", || known(Shape::M118)),
    ("batch written, dense", || write(Shape::Dense)),
    ("batch written, m118", || write(Shape::M118)),
    ("batch copied, dense", || copied(Shape::Dense)),
    ("batch copied, m118", || copied(Shape::M118)),
    ("batch copied in blocks, dense", || copied_in_blocks(Shape::Dense)),
    ("key read in a row, dense", || key_in_a_row(Shape::Dense, "value:int")),
    ("key read in a row, m118", || key_in_a_row(Shape::M118, "key:int")),
    ("key read, an integer", || key("value:int", |number| number.to_string())),
    ("key read, in JSON", || {
        key("value:json:/id", |number| format!("{{\"name\":\"n\",\"id\":{number},\"more\":[1,2]}}"))
    }),
    ("key read, in JSON, m118", || key("value:json:/id", usual_json)),
    ("key read, 19 digits", || key("value:int", |number| format!("{}", 1_700_000_000_000_000_000 + number))),
    ("key read, text", || key("value:string", |number| format!("user-{number:012}"))),
    ("merge of ten, dense", || merge(Shape::Dense)),
    ("merge of ten, ints10", || merge(Shape::Ints10)),
    ("rules, a default and a cast", rules),
    ("words of a login", words),
];

/// Keys and values of a shape, as a merge's input has them.
fn records(shape: Shape) -> Vec<(Option<String>, String)> {
    let payload = "x".repeat(shape.payload_bytes());
    let record = |key: u64| match payload.is_empty() {
        true => (None, key.to_string()),
        false => (Some(key.to_string()), payload.clone()),
    };
    shapes::keys(shape, RECORDS).into_iter().flatten().map(record).collect()
}

fn written(writer: &mut BatchWriter, records: &[(Option<String>, String)]) -> Vec<u8> {
    for (key, value) in records {
        writer.push(TIMESTAMP, key.as_ref().map(String::as_bytes), Some(value.as_bytes()), Headers::EMPTY).unwrap();
    }
    writer.finish().unwrap().to_vec()
}

fn read(shape: Shape) -> Kernel {
    let bytes = written(&mut BatchWriter::new(Codec::None), &records(shape));
    let mut reader = RecordReader::new(BUDGET);
    Box::new(move || {
        let batch = Batch::read(&bytes).unwrap();
        batch.verify_checksum().unwrap();
        reader.start(&batch).unwrap();
        let mut read = 0;
        let all = reader.each(batch.bytes(), |found| {
            black_box(found.record.value);
            read += 1;
            ControlFlow::<()>::Continue(())
        });
        assert_eq!(all, Ok(None));
        assert_eq!(read, RECORDS);
    })
}

/// What the embedded broker does with each record that it stores.
fn passed_over(shape: Shape) -> Kernel {
    let bytes = written(&mut BatchWriter::new(Codec::None), &records(shape));
    let mut reader = RecordReader::new(BUDGET);
    let unseen = Unseen { earliest: i64::MIN, latest: TIMESTAMP, keyed: false };
    Box::new(move || {
        let batch = Batch::read(&bytes).unwrap();
        batch.verify_checksum().unwrap();
        reader.start(&batch).unwrap();
        let mut passed = 0;
        loop {
            passed += reader.pass(batch.bytes(), &unseen).records as usize;
            match reader.next(&batch).unwrap() {
                Some(record) => _ = black_box(record.timestamp),
                None => break,
            }
            passed += 1;
        }
        assert_eq!(passed, RECORDS);
    })
}

/// A batch whose records are those expected, as `verify` finds them in an output.
fn known(shape: Shape) -> Kernel {
    let bytes = written(&mut BatchWriter::new(Codec::None), &records(shape));
    let batch = Batch::read(&bytes).unwrap();
    let (mut reader, mut expected) = (RecordReader::new(BUDGET), Vec::new());
    reader.start(&batch).unwrap();
    while let Some(found) = reader.next_raw(batch.bytes()).unwrap() {
        let end = found.end.unwrap();
        expected.push((found.record.timestamp, end - found.raw.len()..end));
    }
    let input = batch.bytes().to_vec();
    Box::new(move || {
        let batch = Batch::read(&bytes).unwrap();
        reader.start(&batch).unwrap();
        let mut expected = expected.iter();
        let passed = reader.pass_known(batch.bytes(), 0..i64::MAX, |timestamp, raw| {
            expected.next().is_some_and(|(expected, at)| timestamp == *expected && *raw == input[at.clone()])
        });
        // The last ones may be too near to the end for the quick way.
        assert!(passed + 2 > RECORDS, "{passed}");
    })
}

fn write(shape: Shape) -> Kernel {
    let records = records(shape);
    let mut writer = BatchWriter::new(Codec::None);
    Box::new(move || {
        for (key, value) in &records {
            writer.push(TIMESTAMP, key.as_ref().map(String::as_bytes), Some(value.as_bytes()), Headers::EMPTY).unwrap();
        }
        black_box(writer.finish().unwrap());
    })
}

/// Where records lie in a batch.
struct Lying<'a> {
    spans: &'a [Span],
    bytes: &'a [u8],
}

struct Span {
    timestamp: i64,
    start: u32,
    bytes: u32,
}

impl Pieces for Lying<'_> {
    #[inline(always)]
    fn next(&mut self, moving: &mut Moving<'_>) -> bool {
        let Some((&Span { timestamp, start, bytes }, spans)) = self.spans.split_first() else { return false };
        let goes_on = moving.add(Piece { timestamp, from: &self.bytes[start as usize..], bytes });
        if goes_on {
            self.spans = spans;
        }
        goes_on
    }
}

/// Records of one batch copied into another one, as a merge does it.
fn copied(shape: Shape) -> Kernel {
    let bytes = written(&mut BatchWriter::new(Codec::None), &records(shape));
    let batch = Batch::read(&bytes).unwrap();
    let (mut reader, mut spans) = (RecordReader::new(BUDGET), Vec::new());
    reader.start(&batch).unwrap();
    while let Some(found) = reader.next_raw(batch.bytes()).unwrap() {
        let start = found.end.unwrap() - found.raw.len();
        spans.push(Span { timestamp: found.record.timestamp, start: start as u32, bytes: found.raw.len() as u32 });
    }
    let bytes = batch.bytes().to_vec();
    let mut writer = BatchWriter::new(Codec::None);
    Box::new(move || {
        let mut next = Lying { spans: &spans, bytes: &bytes };
        loop {
            writer.push_moved(usize::MAX, &mut next);
            // The first one of a batch, one for which the buffer must grow.
            let Some((&Span { timestamp, start, bytes: taken }, behind)) = next.spans.split_first() else { break };
            writer.push_raw(timestamp, &bytes[start as usize..][..taken as usize]).unwrap();
            next.spans = behind;
        }
        assert_eq!(writer.record_count(), RECORDS);
        black_box(writer.bytes());
        writer.clear();
    })
}

/// The same of a batch that lies below all others, stretch by stretch. Where the C library copies with one instruction that repeats
/// itself, valgrind counts it for each byte: about 20 a record.
fn copied_in_blocks(shape: Shape) -> Kernel {
    let bytes = written(&mut BatchWriter::new(Codec::None), &records(shape));
    let batch = Batch::read(&bytes).unwrap();
    let (mut reader, mut times, mut ends) = (RecordReader::new(BUDGET), Vec::new(), vec![HEADER_BYTES]);
    reader.start(&batch).unwrap();
    while let Some(found) = reader.next_raw(batch.bytes()).unwrap() {
        times.push(found.record.timestamp);
        ends.push(found.end.unwrap());
    }
    let bytes = batch.bytes().to_vec();
    let mut writer = BatchWriter::new(Codec::None);
    Box::new(move || {
        for (index, times) in times.chunks(STRETCH).enumerate() {
            let from = index * STRETCH;
            let block = Block {
                first_delta: from as i32,
                base_timestamp: TIMESTAMP,
                records: times.len(),
                max_timestamp: times.iter().copied().max().unwrap(),
                bytes: &bytes[ends[from]..ends[from + times.len()]],
            };
            assert!(writer.push_block(&block));
        }
        assert_eq!(writer.record_count(), RECORDS);
        black_box(writer.bytes());
        writer.clear();
    })
}

fn key(spec: &str, value: impl Fn(u64) -> String) -> Kernel {
    let values = shapes::keys(Shape::Dense, RECORDS).into_iter().flatten().map(|number| (None, value(number)));
    let bytes = written(&mut BatchWriter::new(Codec::None), &values.collect::<Vec<_>>());
    let plan = KeyPlan::parse(&[spec.to_owned()], Order::Asc).unwrap();
    let (mut reader, mut rest) = (RecordReader::new(BUDGET), Vec::new());
    Box::new(move || {
        let batch = Batch::read(&bytes).unwrap();
        reader.start(&batch).unwrap();
        let all = reader.each(batch.bytes(), |found| {
            black_box(plan.extract_into(&found.record, &mut rest).unwrap());
            ControlFlow::<()>::Continue(())
        });
        assert_eq!(all, Ok(None));
    })
}

/// What a merge keeps of each record in a row.
struct Filling<'a> {
    number: WholeNumber,
    last: u64,
    payload_bytes: usize,
    slots: std::slice::IterMut<'a, (u64, Span)>,
}

impl TakeRows for Filling<'_> {
    #[inline(always)]
    fn take(&mut self, row: Row<'_>) -> bool {
        let Some(word) = self.number.read(row.key, row.value).filter(|word| *word >= self.last) else { return false };
        let Some(slot) = self.slots.next() else { return false };
        self.last = word;
        self.payload_bytes += row.payload_bytes;
        *slot = (word, Span { timestamp: row.timestamp, start: row.start as u32, bytes: row.bytes as u32 });
        true
    }
}

/// The same as a merge does it with numbers that go up.
fn key_in_a_row(shape: Shape, spec: &str) -> Kernel {
    let keys = shapes::keys(shape, RECORDS).into_iter().flatten().map(|number| number.to_string());
    let mut records: Vec<(Option<String>, String)> = match spec {
        "key:int" => keys.map(|key| (Some(key), "x".repeat(shape.payload_bytes()))).collect(),
        _ => keys.map(|key| (None, key)).collect(),
    };
    records.sort_by_key(|(key, value)| key.as_ref().unwrap_or(value).parse::<u64>().unwrap());
    let bytes = written(&mut BatchWriter::new(Codec::None), &records);
    let number = KeyPlan::parse(&[spec.to_owned()], Order::Asc).unwrap().whole_number().unwrap();
    let mut reader = RecordReader::new(BUDGET);
    let mut slots: Vec<_> = (0..STRETCH).map(|_| (0, Span { timestamp: 0, start: 0, bytes: 0 })).collect();
    Box::new(move || {
        let batch = Batch::read(&bytes).unwrap();
        reader.start(&batch).unwrap();
        while reader.most_in_a_row() > 2 {
            let filling = Filling { number, last: 0, payload_bytes: 0, slots: slots.iter_mut() };
            let Filling { payload_bytes, .. } = reader.in_a_row(batch.bytes(), 0, STRETCH, filling);
            black_box(payload_bytes);
        }
        black_box(&slots);
    })
}

/// What a service would log: some 120 bytes, the key in front.
fn usual_json(number: u64) -> String {
    format!(
        "{{\"id\":{number},\"user\":\"user-{:05}\",\"amount\":12.5,\"currency\":\"EUR\",\"at\":\"2024-05-17T12:00:00Z\",\
         \"tags\":[\"a\",\"bc\"],\"ok\":true}}",
        number % 99_999
    )
}

fn merge(shape: Shape) -> Kernel {
    let partitions = shapes::keys(shape, RECORDS);
    Box::new(move || {
        let mut merged = 0;
        lanes::merge(&partitions, |order| merged += black_box(order).len());
        assert_eq!(merged, RECORDS);
    })
}

fn rules() -> Kernel {
    let logins = logins(RECORDS);
    let mut cleaner = Cleaner::new(Arc::new(Rules::parse(DEFAULT_CAST).unwrap()));
    let mut out = Vec::new();
    Box::new(move || {
        for login in &logins {
            let verdict = cleaner.clean(&Incoming { value: Some(login), timestamp_ms: TIMESTAMP }, &mut out);
            assert_eq!(black_box(verdict), Verdict::Kept);
        }
    })
}

struct Passed;

impl TakeWords for Passed {
    fn short(&mut self, head: u128) {
        black_box(head);
    }

    fn longer(&mut self, bytes: &[u8]) {
        black_box(bytes);
    }
}

fn words() -> Kernel {
    let spaced = |login: Vec<u8>| login.into_iter().map(|byte| if byte == b',' { b' ' } else { byte }).collect();
    let texts: Vec<Vec<u8>> = logins(RECORDS).into_iter().map(spaced).collect();
    let mut joined = Joined::with_room(128 << 10);
    let part = |joined: &mut Joined| {
        let end = joined.end_part();
        black_box(joined.part(0..end, &mut Passed));
        joined.clear();
    };
    Box::new(move || {
        for text in &texts {
            if !joined.push(text) {
                part(&mut joined);
                assert!(joined.push(text));
            }
        }
        part(&mut joined);
    })
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [list] if list == "list" => KERNELS.iter().for_each(|(name, _)| println!("{name}")),
        [name, rounds] => {
            let (_, kernel) = KERNELS.iter().find(|(known, _)| known == name).expect("`list` has the names of kernels");
            let rounds: usize = rounds.parse().expect("a number of rounds");
            let mut kernel = kernel();
            (0..rounds).for_each(|_| kernel());
            println!("{}", rounds * RECORDS);
        }
        _ => panic!("kmerge-instructions list | KERNEL ROUNDS"),
    }
}

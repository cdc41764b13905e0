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

use kmerge::batch::{Batch, BatchWriter, Codec, Headers, Piece, Pieces, RecordReader};
use kmerge::formats::words::Joined;
use kmerge::keys::{KeyPlan, Order};
use kmerge::rules::{Cleaner, Incoming, Rules, Verdict};
use logins::{DEFAULT_CAST, logins};
use shapes::Shape;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Records of a round.
const RECORDS: usize = 20_000;
const TIMESTAMP: i64 = 1_700_000_000_000;
const BUDGET: usize = 16 << 20;

/// What a round does, with everything that it needs at hand.
type Kernel = Box<dyn FnMut()>;
type Named = (&'static str, fn() -> Kernel);

/// By name; what is made beforehand is made for the one that is asked for.
const KERNELS: [Named; 12] = [
    ("batch read, dense", || read(Shape::Dense)),
    ("batch read, m118", || read(Shape::M118)),
    ("batch written, dense", || write(Shape::Dense)),
    ("batch written, m118", || write(Shape::M118)),
    ("batch copied, dense", || copied(Shape::Dense)),
    ("batch copied, m118", || copied(Shape::M118)),
    ("key read, an integer", || key("value:int", |number| number.to_string())),
    ("key read, in JSON", || {
        key("value:json:/id", |number| format!("{{\"name\":\"n\",\"id\":{number},\"more\":[1,2]}}"))
    }),
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
    fn peek(&self) -> Option<Piece<'_>> {
        let &Span { timestamp, start, bytes } = self.spans.first()?;
        Some(Piece { timestamp, from: &self.bytes[start as usize..], bytes })
    }

    #[inline(always)]
    fn pass(&mut self) {
        self.spans = &self.spans[1..];
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
            let Some(Piece { timestamp, from, bytes }) = next.peek() else { break };
            writer.push_raw(timestamp, &from[..bytes as usize]).unwrap();
            next.pass();
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

fn words() -> Kernel {
    let spaced = |login: Vec<u8>| login.into_iter().map(|byte| if byte == b',' { b' ' } else { byte }).collect();
    let texts: Vec<Vec<u8>> = logins(RECORDS).into_iter().map(spaced).collect();
    let mut joined = Joined::new();
    Box::new(move || {
        for text in &texts {
            if !joined.push(text) {
                joined.part(|word| _ = black_box(word.head));
                assert!(joined.push(text));
            }
        }
        black_box(joined.part(|word| _ = black_box(word.head)));
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

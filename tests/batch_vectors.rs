//! Batches made by Apache's Java producer and stored by its broker, read and written by `kmerge::batch`.
//!
//! What should be in them was set down by Apache's own reader (`tests/vectors/`).

use kmerge::batch::control::ControlType;
use kmerge::batch::{
    Batch, BatchHeader, BatchWriter, Batches, Codec, HEADER_BYTES, Header, Record, RecordReader, TimestampType,
};
use serde_json::{Value, json};
use std::path::PathBuf;

const BUDGET: usize = 4 << 20;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// Every vector: name, bytes, what is in it.
fn vectors() -> Vec<(String, Vec<u8>, Vec<Value>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "batch") {
            let bytes = std::fs::read(&path).unwrap();
            let json = std::fs::read_to_string(path.with_extension("json")).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            found.push((name, bytes, serde_json::from_str(&json).unwrap()));
        }
    }
    found
}

fn hex(bytes: Option<&[u8]>) -> Value {
    match bytes {
        None => Value::Null,
        Some(bytes) if bytes.len() > 600 => {
            json!(format!("{} bytes, crc32c {:08x}", bytes.len(), crc32c::crc32c(bytes)))
        }
        Some(bytes) => json!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

/// A record as the expectation has it.
fn told(record: &Record<'_>, header: &BatchHeader) -> Value {
    let mut told = json!({"offset": record.offset, "timestamp": record.timestamp});
    if header.is_control() {
        told["marker"] = match ControlType::read(record.key).unwrap() {
            ControlType::Abort => json!("abort"),
            ControlType::Commit => json!("commit"),
            other => panic!("{other:?}"),
        };
    }
    told["key"] = hex(record.key);
    told["value"] = hex(record.value);
    let header = |header: Header<'_>| json!([hex(Some(header.key)), hex(header.value)]);
    told["headers"] = record.headers.iter().map(header).collect();
    told
}

/// A whole batch as the expectation has it.
fn batch_told(batch: &Batch<'_>, reader: &mut RecordReader) -> Value {
    batch.verify_checksum().unwrap();
    let header = &batch.header;
    let mut records = Vec::new();
    reader.start(batch).unwrap();
    while let Some(record) = reader.next(batch).unwrap() {
        records.push(told(&record, header));
    }
    json!({
        "base_offset": header.base_offset,
        "last_offset": header.last_offset(),
        "bytes": batch.bytes().len(),
        "codec": header.codec().unwrap().name(),
        "log_append": header.timestamp_type() == TimestampType::LogAppend,
        "max_timestamp": header.max_timestamp,
        "delete_horizon": header.has_delete_horizon().then_some(header.base_timestamp),
        "producer_id": header.producer_id,
        "producer_epoch": header.producer_epoch,
        "base_sequence": header.base_sequence,
        "leader_epoch": header.partition_leader_epoch,
        "transactional": header.is_transactional(),
        "control": header.is_control(),
        "records": records,
    })
}

/// The same batch through the writer, compressed with `codec`.
fn written_again(batch: &Batch<'_>, codec: Codec, reader: &mut RecordReader) -> Vec<u8> {
    let header = &batch.header;
    let mut writer = BatchWriter::new(codec);
    writer
        .base_offset(header.base_offset)
        .leader_epoch(header.partition_leader_epoch)
        .producer(header.producer_id, header.producer_epoch, header.base_sequence)
        .transactional(header.is_transactional())
        .control(header.is_control())
        .append_time((header.timestamp_type() == TimestampType::LogAppend).then_some(header.max_timestamp))
        .delete_horizon(header.has_delete_horizon().then_some(header.base_timestamp))
        .last_offset_delta(Some(header.last_offset_delta));
    reader.start(batch).unwrap();
    let mut next = header.base_offset;
    while let Some(record) = reader.next(batch).unwrap() {
        writer.skip_offsets((record.offset - next) as u32).unwrap();
        writer.push(record.timestamp, record.key, record.value, record.headers).unwrap();
        next = record.offset + 1;
    }
    writer.finish().unwrap().to_vec()
}

#[test]
fn every_vector_reads_as_apaches_reader_has_it() {
    let mut reader = RecordReader::new(BUDGET);
    let vectors = vectors();
    assert!(vectors.len() >= 15, "{} vectors", vectors.len());
    for (name, bytes, expected) in vectors {
        let batches: Vec<_> = Batches::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(batches.len(), expected.len(), "{name}");
        for (batch, expected) in batches.iter().zip(&expected) {
            assert_eq!(&batch_told(batch, &mut reader), expected, "{name}");
        }
    }
}

#[test]
fn every_vector_reads_the_same_after_being_written_again_by_each_codec() {
    let mut reader = RecordReader::new(BUDGET);
    for (name, bytes, expected) in vectors() {
        for (batch, expected) in Batches::new(&bytes).map(Result::unwrap).zip(&expected) {
            for codec in Codec::ALL {
                let again = written_again(&batch, codec, &mut reader);
                let mut told = batch_told(&Batch::read(&again).unwrap(), &mut reader);
                assert_eq!(told["codec"], codec.name());
                for field in ["codec", "bytes"] {
                    told[field] = expected[field].clone();
                }
                if batch.header.record_count == 0 {
                    // Nothing in the records says what the largest timestamp was before they went.
                    told["max_timestamp"] = expected["max_timestamp"].clone();
                }
                assert_eq!(&told, expected, "{name} by {codec}");
            }
        }
    }
}

#[test]
fn an_uncompressed_batch_is_written_byte_for_byte_as_java_does() {
    let mut reader = RecordReader::new(BUDGET);
    let mut compared = 0;
    for (name, bytes, _) in vectors() {
        for batch in Batches::new(&bytes).map(Result::unwrap) {
            // The broker's time takes the place of the producer's in the header only, so the writer cannot know both.
            let append_time = batch.header.timestamp_type() == TimestampType::LogAppend;
            if batch.header.codec() == Ok(Codec::None) && !append_time && batch.bytes().len() > HEADER_BYTES {
                assert!(written_again(&batch, Codec::None, &mut reader) == batch.bytes(), "{name}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 10, "{compared}");
}

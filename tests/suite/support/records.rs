//! Records as tests state and compare them.

use kmerge::batch::{Batch, BatchWriter, Batches, Codec, RecordReader};

/// A timestamp for tests that do not care: long ago and always the same.
const STAMP: i64 = 1_700_000_000_000;

/// A record without its offset.
#[derive(Clone, PartialEq, Eq)]
pub struct Rec {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub timestamp: i64,
}

impl Rec {
    /// A record that is nothing but this number as its value.
    pub fn int(value: i64) -> Self {
        Self::text(&value.to_string())
    }

    pub fn text(value: &str) -> Self {
        Self { key: None, value: Some(value.as_bytes().to_vec()), headers: vec![], timestamp: STAMP }
    }

    pub fn stamped(self, timestamp: i64) -> Self {
        Self { timestamp, ..self }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.as_bytes().to_vec(), Some(value.as_bytes().to_vec())));
        self
    }
}

impl std::fmt::Debug for Rec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show =
            |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or("null".into(), |b| String::from_utf8_lossy(b).into_owned());
        write!(f, "{}={}@{}", show(&self.key), show(&self.value), self.timestamp)?;
        self.headers
            .iter()
            .try_for_each(|(name, value)| write!(f, " {}:{}", String::from_utf8_lossy(name), show(value)))
    }
}

/// One batch of these records.
pub fn encode(codec: Codec, records: &[Rec]) -> Vec<u8> {
    let mut writer = BatchWriter::new(codec);
    for record in records {
        let headers: Vec<(&[u8], Option<&[u8]>)> = record.headers.iter().map(|(k, v)| (&k[..], v.as_deref())).collect();
        writer.push_pairs(record.timestamp, record.key.as_deref(), record.value.as_deref(), &headers).unwrap();
    }
    writer.finish().unwrap().to_vec()
}

/// The records of whole batches from `start` on, and the codecs they came in.
pub fn decode(bytes: &[u8], start: i64, records: &mut Vec<Rec>, codecs: &mut Vec<Codec>) -> i64 {
    let mut next = start;
    let mut reader = RecordReader::new(64 << 20);
    for batch in Batches::new(bytes) {
        let batch: Batch<'_> = batch.unwrap();
        batch.verify_checksum().unwrap();
        if !batch.header.is_control() {
            codecs.push(batch.header.codec().unwrap());
        }
        reader.start(&batch).unwrap();
        while let Some(record) = reader.next(&batch).unwrap() {
            if record.offset >= start && !batch.header.is_control() {
                let headers = record.headers.iter().map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect();
                let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
                records.push(Rec { key, value, headers, timestamp: record.timestamp });
            }
        }
        next = batch.header.last_offset() + 1;
    }
    next
}

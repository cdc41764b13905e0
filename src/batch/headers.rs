//! Headers put together one after the other, for a record that is about to be written.

use super::Headers;
use super::varint::{self, I64_BYTES_MAX};

/// What a length takes and what putting it may touch beyond.
const LENGTH_ROOM: usize = I64_BYTES_MAX + 3;

/// Headers as a record holds them, in a buffer that is used again.
#[derive(Debug, Clone, Default)]
pub struct HeadersBuf {
    count: u32,
    bytes: Vec<u8>,
}

impl HeadersBuf {
    /// No headers any more.
    pub fn clear(&mut self) {
        self.count = 0;
        self.bytes.clear();
    }

    /// One more, behind the others. Names may repeat.
    pub fn push(&mut self, name: &[u8], value: Option<&[u8]>) {
        self.put_len(name.len() as i64);
        self.bytes.extend_from_slice(name);
        self.put_len(value.map_or(-1, |value| value.len() as i64));
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.count += 1;
    }

    /// The headers so far.
    pub fn headers(&self) -> Headers<'_> {
        Headers::written(self.count, &self.bytes)
    }

    fn put_len(&mut self, len: i64) {
        let mut room = [0; LENGTH_ROOM];
        let end = varint::put(&mut room, 0, len);
        self.bytes.extend_from_slice(&room[..end]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Batch, BatchWriter, Codec, RecordReader};
    use super::*;

    #[test]
    fn headers_come_out_of_a_batch_as_they_were_pushed() {
        let long = vec![b'x'; 300];
        let mut headers = HeadersBuf::default();
        headers.push(b"forgotten", None);
        headers.clear();
        let pairs: [(&[u8], Option<&[u8]>); 4] =
            [(b"a", Some(b"1")), (b"a", None), (b"", Some(b"")), (b"long", Some(&long))];
        pairs.iter().for_each(|(name, value)| headers.push(name, *value));

        let mut writer = BatchWriter::new(Codec::None);
        writer.push(0, None, None, headers.headers()).unwrap();
        let bytes = writer.finish().unwrap();
        let batch = Batch::read(bytes).unwrap();
        let mut reader = RecordReader::new(0);
        reader.start(&batch).unwrap();
        let record = reader.next(&batch).unwrap().unwrap();
        assert_eq!(record.headers.iter().map(|header| (header.key, header.value)).collect::<Vec<_>>(), pairs);
    }
}

//! What is changed in a batch that is whole: by who sends it, and by the broker that appends it.

use super::batches::checksum;
use super::header::{
    ATTRIBUTES_AT, CRC_AT, LEADER_EPOCH_AT, LOG_APPEND_BIT, MAX_TIMESTAMP_AT, PRODUCER_AT, TRANSACTIONAL_BIT,
};
use super::shift::shifted;
use super::{Batch, BatchError, HEADER_BYTES};

/// A whole batch whose header may be changed in place.
#[derive(Debug)]
pub struct BatchMut<'a> {
    bytes: &'a mut [u8],
}

impl<'a> BatchMut<'a> {
    /// The batch at the start of `bytes`, all of which must be there.
    pub fn new(bytes: &'a mut [u8]) -> Result<Self, BatchError> {
        let length = Batch::read(bytes)?.bytes().len();
        Ok(Self { bytes: &mut bytes[..length] })
    }

    /// Sets the base offset, which the checksum does not cover.
    pub fn set_base_offset(&mut self, offset: i64) {
        self.put(0, &offset.to_be_bytes());
    }

    /// Sets the leader epoch, which the checksum does not cover.
    pub fn set_leader_epoch(&mut self, epoch: i32) {
        self.put(LEADER_EPOCH_AT, &epoch.to_be_bytes());
    }

    /// Makes `time` the timestamp of every record, and computes the checksum again.
    pub fn set_append_time(&mut self, time: i64) {
        self.bytes[ATTRIBUTES_AT + 1] |= LOG_APPEND_BIT as u8;
        self.put(MAX_TIMESTAMP_AT, &time.to_be_bytes());
        self.seal();
    }

    /// Sets the largest timestamp of the records, and computes the checksum again.
    pub fn set_max_timestamp(&mut self, time: i64) {
        self.put(MAX_TIMESTAMP_AT, &time.to_be_bytes());
        self.seal();
    }

    /// Sets the producer's identity and the first sequence number, and computes the checksum again.
    pub fn set_producer(&mut self, id: i64, epoch: i16, base_sequence: i32) {
        self.put_producer(id, epoch, base_sequence);
        self.seal();
    }

    fn put_producer(&mut self, id: i64, epoch: i16, base_sequence: i32) {
        self.put(PRODUCER_AT, &id.to_be_bytes());
        self.put(PRODUCER_AT + 8, &epoch.to_be_bytes());
        self.put(PRODUCER_AT + 10, &base_sequence.to_be_bytes());
    }

    /// Says who sends it, and whether in a transaction. The checksum follows from the old one and what was changed, so that
    /// the records are not gone through again; it is right if it was right.
    pub fn sign(&mut self, id: i64, epoch: i16, base_sequence: i32, transactional: bool) {
        let before = checksum(&self.bytes[..HEADER_BYTES]);
        if transactional {
            self.bytes[ATTRIBUTES_AT + 1] |= TRANSACTIONAL_BIT as u8;
        }
        self.put_producer(id, epoch, base_sequence);
        // A checksum is linear: equal bytes behind shift the difference of two of them alike.
        let changed = before ^ checksum(&self.bytes[..HEADER_BYTES]);
        let shifted = shifted(changed, self.bytes.len() - HEADER_BYTES);
        let crc = self.bytes[CRC_AT..].first_chunk().map_or(0, |crc| u32::from_be_bytes(*crc));
        self.put(CRC_AT, &(crc ^ shifted).to_be_bytes());
    }

    /// Takes away whose it is and where it lay, as if it had never been sent, and computes the checksum again.
    pub fn unsign(&mut self) {
        self.set_base_offset(0);
        self.set_leader_epoch(-1);
        self.bytes[ATTRIBUTES_AT + 1] &= !(TRANSACTIONAL_BIT as u8);
        self.set_producer(-1, -1, -1);
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        // A whole batch has a whole header, and all fields lie in it.
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn seal(&mut self) {
        let crc = checksum(self.bytes);
        self.put(CRC_AT, &crc.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BatchWriter, Codec, Headers, RecordReader, TimestampType};
    use super::*;

    #[test]
    fn what_a_broker_assigns_leaves_the_checksum_right() {
        let mut writer = BatchWriter::new(Codec::None);
        writer.push(1_000, None, Some(b"7"), Headers::EMPTY).unwrap();
        let mut bytes = writer.finish().unwrap().to_vec();
        let mut patch = BatchMut::new(&mut bytes).unwrap();
        patch.set_base_offset(41);
        patch.set_leader_epoch(3);
        patch.set_append_time(2_000);
        patch.set_producer(9, 1, 77);
        let batch = Batch::read(&bytes).unwrap();
        batch.verify_checksum().unwrap();
        let header = &batch.header;
        assert_eq!((header.base_offset, header.partition_leader_epoch), (41, 3));
        assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (9, 1, 77));
        assert_eq!(header.timestamp_type(), TimestampType::LogAppend);
        let mut reader = RecordReader::new(0);
        reader.start(&batch).unwrap();
        let record = reader.next(&batch).unwrap().unwrap();
        assert_eq!((record.offset, record.timestamp), (41, 2_000));
    }

    #[test]
    fn a_signature_leaves_the_checksum_right_whatever_stands_behind_it() {
        for records in [0, 1, 2, 500] {
            let mut writer = BatchWriter::new(Codec::None);
            for number in 0..records {
                writer.push(number, Some(b"key"), Some(number.to_string().as_bytes()), Headers::EMPTY).unwrap();
            }
            let mut bytes = writer.finish().unwrap().to_vec();
            for (id, epoch, sequence, transactional) in
                [(9, 1, 77, false), (i64::MAX, i16::MAX, 0, true), (0, 0, 5, true)]
            {
                BatchMut::new(&mut bytes).unwrap().sign(id, epoch, sequence, transactional);
                let batch = Batch::read(&bytes).unwrap();
                batch.verify_checksum().unwrap();
                let header = &batch.header;
                assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (id, epoch, sequence));
                assert_eq!(header.is_transactional(), transactional);
            }
            bytes[30] ^= 1;
            BatchMut::new(&mut bytes).unwrap().sign(3, 3, 3, true);
            assert!(Batch::read(&bytes).unwrap().verify_checksum().is_err(), "damage stays damage");
        }
    }
}

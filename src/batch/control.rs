//! Control batches: the markers that end a transaction.
//!
//! A control batch holds one record. Its key is a version and a type; for a marker its value is a version and the epoch
//! of the coordinator that wrote it. Readers know a record to be a marker only by the flag in its batch's header.

use super::{Batch, BatchError, BatchWriter, Codec, Headers, RecordReader};

/// What a control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlType {
    /// The producer's open transaction is aborted: its records before this one are void.
    Abort,
    /// The producer's open transaction is committed.
    Commit,
    /// A type that ends no transaction (the Raft log of the controllers has several) or that is not known.
    Other(i16),
}

impl ControlType {
    /// The type by its number.
    pub fn from_number(number: i16) -> Self {
        match number {
            0 => Self::Abort,
            1 => Self::Commit,
            other => Self::Other(other),
        }
    }

    /// Its number.
    pub fn number(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::Other(number) => number,
        }
    }

    /// Reads a control record's key. Versions above 0 may be longer and must begin the same way.
    pub fn read(key: Option<&[u8]>) -> Result<Self, BatchError> {
        let key = key.unwrap_or_default();
        let Some(&[v0, v1, t0, t1]) = key.first_chunk::<4>() else {
            return Err(BatchError::Truncated { what: "a control record's key", needed: 4, got: key.len() });
        };
        let version = i16::from_be_bytes([v0, v1]);
        if version < 0 {
            return Err(BatchError::Header { field: "the control record's version", value: version.into() });
        }
        Ok(Self::from_number(i16::from_be_bytes([t0, t1])))
    }

    /// Reads the type of a control batch by its first record; `None` for one that compaction has emptied.
    pub fn of_batch(batch: &Batch<'_>) -> Result<Option<Self>, BatchError> {
        // Markers are written uncompressed and are a few bytes.
        let mut reader = RecordReader::new(64 * 1024);
        reader.start(batch)?;
        match reader.next(batch)? {
            Some(record) => Self::read(record.key).map(Some),
            None => Ok(None),
        }
    }
}

/// A marker batch as a broker appends it for producer `id` at `epoch`.
pub fn marker(
    base_offset: i64,
    kind: ControlType,
    timestamp: i64,
    id: i64,
    epoch: i16,
    coordinator_epoch: i32,
) -> Result<Vec<u8>, BatchError> {
    let mut key = [0; 4];
    key[2..].copy_from_slice(&kind.number().to_be_bytes());
    let mut value = [0; 6];
    value[2..].copy_from_slice(&coordinator_epoch.to_be_bytes());
    let mut writer = BatchWriter::new(Codec::None);
    writer.transactional(true).control(true).producer(id, epoch, -1).base_offset(base_offset);
    writer.push(timestamp, Some(&key), Some(&value), Headers::EMPTY)?;
    Ok(writer.finish()?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_reads_back() {
        for kind in [ControlType::Abort, ControlType::Commit] {
            let bytes = marker(17, kind, 1_000, 4_000, 2, 9).unwrap();
            let batch = Batch::read(&bytes).unwrap();
            batch.verify_checksum().unwrap();
            assert!(batch.header.is_control() && batch.header.is_transactional());
            assert_eq!((batch.header.last_offset(), batch.header.base_sequence), (17, -1));
            assert_eq!(ControlType::of_batch(&batch), Ok(Some(kind)));
        }
    }

    #[test]
    fn a_key_that_is_too_short_or_of_a_negative_version_is_refused() {
        assert!(matches!(ControlType::read(None), Err(BatchError::Truncated { got: 0, .. })));
        assert!(matches!(ControlType::read(Some(&[0, 0, 0])), Err(BatchError::Truncated { got: 3, .. })));
        assert!(matches!(ControlType::read(Some(&[0xff, 0xff, 0, 1])), Err(BatchError::Header { value: -1, .. })));
        assert_eq!(ControlType::read(Some(&[0, 1, 0, 5, 9])), Ok(ControlType::Other(5)));
    }
}

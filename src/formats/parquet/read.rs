//! Where the rows of a file come from: the columns that say so, and no other.
//!
//! What a file claims is not believed: its footer has to find room, its columns have to be of the types that they are written
//! as, and what the format's own reader cannot cope with is a fault of the file, also where it panics.

use super::columns::METADATA;
use parquet::basic::{LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, RowGroupReader, SerializedFileReader};
use parquet::schema::types::SchemaDescriptor;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// So many rows are looked at at a time.
const CHUNK: usize = 4096;

/// Where a row's record stood, and when; -1 if it had no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The partition's index.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Its time.
    pub timestamp_ms: i64,
}

/// Why a file was not read to its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread<B> {
    /// It cannot be: this is wrong with it.
    Broken(String),
    /// Whoever looks wanted no more.
    Stopped(B),
}

impl<B> From<ParquetError> for Unread<B> {
    fn from(error: ParquetError) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Lends each row's origin to `take`. The footer may have so many bytes.
pub fn origins<B>(
    file: File,
    footer_bytes_max: u64,
    take: impl FnMut(Origin) -> ControlFlow<B>,
) -> Result<(), Unread<B>> {
    // Nothing of what it has begun is looked at afterwards.
    match catch_unwind(AssertUnwindSafe(|| read(file, footer_bytes_max, take))) {
        Ok(read) => read,
        Err(_) => Err(Unread::Broken("it makes the reader of the format panic".to_owned())),
    }
}

fn read<B>(
    mut file: File,
    footer_bytes_max: u64,
    mut take: impl FnMut(Origin) -> ControlFlow<B>,
) -> Result<(), Unread<B>> {
    check_footer(&mut file, footer_bytes_max).map_err(Unread::Broken)?;
    let reader = SerializedFileReader::new(file)?;
    let [partition, offset, timestamp] =
        columns(reader.metadata().file_metadata().schema_descr()).map_err(Unread::Broken)?;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group)?;
        let mut partitions = Column::<Int32Type>::of(&*group, partition)?;
        let mut offsets = Column::<Int64Type>::of(&*group, offset)?;
        let mut times = Column::<Int64Type>::of(&*group, timestamp)?;
        loop {
            let rows = offsets.next()?;
            if partitions.next()? != rows || times.next()? != rows {
                return Err(Unread::Broken("its columns are of different lengths".to_owned()));
            }
            if rows == 0 {
                break;
            }
            for row in 0..rows {
                let (Some(partition), Some(offset)) = (partitions.at(row), offsets.at(row)) else {
                    return Err(Unread::Broken("a row does not say where it comes from".to_owned()));
                };
                let origin = Origin { partition, offset, timestamp_ms: times.at(row).unwrap_or(-1) };
                if let ControlFlow::Break(with) = take(origin) {
                    return Err(Unread::Stopped(with));
                }
            }
        }
    }
    Ok(())
}

/// The last bytes say how long the footer is, all of which is unfolded in memory.
fn check_footer(file: &mut File, bytes_max: u64) -> Result<(), String> {
    let mut tail = [0; 8];
    let read = file.seek(SeekFrom::End(-8)).and_then(|_| file.read_exact(&mut tail)).and_then(|()| file.rewind());
    read.map_err(|_| "it is too short for a parquet file, or cannot be read".to_owned())?;
    let [a, b, c, d, magic @ ..] = tail;
    if magic != *b"PAR1" {
        return Err("it does not end as a parquet file does".to_owned());
    }
    let bytes = u64::from(u32::from_le_bytes([a, b, c, d]));
    if bytes > bytes_max {
        return Err(format!("its footer claims {bytes} bytes, for which there is no room: give more --memory"));
    }
    Ok(())
}

/// Which columns say the partition, the offset and the time.
fn columns(schema: &SchemaDescriptor) -> Result<[usize; 3], String> {
    let find = |name: &str| {
        let at = schema.columns().iter().position(|column| column.path().parts() == [name]);
        at.ok_or_else(|| format!("it has no column {name}: it was written with metadata = false, or by something else"))
    };
    let [_, partition, offset, timestamp] = METADATA;
    let found = [find(partition)?, find(offset)?, find(timestamp)?];
    let is_millis = |column: usize| match schema.column(column).logical_type_ref() {
        Some(LogicalType::Timestamp(time)) => time.unit == TimeUnit::MILLIS,
        _ => false,
    };
    match is_millis(found[2]) {
        true => Ok(found),
        false => Err(format!("its column {timestamp} is no time in milliseconds")),
    }
}

/// A column of a row group, some rows at a time.
struct Column<T: DataType> {
    reader: ColumnReaderImpl<T>,
    is_optional: bool,
    levels: Vec<i16>,
    values: Vec<T::T>,
    /// By row; only where some may be missing.
    rows: Vec<Option<T::T>>,
}

impl<T: Typed> Column<T> {
    fn of(group: &dyn RowGroupReader, at: usize) -> Result<Self, ParquetError> {
        let levels = group.metadata().column(at).column_descr();
        if levels.max_def_level() > 1 || levels.max_rep_level() > 0 {
            return Err(ParquetError::General(format!("{} is nested", levels.path())));
        }
        let is_optional = levels.max_def_level() == 1;
        let reader = T::typed(group.get_column_reader(at)?)
            .ok_or_else(|| ParquetError::General("a column is of another type than it is written as".to_owned()))?;
        Ok(Self { reader, is_optional, levels: Vec::new(), values: Vec::new(), rows: Vec::new() })
    }

    /// Goes to the next rows; gives how many.
    fn next(&mut self) -> Result<usize, ParquetError> {
        self.levels.clear();
        self.values.clear();
        let levels = self.is_optional.then_some(&mut self.levels);
        let (rows, _, _) = self.reader.read_records(CHUNK, levels, None, &mut self.values)?;
        self.rows.clear();
        if self.is_optional {
            let mut values = self.values.drain(..);
            self.rows.extend(self.levels.iter().map(|level| if *level == 1 { values.next() } else { None }));
        } else {
            self.rows.extend(self.values.drain(..).map(Some));
        }
        Ok(rows.min(self.rows.len()))
    }

    fn at(&self, row: usize) -> Option<T::T> {
        self.rows.get(row).cloned().flatten()
    }
}

/// What a column is read as.
trait Typed: DataType + Sized {
    fn typed(reader: ColumnReader) -> Option<ColumnReaderImpl<Self>>;
}

impl Typed for Int32Type {
    fn typed(reader: ColumnReader) -> Option<ColumnReaderImpl<Self>> {
        match reader {
            ColumnReader::Int32ColumnReader(reader) => Some(reader),
            _ => None,
        }
    }
}

impl Typed for Int64Type {
    fn typed(reader: ColumnReader) -> Option<ColumnReaderImpl<Self>> {
        match reader {
            ColumnReader::Int64ColumnReader(reader) => Some(reader),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Codec, Column as Member, Kind, ParquetFile, Rows, Schema};
    use super::*;
    use crate::base::place::TopicPartition;
    use std::io::Write as _;
    use std::path::PathBuf;

    /// A file that is gone with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(bytes: &[u8]) -> Self {
            let path = std::env::temp_dir().join(format!("kmerge-origins-{:016x}.parquet", rand::random::<u64>()));
            File::create_new(&path).unwrap().write_all(bytes).unwrap();
            Self(path)
        }

        fn read(&self) -> Result<Vec<Origin>, Unread<()>> {
            let mut found = Vec::new();
            let file = File::open(&self.0).unwrap();
            origins(file, 1 << 20, |origin| {
                found.push(origin);
                ControlFlow::Continue(())
            })
            .map(|()| found)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn file(codec: Codec, metadata: bool, rows: i64) -> Vec<u8> {
        let schema = Schema::new(vec![Member { name: "a".to_owned(), kind: Kind::Int }], metadata).unwrap();
        let mut bytes = Vec::new();
        let mut file = ParquetFile::begin(&mut bytes, &schema, codec, &TopicPartition::new("t", 3));
        for group in 0..2 {
            let mut of_group = Rows::default();
            for row in 0..rows {
                let offset = group * rows + row;
                of_group.push(
                    format!("{{\"a\":{row}}}").as_bytes(),
                    offset * 2,
                    if offset % 3 == 0 { -1 } else { offset },
                );
            }
            file.write(&of_group).unwrap();
        }
        file.finish(|_| Ok(())).unwrap();
        bytes
    }

    #[test]
    fn every_row_says_where_its_record_stood_and_when() {
        for codec in [Codec::Snappy, Codec::Lz4, Codec::Gzip, Codec::None] {
            let found = Scratch::new(&file(codec, true, 10_000)).read().unwrap();
            assert_eq!(found.len(), 20_000);
            for (row, origin) in found.into_iter().enumerate() {
                let offset = row as i64;
                let timestamp_ms = if offset % 3 == 0 { -1 } else { offset };
                assert_eq!(origin, Origin { partition: 3, offset: offset * 2, timestamp_ms }, "{codec:?}");
            }
        }
    }

    #[test]
    fn a_file_that_does_not_say_it_or_is_none_is_told() {
        let broken = |bytes: &[u8], part: &str| match Scratch::new(bytes).read() {
            Err(Unread::Broken(why)) => assert!(why.contains(part), "{why}"),
            other => panic!("{part}: {other:?}"),
        };
        let whole = file(Codec::Snappy, true, 100);
        broken(&file(Codec::Snappy, false, 10), "metadata = false");
        broken(b"", "too short");
        broken(b"PAR1", "too short");
        broken(&whole[..whole.len() / 2], "does not end");
        broken(&[b"x".repeat(100), b"PAR1".to_vec()].concat(), "its footer claims");
        let mut longer = whole.clone();
        let at = longer.len() - 8;
        longer[at..at + 4].copy_from_slice(&(1_u32 << 19).to_le_bytes());
        assert!(matches!(Scratch::new(&longer).read(), Err(Unread::Broken(_))));
    }

    #[test]
    fn whatever_byte_is_another_it_ends_and_never_gives_more_rows_than_there_are_bytes() {
        let whole = file(Codec::Snappy, true, 40);
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                // A page's values have no checksum, so some of it may be read.
                if let Ok(found) = Scratch::new(&bytes).read() {
                    assert!(found.len() <= bytes.len(), "byte {at}: {}", found.len());
                }
            }
        }
    }
}

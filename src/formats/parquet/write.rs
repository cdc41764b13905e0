//! The file: row groups of columns, by way of the parquet crate's low-level writer.

use super::columns::{Kind, METADATA, REST, Schema};
use super::fill::{Filler, Filling, Values, add_name};
use super::rows::Rows;
use crate::base::place::TopicPartition;
use parquet::basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{ColumnPath, Type};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

/// So many rows are handed over at a time.
const CHUNK: usize = 4096;

/// How pages are compressed. None of them needs C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// Fast, and known to every reader.
    #[default]
    Snappy,
    /// Fast, too (LZ4_RAW).
    Lz4,
    /// Small and slow.
    Gzip,
    /// As they are.
    None,
}

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Where it goes does not take it.
    #[error("{0}")]
    Io(io::Error),
    /// What was to become a row is no JSON object.
    #[error("what stands at offset {0} is no JSON object")]
    NoObject(i64),
    /// The format itself.
    #[error("{0}")]
    Format(String),
}

/// What a file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// By member: values that stand in `_rest`, because they have no column or do not fit it.
    pub in_rest: BTreeMap<String, u64>,
}

/// A file being written, row group by row group.
pub struct ParquetFile<W: Write + Send> {
    to: To<W>,
    schema: Schema,
    codec: Codec,
    filler: Filler,
    of: TopicPartition,
    totals: Totals,
}

/// How a column is encoded is said when the file begins, and seen from its first rows.
enum To<W: Write + Send> {
    Nothing(Option<W>),
    File(Box<SerializedFileWriter<Heard<W>>>),
}

impl<W: Write + Send> std::fmt::Debug for ParquetFile<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetFile").field("of", &self.of).field("totals", &self.totals).finish_non_exhaustive()
    }
}

impl<W: Write + Send> ParquetFile<W> {
    /// Begins a file of rows that come from this partition.
    pub fn begin(to: W, schema: &Schema, codec: Codec, of: &TopicPartition) -> Self {
        let (to, filler) = (To::Nothing(Some(to)), Filler::new(schema));
        Self { to, schema: schema.clone(), codec, filler, of: of.clone(), totals: Totals::default() }
    }

    /// Writes these rows as a row group.
    pub fn write(&mut self, rows: &Rows) -> Result<(), Fault> {
        if rows.is_empty() {
            return Ok(());
        }
        self.filler.fill(rows).map_err(Fault::NoObject)?;
        for (name, count) in self.filler.take_in_rest() {
            add_name(&mut self.totals.in_rest, &name, count);
        }
        let file = self.to.file(&self.schema, self.codec, &self.filler)?;
        let has_metadata = self.schema.has_metadata();
        let written = group(file, &mut self.filler, has_metadata.then_some(&self.of), rows);
        self.filler.let_go();
        written.map_err(|error| fault(file, error))?;
        self.totals.rows += rows.len() as u64;
        Ok(())
    }

    /// What was written so far.
    pub fn bytes(&self) -> u64 {
        match &self.to {
            To::Nothing(_) => 0,
            To::File(file) => file.bytes_written() as u64,
        }
    }

    /// Ends the file; `settle` is the last that is done where it goes, once everything is there.
    pub fn finish(mut self, settle: impl FnOnce(&mut W) -> io::Result<()>) -> Result<Totals, Fault> {
        let file = self.to.file(&self.schema, self.codec, &self.filler)?;
        let finished = file.finish();
        finished.map_err(|error| fault(file, error))?;
        settle(&mut file.inner_mut().to).map_err(Fault::Io)?;
        self.totals.bytes = self.bytes();
        Ok(self.totals)
    }
}

impl<W: Write + Send> To<W> {
    /// The file, which is begun if it is not.
    fn file(
        &mut self,
        schema: &Schema,
        codec: Codec,
        first: &Filler,
    ) -> Result<&mut SerializedFileWriter<Heard<W>>, Fault> {
        if let Self::Nothing(to) = self {
            let (table, properties) = (table(schema).map_err(other)?, properties(schema, codec, first));
            let to = to.take().ok_or_else(|| Fault::Format("what went wrong once is gone on with".to_owned()))?;
            let file = SerializedFileWriter::new(Heard { to, error: None }, Arc::new(table), Arc::new(properties));
            *self = Self::File(Box::new(file.map_err(other)?));
        }
        match self {
            Self::File(file) => Ok(file),
            Self::Nothing(_) => Err(Fault::Format("it did not begin".to_owned())),
        }
    }
}

/// Writes a row group; where each record stood as well, if this says in which partition.
fn group<W: Write + Send>(
    file: &mut SerializedFileWriter<Heard<W>>,
    filler: &mut Filler,
    of: Option<&TopicPartition>,
    rows: &Rows,
) -> Result<(), ParquetError> {
    let mut group = file.next_row_group()?;
    let mut next = |write: &mut dyn FnMut(&mut SerializedColumnWriter<'_>) -> Result<(), ParquetError>| {
        let mut column = group.next_column()?.ok_or_else(|| ParquetError::General("a column is missing".into()))?;
        write(&mut column)?;
        column.close()
    };
    for filling in filler.filled_mut() {
        next(&mut |column| filled(column, filling))?;
    }
    if let Some(of) = of {
        let topic = ByteArray::from(&*of.topic);
        next(&mut |column| same::<ByteArrayType>(column, topic.clone(), rows.len()))?;
        next(&mut |column| same::<Int32Type>(column, of.partition, rows.len()))?;
        next(&mut |column| column.typed::<Int64Type>().write_batch(rows.offsets(), None, None).map(drop))?;
        let there: Vec<i16> = rows.timestamps().iter().map(|time| i16::from(*time >= 0)).collect();
        let times: Vec<i64> = rows.timestamps().iter().copied().filter(|time| *time >= 0).collect();
        next(&mut |column| column.typed::<Int64Type>().write_batch(&times, Some(&there), None).map(drop))?;
    }
    group.close().map(drop)
}

fn fault<W: Write + Send>(file: &mut SerializedFileWriter<Heard<W>>, error: ParquetError) -> Fault {
    match file.inner_mut().error.take() {
        Some(error) => Fault::Io(error),
        None => other(error),
    }
}

fn other(error: ParquetError) -> Fault {
    Fault::Format(error.to_string())
}

fn filled(column: &mut SerializedColumnWriter<'_>, filling: &mut Filling) -> Result<(), ParquetError> {
    let levels = &filling.levels;
    match &mut filling.values {
        Values::Ints(values) => chunks::<Int64Type>(column, values, levels),
        Values::Doubles(values) => chunks::<DoubleType>(column, values, levels),
        Values::Bools(values) => chunks::<BoolType>(column, values, levels),
        Values::Texts(texts) => {
            // All values are views of one buffer, which is not copied.
            let whole = ByteArray::from(std::mem::take(&mut texts.bytes));
            let (mut start, mut ends, mut views) = (0, texts.ends.iter(), Vec::with_capacity(CHUNK));
            for levels in levels.chunks(CHUNK) {
                views.clear();
                for end in ends.by_ref().take(there(levels)) {
                    views.push(whole.slice(start, end - start));
                    start = *end;
                }
                column.typed::<ByteArrayType>().write_batch(&views, Some(levels), None)?;
            }
            Ok(())
        }
    }
}

fn chunks<T: DataType>(
    column: &mut SerializedColumnWriter<'_>,
    values: &[T::T],
    levels: &[i16],
) -> Result<(), ParquetError> {
    let mut rest = values;
    for levels in levels.chunks(CHUNK) {
        let (now, later) = rest.split_at(there(levels).min(rest.len()));
        column.typed::<T>().write_batch(now, Some(levels), None)?;
        rest = later;
    }
    Ok(())
}

fn there(levels: &[i16]) -> usize {
    levels.iter().map(|level| usize::from(*level == 1)).sum()
}

/// A column that holds one value throughout.
fn same<T: DataType>(column: &mut SerializedColumnWriter<'_>, value: T::T, rows: usize) -> Result<(), ParquetError> {
    let values = vec![value; rows.min(CHUNK)];
    let mut left = rows;
    while left > 0 {
        let now = left.min(values.len());
        column.typed::<T>().write_batch(&values[..now], None, None)?;
        left -= now;
    }
    Ok(())
}

fn table(schema: &Schema) -> Result<Type, ParquetError> {
    let field = |name: &str, physical: Physical, logical: Option<LogicalType>, repetition: Repetition| {
        let field = Type::primitive_type_builder(name, physical).with_logical_type(logical).with_repetition(repetition);
        field.build().map(Arc::new)
    };
    let time = |unit| Some(LogicalType::timestamp(true, unit));
    let mut fields = Vec::new();
    for column in schema.columns() {
        let (physical, logical) = match column.kind {
            Kind::Int => (Physical::INT64, None),
            Kind::Float => (Physical::DOUBLE, None),
            Kind::Bool => (Physical::BOOLEAN, None),
            Kind::String => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Time => (Physical::INT64, time(TimeUnit::MILLIS)),
            Kind::TimeMicros => (Physical::INT64, time(TimeUnit::MICROS)),
            Kind::Json => (Physical::BYTE_ARRAY, Some(LogicalType::Json)),
        };
        fields.push(field(&column.name, physical, logical, Repetition::OPTIONAL)?);
    }
    fields.push(field(REST, Physical::BYTE_ARRAY, Some(LogicalType::Json), Repetition::OPTIONAL)?);
    if schema.has_metadata() {
        let [topic, partition, offset, timestamp] = METADATA;
        fields.push(field(topic, Physical::BYTE_ARRAY, Some(LogicalType::String), Repetition::REQUIRED)?);
        fields.push(field(partition, Physical::INT32, None, Repetition::REQUIRED)?);
        fields.push(field(offset, Physical::INT64, None, Repetition::REQUIRED)?);
        fields.push(field(timestamp, Physical::INT64, time(TimeUnit::MILLIS), Repetition::OPTIONAL)?);
    }
    Type::group_type_builder("records").with_fields(fields).build()
}

fn properties(schema: &Schema, codec: Codec, first: &Filler) -> WriterProperties {
    let compression = match codec {
        Codec::Snappy => Compression::SNAPPY,
        Codec::Lz4 => Compression::LZ4_RAW,
        Codec::Gzip => Compression::GZIP(Default::default()),
        Codec::None => Compression::UNCOMPRESSED,
    };
    let mut properties = WriterProperties::builder()
        .set_compression(compression)
        .set_created_by(concat!("kmerge version ", env!("CARGO_PKG_VERSION")).to_owned());
    let [_, _, offset, timestamp] = METADATA;
    // Of values that hardly ever come twice a dictionary would cost much and be thrown away.
    let of_many = schema.columns().iter().zip(first.filled()).filter(|(_, filling)| filling.is_of_many());
    let of_many = of_many.map(|(column, filling)| (column.name.as_str(), filling.is_of_ints()));
    for (name, is_of_ints) in of_many.chain([(offset, true), (timestamp, true)]) {
        // Not by its text, where dots would part it.
        let path = || ColumnPath::new(vec![name.to_owned()]);
        properties = properties.set_column_dictionary_enabled(path(), false);
        if is_of_ints {
            properties = properties.set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED);
        }
    }
    properties.build()
}

/// Where the bytes go, and what was heard from there: the format's own errors say it in passing.
struct Heard<W> {
    to: W,
    error: Option<io::Error>,
}

impl<W: Write> Write for Heard<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes).map_err(|error| self.hear(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush().map_err(|error| self.hear(error))
    }
}

impl<W> Heard<W> {
    fn hear(&mut self, error: io::Error) -> io::Error {
        let kind = error.kind();
        // Who is interrupted tries again.
        if kind != io::ErrorKind::Interrupted {
            self.error.get_or_insert(error);
        }
        kind.into()
    }
}

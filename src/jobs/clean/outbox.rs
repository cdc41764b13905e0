//! Batches being filled, for every partition of the result topic, of the dead letters, and of the topics beside them.
//!
//! Where a record goes: with a key, to where Java's producer would put that key, so that equal keys lie together whatever the
//! input looks like; without one, to the partition of its own number (modulo how many there are), so that its order is kept and
//! a second run puts it in the same place.

use crate::base::place::{Place, TopicPartition};
use crate::batch::{BatchError, BatchWriter, Codec, HEADER_BYTES, Headers};
use crate::jobs::error::JobError;
use crate::jobs::minutes::Runs;
use crate::jobs::pool::Pool;
use crate::jobs::pour::partition_of_key;
use crate::ports::Outgoing;

/// What a record takes beside its key, value and headers, at most.
const RECORD_OVERHEAD_MAX: usize = 36;

/// Which topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    /// Where what is clean goes.
    Result,
    /// Where what was refused goes.
    Dead,
    /// One of the topics beside them.
    Beside(usize),
}

impl To {
    fn index(self) -> usize {
        match self {
            Self::Result => 0,
            Self::Dead => 1,
            Self::Beside(index) => index + 2,
        }
    }
}

/// The topics that are written.
pub(super) struct Topics {
    pub(super) result: Option<Topic>,
    pub(super) dead: Option<Topic>,
    pub(super) beside: Vec<Topic>,
}

/// A topic that is written.
pub(super) struct Topic {
    slots: Vec<Slot>,
    bytes_max: usize,
    batch_bytes: usize,
    /// Records go by where they come from, whatever their key is.
    by_origin: bool,
}

struct Slot {
    partition: TopicPartition,
    writer: Option<BatchWriter>,
    /// Its records by minute, where a ledger is kept.
    runs: Runs,
    /// The record of the input that is first in the batch.
    first: Option<Place>,
}

/// A batch that is full, where it goes, and its records by minute, where a ledger is kept.
pub(super) type Full = (TopicPartition, Outgoing, Runs);

/// A record on its way out.
pub(super) struct Leaving<'a> {
    pub(super) timestamp: i64,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Headers<'a>,
    /// Its partition in the input, and its offset there.
    pub(super) from: &'a TopicPartition,
    pub(super) offset: i64,
}

/// See the module's head.
pub(super) struct Outbox {
    /// By [`To::index`].
    topics: Vec<Option<Topic>>,
    codec: Codec,
    full: Vec<Full>,
    filling_bytes: usize,
    /// All batches are cut when together they take so much.
    filling_bytes_max: usize,
    writers: Pool<BatchWriter>,
    spares: Pool<Vec<u8>>,
    counts_minutes: bool,
}

impl Topic {
    /// A topic of so many partitions that takes batches of so many bytes.
    pub(super) fn new(name: &str, partitions: usize, bytes_max: usize, batch_bytes: usize) -> Self {
        let name: std::sync::Arc<str> = name.into();
        let slot = |index| {
            let partition = TopicPartition::new(name.clone(), index);
            Slot { partition, writer: None, runs: Runs::default(), first: None }
        };
        let slots = (0..i32::try_from(partitions).unwrap_or(i32::MAX)).map(slot).collect();
        // Not the whole of what the topic takes: compression may make a batch longer.
        Self { slots, bytes_max, batch_bytes: batch_bytes.min(bytes_max - bytes_max / 16), by_origin: false }
    }

    /// The same where all records of an input partition go to the partition of its number, in their order.
    pub(super) fn by_origin(self) -> Self {
        Self { by_origin: true, ..self }
    }

    fn slot_of(&self, record: &Leaving<'_>) -> usize {
        slot(record.key.filter(|_| !self.by_origin), record.from.partition, self.slots.len())
    }
}

/// Which of `count` partitions a record goes to.
pub(super) fn slot(key: Option<&[u8]>, partition: i32, count: usize) -> usize {
    match key {
        Some(key) => partition_of_key(key, count),
        None => usize::try_from(partition).unwrap_or(0) % count.max(1),
    }
}

impl Outbox {
    /// One that takes about `bytes_max`: three quarters for what is being filled, the rest for what is used again.
    pub(super) fn new(topics: Topics, codec: Codec, bytes_max: usize) -> Self {
        let Topics { result, dead, beside } = topics;
        let topics: Vec<Option<Topic>> = [result, dead].into_iter().chain(beside.into_iter().map(Some)).collect();
        // What an unusually large record has made grow is not kept.
        let batch_bytes = topics.iter().flatten().map(|topic| topic.batch_bytes).max().unwrap_or_default();
        let spare_bytes_max = batch_bytes.saturating_mul(4);
        let (writers, spares) = (Pool::new(bytes_max / 8, spare_bytes_max), Pool::new(bytes_max / 8, spare_bytes_max));
        let filling_bytes_max = bytes_max - bytes_max / 4;
        Self {
            topics,
            codec,
            full: Vec::new(),
            filling_bytes: 0,
            filling_bytes_max,
            writers,
            spares,
            counts_minutes: false,
        }
    }

    /// The names of the topics that are written.
    pub(super) fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().flatten().filter_map(|topic| topic.slots.first()).map(|slot| &*slot.partition.topic)
    }

    /// Counts the records of batches by minute from now on.
    pub(super) fn count_minutes(&mut self) {
        self.counts_minutes = true;
    }

    /// Whether there is a result topic.
    pub(super) fn has_result(&self) -> bool {
        self.topics.first().is_some_and(Option::is_some)
    }

    /// Takes a record; `true` says that batches are to be sent before the next one.
    #[inline]
    pub(super) fn push(&mut self, to: To, record: &Leaving<'_>) -> Result<bool, JobError> {
        let to = to.index();
        let Some(Some(topic)) = self.topics.get(to) else { return Err(nowhere(record)) };
        let at = topic.slot_of(record);
        let bytes = record.key.map_or(0, <[u8]>::len)
            + record.value.map_or(0, <[u8]>::len)
            + record.headers.raw().1.len()
            + RECORD_OVERHEAD_MAX;
        let is_full =
            |writer: &BatchWriter| !writer.is_empty() && writer.bytes().saturating_add(bytes) > topic.batch_bytes;
        if topic.slots.get(at).and_then(|slot| slot.writer.as_ref()).is_some_and(is_full) {
            self.cut(to, at)?;
        }
        let (codec, counts_minutes) = (self.codec, self.counts_minutes);
        let slot = self.topics.get_mut(to).and_then(Option::as_mut).and_then(|topic| topic.slots.get_mut(at));
        let Some(slot) = slot else { return Err(nowhere(record)) };
        let writers = &self.writers;
        let writer = slot.writer.get_or_insert_with(|| writers.take().unwrap_or_else(|| BatchWriter::new(codec)));
        if writer.is_empty() {
            slot.first = Some(record.from.at(record.offset));
        }
        let before = writer.bytes();
        let pushed = writer.push(record.timestamp, record.key, record.value, record.headers);
        pushed.map_err(|error| unwritable(record, &error))?;
        self.filling_bytes += writer.bytes() - before;
        if counts_minutes {
            let (before, runs) = (slot.runs.heap_bytes(), &mut slot.runs);
            let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
            runs.push(record.timestamp, bytes as u64);
            self.filling_bytes += runs.heap_bytes() - before;
        }
        if self.filling_bytes > self.filling_bytes_max {
            // Many partitions at once: none may fill its batch.
            self.cut_all()?;
        }
        Ok(!self.full.is_empty())
    }

    /// Closes every batch.
    pub(super) fn cut_all(&mut self) -> Result<(), JobError> {
        for to in 0..self.topics.len() {
            let slots = self.topics.get(to).and_then(Option::as_ref).map_or(0, |topic| topic.slots.len());
            for at in 0..slots {
                self.cut(to, at)?;
            }
        }
        Ok(())
    }

    fn cut(&mut self, to: usize, at: usize) -> Result<(), JobError> {
        let Some(Some(topic)) = self.topics.get_mut(to) else { return Ok(()) };
        let Some(slot) = topic.slots.get_mut(at) else { return Ok(()) };
        let Some(mut writer) = slot.writer.take_if(|writer| !writer.is_empty()) else { return Ok(()) };
        let runs = std::mem::take(&mut slot.runs);
        self.filling_bytes = self.filling_bytes.saturating_sub(writer.bytes() - HEADER_BYTES + runs.heap_bytes());
        let records = writer.record_count() as u32;
        let mut bytes = self.spares.take().unwrap_or_default();
        let uncompressed = writer.bytes();
        let finished = writer.finish_into(&mut bytes);
        let first = slot.first.take().unwrap_or_else(|| slot.partition.at(0));
        let len =
            finished.map_err(|error| JobError::Refused(format!("{first}: a batch cannot be put together: {error}")))?;
        if len > topic.bytes_max && records == 1 {
            if to >= To::Beside(0).index() {
                return Err(too_large_beside(&first, &slot.partition, uncompressed, topic.bytes_max));
            }
            return Err(JobError::RecordTooLarge { at: first, bytes: uncompressed, bytes_max: topic.bytes_max });
        }
        writer.clear();
        self.writers.give_back(writer);
        self.full.push((slot.partition.clone(), Outgoing { bytes, len, records }, runs));
        Ok(())
    }

    /// The batches that are full, in order.
    pub(super) fn take_full(&mut self) -> Vec<Full> {
        std::mem::take(&mut self.full)
    }

    /// Takes a buffer back.
    pub(super) fn give_back(&mut self, buffer: Vec<u8>) {
        self.spares.give_back(buffer);
    }

    /// Forgets everything that was not sent.
    pub(super) fn clear(&mut self) {
        for slot in self.topics.iter_mut().flatten().flat_map(|topic| &mut topic.slots) {
            (slot.writer, slot.runs, slot.first) = (None, Runs::default(), None);
        }
        self.full.clear();
        self.filling_bytes = 0;
    }
}

#[cold]
fn nowhere(record: &Leaving<'_>) -> JobError {
    let at = record.from.at(record.offset);
    JobError::Refused(format!("{at}: no topic was prepared for it, which is a defect of this program"))
}

/// No record of the input is to blame, but what many of them come to.
#[cold]
fn too_large_beside(at: &Place, to: &TopicPartition, bytes: usize, bytes_max: usize) -> JobError {
    JobError::Refused(format!(
        "{at}: what is complete with it takes {bytes} bytes in a batch of its own, and {} takes {bytes_max} (max.message.bytes): \
         raise that of the topic, or make it smaller (a group: window, members_max, aggregates in place of members; an insight: values_max)",
        to.topic
    ))
}

#[cold]
fn unwritable(record: &Leaving<'_>, error: &BatchError) -> JobError {
    JobError::Refused(format!("{}: it does not fit into a batch: {error}", record.from.at(record.offset)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, RecordReader};

    fn outbox(bytes_max: usize, filling_bytes_max: usize) -> Outbox {
        let topic = |name| Topic::new(name, 3, bytes_max, 1000);
        Outbox::new(topics(&topic), Codec::None, filling_bytes_max)
    }

    fn topics(topic: &dyn Fn(&'static str) -> Topic) -> Topics {
        Topics { result: Some(topic("out")), dead: Some(topic("dead")), beside: vec![topic("beside")] }
    }

    fn push(outbox: &mut Outbox, to: To, offset: i64, key: Option<&[u8]>, value: &[u8]) -> Result<bool, JobError> {
        let from = TopicPartition::new("in", 4);
        let headers = Headers::EMPTY;
        outbox.push(to, &Leaving { timestamp: 7, key, value: Some(value), headers, from: &from, offset })
    }

    fn values((partition, batch, _): &Full) -> (String, Vec<String>) {
        let batch = Batch::read(&batch.bytes[..batch.len]).unwrap();
        let (mut reader, mut values) = (RecordReader::new(0), Vec::new());
        reader.start(&batch).unwrap();
        while let Some(record) = reader.next(&batch).unwrap() {
            values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
        }
        (partition.to_string(), values)
    }

    #[test]
    fn records_without_a_key_keep_their_partition_and_keys_go_where_javas_producer_puts_them() {
        let mut outbox = outbox(1 << 20, 1 << 20);
        for (offset, to) in [To::Result, To::Dead, To::Result].into_iter().enumerate() {
            assert!(!push(&mut outbox, to, offset as i64, None, &[b'0' + offset as u8]).unwrap());
        }
        push(&mut outbox, To::Result, 3, Some(b"21"), b"keyed").unwrap();
        outbox.cut_all().unwrap();
        let mut cut: Vec<_> = outbox.take_full().iter().map(values).collect();
        cut.sort();
        let keyed = format!("out partition {}", partition_of_key(b"21", 3));
        let mut expected = vec![
            ("dead partition 1".to_owned(), vec!["1".to_owned()]),
            ("out partition 1".to_owned(), vec!["0".to_owned(), "2".to_owned()]),
        ];
        match expected.iter_mut().find(|(at, _)| *at == keyed) {
            Some((_, values)) => values.push("keyed".to_owned()),
            None => expected.push((keyed, vec!["keyed".to_owned()])),
        }
        expected.sort();
        assert_eq!(cut, expected);
    }

    #[test]
    fn a_batch_is_cut_before_it_grows_too_large_and_all_are_where_they_take_too_much_together() {
        let mut one = outbox(1 << 20, 1 << 20);
        assert!(!push(&mut one, To::Result, 0, None, &[b'x'; 600]).unwrap());
        assert!(push(&mut one, To::Result, 1, None, &[b'x'; 600]).unwrap());
        assert_eq!(one.take_full().len(), 1);
        let mut many = outbox(1 << 20, 800);
        assert!(!push(&mut many, To::Result, 0, None, &[b'x'; 500]).unwrap());
        assert!(push(&mut many, To::Dead, 1, None, &[b'x'; 500]).unwrap());
        assert_eq!(many.take_full().len(), 2, "both topics' batches");
        assert_eq!(many.filling_bytes, 0);
    }

    #[test]
    fn a_record_that_no_batch_of_the_topic_can_hold_is_named_by_its_place_in_the_input() {
        let mut outbox = outbox(2000, 1 << 20);
        push(&mut outbox, To::Result, 17, None, &[b'x'; 3000]).unwrap();
        let error = outbox.cut_all().unwrap_err();
        assert!(error.to_string().starts_with("in partition 4 offset 17: "), "{error}");
        outbox.clear();
        push(&mut outbox, To::Beside(0), 18, None, &[b'x'; 3000]).unwrap();
        let error = outbox.cut_all().unwrap_err().to_string();
        for part in ["in partition 4 offset 18: ", "beside takes 2000 ", "max.message.bytes", "members_max"] {
            assert!(error.contains(part), "{error}\nwithout {part}");
        }
    }

    #[test]
    fn what_is_used_again_takes_no_more_than_its_part_however_many_partitions_there_are() {
        let bytes_max = 256 << 10;
        let topic = |name| Topic::new(name, 500, 1 << 20, 4000);
        let mut outbox = Outbox::new(topics(&topic), Codec::None, bytes_max);
        for offset in 0..2000 {
            let from = TopicPartition::new("in", offset % 500);
            let (value, headers, offset) = (Some(&[b'x'; 1900][..]), Headers::EMPTY, offset.into());
            outbox.push(To::Result, &Leaving { timestamp: 7, key: None, value, headers, from: &from, offset }).unwrap();
            outbox.take_full().into_iter().for_each(|(_, batch, _)| outbox.give_back(batch.bytes));
        }
        outbox.cut_all().unwrap();
        outbox.take_full().into_iter().for_each(|(_, batch, _)| outbox.give_back(batch.bytes));
        let writers: usize = std::iter::from_fn(|| outbox.writers.take()).map(|one| one.capacity_bytes()).sum();
        let spares: usize = std::iter::from_fn(|| outbox.spares.take()).map(|one| one.capacity()).sum();
        assert!(writers > 0 && writers <= bytes_max / 8 && spares > 0 && spares <= bytes_max / 8, "{writers} {spares}");
    }

    #[test]
    fn what_was_not_sent_is_forgotten_whole() {
        let mut outbox = outbox(1 << 20, 1 << 20);
        for offset in 0..3 {
            push(&mut outbox, To::Result, offset, None, &[b'x'; 600]).unwrap();
        }
        outbox.clear();
        outbox.cut_all().unwrap();
        assert!(outbox.take_full().is_empty() && outbox.filling_bytes == 0);
    }
}

//! Records of a window whose key is a bare number, many in one loop: what most records of most merges are.
//!
//! One by one, each record is made whole, its offset compared with the range, its key with the one before, and two arrays asked
//! for room. Here the range and the room are a number of records, known beforehand, and the arrays are as long already. What is
//! not usual is left where it is, to be read one by one, and so is whatever is wrong: nothing is refused here.
//!
//! Measured by instructions, dense integers, with what is kept of them: about 150 a record, where one by one took 286.

use super::slab::{Slab, Span};
use crate::batch::{RecordReader, Row, TakeRows};
use crate::keys::WholeNumber;
use crate::merge::Lane;
use std::iter::Zip;
use std::slice::IterMut;

/// Room for so many is made where the row before ended early: it is cleared each time.
const ROOM_AFTER_SHORT: usize = 64;
/// The most records that are read one by one before rows are tried again.
const ALONE_MAX: usize = 1024;
/// Fewer in a row are not worth being tried for.
const WORTH_RECORDS: usize = 8;

/// When rows are worth being tried, in a batch.
pub(super) struct Rows {
    number: Option<WholeNumber>,
    room: usize,
    alone: usize,
}

impl Rows {
    /// For keys that are such a number; others are never in a row.
    pub(super) fn of(number: Option<WholeNumber>) -> Self {
        Self { number, room: usize::MAX, alone: 1 }
    }

    /// How many records should be read one by one now.
    pub(super) fn alone(&self) -> usize {
        match self.number {
            Some(_) => self.alone,
            None => usize::MAX,
        }
    }

    /// Takes the records of the batch at `at` that are in a row, at most `most`; gives how many.
    pub(super) fn take(
        &mut self,
        reader: &mut RecordReader,
        (bytes, at): (&[u8], usize),
        most: usize,
        slab: &mut Slab,
        lane: &mut Lane,
    ) -> usize {
        let Some(number) = self.number else { return 0 };
        let mut left = most.min(reader.most_in_a_row());
        let mut all = 0;
        while left > 0
            && let Some(floor) = lane.floor()
        {
            let (room, first) = (left.min(self.room), reader.reached());
            let slots = lane.room(room).iter_mut().zip(slab.room(room));
            let filling = Filling { number, last: floor, payload_bytes: 0, slots };
            let Filling { payload_bytes, slots, .. } = reader.in_a_row(bytes, at, room, filling);
            let taken = room - slots.len();
            lane.fill(room - taken);
            slab.fill(room, taken, first, payload_bytes);
            (left, all) = (left - taken, all + taken);
            if taken < room {
                self.room = ROOM_AFTER_SHORT;
                break;
            }
            self.room = usize::MAX;
        }
        // Where there are hardly any, trying costs more than it gains.
        self.alone = if all >= self.alone.max(WORTH_RECORDS) { 1 } else { (2 * self.alone).min(ALONE_MAX) };
        all
    }
}

/// A row on its way into a lane and a slab.
struct Filling<'a> {
    number: WholeNumber,
    last: u64,
    payload_bytes: usize,
    slots: Zip<IterMut<'a, u64>, IterMut<'a, Span>>,
}

impl TakeRows for Filling<'_> {
    #[inline(always)]
    fn take(&mut self, row: Row<'_>) -> bool {
        let Some(word) = self.number.read(row.key, row.value) else { return false };
        if word < self.last {
            return false;
        }
        let Some((slot, span)) = self.slots.next() else { return false };
        self.last = word;
        *slot = word;
        *span = Span::of(row.timestamp, row.start, row.bytes);
        self.payload_bytes += row.payload_bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, BatchWriter, Codec, Headers, HeadersBuf};
    use crate::keys::{KeyPlan, Order};
    use proptest::prelude::*;

    /// What was taken of a batch in rows between records read alone, and of the same batch read alone: keys, and the records by
    /// their places with offset and timestamp.
    fn taken(bytes: &[u8], keys: &KeyPlan, number: Option<WholeNumber>, most: usize) -> (Vec<u64>, Slab, usize) {
        let (mut reader, mut slab, mut lane, mut tail) =
            (RecordReader::new(0), Slab::default(), Lane::default(), Vec::new());
        reader.start(&Batch::read(bytes).unwrap()).unwrap();
        let (mut rows, mut in_rows) = (Rows::of(number), 0);
        loop {
            in_rows += rows.take(&mut reader, (bytes, 0), most, &mut slab, &mut lane);
            let Some(found) = reader.next_raw(bytes).unwrap() else { break };
            // What is refused, or no number at all, is passed over here.
            if let Ok(word) = keys.extract_into(&found.record, &mut tail)
                && lane.push_word(word).is_ok()
            {
                slab.push(&found.record, found.raw, found.end);
            }
        }
        ((0..lane.len()).map(|index| lane.key(index).0).collect(), slab, in_rows)
    }

    fn value() -> impl Strategy<Value = Option<String>> {
        prop_oneof![
            20 => (0..1000_u64).prop_map(|number| Some(number.to_string())),
            2 => (0..u64::MAX).prop_map(|number| Some(number.to_string())),
            1 => (-10..0_i64).prop_map(|number| Some(number.to_string())),
            1 => Just(Some("no number".to_owned())),
            1 => Just(None),
        ]
    }

    proptest! {
        #[test]
        fn what_is_taken_in_rows_is_what_is_taken_one_by_one(
            values in proptest::collection::vec((value(), 0..50_i64, proptest::bool::weighted(0.03)), 1..200),
            sorted in any::<bool>(),
            desc in any::<bool>(),
            most in 1..100_usize,
        ) {
            let mut values = values;
            if sorted {
                values.sort_by_key(|(value, ..)| value.as_ref().and_then(|value| value.parse::<i64>().ok()));
            }
            let (mut writer, mut headers) = (BatchWriter::new(Codec::None), HeadersBuf::default());
            headers.push(b"h", None);
            for (value, time, has_headers) in &values {
                let headers = if *has_headers { headers.headers() } else { Headers::EMPTY };
                writer.push(*time, None, value.as_ref().map(String::as_bytes), headers).unwrap();
            }
            let bytes = writer.finish().unwrap();
            let order = if desc { Order::Desc } else { Order::Asc };
            let keys = KeyPlan::parse(&[], order).unwrap();
            let (by_rows, slab, _) = taken(bytes, &keys, keys.whole_number(), most);
            let (alone, expected, in_rows) = taken(bytes, &keys, None, most);
            prop_assert_eq!((by_rows, in_rows), (alone, 0));
            prop_assert_eq!(slab.payload_bytes(), expected.payload_bytes());
            for index in 0..slab.len().max(expected.len()) {
                prop_assert_eq!(slab.record(index, bytes), expected.record(index, bytes));
            }
        }
    }

    #[test]
    fn nearly_all_of_a_usual_batch_is_taken_in_rows_and_hardly_more_is_tried_where_none_is() {
        let keys = KeyPlan::parse(&[], Order::Asc).unwrap();
        let written = |value: fn(u64) -> String| {
            let mut writer = BatchWriter::new(Codec::None);
            (0..10_000).for_each(|n| writer.push(0, None, Some(value(n).as_bytes()), Headers::EMPTY).unwrap());
            writer.finish().unwrap().to_vec()
        };
        let (all, _, in_rows) = taken(&written(|n| n.to_string()), &keys, keys.whole_number(), usize::MAX);
        assert!(all.len() == 10_000 && in_rows > 9_990, "{in_rows}");
        let signed = written(|n| format!("+{n}"));
        let mut rows = Rows::of(keys.whole_number());
        let mut reader = RecordReader::new(0);
        reader.start(&Batch::read(&signed).unwrap()).unwrap();
        let mut tries = 0;
        let (mut slab, mut lane) = (Slab::default(), Lane::default());
        while reader.most_in_a_row() > 0 {
            tries += 1;
            assert_eq!(rows.take(&mut reader, (&signed, 0), usize::MAX, &mut slab, &mut lane), 0);
            for _ in 0..rows.alone() {
                reader.next_raw(&signed).unwrap();
            }
        }
        assert!(tries < 20, "{tries}");
    }
}

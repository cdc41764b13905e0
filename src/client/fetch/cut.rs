//! Where the records stand in the answer to a fetch of one partition, so that they can be read to their place uncopied.
//!
//! Follows the layout of `wire/fetch.rs` up to the records, of which a test makes sure for each version. Only a place is
//! found here: what stands around the records is read as a whole message afterwards, like every other one.

use crate::client::link::Found;
use crate::wire::fetch::Fetch;
use crate::wire::{Api, Problem, Reader, WireError};

/// The finder for a version.
pub(super) fn finder(version: i16) -> Option<fn(&[u8]) -> Found> {
    // One function a version, because what is handed to the connection holds no state.
    macro_rules! finders {
        ($($known:literal)*) => {
            match version { $($known => Some(|head| find(head, $known)),)* _ => None }
        };
    }
    finders!(4 5 6 7 8 9 10 11 12 13 14 15 16 17 18)
}

fn find(head: &[u8], version: i16) -> Found {
    match walk(head, version) {
        Ok(found) => found,
        Err(WireError { problem: Problem::Truncated { .. }, .. }) => Found::NotYet,
        // The reading of the whole message says what is wrong.
        Err(_) => Found::Nowhere,
    }
}

fn walk(head: &[u8], version: i16) -> Result<Found, WireError> {
    let flexible = version >= Fetch::FLEXIBLE_FROM;
    let mut reader = Reader::new(head, flexible);
    // The header: correlation id.
    reader.take(4)?;
    reader.tagged_fields(|_, _| Ok(false))?;
    // Throttle time; error code and session id.
    reader.take(if version >= 7 { 4 + 2 + 4 } else { 4 })?;
    if count(&mut reader, flexible)? != 1 {
        return Ok(Found::Nowhere);
    }
    match version {
        13.. => drop(reader.uuid()?),
        _ => drop(reader.str()?),
    }
    if count(&mut reader, flexible)? != 1 {
        return Ok(Found::Nowhere);
    }
    // Index, error code, high watermark, last stable offset; log start.
    reader.take(4 + 2 + 8 + 8 + if version >= 5 { 8 } else { 0 })?;
    for _ in 0..count(&mut reader, flexible)?.max(0) {
        reader.take(8 + 8)?;
        reader.tagged_fields(|_, _| Ok(false))?;
    }
    if version >= 11 {
        reader.take(4)?;
    }
    let length_at = reader.offset();
    let Ok(bytes) = usize::try_from(count(&mut reader, flexible)?) else { return Ok(Found::Nowhere) };
    let emptied: &[u8] = if flexible { &[1] } else { &[0; 4] };
    Ok(Found::Here { length_at, starts_at: reader.offset(), bytes, emptied })
}

/// A length of an array or of bytes; -1 for null.
fn count(reader: &mut Reader<'_>, flexible: bool) -> Result<i64, WireError> {
    Ok(if flexible { i64::from(reader.uvarint()?) - 1 } else { i64::from(reader.i32()?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fetch::{
        AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, PartitionData,
    };
    use crate::wire::{Uuid, frame};

    fn partition(records: Option<&[u8]>, aborted: usize) -> PartitionData<'_> {
        let aborted = (0..aborted).map(|i| AbortedTransaction { producer_id: i as i64, first_offset: 7 });
        PartitionData {
            high_watermark: 9,
            aborted_transactions: Some(aborted.collect()),
            records,
            ..Default::default()
        }
    }

    fn response(version: i16, partitions: Vec<PartitionData<'_>>) -> FetchResponse<'_> {
        let topic = if version >= 13 { String::new() } else { "a topic".to_owned() };
        let topic_id = if version >= 13 { Uuid([3; 16]) } else { Uuid::ZERO };
        FetchResponse {
            throttle_time_ms: 5,
            responses: vec![FetchableTopicResponse { topic, topic_id, partitions }],
            ..Default::default()
        }
    }

    fn framed(version: i16, response: &FetchResponse<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        frame::write_response::<Fetch>(&mut out, version, 42, response).unwrap();
        out.split_off(frame::PREFIX_BYTES)
    }

    #[test]
    fn in_every_version_the_records_are_found_and_the_rest_reads_as_before() {
        for version in Fetch::VERSIONS {
            for aborted in [0, 1, 20] {
                for length in [0, 1, 200, 70_000] {
                    let records = vec![b'r'; length];
                    let mut data = partition(Some(&records), aborted);
                    if version >= 12 {
                        data.diverging_epoch = EpochEndOffset { epoch: 4, end_offset: 5 };
                    }
                    let mut expected = response(version, vec![data]);
                    let whole = framed(version, &expected);
                    let find = finder(version).unwrap();
                    let needed = (0..=whole.len()).find(|&known| find(&whole[..known]) != Found::NotYet).unwrap();
                    let Found::Here { length_at, starts_at, bytes, emptied } = find(&whole[..needed]) else { panic!() };
                    assert_eq!((needed, &whole[starts_at..starts_at + bytes]), (starts_at, &records[..]), "{version}");
                    let rest = [&whole[..length_at], emptied, &whole[starts_at + bytes..]].concat();
                    expected.responses[0].partitions[0].records = Some(&[]);
                    assert_eq!(frame::read_response::<Fetch>(&rest, version).unwrap(), (42, expected));
                }
            }
        }
    }

    #[test]
    fn an_answer_of_another_form_is_left_in_one_piece() {
        for version in Fetch::VERSIONS {
            let find = finder(version).unwrap();
            assert_eq!(find(&framed(version, &FetchResponse::default())), Found::Nowhere);
            assert_eq!(find(&framed(version, &response(version, vec![partition(None, 0)]))), Found::Nowhere);
            let two = vec![partition(Some(b"a"), 0), partition(Some(b"b"), 0)];
            assert_eq!(find(&framed(version, &response(version, two))), Found::Nowhere);
        }
        assert!(finder(Fetch::VERSIONS.end() + 1).is_none());
    }
}

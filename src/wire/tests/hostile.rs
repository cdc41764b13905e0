//! Messages cut short, changed at random, or lying about their lengths: a value or an error that names the place, never a
//! panic. (How much memory a lie costs is counted in `tests/hostile_wire.rs`.)

use super::*;
use crate::wire::metadata::{MetadataRequest, MetadataResponse};
use crate::wire::produce::{Produce, ProduceRequest};
use crate::wire::{ErrorCode, MEMORY_FACTOR, Problem, frame};

#[test]
fn a_message_cut_short_anywhere_is_an_error() {
    struct Check(Dice);
    impl Visitor for Check {
        fn visit<H: Half>(&mut self) {
            for version in H::Api::VERSIONS {
                for _ in 0..4 {
                    let written = H::write(&H::sample(&mut self.0, version), version).expect("we write it");
                    for length in 0..written.len() {
                        let error = H::read(&written[..length], version).expect_err("it is cut short");
                        assert_eq!((error.message, error.version), (H::NAME, version));
                        assert!(error.offset <= length, "{error}");
                    }
                }
            }
        }
    }
    every_message(&mut Check(Dice::new(seed())));
}

#[test]
fn a_message_changed_at_random_gives_a_value_that_can_be_written_or_an_error() {
    struct Check(Dice, [usize; 2]);
    impl Visitor for Check {
        fn visit<H: Half>(&mut self) {
            for version in H::Api::VERSIONS {
                for _ in 0..200 {
                    let mut bytes = H::write(&H::sample(&mut self.0, version), version).expect("we write it");
                    for _ in 0..=self.0.below(3) {
                        mutate(&mut self.0, &mut bytes);
                    }
                    let Ok(message) = H::read(&bytes, version) else {
                        self.1[0] += 1;
                        continue;
                    };
                    self.1[1] += 1;
                    let written = H::write(&message, version).expect("what was read can be written");
                    let again = H::read(&written, version).expect("and read again");
                    assert_eq!(H::leaves(&again, version), H::leaves(&message, version), "{} v{version}", H::NAME);
                }
            }
        }
    }
    let mut check = Check(Dice::new(seed()), [0; 2]);
    every_message(&mut check);
    assert!(check.1.iter().all(|count| *count > 2_000), "errors and values: {:?}", check.1);
}

fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = dice.below(bytes.len());
    match dice.below(5) {
        0 => bytes[at] ^= 1 << dice.below(8),
        1 => bytes[at] = dice.i8() as u8,
        2 => drop(bytes.splice(at..at, [0x7f, 0xff, 0xff, 0xff])),
        3 => drop(bytes.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0x0f])),
        _ => drop(bytes.drain(at..(at + 1 + dice.below(4)).min(bytes.len()))),
    }
}

fn problem<'a, M: Message<'a> + Debug>(bytes: &'a [u8], version: i16, flexible: bool) -> (String, Problem) {
    let error = M::read(&mut Reader::new(bytes, flexible), version).expect_err("it lies");
    (error.field.clone(), error.problem)
}

#[test]
fn a_lying_array_length_is_refused_before_it_is_allocated() {
    let left = 3;
    let lie = [0x7f, 0xff, 0xff, 0xff, 0, 0, 0];
    let count = Problem::Count { count: i32::MAX as usize, element_bytes_min: 2, left };
    assert_eq!(problem::<MetadataRequest>(&lie, 0, false), ("topics".into(), count));
    let lie = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0];
    let count = Problem::Count { count: u32::MAX as usize - 1, element_bytes_min: 2, left };
    assert_eq!(problem::<MetadataRequest>(&lie, 9, true), ("topics".into(), count));
}

#[test]
fn a_negative_length_other_than_null_is_refused() {
    let bytes = [0xff, 0xff, 0xff, 0xfe];
    assert_eq!(problem::<MetadataRequest>(&bytes, 1, false), ("topics".into(), Problem::NegativeLength { length: -2 }));
    let null = (-1i32).to_be_bytes();
    assert_eq!(problem::<MetadataRequest>(&null, 0, false), ("topics".into(), Problem::Null));
    assert_eq!(MetadataRequest::read(&mut Reader::new(&null, false), 1).map(|request| request.topics), Ok(None));
}

#[test]
fn the_error_names_message_version_and_field() {
    // Two topics; the second one's partition states 255 bytes of records.
    let mut bytes = vec![0xff, 0xff, 0, 1, 0, 0, 0, 9, 0, 0, 0, 2];
    bytes.extend([0, 1, b'a', 0, 0, 0, 0]);
    bytes.extend([0, 1, b'b', 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 255, 1, 2, 3]);
    let error = ProduceRequest::read(&mut Reader::new(&bytes, false), 3).expect_err("it lies");
    let text = "ProduceRequest v3, topic_data[1].partition_data[0].records (byte 34): needs 255 bytes, 3 are left";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_varint_above_32_bits_is_refused_and_a_padded_one_is_taken() {
    let read = |bytes: &[u8]| Reader::new(bytes, true).uvarint().map_err(|error| error.problem);
    assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
    assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x10]), Err(Problem::Varint));
    assert_eq!(read(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), Err(Problem::Varint));
    assert_eq!(read(&[0x85, 0x80, 0x80, 0x80, 0x00]), Ok(5));
    assert_eq!(read(&[0xff, 0xff]), Err(Problem::Truncated { needed: 1, left: 0 }));
}

#[test]
fn arrays_of_nearly_nothing_may_not_outgrow_the_message_by_far() {
    // A million topics with empty names: two bytes each here, forty in memory.
    let count = 1_000_000u32;
    let mut writer = Writer::new(true);
    writer.uvarint(count + 1);
    writer.raw(&[1, 0].repeat(count as usize));
    let bytes = writer.into_bytes();
    let (field, problem) = problem::<MetadataRequest>(&bytes, 9, true);
    assert!(field.starts_with("topics"), "{field}");
    assert_eq!(problem, Problem::Memory { bytes_max: bytes.len() * MEMORY_FACTOR + crate::wire::MEMORY_FLOOR });
}

#[test]
fn a_real_answer_of_many_partitions_is_not_refused_for_its_size() {
    let mut dice = Dice::new(seed());
    let mut response = MetadataResponse::default();
    for topic in 0..2_000 {
        let mut entry = crate::wire::metadata::MetadataResponseTopic {
            name: Some(format!("t{topic}")),
            topic_id: dice.uuid(),
            ..Default::default()
        };
        entry.partitions.resize_with(10, Default::default);
        response.topics.push(entry);
    }
    for version in crate::wire::metadata::Metadata::VERSIONS {
        let mut frame = Vec::new();
        frame::write_response::<crate::wire::metadata::Metadata>(&mut frame, version, 5, &response)
            .expect("we write it");
        let read = frame::read_response::<crate::wire::metadata::Metadata>(&frame[4..], version).expect("we read it");
        assert_eq!((read.0, read.1.topics.len()), (5, 2_000));
    }
}

#[test]
fn a_tagged_field_nobody_knows_is_skipped_and_counted() {
    // No topics, two booleans and their tags: 7 with two bytes, 9 with none.
    let bytes = [1, 0, 1, 2, 7, 2, 0xaa, 0xbb, 9, 0];
    let mut reader = Reader::new(&bytes, true);
    let request = MetadataRequest::read(&mut reader, 11).expect("we read it");
    assert_eq!((request.topics, reader.unknown_tags(), reader.left()), (Some(vec![]), 2, 0));
    let order = Problem::TagOrder { tag: 7, previous: 7 };
    assert_eq!(problem::<MetadataRequest>(&[1, 0, 1, 2, 7, 0, 7, 0], 11, true).1, order);
    let truncated = Problem::Truncated { needed: 5, left: 1 };
    assert_eq!(problem::<MetadataRequest>(&[1, 0, 1, 1, 7, 5, 0], 11, true).1, truncated);
}

#[test]
fn a_tagged_field_cannot_read_past_its_size_nor_stop_short_of_it() {
    use crate::wire::api_versions::ApiVersionsResponse;
    let head = [0, 0, 1, 0, 0, 0, 0, 1];
    let with = |tail: &[u8]| [&head[..], tail].concat();
    let bytes = with(&[1, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
    let (field, short) = problem::<ApiVersionsResponse>(&bytes, 3, true);
    assert_eq!((field.as_str(), short), ("finalized_features_epoch", Problem::Truncated { needed: 8, left: 4 }));
    let bytes = with(&[1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let long = Problem::TagSize { tag: 1, stated: 9, taken: 8 };
    assert_eq!(problem::<ApiVersionsResponse>(&bytes, 3, true).1, long);
}

#[test]
fn bytes_after_the_message_are_refused() {
    let mut frame = Vec::new();
    frame::write_response::<Produce>(&mut frame, 9, 1, &Default::default()).expect("we write it");
    frame.push(0);
    let error = frame::read_response::<Produce>(&frame[4..], 9).expect_err("one byte follows");
    assert_eq!(error.problem, Problem::Trailing { left: 1 });
}

#[test]
fn a_value_that_the_version_cannot_carry_is_refused_not_dropped() {
    let request = MetadataRequest { allow_auto_topic_creation: false, topics: Some(vec![]), ..Default::default() };
    let write = |version| request.write(&mut Writer::new(false), version).map_err(|error| (error.field, error.problem));
    assert_eq!(write(3), Err(("allow_auto_topic_creation".into(), Problem::NotInVersion)));
    assert_eq!(write(4), Ok(()));
    let request = MetadataRequest { topics: None, ..Default::default() };
    let error = request.write(&mut Writer::new(false), 0).expect_err("version 0 has no null");
    assert_eq!((error.field.as_str(), error.problem), ("topics", Problem::Null));
}

#[test]
fn a_failed_write_leaves_the_buffer_as_it_was() {
    let long = "x".repeat(40_000);
    let mut out = vec![1, 2, 3];
    let error =
        frame::write_request::<Produce>(&mut out, 9, 1, Some(&long), &Default::default()).expect_err("too long");
    assert_eq!((error.field.as_str(), error.problem), ("client_id", Problem::TooLong { length: 40_000 }));
    assert_eq!(out, [1, 2, 3]);
    assert!(frame::write_request::<Produce>(&mut out, 14, 1, None, &Default::default()).is_err());
    assert_eq!(out, [1, 2, 3]);
}

#[test]
fn a_frame_length_outside_its_bounds_is_refused() {
    assert_eq!(frame::length(100i32.to_be_bytes(), 100), Ok(100));
    for stated in [101, -1, i32::MAX, i32::MIN] {
        let error = frame::length(stated.to_be_bytes(), 100).expect_err("out of bounds");
        assert_eq!(error.problem, Problem::Frame { stated, bytes_max: 100 });
    }
}

#[test]
fn a_broker_that_refuses_the_version_of_api_versions_is_understood() {
    use crate::wire::api_versions::{ApiVersion, ApiVersions, ApiVersionsResponse, read_any};
    let ranges = vec![ApiVersion { api_key: 18, min_version: 0, max_version: 2 }];
    let refusal = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: ranges,
        ..Default::default()
    };
    let mut frame = Vec::new();
    frame::write_response::<ApiVersions>(&mut frame, 0, 7, &refusal).expect("we write it");
    assert_eq!(read_any(&frame[4..], 4), Ok((7, refusal)));
    let mut frame = Vec::new();
    frame::write_response::<ApiVersions>(&mut frame, 4, 8, &ApiVersionsResponse::default()).expect("we write it");
    assert_eq!(read_any(&frame[4..], 4), Ok((8, ApiVersionsResponse::default())));
}

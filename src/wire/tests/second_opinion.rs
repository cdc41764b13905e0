//! Each message at each version, held against the kafka-protocol crate: what we write it reads, field by field under the
//! same names, and writes back as the same bytes; what it writes we read.
//!
//! ListOffsets 11 is beyond what kafka-protocol 0.18 knows; it has the form of version 10.

use kafka_protocol::messages as kafka;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

use super::*;
use crate::wire::header::{RequestHeader, ResponseHeader};
use crate::wire::{Api, ApiKey};

const SAMPLES: usize = 40;

fn their_bytes<T: Encodable>(message: &T, version: i16) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    message.encode(&mut out, version).expect("kafka-protocol writes it");
    out.to_vec()
}

fn theirs<T: Decodable>(bytes: &[u8], version: i16) -> T {
    let mut rest = bytes::Bytes::copy_from_slice(bytes);
    let message = T::decode(&mut rest, version).expect("kafka-protocol reads it");
    assert!(rest.is_empty(), "kafka-protocol leaves {} bytes", rest.len());
    message
}

#[test]
fn kafka_protocol_reads_each_field_of_each_message_we_write_and_writes_the_same_bytes() {
    struct Check(Dice, usize);
    impl Visitor for Check {
        fn visit<H: Half>(&mut self) {
            for version in H::Api::VERSIONS.filter(|version| *version <= H::THEIRS_TO) {
                for _ in 0..SAMPLES {
                    let message = H::sample(&mut self.0, version);
                    let written = H::write(&message, version).expect("we write it");
                    let read: H::Theirs = theirs(&written, version);
                    assert_eq!(their_bytes(&read, version), written, "{} v{version}: {message:?}", H::NAME);

                    let debug = format!("{read:?}");
                    let named = leaves_of_debug(&debug);
                    for (path, value) in H::leaves(&message, version).0 {
                        assert_eq!(named.0.get(&path), Some(&value), "{} v{version}, {path} of {debug}", H::NAME);
                        self.1 += 1;
                    }
                }
            }
        }
    }
    let mut check = Check(Dice::new(seed()), 0);
    every_message(&mut check);
    assert!(check.1 > 50_000, "only {} fields were compared", check.1);
}

#[test]
fn we_read_what_kafka_protocol_writes() {
    struct Check(Dice);
    impl Visitor for Check {
        fn visit<H: Half>(&mut self) {
            for version in H::Api::VERSIONS.filter(|version| *version <= H::THEIRS_TO) {
                // Their own defaults, then messages that they hold after reading them.
                let mut messages = vec![H::Theirs::default()];
                messages.extend((0..SAMPLES).map(|_| {
                    let message = H::sample(&mut self.0, version);
                    theirs(&H::write(&message, version).expect("we write it"), version)
                }));
                for message in messages {
                    let bytes = their_bytes(&message, version);
                    let read = H::read(&bytes, version).unwrap_or_else(|error| panic!("{error}: {message:?}"));
                    assert_eq!(H::write(&read, version).expect("we write it"), bytes, "{} v{version}", H::NAME);
                    let named = leaves_of_debug(&format!("{message:?}"));
                    for (path, value) in H::leaves(&read, version).0 {
                        assert_eq!(named.0.get(&path), Some(&value), "{} v{version}, {path} of {message:?}", H::NAME);
                    }
                }
            }
        }
    }
    every_message(&mut Check(Dice::new(seed())));
}

#[test]
fn what_we_write_we_read_back_and_an_array_is_never_held_against_more_than_it_needs() {
    struct Check(Dice);
    impl Visitor for Check {
        fn visit<H: Half>(&mut self) {
            for version in H::Api::VERSIONS {
                let bytes_min = <H::Of<'static> as Field>::bytes_min(version, H::is_flexible(version));
                if let Ok(empty) = H::write(&H::Of::default(), version) {
                    assert_eq!(bytes_min, empty.len(), "{} v{version}", H::NAME);
                }
                for _ in 0..SAMPLES {
                    let message = H::sample(&mut self.0, version);
                    let written = H::write(&message, version).expect("we write it");
                    assert!(bytes_min <= written.len(), "{} v{version}: {message:?}", H::NAME);
                    let read = H::read(&written, version).expect("we read it");
                    assert_eq!(H::leaves(&read, version), H::leaves(&message, version));
                }
            }
        }
    }
    every_message(&mut Check(Dice::new(seed())));
}

#[test]
fn list_offsets_11_has_the_form_of_10() {
    struct Check(Dice);
    impl Check {
        fn check<H: Half>(&mut self) {
            assert_eq!((H::THEIRS_TO, *H::Api::VERSIONS.end()), (10, 11));
            let message = H::sample(&mut self.0, 11);
            assert_eq!(H::write(&message, 11), H::write(&message, 10));
        }
    }
    let mut check = Check(Dice::new(seed()));
    for _ in 0..SAMPLES {
        check.check::<Request<crate::wire::list_offsets::ListOffsets>>();
        check.check::<Response<crate::wire::list_offsets::ListOffsets>>();
    }
}

#[test]
fn headers_are_those_of_kafka_protocol() {
    struct Check(Dice);
    impl Visitor for Check {
        fn visit<H: Half>(&mut self) {
            let is_request = H::NAME.ends_with("Request");
            for version in H::Api::VERSIONS.filter(|version| *version <= H::THEIRS_TO) {
                let (key, correlation_id) = (H::Api::KEY, self.0.i32());
                let theirs_at = H::Theirs::header_version(version);
                if !is_request {
                    assert_eq!(ResponseHeader::version_of(key, version), theirs_at, "{key} v{version}");
                    let mut writer = Writer::new(false);
                    ResponseHeader { correlation_id }.write(&mut writer, key, version);
                    let header = kafka::ResponseHeader::default().with_correlation_id(correlation_id);
                    assert_eq!(writer.bytes(), their_bytes(&header, theirs_at));
                    let mut reader = Reader::new(writer.bytes(), false);
                    let read = ResponseHeader::read(&mut reader, key, version);
                    assert_eq!(read, Ok(ResponseHeader { correlation_id }));
                    assert_eq!((reader.left(), reader.is_flexible()), (0, H::is_flexible(version)));
                    continue;
                }
                assert_eq!(RequestHeader::version_of(key.code(), version), theirs_at, "{key} v{version}");
                let client_id = self.0.bool().then(|| self.0.string());
                let header = RequestHeader { api_key: key.code(), api_version: version, correlation_id, client_id };
                let mut writer = Writer::new(false);
                header.write(&mut writer).expect("we write it");
                let read: kafka::RequestHeader = theirs(writer.bytes(), theirs_at);
                assert_eq!(their_bytes(&read, theirs_at), writer.bytes());
                assert_eq!((read.request_api_key, read.request_api_version), (header.api_key, header.api_version));
                assert_eq!(read.correlation_id, correlation_id);
                assert_eq!(read.client_id.as_deref(), header.client_id.as_deref());
                let mut reader = Reader::new(writer.bytes(), true);
                assert_eq!(RequestHeader::read(&mut reader), Ok(header));
                assert_eq!((reader.left(), reader.is_flexible()), (0, H::is_flexible(version)));
            }
        }
    }
    every_message(&mut Check(Dice::new(seed())));
}

#[test]
fn each_api_is_flexible_from_the_version_kafka_protocol_says() {
    for key in ApiKey::ALL {
        assert_eq!(ApiKey::from_code(key.code()), Some(*key));
        let Ok(theirs) = kafka::ApiKey::try_from(key.code()) else { continue };
        assert_eq!(format!("{theirs:?}"), key.name());
        for version in theirs.valid_versions().min..=theirs.valid_versions().max {
            let version_of = RequestHeader::version_of(key.code(), version);
            assert_eq!(version_of, theirs.request_header_version(version), "{key} v{version}");
            let version_of = ResponseHeader::version_of(*key, version);
            assert_eq!(version_of, theirs.response_header_version(version), "{key} v{version}");
        }
    }
}

/// Takes the `Debug` form of one of their messages apart into the paths and values that [`Field::leaves`] gives for ours.
fn leaves_of_debug(text: &str) -> Leaves {
    let mut debug = DebugText { text, at: 0, out: Leaves::default() };
    debug.value("");
    assert_eq!(debug.at, text.len(), "{text}");
    debug.out
}

struct DebugText<'a> {
    text: &'a str,
    at: usize,
    out: Leaves,
}

impl DebugText<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    /// `Name`, a number, an id: up to what ends such a word.
    fn word(&mut self) -> String {
        let length = self.rest().find([' ', ',', '(', ')', '{', '}', '[', ']', ':']).unwrap_or(self.rest().len());
        let word = self.rest()[..length].to_owned();
        self.at += length;
        word
    }

    /// `"..."` with its escapes.
    fn quoted(&mut self) -> String {
        let mut escaped = false;
        let start = usize::from(self.rest().starts_with('b')) + 1;
        let end = self.rest()[start..].find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let length = start + end.expect("a closing quote") + 1;
        let quoted = self.rest()[..length].to_owned();
        self.at += length;
        quoted
    }

    fn value(&mut self, path: &str) {
        if self.rest().starts_with('"') || self.rest().starts_with("b\"") {
            let quoted = self.quoted();
            self.out.0.insert(path.to_owned(), quoted);
        } else if self.skip("[") {
            let mut count = 0;
            while !self.skip("]") {
                self.value(&format!("{path}[{count}]"));
                count += 1;
                self.skip(", ");
            }
            self.out.leaf(&format!("{path}.len"), &count);
        } else if self.skip("{}") {
            // No unknown tagged fields.
        } else {
            let word = self.word();
            if self.skip("(") {
                // Some(..), BrokerId(..), TopicName(..)
                self.value(path);
                assert!(self.skip(")"), "{}", self.rest());
            } else if self.skip(" { ") {
                while !self.skip(" }") {
                    let field = self.word();
                    assert!(self.skip(": "), "{}", self.rest());
                    self.value(&if path.is_empty() { field } else { format!("{path}.{field}") });
                    self.skip(", ");
                }
            } else {
                self.out.0.insert(path.to_owned(), our_form(&word));
            }
        }
    }
}

/// A word as our own `Debug` has it.
fn our_form(word: &str) -> String {
    if word == "None" {
        return format!("{:?}", "null");
    }
    let digits: String = word.chars().filter(|c| *c != '-').collect();
    match u128::from_str_radix(&digits, 16) {
        Ok(number) if word.len() == 36 && digits.len() == 32 => format!("{:?}", Uuid(number.to_be_bytes())),
        _ => word.to_owned(),
    }
}

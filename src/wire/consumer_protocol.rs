//! What members of a consumer group tell each other through their coordinator, which passes it on unread: what a member
//! subscribes to, and what the leader gives to a member. Versions 0 to 3.
//!
//! No message of an API, so no header says the version: it stands in two bytes before the structure. A later version only
//! appends fields; so one that came after this program is read as the last that is known, and bytes behind it are left
//! alone, as other clients do.

use super::define::structs;
use super::error::Problem;
use super::{Message, Reader, WireError, Writer};

/// The last version that is known here.
pub const VERSION_LAST: i16 = 3;

structs! {
    /// What a member wants to read, and what it has.
    pub struct Subscription<'a> {
        topics: Vec<String> = from(0);
        /// What an assignor says to itself in another member.
        user_data: Option<&'a [u8]> = from(0);
        owned_partitions: Vec<PartitionsOfTopic> = from(1).ignorable();
        /// The generation in which it came to own them; -1 for none.
        generation_id: i32 = from(2).ignorable(), default -1;
        rack_id: Option<String> = from(3).ignorable();
    }

    /// What a member is given to read.
    pub struct Assignment<'a> {
        assigned_partitions: Vec<PartitionsOfTopic> = from(0);
        user_data: Option<&'a [u8]> = from(0);
    }

    /// One topic.
    pub struct PartitionsOfTopic {
        topic: String = from(0);
        partitions: Vec<i32> = from(0);
    }
}

impl<'a> Subscription<'a> {
    /// Reads a subscription and the version that was stated for it.
    pub fn read_any(bytes: &'a [u8]) -> Result<(i16, Self), WireError> {
        read_any(bytes, "Subscription")
    }

    /// Writes it in the last version.
    pub fn write_last(&self) -> Result<Vec<u8>, WireError> {
        write(self, VERSION_LAST)
    }
}

impl<'a> Assignment<'a> {
    /// Reads an assignment. Nothing at all is an empty one: a coordinator gives that to whom the leader left out.
    pub fn read_any(bytes: &'a [u8]) -> Result<Self, WireError> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        read_any(bytes, "Assignment").map(|(_, assignment)| assignment)
    }

    /// Writes it in `version`, which its reader knows.
    pub fn write_as(&self, version: i16) -> Result<Vec<u8>, WireError> {
        write(self, version.clamp(0, VERSION_LAST))
    }
}

fn read_any<'a, T: Message<'a>>(bytes: &'a [u8], what: &'static str) -> Result<(i16, T), WireError> {
    let mut reader = Reader::new(bytes, false);
    let stated = reader.i16().map_err(|error| error.inside(what, -1, "version"))?;
    if stated < 0 {
        let error = reader.error(Problem::NegativeLength { length: i32::from(stated) });
        return Err(error.inside(what, -1, "version"));
    }
    let value = T::read(&mut reader, stated.min(VERSION_LAST))?;
    Ok((stated, value))
}

fn write<'a>(value: &impl Message<'a>, version: i16) -> Result<Vec<u8>, WireError> {
    let mut writer = Writer::new(false);
    writer.i16(version);
    value.write(&mut writer, version)?;
    Ok(writer.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::field::{At, Field as _};
    use super::super::tests::Dice;
    use super::*;
    use kafka_protocol::messages as kafka;
    use kafka_protocol::protocol::{Decodable, Encodable};

    fn seed() -> u64 {
        let given = std::env::var("KMERGE_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(rand::random);
        eprintln!("KMERGE_TEST_SEED={seed}");
        seed
    }

    fn samples(mut each: impl FnMut(Subscription<'static>, Assignment<'static>, i16)) {
        let mut dice = Dice::new(seed());
        for version in 0..=VERSION_LAST {
            for _ in 0..200 {
                let at = At { version, nullable: false };
                each(Subscription::sample(&mut dice, at), Assignment::sample(&mut dice, at), version);
            }
        }
    }

    /// Their reading of our bytes, written again by them.
    fn through_theirs<T: Encodable + Decodable>(bytes: &[u8], version: i16) -> Vec<u8> {
        let mut rest = bytes::Bytes::copy_from_slice(&bytes[2..]);
        let read = T::decode(&mut rest, version).expect("kafka-protocol reads it");
        assert!(rest.is_empty());
        let mut out = bytes::BytesMut::from(&bytes[..2]);
        read.encode(&mut out, version).expect("kafka-protocol writes it");
        out.to_vec()
    }

    #[test]
    fn kafka_protocol_reads_what_we_write_and_writes_the_same_bytes_and_we_read_those() {
        samples(|subscription, assignment, version| {
            let bytes = write(&subscription, version).unwrap();
            assert_eq!(through_theirs::<kafka::ConsumerProtocolSubscription>(&bytes, version), bytes);
            assert_eq!(Subscription::read_any(&bytes), Ok((version, subscription)));

            let bytes = assignment.write_as(version).unwrap();
            assert_eq!(through_theirs::<kafka::ConsumerProtocolAssignment>(&bytes, version), bytes);
            assert_eq!(Assignment::read_any(&bytes), Ok(assignment));
        });
    }

    #[test]
    fn a_version_that_came_later_is_read_as_the_last_known_one_and_what_follows_is_left_alone() {
        samples(|subscription, _, version| {
            if version < VERSION_LAST {
                return;
            }
            let mut bytes = subscription.write_last().unwrap();
            bytes[..2].copy_from_slice(&9_i16.to_be_bytes());
            bytes.extend_from_slice(b"a field of version 9");
            assert_eq!(Subscription::read_any(&bytes), Ok((9, subscription)));
        });
    }

    #[test]
    fn bytes_that_are_cut_off_or_changed_give_an_error_or_a_value_and_never_more_memory_than_they_are_worth() {
        samples(|subscription, assignment, version| {
            for whole in [write(&subscription, version).unwrap(), assignment.write_as(version).unwrap()] {
                for end in 0..whole.len() {
                    let _ = Subscription::read_any(&whole[..end]);
                    let _ = Assignment::read_any(&whole[..end]);
                }
                for at in 0..whole.len() {
                    for byte in [0, 0x7f, 0x80, 0xff] {
                        let mut bent = whole.clone();
                        bent[at] = byte;
                        let _ = Subscription::read_any(&bent);
                        let _ = Assignment::read_any(&bent);
                    }
                }
            }
        });
    }

    #[test]
    fn a_count_of_topics_beyond_the_bytes_and_a_negative_version_are_refused() {
        let lie = [&[0, 3][..], &i32::MAX.to_be_bytes(), &[0; 8]].concat();
        let error = Subscription::read_any(&lie).unwrap_err().to_string();
        assert!(error.contains("topics") && error.contains("2147483647"), "{error}");
        assert!(Assignment::read_any(&lie).is_err());
        assert!(Subscription::read_any(&[0xff, 0xff, 0, 0, 0, 0]).is_err());
        assert!(Subscription::read_any(&[]).is_err());
        assert_eq!(Assignment::read_any(&[]), Ok(Assignment::default()));
    }
}

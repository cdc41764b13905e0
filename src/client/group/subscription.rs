//! Between a member and its leader: what our member says of itself for each assignor, what a leader reads of the others,
//! and what each is given.
//!
//! Non-obvious:
//! - What sticky shares are kept by stands in different places: `sticky` writes it into its user data (it gives everything
//!   up before it joins, so it owns nothing then), `cooperative-sticky` says what it owns, and since which generation.
//!   Clients before version 2 of the subscription put the generation into the user data.
//! - What another member says may be anything. What cannot be read counts as no subscription: one broken member must not
//!   end the group for all. Its user data only helps to keep things as they are, so if that cannot be read it is ignored.

use super::assign::{Assignor, Member};
use crate::base::place::TopicPartition;
use crate::wire::consumer_protocol::{Assignment, PartitionsOfTopic, Subscription, VERSION_LAST};
use crate::wire::{Reader, WireError, Writer};
use std::sync::Arc;

const NO_GENERATION: i32 = -1;

/// What our member has to say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ours {
    pub(crate) topics: Vec<Arc<str>>,
    /// What it has and does not give up by joining.
    pub(crate) owned: Vec<TopicPartition>,
    /// What it was given last.
    pub(crate) last: Vec<TopicPartition>,
    /// In which generation that was; -1 for never.
    pub(crate) generation: i32,
    pub(crate) rack: Option<String>,
}

impl Ours {
    /// The bytes for `assignor`.
    pub(crate) fn bytes(&self, assignor: Assignor) -> Result<Vec<u8>, WireError> {
        let user_data = match assignor {
            Assignor::Range | Assignor::RoundRobin => None,
            Assignor::Sticky => Some(sticky_data(&self.last, self.generation)?),
            Assignor::CooperativeSticky => Some(self.generation.to_be_bytes().to_vec()),
        };
        let subscription = Subscription {
            topics: self.topics.iter().map(|topic| topic.to_string()).collect(),
            user_data: user_data.as_deref(),
            owned_partitions: by_topic(&self.owned),
            generation_id: self.generation,
            rack_id: self.rack.clone(),
        };
        subscription.write_last()
    }
}

/// A member as its bytes have it, and the version that it speaks.
pub(crate) fn read_member(
    assignor: Assignor,
    id: String,
    instance: Option<String>,
    bytes: &[u8],
) -> Result<(Member, i16), WireError> {
    let (version, subscription) = Subscription::read_any(bytes)?;
    let mut topics: Vec<Arc<str>> = subscription.topics.iter().map(|topic| topic.as_str().into()).collect();
    topics.sort_unstable();
    topics.dedup();
    let user_data = subscription.user_data.unwrap_or_default();
    let (owned, generation) = match assignor {
        Assignor::Range | Assignor::RoundRobin => (Vec::new(), NO_GENERATION),
        Assignor::Sticky => read_sticky_data(user_data),
        Assignor::CooperativeSticky => {
            let generation = match version {
                2.. => subscription.generation_id,
                _ => match <[u8; 4]>::try_from(user_data) {
                    Ok(bytes) => i32::from_be_bytes(bytes),
                    // librdkafka's members say the same as for sticky.
                    Err(_) => read_sticky_data(user_data).1,
                },
            };
            (flat(&subscription.owned_partitions), generation)
        }
    };
    Ok((Member { id, instance, topics, owned, generation }, version))
}

/// What a member is given, for one that speaks `version`.
pub(crate) fn share_bytes(share: &[TopicPartition], version: i16) -> Result<Vec<u8>, WireError> {
    let assignment = Assignment { assigned_partitions: by_topic(share), user_data: None };
    assignment.write_as(version.min(VERSION_LAST))
}

/// What our member is given, in order and each once.
pub(crate) fn read_share(bytes: &[u8]) -> Result<Vec<TopicPartition>, WireError> {
    let mut share = flat(&Assignment::read_any(bytes)?.assigned_partitions);
    share.sort_unstable();
    share.dedup();
    Ok(share)
}

fn by_topic(partitions: &[TopicPartition]) -> Vec<PartitionsOfTopic> {
    let mut sorted: Vec<&TopicPartition> = partitions.iter().collect();
    sorted.sort_unstable();
    let mut topics: Vec<PartitionsOfTopic> = Vec::new();
    for one in sorted {
        match topics.last_mut().filter(|last| last.topic == *one.topic) {
            Some(last) => last.partitions.push(one.partition),
            None => topics.push(PartitionsOfTopic { topic: one.topic.to_string(), partitions: vec![one.partition] }),
        }
    }
    topics
}

fn flat(topics: &[PartitionsOfTopic]) -> Vec<TopicPartition> {
    let mut out = Vec::new();
    for topic in topics {
        let name: Arc<str> = topic.topic.as_str().into();
        out.extend(topic.partitions.iter().map(|partition| TopicPartition::new(name.clone(), *partition)));
    }
    out
}

/// What `sticky` says to itself in the next leader: an array of topics with their partitions, and the generation.
fn sticky_data(last: &[TopicPartition], generation: i32) -> Result<Vec<u8>, WireError> {
    let mut writer = Writer::new(false);
    writer.nullable_array(Some(&by_topic(last)), |writer, topic| {
        writer.nullable_str(Some(&topic.topic))?;
        writer.nullable_array(Some(&topic.partitions), |writer, partition| {
            writer.i32(*partition);
            Ok(())
        })
    })?;
    writer.i32(generation);
    Ok(writer.into_bytes())
}

fn read_sticky_data(bytes: &[u8]) -> (Vec<TopicPartition>, i32) {
    let mut reader = Reader::new(bytes, false);
    let topics = reader.nullable_array(6, |reader| {
        let topic = reader.str()?.to_owned();
        let partitions = reader.nullable_array(4, Reader::i32)?.unwrap_or_default();
        Ok(PartitionsOfTopic { topic, partitions })
    });
    match topics {
        // The oldest clients wrote no generation.
        Ok(Some(topics)) => (flat(&topics), reader.i32().unwrap_or(NO_GENERATION)),
        _ => (Vec::new(), NO_GENERATION),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(of: &[(&str, i32)]) -> Vec<TopicPartition> {
        of.iter().map(|(topic, partition)| TopicPartition::new(*topic, *partition)).collect()
    }

    fn ours() -> Ours {
        Ours {
            topics: vec!["b".into(), "a".into()],
            owned: partitions(&[("b", 1), ("a", 0), ("b", 0)]),
            last: partitions(&[("a", 2), ("a", 1)]),
            generation: 7,
            rack: Some("r1".to_owned()),
        }
    }

    fn read(assignor: Assignor, bytes: &[u8]) -> (Member, i16) {
        read_member(assignor, "m".into(), Some("i".into()), bytes).unwrap()
    }

    #[test]
    fn each_assignor_reads_of_a_member_what_it_keeps_shares_by() {
        for assignor in Assignor::ALL {
            let (member, version) = read(assignor, &ours().bytes(assignor).unwrap());
            assert_eq!((version, &*member.id, member.instance.as_deref()), (VERSION_LAST, "m", Some("i")));
            assert_eq!(member.topics, ["a".into(), "b".into()]);
            let (owned, generation) = match assignor {
                Assignor::Range | Assignor::RoundRobin => (vec![], -1),
                Assignor::Sticky => (partitions(&[("a", 1), ("a", 2)]), 7),
                Assignor::CooperativeSticky => (partitions(&[("a", 0), ("b", 0), ("b", 1)]), 7),
            };
            assert_eq!((member.owned, member.generation), (owned, generation), "{assignor}");
        }
    }

    /// As Apache's client of 2.4 writes it: version 1, the generation in the user data.
    #[test]
    fn an_old_cooperative_member_says_its_generation_in_its_user_data() {
        let mut bytes = vec![0, 1];
        let subscription = |user_data| Subscription {
            topics: vec!["t".into()],
            user_data: Some(user_data),
            owned_partitions: by_topic(&partitions(&[("t", 3)])),
            ..Default::default()
        };
        let as_java = 9_i32.to_be_bytes();
        let as_librdkafka = sticky_data(&partitions(&[("t", 3)]), 9).unwrap();
        for user_data in [&as_java[..], &as_librdkafka] {
            bytes.truncate(2);
            let mut writer = Writer::append_to(std::mem::take(&mut bytes), false);
            crate::wire::Message::write(&subscription(user_data), &mut writer, 1).unwrap();
            bytes = writer.into_bytes();
            let (member, version) = read(Assignor::CooperativeSticky, &bytes);
            assert_eq!((version, member.generation, member.owned), (1, 9, partitions(&[("t", 3)])));
        }
    }

    #[test]
    fn user_data_that_makes_no_sense_is_ignored_and_never_costs_more_than_it_is_long() {
        let whole = sticky_data(&partitions(&[("topic", 3), ("topic", 4), ("u", 0)]), 9).unwrap();
        assert_eq!(read_sticky_data(&whole).1, 9);
        for end in 0..whole.len() {
            assert_eq!(read_sticky_data(&whole[..end]).1, -1, "{end}");
        }
        for at in 0..whole.len() {
            for byte in [0, 0x7f, 0xff] {
                let mut bent = whole.clone();
                bent[at] = byte;
                let (owned, _) = read_sticky_data(&bent);
                assert!(owned.len() * 4 <= whole.len());
            }
        }
        assert_eq!(read_sticky_data(&[0x7f, 0xff, 0xff, 0xff, 0, 0]).0, []);
    }

    #[test]
    fn a_share_is_read_in_order_and_each_partition_once() {
        let share = partitions(&[("b", 1), ("a", 0), ("b", 0), ("b", 1)]);
        for version in 0..=5 {
            let read = read_share(&share_bytes(&share, version).unwrap()).unwrap();
            assert_eq!(read, partitions(&[("a", 0), ("b", 0), ("b", 1)]));
        }
        assert_eq!(read_share(&[]).unwrap(), []);
        assert!(read_share(&[0, 0, 0]).is_err());
    }
}

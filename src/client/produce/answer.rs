//! A Produce request for one batch, and what its answer says.

use super::flight::{Answer, Stop};
use super::outgoing::Held;
use super::{Acks, NotAdjacent, PartitionWriter};
use crate::base::place::TopicPartition;
use crate::base::text::visible;
use crate::client::address::Address;
use crate::client::cluster::Leader;
use crate::client::error::ClientError;
use crate::wire::produce::{PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse};
use crate::wire::produce::{TopicProduceData, TopicProduceResponse};
use crate::wire::{ErrorCode, Uuid};
use std::time::Duration;

/// As a request has it.
fn number(acks: Acks) -> i16 {
    match acks {
        Acks::All => -1,
        Acks::Leader => 1,
        Acks::None => 0,
    }
}

impl PartitionWriter {
    /// The request for one batch: name and topic id, of which each version takes the one it has.
    pub(super) fn request<'a>(&self, leader: Leader, held: &'a Held, replicas_wait: Duration) -> ProduceRequest<'a> {
        let partition = self.partition();
        ProduceRequest {
            transactional_id: self.transaction.as_ref().map(|transaction| transaction.id.to_string()),
            acks: number(self.acks),
            timeout_ms: i32::try_from(replicas_wait.as_millis()).unwrap_or(i32::MAX),
            topic_data: vec![TopicProduceData {
                name: partition.topic.to_string(),
                topic_id: leader.topic_id,
                partition_data: vec![PartitionProduceData { index: partition.partition, records: Some(held.batch()) }],
            }],
        }
    }

    /// The error that ends the writing.
    pub(super) fn stop(&self, stop: Stop, broker: &Address, words: Option<String>) -> ClientError {
        let partition = self.partition().clone();
        match stop {
            Stop::NotAdjacent { expected, got, records } => {
                ClientError::NotAdjacent(NotAdjacent { partition, expected, got, records: records.into() })
            }
            Stop::Refused { index, expected, code } => {
                let message = match (words.filter(|words| !words.is_empty()), way_out(code)) {
                    (Some(words), Some(way_out)) => Some(format!("{words}; {way_out}")),
                    (Some(words), None) => Some(words),
                    (None, way_out) => way_out.map(str::to_owned),
                };
                let what = self.show_batch(index, expected);
                ClientError::Refused { broker: broker.clone(), api: "Produce", what, code, message }
            }
            Stop::Unasked => ClientError::Protocol {
                broker: broker.clone(),
                api: "Produce",
                expected: "one answer to each batch".to_owned(),
                got: "one more".to_owned(),
            },
        }
    }

    /// A batch in an error: where it was to land, if that is known, and its size.
    pub(super) fn show_batch(&self, index: usize, expected: i64) -> String {
        let at = match self.flight.is_sole() {
            true => self.partition().at(expected).to_string(),
            false => self.partition().to_string(),
        };
        match self.held.get(index) {
            Some(held) => format!("{at} (a batch of {} records, {} bytes)", held.records, held.len),
            None => at,
        }
    }
}

/// What the answer says of our batch, and the broker's own words. Exactly our partition must be in it: the checksum of a
/// batch does not cover where it is to go.
pub(super) fn read_answer(
    partition: &TopicPartition,
    topic_id: Uuid,
    broker: &Address,
    response: &ProduceResponse,
) -> Result<(Answer, Option<String>), ClientError> {
    let is_ours = |topic: &TopicProduceResponse| {
        topic.name == *partition.topic || (topic.name.is_empty() && topic.topic_id == topic_id)
    };
    let found = match response.responses.as_slice() {
        [topic] if is_ours(topic) => match topic.partition_responses.as_slice() {
            [found] if found.index == partition.partition => Some(found),
            _ => None,
        },
        _ => None,
    };
    let Some(found) = found else {
        return Err(ClientError::Protocol {
            broker: broker.clone(),
            api: "Produce",
            expected: format!("an answer about {partition} only"),
            got: show_parts(&response.responses),
        });
    };
    Ok(match ErrorCode::from_code(found.error_code) {
        ErrorCode::None => (Answer::Stored(found.base_offset), None),
        code => (Answer::Refused(code), words(found)),
    })
}

/// When a batch was appended, by an answer that [`read_answer`] has taken; -1 where it does not say.
pub(super) fn append_time_ms(response: &ProduceResponse) -> i64 {
    let told = response.responses.first().and_then(|topic| topic.partition_responses.first());
    told.map_or(-1, |told| told.log_append_time_ms)
}

/// What the broker says beside its code, about the batch and about the first record of those it refuses.
fn words(answer: &PartitionProduceResponse) -> Option<String> {
    let of_record = answer.record_errors.first().map(|error| {
        let message = error.batch_index_error_message.as_deref().unwrap_or("refused");
        format!("record {} of the batch: {message}", error.batch_index)
    });
    match (answer.error_message.clone(), of_record) {
        (Some(message), Some(of_record)) => Some(format!("{message} ({of_record})")),
        (message, of_record) => message.or(of_record),
    }
}

/// What can be done about a refusal that does not pass.
fn way_out(code: ErrorCode) -> Option<&'static str> {
    use ErrorCode as E;
    Some(match code {
        E::MessageTooLarge => "write smaller batches (--batch-bytes), or raise the topic's max.message.bytes",
        E::RecordListTooLarge => "a batch must fit in a segment: write smaller batches, or raise segment.bytes",
        E::OutOfOrderSequenceNumber | E::UnknownProducerId | E::DuplicateSequenceNumber => {
            "the broker does not know this producer by the batches before it. It forgets a producer by the timestamps of its \
             records (producer.id.expiration.ms), those of old records at once when it restarts; or somebody else writes \
             under the same producer id. Nothing was sent again under another number. An output with \
             message.timestamp.type=LogAppendTime is not forgotten so"
        }
        E::InvalidProducerEpoch | E::ProducerFenced => {
            "somebody else writes under the same producer id, with a newer epoch"
        }
        E::InvalidTimestamp => {
            "the topic does not take records of that time: see its message.timestamp.before.max.ms and \
             message.timestamp.after.max.ms"
        }
        E::InvalidRecord => "the topic does not take such a record (a compacted one takes none without a key)",
        E::CorruptMessage => "the batch arrives damaged each time",
        E::TopicAuthorizationFailed => "writing needs the right WRITE on the topic",
        E::ClusterAuthorizationFailed => {
            "numbered batches need the right IDEMPOTENT_WRITE on the cluster (or write with --delivery at-least-once)"
        }
        _ => return None,
    })
}

fn show_parts(topics: &[TopicProduceResponse]) -> String {
    let parts = topics.iter().flat_map(|topic| {
        topic.partition_responses.iter().map(|partition| format!("{} {}", visible(&topic.name), partition.index))
    });
    match parts.take(10).collect::<Vec<_>>() {
        parts if parts.is_empty() => "one about nothing".to_owned(),
        parts => format!("one about {}", parts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::produce::BatchIndexAndErrorMessage;

    const ID: Uuid = Uuid([7; 16]);

    fn read(responses: Vec<TopicProduceResponse>) -> Result<(Answer, Option<String>), ClientError> {
        let broker = Address { host: "h".into(), port: 1 };
        let response = ProduceResponse { responses, ..Default::default() };
        read_answer(&TopicPartition::new("out", 2), ID, &broker, &response)
    }

    fn by_name(name: &str, partitions: &[i32]) -> TopicProduceResponse {
        let one = |index: &i32| PartitionProduceResponse { index: *index, base_offset: 9, ..Default::default() };
        TopicProduceResponse {
            name: name.into(),
            partition_responses: partitions.iter().map(one).collect(),
            ..Default::default()
        }
    }

    fn by_id(id: Uuid) -> TopicProduceResponse {
        TopicProduceResponse { topic_id: id, ..by_name("", &[2]) }
    }

    #[test]
    fn an_answer_about_our_partition_is_taken_by_name_or_by_id() {
        for topic in [by_name("out", &[2]), by_id(ID)] {
            assert_eq!(read(vec![topic]).unwrap(), (Answer::Stored(9), None));
        }
    }

    #[test]
    fn fault_17_an_answer_about_anything_else_or_twice_is_refused() {
        for topics in [
            vec![],
            vec![by_name("out", &[])],
            vec![by_name("out", &[3])],
            vec![by_name("out", &[2, 2])],
            vec![by_name("other", &[2])],
            vec![by_id(Uuid([8; 16]))],
            vec![by_name("out", &[2]), by_name("out", &[2])],
        ] {
            let error = read(topics).unwrap_err();
            assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
        }
    }

    #[test]
    fn the_words_about_a_refused_record_are_kept() {
        let mut topic = by_name("out", &[2]);
        topic.partition_responses[0].error_code = ErrorCode::InvalidRecord.code();
        topic.partition_responses[0].error_message = Some("One or more records have been rejected".into());
        topic.partition_responses[0].record_errors =
            vec![BatchIndexAndErrorMessage { batch_index: 3, batch_index_error_message: Some("no key".into()) }];
        let (answer, words) = read(vec![topic]).unwrap();
        assert_eq!(answer, Answer::Refused(ErrorCode::InvalidRecord));
        assert_eq!(words.unwrap(), "One or more records have been rejected (record 3 of the batch: no key)");
    }
}

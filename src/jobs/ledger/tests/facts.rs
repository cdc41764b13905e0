//! What the output holds, on the embedded broker.

use super::super::facts::{OutputFacts, output_facts};
use super::*;
use crate::client::ClientError;
use std::ops::Range;

const OUT: &str = "out";

fn batch(numbers: Range<i64>, producer: Option<i64>) -> Vec<u8> {
    let mut writer = BatchWriter::new(Codec::None);
    if let Some(id) = producer {
        writer.producer(id, 0, 0).transactional(true);
    }
    for number in numbers {
        writer.push(NOON, None, Some(number.to_string().as_bytes()), Headers::EMPTY).unwrap();
    }
    writer.finish().unwrap().to_vec()
}

impl World {
    fn out(&self, batches: &[Vec<u8>]) {
        for batch in batches {
            self.broker.append_raw(OUT, 0, batch).unwrap();
        }
    }

    async fn facts(&self, record: Option<&(JobPlan, Option<JobProgress>)>) -> OutputFacts {
        output_facts(&self.cluster, &TopicPartition::new(OUT, 0), record, PATIENCE).await.unwrap()
    }
}

async fn world_with_output() -> World {
    let world = world().await;
    world.broker.create_topic(OUT, 1, &[]).unwrap();
    world
}

fn end(producer: i64, kind: ControlType) -> Vec<u8> {
    marker(0, kind, NOON, producer, 0, 0).unwrap()
}

#[test]
fn aborted_records_and_markers_are_nothing() {
    block_on(async {
        let world = world_with_output().await;
        let nothing = OutputFacts { log: 0..0, first_record: None, tail: None, behind: None };
        assert_eq!(world.facts(None).await, nothing);
        world.out(&[batch(0..5, Some(7)), end(7, ControlType::Abort), end(8, ControlType::Commit)]);
        assert_eq!(world.facts(None).await, OutputFacts { log: 0..7, ..nothing });
        world.out(&[batch(0..5, Some(7)), end(7, ControlType::Commit)]);
        let found = world.facts(None).await;
        assert_eq!(found, OutputFacts { log: 0..13, first_record: Some(7), tail: None, behind: None });
    });
}

#[test]
fn what_the_job_wrote_last_is_looked_for_and_what_was_committed_behind_it_is_found() {
    block_on(async {
        let world = world_with_output().await;
        world.out(&[batch(0..5, Some(7)), end(7, ControlType::Commit)]);
        let mut plan = plan();
        plan.output.start = 0;
        let tail = Tail::of_batch(0, &batch(0..5, None)).unwrap();
        let mut record = (plan, Some(JobProgress { tail: Some(tail), ..progress() }));

        let found = world.facts(Some(&record)).await;
        let there = OutputFacts { log: 0..6, first_record: Some(0), tail: Some(TailFound::There), behind: None };
        assert_eq!(found, there);
        // The records of a transaction that was aborted are not behind it, those of others are.
        world.out(&[batch(5..9, Some(7)), end(7, ControlType::Abort)]);
        assert_eq!(world.facts(Some(&record)).await, OutputFacts { log: 0..11, ..there.clone() });
        world.out(&[batch(0..1, None)]);
        let behind = OutputFacts { log: 0..12, behind: Some(11), ..there };
        assert_eq!(world.facts(Some(&record)).await, behind);

        // A job that has written nothing yet looks behind its own start.
        record.1 = Some(JobProgress { tail: None, rank: 0, ..progress() });
        assert_eq!(world.facts(Some(&record)).await, OutputFacts { tail: None, behind: Some(0), ..behind.clone() });
        record.0.output.start = 5;
        assert_eq!(world.facts(Some(&record)).await, OutputFacts { tail: None, ..behind.clone() });

        // Other records in the place of those that were written.
        world.broker.truncate(OUT, 0, 0).unwrap();
        world.out(&[batch(1..13, None)]);
        record.1 = Some(JobProgress { tail: Some(tail), ..progress() });
        let others = TailFound::Differs("the records from offset 0 to 4 are others".to_owned());
        assert_eq!(world.facts(Some(&record)).await, OutputFacts { tail: Some(others), behind: None, ..behind });
    });
}

#[test]
fn a_writer_that_holds_a_transaction_open_is_waited_for_and_then_named() {
    block_on(async {
        let world = world_with_output().await;
        world.out(&[batch(0..5, Some(4711))]);
        let output = TopicPartition::new(OUT, 0);
        let short = Duration::from_millis(300);
        let error = output_facts(&world.cluster, &output, None, short).await.unwrap_err();
        assert!(matches!(error, JobError::Client(ClientError::OpenTransaction(_))), "{error:?}");
        assert!(error.to_string().contains("4711"), "{error}");
        let (found, ()) = tokio::join!(world.facts(None), async { world.out(&[end(4711, ControlType::Commit)]) });
        assert_eq!((found.log, found.first_record), (0..6, Some(0)));
    });
}

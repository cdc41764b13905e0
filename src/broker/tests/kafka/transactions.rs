//! Transactions in a log, written to Apache Kafka by its protocol and to ours as prepared batches: what readers are told.

use super::leaders::describe;
use super::*;
use crate::batch::control::{ControlType, marker};
use crate::wire::find_coordinator::{FindCoordinator, FindCoordinatorRequest, key_type};

/// A producer with a transactional id.
struct Transactional {
    name: String,
    producer_id: i64,
    epoch: i16,
    /// Where Apache Kafka coordinates it.
    coordinator: Option<Client>,
    sequence: i32,
    is_open: bool,
}

impl Transactional {
    async fn new(peer: &mut Peer<'_>, name: &str, producer_id: i64) -> Self {
        let name = format!("{}{name}", peer.prefix);
        let mut this = Self { name, producer_id, epoch: 0, coordinator: None, sequence: 0, is_open: false };
        if peer.ours.is_some() {
            return this;
        }
        let found = until("a coordinator that is ready", async || {
            let key_type = key_type::TRANSACTION;
            let request = FindCoordinatorRequest { key: this.name.clone(), key_type, ..Default::default() };
            let found = peer.bootstrap.call::<FindCoordinator, _>(3, &request, |r| {
                (r.error_code == 0).then(|| format!("{}:{}", r.host, r.port))
            });
            let mut client = Client::connect_at(&found.await?).await;
            let request = InitProducerIdRequest {
                transactional_id: Some(this.name.clone()),
                transaction_timeout_ms: 60_000,
                ..Default::default()
            };
            let given = client.call::<InitProducerId, _>(4, &request, |r| {
                (r.error_code == 0).then_some((r.producer_id, r.producer_epoch))
            });
            Some((given.await?, client))
        });
        let ((producer_id, epoch), coordinator) = found.await;
        (this.producer_id, this.epoch, this.coordinator) = (producer_id, epoch, Some(coordinator));
        this
    }

    /// Writes two records within a transaction.
    async fn write(&mut self, peer: &Peer<'_>, topic: &str, leader: &mut Client) {
        let bytes = fresh(self, 2, true);
        self.sequence += 2;
        if let Some(ours) = peer.ours {
            ours.append_raw(topic, 0, &bytes).unwrap();
            return;
        }
        if !self.is_open {
            self.add_partition(topic).await;
        }
        let transactional_id = Some(self.name.clone());
        let request = ProduceRequest { transactional_id, ..produce_request(topic, 0, Some(&bytes)) };
        until("the write", async || {
            let code = leader.produce_at(9, &request).await.error_code;
            (code == 0).then_some(())
        })
        .await;
    }

    async fn add_partition(&mut self, topic: &str) {
        let (name, producer_id, epoch) = (&self.name, self.producer_id, self.epoch);
        let coordinator = self.coordinator.as_mut().unwrap();
        until("the partition in the transaction", async || {
            let write = |w: &mut Writer| {
                w.nullable_str(Some(name)).unwrap();
                w.i64(producer_id);
                w.i16(epoch);
                w.i32(1);
                w.nullable_str(Some(topic)).unwrap();
                w.i32(1);
                w.i32(0);
            };
            let code = coordinator.raw(ApiKey::AddPartitionsToTxn, 2, write, |r| {
                let (_throttle, _topics) = (r.i32().unwrap(), r.i32().unwrap());
                let (_name, _partitions, _index) = (r.str().unwrap().len(), r.i32().unwrap(), r.i32().unwrap());
                r.i16().unwrap()
            });
            (code.await == 0).then_some(())
        })
        .await;
        self.is_open = true;
    }

    /// Ends the transaction and waits for the marker.
    async fn end(&mut self, peer: &Peer<'_>, topic: &str, leader: &mut Client, commits: bool) {
        self.is_open = false;
        if let Some(ours) = peer.ours {
            let kind = if commits { ControlType::Commit } else { ControlType::Abort };
            let bytes = marker(0, kind, now_ms(), self.producer_id, self.epoch, 0).unwrap();
            ours.append_raw(topic, 0, &bytes).unwrap();
            return;
        }
        let before = leader.fetch_at(12, &fetch_request(topic, 0, 0)).await.high_watermark;
        let (name, producer_id, epoch) = (&self.name, self.producer_id, self.epoch);
        let coordinator = self.coordinator.as_mut().unwrap();
        let write = |w: &mut Writer| {
            w.nullable_str(Some(name)).unwrap();
            w.i64(producer_id);
            w.i16(epoch);
            w.bool(commits);
        };
        let code = coordinator.raw(ApiKey::EndTxn, 2, write, |r| {
            let _throttle = r.i32().unwrap();
            r.i16().unwrap()
        });
        assert_eq!(code.await, 0);
        until("the marker", async || {
            let now = leader.fetch_at(12, &fetch_request(topic, 0, 0)).await.high_watermark;
            (now > before).then_some(())
        })
        .await;
    }
}

/// The next batch of a producer. Its times are those of the markers: where they are far apart, Apache Kafka begins a new
/// segment, and a Fetch ends with its segment.
fn fresh(producer: &Transactional, records: usize, transactional: bool) -> Vec<u8> {
    let mut writer = BatchWriter::new(Codec::None);
    for _ in 0..records {
        writer.push(now_ms(), Some(b"k"), Some(b"value"), Headers::EMPTY).unwrap();
    }
    writer.producer(producer.producer_id, producer.epoch, producer.sequence).transactional(transactional);
    writer.finish().unwrap().to_vec()
}

/// What readers of both sorts are told, and what the partition knows of the producers.
async fn look(peer: &mut Peer<'_>, when: &str, topic: &str, leader: &mut Client, writers: [&Transactional; 2]) {
    let label = |id: i64| writers.iter().position(|writer| writer.producer_id == id).map_or(id, |found| found as i64);
    for isolation_level in [0, 1] {
        for offset in 0..12 {
            let request = FetchRequest { isolation_level, ..fetch_request(topic, 0, offset) };
            let fetched = leader.fetch_at(12, &request).await;
            let aborted = fetched.aborted.as_ref().map(|aborted| {
                let mut aborted: Vec<_> = aborted.iter().map(|(id, first)| (label(*id), *first)).collect();
                aborted.sort();
                aborted
            });
            let batches: Vec<_> = crate::batch::Batches::new(&fetched.records)
                .map(|batch| {
                    let header = batch.unwrap().header;
                    (header.base_offset, header.attributes, label(header.producer_id), header.base_sequence)
                })
                .collect();
            let ends = (fetched.error_code, fetched.high_watermark, fetched.last_stable);
            peer.note(format!("{when}: fetch {offset}, isolation {isolation_level}"), (ends, aborted, batches));
        }
        for timestamp in [-1, -2, 0] {
            let partition = ListOffsetsPartition { timestamp, ..Default::default() };
            let topics = vec![ListOffsetsTopic { name: topic.to_owned(), partitions: vec![partition] }];
            let request = ListOffsetsRequest { isolation_level, topics, timeout_ms: 10_000, ..Default::default() };
            let told = leader.call::<ListOffsets, _>(10, &request, |r| {
                let p = &r.topics[0].partitions[0];
                (p.error_code, p.offset)
            });
            let told = told.await;
            peer.note(format!("{when}: offset at {timestamp}, isolation {isolation_level}"), told);
        }
    }
    let (code, mut producers) = describe(leader, topic, 0).await;
    producers.iter_mut().for_each(|producer| producer.0 = label(producer.0));
    producers.sort();
    peer.note(format!("{when}: producers"), (code, producers));
}

pub(super) async fn transactions(peer: &mut Peer<'_>) {
    let (topic, mut leader) = peer.topic("transactions", &[]).await;
    let mut one = Transactional::new(peer, "one", 9_000_001).await;
    let mut two = Transactional::new(peer, "two", 9_000_002).await;
    one.write(peer, &topic, &mut leader).await;
    two.write(peer, &topic, &mut leader).await;
    let plain = batch_of(Codec::None, &[now_ms()]);
    assert_eq!(leader.produce_at(9, &produce_request(&topic, 0, Some(&plain))).await.error_code, 0);
    look(peer, "two open", &topic, &mut leader, [&one, &two]).await;
    // A record outside the transaction that is open.
    let outside = fresh(&one, 1, false);
    let answer = leader.produce_at(9, &produce_request(&topic, 0, Some(&outside))).await;
    peer.note("a plain write of who has a transaction open", (answer.error_code, answer.base_offset));
    one.end(peer, &topic, &mut leader, false).await;
    look(peer, "one aborted", &topic, &mut leader, [&one, &two]).await;
    two.write(peer, &topic, &mut leader).await;
    two.end(peer, &topic, &mut leader, true).await;
    one.write(peer, &topic, &mut leader).await;
    look(peer, "one open again", &topic, &mut leader, [&one, &two]).await;
    one.end(peer, &topic, &mut leader, false).await;
    look(peer, "all ended", &topic, &mut leader, [&one, &two]).await;
}

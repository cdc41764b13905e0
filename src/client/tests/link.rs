//! A connection that carries several requests at a time, against a peer that answers what a test writes, in memory.

use super::super::call::{Answer, Connection, Pending};
use super::super::deadline::Deadline;
use super::super::error::{CallError, Step};
use super::super::link::{Apart, Expect};
use super::super::need::Need;
use super::super::transport::{Duplex, Transport};
use super::super::*;
use super::fake::{range, versions};
use crate::wire::api_versions::ApiVersions;
use crate::wire::header::RequestHeader;
use crate::wire::list_offsets::{ListOffsets, ListOffsetsRequest, ListOffsetsResponse};
use crate::wire::produce::{PartitionProduceData, Produce, ProduceRequest, TopicProduceData};
use crate::wire::{Api, ApiKey, Reader, frame};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

const TIME: Duration = Duration::from_secs(10);

/// Hands out streams that were made before.
#[derive(Debug)]
struct Prepared(Mutex<Vec<DuplexStream>>);

impl Transport for Prepared {
    fn dial<'a>(&'a self, _: &'a Address, _: Deadline) -> BoxFuture<'a, Result<Box<dyn Duplex>, (Step, CallError)>> {
        let stream = self.0.lock().unwrap().pop();
        Box::pin(async { Ok(Box::new(stream.unwrap()) as Box<dyn Duplex>) })
    }

    fn chance(&self) -> f64 {
        0.0
    }
}

/// The other side of a connection.
struct Peer(DuplexStream);

impl Peer {
    /// The next request, as it came.
    async fn frame(&mut self) -> Vec<u8> {
        let length = self.0.read_u32().await.unwrap();
        let mut frame = vec![0; length as usize];
        self.0.read_exact(&mut frame).await.unwrap();
        frame
    }

    /// The next request.
    async fn request(&mut self) -> RequestHeader {
        RequestHeader::read(&mut Reader::new(&self.frame().await, false)).unwrap()
    }

    /// Answers a ListOffsets with a number to know the answer by.
    async fn answer(&mut self, correlation_id: i32, number: i32) {
        let response = ListOffsetsResponse { throttle_time_ms: number, ..Default::default() };
        let mut out = Vec::new();
        frame::write_response::<ListOffsets>(&mut out, *ListOffsets::VERSIONS.end(), correlation_id, &response)
            .unwrap();
        self.0.write_all(&out).await.unwrap();
    }

    /// Whether nothing comes any more.
    async fn is_closed(&mut self) -> bool {
        matches!(self.0.read_u8().await, Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof)
    }
}

/// A connection that is open, and its other side. What stands in the way of the bytes takes `room` of them.
async fn connected(room: usize) -> (Connection, Peer) {
    let (ours, theirs) = tokio::io::duplex(room);
    let (transport, mut peer) = (Prepared(Mutex::new(vec![ours])), Peer(theirs));
    let serving = tokio::spawn(async move {
        let header = peer.request().await;
        assert_eq!(header.api_key, ApiKey::ApiVersions.code());
        let mut out = Vec::new();
        let answer = versions(&[range::<ApiVersions>(), range::<ListOffsets>(), range::<Produce>()]);
        frame::write_response::<ApiVersions>(&mut out, header.api_version, header.correlation_id, &answer).unwrap();
        peer.0.write_all(&out).await.unwrap();
        peer
    });
    let address = Address { host: "memory".into(), port: 1 };
    let connection = Connection::open(&transport, &address, Deadline::after(TIME)).await.unwrap();
    (connection, serving.await.unwrap())
}

fn submit(connection: &Connection, time: Duration) -> Result<Pending<ListOffsets>, CallError> {
    connection.submit(&ListOffsetsRequest::default(), Vec::new(), 1000, Deadline::after(time))
}

fn number(answer: Result<Answer<ListOffsets>, CallError>) -> i32 {
    answer.unwrap().read().unwrap().throttle_time_ms
}

/// Submits a batch of so many bytes, which is sent from where it lies.
fn submit_apart(connection: &Connection, batch: &Arc<Vec<u8>>, len: usize) -> Pending<Produce> {
    let partition_data = vec![PartitionProduceData { index: 3, records: Some(&[]) }];
    let topic_data = vec![TopicProduceData { partition_data, ..Default::default() }];
    let request = ProduceRequest { acks: -1, topic_data, ..Default::default() };
    let (buffer, answer_bytes_max, deadline) = (Vec::new(), 1 << 10, Deadline::after(TIME));
    let expect = Expect { buffer, answer_bytes_max, deadline, find: None };
    let apart = Apart { bytes: batch.clone(), len };
    connection.submit_around::<Produce>(Need::of::<Produce>(), &request, Some(apart), expect).unwrap()
}

#[tokio::test]
async fn what_is_sent_from_where_it_lies_arrives_in_its_place_between_other_requests_and_is_let_go_of() {
    for room in [1, 100, 1 << 20] {
        let (connection, mut peer) = connected(room).await;
        let batches = [(1, 5_000), (2, 0), (3, 7)].map(|(fill, len)| (Arc::new(vec![fill; 6_000]), len));
        let mut pending = Vec::new();
        for (batch, len) in &batches {
            pending.push(submit_apart(&connection, batch, *len));
            drop(submit(&connection, TIME).unwrap());
        }
        for (batch, len) in &batches {
            let frame = peer.frame().await;
            let mut reader = Reader::new(&frame, false);
            let version = RequestHeader::read(&mut reader).unwrap().api_version;
            let request = frame::read_request::<Produce>(&mut reader, version).unwrap();
            assert_eq!(request.topic_data[0].partition_data[0].records, Some(&batch[..*len]), "{room} at a time");
            assert_eq!(peer.request().await.api_key, ApiKey::ListOffsets.code());
        }
        for (batch, _) in batches {
            while Arc::strong_count(&batch) > 1 {
                tokio::task::yield_now().await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_go_out_in_the_order_of_their_submits_without_waiting_for_answers() {
    // Small enough that no request fits: they go out in pieces while more are submitted.
    for room in [10, 100_000] {
        let (connection, mut peer) = connected(room).await;
        let pending: Vec<_> = (0..50).map(|_| submit(&connection, TIME).unwrap()).collect();
        let mut ids = Vec::new();
        for _ in 0..50 {
            ids.push(peer.request().await.correlation_id);
        }
        assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ids:?}");
        let answering = async {
            for (number, id) in (0..).zip(ids) {
                peer.answer(id, number).await;
            }
        };
        let (answers, ()) = tokio::join!(futures::future::join_all(pending), answering);
        let numbers: Vec<_> = answers.into_iter().map(number).collect();
        assert_eq!(numbers, (0..50).collect::<Vec<_>>());
        assert!(connection.is_usable());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_waits_for_any_more_is_thrown_away_and_spoils_nothing() {
    let (connection, mut peer) = connected(1 << 16).await;
    let dropped = submit(&connection, TIME).unwrap();
    let kept = submit(&connection, TIME).unwrap();
    let (first, second) = (peer.request().await.correlation_id, peer.request().await.correlation_id);
    drop(dropped);
    peer.answer(first, 1).await;
    peer.answer(second, 2).await;
    assert_eq!(number(kept.await), 2);
    assert!(connection.is_usable());
}

#[tokio::test(start_paused = true)]
async fn fault_60_a_wrong_correlation_id_fails_all_that_wait_and_says_that_they_may_have_arrived() {
    let (connection, mut peer) = connected(1 << 16).await;
    let pending: Vec<_> = (0..3).map(|_| submit(&connection, TIME).unwrap()).collect();
    let id = peer.request().await.correlation_id;
    peer.answer(id + 1, 0).await;
    let mut failures = futures::future::join_all(pending).await.into_iter().map(Result::unwrap_err);
    let own = failures.next().unwrap();
    assert!(matches!(own, CallError::Correlation { expected, got } if (expected, got) == (id, id + 1)), "{own:?}");
    for other in failures {
        assert!(matches!(&other, CallError::Spoiled { why } if why.contains("correlation id")), "{other:?}");
        assert!(other.may_have_arrived() && other.may_pass());
    }
    assert!(!connection.is_usable());
    let error = submit(&connection, TIME).unwrap_err();
    assert!(matches!(error, CallError::NotSent { .. }) && !error.may_have_arrived(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_still_queued_when_the_connection_failed_has_not_arrived() {
    // Room for the first request and a part of the second, so that the third is submitted while the second is written.
    let (connection, mut peer) = connected(60).await;
    let first = submit(&connection, TIME).unwrap();
    peer.request().await;
    let second = submit(&connection, TIME).unwrap();
    let large = ListOffsetsRequest { topics: vec![Default::default(); 100], ..Default::default() };
    let third = connection.submit::<ListOffsets>(&large, Vec::new(), 1000, Deadline::after(TIME)).unwrap();
    tokio::task::yield_now().await;
    let fourth = submit(&connection, TIME).unwrap();
    drop(peer);
    assert!(first.await.unwrap_err().may_have_arrived());
    assert!(second.await.unwrap_err().may_have_arrived());
    assert!(third.await.unwrap_err().may_have_arrived());
    let error = fourth.await.unwrap_err();
    assert!(matches!(error, CallError::NotSent { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn fault_42_each_request_has_its_own_deadline_and_the_first_to_pass_ends_the_connection() {
    let (connection, mut peer) = connected(1 << 16).await;
    let started = tokio::time::Instant::now();
    let patient = submit(&connection, TIME).unwrap();
    let hasty = submit(&connection, Duration::from_secs(1)).unwrap();
    let (patient, hasty) = tokio::join!(patient, hasty);
    assert_eq!(started.elapsed().as_secs(), 1);
    assert!(matches!(hasty, Err(CallError::Timeout(time)) if time == Duration::from_secs(1)), "{hasty:?}");
    assert!(matches!(patient, Err(CallError::Spoiled { .. })), "{patient:?}");
    peer.request().await;
    peer.request().await;
    assert!(peer.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_was_met_does_no_harm_later() {
    let (connection, mut peer) = connected(1 << 16).await;
    for _ in 0..3 {
        let pending = submit(&connection, Duration::from_secs(1)).unwrap();
        let id = peer.request().await.correlation_id;
        tokio::time::sleep(Duration::from_millis(900)).await;
        peer.answer(id, 7).await;
        assert_eq!(number(pending.await), 7);
    }
    tokio::time::sleep(TIME * 100).await;
    assert!(connection.is_usable());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_closed_while_idle_is_known_to_be_of_no_use() {
    let (connection, mut peer) = connected(1 << 16).await;
    let pending = submit(&connection, TIME).unwrap();
    let id = peer.request().await.correlation_id;
    peer.answer(id, 1).await;
    pending.await.unwrap();
    drop(peer);
    while connection.is_usable() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(submit(&connection, TIME), Err(CallError::NotSent { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_has_ended_once_it_is_written_and_stands_in_no_answers_way() {
    let (connection, mut peer) = connected(10).await;
    let unanswered = || {
        let request = ListOffsetsRequest::default();
        connection.submit_unanswered::<ListOffsets>(&request, None, Deadline::after(TIME)).unwrap()
    };
    let (first, mut silent, second) =
        (submit(&connection, TIME).unwrap(), unanswered(), submit(&connection, TIME).unwrap());
    // Nothing is read on the other side, so the bytes do not go out.
    tokio::task::yield_now().await;
    assert!((&mut silent).now_or_never().is_none());
    let (one, _, two) =
        (peer.request().await.correlation_id, peer.request().await, peer.request().await.correlation_id);
    peer.answer(one, 1).await;
    peer.answer(two, 2).await;
    assert_eq!((number(first.await), number(second.await)), (1, 2));
    silent.await.unwrap();
    // Its deadline is met, too.
    tokio::time::sleep(TIME * 100).await;
    assert!(connection.is_usable());
    let silent = unanswered();
    drop(peer);
    assert!(silent.await.is_err(), "nobody took it");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_asked_for_ends_the_connection() {
    let (connection, mut peer) = connected(1 << 16).await;
    peer.answer(1, 1).await;
    assert!(peer.is_closed().await);
    let error = submit(&connection, TIME).unwrap_err();
    assert!(error.to_string().contains("nobody asked for"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_closes_with_its_last_handle_and_not_before() {
    let (connection, mut peer) = connected(1 << 16).await;
    let pending = submit(&connection, TIME).unwrap();
    drop(connection);
    let id = peer.request().await.correlation_id;
    peer.answer(id, 3).await;
    assert_eq!(number(pending.await), 3);
    assert!(peer.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn answers_that_come_byte_by_byte_are_told_apart() {
    let (connection, mut peer) = connected(1).await;
    let pending: Vec<_> = (0..3).map(|_| submit(&connection, TIME).unwrap()).collect();
    for number in 0..3 {
        let id = peer.request().await.correlation_id;
        peer.answer(id, number).await;
    }
    let numbers: Vec<_> = futures::future::join_all(pending).await.into_iter().map(number).collect();
    assert_eq!(numbers, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn an_oversize_answer_is_refused_before_it_is_read() {
    let (connection, mut peer) = connected(1 << 16).await;
    let pending = submit(&connection, TIME).unwrap();
    peer.request().await;
    peer.0.write_all(&1001u32.to_be_bytes()).await.unwrap();
    let error = pending.await.unwrap_err();
    assert!(matches!(error, CallError::FrameTooLarge { stated: 1001, cap: 1000 }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn the_buffer_given_is_the_buffer_that_comes_back() {
    let (connection, mut peer) = connected(1 << 16).await;
    let buffer = Vec::with_capacity(12_345);
    let at = buffer.as_ptr();
    let pending = connection.submit::<ListOffsets>(&Default::default(), buffer, 1000, Deadline::after(TIME)).unwrap();
    let id = peer.request().await.correlation_id;
    peer.answer(id, 1).await;
    let back = pending.await.unwrap().into_buffer();
    assert_eq!((back.as_ptr(), back.capacity()), (at, 12_345));
}

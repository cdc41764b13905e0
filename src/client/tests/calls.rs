//! Connections and calls against brokers that misbehave, each by a script of its own.

use super::super::error::{CallError, Stranger};
use super::super::*;
use super::fake::{Call, Fake, LONG, Reply, range, versions};
use crate::base::kind::Kind;
use crate::base::place::TopicPartition;
use crate::wire::api_versions::ApiVersions;
use crate::wire::metadata::Metadata;
use crate::wire::{ApiKey, ErrorCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const SHORT: Duration = Duration::from_millis(400);

fn at(call: &Call, key: ApiKey) -> bool {
    call.key() == Some(key)
}

async fn connect(fake: &Fake, timeout: Duration) -> Result<Cluster, ClientError> {
    Cluster::connect(&fake.bootstrap(), timeout).await
}

/// The one attempt that an unreachable cluster was tried with.
fn attempt(result: Result<Cluster, ClientError>) -> (Step, CallError) {
    match result {
        Err(ClientError::Unreachable { mut attempts, .. }) if attempts.len() == 1 => {
            let attempt = attempts.remove(0);
            (attempt.step, attempt.error)
        }
        other => panic!("{other:?}"),
    }
}

/// An address that refuses connections: bound a moment ago, free now.
async fn dead() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn fault_58_what_answers_http_is_called_http_and_not_tried_again() {
    let fake = Fake::start(|_| Some(Reply::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()))).await;
    let started = Instant::now();
    let result = connect(&fake, LONG).await;
    assert!(started.elapsed() < LONG / 2);
    let error = result.as_ref().unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    let text = error.to_string();
    assert!(text.contains(&format!("{} (ApiVersions): it answers HTTP", fake.address)), "{text}");
    assert!(matches!(attempt(result), (Step::ApiVersions, CallError::Stranger(Stranger::Http))));
}

#[tokio::test]
async fn an_http_server_that_waits_for_the_end_of_a_line_is_called_http_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.spawn(async move {
                while stream.read_u8().await.is_ok_and(|byte| byte != b'\n') {}
                let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await;
            });
        }
    });
    let result = Cluster::connect(&[address.to_string()], LONG).await;
    assert!(matches!(attempt(result), (Step::ApiVersions, CallError::Stranger(Stranger::Http))));
    server.abort();
}

#[tokio::test]
async fn fault_58_what_answers_with_a_tls_alert_is_said_to_speak_tls() {
    let fake = Fake::start(|_| Some(Reply::Bytes(b"\x15\x03\x03\x00\x02\x02\x50".to_vec()))).await;
    assert!(connect(&fake, LONG).await.unwrap_err().to_string().contains("it speaks TLS"));
}

#[tokio::test]
async fn a_listener_that_closes_at_once_is_tried_until_the_time_is_over_and_said_to_do_so() {
    let fake = Fake::start(|_| Some(Reply::Close)).await;
    let started = Instant::now();
    assert!(matches!(attempt(connect(&fake, SHORT).await), (Step::ApiVersions, CallError::ClosedAtOnce)));
    assert!(started.elapsed() < LONG);
    assert!(fake.count(ApiKey::ApiVersions) > 1, "it may have been starting");
}

#[tokio::test]
async fn fault_60_a_silent_listener_ends_with_the_deadline() {
    let fake = Fake::start(|_| Some(Reply::Silence)).await;
    let started = Instant::now();
    assert!(matches!(attempt(connect(&fake, SHORT).await), (Step::ApiVersions, CallError::Timeout(_))));
    let taken = started.elapsed();
    assert!(taken >= SHORT / 2 && taken < LONG, "{taken:?}");
}

#[tokio::test]
async fn fault_60_an_answer_with_another_correlation_id_is_not_believed() {
    let fake = Fake::start(|call| match call.answer::<ApiVersions>(&versions(&[range::<ApiVersions>()])) {
        _ if !at(call, ApiKey::ApiVersions) => None,
        Reply::Bytes(mut bytes) => {
            bytes[7] ^= 0x40;
            Some(Reply::Bytes(bytes))
        }
        other => Some(other),
    })
    .await;
    let (step, error) = attempt(connect(&fake, LONG).await);
    assert!(matches!(error, CallError::Correlation { expected: 1, got: 0x41 }), "{step}: {error:?}");
}

#[tokio::test]
async fn fault_58_an_oversize_answer_is_refused_by_its_length_alone() {
    let fake = Fake::start(|_| Some(Reply::Bytes(vec![0x0c, 0, 0, 0]))).await;
    let (_, error) = attempt(connect(&fake, LONG).await);
    assert!(matches!(error, CallError::FrameTooLarge { stated: 0x0c00_0000, .. }), "{error:?}");
}

#[tokio::test]
async fn fault_60_answers_that_come_byte_by_byte_are_put_together() {
    let fake = Fake::start(|call| match call.key() {
        Some(ApiKey::Metadata) => match call.metadata(call.here) {
            Reply::Bytes(bytes) => Some(Reply::ByteByByte(bytes)),
            other => Some(other),
        },
        _ => None,
    })
    .await;
    let cluster = connect(&fake, LONG).await.unwrap();
    assert_eq!(cluster.topic("t").await.unwrap().partitions.len(), 1);
}

#[tokio::test]
async fn fault_60_bytes_after_the_end_of_an_answer_are_an_error() {
    let fake = Fake::start(|call| match call.key() {
        Some(ApiKey::Metadata) => match call.metadata(call.here) {
            Reply::Bytes(mut bytes) => {
                bytes.push(0);
                bytes[3] += 1;
                Some(Reply::Bytes(bytes))
            }
            other => Some(other),
        },
        _ => None,
    })
    .await;
    assert!(matches!(attempt(connect(&fake, LONG).await), (Step::Metadata, CallError::Malformed(_))));
}

#[tokio::test]
async fn fault_71_a_dead_address_does_not_keep_the_next_one_from_being_found() {
    let fake = Fake::start(|_| None).await;
    let brokers = [dead().await.to_string(), "no-such-host.invalid:1".to_owned(), fake.address.to_string()];
    Cluster::connect(&brokers, LONG).await.unwrap();
}

#[tokio::test]
async fn fault_71_each_address_that_failed_is_listed_with_its_step() {
    let http = Fake::start(|_| Some(Reply::Bytes(b"HTTP/1.1 400".to_vec()))).await;
    let dead = dead().await;
    let error = Cluster::connect(&[dead.to_string(), http.address.to_string()], SHORT).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("{dead} (TCP connect): ")), "{text}");
    assert!(text.contains(&format!("{} (ApiVersions): it answers HTTP", http.address)), "{text}");
}

#[tokio::test]
async fn a_broker_that_starts_late_is_waited_for() {
    let address = dead().await;
    let waiting = tokio::spawn(async move { Cluster::connect(&[address.to_string()], LONG).await });
    // Given back by `dead`, the port is ours again unless another test has just got it; then this test has nothing to say.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let Ok(listener) = TcpListener::bind(address).await else { return };
    let fake = Fake::serve(listener, |_| None);
    waiting.await.unwrap().unwrap();
    drop(fake);
}

#[tokio::test]
async fn fault_57_a_broker_that_lacks_our_version_of_api_versions_is_asked_again_with_its_own() {
    let fake = Fake::start(|call| match (call.key(), call.version()) {
        (Some(ApiKey::ApiVersions), 3..) => {
            let mut refusal = versions(&[range::<ApiVersions>()]);
            (refusal.api_keys[0].max_version, refusal.error_code) = (2, ErrorCode::UnsupportedVersion.code());
            Some(call.answer_at::<ApiVersions>(0, &refusal))
        }
        (Some(ApiKey::ApiVersions), version) => {
            assert_eq!(version, 2);
            None
        }
        _ => None,
    })
    .await;
    connect(&fake, LONG).await.unwrap();
}

#[tokio::test]
async fn fault_57_an_api_the_broker_lacks_is_refused_by_name() {
    let fake = Fake::start(|call| {
        at(call, ApiKey::ApiVersions)
            .then(|| call.answer::<ApiVersions>(&versions(&[range::<ApiVersions>(), range::<Metadata>()])))
    })
    .await;
    let cluster = connect(&fake, LONG).await.unwrap();
    let error = cluster.offsets(&[TopicPartition::new("t", 0)], OffsetAt::Latest).await.unwrap_err();
    assert!(error.to_string().contains("does not offer ListOffsets"), "{error}");
}

#[tokio::test]
async fn fault_57_versions_that_do_not_meet_are_told_with_both_ranges() {
    let fake = Fake::start(|call| {
        let mut metadata = range::<Metadata>();
        (metadata.min_version, metadata.max_version) = (90, 99);
        at(call, ApiKey::ApiVersions)
            .then(|| call.answer::<ApiVersions>(&versions(&[range::<ApiVersions>(), metadata])))
    })
    .await;
    let (step, error) = attempt(connect(&fake, LONG).await);
    assert_eq!(step, Step::Metadata);
    assert!(error.to_string().contains("no common version of Metadata: the broker has 90 to 99"), "{error}");
}

#[tokio::test]
async fn fault_71_an_advertised_listener_that_is_dead_is_named_with_who_said_so() {
    let dead = dead().await;
    let fake = Fake::start(move |call| at(call, ApiKey::Metadata).then(|| call.metadata(dead))).await;
    let cluster = connect(&fake, SHORT).await.unwrap();
    let error = cluster.offsets(&[TopicPartition::new("t", 0)], OffsetAt::Latest).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    let text = error.to_string();
    assert!(
        text.contains(&format!("broker 1 cannot be reached at its advertised listener {dead} (TCP connect)")),
        "{text}"
    );
    assert!(text.contains(&format!("given by {}", fake.address)), "{text}");
}

#[tokio::test]
async fn a_partition_that_has_moved_is_followed() {
    let asked = AtomicUsize::new(0);
    let fake = Fake::start(move |call| {
        at(call, ApiKey::ListOffsets).then(|| match asked.fetch_add(1, Ordering::Relaxed) {
            0 => call.listed(ErrorCode::NotLeaderOrFollower.code(), -1),
            1 => call.listed(ErrorCode::OffsetNotAvailable.code(), -1),
            2 => Reply::Close,
            _ => call.listed(0, 17),
        })
    })
    .await;
    let cluster = connect(&fake, LONG).await.unwrap();
    assert_eq!(cluster.offsets(&[TopicPartition::new("t", 0)], OffsetAt::Latest).await.unwrap(), [17]);
    // To connect, to find the leader, to find it again after the error that says it has moved; after the hang-up to connect
    // once more and to find it. Not after the error that only asks for patience.
    assert_eq!((fake.count(ApiKey::Metadata), fake.count(ApiKey::ListOffsets)), (5, 4));
}

#[tokio::test]
async fn a_denial_is_told_at_once() {
    let fake = Fake::start(|call| at(call, ApiKey::ListOffsets).then(|| call.listed(29, -1))).await;
    let cluster = connect(&fake, LONG).await.unwrap();
    let error = cluster.offsets(&[TopicPartition::new("t", 0)], OffsetAt::Latest).await.unwrap_err();
    assert_eq!((fake.count(ApiKey::ListOffsets), error.kind()), (1, Kind::Unreachable));
    assert!(error.to_string().contains("ListOffsets of t partition 0 at broker"), "{error}");
    assert!(error.to_string().contains("TOPIC_AUTHORIZATION_FAILED (29)"), "{error}");
}

#[tokio::test]
async fn an_error_that_never_passes_ends_with_the_deadline_and_says_how_often_it_was_tried() {
    let fake = Fake::start(|call| at(call, ApiKey::ListOffsets).then(|| call.listed(6, -1))).await;
    let cluster = connect(&fake, SHORT).await.unwrap();
    let error = cluster.offsets(&[TopicPartition::new("t", 0)], OffsetAt::Latest).await.unwrap_err();
    assert!(matches!(&error, ClientError::GaveUp { tries: 2.., .. }), "{error:?}");
    assert_eq!((error.code(), error.kind()), (Some(ErrorCode::NotLeaderOrFollower), Kind::Unreachable));
}

#[tokio::test]
async fn a_missing_topic_is_told_with_the_nearest_name() {
    let fake = Fake::start(|_| None).await;
    let cluster = connect(&fake, LONG).await.unwrap();
    let error = cluster.topic("tt").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no topic tt (did you mean t?)");
    let error = cluster.offsets(&[TopicPartition::new("t", 9)], OffsetAt::Latest).await.unwrap_err();
    assert!(matches!(error, ClientError::UnknownPartition { count: 1, .. }), "{error:?}");
}

//! Frames, versions, and what a client is told of both.

use super::*;
use crate::wire::api_versions::{ApiVersions, ApiVersionsRequest};
use crate::wire::metadata::{Metadata, MetadataRequest};
use crate::wire::{ApiKey, ErrorCode};

fn named() -> ApiVersionsRequest {
    ApiVersionsRequest { client_software_name: "kmerge".into(), client_software_version: "0.1.0".into() }
}

/// A frame of a request header and `body`.
fn raw(api_key: i16, version: i16, correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend_from_slice(&api_key.to_be_bytes());
    frame.extend_from_slice(&version.to_be_bytes());
    frame.extend_from_slice(&correlation_id.to_be_bytes());
    frame.extend_from_slice(&(-1i16).to_be_bytes());
    frame.extend_from_slice(body);
    let mut whole = (frame.len() as i32).to_be_bytes().to_vec();
    whole.extend_from_slice(&frame);
    whole
}

#[tokio::test]
async fn every_version_of_api_versions_tells_the_same_and_nothing_of_the_newer_protocol_of_groups() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    let mut told = Vec::new();
    for version in ApiVersions::VERSIONS {
        let request = named();
        let keys = client.call::<ApiVersions, _>(version, &request, |r| {
            assert_eq!(r.error_code, 0);
            r.api_keys.clone()
        });
        told.push(keys.await);
    }
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]));
    let keys: Vec<ApiKey> = told[0].iter().map(|api| ApiKey::from_code(api.api_key).unwrap()).collect();
    for absent in [ApiKey::ConsumerGroupHeartbeat, ApiKey::ConsumerGroupDescribe, ApiKey::WriteTxnMarkers] {
        assert!(!keys.contains(&absent), "{absent}");
    }
    assert!(keys.contains(&ApiKey::Produce) && keys.contains(&ApiKey::JoinGroup));
}

#[tokio::test]
async fn an_api_versions_from_the_future_is_answered_in_version_0() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    client.stream.write_all(&raw(18, 99, 7, b"whatever comes then")).await.unwrap();
    let answer = client.receive().await.unwrap();
    let (correlation_id, response) = crate::wire::api_versions::read_any(&answer, 4).unwrap();
    assert_eq!((correlation_id, response.error_code), (7, ErrorCode::UnsupportedVersion.code()));
    assert_eq!((response.api_keys.len(), response.api_keys[0].api_key), (1, 18));
    // The connection goes on.
    client.call::<ApiVersions, _>(3, &named(), |r| assert_eq!(r.error_code, 0)).await;
}

#[tokio::test]
async fn a_client_without_a_proper_name_is_refused_as_kafka_refuses_it() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    let request = ApiVersionsRequest { client_software_name: "-x".into(), ..named() };
    client.call::<ApiVersions, _>(3, &request, |r| assert_eq!(r.error_code, ErrorCode::InvalidRequest.code())).await;
}

#[tokio::test]
async fn what_is_not_spoken_ends_the_connection_and_the_broker_lives_on() {
    let broker = broker().await;
    for frame in [
        raw(68, 0, 1, &[]),                            // an API that is not told: ConsumerGroupHeartbeat
        raw(999, 0, 1, &[]),                           // an API that nobody knows
        raw(3, 99, 1, &[]),                            // a version that is not told
        raw(0, 2, 1, &[]),                             // Produce 2, told and refused as by Kafka 4
        raw(3, 4, 1, &[0x7f, 0xff, 0xff, 0xff]),       // an array of two thousand million topics
        raw(3, 4, 1, &[0xff, 0xff, 0xff, 0xff, 1, 1]), // a byte too many
        vec![0, 0, 0, 3, 0, 3, 0],                     // a header that is cut off
        vec![0xff, 0xff, 0xff, 0xff],                  // a negative length
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ] {
        let mut client = Client::connect(&broker).await;
        client.stream.write_all(&frame).await.unwrap();
        assert_eq!(client.receive().await, None, "{frame:?}");
    }
    Client::connect(&broker).await.call::<ApiVersions, _>(0, &ApiVersionsRequest::default(), |_| ()).await;
}

#[tokio::test]
async fn a_stated_length_without_its_bytes_costs_nothing() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    client.stream.write_all(&(100i32 << 20).to_be_bytes()).await.unwrap();
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.receive().await, None);
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_their_order() {
    let broker = broker().await;
    let mut client = Client::connect(&broker).await;
    for _ in 0..20 {
        client.send::<Metadata>(12, &MetadataRequest::default()).await;
    }
    for expected in 1..=20 {
        let bytes = client.receive().await.unwrap();
        assert_eq!(frame::read_response::<Metadata>(&bytes, 12).unwrap().0, expected);
    }
}

#[tokio::test]
async fn stopping_ends_listeners_and_connections() {
    let broker = broker().await;
    let address = broker.addresses().remove(0);
    let mut client = Client::connect(&broker).await;
    client.call::<Metadata, _>(12, &MetadataRequest::default(), |_| ()).await;
    broker.stop().await;
    assert_eq!(client.receive().await, None);
    assert!(TcpStream::connect(address).await.is_err());
}

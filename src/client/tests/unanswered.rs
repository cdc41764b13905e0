//! Writing without acknowledgements, over connections that break at the moment that a test chooses.

use super::super::deadline::Deadline;
use super::super::error::{CallError, Step};
use super::super::transport::{Duplex, Transport};
use super::super::{Acks, Address, Cluster, Delivery, PartitionWriter, WriteOptions};
use super::fake::{LONG, Memory, Reply, memory_address, range, versions};
use crate::base::place::TopicPartition;
use crate::batch::{BatchWriter, Codec, Headers};
use crate::ports::Outgoing;
use crate::wire::ApiKey;
use crate::wire::api_versions::ApiVersions;
use crate::wire::metadata::Metadata;
use crate::wire::produce::Produce;
use futures::future::BoxFuture;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Streams that break all at once.
#[derive(Debug, Clone)]
struct Frail {
    memory: Memory,
    broken: Arc<Mutex<Arc<AtomicBool>>>,
}

impl Frail {
    /// Those that are open are closed, as their users learn when they look again.
    fn break_all(&self) {
        std::mem::take(&mut *self.broken.lock().unwrap()).store(true, Relaxed);
    }
}

impl Transport for Frail {
    fn dial<'a>(
        &'a self,
        address: &'a Address,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Box<dyn Duplex>, (Step, CallError)>> {
        Box::pin(async move {
            let stream = self.memory.dial(address, deadline).await?;
            let broken = self.broken.lock().unwrap().clone();
            Ok(Box::new(Stream { stream, broken }) as Box<dyn Duplex>)
        })
    }

    fn chance(&self) -> f64 {
        self.memory.chance()
    }
}

struct Stream {
    stream: Box<dyn Duplex>,
    broken: Arc<AtomicBool>,
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.broken.load(Relaxed) {
            true => Poll::Ready(Ok(())),
            false => Pin::new(&mut self.stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.broken.load(Relaxed) {
            true => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            false => Pin::new(&mut self.stream).poll_write(cx, bytes),
        }
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A writer that asks for no acknowledgements, and the broker that it writes to, which does with a Produce what it is told to.
async fn writer(on_produce: fn() -> Reply) -> (PartitionWriter, Frail) {
    let memory = Memory::new(1, move |call| match call.key() {
        Some(ApiKey::ApiVersions) => Some(call.answer::<ApiVersions>(&versions(&[
            range::<ApiVersions>(),
            range::<Metadata>(),
            range::<Produce>(),
        ]))),
        Some(ApiKey::Produce) => Some(on_produce()),
        _ => None,
    });
    let frail = Frail { memory, broken: Arc::default() };
    let brokers = [memory_address(1).to_string()];
    let cluster = Cluster::connect_over(Arc::new(frail.clone()), &brokers, LONG).await.unwrap();
    let (delivery, acks, beside_others) = (Delivery::AtLeastOnce, Acks::None, true);
    let options = WriteOptions { delivery, acks, beside_others, ..WriteOptions::default() };
    (cluster.writer(TopicPartition::new("t", 0), 0, options).await.unwrap(), frail)
}

fn batch() -> Outgoing {
    let mut writer = BatchWriter::new(Codec::None);
    writer.push(0, None, Some(b"1"), Headers::EMPTY).unwrap();
    let bytes = writer.finish().unwrap().to_vec();
    Outgoing { len: bytes.len(), bytes, records: 1 }
}

#[tokio::test(start_paused = true)]
async fn what_finds_its_connection_broken_is_sent_again_and_nothing_is_in_doubt() {
    let (mut writer, broker) = writer(|| Reply::Silence).await;
    for round in 0..5 {
        writer.append(batch()).await.unwrap();
        writer.flush().await.unwrap();
        assert!(!writer.awaits_word(), "{round}: the broker has come to it");
        // Nobody has a chance to notice before the next batch is handed over.
        broker.break_all();
    }
    assert_eq!((writer.connections_lost(), broker.memory.count(ApiKey::Produce)), (0, 5));
}

#[tokio::test(start_paused = true)]
async fn what_the_network_has_taken_and_the_broker_closes_on_is_in_doubt() {
    let (mut writer, broker) = writer(|| Reply::Close).await;
    for round in 1..4 {
        writer.append(batch()).await.unwrap();
        writer.flush().await.unwrap();
        assert_eq!((writer.connections_lost(), broker.memory.count(ApiKey::Produce)), (round, round as usize));
    }
}

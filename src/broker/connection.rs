//! One connection: frames in, answers out, one request at a time and in order, as Kafka mutes a connection while it works
//! on its request. What a client sends ahead waits in the socket.
//!
//! One task per connection; its buffers are reused and given back after a large frame. A frame's stated length is a claim:
//! room is made as its bytes arrive.

use super::answer::Answer;
use super::api::{self, Outcome};
use super::cluster::Cluster;
use super::received::make_room;
use super::throttle::Throttle;
use crate::wire::frame;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// `socket.request.max.bytes`, as in Kafka.
pub(crate) const FRAME_BYTES_MAX: usize = 100 << 20;

/// What a connection keeps of its buffers between requests.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

/// What is made room for on a frame's word alone: a batch as large as topics take if they are not told otherwise, and its
/// request.
const FRAME_BYTES_TRUSTED: usize = (1 << 20) + (4 << 10);

/// How long accepting pauses when the system has no more sockets to give.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Accepts connections of one node until it is told to stop; its connections end with it.
pub(crate) async fn accept(
    listener: TcpListener,
    cluster: Arc<Cluster>,
    node: i32,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve(stream, peer, cluster.clone(), node));
                }
                Err(error) => {
                    tracing::warn!(node, "cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            // Also where the broker itself is gone.
            () = async { drop(stopped.wait_for(|stopped| *stopped).await) } => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve(mut stream: TcpStream, peer: SocketAddr, cluster: Arc<Cluster>, node: i32) {
    tracing::trace!(node, %peer, "connected");
    let _ = stream.set_nodelay(true);
    match converse(&mut stream, &cluster, node).await {
        Ok(()) => tracing::trace!(node, %peer, "disconnected"),
        Err(error) => tracing::debug!(node, %peer, "connection ended: {error}"),
    }
}

async fn converse(stream: &mut TcpStream, cluster: &Arc<Cluster>, node: i32) -> io::Result<()> {
    let mut request = Vec::new();
    let mut answer = Answer::default();
    let mut throttle = None;
    while read_frame(stream, &mut request).await? {
        match api::answer(cluster, node, Some(stream), &mut request, &mut answer, &mut throttle).await {
            Ok(Outcome::Answer) => answer.send(stream).await?,
            Ok(Outcome::Silence) => {}
            Ok(Outcome::Close) => return Ok(()),
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
        give_back(&mut request);
        answer.clear();
        give_back(&mut answer.head);
        if let Some(Throttle { pause, .. }) = throttle {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(())
}

/// Reads a frame without its length; `false` where the client has hung up between two.
async fn read_frame(stream: &mut TcpStream, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut prefix = [0; frame::PREFIX_BYTES];
    match stream.read_exact(&mut prefix).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error),
    }
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let length = frame::length(prefix, FRAME_BYTES_MAX).map_err(invalid)?;
    make_room(into, length, FRAME_BYTES_TRUSTED);
    while into.len() < length {
        let (read, left) = (into.len(), length - into.len());
        if read == into.capacity() {
            into.reserve_exact(read.min(left));
        }
        let room = into.capacity() - read;
        if stream.take(room.min(left) as u64).read_buf(into).await? == 0 {
            let why = format!("{read} of {length} bytes of a frame came");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
    }
    Ok(true)
}

fn give_back(buffer: &mut Vec<u8>) {
    if buffer.capacity() > BUFFER_BYTES_KEPT {
        buffer.clear();
        buffer.shrink_to(BUFFER_BYTES_KEPT);
    }
}

//! From an address to a TCP connection: every address a name has is tried, none waits for a dead one.
//!
//! The first address is tried at once, the next as soon as one fails or after [`STAGGER`], whichever is first; the first
//! that connects wins and the others are dropped. Refused ones cost nothing, black holes cost one stagger each.

use super::address::Address;
use super::deadline::Deadline;
use super::error::{CallError, Step};
use futures::stream::{FuturesUnordered, StreamExt as _};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};

/// How long one address may keep the next one waiting.
pub(crate) const STAGGER: Duration = Duration::from_millis(250);

/// More addresses than this under one name are not tried.
const ADDRESSES_MAX: usize = 16;

/// Opens a connection to the first address of `address` that answers.
pub(crate) async fn connect(address: &Address, deadline: Deadline) -> Result<TcpStream, (Step, CallError)> {
    let too_late = || CallError::Timeout(deadline.whole());
    let found = deadline.run(lookup_host((address.host.as_str(), address.port))).await;
    let mut sockets: Vec<SocketAddr> = found
        .ok_or_else(|| (Step::Dns, too_late()))?
        .map_err(|error| (Step::Dns, CallError::Dns(error)))?
        .take(ADDRESSES_MAX)
        .collect();
    // Lookups repeat an address for each socket type on some systems.
    let mut seen = Vec::new();
    sockets.retain(|socket| {
        !seen.contains(socket) && {
            seen.push(*socket);
            true
        }
    });
    if sockets.is_empty() {
        return Err((Step::Dns, CallError::NoAddress));
    }
    let tries: Vec<_> = sockets.into_iter().map(connect_one).collect();
    match deadline.run(first_of(tries)).await {
        Some(Ok(stream)) => Ok(stream),
        Some(Err(failures)) => Err((Step::Connect, CallError::Connect(failures))),
        None => Err((Step::Connect, too_late())),
    }
}

async fn connect_one(socket: SocketAddr) -> Result<TcpStream, (SocketAddr, io::Error)> {
    let stream = TcpStream::connect(socket).await.map_err(|error| (socket, error))?;
    // A request is one small write that waits for its answer: holding it back to fill a segment only adds latency.
    stream.set_nodelay(true).map_err(|error| (socket, error))?;
    Ok(stream)
}

/// The first of `tries` that succeeds, or how all of them failed. Each is started when one before it fails, or after
/// [`STAGGER`].
pub(crate) async fn first_of<T, E, F>(tries: Vec<F>) -> Result<T, Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut tries = tries.into_iter();
    let mut running = FuturesUnordered::new();
    let mut failures = Vec::new();
    loop {
        running.extend(tries.next());
        if running.is_empty() {
            return Err(failures);
        }
        tokio::select! {
            Some(result) = running.next() => match result {
                Ok(value) => return Ok(value),
                Err(error) => failures.push(error),
            },
            () = tokio::time::sleep(STAGGER), if tries.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::{self, Either};

    #[tokio::test]
    async fn a_try_that_hangs_does_not_keep_the_next_one_from_winning() {
        let hangs = Either::Left(future::pending::<Result<u8, &str>>());
        let works = Either::Right(future::ready(Ok(7)));
        assert_eq!(first_of(vec![hangs, works]).await, Ok(7));
    }

    #[tokio::test]
    async fn when_all_fail_every_failure_is_told() {
        let started = std::time::Instant::now();
        let tries = (0..5).map(|i| future::ready(Err::<u8, _>(i))).collect();
        assert_eq!(first_of(tries).await, Err(vec![0, 1, 2, 3, 4]));
        assert!(started.elapsed() < STAGGER * 4, "a failure starts the next try at once");
    }
}

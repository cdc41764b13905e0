//! The way in: which bootstrap address leads to a cluster, and if none does, at which step each of them failed.
//!
//! The addresses are tried one after the other, but a slow one does not hold up the next ([`first_of`]). If all fail for
//! reasons that may pass (refused, no such name: the broker may be starting) they are tried again until the time is over;
//! the first round's failures are told at once, so that a mistyped port shows without waiting. What can't pass (HTTP, TLS,
//! no common version) ends the search at once.
//!
//! Many text protocols wait for the end of a line, which our first request does not have, so that such a server is silent
//! where another one would answer. Who stays silent for [`SILENCE`] is therefore asked in HTTP as well, on a connection of
//! its own; a broker that is only slow closes that one and answers the other.

use super::address::Address;
use super::call::{ANSWER_BYTES_MAX, Connection};
use super::connect::first_of;
use super::deadline::Deadline;
use super::error::{Attempt, CallError, ClientError, Step, Stranger};
use super::frame;
use super::metadata::{self, View};
use super::retry::Backoff;
use super::transport::Transport;
use crate::wire::metadata::Metadata;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

/// Rounds of attempts that take longer than this are cut off, so that a black hole is retried too.
const ROUND_MAX: Duration = Duration::from_secs(10);

/// How long a listener may be silent before it is asked whether it is something else.
const SILENCE: Duration = Duration::from_secs(2);

/// Connects to the first address that leads to a cluster and gives what it says about itself (without topics).
pub(crate) async fn probe(
    transport: &Arc<dyn Transport>,
    addresses: &[Address],
    deadline: Deadline,
) -> Result<(Connection, View), ClientError> {
    let started = Instant::now();
    let mut backoff = Backoff::new(transport);
    let mut told = false;
    loop {
        // A round may take all the time that is left if that is short, so that a slow network still gets one whole try.
        let round = deadline.within(ROUND_MAX.max(deadline.whole() / 2));
        let tries: Vec<_> = addresses.iter().map(|address| attempt(&**transport, address, round)).collect();
        let attempts = match first_of(tries).await {
            Ok(found) => return Ok(found),
            Err(attempts) => attempts,
        };
        let failed = |attempts| Err(ClientError::Unreachable { tried: started.elapsed(), attempts });
        if !attempts.iter().any(|attempt| attempt.error.may_pass()) {
            return failed(attempts);
        }
        let wait = backoff.next();
        if deadline.left() <= wait {
            return failed(attempts);
        }
        for attempt in &attempts {
            if told {
                tracing::debug!(%attempt, "no broker there");
            } else {
                tracing::info!("no broker there yet: {attempt}");
            }
        }
        if !told {
            tracing::info!("trying for another {}", super::error::show_time(deadline.left()));
        }
        told = true;
        tokio::time::sleep(wait).await;
    }
}

/// Opens a connection, or says who is there in a broker's place.
async fn open(
    transport: &dyn Transport,
    address: &Address,
    deadline: Deadline,
) -> Result<Connection, (Step, CallError)> {
    let mut opening = std::pin::pin!(Connection::open(transport, address, deadline));
    tokio::select! {
        result = &mut opening => return result,
        () = tokio::time::sleep(SILENCE) => {}
    }
    tokio::select! {
        result = &mut opening => result,
        stranger = ask_in_http(transport, address, deadline) => Err((Step::ApiVersions, CallError::Stranger(stranger))),
    }
}

/// Waits for an answer to a line of HTTP, for ever if there is none that tells anything.
async fn ask_in_http(transport: &dyn Transport, address: &Address, deadline: Deadline) -> Stranger {
    if let Ok(mut stream) = transport.dial(address, deadline).await
        && stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.is_ok()
        && let Some(stranger) = frame::stranger(&mut stream).await
    {
        return stranger;
    }
    std::future::pending().await
}

async fn attempt(
    transport: &dyn Transport,
    address: &Address,
    deadline: Deadline,
) -> Result<(Connection, View), Attempt> {
    let failed = |step, error| Attempt { address: address.clone(), step, error };
    let connection = open(transport, address, deadline).await.map_err(|(step, error)| failed(step, error))?;
    let answer = connection
        .call::<Metadata>(&metadata::request(Some(&[])), Vec::new(), ANSWER_BYTES_MAX, deadline)
        .await
        .map_err(|error| failed(Step::Metadata, error))?;
    let response = answer.read().map_err(|error| failed(Step::Metadata, error))?;
    let view =
        View::of(address, response).map_err(|error| failed(Step::Metadata, CallError::NoCluster(error.to_string())))?;
    // A broker that is not part of a cluster yet answers with none.
    if view.brokers.is_empty() {
        return Err(failed(Step::Metadata, CallError::NoCluster("it knows no broker of its cluster yet".to_owned())));
    }
    Ok((connection, view))
}

//! The way in: which bootstrap address leads to a cluster, and if none does, at which step each of them failed.
//!
//! The addresses are tried one after the other, but a slow one does not hold up the next ([`first_of`]). If all fail for
//! reasons that may pass (refused, no such name: the broker may be starting) they are tried again until the time is over;
//! the first round's failures are told at once, so that a mistyped port shows without waiting. What can't pass (HTTP, TLS,
//! no common version) ends the search at once.

use super::address::Address;
use super::call::{ANSWER_BYTES_MAX, Connection};
use super::connect::first_of;
use super::deadline::Deadline;
use super::error::{Attempt, CallError, ClientError, Step};
use super::metadata::{self, View};
use super::retry::Backoff;
use crate::wire::metadata::Metadata;
use std::time::Duration;
use tokio::time::Instant;

/// Rounds of attempts that take longer than this are cut off, so that a black hole is retried too.
const ROUND_MAX: Duration = Duration::from_secs(10);

/// Connects to the first address that leads to a cluster and gives what it says about itself (without topics).
pub(crate) async fn probe(addresses: &[Address], deadline: Deadline) -> Result<(Connection, View), ClientError> {
    let started = Instant::now();
    let mut backoff = Backoff::default();
    let mut told = false;
    loop {
        // A round may take all the time that is left if that is short, so that a slow network still gets one whole try.
        let round = deadline.within(ROUND_MAX.max(deadline.whole() / 2));
        let tries: Vec<_> = addresses.iter().map(|address| attempt(address, round)).collect();
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

async fn attempt(address: &Address, deadline: Deadline) -> Result<(Connection, View), Attempt> {
    let failed = |step, error| Attempt { address: address.clone(), step, error };
    let mut connection = Connection::open(address, deadline).await.map_err(|(step, error)| failed(step, error))?;
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

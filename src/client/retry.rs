//! What is worth another try, and how long to wait before it.
//!
//! `codes.rs` knows which broker errors pass, [`verdict`] what else may; [`Retry`] spends one deadline on the tries.

use super::codes::{DECIDED, decide, meaning};
use super::deadline::Deadline;
use super::error::ClientError;
use super::transport::Transport;
use crate::wire::ErrorCode;
use std::sync::Arc;
use std::time::Duration;

const BACKOFF_FIRST: Duration = Duration::from_millis(40);
const BACKOFF_MAX: Duration = Duration::from_millis(1000);

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Another try would fail the same way.
    Stop,
    /// Wait and ask the same broker again.
    Again,
    /// Wait, ask who leads, and ask that one.
    Refresh,
}

/// Whether a broker's error passes, whatever it was about.
pub(crate) fn verdict_of_code(code: ErrorCode) -> Verdict {
    meaning(code).verdict
}

/// Whether an error passes.
pub(crate) fn verdict(error: &ClientError) -> Verdict {
    match error {
        ClientError::Refused { api, code, .. } => match DECIDED.iter().find(|decided| decided.name() == *api) {
            Some(api) => decide(*api, *code).verdict,
            None => verdict_of_code(*code),
        },
        // The connection is gone. Nothing we send this way does harm when it arrives twice; who must know whether it
        // arrived (creation, deletion) looks for itself.
        ClientError::Call { source, .. } if source.may_pass() => Verdict::Refresh,
        // That broker may be down: the partition will get another leader.
        ClientError::Listener { source, .. } if source.may_pass() => Verdict::Refresh,
        ClientError::NoLeader { .. } | ClientError::NoSuchBroker { .. } => Verdict::Refresh,
        // No broker at all right now; the metadata we hold may be of a cluster that restarts.
        ClientError::Unreachable { attempts, .. } if attempts.iter().any(|attempt| attempt.error.may_pass()) => {
            Verdict::Again
        }
        _ => Verdict::Stop,
    }
}

/// The tries of one operation, inside one deadline.
#[derive(Debug)]
pub(crate) struct Retry {
    deadline: Deadline,
    backoff: Backoff,
    tries: u32,
}

impl Retry {
    pub(crate) fn until(deadline: Deadline, transport: &Arc<dyn Transport>) -> Self {
        Self { deadline, backoff: Backoff::new(transport), tries: 0 }
    }

    /// Gives it more time, for a wait that was nobody's failure.
    pub(crate) fn extend(&mut self, time: Duration) {
        self.deadline.extend(time);
    }

    /// After a failure: waits and says how to go on, or gives the error back because it will not pass or time is over.
    pub(crate) async fn after(&mut self, error: ClientError) -> Result<Verdict, ClientError> {
        let verdict = verdict(&error);
        self.after_verdict(error, verdict).await
    }

    /// The same where the caller knows better what the error means.
    pub(crate) async fn after_verdict(&mut self, error: ClientError, verdict: Verdict) -> Result<Verdict, ClientError> {
        self.tries += 1;
        if verdict == Verdict::Stop {
            return Err(error);
        }
        let wait = self.backoff.next();
        if self.deadline.left() <= wait {
            return Err(match self.tries {
                1 => error,
                tries => ClientError::GaveUp { after: self.deadline.whole(), tries, last: Box::new(error) },
            });
        }
        tracing::debug!(%error, wait_ms = wait.as_millis() as u64, "trying again");
        tokio::time::sleep(wait).await;
        Ok(verdict)
    }
}

/// Waits that double, each cut by a random part, so that clients that failed together do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    transport: Arc<dyn Transport>,
    waits: u32,
}

impl Backoff {
    pub(crate) fn new(transport: &Arc<dyn Transport>) -> Self {
        Self { transport: transport.clone(), waits: 0 }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let whole = BACKOFF_FIRST.saturating_mul(1 << self.waits.min(10)).min(BACKOFF_MAX);
        self.waits += 1;
        whole.mul_f64(1.0 - self.transport.chance() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::transport::TcpTransport;
    use super::*;

    fn tcp() -> Arc<dyn Transport> {
        Arc::new(TcpTransport)
    }

    #[test]
    fn waits_grow_up_to_a_bound() {
        let mut backoff = Backoff::new(&tcp());
        let waits: Vec<_> = (0..40).map(|_| backoff.next()).collect();
        assert!(waits[0] <= BACKOFF_FIRST);
        assert!(waits.iter().all(|wait| *wait <= BACKOFF_MAX));
        assert!(waits[39] >= BACKOFF_MAX / 2);
    }

    #[test]
    fn a_denial_is_not_repeated_and_a_move_is_followed() {
        assert_eq!(verdict_of_code(ErrorCode::TopicAuthorizationFailed), Verdict::Stop);
        assert_eq!(verdict_of_code(ErrorCode::Unknown(12_345)), Verdict::Stop);
        assert_eq!(verdict_of_code(ErrorCode::NotLeaderOrFollower), Verdict::Refresh);
    }
}

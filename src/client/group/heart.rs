//! The heart of a member: a task of its own that lets the coordinator hear of it, whatever the caller is busy with.
//!
//! It decides nothing. What the coordinator answers beside "all is well" goes to the machine, and so does silence: no answer
//! for as long as the coordinator waits for a heartbeat means that others may have been given what we hold.

use super::coordinator::Coordinator;
use super::machine::{Event, passes};
use crate::client::deadline::Deadline;
use crate::wire::ErrorCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// How soon after a heartbeat without an answer the next one is tried.
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// A beating heart; it stops when this is dropped.
#[derive(Debug)]
pub(super) struct Heart {
    events: mpsc::Receiver<Event>,
    task: AbortHandle,
}

impl Heart {
    /// Begins to beat for `member` in `generation`; `hurry` brings the next beat forward.
    pub(super) fn start(coordinator: &Arc<Coordinator>, member: &str, generation: i32, hurry: &Arc<Notify>) -> Self {
        let (out, events) = mpsc::channel(1);
        let (coordinator, member, hurry) = (coordinator.clone(), member.to_owned(), hurry.clone());
        let task = tokio::spawn(async move { beat(&coordinator, &member, generation, &hurry, &out).await });
        Self { events, task: task.abort_handle() }
    }

    /// The next thing that is to be known. Never returns once there is nothing more.
    pub(super) async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn beat(coordinator: &Coordinator, member: &str, generation: i32, hurry: &Notify, out: &mpsc::Sender<Event>) {
    let options = &coordinator.options;
    let mut heard = Instant::now();
    let mut pause = options.heartbeat_interval;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = hurry.notified() => {}
        }
        let sent = Instant::now();
        // Long enough for a slow answer; short enough that another broker can be asked within the session.
        let deadline = Deadline::after(options.session_timeout / 3);
        pause = match coordinator.heartbeat(member, generation, deadline).await {
            Ok(ErrorCode::None) => {
                heard = sent;
                coordinator.took_a_sign(sent);
                options.heartbeat_interval
            }
            Ok(code) if passes(code) && code != ErrorCode::RebalanceInProgress => {
                coordinator.moved();
                TRY_AGAIN
            }
            Ok(code) => {
                heard = sent;
                if code == ErrorCode::RebalanceInProgress {
                    // Until this member has joined it stays in its generation.
                    coordinator.took_a_sign(sent);
                }
                if out.send(Event::Beat(code)).await.is_err() {
                    return;
                }
                options.heartbeat_interval
            }
            Err(error) => {
                tracing::debug!(%error, "heartbeat");
                coordinator.moved();
                TRY_AGAIN
            }
        };
        // Said again as long as it is so: while the member joins or syncs, nobody acts on it.
        if heard.elapsed() >= options.session_timeout && out.send(Event::Silent).await.is_err() {
            return;
        }
    }
}

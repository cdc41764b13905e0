//! A round: batches go out on one connection, answers come in, in order. Between two rounds, what went wrong is put right.

use super::PartitionWriter;
use super::answer::{append_time_ms, read_answer};
use super::flight::{Answer, Remedy};
use super::outgoing::Told;
use crate::client::call::{ANSWER_BYTES_MAX, Answer as Frame, Connection};
use crate::client::cluster::{Lane, Leader, call_error, refused};
use crate::client::deadline::Deadline;
use crate::client::error::{CallError, ClientError};
use crate::client::link::Expect;
use crate::client::need::Need;
use crate::client::retry::{Verdict, verdict};
use crate::wire::produce::Produce;
use futures::FutureExt as _;
use std::time::Duration;
use tokio::time::Instant;

impl PartitionWriter {
    /// One step towards everything being stored: sends what may be sent and waits for an answer, or puts right what went
    /// wrong. There must be something on its way.
    pub(super) async fn step(&mut self) -> Result<(), ClientError> {
        match self.flight.remedy() {
            Some(remedy) => self.heal(remedy).await,
            None => {
                self.send().await?;
                self.await_answer().await
            }
        }
    }

    /// Hands over to the connection what may be sent now.
    pub(super) async fn send(&mut self) -> Result<(), ClientError> {
        while let Some(index) = self.flight.next_to_send() {
            if let Some(until) = self.throttled_until {
                if self.flight.awaited() > 0 {
                    return Ok(());
                }
                tokio::time::sleep_until(until).await;
            }
            // Within a round there is one connection. When it fails, its answers say so.
            let connected = match self.connection.clone() {
                Some(connected) if self.flight.awaited() > 0 => connected,
                _ => match self.connect(self.request_deadline(0)).await {
                    Ok(connected) => connected,
                    Err(error) => {
                        self.pause(error).await?;
                        continue;
                    }
                },
            };
            if !self.submit(index, connected)? {
                if self.flight.awaited() > 0 {
                    return Ok(());
                }
                self.let_go();
            }
        }
        Ok(())
    }

    /// Submits one batch; `false` where the connection takes nothing more.
    fn submit(&mut self, index: usize, (leader, connection): (Leader, Connection)) -> Result<bool, ClientError> {
        let Some(held) = self.held.get(index) else { return Ok(true) };
        let request = self.request(leader, held, self.replicas_wait());
        let deadline = self.request_deadline(self.flight.awaited());
        let buffer = std::mem::take(&mut self.buffer);
        let need = self.transaction.as_ref().map_or(Need::of::<Produce>(), |transaction| transaction.produce);
        let apart = Some(held.apart());
        let submitted = match self.is_unanswered() {
            true => connection.submit_unanswered::<Produce>(&request, apart, deadline),
            false => {
                let expect = Expect { buffer, answer_bytes_max: ANSWER_BYTES_MAX, deadline, find: None };
                connection.submit_around::<Produce>(need, &request, apart, expect)
            }
        };
        match submitted {
            Ok(pending) => {
                self.pending.push_back(pending);
                self.flight.sent(index);
                if let Some(held) = self.held.get_mut(index) {
                    held.sent = Some(Instant::now());
                }
                Ok(true)
            }
            Err(CallError::NotSent { .. }) => Ok(false),
            Err(error) => Err(call_error::<Produce>(connection.broker(), error)),
        }
    }

    /// How long the broker may wait for its replicas.
    fn replicas_wait(&self) -> Duration {
        self.cluster.timeout() / 2
    }

    /// Until when an answer must be there: a broker works on one connection's requests one after the other, and may wait for
    /// its replicas with each of the `before` ones as well.
    fn request_deadline(&self, before: usize) -> Deadline {
        let waits = self.replicas_wait().saturating_mul(before as u32 + 1);
        Deadline::after(waits.saturating_add(self.cluster.timeout() / 2))
    }

    /// Waits for the next answer, if there is one to wait for.
    pub(super) async fn await_answer(&mut self) -> Result<(), ClientError> {
        let Some(pending) = self.pending.front_mut() else { return Ok(()) };
        let answer = pending.await;
        self.pending.pop_front();
        self.take_answer(answer)
    }

    /// Takes the answers that have come, without waiting.
    pub(super) fn take_what_has_come(&mut self) -> Result<(), ClientError> {
        while let Some(answer) = self.pending.front_mut().and_then(|pending| pending.now_or_never()) {
            self.pending.pop_front();
            self.take_answer(answer)?;
        }
        Ok(())
    }

    fn take_answer(&mut self, answer: Result<Frame<Produce>, CallError>) -> Result<(), ClientError> {
        let (leader, broker) = match &self.connection {
            Some((leader, connection)) => (*leader, connection.broker().clone()),
            // The round has ended already.
            None => return Ok(()),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let passes = error.may_pass();
                let error = call_error::<Produce>(&broker, error);
                if !passes {
                    return Err(error);
                }
                // The answers behind this one are lost as well, by order.
                self.pending.clear();
                self.connection = None;
                self.connection_lost(&broker, &error.to_string());
                self.flight.lost();
                self.failure = Some(error);
                return Ok(());
            }
        };
        if self.is_unanswered() {
            self.unanswered.written();
            let certain = self.flight.answered(Answer::Stored(self.flight.next()));
            self.certain(certain.map_err(|stop| self.stop(stop, &broker, None))?);
            return Ok(());
        }
        let response = answer.read().map_err(|error| call_error::<Produce>(&broker, error))?;
        let throttle = Duration::from_millis(response.throttle_time_ms.max(0) as u64);
        // The broker has done what it was asked before it says this; and it does not read from us meanwhile. A claim of days
        // is not believed for longer than a batch is waited for.
        self.throttled_until = (!throttle.is_zero()).then(|| Instant::now() + throttle.min(self.delivery_timeout));
        let (said, words) = read_answer(self.partition(), leader.topic_id, &broker, &response)?;
        self.buffer = answer.into_buffer();
        if let (Answer::Stored(base_offset), Some(index)) = (said, self.flight.first_awaited()) {
            self.acknowledged(index, base_offset, append_time_ms(&response));
        }
        if let Answer::Refused(code) = said {
            let what = self.show_batch(0, self.flight.next());
            tracing::debug!(%broker, %code, what, "not acknowledged");
            // What failed first is what the others follow from.
            self.failure.get_or_insert_with(|| refused(&broker, "Produce", what, code));
        }
        let certain = self.flight.answered(said).map_err(|stop| self.stop(stop, &broker, words))?;
        self.certain(certain);
        Ok(())
    }

    /// An answer says where a batch is stored; `false` where it says nothing of use.
    fn acknowledged(&mut self, index: usize, base_offset: i64, append_time_ms: i64) -> bool {
        let Some(held) = self.held.get_mut(index).filter(|_| base_offset >= 0) else { return false };
        held.told = Some(Told { base_offset, append_time_ms });
        if let Some(sent) = held.sent {
            self.cluster.acknowledged(sent.elapsed());
        }
        true
    }

    /// The oldest batches are stored: their buffers are free.
    fn certain(&mut self, count: usize) {
        for held in self.held.drain(..count.min(self.held.len())) {
            // The flight has compared the offsets.
            let place = self.appended.next();
            let _ = self.appended.take(place, held.records.into());
            self.landed.push_back(held.landed(place));
        }
        if count > 0 {
            (self.retry, self.failure) = (None, None);
        }
    }

    /// Puts right what went wrong in the round that is over, and begins the next one.
    async fn heal(&mut self, remedy: Remedy) -> Result<(), ClientError> {
        if let Some(failure) = self.failure.take() {
            self.pause(failure).await?;
        }
        if remedy.refresh {
            self.look_again();
        }
        #[cfg(test)]
        let remedy = self.renumbered(remedy);
        if remedy.search {
            match self.search().await {
                Ok(found) => {
                    let certain = self.flight.found(found);
                    self.certain(certain);
                }
                Err(error) if verdict(&error) == Verdict::Stop && !is_about_the_topic(&error) => {
                    tracing::warn!(%error, "the log cannot be searched for batches whose answers were lost");
                }
                Err(error) => {
                    // Not sent again before it was looked for.
                    self.failure = Some(error);
                    self.look_again();
                    return Ok(());
                }
            }
        }
        self.flight.begin_round();
        Ok(())
    }

    /// Waits a little after a failure that may pass, all such waits within one deadline.
    async fn pause(&mut self, error: ClientError) -> Result<(), ClientError> {
        // A refusal of a batch was judged by the flight. A topic that was there may be unknown to a broker that starts.
        let judged = match &error {
            ClientError::Refused { api: "Produce", .. } => Verdict::Refresh,
            ClientError::UnknownTopic { .. } if self.topic_id.is_some() => Verdict::Refresh,
            error => verdict(error),
        };
        let (cluster, time) = (&self.cluster, self.delivery_timeout);
        let retry = self.retry.get_or_insert_with(|| cluster.retry_until(Deadline::after(time)));
        let looks_again = !matches!(error, ClientError::Refused { api: "Produce", .. });
        retry.after_verdict(error, judged).await?;
        if looks_again {
            self.look_again();
        }
        Ok(())
    }

    /// Has the leader looked up anew.
    pub(super) fn look_again(&mut self) {
        self.connection = None;
        self.cluster.forget(&self.partition().topic);
    }

    /// The connection to the leader, opened if there is none.
    pub(super) async fn connect(&mut self, deadline: Deadline) -> Result<(Leader, Connection), ClientError> {
        if let Some(connected) = self.connection.clone().filter(|(_, connection)| connection.is_usable()) {
            return Ok(connected);
        }
        self.let_go();
        let leader = self.cluster.leader(self.partition(), deadline).await?;
        match self.topic_id {
            Some(old) if old != leader.topic_id => {
                return Err(ClientError::Recreated {
                    topic: self.partition().topic.clone(),
                    old: old.to_string(),
                    new: leader.topic_id.to_string(),
                });
            }
            _ => self.topic_id = Some(leader.topic_id),
        }
        let connection = self.cluster.connection(leader.node, Lane::Produce, deadline).await?;
        self.connection = Some((leader, connection.clone()));
        Ok((leader, connection))
    }

    /// Waits for what is on its way, after which nothing more is sent, and notes which batches are stored.
    pub(super) async fn hear_the_rest(&mut self) {
        let awaited = self.flight.last_awaited(self.pending.len());
        let topic_id =
            self.connection.as_ref().map(|(leader, connection)| (leader.topic_id, connection.broker().clone()));
        for index in awaited {
            let Some(pending) = self.pending.pop_front() else { break };
            // Each has its deadline.
            let (Ok(answer), Some((topic_id, broker))) = (pending.await, &topic_id) else { continue };
            if self.is_unanswered() {
                self.unanswered.written();
                let told = Told { base_offset: self.flight.next(), append_time_ms: -1 };
                self.held.get_mut(index).into_iter().for_each(|held| held.told = Some(told));
                self.flight.landed_apart(index);
                continue;
            }
            let Ok(response) = answer.read() else { continue };
            if let Ok((Answer::Stored(base_offset), _)) = read_answer(self.partition(), *topic_id, broker, &response)
                && self.acknowledged(index, base_offset, append_time_ms(&response))
            {
                self.flight.landed_apart(index);
            }
        }
        self.hear_out().await;
    }

    /// Waits for what is on its way and listens to none of it, so that nothing of ours is under way when the caller goes on.
    pub(in crate::client) async fn hear_out(&mut self) {
        while let Some(pending) = self.pending.pop_front() {
            // Each has its deadline.
            let _ = pending.await;
        }
    }
}

/// Whether an error says that the topic is gone, or is another one.
fn is_about_the_topic(error: &ClientError) -> bool {
    matches!(error, ClientError::UnknownTopic { .. } | ClientError::Recreated { .. })
}

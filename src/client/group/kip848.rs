//! A member by the newer protocol (KIP-848, Kafka 4): the coordinator shares out, and all there is to say goes through one
//! sort of heartbeat.
//!
//! ```text
//!   epoch 0: here I am, with these topics ──▶ ◀── epoch n, your share
//!   share ≠ what we have: the caller commits and gives up what goes, then what is new is taken
//!   epoch n: this is what I have now      ──▶ ◀── epoch m (and another share, when what somebody else gave up is ours)
//!   epoch -1: I go                        ──▶
//! ```
//! Non-obvious:
//! - Nobody stops for a rebalance: the coordinator puts a partition into a share only once its former owner has said that it
//!   gave it up. So what is new in a share may be read at once.
//! - The epoch rises while we read, and fences commits. A commit that was sent under the one before is refused, and sent
//!   again under the next ([`super::commit`]).
//! - A field that is null says "as before". After an answer that was lost everything is said again.
//! - 25 and 110 say that what we have may be others' by now: it is lost, and the member begins anew at epoch 0.

use super::coordinator::Coordinator;
use super::holdings::Holdings;
use super::machine::passes;
use super::waits::{quits, running};
use crate::base::place::TopicPartition;
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::client::retry::{Retry, Verdict, verdict};
use crate::wire::consumer_group_heartbeat::{ConsumerGroupHeartbeatRequest, TopicPartitions, epoch};
use crate::wire::{ErrorCode, Uuid};
use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// A share as it comes: partitions by the topic's id.
pub(super) type Share = Vec<(Uuid, Vec<i32>)>;

/// An answer to a heartbeat.
#[derive(Debug)]
pub(super) struct Beaten {
    pub(super) code: ErrorCode,
    pub(super) message: Option<String>,
    pub(super) epoch: i32,
    pub(super) interval: Duration,
    /// `None`: as before.
    pub(super) share: Option<Share>,
}

pub(super) struct Kip848 {
    coordinator: Arc<Coordinator>,
    holdings: Holdings,
    hurry: Arc<Notify>,
    quit: watch::Receiver<bool>,
    member: Arc<str>,
    epoch: i32,
    interval: Duration,
    /// The share that was given last, as far as it is not taken yet.
    share: Option<Share>,
    names: BTreeMap<Uuid, Arc<str>>,
    /// Everything is lost, and the caller has still to let go of it.
    lost: bool,
    /// What is said in the next heartbeat: everything, what we have, or nothing but that we live.
    say_all: bool,
    say_owned: bool,
    next: Instant,
    heard: Instant,
    /// When the last heartbeat was sent.
    sent: Instant,
    asking: Option<BoxFuture<'static, Result<Beaten, ClientError>>>,
    retry: Option<Retry>,
}

/// What an error code means for the membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Fine,
    /// The coordinator's bad day, or another one's.
    Passes,
    /// What we have is ours no more.
    Lost,
    /// Somebody else has our name.
    Fenced,
    Stop,
}

fn meaning(code: ErrorCode) -> Meaning {
    use ErrorCode as E;
    match code {
        E::None => Meaning::Fine,
        E::UnknownMemberId | E::FencedMemberEpoch => Meaning::Lost,
        E::FencedInstanceId => Meaning::Fenced,
        // Whoever has it may be dead, which shows when its session ends.
        E::UnreleasedInstanceId => Meaning::Passes,
        code if passes(code) => Meaning::Passes,
        _ => Meaning::Stop,
    }
}

impl Kip848 {
    pub(super) fn new(
        coordinator: Arc<Coordinator>,
        holdings: Holdings,
        hurry: Arc<Notify>,
        quit: watch::Receiver<bool>,
    ) -> Self {
        let id = Uuid(rand::random());
        let (now, interval) = (Instant::now(), coordinator.options.heartbeat_interval);
        Self {
            coordinator,
            holdings,
            hurry,
            quit,
            member: id.to_string().into(),
            epoch: epoch::JOIN,
            interval,
            share: None,
            names: BTreeMap::new(),
            lost: false,
            say_all: true,
            say_owned: true,
            next: now,
            heard: now,
            sent: now,
            asking: None,
            retry: None,
        }
    }

    /// Is a member until the caller or an error ends it.
    pub(super) async fn run(mut self) -> Result<(), ClientError> {
        let ended = self.drive().await;
        self.asking = None;
        let fenced = matches!(ended, Err(ClientError::InstanceFenced { .. }));
        if let Err(error) = ended {
            self.holdings.end(error);
        }
        if !fenced && self.epoch != epoch::JOIN {
            let member_epoch =
                if self.coordinator.options.instance.is_some() { epoch::LEAVE_FOR_NOW } else { epoch::LEAVE };
            let request = ConsumerGroupHeartbeatRequest {
                group_id: self.coordinator.options.group.to_string(),
                member_id: self.member.to_string(),
                member_epoch,
                instance_id: self.coordinator.instance(),
                ..Default::default()
            };
            // Whatever is answered, we are gone; if nothing is, the session ends by itself.
            if let Err(error) = self.coordinator.clone().beat(request).await {
                tracing::debug!(%error, "leaving the group");
            }
        }
        Ok(())
    }

    async fn drive(&mut self) -> Result<(), ClientError> {
        loop {
            let idle = self.asking.is_none() && !(self.lost && self.epoch == epoch::JOIN);
            tokio::select! {
                beaten = running(&mut self.asking) => {
                    self.asking = None;
                    self.beaten(beaten).await?;
                }
                () = tokio::time::sleep_until(self.next), if idle => self.beat(),
                () = self.hurry.notified(), if idle => self.beat(),
                released = self.holdings.released() => {
                    released?;
                    self.lost = false;
                    self.next = Instant::now();
                    self.publish();
                    self.settle();
                }
                () = quits(&mut self.quit) => return Ok(()),
            }
        }
    }

    /// Sends a heartbeat.
    fn beat(&mut self) {
        let options = &self.coordinator.options;
        let all = self.say_all || self.epoch == epoch::JOIN;
        let owned = (all || self.say_owned).then(|| self.owned());
        let request = ConsumerGroupHeartbeatRequest {
            group_id: options.group.to_string(),
            member_id: self.member.to_string(),
            member_epoch: self.epoch,
            instance_id: self.coordinator.instance().filter(|_| all),
            rebalance_timeout_ms: if all { super::coordinator::millis(options.rebalance_timeout) } else { -1 },
            subscribed_topic_names: all.then(|| options.topics.iter().map(|topic| topic.to_string()).collect()),
            topic_partitions: owned,
            ..Default::default()
        };
        (self.say_all, self.say_owned) = (false, false);
        self.sent = Instant::now();
        self.asking = Some(Box::pin(self.coordinator.clone().beat(request)));
    }

    /// What we have, by the topics' ids.
    fn owned(&self) -> Vec<TopicPartitions> {
        let of = |(id, name): (&Uuid, &Arc<str>)| TopicPartitions {
            topic_id: *id,
            partitions: self
                .holdings
                .owned()
                .iter()
                .filter(|one| one.topic == *name)
                .map(|one| one.partition)
                .collect(),
        };
        self.names.iter().map(of).filter(|topic| !topic.partitions.is_empty()).collect()
    }

    async fn beaten(&mut self, beaten: Result<Beaten, ClientError>) -> Result<(), ClientError> {
        let beaten = match beaten {
            Ok(beaten) => beaten,
            Err(error) => return self.trouble(error).await,
        };
        match meaning(beaten.code) {
            Meaning::Fine => {}
            Meaning::Passes => return self.trouble(self.refusal(&beaten)).await,
            Meaning::Lost => return self.lose().await,
            Meaning::Fenced | Meaning::Stop => return Err(self.refusal(&beaten)),
        }
        (self.heard, self.retry) = (Instant::now(), None);
        self.coordinator.took_a_sign(self.sent);
        (self.epoch, self.interval) = (beaten.epoch, beaten.interval);
        self.next = self.heard + self.interval;
        self.publish();
        if let Some(share) = beaten.share {
            self.share = Some(share);
        }
        if self.share.is_some() {
            self.learn_names().await?;
            self.settle();
        }
        Ok(())
    }

    /// Works towards the share: first what goes, then what comes, then the word that it is done.
    fn settle(&mut self) {
        let Some(share) = &self.share else { return };
        if self.lost || self.holdings.is_giving_up() {
            return;
        }
        let mut wanted = BTreeSet::new();
        let mut unknown = false;
        for (id, partitions) in share {
            match self.names.get(id) {
                Some(name) => {
                    wanted.extend(partitions.iter().map(|one| TopicPartition::new(name.clone(), *one)));
                }
                // A topic that was made a moment ago: its name is asked for with the next heartbeat.
                None => unknown = true,
            }
        }
        let surplus: Vec<_> = self.holdings.owned().difference(&wanted).cloned().collect();
        if !surplus.is_empty() && self.holdings.give_up(surplus) {
            return;
        }
        self.holdings.take(wanted);
        self.publish();
        if !unknown {
            self.share = None;
        }
        if !unknown || self.holdings.has_news() {
            self.holdings.start();
        }
        self.say_owned = true;
        self.next = Instant::now();
    }

    /// The names of the topics whose ids are in the share.
    async fn learn_names(&mut self) -> Result<(), ClientError> {
        let known = |this: &Self| this.share.iter().flatten().all(|(id, _)| this.names.contains_key(id));
        if known(self) {
            return Ok(());
        }
        for topic in &self.coordinator.options.topics {
            match self.coordinator.cluster.topic(topic).await {
                Ok(info) => _ = self.names.insert(info.topic_id, topic.clone()),
                Err(ClientError::UnknownTopic { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn lose(&mut self) -> Result<(), ClientError> {
        (self.epoch, self.share, self.say_all) = (epoch::JOIN, None, true);
        self.lost = self.holdings.lose();
        self.publish();
        self.pause(None).await
    }

    /// No answer, or one that says to come again.
    async fn trouble(&mut self, error: ClientError) -> Result<(), ClientError> {
        if error.code().is_none() && verdict(&error) == Verdict::Stop {
            return Err(error);
        }
        self.coordinator.moved();
        self.say_all = true;
        if self.epoch != epoch::JOIN && self.heard.elapsed() >= self.coordinator.options.session_timeout {
            return self.lose().await;
        }
        self.pause(Some(error)).await
    }

    async fn pause(&mut self, error: Option<ClientError>) -> Result<(), ClientError> {
        let (cluster, options) = (&self.coordinator.cluster, &self.coordinator.options);
        let patience = cluster.timeout().max(options.session_timeout) * 2;
        let retry = self.retry.get_or_insert_with(|| cluster.retry_until(Deadline::after(patience)));
        let error = error.unwrap_or_else(|| ClientError::Group {
            group: options.group.clone(),
            what: "its coordinator does not know this member any more".to_owned(),
        });
        retry.after_verdict(error, Verdict::Again).await?;
        self.next = Instant::now();
        Ok(())
    }

    fn publish(&self) {
        self.holdings.publish(if self.epoch == epoch::JOIN { -1 } else { self.epoch }, &self.member);
    }

    fn refusal(&self, beaten: &Beaten) -> ClientError {
        let error = self.coordinator.refusal("ConsumerGroupHeartbeat", beaten.code);
        match error {
            ClientError::Refused { broker, api, what, code, message } => {
                let own = match code {
                    ErrorCode::UnreleasedInstanceId => Some(
                        "another member has that name (--group-instance-id); if it is dead, its session has to end first"
                            .to_owned(),
                    ),
                    ErrorCode::UnsupportedVersion => Some(
                        "the brokers do not offer the newer protocol for groups (group.version 1): use --group-protocol classic"
                            .to_owned(),
                    ),
                    _ => message,
                };
                ClientError::Refused { broker, api, what, code, message: own.or_else(|| beaten.message.clone()) }
            }
            other => other,
        }
    }
}

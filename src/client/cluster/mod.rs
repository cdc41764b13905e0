//! A cluster: its metadata as far as it was needed, connections to its brokers, and the loop that follows a partition when
//! it moves.
//!
//! Clones share everything, also the connections: one for each broker and `Lane`, which keeps apart what must not wait
//! for each other. It is opened when it is needed and replaced when it is spoiled. Locks are held for a look-up; only the
//! opening of a connection makes others wait, those that want the same one.
//!
//! Metadata has one rule: what an error proves old is asked again, nothing is refreshed by the clock.

mod lanes;

pub(crate) use lanes::{FOLLOW_LANES, Lane, Seat};

use super::address::Address;
use super::call::{ANSWER_BYTES_MAX, Answer};
use super::deadline::Deadline;
use super::error::{CallError, ClientError};
use super::link::Expect;
use super::metadata::{self, BrokerInfo, PartitionInfo, TopicInfo, View};
use super::need::Need;
use super::probe::probe;
use super::retry::{Backoff, Retry};
use super::transport::{TcpTransport, Transport};
use crate::base::place::TopicPartition;
use crate::base::text::did_you_mean;
use crate::observe::latencies::Latencies;
use crate::wire::metadata::Metadata;
use crate::wire::{Api, ErrorCode, Uuid};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The cluster as seen by one program. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
    /// How long batches take that are written through this.
    acknowledgements: Latencies,
}

#[derive(Debug)]
struct Shared {
    transport: Arc<dyn Transport>,
    bootstrap: Vec<Address>,
    timeout: Duration,
    known: Mutex<Known>,
    /// Held by who asks about a topic for all.
    asking: tokio::sync::Mutex<()>,
    lanes: lanes::Lanes,
}

/// What the brokers said so far.
#[derive(Debug)]
struct Known {
    said_by: Address,
    cluster_id: Option<String>,
    controller: i32,
    brokers: BTreeMap<i32, BrokerInfo>,
    topics: HashMap<String, TopicInfo>,
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Whoever is at hand.
    Any,
    /// The broker that changes topics.
    Controller,
    /// One broker.
    Node(i32),
}

/// The broker that leads a partition, by what is known now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leader {
    pub(crate) node: i32,
    pub(crate) epoch: i32,
    pub(crate) topic_id: Uuid,
}

impl Cluster {
    /// Finds the cluster through any of `brokers` (`HOST[:PORT]`). `timeout` is how long to try, and from then on how long
    /// one operation may take with all its retries.
    pub async fn connect(brokers: &[String], timeout: Duration) -> Result<Self, ClientError> {
        Self::connect_over(Arc::new(TcpTransport), brokers, timeout).await
    }

    /// The same through another transport than TCP.
    pub async fn connect_over(
        transport: Arc<dyn Transport>,
        brokers: &[String],
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let mut bootstrap = Vec::new();
        for text in brokers {
            let address = Address::parse(text).map_err(ClientError::Address)?;
            if !bootstrap.contains(&address) {
                bootstrap.push(address);
            }
        }
        if bootstrap.is_empty() {
            return Err(ClientError::Address("no broker address was given; write HOST:PORT".to_owned()));
        }
        let (connection, view) = probe(&transport, &bootstrap, Deadline::after(timeout)).await?;
        tracing::debug!(
            broker = %view.said_by,
            cluster = view.cluster_id.as_deref().unwrap_or("-"),
            brokers = view.brokers.len(),
            "connected"
        );
        // Which of the brokers this connection leads to is not known unless the address is an advertised one.
        let is_it = |broker: &&BrokerInfo| broker.address.as_ref() == Some(connection.broker());
        let node = view.brokers.values().find(is_it).map_or(NODE_UNKNOWN, |broker| broker.node);
        let known = Known {
            said_by: view.said_by,
            cluster_id: view.cluster_id,
            controller: view.controller,
            brokers: view.brokers,
            topics: HashMap::new(),
        };
        let lanes = lanes::Lanes::with(node, connection);
        let (known, asking) = (Mutex::new(known), tokio::sync::Mutex::default());
        let shared = Arc::new(Shared { transport, bootstrap, timeout, known, asking, lanes });
        Ok(Self { shared, acknowledgements: Latencies::default() })
    }

    /// The same, which tells there how long batches take until they are acknowledged.
    pub fn timing(self, acknowledgements: &Latencies) -> Self {
        Self { acknowledgements: acknowledgements.clone(), ..self }
    }

    /// A batch was acknowledged so long after it was sent.
    pub(super) fn acknowledged(&self, after: Duration) {
        self.acknowledgements.add(after);
    }

    /// How long one operation may take.
    pub fn timeout(&self) -> Duration {
        self.shared.timeout
    }

    /// The cluster's id, if its brokers tell.
    pub fn cluster_id(&self) -> Option<String> {
        self.known().cluster_id.clone()
    }

    /// The brokers, by what was said last.
    pub fn brokers(&self) -> Vec<BrokerInfo> {
        self.known().brokers.values().cloned().collect()
    }

    /// The broker whose metadata is held.
    pub(crate) fn said_by(&self) -> Address {
        self.known().said_by.clone()
    }

    /// The ids of the brokers, by what was said last.
    pub(crate) fn nodes(&self) -> Vec<i32> {
        self.known().brokers.keys().copied().collect()
    }

    /// Every topic there is now, by name.
    pub async fn topics(&self) -> Result<Vec<TopicInfo>, ClientError> {
        let deadline = self.deadline();
        let mut retry = self.retry_until(deadline);
        let view = loop {
            match self.refresh(Ask::Any, None, deadline).await {
                Ok(view) => break view,
                Err(error) => retry.after(error).await?,
            };
        };
        let mut topics: Vec<_> = view.topics.into_iter().filter_map(|(_, info)| info.ok()).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// One topic as it is now. If there is none of that name, the error has the nearest one.
    pub async fn topic(&self, name: &str) -> Result<TopicInfo, ClientError> {
        self.topic_until(name, self.deadline()).await
    }

    pub(crate) async fn topic_until(&self, name: &str, deadline: Deadline) -> Result<TopicInfo, ClientError> {
        let mut retry = self.retry_until(deadline);
        loop {
            let error = match self.refresh(Ask::Any, Some(&[name]), deadline).await {
                Ok(view) => match view.topic(name) {
                    Some(Ok(info)) => return Ok(info.clone()),
                    Some(Err(code)) if means_no_such_topic(*code) => return Err(self.unknown_topic(name).await),
                    Some(Err(code)) => refused(&view.said_by, "Metadata", name, *code),
                    None => ClientError::Protocol {
                        broker: view.said_by.clone(),
                        api: "Metadata",
                        expected: format!("topic {name}"),
                        got: "an answer without it".to_owned(),
                    },
                },
                Err(error) => error,
            };
            retry.after(error).await?;
        }
    }

    /// The error for a topic that is not there, with the nearest name that is.
    pub(crate) async fn unknown_topic(&self, name: &str) -> ClientError {
        let topics = self.topics().await.unwrap_or_default();
        let hint = did_you_mean(name, topics.iter().filter(|topic| !topic.internal).map(|topic| topic.name.as_str()));
        ClientError::UnknownTopic { topic: name.to_owned(), hint }
    }

    /// The leader of `partition`, asked for if it is not known.
    pub(crate) async fn leader(&self, partition: &TopicPartition, deadline: Deadline) -> Result<Leader, ClientError> {
        // One that is not among them may have been added since.
        let has_it = |info: &TopicInfo| find(info, partition).is_some();
        let known = || self.known().topics.get(&*partition.topic).filter(|info| has_it(info)).cloned();
        let info = match known() {
            Some(info) => info,
            None => {
                // Many readers find out at once that a leader has moved; one of them asks.
                let _alone = deadline.run(self.shared.asking.lock()).await;
                match known() {
                    Some(info) => info,
                    None => self.topic_until(&partition.topic, deadline).await?,
                }
            }
        };
        let count = info.partitions.len();
        let Some(found) = find(&info, partition) else {
            return Err(ClientError::UnknownPartition { partition: partition.clone(), count });
        };
        if found.leader < 0 {
            return Err(ClientError::NoLeader { partition: partition.clone(), replicas: found.replicas.clone() });
        }
        Ok(Leader { node: found.leader, epoch: found.leader_epoch, topic_id: info.topic_id })
    }

    /// Forgets who leads a partition (and the rest of its topic), unless somebody has learned better since.
    pub(crate) fn outdated(&self, partition: &TopicPartition, leader: Leader) {
        let mut known = self.known();
        let found = known.topics.get(&*partition.topic).and_then(|info| find(info, partition));
        if found.is_some_and(|found| (found.leader, found.leader_epoch) == (leader.node, leader.epoch)) {
            known.topics.remove(&*partition.topic);
        }
    }

    /// Forgets what is known of a topic, so that the next look asks.
    pub(crate) fn forget(&self, topic: &str) {
        self.known().topics.remove(topic);
    }

    /// Asks one broker about `names`, or about all topics, and remembers the answer.
    pub(crate) async fn refresh(
        &self,
        ask: Ask,
        names: Option<&[&str]>,
        deadline: Deadline,
    ) -> Result<View, ClientError> {
        let answer = self.call::<Metadata>(ask, &metadata::request(names), deadline).await?;
        let response = answer.read().map_err(|error| call_error::<Metadata>(answer.broker(), error))?;
        let view = View::of(answer.broker(), response).inspect_err(|error| {
            if error.code() == Some(ErrorCode::RebootstrapRequired) {
                self.start_over();
            }
        })?;
        let mut known = self.known();
        known.said_by = view.said_by.clone();
        known.controller = view.controller;
        // A broker that has just started may not know the others yet; what we have is better than nothing.
        if !view.brokers.is_empty() {
            known.brokers = view.brokers.clone();
        }
        for (name, info) in &view.topics {
            match info {
                Ok(info) => known.topics.insert(name.clone(), info.clone()),
                Err(_) => known.topics.remove(name),
            };
        }
        drop(known);
        Ok(view)
    }

    /// The broker says that it cannot speak for the cluster any more: only the addresses that the user gave count.
    fn start_over(&self) {
        let mut known = self.known();
        known.brokers.clear();
        known.topics.clear();
        known.controller = NODE_UNKNOWN;
        drop(known);
        self.shared.lanes.forget();
    }

    /// Calls one broker, once.
    pub(crate) async fn call<A: Api>(
        &self,
        ask: Ask,
        request: &A::Request<'_>,
        deadline: Deadline,
    ) -> Result<Answer<A>, ClientError> {
        // One silent broker must not use up the time in which another could be asked; least of all where any of them will
        // do, and the one at hand may be the one whose silence we are asking about.
        let deadline = deadline.within(self.shared.timeout / if ask == Ask::Any { 4 } else { 2 });
        let connection = self.ask(ask, deadline).await?;
        let result = connection.call::<A>(request, Vec::new(), ANSWER_BYTES_MAX, deadline).await;
        result.map_err(|error| call_error::<A>(connection.broker(), error))
    }

    /// The same in one of the versions of `need`.
    pub(crate) async fn call_as<A: Api>(
        &self,
        ask: Ask,
        need: Need,
        request: &A::Request<'_>,
        deadline: Deadline,
    ) -> Result<Answer<A>, ClientError> {
        let deadline = deadline.within(self.shared.timeout / 2);
        let connection = self.ask(ask, deadline).await?;
        let expect = Expect { buffer: Vec::new(), answer_bytes_max: ANSWER_BYTES_MAX, deadline, find: None };
        let failed = |error| call_error::<A>(connection.broker(), error);
        connection.submit_as::<A>(need, request, expect).map_err(failed)?.await.map_err(failed)
    }

    /// Calls a broker once, on the connection of a lane.
    pub(crate) async fn call_on<A: Api>(
        &self,
        node: i32,
        lane: Lane,
        request: &A::Request<'_>,
        deadline: Deadline,
    ) -> Result<Answer<A>, ClientError> {
        let deadline = deadline.within(self.shared.timeout / 2);
        let connection = self.connection(node, lane, deadline).await?;
        let result = connection.call::<A>(request, Vec::new(), ANSWER_BYTES_MAX, deadline).await;
        result.map_err(|error| call_error::<A>(connection.broker(), error))
    }

    /// The version of `A` that is spoken with who is asked, for requests that differ from one to the next.
    pub(crate) async fn version<A: Api>(&self, ask: Ask, deadline: Deadline) -> Result<i16, ClientError> {
        let connection = self.ask(ask, deadline).await?;
        connection.version::<A>().map_err(|error| call_error::<A>(connection.broker(), error))
    }

    /// The tries of one operation.
    pub(crate) fn retry_until(&self, deadline: Deadline) -> Retry {
        Retry::until(deadline, &self.shared.transport)
    }

    /// Growing waits, from the first on.
    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(&self.shared.transport)
    }

    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.shared.timeout)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.shared.known)
    }
}

/// The id under which a connection is kept of which only the bootstrap address is known.
const NODE_UNKNOWN: i32 = -1;

fn find<'a>(info: &'a TopicInfo, partition: &TopicPartition) -> Option<&'a PartitionInfo> {
    info.partitions.get(usize::try_from(partition.partition).ok()?)
}

/// Nothing is left half done under these locks, so a panic elsewhere does not make the contents wrong.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a code says that there is no such topic (rather than that it is not ready).
pub(crate) fn means_no_such_topic(code: ErrorCode) -> bool {
    // A name that no topic may have is not there either.
    matches!(code, ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId | ErrorCode::InvalidTopicException)
}

/// A connection's error with the broker and the API it is about.
pub(crate) fn call_error<A: Api>(broker: &Address, error: CallError) -> ClientError {
    ClientError::Call { broker: broker.clone(), api: A::KEY.name(), source: Box::new(error) }
}

/// A broker's error code with what it is about.
pub(crate) fn refused(broker: &Address, api: &'static str, what: impl ToString, code: ErrorCode) -> ClientError {
    ClientError::Refused { broker: broker.clone(), api, what: what.to_string(), code, message: None }
}

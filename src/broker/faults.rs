//! Faults for tests: what can go wrong between a client and a broker, at the request a test names.
//!
//! ```ignore
//! let held = broker.faults().add(Rule::on(ApiKey::Fetch).partition("data-input", 3).once(), Fault::Hold);
//! held.hit().await;      // the request is here and waits
//! held.release();        // now it is handled
//! ```
//!
//! A rule is a filter (API, partition, node), a count, and a [`Fault`]. Every rule that matches a request acts on it, in
//! the order they were added. Beside the rules, every request is counted and the latest are remembered, so that a test
//! can wait until one has arrived ([`Faults::arrived`]) instead of sleeping.
//!
//! Without a rule a request costs one lock of an uncontended mutex.

use super::cluster::lock;
use crate::base::place::TopicPartition;
use crate::wire::{ApiKey, ErrorCode};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// How many requests back [`Faults::seen`] reaches.
const SEEN_MAX: usize = 10_000;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The request waits, unhandled, until [`RuleHandle::release`].
    Hold,
    /// The request is handled, its answer waits until [`RuleHandle::release`].
    HoldAnswer,
    /// The request waits that long before it is handled.
    Delay(Duration),
    /// The connection ends, the request was never handled.
    DropBefore,
    /// The connection ends, the request was handled and its answer is lost.
    DropAfter,
    /// The request is handled twice, as if the network had repeated it; the client sees the first answer.
    Repeat,
    /// The request is not handled and answered with this error, for the rule's partition if it names one, otherwise
    /// for every part of the request.
    Error(ErrorCode),
    /// The same, but it was handled: a batch is in the log and its producer is told that it is not.
    ErrorAfter(ErrorCode),
    /// The answer says that the broker throttles the client for so many milliseconds; what was asked for is done and
    /// answered, and the broker does not wait itself. (A quota that it enforces is
    /// [`Broker::throttle`](super::Broker::throttle).)
    Throttle(i32),
    /// One byte in the middle of the records that a Fetch answers with is changed; the log stays as it is.
    Corrupt,
    /// The last batch that a Fetch answers with is cut in half, as Kafka may do.
    Truncate,
}

/// Which requests a fault befalls. By default: the first of that API, whatever its partitions and node.
#[derive(Debug, Clone)]
pub struct Rule {
    api: ApiKey,
    partition: Option<TopicPartition>,
    node: Option<i32>,
    skip: u64,
    times: u64,
}

impl Rule {
    /// The first request of that API.
    pub fn on(api: ApiKey) -> Self {
        Self { api, partition: None, node: None, skip: 0, times: 1 }
    }

    /// Only requests that name this partition (Produce, Fetch, ListOffsets, DeleteRecords, OffsetForLeaderEpoch,
    /// DescribeProducers).
    pub fn partition(mut self, topic: &str, partition: i32) -> Self {
        self.partition = Some(TopicPartition::new(topic, partition));
        self
    }

    /// Only requests to the node of that id (the first is 1).
    pub fn node(mut self, node: i32) -> Self {
        self.node = Some(node);
        self
    }

    /// Lets so many matching requests pass first.
    pub fn after(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// Once: the default, said aloud.
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// For so many requests.
    pub fn times(mut self, requests: u64) -> Self {
        self.times = requests;
        self
    }

    /// For every request until the rule is removed.
    pub fn always(self) -> Self {
        self.times(u64::MAX)
    }
}

/// A rule in force. Dropping the handle leaves the rule as it is.
#[derive(Debug, Clone)]
pub struct RuleHandle {
    active: Arc<Active>,
}

/// One request as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Which API.
    pub api: ApiKey,
    /// In which version.
    pub version: i16,
    /// At which node.
    pub node: i32,
}

/// The faults of one broker. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    rules: Mutex<Vec<Arc<Active>>>,
    /// Whether there are rules at all.
    armed: AtomicBool,
    requests: Mutex<Requests>,
    arrivals: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Requests {
    latest: VecDeque<Seen>,
    counts: HashMap<ApiKey, u64>,
}

#[derive(Debug)]
struct Active {
    rule: Rule,
    fault: Fault,
    matched: Mutex<u64>,
    hits: watch::Sender<u64>,
    released: watch::Sender<bool>,
}

/// A fault that befalls the request at hand.
#[derive(Debug, Clone)]
pub(crate) struct Struck {
    active: Arc<Active>,
}

impl Faults {
    /// Puts a rule in force.
    pub fn add(&self, rule: Rule, fault: Fault) -> RuleHandle {
        let active = Arc::new(Active {
            rule,
            fault,
            matched: Mutex::new(0),
            hits: watch::Sender::new(0),
            released: watch::Sender::new(false),
        });
        let mut rules = lock(&self.shared.rules);
        rules.push(active.clone());
        self.shared.armed.store(true, Ordering::Release);
        RuleHandle { active }
    }

    /// Takes a rule out of force; what it holds is released.
    pub fn remove(&self, handle: &RuleHandle) {
        let mut rules = lock(&self.shared.rules);
        rules.retain(|active| !Arc::ptr_eq(active, &handle.active));
        self.shared.armed.store(!rules.is_empty(), Ordering::Release);
        drop(rules);
        handle.release();
    }

    /// Takes all rules out of force; what they hold is released.
    pub fn clear(&self) {
        let rules = std::mem::take(&mut *lock(&self.shared.rules));
        self.shared.armed.store(false, Ordering::Release);
        for active in rules {
            active.released.send_replace(true);
        }
    }

    /// The latest requests in the order they arrived, all nodes together.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.requests).latest.iter().copied().collect()
    }

    /// How many requests of that API have arrived.
    pub fn count(&self, api: ApiKey) -> u64 {
        lock(&self.shared.requests).counts.get(&api).copied().unwrap_or(0)
    }

    /// Waits until that many requests of that API have arrived since the broker's start.
    pub async fn arrived(&self, api: ApiKey, requests: u64) {
        let mut arrivals = self.shared.arrivals.subscribe();
        while self.count(api) < requests {
            // The sender lives in `self`.
            if arrivals.changed().await.is_err() {
                return;
            }
        }
    }

    /// Notes a request.
    pub(crate) fn note(&self, seen: Seen) {
        let mut requests = lock(&self.shared.requests);
        if requests.latest.len() == SEEN_MAX {
            requests.latest.pop_front();
        }
        requests.latest.push_back(seen);
        *requests.counts.entry(seen.api).or_default() += 1;
        drop(requests);
        self.shared.arrivals.send_replace(());
    }

    /// The faults that befall a request; `partitions` is asked only where there are rules.
    pub(crate) fn strike(
        &self,
        api: ApiKey,
        node: i32,
        partitions: impl FnOnce() -> Vec<TopicPartition>,
    ) -> Vec<Struck> {
        if !self.shared.armed.load(Ordering::Acquire) {
            return Vec::new();
        }
        let partitions = partitions();
        let rules = lock(&self.shared.rules);
        rules
            .iter()
            .filter(|active| active.strikes(api, node, &partitions))
            .cloned()
            .map(|active| Struck { active })
            .collect()
    }
}

impl RuleHandle {
    /// Lets go of what the rule holds, now and from now on.
    pub fn release(&self) {
        self.active.released.send_replace(true);
    }

    /// How often the rule has struck.
    pub fn hits(&self) -> u64 {
        *self.active.hits.borrow()
    }

    /// Waits until the rule has struck once.
    pub async fn hit(&self) {
        self.hit_times(1).await;
    }

    /// Waits until the rule has struck so many times.
    pub async fn hit_times(&self, times: u64) {
        let mut hits = self.active.hits.subscribe();
        // The sender lives in `self`.
        let _ = hits.wait_for(|hits| *hits >= times).await;
    }
}

impl Active {
    fn strikes(&self, api: ApiKey, node: i32, partitions: &[TopicPartition]) -> bool {
        let rule = &self.rule;
        if rule.api != api
            || rule.node.is_some_and(|wanted| wanted != node)
            || rule.partition.as_ref().is_some_and(|wanted| !partitions.contains(wanted))
        {
            return false;
        }
        let mut matched = lock(&self.matched);
        let before = *matched;
        *matched = before.saturating_add(1);
        let strikes = before >= rule.skip && before - rule.skip < rule.times;
        drop(matched);
        if strikes {
            self.hits.send_modify(|hits| *hits += 1);
        }
        strikes
    }
}

impl Struck {
    pub(crate) fn fault(&self) -> &Fault {
        &self.active.fault
    }

    /// Whether the fault is meant for this part of the request.
    pub(crate) fn concerns(&self, partition: Option<(&str, i32)>) -> bool {
        match (&self.active.rule.partition, partition) {
            (Some(wanted), Some((topic, index))) => *wanted.topic == *topic && wanted.partition == index,
            _ => true,
        }
    }

    pub(crate) async fn released(&self) {
        let mut released = self.active.released.subscribe();
        // The sender lives in `self`.
        let _ = released.wait_for(|released| *released).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strike(faults: &Faults, api: ApiKey, node: i32, partition: i32) -> usize {
        faults.strike(api, node, || vec![TopicPartition::new("t", partition)]).len()
    }

    #[test]
    fn a_rule_strikes_as_often_as_it_says_after_those_it_lets_pass() {
        let faults = Faults::default();
        let handle = faults.add(Rule::on(ApiKey::Fetch).after(2).times(2), Fault::DropBefore);
        let struck: Vec<usize> = (0..6).map(|_| strike(&faults, ApiKey::Fetch, 1, 0)).collect();
        assert_eq!(struck, [0, 0, 1, 1, 0, 0]);
        assert_eq!(handle.hits(), 2);
    }

    #[test]
    fn a_rule_strikes_only_its_api_node_and_partition() {
        let faults = Faults::default();
        faults.add(Rule::on(ApiKey::Fetch).partition("t", 3).node(2).always(), Fault::Corrupt);
        assert_eq!(strike(&faults, ApiKey::Produce, 2, 3), 0);
        assert_eq!(strike(&faults, ApiKey::Fetch, 1, 3), 0);
        assert_eq!(strike(&faults, ApiKey::Fetch, 2, 4), 0);
        assert_eq!(strike(&faults, ApiKey::Fetch, 2, 3), 1);
        faults.clear();
        assert_eq!(strike(&faults, ApiKey::Fetch, 2, 3), 0);
    }

    #[tokio::test]
    async fn what_is_held_is_let_go_by_release_and_by_removal() {
        let faults = Faults::default();
        for remove in [false, true] {
            let handle = faults.add(Rule::on(ApiKey::Produce).once(), Fault::Hold);
            let struck = faults.strike(ApiKey::Produce, 1, Vec::new).remove(0);
            let waiting = tokio::spawn(async move { struck.released().await });
            handle.hit().await;
            if remove {
                faults.remove(&handle)
            } else {
                handle.release()
            }
            waiting.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_test_can_wait_until_a_request_has_arrived() {
        let faults = Faults::default();
        let waiting = tokio::spawn({
            let faults = faults.clone();
            async move { faults.arrived(ApiKey::Fetch, 2).await }
        });
        let seen = Seen { api: ApiKey::Fetch, version: 12, node: 1 };
        faults.note(seen);
        faults.note(Seen { api: ApiKey::Metadata, ..seen });
        faults.note(seen);
        waiting.await.unwrap();
        assert_eq!((faults.count(ApiKey::Fetch), faults.seen().len()), (2, 3));
    }
}

//! What a cluster does, look by look: brokers, topics and how fast they grow, groups and how late they are, transactions that
//! hold readers back.
//!
//! ```text
//!  cluster ──look──▶ Snapshot ─┐
//!                              ├─ History::advance ──▶ View ──▶ table, JSON, Prometheus
//!          the one before ─────┘   pure: rates, ages
//! ```
//!
//! Non-obvious:
//! - One sick broker must not blind the look: each question is asked once, and what is not answered is a gap in the view,
//!   with the reason beside it. Only where no broker answers there is no snapshot at all.
//! - Nor must many questions: those about each group, record and transaction are asked a few at a time, those about groups in two of
//!   the three timeouts that a look has, the others in the rest; what is not answered by then is such a gap as well. A broker that
//!   leaves one of them unanswered is asked nothing more of the sort, so that it takes no time from the others.
//! - Messages are counted by how the end of a partition moves. Transaction markers take offsets as well, so they count.
//! - Bytes are counted by how the leader's log grows on its disk, compressed as it is. Where it shrank, where its start moved
//!   (retention), or where another broker leads now, the growth is not known: a gap, never a negative rate.
//! - A group's lag in seconds is the age of the record that it reads next, by that record's timestamp and this machine's clock.
//!   One batch is fetched for that, for each position that has moved since the last look. Markers alone are no record to read.

mod brokers;
mod history;
mod look;
mod metrics;
mod report;
mod snapshot;

pub use history::{GroupTopic, GroupView, History, PartitionView, TopicView, View};
pub use metrics::exposition;
pub use report::{FLAT_COLUMNS, GROUP_COLUMNS, TOPIC_COLUMNS};
pub use snapshot::{BrokerSeen, GroupSeen, Held, Position, Seen, Snapshot, TopicSeen};

use super::error::JobError;
use crate::base::pattern::Pattern;
use crate::client::{ClientError, Cluster};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MonitorSettings {
    /// Topics; all but Kafka's own, if there are none. Groups are told by what they read of these.
    pub topics: Vec<Pattern>,
    /// Groups; all, if there are none.
    pub groups: Vec<Pattern>,
}

impl MonitorSettings {
    fn wants_topic(&self, name: &str, internal: bool) -> bool {
        match &self.topics[..] {
            [] => !internal,
            patterns => patterns.iter().any(|one| one.fits(name)),
        }
    }

    fn wants_group(&self, name: &str) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|one| one.fits(name))
    }

    fn check_names(&self, snapshot: &Snapshot) -> Result<(), JobError> {
        let missing = |patterns: &[Pattern], there: &dyn Fn(&Pattern) -> bool| {
            patterns.iter().find(|one| one.is_name() && !there(one)).map(ToString::to_string)
        };
        let topics = |one: &Pattern| snapshot.topics.iter().any(|topic| one.fits(&topic.name));
        // A group that is there may read nothing of these topics, or its coordinator may not answer; and where a broker did not
        // tell of its groups, any may be there.
        let groups = |one: &Pattern| snapshot.listed.as_ref().is_none_or(|all| all.iter().any(|name| one.fits(name)));
        let (what, name) = match (missing(&self.topics, &topics), missing(&self.groups, &groups)) {
            (Some(name), _) => ("topic", name),
            (_, Some(name)) => ("group", name),
            _ => return Ok(()),
        };
        Err(JobError::Refused(format!(
            "there is no {what} {} (kmerge {what} list shows them)",
            crate::base::text::visible(&name)
        )))
    }
}

/// A look is over after so many times that which a question may take: ends and last stable offsets are asked one after the other,
/// once the topics are known.
const LOOK_TIMEOUTS: u32 = 3;

/// Looks at a cluster again and again.
#[derive(Debug)]
pub struct Monitor {
    cluster: Cluster,
    look_time: Duration,
    settings: MonitorSettings,
    began: Instant,
    history: History,
    /// What was found to lie at a group's offset, while it stands there.
    times: HashMap<look::At, i64>,
}

impl Monitor {
    /// Finds the cluster. `timeout` is how long that may take, and then each question.
    pub async fn connect(
        settings: MonitorSettings,
        brokers: &[String],
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let cluster = Cluster::connect(brokers, timeout).await?;
        let (look_time, history) = (timeout.saturating_mul(LOOK_TIMEOUTS), History::default());
        Ok(Self { cluster, look_time, settings, began: Instant::now(), history, times: HashMap::new() })
    }

    /// Takes a look. What is told of rates is since the look before; the first one tells none. Nor does it tell whose transactions
    /// hold readers back: most are over soon, and it is asked for those that did so in the look before already.
    pub async fn look(&mut self) -> Result<View, JobError> {
        let snapshot = self.snapshot().await?;
        Ok(self.history.advance(snapshot))
    }

    /// Refuses a name that is no pattern and that nothing has: it was mistyped, or it is not there yet.
    pub fn check_names(&self, view: &View) -> Result<(), JobError> {
        self.settings.check_names(&view.snapshot)
    }
}

#[cfg(test)]
mod tests;

//! The ledger of a cleaner: what its transactions have written, by topic, partition and minute; and the rows of its files.
//!
//! ```text
//!  outbox.rs: a batch and its minutes ──▶ acknowledged ─┐
//!                                                       ├─▶ open ──▶ a topic: in the same transaction, before it ends
//!  files/: the rows of a file that is whole ────────────┘       └──▶ a file: once the transaction is known to stand
//! ```
//!
//! Non-obvious:
//! - In a topic the lines stand or fall with the records, whoever is killed when.
//! - In a file they stand once it is known that the records do, also where that comes out later (`recover.rs`). Killed just
//!   then, or where nobody can tell any more, the file lacks what was committed last, and `reconcile` shows it as more than was
//!   noted. It never has what does not stand.
//! - A file that takes nothing, as on a network disk that is gone, is given up: it lacks what was to be noted, or may.
//! - What insights have counted is left out: that topic forgets what was written over, so nobody could compare.

use super::CleanSettings;
use super::VOID_TIME;
use super::outbox::{Full, Outbox};
use super::work::{Halt, Work};
use crate::base::clock;
use crate::base::place::TopicPartition;
use crate::base::shutdown::Shutdown;
use crate::client::{Cluster, Landed};
use crate::jobs::error::JobError;
use crate::jobs::minutes::{About, Acknowledged, COUNTED_MAX, Counts, Lack, Ledger, LedgerFile, Runs, Totals};
use crate::ports::Outgoing;
use std::collections::{BTreeMap, VecDeque};
use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

/// A disk that has not taken some lines after this time is not waited for: partitions stand still meanwhile.
const WRITE_TIME: Duration = Duration::from_secs(30);

/// Opens the ledger, if one is to be kept.
pub(super) async fn open(cluster: &Cluster, settings: &CleanSettings) -> Result<Option<Ledger>, JobError> {
    match &settings.ledger {
        // That its topic is none of the others, the settings were checked for.
        Some(to) => Ledger::open(to, &[], cluster).await.map(Some),
        None => Ok(None),
    }
}

/// See the module's head.
pub(super) struct Accounts {
    to: To,
    /// What is noted, by the topic's name; and whether the topic stamps records itself.
    about: BTreeMap<String, (About, bool)>,
    /// The minutes of batches that are on their way, the oldest first.
    sent: BTreeMap<TopicPartition, VecDeque<Runs>>,
    /// What these take.
    sent_bytes: usize,
    /// What is stored in the open transaction, as far as it is not noted.
    open: Counts,
}

enum To {
    File(Arc<LedgerFile>),
    Topic(Box<Totals>),
}

impl Accounts {
    /// Notes what goes to the topics of the outbox in this ledger, where one is to be kept.
    pub(super) async fn new(
        ledger: Option<Ledger>,
        cluster: &Cluster,
        settings: &CleanSettings,
        outbox: &mut Outbox,
    ) -> Result<Option<Self>, JobError> {
        let to = match ledger {
            None => return Ok(None),
            Some(Ledger::File(file)) => To::File(file),
            Some(Ledger::Topic(topic)) => To::Topic(Box::new(topic.into_totals())),
        };
        let mut about = BTreeMap::new();
        let forgets = |name: &str| !settings.rules.insights().is_empty() && name == settings.insights_state;
        for name in outbox.topics().filter(|name| !forgets(name)) {
            let configs = cluster.topic_configs(name).await?;
            let stamps = configs.get("message.timestamp.type").is_some_and(|by| by == "LogAppendTime");
            about.insert(name.to_owned(), (About::topic(name), stamps));
        }
        outbox.count_minutes();
        Ok(Some(Self { to, about, sent: BTreeMap::new(), sent_bytes: 0, open: Counts::default() }))
    }

    /// A batch goes out.
    pub(super) fn sends(&mut self, partition: &TopicPartition, runs: Runs) {
        self.sent_bytes += held(&runs);
        match self.sent.get_mut(partition) {
            Some(sent) => sent.push_back(runs),
            None => _ = self.sent.insert(partition.clone(), VecDeque::from([runs])),
        }
    }

    /// A batch is stored. Those of a partition are in the order in which they were sent.
    pub(super) fn landed(&mut self, partition: &TopicPartition, landed: &Landed) {
        let Some(runs) = self.sent.get_mut(partition).and_then(VecDeque::pop_front) else { return };
        self.sent_bytes -= held(&runs);
        let Some((about, stamps)) = self.about.get(&*partition.topic) else { return };
        let batch = Acknowledged {
            base_offset: landed.base_offset,
            append_time_ms: landed.append_time_ms,
            max_timestamp: landed.max_timestamp,
        };
        self.open.add_batch((about, *stamps), partition.partition, batch, &runs);
    }

    /// Rows are in files that are whole.
    pub(super) fn rows(&mut self, rows: Counts) {
        self.open.merge(rows);
    }

    /// What is held for batches on their way.
    pub(super) fn held_bytes(&self) -> usize {
        self.sent_bytes
    }

    /// Whether there is so much to note that the transaction is to end.
    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= COUNTED_MAX
    }

    /// What is to be written before the transaction ends: some of it, and nothing once it is all.
    fn lines(&mut self) -> Result<Vec<(TopicPartition, Outgoing)>, JobError> {
        let To::Topic(totals) = &mut self.to else { return Ok(Vec::new()) };
        let batches = totals.add(&mut self.open, clock::now_ms());
        batches.map_err(|error| {
            JobError::Refused(format!("{}: a batch for the ledger cannot be put together: {error}", totals.topic()))
        })
    }

    /// Forgets what is not committed.
    fn forget(&mut self) {
        (self.sent, self.sent_bytes, self.open) = (BTreeMap::new(), 0, Counts::default());
        if let To::Topic(totals) = &mut self.to {
            // What was written and may stand is not to be written over.
            totals.begin_anew();
        }
    }
}

/// Waits for a file: for so long, and for no more than the second time once the job is to stop.
async fn in_time(
    written: impl Future<Output = Result<(), Lack>>,
    records: u64,
    (patience, at_end): (Duration, Duration),
    shutdown: &Shutdown,
) -> Result<(), Lack> {
    let stopped = async {
        shutdown.wait().await;
        tokio::time::sleep(at_end).await;
    };
    tokio::select! {
        biased;
        written = written => written,
        () = stopped => Err(Lack { records, error: taken_nothing(at_end) }),
        () = tokio::time::sleep(patience) => Err(Lack { records, error: taken_nothing(patience) }),
    }
}

fn taken_nothing(time: Duration) -> Error {
    let what = format!("the disk has not taken it in {} s: is it a network disk that is gone?", time.as_secs());
    Error::new(ErrorKind::TimedOut, what)
}

fn held(runs: &Runs) -> usize {
    size_of::<Runs>() + runs.heap_bytes()
}

impl Work<'_> {
    /// Sends a batch.
    pub(super) async fn send_one(&mut self, (partition, batch, runs): Full) -> Result<(), Halt> {
        let Some(pen) = &mut self.pen else { return Err(JobError::OutputClosed.into()) };
        self.pace.wrote(batch.len);
        if let Some(accounts) = &mut self.accounts {
            accounts.sends(&partition, runs);
        }
        Ok(pen.append(&partition, batch).await?)
    }

    /// Takes back what is stored.
    pub(super) fn take_landed(&mut self) {
        let Some(pen) = &mut self.pen else { return };
        while let Some((partition, landed)) = pen.landed() {
            if let Some(accounts) = &mut self.accounts {
                accounts.landed(partition, &landed);
            }
            self.hand.outbox.give_back(landed.bytes);
        }
    }

    /// Whether there is so much to note that the transaction is to end.
    pub(super) fn has_much_to_note(&self) -> bool {
        self.accounts.as_ref().is_some_and(Accounts::is_full)
    }

    /// Notes in the ledger's topic what the open transaction has written, all of which is stored.
    pub(super) async fn note(&mut self) -> Result<(), Halt> {
        self.take_landed();
        let (Some(accounts), Some(pen)) = (&mut self.accounts, &mut self.pen) else { return Ok(()) };
        loop {
            let lines = accounts.lines()?;
            if lines.is_empty() {
                return Ok(());
            }
            for (partition, batch) in lines {
                pen.append(&partition, batch).await?;
            }
            pen.flush().await?;
            while pen.spare().is_some() {}
        }
    }

    /// The transaction stands: it is noted in the ledger's file, where there is one.
    pub(super) async fn noted(&mut self) -> Result<(), JobError> {
        let Some(accounts) = &mut self.accounts else { return Ok(()) };
        let To::File(file) = &accounts.to else { return Ok(()) };
        let open = std::mem::take(&mut accounts.open);
        let (records, shutdown) = (open.records(), &self.cx.shutdown);
        let written = in_time(file.write_aside(open), records, (WRITE_TIME, VOID_TIME), shutdown).await;
        written.map_err(|lack| lack.into_error(file.name()))
    }

    /// After a doubt: what was open is noted if it stands, and forgotten otherwise.
    pub(super) async fn settle_accounts(&mut self, stands: bool) -> Result<(), JobError> {
        let noted = if stands { self.noted().await } else { Ok(()) };
        if let Some(accounts) = &mut self.accounts {
            accounts.forget();
        }
        noted
    }

    /// At the end: waits until the disk has what was noted.
    pub(super) async fn close_accounts(&mut self) -> Result<(), JobError> {
        let Some(Accounts { to: To::File(file), open, .. }) = &self.accounts else { return Ok(()) };
        if self.in_doubt.is_some() && !open.is_empty() {
            tracing::warn!(
                records = open.records(),
                "whether these stand is not known, so {} lacks them; if they do, kmerge reconcile shows them as more than was noted",
                file.name()
            );
        }
        let synced = in_time(file.sync_aside(), 0, (WRITE_TIME, VOID_TIME), &self.cx.shutdown).await;
        synced.map_err(|lack| lack.into_error(file.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    #[tokio::test(start_paused = true)]
    async fn a_file_that_never_takes_its_lines_is_given_up_sooner_where_the_job_is_to_stop() {
        let patience = (Duration::from_secs(3600), Duration::from_secs(7));
        let (going_on, stopping) = (Shutdown::default(), Shutdown::default());
        stopping.request(crate::base::shutdown::Signal::Terminate);
        for (shutdown, after) in [(&going_on, "3600 s"), (&stopping, "7 s")] {
            let lack = in_time(pending(), 5, patience, shutdown).await.unwrap_err();
            assert_eq!((lack.records, lack.error.kind()), (5, ErrorKind::TimedOut));
            assert!(lack.error.to_string().contains(after), "{}", lack.error);
        }
        in_time(ready(Ok(())), 5, (Duration::ZERO, Duration::ZERO), &stopping).await.unwrap();
    }
}

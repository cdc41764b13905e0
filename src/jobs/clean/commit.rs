//! Batches on their way, and the commit: what was read since the last time, with all that was made of it.
//!
//! Everything is acknowledged before the offsets are, and the offsets before the transaction ends. From the question that ends it
//! until its answer it is in doubt; whatever goes wrong before voids it.

use super::accounts::Accounts;
use super::files::Written;
use super::insights::Recent;
use super::lane::Lane;
use super::tally::Tally;
use super::work::{Halt, Work};
use crate::client::ClientError;
use crate::jobs::error::JobError;
use crate::rules::Counts;
use tokio::time::Instant;

/// What was being committed when the answer was lost.
pub(super) struct InDoubt {
    pub(super) tally: Tally,
    /// Records that came too late to be told duplicates for certain.
    pub(super) late: u64,
    pub(super) counts: Counts,
    /// Windows of insights that have closed.
    pub(super) closed: Recent,
    pub(super) files: Written,
}

impl Work<'_> {
    /// Sends the batches that are full.
    pub(super) async fn send(&mut self) -> Result<(), Halt> {
        for full in self.hand.outbox.take_full() {
            self.send_one(full).await?;
        }
        let Some(pen) = &mut self.pen else { return Err(JobError::OutputClosed.into()) };
        let noted = self.accounts.as_ref().map_or(0, Accounts::held_bytes);
        if pen.held_bytes() + noted > self.looked.held_bytes_max {
            pen.flush().await?;
        }
        self.take_landed();
        Ok(())
    }

    /// Commits what was read since the last time, with all that was made of it.
    pub(super) async fn commit(&mut self) -> Result<(), Halt> {
        let began = Instant::now();
        self.pace.asked(began);
        self.lanes.values_mut().for_each(Lane::pass_ground);
        self.keep_counts(false).await?;
        let open = self.lanes.values().filter(|lane| lane.is_open());
        let offsets: Vec<_> = open.map(|lane| (lane.partition.clone(), lane.reached())).collect();
        if offsets.is_empty() {
            return Ok(());
        }
        self.hand.outbox.cut_all()?;
        self.send().await?;
        let tally = self.lanes.values().fold(Tally::default(), |sum, lane| sum.plus(lane.open));
        let mut counts = self.hand.take_counts(tally)?;
        if let Some(lane) = self.lanes.values().find(|lane| !lane.adds_up()) {
            return Err(unequal_groups(lane).into());
        }
        let finished = self.finish_files(tally).await?;
        let Some(pen) = &mut self.pen else { return Err(JobError::OutputClosed.into()) };
        let stored = pen.flush().await?;
        let (of_insights, closed) = self.hand.take_insights();
        let expected = self.hand.written(tally) + of_insights;
        if stored != expected {
            return Err(unequal(stored, expected, tally).into());
        }
        self.note().await?;
        let Some(pen) = &mut self.pen else { return Err(JobError::OutputClosed.into()) };
        let Some(membership) = self.member.membership_in(offsets.iter().map(|(one, _)| one)) else {
            return Err(Halt::Doubt(self.not_ours()));
        };
        pen.offsets(&membership, &offsets).await?;
        // From now on the coordinator tells nobody where these partitions stand, until all of it does or nothing.
        let files = self.publish_files(finished).await?;
        let Some(pen) = &mut self.pen else { return Err(JobError::OutputClosed.into()) };
        let mut late = 0;
        for lane in self.lanes.values_mut() {
            late += lane.held.take_late();
            lane.held.count_into(&mut counts);
        }
        self.in_doubt = Some(InDoubt { tally, late, counts, closed, files });
        pen.commit().await?;
        if let Some(committed) = self.in_doubt.take() {
            self.done.count(&committed);
        }
        self.lanes.values_mut().for_each(Lane::stands);
        self.done.stands(&self.lanes);
        self.fruitless = 0;
        self.noted().await?;
        self.pace.cost(began.elapsed());
        Ok(())
    }

    pub(super) fn not_ours(&self) -> ClientError {
        let group = self.settings.group.group.clone();
        ClientError::Group { group, what: "partitions are other members' by now".to_owned() }
    }
}

#[cold]
fn unequal(stored: u64, expected: u64, tally: Tally) -> JobError {
    JobError::Refused(format!(
        "brokers have acknowledged {stored} records where {expected} were to go out, which is a defect of this program: {tally:?}; \
         nothing of this transaction is committed"
    ))
}

#[cold]
fn unequal_groups(lane: &Lane) -> JobError {
    JobError::Refused(format!(
        "{}: members of groups do not add up, which is a defect of this program: open groups have {} of {:?}; nothing of this \
         transaction is committed",
        lane.partition,
        lane.held.members(),
        lane.counted.plus(lane.open).grouped
    ))
}

//! The way back from every doubt: void what is open, ask whether we are still the one, look where the group stands, go on there.

use super::VOID_TIME;
use super::commit::InDoubt;
use super::work::Work;
use crate::base::place::TopicPartition;
use crate::client::ClientError;
use crate::client::group::{GroupEvent, NotCommitted, Start};
use crate::client::transactional::TransactionalProducer;
use crate::jobs::error::JobError;
use crate::wire::ErrorCode;
use std::collections::BTreeSet;
use std::time::Duration;

/// So often the job begins again after doubts with nothing committed between them.
const FRUITLESS_MAX: u32 = 5;
/// Between two of them, once, twice, three times ... so long.
const PAUSE: Duration = Duration::from_millis(200);

impl Work<'_> {
    /// Goes on after a doubt, without `gone`.
    pub(super) async fn recover(&mut self, doubt: ClientError, gone: &[TopicPartition]) -> Result<(), JobError> {
        self.recover_with(doubt, gone, Vec::new()).await
    }

    /// The same with what has become ours and was not begun with.
    pub(super) async fn recover_with(
        &mut self,
        doubt: ClientError,
        gone: &[TopicPartition],
        come: Vec<Start>,
    ) -> Result<(), JobError> {
        tracing::info!("what was written since the last commit does not count ({doubt}): going on from what stands");
        self.done.doubts += 1;
        // Of a rebalance nobody need despair.
        self.fruitless += u32::from(!is_about_the_member(&doubt));
        let before = std::mem::take(&mut self.lanes);
        self.hand.forget();
        let Some(pen) = self.pen.take() else { return Err(JobError::OutputClosed) };
        let mut producer = pen.into_producer().await;
        if self.fruitless > FRUITLESS_MAX {
            void(&mut producer).await;
            return Err(doubt.into());
        }
        let resolved = tokio::select! {
            biased;
            signal = self.cx.shutdown.wait() => Err(JobError::Interrupted(signal)),
            resolved = async {
                tokio::time::sleep(PAUSE * self.fruitless.saturating_sub(1)).await;
                producer.resolve().await
            } => resolved.map_err(|trouble| trouble.into_error().into()),
        };
        if let Err(error) = resolved {
            void(&mut producer).await;
            return Err(error);
        }
        self.pen = Some(producer.spread(Self::write_options()));
        let wanted: BTreeSet<&TopicPartition> =
            before.keys().filter(|one| !gone.contains(one)).chain(come.iter().map(|start| &start.partition)).collect();
        let wanted = wanted.into_iter().cloned().collect();
        let (starts, fresh) = self.look_again(wanted).await?;
        let mut stands = false;
        if let Some(in_doubt) = self.in_doubt.take() {
            let told = starts.iter().find_map(|start| before.get(&start.partition)?.tells(start));
            stands = told == Some(true);
            self.judge(in_doubt, told);
        }
        self.settle_accounts(stands).await?;
        // What they take is free before it is taken again.
        drop(before);
        self.begin(starts.into_iter().chain(fresh).collect()).await
    }

    /// Where the group stands in what is still ours, and what becomes ours meanwhile. Nothing is open, so that what is to be
    /// given up is given up at once.
    async fn look_again(&mut self, mut wanted: Vec<TopicPartition>) -> Result<(Vec<Start>, Vec<Start>), JobError> {
        let mut fresh: Vec<Start> = Vec::new();
        while !wanted.is_empty() {
            let looking = self.member.starts(wanted.clone());
            tokio::select! {
                biased;
                signal = self.cx.shutdown.wait() => return Err(JobError::Interrupted(signal)),
                event = self.member.next() => match event? {
                    GroupEvent::Assigned(starts) => {
                        self.told = Some(tokio::time::Instant::now());
                        fresh.extend(starts);
                    }
                    GroupEvent::Revoked(gone) | GroupEvent::Lost(gone) => {
                        self.told = None;
                        wanted.retain(|one| !gone.contains(one));
                        fresh.retain(|start| !gone.contains(&start.partition));
                    }
                },
                found = looking => match found {
                    Ok(starts) => return Ok((starts, fresh)),
                    // The event that says so is on its way.
                    Err(NotCommitted::Lost(lost)) => wanted.retain(|one| *one != lost),
                    Err(NotCommitted::Failed(error)) => return Err(error.into()),
                },
            }
        }
        Ok((Vec::new(), fresh))
    }

    /// What had been committed when the answer was lost counts, if it stands.
    fn judge(&mut self, in_doubt: InDoubt, told: Option<bool>) {
        match told {
            Some(true) => {
                self.fruitless = 0;
                self.done.count(&in_doubt);
            }
            Some(false) => {}
            None => {
                tracing::warn!(
                    records = in_doubt.tally.read,
                    "whether these count nobody can tell any more, because others have gone on from there: this run's counts leave \
                     them out, the group's have them if they stand"
                );
            }
        }
    }
}

/// Whether it is only that partitions have gone, or may have gone, to other members.
fn is_about_the_member(doubt: &ClientError) -> bool {
    use ErrorCode as E;
    let codes =
        [E::IllegalGeneration, E::UnknownMemberId, E::RebalanceInProgress, E::StaleMemberEpoch, E::FencedMemberEpoch];
    matches!(doubt, ClientError::Group { .. }) || doubt.code().is_some_and(|code| codes.contains(&code))
}

/// Voids what is open, so that readers need not wait until it times out; not at any price.
pub(super) async fn void(producer: &mut TransactionalProducer) {
    if !producer.holds_something_open() {
        return;
    }
    match tokio::time::timeout(VOID_TIME, producer.resolve()).await {
        Ok(Ok(())) => {}
        Ok(Err(trouble)) => tracing::debug!(error = %trouble.into_error(), "what is open will time out"),
        Err(_) => tracing::debug!("what is open will time out: its coordinator does not answer"),
    }
}

//! What a member asks its coordinator, and again; one question at a time, under way while it waits for other things as well.

use super::{Asked, Classic};
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::client::group::coordinator::{Content, Joined, Told};
use crate::client::group::heart::Heart;
use crate::client::group::leading::lead;
use crate::client::group::machine::Event;
use crate::client::group::subscription::Ours;
use crate::client::retry::{Verdict, verdict};
use crate::wire::ErrorCode;
use futures::future::BoxFuture;

impl Classic {
    pub(super) fn told(&mut self, told: Told) -> Result<Event, ClientError> {
        match told {
            Ok((code, content)) => {
                if code == ErrorCode::None {
                    self.retry = None;
                }
                let api = match self.asked {
                    Asked::Join => "JoinGroup",
                    Asked::Sync => "SyncGroup",
                    Asked::Leave => "LeaveGroup",
                };
                self.failure = (code != ErrorCode::None).then(|| self.coordinator.refusal(api, code));
                self.content = content;
                Ok(Event::Answered(code))
            }
            Err(error) if self.asked != Asked::Leave && verdict(&error) == Verdict::Stop => Err(error),
            Err(error) => {
                self.failure = Some(error);
                Ok(Event::NoAnswer)
            }
        }
    }

    pub(super) fn join(&mut self) -> Result<(), ClientError> {
        (self.heart, self.looking, self.led) = (None, None, None);
        let ours = Ours {
            topics: self.coordinator.options.topics.clone(),
            owned: self.holdings.owned().iter().cloned().collect(),
            last: self.last.0.clone(),
            generation: self.last.1,
            rack: None,
        };
        let mut protocols = Vec::new();
        for assignor in &self.coordinator.options.assignors {
            let bytes = ours.bytes(*assignor).map_err(|error| ClientError::Group {
                group: self.coordinator.options.group.clone(),
                what: format!("the subscription cannot be written: {error}"),
            })?;
            protocols.push((assignor.name(), bytes));
        }
        self.asked = Asked::Join;
        self.asking = Some(Box::pin(self.coordinator.clone().join(self.member.clone(), protocols)));
        Ok(())
    }

    pub(super) fn sync(&mut self, joined: Joined) -> Result<(), ClientError> {
        let assignors = &self.coordinator.options.assignors;
        let Some(assignor) = assignors.iter().copied().find(|one| one.name() == joined.protocol) else {
            return Err(ClientError::Group {
                group: self.coordinator.options.group.clone(),
                what: format!("its coordinator chose the assignor {:?}, which was not offered", joined.protocol),
            });
        };
        (self.member, self.generation, self.assignor) = (joined.member.as_str().into(), joined.generation, assignor);
        self.heart = Some(Heart::start(&self.coordinator, &self.member, self.generation, &self.hurry));
        (self.asked, self.leading) = (Asked::Sync, joined.is_leader);
        self.asking = Some(match self.leading {
            true => Box::pin(lead(self.coordinator.clone(), joined, assignor)),
            false => self.ask_for_the_share(),
        });
        Ok(())
    }

    fn ask_for_the_share(&self) -> BoxFuture<'static, Told> {
        let (member, generation) = (self.member.clone(), self.generation);
        Box::pin(self.coordinator.clone().sync(member, generation, self.assignor.name(), Vec::new()))
    }

    /// A leader that asks without shares has all members get none; so it joins again, and makes them anew.
    pub(super) fn ask_again_for_the_share(&mut self) {
        self.asking = Some(match self.leading {
            true => Box::pin(async { Ok((ErrorCode::RebalanceInProgress, Content::Nothing)) }),
            false => self.ask_for_the_share(),
        });
    }

    /// Before the same is asked again.
    pub(super) async fn pause(&mut self) -> Result<(), ClientError> {
        let cluster = &self.coordinator.cluster;
        // As long as the heart, which is patient for a session.
        let patience = cluster.timeout().max(self.coordinator.options.session_timeout);
        let retry = self.retry.get_or_insert_with(|| cluster.retry_until(Deadline::after(patience)));
        let error = self.failure.take().unwrap_or_else(|| ClientError::Group {
            group: self.coordinator.options.group.clone(),
            what: "its coordinator does not know this member any more".to_owned(),
        });
        retry.after_verdict(error, Verdict::Again).await.map(|_| ())
    }
}

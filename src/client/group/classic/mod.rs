//! A member by the classic protocol: the machine's actions, carried out. One task, in which nothing waits for anything but
//! the next event: an answer, a heartbeat's, the caller's, a look at the topics.

mod asking;

use super::assign::{Assignor, Counts};
use super::coordinator::{Content, Coordinator, Told};
use super::heart::Heart;
use super::holdings::Holdings;
use super::leading::look;
use super::machine::{Action, Event, Gone, State, step};
use super::subscription::read_share;
use super::waits::{quits, running};
use crate::base::place::TopicPartition;
use crate::client::error::ClientError;
use crate::client::retry::Retry;
use crate::wire::ErrorCode;
use futures::future::BoxFuture;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

const NO_GENERATION: i32 = -1;

/// What was asked of the coordinator last, to ask it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Join,
    Sync,
    Leave,
}

pub(super) struct Classic {
    coordinator: Arc<Coordinator>,
    holdings: Holdings,
    hurry: Arc<Notify>,
    quit: watch::Receiver<bool>,
    state: State,
    member: Arc<str>,
    generation: i32,
    assignor: Assignor,
    /// What we were given last, and in which generation.
    last: (Vec<TopicPartition>, i32),
    /// What the last share lacks of what we have.
    surplus: Vec<TopicPartition>,
    /// Whether the shares of this generation are ours to make.
    leading: bool,
    /// As the leader: the topics the shares were made of, and their partitions.
    led: Option<(BTreeSet<Arc<str>>, Counts)>,
    asked: Asked,
    asking: Option<BoxFuture<'static, Told>>,
    content: Content,
    failure: Option<ClientError>,
    /// Begins with the first failure in a row.
    retry: Option<Retry>,
    heart: Option<Heart>,
    looking: Option<BoxFuture<'static, Result<Counts, ClientError>>>,
}

impl Classic {
    pub(super) fn new(
        coordinator: Arc<Coordinator>,
        holdings: Holdings,
        hurry: Arc<Notify>,
        quit: watch::Receiver<bool>,
    ) -> Self {
        let assignor = coordinator.options.assignors.first().copied().unwrap_or(Assignor::Range);
        Self {
            coordinator,
            holdings,
            hurry,
            quit,
            state: State::Joining,
            member: "".into(),
            generation: NO_GENERATION,
            assignor,
            last: (Vec::new(), NO_GENERATION),
            surplus: Vec::new(),
            leading: false,
            led: None,
            asked: Asked::Join,
            asking: None,
            content: Content::Nothing,
            failure: None,
            retry: None,
            heart: None,
            looking: None,
        }
    }

    /// Is a member until the caller or an error ends it.
    pub(super) async fn run(mut self) -> Result<(), ClientError> {
        let ended = self.drive().await;
        if let Err(error) = ended {
            let fenced = matches!(error, ClientError::InstanceFenced { .. });
            self.holdings.end(error);
            // The others need not wait for the session to end.
            if !fenced && self.coordinator.options.instance.is_none() && !self.member.is_empty() {
                self.heart = None;
                return self.coordinator.clone().leave(self.member.clone()).await.map(|_| ());
            }
        }
        Ok(())
    }

    async fn drive(&mut self) -> Result<(), ClientError> {
        let mut action = Action::Join;
        loop {
            let event = match self.act(action).await? {
                Some(event) => event,
                None if matches!(action, Action::Done) => return Ok(()),
                None => self.next_event().await?,
            };
            let (state, next) = step(self.state, event);
            tracing::trace!(?event, ?state, action = ?next, "member");
            self.state = state;
            if let (Action::Stop, Event::Beat(code)) = (next, event) {
                self.failure = Some(self.coordinator.refusal("Heartbeat", code));
            }
            action = next;
        }
    }

    /// Does it; an event that follows from it at once is given back.
    async fn act(&mut self, action: Action) -> Result<Option<Event>, ClientError> {
        match action {
            Action::Wait | Action::Done => {}
            Action::Join => self.join()?,
            Action::JoinAs => {
                // Said again to somebody who has come with it, it may be said for ever.
                if !self.member.is_empty() {
                    self.pause().await?;
                }
                match std::mem::replace(&mut self.content, Content::Nothing) {
                    Content::Joined(joined) if !joined.member.is_empty() => self.member = joined.member.into(),
                    _ => return Err(self.failure.take().unwrap_or_else(|| self.defect("no member id"))),
                }
                self.join()?;
            }
            Action::Sync => {
                let Content::Joined(joined) = std::mem::replace(&mut self.content, Content::Nothing) else {
                    return Err(self.defect("a generation without an answer"));
                };
                self.sync(joined)?;
            }
            Action::Take => return self.take(),
            Action::GiveUp => {
                let going = match self.coordinator.options.is_cooperative() {
                    true => std::mem::take(&mut self.surplus),
                    false => self.holdings.owned().iter().cloned().collect(),
                };
                let waits = self.holdings.give_up(going);
                self.publish();
                if !waits {
                    return Ok(Some(Event::Released));
                }
            }
            Action::Lose(gone) | Action::Void(gone) => {
                self.forget(gone);
                let waits = self.holdings.lose();
                self.publish();
                if !waits {
                    self.pause().await?;
                    return Ok(Some(Event::Released));
                }
            }
            Action::Again | Action::Elsewhere => {
                if action == Action::Elsewhere {
                    self.coordinator.moved();
                }
                self.pause().await?;
                match self.asked {
                    Asked::Join => self.join()?,
                    Asked::Sync => self.ask_again_for_the_share(),
                    Asked::Leave => {}
                }
            }
            Action::Leave => {
                (self.asking, self.heart, self.looking) = (None, None, None);
                // Who has a name comes back under it and finds its share, if it is quick.
                if self.member.is_empty() || self.coordinator.options.instance.is_some() {
                    return Ok(Some(Event::Answered(ErrorCode::None)));
                }
                self.asked = Asked::Leave;
                self.asking = Some(Box::pin(self.coordinator.clone().leave(self.member.clone())));
            }
            Action::GiveWay => return Err(self.coordinator.refusal("JoinGroup", ErrorCode::FencedInstanceId)),
            Action::Stop => {
                return Err(self.failure.take().unwrap_or_else(|| self.defect("it stopped without a reason")));
            }
        }
        Ok(None)
    }

    async fn next_event(&mut self) -> Result<Event, ClientError> {
        loop {
            tokio::select! {
                told = running(&mut self.asking) => {
                    self.asking = None;
                    return self.told(told);
                }
                event = beating(&mut self.heart) => return Ok(event),
                released = self.holdings.released() => {
                    released?;
                    self.publish();
                    return Ok(Event::Released);
                }
                looked = running(&mut self.looking) => {
                    self.looking = None;
                    match looked {
                        Ok(counts) if self.led.as_ref().is_some_and(|(_, led)| *led != counts) => {
                            return Ok(Event::Stale);
                        }
                        Ok(_) => {}
                        Err(error) => tracing::debug!(%error, "looking at the topics"),
                    }
                    self.look_later();
                }
                // Whoever could say so is gone only together with this task.
                () = quits(&mut self.quit) => {
                    if self.state == State::Leaving {
                        let told = running(&mut self.asking).await;
                        self.asking = None;
                        return self.told(told);
                    }
                    return Ok(Event::Quit);
                }
            }
        }
    }

    fn take(&mut self) -> Result<Option<Event>, ClientError> {
        let Content::Share { share, led } = std::mem::replace(&mut self.content, Content::Nothing) else {
            return Err(self.defect("a share without an answer"));
        };
        let share = read_share(&share).map_err(|error| ClientError::Group {
            group: self.coordinator.options.group.clone(),
            what: format!("the share that its leader made cannot be read: {error}"),
        })?;
        let topics = &self.coordinator.options.topics;
        if let Some(strange) = share.iter().find(|one| one.partition < 0 || !topics.contains(&one.topic)) {
            return Err(ClientError::Group {
                group: self.coordinator.options.group.clone(),
                what: format!("its leader gave this member {strange}, which it did not subscribe to"),
            });
        }
        self.last = (share.clone(), self.generation);
        self.surplus = self.holdings.take(share);
        self.publish();
        if self.surplus.is_empty() || self.holdings.has_news() {
            self.holdings.start();
        }
        self.led = led;
        self.look_later();
        Ok((!self.surplus.is_empty()).then_some(Event::Surplus))
    }

    fn look_later(&mut self) {
        self.looking = self.led.as_ref().map(|(topics, _)| {
            let (coordinator, topics) = (self.coordinator.clone(), topics.clone());
            let looking = async move {
                tokio::time::sleep(coordinator.options.look_interval).await;
                look(&coordinator.cluster, &topics).await
            };
            Box::pin(looking) as BoxFuture<'static, _>
        });
    }

    fn forget(&mut self, gone: Gone) {
        (self.heart, self.looking, self.led) = (None, None, None);
        self.generation = NO_GENERATION;
        self.surplus.clear();
        if gone == Gone::Member {
            self.member = "".into();
        }
        self.last.1 = NO_GENERATION;
    }

    fn publish(&self) {
        self.holdings.publish(self.generation, &self.member);
    }

    fn defect(&self, what: &str) -> ClientError {
        ClientError::Group {
            group: self.coordinator.options.group.clone(),
            what: format!("{what} (a defect of this program, {:?})", self.state),
        }
    }
}

async fn beating(heart: &mut Option<Heart>) -> Event {
    match heart {
        Some(heart) => heart.next().await,
        None => std::future::pending().await,
    }
}

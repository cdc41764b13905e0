//! Members of groups between the wire and [`Membership`]: who must wait waits here, and a task minds the time.

use super::membership::{Answer, Env, Joined, Joining, Membership, Synced, Syncing};
use super::{Coordinator, Sort};
use crate::broker::cluster::Cluster;
use crate::wire::ErrorCode;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Until it is looked again whether the coordinator of a group can be reached.
const RETRY: Duration = Duration::from_millis(50);

/// The task that minds the time. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Clock {
    task: JoinHandle<()>,
}

impl Clock {
    pub(crate) fn start(cluster: &Arc<Cluster>) -> Self {
        Self { task: tokio::spawn(mind(cluster.clone())) }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn mind(cluster: Arc<Cluster>) {
    let coordinator = &cluster.coordinator;
    loop {
        let mut woken = pin!(coordinator.groups_changed.notified());
        woken.as_mut().enable();
        let seat = |group: &str| {
            let node = coordinator.seats.node(Sort::Group, group, &cluster);
            node.filter(|node| cluster.is_reachable(*node))
        };
        let next = coordinator.groups().tick(&coordinator.env(&cluster), RETRY, seat);
        match next {
            Some(at) => tokio::select! {
                () = woken => {}
                () = tokio::time::sleep_until(at) => {}
            },
            None => woken.await,
        }
    }
}

impl Coordinator {
    pub(crate) fn env<'a>(&'a self, cluster: &'a Cluster) -> Env<'a> {
        Env { now: Instant::now(), config: &self.group_config, memory: &cluster.memory }
    }

    /// Somebody joins a group at its node, and waits for the others. Nothing where the same member asks again meanwhile.
    pub(crate) async fn join(&self, cluster: &Cluster, node: i32, group: &str, joining: &Joining) -> Option<Joined> {
        let refused = |member: &str, error| Some(Joined::refused(member, error));
        let answer = {
            let mut groups = self.groups();
            if !groups.contains(group) && !joining.member.is_empty() {
                return refused(&joining.member, ErrorCode::UnknownMemberId);
            }
            if let Err(error) = groups.make(group, &cluster.memory) {
                return refused("", error);
            }
            let (ticket, answer) = groups.ticket();
            let env = self.env(cluster);
            let join = |membership: &mut Membership| membership.join(&env, ticket, joining);
            groups.step(&env, group, node, || self.wake_clock(), join);
            answer
        };
        match answer.await {
            Ok(Answer::Join(joined)) => Some(joined),
            _ => None,
        }
    }

    /// A member asks for its share, and waits for the leader. Nothing where it asks again meanwhile.
    pub(crate) async fn sync(
        &self,
        cluster: &Cluster,
        node: i32,
        group: &str,
        syncing: &Syncing<'_>,
    ) -> Option<Synced> {
        let answer = {
            let mut groups = self.groups();
            let (ticket, answer) = groups.ticket();
            let env = self.env(cluster);
            let sync = |membership: &mut Membership| membership.sync(&env, ticket, syncing);
            let stepped = groups.step(&env, group, node, || self.wake_clock(), sync);
            if stepped.is_none() {
                groups.give_up(ticket);
                return Some(Synced::refused(ErrorCode::UnknownMemberId));
            }
            answer
        };
        match answer.await {
            Ok(Answer::Sync(synced)) => Some(synced),
            _ => None,
        }
    }

    /// Something that is answered at once. Nothing where there is no such group.
    pub(crate) fn at_group<T>(
        &self,
        cluster: &Cluster,
        node: i32,
        group: &str,
        act: impl FnOnce(&mut Membership, &Env<'_>) -> T,
    ) -> Option<T> {
        let env = self.env(cluster);
        self.groups().step(&env, group, node, || self.wake_clock(), |membership| act(membership, &env))
    }

    /// The task that minds the time is to look now: groups have changed, or who coordinates them.
    pub(crate) fn wake_clock(&self) {
        self.groups_changed.notify_one();
    }
}

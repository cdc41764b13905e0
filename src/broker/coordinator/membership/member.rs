//! One member: what it can do, what it waits for, until when it is believed to be alive.

use super::{Env, Ticket};
use crate::broker::memory::Paid;
use crate::wire::ErrorCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What a member and one of its protocols cost beside their strings and bytes: also who waits for its answers, and its
/// names wherever else they stand.
const MEMBER_BYTES: usize = 768;
const PROTOCOL_BYTES: usize = 96;

/// A way of sharing the work, and what a member says about itself in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Protocol {
    pub(crate) name: Arc<str>,
    pub(crate) metadata: Arc<[u8]>,
}

/// See the module's head. A clone shares all bytes, and their price.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: Arc<str>,
    /// The name of a static member.
    pub(crate) instance: Option<Arc<str>>,
    pub(crate) client_id: Arc<str>,
    pub(crate) client_host: Arc<str>,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    /// In the order in which it likes them.
    pub(super) protocols: Arc<[Protocol]>,
    pub(crate) assignment: Arc<[u8]>,
    /// It has never been answered.
    pub(super) is_new: bool,
    pub(super) join: Option<Ticket>,
    pub(super) sync: Option<Ticket>,
    /// When its session ends; nothing where that came and went while it waited for an answer.
    pub(super) until: Option<Instant>,
    pub(super) paid: Arc<Paid>,
    pub(super) assignment_paid: Option<Arc<Paid>>,
}

impl Member {
    /// Its session begins anew.
    pub(super) fn renew(&mut self, now: Instant) {
        self.until = Some(now + self.session_timeout);
    }

    /// It waits for an answer, and so need not be heard of.
    pub(super) fn is_excused(&self) -> bool {
        !self.is_new && (self.join.is_some() || self.sync.is_some())
    }

    /// What it says about itself in a protocol.
    pub(crate) fn metadata(&self, protocol: Option<&Arc<str>>) -> Arc<[u8]> {
        let found = self.protocols.iter().find(|known| Some(&known.name) == protocol);
        found.map_or_else(|| [].into(), |known| known.metadata.clone())
    }
}

/// Pays for a member.
pub(super) fn pay(env: &Env<'_>, strings: usize, protocols: &[Protocol]) -> Result<Arc<Paid>, ErrorCode> {
    let of = |protocol: &Protocol| PROTOCOL_BYTES + protocol.name.len() + protocol.metadata.len();
    let bytes = MEMBER_BYTES + strings + protocols.iter().map(of).sum::<usize>();
    env.memory.take(bytes).map(Arc::new).ok_or(ErrorCode::CoordinatorNotAvailable)
}

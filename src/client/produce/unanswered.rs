//! Writing without acknowledgements: what can still be learned.
//!
//! A batch counts as sent when the network has it. A broker that refuses it says nothing but closes the connection, and so does
//! one that goes away. So whenever there is nothing to send the broker is asked something else on the same connection, for it works
//! on one request after the other: its answer says that it has come to an end with all before. Where the connection ends instead,
//! something may be lost; that is counted and said, and writing goes on. What the network had not taken by then is sent again, and
//! no reason to doubt: so it is with a connection that broke while it was idle. Where it breaks within one write of several
//! batches, all of these are sent again, and some may be there twice: nothing else is promised without acknowledgements.

use super::{Acks, PartitionWriter};
use crate::client::address::Address;
use crate::client::call::Pending;
use crate::client::deadline::Deadline;
use crate::wire::api_versions::ApiVersions;

/// What went out, and how far the broker is with it.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    written: u64,
    /// Of these nothing more can be learned.
    settled: u64,
    /// What was asked behind so many, and is not answered yet.
    word: Option<(u64, Pending<ApiVersions>)>,
    lost: u64,
}

impl Unanswered {
    /// The network has one more.
    pub(super) fn written(&mut self) {
        self.written += 1;
    }
}

impl PartitionWriter {
    pub(super) fn is_unanswered(&self) -> bool {
        self.acks == Acks::None
    }

    /// Whether something went out of which it is not known that the broker has come to it. [`PartitionWriter::flush`] waits for
    /// that.
    pub fn awaits_word(&self) -> bool {
        self.unanswered.settled < self.unanswered.written
    }

    /// How many connections were lost, and with them perhaps what was sent without being answered.
    pub fn connections_lost(&self) -> u64 {
        self.unanswered.lost
    }

    /// Waits until the broker has come to all that went out, or the connection is lost. What is dropped while it waits does no
    /// harm.
    pub(super) async fn hear_word(&mut self) {
        while self.awaits_word() {
            let Some((_, connection)) = self.connection.clone() else { return };
            let written = self.unanswered.written;
            if self.unanswered.word.is_none() {
                match connection.ask_anything(Deadline::after(self.cluster.timeout())) {
                    Ok(pending) => self.unanswered.word = Some((written, pending)),
                    Err(error) => {
                        self.connection_lost(connection.broker(), &error.to_string());
                        return;
                    }
                }
            }
            let Some((written, pending)) = &mut self.unanswered.word else { return };
            let (written, answer) = (*written, pending.await);
            self.unanswered.word = None;
            match answer {
                Ok(_) => self.unanswered.settled = written,
                Err(error) => self.connection_lost(connection.broker(), &error.to_string()),
            }
        }
    }

    /// Lets go of a connection that takes nothing more.
    pub(super) fn let_go(&mut self) {
        if let Some((_, connection)) = self.connection.take()
            && self.is_unanswered()
        {
            self.connection_lost(connection.broker(), "it was closed");
            // That is all that a broker can say which leads the partition no more.
            self.look_again();
        }
    }

    /// Nobody will say what became of what was sent on it.
    pub(super) fn connection_lost(&mut self, broker: &Address, why: &str) {
        if self.awaits_word() {
            self.unanswered.lost += 1;
            tracing::warn!(
                partition = %self.partition(), %broker, why,
                "the connection is lost, and with it perhaps what was sent last: nothing is answered"
            );
        }
        self.unanswered.settled = self.unanswered.written;
        self.unanswered.word = None;
    }
}

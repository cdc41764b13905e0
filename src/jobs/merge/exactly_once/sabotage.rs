//! For tests: takes away one safety at a time, to see that the crash sweep finds out. Nothing of it is in the program.

use crate::client::transactional::TransactionWriter;
use crate::jobs::ledger::facts::OutputFacts;
use crate::jobs::ledger::tail::TailFound;

/// Which safety is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::jobs::merge) enum Sabotage {
    /// Who starts takes over without shutting the one before it out.
    NoFencing,
    /// The output's tail is not compared with the record.
    NoTailCheck,
    /// Progress is committed in a transaction of its own, after that of the output it speaks of.
    RecordApart,
    /// A batch that is sent again has another number than before.
    NoSequences,
    /// What is committed is read before all markers are written.
    NoBarrier,
}

tokio::task_local! {
    static MISSING: Option<Sabotage>;
}

impl Sabotage {
    /// Runs `work` without that safety.
    pub(super) async fn during<T>(missing: Option<Self>, work: impl Future<Output = T>) -> T {
        MISSING.scope(missing, work).await
    }

    /// The transactional id: without fencing, one that nobody else has.
    pub(super) fn unfenced(name: String) -> String {
        if Self::NoFencing.is_missing() { format!("{name}-{:x}", rand::random::<u64>()) } else { name }
    }

    /// What is known of the output: without the look at its tail, that all is well.
    pub(in crate::jobs::merge) fn blind(mut facts: OutputFacts) -> OutputFacts {
        if Self::NoTailCheck.is_missing() {
            facts.tail = facts.tail.map(|_| TailFound::There);
            facts.behind = None;
        }
        facts
    }

    /// The writer: without sequences, one that numbers repeats anew.
    pub(super) fn renumbering(mut writer: TransactionWriter) -> TransactionWriter {
        if Self::NoSequences.is_missing() {
            writer.renumber();
        }
        writer
    }

    /// Whether this safety is missing now.
    pub(super) fn is_missing(self) -> bool {
        MISSING.try_with(|missing| *missing == Some(self)).unwrap_or(false)
    }
}

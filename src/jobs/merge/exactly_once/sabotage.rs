//! For tests: takes away one safety at a time, to see that the crash sweep finds out. Nothing of it is in the program.

/// Which safety is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// Who starts takes over without shutting the one before it out.
    NoFencing,
    /// The output's tail is not compared with the record.
    NoTailCheck,
    /// Progress is committed in a transaction of its own, before the output it speaks of.
    RecordApart,
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

    /// Whether this safety is missing now.
    pub(super) fn is_missing(self) -> bool {
        MISSING.try_with(|missing| *missing == Some(self)).unwrap_or(false)
    }
}

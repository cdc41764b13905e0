//! What sort of failure an error is: the one thing the exit status needs to know about it.

/// The sorts of failure a user can tell apart by the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something failed that is none of the below.
    Failed,
    /// The command or its configuration is wrong; nothing was started.
    Usage,
    /// The cluster could not be reached, refused, or did not answer in time.
    Unreachable,
    /// The data is not what was promised: unsorted, unreadable, different.
    Data,
    /// Another instance of the same job has taken over.
    Fenced,
    /// A signal asked us to stop.
    Interrupted(super::shutdown::Signal),
}

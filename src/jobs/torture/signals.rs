//! The signals that torture: to ourselves, and to a merge that we have started.

use super::halt::How;

#[cfg(unix)]
pub(super) use unix::{can, halt_myself, is_killed, is_stopped, wake};

#[cfg(unix)]
mod unix {
    use super::How;
    use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process, waitid};
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    /// Whether there is anything of the kind here.
    pub(crate) fn can() -> bool {
        true
    }

    /// Ends or stops this process; when it is ended, it does not come back from here.
    pub(crate) fn halt_myself(how: How) {
        let signal = match how {
            How::Kill => Signal::KILL,
            How::Stop => Signal::STOP,
        };
        // To ourselves it cannot be refused.
        let _ = kill_process(getpid(), signal);
    }

    /// Whether a process was killed rather than ended.
    pub(crate) fn is_killed(status: ExitStatus) -> bool {
        status.signal() == Some(Signal::KILL.as_raw())
    }

    fn pid(id: u32) -> Option<Pid> {
        Pid::from_raw(i32::try_from(id).ok()?)
    }

    /// Whether a child that was not waited for stands still.
    pub(crate) fn is_stopped(id: u32) -> bool {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        pid(id).is_some_and(|pid| matches!(waitid(WaitId::Pid(pid), options), Ok(Some(_))))
    }

    /// Lets a child that was not waited for go on.
    pub(crate) fn wake(id: u32) {
        // Who is gone needs no signal.
        let _ = pid(id).map(|pid| kill_process(pid, Signal::CONT));
    }
}

#[cfg(not(unix))]
pub(super) use elsewhere::{can, halt_myself, is_killed, is_stopped, wake};

/// Without signals nothing can be tortured.
#[cfg(not(unix))]
mod elsewhere {
    use super::How;
    use std::process::ExitStatus;

    pub(crate) fn can() -> bool {
        false
    }

    pub(crate) fn halt_myself(_how: How) {}

    pub(crate) fn is_killed(_status: ExitStatus) -> bool {
        false
    }

    pub(crate) fn is_stopped(_id: u32) -> bool {
        false
    }

    pub(crate) fn wake(_id: u32) {}
}

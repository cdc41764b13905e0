//! The command that `kmerge broker --exec` runs: started with the broker's address, ended with everything it started.
//!
//! Non-obvious:
//! - A shell that is ended leaves what it started running. So the command gets a process group of its own, and the group is
//!   ended: asked first (SIGTERM), then, after [`GRACE`], made to (SIGKILL).
//! - Only the terminal's foreground group may read from a terminal, another one is stopped by SIGTTIN. So where our stdin is a
//!   terminal the command stays in our group: `--exec bash` works, and Ctrl-C reaches all of it from the terminal. Then only
//!   the shell itself is ended by us, since our group may hold whoever started us.
//! - A second signal while we wait leaves at once, as everywhere; what the command started has been asked by then.

use super::exit::{ChildStatus, of_signal};
use anyhow::Context as _;
use kmerge::base::shutdown::Shutdown;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::{Child, Command};

/// How long the command may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(5);

/// Runs the command until it ends, or ends it when we are asked to. Its status is ours.
pub async fn run(command: &str, bootstrap: &str, shutdown: &Shutdown) -> anyhow::Result<()> {
    let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let mut starting = Command::new(shell);
    starting
        .args([flag, command])
        .env("KAFKA_BOOTSTRAP_SERVERS", bootstrap)
        // Ours as well: one that is set for the user's own cluster would lead kmerge there.
        .env("KMERGE_BROKERS", bootstrap)
        .kill_on_drop(true);
    let (mut child, family) = Family::start(&mut starting).with_context(|| format!("start {shell} for --exec"))?;
    let status = tokio::select! {
        status = child.wait() => status.context("wait for the command of --exec")?,
        signal = shutdown.wait() => {
            family.end(&mut child).await.context("end the command of --exec")?;
            return Err(ChildStatus(of_signal(signal)).into());
        }
    };
    match status_byte(status) {
        0 => Ok(()),
        status => Err(ChildStatus(status).into()),
    }
}

/// The status as a shell tells it: 128 and the signal for a command that a signal ended.
fn status_byte(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(1);
    }
    status.code().map_or(1, |code| u8::try_from(code).unwrap_or(1))
}

#[cfg(unix)]
use unix::Family;

#[cfg(unix)]
mod unix {
    use super::{Child, Command, GRACE};
    use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
    use std::io::{self, IsTerminal as _};
    use std::time::Duration;
    use tokio::time::{sleep, timeout};

    /// How often it is looked whether the group is empty: nothing tells of the end of a process that is not our child.
    const LOOK_EVERY: Duration = Duration::from_millis(20);

    /// The command, with or without what it started.
    pub(super) struct Family {
        leader: Option<Pid>,
        grouped: bool,
    }

    impl Family {
        pub(super) fn start(command: &mut Command) -> io::Result<(Child, Self)> {
            let grouped = !io::stdin().is_terminal();
            if grouped {
                command.process_group(0);
            }
            let child = command.spawn()?;
            let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
            Ok((child, Self { leader, grouped }))
        }

        /// Asks, waits, and makes sure.
        pub(super) async fn end(&self, child: &mut Child) -> io::Result<()> {
            self.send(Signal::TERM);
            let gone = async {
                let ended = child.wait().await;
                while self.is_left() {
                    sleep(LOOK_EVERY).await;
                }
                ended
            };
            if let Ok(ended) = timeout(GRACE, gone).await {
                return ended.map(|_| ());
            }
            self.send(Signal::KILL);
            child.wait().await.map(|_| ())
        }

        /// Whether anything is left of the group. While there is, no other group can have its number.
        fn is_left(&self) -> bool {
            self.grouped && self.leader.is_some_and(|leader| test_kill_process_group(leader).is_ok())
        }

        /// Only before the command's end was waited for, or while its group is not empty: later the number is another's.
        fn send(&self, signal: Signal) {
            let Some(leader) = self.leader else { return };
            // Who is gone needs no signal.
            let _ = match self.grouped {
                true => kill_process_group(leader, signal),
                false => kill_process(leader, signal),
            };
        }
    }
}

#[cfg(not(unix))]
use elsewhere::Family;

/// Without process groups: the shell is ended, at once.
#[cfg(not(unix))]
mod elsewhere {
    use super::{Child, Command};
    use std::io;

    pub(super) struct Family;

    impl Family {
        pub(super) fn start(command: &mut Command) -> io::Result<(Child, Self)> {
            Ok((command.spawn()?, Self))
        }

        pub(super) async fn end(&self, child: &mut Child) -> io::Result<()> {
            child.kill().await
        }
    }
}

//! One life of the merge: a process of its own, from its start to its end, however that comes.
//!
//! Non-obvious:
//! - Where it goes on it says itself, on stderr. The job record would tell as well, but after a kill only once the transaction
//!   that was left open has timed out.
//! - It gets a process group of its own: a Ctrl-C at the terminal is for us, who then end it.

use super::halt::{Halt, VARIABLE};
use super::signals;
use super::{Stop, TortureSettings};
use crate::base::units::show_count;
use crate::jobs::JobContext;
use crate::jobs::error::JobError;
use std::collections::VecDeque;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Of what it says, this many lines are kept for the case that something goes wrong.
const LINES_MAX: usize = 20;
/// Nothing tells of a process that stands still: it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long the end of its stderr may take to reach us when it is gone.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// The status of who was taken over.
const TAKEN_OVER: i32 = 5;
/// How it says where it goes on.
const RESUMED: &str = "resumed at record ";
/// How it says that it has found nothing to do.
const COMPLETE: &str = "already complete";
/// After how long the cluster may void what a kill left open: so long nobody waits, because the next life takes over at once.
const TRANSACTION_TIMEOUT: &str = "10s";
/// Small batches make a slow merge, in which there is time to be killed.
pub(super) const BATCH_BYTES: u64 = 2000;
/// For the output, and for each input: little, so that it is fetched often.
const MEMORY_BYTES: (usize, usize) = (1 << 20, 256 << 10);

/// What every life of one job has in common.
pub(super) struct Merge {
    pub(super) input: String,
    pub(super) output: String,
    pub(super) job: String,
    pub(super) jobs_topic: String,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The job is complete.
    Complete,
    /// Killed, by itself or by us.
    Killed,
    /// Another instance has taken over.
    TakenOver,
}

/// See the module's head.
pub(super) struct Life {
    child: Child,
    id: u32,
    began: Instant,
    heard: Arc<Heard>,
    listener: JoinHandle<()>,
}

/// What it said so far.
#[derive(Default)]
struct Heard {
    said: Mutex<Said>,
    resumed: Notify,
}

#[derive(Default)]
struct Said {
    resumed_at: Option<u64>,
    was_complete: bool,
    /// The last lines.
    lines: VecDeque<String>,
}

impl Heard {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Merge {
    /// Starts a life, which halts itself if it is told to.
    pub(super) fn start(&self, settings: &TortureSettings, cx: &JobContext, halt: Option<&Halt>) -> Result<Life, Stop> {
        let mut command = Command::new(&settings.program);
        let memory = MEMORY_BYTES.0 + MEMORY_BYTES.1 * settings.partitions as usize;
        command.args(["merge", "--delivery", "exactly-once", "--progress", "never", "--output", "text"]);
        command.args(["--from", &self.input, "--to", &self.output, "--job", &self.job]);
        command.args(["--jobs-topic", &self.jobs_topic, "--transaction-timeout", TRANSACTION_TIMEOUT]);
        command.args(["--commit-interval", &in_ms(settings.commit_interval), "--timeout", &in_ms(cx.timeout)]);
        command.args(["--memory", &memory.to_string(), "--batch-bytes", &BATCH_BYTES.to_string()]);
        command.args(["--brokers", &cx.brokers.join(",")]);
        // What is heard of it must not depend on what somebody else wants to hear.
        command.env("KMERGE_LOG", "warn,rskafka=off,kmerge=info").env("NO_COLOR", "1").env_remove(VARIABLE);
        if let Some(halt) = halt {
            command.env(VARIABLE, halt.to_string());
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let began = Instant::now();
        let started = command.spawn().and_then(|mut child| {
            let gone = || io::Error::other("it was gone at once");
            let (id, stderr) = (child.id().ok_or_else(gone)?, child.stderr.take().ok_or_else(gone)?);
            Ok((child, id, stderr))
        });
        let (child, id, stderr) = started
            .map_err(|error| JobError::Refused(format!("start {} merge: {error}", settings.program.display())))?;
        let heard = Arc::<Heard>::default();
        let listener = tokio::spawn(listen(stderr, heard.clone()));
        Ok(Life { child, id, began, heard, listener })
    }
}

fn in_ms(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

async fn listen(stderr: ChildStderr, heard: Arc<Heard>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let rank = resumed_at(&line);
        let mut said = heard.said();
        said.was_complete |= line.contains(COMPLETE);
        if said.lines.len() == LINES_MAX {
            said.lines.pop_front();
        }
        said.lines.push_back(line);
        if rank.is_some() && said.resumed_at.is_none() {
            said.resumed_at = rank;
            heard.resumed.notify_one();
        }
    }
}

/// The record at which a merge says that it goes on, if it says so here.
fn resumed_at(line: &str) -> Option<u64> {
    let (_, after) = line.split_once(RESUMED)?;
    let digits: String = after.chars().take_while(|c| c.is_ascii_digit() || *c == ',').filter(|c| *c != ',').collect();
    digits.parse().ok()
}

impl Life {
    /// How long it has been there.
    pub(super) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// At which record it has gone on, once it said so.
    pub(super) fn resumed_at(&self) -> Option<u64> {
        self.heard.said().resumed_at
    }

    /// Whether it has found the job complete when it began.
    pub(super) fn found_it_complete(&self) -> bool {
        self.heard.said().was_complete
    }

    /// Waits until it has said where it goes on, or ended, or for so long.
    pub(super) async fn has_begun(&mut self, most: Duration) {
        let heard = self.heard.clone();
        let begun = async {
            tokio::select! {
                () = heard.resumed.notified() => {}
                _ = self.child.wait() => {}
            }
        };
        let _ = timeout(most, begun).await;
    }

    /// Waits until it stands still; `false` if it has ended instead.
    pub(super) async fn has_stopped(&mut self, most: Duration) -> Result<bool, Stop> {
        while self.age() < most {
            if signals::is_stopped(self.id) {
                return Ok(true);
            }
            if self.child.try_wait().map_err(|error| lost(&error))?.is_some() {
                return Ok(false);
            }
            sleep(LOOK_EVERY).await;
        }
        Err(self.hangs(most))
    }

    /// Lets it go on.
    pub(super) fn wake(&self) {
        signals::wake(self.id);
    }

    /// Kills it, if it is still there after that time. How it has ended then.
    pub(super) async fn killed_after(&mut self, time: Duration, most: Duration) -> Result<End, Stop> {
        if timeout(time, self.child.wait()).await.is_err() {
            self.child.start_kill().map_err(|error| lost(&error))?;
        }
        self.ended(most).await
    }

    /// Waits for its end; every other one than these is a fault, with what it said last.
    pub(super) async fn ended(&mut self, most: Duration) -> Result<End, Stop> {
        let status = match timeout(most, self.child.wait()).await {
            Ok(status) => status.map_err(|error| lost(&error))?,
            Err(_) => return Err(self.hangs(most)),
        };
        let _ = timeout(LAST_WORDS, &mut self.listener).await;
        match end_of(status) {
            Some(end) => Ok(end),
            None => Err(Stop::Fault(format!("a merge has ended with {status}.{}", self.last_words()))),
        }
    }

    fn hangs(&self, most: Duration) -> Stop {
        Stop::Fault(format!("a merge has not ended after {} s.{}", show_count(most.as_secs()), self.last_words()))
    }

    fn last_words(&self) -> String {
        let said = self.heard.said();
        match said.lines.is_empty() {
            true => " It said nothing".to_owned(),
            false => said.lines.iter().fold(" It said:".to_owned(), |said, line| said + "\n    " + line),
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

fn end_of(status: ExitStatus) -> Option<End> {
    match status.code() {
        Some(0) => Some(End::Complete),
        Some(TAKEN_OVER) => Some(End::TakenOver),
        _ if signals::is_killed(status) => Some(End::Killed),
        _ => None,
    }
}

fn lost(error: &io::Error) -> Stop {
    Stop::Job(JobError::Refused(format!("wait for a merge: {error}")))
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::testing::{Script, settings};
    use super::*;
    use crate::jobs::ledger::start::Start;
    use crate::jobs::ledger::testing::{plan, progress};
    use crate::jobs::testing::context;

    #[test]
    fn what_a_merge_says_of_where_it_goes_on_is_understood() {
        let mut progress = progress();
        for rank in [7, 1_234, 12_345_678] {
            progress.rank = rank;
            let said = Start::Continue { plan: plan(), progress: progress.clone() }.sentence().unwrap();
            assert_eq!(resumed_at(&format!("2026-01-01T00:00:00Z  INFO {said}")), Some(rank), "{said}");
        }
        assert_eq!(resumed_at("merge: 5 of 10 records"), None);
        let said = Start::Complete { plan: plan(), progress, grown: 0 }.sentence().unwrap();
        assert!(said.contains(COMPLETE) && resumed_at(&said).is_none(), "{said}");
    }

    fn fault(ended: Result<End, Stop>) -> String {
        match ended {
            Err(Stop::Fault(fault)) => fault,
            Err(Stop::Job(error)) => panic!("{error}"),
            Ok(end) => panic!("{end:?}"),
        }
    }

    /// A life of a program that does this instead of merging.
    fn life(script: &Script) -> Life {
        let name = || "kmerge-torture-x".to_owned();
        let merge = Merge { input: name(), output: name(), job: name(), jobs_topic: name() };
        let Ok(life) = merge.start(&settings(script), &context(), None) else { panic!("it does not start") };
        life
    }

    #[tokio::test]
    async fn one_that_hangs_is_given_up_with_what_it_said() {
        let script = Script::new("hangs", "echo what hangs says >&2; exec sleep 600");
        let mut life = life(&script);
        // It has to have said that before we give up.
        while life.last_words().ends_with("nothing") {
            tokio::task::yield_now().await;
        }
        let fault = fault(life.ended(Duration::from_millis(10)).await);
        assert!(fault.contains("has not ended") && fault.contains("what hangs says"), "{fault}");
    }

    #[tokio::test]
    async fn every_way_to_end_is_told_from_the_others() {
        let most = Duration::from_secs(60);
        for (does, end) in [("exit 0", End::Complete), ("exit 5", End::TakenOver), ("kill -9 $$", End::Killed)] {
            let script = Script::new(&format!("ends-{end:?}"), does);
            assert_eq!(life(&script).ended(most).await.ok(), Some(end), "{does}");
        }
        for (does, said) in [("exit 1", "status: 1"), ("kill -15 $$", "signal: 15")] {
            let script = Script::new(&format!("fails-{}", said.len()), &format!("echo why >&2; {does}"));
            let fault = fault(life(&script).ended(most).await);
            assert!(fault.contains(said) && fault.ends_with("why"), "{fault}");
        }
    }

    #[tokio::test]
    async fn one_that_stands_still_is_seen_and_woken() {
        let most = Duration::from_secs(60);
        let script = Script::new("stops", "kill -STOP $$; exit 5");
        let mut stopped = life(&script);
        assert_eq!(stopped.has_stopped(most).await.ok(), Some(true));
        stopped.wake();
        assert_eq!(stopped.ended(most).await.ok(), Some(End::TakenOver));
        let script = Script::new("does-not-stop", "exit 0");
        assert_eq!(life(&script).has_stopped(most).await.ok(), Some(false));
    }
}

//! Whole jobs: the only code that knows several stages. Each is `run(settings, context) -> report`.
//!
//! Settings are checked before they come here; reports know how to show themselves to people (`summary`) and as one JSON
//! object (`to_json`). A job prints nothing: the command line does.

// The main job, and data to try it on.
pub mod merge;

pub mod generate;

// Files and pipes into a topic.
pub mod produce;

// Is it sorted? Is the output what the inputs say? A look inside.
pub mod check;

pub mod verify;

pub mod peek;

// What is in it, and how fast does it come?
pub mod stats;

// What do its records come to, in groups?
pub mod measure;

// Records out, as text.
pub mod consume;

// Records put right on their way from a topic to another one.
pub mod clean;

// Does it go on exactly where it was, whatever is killed?
pub mod torture;

// Partitions to other brokers, and groups of readers to other offsets.
pub mod reassign;

pub mod groups;

// What does a cluster do, look by look?
pub mod monitor;

// What does a cluster make of a rate of records?
pub mod load;

// How near does a merge come to what it takes?
pub mod perf;

// What a job was about to do and how far it came, kept in the cluster.
mod ledger;

pub use ledger::name::check_name as check_job_name;

// Is what is there what was written? And what was written, minute by minute.
pub mod reconcile;

pub mod minutes;

// What jobs share.
pub mod pour;

pub mod pace;

mod commit_pace;

mod pool;

mod made;

pub mod cursor;

mod outlet;

mod windows;

mod range;

pub mod error;

#[cfg(test)]
mod testing;

use crate::base::shutdown::Shutdown;
use crate::observe::phase::Phases;
use crate::observe::progress::Progress;
use std::time::Duration;

/// What every job runs in.
#[derive(Debug, Clone)]
pub struct JobContext {
    /// Where the cluster is: `host:port` each.
    pub brokers: Vec<String>,
    /// Whether the environment names them as well, so that a command line that is shown need not.
    pub brokers_in_environment: bool,
    /// How long to try to reach the cluster, and how long one request may take.
    pub timeout: Duration,
    /// The wish to stop.
    pub shutdown: Shutdown,
    /// Counters that the job moves.
    pub progress: Progress,
    /// Hears where a merge that is delivered exactly once is.
    pub phases: Phases,
    /// Whether others on this machine come first.
    pub gives_way: bool,
}

impl JobContext {
    /// Lets whoever waits for this core have it now, where others come first: called every millisecond or so by what works
    /// without waiting for anything. A niceness alone does not do that: whoever is woken on a busy core waits until the turn
    /// of the one that has it is over, and beside a broker that happens at each step of each request.
    #[inline]
    pub(crate) fn give_way(&self) {
        if self.gives_way {
            std::thread::yield_now();
        }
    }
}

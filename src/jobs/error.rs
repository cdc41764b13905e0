//! What stops a job: every error names what it is about, and its kind decides the exit status.

use crate::base::kind::Kind;
use crate::base::place::{Place, TopicPartition};
use crate::base::shutdown::Signal;
use crate::base::units::show_count;
use crate::batch::BatchError;
use crate::client::ClientError;
use crate::client::rskafka::{NotAdjacent, PlainError};
use crate::formats::Malformed;
use crate::keys::KeyError;
use crate::spill::SpillError;

/// Why a job stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The plan cannot be carried out, or not to its end.
    #[error("{0}")]
    Refused(String),
    /// The settings contradict each other or what is there.
    #[error("{0}")]
    Usage(String),
    /// An input runs backwards.
    #[error("the input is not sorted: {at} has key {key}, below {previous_key} at offset {previous_offset}")]
    Unsorted {
        /// The record that is too small.
        at: Place,
        /// Its key, for people.
        key: String,
        /// The offset of the record before it.
        previous_offset: i64,
        /// That record's key, for people.
        previous_key: String,
    },
    /// A record's key cannot be read.
    #[error("{at}: {error}")]
    Key {
        /// The record.
        at: Place,
        /// What is wrong with its key.
        #[source]
        error: KeyError,
    },
    /// A batch that was fetched cannot be read.
    #[error("{at}: {error}")]
    Batch {
        /// The first offset of the batch, or the record before which it broke.
        at: Place,
        /// What is wrong with it.
        #[source]
        error: BatchError,
    },
    /// The records are not what the settings ask for.
    #[error("{0}")]
    Unfit(String),
    /// A source gave a record that it had already passed.
    #[error("{at} came again: the next offset had to be {expected} or later")]
    Order {
        /// The record.
        at: Place,
        /// The least offset that could come.
        expected: i64,
    },
    /// The report says that the data is not what was promised.
    #[error("{0}")]
    Difference(String),
    /// A record does not fit into the largest batch that the output takes.
    #[error(
        "{at}: in a batch of its own the record takes {bytes} bytes, the output takes {bytes_max} (max.message.bytes). Raise \
         that of the output topic, or leave the record out"
    )]
    RecordTooLarge {
        /// The record.
        at: Place,
        /// What it takes, before compression.
        bytes: usize,
        /// The most that the output takes.
        bytes_max: usize,
    },
    /// The cluster cannot be reached, refuses, or does not give what it should.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The foreign client under the plain merge and the generator.
    #[error(transparent)]
    Plain(#[from] PlainError),
    /// The output's offsets do not follow each other.
    #[error(transparent)]
    NotAdjacent(#[from] NotAdjacent),
    /// Something is in the output behind what was written last.
    #[error(
        "{output} ends at offset {end}, what this merge wrote ends at {expected}: either the client's repeat of its last batch \
         arrived late, or there is another writer. The output is not what it should be: merge again into an empty topic"
    )]
    GrownOutput {
        /// The output.
        output: TopicPartition,
        /// Where it should end.
        expected: i64,
        /// Where it ends.
        end: i64,
    },
    /// The output's writer has stopped; why, it says itself. Never leaves a job.
    #[error("the output was closed")]
    OutputClosed,
    /// Something stopped the job when it had begun to write.
    #[error("{error}. {}", show_written(output, written, *planned))]
    Stopped {
        /// What.
        error: Box<JobError>,
        /// Where the job writes.
        output: TopicPartition,
        /// The offsets that it wrote, all in order.
        written: std::ops::Range<i64>,
        /// How many records it was to write at most.
        planned: u64,
    },
    /// Something stopped a job that can go on.
    #[error("{error}{}", show_paused(*records, *planned, *way_on))]
    Paused {
        /// What.
        error: Box<JobError>,
        /// Records that are known to be committed, by all its runs.
        records: u64,
        /// How many it is to write at most.
        planned: u64,
        /// How to go on, where that helps.
        way_on: Option<&'static str>,
    },
    /// Something stopped the generator.
    #[error("{error}. {} of {} records are written; the topic is not complete: delete it with kmerge topic delete {topic}", show_count(*records), show_count(*planned))]
    HalfMade {
        /// What.
        error: Box<JobError>,
        /// The topic.
        topic: String,
        /// Records written.
        records: u64,
        /// Records asked for.
        planned: u64,
    },
    /// A file or a pipe cannot be read.
    #[error("{name}: {source}")]
    Input {
        /// The file, or what stands for it.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file or a pipe does not hold what it should.
    #[error("{name} {error}")]
    Malformed {
        /// The file, or what stands for it.
        name: String,
        /// What is wrong, and in which line.
        error: Malformed,
    },
    /// Something was wrong with the input when writing had begun.
    #[error("{error}. What stands before that: {written}")]
    InputStopped {
        /// What.
        error: Box<JobError>,
        /// What became of the records before it.
        written: String,
    },
    /// Records that were to be written are not, as far as is known.
    #[error("{} of {} records were not written: {}", show_count(*failed), show_count(*sent), show_reasons(reasons, error.as_deref()))]
    NotAllWritten {
        /// How many.
        failed: u64,
        /// Of how many.
        sent: u64,
        /// Why, in a few words each.
        reasons: Vec<String>,
        /// What ended the writing, if anything did.
        error: Option<Box<JobError>>,
    },
    /// Of records that were sent without asking for an answer, some may be lost.
    #[error(
        "what was sent last to {partitions} partition(s) may be lost: the connection was lost behind it, or the broker had not come \
         to it when the time was up. Without acknowledgements nobody tells, nor why (not the leader any more, not allowed, too \
         large). --acks 1 or all asks for them"
    )]
    Doubtful {
        /// How many.
        partitions: u64,
    },
    /// A ledger cannot be written, so it lacks what is in the topic.
    #[error("{}", show_lack(name, *lacking, source, beside.as_deref()))]
    Ledger {
        /// The ledger.
        name: String,
        /// Records that are acknowledged and not in it.
        lacking: u64,
        /// Why.
        #[source]
        source: std::io::Error,
        /// What went wrong beside that.
        beside: Option<Box<JobError>>,
    },
    /// A merge that was tortured did what it must not.
    #[error("{0}")]
    Tortured(String),
    /// What does not fit into memory could not be put aside.
    #[error(transparent)]
    Spill(#[from] SpillError),
    /// A signal asked us to stop.
    #[error("interrupted")]
    Interrupted(Signal),
}

impl JobError {
    /// The sort of failure, for the exit status.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Refused(_) | Self::Order { .. } | Self::GrownOutput { .. } => Kind::Failed,
            Self::NotAllWritten { .. }
            | Self::Doubtful { .. }
            | Self::Input { .. }
            | Self::Ledger { .. }
            | Self::Spill(_)
            | Self::RecordTooLarge { .. }
            | Self::NotAdjacent(_)
            | Self::OutputClosed
            | Self::Tortured(_) => Kind::Failed,
            Self::Client(error) => error.kind(),
            Self::Plain(error) => error.kind(),
            Self::InputStopped { error, .. }
            | Self::Stopped { error, .. }
            | Self::HalfMade { error, .. }
            | Self::Paused { error, .. } => error.kind(),
            Self::Usage(_) => Kind::Usage,
            Self::Malformed { .. }
            | Self::Unsorted { .. }
            | Self::Batch { .. }
            | Self::Key { .. }
            | Self::Unfit(_)
            | Self::Difference(_) => Kind::Data,
            Self::Interrupted(signal) => Kind::Interrupted(*signal),
        }
    }
}

fn show_reasons(reasons: &[String], error: Option<&JobError>) -> String {
    error.map_or_else(|| reasons.join("; "), ToString::to_string)
}

fn show_lack(name: &str, lacking: u64, source: &std::io::Error, beside: Option<&JobError>) -> String {
    let beside = beside.map(|error| format!("{error}; ")).unwrap_or_default();
    match lacking {
        0 => format!("{beside}{name}: {source}: what was written to it last may be lost if the machine fails now"),
        lacking => format!(
            "{beside}{name}: {source}: the topic holds {} acknowledged record{} that the ledger lacks",
            show_count(lacking),
            if lacking == 1 { "" } else { "s" }
        ),
    }
}

fn show_paused(records: u64, planned: u64, way_on: Option<&str>) -> String {
    let way_on = way_on.map(|way_on| format!("; {way_on}")).unwrap_or_default();
    format!(". Of {} records {} are known to be committed{way_on}", show_count(planned), show_count(records))
}

fn show_written(output: &TopicPartition, written: &std::ops::Range<i64>, planned: u64) -> String {
    let records = written.end.abs_diff(written.start);
    if records == 0 {
        return "Nothing was written".to_owned();
    }
    format!(
        "Written before that: {} of {} records, {output} offsets {} to {}, in order but not complete",
        show_count(records),
        show_count(planned),
        written.start,
        written.end - 1
    )
}

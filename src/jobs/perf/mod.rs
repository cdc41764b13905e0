//! `perf`: how near a merge comes to what the cluster takes.
//!
//! ```text
//!  fill.rs: a topic of a known shape ──▶ a merge, not counted: warms everything up, and its output is what the wall is made of
//!        │                                                             │
//!        └────────▶ rounds.rs, each in turn, forwards and backwards ◀──┘
//!                   produce alone: batches as the merge wrote them, made beforehand (prebuilt.rs)    ──▶ the wall
//!                   fetch alone: the input, batch by batch
//!                   the merge: from its first look at the cluster to its last commit; then verified
//! ```
//!
//! Non-obvious:
//! - A share of the wall says something where both were measured in the same minutes; so they take turns, and every other
//!   round runs backwards: whoever comes last in one comes first in the next.
//! - The wall is the best of several ways to write as many records (sizes of batches, requests in flight), each by its median: a
//!   wall that is too low would flatter the merge.
//! - Nothing is made for the wall while it is timed: its batches are read anew each time, from the output of the first merge.
//!   They are let go before a merge begins, but the process keeps their memory. So the memory that is told is that of the
//!   first merge, before there was any of it.
//! - No promise is traded for a figure. The merge runs as the command does, and each output is verified, outside of what is timed.

// Records of a known shape, and a topic of them.
mod fill;
mod shape;

// What is timed.
mod prebuilt;
mod rounds;
mod wall;

// What comes of it.
mod chart;
mod figures;
mod report;

pub use figures::Series;
pub use report::{COLUMNS, PerfReport};
pub use rounds::{Measured, Merged, Round};
pub use shape::Shape;
pub use wall::Way;

use super::JobContext;
use super::error::JobError;
use super::load::{OwnTopic, PREFIX};
use super::merge::Delivery;
use crate::base::units::show_count;
use crate::batch::Codec;
use crate::client::Cluster;
use rounds::Bench;

const PARTITIONS_MAX: u32 = 1000;
const ROUNDS_MAX: u32 = 1000;
/// Topics' names take 249 characters; ours add a few.
const NAME_MAX: usize = 200;
const BATCH_BYTES_MIN: usize = 1 << 10;

/// The rounds, where nobody says.
pub const ROUNDS_DEFAULT: u32 = 5;
/// The partitions of the input, where nobody says.
pub const PARTITIONS_DEFAULT: u32 = 10;
/// The merge's own default.
pub const BATCH_BYTES_DEFAULT: usize = 500_000;
/// The merge's own default.
pub const MEMORY_BYTES_DEFAULT: usize = 64 << 20;

/// What is measured.
#[derive(Debug, Clone)]
pub struct PerfSettings {
    /// What the names of its topics begin with: something behind [`PREFIX`]; drawn anew, if absent.
    pub name: Option<String>,
    /// Replicas of its topics; the cluster's default, if absent.
    pub replication_factor: Option<i16>,
    /// What the records are.
    pub shape: Shape,
    /// How many partitions are merged.
    pub partitions: u32,
    /// How many records they have, together.
    pub records: u64,
    /// The same seed, the same records.
    pub seed: u64,
    /// How often everything is measured.
    pub rounds: u32,
    /// What the merge promises.
    pub delivery: Delivery,
    /// How its output is compressed.
    pub codec: Codec,
    /// The size that a batch of its output stays below.
    pub batch_bytes: usize,
    /// The merge's memory budget.
    pub memory_bytes: usize,
    /// Whether the broker is in this process: then processor time and memory are those of both, and not told.
    pub embedded: bool,
}

/// Measures. A wish to stop ends it with the rounds that are done, if there are any.
pub async fn run(settings: &PerfSettings, cx: &JobContext) -> Result<PerfReport, JobError> {
    check(settings)?;
    let cluster = Cluster::connect(&cx.brokers, cx.timeout).await?;
    let name = settings.name.clone().unwrap_or_else(|| format!("{PREFIX}{:08x}", rand::random::<u32>()));
    refuse_strangers(&cluster, &name).await?;
    tracing::info!("topics are made, and deleted at the end, whose names begin with {name}-");
    let input =
        OwnTopic::make(&cluster, format!("{name}-in"), settings.partitions, settings.replication_factor).await?;
    let ended = async {
        let jobs = OwnTopic::claim(&cluster, format!("{name}-jobs")).await?;
        let ended = Bench { settings, cx, cluster: &cluster, name: &name, input: input.name() }.run(jobs.name()).await;
        jobs.delete(&cluster).await;
        ended
    };
    let ended = ended.await;
    input.delete(&cluster).await;
    let measured = ended?;
    Ok(PerfReport { settings: settings.clone(), name, measured })
}

/// What is there under our name is somebody else's, or of a run that could not clean up behind itself.
async fn refuse_strangers(cluster: &Cluster, name: &str) -> Result<(), JobError> {
    let prefix = format!("{name}-");
    let topics = cluster.topics().await?;
    match topics.into_iter().find(|topic| topic.name.starts_with(&prefix)) {
        None => Ok(()),
        Some(topic) => Err(JobError::Refused(format!(
            "{0} is there already, and we did not make it: leave --name out or give another one (or, if it is of no use any \
             more: kmerge topic delete {0})",
            topic.name
        ))),
    }
}

/// Nothing is asked of a cluster before this is fine.
fn check(settings: &PerfSettings) -> Result<(), JobError> {
    let usage = |message: String| Err(JobError::Usage(message));
    if let Some(name) = &settings.name {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !name.starts_with(PREFIX) || name.len() == PREFIX.len() || name.len() > NAME_MAX || !name.chars().all(fine) {
            return usage(format!(
                "--name {name}: topics are made and deleted under it, so it must begin with {PREFIX}, which nothing else has, \
                 and go on with letters, digits, dots, - and _; {NAME_MAX} characters at most"
            ));
        }
    }
    for (option, number, max) in [
        ("--partitions", u64::from(settings.partitions), u64::from(PARTITIONS_MAX)),
        ("--rounds", settings.rounds.into(), ROUNDS_MAX.into()),
        ("--records", settings.records, u64::MAX),
    ] {
        if !(1..=max).contains(&number) {
            return usage(match max {
                u64::MAX => format!("{option} must be 1 or more"),
                max => format!("{option} must be 1 to {}", show_count(max)),
            });
        }
    }
    if settings.batch_bytes < BATCH_BYTES_MIN {
        return usage(format!("--batch-bytes {}: {BATCH_BYTES_MIN} at least", settings.batch_bytes));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::kind::Kind;

    pub(super) fn settings() -> PerfSettings {
        PerfSettings {
            name: None,
            replication_factor: None,
            shape: Shape::Dense,
            partitions: 3,
            records: 1000,
            seed: 1,
            rounds: 2,
            delivery: Delivery::ExactlyOnce,
            codec: Codec::None,
            batch_bytes: BATCH_BYTES_DEFAULT,
            memory_bytes: MEMORY_BYTES_DEFAULT,
            embedded: false,
        }
    }

    #[test]
    fn what_would_touch_what_is_not_its_own_or_measures_nothing_is_wrong_usage() {
        assert!(check(&settings()).is_ok());
        assert!(check(&PerfSettings { name: Some("kmerge-perf-mine".to_owned()), ..settings() }).is_ok());
        let wrong = |settings: PerfSettings, said: &str| {
            let error = check(&settings).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.to_string().contains(said), "{error}");
        };
        let long = format!("{PREFIX}{}", "x".repeat(NAME_MAX));
        for name in ["", "orders", "kmerge-perf-", "my-kmerge-perf-1", "kmerge-perf-a b", "kmerge-perf-ä", &long] {
            wrong(PerfSettings { name: Some(name.to_owned()), ..settings() }, "--name");
        }
        wrong(PerfSettings { partitions: 0, ..settings() }, "--partitions must be 1 to 1,000");
        wrong(PerfSettings { partitions: 1001, ..settings() }, "--partitions");
        wrong(PerfSettings { rounds: 0, ..settings() }, "--rounds");
        wrong(PerfSettings { records: 0, ..settings() }, "--records must be 1 or more");
        wrong(PerfSettings { batch_bytes: 1023, ..settings() }, "--batch-bytes");
    }
}

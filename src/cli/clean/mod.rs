//! `kmerge clean`: records put right by rules, on their way from a topic to another one.

mod check;
mod dry_run;
mod files;
pub mod rules;

use super::codec::CodecArg;
use super::context::Context;
use super::exit::UsageError;
use super::ledger::LedgerArgs;
use super::membership::MembershipArgs;
use super::metrics::MetricsArgs;
use clap::{Args, Subcommand};
use kmerge::base::units::{parse_duration, parse_size};
use kmerge::client::group::Reset;
use kmerge::jobs::clean::{self, CleanSettings, Rejects};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  kmerge clean check rules.toml
      everything that is wrong with a rule file, by line
  kmerge clean --from logins --rules rules.toml --dry-run -n 5
      the first five records, before and after; nothing is written
  kmerge clean --from logins --to clean-logins --rules rules.toml
      until Ctrl-C; start it again, or several times: they share the partitions
  kmerge clean --from logins --to clean-logins --rules rules.toml --exit --output json
      up to the ends as they are now, with the counts as one JSON object
  kmerge clean --from logins --parquet logins/ --rules rules.toml
      into parquet files, one a partition every 30 s, for whatever reads folders of them; with --to, into a topic as well
  kmerge clean --from logins --to clean-logins --rules rules.toml --group cleaners --group-instance-id $HOSTNAME
      an instance with a name of its own: restarted, it goes on at once where it was killed
  kmerge clean --from logins --rules grouping.toml --exit --close-windows
      only into groups, to the topics that [[group_by]] names, up to the ends as they are now
  kmerge clean --from logins --to clean-logins --rules rules.toml --insights-to popular --report-interval 30s
      what [[insight]] counts, each 30 seconds in the log and in a topic
  kmerge clean --from logins --to clean-logins --rules rules.toml --ledger-topic ledgers
      what is committed, by topic, partition and minute; kmerge reconcile clean-logins --ledger-topic ledgers holds it against the topic

A rule file:
  [[rule]]
  default = { field = \"device_type\", value = \"unknown\" }

  [[rule]]
  required = { field = \"user_id\" }

  [[rule]]
  lookup = { field = \"user_id\", topic = \"users\", take = { name = \"name\", country = \"/address/country\" } }

  [[group_by]]
  key = [\"device_type\"]
  window = \"10m\"
  time = \"timestamp\"
  lateness = \"1m\"
  to = \"logins-by-device\"
  aggregates = { mean_age = { mean = \"age\" }, slow_ms = { p95 = \"ms\" } }

  [[insight]]
  field = \"device_type\"
  top = 10
  window = \"5m\"
  slide = \"1m\"

  [parquet]
  columns = { user_id = \"string\", timestamp = \"time\", age = \"int\", meta = \"json\" }

What to know:
  - Exactly once: results, dead letters and the group's offsets are committed in one transaction. Whoever reads with \
    read_committed sees each record once, also when instances come, go and are killed; whoever reads uncommitted records sees \
    what was voided, too. It needs Kafka 3.6 or later.
  - Several instances in one --group share the partitions. One that lost a partition is refused when it commits, voids what it \
    has open and goes on from what is committed. An instance that is killed leaves a transaction open: nobody goes on with its \
    partitions before that is voided, which its restart does at once if it has a --group-instance-id, and \
    --transaction-timeout otherwise. Two instances with one name shut each other out: the later one stays, the earlier one \
    ends with status 5.
  - Results go to where Kafka's own producer would put their key, so equal keys come to lie in one partition, in the order of \
    their input partition; a record without a key goes to the partition of its own number (modulo how many there are). Key, \
    headers and timestamp stay as they were; brokers delete by timestamps (retention.ms).
  - Refused records go to the dead letters as they were, with headers behind their own: kmerge.topic, kmerge.partition, \
    kmerge.offset, kmerge.rule, kmerge.class, kmerge.reason. With --strict the first one ends the job with status 4, and \
    nothing of its transaction is committed.
  - in = out + filtered + deduplicated + rejected, always; checked before each commit. The counts of the whole group, whoever \
    cleaned, are committed beside its offsets, and so are exact after any crash. Beside them stands what became of the records in \
    groups: offered = closed + open + late + lost.
  - With --parquet a transaction ends where its files end: one for each partition that had something, named \
    TOPIC-PARTITION-FIRST-LAST.parquet by the offsets of its records. A file is whole when it gets that name, and each record \
    is in one file. It gets the name just before the commit, so after a crash there can be a file of records that are not \
    committed: whoever takes the partition next removes it and writes them again. A reader that must not see such a file waits \
    until the group stands behind LAST (kmerge group describe).
  - The columns are those of [parquet] in the rule file, or what the first records hold; they are kept in DIR/_schema.json, so \
    that all files agree, whoever writes them. What has no column, or does not fit it, stands as JSON in the column _rest, and \
    is counted by field: nothing vanishes, but that null and missing are one. Types are int, float, bool, string, time (RFC \
    3339 text, milliseconds), time_us and json (anything, nested values too, as JSON text). Behind _rest stand _topic, \
    _partition, _offset and _timestamp, unless [parquet] says metadata = false (kmerge reconcile cannot compare such files). Keys \
    and headers do not go to files.
  - A ledger has what is committed to the result topic, the dead letters, the topics of groups and --insights-to, by partition and \
    minute of the record's time as it is stored; and which rows went to the files of this group (\"files_of\"), by those of the \
    records that they were. --ledger-topic notes it in the transactions themselves: whoever is killed when, it has what is committed \
    and nothing else. --ledger appends to the file once a transaction is known to stand, so an instance that is killed just \
    then leaves out what it committed last, which kmerge reconcile shows as more than was noted. Where the ledger cannot be \
    written the job ends with status 1; what is committed by then stands, and is said to be lacking.
  - A folder belongs to one group, all of whose instances write to it. Where the group was set back, or its offsets were \
    forgotten, so that records would come to be in two files, the job ends and says so. So it does where a topic was deleted and \
    created anew: the topic's id is kept in DIR/_topic-NAME.json with its first file (a folder of an older version takes the id as it is when it is \
    written to next).
  - Duplicates are told, and groups are made, within an input partition: equal keys are expected in one. What is held of a \
    partition is read again from its log when it changes hands, or after a crash.
  - [[group_by]] makes one record of a group in a window: with members = true the records themselves (members_max, 10000 if \
    nothing is said, ends the job where a group has more), or aggregates of their fields (count, sum, mean, min, max, p50 and any \
    other percentile, distinct). A window closes once the largest time in its partition is the lateness beyond its end: time moves \
    with records and with nothing else. A partition where nothing comes keeps its windows open, and so does --exit: the next run \
    goes on with them, unless this one has --close-windows. What comes for a closed window is late: it goes to --to as all else, and is counted.
  - A group's record has its key as JSON ({\"device_type\":\"iOS\"}), and in its value window_start, window_end, topic, partition, \
    the fields of the key, count, and members or aggregates (and under unfit how many values were of no use to them). Its timestamp \
    is the window's last millisecond.
  - Open groups are read again from the input, from their first member on. Where that is gone from the log by then (retention.ms \
    shorter than windows are open, a compacted topic), members are lost to their groups, which is said and counted.
  - lookup puts in fields of the newest value that another topic has under a key, which is the text of the record's field (of a \
    number what is written; keys that are no text, such as those of Java's LongSerializer, are not found). take = [\"name\"] takes \
    fields under their own names. That topic is read whole before the first record is cleaned, and before the group is joined; \
    from then on it is looked at twice a second. It should be compacted, with equal keys in one partition; a tombstone, or a \
    value that is no JSON object, takes its key out. What is not found (the key, or a field that is missing or null) is kept as \
    it is in the record if nothing is said, or as on_failure and default say: \"reject\", \"null\", \"keep\", or a value. It is \
    counted by rule, and told each --report-interval.
  - What lookups take is held in memory: up to three eighths of --memory (half of that with --parquet). More than that ends the \
    job, which says about how much would do. It needs the permissions Describe, DescribeConfigs and Read on the topic, which can be none \
    that --from reads or that is written.
  - What a lookup finds depends on when it is asked, as in every join of a stream with a table: a record that is cleaned again \
    after a crash may be given a newer value; it still goes out once. What is held of records has to come out as it did, so \
    deduplicate, [[group_by]] and [[insight]] cannot use what was looked up, nor stand beside a rule that keeps or refuses \
    records by it: do that in a second clean, of what comes out of this one.
  - [[insight]] counts the values of a field, or of several together, among the records that go out: in all, and for each window \
    if there is one (tumbling, or sliding with slide; time, unit and lateness as in group_by). The most frequent values are told each \
    --report-interval and at the end, as the sum over the partitions that this instance has; a window is told of those that have \
    closed it. Of each partition and window the first values_max values (10000, if nothing is said) are told apart; what comes after \
    them is counted without its value. What comes too late for a window is counted in all, and as late.
  - --insights-to has a record for each partition and window, and one for each partition with what was counted in all; their keys \
    name insight, group, topic, partition and window_start. Who adds partitions up is right where rest is 0.
  - What insights have counted survives restarts, kills and changes of hands: it is written to --insights-state with a commit, not \
    more often than it is told, and records after that are counted again from the input. Where those are deleted by then, the \
    numbers say how many may be missing. An insight whose name, field, window or values_max was changed begins anew, and so do all where \
    the group's offset was moved: since says from which offset on they count. To count everything again, use another --group.
  - Kafka forgets the offsets of a group that has been without members for offsets.retention.minutes (7 days, if nobody changed \
    it). After that everything that is still there is cleaned into --to once more: before a job that runs more seldom, look \
    whether they are there (kmerge group describe), or have every run but the first one end where they are not (--reset fail).";

/// Put the records of a topic right by rules, on their way to another topic, exactly once.
#[derive(Debug, Args)]
#[command(
    after_long_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    mut_arg("group", |arg| arg.help("The consumer group whose members share the partitions; clean:FROM:TO, if absent, the topics sorted")),
    mut_arg("reset", |arg| arg.help(
        "Where to begin where the group has no offset, or one that the log does not hold. If absent: with the first record \
         where there is none, and not at all where records have been lost"
    )),
    mut_arg("group_instance_id", |arg| arg.help(
        "A name for this instance: after a restart it finds its partitions, and shuts out the one before it under that name"
    ))
)]
pub struct CleanArgs {
    #[command(subcommand)]
    command: Option<CleanCommand>,

    /// The topics that are read, separated by commas.
    #[arg(long, value_name = "TOPIC", value_delimiter = ',', required = true)]
    from: Vec<String>,

    /// The topic that what is clean goes to; made if it is missing, with as many partitions as are read. It may be left out with
    /// --parquet, and where the rules group records into a topic.
    #[arg(long, value_name = "TOPIC")]
    to: Option<String>,

    #[command(flatten)]
    parquet: files::ParquetArgs,

    /// The rule file (TOML). It is checked in full before anything is read.
    #[arg(long, value_name = "FILE", required = true)]
    rules: Option<PathBuf>,

    /// The topic that refused records go to; made if it is missing. TO-dead-letters, if absent; without --to, after the first
    /// topic that the rules group records into, or after the one that is read.
    #[arg(long, value_name = "TOPIC", conflicts_with = "strict")]
    dead_letters: Option<String>,

    /// A topic for what insights find: each window that has closed, and at each report what was counted in all; made if it is
    /// missing.
    #[arg(long, value_name = "TOPIC")]
    insights_to: Option<String>,

    /// The compacted topic that what insights have counted is kept in; made if it is missing. TO-insights-state, if absent.
    #[arg(long, value_name = "TOPIC")]
    insights_state: Option<String>,

    /// Stop at the first record that is refused.
    #[arg(long)]
    strict: bool,

    /// Stop at the ends as they are now, instead of waiting for more. One of several instances reads its own share to the
    /// ends, and does not wait for the others.
    #[arg(short = 'e', long)]
    exit: bool,

    /// With --exit: at the end, let the groups go out whose windows are still open. What comes later for these windows is late.
    #[arg(long, requires = "exit")]
    close_windows: bool,

    /// Only show what the rules make of the first records, and what insights count of them.
    #[arg(long, conflicts_with_all = ["exit", "strict", "parquet", "dead_letters", "insights_to", "insights_state", "ledger", "ledger_topic", "group", "group_instance_id", "assignor", "reset",
        "session_timeout", "metadata_max_age", "group_protocol"])]
    dry_run: bool,

    /// With --dry-run: how many.
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 10, requires = "dry_run")]
    count: usize,

    #[command(flatten)]
    membership: MembershipArgs,

    #[command(flatten)]
    ledger: LedgerArgs,

    /// How batches are compressed.
    #[arg(long, value_enum, default_value_t, value_name = "CODEC")]
    compression: CodecArg,

    /// The size of a batch; never above the topic's max.message.bytes.
    #[arg(long, value_name = "SIZE", default_value = "128KiB", value_parser = parse_size)]
    batch_bytes: usize,

    /// What reading, what is held of partitions, and writing may take; the program itself comes on top.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    memory: usize,

    #[command(flatten)]
    pub(super) metrics: MetricsArgs,

    /// How long a transaction stays open: what a reader of committed records waits for. Longer where commits take too much of
    /// the time.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_interval, conflicts_with = "parquet")]
    commit_interval: Duration,

    /// After how long the cluster voids what an instance that was killed has left open. 30s, if absent; with --parquet three
    /// times --parquet-interval, if that is more.
    #[arg(long, value_name = "TIME", value_parser = parse_interval)]
    transaction_timeout: Option<Duration>,

    /// How often to tell, by count and field, what was put in for what was missing, and what was refused.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_interval)]
    report_interval: Duration,
}

#[derive(Debug, Subcommand)]
enum CleanCommand {
    /// Say everything that is wrong with a rule file. Needs no cluster.
    Check(check::CheckArgs),
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    parse_duration(text).and_then(|interval| match interval {
        Duration::ZERO => Err("give 1ms at least".to_owned()),
        interval => Ok(interval),
    })
}

/// If none was typed, and files do not end more seldom.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);

/// The group, if none was typed: the same one in whatever order the topics were.
fn group_of(from: &[String], to: &str) -> String {
    let mut from: Vec<&str> = from.iter().map(String::as_str).collect();
    from.sort_unstable();
    format!("clean:{}:{to}", from.join(","))
}

impl CleanArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        if let Some(CleanCommand::Check(args)) = self.command {
            return args.run(cx);
        }
        let rules = Arc::new(rules::read(self.rules.as_deref())?);
        if self.dry_run {
            return dry_run::run(&self.from, &rules, self.count, self.memory, cx).await;
        }
        let settings = self.checked(rules)?;
        let job = cx.job()?;
        let shown = cx.show_progress();
        let (report, ended) = clean::run(&settings, &job).await;
        drop(shown);
        // What was never begun has nothing to tell but its error.
        let told =
            if ended.is_ok() || report.has_begun() { cx.finish(&report.summary(), &report.to_json()) } else { Ok(()) };
        ended?;
        told
    }

    fn checked(self, rules: Arc<kmerge::rules::Rules>) -> anyhow::Result<CleanSettings> {
        let usage = |message: String| anyhow::Error::from(UsageError::new(message));
        if rules.insights().is_empty()
            && let Some(flag) = [("--insights-to", &self.insights_to), ("--insights-state", &self.insights_state)]
                .iter()
                .find_map(|(flag, topic)| topic.is_some().then_some(flag))
        {
            return Err(usage(format!("{flag} has nothing to hold: the rules have no [[insight]]")));
        }
        if self.close_windows && rules.group_bys().is_empty() {
            return Err(usage("--close-windows: the rules have no windows ([[group_by]])".to_owned()));
        }
        let parquet = self.parquet.settings();
        let to = self.to.clone().or_else(|| rules.group_bys().first().map(|by| by.to().to_owned()));
        let sink = to.clone().or_else(|| parquet.as_ref().map(files::name_of)).ok_or_else(|| {
            let message = "--to is missing; without it there has to be --parquet, or rules that group records into a topic ([[group_by]])";
            usage(message.to_owned())
        })?;
        // What topics beside it are called after.
        let of = to.or_else(|| <[String; 1]>::try_from(self.from.clone()).ok().map(|[from]| from));
        let of = |kind: &str, flag: &str| match &of {
            Some(of) => Ok(format!("{of}-{kind}")),
            None => Err(usage(format!(
                "several topics are read and none is written to that {flag} could be called after: give it"
            ))),
        };
        let insights_state = match self.insights_state {
            Some(topic) => topic,
            None if rules.insights().is_empty() => String::new(),
            None => of("insights-state", "--insights-state")?,
        };
        let rejects = match (self.strict, self.dead_letters) {
            (true, _) => Rejects::Stop,
            (false, Some(topic)) => Rejects::Letters(topic),
            (false, None) => Rejects::Letters(of("dead-letters", "--dead-letters")?),
        };
        let group = self
            .membership
            .options_or(&group_of(&self.from, &sink), &self.from, Reset::EarliestIfNew)
            .map_err(usage)?;
        let timeout =
            parquet.as_ref().map_or(TRANSACTION_TIMEOUT, |parquet| TRANSACTION_TIMEOUT.max(parquet.interval * 3));
        Ok(CleanSettings {
            rejects,
            insights_to: self.insights_to,
            insights_state,
            from: self.from,
            to: self.to,
            parquet,
            rules,
            group,
            exit: self.exit,
            close_windows: self.close_windows,
            ledger: self.ledger.to(),
            codec: self.compression.codec(),
            batch_bytes: self.batch_bytes,
            memory_bytes: self.memory,
            commit_interval: self.commit_interval,
            transaction_timeout: self.transaction_timeout.unwrap_or(timeout),
            report_interval: self.report_interval,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_the_same_in_whatever_order_the_topics_are_typed() {
        let of = |from: [&str; 2]| group_of(&from.map(str::to_owned), "c");
        assert_eq!((of(["b", "a"]), of(["a", "b"])), ("clean:a,b:c".to_owned(), "clean:a,b:c".to_owned()));
    }
}

//! `kmerge measure`: what the records of a topic come to, in groups.

use super::clean::rules;
use super::context::Context;
use super::exit::UsageError;
use super::global::OutputForm;
use super::metrics::MetricsArgs;
use super::output::{Pieces, finish_beside_data};
use super::part::PartArgs;
use super::whole::WholeFile;
use clap::Args;
use kmerge::base::units::parse_size;
use kmerge::jobs::error::JobError;
use kmerge::jobs::measure::{self, Form, MeasureReport, MeasureSettings, Rows};
use kmerge::rules::measure::Measures;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  kmerge measure --from logins --rules measures.toml
      a table
  kmerge measure --from logins --rules measures.toml --csv by-hour.csv
      a file that is there whole or as it was
  kmerge measure --from logins --rules measures.toml --start @2026-01-01T00:00:00Z --output json
  kmerge measure --from clicks --rules measures.toml --memory 256MiB --temp-dir /var/tmp --csv - | gzip > clicks.csv.gz

A rule file:
  [measure]
  by = [\"device_type\", \"/geo/country\"]
  window = \"1h\"
  time = \"timestamp\"
  aggregates = { logins = \"count\", users = { distinct = \"user_id\" }, mean_age = { mean = \"age\" }, slow_ms = { p95 = \"ms\" } }

What to know:
  - Aggregates are count, sum, mean, min, max, any quantile (p50, p95, \"p99.9\" in quotation marks) and distinct; \"count\" alone counts rows, of a \
    field it counts values. Values that are missing or null are passed over, and so are those that an aggregate can do nothing \
    with, which are counted (unfit). A quantile is a value that is there: the least one that so many percent are not above.
  - Without by there is one group of all; without window, one of all times. Windows lie one behind the other, in UTC, counted \
    from 1970; without time they go by the record's own timestamp.
  - [[rule]] tables may stand in the file as well, as clean has them; they are put to each record first. A record that they \
    reject, that is no JSON object, or whose time cannot be read, is counted and told, and is no failure; with --strict the first \
    one ends the job with status 4.
  - unnest = \"members\" makes each object in that array a row: what clean's group_by has written with members = true is measured \
    as if it had not been grouped. Of what group_by has put together already (aggregates) no mean, quantile or number of different \
    values can be had; counts can be summed, and least and largest values compared.
  - What a group is missing or null in is empty in CSV, - in the table and null in JSON; an empty text is \"\" in CSV.
  - The ends are taken once, at the start. Rows come by window, then by key, and are the same however much --memory there is and \
    whoever read what: what does not fit is put aside, sorted, in files without names in --temp-dir, as large as the groups and \
    the values that quantiles and distinct have to tell apart. Where /tmp is kept in memory, name a folder on a disk.
  - Nothing is shown before all is known. Stopped by Ctrl-C, by a full disk or by an error, it leaves no file behind; killed \
    while it writes --csv, it may leave a hidden one beside it that ends in .unfinished.";

/// Put the records of a topic in groups, and tell what their values come to.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct MeasureArgs {
    /// The topics that are read, separated by commas.
    #[arg(long, value_name = "TOPIC", value_delimiter = ',', required = true)]
    from: Vec<String>,

    /// The rule file (TOML). It is checked in full before anything is read.
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,

    /// Write the rows to this file as CSV; - is stdout. Without it a table is shown, or what --output asks for.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,

    #[command(flatten)]
    part: PartArgs,

    /// Stop at the first record that is refused.
    #[arg(long)]
    strict: bool,

    /// How much memory reading, groups and values may take; the program itself comes on top.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    memory: usize,

    /// Where is put aside what does not fit into it. The system's folder for such files (TMPDIR), if absent.
    #[arg(long, value_name = "FOLDER")]
    temp_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(super) metrics: MetricsArgs,
}

/// Where rows go.
enum Out {
    Table,
    Json,
    /// To stdout.
    Csv,
    File(PathBuf),
}

impl MeasureArgs {
    pub async fn run(self, cx: &Context) -> anyhow::Result<()> {
        let out = self.out(cx.global.output)?;
        let settings = self.checked()?;
        if let Out::File(path) = &out {
            WholeFile::check("--csv", path)?;
        }
        let shown = cx.show_progress();
        let report = measure::run(&settings, &cx.job()?).await?;
        drop(shown);
        show(report, &out, cx)
    }

    fn out(&self, form: OutputForm) -> anyhow::Result<Out> {
        match (&self.csv, form) {
            (Some(path), _) if path == Path::new("-") => Ok(Out::Csv),
            (Some(path), OutputForm::Csv) => {
                let why = "CSV goes to --csv or to stdout (--output csv), not to both: leave one of them out";
                Err(UsageError::new(format!("--csv {}: {why}", path.display())).into())
            }
            (Some(path), _) => Ok(Out::File(path.clone())),
            (None, OutputForm::Csv) => Ok(Out::Csv),
            (None, OutputForm::Json) => Ok(Out::Json),
            (None, OutputForm::Text) => Ok(Out::Table),
        }
    }

    fn checked(self) -> anyhow::Result<MeasureSettings> {
        let measures = Measures::parse(&rules::text(&self.rules)?)
            .map_err(|errors| UsageError::new(rules::show(&self.rules, &errors)))?;
        if let Some(folder) = self.temp_dir.as_deref().filter(|folder| !folder.is_dir()) {
            return Err(UsageError::new(format!("--temp-dir {}: that is no folder", folder.display())).into());
        }
        Ok(MeasureSettings {
            from: self.from,
            partitions: self.part.partition,
            measures,
            start: self.part.start,
            end: self.part.end,
            strict: self.strict,
            memory_bytes: self.memory,
            temp_dir: self.temp_dir.unwrap_or_else(std::env::temp_dir),
        })
    }
}

/// Rows first, then the report, which says that they are there.
fn show(report: MeasureReport, out: &Out, cx: &Context) -> anyhow::Result<()> {
    let (summary, json) = (report.summary(), report.to_json());
    let mut pieces = Pieces::default();
    match out {
        Out::File(path) => {
            let mut file = WholeFile::begin("--csv", path)?;
            each(report.rows, Form::Csv, cx, |line| file.write(line.as_bytes()))?;
            file.finish()?;
            return cx.finish(&format!("{summary}, in {}", path.display()), &json);
        }
        Out::Csv => each(report.rows, Form::Csv, cx, |line| pieces.push(line))?,
        Out::Table => each(report.rows, Form::Table, cx, |line| pieces.push(line))?,
        Out::Json => {
            let (mut first, whole) = (true, json.to_string());
            pieces.push(&format!("{},\"result\":[", whole.strip_suffix('}').unwrap_or(&whole)))?;
            each(report.rows, Form::Json, cx, |object| {
                pieces.push(if std::mem::take(&mut first) { "" } else { "," })?;
                pieces.push(object)
            })?;
            pieces.push("]}\n")?;
        }
    }
    pieces.end()?;
    match out {
        Out::Json => cx.say(&summary),
        _ => finish_beside_data(&cx.global, &summary, &json),
    }
    Ok(())
}

/// Lends each row as text, until somebody wishes to stop.
fn each(rows: Rows, form: Form, cx: &Context, mut take: impl FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    rows.each_text(form, |text| match cx.shutdown.requested() {
        Some(signal) => Err(JobError::Interrupted(signal).into()),
        None => take(text),
    })
}

//! What a torture has found, for people and for programs.

use super::TortureSettings;
use super::script::Moment;
use crate::base::units::show_count;
use crate::jobs::error::JobError;
use crate::jobs::verify::VerifyReport;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// So many ranks are shown to people.
const RANKS_SHOWN: usize = 8;

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tally {
    /// How often it was killed at each of [`Moment::ALL`].
    kills: [u32; Moment::ALL.len()],
    /// Merges that were begun.
    pub(super) rounds: u32,
    /// How often one was started.
    pub(super) lives: u32,
    /// Where those went on that found a commit, in the order of their starts.
    pub(super) resumed_at: Vec<u64>,
    /// Instances that ended with status 5 because another one had taken over.
    pub(super) taken_over: u32,
    /// Those of them that had stood still meanwhile.
    pub(super) woken: u32,
    /// What was found in each output.
    pub(super) verified: Vec<VerifyReport>,
}

impl Tally {
    /// Counts one; gives how many that makes.
    pub(super) fn killed(&mut self, moment: Moment) -> u32 {
        for (count, one) in self.kills.iter_mut().zip(Moment::ALL) {
            *count += u32::from(one == moment);
        }
        self.kills.iter().sum()
    }
}

/// What was done to a merge, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct TortureReport {
    pub(super) name: String,
    pub(super) records: u64,
    pub(super) partitions: u32,
    pub(super) asked: u32,
    pub(super) seed: u64,
    pub(super) seconds: f64,
    pub(super) tally: Tally,
    /// What a merge did that it must not.
    pub(super) fault: Option<String>,
}

impl TortureReport {
    pub(super) fn new(
        name: &str,
        settings: &TortureSettings,
        seconds: f64,
        tally: Tally,
        fault: Option<String>,
    ) -> Self {
        let TortureSettings { records, partitions, kills: asked, seed, .. } = *settings;
        Self { name: name.to_owned(), records, partitions, asked, seed, seconds, tally, fault }
    }

    /// How often a merge was killed.
    pub fn kills(&self) -> u32 {
        self.tally.kills.iter().sum()
    }

    /// How often one was started again: all starts but the first of each.
    pub fn resumes(&self) -> u32 {
        self.tally.lives - self.tally.rounds
    }

    /// How many of those went on behind something that was committed.
    pub fn resumes_after_first_commit(&self) -> u32 {
        self.tally.resumed_at.len() as u32
    }

    /// Whether every output was what an undisturbed merge would have written, and nobody did what they must not.
    pub fn ok(&self) -> bool {
        self.fault.is_none() && !self.tally.verified.is_empty() && self.tally.verified.iter().all(VerifyReport::ok)
    }

    /// What the job has to end with, once the report was shown.
    pub fn verdict(&self) -> Result<(), JobError> {
        match &self.fault {
            Some(fault) => Err(JobError::Tortured(fault.clone())),
            None => self.tally.verified.iter().try_for_each(VerifyReport::verdict),
        }
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        let phases: Map<String, Value> = Moment::ALL
            .iter()
            .zip(self.tally.kills)
            .map(|(moment, kills)| (moment.name().to_owned(), kills.into()))
            .collect();
        json!({
            "ok": self.ok(),
            "kills": self.kills(),
            "kills_asked": self.asked,
            "phases": phases,
            "resumes": self.resumes(),
            "resumes_after_first_commit": self.resumes_after_first_commit(),
            "resumed_at": self.tally.resumed_at,
            "taken_over": self.tally.taken_over,
            "woken": self.tally.woken,
            "merges": self.tally.rounds,
            "fault": self.fault,
            "verified": self.tally.verified.iter().map(VerifyReport::to_json).collect::<Vec<_>>(),
            "records": self.records,
            "partitions": self.partitions,
            "seed": self.seed,
            "seconds": self.seconds,
        })
    }

    /// The report for people.
    pub fn summary(&self) -> String {
        let (tally, records) = (&self.tally, show_count(self.records));
        let mut out = format!(
            "tortured {} merge{} of {records} records in {} partition{} for {:.1} s (seed {})\n",
            tally.rounds,
            if tally.rounds == 1 { "" } else { "s, one after the other," },
            self.partitions,
            if self.partitions == 1 { "" } else { "s" },
            self.seconds,
            self.seed,
        );
        let mut line = |count: u32, what: &str| {
            let _ = writeln!(out, "  {count:>6}  {what}");
        };
        line(self.kills(), &format!("kills, of {} asked for", self.asked));
        for (moment, kills) in Moment::ALL.iter().zip(tally.kills) {
            line(kills, &format!("  {}", moment.words()));
        }
        line(tally.taken_over, "instances gave way to a later one, with status 5");
        line(tally.woken, "  of them stopped before, woken after, and changed nothing");
        line(self.resumes(), "starts after the first");
        line(self.resumes_after_first_commit(), &format!("  went on behind a commit{}", self.ranks()));
        if self.fault.is_none() && self.kills() < self.asked {
            out += "the merge was complete too soon for the other kills: give it more --records\n";
        }
        out + &self.judgement()
    }

    fn ranks(&self) -> String {
        let shown: Vec<String> = self.tally.resumed_at.iter().take(RANKS_SHOWN).map(|rank| show_count(*rank)).collect();
        if shown.is_empty() {
            return String::new();
        }
        let more = self.tally.resumed_at.len().saturating_sub(RANKS_SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!(": resumed at record {}{more} of {}", shown.join("; "), show_count(self.records))
    }

    fn judgement(&self) -> String {
        match (&self.fault, self.tally.verified.iter().find(|report| !report.ok())) {
            (Some(fault), _) => format!("FAILED: {}", fault.lines().next().unwrap_or_default()),
            (None, Some(bad)) => format!("NOT EXACTLY ONCE: {}", bad.summary()),
            (None, None) if self.tally.verified.is_empty() => "NOTHING PROVED: no merge was completed".to_owned(),
            (None, None) => format!(
                "EXACTLY ONCE: every record is in the output, once, unchanged, in order ({} verified)",
                show_count(self.tally.verified.iter().map(VerifyReport::output_records).sum())
            ),
        }
    }
}

//! How jobs start: each rule, with its message.

use super::super::facts::OutputFacts;
use super::super::record::{JobPlan, JobProgress, JobState};
use super::super::start::{Asked, Start, decide};
use super::super::tail::TailFound;
use super::super::testing::{id, plan, progress};
use crate::base::kind::Kind;
use crate::jobs::merge::Strategy;
use crate::keys::{KeyPlan, Order};
use std::ops::Range;

/// A job that was killed in the middle and is started again by the same command.
struct Case {
    now: JobPlan,
    start_typed: bool,
    end_typed: bool,
    restart: bool,
    append: bool,
    retention_loss: bool,
    record: Option<(JobPlan, Option<JobProgress>)>,
    output: OutputFacts,
    logs: Vec<Range<i64>>,
}

impl Case {
    fn new() -> Self {
        let mut now = plan();
        // Time has passed: logs begin and end later.
        now.planned_at_ms += 1_000_000;
        for input in &mut now.inputs {
            input.range = input.range.start + 1..input.range.end + 100;
        }
        now.output.start = 17;
        let tail = Some(TailFound::There);
        Self {
            logs: now.inputs.iter().map(|input| input.range.clone()).collect(),
            now,
            start_typed: false,
            end_typed: false,
            restart: false,
            append: false,
            retention_loss: false,
            record: Some((plan(), Some(progress()))),
            output: OutputFacts { log: 0..18, first_record: Some(3), tail, behind: None },
        }
    }

    /// Started for the first time, on an empty output whose first offsets are taken by something that was aborted.
    fn first() -> Self {
        let output = OutputFacts { log: 0..18, first_record: None, tail: None, behind: None };
        Self { record: None, output, ..Self::new() }
    }

    fn complete() -> Self {
        let done = JobProgress { state: JobState::Complete, ..progress() };
        Self { record: Some((plan(), Some(done))), ..Self::new() }
    }

    fn stored(&mut self) -> &mut JobPlan {
        &mut self.record.as_mut().unwrap().0
    }

    fn decide(&self) -> Result<Start, crate::jobs::error::JobError> {
        let asked = Asked {
            plan: &self.now,
            start_typed: self.start_typed,
            end_typed: self.end_typed,
            restart: self.restart,
            append: self.append,
            retention_loss: self.retention_loss,
        };
        decide(asked, self.record.clone(), &self.output, &self.logs)
    }

    #[track_caller]
    fn stops(&self, kind: Kind, said: &[&str]) {
        let error = self.decide().unwrap_err();
        let shown = error.to_string();
        assert_eq!(error.kind(), kind, "{shown}");
        for words in said {
            assert!(shown.contains(words), "{words}: {shown}");
        }
    }
}

fn case(change: impl FnOnce(&mut Case)) -> Case {
    let mut case = Case::new();
    change(&mut case);
    case
}

#[test]
fn a_job_without_a_record_begins_on_an_empty_output_behind_whatever_was_aborted_there() {
    let Start::Fresh(fresh) = Case::first().decide().unwrap() else { panic!("not fresh") };
    assert_eq!(fresh.output.start, 18);
    assert_eq!(fresh.inputs, Case::first().now.inputs);
    assert_eq!(Start::Fresh(fresh).sentence(), None);
}

#[test]
fn a_job_without_a_record_stops_at_an_output_that_holds_something_unless_it_appends() {
    let mut case = Case::first();
    case.output.first_record = Some(5);
    case.stops(Kind::Failed, &["out partition 0 is not empty", "offset 5", "no record of a job", "--append", "--job"]);
    case.append = true;
    assert!(matches!(case.decide(), Ok(Start::Fresh(fresh)) if fresh.output.start == 18));
}

#[test]
fn record_and_tail_that_agree_go_on_by_the_stored_plan() {
    for append in [false, true] {
        let start = case(|case| case.append = append).decide().unwrap();
        assert_eq!(start, Start::Continue { plan: plan(), progress: progress() });
        assert_eq!(start.sentence().unwrap(), "resumed at record 12 of 30");
    }
}

#[test]
fn a_job_that_committed_before_its_first_record_goes_on() {
    let nothing = JobProgress { rank: 0, tail: None, ..progress() };
    let mut case = case(|case| case.record = Some((plan(), Some(nothing.clone()))));
    case.output = OutputFacts { log: 0..18, first_record: None, tail: None, behind: None };
    assert_eq!(case.decide().unwrap(), Start::Continue { plan: plan(), progress: nothing });
    case.output.behind = Some(4);
    case.stops(Kind::Data, &["somebody else"]);
}

#[test]
fn a_complete_job_is_not_done_again_and_tells_how_far_its_inputs_have_grown() {
    let start = Case::complete().decide().unwrap();
    let Start::Complete { plan: stored, grown, .. } = &start else { panic!("{start:?}") };
    assert_eq!((stored, *grown), (&plan(), 300));
    let said = start.sentence().unwrap();
    for words in ["already complete", "12 records", "offset 3 to 16", "grown by 300", "--start 'a:0=10,1=20;b:0=12'"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let mut same = Case::complete();
    same.logs = plan().inputs.iter().map(|input| input.range.clone()).collect();
    assert!(!same.decide().unwrap().sentence().unwrap().contains("grown"));
}

#[test]
fn a_complete_job_stays_so_when_another_one_appends_or_retention_takes_what_comes_before_its_end() {
    let mut case = Case::complete();
    (case.output.behind, case.output.log) = (Some(18), 9..30);
    case.logs = vec![20..30; 3];
    assert!(matches!(case.decide(), Ok(Start::Complete { .. })));
    case.output.tail = Some(TailFound::Differs("the log begins at offset 20".to_owned()));
    case.stops(Kind::Data, &["the log begins at offset 20"]);
}

#[test]
fn restart_begins_again_on_an_empty_output_only() {
    let mut case = case(|case| case.restart = true);
    case.stops(Kind::Failed, &["--restart", "not empty", "offset 3"]);
    case.append = true;
    case.stops(Kind::Failed, &["--restart", "not empty"]);
    case.output = OutputFacts { log: 0..18, first_record: None, tail: None, behind: None };
    // Whatever the record says.
    case.stored().output.topic_id = id("old");
    assert!(matches!(case.decide(), Ok(Start::Fresh(fresh)) if fresh.output.start == 18));
}

#[test]
fn another_output_under_the_same_name_stops() {
    case(|case| case.stored().output.partition.topic = "elsewhere".into())
        .stops(Kind::Usage, &["job merge:a,b:out writes to elsewhere partition 0, not to out partition 0", "--job"]);
}

#[test]
fn an_output_that_was_created_anew_stops() {
    case(|case| case.stored().output.topic_id = id("old"))
        .stops(Kind::Data, &["out was deleted and created anew", "--restart"]);
}

#[test]
fn fault_51_an_output_that_was_truncated_stops() {
    case(|case| case.output.tail = Some(TailFound::Differs("the log ends at offset 12".to_owned())))
        .stops(Kind::Data, &["offsets 10 to 16, is not there: the log ends at offset 12", "truncated", "--restart"]);
    // A look that was left out proves nothing.
    case(|case| case.output.tail = None).stops(Kind::Data, &["not looked for"]);
}

#[test]
fn fault_16_an_output_that_somebody_else_has_written_to_stops() {
    case(|case| case.output.behind = Some(18)).stops(Kind::Data, &["somebody else", "up to offset 17", "offset 18"]);
}

#[test]
fn an_output_whose_beginning_is_deleted_stops_unless_that_was_allowed() {
    let mut case = case(|case| case.output.log = 4..18);
    case.stops(Kind::Data, &["begins at offset 4", "began at offset 3", "--allow-retention-loss"]);
    case.retention_loss = true;
    assert!(matches!(case.decide(), Ok(Start::Continue { .. })));
}

#[test]
fn other_topics_or_another_order_of_them_stop() {
    case(|case| case.now.inputs.rotate_left(2)).stops(Kind::Usage, &["--from a,b, not --from b,a", "--job"]);
    case(|case| case.now.inputs.truncate(2)).stops(Kind::Usage, &["--from a,b, not --from a:"]);
}

#[test]
fn an_input_that_was_created_anew_stops() {
    case(|case| case.now.inputs[2].topic_id = id("new")).stops(Kind::Data, &["b was deleted and created anew"]);
}

#[test]
fn fault_41_partitions_that_were_added_stop() {
    case(|case| {
        let mut more = case.now.inputs[1].clone();
        more.partition.partition = 2;
        case.now.inputs.insert(2, more);
        case.logs.insert(2, 0..5);
    })
    .stops(Kind::Data, &["a has 3 partitions", "began with 2", "--restart"]);
}

#[test]
fn fault_54_another_key_order_or_strategy_stops_and_all_that_differs_is_told() {
    case(|case| {
        case.now.keys = KeyPlan::parse(&[], Order::Asc).unwrap();
        case.now.strategy = Strategy::Count;
    })
    .stops(
        Kind::Usage,
        &[
            "--key was value:json:/at:time, header:x, y:string, now it is value:int",
            "--order was desc, now it is asc",
            "--strategy was merge, now it is count",
        ],
    );
}

#[test]
fn ends_that_are_typed_must_be_those_that_were_planned() {
    let mut case = case(|case| case.end_typed = true);
    case.stops(Kind::Usage, &["--end of a partition 0 was 10, now it is 110", "b partition 0 was 12"]);
    case.start_typed = true;
    case.stops(Kind::Usage, &["--start of a partition 0 was 0, now it is 1", "and 3 more"]);
    case.now.inputs = plan().inputs;
    assert!(matches!(case.decide(), Ok(Start::Continue { .. })));
    // The same holds once it is complete: an end that is further away is another job.
    let mut complete = Case::complete();
    complete.end_typed = true;
    complete.stops(Kind::Usage, &["--end of"]);
}

#[test]
fn a_plan_without_its_progress_stops() {
    case(|case| case.record = Some((plan(), None))).stops(Kind::Failed, &["not how far", "--restart", "--job"]);
}

#[test]
fn fault_37_records_that_are_gone_before_they_were_read_stop_and_those_that_were_read_do_not_matter() {
    case(|case| case.logs[1] = 12..120).stops(Kind::Data, &["a partition 1: offsets 11 to 11 are gone (retention"]);
    case(|case| case.logs[1] = 50..120).stops(Kind::Data, &["a partition 1: offsets 11 to 19 are gone (retention"]);
    case(|case| case.logs[1] = 0..15).stops(Kind::Data, &["a partition 1: offsets 15 to 19 are gone (a broker"]);
    assert!(matches!(case(|case| case.logs[1] = 11..20).decide(), Ok(Start::Continue { .. })));
    let mut read = Case::new();
    read.record.as_mut().unwrap().1.as_mut().unwrap().positions[1] = 20;
    read.logs[1] = 70..80;
    assert!(matches!(read.decide(), Ok(Start::Continue { .. })));
}

#[test]
fn fault_37_a_count_reads_everything_again_so_nothing_of_it_may_be_gone() {
    let mut case = Case::new();
    (case.now.strategy, case.stored().strategy) = (Strategy::Count, Strategy::Count);
    case.logs[1] = 5..120;
    case.stops(Kind::Data, &["a partition 0: offsets 0 to 0 are gone (retention"]);
    case.logs[0] = 0..10;
    case.logs[2] = 7..12;
    assert!(matches!(case.decide(), Ok(Start::Continue { .. })));
}

//! Whoever decodes, the output holds the same records, and what is said is the same. Where batches end may differ: only who decodes
//! where it merges copies in blocks.

use super::*;
use crate::observe::phase::Phases;
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The batches of the output, what was appended, and how it ended.
type Merged = (Vec<Vec<u8>>, Appended, Result<(), JobError>);

/// The same merge by one thread and by several.
fn by_1_2_and_4(trial: impl Fn() -> Trial) -> [Merged; 3] {
    [Some(1), Some(2), Some(4)].map(|threads| {
        let trial = Trial { threads, ..trial() };
        let stages = trial.cx.progress.stages().clone();
        let sources = trial.sources.iter().filter(|source| !source.range().is_empty()).count();
        let ended = trial.run();
        let workers = threads.map_or(0, |threads| threads - 1).min(sources);
        assert_eq!(stages.workers(), workers, "with {threads:?} threads and {sources} sources");
        ended
    })
}

/// A number in JSON, in a value with more beside it.
fn object(number: i64, filling: usize) -> Vec<u8> {
    format!(r#"{{"filling":"{}","number":{number}}}"#, "x".repeat(filling)).into_bytes()
}

/// Sorted records of one source.
fn sorted(numbers: &[i64], filling: usize) -> Vec<Made> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    let made = |(index, number): (usize, i64)| Made {
        key: Some(format!("{number:012}-{index:06}{}", "k".repeat(index % 9)).into_bytes()),
        value: Some(object(number, if index % 7 == 0 { filling } else { 3 })),
        timestamp: number,
        headers: vec![("h".into(), Some(vec![7; index % 5]))],
    };
    numbers.into_iter().enumerate().map(made).collect()
}

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_output_holds_the_same_records_with_1_2_and_4_threads(
        numbers in prop::collection::vec(prop::collection::vec(0..5_000i64, 0..300), 1..7),
        filling in 0..4_000usize,
        codecs in prop::collection::vec(0..5usize, 7),
        cut in (1..120usize, 1..5usize),
        key in 0..3usize,
        keep in any::<bool>(),
        memory_kib in 200..4_000usize,
    ) {
        let inputs: Vec<_> = numbers.iter().map(|numbers| sorted(numbers, filling)).collect();
        let keys = vec![["value:json:/number", "key:string", "timestamp"][key].to_owned()];
        let trial = || {
            let mut trial = Trial::new(&inputs);
            let sources = trial.sources.into_iter().zip(&codecs);
            trial.sources = sources.map(|(source, codec)| source.cut(cut.0, cut.1).codec(CODECS[*codec])).collect();
            trial.keys = keys.clone();
            trial.batch_bytes = 5_000;
            trial.compression = if keep { OutputCodec::Keep } else { OutputCodec::None };
            // Far above the least: a share of each must be enough to be decoded ahead.
            trial.memory_bytes = (memory_kib << 10) * inputs.len() + (1 << 20);
            trial
        };
        let [(alone, _, first), rest @ ..] = by_1_2_and_4(trial);
        let said = |outcome: &Result<(), JobError>| outcome.as_ref().err().map(ToString::to_string);
        // What does not fit is refused whoever decodes; which record it is told of may differ.
        if said(&first).is_some_and(|said| said.contains("--memory")) {
            return Ok(());
        }
        prop_assert_eq!(said(&first), None);
        let expected = oracle(&inputs, &KeyPlan::parse(&keys, Order::Asc).unwrap());
        prop_assert!(records(&alone) == expected);
        let in_blocks = codecs[..inputs.len()].contains(&0);
        for (batches, _, outcome) in rest {
            prop_assert_eq!(said(&outcome), None);
            prop_assert!(records(&batches) == expected);
            prop_assert!(in_blocks || batches == alone, "to the byte, where nothing is copied in blocks");
        }
    }

    #[test]
    fn an_error_is_told_in_the_same_words_behind_the_same_records_with_1_2_and_4_threads(
        at in 0..200usize,
        kind in 0..3usize,
        codec in 0..5usize,
        cut in (1..60usize, 1..4usize),
    ) {
        let mut broken = sorted(&(0..200).map(|number| 3 * number).collect::<Vec<_>>(), 40);
        match kind {
            0 => broken[at].value = Some(object(-1, 0)),
            1 => broken[at].value = Some(b"{\"other\":1}".to_vec()),
            _ => {}
        }
        let inputs = [sorted(&(0..300).map(|number| 2 * number).collect::<Vec<_>>(), 40), broken];
        let batch = at / cut.0;
        let trial = || {
            let mut trial = Trial::new(&inputs).each(|source| {
                let source = source.cut(cut.0, cut.1).codec(CODECS[codec]);
                let of_this = kind == 2 && source.partition().partition == 1;
                if of_this { source.corrupt(batch) } else { source }
            });
            trial.keys = vec!["value:json:/number".to_owned()];
            trial.memory_bytes = 16 << 20;
            trial
        };
        let [(alone, _, first), rest @ ..] = by_1_2_and_4(trial);
        if kind == 0 && at == 0 {
            prop_assert!(first.is_ok(), "the first one is below nothing");
            return Ok(());
        }
        let first = first.unwrap_err().to_string();
        prop_assert!(first.contains("in partition 1 offset"), "{}", first);
        // Everything before it is written, up to what would have filled the next batch.
        let (written, before) = (records(&alone).len(), if kind == 2 { 0 } else { 2 * at });
        prop_assert!(written + 40 >= before, "{} of {}: {}", written, before, first);
        for (batches, _, outcome) in rest {
            prop_assert_eq!(outcome.unwrap_err().to_string(), first.clone());
            let (written, alone) = (records(&batches), records(&alone));
            let both = written.len().min(alone.len());
            prop_assert!(written[..both] == alone[..both]);
            prop_assert!(CODECS[codec] == Codec::None || written.len() == alone.len());
        }
    }
}

#[test]
fn memory_that_is_named_is_enough_with_threads_as_well() {
    let mut random = StdRng::seed_from_u64(11);
    let mut large = || {
        let mut key = vec![0; 60_000];
        random.fill(key.as_mut_slice());
        key
    };
    let inputs: Vec<Vec<Made>> =
        (0..6).map(|_| (0..4).map(|i| Made { key: Some(large()), ..Made::value(i.to_string()) }).collect()).collect();
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let run = |memory_bytes: usize| {
            let mut trial = Trial::new(&inputs).each(|source| source.cut(1, 1).codec(codec));
            (trial.memory_bytes, trial.threads) = (memory_bytes, Some(3));
            let (batches, _, outcome) = trial.run();
            outcome.map(|()| records(&batches).len())
        };
        for memory in [least_bytes(6), 1 << 20, 3 << 20] {
            match run(memory) {
                Ok(merged) => assert_eq!(merged, 24),
                Err(error) => {
                    let error = error.to_string();
                    let named = error.split("--memory ").nth(1).and_then(|rest| rest.split("MiB").next()).unwrap();
                    let again = run(named.parse::<usize>().unwrap() << 20);
                    again.unwrap_or_else(|again| panic!("{codec:?}, {memory}: {error}, and then {again}"));
                }
            }
        }
    }
}

#[test]
fn a_batch_that_takes_more_than_a_share_of_a_share_is_decoded_ahead_with_what_it_needs() {
    // A history of a mebibyte each.
    let zeros: Vec<Made> =
        (0..30).map(|i| Made { key: Some(vec![0; 100_000]), ..Made::value(i.to_string()) }).collect();
    let inputs = vec![zeros; 3];
    for memory_mib in [6, 8, 16] {
        let [(alone, _, first), rest @ ..] = by_1_2_and_4(|| {
            let mut trial = Trial::new(&inputs).each(|source| source.cut(10, 1).codec(Codec::Zstd));
            (trial.memory_bytes, trial.batch_bytes) = (memory_mib << 20, 150_000);
            trial
        });
        first.unwrap();
        for (batches, _, outcome) in rest {
            outcome.unwrap();
            assert!(batches == alone, "{memory_mib} MiB");
        }
    }
}

#[test]
fn a_wish_to_stop_ends_the_merge_and_its_workers() {
    let mut trial = Trial::new(&vec![ints(0..1000); 4]);
    trial.threads = Some(3);
    // Asked for once the merge is on its way.
    let (shutdown, fetches) = (trial.cx.shutdown.clone(), AtomicUsize::new(0));
    trial.cx.phases = Phases::heard_by(move |_| {
        if fetches.fetch_add(1, Relaxed) == 30 {
            shutdown.request(Signal::Terminate);
        }
    });
    let progress = trial.cx.progress.clone();
    let (batches, appended, outcome) = trial.run();
    assert!(matches!(outcome, Err(JobError::Interrupted(Signal::Terminate))));
    assert!(appended.records() < 4000, "{}", appended.records());
    assert_eq!(records(&batches).len() as u64, appended.records());
    assert_eq!(progress.stages().workers(), 2);
}

#[test]
fn where_a_commit_falls_due_while_a_worker_is_waited_for_that_is_no_waiting_for_the_broker() {
    let mut trial = Trial::new(&[ints(0..300)]);
    (trial.threads, trial.commits) = (Some(2), Some(Arc::default()));
    trial.due_after = Some(Duration::from_millis(10));
    // Decoding takes longer than that, a window a time.
    trial.cx.phases = Phases::heard_by(|_| std::thread::sleep(Duration::from_millis(20)));
    let (progress, commits) = (trial.cx.progress.clone(), trial.commits.clone().unwrap());
    let (batches, _, outcome) = trial.run();
    outcome.unwrap();
    assert_eq!(records(&batches).len(), 300);
    // 300 records in windows of 21.
    assert!(commits.lock().unwrap().len() > 10, "a commit a window at least");
    let times = progress.stages().times();
    let (fetch, decode) = (times.of(Stage::AwaitFetch), times.of(Stage::AwaitDecode));
    assert!(decode > Duration::from_millis(100) && fetch < decode / 2, "{times:?}");
}

#[test]
fn a_worker_that_dies_is_an_error_and_nobody_waits_for_it() {
    let mut trial = Trial::new(&vec![ints(0..1000); 3]);
    trial.threads = Some(2);
    let fetches = AtomicUsize::new(0);
    trial.cx.phases = Phases::heard_by(move |_| assert!(fetches.fetch_add(1, Relaxed) != 20, "made to die by a test"));
    let (_, _, outcome) = trial.run();
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("worker") && error.contains("has died"), "{error}");
}

#[test]
fn by_default_only_records_that_are_work_to_take_apart_move_and_a_processor_is_left_to_others() {
    let cx = Trial::new(&[]).cx;
    let shares = Shares::of(64 << 20, 10, 500_000, 8);
    let workers = |asked, processors, key: &str| {
        let keys = KeyPlan::parse(&[key.to_owned()], Order::Asc).unwrap();
        let workers = Workers::of(asked, processors, 10, &shares, &keys, &cx);
        (workers.count(), workers.are_worth(false), workers.are_worth(true))
    };
    assert_eq!(workers(None, 1, "value:json:/n"), (0, false, false));
    assert_eq!(workers(None, 2, "value:json:/n"), (0, false, false), "the broker may need the other one");
    assert_eq!(workers(None, 4, "timestamp"), (2, false, true));
    assert_eq!(workers(None, 4, "value:json:/n"), (2, true, true));
    assert_eq!(workers(None, 64, "timestamp"), (7, false, true));
    assert_eq!(workers(Some(1), 64, "value:json:/n"), (0, false, false));
    assert_eq!(workers(Some(2), 1, "timestamp"), (1, true, true), "who asks gets");
    assert_eq!(workers(Some(30), 1, "timestamp"), (10, true, true), "a worker has a partition at least");
}

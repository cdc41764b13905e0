//! What is copied in blocks, and that nobody sees a difference.

use super::*;
use crate::jobs::testing::block_on;

const SECOND: i64 = 1_700_000_000_000;

/// How the keys of several sources lie to each other.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// One source behind the other.
    Disjoint,
    /// So many keys of one source, then of the next one, again and again.
    Blocks(i64),
    /// Few keys, each in all sources.
    Ties,
    /// At random.
    Mixed,
    /// One source has nearly all; of the others there is one here and there.
    Skewed,
}

/// Each with its own time, so that no record is like another one.
fn inputs(shape: Shape, sources: i64, each: i64, random: &mut StdRng) -> Vec<Vec<Made>> {
    let mut made = 0;
    (0..sources)
        .map(|source| {
            let count = if matches!(shape, Shape::Skewed) && source > 0 { each / 50 } else { each };
            let mut keys: Vec<i64> = (0..count)
                .map(|at| match shape {
                    Shape::Disjoint => source * each + at,
                    Shape::Blocks(keys) => (at / keys * sources + source) * keys + at % keys,
                    Shape::Ties => random.random_range(0..4),
                    Shape::Mixed | Shape::Skewed => random.random_range(0..each),
                })
                .collect();
            keys.sort_unstable();
            let record = |key: i64| {
                made += 1;
                let headers = if random.random_bool(0.1) { vec![("h".into(), None)] } else { vec![] };
                let key_bytes = random.random_bool(0.5).then(|| vec![b'k'; random.random_range(0..40)]);
                let timestamp = SECOND + made + random.random_range(-70..70) * 100;
                Made { key: key_bytes, timestamp, headers, ..Made::value(key.to_string()) }
            };
            keys.into_iter().map(record).collect()
        })
        .collect()
}

#[test]
fn whatever_is_copied_in_blocks_what_comes_out_is_what_a_sort_would_give() {
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let (mut in_blocks, mut all) = ([0; 5], [0; 5]);
    for round in 0..300 {
        let index = round % 5;
        let shape =
            [Shape::Disjoint, Shape::Blocks(random.random_range(1..200)), Shape::Ties, Shape::Mixed, Shape::Skewed]
                [index];
        let order = if round % 4 == 3 { Order::Desc } else { Order::Asc };
        let plan = KeyPlan::parse(&[], order).unwrap();
        let (sources, each) = (random.random_range(1..6), random.random_range(1..700));
        let mut inputs = inputs(shape, sources, each, &mut random);
        if order == Order::Desc {
            inputs.iter_mut().for_each(|records| records.sort_by_cached_key(|record| plan.extract(record).unwrap()));
        }
        let (batch, stretch) = (random.random_range(1..400), random.random_range(1..6));
        let codec = if round % 11 == 10 { Codec::Lz4 } else { Codec::None };
        let hole = (round % 7 == 6).then(|| random.random_range(0..batch));
        let mut trial = Trial::new(&inputs).each(|source| {
            let source = source.cut(batch, stretch).codec(codec);
            hole.map_or(source.clone(), |before| source.hole(before))
        });
        trial.order = order;
        trial.compression = [OutputCodec::None, OutputCodec::Lz4, OutputCodec::Keep][round % 3];
        trial.batch_bytes = random.random_range(100..12_000);
        trial.memory_bytes = least_bytes(inputs.len()) + if round % 2 == 0 { 0 } else { 8 << 20 };
        let (batches, appended, outcome, blocks) = trial.run_and_count();
        outcome.unwrap();
        let expected = oracle(&inputs, &plan);
        let told = format!("seed {seed}, round {round}, {shape:?}");
        assert!(records(&batches) == expected, "{told}");
        assert_eq!(appended.records(), expected.len() as u64, "{told}");
        assert!(codec == Codec::None || blocks == 0, "{told}");
        in_blocks[index] += blocks;
        all[index] += expected.len() as u64;
    }
    assert!(in_blocks[0] > all[0] / 4 && in_blocks[1] > 0 && in_blocks[2] > 0, "seed {seed}: {in_blocks:?} of {all:?}");
}

/// Sources one behind the other whose batches are as large as those of the output, or a little smaller.
fn disjoint(sources: i64) -> (Vec<Vec<Made>>, Trial) {
    let inputs = inputs(Shape::Disjoint, sources, 4_900, &mut StdRng::seed_from_u64(8));
    let mut trial = Trial::new(&inputs).each(|source| source.cut(700, 4));
    trial.batch_bytes = 20_000;
    (inputs, trial)
}

#[test]
fn batches_below_all_others_arrive_with_nothing_changed_but_their_headers() {
    let (inputs, trial) = disjoint(3);
    let one_by_one: Vec<Vec<u8>> = trial.sources.iter().flat_map(input_batches).collect();
    let (batches, _, outcome, in_blocks) = trial.run_and_count();
    outcome.unwrap();
    assert_eq!(records(&batches), inputs.concat());
    assert_eq!(in_blocks, 3 * 4_900, "every record of every batch");
    let payload = |batches: &[Vec<u8>]| batches.iter().map(|batch| batch[61..].to_vec()).collect::<Vec<_>>();
    assert!(payload(&batches) == payload(&one_by_one));
}

/// The batches that a source gives.
fn input_batches(source: &MemorySource) -> Vec<Vec<u8>> {
    let (mut source, mut stretch, mut all) = (source.clone(), Vec::new(), Vec::new());
    block_on(async {
        while source.next(&mut stretch).await.unwrap().is_some() {
            all.extend(crate::batch::Batches::new(&stretch).map(|batch| batch.unwrap().bytes().to_vec()));
        }
    });
    all
}

#[test]
fn records_whose_distances_would_change_are_copied_one_by_one() {
    let stamped = |writer: &mut crate::batch::BatchWriter| _ = writer.append_time(Some(77));
    let horizon = |writer: &mut crate::batch::BatchWriter| _ = writer.delete_horizon(Some(SECOND - 5));
    for (how, time) in [(stamped as fn(&mut _), Some(77)), (horizon, None)] {
        let (mut inputs, _) = disjoint(2);
        // The first record of each batch has the time that is stamped, so that this is not what tells them apart.
        inputs.iter_mut().flat_map(|records| records.chunks_mut(700)).for_each(|batch| batch[0].timestamp = 77);
        let mut trial = Trial::new(&inputs).each(|source| source.cut(700, 4).written(how));
        trial.batch_bytes = 20_000;
        let (batches, _, outcome, in_blocks) = trial.run_and_count();
        outcome.unwrap();
        let expected =
            inputs.concat().into_iter().map(|made| Made { timestamp: time.unwrap_or(made.timestamp), ..made });
        assert_eq!((records(&batches), in_blocks), (expected.collect(), 0));
    }
}

#[test]
fn a_range_that_begins_and_ends_within_batches_is_copied_from_the_first_whole_one_on() {
    let (inputs, trial) = disjoint(1);
    let (batches, _, outcome, in_blocks) = trial.each(|source| source.range(350..4_500)).run_and_count();
    outcome.unwrap();
    assert_eq!((records(&batches), in_blocks), (inputs[0][350..4_500].to_vec(), 4_500 - 700));
}

#[test]
fn a_merge_goes_on_from_any_commit_as_if_nothing_had_happened() {
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    for (round, shape) in [Shape::Disjoint, Shape::Blocks(90), Shape::Ties, Shape::Mixed].into_iter().enumerate() {
        let inputs = inputs(shape, 3, 400, &mut random);
        let (batch, batch_bytes) = (random.random_range(20..150), random.random_range(400..4_000));
        let from = |positions: Option<&[i64]>| {
            let mut trial = Trial::new(&inputs).each(|source| {
                let start = positions.map_or(0, |positions| positions[source.partition().partition as usize]);
                source.cut(batch, 3).range(start..400)
            });
            trial.batch_bytes = batch_bytes;
            trial
        };
        let commits = Arc::<Mutex<Vec<Reached>>>::default();
        let mut trial = from(None);
        trial.commits = Some(commits.clone());
        let (batches, _, outcome, in_blocks) = trial.run_and_count();
        outcome.unwrap();
        let told = format!("seed {seed}, round {round}, {batch} records a batch, {batch_bytes} bytes");
        assert!(in_blocks > 0 || matches!(shape, Shape::Mixed), "{told}");
        let (all, commits) = (records(&batches), commits.lock().unwrap());
        assert_eq!(commits.len(), batches.len(), "{told}");
        let mut before = 0;
        for (reached, last) in commits.iter().zip(&batches) {
            before += records(std::slice::from_ref(last)).len();
            assert_eq!(reached.records, before as u64, "{told}");
            let (rest, _, outcome) = from(Some(&reached.positions)).run();
            outcome.unwrap();
            assert!(records(&rest) == all[before..], "{told}: from {reached:?}");
        }
        assert_eq!(before, 1_200, "{told}");
    }
}

#[test]
fn an_input_that_runs_backwards_within_a_block_is_told_and_nothing_follows_it() {
    let (mut inputs, _) = disjoint(2);
    inputs[1][3_333] = Made::value("2");
    let mut trial = Trial::new(&inputs).each(|source| source.cut(700, 4));
    trial.batch_bytes = 20_000;
    let (batches, _, outcome, in_blocks) = trial.run_and_count();
    let JobError::Unsorted { at, .. } = outcome.unwrap_err() else { panic!("another error") };
    assert_eq!((at.partition.partition, at.offset), (1, 3_333));
    assert!(in_blocks > 4_900);
    let written = records(&batches);
    assert!(written == inputs.concat()[..written.len()], "what comes before it, and no more");
}

#[test]
fn no_batch_is_larger_than_it_may_be_and_few_are_small() {
    for (cut, batch_bytes) in [(700, 30_000), (1_500, 30_000), (300, 12_000), (290, 30_000)] {
        let (inputs, mut trial) = disjoint(3);
        trial = trial.each(|source| source.cut(cut, 3));
        trial.batch_bytes = batch_bytes;
        let (batches, _, outcome, in_blocks) = trial.run_and_count();
        outcome.unwrap();
        assert_eq!(records(&batches), inputs.concat());
        assert!(batches.iter().all(|batch| batch.len() <= batch_bytes), "{cut}");
        let bytes: usize = batches.iter().map(Vec::len).sum();
        assert!(batches.len() <= 3 * bytes.div_ceil(batch_bytes) + 1, "{cut}: {} batches", batches.len());
        assert!(in_blocks > 0, "{cut}");
    }
}

#[test]
fn a_batch_that_is_read_from_its_middle_on_is_not_mistaken_for_one_at_the_same_distance() {
    let stamped = |number: i64| Made { timestamp: SECOND, ..Made::value(number.to_string()) };
    // As many records in the batch being filled as lie before the middle, and the same base.
    let inputs: [Vec<Made>; 2] = [(0..350).map(stamped).collect(), (1_000..1_700).map(stamped).collect()];
    let trial = Trial::new(&inputs).each(|source| {
        let source = source.cut(700, 1);
        if source.partition().partition == 1 { source.range(350..700) } else { source }
    });
    let (batches, _, outcome) = Trial { batch_bytes: 50_000, ..trial }.run();
    outcome.unwrap();
    let expected: Vec<Made> = inputs[0].iter().chain(&inputs[1][350..]).cloned().collect();
    assert!(records(&batches) == expected);
}

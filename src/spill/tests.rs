//! Runs and pieces against sorting and keeping; and files that are not what was written.

use super::reader::RunReader;
use super::run::{self, Run};
use super::runs::FAN_IN;
use super::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// A folder of a test's own.
pub(super) struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kmerge-spill-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn is_empty(&self) -> bool {
        std::fs::read_dir(&self.0).unwrap().next().is_none()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Entries of a list.
struct Listed {
    pairs: Pairs,
    next: usize,
}

impl Listed {
    fn new(mut pairs: Pairs) -> Self {
        pairs.sort();
        Self { pairs, next: 0 }
    }
}

impl Entries for Listed {
    fn advance(&mut self) -> Result<bool, SpillError> {
        self.next += 1;
        Ok(self.next <= self.pairs.len())
    }

    fn key(&self) -> &[u8] {
        &self.pairs[self.next - 1].0
    }

    fn value(&self) -> &[u8] {
        &self.pairs[self.next - 1].1
    }
}

fn all(mut entries: impl Entries) -> Result<Pairs, SpillError> {
    let mut pairs = Vec::new();
    while entries.advance()? {
        pairs.push((entries.key().to_vec(), entries.value().to_vec()));
    }
    Ok(pairs)
}

fn random() -> StdRng {
    let seed = std::env::var("KMERGE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("KMERGE_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

fn pairs(random: &mut StdRng, count: usize) -> Pairs {
    (0..count)
        .map(|_| {
            let key: Vec<u8> = (0..random.random_range(0..6)).map(|_| random.random_range(0..3)).collect();
            let len = if random.random_bool(0.01) { 10_000 } else { random.random_range(0..40) };
            (key, (0..len).map(|_| random.random()).collect())
        })
        .collect()
}

const GO_ON: &dyn Fn() -> bool = &|| false;

#[test]
fn entries_come_out_in_order_whatever_runs_they_were_in_and_no_name_is_left() {
    let mut random = random();
    let folder = Folder::new("runs");
    for count in [0, 1, 2, FAN_IN - 1, FAN_IN, 2 * FAN_IN + 1, FAN_IN * FAN_IN + 5] {
        let scratch = Scratch::new(folder.path());
        let mut runs = Runs::new(scratch.clone(), 0);
        let mut expected = Vec::new();
        for index in 0..count {
            let some = pairs(&mut random, index % 7);
            expected.extend(some.clone());
            runs.add(&mut Listed::new(some), GO_ON).unwrap();
            runs.settle(GO_ON).unwrap();
            assert!(folder.is_empty());
        }
        let mut others = runs.none();
        for _ in 0..count.min(FAN_IN + 3) {
            let some = pairs(&mut random, 3);
            expected.extend(some.clone());
            others.add(&mut Listed::new(some), GO_ON).unwrap();
        }
        runs.append(others);
        assert_eq!((runs.entries(), runs.is_empty()), (expected.len() as u64, count == 0));
        let mut found = all(runs.into_entries(GO_ON).unwrap()).unwrap();
        assert!(found.is_sorted_by_key(|(key, _)| key.clone()));
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(scratch.written() > 0, count > 0);
        assert!(folder.is_empty());
    }
}

#[test]
fn however_many_put_runs_aside_beside_each_other_the_files_that_are_open_together_are_few() {
    let mut random = random();
    let folder = Folder::new("shared");
    for (sharers, each) in [(1, 1_500), (4, 300), (16, 100), (64, 40), (128, 30), (Runs::SHARERS_MAX, 20)] {
        let scratch = Scratch::new(folder.path());
        let mut all_runs: Vec<Runs> = (0..sharers).map(|_| Runs::new(scratch.clone(), 0).one_of(sharers)).collect();
        let mut expected = Vec::new();
        for _ in 0..each {
            for runs in &mut all_runs {
                let some = pairs(&mut random, 2);
                expected.extend(some.clone());
                runs.add(&mut Listed::new(some), GO_ON).unwrap();
                if runs.are_many() {
                    runs.settle(GO_ON).unwrap();
                }
            }
        }
        // What each still has in memory goes to those of all.
        let mut whole = Runs::new(scratch.clone(), 0);
        all_runs.into_iter().for_each(|runs| whole.append(runs));
        for _ in 0..sharers {
            whole.add(&mut Listed::new(pairs(&mut random, 0)), GO_ON).unwrap();
        }
        let mut found = all(whole.into_entries(GO_ON).unwrap()).unwrap();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        let open = scratch.most_open();
        assert!(open <= 640 + sharers, "{open} files of {sharers} together");
        // An entry is written a few times, whoever has few files.
        let once: usize = expected.iter().map(|(key, value)| key.len() + value.len() + 3).sum();
        assert!(scratch.written() < 10 * once as u64, "{} bytes for {once} of {sharers}", scratch.written());
    }
}

#[test]
fn of_equal_keys_those_of_the_first_source_come_first() {
    let of =
        |values: &[&str]| Listed::new(values.iter().map(|value| (b"k".to_vec(), value.as_bytes().to_vec())).collect());
    let merge = Merge::new(vec![of(&["b", "c"]), of(&[]), of(&["a", "d"])]);
    let values: Vec<Vec<u8>> = all(merge).unwrap().into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, [b"b", b"c", b"a", b"d"]);
}

fn written(scratch: &Scratch, pairs: Pairs) -> Run {
    run::write(scratch, 64, 0, &mut Listed::new(pairs), GO_ON).unwrap()
}

#[test]
fn a_run_that_is_not_what_was_written_is_an_error_and_takes_no_more_memory_than_it_has_bytes() {
    let mut random = random();
    let folder = Folder::new("torn");
    let scratch = Scratch::new(folder.path());
    let mut torn = 0;
    for _ in 0..2_000 {
        let before = pairs(&mut random, 5);
        let mut run = written(&scratch, before);
        let mut bytes = Vec::new();
        run.file.file.read_to_end(&mut bytes).unwrap();
        let at = random.random_range(0..bytes.len());
        bytes[at] ^= 1 << random.random_range(0..8);
        run.file.file.seek(SeekFrom::Start(0)).unwrap();
        run.file.file.write_all(&bytes).unwrap();
        run.file.file.seek(SeekFrom::Start(0)).unwrap();
        match all(RunReader::new(run, &scratch, 16)) {
            Err(SpillError::Torn { .. }) => torn += 1,
            Err(error) => panic!("{error}"),
            // A byte of a value or a key may be another one.
            Ok(pairs) => {
                assert!(pairs.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() <= 6 * bytes.len())
            }
        }
    }
    assert!(torn > 100, "{torn}");
    // Cut short.
    let run = written(&scratch, vec![(b"key".to_vec(), vec![7; 1000])]);
    run.file.file.set_len(run.bytes - 1).unwrap();
    let error = all(RunReader::new(run, &scratch, 16)).unwrap_err();
    assert!(matches!(error, SpillError::Disk { .. }), "{error}");
}

#[test]
fn a_folder_that_is_not_there_is_named_with_the_way_out() {
    let nowhere = std::env::temp_dir().join("kmerge-spill-not-there");
    let error = Runs::new(Scratch::new(&nowhere), 0).add(&mut Listed::new(Vec::new()), GO_ON).unwrap_err().to_string();
    assert!(error.contains("kmerge-spill-not-there: make a file") && error.contains("--temp-dir"), "{error}");
    let mut spool = Spool::new(Scratch::new(&nowhere), 0);
    // What fits into memory needs no folder.
    spool.push(&[1; 100]).unwrap();
    assert!(spool.push(&vec![1; 1 << 20]).is_err());
}

#[test]
fn whoever_wishes_it_to_stop_is_heard() {
    let folder = Folder::new("stop");
    let mut runs = Runs::new(Scratch::new(folder.path()), 0);
    let stopped = runs.add(&mut Listed::new(vec![(Vec::new(), Vec::new())]), &|| true);
    assert!(matches!(stopped, Err(SpillError::Stopped)));
    assert!(folder.is_empty());
}

#[test]
fn pieces_come_back_as_they_were_from_memory_and_from_a_file() {
    let mut random = random();
    let folder = Folder::new("spool");
    for (count, len_max) in [(0, 1), (3, 100), (2_000, 200), (5, 300_000)] {
        let scratch = Scratch::new(folder.path());
        let pieces: Vec<Vec<u8>> =
            (0..count).map(|_| (0..random.random_range(0..len_max)).map(|_| random.random()).collect()).collect();
        let mut spool = Spool::new(scratch.clone(), 0);
        pieces.iter().for_each(|piece| spool.push(piece).unwrap());
        let mut found = Vec::new();
        spool
            .each(|piece| {
                found.push(piece.to_vec());
                Ok::<(), SpillError>(())
            })
            .unwrap();
        assert_eq!(found, pieces);
        let bytes: usize = pieces.iter().map(Vec::len).sum();
        assert!(bytes > 60_000 || scratch.written() == 0, "{bytes}");
        assert!(count < 2_000 || scratch.written() > 0);
        assert!(folder.is_empty());
    }
}

//! The folder: what is left over in it is removed, and what is whole gets its name.

use super::names::{self, Found};
use super::open::Finished;
use super::{Written, unwritable};
use crate::base::place::TopicPartition;
use crate::jobs::error::JobError;
use std::fs::{self, File};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// A file that is not whole yet; gone when this is.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
    is_renamed: bool,
}

impl Temporary {
    /// Makes the file.
    pub(super) fn create(folder: &Path, of: &TopicPartition, first: i64) -> io::Result<(Self, File)> {
        let path = folder.join(names::temporary(of, first));
        let file = File::create_new(&path)?;
        Ok((Self { path, is_renamed: false }, file))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn rename(&mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        self.is_renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_renamed {
            // Whoever takes the partition next tries again.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Why files did not get their names.
#[derive(Debug)]
pub(super) enum Unpublished {
    /// Somebody else has taken the partition, and removed what was in our name.
    Gone,
    /// The disk does not do it.
    Job(JobError),
}

/// Gives files their names, and waits until the disk has them: all, or none.
pub(super) fn publish(folder: &Path, finished: Vec<Finished>) -> Result<Written, Unpublished> {
    let (mut renamed, mut written) = (Vec::new(), Written::default());
    let all = || {
        for mut one in finished {
            let to = folder.join(&one.name);
            one.temporary.rename(&to).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Unpublished::Gone,
                _ => Unpublished::Job(unwritable(&to, &error)),
            })?;
            renamed.push(to);
            written.add(&Written::of_file(&one.totals));
        }
        if renamed.is_empty() {
            Ok(())
        } else {
            sync(folder).map_err(|error| Unpublished::Job(unwritable(folder, &error)))
        }
    };
    match all() {
        Ok(()) => Ok(written),
        // The transaction was voided under us, and others are at work: a name that we have given may by now be that of a file
        // which an heir has written and committed. What is ours yet is beyond what is committed, and whoever takes its
        // partition removes it.
        Err(Unpublished::Gone) => Err(Unpublished::Gone),
        Err(error) => {
            // A moment ago the coordinator took the offsets from us. For one of these to be an heir's, our transaction would
            // have to have timed out since and the heir to have committed one of its own, while this disk failed.
            for path in &renamed {
                // What is left is beyond what is committed, and removed with the partition's next start.
                let _ = fs::remove_file(path);
            }
            Err(error)
        }
    }
}

/// Waits until the disk has the folder's names.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    // Elsewhere folders cannot be opened.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// What became of clearing a folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cleared {
    /// The names that are gone.
    pub(super) gone: Vec<String>,
    /// Whether the partitions were ours to the end; if not, the rest is left to whoever has them.
    pub(super) are_ours: bool,
}

/// Removes what of these partitions is not whole, or beyond the offset that they are gone on with at. Where there is more than a
/// crash can have left, or a file from before that offset to behind it, nothing is removed. `are_ours` is asked before each file.
pub(super) fn clear(
    folder: &Path,
    starts: &[(TopicPartition, i64)],
    are_ours: impl Fn() -> bool,
) -> Result<Cleared, JobError> {
    clear_with(folder, starts, are_ours, |path| fs::remove_file(path))
}

/// Who had the partition before, and is late, may still give a file its name, also while the folder is listed, so that neither
/// name is seen. So it is looked until nothing is left to remove, and at least twice: had the last look missed a file that was
/// renamed meanwhile, the one before would have seen its first name, and that would be gone.
fn clear_with(
    folder: &Path,
    starts: &[(TopicPartition, i64)],
    are_ours: impl Fn() -> bool,
    mut remove: impl FnMut(&Path) -> io::Result<()>,
) -> Result<Cleared, JobError> {
    let (mut gone, mut still_ours) = (Vec::new(), true);
    'looks: for looks in 1.. {
        let names = list(folder)?;
        let mut left = Vec::new();
        for (of, offset) in starts {
            match left_over(folder, &names, of, *offset) {
                Ok(some) => left.extend(some),
                Err(error) if are_ours() => return Err(error),
                // It is an heir's that has gone on.
                Err(_) => {
                    still_ours = false;
                    break 'looks;
                }
            }
        }
        if left.is_empty() && looks > 1 {
            break;
        }
        for name in left {
            still_ours = are_ours();
            if !still_ours {
                break 'looks;
            }
            let path = folder.join(&name);
            match remove(&path) {
                Ok(()) => gone.push(name),
                // Removed or renamed by whoever wrote it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unwritable(&path, &error)),
            }
        }
    }
    if !gone.is_empty() {
        // Else a crash could bring back what others have written again by then.
        sync(folder).map_err(|error| unwritable(folder, &error))?;
    }
    Ok(Cleared { gone, are_ours: still_ours })
}

/// Everything that is there.
pub(super) fn list(folder: &Path) -> Result<Vec<String>, JobError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| unwritable(folder, &error))? {
        let entry = entry.map_err(|error| unwritable(folder, &error))?;
        // What is no UTF-8 is none of ours.
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

fn left_over(folder: &Path, names: &[String], of: &TopicPartition, offset: i64) -> Result<Vec<String>, JobError> {
    let prefix = names::prefix(of);
    let (mut left, mut beyond): (Vec<String>, Vec<RangeInclusive<i64>>) = Default::default();
    for name in names {
        match names::read(name, &prefix) {
            None => {}
            Some(Found::Temporary) => left.push(name.clone()),
            Some(Found::Whole(offsets)) if *offsets.end() < offset => {}
            Some(Found::Whole(offsets)) => {
                beyond.push(offsets);
                left.push(name.clone());
            }
        }
    }
    let first = beyond.iter().map(RangeInclusive::start).min();
    let last = beyond.iter().map(RangeInclusive::end).max();
    match (first, last) {
        (Some(first), Some(last)) if beyond.len() > 1 || *first < offset => Err(JobError::Refused(format!(
            "{}: of {of} there are files with records up to offset {last}, and the group stands at {offset}: it was set back, or \
             its offsets were forgotten. Writing them again would have each record twice, so nothing was removed: set the group \
             to {} with kmerge group reset, or move the partition's files away",
            folder.display(),
            last.saturating_add(1)
        ))),
        _ => Ok(left),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Folder;
    use super::*;

    fn of(partition: i32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }

    /// What is gone, where the partitions are ours.
    fn cleared(folder: &Folder, starts: &[(TopicPartition, i64)]) -> Result<Vec<String>, JobError> {
        clear(folder.path(), starts, || true).map(|cleared| cleared.gone)
    }

    #[test]
    fn only_what_a_crash_has_left_of_the_partitions_that_are_taken_is_removed() {
        let folder = Folder::new();
        let (_, whole) = (Temporary::create(folder.path(), &of(1), 7).unwrap(), "t-0-0-9.parquet");
        let gone = [".t-0-10-0123456789abcdef.tmp", "t-0-10-19.parquet", "t-2-0-4.parquet"];
        let kept = [
            whole,
            "t-1-0-99.parquet",
            "t-00-10-19.parquet",
            "_schema.json",
            "t-10-10-19.parquet",
            ".t-1-10-0123456789abcdef.tmp",
        ];
        for name in gone.iter().chain(&kept) {
            folder.put(name);
        }
        let mut removed = cleared(&folder, &[(of(0), 10), (of(2), 0)]).unwrap();
        removed.sort();
        assert_eq!(removed, gone);
        let mut kept: Vec<&str> = kept.to_vec();
        kept.sort_unstable();
        assert_eq!(folder.names(), kept);
        assert_eq!(cleared(&folder, &[(of(0), 10), (of(2), 0)]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn nothing_is_removed_or_said_of_partitions_that_are_others_by_now() {
        for names in [&["t-0-10-19.parquet"][..], &["t-0-0-9.parquet", "t-0-10-19.parquet", "t-0-20-29.parquet"]] {
            let folder = Folder::new();
            names.iter().for_each(|name| folder.put(name));
            let cleared = clear(folder.path(), &[(of(0), 10)], || false).unwrap();
            assert_eq!(cleared, Cleared { gone: Vec::new(), are_ours: false });
            assert_eq!(folder.names(), names);
        }
        // And what is left of them is left, from the moment on where they are.
        let folder = Folder::new();
        let names = ["t-0-0-9.parquet", "t-1-0-9.parquet", "t-2-0-9.parquet"];
        names.iter().for_each(|name| folder.put(name));
        let asked = std::cell::Cell::new(0);
        let are_ours = || asked.replace(asked.get() + 1) < 2;
        let cleared = clear(folder.path(), &[(of(0), 0), (of(1), 0), (of(2), 0)], are_ours).unwrap();
        assert_eq!((cleared.are_ours, cleared.gone.len(), folder.names().len()), (false, 2, 1));
    }

    #[test]
    fn more_than_a_crash_can_have_left_is_kept_and_told_with_the_way_out() {
        for (names, offset) in [
            (&["t-0-0-9.parquet", "t-0-10-19.parquet"][..], 0),
            (&["t-0-0-9.parquet"], 5),
            (&["t-0-0-9.parquet"], 9),
            (&["t-0-0-9.parquet", "t-0-10-19.parquet"], 9),
        ] {
            let folder = Folder::new();
            names.iter().chain(&["t-1-0-5.parquet"]).for_each(|name| folder.put(name));
            let error = cleared(&folder, &[(of(1), 0), (of(0), offset)]).unwrap_err().to_string();
            assert!(error.contains("t partition 0") && error.contains("kmerge group reset"), "{error}");
            assert_eq!(folder.names().len(), names.len() + 1, "{error}");
        }
        let folder = Folder::new();
        folder.put("t-0-0-9.parquet");
        assert_eq!(cleared(&folder, &[(of(0), 10)]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_gets_its_name_while_it_is_looked_for_is_removed_by_that_name() {
        for offsets in ["0-4", "0-99"] {
            let folder = Folder::new();
            let (temporary, whole) = (".t-0-0-0123456789abcdef.tmp", format!("t-0-{offsets}.parquet"));
            folder.put(temporary);
            let late = std::cell::Cell::new(true);
            let remove = |path: &Path| {
                if late.replace(false) {
                    fs::rename(folder.path().join(temporary), folder.path().join(&whole)).unwrap();
                }
                fs::remove_file(path)
            };
            let cleared = clear_with(folder.path(), &[(of(0), 0)], || true, remove).unwrap();
            assert_eq!((cleared.gone, folder.names().len()), (vec![whole], 0));
        }
    }

    #[test]
    fn a_temporary_file_is_gone_with_whoever_wrote_it() {
        let folder = Folder::new();
        let (temporary, _file) = Temporary::create(folder.path(), &of(0), 0).unwrap();
        assert_eq!(folder.names().len(), 1);
        drop(temporary);
        assert_eq!(folder.names().len(), 0);
    }
}

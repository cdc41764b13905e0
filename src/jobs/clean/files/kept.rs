//! What all files of a folder have in common: their columns, and the group that writes them.
//!
//! The first instance that knows the columns keeps them, in a file that appears whole or not at all; whoever comes second finds
//! it there, and takes what it says. So the files of all instances and of all times agree.

use super::{folder, unwritable};
use crate::formats::parquet::Schema;
use crate::jobs::error::JobError;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// Begins with an underscore, so that readers of whole folders pass it over.
pub(super) const NAME: &str = "_schema.json";
/// Far larger than the largest schema.
const BYTES_MAX: u64 = 16 << 20;

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) group: String,
    pub(super) schema: Schema,
}

impl Kept {
    /// Two groups in one folder would each remove what the other one has written.
    pub(super) fn is_of(&self, folder: &Path, group: &str) -> Result<(), JobError> {
        if self.group == group {
            return Ok(());
        }
        Err(JobError::Refused(format!(
            "{}: its files are those of the group {theirs}, and this one is {group}: give another folder, or --group {theirs}",
            folder.display(),
            theirs = self.group
        )))
    }

    fn text(&self) -> String {
        let mut json = self.schema.to_json();
        if let Some(all) = json.as_object_mut() {
            all.insert("group".to_owned(), self.group.as_str().into());
        }
        format!("{json:#}\n")
    }

    fn parse(text: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
        let all = json.as_object().ok_or("it is no object")?;
        let group = all.get("group").and_then(Value::as_str).ok_or("it has no \"group\"")?;
        let schema = Schema::from_json(all).map_err(|error| error.to_string())?;
        Ok(Self { group: group.to_owned(), schema })
    }
}

/// What is kept in this folder, if anything is.
pub(super) fn read(folder: &Path) -> Result<Option<Kept>, JobError> {
    let path = folder.join(NAME);
    match read_whole(&path)? {
        Some(text) => Kept::parse(&text).map(Some).map_err(|what| wrong(&path, &what)),
        None => Ok(None),
    }
}

/// The text of a file that says something of the others in its folder, if it is there.
pub(super) fn read_whole(path: &Path) -> Result<Option<String>, JobError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(path, &error.to_string())),
    };
    let mut text = String::new();
    let read = file.take(BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| wrong(path, &error.to_string()))?;
    if text.len() as u64 > BYTES_MAX {
        return Err(wrong(path, "larger than any schema (16 MiB)"));
    }
    Ok(Some(text))
}

/// It says what it does not say as we write it.
pub(super) fn wrong(path: &Path, what: &str) -> JobError {
    JobError::Refused(format!("{}: {what}. It says what the files there have in common: put it right", path.display()))
}

/// What is known of the files of a folder without opening one.
pub(in crate::jobs) struct FolderSays {
    /// The group that writes it.
    pub(in crate::jobs) group: String,
    /// Whether its rows say where they come from.
    pub(in crate::jobs) has_metadata: bool,
}

/// What a folder that is written by a group says of its files.
pub(in crate::jobs) fn said_by_folder(folder: &Path) -> Result<Option<FolderSays>, JobError> {
    Ok(read(folder)?.map(|kept| FolderSays { has_metadata: kept.schema.has_metadata(), group: kept.group }))
}

/// Keeps this, unless something is kept already; gives what is.
pub(super) fn keep(folder: &Path, mine: &Kept) -> Result<Kept, JobError> {
    match put_whole(folder, NAME, &mine.text())? {
        true => Ok(mine.clone()),
        false => read(folder)?.ok_or_else(|| gone(&folder.join(NAME))),
    }
}

/// It was there a moment ago.
pub(super) fn gone(path: &Path) -> JobError {
    JobError::Refused(format!("{}: it was there, and is gone: start again", path.display()))
}

/// Makes a file that appears whole or not at all; `false` where there is one.
pub(super) fn put_whole(folder: &Path, name: &str, text: &str) -> Result<bool, JobError> {
    let (path, whole) = (folder.join(name), folder.join(format!(".{name}-{:016x}.tmp", rand::random::<u64>())));
    let made = || -> io::Result<bool> {
        let mut file = File::create_new(&whole)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        // Unlike a rename it fails where there is one.
        match fs::hard_link(&whole, &path) {
            Ok(()) => folder::sync(folder).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            // Somebody was faster, and has removed this as what was left by one who was killed.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => Ok(false),
            Err(error) => Err(error),
        }
    };
    let made = made();
    let _ = fs::remove_file(&whole);
    made.map_err(|error| unwritable(&path, &error))
}

/// Removes what was on its way to become such a file when its maker was killed, where that file is there: it is of no use any
/// more, whoever made it.
pub(super) fn remove_unmade(folder: &Path) -> Result<(), JobError> {
    for name in folder::list(folder)? {
        let of =
            name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".tmp")).and_then(|rest| rest.rsplit_once('-'));
        let Some((of, random)) = of else { continue };
        let is_ours = of.starts_with('_') && of.ends_with(".json") && random.len() == 16;
        if is_ours && folder.join(of).exists() {
            match fs::remove_file(folder.join(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(unwritable(&folder.join(&name), &error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::Folder;
    use super::*;
    use crate::formats::parquet::{Column, Kind};

    fn kept(group: &str, column: &str) -> Kept {
        let column = Column { name: column.to_owned(), kind: Kind::Time };
        Kept { group: group.to_owned(), schema: Schema::new(vec![column], true).unwrap() }
    }

    #[test]
    fn of_many_that_keep_columns_at_the_same_time_all_take_those_of_one() {
        let folder = Folder::new();
        let taken: Vec<Kept> = std::thread::scope(|scope| {
            let keep = |number: usize| keep(folder.path(), &kept("g", &number.to_string())).unwrap();
            let all: Vec<_> = (0..8).map(|number| scope.spawn(move || keep(number))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(taken.iter().all(|one| *one == taken[0]), "{taken:?}");
        assert_eq!(read(folder.path()).unwrap().as_ref(), Some(&taken[0]));
        assert_eq!(folder.names(), [NAME], "nothing else is left");
    }

    #[test]
    fn what_one_who_was_killed_left_is_removed_once_the_file_is_there_and_nothing_else_is() {
        let folder = Folder::new();
        let left = ["._schema.json-0123456789abcdef.tmp", "._topic-a-b.json-0123456789abcdef.tmp"];
        let others = [".t-0-0-0123456789abcdef.tmp", "._schema.json.tmp", "._schema.json-1.tmp", "t-0-0-4.parquet"];
        left.iter().chain(&others).for_each(|name| folder.put(name));
        remove_unmade(folder.path()).unwrap();
        assert_eq!(folder.names().len(), left.len() + others.len(), "the files may be on their way");
        ["_schema.json", "_topic-a-b.json"].iter().for_each(|name| folder.put(name));
        remove_unmade(folder.path()).unwrap();
        let mut stay = [&others[..], &["_schema.json", "_topic-a-b.json"]].concat();
        stay.sort_unstable();
        assert_eq!(folder.names(), stay);
    }

    #[test]
    fn what_is_kept_that_is_none_of_ours_is_named_and_stays() {
        for (text, part) in [
            ("", "no JSON"),
            ("{\"group\":\"g\"", "no JSON"),
            ("[]", "no object"),
            ("{}", "group"),
            ("{\"group\":\"g\"}", "metadata"),
            ("\u{0}", "no JSON"),
        ] {
            let folder = Folder::new();
            std::fs::write(folder.path().join(NAME), text).unwrap();
            let error = read(folder.path()).unwrap_err().to_string();
            assert!(error.contains(NAME) && error.contains(part), "{text}: {error}");
            assert!(keep(folder.path(), &kept("g", "a")).unwrap_err().to_string().contains(part), "{text}");
            assert_eq!(folder.names(), [NAME]);
        }
    }

    #[test]
    fn a_folder_of_another_group_is_refused_with_both_names() {
        let error = kept("theirs", "a").is_of(Path::new("x"), "ours").unwrap_err().to_string();
        assert!(
            error.contains("group theirs") && error.contains("this one is ours") && error.contains("--group theirs"),
            "{error}"
        );
    }
}

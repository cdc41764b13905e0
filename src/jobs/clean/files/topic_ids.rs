//! Which topics the files are of.
//!
//! A topic that is deleted and created anew has the name of the one before, and begins at offset 0 again: only its id tells the
//! files of the two apart. Beside the files of each topic stands `_topic-NAME.json` with that id, made right before the first of
//! them gets its name. Where the topic has another id by now, the folder is refused, and nothing in it is removed.
//!
//! Non-obvious:
//! - A folder whose files were written before ids were kept has none, and neither has a topic of brokers before 2.8. Such a folder
//!   takes the topic's id as it is when it is seen next, so that what happens from then on is told.
//! - An id without a file, as a crash or a user may leave it, is an id of nothing: the topic that is there now takes its place.

use super::kept::{gone, put_whole, read_whole, wrong};
use super::{folder, names, unwritable};
use crate::jobs::error::JobError;
use crate::wire::Uuid;
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::path::Path;

/// Refuses the folder where its files are of other topics with these names. Of a topic that has no files here nothing is kept.
pub(super) fn check(folder: &Path, topics: &[(String, Uuid)]) -> Result<(), JobError> {
    let named = topics.iter().filter(|(_, id)| !id.is_zero()).map(|(topic, id)| (topic, *id));
    for (topic, id) in named {
        let kept = read(folder, topic)?;
        match (kept, has_files(folder, topic)?) {
            (Some(kept), _) if kept == id => {}
            (Some(kept), true) => return Err(others(folder, topic, kept, id)),
            (Some(_), false) => forget(folder, topic)?,
            (None, true) => keep(folder, topic, id)?,
            (None, false) => {}
        }
    }
    Ok(())
}

/// Keeps the id of a topic that is about to have files here; refuses the folder where another one is kept.
pub(super) fn keep(folder: &Path, topic: &str, id: Uuid) -> Result<(), JobError> {
    if id.is_zero() {
        return Ok(());
    }
    let kept = match read(folder, topic)? {
        Some(kept) => kept,
        None => {
            let (name, mine) = (names::of_topic(topic), json!({ "topic": topic, "id": id.to_string() }));
            if put_whole(folder, &name, &format!("{mine:#}\n"))? {
                return Ok(());
            }
            // Somebody was faster, who may have seen another topic.
            read(folder, topic)?.ok_or_else(|| gone(&folder.join(name)))?
        }
    };
    if kept == id { Ok(()) } else { Err(others(folder, topic, kept, id)) }
}

fn read(folder: &Path, topic: &str) -> Result<Option<Uuid>, JobError> {
    let path = folder.join(names::of_topic(topic));
    match read_whole(&path)? {
        Some(text) => parse(&text).map(Some).map_err(|what| wrong(&path, &what)),
        None => Ok(None),
    }
}

fn forget(folder: &Path, topic: &str) -> Result<(), JobError> {
    let path = folder.join(names::of_topic(topic));
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(&path, &error)),
        _ => Ok(()),
    }
}

/// Whether whole files of the topic are there. What is not whole is removed by whoever takes its partition.
fn has_files(folder: &Path, topic: &str) -> Result<bool, JobError> {
    Ok(folder::list(folder)?.iter().any(|name| names::file_of(name, topic).is_some()))
}

#[cold]
fn others(folder: &Path, topic: &str, kept: Uuid, id: Uuid) -> JobError {
    JobError::Refused(format!(
        "{folder}: its files are of the topic {topic} with the id {kept}, and that topic has the id {id} here: it was deleted and \
         created anew, and begins at offset 0 again, or these brokers are another cluster's. Nothing was removed: give another \
         folder or the right --brokers, or move the files of {topic} and {name} away",
        folder = folder.display(),
        name = names::of_topic(topic)
    ))
}

fn parse(text: &str) -> Result<Uuid, String> {
    let json: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    let id = json.get("id").and_then(Value::as_str).ok_or("it has no \"id\"")?;
    id.parse().map_err(|error| format!("\"id\" is {id}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Folder;
    use super::*;

    fn id(of: u8) -> Uuid {
        Uuid([of; 16])
    }

    fn check_one(folder: &Folder, topic: &str, id: Uuid) -> Result<(), JobError> {
        check(folder.path(), &[(topic.to_owned(), id)])
    }

    #[test]
    fn a_topic_that_was_created_anew_is_refused_with_both_ids_and_the_way_out_and_others_are_not() {
        let folder = Folder::new();
        for (topic, number) in [("t", 1), ("u", 2)] {
            keep(folder.path(), topic, id(number)).unwrap();
            folder.put(&format!("{topic}-0-0-9.parquet"));
        }
        check(folder.path(), &[("t".to_owned(), id(1)), ("u".to_owned(), id(2))]).unwrap();
        let error = check(folder.path(), &[("u".to_owned(), id(2)), ("t".to_owned(), id(3))]).unwrap_err().to_string();
        let kept = keep(folder.path(), "t", id(3)).unwrap_err().to_string();
        assert_eq!(kept, error, "also right before a file gets its name");
        for part in [&id(1).to_string(), &id(3).to_string(), "another folder", "another cluster", "_topic-t.json"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert_eq!(folder.names(), ["_topic-t.json", "_topic-u.json", "t-0-0-9.parquet", "u-0-0-9.parquet"]);
        // Where its files are moved away, the folder is the new topic's.
        std::fs::remove_file(folder.path().join("t-0-0-9.parquet")).unwrap();
        check_one(&folder, "t", id(3)).unwrap();
        assert_eq!(folder.names(), ["_topic-u.json", "u-0-0-9.parquet"]);
        keep(folder.path(), "t", id(3)).unwrap();
        keep(folder.path(), "t", id(1)).unwrap_err();
    }

    #[test]
    fn nothing_is_kept_of_a_topic_without_files_and_files_without_an_id_take_it() {
        let folder = Folder::new();
        check_one(&folder, "t", id(1)).unwrap();
        // Neither what is not whole nor what is another topic's is a file of it.
        folder.put(".t-0-0-0123456789abcdef.tmp");
        folder.put("t-u-0-0-9.parquet");
        check_one(&folder, "t", id(2)).unwrap();
        assert!(!folder.names().contains(&"_topic-t.json".to_owned()), "{:?}", folder.names());
        folder.put("t-0-0-9.parquet");
        check_one(&folder, "t", id(3)).unwrap();
        assert!(check_one(&folder, "t", id(1)).unwrap_err().to_string().contains(&id(3).to_string()));
    }

    #[test]
    fn of_many_that_keep_ids_at_the_same_time_those_stay_who_have_seen_the_same_topic() {
        let folder = Folder::new();
        let went_on: Vec<u8> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8_u8)
                .map(|number| {
                    let folder = &folder;
                    scope.spawn(move || keep(folder.path(), "t", id(1 + number % 2)).is_ok().then_some(number % 2))
                })
                .collect();
            all.into_iter().filter_map(|one| one.join().unwrap()).collect()
        });
        assert!(went_on.len() == 4 && went_on.iter().all(|one| *one == went_on[0]), "{went_on:?}");
        assert_eq!(folder.names(), ["_topic-t.json"], "nothing else is left");
    }

    #[test]
    fn a_topic_without_an_id_is_not_compared_and_what_is_no_id_is_named() {
        let folder = Folder::new();
        check_one(&folder, "t", Uuid::ZERO).unwrap();
        keep(folder.path(), "t", Uuid::ZERO).unwrap();
        assert!(folder.names().is_empty());
        for (text, part) in
            [("", "no JSON"), ("[]", "no \"id\""), ("{\"id\":\"x\"}", "base64"), ("{\"id\":1}", "no \"id\"")]
        {
            std::fs::write(folder.path().join("_topic-t.json"), text).unwrap();
            let error = check_one(&folder, "t", id(1)).unwrap_err().to_string();
            assert!(error.contains("_topic-t.json") && error.contains(part), "{text}: {error}");
        }
    }
}

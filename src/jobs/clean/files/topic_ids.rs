//! Which topics the files are of.
//!
//! A topic that is deleted and created anew has the name of the one before, and begins at offset 0 again: only its id tells the
//! files of the two apart. Beside the files of each topic stands `_topic-NAME.json` with that id, made by the first instance that
//! takes partitions of it. Where the topic has another id by now, the folder is refused, and nothing in it is removed.
//!
//! Non-obvious: a folder whose files were written before ids were kept has none, and neither has a topic of brokers before 2.8.
//! Such a folder takes the topic's id as it is when it is seen next, so that what happens from then on is told.

use super::kept::{gone, put_whole, read_whole, wrong};
use super::names;
use crate::jobs::error::JobError;
use crate::wire::Uuid;
use serde_json::{Value, json};
use std::path::Path;

/// Refuses the folder where its files are of other topics with these names; keeps the ids of topics that are new here.
pub(super) fn check(folder: &Path, topics: &[(String, Uuid)]) -> Result<(), JobError> {
    for (topic, id) in topics.iter().filter(|(_, id)| !id.is_zero()) {
        let name = names::of_topic(topic);
        let path = folder.join(&name);
        let kept = match read_whole(&path)? {
            Some(text) => text,
            None => {
                let mine = json!({ "topic": topic, "id": id.to_string() });
                if put_whole(folder, &name, &format!("{mine:#}\n"))? {
                    continue;
                }
                // Somebody was faster, who may have seen another topic.
                read_whole(&path)?.ok_or_else(|| gone(&path))?
            }
        };
        let kept = parse(&kept).map_err(|what| wrong(&path, &what))?;
        if kept != *id {
            return Err(JobError::Refused(format!(
                "{folder}: its files are of the topic {topic} with the id {kept}, and that topic has the id {id}: it was deleted \
                 and created anew, and begins at offset 0 again. Nothing was removed: give another folder, or move the files of \
                 {topic} and {name} away",
                folder = folder.display()
            )));
        }
    }
    Ok(())
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
        check_one(&folder, "t", id(1)).unwrap();
        check(folder.path(), &[("t".to_owned(), id(1)), ("u".to_owned(), id(2))]).unwrap();
        assert_eq!(folder.names(), ["_topic-t.json", "_topic-u.json"]);
        let error = check(folder.path(), &[("u".to_owned(), id(2)), ("t".to_owned(), id(3))]).unwrap_err().to_string();
        for part in [&id(1).to_string(), &id(3).to_string(), "another folder", "_topic-t.json"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        // Where its files are moved away, the folder is the new topic's.
        std::fs::remove_file(folder.path().join("_topic-t.json")).unwrap();
        check_one(&folder, "t", id(3)).unwrap();
        check_one(&folder, "t", id(1)).unwrap_err();
    }

    #[test]
    fn of_many_that_keep_ids_at_the_same_time_those_stay_who_have_seen_the_same_topic() {
        let folder = Folder::new();
        let went_on: Vec<u8> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8_u8)
                .map(|number| {
                    let folder = &folder;
                    scope.spawn(move || check_one(folder, "t", id(1 + number % 2)).is_ok().then_some(number % 2))
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

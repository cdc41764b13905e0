//! The names of jobs. A job's name is what its records are kept under, and its transactional id: of two instances of one name
//! the later one takes over.

use super::tail::Fnv;
use crate::base::text::excerpt;

/// Enough for people; Kafka itself would take 32 KiB.
const NAME_BYTES_MAX: usize = 1000;

/// The name that follows from the topics: the same merge has the same name.
pub(crate) fn default_name(from: &[String], to: &str) -> String {
    let name = format!("merge:{}:{to}", from.join(","));
    if name.len() <= NAME_BYTES_MAX {
        return name;
    }
    let mut sum = Fnv::EMPTY;
    sum.raw(name.as_bytes());
    let first = from.first().map_or("", String::as_str);
    format!("merge:{first},and-{}-more-{:016x}:{to}", from.len().saturating_sub(1), sum.0)
}

/// Whether a job can have this name; what is wrong with it, if not.
pub fn check_name(name: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{} is no name for a job: {what}", excerpt(name.as_bytes())));
    if name.is_empty() {
        return wrong("it is empty");
    }
    if name.len() > NAME_BYTES_MAX {
        return wrong(&format!("it has {} bytes, at most {NAME_BYTES_MAX}", name.len()));
    }
    if name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return wrong("it has blanks or control characters in it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_follows_from_the_topics_and_their_order() {
        let names = |from: &[&str]| default_name(&from.iter().map(|&one| one.to_owned()).collect::<Vec<_>>(), "out");
        assert_eq!(names(&["a", "b"]), "merge:a,b:out");
        assert_ne!(names(&["a", "b"]), names(&["b", "a"]));
    }

    #[test]
    fn a_name_of_many_topics_stays_short_and_is_still_their_own() {
        let topics = |last: &str| {
            let mut topics: Vec<String> = (0..100).map(|i| format!("{i}-{}", "x".repeat(240))).collect();
            topics.push(last.to_owned());
            default_name(&topics, &"y".repeat(249))
        };
        assert!(check_name(&topics("a")).is_ok());
        assert_ne!(topics("a"), topics("b"));
        assert!(topics("a").contains("and-100-more"));
    }

    #[test]
    fn what_could_not_be_typed_again_is_no_name() {
        for wrong in ["", "a b", "a\n", "\x1b[2J", &"x".repeat(1001)] {
            assert!(check_name(wrong).is_err(), "{wrong:?}");
        }
        for fine in ["nightly", "merge:a,b:c", "ä/b", &"x".repeat(1000)] {
            assert!(check_name(fine).is_ok(), "{fine:?}");
        }
    }
}

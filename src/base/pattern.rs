//! Names chosen by patterns: `*` stands for any characters, `?` for one, everything else for itself.

use std::fmt;
use std::str::FromStr;

/// Whether a name is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "" => Err("write a name or a pattern, like orders or 'orders-*'".to_owned()),
            text => Ok(Self { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pattern {
    /// Whether it is a name, which only that name fits.
    pub fn is_name(&self) -> bool {
        !self.text.contains(['*', '?'])
    }

    /// Whether the name fits. Takes time in proportion to the product of the lengths at most, whatever the pattern.
    pub fn fits(&self, name: &str) -> bool {
        let (pattern, name): (Vec<char>, Vec<char>) = (self.text.chars().collect(), name.chars().collect());
        let (mut at, mut place) = (0, 0);
        // The last star, and up to where it reaches: if the rest does not fit, it reaches one further.
        let mut star: Option<(usize, usize)> = None;
        while place < name.len() {
            match pattern.get(at) {
                Some('*') => {
                    star = Some((at, place));
                    at += 1;
                }
                Some(&c) if c == '?' || c == name[place] => (at, place) = (at + 1, place + 1),
                _ => match star {
                    Some((star_at, reach)) => {
                        star = Some((star_at, reach + 1));
                        (at, place) = (star_at + 1, reach + 1);
                    }
                    None => return false,
                },
            }
        }
        pattern[at.min(pattern.len())..].iter().all(|c| *c == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, name: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().fits(name)
    }

    #[test]
    fn stars_and_question_marks_stand_for_characters() {
        for (pattern, name) in
            [("orders", "orders"), ("*", ""), ("*", "x"), ("o*s", "orders"), ("o*s", "os"), ("?rders", "orders")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("orders", "orders2"), ("o*s", "order"), ("?", ""), ("?", "ab"), ("a.c", "abc")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        assert!(fits("*-*-?", "a-b-c-d") && fits("ü?", "üß"));
        assert!("".parse::<Pattern>().is_err());
    }

    #[test]
    fn a_pattern_of_many_stars_does_not_take_for_ever() {
        assert!(!fits(&"a*".repeat(40), &("a".repeat(5_000) + "b").replace('a', "b")));
        assert!(!fits(&("a*".repeat(40) + "c"), &"a".repeat(5_000)));
    }
}

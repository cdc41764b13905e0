//! The members of an array, one after the other. The array's text was read before, so that it is JSON is known.

use crate::rules::string_end;

/// An array, and the place behind the member that was lent last.
#[derive(Debug, Default)]
pub(super) struct Members {
    text: Vec<u8>,
    at: usize,
}

/// Buffers that have become larger than this are let go.
const BUFFER_BYTES_MAX: usize = 4 << 20;

impl Members {
    /// Begins with an array.
    pub(super) fn begin(&mut self, array: &[u8]) {
        self.text.clear();
        self.text.shrink_to(BUFFER_BYTES_MAX);
        self.text.extend_from_slice(array);
        // Behind its bracket.
        self.at = 1;
    }

    /// The next member's text, and the place where it begins; `None` behind the last one.
    pub(super) fn next(&self) -> Option<(&[u8], usize)> {
        let begin = self.at + self.text.get(self.at..)?.iter().position(|byte| !is_between(*byte))?;
        if self.text.get(begin) == Some(&b']') {
            return None;
        }
        let end = self.end_of(begin);
        Some((self.text.get(begin..end)?, end))
    }

    /// Goes on behind the member that ends there.
    pub(super) fn go_on(&mut self, end: usize) {
        self.at = end;
    }

    fn end_of(&self, begin: usize) -> usize {
        let (mut depth, mut at) = (0usize, begin);
        while let Some(byte) = self.text.get(at) {
            match byte {
                b'"' => {
                    at = string_end::find(&self.text, at).map_or(self.text.len(), |end| end.behind);
                    if depth == 0 {
                        return at;
                    }
                    continue;
                }
                b'[' | b'{' => depth += 1,
                // The array's own.
                b']' if depth == 0 => return at,
                b']' | b'}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return at + 1;
                    }
                }
                _ if depth == 0 && is_between(*byte) => return at,
                _ => {}
            }
            at += 1;
        }
        at
    }
}

fn is_between(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(array: &str) -> Vec<String> {
        let mut members = Members::default();
        members.begin(array.as_bytes());
        let mut found = Vec::new();
        while let Some((text, end)) = members.next() {
            found.push(String::from_utf8(text.to_vec()).unwrap());
            members.go_on(end);
        }
        found
    }

    #[test]
    fn each_member_is_lent_as_it_is_written() {
        assert_eq!(members("[]"), [""; 0]);
        assert_eq!(members("[ \n ]"), [""; 0]);
        assert_eq!(members(r#"[{"a":[1,{}],"b":"]},\""} , {}]"#), [r#"{"a":[1,{}],"b":"]},\""}"#, "{}"]);
        assert_eq!(
            members(r#"[1,-2.5e3 ,"a,]","",null,[[],[1]],true]"#),
            ["1", "-2.5e3", "\"a,]\"", "\"\"", "null", "[[],[1]]", "true"]
        );
    }

    #[test]
    fn what_is_no_array_ends() {
        for text in ["", "[", "[{", "[\"", "[1", "x", "[}"] {
            members(text);
        }
    }
}

//! Records as text, in both directions. Pure: bytes in, bytes out; where they come from and go to is the jobs' affair.
//!
//! Errors here know what is wrong within one record; which file and which line it was is added by whoever counts them.

// One record as one JSON object on one line.
pub mod envelope;

// One record as text of the user's own making.
pub mod template;

// What the formats share.
mod base64;

mod string;

/// What serde_json has to say about a text, with the column and without the line: that is counted by who reads a file.
fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((problem, _)) if error.column() > 0 => format!("{problem} at column {}", error.column()),
        Some((problem, _)) => problem.to_owned(),
        None => text,
    }
}

//! Words that every layer shares. They import nothing of ours.

pub mod appended;
pub mod budget;
pub mod clock;
pub mod ends;
pub mod from_to;
pub mod kind;
pub(crate) mod laid;
pub mod pattern;
pub mod place;
pub mod shutdown;
pub mod text;
pub mod time;
pub mod units;

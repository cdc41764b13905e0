//! The merge delivered exactly once, on an embedded broker: killed, doubted, fenced, and without each of its safeties.

mod sweep;
mod world;

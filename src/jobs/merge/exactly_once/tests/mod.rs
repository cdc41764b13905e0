//! The merge delivered exactly once, on an embedded broker: killed, doubted, fenced, and without each of its safeties.

mod controls;
mod doubts;
mod rivals;
mod sweep;
mod world;

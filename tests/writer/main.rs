//! The writers of `client/produce` and `client/transactional/spread.rs` against the embedded broker and its faults, and on real Kafka.
//!
//! Every test writes numbers, counted up from 0, in batches of changing size, while something goes wrong, and then looks at
//! the log: each number once, in order. The faults carry their numbers in the catalogue that the project keeps.

mod story;

// What the writer survives.
mod faults;

// What ends it, and with which words.
mod stops;

// Many things at once, by chance.
mod storms;

// Many partitions, all or nothing.
mod spread;

// On Apache Kafka, where one is given; also with its leader killed.
mod kafka;

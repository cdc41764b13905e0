//! What follows from looks, and how it is told. The looks themselves are tested on both brokers, by `tests/suite/monitoring.rs`.

mod history;
mod metrics;

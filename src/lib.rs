//! kmerge reads the sorted partitions of a Kafka topic and writes all their records, in one total order, to a topic of one
//! partition. This page is the map of the code.
//!
//! # The way of a record
//!
//! ```text
//!  input partitions                                                                     output partition
//!  ┌──────────────┐ records ┌───────────┐ keys  ┌─────────────┐ order ┌───────────────┐ batches ┌──────────┐
//!  │ client/      │────────▶│ keys/     │──────▶│ merge/      │──────▶│ jobs/merge/   │────────▶│ client/  │
//!  │ fetch, ahead │         │ normalise │       │ pure, no I/O│       │ collect, pace │         │ produce  │
//!  └──────────────┘         └───────────┘       └─────────────┘       └───────────────┘         └──────────┘
//! ```
//!
//! Data runs sideways through a job; imports only run down the page, in the order of the `mod` lines below, and may skip
//! layers. A test (`tests/tidy/`) holds both the order and this map to the truth.
//!
//! # The modules, in reading order
//!
//! - [`jobs`]: whole jobs, the only code that knows several stages: `merge` (plan, preflight, the plain merge, counting),
//!   `verify` (the proof of an output), `check` (is it sorted?), `generate` (sample data).
//! - [`merge`]: the k-way merge itself (`streaming`: a heap). Pure and synchronous: it answers "source i needs data", the job waits.
//! - [`keys`]: the key language of `--key`, and keys as bytes that compare as the keys do.
//! - [`client`]: speaks to a cluster: a plain connection, metadata, administration, a reader of raw batches
//!   (`fetch`), a writer (`produce`); and in `rskafka.rs` the foreign client that the plain merge runs on.
//! - [`broker`]: is a cluster: the embedded Kafka, in memory, with faults on request; `api` has one file per API.
//! - [`ports`]: the narrow line between an engine and whoever feeds it.
//! - [`wire`]: the Kafka protocol: a checked reader and writer, one file per API, both directions.
//! - [`batch`]: the RecordBatch v2 format: read in place, write, checksums, codecs.
//! - [`observe`]: how far a job is, and what the process has used.
//! - [`base`]: words that every layer shares; they import nothing of ours.
//!
//! The binary (`src/main.rs`, `src/cli/`) stands above: one file per command, and the only place that knows of clap, anyhow
//! and indicatif.
//!
//! # What always holds
//!
//! - Records are ordered by (key, source, offset); a source is a partition of an input topic, in the order given.
//! - The end offsets are taken once, at the start. A job ends.
//! - A length off the wire or from a file is a claim: it is checked against the bytes that are left, then used.
//! - An input that runs backwards, an unreadable key, a gap in what the broker acknowledged, stop the job, naming topic,
//!   partition and offset, before anything is written after it.
//! - The readers of `check` and `verify` share no code with the client that merged: `client` and `batch` against rskafka.
//!
//! # What is absent
//!
//! - `merge` and `keys` do no I/O and know no clock. `client` and `broker` never meet but on a socket.
//! - No transactions and no idempotent producer yet: the plain merge is at-least-once and says so; it stops where the
//!   broker's offsets show a repeat or a gap.
//! - No consumer groups, no TLS and no SASL yet.
//! - No `unsafe`.

// Whole jobs: the only code that knows several stages.
pub mod jobs;

// Pure stages: no I/O, no clock, and they do not know each other.
pub mod merge;

pub mod keys;

// Peers that never meet but on a socket: one speaks to a cluster, the other one is a cluster.
pub mod client;

pub mod broker;

// Between an engine and whoever feeds it.
pub mod ports;

// Bytes.
pub mod wire;

pub mod batch;

// Words that every layer shares.
pub mod observe;

pub mod base;

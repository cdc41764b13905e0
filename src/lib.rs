//! kmerge reads the sorted partitions of a Kafka topic and writes all their records, in one total order, to a topic of one
//! partition. This page is the map of the code.
//!
//! # The way of a record
//!
//! ```text
//!  input partitions                                                                     output partition
//!  ┌─────────┐ batches ┌──────────────────┐ keys  ┌─────────────┐ order ┌──────────────┐ batches ┌──────────┐
//!  │ client/ │────────▶│ jobs/merge/engine│──────▶│ merge/      │──────▶│ jobs/outlet  │────────▶│ client/  │
//!  │ fetch   │ windows │ decode in place  │ spans │ pure, no I/O│       │ copy, once   │         │ produce  │
//!  └─────────┘         └──────────────────┘       └─────────────┘       └──────────────┘         └──────────┘
//! ```
//!
//! Data runs sideways through a job; imports only run down the page, in the order of the `mod` lines below, and may skip
//! layers. A test (`tests/tidy/`) holds both the order and this map to the truth.
//!
//! # The modules, in reading order
//!
//! - [`jobs`]: whole jobs, the only code that knows several stages: `merge` (plan, preflight, the engine (`src/jobs/merge/engine/input/`: what is copied as a block), counting,
//!   `exactly_once`: committing and going on, the plain merge on the foreign client), `ledger` (what a job has planned and how far it is, kept in the cluster), `verify` (the proof
//!   of an output), `check` (is it sorted?), `reconcile` (is what is there what was written?), `torture` (a merge that is killed again and again), `consume` (records out, as text),
//!   `stats` (words and rates, batch by batch), `measure` (records in groups, and what their values come to), `load` (what a cluster takes at a given rate), `perf` (how near a merge comes to what it takes), `generate` (sample data), `produce`
//!   (files and pipes into a topic), `clean` (records put right by rules, exactly once, into a topic and into `files`; `insights`: counted on their way; `lookups`:
//!   topics that rules look up in), `pour` (records into the partitions of a
//!   topic), `minutes` (ledgers: what was acknowledged, minute by minute), `reassign` (partitions to other brokers), `groups` (how far
//!   readers are, and where they read on), `monitor` (what a cluster does, look by look); and what most of them read with: `cursor`
//!   (the records of a partition, one after the other).
//! - [`merge`]: the k-way merge itself (`tournament`: a tree of losers over `lane`s of keys; `split`: four at once; `streaming`: a heap, for the plain
//!   merge and for `consume --ordered`). Pure and synchronous: it answers "source i needs data", the job waits.
//! - [`rules`]: what `clean` makes of a record, by a rule file (`parse`; `cleaner` puts it to a record): defaults, casts, filters,
//!   deduplication, fields of other topics (`lookup`); and of many:
//!   groups by key and window of event time, what their values come to (`aggregate`), how often which values come (`insight`), and
//!   what a whole topic comes to (`measure`). Pure.
//! - [`keys`]: the key language of `--key`, keys as bytes that compare as the keys do, and conditions on records (`filter`).
//! - [`formats`]: records as text: `lines`, `csv`, `json`, `template` (format strings), and `envelope`, the JSON object that `consume -J`
//!   writes and `produce -J` reads; the rows of a `parquet` file; what a word is (`words`).
//! - [`spill`]: sorted runs on disk, in files without names: what does not fit into memory.
//! - [`client`]: speaks to a cluster: pipelined connections over a transport, metadata and retries, administration
//!   (`admin`: topics, settings, moves of partitions, `groups` as a whole), a reader of raw batches (`fetch`), an idempotent
//!   writer (`produce`), writing all or nothing (`transactional`), membership in consumer groups (`group`, by the `classic` protocol or the newer one; `assign` shares out);
//!   and in `rskafka.rs` the foreign client of the plain merge.
//! - [`broker`]: is a cluster: the embedded Kafka, in memory, with faults on request; `api` has one file per API,
//!   `coordinator` keeps transactions, groups (`membership`: who is in them), and committed offsets; `moving` takes partitions
//!   to other nodes.
//! - [`ports`]: the two narrow lines between an engine and Kafka: a source of batches, a sink for them.
//! - [`wire`]: the Kafka protocol: a checked reader and writer, one file per API, both directions.
//! - [`batch`]: the RecordBatch v2 format: read in place, write, checksums, codecs; `src/batch/writer/` moves records between batches, and has the short way for usual ones.
//! - [`observe`]: how far a job is, where the time of a merge goes (`stages`), what the process has used, how numbers are spread (`histogram`, `latencies`) and drawn (`plot`), told to
//!   Prometheus (`exposition`) over HTTP (`http`).
//! - [`base`]: words that every layer shares; they import nothing of ours.
//!
//! The binary (`src/main.rs`, `src/cli/`) stands above: one file per command, or a folder where a command has several of
//! its own (`src/cli/clean/`, `src/cli/generate/`, `src/cli/topic/`, `src/cli/group/`, `src/cli/monitor/`, `src/cli/perf/`, `src/cli/broker/`), and the
//! only place that knows of clap, anyhow and indicatif.
//!
//! # What always holds
//!
//! - Records are ordered by (key, source, offset); a source is a partition of an input topic, in the order given.
//! - The end offsets are taken once, at the start. A job ends.
//! - A length off the wire or from a file is a claim: it is checked against the bytes that are left, then used.
//! - An input that runs backwards, an unreadable key, a gap in what the broker acknowledged, stop the job, naming topic,
//!   partition and offset, before anything is written after it.
//! - A record is copied once on its way, from the window that was fetched into the batch that is sent; nothing is allocated for
//!   it. What is held is paid for from one byte budget.
//! - What was sent and not answered is unknown, and resolved by asking and by sending the same bytes again, never by guessing.
//! - What a merge has written counts once it is committed, together with how far the merge is. After a crash or a doubt what is
//!   committed is read again, behind an InitProducerId that shuts everybody else out; nothing that was in memory counts.
//! - What `clean` has read goes out, is filtered, is a duplicate or is refused, and one of these only. It is committed together with
//!   how far the group is, as member and generation: who has lost a partition adds nothing of it. Open groups are a function of a
//!   partition's log, and are read again from it.
//! - What `clean` looks up in other topics depends on when it asks; nothing that is held of records and made again by reading them
//!   depends on that.
//! - A parquet file has its name only once it is whole, and before its records are committed; whoever takes its partition removes
//!   what is not committed. So each record is in one file.
//! - `verify` shares the client, the batch format and the keys with the merge, and neither its order nor its engine; the merge
//!   on rskafka shares not even the client.
//!
//! # What is absent
//!
//! - `merge` and `keys` do no I/O and know no clock. `client` and `broker` never meet but on a socket.
//! - No TLS and no SASL yet.
//! - No `unsafe`.

// Whole jobs: the only code that knows several stages.
pub mod jobs;

// Pure stages: no I/O, no clock, and they do not know each other.
pub mod merge;

pub mod rules;

pub mod keys;

pub mod formats;

// Put aside on disk, in order.
pub mod spill;

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

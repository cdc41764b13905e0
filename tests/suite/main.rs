//! One suite for every broker: each test runs on the embedded broker, and on real Kafka where `KMERGE_TEST_BROKERS` names one.
//!
//! A test drives the binary as a user would, puts records into topics of its own, and looks at what is there afterwards.

#[macro_use]
mod support;

// The main job and what it refuses.
mod clients;
mod exactly_once;
mod giving_way;
mod in_blocks;
mod job_records;
mod keeping;
mod memory;
mod merge;
mod merge_bound;
mod merge_threads;
mod plain_faults;
mod refusals;
mod torture;
mod transactions;

// The client on its own.
mod reading;

// Data to try it on, files and pipes.
mod generate;
mod generate_stream;
mod produce;
mod produce_faults;
mod produce_input;

// Records put right on their way.
mod clean;
mod clean_groups;
mod clean_insights;
mod clean_ledger;
mod clean_load;
mod clean_lookups;
mod parquet;

// Records out.
mod consume;
mod consume_follow;

// The proof.
mod check_verify;
mod ledger;
mod ledger_topic;
mod reconcile;

// What is in a topic, and what a cluster takes.
mod measure;
mod perf_load;
mod perf_merge;
mod stats;

// The commands around them.
mod commands;
mod groups;
mod monitoring;
mod reassigning;
mod scale_topic;
mod topic_changes;

// Members of groups.
mod consume_group;
mod standing;

// The command line itself.
mod cli;
mod help_examples;

mod signals;

// On a cluster that is killed.
mod killed_on_kafka;

// All of it together, as scripts.
mod scenarios;

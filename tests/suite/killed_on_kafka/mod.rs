//! On Apache Kafka whose nodes are killed, where one is given (`KMERGE_TEST_KILL`). All such stories, wherever they stand, have
//! `killed_on_kafka` in their names: by that they are run, and nothing else again that has run before.

mod merging;
mod reading;

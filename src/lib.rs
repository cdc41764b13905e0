//! kmerge
#![allow(missing_docs)]

// Whole jobs: the only code that knows several stages.
pub mod jobs;

// Pure stages.
pub mod merge;

pub mod keys;

// Peers that never meet: ours speaks to a broker, the other one is a broker.
pub mod client;

pub mod broker;

pub mod ports;

// Bytes.
pub mod wire;

pub mod batch;

// Words that every layer shares.
pub mod observe;

pub mod base;

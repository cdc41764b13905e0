//! What goes wrong on one connection, or on the way to one.

use super::address::Address;
use super::error::show_time;
pub use super::frame::Stranger;
use crate::wire::{ErrorCode, WireError};
use std::fmt;
use std::io;
use std::time::Duration;

/// How far a connection got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Looking the name up.
    Dns,
    /// Opening the TCP connection.
    Connect,
    /// The first request: which APIs and versions the broker has.
    ApiVersions,
    /// Asking for brokers and topics.
    Metadata,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "DNS",
            Self::Connect => "TCP connect",
            Self::ApiVersions => "ApiVersions",
            Self::Metadata => "Metadata",
        })
    }
}

/// What went wrong on one connection, or while opening it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The name could not be looked up.
    #[error("{0}")]
    Dns(#[source] io::Error),
    /// The name has no address.
    #[error("the name has no address")]
    NoAddress,
    /// No TCP connection; one entry for each address of the name.
    #[error("{}", show_connects(.0))]
    Connect(Vec<(std::net::SocketAddr, io::Error)>),
    /// The connection broke.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// Nothing, or not all of it, came in time.
    #[error("no answer within {}", show_time(*.0))]
    Timeout(Duration),
    /// The connection was closed instead of an answer.
    #[error("it closes the connection without an answer (a TLS or SASL listener does that to a plain client)")]
    ClosedAtOnce,
    /// The connection was closed in the place of an answer.
    #[error("it closes the connection instead of answering")]
    Hangup,
    /// The connection ended in the middle of a frame.
    #[error("the connection ended after {got} of {expected} bytes")]
    Closed {
        /// Bytes that came.
        got: usize,
        /// Bytes of the frame.
        expected: usize,
    },
    /// It is no Kafka broker.
    #[error("{0}")]
    Stranger(Stranger),
    /// A length below zero.
    #[error("an answer of {0} bytes was announced")]
    NegativeFrame(i32),
    /// The answer is longer than we take.
    #[error("an answer of {stated} bytes was announced, the most we take is {cap}")]
    FrameTooLarge {
        /// What the length field says.
        stated: usize,
        /// What we take.
        cap: usize,
    },
    /// The answer belongs to another request.
    #[error("the answer carries correlation id {got}, the request had {expected}")]
    Correlation {
        /// The id that was sent.
        expected: i32,
        /// The id that came.
        got: i32,
    },
    /// An answer came though nothing was asked.
    #[error("it sends an answer that nobody asked for")]
    Unasked,
    /// Another request on the same connection failed in a way that ends it. Whether this one has arrived is unknown.
    #[error("the connection failed before the answer came: {why}")]
    Spoiled {
        /// What ended the connection.
        why: String,
    },
    /// The connection had failed before this request was sent: it has not arrived.
    #[error("not sent, the connection has failed: {why}")]
    NotSent {
        /// What ended the connection.
        why: String,
    },
    /// The bytes are not what the protocol says.
    #[error("malformed answer: {0}")]
    Malformed(#[source] WireError),
    /// We cannot write the request in the version both sides have.
    #[error("the request cannot be written for this broker: {0}")]
    Unwritable(#[source] WireError),
    /// The broker does not have the API.
    #[error("the broker does not offer {api}, which this needs")]
    MissingApi {
        /// The API.
        api: &'static str,
    },
    /// Both sides have the API, in different versions.
    #[error("no common version of {api}: the broker has {theirs_min} to {theirs_max}, kmerge {ours_min} to {ours_max}")]
    NoCommonVersion {
        /// The API.
        api: &'static str,
        /// The broker's lowest.
        theirs_min: i16,
        /// The broker's highest.
        theirs_max: i16,
        /// Our lowest.
        ours_min: i16,
        /// Our highest.
        ours_max: i16,
    },
    /// The broker answers with an error.
    #[error("it answers {0}")]
    Refused(ErrorCode),
    /// The broker answers, but not with a cluster.
    #[error("{0}")]
    NoCluster(String),
}

impl CallError {
    /// Whether a later try may find another state of things: a broker that is starting, a network that comes back. What
    /// is no broker, or speaks other versions, stays so.
    pub fn may_pass(&self) -> bool {
        match self {
            // A name may appear with its container; a port may be bound a moment later.
            Self::Dns(_) | Self::NoAddress | Self::Connect(_) => true,
            // A broker that goes down, or comes up, closes connections and leaves requests unanswered.
            Self::Io(_) | Self::Timeout(_) | Self::ClosedAtOnce | Self::Hangup | Self::Closed { .. } => true,
            // A starting broker answers so.
            Self::NoCluster(_) => true,
            Self::Refused(code) => super::retry::verdict_of_code(*code) != super::retry::Verdict::Stop,
            // What came is not what was asked for, and would not be the next time.
            Self::Stranger(_)
            | Self::NegativeFrame(_)
            | Self::FrameTooLarge { .. }
            | Self::Malformed(_)
            | Self::Unwritable(_) => false,
            // Another request's misfortune; this one will have its own connection to judge by.
            Self::Spoiled { .. } | Self::NotSent { .. } => true,
            // An answer to something else may be a broken proxy's; a new connection counts from the start.
            Self::Correlation { .. } | Self::Unasked => true,
            Self::MissingApi { .. } | Self::NoCommonVersion { .. } => false,
        }
    }

    /// Whether the broker may have received the request and acted on it: whoever asked for a change has to find out.
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::Dns(_) | Self::NoAddress | Self::Connect(_) => false,
            Self::Unwritable(_) | Self::MissingApi { .. } | Self::NoCommonVersion { .. } | Self::NotSent { .. } => {
                false
            }
            // Who answers in another protocol has not understood the question.
            Self::Stranger(_) | Self::NoCluster(_) => false,
            Self::Io(_)
            | Self::Timeout(_)
            | Self::ClosedAtOnce
            | Self::Hangup
            | Self::Closed { .. }
            | Self::NegativeFrame(_)
            | Self::FrameTooLarge { .. }
            | Self::Correlation { .. }
            | Self::Unasked
            | Self::Spoiled { .. }
            | Self::Malformed(_)
            | Self::Refused(_) => true,
        }
    }
}

/// One bootstrap address, how far it got, and what came back.
#[derive(Debug)]
pub struct Attempt {
    /// The address as it was given.
    pub address: Address,
    /// The step that failed.
    pub step: Step,
    /// Why.
    pub error: CallError,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.address, self.step, self.error)
    }
}

fn show_connects(failures: &[(std::net::SocketAddr, io::Error)]) -> String {
    let one = |(address, error): &(std::net::SocketAddr, io::Error)| match failures.len() {
        1 => error.to_string(),
        _ => format!("{address}: {error}"),
    };
    failures.iter().map(one).collect::<Vec<_>>().join(", ")
}

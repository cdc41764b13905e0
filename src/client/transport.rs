//! What a client needs of the outside: a way to a broker's address, and chance.
//!
//! Time is tokio's, which tests can pause. With a transport in memory beside it, whole conversations run without a socket
//! and without waiting, and a seed repeats them.

use super::address::Address;
use super::connect::connect;
use super::deadline::Deadline;
use super::error::{CallError, Step};
use futures::future::BoxFuture;
use std::fmt;
use tokio::io::{AsyncRead, AsyncWrite};

/// A stream of bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// The way to brokers, and the chance that spreads retries.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Opens a stream to `address`, or says how far it got.
    fn dial<'a>(
        &'a self,
        address: &'a Address,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Box<dyn Duplex>, (Step, CallError)>>;

    /// A number from 0 (inclusive) to 1 (exclusive), another one each time.
    fn chance(&self) -> f64;
}

/// Plain TCP: every address of a name, staggered; small writes go out at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpTransport;

impl Transport for TcpTransport {
    fn dial<'a>(
        &'a self,
        address: &'a Address,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Box<dyn Duplex>, (Step, CallError)>> {
        Box::pin(async move { Ok(Box::new(connect(address, deadline).await?) as Box<dyn Duplex>) })
    }

    fn chance(&self) -> f64 {
        rand::random()
    }
}

//! A plain connection to one broker: one request at a time, each with a deadline and a cap on its answer.
//!
//! Non-obvious:
//! - A call that does not end well (error, deadline, its future dropped) leaves the stream in the middle of something, so
//!   the connection is spoiled from the moment a request is sent until its answer is in ([`Connection::is_usable`]).
//! - The answer's buffer is the caller's, so that who reads megabytes keeps and reuses one, and idle connections hold none.
//! - A correlation id that does not match means the streams are crossed; nothing from that connection can be believed.

use super::address::Address;
use super::connect::connect;
use super::deadline::Deadline;
use super::error::{CallError, Step};
use super::frame::{FrameError, read_frame};
use super::versions::{self, Versions};
use crate::wire::api_versions::{self, ApiVersions};
use crate::wire::{Api, ErrorCode, frame};
use std::io;
use std::marker::PhantomData;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// How we introduce ourselves; brokers show it in their logs, quotas and metrics.
pub const CLIENT_ID: &str = "kmerge";

/// The longest answer to anything but a fetch. The metadata of a million partitions fits.
pub(crate) const ANSWER_BYTES_MAX: usize = 128 << 20;

/// The longest answer to the first request, when it is not known yet who is there.
const FIRST_ANSWER_BYTES_MAX: usize = 1 << 20;

/// A connection to one broker that has told which versions it speaks.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    broker: Address,
    versions: Versions,
    correlation_last: i32,
    /// Set while a request is on its way; stays set if the call does not end well.
    spoiled: bool,
    request: Vec<u8>,
}

/// An answer that has come whole but is not read yet.
#[derive(Debug)]
pub struct Answer<A> {
    frame: Vec<u8>,
    version: i16,
    broker: Address,
    api: PhantomData<fn() -> A>,
}

impl<A: Api> Answer<A> {
    /// Who sent it.
    pub fn broker(&self) -> &Address {
        &self.broker
    }

    /// Reads it. Bytes beyond its end are an error: both sides must agree on every one of them.
    pub fn read(&self) -> Result<A::Response<'_>, CallError> {
        let (_, response) = frame::read_response::<A>(&self.frame, self.version).map_err(CallError::Malformed)?;
        Ok(response)
    }

    /// The buffer, to be used again.
    pub fn into_buffer(self) -> Vec<u8> {
        self.frame
    }
}

impl Connection {
    /// Connects and asks which versions the broker speaks.
    pub(crate) async fn open(address: &Address, deadline: Deadline) -> Result<Self, (Step, CallError)> {
        let mut connection = Self {
            stream: connect(address, deadline).await?,
            broker: address.clone(),
            versions: Versions::default(),
            correlation_last: 0,
            spoiled: false,
            request: Vec::new(),
        };
        connection.introduce(deadline).await.map_err(|error| (Step::ApiVersions, error))?;
        Ok(connection)
    }

    async fn introduce(&mut self, deadline: Deadline) -> Result<(), CallError> {
        let mut version = *ApiVersions::VERSIONS.end();
        let mut buffer = Vec::new();
        loop {
            buffer = self
                .exchange::<ApiVersions>(version, &versions::request(), buffer, FIRST_ANSWER_BYTES_MAX, deadline)
                .await
                .map_err(at_once)?;
            let (_, response) = api_versions::read_any(&buffer, version).map_err(CallError::Malformed)?;
            match ErrorCode::from_code(response.error_code) {
                ErrorCode::None => {
                    self.versions = Versions::of(&response);
                    return Ok(());
                }
                ErrorCode::UnsupportedVersion => match versions::fall_back(version, &response) {
                    Some(lower) => version = lower,
                    None => return Err(CallError::Refused(ErrorCode::UnsupportedVersion)),
                },
                code => return Err(CallError::Refused(code)),
            }
        }
    }

    /// The address that was connected to.
    pub fn broker(&self) -> &Address {
        &self.broker
    }

    /// Whether every call so far ended well, so that the next answer will be the next request's.
    pub fn is_usable(&self) -> bool {
        !self.spoiled
    }

    /// The version of `A` that is spoken here.
    pub(crate) fn version<A: Api>(&self) -> Result<i16, CallError> {
        self.versions.pick::<A>()
    }

    /// Sends `request` and waits for its answer, which is put in `buffer` and refused above `answer_bytes_max`.
    pub(crate) async fn call<A: Api>(
        &mut self,
        request: &A::Request<'_>,
        buffer: Vec<u8>,
        answer_bytes_max: usize,
        deadline: Deadline,
    ) -> Result<Answer<A>, CallError> {
        let version = self.version::<A>()?;
        let frame = self.exchange::<A>(version, request, buffer, answer_bytes_max, deadline).await?;
        Ok(Answer { frame, version, broker: self.broker.clone(), api: PhantomData })
    }

    async fn exchange<A: Api>(
        &mut self,
        version: i16,
        request: &A::Request<'_>,
        mut buffer: Vec<u8>,
        answer_bytes_max: usize,
        deadline: Deadline,
    ) -> Result<Vec<u8>, CallError> {
        let expected = self.correlation_last.wrapping_add(1);
        self.request.clear();
        frame::write_request::<A>(&mut self.request, version, expected, Some(CLIENT_ID), request)
            .map_err(CallError::Unwritable)?;
        tracing::trace!(broker = %self.broker, api = %A::KEY, version, correlation = expected, "request");
        self.correlation_last = expected;
        self.spoiled = true;
        let exchanged = deadline.run(async {
            self.stream.write_all(&self.request).await?;
            read_frame(&mut self.stream, &mut buffer, answer_bytes_max).await
        });
        match exchanged.await {
            None => return Err(CallError::Timeout(deadline.whole())),
            Some(result) => result.map_err(frame_error)?,
        }
        let Some(got) = buffer.first_chunk().map(|bytes| i32::from_be_bytes(*bytes)) else {
            return Err(CallError::Closed { got: buffer.len(), expected: 4 });
        };
        if got != expected {
            return Err(CallError::Correlation { expected, got });
        }
        self.spoiled = false;
        Ok(buffer)
    }
}

fn frame_error(error: FrameError) -> CallError {
    match error {
        FrameError::Closed { got: 0, .. } => CallError::Hangup,
        FrameError::Closed { got, expected } => CallError::Closed { got, expected },
        FrameError::Stranger(stranger) => CallError::Stranger(stranger),
        FrameError::Negative(stated) => CallError::NegativeFrame(stated),
        FrameError::TooLarge { stated, cap } => CallError::FrameTooLarge { stated, cap },
        FrameError::Io(error) => CallError::Io(error),
    }
}

/// A connection that ends before the first answer says more than one that ends later.
fn at_once(error: CallError) -> CallError {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match error {
        CallError::Hangup => CallError::ClosedAtOnce,
        CallError::Io(error) if matches!(error.kind(), ConnectionReset | BrokenPipe | ConnectionAborted) => {
            CallError::ClosedAtOnce
        }
        other => other,
    }
}

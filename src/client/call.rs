//! A connection to one broker: a cheap handle that many share, any number of requests on the way.
//!
//! Non-obvious:
//! - The order of `Connection::submit` is the order on the wire, and a broker works on one connection's requests one after
//!   the other. So a request waits for those before it.
//! - What spoils a connection (a deadline that passes, an I/O error, a correlation id that does not match) spoils it for all:
//!   [`Connection::is_usable`]. [`CallError::may_have_arrived`] says whether a request may have been acted on.
//! - Dropping a `Pending` spoils nothing; its answer is thrown away when it comes.
//! - The answer's buffer is the caller's, so that who reads megabytes keeps and reuses one, and idle connections hold none.

use super::address::Address;
use super::deadline::Deadline;
use super::error::{CallError, Step};
use super::link::{Answered, Apart, Expect, Frame, Link};
use super::need::Need;
use super::transport::Transport;
use super::versions::{self, Versions};
use crate::wire::api_versions::{self, ApiVersions};
use crate::wire::{Api, ErrorCode, frame};
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How we introduce ourselves; brokers show it in their logs, quotas and metrics.
pub const CLIENT_ID: &str = "kmerge";

/// The longest answer to anything but a fetch. The metadata of a million partitions fits.
pub(crate) const ANSWER_BYTES_MAX: usize = 128 << 20;

/// The longest answer to the first request, when it is not known yet who is there.
const FIRST_ANSWER_BYTES_MAX: usize = 1 << 20;

/// A connection to one broker that has told which versions it speaks. Clones share it; it closes with the last one.
#[derive(Debug, Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    link: Link,
    broker: Address,
    versions: Versions,
}

/// An answer that is on its way.
#[derive(Debug)]
pub(crate) struct Pending<A> {
    // Keeps the connection open.
    connection: Connection,
    version: i16,
    answer: Answered,
    api: PhantomData<fn() -> A>,
}

/// An answer that has come whole but is not read yet.
#[derive(Debug)]
pub struct Answer<A> {
    frame: Frame,
    version: i16,
    connection: Connection,
    api: PhantomData<fn() -> A>,
}

impl<A: Api> Answer<A> {
    /// Who sent it.
    pub fn broker(&self) -> &Address {
        self.connection.broker()
    }

    /// Reads it. Bytes beyond its end are an error: both sides must agree on every one of them.
    pub fn read(&self) -> Result<A::Response<'_>, CallError> {
        let (_, response) = frame::read_response::<A>(&self.frame.bytes, self.version).map_err(CallError::Malformed)?;
        Ok(response)
    }

    /// The buffer, to be used again.
    pub fn into_buffer(self) -> Vec<u8> {
        self.frame.field.unwrap_or(self.frame.bytes)
    }

    /// The large field that was cut out of what [`Answer::read`] gives; `None` where the answer came in one piece.
    pub(crate) fn take_field(&mut self) -> Option<Vec<u8>> {
        self.frame.field.take()
    }
}

impl<A: Api> Future for Pending<A> {
    type Output = Result<Answer<A>, CallError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.answer).poll(context)).unwrap_or_else(|_| Err(ended()))?;
        let (version, connection) = (this.version, this.connection.clone());
        Poll::Ready(Ok(Answer { frame, version, connection, api: PhantomData }))
    }
}

impl Connection {
    /// Connects and asks which versions the broker speaks.
    pub(crate) async fn open(
        transport: &dyn Transport,
        address: &Address,
        deadline: Deadline,
    ) -> Result<Self, (Step, CallError)> {
        let link = Link::new(transport.dial(address, deadline).await?);
        let versions = introduce(&link, deadline).await.map_err(|error| (Step::ApiVersions, error))?;
        Ok(Self { shared: Arc::new(Shared { link, broker: address.clone(), versions }) })
    }

    /// The address that was connected to.
    pub fn broker(&self) -> &Address {
        &self.shared.broker
    }

    /// Whether it still takes requests.
    pub fn is_usable(&self) -> bool {
        self.shared.link.is_usable()
    }

    /// The version of `A` that is spoken here.
    pub(crate) fn version<A: Api>(&self) -> Result<i16, CallError> {
        self.pick(Need::of::<A>())
    }

    pub(crate) fn pick(&self, need: Need) -> Result<i16, CallError> {
        self.shared.versions.pick(need)
    }

    /// The level at which the cluster runs a feature, by what this broker says.
    pub(crate) fn feature(&self, name: &str) -> Option<i16> {
        self.shared.versions.feature(name)
    }

    /// Queues `request`, to be sent after all that were submitted before it. Its answer will be put in `buffer`, and is
    /// refused above `answer_bytes_max`.
    pub(crate) fn submit<A: Api>(
        &self,
        request: &A::Request<'_>,
        buffer: Vec<u8>,
        answer_bytes_max: usize,
        deadline: Deadline,
    ) -> Result<Pending<A>, CallError> {
        self.submit_with(request, Expect { buffer, answer_bytes_max, deadline, find: None })
    }

    /// The same where the answer has one large field, found by [`Expect::find`]: it alone goes to the buffer.
    pub(crate) fn submit_with<A: Api>(
        &self,
        request: &A::Request<'_>,
        expect: Expect,
    ) -> Result<Pending<A>, CallError> {
        self.submit_as(Need::of::<A>(), request, expect)
    }

    /// The same in one of the versions of `need`.
    pub(crate) fn submit_as<A: Api>(
        &self,
        need: Need,
        request: &A::Request<'_>,
        expect: Expect,
    ) -> Result<Pending<A>, CallError> {
        self.submit_around(need, request, None, expect)
    }

    /// The same where the request has one large field, whose bytes are sent from where they lie.
    pub(crate) fn submit_around<A: Api>(
        &self,
        need: Need,
        request: &A::Request<'_>,
        apart: Option<Apart>,
        expect: Expect,
    ) -> Result<Pending<A>, CallError> {
        let version = self.pick(need)?;
        let answer = self.shared.link.submit::<A>(version, CLIENT_ID, request, apart, expect)?;
        Ok(Pending { connection: self.clone(), version, answer, api: PhantomData })
    }

    /// Queues `request`, to which there is no answer: an empty one stands for it once the request is handed to the network.
    pub(crate) fn submit_unanswered<A: Api>(
        &self,
        request: &A::Request<'_>,
        apart: Option<Apart>,
        deadline: Deadline,
    ) -> Result<Pending<A>, CallError> {
        let version = self.version::<A>()?;
        let answer = self.shared.link.submit_unanswered::<A>(version, CLIENT_ID, request, apart, deadline)?;
        Ok(Pending { connection: self.clone(), version, answer, api: PhantomData })
    }

    /// Asks something short, whose answer says that the broker has worked on all that was submitted before.
    pub(crate) fn ask_anything(&self, deadline: Deadline) -> Result<Pending<ApiVersions>, CallError> {
        self.submit::<ApiVersions>(&versions::request(), Vec::new(), FIRST_ANSWER_BYTES_MAX, deadline)
    }

    /// Gives all that wait here `time` more, which the broker has said it will be silent for.
    pub(crate) fn excuse(&self, time: Duration) {
        self.shared.link.excuse(time);
    }

    /// Submits `request` and waits for its answer.
    pub(crate) async fn call<A: Api>(
        &self,
        request: &A::Request<'_>,
        buffer: Vec<u8>,
        answer_bytes_max: usize,
        deadline: Deadline,
    ) -> Result<Answer<A>, CallError> {
        self.submit::<A>(request, buffer, answer_bytes_max, deadline)?.await
    }
}

/// Asks which versions there are, if need be again in one that the broker has.
async fn introduce(link: &Link, deadline: Deadline) -> Result<Versions, CallError> {
    let mut version = *ApiVersions::VERSIONS.end();
    let mut buffer = Vec::new();
    loop {
        let expect = Expect { buffer, answer_bytes_max: FIRST_ANSWER_BYTES_MAX, deadline, find: None };
        let answer = link.submit::<ApiVersions>(version, CLIENT_ID, &versions::request(), None, expect)?.await;
        buffer = answer.unwrap_or_else(|_| Err(ended())).map_err(at_once)?.bytes;
        let (_, response) = api_versions::read_any(&buffer, version).map_err(CallError::Malformed)?;
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => return Ok(Versions::of(&response)),
            ErrorCode::UnsupportedVersion => match versions::fall_back(version, &response) {
                Some(lower) => version = lower,
                None => return Err(CallError::Refused(ErrorCode::UnsupportedVersion)),
            },
            code => return Err(CallError::Refused(code)),
        }
    }
}

/// The link's task is gone: the runtime it ran on is shutting down.
fn ended() -> CallError {
    CallError::Io(io::ErrorKind::Interrupted.into())
}

/// A connection that ends before the first answer says more than one that ends later.
fn at_once(error: CallError) -> CallError {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match error {
        // Closed between two requests rather than instead of an answer.
        CallError::Hangup | CallError::NotSent { .. } => CallError::ClosedAtOnce,
        CallError::Io(error) if matches!(error.kind(), ConnectionReset | BrokenPipe | ConnectionAborted) => {
            CallError::ClosedAtOnce
        }
        other => other,
    }
}

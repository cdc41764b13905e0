//! A stream that carries many requests at a time: bytes go out in the order they were submitted, answers come back in the
//! same order and each is read straight into the buffer that its asker gave.
//!
//! ```text
//! submit ──▶ out (bytes, and what lies elsewhere) ──▶ driver task ──▶ stream
//!        └─▶ waiting (buffers, in order) ◀── driver task ◀── stream
//! ```
//!
//! Non-obvious:
//! - One lock orders the numbering of a request, its bytes and its place among the waiting, so the order of submits is the
//!   order on the wire.
//! - Any failure spoils the link for all: after a lost or strange answer nothing that follows can be believed. The one whose
//!   failure it was gets the error itself, the others are told whether their bytes may have arrived.
//! - Nobody who waits has to be polled for the link to go on. Who has gone away leaves a gap that is read and thrown away.
//! - The deadline of a request runs from its submit, and also ends the wait for those before it.
//! - A request to which there is no answer (a Produce that asks for no acknowledgement) has ended once its bytes are handed to the
//!   stream. It is not looked for among the waiting when an answer comes.

use super::deadline::Deadline;
use super::error::CallError;
use super::frame::{AHEAD_BYTES, FRAME_BYTES_CEILING, FrameError, FrameReader};
use super::transport::Duplex;
use crate::base::laid::Laid;
use crate::wire::{Api, frame};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Of the buffers that requests wait in, so much is kept for the next ones.
const OUT_BYTES_KEPT: usize = 2 << 20;

/// Bytes of the correlation id, with which every answer begins.
const CORRELATION_BYTES: usize = 4;

/// One stream in use. Dropping it closes the stream.
#[derive(Debug)]
pub(crate) struct Link {
    shared: Arc<Shared>,
    driver: AbortHandle,
}

/// What is asked of a link beside the request itself.
pub(crate) struct Expect {
    /// Where the answer goes.
    pub(crate) buffer: Vec<u8>,
    /// The longest answer that is taken.
    pub(crate) answer_bytes_max: usize,
    pub(crate) deadline: Deadline,
    /// Finds the one large field of the answer, which alone goes to the buffer then.
    pub(crate) find: Option<fn(&[u8]) -> Found>,
}

/// The one large field of a request, which is sent from where it lies.
#[derive(Debug, Clone)]
pub(crate) struct Apart {
    pub(crate) bytes: Arc<Vec<u8>>,
    /// Of these so many.
    pub(crate) len: usize,
}

impl AsRef<[u8]> for Apart {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

/// What a submit gives.
pub(crate) type Answered = oneshot::Receiver<Result<Frame, CallError>>;

/// An answer's frame without its length.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    /// All of it, or all but the large field, which is empty here.
    pub(crate) bytes: Vec<u8>,
    /// The large field, if there is one.
    pub(crate) field: Option<Vec<u8>>,
}

/// Where the large field of an answer stands, by the first bytes of its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// More bytes are needed to tell.
    NotYet,
    /// The answer is not of the form that can be cut.
    Nowhere,
    /// Its length is said from `length_at` to `starts_at`; where it is cut out, `emptied` stands in the length's place.
    Here { length_at: usize, starts_at: usize, bytes: usize, emptied: &'static [u8] },
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write.
    submitted: Notify,
    /// The soonest deadline has become sooner.
    sooner: Notify,
}

#[derive(Debug, Default)]
struct State {
    correlation_last: i32,
    /// Requests that the driver has not taken yet.
    out: Laid<Apart>,
    /// Requests without an answer, in order.
    waiting: VecDeque<Waiting>,
    deadlines: BTreeSet<(Instant, i32)>,
    /// How many of those will get none.
    unanswered: usize,
    /// Why the link is of no more use.
    spoiled: Option<String>,
}

#[derive(Debug)]
struct Waiting {
    correlation_id: i32,
    buffer: Vec<u8>,
    answer_bytes_max: usize,
    deadline: Deadline,
    find: Option<fn(&[u8]) -> Found>,
    /// Whether the driver has taken its bytes.
    sent: bool,
    /// It ends when they are written.
    unanswered: bool,
    answer: oneshot::Sender<Result<Frame, CallError>>,
}

impl Link {
    /// Takes a stream into use.
    pub(crate) fn new(stream: Box<dyn Duplex>) -> Self {
        let shared = Arc::<Shared>::default();
        let driver = tokio::spawn(drive(shared.clone(), stream)).abort_handle();
        Self { shared, driver }
    }

    /// Queues a request. The answer comes through the channel, whoever else is waiting. What is `apart` takes the place of the
    /// request's first value of bytes.
    pub(crate) fn submit<A: Api>(
        &self,
        version: i16,
        client_id: &str,
        request: &A::Request<'_>,
        apart: Option<Apart>,
        expect: Expect,
    ) -> Result<Answered, CallError> {
        self.enqueue::<A>(version, client_id, request, apart, expect, false)
    }

    /// Queues a request to which there is no answer. An empty frame comes through the channel when it is written.
    pub(crate) fn submit_unanswered<A: Api>(
        &self,
        version: i16,
        client_id: &str,
        request: &A::Request<'_>,
        apart: Option<Apart>,
        deadline: Deadline,
    ) -> Result<Answered, CallError> {
        let expect = Expect { buffer: Vec::new(), answer_bytes_max: 0, deadline, find: None };
        self.enqueue::<A>(version, client_id, request, apart, expect, true)
    }

    fn enqueue<A: Api>(
        &self,
        version: i16,
        client_id: &str,
        request: &A::Request<'_>,
        apart: Option<Apart>,
        expect: Expect,
        unanswered: bool,
    ) -> Result<Answered, CallError> {
        let mut state = self.shared.state();
        if let Some(why) = &state.spoiled {
            return Err(CallError::NotSent { why: why.clone() });
        }
        let correlation_id = state.correlation_last.wrapping_add(1);
        let length = apart.as_ref().map(|apart| apart.as_ref().len());
        let (head, client_id) = (&mut state.out.head, Some(client_id));
        let gaps =
            frame::write_request_around::<A>(head, version, correlation_id, client_id, request, length.as_slice())
                .map_err(CallError::Unwritable)?;
        for (gap, apart) in gaps.into_iter().zip(apart) {
            state.out.lay_in(gap, [apart]);
        }
        tracing::trace!(api = %A::KEY, version, correlation_id, "request");
        state.correlation_last = correlation_id;
        let (answer, answered) = oneshot::channel();
        let Expect { buffer, answer_bytes_max, deadline, find } = expect;
        let at = deadline.at();
        let sent = false;
        state.unanswered += usize::from(unanswered);
        state.waiting.push_back(Waiting {
            correlation_id,
            buffer,
            answer_bytes_max,
            deadline,
            find,
            sent,
            unanswered,
            answer,
        });
        state.deadlines.insert((at, correlation_id));
        let is_soonest = state.deadlines.first() == Some(&(at, correlation_id));
        drop(state);
        self.shared.submitted.notify_one();
        if is_soonest {
            self.shared.sooner.notify_one();
        }
        Ok(answered)
    }

    /// Moves the deadlines of all that wait on by `time`: the broker has said that it will be silent for so long.
    pub(crate) fn excuse(&self, time: Duration) {
        let mut state = self.shared.state();
        let State { waiting, deadlines, .. } = &mut *state;
        deadlines.clear();
        for one in waiting {
            one.deadline.extend(time);
            deadlines.insert((one.deadline.at(), one.correlation_id));
        }
    }

    /// Whether requests are still taken.
    pub(crate) fn is_usable(&self) -> bool {
        self.shared.state().spoiled.is_none()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Shared {
    /// Nothing is left half done under this lock, so a panic elsewhere does not make the contents wrong.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was taken is written: requests without an answer have ended.
    fn written(&self) {
        let mut state = self.state();
        if state.unanswered == 0 {
            return;
        }
        let State { waiting, deadlines, unanswered, .. } = &mut *state;
        let (ended, others) = std::mem::take(waiting).into_iter().partition(|one| one.unanswered && one.sent);
        *waiting = others;
        let ended: VecDeque<Waiting> = ended;
        *unanswered -= ended.len();
        for one in &ended {
            deadlines.remove(&(one.deadline.at(), one.correlation_id));
        }
        drop(state);
        for one in ended {
            let _ = one.answer.send(Ok(Frame::default()));
        }
    }

    /// Ends the link: `culprit` (or the first in line) gets the error, the others what it means for them.
    fn spoil(&self, error: CallError, culprit: Option<i32>) {
        let mut state = self.state();
        let why = error.to_string();
        state.spoiled = Some(why.clone());
        state.deadlines.clear();
        state.out = Laid::default();
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        let culprit = culprit.or(waiting.front().map(|first| first.correlation_id));
        let mut error = Some(error);
        for one in waiting {
            let own = if Some(one.correlation_id) == culprit { error.take() } else { None };
            let why = why.clone();
            let other = if one.sent { CallError::Spoiled { why } } else { CallError::NotSent { why } };
            // Who has gone away does not want to know.
            let _ = one.answer.send(Err(own.unwrap_or(other)));
        }
    }
}

/// Moves bytes until the link fails or is dropped.
async fn drive(shared: Arc<Shared>, stream: Box<dyn Duplex>) {
    // Who speaks first is no broker; it is heard as the answer to the first request, so that somebody learns of it.
    shared.submitted.notified().await;
    shared.submitted.notify_one();
    let (mut from, mut to) = tokio::io::split(stream);
    let (error, culprit) = tokio::select! {
        error = read_answers(&shared, &mut from) => (error, None),
        error = write_requests(&shared, &mut to) => (error, None),
        (deadline, late) = first_late(&shared) => (CallError::Timeout(deadline.whole()), Some(late)),
    };
    tracing::debug!(%error, "connection closed");
    shared.spoil(error, culprit);
}

async fn write_requests(shared: &Shared, to: &mut (impl AsyncWrite + Unpin)) -> CallError {
    let mut out = Laid::default();
    loop {
        // Whoever lent bytes can have them back.
        out.clear();
        if out.head.capacity() > OUT_BYTES_KEPT {
            out.head = Vec::new();
        }
        {
            let mut state = shared.state();
            std::mem::swap(&mut state.out, &mut out);
            state.waiting.iter_mut().rev().take_while(|one| !one.sent).for_each(|one| one.sent = true);
        }
        if out.head.is_empty() {
            shared.submitted.notified().await;
            continue;
        }
        let written = async {
            out.send(to).await?;
            to.flush().await
        };
        if let Err(error) = written.await {
            return CallError::Io(error);
        }
        // First what was lent is given back: who hears that it is written fills it again.
        out.clear();
        shared.written();
    }
}

async fn read_answers(shared: &Shared, from: &mut (impl AsyncRead + Unpin)) -> CallError {
    let mut frames = FrameReader::new(from);
    loop {
        if let Err(error) = read_answer(shared, &mut frames).await {
            return error;
        }
    }
}

async fn read_answer<S: AsyncRead + Unpin>(shared: &Shared, frames: &mut FrameReader<S>) -> Result<(), CallError> {
    let stated = frames.length().await.map_err(frame_error)?;
    // Who asked stays first in line until the answer is whole, so that it is the one to hear of a failure.
    let (mut buffer, cap, expected, find, wanted) = {
        let mut state = shared.state();
        let first = state.waiting.iter_mut().find(|one| !one.unanswered).ok_or(CallError::Unasked)?;
        let wanted = !first.answer.is_closed();
        (std::mem::take(&mut first.buffer), first.answer_bytes_max, first.correlation_id, first.find, wanted)
    };
    let cap = cap.min(FRAME_BYTES_CEILING);
    if stated > cap {
        return Err(CallError::FrameTooLarge { stated, cap });
    }
    if stated < CORRELATION_BYTES {
        return Err(CallError::Closed { got: stated, expected: CORRELATION_BYTES });
    }
    frames.fill(CORRELATION_BYTES).await.map_err(frame_error)?;
    let got = frames.ahead().first_chunk().map_or(0, |id| i32::from_be_bytes(*id));
    if got != expected {
        return Err(CallError::Correlation { expected, got });
    }
    buffer.clear();
    let frame = match (wanted, find) {
        (false, _) => frames.skip(stated).await.map(|()| Frame::default()),
        (true, None) => take_whole(frames, stated, buffer).await,
        (true, Some(find)) => take_cut(frames, stated, find, buffer).await,
    };
    let frame = frame.map_err(frame_error)?;
    let mut state = shared.state();
    let first = state.waiting.iter().position(|one| !one.unanswered);
    if let Some(first) = first.and_then(|first| state.waiting.remove(first)) {
        state.deadlines.remove(&(first.deadline.at(), expected));
        drop(state);
        let _ = first.answer.send(Ok(frame));
    }
    Ok(())
}

async fn take_whole<S: AsyncRead + Unpin>(
    frames: &mut FrameReader<S>,
    stated: usize,
    mut buffer: Vec<u8>,
) -> Result<Frame, FrameError> {
    frames.take(stated, &mut buffer).await?;
    Ok(Frame { bytes: buffer, field: None })
}

/// Reads the large field into `buffer`, so that it needs no copy, and the rest around it elsewhere.
async fn take_cut<S: AsyncRead + Unpin>(
    frames: &mut FrameReader<S>,
    stated: usize,
    find: fn(&[u8]) -> Found,
    mut buffer: Vec<u8>,
) -> Result<Frame, FrameError> {
    let found = loop {
        let ahead = frames.ahead();
        let known = ahead.len().min(stated);
        match find(&ahead[..known]) {
            Found::NotYet if known < stated.min(AHEAD_BYTES) => frames.fill(known + 1).await?,
            found => break found,
        }
    };
    match found {
        Found::Here { length_at, starts_at, bytes, emptied } if starts_at.saturating_add(bytes) <= stated => {
            let mut rest = Vec::with_capacity(stated - bytes);
            frames.take(starts_at, &mut rest).await?;
            rest.truncate(length_at);
            rest.extend_from_slice(emptied);
            frames.take(bytes, &mut buffer).await?;
            frames.take(stated - starts_at - bytes, &mut rest).await?;
            Ok(Frame { bytes: rest, field: Some(buffer) })
        }
        _ => take_whole(frames, stated, buffer).await,
    }
}

/// Waits until a deadline passes, and gives it with the request it belongs to.
async fn first_late(shared: &Shared) -> (Deadline, i32) {
    loop {
        let first = shared.state().deadlines.first().copied();
        let Some((at, correlation_id)) = first else {
            shared.sooner.notified().await;
            continue;
        };
        tokio::select! {
            () = tokio::time::sleep_until(at) => {}
            () = shared.sooner.notified() => continue,
        }
        // It may have been answered, or excused, meanwhile.
        let state = shared.state();
        if state.deadlines.contains(&(at, correlation_id))
            && let Some(late) = state.waiting.iter().find(|one| one.correlation_id == correlation_id)
        {
            return (late.deadline, correlation_id);
        }
    }
}

fn frame_error(error: FrameError) -> CallError {
    match error {
        FrameError::Closed { got: 0, .. } => CallError::Hangup,
        FrameError::Closed { got, expected } => CallError::Closed { got, expected },
        FrameError::Stranger(stranger) => CallError::Stranger(stranger),
        FrameError::Negative(stated) => CallError::NegativeFrame(stated),
        FrameError::Io(error) => CallError::Io(error),
    }
}

const _: () = assert!(CORRELATION_BYTES <= AHEAD_BYTES);

//! A small HTTP server, for those who look at a running process: Prometheus, an orchestrator's probes, curl.
//!
//! It serves pages that somebody else has ready, to GET and HEAD, and knows no bodies of requests. What it holds against
//! whoever connects:
//! - a request's head has `HEAD_BYTES_MAX` bytes and [`Limits::head`] time ([`Limits::idle`] where one was answered before),
//!   whether it comes at once or byte by byte;
//! - an answer has [`Limits::answer`] time to be taken;
//! - there are [`Limits::connections`] connections at most: of those that are not being answered the one that was opened first makes
//!   way for the next, so whoever opens many and sends nothing locks nobody out and cuts nobody off;
//! - pages are shared, not copied for each who asks.

mod head;

use head::{Head, Refusal};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// The most bytes of a request's first line and headers.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Before an accept is tried again that failed for want of something (file descriptors, mostly).
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// What is read and thrown away of a request that was refused, so that the refusal arrives before the connection is gone.
const DRAINED_BYTES_MAX: usize = 64 << 10;

/// A page.
#[derive(Debug, Clone)]
pub struct Page {
    /// 200, 503, ...
    pub status: u16,
    /// Its type.
    pub content_type: &'static str,
    /// What it says.
    pub body: Arc<str>,
}

impl Page {
    /// Plain text.
    pub fn text(status: u16, body: impl Into<Arc<str>>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }
}

/// Gives the page at a path, or that there is none.
pub type Pages = Arc<dyn Fn(&str) -> Option<Page> + Send + Sync>;

/// The usual three: `/metrics`, `/ping` (the process lives) and `/ready` (with a reason why not).
pub fn usual_pages(
    metrics: impl Fn() -> Arc<str> + Send + Sync + 'static,
    ready: impl Fn() -> Result<(), String> + Send + Sync + 'static,
) -> Pages {
    Arc::new(move |path| match path {
        "/metrics" => Some(Page { status: 200, content_type: super::exposition::CONTENT_TYPE, body: metrics() }),
        "/ping" => Some(Page::text(200, "pong\n")),
        "/ready" => Some(match ready() {
            Ok(()) => Page::text(200, "ready\n"),
            Err(why) => Page::text(503, format!("not ready: {why}\n")),
        }),
        _ => None,
    })
}

/// How patient it is, and with how many at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the connection to the end of the first request's head.
    pub head: Duration,
    /// From an answer to the end of the next request's head.
    pub idle: Duration,
    /// From then on to the end of the answer.
    pub answer: Duration,
    /// Connections at once.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // Prometheus asks again after a minute, by default, on the same connection.
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            answer: Duration::from_secs(10),
            connections: 64,
        }
    }
}

/// The address in `text`: HOST:PORT, or a port alone, which means this machine only.
pub fn parse_listen(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} is no address to listen at: write it like 9308 or 0.0.0.0:9308");
    if let Ok(port) = text.trim_start_matches(':').parse::<u16>() {
        return Ok(SocketAddr::from((IpAddr::V4(Ipv4Addr::LOCALHOST), port)).to_string());
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let is_v6 = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() || port.parse::<u16>().is_err() || (host.contains(':') && !is_v6) {
        return Err(wrong());
    }
    Ok(text.to_owned())
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    limits: Limits,
}

impl Server {
    /// Listens at an address, as [`parse_listen`] gives it; port 0 is any that is free.
    pub async fn bind(address: &str, limits: Limits) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, limits })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is dropped; its connections go with it.
    pub async fn serve(self, pages: Pages) {
        let mut open = Open::default();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => open.add(stream, pages.clone(), self.limits),
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    }
}

/// The connections, the oldest first.
#[derive(Debug, Default)]
struct Open(VecDeque<Opened>);

#[derive(Debug)]
struct Opened {
    task: AbortHandle,
    answering: Arc<AtomicBool>,
}

impl Open {
    fn add(&mut self, stream: TcpStream, pages: Pages, limits: Limits) {
        self.0.retain(|one| !one.task.is_finished());
        while self.0.len() >= limits.connections.max(1) {
            let idle = self.0.iter().position(|one| !one.answering.load(Relaxed));
            let Some(gone) = self.0.remove(idle.unwrap_or(0)) else { break };
            gone.task.abort();
        }
        let answering = Arc::new(AtomicBool::new(false));
        let connection = Connection { stream, read: Vec::new(), answering: answering.clone() };
        let task = tokio::spawn(async move {
            if let Err(error) = connection.run(&pages, limits).await {
                tracing::trace!(%error, "a connection of the HTTP server ended");
            }
        });
        self.0.push_back(Opened { task: task.abort_handle(), answering });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.iter().for_each(|one| one.task.abort());
    }
}

struct Connection {
    stream: TcpStream,
    /// What came and was not looked at yet.
    read: Vec<u8>,
    /// Told to who makes room for others.
    answering: Arc<AtomicBool>,
}

impl Connection {
    async fn run(mut self, pages: &Pages, limits: Limits) -> io::Result<()> {
        let mut patience = limits.head;
        loop {
            let head = match tokio::time::timeout(patience, self.head()).await {
                Err(_) => return Ok(()),
                Ok(head) => head?,
            };
            let Some(head) = head else { return Ok(()) };
            self.answering.store(true, Relaxed);
            let answered = tokio::time::timeout(limits.answer, self.answer(head, pages)).await;
            self.answering.store(false, Relaxed);
            match answered {
                Ok(Ok(true)) => patience = limits.idle,
                Ok(ended) => return ended.map(drop),
                Err(_) => return Ok(()),
            }
        }
    }

    /// The next request's head; `None` where the other side is done.
    async fn head(&mut self) -> io::Result<Option<Result<Head, Refusal>>> {
        let mut looked_at = 0;
        loop {
            if let Some(end) = head::end(&self.read, &mut looked_at) {
                let head = Head::parse(&self.read[..end]);
                self.read.drain(..end);
                return Ok(Some(head));
            }
            if self.read.len() >= HEAD_BYTES_MAX {
                return Ok(Some(Err(Refusal::TooLong)));
            }
            let mut piece = [0; 2048];
            let room = piece.len().min(HEAD_BYTES_MAX - self.read.len());
            match self.stream.read(&mut piece[..room]).await? {
                0 if self.read.is_empty() => return Ok(None),
                0 => return Ok(Some(Err(Refusal::Malformed))),
                count => self.read.extend_from_slice(&piece[..count]),
            }
        }
    }

    /// Answers a request; gives whether the connection can be used for the next.
    async fn answer(&mut self, head: Result<Head, Refusal>, pages: &Pages) -> io::Result<bool> {
        let (page, keep, with_body, more) = match head {
            Ok(head) => {
                let none = || Page::text(404, "there is no such page; there are /metrics, /ping and /ready\n");
                (pages(&head.path).unwrap_or_else(none), head.keep, !head.only_head, "")
            }
            Err(refusal) => {
                let more = if refusal == Refusal::Method { "Allow: GET, HEAD\r\n" } else { "" };
                (Page::text(refusal.status(), refusal.says()), false, true, more)
            }
        };
        let connection = if keep { "keep-alive" } else { "close" };
        let first = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{more}Connection: {connection}\r\n\r\n",
            page.status,
            reason(page.status),
            page.content_type,
            page.body.len()
        );
        self.stream.write_all(first.as_bytes()).await?;
        if with_body {
            self.stream.write_all(page.body.as_bytes()).await?;
        }
        self.stream.flush().await?;
        if !keep {
            self.stream.shutdown().await?;
            self.drain().await;
        }
        Ok(keep)
    }

    async fn drain(&mut self) {
        let mut left = DRAINED_BYTES_MAX;
        let mut piece = [0; 2048];
        while left > 0 {
            match self.stream.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(count) => left = left.saturating_sub(count),
            }
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Answer",
    }
}

#[cfg(test)]
mod tests;

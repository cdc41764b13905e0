//! The server over real sockets, with requests that mean well and others.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

const QUICK: Limits = Limits {
    head: Duration::from_millis(200),
    idle: Duration::from_millis(200),
    answer: Duration::from_millis(200),
    connections: 64,
};

const PATIENT: Limits = Limits { head: PATIENCE, idle: PATIENCE, answer: PATIENCE, connections: 4 };

struct Running {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
    asked: Arc<AtomicUsize>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn start(limits: Limits) -> Running {
    let asked = Arc::new(AtomicUsize::new(0));
    let large: Arc<str> = "x".repeat(64 << 20).into();
    let usual = usual_pages(|| "a 1\n".into(), || Err("no sample yet".to_owned()));
    let count = asked.clone();
    let pages: Pages = Arc::new(move |path| {
        count.fetch_add(1, Relaxed);
        match path {
            "/large" => Some(Page::text(200, large.clone())),
            path => usual(path),
        }
    });
    let server = Server::bind("127.0.0.1:0", limits).await.unwrap();
    let address = server.address().unwrap();
    Running { address, task: tokio::spawn(server.serve(pages)), asked }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Everything that comes back for these bytes until the server closes.
    async fn says(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        rest(&mut stream).await
    }
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("the server closes");
    // A connection that was torn down has said what it has said.
    let _ = read;
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn the_usual_pages_are_served_and_others_are_not() {
    let server = start(PATIENT).await;
    for (path, status, body) in [
        ("/metrics", "200 OK", "a 1\n"),
        ("/ping", "200 OK", "pong\n"),
        ("/ready", "503 Service Unavailable", "not ready: no sample yet\n"),
        ("/metrics/", "404 Not Found", "there is no such page; there are /metrics, /ping and /ready\n"),
    ] {
        let said = server.says(format!("GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n").as_bytes()).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{said}");
        assert!(said.ends_with(&format!("\r\n\r\n{body}")), "{said}");
        assert!(said.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{said}");
    }
    let said = server.says(b"GET /metrics HTTP/1.0\r\n\r\n").await;
    assert!(said.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{said}");
    let said = server.says(b"HEAD /metrics HTTP/1.0\r\n\r\n").await;
    assert!(said.contains("\r\nContent-Length: 4\r\n") && said.ends_with("\r\n\r\n"), "{said}");
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_turn_also_when_they_come_at_once_or_byte_by_byte() {
    let server = start(PATIENT).await;
    let said = server.says(b"GET /ping HTTP/1.1\r\n\r\nGET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 2, "{said}");
    assert!(said.find("pong").unwrap() < said.find("a 1\n").unwrap(), "{said}");
    let mut stream = server.connect().await;
    for byte in b"GET /ping HTTP/1.1\r\nConnection: close\r\n\r\n" {
        stream.write_all(&[*byte]).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(rest(&mut stream).await.ends_with("pong\n"));
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_connection_closed() {
    let server = start(PATIENT).await;
    for (request, status) in [
        (b"\x16\x03\x01\x02\x00\x01\x00\n\n".to_vec(), "400"),
        (b"GET /ping\r\n\r\n".to_vec(), "400"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello".to_vec(), "413"),
        (b"DELETE /metrics HTTP/1.1\r\n\r\n".to_vec(), "405"),
        (b"GET /ping HTTP/3.0\r\n\r\n".to_vec(), "505"),
        ([b"GET /".to_vec(), vec![b'x'; 1 << 20]].concat(), "431"),
        ([b"GET / HTTP/1.1\r\n".to_vec(), b"A: b\r\n".repeat(10_000)].concat(), "431"),
        (vec![0; 20_000], "431"),
    ] {
        let mut stream = server.connect().await;
        // The server may close before it has read everything.
        let _ = stream.write_all(&request).await;
        let said = rest(&mut stream).await;
        assert!(said.is_empty() || said.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {said}");
        assert!(said.contains("Connection: close") || request.len() > 16_000, "{said}");
    }
    assert_eq!(server.asked.load(Relaxed), 0);
    assert!(server.says(b"GET /ping HTTP/1.0\r\n\r\n").await.ends_with("pong\n"), "it goes on serving");
}

#[tokio::test]
async fn a_request_that_is_cut_off_is_no_request() {
    let server = start(PATIENT).await;
    let whole = b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n";
    for length in 0..whole.len() {
        let mut stream = server.connect().await;
        stream.write_all(&whole[..length]).await.unwrap();
        stream.shutdown().await.unwrap();
        let said = rest(&mut stream).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{length}: {said}");
    }
    assert_eq!(server.asked.load(Relaxed), 0);
}

#[tokio::test]
async fn who_sends_nothing_or_too_slowly_is_let_go() {
    let server = start(QUICK).await;
    for begun in [&b""[..], b"GET /ping HTT", b"GET /ping HTTP/1.1\r\nA: b"] {
        assert_eq!(server.says(begun).await, "");
    }
    // Kept alive, and then silent.
    let server = start(Limits { head: PATIENCE, ..QUICK }).await;
    let said = server.says(b"GET /ping HTTP/1.1\r\n\r\n").await;
    assert!(said.ends_with("pong\n"), "{said}");
}

#[tokio::test]
async fn who_does_not_take_the_answer_is_let_go() {
    let server = start(Limits { head: PATIENCE, ..QUICK }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /large HTTP/1.0\r\n\r\n").await.unwrap();
    // Nothing is read until the server has given up, which the failing write of another request shows.
    let gave_up = async {
        while stream.write_all(b"x").await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, gave_up).await;
    let said = rest(&mut stream).await;
    assert!(said.len() < 64 << 20, "the answer was cut off, {} bytes came", said.len());
}

#[tokio::test]
async fn many_connections_that_stay_silent_lock_nobody_out() {
    let server = start(PATIENT).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /").await.unwrap();
        silent.push(stream);
    }
    let said = server.says(b"GET /ping HTTP/1.0\r\n\r\n").await;
    assert!(said.ends_with("pong\n"), "{said}");
    // The first ones had to make way.
    assert_eq!(rest(&mut silent[0]).await, "");
}

#[tokio::test]
async fn many_connections_cut_off_no_answer_until_all_are_being_answered() {
    let server = start(PATIENT).await;
    let large = async || {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /large HTTP/1.0\r\n\r\n").await.unwrap();
        let mut first = [0; 1];
        stream.read_exact(&mut first).await.unwrap();
        stream
    };
    let mut answered = large().await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(server.connect().await);
    }
    // Whoever is to make way for the last of them has done so before this is answered.
    assert!(server.says(b"GET /ping HTTP/1.0\r\n\r\n").await.ends_with("pong\n"));
    assert!(rest(&mut answered).await.len() >= 64 << 20);

    let mut all = Vec::new();
    for _ in 0..PATIENT.connections {
        all.push(large().await);
    }
    assert!(server.says(b"GET /ping HTTP/1.0\r\n\r\n").await.ends_with("pong\n"), "nobody is locked out");
    assert!(rest(&mut all[0]).await.len() < 64 << 20, "the oldest made way");
    assert!(rest(&mut all[1]).await.len() >= 64 << 20);
}

#[tokio::test]
async fn a_dropped_server_closes_its_connections() {
    let server = start(PATIENT).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /ping HTTP/1.1\r\n\r\n").await.unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    server.task.abort();
    assert!(rest(&mut stream).await.ends_with("pong\n"));
}

#[test]
fn a_port_alone_means_this_machine() {
    for (text, address) in [
        ("9308", "127.0.0.1:9308"),
        (":0", "127.0.0.1:0"),
        ("0.0.0.0:9308", "0.0.0.0:9308"),
        ("[::1]:9308", "[::1]:9308"),
        ("localhost:1", "localhost:1"),
    ] {
        assert_eq!(parse_listen(text).as_deref(), Ok(address));
    }
    for wrong in ["", ":", "host", "host:", "host:x", "70000", "::1:9308", "1:2:3", "host:70000"] {
        assert!(parse_listen(wrong).is_err(), "{wrong}");
    }
}

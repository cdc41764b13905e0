//! A request's first line and headers, as far as this server needs them.

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// Without the query.
    pub(super) path: String,
    /// HEAD instead of GET.
    pub(super) only_head: bool,
    /// Whether another request may follow on the connection.
    pub(super) keep: bool,
}

/// Why a request is not answered as it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Malformed,
    TooLong,
    Method,
    /// It has a body, or says so.
    Body,
    Version,
}

impl Refusal {
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Method => 405,
            Self::Body => 413,
            Self::TooLong => 431,
            Self::Version => 505,
        }
    }

    pub(super) fn says(self) -> &'static str {
        match self {
            Self::Malformed => "that is no HTTP request\n",
            Self::Method => "only GET and HEAD are served here\n",
            Self::Body => "no request with a body is taken here\n",
            Self::TooLong => "the request's head is too long\n",
            Self::Version => "only HTTP/1.0 and HTTP/1.1 are spoken here\n",
        }
    }
}

/// Where a head ends: behind its first empty line. Lines end in CRLF, or in LF alone. What was looked at is not looked at again.
pub(super) fn end(bytes: &[u8], looked_at: &mut usize) -> Option<usize> {
    while let Some(found) = memchr::memchr(b'\n', bytes.get(*looked_at..)?) {
        let line_end = *looked_at + found + 1;
        match bytes.get(line_end..)? {
            [b'\n', ..] => return Some(line_end + 1),
            [b'\r', b'\n', ..] => return Some(line_end + 2),
            // It may be the end, once the next byte is there.
            [] | [b'\r'] => return None,
            _ => *looked_at = line_end,
        }
    }
    *looked_at = bytes.len();
    None
}

impl Head {
    /// Reads a head, its empty line included.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        // Header values may be any bytes; what is looked for in them is ASCII.
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Refusal::Malformed);
        };
        let one_one = match version {
            "HTTP/1.1" => true,
            "HTTP/1.0" => false,
            _ if version.starts_with("HTTP/") => return Err(Refusal::Version),
            _ => return Err(Refusal::Malformed),
        };
        let is_token = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"(),/:;<=>?@[\\]{}\"".contains(&b))
        };
        let path = path_of(target).filter(|path| path.bytes().all(|b| b.is_ascii_graphic()));
        let (true, Some(path)) = (is_token(method), path) else { return Err(Refusal::Malformed) };
        let mut keep = one_one;
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(Refusal::Malformed)?;
            if !is_token(name) {
                return Err(Refusal::Malformed);
            }
            let value = value.trim();
            match () {
                () if name.eq_ignore_ascii_case("connection") => {
                    for option in value.split(',').map(str::trim) {
                        keep = (keep || option.eq_ignore_ascii_case("keep-alive"))
                            && !option.eq_ignore_ascii_case("close");
                    }
                }
                () if name.eq_ignore_ascii_case("transfer-encoding") => return Err(Refusal::Body),
                () if name.eq_ignore_ascii_case("content-length") && value != "0" => return Err(Refusal::Body),
                () => {}
            }
        }
        match method {
            "GET" | "HEAD" => Ok(Self { path: path.to_owned(), only_head: method == "HEAD", keep }),
            _ => Err(Refusal::Method),
        }
    }
}

/// The path of `/path?query` or of `http://host/path?query`.
fn path_of(target: &str) -> Option<&str> {
    let target = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    let path = target.split('?').next()?;
    path.starts_with('/').then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Head, Refusal> {
        assert_eq!(end(text.as_bytes(), &mut 0), Some(text.len()), "{text:?}");
        Head::parse(text.as_bytes())
    }

    #[test]
    fn a_head_is_read_as_clients_write_it() {
        let head = |path: &str, only_head, keep| Ok(Head { path: path.to_owned(), only_head, keep });
        for (text, expected) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", head("/metrics", false, true)),
            ("GET /metrics?x=1 HTTP/1.1\n\n", head("/metrics", false, true)),
            ("GET http://a:9308/metrics HTTP/1.1\r\n\r\n", head("/metrics", false, true)),
            ("HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n", head("/", true, false)),
            ("GET / HTTP/1.0\r\n\r\n", head("/", false, false)),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", head("/", false, true)),
            ("GET / HTTP/1.1\r\nContent-Length: 0\r\nX: \u{fffd}\r\n\r\n", head("/", false, true)),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_request_for_a_page_is_refused() {
        for (text, expected) in [
            ("\r\n\r\n", Refusal::Malformed),
            ("GET /\r\n\r\n", Refusal::Malformed),
            ("GET  / HTTP/1.1\r\n\r\n", Refusal::Malformed),
            ("GET / HTTP/1.1 x\r\n\r\n", Refusal::Malformed),
            ("GET metrics HTTP/1.1\r\n\r\n", Refusal::Malformed),
            ("GET /\u{1b} HTTP/1.1\r\n\r\n", Refusal::Malformed),
            ("G(T / HTTP/1.1\r\n\r\n", Refusal::Malformed),
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n", Refusal::Malformed),
            ("GET / HTTP/1.1\r\n folded: x\r\n\r\n", Refusal::Malformed),
            ("GET / HTTP/2\r\n\r\n", Refusal::Version),
            ("PRI * HTTP/2.0\r\n\r\n", Refusal::Version),
            ("POST / HTTP/1.1\r\n\r\n", Refusal::Method),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", Refusal::Body),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::Body),
            ("GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", Refusal::Body),
        ] {
            assert_eq!(parse(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn the_end_is_found_wherever_the_bytes_are_cut() {
        let text = b"GET / HTTP/1.1\r\nA: b\r\n\r\nGET";
        let mut looked_at = 0;
        for length in 0..text.len() {
            let found = end(&text[..length], &mut looked_at);
            assert_eq!(found, (length >= 24).then_some(24), "{length}");
        }
        assert_eq!(end(b"a\nb\n\n", &mut 0), Some(5));
    }
    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_request_or_refused(
            lines in proptest::collection::vec("(GET|HEAD|POST|)[ :/?]{0,3}[a-zA-Z-]{0,9}[ :]{0,2}(HTTP/1\\.[01]|close|0|5|\\PC{0,4})", 0..6),
            noise in proptest::collection::vec(proptest::num::u8::ANY, 0..40),
            at in 0..200_usize,
        ) {
            let mut bytes = lines.join("\r\n").into_bytes();
            let at = at.min(bytes.len());
            bytes.splice(at..at, noise);
            bytes.extend_from_slice(b"\r\n\r\n");
            let end = end(&bytes, &mut 0).unwrap();
            assert!(end <= bytes.len() && bytes[..end].ends_with(b"\n"));
            if let Ok(head) = Head::parse(&bytes[..end]) {
                assert!(head.path.starts_with('/') && head.path.is_ascii());
            }
        }
    }
}

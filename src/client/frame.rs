//! A frame: four bytes of length, then that many bytes.
//!
//! The length is a claim of the other side. It is refused above a cap before anything is allocated, and below it the
//! buffer still grows only as bytes arrive: a peer that claims much and sends little costs little.
//!
//! Other protocols are recognised by their first four bytes. Read as a length those are all above [`FRAME_BYTES_CEILING`],
//! so that no true frame is ever taken for a stranger.

use crate::base::text::excerpt;
use std::fmt;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// No cap may be higher than this.
pub(crate) const FRAME_BYTES_CEILING: usize = 256 << 20;

/// How much the buffer grows by at the start; it doubles from there.
const GROWTH_BYTES_MIN: usize = 64 << 10;

// The lowest lengths that a TLS record (alert: 0x15 0x03) and printable text can be taken for.
const _: () = assert!(FRAME_BYTES_CEILING < 0x1503_0000 && FRAME_BYTES_CEILING < 0x2020_2020);

/// What answers in the place of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stranger {
    /// An HTTP server.
    Http,
    /// A TLS server: an alert or a handshake record.
    Tls,
    /// Something that sends text, by its first four bytes (SSH, SMTP, Redis, ...).
    Text([u8; 4]),
}

impl Stranger {
    fn recognise(first: [u8; 4]) -> Option<Self> {
        match first {
            [b'H', b'T', b'T', b'P'] => Some(Self::Http),
            // Alert, handshake; then the major version of every TLS.
            [0x15 | 0x16, 0x03, _, _] => Some(Self::Tls),
            text if text.iter().all(|byte| (0x20..0x7f).contains(byte)) => Some(Self::Text(text)),
            _ => None,
        }
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http => f.write_str("it answers HTTP, so this is not a Kafka listener (is the port right?)"),
            Self::Tls => {
                f.write_str("it speaks TLS; only plain listeners are supported so far, so take the PLAINTEXT one")
            }
            Self::Text(first) => {
                write!(f, "it answers with text that begins {}, not Kafka (is the port right?)", excerpt(first))
            }
        }
    }
}

/// Why no frame could be read.
#[derive(Debug)]
pub(crate) enum FrameError {
    /// The connection ended after `got` bytes of `expected`.
    Closed {
        got: usize,
        expected: usize,
    },
    Stranger(Stranger),
    Negative(i32),
    TooLarge {
        stated: usize,
        cap: usize,
    },
    Io(io::Error),
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads one frame's bytes (without its length) into `into`, which is cleared.
pub(crate) async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    into: &mut Vec<u8>,
    cap: usize,
) -> Result<(), FrameError> {
    into.clear();
    let mut first = [0; 4];
    let mut got = 0;
    while got < first.len() {
        match stream.read(&mut first[got..]).await? {
            0 => return Err(FrameError::Closed { got, expected: first.len() }),
            n => got += n,
        }
    }
    let claimed = i32::from_be_bytes(first);
    let Ok(stated) = usize::try_from(claimed) else {
        return Err(FrameError::Negative(claimed));
    };
    if let Some(stranger) = Stranger::recognise(first) {
        return Err(FrameError::Stranger(stranger));
    }
    let cap = cap.min(FRAME_BYTES_CEILING);
    if stated > cap {
        return Err(FrameError::TooLarge { stated, cap });
    }
    let mut body = stream.take(stated as u64);
    while into.len() < stated {
        if into.len() == into.capacity() {
            into.reserve_exact((stated - into.len()).min(into.len().max(GROWTH_BYTES_MIN)));
        }
        if body.read_buf(into).await? == 0 {
            return Err(FrameError::Closed { got: into.len() + 4, expected: stated + 4 });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8], cap: usize) -> (Result<(), FrameError>, Vec<u8>) {
        let mut into = Vec::new();
        let result = read_frame(&mut &bytes[..], &mut into, cap).await;
        (result, into)
    }

    #[tokio::test]
    async fn a_frame_is_read_up_to_its_end_and_no_further() {
        let mut stream = &b"\0\0\0\x03abc\0\0\0\x01d"[..];
        let mut into = vec![9; 100];
        read_frame(&mut stream, &mut into, 10).await.unwrap();
        assert_eq!(into, b"abc");
        read_frame(&mut stream, &mut into, 10).await.unwrap();
        assert_eq!(into, b"d");
    }

    #[tokio::test]
    async fn an_oversize_frame_is_refused_before_it_is_allocated() {
        let (result, into) = read(b"\x0f\0\0\0abc", 1000).await;
        assert!(matches!(result, Err(FrameError::TooLarge { stated: 0x0f00_0000, cap: 1000 })), "{result:?}");
        assert_eq!(into.capacity(), 0);
    }

    #[tokio::test]
    async fn a_claimed_length_is_not_believed_before_its_bytes_arrive() {
        let (result, into) = read(b"\x0f\0\0\0abc", usize::MAX).await;
        assert!(matches!(result, Err(FrameError::Closed { got: 7, expected: 0x0f00_0004 })), "{result:?}");
        assert!(into.capacity() <= GROWTH_BYTES_MIN, "{}", into.capacity());
    }

    #[tokio::test]
    async fn other_protocols_are_called_by_their_name() {
        for (bytes, expected) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], Stranger::Http),
            (b"\x15\x03\x03\0\x02\x02\x46", Stranger::Tls),
            (b"SSH-2.0-OpenSSH", Stranger::Text(*b"SSH-")),
        ] {
            let (result, _) = read(bytes, usize::MAX).await;
            assert!(matches!(result, Err(FrameError::Stranger(got)) if got == expected), "{result:?}");
        }
    }

    #[tokio::test]
    async fn a_negative_length_is_refused() {
        assert!(matches!(read(b"\xff\xff\xff\xffabc", 10).await.0, Err(FrameError::Negative(-1))));
    }

    #[tokio::test]
    async fn an_early_end_says_how_much_came() {
        assert!(matches!(read(b"", 10).await.0, Err(FrameError::Closed { got: 0, expected: 4 })));
        assert!(matches!(read(b"\0\0\0\x05ab", 10).await.0, Err(FrameError::Closed { got: 6, expected: 9 })));
    }
}

//! A frame: four bytes of length, then that many bytes.
//!
//! The length is a claim of the other side. It is refused above a cap before anything is allocated, and below it the
//! buffer still grows only as bytes arrive: a peer that claims much and sends little costs little.
//!
//! Other protocols are recognised by their first four bytes. Read as a length those are all above [`FRAME_BYTES_CEILING`],
//! so that no true frame is ever taken for a stranger.

use crate::base::text::excerpt;
use crate::wire::frame::PREFIX_BYTES;
use std::fmt;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// No cap may be higher than this.
pub(crate) const FRAME_BYTES_CEILING: usize = 256 << 20;

/// How much is read beyond what was asked for, so that small frames cost less than a read each.
pub(crate) const AHEAD_BYTES: usize = 1 << 10;

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
    Io(io::Error),
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Takes frames off a stream. Small ones come several at a time; the bytes of a large one go straight to where they stay.
#[derive(Debug)]
pub(crate) struct FrameReader<S> {
    stream: S,
    /// What was read beyond the last frame: `ahead[taken..]`.
    ahead: Vec<u8>,
    taken: usize,
}

impl<S: AsyncRead + Unpin> FrameReader<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, ahead: Vec::with_capacity(AHEAD_BYTES), taken: 0 }
    }

    /// What has come and is not taken yet.
    pub(crate) fn ahead(&self) -> &[u8] {
        &self.ahead[self.taken..]
    }

    /// Waits until `count` bytes (at most [`AHEAD_BYTES`]) are ahead.
    pub(crate) async fn fill(&mut self, count: usize) -> Result<(), FrameError> {
        if self.taken + count > self.ahead.capacity() || self.taken == self.ahead.len() {
            self.ahead.drain(..self.taken);
            self.taken = 0;
        }
        while self.ahead().len() < count {
            // There is room for `count`, so this never grows.
            if self.stream.read_buf(&mut self.ahead).await? == 0 {
                return Err(FrameError::Closed { got: self.ahead().len(), expected: count });
            }
        }
        Ok(())
    }

    /// The length of the next frame, which is then ahead.
    pub(crate) async fn length(&mut self) -> Result<usize, FrameError> {
        self.fill(PREFIX_BYTES).await?;
        let mut first = [0; PREFIX_BYTES];
        first.copy_from_slice(&self.ahead()[..PREFIX_BYTES]);
        let claimed = i32::from_be_bytes(first);
        let Ok(stated) = usize::try_from(claimed) else {
            return Err(FrameError::Negative(claimed));
        };
        if let Some(stranger) = Stranger::recognise(first) {
            return Err(FrameError::Stranger(stranger));
        }
        self.taken += PREFIX_BYTES;
        Ok(stated)
    }

    /// Appends the next `count` bytes to `into`, which grows as they come.
    pub(crate) async fn take(&mut self, count: usize, into: &mut Vec<u8>) -> Result<(), FrameError> {
        let end = into.len() + count;
        let ready = &self.ahead[self.taken..][..count.min(self.ahead.len() - self.taken)];
        into.extend_from_slice(ready);
        self.taken += ready.len();
        let mut body = (&mut self.stream).take((end - into.len()) as u64);
        while into.len() < end {
            if into.len() == into.capacity() {
                into.reserve_exact((end - into.len()).min(into.len().max(GROWTH_BYTES_MIN)));
            }
            if body.read_buf(into).await? == 0 {
                return Err(FrameError::Closed { got: count - (end - into.len()), expected: count });
            }
        }
        Ok(())
    }

    /// Throws the next `count` bytes away.
    pub(crate) async fn skip(&mut self, mut count: usize) -> Result<(), FrameError> {
        let expected = count;
        while count > 0 {
            if self.ahead().is_empty() {
                let got = expected - count;
                self.fill(1).await.map_err(|error| match error {
                    FrameError::Closed { .. } => FrameError::Closed { got, expected },
                    other => other,
                })?;
            }
            let some = count.min(self.ahead().len());
            self.taken += some;
            count -= some;
        }
        Ok(())
    }
}

/// Who is there, by the first bytes it sends; `None` if they tell nothing.
pub(crate) async fn stranger(stream: &mut (impl AsyncRead + Unpin)) -> Option<Stranger> {
    match FrameReader::new(stream).length().await {
        Err(FrameError::Stranger(stranger)) => Some(stranger),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> (Result<(), FrameError>, Vec<u8>) {
        let (mut reader, mut into) = (FrameReader::new(bytes), Vec::new());
        let result = async {
            let stated = reader.length().await?;
            reader.take(stated, &mut into).await
        };
        (result.await, into)
    }

    #[tokio::test]
    async fn a_frame_is_read_up_to_its_end_and_no_further() {
        let mut reader = FrameReader::new(&b"\0\0\0\x03abc\0\0\0\x01d\0\0\0\x02ef\0\0\0\0"[..]);
        let mut into = Vec::new();
        for expected in ["abc", "d"] {
            into.clear();
            let stated = reader.length().await.unwrap();
            reader.take(stated, &mut into).await.unwrap();
            assert_eq!(into, expected.as_bytes());
        }
        assert_eq!(reader.length().await.unwrap(), 2);
        reader.skip(2).await.unwrap();
        assert_eq!(reader.length().await.unwrap(), 0);
        assert!(matches!(reader.length().await, Err(FrameError::Closed { got: 0, expected: 4 })));
    }

    #[tokio::test]
    async fn frames_of_every_size_come_through_the_bytes_read_ahead() {
        let sizes = [0, 1, AHEAD_BYTES - 9, AHEAD_BYTES, 3 * AHEAD_BYTES, 5, 2 * GROWTH_BYTES_MIN + 1, 7];
        let mut stream = Vec::new();
        for (fill, size) in (1..).zip(sizes) {
            stream.extend_from_slice(&(size as u32).to_be_bytes());
            stream.resize(stream.len() + size, fill);
        }
        let (mut reader, mut into) = (FrameReader::new(&stream[..]), Vec::new());
        for (fill, size) in (1..).zip(sizes) {
            assert_eq!(reader.length().await.unwrap(), size);
            into.clear();
            reader.take(size, &mut into).await.unwrap();
            assert_eq!(into, vec![fill; size]);
        }
    }

    #[tokio::test]
    async fn a_claimed_length_is_not_believed_before_its_bytes_arrive() {
        let (result, into) = read(b"\x0f\0\0\0abc").await;
        assert!(matches!(result, Err(FrameError::Closed { got: 3, expected: 0x0f00_0000 })), "{result:?}");
        assert!(into.capacity() <= GROWTH_BYTES_MIN + 8, "{}", into.capacity());
    }

    #[tokio::test]
    async fn other_protocols_are_called_by_their_name() {
        for (bytes, expected) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], Stranger::Http),
            (b"\x15\x03\x03\0\x02\x02\x46", Stranger::Tls),
            (b"SSH-2.0-OpenSSH", Stranger::Text(*b"SSH-")),
        ] {
            let (result, _) = read(bytes).await;
            assert!(matches!(result, Err(FrameError::Stranger(got)) if got == expected), "{result:?}");
        }
    }

    #[tokio::test]
    async fn a_negative_length_is_refused() {
        assert!(matches!(read(b"\xff\xff\xff\xffabc").await.0, Err(FrameError::Negative(-1))));
    }

    #[tokio::test]
    async fn an_early_end_says_how_much_came() {
        assert!(matches!(read(b"").await.0, Err(FrameError::Closed { got: 0, expected: 4 })));
        assert!(matches!(read(b"\0\0").await.0, Err(FrameError::Closed { got: 2, expected: 4 })));
        assert!(matches!(read(b"\0\0\0\x05ab").await.0, Err(FrameError::Closed { got: 2, expected: 5 })));
    }
}

//! An answer on its way out: what was written for it, and stored batches that are sent from where they lie in the log.
//!
//! Head and batches go to the socket in one call for as many of them as it takes. Answers share batches with the log, which
//! keeps them, and what they have paid, until the last of both lets go.

use super::log::Block;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

/// A whole frame, or nothing yet.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// What was written.
    pub(crate) head: Vec<u8>,
    /// What belongs into it, by ascending places.
    inlays: Vec<(usize, Inlay)>,
}

/// Bytes that an answer has from elsewhere.
#[derive(Debug)]
pub(crate) enum Inlay {
    Stored(Arc<Block>),
    Made(Vec<u8>),
}

impl Inlay {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Stored(block) => block.bytes(),
            Self::Made(bytes) => bytes,
        }
    }
}

impl Answer {
    pub(crate) fn clear(&mut self) {
        self.head.clear();
        self.inlays.clear();
    }

    /// These belong at that place of the head, behind all that were laid in before.
    pub(crate) fn lay_in(&mut self, at: usize, inlays: impl IntoIterator<Item = Inlay>) {
        self.inlays.extend(inlays.into_iter().map(|inlay| (at, inlay)));
    }

    /// The frame, piece by piece.
    fn pieces(&self) -> Vec<IoSlice<'_>> {
        let head = |range: Range<usize>| IoSlice::new(self.head.get(range).unwrap_or_default());
        let mut pieces = Vec::with_capacity(2 * self.inlays.len() + 1);
        let mut written = 0;
        for (at, inlay) in &self.inlays {
            pieces.extend([head(written..*at), IoSlice::new(inlay.bytes())]);
            written = *at;
        }
        pieces.push(head(written..self.head.len()));
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    /// Sends all of it.
    pub(crate) async fn send(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut pieces = self.pieces();
        let mut left = &mut pieces[..];
        while !left.is_empty() {
            match to.write_vectored(left).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                sent => IoSlice::advance_slices(&mut left, sent),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// Takes at most so many bytes at a time, from however many pieces.
    struct Stingy {
        most: usize,
        got: Vec<u8>,
    }

    impl AsyncWrite for Stingy {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }
        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            pieces: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).take(self.most).collect();
            self.got.extend_from_slice(&bytes);
            Poll::Ready(Ok(bytes.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn made(text: &str) -> Inlay {
        Inlay::Made(text.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn whatever_a_socket_takes_at_a_time_the_pieces_arrive_whole_and_in_order() {
        let mut answer = Answer { head: b"<><>".to_vec(), ..Answer::default() };
        answer.lay_in(1, [made("one"), made(""), made("two")]);
        answer.lay_in(3, []);
        answer.lay_in(3, [made("three")]);
        for most in 1..20 {
            let mut socket = Stingy { most, got: Vec::new() };
            answer.send(&mut socket).await.unwrap();
            assert_eq!(String::from_utf8(socket.got).unwrap(), "<onetwo><three>", "{most} at a time");
        }
        answer.clear();
        let mut socket = Stingy { most: 9, got: Vec::new() };
        answer.send(&mut socket).await.unwrap();
        assert!(socket.got.is_empty());
    }

    #[tokio::test]
    async fn a_socket_that_takes_nothing_ends_the_connection() {
        let answer = Answer { head: b"x".to_vec(), ..Answer::default() };
        let sent = answer.send(&mut Stingy { most: 0, got: Vec::new() }).await;
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::WriteZero);
    }
}

//! A frame on its way out around bytes that lie elsewhere, so that they need no copy.
//!
//! What was written and what is laid in go to the socket in one call for as much of them as it takes.

use std::io::{self, IoSlice};
use std::ops::Range;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

/// Any number of whole frames.
#[derive(Debug)]
pub(crate) struct Laid<I> {
    /// What was written.
    pub(crate) head: Vec<u8>,
    /// What belongs into it, by ascending places.
    inlays: Vec<(usize, I)>,
}

impl<I> Default for Laid<I> {
    fn default() -> Self {
        Self { head: Vec::new(), inlays: Vec::new() }
    }
}

impl<I: AsRef<[u8]>> Laid<I> {
    pub(crate) fn clear(&mut self) {
        self.head.clear();
        self.inlays.clear();
    }

    /// These belong at that place of the head, behind all that were laid in before.
    pub(crate) fn lay_in(&mut self, at: usize, inlays: impl IntoIterator<Item = I>) {
        self.inlays.extend(inlays.into_iter().map(|inlay| (at, inlay)));
    }

    /// All of it, piece by piece.
    fn pieces(&self) -> Vec<IoSlice<'_>> {
        let head = |range: Range<usize>| IoSlice::new(self.head.get(range).unwrap_or_default());
        let mut pieces = Vec::with_capacity(2 * self.inlays.len() + 1);
        let mut written = 0;
        for (at, inlay) in &self.inlays {
            pieces.extend([head(written..*at), IoSlice::new(inlay.as_ref())]);
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

    #[tokio::test]
    async fn whatever_a_socket_takes_at_a_time_the_pieces_arrive_whole_and_in_order() {
        let mut laid = Laid { head: b"<><>".to_vec(), ..Laid::default() };
        laid.lay_in(1, ["one", "", "two"]);
        laid.lay_in(3, []);
        laid.lay_in(3, ["three"]);
        for most in 1..20 {
            let mut socket = Stingy { most, got: Vec::new() };
            laid.send(&mut socket).await.unwrap();
            assert_eq!(String::from_utf8(socket.got).unwrap(), "<onetwo><three>", "{most} at a time");
        }
        laid.clear();
        let mut socket = Stingy { most: 9, got: Vec::new() };
        laid.send(&mut socket).await.unwrap();
        assert!(socket.got.is_empty());
    }

    #[tokio::test]
    async fn a_socket_that_takes_nothing_ends_the_connection() {
        let laid = Laid::<&str> { head: b"x".to_vec(), ..Laid::default() };
        let sent = laid.send(&mut Stingy { most: 0, got: Vec::new() }).await;
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::WriteZero);
    }
}

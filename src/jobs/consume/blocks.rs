//! The way out: blocks of finished text, handed to whoever writes them, and back again empty.
//!
//! ```text
//!  job ──▶ block full, or nothing more at hand ──▶ write on a thread of its own
//!   ▲                                                        │
//!   └────────────────── the same block, empty ◀──────────────┘
//! ```
//!
//! Few blocks exist and they go round, so a reader that is slow holds the job up and costs no memory, and writing overlaps with
//! everything else. A block that comes back was written: that is what [`Blocks::flush`] waits for.

use std::io::{self, Write};
use tokio::sync::{mpsc, watch};

/// Blocks that exist at once.
pub(super) const ALIVE: usize = 3;

/// The job's end.
#[derive(Debug)]
pub struct Blocks {
    to: mpsc::Sender<Vec<u8>>,
    back: mpsc::Receiver<Vec<u8>>,
    spare: Vec<Vec<u8>>,
    on_their_way: usize,
    /// A block that has grown beyond this by a large record is not kept.
    kept_bytes_max: usize,
    hung_up: watch::Sender<bool>,
}

/// The writer's end.
#[derive(Debug)]
pub struct BlocksOut {
    from: mpsc::Receiver<Vec<u8>>,
    back: mpsc::Sender<Vec<u8>>,
}

/// Says that nobody takes blocks any more.
#[derive(Debug)]
pub struct HangUp(watch::Sender<bool>);

impl HangUp {
    /// See [`Blocks::hang_up`].
    pub fn say(&self) {
        self.0.send_replace(true);
    }
}

/// Nobody takes blocks any more; why, the writer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// Both ends.
pub fn blocks() -> (Blocks, BlocksOut) {
    let (to, from) = mpsc::channel(ALIVE);
    let (give_back, back) = mpsc::channel(ALIVE);
    let spare = vec![Vec::new(); ALIVE - 1];
    (
        Blocks { to, back, spare, on_their_way: 0, kept_bytes_max: usize::MAX, hung_up: watch::Sender::new(false) },
        BlocksOut { from, back: give_back },
    )
}

impl Blocks {
    /// Blocks larger than this are given back to the system once they are written.
    pub(super) fn keep_up_to(&mut self, bytes: usize) {
        self.kept_bytes_max = bytes;
    }

    /// Hands a block over and gives an empty one for it, as soon as there is one.
    pub async fn send(&mut self, block: Vec<u8>) -> Result<Vec<u8>, Closed> {
        self.to.send(block).await.map_err(|_| Closed)?;
        self.on_their_way += 1;
        match self.spare.pop() {
            Some(spare) => Ok(spare),
            None => self.returned().await,
        }
    }

    /// Waits until everything that was handed over is written.
    pub async fn flush(&mut self) -> Result<(), Closed> {
        while self.on_their_way > 0 {
            let block = self.returned().await?;
            self.spare.push(block);
        }
        Ok(())
    }

    /// For who learns before a write fails that nobody takes what is written any more.
    pub fn hang_up(&self) -> HangUp {
        HangUp(self.hung_up.clone())
    }

    /// Waits until nobody takes blocks any more.
    pub(super) async fn closed(&self) {
        let mut hung_up = self.hung_up.subscribe();
        tokio::select! {
            () = self.to.closed() => {}
            // The sender lives in `self`, so this cannot fail.
            _ = hung_up.wait_for(|it_is| *it_is) => {}
        }
    }

    async fn returned(&mut self) -> Result<Vec<u8>, Closed> {
        let mut block = self.back.recv().await.ok_or(Closed)?;
        self.on_their_way -= 1;
        block.clear();
        if block.capacity() > self.kept_bytes_max {
            block = Vec::new();
        }
        Ok(block)
    }
}

impl BlocksOut {
    /// Writes every block to `out` as it comes, until there will be no more or it cannot be written. Blocks the thread.
    pub fn write_to(mut self, out: &mut impl Write) -> io::Result<()> {
        while let Some(block) = self.from.blocking_recv() {
            out.write_all(&block)?;
            out.flush()?;
            // Where the job has gone, nobody wants it back.
            let _ = self.back.blocking_send(block);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_flushed_is_written_and_in_order() {
        let (mut blocks, out) = blocks();
        blocks.keep_up_to(4);
        let writer = std::thread::spawn(move || {
            let mut written = Vec::new();
            out.write_to(&mut written).map(|()| written)
        });
        let mut block = Vec::new();
        for number in 0..100 {
            block.extend_from_slice(format!("{number} ").as_bytes());
            block = blocks.send(block).await.unwrap();
            assert!(block.is_empty());
        }
        blocks.flush().await.unwrap();
        drop(blocks);
        let expected: String = (0..100).map(|number| format!("{number} ")).collect();
        assert_eq!(String::from_utf8(writer.join().unwrap().unwrap()).unwrap(), expected);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_writer_that_fails_is_noticed() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (mut blocks, out) = blocks();
        let writer = std::thread::spawn(move || out.write_to(&mut Full));
        let mut tries = 0;
        while blocks.send(b"x".to_vec()).await.is_ok() {
            tries += 1;
            assert!(tries <= ALIVE, "the writer is gone and blocks are taken");
        }
        blocks.closed().await;
        assert_eq!(blocks.flush().await, Err(Closed));
        assert_eq!(writer.join().unwrap().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}

//! The thread that reads: a pipe can only be waited for by standing still, which no task may do.
//!
//! ```text
//!            open ──▶            ──▶ blocks (2 wait) ──▶
//!  the job            the thread                          the job ──┐
//!            ◀──────────── buffers to be filled again ◀────────────┘
//! ```
//!
//! There are four buffers at most. A thread that hangs in a read when the job has ended is left behind; it ends with the process.

use super::input::Input;
use crate::formats::text::HEADROOM;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::sync::mpsc as asks;
use tokio::sync::mpsc as blocks;

/// What is read at once.
const BLOCK_BYTES: usize = 256 << 10;
const BUFFERS: usize = 4;
/// All buffers together, and the one that is being read.
pub(super) const MEMORY: usize = (BUFFERS + 1) * (HEADROOM + BLOCK_BYTES);

/// What the thread has to say.
pub(super) enum Fed {
    /// The next bytes, from [`HEADROOM`] on.
    Block { bytes: Vec<u8>, len: usize },
    /// This input is at its end.
    End,
    /// It cannot be read.
    Failed(io::Error),
}

enum Ask {
    Open(Input),
    Buffer(Vec<u8>),
}

/// The job's end of it.
pub(super) struct Feed {
    asks: asks::Sender<Ask>,
    blocks: blocks::Receiver<Fed>,
}

impl Feed {
    /// A thread that waits to be asked.
    pub(super) fn start() -> io::Result<Self> {
        let (asks, asked) = asks::channel();
        let (sender, blocks) = blocks::channel(BUFFERS - 2);
        std::thread::Builder::new().name("read".to_owned()).spawn(move || serve(&asked, &sender))?;
        Ok(Self { asks, blocks })
    }

    /// Begins to read an input; the one before must be at its end.
    pub(super) fn open(&self, input: Input) {
        // If the thread is gone, the next block says so.
        let _ = self.asks.send(Ask::Open(input));
    }

    /// Lets a buffer be filled again.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        let _ = self.asks.send(Ask::Buffer(buffer));
    }

    pub(super) async fn next(&mut self) -> Fed {
        self.blocks.recv().await.unwrap_or_else(|| Fed::Failed(io::Error::other("the reading thread has ended")))
    }
}

fn serve(asked: &asks::Receiver<Ask>, blocks: &blocks::Sender<Fed>) {
    let mut buffers = Buffers { asked, free: Vec::new(), made: 0 };
    while let Ok(ask) = asked.recv() {
        let input = match ask {
            Ask::Open(input) => input,
            Ask::Buffer(buffer) => {
                buffers.free.push(buffer);
                continue;
            }
        };
        let last = match read(&input, &mut buffers, blocks) {
            Ok(true) => Fed::End,
            Ok(false) => return,
            Err(error) => Fed::Failed(error),
        };
        if blocks.blocking_send(last).is_err() {
            return;
        }
    }
}

/// Reads one input to its end; `false` if nobody listens any more.
fn read(input: &Input, buffers: &mut Buffers<'_>, blocks: &blocks::Sender<Fed>) -> io::Result<bool> {
    let mut source: Box<dyn Read> = match input {
        // Reads of whole blocks go past its own buffer.
        Input::Stdin => Box::new(io::stdin().lock()),
        Input::File(path) => Box::new(File::open(path)?),
    };
    loop {
        let Some(mut bytes) = buffers.next() else { return Ok(false) };
        let len = loop {
            match source.read(&mut bytes[HEADROOM..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => break read?,
            }
        };
        if len == 0 {
            buffers.free.push(bytes);
            return Ok(true);
        }
        if blocks.blocking_send(Fed::Block { bytes, len }).is_err() {
            return Ok(false);
        }
    }
}

struct Buffers<'a> {
    asked: &'a asks::Receiver<Ask>,
    free: Vec<Vec<u8>>,
    made: usize,
}

impl Buffers<'_> {
    /// A buffer of the right size, once there is one; `None` if nobody listens any more.
    fn next(&mut self) -> Option<Vec<u8>> {
        let mut buffer = match self.free.pop() {
            Some(buffer) => buffer,
            None if self.made < BUFFERS => {
                self.made += 1;
                Vec::new()
            }
            None => match self.asked.recv() {
                Ok(Ask::Buffer(buffer)) => buffer,
                Ok(Ask::Open(_)) | Err(_) => return None,
            },
        };
        // One that a long record has made grow is not kept.
        if buffer.capacity() > 2 * (HEADROOM + BLOCK_BYTES) {
            buffer = Vec::new();
        }
        buffer.resize(HEADROOM + BLOCK_BYTES, 0);
        Some(buffer)
    }
}

//! A member that reads: a batch at a time of what it is given, commits now and then and whenever it is to give something up,
//! and notes both in the log.

use crate::seed::Seed;
use crate::story::Log;
use kmerge::base::place::TopicPartition;
use kmerge::batch::Batches;
use kmerge::client::group::{GroupEvent, GroupMember, NotCommitted};
use kmerge::client::{Cluster, PartitionReader, ReadOptions};
use kmerge::ports::Source as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// How a reader ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It commits and leaves.
    Leave,
    /// It is gone without a word.
    Vanish,
}

/// A reader at work.
pub struct Reader {
    pub who: String,
    end: oneshot::Sender<End>,
    task: JoinHandle<()>,
    pub assigned: Arc<AtomicUsize>,
}

/// What all readers share.
#[derive(Clone)]
pub struct Shared {
    pub log: Arc<Log>,
    /// Batches that may be read, so that a storm goes on as long as it is to.
    pub turns: Arc<Semaphore>,
}

impl Shared {
    pub fn new(log: Log) -> Self {
        Self { log: Arc::new(log), turns: Arc::new(Semaphore::new(0)) }
    }
}

impl Reader {
    pub fn start(who: &str, cluster: Cluster, member: GroupMember, shared: &Shared, seed: u64) -> Self {
        let (end, ends) = oneshot::channel();
        let assigned = Arc::<AtomicUsize>::default();
        let work = Work {
            who: who.to_owned(),
            cluster,
            member,
            shared: shared.clone(),
            seed: Seed(seed),
            parts: BTreeMap::new(),
            assigned: assigned.clone(),
        };
        Self { who: who.to_owned(), end, task: tokio::spawn(work.run(ends)), assigned }
    }

    pub async fn end(self, how: End) {
        // It may have ended by itself, with a panic that is to be seen.
        let _ = self.end.send(how);
        if let Err(error) = self.task.await {
            std::panic::resume_unwind(error.into_panic());
        }
    }

    /// Whether it has failed.
    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

struct Part {
    reader: PartitionReader,
    /// Read and not committed.
    open: std::ops::Range<i64>,
}

struct Work {
    who: String,
    cluster: Cluster,
    member: GroupMember,
    shared: Shared,
    seed: Seed,
    parts: BTreeMap<TopicPartition, Part>,
    assigned: Arc<AtomicUsize>,
}

impl Work {
    async fn run(mut self, mut ends: oneshot::Receiver<End>) {
        let mut window = Vec::new();
        loop {
            tokio::select! {
                end = &mut ends => match end {
                    Ok(End::Leave) => {
                        let all: Vec<_> = self.parts.keys().cloned().collect();
                        self.commit(&all).await;
                        return self.member.leave().await.expect("it leaves");
                    }
                    _ => return self.member.vanish(),
                },
                event = self.member.next() => self.heed(event.expect("a member")).await,
                partition = read(&mut self.parts, &self.shared, &mut window) => {
                    let batches: Vec<_> = Batches::new(&window).map(|batch| batch.expect("whole batches")).collect();
                    let part = self.parts.get_mut(&partition).expect("it was read");
                    let end = batches.last().expect("a window has batches").header.last_offset() + 1;
                    self.shared.log.read(&self.who, &partition, part.open.end..end);
                    part.open.end = end;
                    if self.seed.below(3) == 0 {
                        let some: Vec<_> = self.parts.keys().filter(|_| self.seed.below(2) == 0).cloned().collect();
                        self.commit(&some).await;
                    }
                    if end == self.shared.log.records() {
                        self.commit(&[partition]).await;
                    }
                }
            }
        }
    }

    async fn heed(&mut self, event: GroupEvent) {
        eprintln!("{}: {event:?}", self.who);
        match event {
            GroupEvent::Assigned(starts) => {
                for start in starts {
                    let offset = start.offset;
                    let range = offset..self.shared.log.records();
                    let options = ReadOptions { fetch_bytes_max: 1, ..ReadOptions::default() };
                    let reader = self.cluster.reader(start.partition.clone(), range, options);
                    let before = self.parts.insert(start.partition, Part { reader, open: offset..offset });
                    assert!(before.is_none(), "given what it has");
                }
            }
            GroupEvent::Revoked(partitions) => {
                self.commit(&partitions).await;
                for one in &partitions {
                    self.parts.remove(one).expect("it has what it is to give up");
                }
            }
            GroupEvent::Lost(partitions) => {
                for one in &partitions {
                    self.parts.remove(one).expect("it had what it has lost");
                }
            }
        }
        self.assigned.store(self.parts.len(), SeqCst);
    }

    async fn commit(&mut self, partitions: &[TopicPartition]) {
        let open = |one: &TopicPartition| self.parts.get(one).filter(|part| !part.open.is_empty());
        let offsets: Vec<_> = partitions.iter().filter_map(|one| Some((one.clone(), open(one)?.open.end))).collect();
        match self.member.commit(&offsets).await {
            Ok(()) => {
                for (partition, _) in offsets {
                    let part = self.parts.get_mut(&partition).expect("it was there");
                    self.shared.log.committed(&self.who, &partition, part.open.clone());
                    part.open.start = part.open.end;
                }
            }
            Err(NotCommitted::Lost(partition)) => eprintln!("{}: too late to commit {partition}", self.who),
            Err(NotCommitted::Failed(error)) => panic!("{}: {error}", self.who),
        }
    }
}

/// The next batch of some partition, when there is a turn; may be dropped while it waits.
async fn read(parts: &mut BTreeMap<TopicPartition, Part>, shared: &Shared, window: &mut Vec<u8>) -> TopicPartition {
    let end = shared.log.records();
    let next = parts.iter_mut().filter(|(_, part)| part.open.end < end).min_by_key(|(_, part)| part.open.end);
    let Some((partition, part)) = next else { return std::future::pending().await };
    let turn = shared.turns.acquire().await.expect("never closed");
    let more = part.reader.next(window).await.expect("it can be read");
    assert!(more.is_some(), "{partition} ends before its end");
    turn.forget();
    partition.clone()
}

/// What the merge wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The next record in order is the oldest one offered by this source.
    Emit(usize),
    /// Cannot go on before this source offers a key or is finished.
    Needs(usize),
    /// Every source is finished and everything was emitted.
    Done,
}
/// A k-way streaming heap over (key, source); a source's keys come in its offset order, one at a time.
pub struct StreamingMerge<K> {
    _k: Vec<K>,
}
impl<K: Ord> StreamingMerge<K> {
    pub fn new(_sources: usize) -> Self {
        unimplemented!()
    }
    /// Offers the next key of `source`, which must have been asked for. An `Err` gives the key back: it lies below the one before it.
    pub fn offer(&mut self, _source: usize, _key: K) -> Result<(), K> {
        unimplemented!()
    }
    pub fn finish(&mut self, _source: usize) {
        unimplemented!()
    }
    /// `Emit` takes the head of that source; the source is asked for again on a later call.
    pub fn step(&mut self) -> Step {
        unimplemented!()
    }
}

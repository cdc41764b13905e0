//! What a move does to a partition: who holds it, how far the new copies reach, who leads.

use super::Move;
use crate::broker::memory::Memory;
use crate::broker::topic::State;

/// Why a move cannot be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTakenBack {
    NothingMoves,
    /// Nobody would be left who has everything.
    NobodyInSync,
}

impl State {
    /// Begins to move to these nodes, which are known to be there and no two alike. Where nothing has to be copied the move is
    /// over at once.
    pub(crate) fn reassign(&mut self, target: &[i32], is_alive: impl Fn(i32) -> bool, memory: &Memory, now_ms: i64) {
        let before = std::mem::take(&mut self.replicas);
        self.replicas = self.moving.begin(&before, target);
        for node in self.replicas.iter().filter(|node| !before.contains(node)) {
            self.lagging.insert(*node, self.log.start());
        }
        let ended = self.moving.end(&self.replicas, &self.in_sync(&is_alive));
        self.settle(ended, &before, is_alive, memory, now_ms);
    }

    /// Takes the move that is under way back.
    pub(crate) fn take_back(
        &mut self,
        is_alive: impl Fn(i32) -> bool,
        memory: &Memory,
        now_ms: i64,
    ) -> Result<(), NotTakenBack> {
        if !self.moving.is_under_way() {
            return Err(NotTakenBack::NothingMoves);
        }
        let back = self.moving.taken_back(&self.replicas);
        if !self.in_sync(&is_alive).iter().any(|node| back.contains(node)) {
            return Err(NotTakenBack::NobodyInSync);
        }
        let before = self.replicas.clone();
        self.settle(Some(back), &before, is_alive, memory, now_ms);
        Ok(())
    }

    /// Ends the move if every new replica has everything; `true` if it is over.
    pub(crate) fn end_move(&mut self, is_alive: impl Fn(i32) -> bool, memory: &Memory, now_ms: i64) -> bool {
        let ended = self.moving.end(&self.replicas, &self.in_sync(&is_alive));
        let before = self.replicas.clone();
        let over = ended.is_some();
        self.settle(ended, &before, is_alive, memory, now_ms);
        over
    }

    /// Whether somebody leads who would send what is to be copied.
    pub(crate) fn leader_serves(&self, serves: impl Fn(i32) -> bool) -> bool {
        serves(self.leader)
    }

    /// Each new replica gets as many bytes more as it has room for, one batch at least, and nothing without room. Gives which of
    /// them got on, and by how many bytes.
    pub(crate) fn copy_on(
        &mut self,
        mut room: impl FnMut(i32) -> usize,
        serves: impl Fn(i32) -> bool,
    ) -> Vec<(i32, usize)> {
        let mut got_on = Vec::new();
        for node in self.moving.adding.iter().copied().filter(|node| serves(*node)) {
            let Some(end) = self.lagging.get(&node).copied() else { continue };
            let from = end.max(self.log.start());
            let room = room(node);
            if room == 0 && from < self.log.end() {
                continue;
            }
            let (reached, bytes) = self.log.end_of_piece(from, room);
            if reached >= self.log.end() {
                self.lagging.remove(&node);
            } else {
                self.lagging.insert(node, reached);
            }
            got_on.push((node, bytes));
        }
        got_on
    }

    /// The replicas are `ended`, if that is given, and nobody moves any more. Who leads no longer holds it hands over to the
    /// first that has everything; where somebody has left at all there is a new epoch, so that everybody takes notice.
    fn settle(
        &mut self,
        ended: Option<Vec<i32>>,
        before: &[i32],
        is_alive: impl Fn(i32) -> bool,
        memory: &Memory,
        now_ms: i64,
    ) {
        if let Some(replicas) = ended {
            self.replicas = replicas;
            self.moving = Move::default();
        }
        let gone: Vec<i32> = before.iter().copied().filter(|node| !self.replicas.contains(node)).collect();
        for node in &gone {
            self.forget_copy(*node);
        }
        if gone.is_empty() {
            return;
        }
        let leads_on = self.replicas.contains(&self.leader);
        let next = if leads_on { Some(self.leader) } else { self.in_sync(is_alive).first().copied() };
        match next {
            Some(node) => self.elect(node, memory, now_ms),
            None => self.lose_leader(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::log::Block;

    fn state(replicas: &[i32], batches: usize) -> (State, Memory) {
        let memory = Memory::new(1 << 20);
        let mut state = State::new(replicas.to_vec());
        for _ in 0..batches {
            let block = Block::new(vec![0xee; 100].into(), memory.take(100).unwrap());
            state.log.append(block, 9, 5, 0);
        }
        (state, memory)
    }

    fn all(_: i32) -> bool {
        true
    }

    #[test]
    fn a_partition_is_copied_piece_by_piece_and_then_led_by_its_new_node() {
        let (mut state, memory) = state(&[1], 5);
        state.reassign(&[3, 2], all, &memory, 0);
        assert_eq!((&*state.replicas, state.in_sync(all), state.leader), (&[3, 2, 1][..], vec![1], 1));
        assert!(!state.end_move(all, &memory, 0));
        let mut ends = Vec::new();
        while !state.copy_on(|_| 200, |node| node == 3).is_empty() {
            ends.push(state.end_at(3));
        }
        assert_eq!(ends, [20, 40, 50]);
        assert_eq!((state.end_at(2), state.in_sync(all), state.leader_epoch), (0, vec![3, 1], 0));
        assert_eq!(state.copy_on(|_| 0, all), [], "no room");
        assert_eq!(state.copy_on(|_| 1 << 20, all), [(2, 500)]);
        assert!(state.end_move(all, &memory, 0));
        assert_eq!((&*state.replicas, state.leader, state.leader_epoch), (&[3, 2][..], 3, 1));
        assert!(!state.moving.is_under_way() && state.leader_since == 50);
    }

    #[test]
    fn what_is_appended_meanwhile_is_copied_too() {
        let (mut state, memory) = state(&[1], 2);
        state.reassign(&[2], all, &memory, 0);
        assert_eq!(state.copy_on(|_| 100, all), [(2, 100)]);
        let block = Block::new(vec![0xee; 100].into(), memory.take(100).unwrap());
        state.log.append(block, 9, 5, 0);
        assert_eq!(state.copy_on(|_| 1, all), [(2, 100)], "a batch at least");
        assert!(!state.end_move(all, &memory, 0));
        assert_eq!(state.copy_on(|_| 100, all), [(2, 100)]);
        assert!(state.end_move(all, &memory, 0));
        assert_eq!(state.end_at(2), 30);
    }

    #[test]
    fn an_order_of_replicas_is_taken_at_once_without_an_election_and_so_is_less_of_them() {
        let (mut state, memory) = state(&[1, 2, 3], 1);
        state.reassign(&[3, 2, 1], all, &memory, 0);
        assert_eq!((&*state.replicas, state.leader, state.leader_epoch), (&[3, 2, 1][..], 1, 0));
        state.reassign(&[3, 1], all, &memory, 0);
        assert_eq!((&*state.replicas, state.leader, state.leader_epoch), (&[3, 1][..], 1, 1));
        state.reassign(&[3], all, &memory, 0);
        assert_eq!((&*state.replicas, state.leader, state.leader_epoch), (&[3][..], 3, 2));
    }

    #[test]
    fn a_move_is_taken_back_while_somebody_of_before_has_everything() {
        let (mut state, memory) = state(&[1], 1);
        assert_eq!(state.take_back(all, &memory, 0), Err(NotTakenBack::NothingMoves));
        state.reassign(&[2], all, &memory, 0);
        assert_eq!(state.take_back(|node| node == 2, &memory, 0), Err(NotTakenBack::NobodyInSync));
        assert_eq!(state.take_back(all, &memory, 0), Ok(()));
        assert_eq!((&*state.replicas, state.leader, state.in_sync(all)), (&[1][..], 1, vec![1]));
        assert_eq!(state.copy_on(|_| 100, all), []);
    }
}

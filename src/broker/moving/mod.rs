//! A partition on its way to other nodes: the rules of Kafka's controller, as functions of who holds it and who is in sync.
//!
//! ```text
//!   [1,2] ── reassign to [3,1] ──▶ [3,1,2] adding 3, removing 2 ── 3 has everything ──▶ [3,1]
//!     ▲                                      │
//!     └────────────── cancelled ─────────────┘
//! ```
//!
//! While it moves all of them are told as its replicas, the new ones first; those that are added are in sync once they have
//! everything. Where nothing has to be copied, a move is over at once.

mod rates;
mod state;
mod task;

pub(crate) use rates::End;
pub(crate) use state::NotTakenBack;
pub(crate) use task::{Mover, Moves};

/// Who comes and who goes; nobody while a partition stays where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) adding: Vec<i32>,
    pub(crate) removing: Vec<i32>,
}

impl Move {
    pub(crate) fn is_under_way(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// The replicas of a partition held by `now` once it has begun to move to `target`. As in Kafka a list that stays empty
    /// leaves the one of the move before in force.
    pub(crate) fn begin(&mut self, now: &[i32], target: &[i32]) -> Vec<i32> {
        let removing = difference(now, target);
        let adding = difference(target, now);
        let replicas = target.iter().chain(&removing).copied().collect();
        if !removing.is_empty() {
            self.removing = removing;
        }
        if !adding.is_empty() {
            self.adding = adding;
        }
        replicas
    }

    /// The replicas after the move, once each of them is in sync.
    pub(crate) fn end(&self, replicas: &[i32], in_sync: &[i32]) -> Option<Vec<i32>> {
        if !self.is_under_way() {
            return None;
        }
        let staying: Vec<i32> = replicas.iter().copied().filter(|node| !self.removing.contains(node)).collect();
        let is_there = !staying.is_empty() && staying.iter().all(|node| in_sync.contains(node));
        is_there.then_some(staying)
    }

    /// The replicas where the move is taken back: those that were to go stay, those that were to come do not.
    pub(crate) fn taken_back(&self, replicas: &[i32]) -> Vec<i32> {
        replicas.iter().copied().filter(|node| !self.adding.contains(node)).collect()
    }
}

/// What is in `of` and not in `without`, in ascending order.
fn difference(of: &[i32], without: &[i32]) -> Vec<i32> {
    let mut left: Vec<i32> = of.iter().copied().filter(|node| !without.contains(node)).collect();
    left.sort_unstable();
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_tells_the_new_ones_first_and_ends_when_they_are_in_sync() {
        let mut moving = Move::default();
        let replicas = moving.begin(&[1, 2], &[3, 1]);
        assert_eq!((&*replicas, &*moving.adding, &*moving.removing), (&[3, 1, 2][..], &[3][..], &[2][..]));
        assert_eq!(moving.end(&replicas, &[1, 2]), None);
        assert_eq!(moving.end(&replicas, &[3, 2]), None);
        assert_eq!(moving.end(&replicas, &[3, 1, 2]), Some(vec![3, 1]));
        assert_eq!(moving.taken_back(&replicas), [1, 2]);
    }

    #[test]
    fn what_copies_nothing_is_over_at_once() {
        for (now, target, in_sync) in [(&[1, 2][..], &[2, 1][..], &[1, 2][..]), (&[1, 2, 3], &[3], &[1, 3])] {
            let mut moving = Move::default();
            let replicas = moving.begin(now, target);
            let ended = moving.end(&replicas, in_sync);
            // An order alone is no move; it is in force as it stands.
            assert_eq!(ended.unwrap_or(replicas), target, "{now:?}");
        }
    }

    #[test]
    fn a_move_may_be_given_another_aim_on_its_way() {
        let mut moving = Move::default();
        let replicas = moving.begin(&[1], &[2]);
        assert_eq!(replicas, [2, 1]);
        // The aim it has already changes nothing.
        let mut again = moving.clone();
        assert_eq!((again.begin(&replicas, &[2, 1]), &again), (vec![2, 1], &moving));
        // Back to where it came from: what was to come goes, and nothing has to be copied for that.
        let back = moving.begin(&replicas, &[1]);
        assert_eq!((&*back, &*moving.removing), (&[1, 2][..], &[2][..]));
        assert_eq!(moving.end(&back, &[1]), Some(vec![1]));
    }
}

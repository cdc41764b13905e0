//! LeaveGroup: members go, by themselves or because an administrator says so.

use super::{Env, Membership, Phase};
use crate::wire::ErrorCode;

/// Who leaves: a member by its id, or, where that is empty, a static one by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaving<'a> {
    pub(crate) member: &'a str,
    pub(crate) instance: Option<&'a str>,
}

impl Membership {
    /// Members leave; gives what became of each. The rest shares the work anew.
    pub(crate) fn leave(&mut self, env: &Env<'_>, leaving: &[Leaving<'_>]) -> Vec<Result<(), ErrorCode>> {
        let results: Vec<Result<(), ErrorCode>> = leaving.iter().map(|leaving| self.leave_one(leaving)).collect();
        if results.iter().any(Result::is_ok) && self.phase != Phase::Empty {
            self.rebalance(env);
        }
        results
    }

    fn leave_one(&mut self, leaving: &Leaving<'_>) -> Result<(), ErrorCode> {
        let named = leaving.instance.and_then(|instance| self.instances.get(instance)).cloned();
        let id = match (leaving.member, named) {
            ("", Some(id)) => id,
            ("", None) => return Err(ErrorCode::UnknownMemberId),
            (member, _) => {
                if !self.pending.contains_key(member) {
                    self.find(member, leaving.instance)?;
                }
                member.into()
            }
        };
        self.remove(&id);
        Ok(())
    }
}

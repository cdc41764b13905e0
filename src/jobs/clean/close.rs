//! Closing windows before their time, at the end of a bounded run that asks for it.
//!
//! It is committed as all else is: the groups, and with the offsets how far time is now, which is as if a record had come that closes
//! them. So what comes later for them is late, and what went out goes out once, however the commit ends.

use super::hand::Hand;
use super::lane::Lane;
use super::work::{Halt, Work};
use crate::jobs::error::JobError;

impl Work<'_> {
    /// Sends all open groups. They are closed once that is committed.
    pub(super) async fn close_windows(&mut self) -> Result<(), Halt> {
        let partitions: Vec<_> = self.lanes.keys().cloned().collect();
        for partition in partitions {
            let mut has_more = true;
            while has_more {
                let Some(lane) = self.lanes.get_mut(&partition) else { break };
                has_more = self.hand.close(lane)?;
                self.send().await?;
            }
        }
        Ok(())
    }
}

impl Hand {
    /// Sends open groups; `true` says that batches are to be sent before the next ones.
    fn close(&mut self, lane: &mut Lane) -> Result<bool, JobError> {
        while let Some(closed) = lane.close() {
            // In the name of the record that was read last.
            if self.send_group(lane, closed, lane.position.saturating_sub(1))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

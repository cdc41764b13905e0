//! Which broker keeps a group or a transactional id.

use super::cluster::{Ask, Cluster, call_error, refused};
use super::deadline::Deadline;
use super::error::ClientError;
use super::need::Need;
use crate::wire::ErrorCode;
use crate::wire::find_coordinator::{FindCoordinator, FindCoordinatorRequest};

/// For one key; the later versions are for several.
const FIND_ONE: Need = Need::of::<FindCoordinator>().up_to(3);

impl Cluster {
    /// The broker that keeps a key of that sort, asked once.
    pub(crate) async fn coordinator(&self, key: &str, key_type: i8, deadline: Deadline) -> Result<i32, ClientError> {
        let request = FindCoordinatorRequest { key: key.to_owned(), key_type, coordinator_keys: Vec::new() };
        let answer = self.call_as::<FindCoordinator>(Ask::Any, FIND_ONE, &request, deadline).await?;
        let broker = answer.broker();
        let response = answer.read().map_err(|error| call_error::<FindCoordinator>(broker, error))?;
        let node = response.node_id;
        ErrorCode::check(response.error_code).map_err(|code| refused(broker, "FindCoordinator", key, code))?;
        // A broker that started meanwhile has to be known before it is asked.
        if !self.nodes().contains(&node) {
            self.refresh(Ask::Any, Some(&[]), deadline).await?;
        }
        Ok(node)
    }
}

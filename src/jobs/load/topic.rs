//! A topic of a trial's own: made by it, under a name that nobody else has, and deleted by it.

use crate::client::{ClientError, Cluster, NewTopic};
use crate::jobs::error::JobError;

/// See the module's head.
pub(super) struct OwnTopic(String);

impl OwnTopic {
    /// Makes it; one that is there already is somebody else's.
    pub(super) async fn make(
        cluster: &Cluster,
        name: String,
        partitions: u32,
        replication_factor: Option<i16>,
    ) -> Result<Self, JobError> {
        match cluster.topic(&name).await {
            Err(ClientError::UnknownTopic { .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Err(JobError::Refused(format!("{name} is there already, and we did not make it"))),
        }
        // Records are of now and gone in a minute; a cluster that keeps them briefly may keep them longer here.
        let mut topic = NewTopic::new(name.as_str(), partitions as i32).config("retention.ms", "-1");
        topic.replication_factor = replication_factor.unwrap_or(topic.replication_factor);
        let own = Self(name);
        match cluster.create_topic(&topic).await {
            Ok(_) => Ok(own),
            Err(error) => {
                // Also what is half made is to go. What never was is no trouble.
                let _ = cluster.delete_topic(own.name()).await;
                Err(error.into())
            }
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// Deletes it. That it cannot be is no reason to lose what was measured.
    pub(super) async fn delete(self, cluster: &Cluster) {
        match cluster.delete_topic(&self.0).await {
            Ok(()) | Err(ClientError::UnknownTopic { .. }) => {}
            Err(error) => tracing::warn!("{0} is left behind ({error}): kmerge topic delete {0}", self.0),
        }
    }
}

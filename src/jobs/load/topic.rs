//! A topic of a measurement's own: made by it, under a name that nobody else has, and deleted by it.

use crate::client::{ClientError, Cluster, NewTopic};
use crate::jobs::error::JobError;
use crate::wire::ErrorCode;

/// See the module's head.
pub(in crate::jobs) struct OwnTopic(String);

impl OwnTopic {
    /// Makes it; one that is there already is somebody else's.
    pub(in crate::jobs) async fn make(
        cluster: &Cluster,
        name: String,
        partitions: u32,
        replication_factor: Option<i16>,
    ) -> Result<Self, JobError> {
        let own = Self::claim(cluster, name).await?;
        // Records are of now and gone in a minute; a cluster that keeps them briefly, or few, may keep them longer here. And
        // whatever its defaults are, they keep their times, and all of them stay.
        let mut topic = NewTopic::new(own.name(), partitions as i32)
            .config("retention.ms", "-1")
            .config("retention.bytes", "-1")
            .config("cleanup.policy", "delete")
            .config("message.timestamp.type", "CreateTime");
        topic.replication_factor = replication_factor.unwrap_or(topic.replication_factor);
        match cluster.create_topic(&topic).await {
            Ok(_) => Ok(own),
            // Somebody else was quicker, and it is theirs.
            Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) => Err(strange(own.name())),
            Err(error) => {
                // Whose it is, should it be there, nobody can tell: an answer may have been lost, and somebody else quicker.
                if !is_refusal(&error) {
                    tracing::warn!(
                        "{0} may be left behind, half made; if it is there and nobody else's: kmerge topic delete {0}",
                        own.name()
                    );
                }
                Err(error.into())
            }
        }
    }

    /// Says that this one is ours, before whoever writes to it makes it.
    pub(in crate::jobs) async fn claim(cluster: &Cluster, name: String) -> Result<Self, JobError> {
        match cluster.topic(&name).await {
            Err(ClientError::UnknownTopic { .. }) => Ok(Self(name)),
            Err(error) => Err(error.into()),
            Ok(_) => Err(strange(&name)),
        }
    }

    pub(in crate::jobs) fn name(&self) -> &str {
        &self.0
    }

    /// Deletes it. That it cannot be is no reason to lose what was measured.
    pub(in crate::jobs) async fn delete(self, cluster: &Cluster) {
        match cluster.delete_topic(&self.0).await {
            Ok(()) | Err(ClientError::UnknownTopic { .. }) => {}
            Err(error) => tracing::warn!("{0} is left behind ({error}): kmerge topic delete {0}", self.0),
        }
    }
}

/// Whether the controller has made nothing; after its own time is up it may still do so.
fn is_refusal(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { code, .. } if *code != ErrorCode::RequestTimedOut)
}

fn strange(name: &str) -> JobError {
    JobError::Refused(format!("{name} is there already, and we did not make it"))
}

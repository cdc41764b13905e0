//! What leaves only the story in a test: a cluster, topics of its own, records in and out, the binary.

mod binary;
mod cluster;
mod killable;
mod peer;
mod piped;
mod records;
mod seed;

pub use binary::{Outcome, command, run};
pub use cluster::{Cluster, run_embedded, run_on_kafka};
pub use killable::Killable;
pub use peer::coordinator;
#[cfg(unix)]
pub use piped::signal;
pub use piped::{begin, ended, run_with};
pub use records::Rec;
pub use seed::Seed;

/// States tests that run on both brokers: `fn name(cluster) { .. }` becomes `name::embedded` and `name::kafka`.
macro_rules! on_both_brokers {
    ($($(#[doc = $doc:literal])* async fn $name:ident($cluster:ident: &Cluster) $body:block)*) => {
        $(
            $(#[doc = $doc])*
            mod $name {
                #[allow(unused_imports, reason = "not every test needs every word of its file")]
                use super::*;

                async fn story($cluster: &Cluster) $body

                #[test]
                fn embedded() {
                    run_embedded(stringify!($name), async |cluster| story(cluster).await);
                }

                #[test]
                fn kafka() {
                    run_on_kafka(stringify!($name), async |cluster| story(cluster).await);
                }
            }
        )*
    };
}

//! ApiVersions 0 to 4: what the broker speaks; the first request on a connection.
//!
//! A broker that does not speak the version asked for answers with `UNSUPPORTED_VERSION` in the form of version 0, which
//! [`read_any`] takes into account: the list in it says what to ask for instead.

use super::define::{api, structs};
use super::{ErrorCode, Reader, WireError, frame};

api! {
    /// Which versions of which APIs the broker speaks.
    ApiVersions, 0 to 4, ApiVersionsRequest => ApiVersionsResponse
}

/// Reads a response frame to a request at `version`, whether the broker answered at that version or refused it at 0.
pub fn read_any(frame: &[u8], version: i16) -> Result<(i32, ApiVersionsResponse), WireError> {
    let mut reader = Reader::new(frame, false);
    let refused = reader.i32().and_then(|_| reader.i16()) == Ok(ErrorCode::UnsupportedVersion.code());
    frame::read_response::<ApiVersions>(frame, if refused { 0 } else { version })
}

structs! {
    /// What a client sends: nothing but its name.
    pub struct ApiVersionsRequest {
        client_software_name: String = from(3).ignorable();
        client_software_version: String = from(3).ignorable();
    }

    /// The ranges, and the features of the cluster.
    pub struct ApiVersionsResponse {
        error_code: i16 = from(0);
        api_keys: Vec<ApiVersion> = from(0);
        throttle_time_ms: i32 = from(1).ignorable();
        supported_features: Vec<SupportedFeatureKey> = from(3).tagged(0).ignorable();
        /// -1 where it is unknown.
        finalized_features_epoch: i64 = from(3).tagged(1).ignorable(), default -1;
        finalized_features: Vec<FinalizedFeatureKey> = from(3).tagged(2).ignorable();
        zk_migration_ready: bool = from(3).tagged(3).ignorable();
    }

    /// The range of one API.
    pub struct ApiVersion {
        api_key: i16 = from(0);
        min_version: i16 = from(0);
        max_version: i16 = from(0);
    }

    /// A feature the broker could take part in.
    pub struct SupportedFeatureKey {
        name: String = from(3);
        min_version: i16 = from(3);
        max_version: i16 = from(3);
    }

    /// A feature the cluster has settled on.
    pub struct FinalizedFeatureKey {
        name: String = from(3);
        max_version_level: i16 = from(3);
        min_version_level: i16 = from(3);
    }
}

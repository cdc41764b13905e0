//! ApiVersions: what is spoken here, and nothing that is not.
//!
//! - Versions: all that `wire` speaks. A version that nobody knows yet is answered in v0 with UNSUPPORTED_VERSION and the
//!   versions of this API, so that the client can ask again; that is the one request whose version may be wrong.
//! - The client's software name and version (v3) must be what Kafka allows, otherwise INVALID_REQUEST.
//! - The one feature that is told is `transaction.version`, finalized where it is above 0 (v3), and which versions are
//!   possible (v4: older clients do not understand that 0 is among them).

use super::{Call, served};
use crate::broker::features::{ApiLevel, Features};
use crate::wire::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::wire::{ApiKey, ErrorCode};

/// The version from which clients give their name.
const SOFTWARE_FROM_VERSION: i16 = 3;

/// The versions from which features are told, and from which they may have the version 0.
const FEATURES_FROM_VERSION: i16 = 3;
const ZERO_FROM_VERSION: i16 = 4;

const TRANSACTION_VERSION: &str = "transaction.version";

pub(super) fn handle(call: &Call<'_>, request: ApiVersionsRequest) -> ApiVersionsResponse {
    let names = [&request.client_software_name, &request.client_software_version];
    let nameless = call.version >= SOFTWARE_FROM_VERSION && names.iter().any(|name| !is_software_name(name));
    let error = call.forced(None).or(nameless.then_some(ErrorCode::InvalidRequest));
    match error {
        Some(error) => ApiVersionsResponse { error_code: error.code(), ..Default::default() },
        None => with_features(call, served::all(call.cluster.features()).map(tell).collect()),
    }
}

fn with_features(call: &Call<'_>, api_keys: Vec<ApiVersion>) -> ApiVersionsResponse {
    let features = call.cluster.features();
    let mut response = ApiVersionsResponse { api_keys, ..Default::default() };
    if features.level < ApiLevel::V4_2 || call.version < FEATURES_FROM_VERSION {
        return response;
    }
    let level = features.transaction_version();
    let name = || TRANSACTION_VERSION.to_owned();
    response.finalized_features_epoch = 1;
    if level > 0 {
        let finalized = FinalizedFeatureKey { name: name(), max_version_level: level, min_version_level: level };
        response.finalized_features.push(finalized);
    }
    if call.version >= ZERO_FROM_VERSION {
        let max_version = Features::TRANSACTION_VERSION_MAX;
        response.supported_features.push(SupportedFeatureKey { name: name(), min_version: 0, max_version });
    }
    response
}

/// The answer to a version that is not spoken.
pub(super) fn unsupported(features: Features) -> ApiVersionsResponse {
    let this = served::all(features).filter(|served| served.key == ApiKey::ApiVersions);
    ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: this.map(tell).collect(),
        ..Default::default()
    }
}

fn tell(served: served::Served) -> ApiVersion {
    ApiVersion { api_key: served.key.code(), min_version: served.first, max_version: served.last }
}

/// Kafka's rule: letters, digits, dots and dashes, beginning and ending with a letter or digit.
fn is_software_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    name.chars().all(inner)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
}

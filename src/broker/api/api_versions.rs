//! ApiVersions: what is spoken here, and nothing that is not.
//!
//! - Versions: all that `wire` speaks. A version that nobody knows yet is answered in v0 with UNSUPPORTED_VERSION and the
//!   versions of this API, so that the client can ask again; that is the one request whose version may be wrong.
//! - The client's software name and version (v3) must be what Kafka allows, otherwise INVALID_REQUEST.
//! - No features are told: there are no transactions whose protocol could have a version.

use super::{Call, SERVED};
use crate::wire::ErrorCode;
use crate::wire::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};

/// The version from which clients give their name.
const SOFTWARE_FROM_VERSION: i16 = 3;

pub(super) fn handle(call: &Call<'_>, request: ApiVersionsRequest) -> ApiVersionsResponse {
    let names = [&request.client_software_name, &request.client_software_version];
    let nameless = call.version >= SOFTWARE_FROM_VERSION && names.iter().any(|name| !is_software_name(name));
    let error = call.forced(None).or(nameless.then_some(ErrorCode::InvalidRequest));
    match error {
        Some(error) => ApiVersionsResponse { error_code: error.code(), ..Default::default() },
        None => ApiVersionsResponse { api_keys: SERVED.iter().map(tell).collect(), ..Default::default() },
    }
}

/// The answer to a version that is not spoken.
pub(super) fn unsupported() -> ApiVersionsResponse {
    let this = SERVED.iter().filter(|served| served.key == crate::wire::ApiKey::ApiVersions);
    ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: this.map(tell).collect(),
        ..Default::default()
    }
}

fn tell(served: &super::Served) -> ApiVersion {
    ApiVersion { api_key: served.key.code(), min_version: served.first, max_version: served.last }
}

/// Kafka's rule: letters, digits, dots and dashes, beginning and ending with a letter or digit.
fn is_software_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    name.chars().all(inner)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
}

//! Which versions to speak: the highest that both sides have.
//!
//! ApiVersions is the one request a broker must understand without knowing us, so it bends the rules: its answer always has
//! the oldest header, and a broker that does not have our version answers in version 0 with error 35 and (since 2.4) the
//! versions of ApiVersions it does have. Then we ask again with one of those.

use super::error::CallError;
use super::need::Need;
use crate::wire::Api;
use crate::wire::api_versions::{ApiVersions, ApiVersionsRequest, ApiVersionsResponse};
use std::collections::HashMap;

/// The versions a broker has, by API key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Versions {
    theirs: HashMap<i16, (i16, i16)>,
    /// What the cluster has agreed to run, and at which level.
    features: HashMap<String, i16>,
}

impl Versions {
    /// What the broker says.
    pub(crate) fn of(response: &ApiVersionsResponse) -> Self {
        let apis = response.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version)));
        let features = response.finalized_features.iter().map(|one| (one.name.clone(), one.max_version_level));
        Self { theirs: apis.collect(), features: features.collect() }
    }

    /// The level at which the cluster runs a feature. What a broker merely supports does not count.
    pub(crate) fn feature(&self, name: &str) -> Option<i16> {
        self.features.get(name).copied()
    }

    /// The version to speak.
    pub(crate) fn pick(&self, need: Need) -> Result<i16, CallError> {
        let Need { key, first: ours_min, last: ours_max } = need;
        let api = key.name();
        let Some(&(theirs_min, theirs_max)) = self.theirs.get(&key.code()) else {
            return Err(CallError::MissingApi { api });
        };
        let version = theirs_max.min(ours_max);
        if version < theirs_min.max(ours_min) {
            return Err(CallError::NoCommonVersion { api, theirs_min, theirs_max, ours_min, ours_max });
        }
        Ok(version)
    }
}

/// The request that tells who we are (version 3 on).
pub(crate) fn request() -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: super::call::CLIENT_ID.to_owned(),
        client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The version to ask again with, after a broker refused `asked`; `None` if there is no other.
pub(crate) fn fall_back(asked: i16, refusal: &ApiVersionsResponse) -> Option<i16> {
    let theirs = Versions::of(refusal).pick(Need::of::<ApiVersions>()).unwrap_or(*ApiVersions::VERSIONS.start());
    (theirs < asked).then_some(theirs)
}

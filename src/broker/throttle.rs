//! Quotas as clients meet them: an answer that says how long the client is throttled, and a connection on which the
//! broker reads nothing for that long.
//!
//! As in Kafka since 2.0, the answer goes out at once. What was asked for is done, except that a throttled Fetch is
//! answered without any partition. A client that keeps to its quota gets data again, so every second Fetch of a connection
//! is let through.

use super::cluster::lock;
use crate::wire::ApiKey;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// Which APIs are throttled, and for how long each time.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    throttled: Mutex<HashMap<ApiKey, Duration>>,
}

/// What a connection was told last: that it is throttled for so long, by the quota of which API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Throttle {
    pub(crate) api: ApiKey,
    pub(crate) pause: Duration,
}

impl Quotas {
    pub(crate) fn set(&self, api: ApiKey, pause: Option<Duration>) {
        let mut throttled = lock(&self.throttled);
        match pause {
            Some(pause) => drop(throttled.insert(api, pause)),
            None => drop(throttled.remove(&api)),
        }
    }

    /// How a request of that API is throttled on a connection that was throttled `last`.
    pub(crate) fn throttle(&self, api: ApiKey, last: Option<Throttle>) -> Option<Throttle> {
        let let_through = api == ApiKey::Fetch && last.is_some_and(|last| last.api == api);
        if let_through { None } else { lock(&self.throttled).get(&api).map(|&pause| Throttle { api, pause }) }
    }
}

/// A pause as answers tell it.
pub(crate) fn whole_ms(pause: Duration) -> i32 {
    i32::try_from(pause.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_whose_pause_was_served_is_let_through_and_a_produce_is_throttled_each_time() {
        let quotas = Quotas::default();
        let pause = Duration::from_millis(7);
        let told = |api| Some(Throttle { api, pause });
        for api in [ApiKey::Fetch, ApiKey::Produce] {
            assert_eq!(quotas.throttle(api, None), None);
            quotas.set(api, Some(pause));
            assert_eq!(quotas.throttle(api, None), told(api));
        }
        assert_eq!(quotas.throttle(ApiKey::Fetch, told(ApiKey::Fetch)), None);
        assert_eq!(quotas.throttle(ApiKey::Fetch, told(ApiKey::Produce)), told(ApiKey::Fetch));
        assert_eq!(quotas.throttle(ApiKey::Produce, told(ApiKey::Produce)), told(ApiKey::Produce));
        quotas.set(ApiKey::Produce, None);
        assert_eq!((quotas.throttle(ApiKey::Produce, None), whole_ms(pause)), (None, 7));
    }
}

//! Logins of users, as an app reports them.

use super::defects::{Damage, Defects};
use super::object::Object;
use super::random::SplitMix64;
use super::stream::Samples;
use crate::jobs::error::JobError;
use std::fmt;
use std::io::Write as _;

/// What the logins are like.
#[derive(Debug, Clone, PartialEq)]
pub struct LoginsSettings {
    /// How many users there are.
    pub users: u64,
    /// What is wrong with some.
    pub defects: Defects,
}

/// The members of a login, in their order.
pub const LOGIN_FIELDS: &[&str] = &["user_id", "app_version", "device_type", "ip", "locale", "device_id", "timestamp"];

const VERSIONS: &[&str] = &["2.3.0", "2.3.1", "2.4.0", "3.0.0", "3.0.1", "3.1.0-beta"];
const DEVICES: &[&str] = &["android", "iOS", "web"];
const LOCALES: &[&str] = &["RU", "US", "DE", "IN", "BR", "FR", "JP", "GB", "NG", "MX"];

pub(super) struct Logins {
    seed: u64,
    users: u64,
    random: SplitMix64,
    damage: Damage,
}

impl Logins {
    pub(super) fn new(settings: &LoginsSettings, seed: u64) -> Result<Self, JobError> {
        if settings.users == 0 {
            return Err(JobError::Usage("--users must be 1 or more".to_owned()));
        }
        let damage = Damage::new(&settings.defects, LOGIN_FIELDS, seed)?;
        Ok(Self { seed, users: settings.users, random: SplitMix64::new(seed, 0), damage })
    }
}

impl Samples for Logins {
    fn next(&mut self, at_ms: i64, key: &mut Option<Vec<u8>>, value: &mut Vec<u8>) -> bool {
        let random = &mut self.random;
        // What belongs to a user is the same at each login; the rest is drawn anew.
        let user = random.below(self.users);
        let mut of_user = SplitMix64::new(self.seed, user);
        let id = Uuid([of_user.next_u64(), of_user.next_u64()]);
        let device = of_user.next_u64();
        let (version, kind) = (random.one_of(VERSIONS), of_user.one_of(DEVICES));
        let (ip, locale) = (random.next_u64(), of_user.one_of(LOCALES));
        self.damage.decide();
        Object::begin(value, &self.damage, LOGIN_FIELDS)
            .text(&id)
            .text(version.unwrap_or_default())
            .text(kind.unwrap_or_default())
            .text(format_args!("{}.{}.{}.{}", 1 + ip % 223, ip >> 8 & 255, ip >> 16 & 255, 1 + (ip >> 24) % 254))
            .text(locale.unwrap_or_default())
            .text(format_args!("{:03}-{:02}-{:04}", device % 1000, (device >> 16) % 100, (device >> 32) % 10_000))
            .member(at_ms.div_euclid(1000))
            .end();
        self.damage.cut(value);
        let key = key.get_or_insert_default();
        key.clear();
        let _ = write!(key, "{id}");
        true
    }
}

/// Sixteen bytes in the form of a random UUID.
struct Uuid([u64; 2]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [high, low] = self.0;
        let (version, variant) = (high & 0xfff | 0x4000, low >> 48 & 0x3fff | 0x8000);
        write!(
            f,
            "{:08x}-{:04x}-{version:04x}-{variant:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            low & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeMap;

    fn made(settings: &LoginsSettings, count: usize) -> Vec<(String, String)> {
        let mut logins = Logins::new(settings, 11).unwrap();
        let mut next = |second: usize| {
            let (mut key, mut value) = (None, Vec::new());
            assert!(logins.next(second as i64 * 1000, &mut key, &mut value));
            (String::from_utf8(key.unwrap()).unwrap(), String::from_utf8(value).unwrap())
        };
        (0..count).map(&mut next).collect()
    }

    fn whole() -> LoginsSettings {
        LoginsSettings { users: 50, defects: Defects::default() }
    }

    #[test]
    fn a_login_has_all_its_fields_and_its_users_id_as_key() {
        let logins = made(&whole(), 500);
        let mut of_user: BTreeMap<&str, Value> = BTreeMap::new();
        for (second, (key, value)) in logins.iter().enumerate() {
            let login: Value = serde_json::from_str(value).unwrap();
            let names: Vec<&String> = login.as_object().unwrap().keys().collect();
            assert_eq!(names, LOGIN_FIELDS);
            assert_eq!((&login["user_id"], &login["timestamp"]), (&key.as_str().into(), &second.into()));
            assert!(login["ip"].as_str().unwrap().parse::<std::net::Ipv4Addr>().is_ok());
            let device = of_user.entry(key).or_insert_with(|| login["device_id"].clone());
            assert_eq!(*device, login["device_id"], "a user keeps the device");
        }
        assert_eq!(of_user.len(), 50);
        assert_eq!(logins, made(&whole(), 500), "the same for a seed");
    }

    #[test]
    fn what_is_to_be_missing_or_broken_is_and_the_rest_stays_as_it_was() {
        let missing = vec![("device_type".to_owned(), 0.1)];
        let settings = LoginsSettings { defects: Defects { missing, broken: 0.05 }, ..whole() };
        let (clean, damaged) = (made(&whole(), 4000), made(&settings, 4000));
        let (mut lacking, mut broken) = (0, 0);
        for ((_, clean), (_, damaged)) in clean.iter().zip(&damaged) {
            let Ok(login) = serde_json::from_str::<Value>(damaged) else {
                broken += 1;
                continue;
            };
            let mut expected: Value = serde_json::from_str(clean).unwrap();
            if login.get("device_type").is_none() {
                lacking += 1;
                expected.as_object_mut().unwrap().shift_remove("device_type");
            }
            assert_eq!(login, expected);
        }
        assert!((300..480).contains(&lacking) && (140..270).contains(&broken), "{lacking} {broken}");
    }

    #[test]
    fn a_field_that_is_not_there_is_refused_with_the_nearest_one() {
        let missing = vec![("device_typ".to_owned(), 0.1)];
        let settings = LoginsSettings { defects: Defects { missing, broken: 0.0 }, ..whole() };
        let error = Logins::new(&settings, 1).err().unwrap().to_string();
        assert!(error.contains("did you mean device_type?"), "{error}");
    }
}

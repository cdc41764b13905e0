//! Logins, and rules that put right what they lack: what benches of rules and files are about.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const SEED: u64 = 7;

/// A default put in where it is missing, and the time cast.
pub const DEFAULT_CAST: &str = r#"
[[rule]]
default = { field = "device_type", value = "unknown" }
[[rule]]
cast = { field = "timestamp", to = "time", unit = "s" }
"#;

/// Members and widths of `generate logins`; one of ten has no device's type.
pub fn logins(records: usize) -> Vec<Vec<u8>> {
    let mut random = StdRng::seed_from_u64(SEED);
    let login = |_| {
        let (high, low): (u64, u64) = (random.random(), random.random());
        let device = if random.random_bool(0.1) { "" } else { "\"device_type\":\"android\"," };
        format!(
            "{{\"user_id\":\"{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}\",\"app_version\":\"2.3.0\",{device}\"ip\":\"{}.{}.{}.{}\",\"locale\":\"RU\",\"device_id\":\"{:03}-{:02}-{:04}\",\"timestamp\":{}}}",
            high >> 32, high >> 16 & 0xffff, high & 0xfff, low >> 52, low & 0xffff_ffff_ffff,
            100 + high % 100, 100 + low % 100, low >> 8 & 127, high >> 8 & 127,
            high % 1000, low % 100, high % 10_000, 1_694_479_551 + low % 1_000_000,
        )
        .into_bytes()
    };
    (0..records).map(login).collect()
}

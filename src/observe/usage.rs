//! What the process has used so far, by the operating system's own accounting.

/// Peak resident memory and processor time of this process. Zero where the system does not tell (only Linux does here).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// The most memory that was resident at once, in bytes.
    pub peak_memory_bytes: u64,
    /// User and system time, in seconds.
    pub cpu_seconds: f64,
}

impl Usage {
    /// Reads the accounts now.
    #[cfg(target_os = "linux")]
    pub fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Self { peak_memory_bytes: peak_bytes(&status).unwrap_or(0), cpu_seconds: cpu_seconds(&stat).unwrap_or(0.0) }
    }

    /// Elsewhere the standard library has no such accounts.
    #[cfg(not(target_os = "linux"))]
    pub fn now() -> Self {
        Self::default()
    }
}

#[cfg(target_os = "linux")]
fn peak_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// Fields 14 and 15 are ticks; Linux fixes the tick that user space sees at a hundredth of a second.
#[cfg(target_os = "linux")]
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut after_name = stat.rsplit_once(')')?.1.split_whitespace();
    let user: u64 = after_name.nth(11)?.parse().ok()?;
    let system: u64 = after_name.next()?.parse().ok()?;
    Some((user + system) as f64 / 100.0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_memory() {
        assert!(Usage::now().peak_memory_bytes > 100 << 10);
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "1 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0";
        assert_eq!(cpu_seconds(stat), Some(3.0));
    }
}

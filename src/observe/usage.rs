//! What the process uses and has used, by the operating system's own accounting.

/// Resident memory and processor time of this process. Zero where the system does not tell (memory is told by Linux only,
/// processor time on every Unix).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// The memory that is resident now, in bytes.
    pub memory_bytes: u64,
    /// The most memory that was resident at once, in bytes.
    pub peak_memory_bytes: u64,
    /// User and system time of all threads, also of those that have ended, in seconds.
    pub cpu_seconds: f64,
}

impl Usage {
    /// Reads the accounts now.
    pub fn now() -> Self {
        let (memory_bytes, peak_memory_bytes) = memory();
        Self { memory_bytes, peak_memory_bytes, cpu_seconds: cpu_seconds() }
    }

    /// Lets the peak of memory begin anew at what is resident now; `false` where the system cannot do that.
    pub fn forget_peak() -> bool {
        forget_peak()
    }
}

/// To the nanosecond: the ticks of /proc/self/stat are longer than a batch of records takes.
#[cfg(unix)]
fn cpu_seconds() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}

#[cfg(not(unix))]
fn cpu_seconds() -> f64 {
    0.0
}

#[cfg(target_os = "linux")]
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |field: &str| bytes_in(&status, field).unwrap_or(0);
    (bytes("VmRSS:"), bytes("VmHWM:"))
}

/// Linux has a file for it, see proc(5): what is written there says what to clear.
#[cfg(target_os = "linux")]
fn forget_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

#[cfg(not(target_os = "linux"))]
fn forget_peak() -> bool {
    false
}

/// Elsewhere the standard library has no such accounts.
#[cfg(not(target_os = "linux"))]
fn memory() -> (u64, u64) {
    (0, 0)
}

#[cfg(target_os = "linux")]
fn bytes_in(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_memory_and_time() {
        let before = Usage::now();
        let sum: u64 = (0..std::hint::black_box(1_000_000_u64)).map(std::hint::black_box).sum();
        let after = Usage::now();
        assert!(sum > 0 && before.memory_bytes > 100 << 10);
        assert!(before.peak_memory_bytes >= before.memory_bytes / 2);
        assert!(after.cpu_seconds > before.cpu_seconds);
    }

    #[test]
    fn a_field_is_read_by_its_name() {
        let status = "Name:\tVmRSS: 1 kB\nVmHWM:\t    2048 kB\nVmRSS:\t  12 kB\n";
        assert_eq!((bytes_in(status, "VmHWM:"), bytes_in(status, "VmRSS:")), (Some(2 << 20), Some(12 << 10)));
        assert_eq!(bytes_in(status, "VmSwap:"), None);
    }
}

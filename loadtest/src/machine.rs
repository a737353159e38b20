//! The machine as it was during a run: what it is, where processes run, and how much the hypervisor took.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Facts recorded beside every result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub memory_mib: u64,
    pub kernel: String,
    /// The commit of the working tree, with `-dirty` where files differ; empty outside a checkout.
    pub commit: String,
    /// Seconds since the epoch at the start.
    pub started_at: u64,
}

impl Machine {
    /// Reads this machine's facts; `root` lies in the checkout whose commit is meant.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let after_colon = |line: &str| {
            line.split_once(':')
                .map(|(_, value)| value.trim().to_owned())
        };
        Self {
            cpu: cpuinfo
                .lines()
                .find(|line| line.starts_with("model name"))
                .and_then(after_colon)
                .unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: meminfo
                .lines()
                .find(|line| line.starts_with("MemTotal"))
                .and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
                .unwrap_or(0)
                / 1024,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            commit: git_commit(root),
            started_at: std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
        }
    }
}

fn git_commit(root: &Path) -> String {
    let git = |args: &[&str]| {
        let output = std::process::Command::new("git")
            .arg("-C")
            .arg(root)
            .args(args)
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return String::new();
    };
    match git(&["status", "--porcelain"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit}-dirty"),
    }
}

/// A reading of the machine's CPU time, in clock ticks.
#[derive(Clone, Copy, Debug)]
pub struct CpuReading {
    total: u64,
    steal: u64,
    busy: u64,
}

impl CpuReading {
    /// Reads `/proc/stat`.
    ///
    /// # Errors
    ///
    /// Where `/proc/stat` cannot be read.
    pub fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
        let fields: Vec<u64> = stat
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            .filter_map(|field| field.parse().ok())
            .collect();
        // user nice system idle iowait irq softirq steal; guest time is already inside user.
        let field = |index: usize| fields.get(index).copied().unwrap_or(0);
        let total = fields.iter().take(8).sum();
        let (idle, steal) = (field(3) + field(4), field(7));
        Ok(Self {
            total,
            steal,
            busy: total - idle - steal,
        })
    }

    /// The share of all CPU time that the hypervisor took since `earlier`, 0.0 to 1.0.
    #[must_use]
    pub fn steal_since(&self, earlier: &Self) -> f64 {
        let total = self.total.saturating_sub(earlier.total);
        if total == 0 {
            0.0
        } else {
            self.steal.saturating_sub(earlier.steal) as f64 / total as f64
        }
    }
}

impl CpuReading {
    /// The share of all CPU time since `earlier` that went to others than those who used `ours`, 0.0 to 1.0.
    #[must_use]
    pub fn others_since(&self, earlier: &Self, ours_micros: f64) -> f64 {
        // A tick is a hundredth of a second wherever Linux reports to user space.
        let seconds = |ticks: u64| ticks as f64 / 100.0;
        let total = seconds(self.total.saturating_sub(earlier.total));
        let busy = seconds(self.busy.saturating_sub(earlier.busy));
        if total > 0.0 {
            ((busy - ours_micros / 1e6) / total).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

/// CPU time of a process and its resident memory.
#[derive(Clone, Copy, Debug)]
pub struct ProcessReading {
    /// User + system, all threads, in microseconds.
    pub cpu_micros: f64,
    pub resident_kib: u64,
}

impl ProcessReading {
    /// Both processes together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu_micros: self.cpu_micros + other.cpu_micros,
            resident_kib: self.resident_kib + other.resident_kib,
        }
    }

    /// Reads a process (for a process's own children, sum the readings).
    ///
    /// # Errors
    ///
    /// Where the process is gone.
    pub fn of(pid: u32) -> Result<Self> {
        let cpu = cpu_time(pid).with_context(|| format!("process {pid} is gone"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))
            .with_context(|| format!("process {pid} is gone"))?;
        let resident_kib = status
            .lines()
            .find_map(|line| {
                line.strip_prefix("VmRSS:")?
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            })
            .unwrap_or(0);
        Ok(Self {
            cpu_micros: cpu.as_secs_f64() * 1e6,
            resident_kib,
        })
    }
}

/// User + system of all threads that a process has or had. `/proc` tells either ticks of 10 ms, or nothing of threads that have
/// ended; the sidecar activates on threads that end.
#[expect(
    unsafe_code,
    reason = "another process's clock has no safe wrapper in the standard library"
)]
fn cpu_time(pid: u32) -> std::io::Result<Duration> {
    let mut clock = 0;
    let pid = libc::pid_t::try_from(pid).map_err(std::io::Error::other)?;
    // SAFETY: the call writes one clock id to a place of that type.
    let failed = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    if failed != 0 {
        return Err(std::io::Error::from_raw_os_error(failed));
    }
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call writes one `timespec` to a place of that type.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// Pins the calling thread (and what it spawns later) to one core.
///
/// # Errors
///
/// Where the core does not exist or may not be used.
#[expect(
    unsafe_code,
    reason = "sched_setaffinity has no safe wrapper in the standard library"
)]
pub fn pin_to(core: usize) -> Result<()> {
    // SAFETY: `set` is a plain bit set, zeroed before use and only read by the call.
    let outcome = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if outcome == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error()).with_context(|| format!("pinning to core {core}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_and_other_processes_are_shares_of_the_machine() {
        let reading = |total, steal, busy| CpuReading { total, steal, busy };
        let (earlier, now) = (reading(1000, 10, 500), reading(1400, 30, 700));
        assert!((now.steal_since(&earlier) - 0.05).abs() < 1e-9);
        // Two of four seconds were busy, one and a half of them ours.
        assert!((now.others_since(&earlier, 1.5e6) - 0.125).abs() < 1e-9);
        assert!(earlier.others_since(&earlier, 0.0).abs() < 1e-9);
    }

    #[test]
    fn this_process_has_used_time_and_memory() {
        let reading = ProcessReading::of(std::process::id()).unwrap();
        assert!(reading.resident_kib > 100);
        assert!(ProcessReading::of(u32::MAX).is_err());
        assert!(Machine::read(Path::new(".")).cores >= 1);
    }

    #[test]
    fn threads_that_ended_count() {
        let used = || cpu_time(std::process::id()).unwrap();
        let work = Duration::from_millis(20);
        let before = used();
        let thread = std::thread::spawn(move || {
            let start = std::time::Instant::now();
            // Until it has had that much of a core itself: others may be running.
            let own = || std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
            let nanos = || own().split(' ').next().unwrap().parse::<u64>().unwrap();
            let begun = nanos();
            while nanos() - begun < work.as_nanos() as u64 {
                assert!(start.elapsed() < Duration::from_mins(1));
            }
        });
        thread.join().unwrap();
        assert!(used() >= before + work);
    }
}

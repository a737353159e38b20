//! The process's own gauges, read from `/proc` when the page is asked for. Names as Prometheus' clients use them.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Opts};

/// Linux counts processor time in this many ticks a second, whatever the kernel's own tick is (`USER_HZ`).
const TICKS: f64 = 100.0;
/// Pages of `/proc/self/statm` on every platform that is built for.
const PAGE: f64 = 4096.0;

#[derive(Debug)]
pub(super) struct Process {
    resident: Gauge,
    cpu: Counter,
    fds: Gauge,
    threads: Gauge,
    start: Gauge,
}

impl Process {
    pub(super) fn new() -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| Gauge::with_opts(Opts::new(name, help));
        let cpu = Opts::new(
            "process_cpu_seconds_total",
            "Processor time used, in seconds.",
        );
        let process = Self {
            resident: gauge("process_resident_memory_bytes", "Memory in use, in bytes.")?,
            cpu: Counter::with_opts(cpu)?,
            fds: gauge("process_open_fds", "Open file descriptors.")?,
            threads: gauge("process_threads", "Threads.")?,
            start: gauge(
                "process_start_time_seconds",
                "Start, in seconds since the epoch.",
            )?,
        };
        process.start.set(start_time().unwrap_or_default());
        Ok(process)
    }

    fn read(&self) {
        if let Ok(text) = fs::read_to_string("/proc/self/statm")
            && let Some(pages) = text.split_ascii_whitespace().nth(1)
        {
            self.resident
                .set(pages.parse::<f64>().unwrap_or_default() * PAGE);
        }
        if let Some((cpu, threads, _)) = stat() {
            let more = cpu - self.cpu.get();
            if more > 0.0 {
                self.cpu.inc_by(more);
            }
            self.threads.set(threads);
        }
        if let Ok(folder) = fs::read_dir("/proc/self/fd") {
            self.fds.set(folder.count() as f64);
        }
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        [&self.resident, &self.fds, &self.threads, &self.start]
            .into_iter()
            .flat_map(Collector::desc)
            .chain(self.cpu.desc())
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.read();
        [&self.resident, &self.fds, &self.threads, &self.start]
            .into_iter()
            .flat_map(Collector::collect)
            .chain(self.cpu.collect())
            .collect()
    }
}

/// Processor seconds, threads, and the start in ticks since boot.
fn stat() -> Option<(f64, f64, f64)> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The name is in parentheses and may hold anything; fields are counted after it (proc(5): this is field 3).
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    Some((
        (number(14)? + number(15)?) / TICKS,
        number(20)?,
        number(22)?,
    ))
}

fn start_time() -> Option<f64> {
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = boot
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()?;
    Some(boot + stat()?.2 / TICKS)
}

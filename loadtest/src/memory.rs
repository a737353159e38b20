//! What a sidecar holds resident while nobody asks it anything: there is one beside every application.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::lictor;
use crate::scenario::Scenario;

/// Bytes of a megabyte, here and in the goal.
const MEGABYTE: f64 = 1e6;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The scenario whose policies it decides from.
    #[arg(default_value = "validate")]
    scenario: String,
    /// Seconds after the start at which it is looked at.
    #[arg(long, default_value_t = 60.0)]
    after: f64,
    /// Fails where more megabytes are resident than this.
    #[arg(long, value_name = "MB")]
    at_most: Option<f64>,
    /// The sidecar to look at; the goal is for one that is built with `--no-default-features`.
    #[arg(long, env = "LOADTEST_LICTOR", default_value = "target/release/lictor")]
    lictor: PathBuf,
}

/// Megabytes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Resident {
    anonymous: f64,
    /// Of files, the program's own among them: sidecars on one machine share these.
    files: f64,
}

/// Starts a sidecar, asks it once, waits, looks.
///
/// # Errors
///
/// Where it does not start, or holds more than it may.
pub fn look(root: &Path, arguments: &Arguments) -> Result<()> {
    if !(0.0..=3600.0).contains(&arguments.after) {
        bail!("--after is from 0 to 3600 seconds");
    }
    let scenario = Scenario::read(root, &arguments.scenario)?;
    let scratch = tempfile::tempdir().context("making a scratch folder")?;
    let path = scratch.path();
    let prepared = lictor::prepare(root, &scenario, &arguments.lictor, path)?;
    let probe = &scenario.prepared()[0];
    let system = lictor::start(&prepared, lictor::NAME, &arguments.lictor, 0, probe, path)?;
    std::thread::sleep(Duration::from_secs_f64(arguments.after));
    let status = format!("/proc/{}/status", system.pid());
    let status = std::fs::read_to_string(&status).with_context(|| format!("reading {status}"))?;
    let resident = Resident::read(&status)?;
    println!(
        "{:.1} MB resident {} s after the start: {:.1} anonymous, {:.1} of files",
        resident.all(),
        arguments.after,
        resident.anonymous,
        resident.files
    );
    match arguments.at_most {
        Some(most) if resident.all() > most => bail!("more than {most} MB are resident"),
        _ => Ok(()),
    }
}

impl Resident {
    /// From `/proc/PID/status`.
    fn read(status: &str) -> Result<Self> {
        let megabytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kib.map(|kib| kib * 1024.0 / MEGABYTE)
                .with_context(|| format!("the kernel says nothing of {name}"))
        };
        Ok(Self {
            anonymous: megabytes("RssAnon:")?,
            files: megabytes("RssFile:")? + megabytes("RssShmem:")?,
        })
    }

    fn all(self) -> f64 {
        self.anonymous + self.files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_resident_is_read_in_megabytes() {
        let status = "Name:\tx\nVmRSS:\t   15000 kB\nRssAnon:\t    5000 kB\nRssFile:\t    9000 kB\nRssShmem:\t 1000 kB\n";
        let resident = Resident::read(status).unwrap();
        assert!((resident.all() - 15.36).abs() < 1e-9, "{resident:?}");
        assert!((resident.anonymous - 5.12).abs() < 1e-9, "{resident:?}");
        let error = Resident::read("Name:\tx\n").unwrap_err().to_string();
        assert!(error.contains("RssAnon"), "{error}");
    }
}

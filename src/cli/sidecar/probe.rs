//! `lictor sidecar --health-check`: what a container's probe runs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::sidecar::config::{Address, Config};

/// For each step of the question.
const PATIENCE: Duration = Duration::from_secs(3);
const REQUEST: &[u8] =
    b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
const READY: &[u8] = b"HTTP/1.1 200 ";

/// Success where the sidecar that runs by this configuration is ready; else says why on standard error.
pub(super) fn health(config: &Config) -> ExitCode {
    match ask(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("not ready: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn ask(config: &Config) -> anyhow::Result<()> {
    let addresses = config.admin_addresses()?;
    match addresses.first() {
        None => bail!("there is no admin listener to ask"),
        Some(Address::Tcp(address)) => {
            // Who listens everywhere answers on loopback, too.
            let mut address = *address;
            if address.ip().is_unspecified() {
                address.set_ip(if address.is_ipv4() {
                    std::net::Ipv4Addr::LOCALHOST.into()
                } else {
                    std::net::Ipv6Addr::LOCALHOST.into()
                });
            }
            let stream = TcpStream::connect_timeout(&address, PATIENCE)
                .with_context(|| format!("cannot connect to {address}"))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            answered(stream)
        }
        Some(Address::Unix(path)) => {
            let stream = UnixStream::connect(path)
                .with_context(|| format!("cannot connect to {}", path.display()))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            answered(stream)
        }
    }
}

fn answered(mut stream: impl Read + Write) -> anyhow::Result<()> {
    stream.write_all(REQUEST).context("cannot ask")?;
    let mut answer = vec![0; READY.len()];
    stream
        .read_exact(&mut answer)
        .context("there is no answer")?;
    if answer != READY {
        bail!("it answers `{}`", String::from_utf8_lossy(&answer).trim());
    }
    Ok(())
}

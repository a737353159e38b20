//! Where requests go.

use std::fmt;
use std::net::{AddrParseError, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use serde::Deserialize;

/// How the systems are reached; peers only ever over TCP.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    #[default]
    Tcp,
    Unix,
}

/// A system's listener.
#[derive(Clone, Debug)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// `host:port`, or a path.
impl FromStr for Address {
    type Err = AddrParseError;

    fn from_str(text: &str) -> std::result::Result<Self, AddrParseError> {
        if text.contains('/') {
            Ok(Self::Unix(text.into()))
        } else {
            text.parse().map(Self::Tcp)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => path.display().fmt(formatter),
        }
    }
}

impl Address {
    /// Where a system of a scenario shall listen.
    ///
    /// # Errors
    ///
    /// Where loopback has no free port.
    pub fn free(transport: Transport, socket: PathBuf) -> Result<Self> {
        Ok(match transport {
            Transport::Tcp => Self::Tcp(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?),
            Transport::Unix => Self::Unix(socket),
        })
    }
}

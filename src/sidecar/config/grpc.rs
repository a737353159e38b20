//! The gRPC listener's settings.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::server::settings::units::{duration, optional_duration};

/// The gRPC listener: HTTP/2 alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcListener {
    /// None = no TCP.
    pub address: Option<String>,
    /// A Unix socket, made with mode 0600.
    pub unix: Option<String>,
    /// PEM files; both or none.
    pub tls_cert_file: Option<String>,
    pub tls_key_file: Option<String>,
    /// PEM of the authorities that issue client certificates; with it every client must show one.
    pub client_ca_file: Option<String>,
    /// The SPIFFE trust domain of those certificates.
    pub trust_domain: Option<String>,
    /// Plain text beyond loopback.
    pub insecure_plaintext: bool,
    /// Whether the services can be listed and described by clients.
    pub reflection: bool,
    /// How often a connection is asked whether its client still lives; None = never.
    #[serde(with = "optional_duration")]
    pub keep_alive_interval: Option<Duration>,
    /// For the answer to that.
    #[serde(with = "duration")]
    pub keep_alive_timeout: Duration,
    /// Calls at a time on one connection.
    pub max_concurrent_streams: u32,
    /// Bytes of a request message.
    pub max_message_bytes: usize,
    /// Bytes that are held for a client that does not read, per call.
    pub max_send_buffer_bytes: usize,
    /// Bytes of messages that may be under way to us, per call and per connection.
    pub stream_window_bytes: u32,
    pub connection_window_bytes: u32,
    /// Calls that a client reset before anybody looked at them; more end the connection.
    pub max_pending_resets: usize,
    /// Calls that were reset because they broke the protocol; more end the connection.
    pub max_error_resets: usize,
}

impl Default for GrpcListener {
    fn default() -> Self {
        Self {
            address: Some("127.0.0.1:9191".to_owned()),
            unix: None,
            tls_cert_file: None,
            tls_key_file: None,
            client_ca_file: None,
            trust_domain: None,
            insecure_plaintext: false,
            reflection: true,
            keep_alive_interval: Some(Duration::from_secs(30)),
            keep_alive_timeout: Duration::from_secs(20),
            max_concurrent_streams: 1024,
            max_message_bytes: 4 * 1024 * 1024,
            max_send_buffer_bytes: 256 * 1024,
            stream_window_bytes: 1024 * 1024,
            connection_window_bytes: 4 * 1024 * 1024,
            max_pending_resets: 64,
            max_error_resets: 256,
        }
    }
}

//! The settings of the listeners.

use crate::server::settings::{Key, Kind};

use super::key;

pub(super) const KEYS: &[Key] = &[
    key(
        "listeners.http.address",
        Kind::OptionalText,
        "Address and port of the main listener; null = none.",
    ),
    key(
        "listeners.http.unix",
        Kind::OptionalText,
        "Path of a Unix socket for the main listener.",
    ),
    key(
        "listeners.http.tls_cert_file",
        Kind::OptionalText,
        "PEM of the certificate chain.",
    ),
    key(
        "listeners.http.tls_key_file",
        Kind::OptionalText,
        "PEM of the certificate's private key.",
    ),
    key(
        "listeners.http.client_ca_file",
        Kind::OptionalText,
        "PEM of the authorities that issue client certificates; with it every client must show one.",
    ),
    key(
        "listeners.http.trust_domain",
        Kind::OptionalText,
        "The SPIFFE trust domain of client certificates.",
    ),
    key(
        "listeners.http.insecure_plaintext",
        Kind::Boolean,
        "Serve plain text beyond loopback.",
    ),
    key(
        "listeners.http.allowed_origins",
        Kind::Texts,
        "Origins that browsers may call from.",
    ),
    key(
        "listeners.grpc.address",
        Kind::OptionalText,
        "Address and port of the gRPC listener; null = none.",
    ),
    key(
        "listeners.grpc.unix",
        Kind::OptionalText,
        "Path of a Unix socket for the gRPC listener.",
    ),
    key(
        "listeners.grpc.tls_cert_file",
        Kind::OptionalText,
        "PEM of the certificate chain.",
    ),
    key(
        "listeners.grpc.tls_key_file",
        Kind::OptionalText,
        "PEM of the certificate's private key.",
    ),
    key(
        "listeners.grpc.client_ca_file",
        Kind::OptionalText,
        "PEM of the authorities that issue client certificates; with it every client must show one.",
    ),
    key(
        "listeners.grpc.trust_domain",
        Kind::OptionalText,
        "The SPIFFE trust domain of client certificates.",
    ),
    key(
        "listeners.grpc.insecure_plaintext",
        Kind::Boolean,
        "Serve plain text beyond loopback.",
    ),
    key(
        "listeners.grpc.reflection",
        Kind::Boolean,
        "Describe the services to clients that ask.",
    ),
    key(
        "listeners.grpc.keep_alive_interval",
        Kind::OptionalDuration,
        "How often a connection is asked whether its client still lives; null = never.",
    ),
    key(
        "listeners.grpc.keep_alive_timeout",
        Kind::Duration,
        "Time for the answer to that.",
    ),
    key(
        "listeners.grpc.max_concurrent_streams",
        Kind::Integer,
        "Calls at a time on one connection.",
    ),
    key(
        "listeners.grpc.max_message_bytes",
        Kind::Size,
        "Size of a request message.",
    ),
    key(
        "listeners.grpc.max_send_buffer_bytes",
        Kind::Size,
        "What is held for a client that does not read, per call.",
    ),
    key(
        "listeners.grpc.stream_window_bytes",
        Kind::Size,
        "What may be under way to us, per call.",
    ),
    key(
        "listeners.grpc.connection_window_bytes",
        Kind::Size,
        "What may be under way to us, per connection.",
    ),
    key(
        "listeners.grpc.max_pending_resets",
        Kind::Integer,
        "Calls that a client reset before anybody looked at them; more end the connection.",
    ),
    key(
        "listeners.grpc.max_error_resets",
        Kind::Integer,
        "Calls that were reset because they broke the protocol; more end the connection.",
    ),
    key(
        "listeners.admin.address",
        Kind::OptionalText,
        "Address and port of the admin listener; null = none.",
    ),
    key(
        "listeners.admin.unix",
        Kind::OptionalText,
        "Path of a Unix socket for the admin listener.",
    ),
    key(
        "listeners.admin.insecure_plaintext",
        Kind::Boolean,
        "Serve plain text beyond loopback.",
    ),
    key(
        "listeners.admin.token_file",
        Kind::OptionalText,
        "Token that opens more than health and metrics beyond loopback.",
    ),
];

//! Envoy before an `ext_authz` server: it asks about every request, and answers what was allowed itself.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Peer;
use crate::generator::{Address, PreparedRequest};
use crate::system::{System, free_port, pinned};

/// Starts an Envoy on `core` that asks `system`, and waits for its answer to `probe`.
///
/// # Errors
///
/// Where there is no Envoy, or it does not answer as expected.
pub fn before(
    system: System,
    core: usize,
    probe: &PreparedRequest,
    scratch: &Path,
) -> Result<System> {
    let program = Peer::Envoy.program()?;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let config = scratch.join(format!("envoy-{}.json", system.name));
    std::fs::write(&config, bootstrap(address, &system.address).to_string())
        .with_context(|| format!("writing {}", config.display()))?;
    let mut command = pinned(core, &program);
    command
        .args(["--concurrency", "1", "--disable-hot-restart"])
        .args(["--log-level", "error", "--config-path"])
        .arg(&config);
    let log = scratch.join(format!("envoy-{}.log", system.name));
    let envoy = System::start("envoy", command, Address::Tcp(address), probe, &log)?;
    Ok(envoy.before(system))
}

fn bootstrap(listen: SocketAddr, authz: &Address) -> Value {
    const TYPES: &str = "type.googleapis.com/envoy.extensions";
    let authz_address = match authz {
        Address::Tcp(address) => json!({"socket_address": {
            "address": address.ip().to_string(),
            "port_value": address.port(),
        }}),
        Address::Unix(path) => json!({"pipe": {"path": path}}),
    };
    let ext_authz = json!({
        "@type": format!("{TYPES}.filters.http.ext_authz.v3.ExtAuthz"),
        "transport_api_version": "V3",
        "grpc_service": {"envoy_grpc": {"cluster_name": "authz"}, "timeout": "5s"},
    });
    let router = json!({"@type": format!("{TYPES}.filters.http.router.v3.Router")});
    let manager = json!({
        "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "load",
        "route_config": {"virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": [{
                "match": {"prefix": "/"},
                "direct_response": {"status": 200, "body": {"inline_string": "allowed"}},
            }],
        }]},
        "http_filters": [
            {"name": "ext_authz", "typed_config": ext_authz},
            {"name": "router", "typed_config": router},
        ],
    });
    let http2 = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    });
    json!({"static_resources": {
        "listeners": [{
            "name": "load",
            "address": {"socket_address": {
                "address": listen.ip().to_string(),
                "port_value": listen.port(),
            }},
            "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
        }],
        "clusters": [{
            "name": "authz",
            "connect_timeout": "5s",
            "type": "STATIC",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2,
            },
            "load_assignment": {"cluster_name": "authz", "endpoints": [{
                "lb_endpoints": [{"endpoint": {"address": authz_address}}],
            }]},
        }],
    }})
}

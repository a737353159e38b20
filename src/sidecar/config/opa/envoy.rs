//! `plugins.envoy_ext_authz_grpc`: the section of OPA's Envoy plugin, as settings of ours.

use std::fmt::Write as _;

use serde::Deserialize;

use super::super::Config;

const ADDR: &str = ":9191";
const PATH: &str = "envoy/authz/allow";

/// The section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct EnvoyPlugin {
    /// `:9191`, `grpc://host:port`, `unix://path`.
    pub addr: String,
    /// Path of the decision under `data`.
    pub path: Option<String>,
    /// The older name of `path`: `data.envoy.authz.allow`.
    pub query: Option<String>,
    pub dry_run: bool,
    pub enable_reflection: bool,
    pub skip_request_body_parse: bool,
    /// A file with a `FileDescriptorSet`; empty = none.
    pub proto_descriptor: String,
    pub grpc_max_recv_msg_size: usize,
}

impl Default for EnvoyPlugin {
    fn default() -> Self {
        Self {
            addr: ADDR.to_owned(),
            path: None,
            query: None,
            dry_run: false,
            enable_reflection: false,
            skip_request_body_parse: false,
            proto_descriptor: String::new(),
            grpc_max_recv_msg_size: 4_194_304,
        }
    }
}

/// Where the plugin listens.
#[derive(Debug, PartialEq, Eq)]
enum Listens {
    Tcp(String),
    Unix(String),
}

impl EnvoyPlugin {
    pub(super) fn check(&self, errors: &mut String) {
        let place = "plugins.envoy_ext_authz_grpc";
        if let Err(why) = self.listens() {
            let _ = writeln!(errors, "`{place}.addr` is `{}`: {why}", self.addr);
        }
        if self.path.is_some() && self.query.is_some() {
            let _ = writeln!(errors, "`{place}`: `path` and `query` are both given");
        }
        if let Some(query) = &self.query
            && !query.starts_with("data.")
        {
            let _ = writeln!(
                errors,
                "`{place}.query` is `{query}`: a path such as `data.envoy.authz.allow` is expected"
            );
        }
    }

    /// Without a host it is loopback, where the plugin takes every address.
    fn listens(&self) -> Result<Listens, &'static str> {
        if let Some(path) = self.addr.strip_prefix("unix://") {
            return if path.starts_with('@') {
                Err("abstract sockets are not served: name a path")
            } else {
                Ok(Listens::Unix(path.to_owned()))
            };
        }
        let address = match self.addr.split_once("://") {
            Some(("grpc", address)) => address,
            Some(_) => return Err("`grpc://` or `unix://` is expected"),
            None => &self.addr,
        };
        Ok(Listens::Tcp(match address.strip_prefix(':') {
            Some(port) => format!("127.0.0.1:{port}"),
            None => address.to_owned(),
        }))
    }

    /// Segments with slashes between.
    fn decision(&self) -> String {
        match (&self.path, &self.query) {
            (Some(path), _) => path.clone(),
            (None, Some(query)) => {
                let path = query.strip_prefix("data.").unwrap_or(query);
                path.replace('.', "/")
            }
            (None, None) => PATH.to_owned(),
        }
    }

    /// Sets what our own configuration says of the same, and returns the paths of what was set: ours and the file's.
    pub(super) fn apply(&self, config: &mut Config) -> Vec<(&'static str, &'static str)> {
        let listener = &mut config.listeners.grpc;
        let listens = match self.listens() {
            Ok(Listens::Tcp(address)) => {
                listener.address = Some(address);
                "listeners.grpc.address"
            }
            Ok(Listens::Unix(path)) => {
                listener.address = None;
                listener.unix = Some(path);
                "listeners.grpc.unix"
            }
            // Told by `check`.
            Err(_) => "listeners.grpc.address",
        };
        listener.reflection = self.enable_reflection;
        listener.max_message_bytes = self.grpc_max_recv_msg_size;
        let ext_authz = &mut config.ext_authz;
        ext_authz.path = Some(self.decision());
        ext_authz.dry_run = self.dry_run;
        ext_authz.skip_request_body_parse = self.skip_request_body_parse;
        let descriptor = Some(&self.proto_descriptor).filter(|file| !file.is_empty());
        ext_authz.proto_descriptor = descriptor.cloned();
        vec![
            (listens, "plugins.envoy_ext_authz_grpc.addr"),
            (
                "listeners.grpc.reflection",
                "plugins.envoy_ext_authz_grpc.enable-reflection",
            ),
            (
                "listeners.grpc.max_message_bytes",
                "plugins.envoy_ext_authz_grpc.grpc-max-recv-msg-size",
            ),
            ("ext_authz.path", "plugins.envoy_ext_authz_grpc.path"),
            ("ext_authz.dry_run", "plugins.envoy_ext_authz_grpc.dry-run"),
            (
                "ext_authz.skip_request_body_parse",
                "plugins.envoy_ext_authz_grpc.skip-request-body-parse",
            ),
            (
                "ext_authz.proto_descriptor",
                "plugins.envoy_ext_authz_grpc.proto-descriptor",
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::OpaConfig;
    use super::*;

    fn parse(section: &str) -> Result<Config, String> {
        let text = format!("plugins: {{envoy_ext_authz_grpc: {section}}}");
        let file = OpaConfig::parse(&text, |_| None)?;
        let mut config = Config::default();
        file.apply(&mut config);
        Ok(config)
    }

    #[test]
    fn the_section_becomes_settings_of_ours() {
        let config = parse("{}").unwrap();
        let grpc = &config.listeners.grpc;
        assert_eq!(grpc.address.as_deref(), Some("127.0.0.1:9191"));
        assert!(!grpc.reflection);
        assert_eq!(config.ext_authz.path.as_deref(), Some(PATH));
        let config = parse(
            "{addr: 'unix:///run/opa.sock', query: data.a.b, dry-run: true, enable-reflection: true, \
             skip-request-body-parse: true, proto-descriptor: /a.pb, grpc-max-recv-msg-size: 7}",
        )
        .unwrap();
        let (grpc, ext_authz) = (&config.listeners.grpc, &config.ext_authz);
        assert_eq!((&grpc.address, grpc.reflection), (&None, true));
        assert_eq!(grpc.unix.as_deref(), Some("/run/opa.sock"));
        assert_eq!(grpc.max_message_bytes, 7);
        assert_eq!(ext_authz.path.as_deref(), Some("a/b"));
        assert_eq!(ext_authz.proto_descriptor.as_deref(), Some("/a.pb"));
        assert!(ext_authz.dry_run && ext_authz.skip_request_body_parse);
        for (addr, address) in [
            ("grpc://10.0.0.1:7", "10.0.0.1:7"),
            ("0.0.0.0:9191", "0.0.0.0:9191"),
            (":1", "127.0.0.1:1"),
        ] {
            let config = parse(&format!("{{addr: '{addr}'}}")).unwrap();
            assert_eq!(config.listeners.grpc.address.as_deref(), Some(address));
        }
    }

    #[test]
    fn what_cannot_be_served_is_said() {
        for (section, said) in [
            ("{addr: 'unix://@abstract'}", "abstract sockets"),
            ("{addr: 'http://a:1'}", "`grpc://` or `unix://`"),
            ("{path: a, query: data.a}", "both given"),
            ("{query: a.b}", "such as `data.envoy.authz.allow`"),
            ("{dryrun: true}", "dry-run"),
        ] {
            let error = parse(section).unwrap_err();
            assert!(error.contains(said), "{section}: {error}");
        }
    }
}

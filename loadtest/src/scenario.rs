//! Scenarios: named files that say what is asked, of whom, and under which load.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::ext_authz::{CHECK, CheckSpec};
use crate::generator::{Call, PreparedRequest, Transport, Wire};

/// One scenario file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    /// What this measures, for people.
    pub question: String,
    /// What the sidecar decides from.
    pub policies: Policies,
    /// What the sidecar's figures are divided by.
    #[serde(default)]
    pub against: Against,
    #[serde(default = "default_connections")]
    pub connections: usize,
    pub load: Load,
    #[serde(default)]
    pub disturbance: Disturbance,
    #[serde(default)]
    pub transport: Transport,
    #[serde(default)]
    pub protocol: Protocol,
    /// An Envoy with an `ext_authz` filter stands before every system: it is asked, and its time counts.
    #[serde(default)]
    pub behind_envoy: bool,
    /// Lines of the sidecar's configuration file beside those that every scenario has. `$ROOT` is the folder with
    /// `policies/`, `$SCRATCH` one for files that the run leaves behind, `$UPSTREAM` a server that takes writes.
    #[serde(default)]
    pub config: String,
    /// What the sidecar is asked, in turn.
    pub requests: Vec<RequestSpec>,
    /// The same question in a peer's own words, by peer: `opa`, `cerbos`.
    #[serde(default)]
    pub peers: BTreeMap<String, PeerSpec>,
    /// The bounds that the project sets itself for this scenario.
    #[serde(default)]
    pub goal: Goal,
}

const fn default_connections() -> usize {
    64
}

/// What the sidecar decides from.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Policies {
    /// The files of a folder under `policies/`.
    Folder(String),
    /// Access rules over as many roles, spread over ten resource types; one rule in ten has a condition.
    AccessRules { rules: usize, roles: usize },
    /// Validation policies of which each matches its own value of `input.kind`, in groups of five: a
    /// request concerns five of them.
    Validations(usize),
}

/// What a ratio is a ratio to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Against {
    /// A server of the same protocol that decides nothing.
    #[default]
    Floor,
    /// The same sidecar while nothing disturbs it.
    Undisturbed,
    /// A sidecar that decides from these.
    Policies(Policies),
}

impl Against {
    /// The base's name in results.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Undisturbed => "undisturbed",
            Self::Policies(_) => "baseline",
        }
    }
}

/// What the sidecar and its floor are asked over.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Protocol {
    #[default]
    Http,
    /// `ext_authz` over HTTP/2, with so many calls at once on a connection.
    Grpc { streams: usize },
}

/// How hard the sidecar is driven.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Saturation, then latency at half of it.
    Saturation,
    /// Only half of saturation, which is measured once, on the base.
    Half,
    /// Three times saturation: what still gets through, and how fast.
    Overload,
    /// Half of saturation for long: does memory or latency creep?
    Soak,
}

/// What happens meanwhile.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Disturbance {
    #[default]
    None,
    /// A new revision every second.
    Swaps,
    /// The source of bundles stops answering.
    Outage,
    /// Connections that send a byte a second.
    SlowClients,
}

/// A request as a scenario writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestSpec {
    #[serde(default = "default_method")]
    pub method: String,
    #[serde(default)]
    pub path: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Option<serde_json::Value>,
    /// The request that an `ext_authz` check asks about, instead of a body.
    #[serde(default)]
    pub check: Option<CheckSpec>,
    /// Statuses that count as an answer: HTTP's, 200 where none is named; of gRPC 0.
    #[serde(default)]
    pub expect: Vec<u16>,
}

fn default_method() -> String {
    "POST".into()
}

/// The same question for a peer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerSpec {
    /// Files or folders under `policies/` that the peer is started with.
    pub policies: Vec<String>,
    pub requests: Vec<RequestSpec>,
}

/// Bounds as ratios to the base of the same rounds.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Goal {
    /// What the bounds are on, in the words of the table of goals.
    pub what: String,
    /// CPU time per request, at most.
    pub cpu: Option<f64>,
    /// Throughput, at least.
    pub throughput: Option<f64>,
    /// P99 at half of saturation, at most.
    pub p99: Option<f64>,
    /// P99.9 at half of saturation, at most.
    pub p999: Option<f64>,
    /// Errors and unexpected answers, at most.
    pub errors: Option<u64>,
}

impl Scenario {
    /// Reads `<root>/scenarios/<name>.yaml`.
    ///
    /// # Errors
    ///
    /// Names the file and what is wrong, or the scenarios that there are.
    pub fn read(root: &Path, name: &str) -> Result<Self> {
        let path = root.join("scenarios").join(format!("{name}.yaml"));
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!(
                "there is no scenario `{name}`; there are: {}",
                names(root).unwrap_or_default().join(", ")
            )
        })?;
        let scenario: Self =
            serde_saphyr::from_str(&text).with_context(|| format!("in {}", path.display()))?;
        if scenario.name != name || scenario.requests.is_empty() {
            bail!(
                "{}: `name` must be the file's name, and `requests` must not be empty",
                path.display()
            );
        }
        Ok(scenario)
    }

    /// The requests as a system itself is asked them.
    #[must_use]
    pub fn prepared(&self) -> Rc<[PreparedRequest]> {
        let requests = self.requests.iter();
        requests.map(|it| it.prepare(self.protocol)).collect()
    }
}

impl Policies {
    /// The folder that a bundle is built from; generated ones are written to `scratch`.
    ///
    /// # Errors
    ///
    /// Where the folder is not there or cannot be written.
    pub fn folder(&self, root: &Path, scratch: &Path) -> Result<PathBuf> {
        let generated = match self {
            Self::Folder(name) => {
                let folder = root.join("policies").join(name);
                if !folder.is_dir() {
                    bail!("there is no folder {}", folder.display());
                }
                return Ok(folder);
            }
            Self::AccessRules { rules, roles } => access_rules(*rules, *roles),
            Self::Validations(count) => validation_policies(*count),
        };
        let folder = scratch.join("policies");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("generated.yaml"), generated)
            .context("writing the generated policies")?;
        Ok(folder)
    }
}

fn access_rules(rules: usize, roles: usize) -> String {
    const TYPES: usize = 10;
    let mut text = String::new();
    for kind in 0..TYPES {
        let _ = write!(
            text,
            "---\napiVersion: lictor.dev/v1\nkind: AccessPolicy\nmetadata: {{name: access-{kind}}}\nspec:\n  resources: [type-{kind}]\n  rules:\n"
        );
        for rule in 0..rules / TYPES {
            let role = (kind * (rules / TYPES) + rule) % roles;
            let _ = write!(
                text,
                "    - {{id: rule-{rule}, effect: allow, actions: [action-{}], roles: [role-{role}]",
                rule % 20
            );
            if rule % 10 == 0 {
                text.push_str(", condition: resource.properties.owner == subject.id");
            }
            text.push_str("}\n");
        }
    }
    text
}

fn validation_policies(count: usize) -> String {
    let mut text = String::new();
    for index in 0..count {
        let _ = write!(
            text,
            "---\napiVersion: lictor.dev/v1\nkind: ValidationPolicy\nmetadata: {{name: policy-{index}}}\nspec:\n  type: SECURITY\n  severity: high\n  match: ['has(input.kind) && input.kind == \"kind-{}\"']\n  validations:\n    - expression: has(input.endpoint) && input.endpoint.url.startsWith(\"https://\")\n      field: endpoint.url\n      message: Services must use HTTPS endpoints\n",
            index / 5
        );
    }
    text
}

/// The scenarios that there are, sorted.
///
/// # Errors
///
/// Where the folder cannot be read.
pub fn names(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("scenarios");
    let mut names = Vec::new();
    for entry in
        std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?
    {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
            && let Some(stem) = path.file_stem()
        {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

impl RequestSpec {
    /// A `GET` without a body.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self {
            method: "GET".into(),
            path: path.into(),
            headers: BTreeMap::new(),
            body: None,
            check: None,
            expect: Vec::new(),
        }
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn prepare(&self, protocol: Protocol) -> PreparedRequest {
        match (protocol, &self.check) {
            (Protocol::Grpc { streams }, Some(check)) => {
                let call = Call::new(CHECK, &prost::Message::encode_to_vec(&check.message()));
                self.expecting(0, Wire::Grpc { call, streams })
            }
            _ => self.expecting(200, Wire::Http1(self.http())),
        }
    }

    fn expecting(&self, usual: u16, wire: Wire) -> PreparedRequest {
        let expected = if self.expect.is_empty() {
            vec![usual]
        } else {
            self.expect.clone()
        };
        PreparedRequest { wire, expected }
    }

    fn http(&self) -> Vec<u8> {
        let body = self
            .body
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: localhost\r\n",
            self.method, self.path
        );
        if self.body.is_some() {
            let _ = write!(
                head,
                "content-type: application/json\r\ncontent-length: {}\r\n",
                body.len()
            );
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        [head.as_bytes(), body.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn every_scenario_reads_and_its_policies_are_there() {
        let names = names(&root()).unwrap();
        assert!(names.len() >= 10, "{names:?}");
        for name in names {
            let scenario = Scenario::read(&root(), &name).unwrap();
            let scratch = tempfile::tempdir().unwrap();
            let folder = scenario.policies.folder(&root(), scratch.path()).unwrap();
            assert!(folder.is_dir(), "{name}");
            assert_eq!(scenario.prepared().len(), scenario.requests.len());
        }
    }

    #[test]
    fn an_unknown_scenario_is_answered_with_those_that_there_are() {
        let error = Scenario::read(&root(), "validte").unwrap_err().to_string();
        assert!(error.contains("validate"), "{error}");
    }
}

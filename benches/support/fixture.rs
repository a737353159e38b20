//! What benches decide from: bundles made, signed, verified and loaded like real ones.

use std::fmt::Write as _;
use std::sync::Arc;

use lictor::bundle::{
    Builder, Expected, Key, Keyring, Limits as ArchiveLimits, PolicyEntry, SigningKey, verify,
};
use lictor::decide::{Kind, Observer, Outcome, Worker};
use lictor::engine::Limits;
use lictor::model::{CONSTITUTIONAL_HASH, Timestamp};
use lictor::policy::canonical::content_hash;
use lictor::policy::{Format, parse};
use lictor::snapshot::load::{Options, load};
use lictor::snapshot::{Snapshot, channel};

pub const NOW: i64 = 1_790_000_000;

/// 402 bytes: a compliant service.
pub const SERVICE: &[u8] = br#"{"service_id":"svc-00042","name":"text-summariser","version":"1.4.2","description":"Summarises text","provider_id":"provider-7","category":"llm","endpoint":{"url":"https://api.example.com/v1","protocol":"https","authentication":"oauth2"},"compliance":{"level":"internal","certifications":["SOC2"],"data_residency":["DE","FR"],"gdpr_compliant":true},"sla":{"availability":99.95,"support_level":"enterprise"}}"#;

/// An experiment that half of all keys are in.
pub const EXPERIMENT: &str = "
apiVersion: lictor.dev/v1
kind: Experiment
metadata: {name: checkout-rules}
spec:
  hash: murmur3
  rollout: 50
  audience: context.country in [\"DE\", \"FR\"]
  variants: [{name: A, weight: 900}, {name: B, weight: 100}]
";

/// Rules for HTTP requests, one of which looks into the token and sets a header.
pub const HTTP_RULES: &str = r#"
apiVersion: lictor.dev/v1
kind: AccessPolicy
metadata: {name: paths}
spec:
  http:
    - {id: public, effect: allow, methods: [GET, HEAD], paths: ["/public/{rest*}", "/healthz"]}
    - id: own
      effect: allow
      methods: [GET]
      paths: ["/accounts/{id}"]
      condition: jwt.sub == params.id || http.headers["x-a"] != ""
      on_allow: {set_headers: {x-account: params.id}}
    - {id: maintenance, effect: deny, paths: ["/{any*}"], condition: "has(data.maintenance) && data.maintenance"}
"#;

/// Hears nothing: what metrics cost is not the question here.
#[derive(Debug)]
pub struct Deaf;

impl Observer for Deaf {
    fn decided(&self, _: Kind, _: Outcome, _: u64) {}
    fn panicked(&self, _: Kind, _: &str) {}
}

/// A signed archive of documents and data files.
pub fn archive(yaml: &str, data: &[(&str, Vec<u8>)]) -> (Vec<u8>, Keyring) {
    archive_at(Timestamp::from_unix_seconds(NOW), yaml, data)
}

/// A signed archive of documents and data files that was issued at this moment, for a day.
pub fn archive_at(now: Timestamp, yaml: &str, data: &[(&str, Vec<u8>)]) -> (Vec<u8>, Keyring) {
    let tenant = "bench".parse().unwrap();
    let mut builder = Builder::new(
        tenant,
        1,
        now,
        now.plus_seconds(86_400),
        CONSTITUTIONAL_HASH.into(),
    );
    for document in parse("bench.yaml", yaml.as_bytes(), Format::Yaml, "bench").unwrap() {
        let metadata = document.metadata;
        let entry = PolicyEntry {
            id: metadata.id,
            name: metadata.name.to_string(),
            kind: document.body.kind().into(),
            version: metadata.version.to_string(),
            status: metadata.status,
            group: metadata.group,
            created_at: now,
            changed_at: now,
            content_hash: content_hash(document.json.as_bytes()).unwrap(),
            path: format!("lictor/policies/{}/{}.json", metadata.id, metadata.version),
        };
        builder.policy(entry, document.json.as_bytes().to_vec());
    }
    for (name, bytes) in data {
        builder.file((*name).into(), bytes.clone());
    }
    let key = SigningKey::from_seed("bench", &[7; 32]);
    let keyring = Keyring {
        threshold: 1,
        keys: vec![Key {
            kid: "bench".into(),
            public_key: key.public_key(),
            tenants: None,
            not_before: None,
            not_after: None,
            revoked: false,
        }],
    };
    (builder.build(&[&key]).unwrap(), keyring)
}

/// Steps 1 to 15.
pub fn activate(archive: &[u8], keyring: &Keyring) -> Snapshot {
    let now = Timestamp::from_unix_seconds(NOW);
    let expected = Expected {
        tenant: "bench".parse().unwrap(),
        constitutional_hash: None,
        mark: None,
        running: None,
        min_number: 0,
        now,
        clock_skew: 60,
        announced: None,
    };
    let limits = ArchiveLimits::default();
    let options = Options {
        archive: limits,
        decision: Limits::default(),
        hash_files: false,
        now,
        source: "bench".into(),
    };
    load(
        &verify(archive, keyring, &expected, &limits).unwrap(),
        &options,
    )
    .unwrap()
}

/// A worker that decides from documents.
pub fn worker(yaml: &str) -> Worker {
    let (archive, keyring) = archive(yaml, &[]);
    let (publisher, reader) = channel();
    publisher.publish(activate(&archive, &keyring)).unwrap();
    Worker::new(&reader, Limits::default(), Arc::new(Deaf))
}

/// The five default policies.
pub fn default_policies() -> String {
    include_str!("../../src/control_plane/seed.yaml").into()
}

/// Validation policies that each match their own value of one field.
pub fn many_policies(count: usize) -> String {
    let policy = |index: usize| {
        format!(
            "---\napiVersion: lictor.dev/v1\nkind: ValidationPolicy\nmetadata: {{name: policy-{index}}}\nspec:\n  type: SECURITY\n  severity: high\n  match: ['has(input.kind) && input.kind == \"kind-{}\"']\n  validations:\n    - expression: has(input.endpoint) && input.endpoint.url.startsWith(\"https://\")\n      field: endpoint.url\n      message: Services must use HTTPS endpoints\n",
            index / 5
        )
    };
    (0..count).map(policy).collect()
}

/// Access rules over ten resource types and a hundred roles.
pub fn access_rules(count: usize) -> String {
    let mut yaml = String::new();
    for kind in 0..10 {
        write!(
            yaml,
            "---\napiVersion: lictor.dev/v1\nkind: AccessPolicy\nmetadata: {{name: access-{kind}}}\nspec:\n  resources: [type-{kind}]\n  rules:\n"
        )
        .unwrap();
        for rule in 0..count / 10 {
            let condition = if rule.is_multiple_of(10) {
                ", condition: resource.properties.owner == subject.id"
            } else {
                ""
            };
            writeln!(
                yaml,
                "    - {{id: rule-{rule}, effect: allow, actions: [action-{}], roles: [role-{}]{condition}}}",
                rule % 20,
                rule % 100
            )
            .unwrap();
        }
    }
    yaml
}

//! What dynamic metadata says of a decision: all of it, or its id alone.

use std::collections::BTreeSet;

use lictor::policy::Format;
use serde_json::{Value, json};

use super::{check, request};
use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::grpc::Grpc;
use crate::support::pod::Pod;

const POLICIES: &str = r#"
apiVersion: lictor.dev/v1
kind: AccessPolicy
metadata: {name: open}
spec:
  http:
    - {id: plain, effect: allow, paths: ["/a"]}
    - {id: own, effect: allow, paths: ["/b"], on_allow: {metadata: {team: "'x'", revision: "'forged'"}}}
"#;

const REGO: &[u8] = b"package p

allow := {\"allowed\": true, \"dynamic_metadata\": {\"team\": \"x\", \"revision\": \"forged\"}}
";

/// The names in the metadata of a path's decision.
fn names(configuration: &Value, path: &str) -> BTreeSet<String> {
    let pod = Pod::new();
    pod.configure(&json!({"ext_authz": configuration}));
    let policies = documents(POLICIES, Format::Yaml);
    let files = [("p.rego", REGO)];
    pod.put(&bundle_of(1, policies, &files, &[&signing_key()]));
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    let asked = request("GET", path, &[]);
    let answer = check(&mut Grpc::tcp(sidecar.grpc), &asked).unwrap();
    let fields = answer.dynamic_metadata.unwrap().fields;
    fields.into_keys().collect()
}

#[test]
fn metadata_say_all_of_a_decision_or_its_id_alone() {
    let full = ["bundle_age", "decision_id", "policy", "revision", "rule"];
    for (configuration, path, expected) in [
        (json!({}), "/a", full.to_vec()),
        (
            json!({}),
            "/none",
            vec!["bundle_age", "decision_id", "revision"],
        ),
        (json!({"metadata": "id"}), "/a", vec!["decision_id"]),
        (json!({"metadata": "id"}), "/none", vec!["decision_id"]),
        // What a rule sets is there in any case, except under our names.
        (json!({"metadata": "id"}), "/b", vec!["decision_id", "team"]),
        (
            json!({"metadata": "id", "path": "p/allow"}),
            "/a",
            vec!["decision_id", "team"],
        ),
        (
            json!({"path": "p/allow"}),
            "/a",
            vec!["decision_id", "revision", "team"],
        ),
    ] {
        let names = names(&configuration, path);
        let expected = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(names, expected, "{configuration} {path}");
    }
}

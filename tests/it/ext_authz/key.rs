//! What experiments tell users of Envoy apart by: a field, or an expression over the request.

use lictor::policy::Format;
use prost_types::value::Kind;
use serde_json::json;

use super::{auth, check, peer, request};
use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::grpc::Grpc;
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;

const POLICIES: &str = r#"
apiVersion: lictor.dev/v1
kind: AccessPolicy
metadata: {name: open}
spec:
  http: [{id: all, effect: allow, paths: ["/{any*}"]}]
---
apiVersion: lictor.dev/v1
kind: Experiment
metadata: {name: shop}
spec:
  variants: [{name: A, weight: 1}, {name: B, weight: 1}]
  overrides: {ann: B, "7": B, bob: A, "spiffe://acme.example/a": A}
"#;

fn start(key: &str) -> Sidecar {
    let pod = Pod::new();
    pod.configure(&json!({"ext_authz": {"key": key}}));
    let policies = documents(POLICIES, Format::Yaml);
    pod.put(&bundle_of(1, policies, &[], &[&signing_key()]));
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    sidecar
}

/// The variant of a request over gRPC; None where it is in no experiment.
fn variant(grpc: &mut Grpc, request: &auth::CheckRequest) -> Option<String> {
    let answer = check(grpc, request).unwrap();
    assert_eq!(answer.status.unwrap().code, 0);
    let metadata = answer.dynamic_metadata?.fields;
    let Kind::StructValue(variants) = metadata.get("variants")?.kind.clone()? else {
        panic!("{metadata:?}");
    };
    match variants.fields.get("shop")?.kind.clone()? {
        Kind::StringValue(variant) => Some(variant),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_is_any_expression_over_the_request() {
    let with = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let none = Vec::new;
    for (key, path, headers, expected) in [
        (
            "http.headers.x-user",
            "/a",
            with("x-user", "ann"),
            Some("B"),
        ),
        (
            "http.headers['x-user'].split('@')[0]",
            "/a",
            with("x-user", "ann@example"),
            Some("B"),
        ),
        (
            "http.headers['x-user'].split('@')[0]",
            "/a",
            with("x-user", "bob@example"),
            Some("A"),
        ),
        // What is missing is no key, and no error.
        ("http.headers['x-user'].split('@')[0]", "/a", none(), None),
        ("http.path.split('/')[2]", "/users/ann", none(), Some("B")),
        ("size(http.query) + 6", "/a?b=c", none(), Some("B")),
        (
            "'user' in http.query ? http.query.user : source.principal",
            "/a?user=ann",
            none(),
            Some("B"),
        ),
        (
            "'user' in http.query ? http.query.user : source.principal",
            "/a",
            none(),
            Some("A"),
        ),
        ("http.query", "/a?b=c", none(), None),
        ("''", "/a", none(), None),
    ] {
        let sidecar = start(key);
        let mut asked = request("GET", path, &headers);
        asked.attributes.as_mut().unwrap().source = Some(peer("spiffe://acme.example/a"));
        let got = variant(&mut Grpc::tcp(sidecar.grpc), &asked);
        assert_eq!(got.as_deref(), expected, "{key}");
    }
}

#[test]
fn a_key_that_is_no_expression_is_said_before_anything_starts() {
    for (key, said) in [
        ("subject.id", "subject"),
        ("http.path +", "configuration:1:"),
        ("http.path.nope()", "nope"),
        ("data.users", "data"),
    ] {
        let pod = Pod::new();
        pod.configure(&json!({"ext_authz": {"key": key}}));
        for check in [true, false] {
            let mut command = pod.command();
            if check {
                command.args(["config", "check"]);
            }
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{key}");
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                error.contains("ext_authz.key") && error.contains(said),
                "{key}: {error}"
            );
        }
    }
}

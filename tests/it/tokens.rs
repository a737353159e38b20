//! Whose word is taken on which door: one table of credentials, asked of every door that makes decisions.

use lictor::policy::Format;
use prost::Message as _;
use serde_json::{Value, json};

use crate::ext_authz;
use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::grpc::{Grpc, framed};
use crate::support::idp::{self, Idp, SigningKey, claims, key_set};
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;

const POLICIES: &str = r#"
apiVersion: lictor.dev/v1
kind: AccessPolicy
metadata: {name: open}
spec:
  resources: ["*"]
  rules: [{id: all, effect: allow}]
  http: [{id: all, effect: allow, paths: ["/{any*}"]}]
"#;

const REGO: &[u8] = b"package a\n\nallow := true\n";

/// How a door takes a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// Whatever the answer is: not turned away.
    In,
    Unauthenticated,
    Forbidden,
}

#[derive(Clone, Copy, Debug)]
enum Door {
    /// Method, path, body.
    Http(&'static str, &'static str, &'static str),
    /// Method of the policy engine.
    Engine(&'static str),
    /// Envoy's gRPC door, where the token is that of the request it asks about.
    Check,
}

const DOORS: [Door; 18] = [
    Door::Http("POST", "/v1/validate", "{}"),
    Door::Http("POST", "/v1/access/check", r#"{"user_id": "a"}"#),
    Door::Http(
        "POST",
        "/v1/consumption/validate",
        r#"{"consumer_id": "a"}"#,
    ),
    Door::Http("POST", "/v1/variant", r#"{"experiment": "e", "key": "k"}"#),
    Door::Http("POST", "/access/v1/evaluation", "{}"),
    Door::Http("POST", "/access/v1/evaluations", "{}"),
    Door::Http("GET", "/.well-known/authzen-configuration", ""),
    Door::Http("POST", "/ofrep/v1/evaluate/flags", "{}"),
    Door::Http("POST", "/ofrep/v1/evaluate/flags/e", "{}"),
    Door::Http("POST", "/v1/data/a/allow", "{}"),
    Door::Http("GET", "/v1/data/a/allow", ""),
    Door::Http("POST", "/v0/data/a/allow", "{}"),
    Door::Http("GET", "/v1/query?q=x%3D1", ""),
    Door::Http("GET", "/authz/a", ""),
    Door::Engine("ValidateService"),
    Door::Engine("CheckAccess"),
    Door::Engine("ValidateConsumption"),
    Door::Check,
];

fn ask(sidecar: &Sidecar, door: Door, authorization: Option<&str>) -> Taken {
    let header = authorization.map(|value| ("authorization", value));
    match door {
        Door::Http(method, path, body) => {
            let mut headers = vec![("content-type", "application/json")];
            headers.extend(header);
            let answer = sidecar.http().send(method, path, &headers, body);
            assert!(answer.status < 500, "{door:?}: {}", answer.text());
            match answer.status {
                401 => Taken::Unauthenticated,
                403 => Taken::Forbidden,
                _ => Taken::In,
            }
        }
        Door::Engine(method) => {
            let path = format!("/policyengine.v1.PolicyEngineService/{method}");
            let headers: Vec<_> = header.into_iter().collect();
            let ended = Grpc::tcp(sidecar.grpc).call_with(&path, &headers, framed(b""));
            match ended.code {
                16 => Taken::Unauthenticated,
                7 => Taken::Forbidden,
                0 | 3 => Taken::In,
                _ => panic!("{door:?}: {ended:?}"),
            }
        }
        Door::Check => {
            let headers = header.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let headers: Vec<_> = headers.into_iter().collect();
            let request = ext_authz::request("GET", "/a", &headers);
            let answer = ext_authz::check(&mut Grpc::tcp(sidecar.grpc), &request).unwrap();
            let Some(ext_authz::auth::check_response::HttpResponse::DeniedResponse(denied)) =
                answer.http_response
            else {
                return Taken::In;
            };
            match denied.status.unwrap().code {
                401 => Taken::Unauthenticated,
                403 => Taken::Forbidden,
                other => panic!("{other}"),
            }
        }
    }
}

#[test]
fn every_door_believes_the_same_tokens() {
    let [known, forger] = ["known", "known"].map(SigningKey::new);
    let idp = Idp::start(key_set(&[&known]));
    let pod = Pod::new();
    pod.configure(&json!({"identity": {"issuers": [
        {"name": idp::ISSUER, "audience": ["lictor"], "algorithm": "ES256", "jwks": idp.url},
    ]}}));
    let policies = documents(POLICIES, Format::Yaml);
    let files = [("a.rego", REGO)];
    pod.put(&bundle_of(1, policies, &files, &[&signing_key()]));
    let mut sidecar = pod.start();
    sidecar.wait_ready();

    let good = claims("ann", "acme");
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        known.token(&claims)
    };
    let right = known.token(&good);
    let bearer = |token: String| Some(format!("Bearer {token}"));
    let (signed, _) = right.rsplit_once('.').unwrap();
    // What, the header, and how it is taken.
    let table = [
        ("no token", None, Taken::In),
        ("a good token", bearer(right.clone()), Taken::In),
        (
            "a good token, another spelling",
            Some(format!("bearer {right}")),
            Taken::In,
        ),
        (
            "another key under the same name",
            bearer(forger.token(&good)),
            Taken::Unauthenticated,
        ),
        (
            "no signature",
            bearer(format!("{signed}.")),
            Taken::Unauthenticated,
        ),
        (
            "expired",
            bearer(with("exp", json!(idp::now() - 3600))),
            Taken::Unauthenticated,
        ),
        (
            "not yet valid",
            bearer(with("nbf", json!(idp::now() + 3600))),
            Taken::Unauthenticated,
        ),
        (
            "another issuer",
            bearer(with("iss", json!("https://other.example"))),
            Taken::Unauthenticated,
        ),
        (
            "another audience",
            bearer(with("aud", json!("other"))),
            Taken::Unauthenticated,
        ),
        (
            "another algorithm",
            bearer(known.token_under(&json!({"alg": "none", "typ": "JWT"}), &good)),
            Taken::Unauthenticated,
        ),
        (
            "another tenant",
            bearer(with("tenant_id", json!("other"))),
            Taken::Forbidden,
        ),
    ];
    // The first question fetches the keys.
    while sidecar
        .post_with(
            "/v1/validate",
            &[("authorization", &format!("Bearer {right}"))],
            "{}",
        )
        .status
        == 503
    {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut wrongs = Vec::new();
    for door in DOORS {
        for (what, authorization, expected) in &table {
            let taken = ask(&sidecar, door, authorization.as_deref());
            if taken != *expected {
                wrongs.push(format!("{door:?}, {what}: {taken:?}, not {expected:?}"));
            }
        }
    }
    assert!(wrongs.is_empty(), "{}\n", wrongs.join("\n"));
}

#[test]
fn a_tenant_that_is_named_must_be_the_one_that_is_served() {
    let pod = Pod::new();
    let policies = documents(POLICIES, Format::Yaml);
    let files = [("a.rego", REGO)];
    pod.put(&bundle_of(1, policies, &files, &[&signing_key()]));
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    for door in DOORS {
        for (tenant, expected) in [("acme", Taken::In), ("other", Taken::Forbidden)] {
            let taken = match door {
                // The headers there are the end user's, who chooses no tenant of ours.
                Door::Http(_, "/authz/a", _) | Door::Check => expected,
                Door::Http(method, path, body) => {
                    let headers = [
                        ("content-type", "application/json"),
                        ("x-tenant-id", tenant),
                    ];
                    let answer = sidecar.http().send(method, path, &headers, body);
                    if answer.status == 403 {
                        Taken::Forbidden
                    } else {
                        Taken::In
                    }
                }
                Door::Engine(method) => {
                    let path = format!("/policyengine.v1.PolicyEngineService/{method}");
                    let headers = [("x-tenant-id", tenant)];
                    let body = framed(&Vec::<u8>::new().encode_to_vec());
                    let ended = Grpc::tcp(sidecar.grpc).call_with(&path, &headers, body);
                    if ended.code == 7 {
                        Taken::Forbidden
                    } else {
                        Taken::In
                    }
                }
            };
            assert_eq!(taken, expected, "{door:?}: {tenant}");
        }
    }
}

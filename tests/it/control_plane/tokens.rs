//! Tokens of issuers that publish a key set.

use bytes::Bytes;
use serde_json::json;

use crate::support::idp::{ISSUER, SigningKey, claims, key_set};
use crate::support::scratch;

use super::plane::{Changes, Plane};

#[test]
fn a_key_set_in_a_file_is_followed_and_algorithms_are_not_mixed() {
    let [old, new] = ["old", "new"].map(SigningKey::new);
    let folder = scratch();
    let file = folder.path().join("keys.json");
    std::fs::write(&file, key_set(&[&old])).unwrap();
    let mut plane = Plane::start_with(&Changes {
        lines: format!(
            "identity: {{issuers: [{{name: \"{ISSUER}\", audience: [lictor], algorithm: ES256, jwks: {}}}]}}\n",
            file.display()
        ),
        ..Changes::default()
    });
    let mut good = claims("ann", "acme");
    good["role"] = json!("viewer");
    let mut status = |token: &str| {
        let mut client = plane.client_with(token);
        client.get("/api/v1/policies").status
    };
    assert_eq!(status(&old.token(&good)), 200);
    assert_eq!(status(&new.token(&good)), 401);
    for alg in ["none", "HS256", "EdDSA", "ES384"] {
        let header = json!({"alg": alg, "typ": "JWT", "kid": "old"});
        assert_eq!(status(&old.token_under(&header, &good)), 401, "{alg}");
    }
    std::fs::write(&file, key_set(&[&new])).unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while status(&new.token(&good)) != 200 {
        assert!(std::time::Instant::now() < end);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(status(&old.token(&good)), 401);
    // An agent of a tenant may nothing more than its role says.
    let mut agent = claims("spiffe://acgs2/tenant/acme/agent/a-1", "acme");
    agent["agent_id"] = json!("a-1");
    agent["capabilities"] = json!(["policy:read"]);
    assert_eq!(status(&new.token(&agent)), 401, "no constitutional hash");
    agent["constitutional_hash"] = json!(super::plane::HASH);
    let token = new.token(&agent);
    assert_eq!(status(&token), 200);
    let create = plane.client_with(&token).send(
        "POST",
        "/api/v1/policies",
        &[],
        Bytes::from("{\"name\":\"p\"}"),
    );
    assert_eq!(create.status, 403, "{}", create.text());
}

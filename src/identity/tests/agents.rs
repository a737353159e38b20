//! Agents' tokens: what they say twice must agree, and they carry the constitutional hash.

use serde_json::{Value, json};

use super::super::{Agent, IdentityError};
use super::{NOW, header, settings, sign, verifier};

const HASH: &str = "cdd01ef066bc6cf2";

fn claims() -> Value {
    json!({
        "iss": "tests",
        "sub": "spiffe://acgs2/tenant/acme/agent/agent-7",
        "aud": ["lictor", "acgs2-deliberation-layer"],
        "iat": 1_800_000_000,
        "exp": 1_800_086_400,
        "agent_id": "agent-7",
        "tenant_id": "acme",
        "capabilities": ["policy:read", "message_send"],
        "constitutional_hash": HASH,
    })
}

#[test]
fn an_agents_token_says_who_the_agent_is() {
    let token = sign(&header(), &claims().to_string());
    let claims = verifier(&settings(1)).verify(&token, NOW).unwrap();
    assert_eq!(claims.tenant.as_ref().unwrap().as_str(), "acme");
    assert_eq!(claims.subject, "spiffe://acgs2/tenant/acme/agent/agent-7");
    assert_eq!(
        claims.agent,
        Some(Agent {
            id: "agent-7".into(),
            capabilities: vec!["policy:read".into(), "message_send".into()],
        })
    );
}

#[test]
fn an_agents_token_must_agree_with_itself_and_with_the_constitution() {
    let verifier = verifier(&settings(1));
    let long = "a".repeat(101);
    let many: Vec<String> = (0..51).map(|number| number.to_string()).collect();
    let cases = [
        ("agent_id", json!("agent-8")),
        ("agent_id", json!("")),
        ("agent_id", json!(long)),
        ("agent_id", json!("a b")),
        ("agent_id", json!(7)),
        ("tenant_id", json!("other")),
        ("tenant_id", Value::Null),
        ("sub", json!("spiffe://acgs2/tenant/other/agent/agent-7")),
        ("sub", json!("spiffe:///tenant/acme/agent/agent-7")),
        ("sub", json!("tenant/acme/agent/agent-7")),
        ("sub", json!("spiffe://acgs2/x/tenant/acme/agent/agent-7")),
        ("sub", json!("spiffe://acgs2/tenant/acme/agent/agent-7/")),
        ("capabilities", json!([])),
        ("capabilities", Value::Null),
        ("capabilities", json!("policy:read")),
        ("capabilities", json!(["a b"])),
        ("capabilities", json!([""])),
        ("capabilities", json!(many)),
    ];
    for (name, value) in cases {
        let mut changed = claims();
        changed[name] = value.clone();
        let token = sign(&header(), &changed.to_string());
        let result = verifier.verify(&token, NOW);
        assert!(
            matches!(result, Err(IdentityError::Malformed(_))),
            "{name} {value}: {result:?}"
        );
    }
    for (name, value, expected) in [
        (
            "constitutional_hash",
            json!("0000000000000000"),
            IdentityError::WrongConstitutionalHash,
        ),
        (
            "constitutional_hash",
            Value::Null,
            IdentityError::WrongConstitutionalHash,
        ),
        (
            "iss",
            json!("acgs2-other-service"),
            IdentityError::UnknownIssuer,
        ),
        (
            "aud",
            json!(["acgs2-agent-bus"]),
            IdentityError::WrongAudience,
        ),
        ("exp", json!(1_799_000_000), IdentityError::Expired),
    ] {
        let mut changed = claims();
        changed[name] = value;
        let token = sign(&header(), &changed.to_string());
        assert_eq!(verifier.verify(&token, NOW), Err(expected), "{name}");
    }
}

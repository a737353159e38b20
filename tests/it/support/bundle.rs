//! Bundles for a pod: any documents, or two policies that refuse everything with one word.

use std::time::{SystemTime, UNIX_EPOCH};

use lictor::bundle::{Builder, PolicyEntry, SigningKey};
use lictor::model::Timestamp;
use lictor::policy::{self, Document, Format, canonical};
use serde_json::json;

use super::Answer;

pub const TENANT: &str = "acme";
pub const HASH: &str = "cdd01ef066bc6cf2";

/// The key that a new pod trusts.
pub fn signing_key() -> SigningKey {
    SigningKey::from_seed("test-key", &[7; 32])
}

/// The documents of a text.
pub fn documents(text: &str, format: Format) -> Vec<Document> {
    policy::parse("policies", text.as_bytes(), format, TENANT).unwrap()
}

/// A bundle of these documents and data files, signed with these keys.
pub fn bundle_of(
    number: u64,
    documents: Vec<Document>,
    data: &[(&str, &[u8])],
    keys: &[&SigningKey],
) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = Timestamp::from_unix_seconds(now.as_secs() as i64);
    let expires = now.plus_seconds(7 * 86_400);
    let mut builder = Builder::new(TENANT.parse().unwrap(), number, now, expires, HASH.into());
    for document in documents {
        let json = document.json.as_bytes().to_vec();
        let entry = PolicyEntry {
            id: document.metadata.id,
            name: document.metadata.name.to_string(),
            kind: document.body.kind().to_owned(),
            version: document.metadata.version.to_string(),
            status: document.metadata.status,
            group: document.metadata.group,
            created_at: now,
            changed_at: now,
            content_hash: canonical::content_hash(&json).unwrap(),
            path: String::new(),
        };
        builder.policy(entry, json);
    }
    for (path, bytes) in data {
        builder.file((*path).to_owned(), bytes.to_vec());
    }
    builder.build(keys).unwrap()
}

/// A bundle with two policies, each of which refuses everything with `word`.
pub fn bundle(number: u64, word: &str) -> Vec<u8> {
    bundle_signed(number, word, &[&signing_key()])
}

/// The same, signed with these keys.
pub fn bundle_signed(number: u64, word: &str, keys: &[&SigningKey]) -> Vec<u8> {
    let refusing = |name: &str| {
        let document = json!({
            "apiVersion": "lictor.dev/v1",
            "kind": "ValidationPolicy",
            "metadata": {"name": name},
            "spec": {
                "type": "TEST",
                "severity": "high",
                "validations": [{"expression": "false", "field": "service", "message": word}],
            },
        });
        documents(&document.to_string(), Format::Json)
    };
    let both = [refusing("first"), refusing("second")].concat();
    bundle_of(number, both, &[], keys)
}

/// The number that answered a validation by [`bundle`], and the one word of both violations.
pub fn decided(answer: &Answer) -> (u64, String) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    let (number, _) = body["revision"].as_str().unwrap().split_once('-').unwrap();
    let words: Vec<&str> = body["violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|violation| violation["message"].as_str().unwrap())
        .collect();
    assert_eq!(words.len(), 2, "{body:#}");
    assert_eq!(words[0], words[1], "a mixture of two revisions: {body:#}");
    (number.parse().unwrap(), words[0].to_owned())
}

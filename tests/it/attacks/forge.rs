//! Makes archives from recipes, wrong ones included. Written from the format's description, without the
//! builder: a second opinion about it.

use std::collections::BTreeMap;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use lictor::bundle::{Expected, Key, Keyring, Limits, Mark};
use lictor::model::Timestamp;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::recipe::{Extra, Recipe};

const POLICY_ID: &str = "6f1f0c3e-0f0a-4a53-9d5e-0f3c2b1a9d8e";

/// An archive and what it is to be held against.
pub struct Forged {
    pub archive: Vec<u8>,
    pub keyring: Keyring,
    pub expected: Expected,
    pub limits: Limits,
}

/// The key pair of this number.
pub fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

pub fn forge(recipe: &Recipe) -> Forged {
    let (hashes, revision) = hashes(recipe);
    let rest = second_member(recipe, &revision);
    let payload = payload(recipe, &hashes, &revision, &rest);
    let mut archive = first_member(recipe, &payload);
    archive.extend_from_slice(&rest);
    if recipe.flip_last_byte {
        *archive.last_mut().unwrap() ^= 1;
    }
    match recipe.append.as_str() {
        "" => {}
        "member" => archive.extend_from_slice(&gzip(b"")),
        bytes => archive.extend_from_slice(bytes.as_bytes()),
    }
    let expected = expected(recipe, &archive, &payload);
    let limits = Limits {
        archive_bytes: recipe.max_archive_bytes,
        entries: recipe.max_entries,
        entry_bytes: recipe.max_entry_bytes,
        total_bytes: recipe.max_total_bytes,
        ..Limits::default()
    };
    Forged {
        archive,
        keyring: keyring(recipe),
        expected,
        limits,
    }
}

fn policy_path() -> String {
    format!("lictor/policies/{POLICY_ID}/1.0.0.json")
}

fn content(extra: &Extra) -> Vec<u8> {
    extra.text.as_bytes().repeat(extra.times)
}

/// Everything that is hashed but the manifest.
fn contents(recipe: &Recipe) -> BTreeMap<String, Vec<u8>> {
    let mut contents = BTreeMap::from([
        (policy_path(), recipe.policy.clone().into_bytes()),
        ("data.json".to_owned(), recipe.data.clone().into_bytes()),
    ]);
    for extra in recipe.extra.iter().filter(|extra| extra.listed) {
        contents.insert(extra.name.clone(), content(extra));
    }
    for name in &recipe.drop {
        contents.insert(name.clone(), b"not stored".to_vec());
    }
    contents
}

/// Hex hashes by name, with the manifest's, and the revision.
fn hashes(recipe: &Recipe) -> (BTreeMap<String, String>, String) {
    let mut hashes: BTreeMap<String, String> = contents(recipe)
        .into_iter()
        .map(|(name, content)| (name.clone(), hash(&name, &content)))
        .collect();
    if let Some(name) = &recipe.wrong_hash {
        hashes.insert(name.clone(), hash(".", b"something else"));
    }
    let mut digest = Sha256::new();
    for (name, hash) in &hashes {
        digest.update(format!("{name}\0{hash}\n"));
    }
    let digest = hex::encode(digest.finalize());
    let revision = format!("{}-{}", recipe.number, &digest[..12]);
    hashes.insert(
        ".manifest".to_owned(),
        hash(".manifest", &manifest(recipe, &revision)),
    );
    (hashes, revision)
}

/// OPA's hash. What is structured here has no numbers that `serde_json` would write differently,
/// and comes out sorted by its map.
fn hash(name: &str, content: &[u8]) -> String {
    let structured = name == ".manifest" || name == "data.json" || name.ends_with("/data.json");
    let value = serde_json::from_slice::<serde_json::Value>(content);
    match value {
        Ok(value) if structured => hex::encode(Sha256::digest(value.to_string())),
        _ => hex::encode(Sha256::digest(content)),
    }
}

fn manifest(recipe: &Recipe, revision: &str) -> Vec<u8> {
    let kind = serde_json::from_str::<serde_json::Value>(&recipe.policy)
        .ok()
        .and_then(|policy| policy["kind"].as_str().map(str::to_owned))
        .unwrap_or("ValidationPolicy".to_owned());
    let policy = json!({
        "id": POLICY_ID, "name": "https", "kind": kind, "version": "1.0.0", "status": "active",
        "created_at": recipe.issued_at, "changed_at": recipe.issued_at,
        "content_hash": lictor::policy::canonical::content_hash(recipe.policy.as_bytes())
            .unwrap_or_else(|_| "0".repeat(64)),
        "path": policy_path(),
    });
    let policies = if recipe.manifest_lists {
        vec![policy]
    } else {
        Vec::new()
    };
    json!({
        "revision": recipe.manifest_revision.as_deref().unwrap_or(revision),
        "roots": [""],
        "rego_version": 1,
        "metadata": {"lictor": {"policies": policies}},
    })
    .to_string()
    .into_bytes()
}

fn second_member(recipe: &Recipe, revision: &str) -> Vec<u8> {
    let mut entries: Vec<(String, Vec<u8>)> = contents(recipe)
        .into_iter()
        .filter(|(name, _)| {
            !recipe.drop.contains(name) && !recipe.extra.iter().any(|extra| extra.name == *name)
        })
        .map(|(name, content)| {
            let bytes = entry(&name, &content, '0', "");
            (name, bytes)
        })
        .collect();
    for extra in recipe.extra.iter().filter(|extra| !extra.last) {
        entries.push((
            extra.name.clone(),
            entry(&extra.name, &content(extra), extra.kind, &extra.link),
        ));
    }
    entries.sort_by(|left, right| left.0.cmp(&right.0));
    for extra in recipe.extra.iter().filter(|extra| extra.last) {
        entries.push((
            extra.name.clone(),
            entry(&extra.name, &content(extra), extra.kind, &extra.link),
        ));
    }
    let manifest = (
        ".manifest".to_owned(),
        entry(".manifest", &manifest(recipe, revision), '0', ""),
    );
    entries.insert(
        if recipe.manifest_last {
            entries.len()
        } else {
            0
        },
        manifest,
    );
    let mut tar: Vec<u8> = entries.into_iter().flat_map(|(_, bytes)| bytes).collect();
    if recipe.end_of_archive {
        tar.extend_from_slice(&[0; 1024]);
    }
    tar.extend_from_slice(recipe.after_end.as_bytes());
    let mut rest = gzip(&tar);
    if recipe.signed_third_member {
        rest.extend_from_slice(&gzip(b""));
    }
    rest
}

/// A header by the `tar` crate, the content, and its padding.
fn entry(name: &str, content: &[u8], kind: char, link: &str) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    // Not `set_path`, which refuses what attackers write.
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.as_mut_bytes()[156] = kind as u8;
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn payload(
    recipe: &Recipe,
    hashes: &BTreeMap<String, String>,
    revision: &str,
    rest: &[u8],
) -> String {
    let listed = hashes.keys().chain(&recipe.list_twice);
    let files: Vec<serde_json::Value> = listed
        .map(|name| json!({"name": name, "hash": hashes[name], "algorithm": "SHA-256"}))
        .collect();
    let claims = json!({
        "format": recipe.format,
        "tenant": recipe.tenant,
        "number": recipe.number,
        "revision": revision,
        "issued_at": recipe.issued_at,
        "expires_at": recipe.expires_at,
        "constitutional_hash": recipe.constitutional_hash,
        "rest_size": rest.len(),
        "rest_sha256": hex::encode(Sha256::digest(rest)),
    });
    let extra = member(&recipe.payload_extra);
    format!(
        "{{\"files\":{},\"lictor\":{claims}{extra}}}",
        serde_json::Value::from(files)
    )
}

fn member(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(",{text}")
    }
}

fn first_member(recipe: &Recipe, payload: &str) -> Vec<u8> {
    let tokens: Vec<String> = recipe
        .signers
        .iter()
        .map(|signer| {
            let header =
                json!({"alg": signer.alg, "kid": signer.kid, "typ": signer.typ}).to_string();
            let blank = if signer.other_payload { " " } else { "" };
            let message = format!(
                "{}.{}",
                BASE64.encode(header),
                BASE64.encode(format!("{payload}{blank}"))
            );
            let signature = key(signer.key).sign(message.as_bytes());
            format!("{message}.{}", BASE64.encode(signature.to_bytes()))
        })
        .collect();
    let first = if recipe.all_in_one_list {
        tokens.len()
    } else {
        tokens.len().min(1)
    };
    let (first, more) = tokens.split_at(first);
    let more = if more.is_empty() {
        String::new()
    } else {
        format!(",\"lictor\":{}", json!({"more": more}))
    };
    let text = format!(
        "{{\"signatures\":{}{more}{}{}}}",
        json!(first),
        member(&recipe.signatures_extra),
        " ".repeat(recipe.signatures_blanks)
    );
    let mut tar = entry(&recipe.signatures_name, text.as_bytes(), '0', "");
    if recipe.first_member_ends_archive {
        tar.extend_from_slice(&[0; 1024]);
    }
    gzip(&tar)
}

fn moment(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn keyring(recipe: &Recipe) -> Keyring {
    let keys = recipe.keys.iter().map(|entry| Key {
        kid: entry.kid.clone(),
        public_key: key(entry.key).verifying_key().to_bytes(),
        tenants: entry.tenants.as_ref().map(|tenants| {
            tenants
                .iter()
                .map(|tenant| tenant.parse().unwrap())
                .collect()
        }),
        not_before: entry.not_before.as_deref().map(moment),
        not_after: entry.not_after.as_deref().map(moment),
        revoked: entry.revoked,
    });
    Keyring {
        threshold: recipe.threshold,
        keys: keys.collect(),
    }
}

fn expected(recipe: &Recipe, archive: &[u8], payload: &str) -> Expected {
    let payload = if recipe.mark_of_other_payload {
        "other"
    } else {
        payload
    };
    Expected {
        tenant: recipe.expected_tenant.parse().unwrap(),
        constitutional_hash: Some(recipe.expected_hash.clone()),
        mark: recipe.mark.map(|number| Mark {
            tenant: recipe.expected_tenant.parse().unwrap(),
            number,
            payload: Sha256::digest(payload).into(),
        }),
        running: recipe.running,
        min_number: recipe.min_number,
        now: moment(&recipe.now),
        clock_skew: 60,
        announced: match recipe.announced.as_str() {
            "none" => None,
            "own" => Some(Sha256::digest(archive).into()),
            "other" => Some([7; 32]),
            other => panic!("`announced: {other}`"),
        },
    }
}

//! What an attack's folder says: a bundle in a few words, and what it is held against.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use lictor::model::Timestamp;
use lictor::policy::{Format, to_json};
use serde::Deserialize;

/// A bundle and its surroundings; everything has a default that is accepted.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    // The signed claims.
    pub format: u32,
    pub tenant: String,
    pub number: u64,
    pub issued_at: String,
    pub expires_at: String,
    pub constitutional_hash: String,
    // The contents.
    /// The one policy, as JSON text.
    pub policy: String,
    /// Content of `data.json`.
    pub data: String,
    pub extra: Vec<Extra>,
    /// Listed and hashed, but not stored.
    pub drop: Vec<String>,
    /// Listed twice in the signed payload.
    pub list_twice: Vec<String>,
    /// Of the manifest; the default is the claims'.
    pub manifest_revision: Option<String>,
    /// Whether the manifest lists the policy.
    pub manifest_lists: bool,
    /// Whether `.manifest` is stored last instead of first.
    pub manifest_last: bool,
    /// Bytes behind the end of the tar archive, inside the second member.
    pub after_end: String,
    pub end_of_archive: bool,
    /// Whether a third gzip member is part of what is signed as the second.
    pub signed_third_member: bool,
    // The signatures.
    pub signers: Vec<Signer>,
    /// Text of a further payload member, such as `"x": 1`.
    pub payload_extra: String,
    /// Text of a further member of `.signatures.json`.
    pub signatures_extra: String,
    /// Whether all tokens stand in `signatures`, which OPA refuses.
    pub all_in_one_list: bool,
    pub signatures_name: String,
    /// Blanks before the end of `.signatures.json`.
    pub signatures_blanks: usize,
    pub first_member_ends_archive: bool,
    // What happens on the way.
    pub flip_last_byte: bool,
    pub append: String,
    // What it is held against.
    pub threshold: usize,
    pub keys: Vec<Trusted>,
    pub now: String,
    pub expected_tenant: String,
    pub expected_hash: String,
    pub mark: Option<u64>,
    /// Whether the mark carries another payload.
    pub mark_of_other_payload: bool,
    pub min_number: u64,
    pub running: Option<u64>,
    /// `none`, `own` or `other`.
    pub announced: String,
    pub max_archive_bytes: u64,
    pub max_entries: usize,
    pub max_entry_bytes: u64,
    pub max_total_bytes: u64,
    pub check_hashes: bool,
    /// A file that is listed with another file's hash.
    pub wrong_hash: Option<String>,
}

/// A file beside the policy and the data.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extra {
    pub name: String,
    #[serde(default)]
    pub text: String,
    /// How often the text is repeated.
    #[serde(default = "once")]
    pub times: usize,
    /// The tar header's type.
    #[serde(default = "regular")]
    pub kind: char,
    #[serde(default)]
    pub link: String,
    #[serde(default = "yes")]
    pub listed: bool,
    /// Whether it stands behind everything else, unsorted.
    #[serde(default)]
    pub last: bool,
}

/// Who signs: a kid, the number of a key pair, and the token's mark.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signer {
    pub kid: String,
    pub key: u8,
    #[serde(default = "bundle_type")]
    pub typ: String,
    #[serde(default = "algorithm")]
    pub alg: String,
    /// Signs a payload that differs by a blank.
    #[serde(default)]
    pub other_payload: bool,
}

/// An entry of the keyring.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trusted {
    pub kid: String,
    pub key: u8,
    #[serde(default)]
    pub revoked: bool,
    #[serde(default)]
    pub tenants: Option<Vec<String>>,
    #[serde(default)]
    pub not_before: Option<String>,
    #[serde(default)]
    pub not_after: Option<String>,
}

fn once() -> usize {
    1
}

fn regular() -> char {
    '0'
}

fn yes() -> bool {
    true
}

fn bundle_type() -> String {
    "lictor-bundle+jws".to_owned()
}

fn algorithm() -> String {
    "EdDSA".to_owned()
}

/// A validation policy with a test that passes.
const POLICY: &str = r#"{"apiVersion":"lictor.dev/v1","kind":"ValidationPolicy","metadata":{"name":"https"},
"spec":{"type":"SECURITY","severity":"high","validations":[{"expression":"input.url.startsWith(\"https://\")",
"field":"url","message":"plain http"}]},
"tests":[{"name":"plain http is refused","input":{"url":"http://a"},"expect":{"compliant":false}}]}"#;

impl Default for Recipe {
    fn default() -> Self {
        Self {
            format: 1,
            tenant: "acme".to_owned(),
            number: 7,
            issued_at: "2026-11-01T00:00:00Z".to_owned(),
            expires_at: "2026-11-08T00:00:00Z".to_owned(),
            constitutional_hash: "cdd01ef066bc6cf2".to_owned(),
            policy: POLICY.to_owned(),
            data: r#"{"limit": 1.0}"#.to_owned(),
            extra: Vec::new(),
            drop: Vec::new(),
            list_twice: Vec::new(),
            manifest_revision: None,
            manifest_lists: true,
            manifest_last: false,
            after_end: String::new(),
            end_of_archive: true,
            signed_third_member: false,
            signers: vec![Signer {
                kid: "a".to_owned(),
                key: 1,
                typ: bundle_type(),
                alg: algorithm(),
                other_payload: false,
            }],
            payload_extra: String::new(),
            signatures_extra: String::new(),
            all_in_one_list: false,
            signatures_name: ".signatures.json".to_owned(),
            signatures_blanks: 0,
            first_member_ends_archive: false,
            flip_last_byte: false,
            append: String::new(),
            threshold: 1,
            keys: ["a", "b"]
                .into_iter()
                .zip(1..)
                .map(|(kid, key)| Trusted {
                    kid: kid.to_owned(),
                    key,
                    revoked: false,
                    tenants: None,
                    not_before: None,
                    not_after: None,
                })
                .collect(),
            now: "2026-11-02T00:00:00Z".to_owned(),
            expected_tenant: "acme".to_owned(),
            expected_hash: "cdd01ef066bc6cf2".to_owned(),
            mark: None,
            mark_of_other_payload: false,
            min_number: 0,
            running: None,
            announced: "none".to_owned(),
            max_archive_bytes: 1 << 20,
            max_entries: 100,
            max_entry_bytes: 64 << 20,
            max_total_bytes: 64 << 20,
            check_hashes: false,
            wrong_hash: None,
        }
    }
}

impl Recipe {
    /// Moves every moment so that the recipe's `now` is this one: a running program has its own clock. What is
    /// refused for being too early is moved half a minute further, to be too early still when it arrives.
    pub fn shift_to(&mut self, now: SystemTime) {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let was = moment(&self.now);
        let too_early = moment(&self.issued_at) > was
            || self.keys.iter().any(|key| {
                let start = key.not_before.as_deref();
                start.is_some_and(|start| moment(start) > was)
            });
        let shift = seconds - was.unix_seconds() + if too_early { 30 } else { 0 };
        let move_by = |text: &mut String| *text = moment(text).plus_seconds(shift).to_string();
        move_by(&mut self.now);
        move_by(&mut self.issued_at);
        move_by(&mut self.expires_at);
        for key in &mut self.keys {
            let window = [&mut key.not_before, &mut key.not_after];
            window.into_iter().flatten().for_each(move_by);
        }
    }

    /// Whether two recipes are held against the same keyring.
    pub fn trusts_the_same(&self, other: &Self) -> bool {
        self.threshold == other.threshold && self.keys == other.keys
    }
}

fn moment(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// `attack.yaml`: a recipe with what is to become of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attack {
    /// What the attacker does.
    pub what: String,
    pub step: u8,
    pub code: String,
    pub recipe: Recipe,
}

/// An attack's folder.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    pub attack: Attack,
    pub twin: Recipe,
    /// The members in which the two recipes differ.
    pub differences: Vec<String>,
}

/// All folders below `tests/attacks`, by name.
pub fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    let mut cases: Vec<Case> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| case(&path))
        .collect();
    cases.sort_by(|left, right| left.name.cmp(&right.name));
    cases
}

fn case(folder: &Path) -> Case {
    let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
    let json = |file: &str| -> serde_json::Value {
        let text = std::fs::read(folder.join(file)).unwrap();
        serde_json::from_str(&to_json(file, &text, Format::Yaml).unwrap()).unwrap()
    };
    let (attack, twin) = (json("attack.yaml"), json("twin.yaml"));
    let (left, right) = (
        attack["recipe"].as_object().unwrap(),
        twin.as_object().unwrap(),
    );
    let mut members: Vec<&String> = left.keys().chain(right.keys()).collect();
    members.sort_unstable();
    members.dedup();
    let differ = |member: &&&String| left.get(**member) != right.get(**member);
    Case {
        differences: members
            .iter()
            .filter(differ)
            .map(ToString::to_string)
            .collect(),
        attack: serde_json::from_value(attack.clone())
            .unwrap_or_else(|error| panic!("{name}: {error}")),
        twin: serde_json::from_value(twin.clone())
            .unwrap_or_else(|error| panic!("{name}: {error}")),
        name,
    }
}

//! A control plane of its own for each test: keys, tokens, the process, and calls to it.

use std::path::PathBuf;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use lictor::bundle::{self, Expected, Key, Keyring, Manifest};
use lictor::identity::{Grant, Issuer};
use lictor::model::Timestamp;
use lictor::server::secret;
use lictor::snapshot::load;
use lictor::snapshot::{Signed, Snapshot};
use serde_json::Value;

use crate::support::{Answer, Http, Lictor, lictor, scratch};

pub const HASH: &str = "cdd01ef066bc6cf2";

/// A control plane under test.
pub struct Plane {
    pub folder: tempfile::TempDir,
    pub lictor: Lictor,
    issuer: Issuer,
}

/// What a test may change of the configuration before the start.
#[derive(Clone, Default)]
pub struct Changes {
    /// Further lines of the file.
    pub lines: String,
    /// Which key signs bundles: `k1` or `k2`.
    pub second_key: bool,
}

impl Plane {
    pub fn start() -> Self {
        Self::start_with(&Changes::default())
    }

    pub fn start_with(changes: &Changes) -> Self {
        let folder = scratch();
        for (name, seed) in [("k1", 1), ("k2", 2), ("content", 3), ("token", 4)] {
            write_key(&folder.path().join(format!("{name}.pem")), seed);
        }
        let keyring = Keyring {
            threshold: 1,
            keys: vec![public("k1", 1), public("k2", 2)],
        };
        std::fs::write(folder.path().join("keyring.yaml"), keyring.to_yaml()).unwrap();
        let pem = secret::read_private(&folder.path().join("token.pem")).unwrap();
        let issuer = Issuer::from_pem("tests", None, &pem).unwrap();
        std::fs::write(
            folder.path().join("token.pub"),
            base64(&issuer.public_key()),
        )
        .unwrap();
        let lictor = spawn(folder.path(), changes);
        Self {
            folder,
            lictor,
            issuer,
        }
    }

    /// Ends the process without a word and starts it again on the same folder.
    pub fn kill_and_restart(&mut self, changes: &Changes) {
        self.lictor.signal("KILL");
        self.lictor.exit();
        self.lictor = spawn(self.folder.path(), changes);
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A token of tenant `acme`.
    pub fn token(&self, role: &str) -> String {
        self.token_of("acme", &[role])
    }

    pub fn token_of(&self, tenant: &str, roles: &[&str]) -> String {
        self.issuer
            .mint(&Grant {
                subject: format!("{tenant}-{}", roles.join("-")),
                tenant: tenant.parse().unwrap(),
                roles: roles.iter().map(ToString::to_string).collect(),
                audience: vec!["lictor".into()],
                issued_at: now(),
                lifetime_seconds: 3600,
                extra: serde_json::Map::new(),
            })
            .unwrap()
    }

    /// A client with a token of this role.
    pub fn client(&mut self, role: &str) -> Client {
        let token = self.token(role);
        self.client_with(&token)
    }

    pub fn client_with(&mut self, token: &str) -> Client {
        Client {
            http: Http::tcp(self.lictor.address("control_plane")),
            authorization: format!("Bearer {token}"),
        }
    }
}

fn spawn(folder: &std::path::Path, changes: &Changes) -> Lictor {
    let at = |name: &str| folder.join(name).display().to_string();
    let kid = if changes.second_key { "k2" } else { "k1" };
    let mut text = format!(
        "listener: {{address: \"127.0.0.1:0\", grpc_address: \"127.0.0.1:0\"}}\n\
         data_dir: {}\n\
         bundle_key: {{kid: {kid}, file: {}}}\n\
         keyring: {}\n\
         content_key_file: {}\n",
        at("data"),
        at(&format!("{kid}.pem")),
        at("keyring.yaml"),
        at("content.pem"),
    );
    if !changes.lines.contains("insecure_no_auth") && !changes.lines.contains("identity") {
        text.push_str("identity: {issuers: [{name: tests, audience: [lictor], public_key_file: ");
        text.push_str(&at("token.pub"));
        text.push_str("}]}\n");
    }
    text.push_str(&changes.lines);
    let file = folder.join("control-plane.yaml");
    std::fs::write(&file, text).unwrap();
    Lictor::spawn(lictor().arg("control-plane").arg("--config").arg(file))
}

/// Calls with a token.
pub struct Client {
    http: Http,
    authorization: String,
}

impl Client {
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let authorization = self.authorization.clone();
        let mut all = vec![
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
        ];
        all.retain(|(name, _)| !headers.iter().any(|(other, _)| other == name));
        all.extend_from_slice(headers);
        self.http.send(method, path, &all, body)
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], Bytes::new())
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], body.to_string())
    }

    pub fn put(&mut self, path: &str) -> Answer {
        self.send("PUT", path, &[], Bytes::new())
    }

    /// Makes a policy with content; its id.
    pub fn create(&mut self, name: &str, content: &Value) -> String {
        let body = serde_json::json!({"name": name, "content": content});
        let answer = self.post("/api/v1/policies", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Makes a version.
    pub fn version(&mut self, policy: &str, version: &str, content: &Value) -> Answer {
        let path = format!("/api/v1/policies/{policy}/versions?version={version}");
        self.post(&path, content)
    }

    /// Activates a version; the number that will contain it.
    pub fn activate(&mut self, policy: &str, version: &str) -> u64 {
        let path = format!("/api/v1/policies/{policy}/activate?version={version}");
        let answer = self.put(&path);
        assert_eq!(answer.status, 200, "{}", answer.text());
        revision(&answer)
    }

    /// Waits for the bundle with at least this number.
    pub fn bundle(&mut self, number: u64) -> Answer {
        let mut tag = "\"none\"".to_owned();
        let end = std::time::Instant::now() + std::time::Duration::from_mins(1);
        loop {
            let headers = [("if-none-match", tag.as_str()), ("prefer", "wait=20")];
            let answer = self.send(
                "GET",
                "/api/v1/bundles/active/download",
                &headers,
                Bytes::new(),
            );
            assert_eq!(answer.status, 200, "{}", answer.text());
            let found: u64 = answer
                .header("x-lictor-revision")
                .split('-')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            if found >= number {
                return answer;
            }
            assert!(
                std::time::Instant::now() < end,
                "still {found}, not {number}"
            );
            answer.header("etag").clone_into(&mut tag);
        }
    }
}

/// `x-lictor-revision` of a write.
pub fn revision(answer: &Answer) -> u64 {
    answer.header("x-lictor-revision").parse().unwrap()
}

/// Verifies an archive as a sidecar of the tenant does.
pub fn verified(archive: &[u8], tenant: &str) -> (Snapshot, Manifest) {
    let keyring = Keyring {
        threshold: 1,
        keys: vec![public("k1", 1), public("k2", 2)],
    };
    let expected = Expected {
        tenant: tenant.parse().unwrap(),
        constitutional_hash: Some(HASH.into()),
        mark: None,
        running: None,
        min_number: 1,
        now: now(),
        clock_skew: 0,
        announced: None,
    };
    let limits = bundle::Limits::default();
    let verified = bundle::verify(archive, &keyring, &expected, &limits).unwrap();
    let options = load::Options {
        archive: limits,
        decision: lictor::engine::Limits::default(),
        hash_files: true,
        now: now(),
        source: "test".into(),
    };
    let snapshot = load::load(&verified, &options).unwrap();
    let manifest = signed(&snapshot).manifest.clone();
    (snapshot, manifest)
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(kid: &str, seed: u8) -> Key {
    Key {
        kid: kid.into(),
        public_key: key(seed).verifying_key().to_bytes(),
        tenants: None,
        not_before: None,
        not_after: None,
        revoked: false,
    }
}

fn write_key(path: &std::path::Path, seed: u8) {
    let pem = key(seed).to_pkcs8_pem(LineEnding::LF).unwrap();
    secret::write_new(path, pem.as_bytes()).unwrap();
}

pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Timestamp::from_unix_nanos(since.as_nanos() as i128)
}

/// What the signature of the one bundle vouches for.
pub fn signed(snapshot: &Snapshot) -> &Signed {
    snapshot.bundles[0].signed.as_ref().unwrap()
}

//! A pod: one folder with a keyring, a source file and a cache, and sidecars started on it.

use std::borrow::Borrow;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lictor::bundle::{Builder, Key, Keyring, PolicyEntry, SigningKey};
use lictor::model::{PolicyId, Timestamp, VersionStatus};
use lictor::policy::canonical::content_hash;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Answer, Http, Lictor, lictor, scratch};

pub const TENANT: &str = "acme";
pub const HASH: &str = "cdd01ef066bc6cf2";
const PATIENCE: Duration = Duration::from_mins(1);

/// What sidecars of one pod share.
#[derive(Debug)]
pub struct Pod {
    dir: TempDir,
}

/// A running sidecar.
#[derive(Debug)]
pub struct Sidecar {
    pub process: Lictor,
    pub http: SocketAddr,
    admin: Http,
}

impl Pod {
    /// Trusts [`signing_key`], and has no bundle yet.
    pub fn new() -> Self {
        let pod = Self { dir: scratch() };
        pod.trust(&[&signing_key()]);
        pod.configure(&json!({}));
        pod
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a keyring of these keys.
    pub fn trust(&self, keys: &[&SigningKey]) {
        let keyring = Keyring {
            threshold: 1,
            keys: Vec::new(),
        };
        self.trust_beside(keyring, keys);
    }

    /// Writes this keyring with further keys.
    pub fn trust_beside<K: Borrow<SigningKey>>(&self, mut keyring: Keyring, keys: &[K]) {
        keyring
            .keys
            .extend(keys.iter().map(Borrow::borrow).map(|key| Key {
                kid: key.kid.clone(),
                public_key: key.public_key(),
                tenants: None,
                not_before: None,
                not_after: None,
                revoked: false,
            }));
        replace(&self.path("keyring.yaml"), keyring.to_yaml().as_bytes());
    }

    /// Writes the configuration: what the tests need, with the members of `more` in place of those of the same name.
    pub fn configure(&self, more: &Value) {
        let path = |name: &str| self.path(name).display().to_string();
        let mut config = json!({
            "tenant": TENANT,
            "listeners": {
                "http": {"address": "127.0.0.1:0"},
                "admin": {"address": "127.0.0.1:0"},
            },
            "sources": [{"name": "main", "url": path("source.tar.gz")}],
            "constitutional_hash": HASH,
            "keyring": path("keyring.yaml"),
            "cache": {"dir": path("cache")},
        });
        for (name, value) in more.as_object().unwrap() {
            config[name] = value.clone();
        }
        replace(&self.path("sidecar.yaml"), config.to_string().as_bytes());
    }

    /// Puts an archive where the source looks.
    pub fn put(&self, archive: &[u8]) {
        replace(&self.path("source.tar.gz"), archive);
    }

    /// Takes the source away.
    pub fn remove_source(&self) {
        std::fs::remove_file(self.path("source.tar.gz")).unwrap();
    }

    /// A command that starts a sidecar.
    pub fn command(&self) -> Command {
        let mut command = lictor();
        command
            .arg("sidecar")
            .arg("--config")
            .arg(self.path("sidecar.yaml"));
        command
    }

    /// Starts a sidecar.
    pub fn start(&self) -> Sidecar {
        Sidecar::started(&mut self.command())
    }
}

impl Sidecar {
    /// Starts this command and learns where it listens.
    pub fn started(command: &mut Command) -> Self {
        let mut process = Lictor::spawn(command);
        let http = process.address("http");
        let admin = Http::tcp(process.address("admin"));
        Self {
            process,
            http,
            admin,
        }
    }

    /// `/v1/status`.
    pub fn status(&mut self) -> Value {
        self.admin.get("/v1/status").json()
    }

    /// `POST /v1/sync`: what the first source had.
    pub fn sync(&mut self) -> Answer {
        self.admin.send("POST", "/v1/sync", &[], "")
    }

    /// The same; false when the sidecar is gone.
    pub fn sync_or_gone(&mut self) -> bool {
        self.admin.try_send("POST", "/v1/sync", &[], "").is_ok()
    }

    pub fn metrics(&mut self) -> String {
        self.admin.get("/metrics").text()
    }

    /// Waits until the status satisfies `state`; panics with the last one.
    pub fn wait_for(&mut self, what: &str, state: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if state(&status) {
                return status;
            }
            assert!(
                Instant::now() < end,
                "{what} did not come about: {status:#}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until this number is active.
    pub fn wait_for_number(&mut self, number: u64) -> Value {
        self.wait_for(&format!("number {number}"), |status| {
            active_number(status) == Some(number)
        })
    }

    /// Which number decides, and its word; panics where there is no decision or its violations disagree.
    pub fn decide(&self) -> (u64, String) {
        decided(&validate(&mut Http::tcp(self.http)))
    }
}

/// The number that `/v1/status` shows.
pub fn active_number(status: &Value) -> Option<u64> {
    status["bundle"]["number"].as_u64()
}

/// Asks for a validation that both policies of [`bundle`] refuse.
pub fn validate(http: &mut Http) -> Answer {
    http.post("/v1/validate", &json!({"service": "payments"}))
}

/// The number that answered, and the one word of both violations.
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

/// The key that [`Pod::new`] trusts.
pub fn signing_key() -> SigningKey {
    SigningKey::from_seed("test-key", &[7; 32])
}

/// A bundle with two policies, each of which refuses everything with `word`.
pub fn bundle(number: u64, word: &str) -> Vec<u8> {
    bundle_signed(number, word, &[&signing_key()])
}

/// The same, signed with these keys.
pub fn bundle_signed(number: u64, word: &str, keys: &[&SigningKey]) -> Vec<u8> {
    let now = Timestamp::from_unix_seconds(
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs() as i64,
    );
    let expires = now.plus_seconds(7 * 86_400);
    let mut builder = Builder::new(TENANT.parse().unwrap(), number, now, expires, HASH.into());
    for name in ["first", "second"] {
        let content = json!({
            "apiVersion": "lictor.dev/v1",
            "kind": "ValidationPolicy",
            "metadata": {"name": name},
            "spec": {
                "type": "TEST",
                "severity": "high",
                "validations": [{"expression": "false", "field": "service", "message": word}],
            },
        });
        let content = content.to_string().into_bytes();
        let entry = PolicyEntry {
            id: PolicyId::derived(TENANT, "ValidationPolicy", name),
            name: name.into(),
            kind: "ValidationPolicy".into(),
            version: "1.0.0".into(),
            status: VersionStatus::Active,
            group: None,
            created_at: now,
            changed_at: now,
            content_hash: content_hash(&content).unwrap(),
            path: String::new(),
        };
        builder.policy(entry, content);
    }
    builder.build(keys).unwrap()
}

/// Never leaves a half-written file for a reader.
fn replace(path: &Path, bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
    file.persist(path).unwrap();
}

//! A pod: one folder with a keyring, a source file and a cache, and sidecars started on it.

use std::borrow::Borrow;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use lictor::bundle::{Key, Keyring, SigningKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::bundle::{HASH, TENANT, signing_key};
use super::sidecar::Sidecar;
use super::{Lictor, lictor, scratch};

/// What sidecars of one pod share.
#[derive(Clone, Debug)]
pub struct Pod {
    dir: Arc<TempDir>,
}

impl Pod {
    /// Trusts [`signing_key`], and has no bundle yet.
    pub fn new() -> Self {
        let pod = Self {
            dir: Arc::new(scratch()),
        };
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
        self.put_at("keyring.yaml", keyring.to_yaml().as_bytes());
    }

    /// Writes the configuration: what the tests need, with the members of `more` in place of those of the same name.
    pub fn configure(&self, more: &Value) {
        let path = |name: &str| self.path(name).display().to_string();
        let mut config = json!({
            "tenant": TENANT,
            "listeners": {
                "http": {"address": "127.0.0.1:0"},
                "grpc": {"address": "127.0.0.1:0"},
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
        self.put_at("sidecar.yaml", config.to_string().as_bytes());
    }

    /// Puts an archive where the source looks.
    pub fn put(&self, archive: &[u8]) {
        self.put_at("source.tar.gz", archive);
    }

    /// Writes a file of the folder, and never leaves a half-written one for a reader.
    pub fn put_at(&self, name: &str, bytes: &[u8]) {
        let mut file = tempfile::NamedTempFile::new_in(self.dir.path()).unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        file.persist(self.path(name)).unwrap();
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
        self.spawn(&mut self.command())
    }

    /// Starts this command of a sidecar and learns where it listens.
    pub fn spawn(&self, command: &mut Command) -> Sidecar {
        let mut process = Lictor::spawn(command);
        Sidecar {
            http: process.address("http"),
            grpc: process.address("grpc"),
            admin: process.address("admin"),
            process,
            pod: self.clone(),
        }
    }
}

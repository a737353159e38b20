//! A sidecar with a keyring, a folder of bundles, and a configuration.

use std::fs;
use std::net::SocketAddr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use lictor::bundle::{Builder, Key, Keyring, PolicyEntry, SigningKey};
use lictor::model::Timestamp;
use lictor::policy::{self, Format, canonical};

use crate::support::{Answer, Http, Lictor, lictor, scratch};

const TENANT: &str = "acme";

/// A running sidecar.
#[derive(Debug)]
pub struct Pod {
    pub folder: tempfile::TempDir,
    pub lictor: Lictor,
    pub http: SocketAddr,
    pub admin: SocketAddr,
}

impl Pod {
    /// Starts one with bundle 1 of these policies and waits until it decides. `extra` goes into the configuration
    /// as further sections.
    pub fn deciding(policies: &str, extra: &str) -> Self {
        let folder = scratch();
        prepare(&folder, extra);
        publish(&folder, 1, policies);
        let mut pod = Self::start(folder, &[]);
        pod.wait_ready();
        pod
    }

    /// Starts one that has no bundle.
    pub fn empty(extra: &str) -> Self {
        let folder = scratch();
        prepare(&folder, extra);
        Self::start(folder, &[])
    }

    /// Starts one that has no bundle, with further variables.
    pub fn empty_under(environment: &[(&str, &str)]) -> Self {
        let folder = scratch();
        prepare(&folder, "");
        Self::start(folder, environment)
    }

    fn start(folder: tempfile::TempDir, environment: &[(&str, &str)]) -> Self {
        let config = folder.path().join("sidecar.yaml");
        let mut command = lictor();
        command.args(["sidecar", "--config"]).arg(&config);
        let mut lictor = Lictor::spawn(command.envs(environment.iter().copied()));
        let http = lictor.address("http");
        let admin = lictor.address("admin");
        Self {
            folder,
            lictor,
            http,
            admin,
        }
    }

    pub fn wait_ready(&mut self) {
        let admin = self.admin;
        self.lictor.wait_for("readiness", |_| {
            (Http::tcp(admin).get("/health/ready").status == 200).then_some(())
        });
    }

    pub fn publish(&self, number: u64, policies: &str) {
        publish(&self.folder, number, policies);
    }

    pub fn http(&self) -> Http {
        Http::tcp(self.http)
    }

    /// Posts JSON text.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.post_with(path, &[], body)
    }

    /// Posts JSON text with further headers.
    pub fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        self.http().send("POST", path, &all, body.to_owned())
    }

    pub fn admin(&self, path: &str) -> Answer {
        Http::tcp(self.admin).get(path)
    }

    /// The value of a metric's line.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let page = self.admin("/metrics").text();
        let line = page.lines().find(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(' '))
        })?;
        line.rsplit(' ').next()?.parse().ok()
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed("k1", &[7; 32])
}

fn prepare(folder: &tempfile::TempDir, extra: &str) {
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::create_dir(path("bundles")).unwrap();
    let keyring = Keyring {
        threshold: 1,
        keys: vec![Key {
            kid: "k1".into(),
            public_key: key().public_key(),
            tenants: None,
            not_before: None,
            not_after: None,
            revoked: false,
        }],
    };
    fs::write(path("keyring.yaml"), keyring.to_yaml()).unwrap();
    let config = format!(
        "tenant: {TENANT}\nkeyring: {}\ncache: {{dir: none}}\nsources:\n  - url: {}\nlisteners:\n  \
         http: {{address: '127.0.0.1:0', unix: '{}', allowed_origins: ['https://console.example']}}\n  \
         admin: {{address: '127.0.0.1:0'}}\nthreads: 2\n{extra}",
        path("keyring.yaml"),
        path("bundles"),
        path("http.sock"),
    );
    fs::write(path("sidecar.yaml"), config).unwrap();
}

fn publish(folder: &tempfile::TempDir, number: u64, policies: &str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = Timestamp::from_unix_seconds(now.as_secs() as i64);
    let mut builder = Builder::new(
        TENANT.parse().unwrap(),
        number,
        now,
        now.plus_seconds(3600),
        "cdd01ef066bc6cf2".to_owned(),
    );
    for document in
        policy::parse("policies.yaml", policies.as_bytes(), Format::Yaml, TENANT).unwrap()
    {
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
    builder.file(
        "todo/data.json".into(),
        include_bytes!("todo.json").to_vec(),
    );
    let archive = builder.build(&[&key()]).unwrap();
    let temporary = folder.path().join("bundle.tmp");
    fs::write(&temporary, archive).unwrap();
    fs::rename(
        temporary,
        folder.path().join(format!("bundles/{number}.tar.gz")),
    )
    .unwrap();
}

/// Waits for a state with a deadline.
pub fn eventually<T>(what: &str, mut state: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + std::time::Duration::from_mins(1);
    loop {
        if let Some(value) = state() {
            return value;
        }
        assert!(Instant::now() < end, "{what} did not come about");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

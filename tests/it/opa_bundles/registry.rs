//! A real OCI registry (Docker's `registry`), found through `LICTOR_REGISTRY`.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::pod::Pod;
use crate::support::{lictor, outside, scratch};

use super::{ask, authz};

struct Registry {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Registry {
    /// Starts it on a free port; with a password where `htpasswd` is given.
    fn start(binary: &Path, htpasswd: Option<&str>) -> Self {
        let folder = scratch();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut config = json!({
            "version": "0.1",
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": folder.path().join("data")}},
            "http": {"addr": format!("127.0.0.1:{port}")},
        });
        if let Some(line) = htpasswd {
            let path = folder.path().join("htpasswd");
            std::fs::write(&path, line).unwrap();
            config["auth"] = json!({"htpasswd": {"realm": "test", "path": path}});
        }
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let process = Command::new(binary)
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "the registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            process,
            port,
            folder,
        }
    }

    fn reference(&self, name: &str) -> String {
        format!("oci+http://127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a command prints, which must succeed.
fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bundles_are_pushed_pulled_and_followed() {
    let Some(binary) = outside("registry") else {
        return;
    };
    let registry = Registry::start(&binary, None);
    let reference = registry.reference("team/authz:live");
    let pod = Pod::new();
    pod.put_at("one.tar.gz", &authz("one"));
    pod.put_at("two.tar.gz", &authz("two"));
    let push = |file: &str| {
        done(
            lictor()
                .args(["bundle", "push"])
                .arg(pod.path(file))
                .arg(&reference),
        )
    };
    let pushed = push("one.tar.gz");
    assert!(pushed.contains("manifest sha256:"), "{pushed}");
    done(
        lictor()
            .args(["bundle", "pull", &reference, "--out"])
            .arg(pod.path("pulled.tar.gz")),
    );
    assert_eq!(
        std::fs::read(pod.path("pulled.tar.gz")).unwrap(),
        std::fs::read(pod.path("one.tar.gz")).unwrap()
    );
    pod.configure(&json!({
        "keyring": "",
        "sources": [{
            "name": "authz", "url": reference, "profile": "opa",
            "allow_unsigned": true, "poll": "1s",
        }],
    }));
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    assert_eq!(ask(&sidecar, "ada").0, "one");
    push("two.tar.gz");
    sidecar.wait_for("the second push", |status| {
        status["bundle"]["revision"] == "two"
    });
    assert_eq!(ask(&sidecar, "ada").0, "two");
    assert_eq!(sidecar.status()["sources"][0]["kind"], "oci");
    drop(registry);
    let status = sidecar.wait_for("an error", |status| {
        status["sources"][0]["last_error"]["code"] == "unreachable"
    });
    assert_eq!(status["bundle"]["revision"], "two");
}

#[test]
fn a_registry_with_a_password_wants_it() {
    let Some(binary) = outside("registry") else {
        return;
    };
    // `test` in bcrypt.
    let line = "ada:$2y$05$q1qD1DOYXIOyM3ZXqK6ZxuFTGnXkHnqfLtxKfGxz6XBRyKWWJmGzK\n";
    let registry = Registry::start(&binary, Some(line));
    let reference = registry.reference("team/authz:live");
    let pod = Pod::new();
    pod.put_at("one.tar.gz", &authz("one"));
    pod.put_at("wrong", b"another");
    let refused = |more: &[&str]| {
        let mut command = lictor();
        command.args(["bundle", "push"]).arg(pod.path("one.tar.gz"));
        let output = command.arg(&reference).args(more).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let wrong = pod.path("wrong");
    let wrong = wrong.to_str().unwrap();
    for more in [&[][..], &["--username", "ada", "--password-file", wrong]] {
        let error = refused(more);
        assert!(error.contains("refused the credentials"), "{error}");
    }
    assert!(registry.folder.path().exists());
}

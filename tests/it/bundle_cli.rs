//! `lictor bundle` and `lictor key`, through the binary.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::support::{lictor, scratch};

const POLICY: &str = "\
apiVersion: lictor.dev/v1
kind: ValidationPolicy
metadata: {name: https-required, version: 1.2.0}
spec:
  type: SECURITY
  severity: critical
  validations:
    - expression: input.url.startsWith('https://')
      field: url
      message: Use HTTPS
tests:
  - name: plain http is refused
    input: {url: 'http://a'}
    expect: {compliant: false}
";

/// Runs the binary; exit code, standard output, standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = lictor().args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Runs it with `--output json`.
fn json(arguments: &[&str], code: i32) -> Value {
    let (found, stdout, stderr) = run(&[arguments, &["--output", "json"]].concat());
    assert_eq!(found, code, "{arguments:?}\n{stdout}{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

/// A folder with a key, its keyring, and policies.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = scratch();
        let bench = Self { folder };
        let made = json(
            &["key", "generate", "--kid", "main", "--out", &bench.path("")],
            0,
        );
        fs::write(
            bench.path("keyring.yaml"),
            made["keyring"].as_str().unwrap(),
        )
        .unwrap();
        bench.write("policies/https.yaml", POLICY);
        bench.write("policies/limits/data.yaml", "rate: 1.50\nnames: [a, b]\n");
        bench.write("policies/README.md", "not a policy");
        bench
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn build(&self, number: &str, out: &str, code: i32) -> Value {
        let (policies, key, out) = (
            self.path("policies"),
            self.path("bundle.key.pem"),
            self.path(out),
        );
        let arguments = [
            "bundle",
            "build",
            &policies,
            "--tenant",
            "acme",
            "--number",
            number,
            "--issued-at",
            "2026-11-01T00:00:00Z",
            "--expires-in",
            "7d",
            "--key",
            &key,
            "--kid",
            "main",
            "-o",
            &out,
        ];
        json(&arguments, code)
    }

    fn verify(&self, name: &str, more: &[&str], code: i32) -> Value {
        let (path, keyring) = (self.path(name), self.path("keyring.yaml"));
        let arguments = [
            "bundle",
            "verify",
            &path,
            "--keyring",
            &keyring,
            "--at",
            "2026-11-02T00:00:00Z",
        ];
        json(&[&arguments, more].concat(), code)
    }
}

#[test]
fn a_folder_becomes_a_bundle_that_verifies() {
    let bench = Bench::new();
    let built = bench.build("3", "a.tar.gz", 0);
    assert!(
        built["revision"].as_str().unwrap().starts_with("3-"),
        "{built}"
    );
    assert_eq!(built["ignored"], serde_json::json!(["README.md"]));
    bench.build("3", "again.tar.gz", 0);
    let bytes = |name: &str| fs::read(bench.path(name)).unwrap();
    assert_eq!(
        bytes("a.tar.gz"),
        bytes("again.tar.gz"),
        "the same input gives the same bytes"
    );

    let verified = bench.verify("a.tar.gz", &["--tenant", "acme", "--min-number", "3"], 0);
    assert_eq!(verified["verified"], true);
    assert_eq!(
        (&verified["policies"], &verified["kids"][0]),
        (&1.into(), &"main".into())
    );
    for (more, code) in [
        (&["--tenant", "other"][..], "wrong_tenant"),
        (&["--min-number", "4"], "stale"),
        (
            &["--constitutional-hash", "0000000000000000"],
            "wrong_constitutional_hash",
        ),
    ] {
        assert_eq!(bench.verify("a.tar.gz", more, 1)["code"], code);
    }
}

#[test]
fn what_a_bundle_says_can_be_seen_unverified() {
    let bench = Bench::new();
    bench.build("3", "a.tar.gz", 0);
    let shown = json(&["bundle", "inspect", &bench.path("a.tar.gz")], 0);
    assert_eq!(shown["verified"], false);
    assert_eq!(shown["policies"][0]["name"], "https-required");
    assert_eq!(shown["policies"][0]["version"], "1.2.0");
    assert_eq!(shown["claims"]["expires_at"], "2026-11-08T00:00:00Z");
    assert_eq!(shown["roots"], serde_json::json!(["limits"]));
    let (code, text, _) = run(&["bundle", "inspect", &bench.path("a.tar.gz")]);
    assert!(
        code == 0 && text.starts_with("not verified") && text.contains("limits/data.json"),
        "{text}"
    );
    let (code, _, error) = run(&["bundle", "inspect", &bench.path("keyring.yaml")]);
    assert!(code == 1 && error.contains("is no bundle"), "{error}");
}

#[test]
fn an_unpacked_bundle_is_verified_file_by_file() {
    let bench = Bench::new();
    bench.build("3", "a.tar.gz", 0);
    fs::create_dir(bench.path("unpacked")).unwrap();
    let unpacked = std::process::Command::new("tar")
        .args([
            "-xzf",
            &bench.path("a.tar.gz"),
            "-C",
            &bench.path("unpacked"),
        ])
        .status();
    assert!(unpacked.unwrap().success());
    let (unpacked, revision) = (bench.path("unpacked"), "revision");
    let shown = json(&["bundle", "inspect", &unpacked], 0);
    let verified = bench.verify("unpacked", &[], 0);
    assert_eq!(shown["claims"][revision], verified[revision]);
    bench.write(
        "unpacked/limits/data.json",
        r#"{"rate": 2, "names": ["a", "b"]}"#,
    );
    assert_eq!(
        bench.verify("unpacked", &[], 1)["code"],
        "manifest_mismatch"
    );
}

#[test]
fn further_signatures_meet_a_threshold() {
    let bench = Bench::new();
    bench.build("3", "a.tar.gz", 0);
    let made = json(
        &[
            "key",
            "generate",
            "--kid",
            "second",
            "--out",
            &bench.path("more"),
        ],
        0,
    );
    let second = made["keyring"]
        .as_str()
        .unwrap()
        .split_once("keys:\n")
        .unwrap()
        .1;
    let keyring = fs::read_to_string(bench.path("keyring.yaml"))
        .unwrap()
        .replace("threshold: 1", "threshold: 2");
    bench.write("keyring.yaml", &(keyring + second));
    assert_eq!(bench.verify("a.tar.gz", &[], 1)["code"], "untrusted");
    let (archive, key) = (bench.path("a.tar.gz"), bench.path("more/bundle.key.pem"));
    let sign = [
        "bundle", "sign", &archive, "--key", &key, "--kid", "second", "-o", &archive,
    ];
    assert_eq!(
        json(&sign, 0)["kids"],
        serde_json::json!(["main", "second"])
    );
    assert_eq!(bench.verify("a.tar.gz", &[], 0)["verified"], true);
    let (code, _, error) = run(&sign);
    assert!(
        code == 1 && error.contains("signed this bundle already"),
        "{error}"
    );
}

#[test]
fn two_bundles_are_compared_by_policy_and_file() {
    let bench = Bench::new();
    bench.build("3", "old.tar.gz", 0);
    bench.write(
        "policies/https.yaml",
        &POLICY.replace("Use HTTPS", "Please use HTTPS"),
    );
    bench.write("policies/new.json", r#"{"anything": "opaque"}"#);
    bench.write("policies/limits/data.yaml", "rate: 2\n");
    bench.build("4", "new.tar.gz", 0);
    let (old, new) = (bench.path("old.tar.gz"), bench.path("new.tar.gz"));
    let diff = json(&["bundle", "diff", &old, &new, "--exit-code"], 1);
    assert_eq!(diff["policies"]["added"][0]["name"], "new");
    assert_eq!(
        diff["policies"]["changed"][0]["new"]["name"],
        "https-required"
    );
    assert_eq!(
        diff["files"]["changed"],
        serde_json::json!(["limits/data.json"])
    );
    let (code, text, _) = run(&["bundle", "diff", &new, &old]);
    assert!(code == 0 && text.contains("- policy new 1.0.0"), "{text}");
    assert_eq!(run(&["bundle", "diff", &old, &old, "--exit-code"]).0, 0);
}

#[test]
fn errors_of_all_files_are_shown_with_their_places() {
    let bench = Bench::new();
    let found = || -> Vec<String> {
        let errors = bench.build("3", "a.tar.gz", 1)["errors"].clone();
        let shown = |error: &Value| {
            let file = error["file"].as_str().unwrap().rsplit('/').next().unwrap();
            format!(
                "{file}:{} {} {}",
                error["line"], error["path"], error["message"]
            )
        };
        errors.as_array().unwrap().iter().map(shown).collect()
    };
    bench.write(
        "policies/https.yaml",
        &POLICY.replace("severity: critical", "severity: dire"),
    );
    bench.write("policies/limits/data.json", "{}");
    bench.write("policies/more/data.json", "{\n\"a\": }");
    bench.write("policies/other.yaml", "kind: ValidatonPolicy\n");
    bench.write("policies/z.yaml", "modules: {a.rego: package a}\n");
    bench.write("policies/a.rego", "package a\n");
    let expected = [
        "https.yaml:6 \"spec.severity\" \"`dire` is none of",
        "data.yaml:1 \"\" \"the folder has another data document",
        "data.json:2 \"\" \"expected a value",
        "other.yaml:1 \"kind\"",
        "z.yaml:1 \"\" \"`a.rego` is there twice",
    ];
    let errors = found();
    for part in expected {
        let is_there = |error: &String| error.starts_with(part);
        assert!(errors.iter().any(is_there), "{part}: {errors:#?}");
    }
    assert!(!Path::new(&bench.path("a.tar.gz")).exists());
    for name in ["limits/data.json", "more/data.json", "z.yaml", "a.rego"] {
        fs::remove_file(bench.path(&format!("policies/{name}"))).unwrap();
    }
    bench.write("policies/https.yaml", POLICY);
    bench.write("policies/other.yaml", POLICY);
    let errors = found();
    assert!(
        errors.len() == 1 && errors[0].contains("version 1.2.0 of policy `https-required`"),
        "{errors:?}"
    );
}

#[test]
fn one_policy_is_not_called_policies() {
    let bench = Bench::new();
    bench.build("3", "a.tar.gz", 0);
    let (archive, keyring) = (bench.path("a.tar.gz"), bench.path("keyring.yaml"));
    let at = "2026-11-02T00:00:00Z";
    let arguments = ["bundle", "verify", &archive, "--keyring", &keyring];
    let (code, text, _) = run(&[&arguments[..], &["--at", at]].concat());
    assert!(
        code == 0 && text.contains("1 policy compiled and tested"),
        "{text}"
    );
}

#[test]
fn wrong_usage_exits_with_2() {
    let bench = Bench::new();
    for arguments in [
        &["bundle"][..],
        &["bundle", "build", "x", "--tenant", "a b"],
        &["bundle", "verify", "x"],
        &[
            "bundle",
            "build",
            "x",
            "--tenant",
            "a",
            "--number",
            "1",
            "--issued-at",
            "today",
            "--key",
            "k",
            "-o",
            "o",
        ],
        &["key", "generate", "--use", "nothing"],
    ] {
        let (code, _, error) = run(arguments);
        assert_eq!(code, 2, "{arguments:?}: {error}");
    }
    let (code, _, error) = run(&[
        "bundle",
        "verify",
        "/nonexistent",
        "--keyring",
        &bench.path("keyring.yaml"),
    ]);
    assert!(code == 1 && error.contains("/nonexistent"), "{error}");
}

#[test]
fn private_keys_are_secret_and_never_overwritten() {
    let bench = Bench::new();
    let key = bench.path("bundle.key.pem");
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let before = fs::read(&key).unwrap();
    assert_eq!(run(&["key", "generate", "--out", &bench.path("")]).0, 1);
    assert_eq!(fs::read(&key).unwrap(), before);

    let shown = json(&["key", "show", &key, "--kid", "main"], 0);
    assert_eq!(
        shown["keyring"],
        fs::read_to_string(bench.path("keyring.yaml")).unwrap()
    );
    assert!(!shown.to_string().contains("PRIVATE"), "{shown}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let (code, _, error) = run(&["key", "show", &key]);
    assert!(code == 1 && error.contains("0640"), "{error}");
}

#[test]
fn every_format_ever_released_still_loads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut count = 0;
    for entry in fs::read_dir(root).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let (archive, keyring) = (path("bundle.tar.gz"), path("keyring.yaml"));
        let arguments = [
            "bundle",
            "verify",
            &archive,
            "--keyring",
            &keyring,
            "--at",
            "2026-11-23T00:00:00Z",
        ];
        let verified = json(&arguments, 0);
        assert_eq!(verified["compiled"], true, "{verified}");
        let expected: Value =
            serde_json::from_slice(&fs::read(path("inspect.json")).unwrap()).unwrap();
        assert_eq!(json(&["bundle", "inspect", &archive], 0), expected);
        count += 1;
    }
    assert!(count >= 1);
}

//! `lictor policy`, through the real binary.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use crate::support::{lictor, scratch};

const POLICY: &str = "\
apiVersion: lictor.dev/v1
kind: ValidationPolicy
metadata: {name: small}
spec:
  severity: low
  match: [has(input.size)]
  validations:
    - {expression: input.size < 10, field: size, message: too large, actual: input.size}
    - {expression: data.open, field: '', message: closed}
tests:
  - {name: small is fine, input: {size: 1}, expect: {compliant: true}}
  - {name: large is not, input: {size: 10}, expect: {violations: [{field: size, actual: '10'}]}}
";

fn seed() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("src/control_plane/seed.yaml")
        .display()
        .to_string()
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path: PathBuf = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn policy(arguments: &[&str]) -> Output {
    lictor().arg("policy").args(arguments).output().unwrap()
}

/// The exit code and what was printed.
fn ran(arguments: &[&str]) -> (i32, String) {
    let output = policy(arguments);
    let code = output.status.code().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        !text.is_empty() || code == 2,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    (code, text)
}

fn folder_of_policy(text: &str) -> (tempfile::TempDir, String) {
    let folder = scratch();
    write(folder.path(), "small.yaml", text);
    write(folder.path(), "data.yaml", "open: true\n");
    let path = folder.path().display().to_string();
    (folder, path)
}

#[test]
fn the_seeded_policies_are_in_order() {
    let (code, text) = ran(&["check", &seed()]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.ends_with("6 documents, 0 errors, 0 warnings\n"),
        "{text}"
    );
    let (code, text) = ran(&["test", &seed()]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("0 failed"), "{text}");
}

#[test]
fn check_says_what_documents_decide() {
    let (_kept, folder) = folder_of_policy(POLICY);
    let (code, text) = ran(&["check", &folder]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("ValidationPolicy `small` 1.0.0 decides: validation"),
        "{text}"
    );
    let (code, text) = ran(&["check", "--output", "json", &folder]);
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &found["errors"]), (0, &json!([])));
    assert_eq!(found["documents"][0]["decides"], "validation");
}

#[test]
fn check_reports_all_errors_with_their_places() {
    let broken = POLICY
        .replace("severity: low", "severity: worst")
        .replace("message: closed", "mesage: closed");
    let (kept, folder) = folder_of_policy(&broken);
    // A second file whose document is well formed and does not compile.
    let uncompiled = POLICY
        .replace("name: small}", "name: other}")
        .replace("input.size < 10", "input.size <")
        .replace("data.open", "nonsense.open");
    write(kept.path(), "other.yaml", &uncompiled);
    let (code, text) = ran(&["check", "--output", "json", &folder]);
    assert_eq!(code, 1, "{text}");
    let found: Value = serde_json::from_str(&text).unwrap();
    let places: Vec<(i64, String)> = found["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            (
                error["line"].as_i64().unwrap(),
                error["path"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let expected = [
        (8, "spec.validations[0].expression"),
        (9, "spec.validations[1].expression"),
        (5, "spec.severity"),
        (9, "spec.validations[1]"),
        (9, "spec.validations[1].mesage"),
    ];
    assert_eq!(
        places,
        expected.map(|(line, path)| (line, path.to_owned())),
        "{text}"
    );
    let (code, text) = ran(&["check", &folder]);
    assert_eq!(code, 1);
    assert!(text.contains("did you mean `message`?"), "{text}");
}

#[test]
fn check_refuses_policies_that_cannot_be_in_force_together() {
    let twice = format!("{POLICY}---\n{POLICY}");
    let (_kept, folder) = folder_of_policy(&twice);
    let (code, text) = ran(&["check", &folder]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("is there twice"), "{text}");
}

#[test]
fn wrong_usage_has_its_own_exit_code() {
    for arguments in [
        &["check"][..],
        &["check", "no/such/folder"],
        &["check", "--output", "xml", "."],
        &["check", "--tenant", "not a tenant", "."],
        &["eval", "--kind", "guess", "--input", "-", "."],
        &["eval", "--input", "no/such/file.json", &seed()],
        &["unknown"],
    ] {
        let output = policy(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn test_reports_what_failed_and_what_was_not_tried() {
    let (_kept, folder) = folder_of_policy(POLICY);
    let (code, text) = ran(&["test", "--coverage", &folder]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("2 tests passed, 0 failed"), "{text}");
    assert!(
        text.contains("spec.match[0]: no test in which it does not hold"),
        "{text}"
    );
    assert!(
        text.contains("spec.validations[1]: no test in which it fails"),
        "{text}"
    );
    assert!(!text.contains("spec.validations[0]:"), "{text}");

    let failing = POLICY.replace("input.size < 10", "input.size < 5 || input.size > 9");
    let (_kept, folder) = folder_of_policy(&failing);
    let (code, text) = ran(&["test", &folder]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("FAILED policy `small`, test `large is not`"),
        "{text}"
    );
    assert!(text.contains("small.yaml:12:5: "), "{text}");
    assert!(text.contains("1 test passed, 1 failed"), "{text}");
}

#[test]
fn eval_answers_and_explains() {
    let (kept, folder) = folder_of_policy(POLICY);
    let input = write(kept.path(), "input.txt", "{\"size\": 12}");
    let (code, text) = ran(&["eval", "--explain", "--input", &input, &folder]);
    assert_eq!(code, 0, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["compliant"], false);
    assert_eq!(answer["violations"][0]["actual_value"], "12");
    assert!(answer.get("decision_id").is_none(), "{text}");
    let considered = answer["considered"].as_array().unwrap();
    assert!(
        considered
            .iter()
            .any(|item| item["condition"] == "input.size < 10" && item["value"] == "false"),
        "{text}"
    );
}

#[test]
fn eval_names_the_item_of_match_that_was_false() {
    let (kept, folder) = folder_of_policy(POLICY);
    let input = write(kept.path(), "input.txt", "{}");
    let (code, text) = ran(&["eval", "--explain", "--input", &input, &folder]);
    assert_eq!(code, 0, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    let [item] = answer["considered"].as_array().unwrap().as_slice() else {
        panic!("{text}");
    };
    assert_eq!(
        (&item["place"], &item["condition"], &item["value"]),
        (
            &json!("spec.match[0]"),
            &json!("has(input.size)"),
            &json!("false")
        )
    );
    assert_eq!(item["matched"], false);
}

#[test]
fn eval_asks_every_kind() {
    let folder = scratch();
    let ask = |kind: &str, input: &str, claims: Option<&str>| -> Value {
        let input = write(folder.path(), "input.json", input);
        let seed = seed();
        let mut arguments = vec!["eval", "--kind", kind, "--input", &input, &seed];
        let claims = claims.map(|claims| write(folder.path(), "claims.json", claims));
        if let Some(claims) = &claims {
            arguments.extend(["--claims", claims]);
        }
        serde_json::from_str(&ran(&arguments).1).unwrap()
    };
    let document = r#"{"subject": {"type": "user", "id": "a"}, "action": {"name": "write"},
        "resource": {"type": "document", "id": "d", "properties": {"owner": "a"}}}"#;
    assert_eq!(ask("access", document, None)["allowed"], true);
    let check = r#"{"user_id": "a", "service_id": "s", "action": "read"}"#;
    assert_eq!(ask("access", check, None)["allowed"], false);
    let http = r#"{"method": "GET", "path": "/accounts/7"}"#;
    let allowed = ask("http", http, Some(r#"{"sub": "7"}"#));
    assert_eq!(allowed["status"], 200);
    assert_eq!(
        allowed["set_headers"],
        json!([{"name": "x-account", "value": "7"}])
    );
    assert_eq!(ask("http", http, None)["status"], 403);
    assert_eq!(ask("validate", "{}", None)["compliant"], false);
}

#[test]
fn eval_refuses_what_is_no_question() {
    let folder = scratch();
    for text in ["", "[]", "{\"a\": ", "{\"a\": 1} x"] {
        let input = write(folder.path(), "input.json", text);
        let output = policy(&["eval", "--input", &input, &seed()]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{text}"
        );
    }
}

#[test]
fn the_schema_is_printed() {
    let (code, text) = ran(&["schema"]);
    assert_eq!(code, 0);
    let schema: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert!(schema["$defs"]["ValidationPolicy"].is_object());
}

const REGO: &str = "\
package authz

default allow := false

allow if input.role in data.roles

test_admin if allow with input as {\"role\": \"admin\"}

test_guest if not allow with input as {\"role\": \"guest\"}

todo_test_later if false
";

#[test]
fn rego_modules_are_checked_tested_and_asked() {
    let folder = scratch();
    let path = folder.path().display().to_string();
    let module = write(folder.path(), "authz.rego", REGO);
    write(folder.path(), "data.json", "{\"roles\": [\"admin\"]}");
    let (code, text) = ran(&["check", &path]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("note: `data.authz.test_admin` runs on the interpreter: the `with` keyword"),
        "{text}"
    );
    let (code, text) = ran(&["test", &path]);
    assert_eq!(
        (code, text.as_str()),
        (
            0,
            "SKIPPED data.authz.todo_test_later\n2 tests passed, 0 failed, 1 skipped\n"
        )
    );
    let input = write(folder.path(), "question.txt", "{\"role\": \"admin\"}");
    let eval = ["eval", "--kind", "rego", "--path", "authz/allow"];
    let (code, text) = ran(&[&eval[..], &["--input", &input, &path]].concat());
    assert_eq!((code, text.trim()), (0, "{\n  \"result\": true\n}"));

    let broken = REGO
        .replace("{\"role\": \"guest\"}", "{\"role\": \"admin\"}")
        .replace(
            "test_guest if not",
            "test_guest if print(\"here\")\n\ntest_other if not",
        );
    write(folder.path(), "authz.rego", &broken);
    let (code, text) = ran(&["test", &path]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("authz.rego:9: here\n"), "{text}");
    assert!(
        text.contains("FAILED data.authz.test_other: it is undefined\n"),
        "{text}"
    );

    write(
        folder.path(),
        "authz.rego",
        "package authz\n\nx := http.send({})\ny := nothing(1)\n",
    );
    let (code, text) = ran(&["check", &path]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains(&format!(
            "{module}:3:10: error: the builtin `http.send` of OPA is not supported"
        )),
        "{text}"
    );
    assert!(
        text.contains(&format!("{module}:4:6: error: undefined function nothing")),
        "{text}"
    );
    write(folder.path(), "authz.rego", "package authz\n\nx := (\n");
    let (code, text) = ran(&["check", &path]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains(&format!("{module}:")), "{text}");
}

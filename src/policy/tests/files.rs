//! Whole files that are wrong: size, encoding, syntax, duplicate members, the number of errors.

use crate::policy::{Format, MAX_FILE_BYTES, parse};

use super::{report, yaml};

#[test]
fn all_errors_of_a_file_are_reported_with_their_places() {
    let text = "\
apiVersion: lictor.dev/v1
kind: ValidationPolicy
metadata:
  name: n
  verson: 1.0.0
spec:
  severity: urgent
  validation:
    - expression: 'true'
---
apiVersion: lictor.dev/v2
kind: ValidatonPolicy
---
apiVersion: lictor.dev/v1
kind: Experiment
metadata: {name: has blank}
spec:
  hash: md5
  rollout: 10
  variants: [{name: A, weight: 1}, {name: C}]
  overrides: {x: D}
";
    assert_eq!(
        report(text),
        [
            "p.yaml:5:3: metadata.verson: unknown field `verson`; did you mean `version`?",
            "p.yaml:7:3: spec: the field `validations` is missing",
            "p.yaml:7:13: spec.severity: `urgent` is none of `critical`, `high`, `medium`, `low`",
            "p.yaml:8:3: spec.validation: unknown field `validation`; did you mean `validations`?",
            "p.yaml:12:7: kind: `ValidatonPolicy` is no kind of policy; did you mean \
             `ValidationPolicy`?; known are `ValidationPolicy`, `ServicePolicy`, `AccessPolicy`, \
             `Experiment`; content that is not Lictor's needs the format `opaque`",
            "p.yaml:16:18: metadata.name: `has blank` cannot stand in a header's name: use at most \
             200 letters, digits and `-_.!#$%&'*+^|~`",
            "p.yaml:19:12: spec.rollout: `rollout` has no meaning with the hash `md5`: leave it out",
            "p.yaml:20:13: spec.variants: the hash `md5` has exactly the variants `A` and `B`",
            "p.yaml:20:32: spec.variants[0].weight: weights have no meaning with the hash `md5`: \
             leave them out",
            "p.yaml:21:18: spec.overrides.x: `D` is no variant of this experiment",
        ]
    );
}

#[test]
fn a_document_is_an_object() {
    for text in ["[]", "x", "3", "true"] {
        assert!(report(text)[0].contains("a policy is an object"), "{text}");
    }
    assert!(parse("p.json", b"null", Format::Json, "t").is_err());
    assert!(yaml("").is_empty());
}

#[test]
fn duplicate_members_are_refused_everywhere() {
    for text in [
        r#"{"a": 1, "a": 1}"#,
        r#"{"a": [{"b": {"c": 1, "c": 2}}]}"#,
        r#"{"modules": {"a.rego": "x", "a.rego": "y"}}"#,
        r#"{"apiVersion": "lictor.dev/v1", "kind": "Experiment", "kind": "Experiment"}"#,
    ] {
        let errors = parse("p.json", text.as_bytes(), Format::Json, "t").unwrap_err();
        let report = errors.to_string();
        assert!(report.contains("is there twice"), "{report}");
        assert!(parse("p.yaml", text.as_bytes(), Format::Yaml, "t").is_err());
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let large = vec![b' '; MAX_FILE_BYTES + 1];
    for (text, expected) in [
        (large.as_slice(), "p: the file has"),
        (b"a: 1\nb: \xff", "not UTF-8"),
        (b"{", "expected"),
        (b"", "expected a JSON value"),
    ] {
        let errors = parse("p", text, Format::Json, "t").unwrap_err();
        assert!(
            errors
                .to_string()
                .contains(expected.trim_start_matches("p: ")),
            "{errors}"
        );
    }
    let errors = parse("p", b"a: 1\nb: \xff", Format::Yaml, "t").unwrap_err();
    assert_eq!(errors.0[0].place.line, 2);
    assert_eq!(yaml("\u{feff}a: 1").len(), 1);
}

#[test]
fn a_file_that_is_wrong_everywhere_reports_a_hundred_errors() {
    let rules = "- {effect: maybe, unknown: 1}\n".repeat(1_000);
    let text = format!(
        "apiVersion: lictor.dev/v1\nkind: AccessPolicy\nmetadata: {{name: n}}\nspec:\n resources: ['*']\n rules:\n{}",
        rules.replace("- ", "  - ")
    );
    assert_eq!(report(&text).len(), 100);
}

//! Experiments: assignment, the version that decides, the content that is delivered.

use super::*;
use crate::model::VariantReason;

fn version(version: &str, status: &str, group: &str, field: &str) -> String {
    format!(
        "
apiVersion: lictor.dev/v1
kind: ValidationPolicy
metadata: {{name: rules, version: {version}, status: {status}{group}}}
spec:
  type: X
  severity: low
  validations: [{{expression: 'false', field: {field}, message: m}}]
"
    )
}

const EXPERIMENT: &str = r#"
apiVersion: lictor.dev/v1
kind: Experiment
metadata: {name: checkout}
spec:
  key: subject.id
  hash: murmur3
  salt: checkout-2026
  audience: subject.properties.country in ["DE", "FR"]
  variants: [{name: A, weight: 500}, {name: B, weight: 500}]
  overrides: {forced: B}
  policies: {rules: {A: 1.4.0, B: 1.5.0}}
tests:
  - {name: forced, key: forced, expect: {variant: B}}
  - {name: elsewhere, key: k, context: {country: US}, expect: {variant: null}}
"#;

/// The field that was violated, and the variants named.
fn decided(program: &Program, input: &str) -> (String, Vec<String>) {
    let scratch = Scratch::default();
    let answer = program
        .validate(input.as_bytes(), &context(), &scratch)
        .unwrap();
    let fields: Vec<_> = answer.violations.iter().map(|v| v.field).collect();
    let variants = answer.variants.iter();
    (
        fields.join(","),
        variants
            .map(|a| format!("{}={}", a.experiment, a.variant))
            .collect(),
    )
}

fn ask(program: &Program, body: &str) -> String {
    let scratch = Scratch::default();
    match program.variant(body.as_bytes(), &context(), &scratch) {
        Ok(answer) => format!(
            "{} {} {} {}",
            answer.experiment,
            answer.variant.unwrap_or("-"),
            answer.version.unwrap_or("-"),
            answer.reason.as_str()
        ),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_grouped_policy_is_an_md5_experiment() {
    let yaml = format!(
        "{}---{}---{}",
        version("1.2.0", "testing", ", abTestGroup: B", "b"),
        version("1.1.0", "active", ", abTestGroup: A", "a"),
        version("1.0.0", "retired", "", "old")
    );
    let program = program(&yaml);
    assert_eq!(program.active_policies(), 1);
    assert_eq!(program.experiments().collect::<Vec<_>>(), ["rules"]);
    // client-1 is in A, user123 in B (the registry's vectors).
    let a = decided(&program, r#"{"client_id":"client-1"}"#);
    assert_eq!(a, ("a".into(), vec!["rules=A".into()]));
    let b = decided(&program, r#"{"client_id":"user123"}"#);
    assert_eq!(b, ("b".into(), vec!["rules=B".into()]));
    let b = decided(&program, r#"{"provider_id":"user123"}"#);
    assert_eq!(b.0, "b");
    let none = decided(&program, "{}");
    assert_eq!(none, ("a".into(), vec![]));
    assert_eq!(
        decided(&program, r#"{"client_id":""}"#),
        ("a".into(), vec![])
    );
    assert_eq!(
        ask(&program, r#"{"experiment":"rules","key":"user123"}"#),
        "rules B 1.2.0 split"
    );
    assert_eq!(
        ask(&program, r#"{"experiment":"rules"}"#),
        "rules - 1.1.0 no_key"
    );
    let id = documents(&yaml)[0].metadata.id;
    let content = |client| program.content(id, client).unwrap().version;
    assert_eq!(content(None), "1.1.0");
    assert_eq!(content(Some("client-1")), "1.1.0");
    assert_eq!(content(Some("user123")), "1.2.0");
    assert_eq!(content(Some("")), "1.1.0");
}

#[test]
fn without_a_version_of_the_group_decisions_fall_back_and_content_does_not() {
    let active = version("1.1.0", "active", ", abTestGroup: A", "a");
    let alone = program(&active);
    let b = decided(&alone, r#"{"client_id":"user123"}"#);
    assert_eq!(b, ("a".into(), vec![]));
    let id = documents(&active)[0].metadata.id;
    assert!(alone.content(id, Some("user123")).is_none());
    assert!(alone.content(id, Some("client-1")).is_some());
    let retired = format!("{active}---{}", version("1.0.0", "retired", "", "old"));
    let retired = program(&retired);
    assert_eq!(decided(&retired, r#"{"client_id":"user123"}"#).0, "a");
    assert_eq!(
        retired.content(id, Some("user123")).unwrap().version,
        "1.0.0"
    );
    let unknown = crate::model::PolicyId::derived("t", "k", "n");
    assert!(retired.content(unknown, None).is_none());
}

fn experiment() -> Program {
    let (old, new) = (
        version("1.4.0", "active", "", "a"),
        version("1.5.0", "testing", "", "b"),
    );
    program(&format!("{EXPERIMENT}---{new}---{old}"))
}

#[test]
fn an_experiment_assigns_by_bucket_audience_and_override() {
    let program = experiment();
    let now = Timestamp::from_unix_seconds(NOW);
    assert_eq!(program.self_test(now, Limits::default()).unwrap().passed, 2);
    assert_eq!(
        ask(&program, r#"{"experiment":"checkout","key":"forced"}"#),
        "checkout B - override"
    );
    assert_eq!(
        ask(&program, r#"{"experiment":"checkout","key":"k"}"#),
        "checkout - - not_in_audience"
    );
    assert_eq!(
        ask(&program, r#"{"experiment":"checkout"}"#),
        "checkout - - no_key"
    );
    assert_eq!(
        ask(&program, r#"{"experiment":"other","key":"k"}"#),
        "`other` is not loaded"
    );
    assert_eq!(
        ask(&program, r#"{"key":"k"}"#),
        ": needs either `experiment` or `policy_id`"
    );
    assert_eq!(
        ask(&program, r#"{"experiment":"checkout","key":7}"#),
        "/key: must be a string"
    );
    let salt = bucket::Salt::new("checkout-2026");
    let mut seen = std::collections::BTreeSet::new();
    for key in 0..50 {
        let key = format!("user-{key}");
        let body =
            format!(r#"{{"experiment":"checkout","key":"{key}","context":{{"country":"DE"}}}}"#);
        let index = bucket::variant(&key, &salt, &[500, 500]).unwrap();
        let expected = format!("checkout {} - split", ["A", "B"][index]);
        assert_eq!(ask(&program, &body), expected);
        seen.insert(index);
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_variant_is_decided_by_its_version() {
    let program = experiment();
    // On validate the key is the client's, so that `subject.id` is; it is forced into B.
    let b = decided(&program, r#"{"client_id":"forced"}"#);
    assert_eq!(b, ("b".into(), vec!["checkout=B".into()]));
    // Others are not in the audience, which a validation cannot show.
    assert_eq!(
        decided(&program, r#"{"client_id":"x"}"#),
        ("a".into(), vec![])
    );
    assert_eq!(decided(&program, "{}"), ("a".into(), vec![]));
}

#[test]
fn rollout_keeps_keys_out() {
    let yaml = EXPERIMENT
        .replace(
            "  audience: subject.properties.country in [\"DE\", \"FR\"]\n",
            "  rollout: 0\n",
        )
        .replace("  policies: {rules: {A: 1.4.0, B: 1.5.0}}\n", "");
    let (yaml, _) = yaml.split_once("tests:").unwrap();
    let program = program(yaml);
    assert_eq!(
        ask(&program, r#"{"experiment":"checkout","key":"k"}"#),
        format!("checkout - - {}", VariantReason::NotInRollout.as_str())
    );
}

#[test]
fn two_experiments_may_not_name_one_policy() {
    let second = EXPERIMENT.replace("name: checkout}", "name: other}");
    let old = version("1.4.0", "active", "", "a");
    let yaml = format!("{EXPERIMENT}---{second}---{old}");
    let errors = compile_with(&yaml, "{}", Compiler::default()).unwrap_err();
    assert!(
        errors.to_string().contains("another experiment"),
        "{errors}"
    );
    let grouped = version("1.4.0", "active", ", abTestGroup: A", "a");
    let yaml = format!("{EXPERIMENT}---{grouped}");
    assert!(compile_with(&yaml, "{}", Compiler::default()).is_err());
}

#[test]
fn a_version_that_is_not_loaded_falls_back_with_a_warning() {
    let old = version("1.4.0", "active", "", "a");
    let program = program(&format!("{EXPERIMENT}---{old}"));
    assert_eq!(program.warnings().len(), 1);
    assert_eq!(
        decided(&program, r#"{"client_id":"forced"}"#),
        ("a".into(), vec![])
    );
}

#[test]
fn of_retired_versions_the_one_that_retired_last_is_delivered() {
    let yaml = [
        version("1.2.0", "active", ", abTestGroup: A", "a"),
        version("1.1.0", "retired", "", "newer"),
        version("1.0.0", "retired", "", "older"),
    ]
    .join("---");
    let mut compiler = Compiler::default();
    let mut documents = documents(&yaml);
    // A roll-back to 1.0.0 was itself replaced: the older version retired last.
    documents[1].metadata.changed_at = Timestamp::from_unix_seconds(1);
    documents[2].metadata.changed_at = Timestamp::from_unix_seconds(2);
    let id = documents[0].metadata.id;
    for document in documents {
        compiler.add(document, "hash".into());
    }
    let program = compiler.compile(data("{}")).unwrap();
    let delivered = program.content(id, Some("user123")).unwrap();
    assert_eq!(delivered.version, "1.0.0");
}

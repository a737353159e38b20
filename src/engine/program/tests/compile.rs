//! What does not compile, and in which order it is said.

use super::*;

fn errors(yaml: &str) -> CompileErrors {
    compile_with(yaml, "{}", Compiler::default()).unwrap_err()
}

fn validation(name: &str, expression: &str) -> String {
    format!(
        "
apiVersion: lictor.dev/v1
kind: ValidationPolicy
metadata: {{name: {name}}}
spec:
  type: X
  severity: low
  match: ['{expression}']
  validations: [{{expression: '{expression}', field: f, message: m}}]
"
    )
}

#[test]
fn all_errors_are_collected_in_order() {
    let yaml = format!(
        "{}---{}",
        validation("a", "nothing(1)"),
        validation("b", "unknown.x")
    );
    let errors = errors(&yaml);
    assert!(!errors.rego_unsupported);
    let places: Vec<_> = errors
        .errors
        .iter()
        .map(|error| &*error.place.path)
        .collect();
    let (first, second) = ("spec.match[0]", "spec.validations[0].expression");
    assert_eq!(places, [first, second, first, second]);
    assert_eq!(errors.to_string().lines().count(), 4);
}

#[test]
fn rego_is_told_apart() {
    let rego = Document {
        body: crate::policy::Body::Rego(crate::policy::RegoModules {
            modules: [(
                "a.rego".to_owned(),
                "package a\nx := http.send({})\n".to_owned(),
            )]
            .into(),
            data: None,
        }),
        ..documents(&validation("a", "true")).remove(0)
    };
    let compile = |others: &str| {
        let mut compiler = Compiler::default();
        compiler.add(rego.clone(), "h".into());
        for document in documents(others) {
            compiler.add(document, "h".into());
        }
        compiler.compile(DataBuilder::default()).unwrap_err()
    };
    assert!(compile(&validation("b", "true")).rego_unsupported);
    assert!(!compile(&validation("b", "unknown.x")).rego_unsupported);
}

#[test]
fn retired_and_testing_versions_decide_nothing() {
    for status in ["retired", "testing"] {
        let yaml = validation("a", "false")
            .replace("{name: a}", &format!("{{name: a, status: {status}}}"));
        let program = program(&yaml.replace("match: ['false']", "match: ['true']"));
        assert_eq!(
            (program.active_policies(), violations(&program, "{}").len()),
            (0, 0)
        );
    }
}

#[test]
fn metadata_of_service_policies_is_checked() {
    let service = |kind: &str, rule: &str, metadata: &str| {
        format!(
            "
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {{name: p}}
spec:
  type: {kind}
  severity: low
  enabled: true
  {rule}
  metadata: {metadata}
"
        )
    };
    let compliance = "rule: {compliance: {required_certifications: [A]}}";
    for yaml in [
        service("COMPLIANCE", compliance, "{applies_from_level: cosmic}"),
        service("COMPLIANCE", compliance, "{certification_match: some}"),
        service("CONTENT_FILTERING", "", "{deny_patterns: '('}"),
        service("CONTENT_FILTERING", "", "{max_payload_bytes: many}"),
        service("DATA_CLASSIFICATION", "", "{classification_max: cosmic}"),
    ] {
        // Either the parser or the compiler may be the one to refuse.
        if let Ok(documents) = parse("t", yaml.as_bytes(), Format::Yaml, "t") {
            let mut compiler = Compiler::default();
            for document in documents {
                compiler.add(document, "h".into());
            }
            assert!(compiler.compile(DataBuilder::default()).is_err(), "{yaml}");
        }
    }
}

#[test]
fn a_path_template_that_cannot_match_is_an_error() {
    let yaml = "
apiVersion: lictor.dev/v1
kind: AccessPolicy
metadata: {name: p}
spec:
  http:
    - {id: a, effect: allow, paths: ['/a/{rest*}/b']}
";
    if let Ok(documents) = parse("t", yaml.as_bytes(), Format::Yaml, "t") {
        let mut compiler = Compiler::default();
        for document in documents {
            compiler.add(document, "h".into());
        }
        let errors = compiler.compile(DataBuilder::default()).unwrap_err();
        assert!(errors.to_string().contains("must come last"), "{errors}");
    }
}

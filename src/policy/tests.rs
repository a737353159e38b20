//! What authors write and what they are told.

mod schema;

use crate::model::{Group, PolicyId, Severity, VersionStatus};

use super::{
    Body, Decides, Document, Effect, ExperimentHash, Format, MAX_FILE_BYTES, Question, Rule,
    ServicePolicyType, parse, parse_opaque,
};

const EXAMPLES: &str = include_str!("tests/examples.yaml");

fn yaml(text: &str) -> Vec<Document> {
    parse("p.yaml", text.as_bytes(), Format::Yaml, "t").unwrap()
}

/// Everything reported about `text`, one line each.
fn report(text: &str) -> Vec<String> {
    let errors = parse("p.yaml", text.as_bytes(), Format::Yaml, "t").unwrap_err();
    errors.0.iter().map(ToString::to_string).collect()
}

/// The only thing reported about a document of `kind` with this rest.
#[track_caller]
fn single(kind: &str, spec: &str) -> String {
    let text =
        format!("apiVersion: lictor.dev/v1\nkind: {kind}\nmetadata: {{name: n}}\nspec: {spec}\n");
    let report = report(&text);
    assert_eq!(report.len(), 1, "{report:#?}");
    report[0].clone()
}

#[test]
fn the_examples_are_accepted() {
    let documents = yaml(EXAMPLES);
    let decides: Vec<_> = documents
        .iter()
        .map(|document| (document.body.kind(), document.body.decides()))
        .collect();
    assert_eq!(
        decides,
        [
            ("ValidationPolicy", Decides::Validation),
            ("ServicePolicy", Decides::Validation),
            ("AccessPolicy", Decides::Access),
            ("Experiment", Decides::Experiment),
            ("Rego", Decides::Rego),
            ("Opaque", Decides::Nothing),
        ]
    );
}

#[test]
fn yaml_and_the_json_made_from_it_are_the_same_documents() {
    for document in yaml(EXAMPLES) {
        let name = format!("{}.json", document.metadata.name);
        let again = parse(&name, document.json.as_bytes(), Format::Json, "t").unwrap();
        let [again] = again.as_slice() else {
            panic!("one document")
        };
        assert_eq!(again.json, document.json);
        assert_eq!(again.metadata.id, document.metadata.id);
        assert_eq!(again.metadata.name, document.metadata.name);
        assert_eq!(again.tests.len(), document.tests.len());
    }
}

#[test]
fn a_validation_policy_is_decoded() {
    let documents = yaml(EXAMPLES);
    let document = &documents[0];
    let Body::Validation(policy) = &document.body else {
        panic!("a validation policy")
    };
    assert_eq!(policy.severity, Severity::Critical);
    assert_eq!(policy.kind, "SECURITY");
    assert_eq!(policy.variables[0].name, "https");
    let rule = &policy.validations[0];
    assert_eq!(rule.expression.value, "vars.https");
    let place = &rule.expression.place;
    assert_eq!((place.line, place.column), (15, 19));
    assert_eq!(&*place.path, "spec.validations[0].expression");
    assert_eq!(rule.expected.as_deref(), Some("https://..."));
    assert_eq!(rule.actual.as_ref().unwrap().value, "input.endpoint.url");
    let test = &document.tests[0];
    let Question::Validate { input } = &test.question else {
        panic!("a validation")
    };
    assert_eq!(
        input,
        r#"{"environment":"production","endpoint":{"url":"http://a"}}"#
    );
    assert_eq!(test.expect.compliant, Some(false));
    assert_eq!(
        test.expect.violations.as_ref().unwrap()[0]["field"],
        "endpoint.url"
    );
}

#[test]
fn metadata_has_defaults() {
    let document = &yaml(EXAMPLES)[0];
    let metadata = &document.metadata;
    assert_eq!(
        metadata.id,
        PolicyId::derived("t", "ValidationPolicy", "plain-text-refused")
    );
    assert_eq!(metadata.version.to_string(), "1.0.0");
    assert_eq!(metadata.status, VersionStatus::Active);
    assert_eq!(metadata.group, None);
    assert_eq!(metadata.labels["team"], "security");
    assert_eq!((document.place.line, document.place.column), (2, 1));
}

#[test]
fn metadata_is_read() {
    let text = EXAMPLES.replace(
        "metadata: {name: documents}",
        "metadata: {name: documents, id: 6ba7b811-9dad-11d1-80b4-00c04fd430c8, version: 1.5.0-rc.1, \
         status: testing, abTestGroup: B}",
    );
    let metadata = &yaml(&text)[2].metadata;
    assert_eq!(
        metadata.id.to_string(),
        "6ba7b811-9dad-11d1-80b4-00c04fd430c8"
    );
    assert_eq!(metadata.version.to_string(), "1.5.0-rc.1");
    assert_eq!(metadata.status, VersionStatus::Testing);
    assert_eq!(metadata.group, Some(Group::B));
}

#[test]
fn an_access_policy_is_decoded() {
    let documents = yaml(EXAMPLES);
    let Body::Access(policy) = &documents[2].body else {
        panic!("an access policy")
    };
    assert_eq!(policy.spec.resources, ["document"]);
    assert_eq!(policy.spec.roles[0].name, "owner");
    assert_eq!(policy.spec.rules[1].effect, Effect::Deny);
    assert_eq!(policy.http[0].paths[1].value, "/healthz");
    let allow = policy.http[1].on_allow.as_ref().unwrap();
    assert_eq!(allow.set_headers[0].expression.value, "params.id");
    let deny = policy.http[2].on_deny.as_ref().unwrap();
    assert_eq!(deny.status, 503);
    assert_eq!(deny.body.as_ref().unwrap().value, "'back soon'");
}

#[test]
fn an_experiment_is_decoded() {
    let documents = yaml(EXAMPLES);
    let Body::Experiment(experiment) = &documents[3].body else {
        panic!("an experiment")
    };
    assert_eq!(experiment.hash, ExperimentHash::Murmur3);
    assert_eq!(experiment.salt, "checkout-2026");
    assert_eq!(experiment.rollout, 50);
    assert_eq!(experiment.variants[0].weight, 900);
    assert_eq!(experiment.overrides["client-7"], "B");
    let versions = &experiment.policies["document-rules"];
    assert_eq!(versions["B"].to_string(), "1.5.0");
}

#[test]
fn rego_and_opaque_content_are_told_apart() {
    let documents = yaml(EXAMPLES);
    let Body::Rego(rego) = &documents[4].body else {
        panic!("rego")
    };
    assert!(rego.modules["authz/rules.rego"].starts_with("package authz\n"));
    assert_eq!(
        rego.data.as_deref(),
        Some(r#"{"authz":{"admins":["alice"]}}"#)
    );
    assert_eq!(&*documents[4].metadata.name, "rego-rules");
    assert_eq!(&*documents[5].metadata.name, "p");
    assert_eq!(
        &*documents[5].json,
        r#"{"rules":[{"resource":"documents","action":"allow"}],"version":"1.0.0"}"#
    );
    let modules_of_something_else = "modules: {kernel: {loaded: true}}\n";
    assert!(matches!(
        yaml(modules_of_something_else)[0].body,
        Body::Opaque
    ));
    assert!(report("modules: {a.rego: x}\ndta: {}\n")[0].contains("did you mean `data`?"));
}

#[test]
fn rules_are_read_in_either_spelling() {
    for rule in [
        "{compliance: {required_certifications: [SOC2], require_gdpr_compliance: true}}",
        "{compliance: {requiredCertifications: [SOC2], requireGdprCompliance: true}}",
    ] {
        let text = format!(
            "apiVersion: lictor.dev/v1\nkind: ServicePolicy\nmetadata: {{name: n}}\n\
             spec: {{type: COMPLIANCE, severity: low, rule: {rule}}}\n"
        );
        let documents = yaml(&text);
        let Body::Service(service) = &documents[0].body else {
            panic!("a service policy")
        };
        assert_eq!(service.kind, ServicePolicyType::Compliance);
        assert!(service.enabled);
        let Some(Rule::Compliance(rule)) = &service.rule else {
            panic!("a compliance rule")
        };
        assert_eq!(rule.required_certifications, ["SOC2"]);
        assert!(rule.require_gdpr_compliance);
    }
    let both = single(
        "ServicePolicy",
        "{type: SECURITY, severity: low, rule: {security: {require_https: true, requireHttps: true}}}",
    );
    assert!(both.contains("are the same field"), "{both}");
}

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
fn what_looks_like_ours_is_never_opaque() {
    for text in [
        "{apiVersion: v1, data: 1}",
        "{kind: Policy}",
        "{spec: {}}",
        "{Kind: ValidationPolicy, metadata: {name: n}}",
        "{api_version: lictor.dev/v1}",
    ] {
        assert!(report(text)[0].contains("kind"), "{text}");
        let opaque = parse_opaque("p.yaml", text.as_bytes(), Format::Yaml, "t").unwrap();
        assert!(matches!(opaque[0].body, Body::Opaque));
    }
    let twin = "{version: 1, rules: []}";
    assert!(matches!(yaml(twin)[0].body, Body::Opaque));
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

#[test]
fn values_are_what_their_fields_want() {
    for (spec, expected) in [
        ("{severity: low, validations: []}", "must not be empty"),
        (
            "{severity: low, validations: {}}",
            "expected a list, found an object",
        ),
        (
            "{severity: 3, validations: [{expression: x, message: m}]}",
            "expected a string",
        ),
        (
            "{severity: low, validations: [{expression: x, message: 3}]}",
            "put it in quotes",
        ),
        (
            "{severity: low, validations: [{expression: , message: m}]}",
            "expected an expression, found null",
        ),
        (
            "{severity: low, validations: [{expression: ' ', message: m}]}",
            "must not be empty",
        ),
        (
            "{severity: low, validations: [{message: m}]}",
            "the field `expression` is missing",
        ),
        (
            "{severity: low, variables: {a-b: x}, validations: [{expression: x, message: m}]}",
            "no identifier",
        ),
        ("[]", "expected an object, found a list"),
    ] {
        let report = single("ValidationPolicy", spec);
        assert!(report.contains(expected), "{spec}: {report}");
    }
}

#[test]
fn typed_rules_are_checked() {
    for (spec, expected) in [
        (
            "{type: SECURITY, severity: low}",
            "SECURITY needs `rule.security`",
        ),
        (
            "{type: security, severity: low}",
            "did you mean `SECURITY`?",
        ),
        (
            "{type: SECURITY, severity: low, rule: {security: {}, pricing: {}}}",
            "spec.rule.pricing: the rule of SECURITY is `security` alone",
        ),
        (
            "{type: CONTENT_FILTERING, severity: low, rule: {}}",
            "has no typed rule",
        ),
        (
            "{type: ACCESS_CONTROL, severity: low, rule: {access_control: {allowed_ip_ranges: [10.0.0.0]}}}",
            "spec.rule.access_control.allowed_ip_ranges[0]: `10.0.0.0` is no CIDR range",
        ),
        (
            "{type: COMPLIANCE, severity: low, rule: {compliance: {minimum_compliance_level: secret}}}",
            "`secret` is none of `public`, `internal`, `confidential`, `restricted`",
        ),
        (
            "{type: DATA_RESIDENCY, severity: low, rule: {data_residency: {minimum_locations: -1}}}",
            "`-1` is not between 0 and 2147483647",
        ),
        (
            "{type: DATA_RESIDENCY, severity: low, rule: {data_residency: {minimum_locations: 1.5}}}",
            "expected a whole number",
        ),
        (
            "{type: PRICING, severity: low, rule: {pricing: {minimum_sla_for_enterprise: 101}}}",
            "`101` is more than 100",
        ),
        (
            "{type: PRICING, severity: low, rule: {pricing: {max_rate_per_token: -0.1}}}",
            "`-0.1` is less than 0",
        ),
        (
            "{type: SECURITY, severity: low, rule: {security: {}}, metadata: {sanctions: true}}",
            "put it in quotes",
        ),
        (
            "{type: SECURITY, severity: low, rule: {security: {}}, metadata: {certification_match: some}}",
            "`some` is neither `any` nor `all`",
        ),
        (
            "{type: SECURITY, severity: low, rule: {security: {}}, metadata: {applies_from_level: top}}",
            "`top` is none of",
        ),
        (
            "{type: CONTENT_FILTERING, severity: low, metadata: {max_payload_bytes: 1k}}",
            "no number of bytes",
        ),
        (
            "{type: SECURITY, severity: low, rule: {security: {require_htps: true}}}",
            "did you mean `require_https`?",
        ),
    ] {
        let report = single("ServicePolicy", spec);
        assert!(report.contains(expected), "{spec}: {report}");
    }
}

#[test]
fn access_rules_are_checked() {
    for (spec, expected) in [
        ("{}", "needs `rules` or `http`"),
        ("{rules: [{effect: allow}]}", "`rules` need `resources`"),
        (
            "{resources: [a], http: [{effect: allow}]}",
            "no `rules` that are about these",
        ),
        (
            "{resources: [a], rules: [{effect: allow, actions: []}]}",
            "leave the field out",
        ),
        (
            "{resources: [a], rules: [{effect: allow, condition: }]}",
            "found null",
        ),
        (
            "{resources: [a], rules: [{id: a, effect: allow}, {id: a, effect: deny}]}",
            "rules[1].id: `a` is there twice",
        ),
        (
            "{http: [{effect: allow}, {id: 'http[0]', effect: deny}]}",
            "is there twice",
        ),
        ("{http: [{effect: allow, methods: [get]}]}", "write `GET`"),
        ("{http: [{effect: allow, paths: [/a/*]}]}", "write `{name}`"),
        (
            "{http: [{effect: allow, hosts: [A.example]}]}",
            "write `a.example`",
        ),
        (
            "{http: [{effect: allow, on_deny: {status: 403}}]}",
            "on a rule of the other effect",
        ),
        (
            "{http: [{effect: deny, on_allow: {remove_query: [a]}}]}",
            "on a rule of the other effect",
        ),
        (
            "{http: [{effect: deny, on_deny: {status: 402}}]}",
            "`402` is no denial",
        ),
        (
            "{http: [{effect: deny, on_deny: {status: 500}}]}",
            "`500` is no denial",
        ),
        (
            "{http: [{effect: deny, on_deny: {status: 200}}]}",
            "`200` is",
        ),
        (
            "{http: [{effect: deny, on_deny: {status: 302}}]}",
            "needs the header `location`",
        ),
        (
            "{http: [{effect: allow, on_allow: {set_headers: {'a b': x}}}]}",
            "header's name",
        ),
        (
            "{http: [{effect: allow, on_allow: {set_headers: {X-A: x, x-a: y}}}]}",
            "there twice",
        ),
    ] {
        let text = format!(
            "apiVersion: lictor.dev/v1\nkind: AccessPolicy\nmetadata: {{name: n}}\nspec: {spec}\n"
        );
        let report = report(&text).join("\n");
        assert!(report.contains(expected), "{spec}: {report}");
    }
    let text = EXAMPLES.replace("x-account: params.id", "X-Account: params.id");
    let documents = yaml(&text);
    let Body::Access(policy) = &documents[2].body else {
        panic!("an access policy")
    };
    assert_eq!(
        policy.http[1].on_allow.as_ref().unwrap().set_headers[0].name,
        "x-account"
    );
}

#[test]
fn experiments_are_checked() {
    for (spec, expected) in [
        ("{variants: []}", "must not be empty"),
        ("{variants: [{name: A}]}", "the field `weight` is missing"),
        ("{variants: [{name: A, weight: 0}]}", "add up to 0"),
        (
            "{variants: [{name: A, weight: 4294967295}, {name: B, weight: 1}]}",
            "add up to 4294967296",
        ),
        (
            "{variants: [{name: A, weight: 1}, {name: A, weight: 1}]}",
            "`A` is there twice",
        ),
        (
            "{rollout: 101, variants: [{name: A, weight: 1}]}",
            "not between 0 and 100",
        ),
        (
            "{hash: md5, salt: s, variants: [{name: A}, {name: B}]}",
            "`salt` has no meaning",
        ),
        (
            "{hash: md5, variants: [{name: A}]}",
            "exactly the variants `A` and `B`",
        ),
        (
            "{hash: sha1, variants: [{name: A, weight: 1}]}",
            "none of `murmur3`, `md5`",
        ),
        (
            "{variants: [{name: blue, weight: 1}], overrides: {k: bleu}}",
            "did you mean `blue`?",
        ),
        (
            "{variants: [{name: A, weight: 1}], policies: {p: {Z: 1.0.0}}}",
            "spec.policies.p.Z: `Z` is no variant",
        ),
        (
            "{variants: [{name: A, weight: 1}], policies: {p: {A: '1'}}}",
            "no semantic version",
        ),
    ] {
        let report = single("Experiment", spec);
        assert!(report.contains(expected), "{spec}: {report}");
    }
    let md5 = "apiVersion: lictor.dev/v1\nkind: Experiment\nmetadata: {name: n}\n\
               spec: {hash: md5, variants: [{name: A}, {name: B}]}\n";
    let documents = yaml(md5);
    let Body::Experiment(experiment) = &documents[0].body else {
        panic!("an experiment")
    };
    assert_eq!((experiment.salt.as_str(), experiment.rollout), ("n", 100));
    let group = md5.replace("{name: n}", "{name: n, abTestGroup: A}");
    assert!(report(&group)[0].contains("unknown field `abTestGroup`"));
}

#[test]
fn decision_tests_are_checked() {
    let access = "apiVersion: lictor.dev/v1\nkind: AccessPolicy\nmetadata: {name: n}\n\
                  spec: {resources: ['*'], rules: [{effect: allow}]}\ntests:\n";
    let input = "input: {subject: {}, action: {}, resource: {}}";
    for (test, expected) in [
        (
            format!("{{name: a, {input}, expect: {{}}}}"),
            "expects nothing",
        ),
        (
            "{name: a, expect: {allowed: true}}".to_owned(),
            "`input` or `http`",
        ),
        (
            format!("{{name: a, {input}, jwt: {{}}, expect: {{allowed: true}}}}"),
            "`jwt` goes with `http`",
        ),
        (
            format!("{{name: a, {input}, expect: {{status: 403}}}}"),
            "`status` goes with `http`",
        ),
        (
            "{name: a, input: {subject: {}}, expect: {allowed: true}}".to_owned(),
            "the field `action` is missing",
        ),
        (
            "{name: a, http: {path: /}, expect: {allowed: true}}".to_owned(),
            "the field `method` is missing",
        ),
        (
            format!("{{name: a, {input}, expect: {{compliant: true}}}}"),
            "unknown field `compliant`",
        ),
    ] {
        let report = report(&format!("{access}  - {test}\n")).join("\n");
        assert!(report.contains(expected), "{test}: {report}");
    }
    let twice = format!("  - {{name: a, {input}, expect: {{allowed: true}}}}\n").repeat(2);
    assert!(report(&format!("{access}{twice}"))[0].contains("`a` is there twice"));
    let service = "apiVersion: lictor.dev/v1\nkind: ServicePolicy\nmetadata: {name: n}\n\
                   spec: {type: SECURITY, severity: low, rule: {security: {}}}\n\
                   tests: [{name: a, input: {}, expect: {allowed: true}}]\n";
    assert!(report(service)[0].contains("does not answer `allowed`"));
}

#[test]
fn content_is_named_after_its_file_and_stands_alone() {
    assert!(report("{a: 1}\n---\n{b: 1}\n")[0].contains("one per file"));
    let named = parse("dir/limits.v1.json", b"{\"a\": 1}", Format::Json, "t").unwrap();
    assert_eq!(&*named[0].metadata.name, "limits.v1");
    assert!(parse("dir/.json", b"{}", Format::Json, "t").is_err());
}

#[test]
fn data_in_yaml_becomes_json() {
    let read = |text: &str| super::to_json("data.yaml", text.as_bytes(), Format::Yaml);
    let json = read("admins: [alice]\nlimit: 1.50\n").unwrap();
    assert_eq!(json, r#"{"admins":["alice"],"limit":1.50}"#);
    for text in ["", "a: 1\na: 2\n", "a: 1\n---\nb: 2\n", "["] {
        assert!(read(text).is_err(), "{text}");
    }
}

//! What documents become: each kind's fields, and the defaults.

use crate::model::{Group, PolicyId, Severity, VersionStatus};
use crate::policy::{
    Body, Decides, Effect, ExperimentHash, Format, Question, Rule, ServicePolicyType, parse,
};

use super::{EXAMPLES, single, yaml};

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

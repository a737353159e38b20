//! Ten thousand policies that all apply to a request: as many answers where they fit into its budget, and a clear
//! error where they do not.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::pod::Pod;
use lictor::policy::Format;

const POLICIES: usize = 10_000;

fn policies() -> String {
    let policy = |index: usize| {
        format!(
            "---\napiVersion: lictor.dev/v1\nkind: ValidationPolicy\nmetadata: {{name: policy-{index}}}\nspec:\n  \
             type: SECURITY\n  severity: high\n  match: [has(input.list)]\n  validations:\n    \
             - {{expression: 'input.list.all(x, x > {index})', field: list, message: m}}\n"
        )
    };
    (0..POLICIES).map(policy).collect()
}

#[test]
fn all_of_ten_thousand_policies_answer_or_the_budget_says_that_they_cannot() {
    let pod = Pod::new();
    pod.configure(&json!({"threads": 1}));
    let documents = documents(&policies(), Format::Yaml);
    pod.put(&bundle_of(1, documents, &[], &[&signing_key()]));
    let sidecar = pod.start();
    sidecar.wait_for_number(1);
    // Policy N holds for numbers above N.
    let answer = sidecar.post("/v1/validate", r#"{"list": [4000]}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["compliant"], false);
    let violations = answer["violations"].as_array().unwrap();
    let failed: BTreeSet<&str> = violations
        .iter()
        .map(|violation| violation["policy_name"].as_str().unwrap())
        .collect();
    let expected: Vec<String> = (4_000..POLICIES).map(|it| format!("policy-{it}")).collect();
    assert_eq!(violations.len(), expected.len());
    assert!(expected.iter().all(|name| failed.contains(name.as_str())));
    // More work than the default budget of a million steps.
    let list = vec!["20000"; 2_000].join(",");
    let answer = sidecar.post("/v1/validate", &format!("{{\"list\": [{list}]}}"));
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.json()["code"], "evaluation_budget_exceeded");
    let answer = sidecar.post("/v1/validate", r#"{"list": [20000]}"#);
    assert_eq!(answer.json()["compliant"], true, "{}", answer.text());
}
